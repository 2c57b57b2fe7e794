//! `message_send`: sends a message to agents.

use std::fmt::Write;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engine::request::NewMessage;
use crate::error::Result;
use crate::id::MessageId;
use crate::mcp::agent::word;
use crate::mcp::answer::{Answer, fitting, is_default, json_tokens};
use crate::mcp::arguments::{refusal, typed};
use crate::mcp::call::Call;
use crate::mcp::schema::{self, Milliseconds, priority_schema};
use crate::mcp::tool::{Effect, Tool};
use crate::model::{Address, Priority};

/// Where no sender is named: the client itself.
const CLIENT: &str = "client";

pub(crate) const TOOL: Tool = Tool {
    name: "message_send",
    title: "Send a message",
    description: "Sends a message to agents: an agentId, a list, a glob, \"*\" for all others, or {\"capability\": \"…\"}. It \
        is kept until each of them has acknowledged it with message_receive, or its ttl is over, also across a restart of \
        the server. Nobody to receive it is no error: recipients is then empty.",
    effect: Effect::Adds,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Sent>,
    run: |call, arguments| Box::pin(async move { send(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    /// An agentId, or any name
    from: Option<String>,
    to: Vec<Receiver>,
    message_type: Option<String>,
    /// Any JSON
    #[schemars(schema_with = "schema::anything")]
    payload: Value,
    #[serde(default)]
    #[schemars(schema_with = "priority_schema")]
    priority: Option<Priority>,
    /// A messageId
    reply_to: Option<String>,
    /// ms
    ttl: Option<Milliseconds>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Receiver {
    Name(String),
    Able(Able),
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Able {
    capability: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Sent {
    message_id: String,
    recipients: Vec<String>,
    /// Named, but no agents, or agents that take no such messages.
    #[serde(skip_serializing_if = "is_default")]
    not_reached: Vec<String>,
    /// Recipients at the end that did not fit.
    #[serde(skip_serializing_if = "is_default")]
    omitted_recipients: usize,
}

async fn send(call: &Call, arguments: Arguments) -> Result<Answer> {
    // Whoever receives it must be able to be shown it.
    let most = call.defaults.result_tokens / 2;
    let tokens = json_tokens(&arguments.payload);
    if tokens > most {
        return Err(refusal(
            "payload",
            format!(
                "'payload' takes at most {most} tokens as JSON, half of what a result may have, not {tokens}"
            ),
        )
        .with_hint("write it to a file and send the path"));
    }
    let to = arguments.to.into_iter().map(|receiver| match receiver {
        Receiver::Name(name) => Address::Name(name.trim().to_owned()),
        Receiver::Able(able) => Address::Capability(able.capability),
    });
    let new = NewMessage {
        from: arguments.from.map_or_else(|| Ok(CLIENT.to_owned()), |from| word("from", &from))?,
        to: to.collect(),
        message_type: arguments
            .message_type
            .map_or_else(|| Ok("message".to_owned()), |t| word("messageType", &t))?,
        payload: arguments.payload,
        priority: arguments.priority,
        reply_to: arguments.reply_to.map(|id| word("replyTo", &id).map(MessageId::from_text)).transpose()?,
        ttl: arguments.ttl.map(Duration::from),
    };
    if new.ttl.is_some_and(|ttl| ttl.is_zero()) {
        return Err(refusal("ttl", "'ttl' must be more than nothing: the message would be gone at once"));
    }
    let sent = call.orchestrator.send_message(new).await?;
    let mut room = call.room();
    loop {
        let fits = fitting(&sent.receivers, room.tokens / 2);
        let not_reached = sent.not_reached[..fitting(&sent.not_reached, room.tokens / 2)].to_vec();
        let recipients = sent.receivers[..fits].to_vec();
        let mut text = match recipients.as_slice() {
            [] => format!("{} was sent to nobody", sent.id),
            some => format!("{} is on its way to {}", sent.id, some.join(", ")),
        };
        let omitted_recipients = sent.receivers.len() - fits;
        if omitted_recipients > 0 {
            let _ = write!(text, " and {omitted_recipients} more");
        }
        if !not_reached.is_empty() {
            let _ = write!(text, "; not reached: {}", not_reached.join(", "));
        }
        let message_id = sent.id.to_string();
        let answer = Answer::new(text, &Sent { message_id, recipients, not_reached, omitted_recipients })?;
        if room.holds(&answer) {
            return Ok(answer);
        }
    }
}
