//! One task per shell: it owns the terminal, hands commands over when the shell is at its prompt,
//! sees their ends, and reports. It decides nothing that the engine could.

mod asking;
mod backstop;
mod closing;
mod confining;
mod environment;
mod handing;
mod keyboard;
mod limiting;
mod looking;
mod retrying;
mod signalling;
mod starting;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::alarm::Alarm;
use super::dispatcher::Input as DispatcherInput;
use super::host::Host;
use super::output::Output;
use super::secrets::Secrets;
use super::stream::Stream;
use super::{ForegroundProgram, Input};
use crate::clock::{self, Moment};
use crate::engine::request::CloseMode;
use crate::engine::{Exit, Run, Spawn, WorkerEvent, WorkerEventKind};
use crate::error::{Error, ErrorCode, Result};
use crate::id::{CommandId, SessionId};
use crate::limits;
use crate::model::{Bounds, Dialect, TerminalSize};
use crate::pty::{self, Signal, Slot, Terminal, handover};
use crate::term::marks::Mark;
use crate::term::screen::QueryScanner;
use asking::Asking;
use closing::Closing;
pub(super) use closing::PLEASE;
use confining::Confined;
pub(super) use environment::{Exports, environment};
use keyboard::Keyboard;
use limiting::Limits;
use retrying::Tried;

/// What a worker is told to do.
#[derive(Debug)]
pub(super) enum Order {
    /// Hand this over at the next prompt.
    Run(Box<Run>),
    /// SIGINT to the foreground job, because its time is up or another command is to run.
    Interrupt,
    /// SIGKILL to the foreground job.
    Kill,
    /// SIGTERM to the foreground job.
    Terminate,
    /// SIGCONT to the shell and the foreground job.
    Resume,
    /// End what passes a limit, by SIGKILL or politely.
    EndOffenders { force: bool },
    /// Let what runs use this much.
    Bound(Bounds),
    /// Tell of questions, or no longer.
    WatchPrompts(bool),
    /// Type these keys if nothing was printed behind this cursor.
    Answer(&'static str, u64),
    /// Another size.
    Resize(TerminalSize),
    /// Type this; answered with the cursor before it.
    Input(Input, oneshot::Sender<Result<u64>>),
    /// Send this to the foreground job; answered with what it went to.
    Signal(Signal, oneshot::Sender<Result<String>>),
    /// Answer when the shell is at its prompt again after its command, and told what it exported.
    Settle(oneshot::Sender<()>),
    /// Look at the terminal.
    Look(oneshot::Sender<Look>),
}

/// How to end; see [`CloseMode`].
#[derive(Clone, Copy, Debug)]
pub(super) struct CloseOrder {
    pub(super) mode: CloseMode,
    pub(super) grace: Duration,
}

/// What a look at the terminal shows.
#[derive(Clone, Debug)]
pub(super) struct Look {
    /// The program in the foreground when it is not the shell.
    pub(super) foreground: Option<ForegroundProgram>,
    /// Where the shell is, or the program in its place.
    pub(super) directory: Option<PathBuf>,
    /// Whether the shell shows its prompt and nothing runs.
    pub(super) at_prompt: bool,
    /// Whether the program in the foreground waits for input.
    pub(super) awaiting: bool,
    /// Whether a signal holds the shell.
    pub(super) is_stopped: bool,
}

/// What a worker is connected to.
#[derive(Debug)]
pub(super) struct Wiring {
    pub(super) session: SessionId,
    pub(super) generation: u32,
    pub(super) host: Arc<Host>,
    pub(super) slot: Arc<Slot>,
    pub(super) output: Arc<Output>,
    pub(super) secrets: Secrets,
    pub(super) exports: Exports,
    pub(super) events: mpsc::Sender<DispatcherInput>,
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) close: watch::Receiver<Option<CloseOrder>>,
    /// Set once the shell has read its start-up files; dropped with the worker.
    pub(super) started: watch::Sender<bool>,
    pub(super) stopping: CancellationToken,
}

#[derive(Debug)]
pub(super) struct Worker {
    wiring: Wiring,
}

/// A worker with its terminal.
struct Running {
    wiring: Wiring,
    directory: PathBuf,
    dialect: Dialect,
    /// Whether the shell has the terminal's modes in its hands.
    edits_lines: bool,
    /// Those who wait until the shell is at its prompt again, and has told what it exported.
    settling: Vec<oneshot::Sender<()>>,
    terminal: Terminal,
    stream: Stream,
    queries: QueryScanner,
    keyboard: Keyboard,
    /// While questions are answered.
    asking: Option<Asking>,
    prompt: Prompt,
    /// Whether the dispatcher was told that nothing runs.
    is_known_idle: bool,
    /// The next command, until the shell can take it.
    waiting: Option<Waiting>,
    current: Option<Current>,
    /// The last command that may be tried again.
    tried: Option<Tried>,
    /// Signals that came before the command began: a line that is being read would swallow them.
    held: Vec<Order>,
    /// When the last command ended, until the prompt that follows it.
    returning_since: Option<Moment>,
    number: u64,
    /// The last time that anything came in or was typed.
    touched: Moment,
    /// When to look again, where looking is needed; the pause doubles while nothing happens.
    look_at: Option<Moment>,
    look_pause: Duration,
    /// How often the prompt was cleared without a fresh one that followed.
    clearings: u8,
    limits: Limits,
    /// When a program that closed its terminal should have ended.
    lost_at: Option<Moment>,
    closing: Option<Closing>,
}

/// Where the shell's line editor stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prompt {
    /// Not there: starting, or running something.
    Away,
    /// There, and what is typed is taken as a line. `dirty` when a caller typed part of one.
    Here { dirty: bool },
}

struct Waiting {
    run: Box<Run>,
    since: Moment,
}

struct Current {
    command: CommandId,
    /// Set when nothing of it may outlive it.
    confined: Option<Confined>,
    number: u64,
    typed_at: Moment,
    /// The line that was typed, to type it again if the shell lost it.
    line: Vec<u8>,
    /// How often it was.
    lost: u8,
    begun: Option<Begun>,
    /// The unfinished line last reported as awaiting input.
    awaiting: Option<String>,
}

struct Begun {
    at: Moment,
    cursor: u64,
    is_reported: bool,
}

impl Worker {
    pub(super) fn new(wiring: Wiring) -> Self {
        Self { wiring }
    }

    /// Starts the program and serves it to its end. A panic ends the session, never the server.
    pub(super) async fn run(self, spawn: Spawn, environment: BTreeMap<OsString, OsString>) {
        let (session, generation) = (self.wiring.session.clone(), self.wiring.generation);
        let (events, output) = (self.wiring.events.clone(), Arc::clone(&self.wiring.output));
        let slot = Arc::clone(&self.wiring.slot);
        let served = AssertUnwindSafe(self.serve(spawn, environment)).catch_unwind().await;
        if served.is_err() {
            error!(%session, "the session's worker panicked; its processes are killed");
            slot.kill_all(clock::now().moment.after(closing::KILL_TIME));
            let kind = WorkerEventKind::Gone { exit: Exit::Code(UNKNOWN_EXIT), forced: true };
            let event = WorkerEvent { session, generation, cursor: output.end(), kind };
            let _ = events.send(DispatcherInput::Worker(event)).await;
        }
    }

    async fn serve(self, spawn: Spawn, environment: BTreeMap<OsString, OsString>) {
        let wiring = self.wiring;
        let started = wiring.host.in_turn(|| {
            // Nothing is started any more when the processes of all sessions are, or were, being killed.
            if wiring.stopping.is_cancelled() {
                return Err(Error::new(ErrorCode::ShuttingDown, "the server is shutting down"));
            }
            starting::start(&wiring, &spawn, environment)
        });
        match started.await {
            Ok(mut parts) => {
                if let Some((from, to)) = parts.elsewhere.take() {
                    report(&wiring, WorkerEventKind::Relocated { from, to }).await;
                }
                let mut running = Running::new(wiring, spawn.dialect, parts);
                running.bound(spawn.bounds).await;
                running.watch_prompts(spawn.watches_prompts);
                running.serve().await;
            }
            Err(error) => {
                let category = starting::why_not(&spawn);
                report(&wiring, WorkerEventKind::SpawnFailed { message: error.message, category }).await;
            }
        }
    }
}

async fn report(wiring: &Wiring, kind: WorkerEventKind) {
    let event = WorkerEvent {
        session: wiring.session.clone(),
        generation: wiring.generation,
        cursor: wiring.output.end(),
        kind,
    };
    // The dispatcher ends only after all workers: a closed queue means that the server is going down.
    if wiring.events.send(DispatcherInput::Worker(event)).await.is_err() {
        debug!(session = %wiring.session, "nobody is left to report to");
    }
}

impl Running {
    fn new(wiring: Wiring, dialect: Dialect, parts: starting::Parts) -> Self {
        let mut redactor = wiring.secrets.redactor();
        for (text, shown) in handover::messages(&parts.directory, dialect) {
            redactor.replace(&text, shown);
        }
        // What is no shell is taken as it comes.
        wiring.started.send_replace(dialect == Dialect::Plain);
        let stream = Stream::new(&parts.nonce, Arc::clone(&wiring.output), redactor);
        Self {
            wiring,
            directory: parts.directory,
            dialect,
            edits_lines: parts.edits_lines,
            settling: Vec::new(),
            terminal: parts.terminal,
            stream,
            queries: QueryScanner::default(),
            keyboard: Keyboard::default(),
            asking: None,
            prompt: Prompt::Away,
            is_known_idle: false,
            waiting: None,
            current: None,
            tried: None,
            held: Vec::new(),
            returning_since: None,
            number: 0,
            touched: clock::now().moment,
            look_at: None,
            look_pause: limits::AWAITING_AFTER,
            clearings: 0,
            limits: Limits::default(),
            lost_at: None,
            closing: None,
        }
    }

    async fn serve(mut self) {
        self.report(WorkerEventKind::Started { pid: self.terminal.pid() }).await;
        let mut buffer = vec![0; limits::TERMINAL_READ];
        let mut open = true;
        let (mut look_alarm, mut type_alarm) = (Alarm::new(), Alarm::new());
        let mut close = self.wiring.close.clone();
        let stopping = self.wiring.stopping.clone();
        loop {
            let look_at = self.next_look();
            let type_at = self.keyboard.again_at();
            let shell_is_alive = self.closing.as_ref().is_none_or(|closing| closing.exit.is_none());
            tokio::select! {
                read = self.terminal.read(&mut buffer), if open => match read {
                    Ok(0) => {
                        open = false;
                        self.terminal_closed();
                    }
                    Ok(count) => self.take_in(&buffer[..count]).await,
                    Err(error) => {
                        warn!(session = %self.wiring.session, %error, "the terminal cannot be read");
                        open = false;
                        self.terminal_closed();
                    }
                },
                Some(order) = self.wiring.orders.recv() => self.obey(order).await,
                () = type_alarm.wait(type_at) => self.keyboard.go_on(&self.terminal),
                exit = self.terminal.exited(), if shell_is_alive => self.shell_exited(seen(exit)).await,
                Ok(()) = close.changed() => {
                    let order = *close.borrow_and_update();
                    if let Some(order) = order {
                        self.begin_closing(order).await;
                    }
                }
                () = stopping.cancelled(), if self.closing.is_none() => self.closing = Some(Closing::by_shutdown()),
                () = look_alarm.wait(look_at) => self.look().await,
            }
            if self.is_over() {
                break;
            }
        }
        self.finish(open, &mut buffer).await;
    }

    async fn report(&self, kind: WorkerEventKind) {
        report(&self.wiring, kind).await;
    }

    /// Output came.
    async fn take_in(&mut self, bytes: &[u8]) {
        let now = clock::now();
        self.touched = now.moment;
        let (keyboard, terminal) = (&mut self.keyboard, &self.terminal);
        self.queries.feed(bytes, |query| keyboard.send(&query.answer(0, 0), terminal));
        let marks = self.stream.feed(bytes);
        if self.current.as_ref().is_some_and(|current| current.awaiting.is_some()) {
            self.no_longer_awaiting().await;
        }
        for (mark, cursor) in marks {
            match mark {
                Mark::Prompt => self.prompt_shown().await,
                Mark::Begin { number } => self.command_began(number, cursor, now.moment).await,
                Mark::End { number, status, aborted } => {
                    self.command_ended(number, status, aborted, cursor, now.moment).await;
                }
            }
        }
        if let Some(asking) = &mut self.asking {
            asking.printed(now.moment);
        }
        self.look_pause = limits::AWAITING_AFTER;
        self.look_at = self.needs_looks().then(|| now.moment.after(self.look_pause));
    }

    async fn prompt_shown(&mut self) {
        if self.current.is_some() {
            return;
        }
        self.prompt = Prompt::Here { dirty: false };
        self.wiring.started.send_replace(true);
        self.clearings = 0;
        self.returning_since = None;
        if self.waiting.is_some() {
            self.type_waiting().await;
        } else if !self.is_known_idle {
            let directory = self.terminal.working_directory();
            self.is_known_idle = true;
            self.report(WorkerEventKind::Prompt { directory }).await;
        }
        self.release_held(clock::now().moment).await;
        self.tell_exports().await;
    }

    async fn command_began(&mut self, number: u64, cursor: u64, at: Moment) {
        let Some(current) = &mut self.current else { return };
        if current.number == number && current.begun.is_none() {
            current.begun = Some(Begun { at, cursor, is_reported: false });
            self.release_held(at).await;
        }
    }

    /// Tells where the running command's output begins, unless that was told.
    async fn report_begin(&mut self) {
        let Some(current) = &mut self.current else { return };
        let Some(begun) = current.begun.as_mut().filter(|begun| !begun.is_reported) else { return };
        begun.is_reported = true;
        let event = WorkerEvent {
            session: self.wiring.session.clone(),
            generation: self.wiring.generation,
            cursor: begun.cursor,
            kind: WorkerEventKind::Begun { command: current.command.clone() },
        };
        let _ = self.wiring.events.send(DispatcherInput::Worker(event)).await;
    }

    /// The first end mark of a command's number counts; `aborted` ones come from the prompt hook.
    async fn command_ended(&mut self, number: u64, status: i32, aborted: bool, cursor: u64, at: Moment) {
        let Some(current) = self.current.take_if(|current| current.number == number) else { return };
        handing::answer_held(std::mem::take(&mut self.held));
        let begun = current.begun.unwrap_or(Begun { at: current.typed_at, cursor, is_reported: false });
        if let Some(confined) = &current.confined {
            self.clear_away(confined).await;
        }
        self.tell_acts(&current.command).await;
        self.lift_command_limits();
        // A shell that reports success for what was aborted means Ctrl-C.
        let status = if aborted && status == 0 { 130 } else { status };
        let event = WorkerEvent {
            session: self.wiring.session.clone(),
            generation: self.wiring.generation,
            cursor,
            kind: WorkerEventKind::Ended {
                command: current.command,
                status,
                from: begun.cursor,
                duration_us: u64::try_from(at.0.saturating_sub(begun.at.0).as_micros()).unwrap_or(u64::MAX),
                directory: self.terminal.working_directory(),
            },
        };
        self.prompt = Prompt::Away;
        self.is_known_idle = true;
        self.returning_since = Some(at);
        self.touched = at;
        let _ = self.wiring.events.send(DispatcherInput::Worker(event)).await;
    }

    async fn obey(&mut self, order: Order) {
        let Some(order) = self.hold_back(order) else { return };
        match order {
            Order::Run(run) => {
                self.waiting = Some(Waiting { run, since: clock::now().moment });
                self.type_waiting().await;
                self.look_soon();
            }
            Order::Interrupt => self.interrupt(),
            Order::EndOffenders { force: false } => self.ask_offenders().await,
            Order::EndOffenders { force: true } => self.kill_offenders().await,
            Order::Bound(bounds) => self.bound(bounds).await,
            Order::Kill => {
                if let Err(error) = self.terminal.signal_foreground(Signal::KILL) {
                    debug!(session = %self.wiring.session, %error, "nothing to kill but the shell");
                }
                // What runs in the shell itself ends by an interrupt or not at all.
                let _ = self.terminal.signal_foreground(Signal::INT);
                if self.runs_confined() {
                    self.kill_confined().await;
                }
            }
            Order::Terminate => {
                let _ = self.terminal.signal_foreground(Signal::TERM);
            }
            Order::Resume => self.resume().await,
            Order::WatchPrompts(watches) => self.watch_prompts(watches),
            Order::Answer(keys, at) => self.answer(keys, at).await,
            Order::Resize(size) => {
                self.wiring.output.resize(size);
                if let Err(error) = self.terminal.resize(size) {
                    warn!(session = %self.wiring.session, %error, "the terminal keeps its size");
                }
            }
            Order::Input(input, reply) => {
                let _ = reply.send(self.type_input(input).await);
            }
            Order::Signal(signal, reply) => {
                let _ = reply.send(self.signal(signal).await);
            }
            Order::Settle(reply) if self.returning_since.is_none() => {
                let _ = reply.send(());
            }
            Order::Settle(reply) => self.settling.push(reply),
            Order::Look(reply) => {
                let _ = reply.send(self.what_shows());
            }
        }
    }
}

/// How the shell ended, for the engine. Only a defect lets somebody else take its status.
fn seen(exit: pty::Exit) -> Exit {
    match exit {
        pty::Exit::Code(code) => Exit::Code(code),
        pty::Exit::Signal(signal) => Exit::Signal(signal),
        pty::Exit::Unknown => Exit::Code(UNKNOWN_EXIT),
    }
}

/// Stands for an exit code that nobody saw.
const UNKNOWN_EXIT: i32 = 255;
