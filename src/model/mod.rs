//! Plain data: what a session, a command, a task and an event are, and how their states may change.

pub mod agent;
pub mod command;
pub mod constraint;
pub mod event;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod glob;
pub mod limit;
pub mod message;
pub mod record;
pub mod run;
pub mod secret;
pub mod session;
pub mod task;

pub use agent::Agent;
pub use command::{Command, CommandState, EndReason, Ending, OnTimeout, Retries, WhenBusy};
pub use event::{Event, EventKind};
pub use limit::{Bounds, Breach, Limit, Offender, ResourceLimits};
pub use message::{Address, Message};
pub use record::Record;
pub use run::{OnFailure, Run, RunResources, Strategy, Workplace};
pub use session::{Dialect, Monitor, OnCritical, Profile, Session, SessionKind, Status, TerminalSize};
pub use task::{
    Condition, Dependency, Priority, Task, TaskDetail, TaskKind, TaskReason, TaskRetries, TaskState,
    TaskStatus,
};
