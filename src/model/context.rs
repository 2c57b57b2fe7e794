//! The context of a session: the messages of a conversation that an agent keeps there. Nothing is ever
//! taken out of it: what a compression leaves out is only shown no more.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// Who said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContextRole {
    /// Instructions; no compression leaves them out.
    System,
    /// Who gave the work.
    User,
    /// The agent.
    Assistant,
    /// What a tool gave back.
    Tool,
}

impl ContextRole {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::System, Self::User, Self::Assistant, Self::Tool];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// A message of a context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextMessage {
    /// From 1, in the order in which they came.
    pub number: u64,
    /// The number behind which it stands: its own, or that of the last message that a summary stands for.
    pub place: u64,
    /// Who said it.
    pub role: ContextRole,
    /// What was said, as it came.
    pub content: String,
    /// What that costs a model.
    pub tokens: u64,
    /// When it came.
    pub added_at: Timestamp,
    /// Whether it stands for others, in a caller's words.
    pub is_summary: bool,
    /// What is left of it.
    pub kept: Kept,
}

/// What compressions left of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// All.
    Whole,
    /// Some of its lines.
    Part {
        /// These.
        content: String,
        /// What they cost a model.
        tokens: u64,
    },
    /// Nothing.
    Nothing,
}

impl ContextMessage {
    /// Its place in the order of the context.
    pub fn order(&self) -> (u64, u64) {
        (self.place, self.number)
    }

    /// What is left of it, with its tokens.
    pub fn left(&self) -> Option<(&str, u64)> {
        match &self.kept {
            Kept::Whole => Some((&self.content, self.tokens)),
            Kept::Part { content, tokens } => Some((content, *tokens)),
            Kept::Nothing => None,
        }
    }
}

/// A context, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContextTotals {
    /// How often it changed: whoever changes it says what he has seen.
    pub changes: u64,
    /// Messages that ever came; the number of the last.
    pub messages: u64,
    /// Bytes of what was said in them.
    pub bytes: u64,
    /// Tokens of it.
    pub tokens: u64,
    /// Messages of which something is left.
    pub left_messages: u64,
    /// Tokens of what is left.
    pub left_tokens: u64,
}

/// How hard a context is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContextStrategy {
    /// Older messages with a decision or an error stay; long ones shrink to these and the lines around.
    #[default]
    Intelligent,
    /// Of older messages only the lines with a decision or an error stay.
    Aggressive,
}
