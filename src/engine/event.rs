//! What workers report.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::consent::{Asked, Mishap};
use crate::id::{CommandId, SessionId};
use crate::model::{Breach, FailureCategory};

/// Something that a worker saw. Stale generations are ignored.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerEvent {
    /// Whose worker.
    pub session: SessionId,
    /// Which of the session's shells.
    pub generation: u32,
    /// Where the output stood.
    pub cursor: u64,
    /// What it saw.
    pub kind: WorkerEventKind,
}

/// See [`WorkerEvent`].
#[derive(Clone, Debug, PartialEq)]
pub enum WorkerEventKind {
    /// The program runs.
    Started {
        /// Its process id.
        pid: u32,
    },
    /// The program could not be started.
    SpawnFailed {
        /// Why.
        message: String,
        /// The same in a word.
        category: FailureCategory,
    },
    /// The directory that the shell was to start in is gone; it starts in another.
    Relocated {
        /// The one that is gone.
        from: PathBuf,
        /// The other.
        to: PathBuf,
    },
    /// A signal stopped the shell, or lets it go on.
    Stopped(bool),
    /// The shell shows its prompt.
    Prompt {
        /// Where the shell is.
        directory: Option<PathBuf>,
    },
    /// What the shell has exported that the server has not or has otherwise, and what it was given and has
    /// not exported.
    Exported {
        /// The one.
        set: BTreeMap<String, String>,
        /// The other.
        unset: BTreeSet<String>,
    },
    /// A program that was typed in has the terminal.
    Busy,
    /// Something was typed in.
    Typed {
        /// How many bytes.
        bytes: usize,
        /// Whether they are a secret.
        secret: bool,
    },
    /// A signal was sent on a caller's behalf.
    Signalled {
        /// Its name.
        signal: String,
        /// What it went to.
        target: String,
    },
    /// The command's output begins at the event's cursor.
    Begun {
        /// Which one.
        command: CommandId,
    },
    /// The running command waits for input, or no longer does.
    Awaiting {
        /// Which one.
        command: CommandId,
        /// Its unfinished last line.
        line: Option<String>,
    },
    /// A program waits for a yes or a no.
    Asks(Box<Asked>),
    /// An answer was not typed, or not to the question that it was for.
    AnswerFailed(Mishap),
    /// The command ended; its output ends at the event's cursor.
    Ended {
        /// Which one.
        command: CommandId,
        /// The shell's exit status for it.
        status: i32,
        /// Where its output begins.
        from: u64,
        /// Microseconds that it ran.
        duration_us: u64,
        /// Where the shell is now.
        directory: Option<PathBuf>,
    },
    /// A limit was passed.
    LimitPassed {
        /// The command that passed it, while that runs.
        command: Option<CommandId>,
        /// Which limit, and by how much.
        breach: Breach,
    },
    /// The program closed its terminal and lives on: nobody can reach it any more.
    TerminalLost,
    /// The shell ended and nothing of its process tree is left.
    Gone {
        /// How the shell ended.
        exit: Exit,
        /// Whether it took SIGKILL.
        forced: bool,
    },
}

/// How a shell ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Exit {
    /// As a shell shows it: 128 + signal for a signal.
    pub fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }
}
