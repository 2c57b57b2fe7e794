//! What is committed: the new state of something, or an entry of the history.

use crate::model::{Command, Event, Session};

/// One row to write. Records of one step are committed together.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// A session as it is now.
    Session(Box<Session>),
    /// A command as it is now.
    Command(Box<Command>),
    /// Something that happened.
    Event(Event),
}
