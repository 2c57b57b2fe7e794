//! Health, as callers see it.

use std::sync::Arc;
use std::time::Duration;

use super::Orchestrator;
use super::dispatcher::Read;
use crate::clock::Timestamp;
pub use crate::engine::health::{Component, Finding, Health, STALE, Snapshot};
use crate::error::Result;

/// How things stand, and what is wrong.
#[derive(Clone, Debug)]
pub struct HealthReport {
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What was looked at.
    pub snapshot: Snapshot,
    /// Sessions with a shell.
    pub live: usize,
    /// Figures of the session that was asked about, or of the server.
    pub load: Load,
}

/// What the server, or a session, uses and has done.
#[derive(Clone, Debug)]
pub struct Load {
    /// Since its start.
    pub uptime: Duration,
    /// Resident bytes.
    pub memory_bytes: u64,
    /// Percent of one core since the last look.
    pub cpu: f64,
    /// The latest sign of use.
    pub last_activity: Option<Timestamp>,
    /// Requests that wait for the server, or commands that wait in the session.
    pub queue: usize,
    /// Commands that ended, and how many of them failed.
    pub commands: (u64, u64),
}

impl Orchestrator {
    /// A running command without output and without CPU for this long is stale.
    pub fn stale_after(&self) -> Duration {
        self.inner.settings.stale_after
    }

    /// Looks at everything, or at one session and what all depend on.
    pub async fn health(&self, selector: Option<&str>) -> Result<HealthReport> {
        let (census, _) = self.read(|reply| Read::Subjects(Vec::new(), reply)).await?;
        let trees = match census {
            Some(census) => census.trees().await,
            None => Arc::default(),
        };
        let selector = selector.map(str::to_owned);
        self.read(|reply| Read::Health(selector, trees, reply)).await?
    }
}
