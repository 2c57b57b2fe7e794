//! The end of the server: departments before their directors, and within a bound.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tracing::warn;

use super::{Dispatcher, Input};
use crate::clock;
use crate::engine::request::CloseMode;
use crate::engine::{Request, Step};
use crate::id::SessionId;
use crate::limits;
use crate::model::SessionKind;
use crate::orchestrator::host::Host;
use crate::pty::brand::Slot;

/// The processes of sessions by when their turn to end comes.
#[derive(Default)]
struct Turns {
    first: Vec<Arc<Slot>>,
    /// Of the first, but still reading their start-up files.
    starting: Vec<Arc<Slot>>,
    /// Tell when a shell has read its start-up files, or is gone.
    started: Vec<watch::Receiver<bool>>,
    has_directors: bool,
}

impl Dispatcher {
    /// Ends every session: a polite signal, then SIGKILL to what is left. Runs and pools are left to the next
    /// server as a killed one would leave them.
    pub(super) async fn shut_down(&mut self, inputs: &mut mpsc::Receiver<Input>) {
        self.stopping.cancel();
        self.engine.freeze();
        let mut step = Step::default();
        let open: Vec<SessionId> =
            self.engine.sessions().filter(|session| session.status.is_live()).map(|s| s.id.clone()).collect();
        let close = Request::Close {
            sessions: open,
            mode: CloseMode::Emergency,
            grace: None,
            reason: Some("the server shut down".to_owned()),
        };
        if let Err(error) = self.engine.request(clock::now(), close, &mut step) {
            warn!(%error, "shutting down all the same");
        }
        // The workers are not told: their processes end under them.
        step.effects.clear();
        let _ = self.finish(step);
        let (host, turns) = (self.host.clone(), self.turns());
        self.workers.close();
        let workers = self.workers.clone();
        let ending = async {
            if let Some(host) = host {
                turns.end(&host).await;
            }
            let _ = timeout(limits::SHUTDOWN / 2, workers.wait()).await;
        };
        tokio::pin!(ending);
        loop {
            tokio::select! {
                biased;
                Some(input) = inputs.recv() => {
                    if let Some(done) = self.take(&mut vec![input]) {
                        let _ = done.send(());
                    }
                }
                () = &mut ending => break,
            }
        }
        self.host = None;
        inputs.close();
        let mut rest = Vec::new();
        while let Ok(input) = inputs.try_recv() {
            rest.push(input);
        }
        self.take(&mut rest);
    }

    fn turns(&self) -> Turns {
        let mut turns = Turns::default();
        for (id, live) in &self.live {
            let Some(worker) = &live.worker else { continue };
            let is_starting = !*worker.has_started.borrow();
            if is_starting {
                turns.started.push(worker.has_started.clone());
            }
            if self.engine.session(id).is_some_and(|session| session.kind == SessionKind::Director) {
                turns.has_directors = true;
            } else if is_starting {
                turns.starting.push(Arc::clone(&worker.slot));
            } else {
                turns.first.push(Arc::clone(&worker.slot));
            }
        }
        turns
    }
}

impl Turns {
    /// Ends everything, one after the other where that matters. Takes half of [`limits::SHUTDOWN`], and up to
    /// [`limits::START_GRACE`] more for shells that start.
    async fn end(self, host: &Host) {
        let mut grace = limits::SHUTDOWN / 2;
        if self.has_directors || !self.started.is_empty() {
            grace /= 2;
            host.end(&self.first, grace).await;
            let started = self.started.into_iter().map(|mut started| async move {
                let _ = started.wait_for(|has_started| *has_started).await;
            });
            let _ = timeout(limits::START_GRACE, futures_util::future::join_all(started)).await;
        }
        if self.has_directors && !self.starting.is_empty() {
            host.end(&self.starting, grace).await;
        }
        host.end_everything(grace).await;
    }
}
