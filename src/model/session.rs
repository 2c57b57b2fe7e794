//! A session: one shell, or another program, on one terminal.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::id::{CommandId, SessionId};
use crate::model::{Affinity, AutoAccept, Bounds, RecoveryPolicy, ResourceLimits, constraint};

/// What a session is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionKind {
    /// Runs commands.
    #[default]
    Worker,
    /// Leads departments; closed after them.
    Director,
    /// Runs commands for a director.
    Department,
    /// Watches only: commands and input are refused.
    Observer,
    /// Takes part in a workflow directly.
    Active,
}

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The shell is starting; no prompt yet.
    Initializing,
    /// At its prompt.
    Idle,
    /// Running a command or a program.
    Active,
    /// A fresh shell is being put in place.
    Recovering,
    /// Running a command that outlived its timeout.
    Timeout,
    /// The shell ended badly, or never started.
    Error,
    /// The shell ended by itself with exit code 0.
    Completed,
    /// Closed by a caller, or by the end of the server.
    Terminated,
}

impl Status {
    /// Every status, for tables and schemas.
    pub const ALL: [Status; 8] = [
        Status::Initializing,
        Status::Idle,
        Status::Active,
        Status::Recovering,
        Status::Timeout,
        Status::Error,
        Status::Completed,
        Status::Terminated,
    ];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initializing => "initializing",
            Self::Idle => "idle",
            Self::Active => "active",
            Self::Recovering => "recovering",
            Self::Timeout => "timeout",
            Self::Error => "error",
            Self::Completed => "completed",
            Self::Terminated => "terminated",
        }
    }

    /// Whether the session can never change again.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Terminated)
    }

    /// Whether a shell stands behind the session.
    pub fn is_live(self) -> bool {
        !matches!(self, Self::Error | Self::Completed | Self::Terminated)
    }

    /// The statuses that may follow this one.
    pub fn successors(self) -> &'static [Status] {
        use Status::{Active, Completed, Error, Idle, Initializing, Recovering, Terminated, Timeout};
        match self {
            Initializing => &[Idle, Active, Recovering, Error, Completed, Terminated],
            Idle => &[Active, Recovering, Error, Completed, Terminated],
            Active => &[Idle, Timeout, Recovering, Error, Completed, Terminated],
            Timeout => &[Idle, Recovering, Error, Completed, Terminated],
            Recovering => &[Idle, Active, Error, Completed, Terminated],
            Error => &[Recovering, Terminated],
            Completed | Terminated => &[],
        }
    }

    /// The statuses that a caller may set by `session_update`; the others are observed, not chosen.
    /// Both end the session: what is shown must be true.
    pub fn settable(self) -> &'static [Status] {
        match self {
            Self::Error => &[Status::Terminated],
            Self::Completed | Self::Terminated => &[],
            Self::Initializing | Self::Idle | Self::Active | Self::Recovering | Self::Timeout => {
                &[Status::Completed, Status::Terminated]
            }
        }
    }
}

/// Which start-up files the shell reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Those of an interactive shell.
    #[default]
    User,
    /// Those of a login shell.
    Login,
    /// None.
    Clean,
    /// Those of an interactive shell, of which the prompt is dropped afterwards, and bash's line editor: nobody
    /// sees or types into the sessions that the scheduler makes for tasks. No caller can ask for it.
    Tasks,
}

/// How shellherd talks to the program on the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// GNU bash.
    Bash,
    /// Z shell.
    Zsh,
    /// fish.
    Fish,
    /// dash and other shells that read `$ENV`.
    Posix,
    /// Any other program: a plain terminal without known command ends.
    Plain,
}

/// Rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Lines on the screen.
    pub rows: u16,
    /// Characters in a line.
    pub cols: u16,
}

impl Default for TerminalSize {
    /// Wider than the classic 80 columns: many tools cut or wrap their output at the width.
    fn default() -> Self {
        Self { rows: 40, cols: 120 }
    }
}

/// What happens to a session whose health becomes critical.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnCritical {
    /// An event says so.
    #[default]
    Notify,
    /// SIGINT to what runs, and SIGKILL 5 s later.
    Interrupt,
    /// A fresh shell is put in place.
    Restart,
    /// It is closed.
    Close,
}

/// How a session's health is looked after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Monitor {
    /// Milliseconds between two looks; the server's own interval when absent.
    pub interval_ms: Option<u64>,
    /// What happens when it becomes critical.
    pub on_critical: OnCritical,
}

/// What a caller gave a session of the machine, as it was asked for. The kernel holds whole processors, and
/// the size of each file rather than of all together: see [`Session::bounds`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// Hundredths of a processor.
    pub cpu_percent: Option<u32>,
    /// Bytes of disk.
    pub disk_bytes: Option<u64>,
}

impl Needs {
    /// Whether nothing was said.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// The record of a session: settings as given, state as observed. Committed on every change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Short id on the wire.
    pub id: SessionId,
    /// The UUID that the id was made from.
    pub uuid: Uuid,
    /// A label; several sessions may share one.
    pub name: String,
    /// What the session is for.
    pub kind: SessionKind,
    /// Where it stands.
    pub status: Status,
    /// The program on the terminal, absolute.
    pub shell: PathBuf,
    /// How it is talked to.
    pub dialect: Dialect,
    /// Which start-up files it reads.
    pub profile: Profile,
    /// Where the session was created, and its shell begins anew at a reset.
    pub created_directory: PathBuf,
    /// Where the session is inside, if that is not where it was created: a clone begins where its original's
    /// shell had gone, and is inside where the original is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<PathBuf>,
    /// The shell's working directory when last seen.
    pub working_directory: PathBuf,
    /// Variables added to the server's environment. Values of secret-looking names are redacted in the store.
    pub env: BTreeMap<String, String>,
    /// What was exported in its shell when last seen that neither the server nor `env` has. What is named like a
    /// secret is left out, and is lost to a later server.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub exported: BTreeMap<String, String>,
    /// What its shell had not exported when last seen, though it was given it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unset: BTreeSet<String>,
    /// The session whose output its own goes on from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored_from: Option<SessionId>,
    /// The terminal's size.
    pub size: TerminalSize,
    /// The caller's own labels.
    pub metadata: Map<String, Value>,
    /// What the session can do, for placement.
    pub capabilities: Vec<String>,
    /// `name:value` pairs as given.
    pub constraints: Vec<String>,
    /// What everything in it together may use, beside what the constraints say.
    #[serde(default)]
    pub limits: ResourceLimits,
    /// The sessions that run the tasks that name this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// What its caller said that it needs.
    #[serde(default, skip_serializing_if = "Needs::is_none")]
    pub needs: Needs,
    /// How its health is looked after when nobody asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitor: Option<Monitor>,
    /// Which questions of its programs are answered for the caller.
    #[serde(default, skip_serializing_if = "AutoAccept::is_unset")]
    pub auto_accept: AutoAccept,
    /// Whether a signal holds its shell.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// Whether it has used up the processor time that it may use: what runs in it is ended at once, until it
    /// has a fresh shell.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cpu_time_spent: bool,
    /// Timeout of commands that name none, in milliseconds.
    pub command_timeout_ms: u64,
    /// An idle session is closed after this long without use, in milliseconds.
    pub idle_timeout_ms: Option<u64>,
    /// Bytes of output kept on disk.
    pub output_bytes: u64,
    /// The shell's process id while one lives.
    pub pid: Option<u32>,
    /// How many shells the session has had; a reset starts the next. None before `session_start`.
    pub generation: u32,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last ran, printed or was typed into something.
    pub last_activity: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Why it ended, in a word or a sentence.
    pub end_reason: Option<String>,
    /// Whether its end took SIGKILL.
    pub ended_by_force: bool,
    /// The shell's exit code, or 128 + signal.
    pub exit_code: Option<i32>,
    /// The command that runs, or the last that ran.
    pub last_command: Option<CommandId>,
    /// Commands run to an end.
    pub commands_executed: u64,
    /// Commands among them that failed.
    pub commands_failed: u64,
    /// Attempts at recovery or reset.
    pub retry_count: u32,
    /// Recoveries that brought it back.
    #[serde(default)]
    pub recoveries: u32,
    /// How it is recovered when nobody asks; not at all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<RecoveryPolicy>,
}

impl Session {
    /// Whether it was made for tasks, by the scheduler that looks after it.
    pub fn is_pooled(&self) -> bool {
        self.metadata.get("purpose").is_some_and(|purpose| purpose == "tasks")
    }

    /// Whether it was made to be started later, and has not been.
    pub fn is_unstarted(&self) -> bool {
        self.generation == 0 && self.status.is_live()
    }

    /// The directory that somebody named for it: what lies there is inside.
    pub fn root(&self) -> &Path {
        self.root.as_deref().unwrap_or(&self.created_directory)
    }

    /// What holds for all that runs in it: what was asked for, and what the constraints say.
    pub fn bounds(&self) -> Bounds {
        let by_constraints = constraint::bounds(&self.constraints);
        Bounds {
            limits: self.limits.and(by_constraints.limits),
            processors: self.needs.cpu_percent.map(|percent| percent.div_ceil(100)),
            file_bytes: self.needs.disk_bytes,
            ..by_constraints
        }
    }

    /// The metadata at a path whose dots separate keys; a key that has dots itself is found as well.
    pub fn metadata_at(&self, path: &str) -> Option<&Value> {
        value_at(&self.metadata, path)
    }
}

fn value_at<'a>(map: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = map.get(path) {
        return Some(value);
    }
    let (first, rest) = path.split_once('.')?;
    value_at(map.get(first)?.as_object()?, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn final_statuses_have_no_successor_and_the_others_can_end() {
        for from in Status::ALL {
            assert_eq!(from.successors().is_empty(), from.is_final(), "{from:?}");
            assert_eq!(from.successors().contains(&Status::Terminated), !from.is_final(), "{from:?}");
            assert!(!from.successors().contains(&from), "{from:?} follows itself");
            assert!(!from.successors().contains(&Status::Initializing), "{from:?} starts again");
        }
    }

    /// Rows are statuses before, columns after, in the order of `ALL`: `x` may follow.
    #[test]
    fn every_pair_is_decided() {
        let table = [
            "initializing .xxx.xxx x",
            "idle         ..xx.xxx x",
            "active       .x.xxxxx x",
            "recovering   .xx..xxx x",
            "timeout      .x.x.xxx x",
            "error        ...x...x x",
            "completed    ........ -",
            "terminated   ........ -",
        ];
        for (from, row) in Status::ALL.into_iter().zip(table) {
            let columns: Vec<&str> = row.split_whitespace().collect();
            assert_eq!(columns[0], from.as_str());
            for (to, column) in Status::ALL.into_iter().zip(columns[1].chars()) {
                assert_eq!(from.successors().contains(&to), column == 'x', "{from:?} to {to:?}");
                let settable = columns[2] == "x"
                    && (to == Status::Terminated || (to == Status::Completed && from != Status::Error));
                assert_eq!(from.settable().contains(&to), settable, "{from:?} set to {to:?}");
            }
        }
    }

    #[test]
    fn a_caller_may_only_set_what_may_follow() {
        for from in Status::ALL {
            for to in from.settable() {
                assert!(from.successors().contains(to), "{from:?} to {to:?}");
            }
        }
    }

    #[test]
    fn the_wire_word_is_the_serde_word() {
        for status in Status::ALL {
            assert_eq!(serde_json::to_value(status).ok(), Some(status.as_str().into()));
        }
    }
}
