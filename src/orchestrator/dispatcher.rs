//! The one owner of the truth: a task that takes inputs in batches, lets the engine decide, commits
//! the records, and only then acts and answers.
//!
//! The commit runs inline on the runtime: at 20–60 µs it costs less than waking a thread for it.

mod health;
mod keeping;
mod load;
mod reading;
mod sampling;
mod secrets;
mod shutdown;
mod spawning;
mod sweeping;

use std::collections::HashMap;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, warn};

use super::alarm::Alarm;
use super::census::Trees;
use super::host::Host;
use super::output::Output;
use super::recorder::Recorder;
use super::secrets::Secrets;
use super::worker::{self, CloseOrder, Exports, Order};
use super::{CommandWatch, Settings};
use crate::clock::{self, Moment, Now, Timestamp};
use crate::engine::{
    Defaults, Effect, EffectKind, Engine, Reply, Request, Step, WorkerEvent, WorkerEventKind,
};
use crate::error::{Error, Result};
use crate::id::{CommandId, SessionId};
use crate::limits;
use crate::model::{Command, Record, Session};
use crate::pty::brand::Slot;
use crate::sample::{CpuMeter, Machine};
use crate::store::{SegmentArchive, Store, continue_from};
use crate::term::log::OutputLog;
use crate::term::redact::Redactor;
use health::HealthWatch;
pub(super) use keeping::Keep;
use load::{unstored, unstored_bus, unstored_pools};
pub(super) use reading::{Access, Read};
pub(super) use sampling::Ground;

/// What comes to the dispatcher.
#[derive(Debug)]
pub(super) enum Input {
    /// A caller wants something changed.
    Change(Request, oneshot::Sender<Result<Answer>>),
    /// A caller wants to know something.
    Read(Read),
    /// A caller wants something kept for all servers, or no longer; answered with whether that changed anything.
    Keep(Keep, oneshot::Sender<Result<bool>>),
    /// A worker saw something.
    Worker(WorkerEvent),
    /// All processes were looked at, for the health of the sessions.
    Trees(Arc<Trees>),
    /// Everything is to end by then; answered when it has.
    Shutdown(oneshot::Sender<()>),
}

/// The answer to a change.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) reply: Reply,
    /// One for each command of the reply.
    pub(super) commands: Vec<CommandWatch>,
}

/// What belongs to a session besides its record.
#[derive(Debug)]
struct Live {
    watch: watch::Sender<Session>,
    output: Arc<Output>,
    secrets: Secrets,
    exports: Exports,
    worker: Option<WorkerHandle>,
}

#[derive(Debug)]
struct WorkerHandle {
    slot: Arc<Slot>,
    /// See [`worker::Wiring`].
    has_started: watch::Receiver<bool>,
    since: Moment,
    orders: mpsc::Sender<Order>,
    close: watch::Sender<Option<CloseOrder>>,
}

#[derive(Debug)]
pub(super) struct Dispatcher {
    settings: Settings,
    engine: Engine,
    store: Store,
    host: Option<Arc<Host>>,
    /// Knows the secrets that the owner configured.
    configured: Redactor,
    live: HashMap<SessionId, Live>,
    watches: HashMap<CommandId, watch::Sender<Command>>,
    /// Records that a full disk kept from being written, in order.
    unwritten: Vec<Record>,
    events: mpsc::Sender<Input>,
    workers: TaskTracker,
    /// Set when everything is killed at once, so that no worker does it again for itself.
    stopping: CancellationToken,
    /// Sessions whose output and commands are still to be dropped.
    removed: Vec<SessionId>,
    /// When to look at what ended sessions keep on disk.
    sweep_at: Option<Moment>,
    swept_at: Option<Moment>,
    /// The cursor that the history stood at when the store was opened.
    history_begin: u64,
    /// Counts the commits that brought an event.
    history: watch::Sender<u64>,
    /// Counts the steps that changed a run.
    runs: watch::Sender<u64>,
    /// Counts the steps that changed an agent or its messages.
    bus: watch::Sender<u64>,
    /// Counts the steps that brought a recovery further.
    recoveries: watch::Sender<u64>,
    /// While a run depends on how busy the machine and its sessions are.
    machine: Option<(Machine, CpuMeter)>,
    /// When to look at it next.
    load_at: Option<Moment>,
    recorder: Arc<Recorder>,
    /// When to note next what the sessions use.
    sample_at: Option<Moment>,
    /// From when on what ends has not been noted.
    sampled_at: Option<Timestamp>,
    /// The last round of noting, which may still go on.
    round: Option<JoinHandle<()>>,
    health: HealthWatch,
}

/// Records kept for a store that cannot be written; then the oldest go.
const UNWRITTEN: usize = 10_000;

impl Dispatcher {
    /// Opens the store and takes over what dead servers left.
    pub(super) fn open(settings: Settings, events: mpsc::Sender<Input>) -> Result<Self> {
        let configured = super::secrets::configured(&settings.redact)?;
        let (store, restored) = Store::open(&settings.state_dir)?;
        let history_begin = store.history(u64::MAX, 0)?.end;
        let defaults = Defaults {
            command_timeout: settings.command_timeout,
            idle_timeout: None,
            output_bytes: limits::OUTPUT_ARCHIVE,
            max_concurrent: settings.max_concurrent,
            attended: settings.attended,
            recovery: settings.recovery,
            cleanup_after: settings.cleanup_after,
        };
        let recorder = Arc::new(Recorder::new(settings.state_dir.clone(), settings.sample_every));
        let mut dispatcher = Self {
            settings,
            engine: Engine::new(defaults),
            store,
            host: None,
            configured,
            live: HashMap::new(),
            watches: HashMap::new(),
            unwritten: Vec::new(),
            events,
            workers: TaskTracker::new(),
            stopping: CancellationToken::new(),
            removed: Vec::new(),
            sweep_at: None,
            swept_at: None,
            history_begin,
            history: watch::channel(0).0,
            runs: watch::channel(0).0,
            bus: watch::channel(0).0,
            recoveries: watch::channel(0).0,
            machine: None,
            load_at: None,
            recorder,
            sample_at: None,
            sampled_at: None,
            round: None,
            health: HealthWatch::begin(clock::now().moment),
        };
        let mut step = Step::default();
        let now = clock::now();
        dispatcher.engine.restore_estimates(restored.estimates);
        dispatcher.engine.restore(now, restored.sessions, restored.commands, &mut step);
        dispatcher.engine.restore_bus(now, unstored_bus(restored.bus), &mut step);
        // A program that serves one run leaves them for the next server.
        if !dispatcher.settings.attended {
            dispatcher.engine.restore_pools(unstored_pools(restored.pools));
        }
        dispatcher.engine.restore_runs(now, restored.runs.into_iter().map(unstored).collect(), &mut step);
        dispatcher.commit(&step)?;
        dispatcher.publish(&step);
        Ok(dispatcher)
    }

    /// Serves until told to shut down, or until nobody is left to ask.
    pub(super) async fn run(mut self, mut inputs: mpsc::Receiver<Input>) {
        let mut batch = Vec::with_capacity(limits::DISPATCHER_BATCH);
        let mut ended_children = signal(SignalKind::child())
            .inspect_err(|error| warn!(%error, "processes that lose their parents are not reaped"))
            .ok();
        let mut alarm = Alarm::new();
        loop {
            let looks = [self.sweep_at, self.load_at, self.sample_at, self.health.at];
            let deadline = self.engine.next_deadline().into_iter().chain(looks.into_iter().flatten()).min();
            tokio::select! {
                count = inputs.recv_many(&mut batch, limits::DISPATCHER_BATCH) => {
                    if count == 0 {
                        return;
                    }
                }
                () = alarm.wait(deadline) => {}
                Some(()) = received(&mut ended_children) => {
                    self.look_at_children(&mut batch);
                    if batch.is_empty() {
                        continue;
                    }
                }
            }
            if let Some(done) = self.take(&mut batch) {
                self.shut_down(&mut inputs).await;
                let _ = done.send(());
                return;
            }
        }
    }

    /// One turn of the loop. Returns whom to tell when a shutdown was among the inputs.
    fn take(&mut self, batch: &mut Vec<Input>) -> Option<oneshot::Sender<()>> {
        let now = clock::now();
        let mut step = Step::default();
        let mut answers = Vec::new();
        let mut reads = Vec::new();
        let mut shutdown = None;
        for input in batch.drain(..) {
            match input {
                Input::Change(request, reply) => {
                    let result =
                        self.takes_changes().and_then(|()| self.engine.request(now, request, &mut step));
                    answers.push((result, reply));
                }
                Input::Read(read) => reads.push(read),
                Input::Keep(what, reply) => {
                    let _ = reply.send(self.keep(what));
                }
                Input::Worker(event) => self.worker_event(now, event, &mut step),
                Input::Trees(trees) => self.look_at_health(now, &trees, &mut step),
                Input::Shutdown(done) => shutdown = Some(done),
            }
        }
        self.look_at_load_if_due(now.moment);
        self.look_at_health_if_due(now);
        self.engine.elapse(now, &mut step);
        let committed = self.finish(step);
        for (result, reply) in answers {
            let result = result.and_then(|answer| match &committed {
                Ok(()) => Ok(answer),
                Err(error) => Err(Error { details: answer.ids(), ..error.clone() }),
            });
            let told = result.map(|answer| self.answer(answer)).map_err(|error| self.told_error(error));
            let _ = reply.send(told);
        }
        for read in reads {
            self.read(read);
        }
        self.drop_removed();
        self.sweep_if_due(now.moment);
        self.sample_if_due(now);
        shutdown
    }

    /// Commits a step, then acts on it.
    fn finish(&mut self, mut step: Step) -> Result<()> {
        let effects = std::mem::take(&mut step.effects);
        for effect in &effects {
            self.learn(effect);
        }
        let committed = self.commit(&step);
        self.publish(&step);
        for effect in effects {
            self.carry_out(effect);
        }
        committed
    }

    /// Writes what changed. When the disk refuses, the records are kept for the next commit: the
    /// engine has moved on, and so must the world, but the caller is told.
    fn commit(&mut self, step: &Step) -> Result<()> {
        let is_first = self.unwritten.is_empty();
        let mut records = std::mem::take(&mut self.unwritten);
        records.extend(self.engine.records(step).into_iter().map(|record| self.redacted(record)));
        let result = self.store.commit(&records);
        if let Err(error) = &result {
            if is_first {
                error!(%error, "records are kept in memory");
            }
            let excess = records.len().saturating_sub(UNWRITTEN);
            records.drain(..excess);
            self.unwritten = records;
        } else if records.iter().any(|record| matches!(record, Record::Event(_))) {
            self.history.send_modify(|count| *count += 1);
        }
        result
    }

    /// Refuses changes once everything is being ended, and while earlier records cannot be written.
    fn takes_changes(&mut self) -> Result<()> {
        if self.stopping.is_cancelled() {
            return Err(super::shutting_down());
        }
        if self.unwritten.is_empty() { Ok(()) } else { self.commit(&Step::default()) }
    }

    fn publish(&mut self, step: &Step) {
        for id in step.sessions() {
            if let (Some(session), Some(live)) = (self.engine.session(id), self.live.get(id)) {
                live.watch.send_replace(live.secrets.session(session.clone()));
            }
        }
        for id in step.commands() {
            let Some(command) = self.engine.command(id) else { continue };
            if let Some(watch) = self.watches.get(id) {
                watch.send_replace(self.told_command(command));
            } else if !command.is_ended() {
                self.watches.insert(id.clone(), watch::channel(self.told_command(command)).0);
            }
            if command.is_ended() {
                self.watches.remove(id);
            }
        }
        if step.changes_runs() {
            self.runs.send_modify(|count| *count += 1);
        }
        if step.changes_bus() {
            self.bus.send_modify(|count| *count += 1);
        }
        if step.recovers {
            self.recoveries.send_modify(|count| *count += 1);
        }
    }

    fn answer(&self, reply: Reply) -> Answer {
        let commands = match &reply {
            Reply::Commands(commands) => {
                commands.iter().filter_map(|command| self.command_watch(&command.id)).collect()
            }
            Reply::Session(_)
            | Reply::Run(_)
            | Reply::Cancelled(_)
            | Reply::RunView(_)
            | Reply::Sessions(_)
            | Reply::Bus(_)
            | Reply::Pool(_)
            | Reply::Recovery(_)
            | Reply::Done => Vec::new(),
        };
        Answer { reply: self.told(reply), commands }
    }

    fn command_watch(&self, id: &CommandId) -> Option<CommandWatch> {
        match self.watches.get(id) {
            Some(watch) => Some(watch.subscribe()),
            None => self.engine.command(id).map(|command| watch::channel(self.told_command(command)).1),
        }
    }

    /// What belongs to a session; opened when first needed, which for one of an earlier server is now.
    fn live_entry(&mut self, session: &Session) -> &mut Live {
        let configured = &self.configured;
        self.live.entry(session.id.clone()).or_insert_with(|| {
            let directory = self.store.output_directory(&session.id);
            if let Some(from) = &session.restored_from
                && let Err(error) = continue_from(&self.store.output_directory(from), &directory)
            {
                warn!(%error, session = %session.id, "the output of {from} is not taken over");
            }
            let archive = SegmentArchive::open(&directory, session.output_bytes);
            Live {
                watch: watch::channel(session.clone()).0,
                output: Arc::new(Output::new(OutputLog::new(Box::new(archive)), session.size)),
                secrets: Secrets::new(configured.clone()),
                exports: Exports::default(),
                worker: None,
            }
        })
    }

    fn worker_event(&mut self, now: Now, event: WorkerEvent, step: &mut Step) {
        let session = event.session.clone();
        let ends_worker =
            matches!(event.kind, WorkerEventKind::Gone { .. } | WorkerEventKind::SpawnFailed { .. });
        if ends_worker {
            if let Some(live) = self.live.get_mut(&session) {
                live.worker = None;
            }
            self.sweep_soon(now.moment);
        }
        self.engine.event(now, event, step);
    }

    fn carry_out(&mut self, effect: Effect) {
        let Effect { session, kind } = effect;
        match kind {
            EffectKind::Spawn(spawn) => self.spawn(&session, *spawn),
            EffectKind::Run(run) => self.order(&session, Order::Run(run)),
            EffectKind::Interrupt => self.order(&session, Order::Interrupt),
            EffectKind::Kill => self.order(&session, Order::Kill),
            EffectKind::Terminate => self.order(&session, Order::Terminate),
            EffectKind::Resume => self.order(&session, Order::Resume),
            EffectKind::EndOffenders { force } => self.order(&session, Order::EndOffenders { force }),
            EffectKind::Bound(bounds) => self.order(&session, Order::Bound(bounds)),
            EffectKind::WatchPrompts(watches) => self.order(&session, Order::WatchPrompts(watches)),
            EffectKind::Answer { keys, at } => self.order(&session, Order::Answer(keys, at)),
            EffectKind::Resize(size) => self.order(&session, Order::Resize(size)),
            EffectKind::Close { mode, grace } => {
                if let Some(worker) = self.live.get(&session).and_then(|live| live.worker.as_ref()) {
                    worker.close.send_replace(Some(CloseOrder { mode, grace }));
                }
            }
            EffectKind::Remove => {
                self.live.remove(&session);
                self.removed.push(session);
            }
            EffectKind::Forget => {
                self.live.remove(&session);
                if let Err(error) = self.store.forget(&session) {
                    warn!(%error, %session, "a forgotten session keeps its place on disk");
                }
            }
        }
    }

    /// The engine keeps few orders open per session, so a full queue is a worker that lags behind;
    /// the order then waits beside it rather than here.
    fn order(&self, session: &SessionId, order: Order) {
        let Some(worker) = self.live.get(session).and_then(|live| live.worker.as_ref()) else { return };
        if let Err(mpsc::error::TrySendError::Full(order)) = worker.orders.try_send(order) {
            let orders = worker.orders.clone();
            self.workers.spawn(async move {
                let _ = orders.send(order).await;
            });
        }
    }
}

/// The next signal of this kind; none comes where signals cannot be listened to.
async fn received(signals: &mut Option<Signal>) -> Option<()> {
    match signals {
        Some(signals) => signals.recv().await,
        None => std::future::pending().await,
    }
}
