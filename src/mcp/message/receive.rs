//! `message_receive`: gives an agent its messages.

use std::fmt::Write;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use crate::engine::report::Received;
use crate::error::Result;
use crate::id::MessageId;
use crate::limits;
use crate::mcp::answer::{Answer, fitting, is_default};
use crate::mcp::arguments::{refusal, shortened, typed};
use crate::mcp::call::{Call, Watched};
use crate::mcp::schema::{self, Milliseconds};
use crate::mcp::tool::{Effect, Tool};
use crate::model::{Message, Priority};

/// Messages of a call that names no number.
const MOST: usize = 20;

pub(crate) const TOOL: Tool = Tool {
    name: "message_receive",
    title: "Receive messages",
    description: "Gives an agent the messages that wait for it, the most urgent first, then the oldest; with wait it blocks \
        until there is one. Each comes again until it is acknowledged: pass the messageIds that you have dealt with as ack \
        in the next call, or ack: true to acknowledge at once what this call returns.",
    effect: Effect::Adds,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Inbox>,
    run: |call, arguments| Box::pin(async move { receive(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    agent_id: String,
    /// 0 only acknowledges
    #[schemars(range(max = 1_000))]
    max: Option<usize>,
    #[serde(default)]
    types: Vec<String>,
    /// ms
    wait: Option<Milliseconds>,
    /// messageIds, or true
    ack: Option<Acknowledge>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Acknowledge {
    AtOnce(bool),
    These(#[schemars(extend("x-items" = limits::MESSAGES))] Vec<String>),
    This(String),
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Item {
    message_id: String,
    from: String,
    message_type: String,
    payload: Value,
    /// Where it is not medium.
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<String>,
    sent_at: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Inbox {
    messages: Vec<Item>,
    /// Messages that wait as well.
    #[serde(skip_serializing_if = "is_default")]
    remaining: usize,
    #[serde(skip_serializing_if = "is_default")]
    acknowledged: usize,
}

impl Item {
    fn of(message: &Message) -> Self {
        Self {
            message_id: message.id.to_string(),
            from: message.from.clone(),
            message_type: message.message_type.clone(),
            payload: message.payload.clone(),
            priority: (message.priority != Priority::Normal).then(|| message.priority.as_str()),
            reply_to: message.reply_to.as_ref().map(ToString::to_string),
            sent_at: message.sent_at.to_string(),
        }
    }
}

async fn receive(call: &Call, arguments: Arguments) -> Result<Answer> {
    let agent = arguments.agent_id.trim();
    let (at_once, has) = match arguments.ack {
        None => (false, Vec::new()),
        Some(Acknowledge::AtOnce(at_once)) => (at_once, Vec::new()),
        Some(Acknowledge::These(ids)) => (false, ids),
        Some(Acknowledge::This(word)) => match word.trim().parse() {
            Ok(at_once) => (at_once, Vec::new()),
            Err(_) => (false, vec![word]),
        },
    };
    if let Some(id) = has.iter().find(|id| !id.trim().starts_with(MessageId::PREFIX)) {
        let given = shortened(id);
        return Err(refusal("ack", format!("'ack' takes messageIds, or true: {given:?} is none")));
    }
    let has = has.into_iter().map(|id| MessageId::from_text(id.trim())).collect();
    let wait = arguments.wait.map_or(Duration::ZERO, |wait| call.longest_wait(Some(wait.into())));
    let most = arguments.max.unwrap_or(MOST);
    let until = Instant::now() + wait;
    let (mut has, mut acknowledged): (Vec<MessageId>, usize) = (has, 0);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let coming =
            call.orchestrator.receive_messages(agent, std::mem::take(&mut has), &arguments.types, most, left);
        let mut received = call.wait(coming, Watched::Nothing).await?;
        acknowledged += received.acknowledged.len();
        let (answer, shown) = answer(call, &received, acknowledged)?;
        if !at_once || shown == 0 {
            return Ok(answer);
        }
        // Only what the caller is shown: the rest comes with the next call. And only it is shown: what another
        // call has acknowledged meanwhile is that one's.
        let ids = received.messages[..shown].iter().map(|message| message.id.clone()).collect();
        let told =
            call.orchestrator.receive_messages(agent, ids, &arguments.types, 0, Duration::ZERO).await?;
        received.messages.retain(|message| told.acknowledged.contains(&message.id));
        received.remaining = told.remaining;
        if !received.messages.is_empty() {
            return Ok(self::answer(call, &received, acknowledged + told.acknowledged.len())?.0);
        }
    }
}

/// The answer, and how many messages it shows.
fn answer(call: &Call, received: &Received, acknowledged: usize) -> Result<(Answer, usize)> {
    let items: Vec<Item> = received.messages.iter().map(|message| Item::of(message)).collect();
    let mut room = call.room();
    loop {
        // One message always fits: no larger one could be sent.
        let shown = fitting(&items, room.tokens).max(usize::from(room.tokens > 0)).min(items.len());
        let messages = items[..shown].to_vec();
        let remaining = received.remaining + items.len() - shown;
        let mut text = format!("{shown} messages, {remaining} more waiting");
        for message in &messages {
            let _ = write!(
                text,
                "\n{} {} from {} at {}",
                message.message_id, message.message_type, message.from, message.sent_at
            );
            if let Some(priority) = message.priority {
                let _ = write!(text, ", {priority}");
            }
            if let Some(before) = &message.reply_to {
                let _ = write!(text, ", reply to {before}");
            }
            let _ = write!(text, ": {}", message.payload);
        }
        if acknowledged > 0 {
            let _ = write!(text, "\n({acknowledged} acknowledged)");
        }
        let answer = Answer::new(text, &Inbox { messages, remaining, acknowledged })?;
        if room.holds(&answer) {
            return Ok((answer, shown));
        }
    }
}
