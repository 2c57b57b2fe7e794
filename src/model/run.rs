//! A run: an accepted graph of tasks, and the rules under which it is worked off.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::id::{RunId, SessionId};
use crate::model::{Dialect, Priority};

/// Which of the tasks that could start comes first, and in which session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// The longest chain of dependents first.
    #[default]
    Dependency,
    /// The most urgent first, then the oldest.
    Priority,
    /// In order, each in the session whose turn it is.
    RoundRobin,
    /// In order, each in the session with the least CPU and memory in use.
    LoadBalanced,
    /// In order, each in the session that can do the least beyond what is asked.
    Capability,
    /// In order, each in the session where one of its dependencies ran, if that is free.
    Affinity,
    /// In order, but none while the machine is busier than the run allows.
    ResourceAware,
}

/// What a failed task does to the rest of its run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// What depends on its success never runs; the rest goes on.
    #[default]
    SkipDependents,
    /// Everything is cancelled but the tasks that wait for a failure or for any end: they clean up.
    CancelAll,
    /// What depends on it runs as if it had completed.
    Continue,
}

/// How busy the machine may be for a task to start, and how many sessions a run may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunResources {
    /// Percent of all processors.
    pub max_cpu: Option<f64>,
    /// Percent of the machine's memory.
    pub max_memory: Option<f64>,
    /// Sessions at once.
    pub max_sessions: Option<u32>,
}

/// The shell of pooled sessions, as it was when the run was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workplace {
    /// The program, absolute.
    pub shell: PathBuf,
    /// How to talk to it.
    pub dialect: Dialect,
    /// Where tasks run that name no directory, absolute.
    pub directory: PathBuf,
}

/// The record of a run. Its tasks, and how far they have come, are records of their own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and no state of the others")]
pub struct Run {
    /// Short id on the wire.
    pub id: RunId,
    /// The UUID that the id was made from.
    pub uuid: Uuid,
    /// Which task comes first, and where.
    pub strategy: Strategy,
    /// Slots: the most that runs at any instant.
    pub max_concurrent: u32,
    /// What a failure does to the rest.
    pub on_failure: OnFailure,
    /// The sessions that may be used; pooled ones are made on demand when there are none.
    pub sessions: Vec<SessionId>,
    /// Whether tasks that ran when a server died run again.
    pub resumable: bool,
    /// What holds it back.
    pub resources: RunResources,
    /// Its urgency beside other runs.
    pub priority: Priority,
    /// Where its pooled sessions work.
    pub workplace: Workplace,
    /// Whether nothing more starts until it is resumed.
    pub paused: bool,
    /// Whether it was of use only to the program that began it, and waited for it: `shellherd run`.
    #[serde(default)]
    pub attended: bool,
    /// Whether it gave up at its first failure.
    pub aborted: bool,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its last task was over.
    pub ended_at: Option<Timestamp>,
}
