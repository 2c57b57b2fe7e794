//! What is committed: the new state of something, or an entry of the history.

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::id::{MessageId, RunId, SessionId};
use crate::model::{Agent, Command, Event, Message, Run, Session, Task, TaskState};

/// One row to write. Records of one step are committed together.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// A session as it is now.
    Session(Box<Session>),
    /// A session that is removed.
    Removed(SessionId),
    /// A command as it is now.
    Command(Box<Command>),
    /// Something that happened.
    Event(Event),
    /// A run as it is now.
    Run(Box<Run>),
    /// The tasks of a run, once, when it is accepted.
    Graph {
        /// Which run.
        run: RunId,
        /// Its tasks; the position of each is its number.
        tasks: Arc<[Task]>,
    },
    /// How far a task has come, or the end of as many in a row as ended in the same way: a cancellation
    /// ends them by the thousand.
    Task {
        /// Which run.
        run: RunId,
        /// Their numbers in the run.
        numbers: RangeInclusive<u32>,
        /// How each stands now.
        state: Box<TaskState>,
    },
    /// An agent as it is now.
    Agent(Box<Agent>),
    /// An agent that is no more, with all that it was to receive.
    AgentGone(String),
    /// A message, once, when it is sent, and who is to receive it.
    Message(Arc<Message>, Vec<String>),
    /// Messages that an agent need not receive any more.
    Received(String, Vec<MessageId>),
    /// A pool of warm sessions, once, when it is made: how it is to be made again.
    Pool {
        /// Its name.
        name: String,
        /// Size and settings, without secrets.
        plan: serde_json::Value,
    },
    /// A pool that is no more.
    PoolGone(String),
    /// How long a piece of work takes, to know next time.
    Estimate {
        /// Stands for the work: equal for equal texts in equal directories.
        work: u64,
        /// Its moving mean, in microseconds.
        mean_us: u64,
    },
}
