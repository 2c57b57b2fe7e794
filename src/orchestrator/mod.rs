//! The handle that every surface uses: plain data in and out, cloneable, one dispatcher behind it.

mod agents;
mod alarm;
mod census;
mod closing;
mod commands;
pub mod comparing;
pub mod context;
mod dispatcher;
pub mod health;
pub mod history;
mod host;
mod lineage;
pub mod monitoring;
mod output;
mod pools;
mod reading;
mod recorder;
mod recovery;
mod secrets;
mod sessions;
pub mod stats;
mod stream;
pub mod tasks;
mod templates;
mod waiting;
pub mod watching;
pub mod webhooks;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OnceCell, mpsc, oneshot, watch};
use tokio::time::{timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock;
use crate::engine::Request;
use crate::error::{Error, ErrorCode, Result};
use crate::id::CommandId;
use crate::limits;
use crate::model::{Command, RecoverySettings, Session};
pub use crate::pty::Held;
use crate::sample::CpuMeter;
use crate::store::Store;
use crate::term::condense::Condense;
use crate::term::excerpt::Page;
use dispatcher::{Access, Answer, Dispatcher, Input as DispatcherInput, Keep, Read};
pub use lineage::{CloneAs, beginning, brought_back};
use webhooks::Webhooks;

/// What is seen through to its end learns within this that all sessions have ended.
const LAST_TASKS: Duration = Duration::from_millis(100);

/// What the server was configured with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the store and the logs are.
    pub state_dir: PathBuf,
    /// The program that the guard process is started from: this very one.
    pub program: PathBuf,
    /// The shell of pooled sessions; `$SHELL` when absent.
    pub shell: Option<String>,
    /// Slots of runs that name none.
    pub max_concurrent: u32,
    /// Whether runs are [attended](crate::model::Run::attended).
    pub attended: bool,
    /// How long after its end a session is removed; never when absent.
    pub cleanup_after: Option<Duration>,
    /// The timeout of commands whose session names none.
    pub command_timeout: Duration,
    /// How sessions are recovered, and when circuits open.
    pub recovery: RecoverySettings,
    /// How often it is noted what the machine and the sessions use.
    pub sample_every: Duration,
    /// A running command without output and without CPU for this long is stale.
    pub stale_after: Duration,
    /// Between two background looks at the health of everything.
    pub health_interval: Duration,
    /// Whether the kernel is to hold limits as well, where it lets the server have control groups.
    pub cgroup: bool,
    /// Strings, and patterns between slashes, that must reach neither a log nor the store.
    pub redact: Vec<String>,
}

impl Settings {
    /// Refuses what cannot be redacted, before anything is stored.
    pub fn check_redact(redact: &[String]) -> Result<()> {
        secrets::configured(redact).map(|_| ())
    }
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
    /// Whether the program in the foreground waits for input.
    pub awaiting_input: bool,
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
    /// How long ago that was.
    pub over: Duration,
    /// Resident bytes.
    pub memory: u64,
    /// Processes.
    pub processes: u32,
    /// Those among them that a signal holds.
    pub stopped: u32,
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
    /// What is left out of a long output.
    pub condense: Condense,
    /// The most that the text may take, in estimated tokens.
    pub budget_tokens: usize,
}

/// Bytes of a session's output as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawOutput {
    /// Cursor of the first byte.
    pub from: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Where what was asked for begins and ends.
    pub asked: (u64, u64),
    /// Where what can still be read of it begins; what lies before was dropped.
    pub readable_from: u64,
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
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: Settings,
    inputs: OnceCell<mpsc::Sender<DispatcherInput>>,
    /// Cancelled once the dispatcher runs.
    begun: CancellationToken,
    /// Cancelled when everything ends.
    ending: CancellationToken,
    webhooks: Arc<Webhooks>,
    tasks: TaskTracker,
    cpu: Mutex<CpuMeter>,
}

impl Orchestrator {
    /// A handle whose dispatcher starts with the first call. Must be called within a runtime.
    pub fn new(settings: Settings) -> Self {
        let inner = Inner {
            settings,
            inputs: OnceCell::new(),
            begun: CancellationToken::new(),
            ending: CancellationToken::new(),
            webhooks: Arc::new(Webhooks::new()),
            tasks: TaskTracker::new(),
            cpu: Mutex::new(CpuMeter::default()),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Ends everything: sessions, workers, store. Bounded by [`limits::SHUTDOWN`], and while shells start by
    /// [`limits::LONGEST_SHUTDOWN`]. Later calls are refused.
    pub async fn shutdown(&self) {
        self.inner.ending.cancel();
        let Some(inputs) = self.inner.inputs.get() else { return };
        let begun = clock::now().moment;
        let (done, ended) = oneshot::channel();
        let all = async {
            if inputs.send(DispatcherInput::Shutdown(done)).await.is_ok() {
                let _ = ended.await;
            }
        };
        let is_down = timeout(limits::LONGEST_SHUTDOWN, all).await.is_ok();
        self.inner.tasks.close();
        let latest = begun.after(limits::SHUTDOWN).max(clock::now().moment.after(LAST_TASKS));
        let are_over = timeout_at(clock::instant(latest).into(), self.inner.tasks.wait()).await.is_ok();
        if !(is_down && are_over) {
            tracing::warn!("the shutdown was not complete in time");
        }
    }

    /// Sees an operation through to its end, also when nobody waits for it any more.
    pub async fn see_through<T: Send + 'static>(
        &self,
        what: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let outcome = self.inner.tasks.spawn(what).await;
        outcome.unwrap_or_else(|error| {
            Err(Error::new(ErrorCode::Internal, format!("an operation did not come to its end: {error}")))
        })
    }

    /// The way to the dispatcher, which the first call starts.
    async fn inputs(&self) -> Result<&mpsc::Sender<DispatcherInput>> {
        self.inner
            .inputs
            .get_or_try_init(|| async {
                let (inputs, queue) = mpsc::channel(limits::DISPATCHER_QUEUE);
                let dispatcher = Dispatcher::open(self.inner.settings.clone(), inputs.clone())?;
                self.inner.tasks.spawn(dispatcher.run(queue));
                self.inner.tasks.spawn(self.clone().deliver_events());
                self.inner.begun.cancel();
                Ok(inputs)
            })
            .await
    }

    async fn change(&self, request: Request) -> Result<Answer> {
        let (reply, answer) = oneshot::channel();
        self.send(DispatcherInput::Change(request, reply)).await?;
        answer.await.unwrap_or_else(|_| Err(shutting_down()))
    }

    async fn read<T>(&self, read: impl FnOnce(oneshot::Sender<T>) -> Read) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.send(DispatcherInput::Read(read(reply))).await?;
        answer.await.map_err(|_| shutting_down())
    }

    /// Has something kept for all servers of the state directory, or no longer. Returns whether that changed
    /// anything.
    async fn keep(&self, what: Keep) -> Result<bool> {
        let (reply, answer) = oneshot::channel();
        self.send(DispatcherInput::Keep(what, reply)).await?;
        answer.await.unwrap_or_else(|_| Err(shutting_down()))
    }

    /// A full queue is answered at once: waiting in front of it would be another queue.
    async fn send(&self, input: DispatcherInput) -> Result<()> {
        self.inputs().await?.try_send(input).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                Error::new(ErrorCode::Overloaded, "too many requests are waiting")
                    .with_hint("try again in a second")
            }
            mpsc::error::TrySendError::Closed(_) => shutting_down(),
        })
    }

    async fn access(&self, selector: &str) -> Result<Access> {
        self.read(|reply| Read::Access(selector.to_owned(), reply)).await?
    }
}

/// Whether a server could open the store in `directory`, if there is one; the error's hint is how to mend it.
pub fn check_store(directory: &Path) -> Result<()> {
    Store::check(directory)
}

fn shutting_down() -> Error {
    Error::new(ErrorCode::ShuttingDown, "the server is shutting down")
}
