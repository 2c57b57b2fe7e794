//! The end of the server: everything at once, and within a bound.

use tokio::sync::mpsc;
use tracing::warn;

use super::{Dispatcher, Input};
use crate::clock;
use crate::engine::request::CloseMode;
use crate::engine::{Request, Step};
use crate::id::SessionId;
use crate::limits;

impl Dispatcher {
    /// Ends every session at once: a polite signal to all, then SIGKILL to what is left. Runs are left to the
    /// next server as a killed one would leave them.
    pub(super) async fn shut_down(&mut self, inputs: &mut mpsc::Receiver<Input>) {
        self.stopping.cancel();
        self.engine.freeze();
        let now = clock::now();
        let mut step = Step::default();
        let open: Vec<SessionId> =
            self.engine.sessions().filter(|session| session.status.is_live()).map(|s| s.id.clone()).collect();
        let close = Request::Close {
            sessions: open,
            mode: CloseMode::Emergency,
            grace: None,
            reason: Some("the server shut down".to_owned()),
        };
        if let Err(error) = self.engine.request(now, close, &mut step) {
            warn!(%error, "shutting down all the same");
        }
        // The workers are not told: their processes end under them.
        step.effects.clear();
        let _ = self.finish(step);
        let deadline = clock::instant(now.moment.after(limits::SHUTDOWN)).into();
        if let Some(host) = self.host.take() {
            host.end_everything(limits::SHUTDOWN / 2).await;
        }
        self.workers.close();
        let workers = self.workers.clone();
        loop {
            tokio::select! {
                biased;
                Some(input) = inputs.recv() => {
                    if let Some(done) = self.take(&mut vec![input]) {
                        let _ = done.send(());
                    }
                }
                () = workers.wait() => break,
                () = tokio::time::sleep_until(deadline) => break,
            }
        }
        inputs.close();
        let mut rest = Vec::new();
        while let Ok(input) = inputs.try_recv() {
            rest.push(input);
        }
        self.take(&mut rest);
    }
}
