//! Recoveries and circuits, as callers see them.

use std::time::Duration;

use super::dispatcher::Read;
use super::{Orchestrator, sessions};
use crate::clock;
use crate::engine::report::{CircuitView, RecoveryReport};
use crate::engine::request::{Evidence, RecoveryRequest};
use crate::engine::{Reply, Request};
use crate::error::{Error, ErrorCode, Result};

impl Orchestrator {
    /// Puts a session back in order and waits for the outcome, at most `wait`; a report without one is of a
    /// recovery that goes on. That it did not work is no error.
    pub async fn recover(&self, mut request: RecoveryRequest, wait: Duration) -> Result<RecoveryReport> {
        let access = self.access(&request.selector).await?;
        let is_stopped = sessions::look(&access).await.is_some_and(|look| look.is_stopped);
        request.evidence = Evidence { is_stopped, ..request.evidence };
        let mut changes = self.read(Read::Recoveries).await?;
        let Reply::Recovery(mut report) = self.change(Request::Recover(request)).await?.reply else {
            return Err(Error::new(ErrorCode::Internal, "a recovery was answered with something else"));
        };
        let id = report.session.clone();
        let until = clock::instant(clock::now().moment.after(wait)).into();
        while report.recovered.is_none() {
            match tokio::time::timeout_at(until, changes.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(super::shutting_down()),
                Err(_) => break,
            }
            let now = self.read(|reply| Read::Recovery(id.clone(), reply)).await?;
            // A session that was forgotten meanwhile is not coming back.
            *report = now.unwrap_or_else(|| RecoveryReport { recovered: Some(false), ..(*report).clone() });
        }
        Ok(*report)
    }

    /// Circuits of which anything is known, or the one with this key, as it is.
    pub async fn circuits(&self, key: Option<String>) -> Result<Vec<CircuitView>> {
        self.read(|reply| Read::Circuits(key, reply)).await
    }

    /// Lets automatic attempts at a command line through again.
    pub async fn reset_circuit(&self, key: String) -> Result<()> {
        self.change(Request::ResetCircuit(key)).await.map(|_| ())
    }
}
