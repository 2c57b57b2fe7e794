//! Decides, and does nothing else: requests and worker events go in with the time, a [`Step`] comes
//! out. It knows no clock, no terminal and no store, so every rule here is tested without them.

mod activity;
mod affinity;
mod agents;
mod bus;
mod commands;
pub mod consent;
pub mod context;
mod deadline;
mod effect;
mod entry;
mod event;
mod forgetting;
pub mod health;
mod heritage;
mod history;
mod idling;
mod placement;
mod pools;
mod recovery;
pub(crate) mod refusals;
pub mod report;
pub mod request;
pub mod samples;
mod schedule;
mod selector;
mod sessions;
mod settings;
mod starting;
mod stopping;
mod tasks;
#[cfg(test)]
mod tests;
mod tracking;
mod tuning;
mod watching;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use uuid::Uuid;

use crate::clock::{Moment, Now};
use crate::error::Result;
use crate::id::{CommandId, SessionId};
use crate::model::{Command, Dialect, Event, EventKind, Record, Session, Status, Workplace};
pub use activity::Ended;
use bus::Bus;
pub use bus::{BusReply, RestoredBus};
use commands::backoff;
use deadline::{Deadline, Turn};
pub use effect::{Effect, EffectKind, Run, Spawn};
use entry::{CommandEntry, Entry};
pub use event::{Exit, WorkerEvent, WorkerEventKind};
use pools::Pools;
pub use pools::pool_capability;
use recovery::Circuits;
use report::{Accepted, Cancelled, PoolView, RecoveryReport, RunView};
use request::{
    BusRequest, CancelMode, CancelScope, CloseMode, NewAffinity, NewCommand, NewPool, NewRun, NewSession,
    RecoveryRequest, Resources, RunChange, SessionChange, TaskQuery,
};
pub use schedule::{Estimates, Load};
use schedule::{RunKey, Schedule, TaskKey};
pub use tasks::RestoredRun;
pub use tuning::{Analysis, Defaults, Tuning};

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
    /// Start a session that was made to be started later.
    StartSession {
        /// Which one.
        selector: String,
        /// What it is to have.
        resources: Resources,
    },
    /// Put a fresh shell in place.
    ResetSession {
        /// Which one.
        selector: String,
    },
    /// Put a session back in order.
    Recover(RecoveryRequest),
    /// Let the attempts at this command line through again.
    ResetCircuit(String),
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
    /// Remove sessions that have ended.
    CleanUp {
        /// Ended at least so long ago.
        older_than: Duration,
        /// With one of these statuses.
        statuses: Vec<Status>,
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
    /// Take commands out of their queues, or stop them.
    CancelCommands {
        /// Which ones; what is over is passed over.
        commands: Vec<CommandId>,
        /// How far it goes.
        scope: CancelScope,
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
    /// Let other sessions run what names one.
    SetAffinity(NewAffinity),
    /// Make a pool.
    CreatePool(Box<NewPool>),
    /// End the pool of this name.
    DeletePool(String),
    /// Something about agents or their messages.
    Bus(BusRequest),
}

/// The answer to a [`Request`].
#[derive(Debug, PartialEq)]
pub enum Reply {
    /// The session as it is now.
    Session(Box<Session>),
    /// The sessions concerned.
    Sessions(Vec<SessionId>),
    /// The commands that were accepted, in order.
    Commands(Vec<Command>),
    /// The run that was accepted.
    Run(Box<Accepted>),
    /// What a cancellation came to.
    Cancelled(Cancelled),
    /// How a run stands now.
    RunView(Box<RunView>),
    /// The pool as it is now, or was.
    Pool(Box<PoolView>),
    /// What came of a request about agents.
    Bus(BusReply),
    /// How the recovery stands now.
    Recovery(Box<RecoveryReport>),
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
    /// Whether a recovery came further.
    pub(crate) recovers: bool,
    /// Works whose mean duration changed, in microseconds.
    estimates: BTreeMap<u64, u64>,
    /// What changed of agents, messages and pools, in order.
    bus: Vec<Record>,
    events: Vec<Event>,
    /// Sessions that were removed.
    removed: Vec<SessionId>,
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

    /// Whether there is anything new in the history.
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
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
    /// Whether a clean-up is among the deadlines.
    cleans_up: bool,
    schedule: Schedule,
    bus: Bus,
    pools: Pools,
    circuits: Circuits,
}

/// When a deadline is due, and a number that keeps keys apart and equal times in order.
type TimerKey = (Moment, u64);

impl Engine {
    /// An engine that knows nothing yet.
    pub fn new(defaults: Defaults) -> Self {
        Self {
            circuits: Circuits::new(defaults.recovery),
            defaults,
            sessions: HashMap::new(),
            order: Vec::new(),
            commands: HashMap::new(),
            ended_commands: VecDeque::new(),
            ended_sessions: VecDeque::new(),
            deadlines: BTreeMap::new(),
            next_number: 0,
            cleans_up: false,
            schedule: Schedule::default(),
            bus: Bus::default(),
            pools: Pools::default(),
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
            Request::StartSession { selector, resources } => self
                .start_session(&selector, resources, step)
                .map(|session| Reply::Session(Box::new(session))),
            Request::ResetSession { selector } => {
                self.reset_session(now, &selector, step).map(|session| Reply::Session(Box::new(session)))
            }
            Request::Recover(request) => {
                self.recover(now, &request, step).map(|report| Reply::Recovery(Box::new(report)))
            }
            Request::ResetCircuit(key) => Ok(self.reset_circuit(now, &key)),
            Request::Close { sessions, mode, grace, reason } => {
                let reason = reason.unwrap_or_else(|| "closed".to_owned());
                for session in &sessions {
                    self.close(now, session, Status::Terminated, mode, grace, &reason, step);
                }
                Ok(Reply::Done)
            }
            Request::CleanUp { older_than, statuses } => {
                self.clean_up(now, older_than, &statuses, step).map(Reply::Sessions)
            }
            Request::Execute { selector, commands, stop_on_error } => {
                self.execute(now, &selector, commands, stop_on_error, step).map(Reply::Commands)
            }
            Request::CancelCommands { commands, scope } => {
                self.cancel_commands(now, &commands, scope, step);
                Ok(Reply::Done)
            }
            Request::Distribute { uuid, new, workplace } => self
                .distribute(now, uuid, *new, workplace, step)
                .map(|accepted| Reply::Run(Box::new(accepted))),
            Request::CancelTasks { query, mode } => {
                self.cancel_tasks(now, &query, mode, step).map(Reply::Cancelled)
            }
            Request::RetryTasks { uuid, query, only_failed } => self
                .retry_tasks(now, uuid, &query, only_failed, step)
                .map(|accepted| Reply::Run(Box::new(accepted))),
            Request::ControlRun { run, change } => {
                self.control_run(now, &run, change, step).map(|view| Reply::RunView(Box::new(view)))
            }
            Request::SetAffinity(new) => {
                self.set_affinity(now, &new, step).map(|session| Reply::Session(Box::new(session)))
            }
            Request::CreatePool(plan) => self.create_pool(*plan, step),
            Request::DeletePool(name) => self.delete_pool(now, &name, step),
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
            WorkerEventKind::SpawnFailed { message, category } => {
                self.spawn_failed(now, &session, message, category, step);
            }
            WorkerEventKind::Relocated { from, to } => self.relocated(now, &session, &from, to, step),
            WorkerEventKind::Stopped(is_stopped) => self.shell_stopped(now, &session, is_stopped, step),
            WorkerEventKind::Prompt { directory } => self.prompt(now, &session, directory, step),
            WorkerEventKind::Exported { set, unset } => self.has_exported(&session, set, unset, step),
            WorkerEventKind::Busy => self.busy(now, &session, step),
            WorkerEventKind::Typed { bytes, secret } => {
                self.activity(now, &session, EventKind::Input { bytes, secret }, step);
            }
            WorkerEventKind::Signalled { signal, target } => {
                self.activity(now, &session, EventKind::Signal { signal, target }, step);
            }
            WorkerEventKind::Begun { command } => self.begun(&command, cursor, step),
            WorkerEventKind::Awaiting { command, line } => {
                // What the server answers waits for nobody.
                let line = line.filter(|_| !entry.consent.answers_at(cursor));
                self.awaiting(&command, line, step);
            }
            WorkerEventKind::Asks(asked) => self.asked(now, &session, &asked, step),
            WorkerEventKind::AnswerFailed(mishap) => self.answer_failed(now, &session, mishap, step),
            WorkerEventKind::Ended { command, status, from, duration_us, directory } => {
                let end = commands::End { status, from, to: cursor, duration_us, directory };
                self.ended(now, &command, &end, step);
            }
            WorkerEventKind::LimitPassed { command, breach } => {
                self.limit_passed(now, &session, command.as_ref(), breach, step);
            }
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
                Deadline::Retry(task) | Deadline::Held(task) => self.attempt_again(now, task, step),
                Deadline::CleanUp => self.clean_up_due(now, step),
                Deadline::PoolStart(session) => self.pool_start_due(now, &session, step),
                Deadline::Expiry(message) => self.expire(now, &message, step),
                Deadline::Recovery(session) => self.recovery_due(now, &session, step),
                Deadline::Affinity(session) => self.affinity_due(now, &session, step),
                Deadline::Limit(session) => self.limit_due(now, &session, step),
                Deadline::Leaving(agent) => self.leaving_due(now, &agent, step),
            }
        }
        self.fill_pools(now, step);
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
            .chain(step.removed.iter().cloned().map(Record::Removed))
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
}
