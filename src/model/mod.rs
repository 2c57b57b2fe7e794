//! Plain data: what a session, a command and an event are, and how their states may change.

pub mod command;
pub mod event;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod glob;
pub mod record;
pub mod secret;
pub mod session;

pub use command::{Command, CommandState, EndReason, Ending, OnTimeout, ResourceLimits, Retries, WhenBusy};
pub use event::{Event, EventKind};
pub use record::Record;
pub use session::{Dialect, Profile, Session, SessionKind, Status, TerminalSize};
