//! One task per shell: it owns the terminal, hands commands over when the shell is at its prompt,
//! sees their ends, and reports. It decides nothing that the engine could.

mod closing;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use uuid::Uuid;

use super::dispatcher::Input as DispatcherInput;
use super::host::Host;
use super::output::Output;
use super::stream::Stream;
use super::{ForegroundProgram, Input};
use crate::clock::{self, Moment};
use crate::engine::request::CloseMode;
use crate::engine::{Run, Spawn, WorkerEvent, WorkerEventKind};
use crate::error::{Error, ErrorCode, Result};
use crate::id::{CommandId, SessionId};
use crate::limits;
use crate::model::{Dialect, TerminalSize};
use crate::pty::brand::Slot;
use crate::pty::{self, Handover, HandoverCommand, Launch, Signal, Terminal};
use crate::term::marks::Mark;
use crate::term::redact::Redactor;
use crate::term::screen::QueryScanner;
use closing::Closing;

/// What a worker is told to do.
#[derive(Debug)]
pub(super) enum Order {
    /// Hand this over at the next prompt.
    Run(Box<Run>),
    /// SIGINT to the foreground job, because its time is up or another command is to run.
    Interrupt,
    /// SIGKILL to the foreground job.
    Kill,
    /// Another size.
    Resize(TerminalSize),
    /// Type this; answered with the cursor before it.
    Input(Input, oneshot::Sender<Result<u64>>),
    /// Send this to the foreground job; answered with what it went to.
    Signal(Signal, oneshot::Sender<Result<String>>),
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
    /// Whether the shell shows its prompt and nothing runs.
    pub(super) at_prompt: bool,
    /// Whether the program in the foreground waits for input.
    pub(super) awaiting: bool,
}

/// What a worker is connected to.
#[derive(Debug)]
pub(super) struct Wiring {
    pub(super) session: SessionId,
    pub(super) generation: u32,
    pub(super) host: Arc<Host>,
    pub(super) slot: Arc<Slot>,
    pub(super) output: Arc<Output>,
    pub(super) redactor: Redactor,
    pub(super) events: mpsc::Sender<DispatcherInput>,
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) close: watch::Receiver<Option<CloseOrder>>,
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
    terminal: Terminal,
    stream: Stream,
    queries: QueryScanner,
    /// Bytes that the terminal has not taken yet.
    to_write: Vec<u8>,
    prompt: Prompt,
    /// The next command, until the shell can take it.
    waiting: Option<Waiting>,
    current: Option<Current>,
    number: u64,
    /// The last time that anything came in or was typed.
    touched: Moment,
    /// When to look again, where looking is needed; the pause doubles while nothing happens.
    look_at: Option<Moment>,
    look_pause: Duration,
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
    number: u64,
    typed_at: Moment,
    /// The line that was typed, to type it again if the shell lost it.
    line: Vec<u8>,
    begun: Option<Begun>,
    /// The unfinished line last reported as awaiting input.
    awaiting: Option<String>,
    limits: Option<LimitWatch>,
}

struct Begun {
    at: Moment,
    cursor: u64,
}

struct LimitWatch {
    limits: crate::model::ResourceLimits,
    next: Moment,
    cpu_before_ms: u64,
}

/// Pauses between two looks at a tree with limits.
const LIMIT_PAUSE: Duration = Duration::from_millis(500);
/// A typed line that the shell did not take for this long is typed again.
const LOST_LINE: Duration = Duration::from_secs(2);
/// Output held back for an echo that does not come is given out after this long.
const ECHO_WAIT: Duration = Duration::from_millis(500);
/// A command that waits this long at something that is no prompt gets one by Ctrl-C.
const STUCK_PROMPT: Duration = Duration::from_millis(500);

impl Worker {
    pub(super) fn new(wiring: Wiring) -> Self {
        Self { wiring }
    }

    /// Starts the program and serves it to its end.
    pub(super) async fn run(self, spawn: Spawn, environment: BTreeMap<OsString, OsString>) {
        let wiring = self.wiring;
        match start(&wiring, &spawn, environment) {
            Ok(parts) => Running::new(wiring, spawn.dialect, parts).serve().await,
            Err(error) => {
                report(&wiring, WorkerEventKind::SpawnFailed { message: error.message }).await;
            }
        }
    }
}

struct Parts {
    directory: PathBuf,
    terminal: Terminal,
    nonce: String,
}

fn start(wiring: &Wiring, spawn: &Spawn, environment: BTreeMap<OsString, OsString>) -> Result<Parts> {
    let directory = wiring.host.session_directory(&wiring.slot).map_err(|error| {
        Error::new(ErrorCode::SpawnFailed, format!("cannot make a private directory: {error}"))
    })?;
    let nonce = Uuid::new_v4().simple().to_string()[..16].to_owned();
    let launch = Launch {
        program: spawn.shell.clone(),
        dialect: spawn.dialect,
        profile: spawn.profile,
        env: environment,
        directory: spawn.directory.clone(),
        size: spawn.size,
        nonce: nonce.clone(),
        private_dir: directory.clone(),
    };
    let terminal = pty::launch(launch, &wiring.slot)?;
    Ok(Parts { directory, terminal, nonce })
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
    fn new(wiring: Wiring, dialect: Dialect, parts: Parts) -> Self {
        let stream = Stream::new(&parts.nonce, Arc::clone(&wiring.output), wiring.redactor.clone());
        Self {
            wiring,
            directory: parts.directory,
            dialect,
            terminal: parts.terminal,
            stream,
            queries: QueryScanner::default(),
            to_write: Vec::new(),
            prompt: Prompt::Away,
            waiting: None,
            current: None,
            number: 0,
            touched: clock::now().moment,
            look_at: None,
            look_pause: limits::AWAITING_AFTER,
            closing: None,
        }
    }

    async fn serve(mut self) {
        self.report(WorkerEventKind::Started { pid: self.terminal.pid() }).await;
        let mut buffer = vec![0; limits::TERMINAL_READ];
        let mut open = true;
        let mut close = self.wiring.close.clone();
        let stopping = self.wiring.stopping.clone();
        loop {
            let look_at = self.next_look().map(clock::instant);
            let shell_is_alive = self.closing.as_ref().is_none_or(|closing| closing.exit.is_none());
            tokio::select! {
                read = self.terminal.read(&mut buffer), if open => match read {
                    Ok(0) => open = false,
                    Ok(count) => self.take_in(&buffer[..count]).await,
                    Err(error) => {
                        warn!(session = %self.wiring.session, %error, "the terminal cannot be read");
                        open = false;
                    }
                },
                Some(order) = self.wiring.orders.recv() => self.obey(order).await,
                written = self.terminal.write(&self.to_write), if !self.to_write.is_empty() => {
                    self.written(written);
                }
                exit = self.terminal.exited(), if shell_is_alive => self.shell_exited(exit),
                Ok(()) = close.changed() => {
                    let order = *close.borrow_and_update();
                    if let Some(order) = order {
                        self.begin_closing(order);
                    }
                }
                () = stopping.cancelled(), if self.closing.is_none() => self.closing = Some(Closing::by_shutdown()),
                () = sleep_until(look_at) => self.look().await,
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

    fn written(&mut self, written: io::Result<usize>) {
        match written {
            Ok(count) => {
                self.to_write.drain(..count);
            }
            Err(error) => {
                debug!(session = %self.wiring.session, %error, "the terminal takes no input");
                self.to_write.clear();
            }
        }
    }

    /// Output came.
    async fn take_in(&mut self, bytes: &[u8]) {
        let now = clock::now();
        self.touched = now.moment;
        self.queries.feed(bytes, |query| self.to_write.extend(query.answer(1, 1)));
        let marks = self.stream.feed(bytes);
        if self.current.as_ref().is_some_and(|current| current.awaiting.is_some()) {
            self.no_longer_awaiting().await;
        }
        let last = marks.len().saturating_sub(1);
        for (index, (mark, cursor)) in marks.into_iter().enumerate() {
            match mark {
                Mark::Prompt => self.prompt_shown().await,
                // When the end came in the same breath, one report says both.
                Mark::Begin { number } => self.command_began(number, cursor, now.moment, index == last).await,
                Mark::End { number, status, aborted } => {
                    self.command_ended(number, status, aborted, cursor, now.moment).await;
                }
            }
        }
        self.look_pause = limits::AWAITING_AFTER;
        self.look_at = self.needs_looks().then(|| now.moment.after(self.look_pause));
    }

    async fn prompt_shown(&mut self) {
        if self.current.is_some() {
            return;
        }
        let was_away = self.prompt == Prompt::Away;
        self.prompt = Prompt::Here { dirty: false };
        if self.waiting.is_some() {
            self.type_waiting().await;
        } else if was_away {
            let directory = self.terminal.working_directory();
            self.report(WorkerEventKind::Prompt { directory }).await;
        }
    }

    async fn command_began(&mut self, number: u64, cursor: u64, at: Moment, report: bool) {
        let Some(current) = &mut self.current else { return };
        if current.number != number || current.begun.is_some() {
            return;
        }
        current.begun = Some(Begun { at, cursor });
        if report {
            let command = current.command.clone();
            let event = WorkerEvent {
                session: self.wiring.session.clone(),
                generation: self.wiring.generation,
                cursor,
                kind: WorkerEventKind::Begun { command },
            };
            let _ = self.wiring.events.send(DispatcherInput::Worker(event)).await;
        }
    }

    /// The first end mark of a command's number counts; `aborted` ones come from the prompt hook.
    async fn command_ended(&mut self, number: u64, status: i32, aborted: bool, cursor: u64, at: Moment) {
        let Some(current) = self.current.take_if(|current| current.number == number) else { return };
        Handover::remove(&self.directory, number);
        let begun = current.begun.unwrap_or(Begun { at: current.typed_at, cursor });
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
        self.touched = at;
        let _ = self.wiring.events.send(DispatcherInput::Worker(event)).await;
    }

    async fn obey(&mut self, order: Order) {
        match order {
            Order::Run(run) => {
                self.waiting = Some(Waiting { run, since: clock::now().moment });
                self.type_waiting().await;
                self.look_soon();
            }
            Order::Interrupt => {
                if self.terminal.signal_foreground(Signal::INT).is_err() {
                    self.to_write.push(INTERRUPT_KEY);
                }
            }
            Order::Kill => {
                if let Err(error) = self.terminal.signal_foreground(Signal::KILL) {
                    debug!(session = %self.wiring.session, %error, "nothing to kill but the shell");
                }
                // What runs in the shell itself ends by an interrupt or not at all.
                let _ = self.terminal.signal_foreground(Signal::INT);
            }
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
            Order::Look(reply) => {
                let _ = reply.send(self.what_shows());
            }
        }
    }

    /// Hands the waiting command over if the shell takes lines now.
    async fn type_waiting(&mut self) {
        match self.prompt {
            Prompt::Away => {}
            Prompt::Here { dirty: true } => {
                // Ctrl-C clears what a caller typed and brings a fresh prompt.
                self.prompt = Prompt::Away;
                self.to_write.push(INTERRUPT_KEY);
            }
            Prompt::Here { dirty: false } => {
                if let Some(waiting) = self.waiting.take() {
                    self.hand_over(waiting.run).await;
                }
            }
        }
    }

    async fn hand_over(&mut self, run: Box<Run>) {
        self.number += 1;
        let number = self.number;
        let command = &run.command;
        let now = clock::now().moment;
        let handover = HandoverCommand {
            text: &command.text,
            env: &command.env,
            exports: &run.exports,
            directory: command.directory.as_deref(),
            stdin: command.stdin.as_deref(),
        };
        let line = match Handover::write(&self.directory, self.dialect, number, &handover) {
            Ok(line) => line,
            Err(error) => {
                let message = format!("shellherd: the command cannot be handed over: {error}\r\n");
                let cursor = self.wiring.output.end();
                self.wiring.output.append(message.as_bytes(), clock::now().wall);
                let event = WorkerEventKind::Ended {
                    command: command.id.clone(),
                    status: CANNOT_RUN,
                    from: cursor,
                    duration_us: 0,
                    directory: self.terminal.working_directory(),
                };
                self.report(event).await;
                return;
            }
        };
        self.prompt = Prompt::Away;
        self.stream.expect_echo(&line, &command.text);
        self.to_write.extend_from_slice(&line);
        let limits = command.limits;
        let is_limited = limits.memory_bytes.is_some() || limits.cpu_ms.is_some();
        self.current = Some(Current {
            command: command.id.clone(),
            number,
            typed_at: now,
            line,
            begun: None,
            awaiting: None,
            limits: is_limited.then(|| LimitWatch {
                limits,
                next: now.after(LIMIT_PAUSE),
                cpu_before_ms: crate::sample::tree(&self.wiring.slot.members()).cpu_ms,
            }),
        });
        self.touched = now;
        // Most lines go out at once: a trip through the reactor would cost more than the write.
        let written = self.terminal.try_write(&self.to_write);
        if !matches!(&written, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
            self.written(written);
        }
        self.look_soon();
    }

    async fn type_input(&mut self, input: Input) -> Result<u64> {
        if self.closing.is_some() {
            return Err(Error::new(ErrorCode::SessionClosed, "the session is being closed"));
        }
        if self.to_write.len() + input.bytes.len() > limits::INPUT_BYTES {
            return Err(Error::new(
                ErrorCode::Overloaded,
                format!("{} bytes typed earlier were not read yet", self.to_write.len()),
            )
            .with_hint("the program does not read its input: look at it with session_output"));
        }
        if input.secret {
            self.stream.add_secret(&input.bytes);
        }
        let before = self.wiring.output.end();
        let ends_line = input.bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 3 | 4));
        if let Prompt::Here { .. } = self.prompt {
            self.prompt = if ends_line { Prompt::Away } else { Prompt::Here { dirty: true } };
        }
        self.to_write.extend_from_slice(&input.bytes);
        self.no_longer_awaiting().await;
        self.touched = clock::now().moment;
        self.look_soon();
        self.report(WorkerEventKind::Typed { bytes: input.bytes.len(), secret: input.secret }).await;
        Ok(before)
    }

    async fn signal(&mut self, signal: Signal) -> Result<String> {
        let nothing = |why: String| {
            Error::new(ErrorCode::CommandNotRunning, why)
                .with_hint("session_status shows what the session runs; session_close ends the shell itself")
        };
        if self.prompt != Prompt::Away {
            return Err(nothing("the session is at its prompt: there is no foreground job".to_owned()));
        }
        match self.terminal.signal_foreground(signal) {
            Ok(target) => {
                let target = target.to_string();
                let signalled =
                    WorkerEventKind::Signalled { signal: signal.name().to_owned(), target: target.clone() };
                self.report(signalled).await;
                Ok(target)
            }
            Err(error) => Err(nothing(format!("nothing could be signalled: {error}"))),
        }
    }

    fn what_shows(&self) -> Look {
        let foreground = self.terminal.foreground().filter(|_| !self.terminal.is_shell_foreground());
        let at_prompt = self.prompt == (Prompt::Here { dirty: false }) && self.waiting.is_none();
        let settled = clock::now().moment >= self.touched.after(SETTLED) && self.to_write.is_empty();
        Look {
            foreground: foreground.map(|program| ForegroundProgram {
                pid: program.pid,
                name: program.name,
                command_line: program.command_line,
            }),
            at_prompt,
            awaiting: !at_prompt && settled && self.terminal.awaiting_input(),
        }
    }

    fn look_soon(&mut self) {
        self.look_pause = limits::AWAITING_AFTER;
        self.look_at = Some(clock::now().moment.after(self.look_pause));
    }

    fn needs_looks(&self) -> bool {
        self.current.is_some() || self.waiting.is_some() || self.prompt == Prompt::Away
    }

    fn next_look(&self) -> Option<Moment> {
        let limit = self.current.as_ref().and_then(|current| current.limits.as_ref()).map(|watch| watch.next);
        let closing = self.closing.as_ref().and_then(|closing| closing.next_check);
        self.look_at.into_iter().chain(limit).chain(closing).min()
    }

    /// Nothing was reported for a while: what can only be seen by looking is looked at.
    async fn look(&mut self) {
        let now = clock::now().moment;
        self.check_closing(now).await;
        self.check_limits(now).await;
        if self.look_at.is_none_or(|at| now < at) {
            return;
        }
        let holds_for_nothing = self.stream.holds_since().is_none_or(|since| now >= since.after(ECHO_WAIT));
        if holds_for_nothing {
            self.stream.flush();
        }
        if self.dialect == Dialect::Plain || self.closing.is_some() {
            self.look_at = None;
            return;
        }
        if let Some(current) = &self.current {
            if current.begun.is_some() {
                self.look_for_input().await;
            } else if now >= current.typed_at.after(LOST_LINE) && self.terminal.awaiting_input() {
                self.type_again(now);
            }
        } else if self.prompt == Prompt::Away {
            self.look_for_prompt(now).await;
        }
        self.look_pause = (self.look_pause * 2).min(limits::AWAITING_EVERY);
        self.look_at = self.needs_looks().then(|| now.after(self.look_pause));
    }

    /// The shell sits at its prompt, and the line never came to it: a line editor drops what is typed
    /// while it starts.
    fn type_again(&mut self, now: Moment) {
        if let Some(current) = &mut self.current {
            warn!(session = %self.wiring.session, "the shell lost a line, which is typed again");
            current.typed_at = now;
            self.to_write.extend_from_slice(&current.line);
        }
    }

    async fn look_for_input(&mut self) {
        let is_awaiting = self.terminal.awaiting_input();
        let Some(current) = &mut self.current else { return };
        if !is_awaiting {
            self.no_longer_awaiting().await;
            return;
        }
        let from = current.begun.as_ref().map_or(0, |begun| begun.cursor);
        let line = last_line(&self.wiring.output, from);
        if current.awaiting.as_ref() != Some(&line) {
            current.awaiting = Some(line.clone());
            let command = current.command.clone();
            self.report(WorkerEventKind::Awaiting { command, line: Some(line) }).await;
        }
    }

    async fn no_longer_awaiting(&mut self) {
        let Some(current) = &mut self.current else { return };
        if current.awaiting.take().is_some() {
            let command = current.command.clone();
            self.report(WorkerEventKind::Awaiting { command, line: None }).await;
        }
    }

    /// Nothing of ours runs, and the prompt was not reported: a program that was typed in has the
    /// terminal, or the user's configuration lost the prompt hook, or a line is unfinished.
    async fn look_for_prompt(&mut self, now: Moment) {
        if !self.terminal.is_shell_foreground() {
            self.report(WorkerEventKind::Busy).await;
            return;
        }
        if self.number == 0 || !self.terminal.awaiting_input() {
            return;
        }
        let is_stuck = self.waiting.as_ref().is_some_and(|waiting| now >= waiting.since.after(STUCK_PROMPT));
        if now >= self.touched.after(limits::PROMPT_WAIT) {
            self.prompt = Prompt::Here { dirty: is_stuck };
            self.report(WorkerEventKind::Prompt { directory: self.terminal.working_directory() }).await;
            self.type_waiting().await;
        }
    }

    async fn check_limits(&mut self, now: Moment) {
        let members = self.wiring.slot.members();
        let Some(current) = &mut self.current else { return };
        let Some(watch) = current.limits.as_mut().filter(|watch| now >= watch.next) else { return };
        watch.next = now.after(LIMIT_PAUSE);
        let usage = crate::sample::tree(&members);
        let passed = super::limit_passed(&watch.limits, &usage, watch.cpu_before_ms);
        if let Some((reason, evidence)) = passed {
            current.limits = None;
            let command = current.command.clone();
            self.report(WorkerEventKind::LimitPassed { command, reason, evidence }).await;
        }
    }
}

/// Ctrl-C.
const INTERRUPT_KEY: u8 = 3;
/// The status that shells use for a command that was found and could not be run.
const CANNOT_RUN: i32 = 126;
/// A program that just got input is not awaiting it, though it may not have been scheduled yet.
const SETTLED: Duration = Duration::from_millis(50);
/// A prompt is looked for in this many of the last bytes.
const PROMPT_BYTES: usize = 4 << 10;

/// The unfinished last line of the output behind `from`; empty when the last line is finished.
fn last_line(output: &Output, from: u64) -> String {
    let end = output.end();
    let size = output.size();
    let start = from.max(end.saturating_sub(PROMPT_BYTES as u64));
    let bytes = output.read(start, end, PROMPT_BYTES).bytes;
    let mut renderer = crate::term::text::Renderer::new(size.rows, size.cols);
    renderer.feed(&bytes, &mut |_| {});
    renderer.last_line().trim_end().to_owned()
}

async fn sleep_until(moment: Option<std::time::Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

/// The complete environment of a session's program.
pub(super) fn environment(spawn: &Spawn, session: &SessionId) -> BTreeMap<OsString, OsString> {
    let mut environment: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
    for name in ["LINES", "COLUMNS", "TERMCAP", "PS1", "PROMPT_COMMAND", "BASH_ENV"] {
        environment.remove(std::ffi::OsStr::new(name));
    }
    let own = [
        ("TERM", "xterm-256color"),
        ("SHELLHERD", env!("CARGO_PKG_VERSION")),
        // A pager would wait for a key that nobody presses.
        ("PAGER", "cat"),
        ("GIT_PAGER", "cat"),
        ("MANPAGER", "cat"),
        ("SYSTEMD_PAGER", "cat"),
    ];
    for (name, value) in own {
        environment.insert(name.into(), value.into());
    }
    environment.insert("SHELLHERD_SESSION".into(), session.as_str().into());
    environment.extend(spawn.env.iter().map(|(name, value)| (name.into(), value.into())));
    environment
}
