//! What the engine looks at when its time has come.

use super::schedule::TaskKey;
use crate::id::{CommandId, MessageId, SessionId};

/// What to look at; each look checks that it still applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Deadline {
    /// The running command comes to its next turn.
    Command(CommandId, Turn),
    /// A session may have been idle for too long.
    Idle(SessionId),
    /// A task failed and is tried again.
    Retry(TaskKey),
    /// A task's next attempt was put off by an open circuit.
    Held(TaskKey),
    /// A pooled session should have been at its prompt by now.
    PoolStart(SessionId),
    /// Ended sessions may be due to be removed.
    CleanUp,
    /// Nobody need receive a message any more.
    Expiry(MessageId),
    /// A session's recovery comes to its next move.
    Recovery(SessionId),
    /// The sessions that run what names this one may not be well.
    Affinity(SessionId),
    /// What passed a limit has had its grace.
    Limit(SessionId),
    /// An agent has had the time that it was given to leave.
    Leaving(String),
}

/// What a deadline does to a running command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It outlives its timeout.
    Timeout,
    /// It was interrupted and has had its grace.
    Kill,
    /// It was killed and is still there: its shell must go.
    KillShell,
    /// It failed and is tried again.
    Retry,
}
