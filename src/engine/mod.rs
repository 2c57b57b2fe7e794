//! Decides, and does nothing else: requests and worker events go in with the time, a [`Step`] comes
//! out. It knows no clock, no terminal and no store, so every rule here is tested without them.

mod bus;
mod commands;
mod deadline;
mod effect;
mod event;
pub mod health;
mod placement;
pub mod report;
pub mod request;
mod schedule;
mod selector;
mod sessions;
mod settings;
mod stopping;
mod tasks;
#[cfg(test)]
mod tests;
mod tracking;
mod watching;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use uuid::Uuid;

use crate::clock::{Moment, Now};
use crate::error::Result;
use crate::id::{CommandId, RunId, SessionId};
use crate::limits;
use crate::model::{Command, Dialect, EndReason, Ending, Event, EventKind, Record, Session, Workplace};
use bus::Bus;
pub use bus::{BusReply, RestoredBus};
use commands::backoff;
use deadline::{Deadline, Turn};
pub use effect::{Effect, EffectKind, Run, Spawn};
pub use event::{Exit, WorkerEvent, WorkerEventKind};
use report::{Accepted, RunView};
use request::{
    BusRequest, CancelMode, CloseMode, NewCommand, NewRun, NewSession, RunChange, SessionChange, TaskQuery,
};
pub use schedule::{Estimates, Load};
use schedule::{RunKey, Schedule, TaskKey};
pub use tasks::RestoredRun;

/// What a session falls back on where its creator named nothing.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// The timeout of commands.
    pub command_timeout: Duration,
    /// Bytes of output kept on disk.
    pub output_bytes: u64,
    /// Slots of runs.
    pub max_concurrent: u32,
}

/// A request that changes something. Sessions are named by the caller's selector.
#[derive(Debug)]
pub enum Request {
    /// Create a session; program and directory were looked up already.
    CreateSession {
        /// Where its id comes from.
        uuid: Uuid,
        /// What was asked for.
        new: Box<NewSession>,
        /// The program, absolute.
        shell: PathBuf,
        /// How to talk to it.
        dialect: Dialect,
        /// Where it starts, absolute and there.
        directory: PathBuf,
        /// Where the id of its first command comes from.
        command_uuid: Uuid,
    },
    /// Change settings.
    UpdateSession {
        /// Which one.
        selector: String,
        /// What changes.
        change: Box<SessionChange>,
    },
    /// Put a fresh shell in place.
    ResetSession {
        /// Which one.
        selector: String,
    },
    /// End sessions.
    Close {
        /// Which ones; unknown or ended ones are passed over.
        sessions: Vec<SessionId>,
        /// How.
        mode: CloseMode,
        /// How long they may take to end by themselves.
        grace: Option<Duration>,
        /// Why, in the caller's words.
        reason: Option<String>,
    },
    /// Run commands one after the other.
    Execute {
        /// Where.
        selector: String,
        /// What, each with the UUID for its id.
        commands: Vec<(Uuid, NewCommand)>,
        /// Whether a failure cancels those behind it.
        stop_on_error: bool,
    },
    /// Take commands that have not started out of their queues.
    CancelQueued {
        /// Which ones; others are passed over.
        commands: Vec<CommandId>,
    },
    /// Work off a graph of tasks.
    Distribute {
        /// Where the run's id comes from.
        uuid: Uuid,
        /// What was asked for.
        new: Box<NewRun>,
        /// Where pooled sessions work.
        workplace: Workplace,
    },
    /// End tasks.
    CancelTasks {
        /// Which ones; those that are over are passed over.
        query: TaskQuery,
        /// How hard.
        mode: CancelMode,
    },
    /// Run tasks that are over once more.
    RetryTasks {
        /// Where the new run's id comes from.
        uuid: Uuid,
        /// Which ones; those that are not over are passed over.
        query: TaskQuery,
        /// Whether those that completed are passed over as well.
        only_failed: bool,
    },
    /// Change how a run goes on.
    ControlRun {
        /// Which one.
        run: String,
        /// What changes.
        change: RunChange,
    },
    /// Something about agents or their messages.
    Bus(BusRequest),
}

/// The answer to a [`Request`].
#[derive(Debug, PartialEq)]
pub enum Reply {
    /// The session as it is now.
    Session(Box<Session>),
    /// The commands that were accepted, in order.
    Commands(Vec<Command>),
    /// The run that was accepted.
    Run(Box<Accepted>),
    /// The tasks concerned, each with its run.
    Tasks(Vec<(RunId, String)>),
    /// How a run stands now.
    RunView(Box<RunView>),
    /// What came of a request about agents.
    Bus(BusReply),
    /// Nothing to say.
    Done,
}

/// What came of one batch of inputs: what to commit, what to do then.
#[derive(Debug, Default)]
pub struct Step {
    sessions: BTreeSet<SessionId>,
    commands: BTreeSet<CommandId>,
    /// Sessions that became active, which need not survive a crash: no session does, and that a command
    /// ran says its own record.
    activated: BTreeSet<SessionId>,
    /// Commands of which something changed that need not survive a crash.
    noticed: BTreeSet<CommandId>,
    /// Runs of which anything changed.
    runs: BTreeSet<RunKey>,
    /// Runs whose own record changed.
    run_records: BTreeSet<RunKey>,
    /// Runs that were accepted.
    graphs: BTreeSet<RunKey>,
    tasks: BTreeSet<TaskKey>,
    /// Works whose mean duration changed, in microseconds.
    estimates: BTreeMap<u64, u64>,
    /// What changed of agents and messages, in order.
    bus: Vec<Record>,
    events: Vec<Event>,
    /// To be carried out in order after the commit.
    pub effects: Vec<Effect>,
}

impl Step {
    /// Sessions whose record changed, be it only in what is not committed.
    pub fn sessions(&self) -> impl Iterator<Item = &SessionId> {
        self.sessions.union(&self.activated)
    }

    /// Commands whose record changed, be it only in what is not committed.
    pub fn commands(&self) -> impl Iterator<Item = &CommandId> {
        self.commands.union(&self.noticed)
    }

    /// Whether any run changed.
    pub fn changes_runs(&self) -> bool {
        !self.runs.is_empty()
    }

    fn effect(&mut self, session: &SessionId, kind: EffectKind) {
        self.effects.push(Effect { session: session.clone(), kind });
    }
}

/// All sessions and commands, and the rules for them.
#[derive(Debug)]
pub struct Engine {
    defaults: Defaults,
    sessions: HashMap<SessionId, Entry>,
    /// Sessions in the order of their creation.
    order: Vec<SessionId>,
    commands: HashMap<CommandId, CommandEntry>,
    /// Ended commands, oldest first: the first to be forgotten.
    ended_commands: VecDeque<CommandId>,
    /// Sessions without a shell, oldest first. A reset takes one in error out again.
    ended_sessions: VecDeque<SessionId>,
    deadlines: BTreeMap<TimerKey, Deadline>,
    next_number: u64,
    schedule: Schedule,
    bus: Bus,
}

/// When a deadline is due, and a number that keeps keys apart and equal times in order.
type TimerKey = (Moment, u64);

#[derive(Debug)]
struct Entry {
    /// Its `env` is redacted; `env` below is not.
    session: Session,
    env: BTreeMap<String, String>,
    /// Exported before the next command.
    exports: BTreeMap<String, String>,
    queue: VecDeque<CommandId>,
    running: Option<CommandId>,
    /// Whether a worker has not reported its shell gone.
    has_worker: bool,
    /// The status and the reason that an ordered end will leave.
    closing: Option<(crate::model::Status, String)>,
    /// Whether a fresh shell follows the one that is going.
    restart: bool,
    /// Until when its shell, which was told to end, may take for that. Nothing is handed to it any more.
    going: Option<Moment>,
    /// Where the output stood when last heard of.
    cursor: u64,
    /// The time of the session's last activity, on the clock that no one sets.
    active_at: Moment,
    /// The pending look at whether it has been idle for too long.
    timer: Option<TimerKey>,
    /// The pending end of what passes a limit in it.
    limit_timer: Option<TimerKey>,
}

#[derive(Debug)]
struct CommandEntry {
    command: Command,
    /// Commands of one `command_batch` share a number.
    batch: Option<u64>,
    /// The task whose attempt it is.
    task: Option<TaskKey>,
    /// Why the server is ending it.
    stopped_for: Option<EndReason>,
    /// Between two tries: how the last one ended.
    failed_with: Option<Ending>,
    /// Its one pending deadline.
    timer: Option<TimerKey>,
}

impl Engine {
    /// An engine that knows nothing yet.
    pub fn new(defaults: Defaults) -> Self {
        Self {
            defaults,
            sessions: HashMap::new(),
            order: Vec::new(),
            commands: HashMap::new(),
            ended_commands: VecDeque::new(),
            ended_sessions: VecDeque::new(),
            deadlines: BTreeMap::new(),
            next_number: 0,
            schedule: Schedule::default(),
            bus: Bus::default(),
        }
    }

    /// Carries out a request, or refuses it and changes nothing.
    pub fn request(&mut self, now: Now, request: Request, step: &mut Step) -> Result<Reply> {
        match request {
            Request::CreateSession { uuid, new, shell, dialect, directory, command_uuid } => self
                .create_session(
                    now,
                    sessions::Creation { uuid, shell, dialect, directory, command_uuid },
                    *new,
                    step,
                )
                .map(|session| Reply::Session(Box::new(session))),
            Request::UpdateSession { selector, change } => self
                .update_session(now, &selector, *change, step)
                .map(|session| Reply::Session(Box::new(session))),
            Request::ResetSession { selector } => {
                self.reset_session(now, &selector, step).map(|session| Reply::Session(Box::new(session)))
            }
            Request::Close { sessions, mode, grace, reason } => {
                let reason = reason.unwrap_or_else(|| "closed".to_owned());
                for session in &sessions {
                    self.close(now, session, crate::model::Status::Terminated, mode, grace, &reason, step);
                }
                Ok(Reply::Done)
            }
            Request::Execute { selector, commands, stop_on_error } => {
                self.execute(now, &selector, commands, stop_on_error, step).map(Reply::Commands)
            }
            Request::CancelQueued { commands } => {
                for command in &commands {
                    self.cancel_queued(now, command, step);
                }
                Ok(Reply::Done)
            }
            Request::Distribute { uuid, new, workplace } => self
                .distribute(now, uuid, *new, workplace, step)
                .map(|accepted| Reply::Run(Box::new(accepted))),
            Request::CancelTasks { query, mode } => {
                self.cancel_tasks(now, &query, mode, step).map(Reply::Tasks)
            }
            Request::RetryTasks { uuid, query, only_failed } => self
                .retry_tasks(now, uuid, &query, only_failed, step)
                .map(|accepted| Reply::Run(Box::new(accepted))),
            Request::ControlRun { run, change } => {
                self.control_run(now, &run, change, step).map(|view| Reply::RunView(Box::new(view)))
            }
            Request::Bus(request) => self.bus_request(now, request, step).map(Reply::Bus),
        }
    }

    /// Takes in what a worker saw.
    pub fn event(&mut self, now: Now, event: WorkerEvent, step: &mut Step) {
        let WorkerEvent { session, generation, cursor, kind } = event;
        let Some(entry) = self.sessions.get_mut(&session) else { return };
        if entry.session.generation != generation || !entry.has_worker {
            return;
        }
        entry.cursor = cursor;
        match kind {
            WorkerEventKind::Started { pid } => self.started(now, &session, pid, step),
            WorkerEventKind::SpawnFailed { message } => self.spawn_failed(now, &session, message, step),
            WorkerEventKind::Prompt { directory } => self.prompt(now, &session, directory, step),
            WorkerEventKind::Busy => self.busy(now, &session, step),
            WorkerEventKind::Typed { bytes, secret } => {
                self.activity(now, &session, EventKind::Input { bytes, secret }, step);
            }
            WorkerEventKind::Signalled { signal, target } => {
                self.activity(now, &session, EventKind::Signal { signal, target }, step);
            }
            WorkerEventKind::Begun { command } => self.begun(&command, cursor, step),
            WorkerEventKind::Awaiting { command, line } => self.awaiting(&command, line, step),
            WorkerEventKind::Ended { command, status, from, duration_us, directory } => {
                let end = commands::End { status, from, to: cursor, duration_us, directory };
                self.ended(now, &command, &end, step);
            }
            WorkerEventKind::LimitPassed { command, breach } => {
                self.limit_passed(now, &session, command.as_ref(), breach, step);
            }
            WorkerEventKind::Stopped(stopped) => self.shell_stopped(now, &session, stopped, step),
            WorkerEventKind::TerminalLost => self.terminal_lost(now, &session, step),
            WorkerEventKind::Gone { exit, forced } => self.gone(now, &session, exit, forced, step),
        }
    }

    /// Acts on every deadline that has passed, then lets start what can. Ends each batch of inputs.
    pub fn elapse(&mut self, now: Now, step: &mut Step) {
        while let Some((&key, _)) = self.deadlines.first_key_value()
            && key.0 <= now.moment
        {
            let Some(deadline) = self.deadlines.remove(&key) else { break };
            match deadline {
                Deadline::Command(command, turn) => {
                    if let Some(entry) = self.commands.get_mut(&command) {
                        entry.timer = None;
                    }
                    match turn {
                        Turn::Timeout => self.timed_out(now, &command, step),
                        Turn::Kill => self.kill(now, &command, step),
                        Turn::KillShell => self.kill_shell(now, &command, step),
                        Turn::Retry => self.retry(now, &command, step),
                    }
                }
                Deadline::Idle(session) => {
                    if let Some(entry) = self.sessions.get_mut(&session) {
                        entry.timer = None;
                    }
                    self.idle_for_long(now, &session, step);
                }
                Deadline::Retry(task) => self.attempt_again(now, task, step),
                Deadline::PoolStart(session) => self.pool_start_due(now, &session, step),
                Deadline::Expiry(message) => self.expire(&message, step),
                Deadline::Limit(session) => self.limit_due(&session, step),
            }
        }
        self.dispatch(now, step);
    }

    /// When [`Engine::elapse`] is next needed.
    pub fn next_deadline(&self) -> Option<Moment> {
        self.deadlines.first_key_value().map(|((moment, _), _)| *moment)
    }

    /// What to commit for `step`: each changed record once, as it is now, then the events.
    pub fn records(&self, step: &Step) -> Vec<Record> {
        let sessions = step
            .sessions
            .iter()
            .filter_map(|id| self.session(id))
            .map(|session| Record::Session(Box::new(session.clone())));
        let commands = step
            .commands
            .iter()
            .filter_map(|id| self.command(id))
            .map(|command| Record::Command(Box::new(command.clone())));
        sessions
            .chain(commands)
            .chain(step.events.iter().cloned().map(Record::Event))
            .chain(self.task_records(step))
            .chain(step.bus.iter().cloned())
            .collect()
    }

    /// A session's record.
    pub fn session(&self, id: &SessionId) -> Option<&Session> {
        self.sessions.get(id).map(|entry| &entry.session)
    }

    /// All sessions, oldest first.
    pub fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.order.iter().filter_map(|id| self.session(id))
    }

    /// Commands that wait behind the running one of a session.
    pub fn queued(&self, id: &SessionId) -> usize {
        self.sessions.get(id).map_or(0, |entry| entry.queue.len())
    }

    /// The record of a command that is still in memory.
    pub fn command(&self, id: &CommandId) -> Option<&Command> {
        self.commands.get(id).map(|entry| &entry.command)
    }

    /// Gives a command its next deadline in place of the one it has.
    fn schedule(&mut self, id: &CommandId, at: Moment, turn: Turn) {
        self.unschedule(id);
        self.next_number += 1;
        let key = (at, self.next_number);
        if let Some(entry) = self.commands.get_mut(id) {
            entry.timer = Some(key);
            self.deadlines.insert(key, Deadline::Command(id.clone(), turn));
        }
    }

    fn unschedule(&mut self, id: &CommandId) {
        if let Some(key) = self.commands.get_mut(id).and_then(|entry| entry.timer.take()) {
            self.deadlines.remove(&key);
        }
    }

    fn note(&mut self, now: Now, session: &SessionId, kind: EventKind, step: &mut Step) {
        let output_cursor = self.sessions.get(session).map_or(0, |entry| entry.cursor);
        step.events.push(Event { session: session.clone(), at: now.wall, output_cursor, kind });
    }

    /// Forgets the oldest ended sessions and commands beyond their bounds. What this step touched
    /// stays until a later one: it is not committed yet.
    fn forget_old(&mut self, step: &mut Step) {
        while let Some(id) = oldest(&mut self.ended_commands, limits::ENDED_COMMANDS, &step.commands) {
            self.commands.remove(&id);
        }
        while let Some(id) = oldest(&mut self.ended_sessions, limits::ENDED_SESSIONS, &step.sessions) {
            self.sessions.remove(&id);
            self.order.retain(|known| *known != id);
            step.effect(&id, EffectKind::Forget);
        }
    }
}

/// Takes out the oldest of more than `most`, unless it is `kept`.
fn oldest<T: Ord>(ended: &mut VecDeque<T>, most: usize, kept: &BTreeSet<T>) -> Option<T> {
    let is_due = ended.len() > most && ended.front().is_some_and(|id| !kept.contains(id));
    is_due.then(|| ended.pop_front()).flatten()
}
