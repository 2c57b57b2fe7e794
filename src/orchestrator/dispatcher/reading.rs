//! What callers want to know: answered from the engine as it stands, after everything before it is
//! committed.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::{Dispatcher, Ground};
use crate::clock::{self, Timestamp};
use crate::engine::report::{
    AgentView, CircuitView, Plan, PoolView, Progress, RecoveryReport, RunView, TaskReport,
};
use crate::engine::request::{NewRun, TaskQuery};
use crate::engine::{Defaults, Ended, Tuning};
use crate::error::{Error, ErrorCode, Result};
use crate::id::{CommandId, SessionId, SnapshotId};
use crate::limits;
use crate::model::{Agent, Command, Event, Session, Snapshot, Template, Webhook, Workplace};
use crate::orchestrator::CommandWatch;
use crate::orchestrator::census::{Census, Subject, Trees};
use crate::orchestrator::health::HealthReport;
use crate::orchestrator::output::Output;
use crate::orchestrator::secrets::Secrets;
use crate::orchestrator::worker::Order;
use crate::store::Stretch;

/// What a caller wants to know; answered after everything before it is committed.
#[derive(Debug)]
pub(in crate::orchestrator) enum Read {
    Sessions(oneshot::Sender<Vec<Session>>),
    Access(String, oneshot::Sender<Result<Access>>),
    Command(String, oneshot::Sender<Result<CommandWatch>>),
    /// The last run before this one of the same line in its session.
    EarlierRun(CommandId, oneshot::Sender<Option<Command>>),
    /// Those of these sessions that have a shell, and how to look at its processes.
    Subjects(Vec<SessionId>, oneshot::Sender<(Option<Arc<Census>>, Vec<Subject>)>),
    /// What there is to look at, with how fast the sessions begin commands, and what ended since then.
    Ground(Timestamp, oneshot::Sender<(Ground, Responses, EndedBy)>),
    /// Changes defaults, which last as long as the server: nothing is committed. Answered with those of
    /// before and those of now.
    Tune(Tuning, oneshot::Sender<Result<(Defaults, Defaults)>>),
    /// The commands that began to outlive their timeout since then.
    Timeouts(Timestamp, oneshot::Sender<usize>),
    Runs(oneshot::Sender<watch::Receiver<u64>>),
    Bus(oneshot::Sender<watch::Receiver<u64>>),
    Agents(oneshot::Sender<Vec<AgentView>>),
    AgentsOf(SessionId, oneshot::Sender<Vec<Agent>>),
    Agent(String, oneshot::Sender<Result<AgentView>>),
    Pools(oneshot::Sender<Vec<PoolView>>),
    Recoveries(oneshot::Sender<watch::Receiver<u64>>),
    Recovery(SessionId, oneshot::Sender<Option<RecoveryReport>>),
    Circuits(Option<String>, oneshot::Sender<Vec<CircuitView>>),
    Run(String, oneshot::Sender<Result<RunView>>),
    RunViews(oneshot::Sender<Vec<RunView>>),
    Plan(Box<NewRun>, Workplace, oneshot::Sender<Result<Plan>>),
    Tasks(TaskQuery, usize, oneshot::Sender<Result<TaskReport>>),
    Progress(TaskQuery, usize, oneshot::Sender<Result<Progress>>),
    History(u64, oneshot::Sender<Result<Stretch>>),
    Webhooks(oneshot::Sender<Result<Vec<Webhook>>>),
    Templates(oneshot::Sender<Result<Vec<Template>>>),
    Snapshot(SnapshotId, oneshot::Sender<Result<Option<Snapshot>>>),
    HistoryBegin(oneshot::Sender<u64>),
    HistoryGrows(oneshot::Sender<watch::Receiver<u64>>),
    Health(Option<String>, Arc<Trees>, oneshot::Sender<Result<HealthReport>>),
    Events {
        session: SessionId,
        since: u64,
        max: usize,
        reply: oneshot::Sender<Result<Vec<Event>>>,
    },
}

/// How long each session takes to begin a command, in milliseconds.
pub(in crate::orchestrator) type Responses = HashMap<SessionId, f64>;
/// What ended in each session.
pub(in crate::orchestrator) type EndedBy = HashMap<SessionId, Ended>;

/// A session with the ways to reach it.
#[derive(Clone, Debug)]
pub(in crate::orchestrator) struct Access {
    pub(in crate::orchestrator) session: Session,
    pub(in crate::orchestrator) watch: watch::Receiver<Session>,
    pub(in crate::orchestrator) output: Arc<Output>,
    pub(in crate::orchestrator) secrets: Secrets,
    pub(in crate::orchestrator) queued: usize,
    /// To its worker, while there is one.
    pub(in crate::orchestrator) orders: Option<mpsc::Sender<Order>>,
    pub(in crate::orchestrator) last_command: Option<Command>,
    /// Waits for its next try.
    pub(in crate::orchestrator) between_tries: Option<CommandId>,
}

impl Dispatcher {
    pub(super) fn read(&mut self, read: Read) {
        match read {
            Read::Sessions(reply) => {
                let sessions = self.engine.sessions().map(|session| self.current(session)).collect();
                let _ = reply.send(sessions);
            }
            Read::Access(selector, reply) => {
                let found = self.engine.resolve(&selector).map_err(|error| self.told_error(error));
                let _ = reply.send(found.and_then(|id| self.access(&id)));
            }
            Read::Command(selector, reply) => {
                let _ = reply.send(self.find_command(&selector));
            }
            Read::EarlierRun(id, reply) => {
                let earlier = self.engine.earlier_run(&id);
                let _ = reply.send(earlier.map(|command| self.told_command(command)));
            }
            Read::Subjects(sessions, reply) => {
                let census = self.host.as_ref().map(|host| Arc::clone(host.census()));
                let _ = reply.send((census, self.subjects(&sessions)));
            }
            Read::Ground(since, reply) => {
                let _ = reply.send((self.ground(), self.engine.responses(), self.engine.ended_since(since)));
            }
            Read::Tune(tuning, reply) => {
                let tuned = self.engine.tune(tuning);
                let _ = reply.send(tuned.map(|previous| (previous, self.engine.defaults().clone())));
            }
            Read::Timeouts(since, reply) => {
                let _ = reply.send(self.engine.timeouts(since));
            }
            Read::Runs(reply) => {
                let _ = reply.send(self.runs.subscribe());
            }
            Read::Bus(reply) => {
                let _ = reply.send(self.bus.subscribe());
            }
            Read::Agents(reply) => {
                let _ = reply.send(self.engine.agents().collect());
            }
            Read::AgentsOf(session, reply) => {
                let _ = reply.send(self.engine.agents_of(&session));
            }
            Read::Agent(id, reply) => {
                let _ = reply.send(self.engine.agent(&id));
            }
            Read::Pools(reply) => {
                let _ = reply.send(self.engine.pools().collect());
            }
            Read::Recoveries(reply) => {
                let _ = reply.send(self.recoveries.subscribe());
            }
            Read::Recovery(session, reply) => {
                let report = self.engine.recovery(&session);
                let _ = reply.send(report.map(|report| self.told_report(report)));
            }
            Read::Circuits(key, reply) => {
                let mut circuits = self.engine.circuits(clock::now(), key.as_deref());
                for circuit in &mut circuits {
                    self.blot_of_all(&mut circuit.key);
                }
                let _ = reply.send(circuits);
            }
            Read::Run(selector, reply) => {
                let _ = reply.send(self.engine.run_view(&selector));
            }
            Read::RunViews(reply) => {
                let _ = reply.send(self.engine.run_views().collect());
            }
            Read::Plan(new, workplace, reply) => {
                let _ = reply.send(self.engine.plan(clock::now(), *new, workplace));
            }
            Read::Tasks(query, most, reply) => {
                let _ = reply.send(self.engine.report(clock::now(), &query, most));
            }
            Read::Progress(query, most, reply) => {
                let _ = reply.send(self.engine.progress(clock::now(), &query, most));
            }
            Read::Health(selector, trees, reply) => {
                let _ = reply.send(self.health(clock::now(), selector.as_deref(), &trees));
            }
            Read::History(since, reply) => {
                let _ = reply.send(self.store.history(since, limits::EVENTS_AT_ONCE));
            }
            Read::Webhooks(reply) => {
                let _ = reply.send(self.store.webhooks());
            }
            Read::Templates(reply) => {
                let _ = reply.send(self.store.templates());
            }
            Read::Snapshot(id, reply) => {
                let _ = reply.send(self.store.snapshot(&id));
            }
            Read::HistoryBegin(reply) => {
                let _ = reply.send(self.history_begin);
            }
            Read::HistoryGrows(reply) => {
                let _ = reply.send(self.history.subscribe());
            }
            Read::Events { session, since, max, reply } => {
                let _ = reply.send(self.store.events(&session, since, max));
            }
        }
    }

    pub(super) fn subjects(&self, sessions: &[SessionId]) -> Vec<Subject> {
        let subject = |id: &SessionId| {
            let worker = self.live.get(id)?.worker.as_ref()?;
            Some(Subject { session: id.clone(), slot: worker.slot.number(), since: worker.since })
        };
        sessions.iter().filter_map(subject).collect()
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
    pub(super) fn current(&self, session: &Session) -> Session {
        let mut session = self.secrets(&session.id).session(session.clone());
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
        let last_command = session.last_command.as_ref().and_then(|id| self.engine.command(id));
        let last_command = last_command.map(|command| self.told_command(command));
        let between_tries = self.engine.between_tries(id).cloned();
        let live = self.live_entry(&session);
        Ok(Access {
            watch: live.watch.subscribe(),
            output: Arc::clone(&live.output),
            secrets: live.secrets.clone(),
            queued,
            orders: live.worker.as_ref().map(|worker| worker.orders.clone()),
            last_command,
            between_tries,
            session,
        })
    }
}
