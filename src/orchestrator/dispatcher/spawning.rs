//! The start of workers, and of what all of them share.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tracing::warn;

use super::{Dispatcher, Input, WorkerHandle};
use crate::clock;
use crate::engine::{Spawn, WorkerEvent, WorkerEventKind};
use crate::error::Result;
use crate::id::SessionId;
use crate::limits;
use crate::model::FailureCategory;
use crate::orchestrator::host::Host;
use crate::orchestrator::worker;

impl Dispatcher {
    /// Starts a worker for a session.
    pub(super) fn spawn(&mut self, id: &SessionId, spawn: Spawn) {
        let Some(session) = self.engine.session(id).cloned() else { return };
        let generation = spawn.generation;
        let (host, slot) = match self.host().and_then(|host| host.slot().map(|slot| (host, Arc::new(slot)))) {
            Ok(host) => host,
            Err(error) => {
                warn!(%error, "no session can be started");
                let kind = WorkerEventKind::SpawnFailed {
                    message: error.message,
                    category: FailureCategory::SpawnFailed,
                };
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
        let (started, has_started) = watch::channel(false);
        let events = self.events.clone();
        let workers = self.workers.clone();
        let stopping = self.stopping.clone();
        let live = self.live_entry(&session);
        live.worker = Some(WorkerHandle {
            slot: Arc::clone(&slot),
            has_started,
            since: clock::now().moment,
            orders,
            close,
        });
        let (secrets, exports) = (live.secrets.clone(), live.exports.clone());
        let worker = worker::Worker::new(worker::Wiring {
            session: id.clone(),
            generation,
            host,
            slot,
            output: Arc::clone(&live.output),
            secrets,
            exports,
            events,
            orders: order_queue,
            close: close_orders,
            started,
            stopping,
        });
        workers.spawn(worker.run(spawn, environment));
        self.sample_soon(clock::now().moment);
        self.watch_health(clock::now().moment);
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
