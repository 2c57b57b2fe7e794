//! The tools about the contexts of sessions, a file each, and what they share.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::limits;
use crate::model::ContextRole;

pub(crate) mod add;
pub(crate) mod compress;
pub(crate) mod get;

// What is said in a message.
#[derive(Deserialize, JsonSchema)]
#[serde(transparent)]
struct Content(#[schemars(extend("x-bytes" = limits::CONTEXT_MESSAGE_BYTES))] String);

fn roles() -> [&'static str; 4] {
    ContextRole::ALL.map(ContextRole::as_str)
}
