//! A task: a node of a run's graph, and how far it has come.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::id::{CommandId, SessionId};
use crate::model::ResourceLimits;

/// What a task's text is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskKind {
    /// A line, or several, for the session's shell.
    #[default]
    Command,
    /// A whole script; its first line may name the program that runs it.
    Script,
    /// A prompt for an agent's command line.
    Agent,
}

/// How urgent a task is. Waiting raises it: see [`crate::limits::AGEING`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// When nothing else is there to do.
    Low,
    /// What a task has that names none.
    #[default]
    Normal,
    /// Before the ordinary.
    High,
    /// Before everything.
    Critical,
}

impl Priority {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// 1 to 4.
    pub fn level(self) -> u8 {
        match self {
            Self::Low => 1,
            Self::Normal => 2,
            Self::High => 3,
            Self::Critical => 4,
        }
    }
}

/// What must be true of a dependency before its dependent may start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// It completed.
    #[default]
    Success,
    /// It failed, for whatever reason.
    Failure,
    /// It is over.
    Always,
}

/// An edge of the graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// The task that comes first, by its id.
    pub id: String,
    /// What is asked of it.
    pub condition: Condition,
}

/// How often a failing task is tried again, and after how long.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskRetries {
    /// Further attempts after the first.
    pub max: u32,
    /// Milliseconds before the first of them.
    pub delay_ms: u64,
    /// The delay grows by this factor each time.
    pub backoff: f64,
    /// The share of a delay, from 0 to 1, that is up to chance, so that tasks that failed together do not
    /// come back together.
    pub jitter: f64,
}

/// A task as it was accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// The caller's name for it; unique among tasks that are not over.
    pub id: String,
    /// What the text is.
    pub kind: TaskKind,
    /// The command, script, or command line of an agent with its prompt.
    pub text: String,
    /// Where it runs, absolute; the run's directory when absent.
    pub directory: Option<PathBuf>,
    /// Variables added to the session's environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// What it reads; nothing when absent.
    pub stdin: Option<String>,
    /// How urgent it is.
    pub priority: Priority,
    /// What must be over before it starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<Dependency>,
    /// Milliseconds from an attempt's start to its end by force.
    pub timeout_ms: u64,
    /// What follows a failure.
    pub retries: Option<TaskRetries>,
    /// Capabilities that its session must have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requirements: Vec<String>,
    /// The one session that it may run in.
    pub session: Option<SessionId>,
    /// Slots of the run's `max_concurrent` that it takes, and its share of the run's percentage.
    pub weight: u32,
    /// Exit codes that count as success; `None` takes any.
    pub ok_exit_codes: Option<Vec<i32>>,
    /// Bounds on its process tree.
    pub limits: ResourceLimits,
    /// The caller's own labels. Few tasks have any, and a run may have 100,000 tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Box<Map<String, Value>>>,
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskStatus {
    /// Not started, or between two attempts.
    #[default]
    Queued,
    /// An attempt is running.
    Running,
    /// Over, and as wished.
    Completed,
    /// Over; the reason says why.
    Failed,
}

impl TaskStatus {
    /// Every status.
    pub const ALL: [TaskStatus; 4] = [Self::Queued, Self::Running, Self::Completed, Self::Failed];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    /// Whether the task is over for good.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }

    /// The statuses that may follow this one.
    pub fn successors(self) -> &'static [TaskStatus] {
        match self {
            Self::Queued => &[Self::Running, Self::Completed, Self::Failed],
            Self::Running => &[Self::Queued, Self::Completed, Self::Failed],
            Self::Completed | Self::Failed => &[],
        }
    }
}

/// Why a task is over, where its status does not say it all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskReason {
    /// It ended with an exit code that is no success.
    ExitCode,
    /// It outlived its timeout.
    Timeout,
    /// Something before it failed, so it never ran.
    DependencyFailed,
    /// It was to run only if something before it went otherwise. It completed without running.
    NotNeeded,
    /// A caller, or a run that gives up at its first failure, ended it.
    Cancelled,
    /// The session that it ran in, or had to run in, is gone.
    SessionLost,
    /// It passed its memory limit.
    MemoryLimit,
    /// It passed its limit of CPU time.
    CpuLimit,
    /// It passed its limit of processes.
    ProcessLimit,
    /// One of its processes passed its limit of open files.
    FileLimit,
    /// The server ended while it ran.
    ServerRestart,
    /// Nobody knows a task of that id.
    NotFound,
}

impl TaskReason {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ExitCode => "exit_code",
            Self::Timeout => "timeout",
            Self::DependencyFailed => "dependency_failed",
            Self::NotNeeded => "not_needed",
            Self::Cancelled => "cancelled",
            Self::SessionLost => "session_lost",
            Self::MemoryLimit => "memory_limit",
            Self::CpuLimit => "cpu_limit",
            Self::ProcessLimit => "process_limit",
            Self::FileLimit => "file_limit",
            Self::ServerRestart => "server_restart",
            Self::NotFound => "not_found",
        }
    }
}

/// What a queued task waits for. Derived from how things stand, never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskDetail {
    /// Other tasks.
    WaitingDependencies,
    /// A session that is free, or room below the run's `max_concurrent`.
    WaitingSlot,
    /// The machine is busier than the run allows.
    ResourcePressure,
    /// No live session has what the task requires.
    NoCapableSession,
    /// The pause before its next attempt.
    RetryBackoff,
    /// The run, which is paused.
    Paused,
}

impl TaskDetail {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WaitingDependencies => "waiting_dependencies",
            Self::WaitingSlot => "waiting_slot",
            Self::ResourcePressure => "resource_pressure",
            Self::NoCapableSession => "no_capable_session",
            Self::RetryBackoff => "retry_backoff",
            Self::Paused => "paused",
        }
    }
}

/// How far a task has come. Committed on every change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskState {
    /// Where it stands.
    pub status: TaskStatus,
    /// Why, when it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<TaskReason>,
    /// Attempts begun.
    pub attempt: u32,
    /// Where the latest attempt runs or ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// The command of the latest attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandId>,
    /// The exit code of the latest attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// When the latest attempt began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When the task was over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// The task at the root of a skip: its number in the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because_of: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_statuses_have_no_successor() {
        for from in TaskStatus::ALL {
            assert_eq!(from.successors().is_empty(), from.is_terminal(), "{from:?}");
            assert!(!from.successors().contains(&from), "{from:?} follows itself");
        }
    }

    #[test]
    fn the_wire_word_is_the_serde_word() {
        for status in TaskStatus::ALL {
            assert_eq!(serde_json::to_value(status).ok(), Some(status.as_str().into()));
        }
        for reason in [TaskReason::ExitCode, TaskReason::DependencyFailed, TaskReason::ServerRestart] {
            assert_eq!(serde_json::to_value(reason).ok(), Some(reason.as_str().into()));
        }
    }

    #[test]
    fn priorities_are_in_the_order_of_their_levels() {
        let all = [Priority::Low, Priority::Normal, Priority::High, Priority::Critical];
        assert!(all.windows(2).all(|pair| pair[0] < pair[1] && pair[0].level() < pair[1].level()));
    }
}
