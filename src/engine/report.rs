//! What callers are told of runs, tasks and recoveries: plain data, as of one moment.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{BusReply, Reply};
use crate::clock::Timestamp;
use crate::id::{CommandId, MessageId, RunId, SessionId};
use crate::model::{
    Agent, CircuitState, FailureCategory, Message, Priority, RecoveryStrategy, TaskDetail, TaskReason,
    TaskStatus,
};

pub use super::schedule::Counts;

impl Reply {
    /// The ids of what was asked for: for a caller who is told that it was not kept, and can look after it
    /// all the same.
    pub fn ids(&self) -> Option<Value> {
        match self {
            Reply::Session(session) => Some(json!({"sessionId": session.id.as_str()})),
            Reply::Commands(commands) => match &commands[..] {
                [command] => Some(json!({"commandId": command.id.as_str()})),
                commands => {
                    let ids: Vec<&str> = commands.iter().map(|command| command.id.as_str()).collect();
                    Some(json!({"commandIds": ids}))
                }
            },
            Reply::Run(accepted) => Some(json!({"runId": accepted.run.as_str()})),
            Reply::RunView(view) => Some(json!({"runId": view.run.as_str()})),
            Reply::Recovery(report) => Some(json!({"sessionId": report.session.as_str()})),
            Reply::Bus(BusReply::Sent(sent)) => Some(json!({"messageId": sent.id.as_str()})),
            Reply::Sessions(_) | Reply::Cancelled(_) | Reply::Pool(_) | Reply::Bus(_) | Reply::Done => None,
        }
    }
}

/// An accepted run.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    /// The run.
    pub run: RunId,
    /// Each task, in the order in which they were given, with the session that it started in.
    pub distributed: Vec<(String, Option<SessionId>, TaskStatus)>,
    /// Tasks that have not started.
    pub queued: usize,
    /// When all should be over, where earlier durations tell.
    pub estimated_completion: Option<Timestamp>,
}

/// What a cancellation came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cancelled {
    /// Ids of the tasks that were not over.
    pub tasks: Vec<String>,
    /// Ids of those among them that run, until their processes are gone.
    pub running: Vec<String>,
    /// Ids that were named and are unknown.
    pub unknown: Vec<String>,
}

/// How a graph would be worked off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Ids in waves: those of each wait only for those of earlier ones.
    pub waves: Vec<Vec<String>>,
    /// The chain of tasks that takes longest.
    pub critical_path: Vec<String>,
    /// Milliseconds that everything should take, where earlier durations tell.
    pub estimated_ms: Option<u64>,
}

/// A task as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskView {
    /// The caller's name for it.
    pub id: String,
    /// Its run; none for a task that nobody knows.
    pub run: Option<RunId>,
    /// Where it stands.
    pub status: TaskStatus,
    /// Why it is over.
    pub reason: Option<TaskReason>,
    /// What it waits for.
    pub detail: Option<TaskDetail>,
    /// The task at the root of a skip.
    pub because_of: Option<String>,
    /// Where its latest attempt runs or ran.
    pub session: Option<SessionId>,
    /// The command of its latest attempt.
    pub command: Option<CommandId>,
    /// Attempts begun.
    pub attempt: u32,
    /// Attempts that it may have in all.
    pub attempts: u32,
    /// The exit code of its latest attempt.
    pub exit_code: Option<i32>,
    /// Percent of its expected duration that has passed, never 100; only while it runs, and where earlier
    /// runs of it tell.
    pub progress: Option<u8>,
    /// When it was accepted.
    pub queued_at: Option<Timestamp>,
    /// When its latest attempt began.
    pub started_at: Option<Timestamp>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
}

/// The tasks that a query fits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskReport {
    /// As many as were asked for.
    pub tasks: Vec<TaskView>,
    /// All that fit.
    pub counts: Counts,
    /// Ids that were named and are unknown; in `counts` they are among the failed.
    pub unknown: usize,
}

/// A run as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct RunView {
    /// Which run.
    pub run: RunId,
    /// In a word.
    pub status: RunStatus,
    /// Whether nothing more starts until it is resumed.
    pub paused: bool,
    /// Whether it was of use only to the program that began it.
    pub attended: bool,
    /// Its slots.
    pub max_concurrent: u32,
    /// Its urgency beside other runs.
    pub priority: Priority,
    /// Its tasks.
    pub counts: Counts,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its last task ended.
    pub ended_at: Option<Timestamp>,
}

/// A set of tasks in a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunStatus {
    /// Nothing has started.
    #[default]
    Queued,
    /// At work.
    Running,
    /// Nothing more starts until it is resumed.
    Paused,
    /// Over, and nothing failed.
    Completed,
    /// Over, and something failed.
    Failed,
}

impl RunStatus {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}

/// How far a set of tasks has come.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overall {
    /// Percent of the weight that is over. 100 only when everything is; it never falls within a run.
    pub percentage: f64,
    /// Tasks by status.
    pub counts: Counts,
    /// In a word.
    pub status: RunStatus,
    /// Milliseconds since the first of them was accepted, or until the last was over.
    pub elapsed_ms: u64,
    /// Milliseconds until all should be over, where that can be told.
    pub eta_ms: Option<u64>,
    /// Tasks over in a second, of late.
    pub throughput: Option<f64>,
}

/// The tasks of a session.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionProgress {
    /// Which session.
    pub session: SessionId,
    /// Tasks whose latest attempt was there.
    pub counts: Counts,
    /// The task that runs there.
    pub current: Option<String>,
}

/// How far a set of tasks has come, in all detail.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// All together.
    pub overall: Overall,
    /// By session, in the order of their ids.
    pub by_session: Vec<SessionProgress>,
    /// Of what is not over, the chain within one run that takes longest; when all is over, the one that took
    /// longest.
    pub critical_path: Vec<String>,
    /// Attempts in the order in which they began, with their ends.
    pub timeline: Vec<TaskView>,
}

/// An agent, and how many messages it has yet to acknowledge.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentView {
    /// The record.
    pub agent: Agent,
    /// Messages that wait for it.
    pub waiting: usize,
    /// Commands that wait behind the running one of its session.
    pub queued: usize,
}

/// A pool as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolView {
    /// Its name.
    pub name: String,
    /// How many members it is to have.
    pub size: usize,
    /// Those that it has.
    pub members: Vec<SessionId>,
    /// Those among them that wait for something to run.
    pub ready: usize,
    /// Those that have not been at their prompt.
    pub starting: usize,
    /// Members made in place of others.
    pub replaced: usize,
    /// Whether several in a row did not start, so that no more are made.
    pub has_failed: bool,
    /// Where they work.
    pub directory: PathBuf,
}

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its id.
    pub id: MessageId,
    /// Who will receive it.
    pub receivers: Vec<String>,
    /// Who was named and will not: nobody has this id, or it takes no such messages.
    pub not_reached: Vec<String>,
}

/// What an agent receives.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// The most urgent first, then the oldest.
    pub messages: Vec<Arc<Message>>,
    /// Messages that fit as well.
    pub remaining: usize,
    /// What was taken out because the agent has it.
    pub acknowledged: Vec<MessageId>,
}

/// How a recovery went, or goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Which session.
    pub session: SessionId,
    /// The session that took over.
    pub new_session: Option<SessionId>,
    /// Whether the session is back at its prompt, or another in its place; `None` while that is open.
    pub recovered: Option<bool>,
    /// What was done in the end.
    pub strategy: RecoveryStrategy,
    /// Attempts at it.
    pub attempts: u32,
    /// What was wrong, where that is known.
    pub category: Option<FailureCategory>,
    /// What was done, step by step, each with its reason.
    pub actions: Vec<String>,
}

/// A circuit breaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CircuitView {
    /// The command line, or the agent's program.
    pub key: String,
    /// Whether attempts are let through.
    pub state: CircuitState,
    /// Failures in a row.
    pub failures: u32,
    /// Until when it is open.
    pub opens_until: Option<Timestamp>,
}
