//! What callers want to know: answered from the engine as it stands, after everything before it is
//! committed.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::Dispatcher;
use crate::clock::{self, Moment};
use crate::engine::report::{AgentView, Plan, Progress, RunView, TaskReport};
use crate::engine::request::{NewRun, TaskQuery};
use crate::error::{Error, ErrorCode, Result};
use crate::id::{CommandId, SessionId};
use crate::model::{Command, Event, Session, Workplace};
use crate::orchestrator::CommandWatch;
use crate::orchestrator::health::HealthReport;
use crate::orchestrator::output::Output;
use crate::orchestrator::secrets::Secrets;
use crate::orchestrator::worker::Order;

/// What a caller wants to know; answered after everything before it is committed.
#[derive(Debug)]
pub(in crate::orchestrator) enum Read {
    Sessions(oneshot::Sender<Vec<Session>>),
    Access(String, oneshot::Sender<Result<Access>>),
    Command(String, oneshot::Sender<Result<CommandWatch>>),
    Members(Vec<SessionId>, oneshot::Sender<Vec<Members>>),
    Runs(oneshot::Sender<watch::Receiver<u64>>),
    Bus(oneshot::Sender<watch::Receiver<u64>>),
    Agents(oneshot::Sender<Vec<AgentView>>),
    Run(String, oneshot::Sender<Result<RunView>>),
    Plan(Box<NewRun>, Workplace, oneshot::Sender<Result<Plan>>),
    Tasks(TaskQuery, usize, oneshot::Sender<Result<TaskReport>>),
    Progress(TaskQuery, usize, oneshot::Sender<Result<Progress>>),
    Health(Option<String>, oneshot::Sender<Result<HealthReport>>),
    Events { session: SessionId, since: u64, max: usize, reply: oneshot::Sender<Result<Vec<Event>>> },
}

/// The processes of a session's tree.
#[derive(Debug)]
pub(in crate::orchestrator) struct Members {
    pub(in crate::orchestrator) session: SessionId,
    /// Stands for the tree while it lives.
    pub(in crate::orchestrator) slot: u64,
    pub(in crate::orchestrator) pids: Vec<u32>,
    /// When its shell started.
    pub(in crate::orchestrator) since: Moment,
}

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
            Read::Members(sessions, reply) => {
                let _ = reply.send(self.members(&sessions));
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
            Read::Run(selector, reply) => {
                let _ = reply.send(self.engine.run_view(&selector));
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
            Read::Health(selector, reply) => {
                let _ = reply.send(self.health(clock::now(), selector.as_deref()));
            }
            Read::Events { session, since, max, reply } => {
                let _ = reply.send(self.store.events(&session, since, max));
            }
        }
    }

    pub(super) fn members(&self, sessions: &[SessionId]) -> Vec<Members> {
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
        let live = self.live_entry(&session);
        Ok(Access {
            watch: live.watch.subscribe(),
            output: Arc::clone(&live.output),
            secrets: live.secrets.clone(),
            queued,
            orders: live.worker.as_ref().map(|worker| worker.orders.clone()),
            last_command,
            session,
        })
    }
}
