//! The one error type. A failing command is an outcome, not an error: an [`Error`] says that the
//! server could not do what it was asked, why, and what the caller can do next.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Stable codes. Never renamed or reused; a new one only where a caller would act differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// An argument is malformed, unknown, mistyped or out of bounds.
    InvalidArgument,
    /// No session has this id or name.
    SessionNotFound,
    /// No command has this id.
    CommandNotFound,
    /// No task fits.
    TaskNotFound,
    /// No run has this id.
    RunNotFound,
    /// No agent has this id.
    AgentNotFound,
    /// No template has this name.
    TemplateNotFound,
    /// A name or id prefix fits more than one session.
    AmbiguousName,
    /// The session is running something else.
    SessionBusy,
    /// The session has ended.
    SessionClosed,
    /// There is nothing to signal.
    CommandNotRunning,
    /// The status cannot change that way.
    IllegalTransition,
    /// Tasks wait for each other.
    DependencyCycle,
    /// A task waits for one that does not exist.
    DependencyUnknown,
    /// An id is in use, or given twice.
    DuplicateId,
    /// A configured bound is reached.
    LimitExceeded,
    /// A queue is full; the same call may succeed later.
    Overloaded,
    /// The shell or program could not be started.
    SpawnFailed,
    /// The command outlived its timeout.
    Timeout,
    /// The terminal went away.
    ConnectionLost,
    /// The operating system or the session's type refuses.
    PermissionDenied,
    /// It failed too often in a row, and is not tried again before a while has passed.
    CircuitOpen,
    /// The store could not be read or written.
    StorageFailed,
    /// This session or machine cannot do that.
    Unsupported,
    /// The server is going down.
    ShuttingDown,
    /// A defect of the server, with an `error_id` that stands in its log.
    Internal,
}

impl ErrorCode {
    /// Every code.
    pub const ALL: [Self; 26] = [
        Self::InvalidArgument,
        Self::SessionNotFound,
        Self::CommandNotFound,
        Self::TaskNotFound,
        Self::RunNotFound,
        Self::AgentNotFound,
        Self::TemplateNotFound,
        Self::AmbiguousName,
        Self::SessionBusy,
        Self::SessionClosed,
        Self::CommandNotRunning,
        Self::IllegalTransition,
        Self::DependencyCycle,
        Self::DependencyUnknown,
        Self::DuplicateId,
        Self::LimitExceeded,
        Self::Overloaded,
        Self::SpawnFailed,
        Self::Timeout,
        Self::ConnectionLost,
        Self::PermissionDenied,
        Self::CircuitOpen,
        Self::StorageFailed,
        Self::Unsupported,
        Self::ShuttingDown,
        Self::Internal,
    ];

    /// The code as it stands on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidArgument => "invalid_argument",
            Self::SessionNotFound => "session_not_found",
            Self::CommandNotFound => "command_not_found",
            Self::TaskNotFound => "task_not_found",
            Self::RunNotFound => "run_not_found",
            Self::AgentNotFound => "agent_not_found",
            Self::TemplateNotFound => "template_not_found",
            Self::AmbiguousName => "ambiguous_name",
            Self::SessionBusy => "session_busy",
            Self::SessionClosed => "session_closed",
            Self::CommandNotRunning => "command_not_running",
            Self::IllegalTransition => "illegal_transition",
            Self::DependencyCycle => "dependency_cycle",
            Self::DependencyUnknown => "dependency_unknown",
            Self::DuplicateId => "duplicate_id",
            Self::LimitExceeded => "limit_exceeded",
            Self::Overloaded => "overloaded",
            Self::SpawnFailed => "spawn_failed",
            Self::Timeout => "timeout",
            Self::ConnectionLost => "connection_lost",
            Self::PermissionDenied => "permission_denied",
            Self::CircuitOpen => "circuit_open",
            Self::StorageFailed => "storage_failed",
            Self::Unsupported => "unsupported",
            Self::ShuttingDown => "shutting_down",
            Self::Internal => "internal",
        }
    }

    /// What it says, for people who read the table of codes.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::InvalidArgument => {
                "an argument is malformed, unknown, mistyped or out of bounds; the field is named"
            }
            Self::SessionNotFound => "no session has this id or name",
            Self::CommandNotFound => "no command has this id",
            Self::TaskNotFound => "no task fits",
            Self::RunNotFound => "no run has this id",
            Self::AgentNotFound => "no agent has this id",
            Self::TemplateNotFound => "no template has this name",
            Self::AmbiguousName => "several sessions fit; they are listed",
            Self::SessionBusy => "the session runs something else, and `whenBusy` was `error`",
            Self::SessionClosed => "the session has ended",
            Self::CommandNotRunning => "there is nothing to signal",
            Self::IllegalTransition => "the status cannot be set; the ones that can are listed",
            Self::DependencyCycle => "tasks wait for each other; the path is shown, and nothing was accepted",
            Self::DependencyUnknown => {
                "a task waits for one that is not there; the nearest id is named, and nothing was accepted"
            }
            Self::DuplicateId => "an id is given twice or in use, and nothing was accepted",
            Self::LimitExceeded => "a bound is reached; the message has it",
            Self::Overloaded => "a queue is full",
            Self::SpawnFailed => "the shell or program could not be started",
            Self::Timeout => "the command outlived its timeout and runs on",
            Self::ConnectionLost => "the terminal went away",
            Self::PermissionDenied => "the system or the session's type refuses",
            Self::CircuitOpen => "it failed too often in a row; the message says when it is tried again",
            Self::StorageFailed => "the disk could not be read or written; what was asked for may have begun",
            Self::Unsupported => "this session or machine cannot do that",
            Self::ShuttingDown => "the server is going down",
            Self::Internal => "a defect of the server, with an `error_id` that stands in its log",
        }
    }

    /// Whether the same call, unchanged, may succeed later.
    pub fn is_retryable(self) -> bool {
        match self {
            Self::SessionBusy | Self::Overloaded | Self::CircuitOpen => true,
            // What the call was for may have begun, or goes on.
            Self::StorageFailed
            | Self::Timeout
            | Self::InvalidArgument
            | Self::SessionNotFound
            | Self::CommandNotFound
            | Self::TaskNotFound
            | Self::RunNotFound
            | Self::AgentNotFound
            | Self::TemplateNotFound
            | Self::AmbiguousName
            | Self::SessionClosed
            | Self::CommandNotRunning
            | Self::IllegalTransition
            | Self::DependencyCycle
            | Self::DependencyUnknown
            | Self::DuplicateId
            | Self::LimitExceeded
            | Self::SpawnFailed
            | Self::ConnectionLost
            | Self::PermissionDenied
            | Self::Unsupported
            | Self::ShuttingDown
            | Self::Internal => false,
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What went wrong, for the caller to read and act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What a program branches on.
    pub code: ErrorCode,
    /// What happened, in lower case, with the values concerned.
    pub message: String,
    /// What to do next; names only tools that exist, with the arguments to use.
    pub hint: Option<String>,
    /// Values for a program: candidates, bounds, legal transitions.
    pub details: Option<Value>,
}

impl Error {
    /// An error without a hint.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, details: None }
    }

    /// A rejected argument; `message` names the field and what is allowed.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidArgument, message)
    }

    /// Adds what to do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds values for a program.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

/// The result of whatever may fail towards the caller.
pub type Result<T> = std::result::Result<T, Error>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_form_of_a_code_is_its_serde_form() {
        // The last one's number is the number of those before it.
        assert_eq!(ErrorCode::ALL.len(), ErrorCode::Internal as usize + 1);
        for code in ErrorCode::ALL {
            assert_eq!(serde_json::to_value(code).ok(), Some(code.as_str().into()));
        }
    }
}
