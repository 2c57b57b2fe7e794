//! What a tool is, and the form in which it is published.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use rmcp::model::ToolAnnotations;
use serde_json::Value;

use super::answer::Answer;
use super::call::Call;
use super::schema;
use crate::error::Result;

/// A tool: what is published of it, and what serves it.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// For the model: when to use it, and what comes back.
    pub(crate) description: &'static str,
    pub(crate) effect: Effect,
    /// The full schema of its arguments.
    pub(crate) input: fn() -> Value,
    pub(crate) output: fn() -> Value,
    pub(crate) run: Handler,
}

/// Serves a call whose arguments fit the schema.
pub(crate) type Handler = for<'a> fn(&'a Call, Value) -> BoxFuture<'a, Result<Answer>>;

/// What a tool does to the world; clients run those that only read in parallel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Looks or waits, and changes nothing.
    Reads,
    /// Makes or changes something, and the same call does it once more.
    Adds,
    /// Changes something, and the same call again changes nothing.
    Sets,
    /// May destroy, and does more when called again.
    Destroys,
    /// May destroy; the same call again changes nothing.
    Ends,
    /// Runs what the caller wrote: anything may come of it, beyond this machine too.
    Runs,
    /// As [`Self::Adds`], and from then on tells something beyond this machine.
    Tells,
}

/// A tool with its schemas.
pub(crate) struct Offered {
    pub(crate) tool: &'static Tool,
    /// The full schema of its arguments.
    pub(crate) full: Value,
    pub(crate) published: rmcp::model::Tool,
}

/// Makes the schemas of a tool.
pub(crate) fn offer(tool: &'static Tool) -> Offered {
    let full = (tool.input)();
    let object = |schema: Value| match schema {
        Value::Object(object) => Arc::new(object),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Arc::default()
        }
    };
    let published = rmcp::model::Tool::new(tool.name, tool.description, object(schema::published(&full)))
        .with_title(tool.title)
        .with_raw_output_schema(object(schema::published(&(tool.output)())))
        .with_annotations(annotations(tool.effect));
    Offered { tool, full, published }
}

fn annotations(effect: Effect) -> ToolAnnotations {
    let (destructive, idempotent, open_world) = match effect {
        Effect::Reads => return ToolAnnotations::new().read_only(true).open_world(false),
        Effect::Adds => (false, false, false),
        Effect::Sets => (false, true, false),
        Effect::Destroys => (true, false, false),
        Effect::Ends => (true, true, false),
        Effect::Runs => (true, false, true),
        Effect::Tells => (false, false, true),
    };
    ToolAnnotations::new()
        .read_only(false)
        .destructive(destructive)
        .idempotent(idempotent)
        .open_world(open_world)
}
