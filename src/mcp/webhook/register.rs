//! `webhook_register`: somebody on the network is told of events.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Word, shown_url};
use crate::error::Result;
use crate::limits;
use crate::mcp::answer::Answer;
use crate::mcp::arguments::typed;
use crate::mcp::call::Call;
use crate::mcp::schema;
use crate::mcp::tool::{Effect, Tool};
use crate::model::SigningSecret;

pub(crate) const TOOL: Tool = Tool {
    name: "webhook_register",
    title: "Register a webhook",
    description: "From now on posts events as JSON {webhookId, events} to an http(s) url, each body signed in the header \
        X-Shellherd-Signature: sha256=HMAC with secret (one is made and returned when none is given). events are types as \
        in events_poll, default all. What fails for the moment (no connection, 408, 429, \
        5xx) is tried up to 5 times.",
    effect: Effect::Tells,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Registered>,
    run: |call, arguments| Box::pin(async move { register(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    #[schemars(extend("x-bytes" = limits::URL_BYTES))]
    url: String,
    #[serde(default)]
    events: Vec<Word>,
    secret: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Registered {
    webhook_id: String,
    /// The one that was made; it is shown only here.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

async fn register(call: &Call, arguments: Arguments) -> Result<Answer> {
    let given = arguments.secret.filter(|secret| !secret.is_empty());
    let made = given.is_none().then(|| Uuid::new_v4().simple().to_string());
    let secret = SigningSecret::new(given.or_else(|| made.clone()).unwrap_or_default());
    let events = arguments.events.into_iter().map(|Word(wanted)| wanted).collect();
    let webhook = call.orchestrator.register_webhook(arguments.url, events, secret).await?;
    let mut text = format!("{} is told of events as {}", shown_url(&webhook), webhook.id);
    if let Some(secret) = &made {
        text = format!("{text}; deliveries are signed with {secret}");
    }
    Answer::new(text, &Registered { webhook_id: webhook.id.to_string(), secret: made })
}
