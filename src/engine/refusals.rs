//! Why a session does not do what it is asked to.

use crate::error::{Error, ErrorCode};
use crate::model::{Session, Status};

pub(crate) fn ended(session: &Session) -> Error {
    let reason = session.end_reason.as_deref().unwrap_or("it is being closed");
    let hint = if session.status == Status::Error {
        "put a fresh shell in its place with error_recover, which keeps the directory and what was exported, or make a \
         new session with session_create; its output is still there in session_output"
    } else {
        "bring it back with session_restore, or make a new one with session_create; its output is still there in \
         session_output"
    };
    Error::new(
        ErrorCode::SessionClosed,
        format!("session {} is {}: {reason}", session.id, session.status.as_str()),
    )
    .with_hint(hint)
}

pub(super) fn no_commands(program: &str) -> Error {
    Error::new(ErrorCode::Unsupported, format!("{program} is not a shell whose commands have a known end"))
        .with_hint("type into it with session_input and read it with session_output")
}

pub(super) fn unknown() -> Error {
    Error::new(ErrorCode::Internal, "a resolved session is unknown")
}

/// It was made to be started later.
pub(crate) fn unstarted(session: &Session) -> Error {
    Error::new(ErrorCode::SessionClosed, format!("session {} has not been started", session.id))
        .with_hint("start it with session_start")
}
