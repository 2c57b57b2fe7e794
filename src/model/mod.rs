//! Plain data: what a session, a command, a task and an event are, and how their states may change.

pub mod affinity;
pub mod agent;
pub mod command;
pub mod consent;
pub mod constraint;
pub mod context;
pub mod event;
pub mod event_view;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod glob;
pub mod limit;
pub mod merge;
pub mod message;
pub mod record;
pub mod recovery;
pub mod run;
pub mod sample;
pub mod secret;
pub mod session;
pub mod task;
pub mod template;
pub mod webhook;

pub use affinity::{Affinity, AffinityStrategy};
pub use agent::Agent;
pub use command::{Command, CommandState, EndReason, Ending, OnTimeout, Retries, WhenBusy};
pub use consent::AutoAccept;
pub use context::{ContextMessage, ContextRole, ContextStrategy, ContextTotals, Kept};
pub use event::{Delivery, Event, EventFilter, EventKind, EventType, Placement, PlacementRule};
pub use event_view::EventView;
pub use limit::{Bounds, Breach, Limit, Offender, ResourceLimits};
pub use merge::merge;
pub use message::{Address, Message};
pub use record::Record;
pub use recovery::{CircuitState, FailureCategory, RecoveryPolicy, RecoverySettings, RecoveryStrategy};
pub use run::{OnFailure, Run, RunResources, Strategy, Workplace};
pub use sample::{Resolution, Sample};
pub use session::{Dialect, Monitor, Needs, OnCritical, Profile, Session, SessionKind, Status, TerminalSize};
pub use task::{
    Condition, Dependency, Priority, Task, TaskDetail, TaskKind, TaskReason, TaskRetries, TaskState,
    TaskStatus,
};
pub use template::{Snapshot, Template};
pub use webhook::{SigningSecret, Webhook};
