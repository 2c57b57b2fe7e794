//! A message between agents.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Timestamp;
use crate::id::MessageId;
use crate::model::Priority;

/// What was sent, once for all who receive it. Never changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Names it.
    pub id: MessageId,
    /// Who sent it: an agent, or any name that the caller gave.
    pub from: String,
    /// What kind it is, in the caller's words.
    pub message_type: String,
    /// Anything.
    pub payload: Value,
    /// How urgent it is.
    pub priority: Priority,
    /// What it answers.
    pub reply_to: Option<MessageId>,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// From when on nobody receives it any more.
    pub expires_at: Option<Timestamp>,
    /// Its place in the order of sending.
    pub number: u64,
}

/// Whom a message goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An agent by its id, or all but the sender whose ids fit a glob.
    Name(String),
    /// All who can do this, but the sender.
    Capability(String),
}
