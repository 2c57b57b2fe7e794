//! `webhook_list`: who is told of events, and how that goes.

use std::fmt::Write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{shown_url, words};
use crate::error::Result;
use crate::mcp::answer::{Answer, fitting, is_default};
use crate::mcp::arguments::typed;
use crate::mcp::call::Call;
use crate::mcp::schema;
use crate::mcp::tool::{Effect, Tool};
use crate::model::Webhook;
use crate::orchestrator::webhooks::Deliveries;

pub(crate) const TOOL: Tool = Tool {
    name: "webhook_list",
    title: "List webhooks",
    description: "Lists webhooks, without their secrets, with the events delivered and failed since the server started.",
    effect: Effect::Reads,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Listing>,
    run: |call, arguments| Box::pin(async move { list(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {}

#[derive(Debug, Serialize, JsonSchema)]
struct Listing {
    webhooks: Vec<Item>,
    /// Webhooks that did not fit.
    #[serde(skip_serializing_if = "is_default")]
    omitted: usize,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Item {
    webhook_id: String,
    /// Without its query.
    url: String,
    /// All when left out.
    #[serde(skip_serializing_if = "is_default")]
    events: Vec<&'static str>,
    created_at: String,
    #[serde(skip_serializing_if = "is_default")]
    delivered: u64,
    #[serde(skip_serializing_if = "is_default")]
    failed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
}

impl Item {
    fn of((webhook, deliveries): (Webhook, Deliveries)) -> Self {
        Self {
            webhook_id: webhook.id.to_string(),
            url: shown_url(&webhook),
            events: words(&webhook),
            created_at: webhook.created_at.to_string(),
            delivered: deliveries.delivered,
            failed: deliveries.failed,
            last_error: deliveries.last_error,
        }
    }

    fn line(&self) -> String {
        let wanted = if self.events.is_empty() { "all events".to_owned() } else { self.events.join(", ") };
        let mut line = format!(
            "{} {} ({wanted}): {} delivered, {} failed",
            self.webhook_id, self.url, self.delivered, self.failed
        );
        if let Some(error) = &self.last_error {
            let _ = write!(line, "; lately {error}");
        }
        line
    }
}

async fn list(call: &Call, Arguments {}: Arguments) -> Result<Answer> {
    let items: Vec<Item> = call.orchestrator.webhooks().await?.into_iter().map(Item::of).collect();
    let mut room = call.room();
    loop {
        let shown = &items[..fitting(&items, room.tokens)];
        let omitted = items.len() - shown.len();
        let mut lines: Vec<String> = shown.iter().map(Item::line).collect();
        if items.is_empty() {
            lines.push("no webhooks".to_owned());
        } else if omitted > 0 {
            lines.push(format!("({omitted} left out)"));
        }
        let answer = Answer::new(lines.join("\n"), &Listing { webhooks: shown.to_vec(), omitted })?;
        if room.holds(&answer) {
            return Ok(answer);
        }
    }
}
