//! A command: a line or a script, run in a session, whose end is known.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::id::{CommandId, SessionId};
use crate::model::ResourceLimits;

/// Where a command stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CommandState {
    /// Behind another command, or behind the shell's start.
    Queued,
    /// Handed to the shell.
    Running,
    /// Over; [`Command::ending`] says how.
    Ended,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Ending {
    /// The shell reported this exit status; 128 + n also stands for a process that signal n killed.
    Exited(i32),
    /// The command ended the shell itself (`exit`, `exec`), which exited with this code.
    ShellExited(i32),
    /// The shell was killed by this signal while the command ran.
    ShellKilled(i32),
    /// It never ran, or its end was not seen: the reason says why.
    Lost,
}

/// Why a command ended as it did, where the exit code does not say it all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// Outlived its timeout and was stopped for it.
    Timeout,
    /// Taken out of the queue, or stopped, by a caller.
    Cancelled,
    /// The session was closed or reset, or its shell died.
    SessionLost,
    /// The server ended while the command ran.
    ServerRestart,
    /// A memory limit was passed.
    MemoryLimit,
    /// A CPU-time limit was passed.
    CpuLimit,
    /// A limit on processes was passed.
    ProcessLimit,
    /// The limit on open files was reached, and the command failed; or passed, by a process that had lifted
    /// its own.
    FileLimit,
}

impl EndReason {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::SessionLost => "session_lost",
            Self::ServerRestart => "server_restart",
            Self::MemoryLimit => "memory_limit",
            Self::CpuLimit => "cpu_limit",
            Self::ProcessLimit => "process_limit",
            Self::FileLimit => "file_limit",
        }
    }
}

/// What happens to a command that outlives its timeout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnTimeout {
    /// It runs on; the call ends with the error `timeout`.
    #[default]
    Leave,
    /// SIGINT, and SIGKILL 5 s later.
    Interrupt,
    /// SIGKILL at once.
    Kill,
    /// The session is recovered, which ends it one way or another.
    Recover,
}

impl OnTimeout {
    /// Whether it is the command alone that is ended.
    pub fn stops(self) -> bool {
        matches!(self, Self::Interrupt | Self::Kill)
    }
}

/// What happens to a command for a session that is running another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenBusy {
    /// It waits its turn.
    #[default]
    Queue,
    /// It is refused with `session_busy`.
    Error,
    /// The running command is interrupted first; queued ones still go before.
    Interrupt,
}

/// How often a failing command is tried again, and after how long.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retries {
    /// Further tries after the first.
    pub max: u32,
    /// Milliseconds before the first of them.
    pub delay_ms: u64,
    /// The delay grows by this factor each time.
    pub backoff: f64,
}

/// The record of a command. Committed on every change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// Short id on the wire.
    pub id: CommandId,
    /// The UUID that the id was made from.
    pub uuid: Uuid,
    /// Where it runs.
    pub session: SessionId,
    /// What is run. Known secrets are redacted in the store.
    pub text: String,
    /// Where it stands.
    pub state: CommandState,
    /// How it ended.
    pub ending: Option<Ending>,
    /// Why it ended so.
    pub reason: Option<EndReason>,
    /// Exit codes that count as success; `None` takes any.
    pub ok_exit_codes: Option<Vec<i32>>,
    /// Variables for this command only.
    pub env: BTreeMap<String, String>,
    /// The directory for this command only.
    pub directory: Option<PathBuf>,
    /// What the command reads, instead of the terminal.
    pub stdin: Option<String>,
    /// Whether it runs in a subshell and leaves nothing behind: no state of the shell, no process.
    #[serde(default)]
    pub confined: bool,
    /// Milliseconds from its start to its timeout.
    pub timeout_ms: u64,
    /// What happens then.
    pub on_timeout: OnTimeout,
    /// Whether it has outlived its timeout.
    pub timed_out: bool,
    /// Tries after a failure.
    pub retries: Option<Retries>,
    /// Bounds on its process tree.
    pub limits: ResourceLimits,
    /// The number of the current try, from 1.
    pub attempt: u32,
    /// When it was accepted.
    pub queued_at: Timestamp,
    /// When the current try was handed to the shell.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Microseconds that the last try ran.
    pub duration_us: Option<u64>,
    /// Cursor of the first byte of its output.
    pub output_from: Option<u64>,
    /// Cursor behind the last byte of its output.
    pub output_to: Option<u64>,
    /// The shell's working directory after it.
    pub working_directory: Option<PathBuf>,
    /// While it waits for input: its unfinished last line, which may be empty.
    pub awaiting_input: Option<String>,
}

impl Command {
    /// The exit code as a shell shows it: 128 + signal for a signal. `None` while it runs or when lost.
    pub fn exit_code(&self) -> Option<i32> {
        match self.ending? {
            Ending::Exited(code) | Ending::ShellExited(code) => Some(code),
            Ending::ShellKilled(signal) => Some(128 + signal),
            Ending::Lost => None,
        }
    }

    /// The signal that ended the command, as far as the exit code tells.
    pub fn signal(&self) -> Option<i32> {
        match self.ending? {
            Ending::Exited(code) if (129..=192).contains(&code) => Some(code - 128),
            Ending::ShellKilled(signal) => Some(signal),
            Ending::Exited(_) | Ending::ShellExited(_) | Ending::Lost => None,
        }
    }

    /// Whether it ended as the caller wished.
    pub fn is_success(&self) -> bool {
        match (self.exit_code(), &self.ok_exit_codes) {
            (Some(_), None) => true,
            (Some(code), Some(ok)) => self.reason.is_none() && ok.contains(&code),
            (None, _) => false,
        }
    }

    /// Whether it is over.
    pub fn is_ended(&self) -> bool {
        self.state == CommandState::Ended
    }
}
