//! What the engine wants done.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::request::CloseMode;
use crate::id::SessionId;
use crate::model::{Bounds, Command, Dialect, Profile, TerminalSize};

/// Something to do, after the records are committed.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    /// For which session.
    pub session: SessionId,
    /// What.
    pub kind: EffectKind,
}

/// See [`Effect`].
#[derive(Clone, Debug, PartialEq)]
pub enum EffectKind {
    /// Start a worker.
    Spawn(Box<Spawn>),
    /// Hand a command to the shell as soon as it is at its prompt.
    Run(Box<Run>),
    /// SIGINT to the foreground job.
    Interrupt,
    /// SIGKILL to the foreground job.
    Kill,
    /// SIGTERM to the foreground job.
    Terminate,
    /// SIGCONT to the shell and the foreground job.
    Resume,
    /// End what passes a limit, if anything still does: the shell and what the limit does not hold for stay.
    EndOffenders {
        /// By SIGKILL; politely otherwise.
        force: bool,
    },
    /// Let what runs in the session use this much from now on.
    Bound(Bounds),
    /// Tell of questions that programs ask, or no longer.
    WatchPrompts(bool),
    /// Type this, if nothing was printed behind the cursor `at` and nothing typed.
    Answer {
        /// What to type.
        keys: &'static str,
        /// Where the output stood when the question was seen.
        at: u64,
    },
    /// Give the terminal another size.
    Resize(TerminalSize),
    /// End the shell and everything that it started.
    Close {
        /// How hard.
        mode: CloseMode,
        /// How long everything may take to end by itself.
        grace: Duration,
    },
    /// The session is no longer known: let go of its output.
    Forget,
    /// The session is no longer wanted: drop its output and its commands.
    Remove,
}

/// What a worker needs to start a shell.
#[derive(Clone, Debug, PartialEq)]
pub struct Spawn {
    /// Which of the session's shells.
    pub generation: u32,
    /// The program.
    pub shell: PathBuf,
    /// How it is talked to.
    pub dialect: Dialect,
    /// Which start-up files it reads.
    pub profile: Profile,
    /// Variables added to the server's environment.
    pub env: BTreeMap<String, String>,
    /// Where it starts.
    pub directory: PathBuf,
    /// Where it starts when that is gone. If this is gone too, what is left of the way to the first.
    pub fallback: PathBuf,
    /// Exported in it from its first prompt on.
    pub exported: BTreeMap<String, String>,
    /// Taken away before its first prompt.
    pub unset: BTreeSet<String>,
    /// Whether it gets what the shell before it had exported.
    pub takes_exports: bool,
    /// The terminal's size.
    pub size: TerminalSize,
    /// Bytes of output kept on disk.
    pub output_bytes: u64,
    /// What all that runs in it may use.
    pub bounds: Bounds,
    /// Whether questions that programs ask are told of.
    pub watches_prompts: bool,
}

/// What a worker needs to run a command.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The record; its text is unredacted.
    pub command: Command,
    /// Variables to export for good before it.
    pub exports: BTreeMap<String, String>,
    /// Whether its last try was late: nothing of that may be left when this one begins.
    pub is_after_timeout: bool,
}
