//! What callers ask for, parsed and bounded, but not yet checked against the state of things.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::id::{MessageId, SessionId};
use crate::model::{
    Address, AffinityStrategy, AutoAccept, Dialect, FailureCategory, Monitor, Needs, OnFailure, OnTimeout,
    Priority, Profile, RecoveryPolicy, RecoveryStrategy, ResourceLimits, Retries, RunResources, SessionKind,
    Status, Strategy, Task, TerminalSize, WhenBusy,
};

/// A session to create. Absent settings take the server's defaults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NewSession {
    /// A label; made up from the id when absent.
    pub name: Option<String>,
    /// What it is for.
    pub kind: SessionKind,
    /// Where it starts; the server's own directory when absent. Absolute.
    pub directory: Option<PathBuf>,
    /// Whether a missing directory is created.
    pub create_directory: bool,
    /// A program on the PATH or an absolute path; `$SHELL` when absent.
    pub shell: Option<String>,
    /// Which start-up files it reads.
    pub profile: Profile,
    /// Variables added to the server's environment.
    pub env: BTreeMap<String, String>,
    /// The terminal's size.
    pub size: TerminalSize,
    /// The caller's own labels.
    pub metadata: Map<String, Value>,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// `name:value` pairs, and labels.
    pub constraints: Vec<String>,
    /// What everything in it together may use.
    pub limits: ResourceLimits,
    /// What it is given of the machine.
    pub needs: Needs,
    /// How its health is looked after.
    pub monitor: Option<Monitor>,
    /// Which questions of its programs are answered.
    pub auto_accept: AutoAccept,
    /// The timeout of commands that name none.
    pub command_timeout: Option<Duration>,
    /// Closed after this long without use.
    pub idle_timeout: Option<Duration>,
    /// Bytes of output kept on disk.
    pub output_bytes: Option<u64>,
    /// Run as soon as the prompt is there; creation does not wait for its end.
    pub command: Option<String>,
    /// How it is recovered when nobody asks; not at all when absent.
    pub recovery: Option<RecoveryPolicy>,
    /// Whether it waits for `session_start`.
    pub is_deferred: bool,
    /// Exported in its shell from the first prompt on, over what start-up files export.
    pub exported: BTreeMap<String, String>,
    /// Taken away before its first prompt, though the server or `env` has them.
    pub unset: BTreeSet<String>,
    /// Where it counts as created, if that is not where it begins: where the session was that it brings back.
    #[serde(skip)]
    pub created_directory: Option<PathBuf>,
    /// Where it is inside, if that is not where it counts as created.
    #[serde(skip)]
    pub root: Option<PathBuf>,
    /// The session that it takes over from.
    #[serde(skip)]
    pub heir_of: Option<Heritage>,
    /// What the agent is for that works in it, if one does from the start.
    pub agent_role: Option<String>,
}

/// What a new session takes from another one, in whatever state that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heritage {
    /// The other.
    pub of: SessionId,
    /// Its variables.
    pub variables: Inherited,
    /// Its output.
    pub output: bool,
}

/// Which variables of another session; secret ones only while this server knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inherited {
    /// Those that are named like secrets: nobody else has them.
    Secrets,
    /// Those that it was given.
    Given,
    /// Those, and what was exported in it.
    All,
}

/// Which sessions run what names another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAffinity {
    /// The other.
    pub selector: String,
    /// Sessions, and globs over names and ids; none for itself.
    pub targets: Vec<String>,
    /// Which of them is chosen.
    pub strategy: AffinityStrategy,
    /// Between two looks at whether they are well.
    pub check_every: Duration,
}

/// Warm sessions to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewPool {
    /// Its name.
    pub name: String,
    /// How many sessions it has, always.
    pub size: usize,
    /// What each is like.
    pub new: NewSession,
    /// The program of each, absolute.
    pub shell: PathBuf,
    /// How to talk to it.
    pub dialect: Dialect,
    /// Where each starts, absolute and there.
    pub directory: PathBuf,
    /// Where the ids come from.
    #[serde(skip)]
    pub uuid: Uuid,
}

/// What a session is to have when it starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// The most memory for all that runs in it, in bytes.
    pub memory_bytes: Option<u64>,
    /// The rest.
    pub needs: Needs,
}

/// A change of a session's settings; `None` leaves a setting as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionChange {
    /// The new label.
    pub name: Option<String>,
    /// The new status; only some may be set.
    pub status: Option<Status>,
    /// Merged into the metadata: a null removes its key, objects merge deeply.
    pub metadata: Option<Map<String, Value>>,
    /// Replaces the capabilities.
    pub capabilities: Option<Vec<String>>,
    /// Replaces the constraints.
    pub constraints: Option<Vec<String>>,
    /// The terminal's new height.
    pub rows: Option<u16>,
    /// The terminal's new width.
    pub cols: Option<u16>,
    /// Variables exported in the shell before its next command.
    pub env: BTreeMap<String, String>,
    /// Where its next shells start.
    pub directory: Option<PathBuf>,
    /// Which questions of its programs are answered.
    pub auto_accept: AutoAcceptChange,
}

/// A change of what is answered; `None` leaves a setting as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AutoAcceptChange {
    /// Whether anything is.
    pub enabled: Option<bool>,
    /// The highest risk that is.
    pub risk_threshold: Option<u8>,
    /// Replaces the protected patterns.
    pub protected_patterns: Option<Vec<String>>,
}

impl AutoAcceptChange {
    /// The settings with this change.
    pub fn applied_to(self, settings: &AutoAccept) -> AutoAccept {
        AutoAccept {
            enabled: self.enabled.unwrap_or(settings.enabled),
            risk_threshold: self.risk_threshold.unwrap_or(settings.risk_threshold),
            protected_patterns: self
                .protected_patterns
                .unwrap_or_else(|| settings.protected_patterns.clone()),
        }
    }
}

/// A command to run.
#[derive(Clone, Debug, PartialEq)]
pub struct NewCommand {
    /// What to run.
    pub text: String,
    /// From its start to its timeout; the session's default when absent.
    pub timeout: Option<Duration>,
    /// What happens then. When absent it runs on, or its session is recovered if it is to be.
    pub on_timeout: Option<OnTimeout>,
    /// What happens when the session is running another.
    pub when_busy: WhenBusy,
    /// Variables for this command only.
    pub env: BTreeMap<String, String>,
    /// The directory for this command only, absolute.
    pub directory: Option<PathBuf>,
    /// What it reads instead of the terminal.
    pub stdin: Option<String>,
    /// Whether it runs in a subshell and leaves nothing behind: no state of the shell, no process.
    pub confined: bool,
    /// Exit codes that count as success; `None` takes any.
    pub ok_exit_codes: Option<Vec<i32>>,
    /// Tries after a failure.
    pub retries: Option<Retries>,
    /// Bounds on its process tree.
    pub limits: ResourceLimits,
}

impl NewCommand {
    /// A command with every setting at its default.
    pub fn line(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            timeout: None,
            on_timeout: None,
            when_busy: WhenBusy::default(),
            env: BTreeMap::new(),
            directory: None,
            stdin: None,
            confined: false,
            ok_exit_codes: Some(vec![0]),
            retries: None,
            limits: ResourceLimits::default(),
        }
    }
}

/// A session to be put back in order.
#[derive(Clone, Debug, PartialEq)]
pub struct RecoveryRequest {
    /// Which one.
    pub selector: String,
    /// What to do.
    pub strategy: RecoveryStrategy,
    /// Attempts; the server's default when absent.
    pub max_retries: Option<u32>,
    /// The pause before the second attempt; the server's default when absent.
    pub retry_delay: Option<Duration>,
    /// Whether what ran when it went wrong runs again, and what was lost behind it.
    pub requeue: bool,
    /// What a look at the terminal told.
    pub evidence: Evidence,
}

/// What only the terminal of a session tells of what is wrong with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// What the output of its last command says of a failure.
    pub category: Option<FailureCategory>,
    /// Whether a signal holds its shell.
    pub is_stopped: bool,
}

/// How hard a session is closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CloseMode {
    /// Hang-up and SIGTERM, then up to the grace period (30 s unless given), then SIGKILL.
    #[default]
    Graceful,
    /// The same with a grace period of one second.
    Force,
    /// SIGKILL at once.
    Emergency,
}

/// Which sessions a call is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Targets {
    /// One, by id, unique id prefix or unique name.
    One(String),
    /// All live ones whose name or id matches this glob.
    Matching(String),
    /// All live ones.
    All,
}

/// Which sessions a broadcast goes to: live ones that fit any of these.
#[derive(Clone, Debug, PartialEq)]
pub enum BroadcastTarget {
    /// Id, name or glob over both.
    Name(String),
    /// Has this capability.
    Capability(String),
    /// Has this value at this metadata path (dots separate keys).
    Metadata(String, Value),
}

/// What a close left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Those that have ended, in the order in which they were closed.
    pub sessions: Vec<SessionId>,
    /// Those that had not ended when patience did; they go on ending.
    pub going: Vec<SessionId>,
    /// Whether any needed SIGKILL.
    pub forced: bool,
}

/// A graph of tasks to work off.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewRun {
    /// The tasks; their sessions may be named in any way that a caller may.
    pub tasks: Vec<Task>,
    /// Which task comes first, and where.
    pub strategy: Strategy,
    /// The most that runs at any instant; the server's default when absent.
    pub max_concurrent: Option<u32>,
    /// What a failure does to the rest.
    pub on_failure: OnFailure,
    /// The sessions that may be used; pooled ones when empty.
    pub sessions: Vec<String>,
    /// Whether tasks that ran when a server died run again.
    pub resumable: bool,
    /// What holds it back.
    pub resources: RunResources,
}

/// Which tasks a call is about: those that fit everything that is named here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskQuery {
    /// These ids; of each the latest task of that name.
    pub tasks: Vec<String>,
    /// Of this run, by id or unique id prefix.
    pub run: Option<String>,
    /// Whose id matches this glob.
    pub pattern: Option<String>,
    /// Whose latest attempt was in this session.
    pub session: Option<String>,
}

/// Which commands a cancellation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelScope {
    /// Those that have not started.
    Queued,
    /// Those that run as well: SIGINT, and SIGKILL after [`crate::limits::INTERRUPT_GRACE`].
    All,
}

/// How hard tasks are cancelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CancelMode {
    /// SIGINT, and SIGKILL after [`crate::limits::INTERRUPT_GRACE`].
    #[default]
    Graceful,
    /// SIGKILL at once.
    Force,
}

/// A change to a run; `None` leaves a setting as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunChange {
    /// Whether it is held.
    pub paused: Option<bool>,
    /// Its slots. What runs beyond them runs on.
    pub max_concurrent: Option<u32>,
    /// Its urgency beside other runs.
    pub priority: Option<Priority>,
}

/// An agent to be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewAgent {
    /// Its id; made from the session's name when absent.
    pub id: Option<String>,
    /// What it is for.
    pub role: Option<Value>,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// The types of messages that it takes; all when empty.
    pub message_types: Vec<String>,
    /// Of messages that it sends without one.
    pub priority: Priority,
}

/// A message to send.
#[derive(Clone, Debug, PartialEq)]
pub struct NewMessage {
    /// Who sends it.
    pub from: String,
    /// Whom it goes to.
    pub to: Vec<Address>,
    /// What kind it is.
    pub message_type: String,
    /// Anything.
    pub payload: Value,
    /// How urgent it is; as urgent as its sender when absent.
    pub priority: Option<Priority>,
    /// What it answers.
    pub reply_to: Option<MessageId>,
    /// How long it may wait for a receiver.
    pub ttl: Option<Duration>,
}

/// When an agent goes that is to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// As soon as it has received all, or after this long. It is sent nothing more from now on.
    Within(Duration),
    /// If it has received all by now.
    Drained,
    /// Now: what it has not received is dropped.
    Now,
}

/// Something about agents or their messages.
#[derive(Debug)]
pub enum BusRequest {
    /// Make an agent of a session, or change one.
    Register {
        /// Where it works.
        session: String,
        /// What it is.
        new: NewAgent,
    },
    /// Let an agent go.
    Deregister {
        /// Which one.
        agent: String,
        /// When.
        leave: Leave,
    },
    /// Send a message.
    Send {
        /// Where its id comes from.
        uuid: Uuid,
        /// What, and to whom.
        new: Box<NewMessage>,
    },
    /// Give an agent its messages.
    Receive {
        /// Which one.
        agent: String,
        /// Those that it has by now, and need not receive again.
        received: Vec<MessageId>,
        /// Only these types; all when empty.
        types: Vec<String>,
        /// At most so many.
        most: usize,
    },
}
