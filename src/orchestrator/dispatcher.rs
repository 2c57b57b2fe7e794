//! The one owner of the truth: a task that takes inputs in batches, lets the engine decide, commits
//! the records, and only then acts and answers.
//!
//! The commit runs inline on the runtime: at 20–60 µs it costs less than waking a thread for it.

mod secrets;
mod shutdown;

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, warn};

use super::alarm::Alarm;
use super::host::Host;
use super::output::Output;
use super::worker::{self, CloseOrder, Order};
use super::{CommandWatch, Settings};
use crate::clock::{self, Moment, Now};
use crate::engine::{
    Defaults, Effect, EffectKind, Engine, Reply, Request, Spawn, Step, WorkerEvent, WorkerEventKind,
};
use crate::error::{Error, ErrorCode, Result};
use crate::id::{CommandId, SessionId};
use crate::limits;
use crate::model::{Command, Event, Record, Session};
use crate::pty::brand::Slot;
use crate::store::{SegmentArchive, Store};
use crate::term::log::OutputLog;
use crate::term::redact::Redactor;

/// What comes to the dispatcher.
#[derive(Debug)]
pub(super) enum Input {
    /// A caller wants something changed.
    Change(Request, oneshot::Sender<Result<Answer>>),
    /// A caller wants to know something.
    Read(Read),
    /// A worker saw something.
    Worker(WorkerEvent),
    /// Everything is to end by then; answered when it has.
    Shutdown(oneshot::Sender<()>),
}

/// What a caller wants to know; answered after everything before it is committed.
#[derive(Debug)]
pub(super) enum Read {
    Sessions(oneshot::Sender<Vec<Session>>),
    Access(String, oneshot::Sender<Result<Access>>),
    Command(String, oneshot::Sender<Result<CommandWatch>>),
    Members(Vec<SessionId>, oneshot::Sender<Vec<Members>>),
    Events { session: SessionId, since: u64, max: usize, reply: oneshot::Sender<Result<Vec<Event>>> },
}

/// The processes of a session's tree.
#[derive(Debug)]
pub(super) struct Members {
    pub(super) session: SessionId,
    /// Stands for the tree while it lives.
    pub(super) slot: u64,
    pub(super) pids: Vec<u32>,
    /// When its shell started.
    pub(super) since: Moment,
}

/// The answer to a change.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) reply: Reply,
    /// One for each command of the reply.
    pub(super) commands: Vec<CommandWatch>,
}

/// A session with the ways to reach it.
#[derive(Clone, Debug)]
pub(super) struct Access {
    pub(super) session: Session,
    pub(super) watch: watch::Receiver<Session>,
    pub(super) output: Arc<Output>,
    pub(super) queued: usize,
    /// To its worker, while there is one.
    pub(super) orders: Option<mpsc::Sender<Order>>,
    pub(super) last_command: Option<Command>,
}

/// What belongs to a session besides its record.
#[derive(Debug)]
struct Live {
    watch: watch::Sender<Session>,
    output: Arc<Output>,
    secrets: Redactor,
    worker: Option<WorkerHandle>,
}

#[derive(Debug)]
struct WorkerHandle {
    slot: Arc<Slot>,
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
    live: HashMap<SessionId, Live>,
    watches: HashMap<CommandId, watch::Sender<Command>>,
    /// Records that a full disk kept from being written, in order.
    unwritten: Vec<Record>,
    /// When events that the store holds back are written if nothing else is before.
    settle_at: Option<Moment>,
    events: mpsc::Sender<Input>,
    workers: TaskTracker,
    /// Set when everything is killed at once, so that no worker does it again for itself.
    stopping: CancellationToken,
}

/// Records kept for a store that cannot be written; then the oldest go.
const UNWRITTEN: usize = 10_000;

impl Dispatcher {
    /// Opens the store and takes over what dead servers left.
    pub(super) fn open(settings: Settings, events: mpsc::Sender<Input>) -> Result<Self> {
        let (store, restored) = Store::open(&settings.state_dir)?;
        let defaults =
            Defaults { command_timeout: settings.command_timeout, output_bytes: limits::OUTPUT_ARCHIVE };
        let mut dispatcher = Self {
            settings,
            engine: Engine::new(defaults),
            store,
            host: None,
            live: HashMap::new(),
            watches: HashMap::new(),
            unwritten: Vec::new(),
            settle_at: None,
            events,
            workers: TaskTracker::new(),
            stopping: CancellationToken::new(),
        };
        let mut step = Step::default();
        dispatcher.engine.restore(clock::now(), restored.sessions, restored.commands, &mut step);
        dispatcher.commit(&step)?;
        dispatcher.publish(&step);
        Ok(dispatcher)
    }

    /// Serves until told to shut down, or until nobody is left to ask.
    pub(super) async fn run(mut self, mut inputs: mpsc::Receiver<Input>) {
        let mut batch = Vec::with_capacity(limits::DISPATCHER_BATCH);
        let mut alarm = Alarm::new();
        loop {
            let deadline = self.engine.next_deadline().into_iter().chain(self.settle_at).min();
            tokio::select! {
                count = inputs.recv_many(&mut batch, limits::DISPATCHER_BATCH) => {
                    if count == 0 {
                        return;
                    }
                }
                () = alarm.wait(deadline) => {}
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
                Input::Worker(event) => self.worker_event(now, event, &mut step),
                Input::Shutdown(done) => shutdown = Some(done),
            }
        }
        self.engine.elapse(now, &mut step);
        let committed = self.finish(step);
        for (result, reply) in answers {
            let result = result.and_then(|answer| committed.clone().map(|()| answer));
            let _ = reply.send(result.map(|answer| self.answer(answer)));
        }
        for read in reads {
            self.read(read);
        }
        self.settle(now.moment);
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
        let mut records = std::mem::take(&mut self.unwritten);
        records.extend(self.engine.records(step).into_iter().map(|record| self.redacted(record)));
        let result = self.store.commit(&records);
        if let Err(error) = &result {
            error!(%error, "records are kept in memory");
            let excess = records.len().saturating_sub(UNWRITTEN);
            records.drain(..excess);
            self.unwritten = records;
        }
        result
    }

    /// Has the store write what it holds back for too long.
    fn settle(&mut self, now: Moment) {
        if !self.store.is_unsettled() {
            self.settle_at = None;
            return;
        }
        let later = now.after(limits::EVENTS_WRITTEN_WITHIN);
        if now >= *self.settle_at.get_or_insert(later) {
            self.settle_at = Some(later);
            if let Err(error) = self.store.settle() {
                error!(%error, "events are kept in memory");
            }
        }
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
                live.watch.send_replace(session.clone());
            }
        }
        for id in step.commands() {
            let Some(command) = self.engine.command(id) else { continue };
            if let Some(watch) = self.watches.get(id) {
                watch.send_replace(command.clone());
            } else if !command.is_ended() {
                self.watches.insert(id.clone(), watch::channel(command.clone()).0);
            }
            if command.is_ended() {
                self.watches.remove(id);
            }
        }
    }

    fn answer(&self, reply: Reply) -> Answer {
        let commands = match &reply {
            Reply::Commands(commands) => {
                commands.iter().filter_map(|command| self.command_watch(&command.id)).collect()
            }
            Reply::Session(_) | Reply::Done => Vec::new(),
        };
        Answer { reply, commands }
    }

    fn command_watch(&self, id: &CommandId) -> Option<CommandWatch> {
        match self.watches.get(id) {
            Some(watch) => Some(watch.subscribe()),
            None => self.engine.command(id).map(|command| watch::channel(command.clone()).1),
        }
    }

    fn read(&mut self, read: Read) {
        match read {
            Read::Sessions(reply) => {
                let sessions = self.engine.sessions().map(|session| self.current(session)).collect();
                let _ = reply.send(sessions);
            }
            Read::Access(selector, reply) => {
                let _ = reply.send(self.engine.resolve(&selector).and_then(|id| self.access(&id)));
            }
            Read::Command(selector, reply) => {
                let _ = reply.send(self.find_command(&selector));
            }
            Read::Members(sessions, reply) => {
                let _ = reply.send(self.members(&sessions));
            }
            Read::Events { session, since, max, reply } => {
                let _ = reply.send(self.store.events(&session, since, max));
            }
        }
    }

    fn members(&self, sessions: &[SessionId]) -> Vec<Members> {
        let workers = sessions
            .iter()
            .filter_map(|id| Some((id, self.live.get(id)?.worker.as_ref()?)))
            .collect::<Vec<_>>();
        let Some(host) = self.host.as_ref().filter(|_| !workers.is_empty()) else { return Vec::new() };
        let mut census = host.brand().census();
        workers
            .into_iter()
            .map(|(id, worker)| Members {
                session: id.clone(),
                slot: worker.slot.number(),
                pids: census.remove(&worker.slot.number()).unwrap_or_default(),
                since: worker.since,
            })
            .collect()
    }

    fn find_command(&self, selector: &str) -> Result<CommandWatch> {
        if let Some(watch) = self.engine.resolve_command(selector).and_then(|id| self.command_watch(&id)) {
            return Ok(watch);
        }
        if let Some(command) = self.store.command(&CommandId::from_text(selector.trim()))? {
            return Ok(watch::channel(command).1);
        }
        let shown: String = selector.chars().take(80).collect();
        Err(Error::new(ErrorCode::CommandNotFound, format!("no command has the id '{shown}'"))
            .with_hint("session_status names a session's last command"))
    }

    /// The record with the time of the last output, which the engine is not told of byte by byte.
    fn current(&self, session: &Session) -> Session {
        let mut session = session.clone();
        if let Some(at) = self.live.get(&session.id).and_then(|live| live.output.last_output()) {
            session.last_activity = session.last_activity.max(at);
        }
        session
    }

    fn access(&mut self, id: &SessionId) -> Result<Access> {
        let session = self
            .engine
            .session(id)
            .map(|session| self.current(session))
            .ok_or_else(|| Error::new(ErrorCode::Internal, "a resolved session is unknown"))?;
        let queued = self.engine.queued(id);
        let last_command = session.last_command.as_ref().and_then(|id| self.engine.command(id)).cloned();
        let live = self.live_entry(&session);
        Ok(Access {
            watch: live.watch.subscribe(),
            output: Arc::clone(&live.output),
            queued,
            orders: live.worker.as_ref().map(|worker| worker.orders.clone()),
            last_command,
            session,
        })
    }

    /// What belongs to a session; opened when first needed, which for one of an earlier server is now.
    fn live_entry(&mut self, session: &Session) -> &mut Live {
        self.live.entry(session.id.clone()).or_insert_with(|| {
            let directory = self.store.output_directory(&session.id);
            let archive = SegmentArchive::open(&directory, session.output_bytes);
            Live {
                watch: watch::channel(session.clone()).0,
                output: Arc::new(Output::new(OutputLog::new(Box::new(archive)), session.size)),
                secrets: Redactor::new(),
                worker: None,
            }
        })
    }

    fn worker_event(&mut self, now: Now, event: WorkerEvent, step: &mut Step) {
        let session = event.session.clone();
        let ends_worker =
            matches!(event.kind, WorkerEventKind::Gone { .. } | WorkerEventKind::SpawnFailed { .. });
        if ends_worker && let Some(live) = self.live.get_mut(&session) {
            live.worker = None;
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
            EffectKind::Resize(size) => self.order(&session, Order::Resize(size)),
            EffectKind::Close { mode, grace } => {
                if let Some(worker) = self.live.get(&session).and_then(|live| live.worker.as_ref()) {
                    worker.close.send_replace(Some(CloseOrder { mode, grace }));
                }
            }
            EffectKind::Forget => {
                self.live.remove(&session);
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

    fn spawn(&mut self, id: &SessionId, spawn: Spawn) {
        let Some(session) = self.engine.session(id).cloned() else { return };
        let generation = spawn.generation;
        let (host, slot) = match self.host().and_then(|host| host.slot().map(|slot| (host, Arc::new(slot)))) {
            Ok(host) => host,
            Err(error) => {
                warn!(%error, "no session can be started");
                let kind = WorkerEventKind::SpawnFailed { message: error.message };
                let failed = WorkerEvent { session: id.clone(), generation, cursor: 0, kind };
                let events = self.events.clone();
                self.workers.spawn(async move {
                    let _ = events.send(Input::Worker(failed)).await;
                });
                return;
            }
        };
        let environment = worker::environment(&spawn, id);
        let (orders, order_queue) = mpsc::channel(limits::WORKER_QUEUE);
        let (close, close_orders) = watch::channel(None);
        let events = self.events.clone();
        let workers = self.workers.clone();
        let stopping = self.stopping.clone();
        let live = self.live_entry(&session);
        live.worker =
            Some(WorkerHandle { slot: Arc::clone(&slot), since: clock::now().moment, orders, close });
        let secrets = live.secrets.clone();
        let worker = worker::Worker::new(worker::Wiring {
            session: id.clone(),
            generation,
            host,
            slot,
            output: Arc::clone(&live.output),
            redactor: secrets,
            events,
            orders: order_queue,
            close: close_orders,
            stopping,
        });
        workers.spawn(worker.run(spawn, environment));
    }

    /// What all sessions share on this machine; set up with the first session.
    fn host(&mut self) -> Result<Arc<Host>> {
        if let Some(host) = &self.host {
            return Ok(Arc::clone(host));
        }
        let host = Arc::new(Host::set_up(&self.settings)?);
        self.host = Some(Arc::clone(&host));
        Ok(host)
    }
}
