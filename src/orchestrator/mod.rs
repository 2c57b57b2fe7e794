//! The handle that every surface uses: plain data in and out, cloneable, one dispatcher behind it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;

use crate::engine::request::{
    BroadcastTarget, CloseMode, Closed, NewCommand, NewSession, SessionChange, Targets,
};
use crate::error::{Error, ErrorCode, Result};
use crate::id::{CommandId, SessionId};
use crate::model::{Command, Event, Session};
use crate::term::excerpt::{Excerpt, Page};

/// What the server was configured with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the store and the logs are.
    pub state_dir: PathBuf,
}

/// A session as it is at this moment, with what only a look at the terminal can tell.
#[derive(Clone, Debug)]
pub struct Observation {
    /// The record.
    pub session: Session,
    /// The command that runs, or ran last.
    pub last_command: Option<Command>,
    /// The program in the foreground when it is not the shell.
    pub foreground: Option<ForegroundProgram>,
    /// Commands waiting behind the running one.
    pub queued: usize,
    /// Cursor behind the last byte of output.
    pub output_cursor: u64,
}

/// The program that has the terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForegroundProgram {
    /// Its process id.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// Its command line.
    pub command_line: String,
}

/// CPU and memory of a session's whole process tree.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Percent of one core since the last look.
    pub cpu: f64,
    /// Resident bytes.
    pub memory: u64,
    /// Processes.
    pub processes: u32,
}

/// What to type into a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Input {
    /// The bytes, keys already encoded.
    pub bytes: Vec<u8>,
    /// Whether they must reach no log.
    pub secret: bool,
}

/// What ends a wait for output.
#[derive(Clone, Debug)]
pub enum Until {
    /// Any output behind the cursor.
    Output,
    /// No output for this long.
    Quiet(Duration),
    /// The end of the running command, or of the program in a plain terminal.
    Exit,
    /// A line behind the cursor matches.
    Match(regex::Regex),
    /// The session is at its prompt, or its program waits for input.
    Idle,
}

/// Which part of a session's output to show.
#[derive(Clone, Debug, Default)]
pub struct OutputQuery {
    /// Only this command's output.
    pub command: Option<CommandId>,
    /// From this cursor on.
    pub since: Option<u64>,
    /// Only the last so many lines.
    pub tail_lines: Option<usize>,
    /// Only these rendered lines, from 1, both included.
    pub range: Option<(u64, u64)>,
    /// Only lines that match.
    pub grep: Option<regex::Regex>,
    /// Only lines that look like errors or warnings.
    pub errors_only: bool,
    /// Which page shape to cut.
    pub page: Page,
    /// The most that the text may take, in estimated tokens.
    pub budget_tokens: usize,
}

/// What the terminal shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScreenShot {
    /// The lines of the screen; empty ones at the end are left out.
    pub lines: Vec<String>,
    /// Height.
    pub rows: u16,
    /// Width.
    pub cols: u16,
    /// From 0.
    pub cursor_row: usize,
    /// From 0.
    pub cursor_col: usize,
    /// As the program set it.
    pub title: Option<String>,
    /// Whether a full-screen program has the screen.
    pub alternate: bool,
    /// Cursor behind the last byte that the screen shows.
    pub cursor: u64,
}

/// A command as it changes. The receiver always holds the latest record.
pub type CommandWatch = watch::Receiver<Command>;

/// The handle. Cheap to clone; nothing on disk is touched before the first call.
#[derive(Clone, Debug)]
pub struct Orchestrator {
    settings: Settings,
}

fn missing<T>() -> Result<T> {
    Err(Error::new(ErrorCode::Internal, "not built"))
}

impl Orchestrator {
    /// A handle whose dispatcher starts with the first call. Must be called within a runtime.
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// Creates a session and waits for its first prompt (at most [`crate::limits::READY_WAIT`]).
    pub async fn create_session(&self, _new: NewSession) -> Result<Session> {
        missing()
    }

    /// Every known session, ended ones included, oldest first.
    pub async fn sessions(&self) -> Result<Vec<Session>> {
        missing()
    }

    /// CPU and memory of these sessions, in one look at the machine.
    pub async fn usage(&self, _sessions: &[SessionId]) -> Result<HashMap<SessionId, Usage>> {
        missing()
    }

    /// The session that an id, a unique id prefix (4+ characters after `ses_`, or with it) or a unique name of a
    /// live session names.
    pub async fn session(&self, _selector: &str) -> Result<Session> {
        missing()
    }

    /// The same with what the terminal shows of it.
    pub async fn observe(&self, _selector: &str) -> Result<Observation> {
        missing()
    }

    /// Changes settings; an illegal status is refused with the legal ones.
    pub async fn update_session(&self, _selector: &str, _change: SessionChange) -> Result<Session> {
        missing()
    }

    /// Kills what runs and puts a fresh shell in place, with the same id and settings.
    pub async fn reset_session(&self, _selector: &str) -> Result<Session> {
        missing()
    }

    /// Closes sessions, departments before directors, and waits until nothing of them is left.
    pub async fn close_sessions(
        &self,
        _targets: Targets,
        _mode: CloseMode,
        _grace: Option<Duration>,
        _reason: Option<String>,
    ) -> Result<Closed> {
        missing()
    }

    /// Types into a session. Returns the cursor where the output stood before.
    pub async fn input(&self, _selector: &str, _input: Input) -> Result<u64> {
        missing()
    }

    /// Waits for something of a session's output behind `since`, at most `wait`. Returns whether it came.
    pub async fn wait_output(
        &self,
        _session: &SessionId,
        _since: u64,
        _until: Until,
        _wait: Duration,
    ) -> Result<bool> {
        missing()
    }

    /// A part of a session's output as text.
    pub async fn output(&self, _session: &SessionId, _query: OutputQuery) -> Result<Excerpt> {
        missing()
    }

    /// Raw bytes of a session's output from a cursor on: where they begin, and at most `max` of them.
    pub async fn raw_output(
        &self,
        _session: &SessionId,
        _command: Option<&CommandId>,
        _since: Option<u64>,
        _max: usize,
    ) -> Result<(u64, Vec<u8>)> {
        missing()
    }

    /// What the session's terminal shows.
    pub async fn screen(&self, _session: &SessionId) -> Result<ScreenShot> {
        missing()
    }

    /// The latest events of a session at or behind an output cursor, in order.
    pub async fn events(&self, _session: &SessionId, _since: u64, _max: usize) -> Result<Vec<Event>> {
        missing()
    }

    /// Accepts a command: committed, then queued or handed to the shell.
    pub async fn execute(&self, _selector: &str, _new: NewCommand) -> Result<CommandWatch> {
        missing()
    }

    /// Accepts commands that run one after the other in one session; with `stop_on_error` a failure cancels the rest.
    pub async fn execute_batch(
        &self,
        _selector: &str,
        _commands: Vec<NewCommand>,
        _stop_on_error: bool,
    ) -> Result<Vec<CommandWatch>> {
        missing()
    }

    /// Accepts a command in every session that fits; a session that refuses it gives its error.
    pub async fn broadcast(
        &self,
        _targets: Vec<BroadcastTarget>,
        _new: NewCommand,
    ) -> Result<Vec<(Session, Result<CommandWatch>)>> {
        missing()
    }

    /// Takes commands that have not started out of their queues.
    pub async fn cancel_queued(&self, _commands: &[CommandId]) -> Result<()> {
        missing()
    }

    /// A command by its id (or a unique prefix of 4+ characters).
    pub async fn command(&self, _id: &str) -> Result<CommandWatch> {
        missing()
    }

    /// Sends a signal to a session's foreground job, never to its shell. Returns what it went to.
    pub async fn signal(&self, _selector: &str, _signal: crate::pty::Signal) -> Result<String> {
        missing()
    }

    /// Ends everything: sessions, workers, store. Bounded by [`crate::limits::SHUTDOWN`]. Later calls are refused.
    pub async fn shutdown(&self) {}
}
