//! An agent: a name under which somebody works in a session and is sent messages.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Timestamp;
use crate::id::SessionId;
use crate::model::Priority;

/// The record of an agent. Committed on every change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agent {
    /// The caller's name for it; unique in this server.
    pub id: String,
    /// Where it works.
    pub session: SessionId,
    /// What it is for: a word or an object of the caller's.
    pub role: Option<Value>,
    /// What it can do, beside what its session can.
    pub capabilities: Vec<String>,
    /// The types of messages that it takes; all when empty.
    pub message_types: Vec<String>,
    /// Of messages that it sends without a priority.
    pub priority: Priority,
    /// Whether it is about to go and takes no more messages.
    pub draining: bool,
    /// When it goes for good, while it is about to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaves_at: Option<Timestamp>,
    /// When it was registered.
    pub registered_at: Timestamp,
}

impl Agent {
    /// Whether it takes messages of this type now.
    pub fn takes(&self, message_type: &str) -> bool {
        !self.draining
            && (self.message_types.is_empty() || self.message_types.iter().any(|known| known == message_type))
    }
}
