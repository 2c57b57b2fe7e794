//! Events: what happened to a session, in order, kept in the store.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::{CommandId, SessionId};
use crate::model::Status;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EventKind {
    /// A shell started.
    Started {
        /// Its process id.
        pid: u32,
    },
    /// The status changed.
    Status {
        /// The status before.
        old: Status,
        /// The status now.
        new: Status,
    },
    /// A command was handed to the shell.
    CommandStarted {
        /// Which one.
        command: CommandId,
    },
    /// A command ended.
    CommandEnded {
        /// Which one.
        command: CommandId,
        /// Its exit code, where known.
        exit_code: Option<i32>,
    },
    /// A command outlived its timeout.
    TimedOut {
        /// Which one.
        command: CommandId,
    },
    /// A signal was sent.
    Signal {
        /// Its name.
        signal: String,
        /// What it went to.
        target: String,
    },
    /// Text or keys were typed. The text itself is not kept.
    Input {
        /// How many bytes.
        bytes: usize,
        /// Whether the caller called them a secret.
        secret: bool,
    },
    /// The shell ended.
    Exited {
        /// Exit code, or 128 + signal.
        exit_code: i32,
    },
    /// The server decided something; the reason says why.
    Decision {
        /// What and why.
        reason: String,
    },
}

/// One entry of a session's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The session concerned.
    pub session: SessionId,
    /// When it happened.
    pub at: Timestamp,
    /// Where the session's output stood.
    pub output_cursor: u64,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}
