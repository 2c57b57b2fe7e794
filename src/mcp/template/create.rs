//! `template_create`: settings for sessions to come.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::error::Result;
use crate::limits;
use crate::mcp::answer::{Answer, is_default};
use crate::mcp::arguments::{refusal, typed};
use crate::mcp::call::Call;
use crate::mcp::check;
use crate::mcp::schema::{self, Variable};
use crate::mcp::session::{self, KINDS};
use crate::mcp::tool::{Effect, Tool};
use crate::model::{SessionKind, merge, secret};

pub(crate) const TOOL: Tool = Tool {
    name: "template_create",
    title: "Create a template",
    description: "Keeps settings under a name for session_create {template, overrides}, in place of those kept before. \
        baseConfig takes what session_create does. What the call says goes over overrides, and these over the \
        template: objects merge deeply, lists are replaced.",
    effect: Effect::Sets,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Kept>,
    run: |call, arguments| Box::pin(async move { create(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    name: String,
    /// Of the sessions
    #[serde(rename = "type")]
    #[schemars(with = "Option<String>", extend("enum" = KINDS))]
    kind: Option<SessionKind>,
    #[serde(default)]
    base_config: Map<String, Value>,
    #[serde(default)]
    environment_variables: BTreeMap<String, Variable>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Kept {
    name: String,
    created_at: String,
    /// There was one of this name.
    #[serde(skip_serializing_if = "is_default")]
    replaced: bool,
}

async fn create(call: &Call, arguments: Arguments) -> Result<Answer> {
    let name = check::filled("name", arguments.name)?;
    let mut settings = super::read("baseConfig", arguments.base_config)?;
    if let Some(kind) = arguments.kind {
        settings.insert("type".to_owned(), json!(kind));
    }
    let env = check::env(arguments.environment_variables)?;
    if !env.is_empty() {
        merge(&mut settings, Map::from_iter([("env".to_owned(), json!(env))]));
    }
    if let Some(name) = settings
        .get("env")
        .and_then(Value::as_object)
        .and_then(|env| env.keys().find(|name| secret::is_secret_name(name)))
    {
        return Err(refusal(
            name,
            format!("'{name}' is named like a secret, and templates are kept on disk"),
        )
        .with_hint("give it to session_create in env"));
    }
    let bytes = Value::Object(settings.clone()).to_string().len();
    if bytes > limits::TEMPLATE_BYTES {
        let most = limits::TEMPLATE_BYTES;
        return Err(refusal(
            "baseConfig",
            format!("a template takes at most {most} bytes as JSON, not {bytes}"),
        ));
    }
    // A session can be made of it as far as that can be told now.
    session::create::settings(call, typed(Value::Object(settings.clone()))?)?;
    let (template, replaced) = call.orchestrator.keep_template(name, settings).await?;
    let how = if replaced { "replaced" } else { "kept" };
    let text = format!("template '{}' is {how}", template.name);
    Answer::new(text, &Kept { name: template.name, created_at: template.created_at.to_string(), replaced })
}
