//! Following sessions and runs without asking each time.

use tokio::sync::watch;

use super::Orchestrator;
use super::dispatcher::Read;
use crate::engine::report::RunView;
use crate::error::Result;
use crate::model::Session;

/// A session as it changes. Both channels close when it is removed.
#[derive(Debug)]
pub struct SessionWatch {
    /// The cursor behind the last byte of output.
    pub output: watch::Receiver<u64>,
    /// The record.
    pub session: watch::Receiver<Session>,
}

impl Orchestrator {
    /// Whether anything was asked for yet. Before, nothing on disk is touched.
    pub fn has_begun(&self) -> bool {
        self.inner.begun.is_cancelled()
    }

    /// The session that a selector names now, from here on.
    pub async fn watch_session(&self, selector: &str) -> Result<SessionWatch> {
        let access = self.access(selector).await?;
        Ok(SessionWatch { output: access.output.subscribe(), session: access.watch })
    }

    /// Changes whenever a task of any run does.
    pub async fn watch_runs(&self) -> Result<watch::Receiver<u64>> {
        self.read(Read::Runs).await
    }

    /// Every run in memory, oldest first.
    pub async fn runs(&self) -> Result<Vec<RunView>> {
        self.read(Read::RunViews).await
    }
}
