//! All sessions in figures.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use super::Orchestrator;
use super::health::{self, Finding};
use crate::clock::{self, Timestamp};
use crate::engine::request::TaskQuery;
use crate::error::Result;
use crate::id::SessionId;
use crate::model::{Session, SessionKind, Status};

/// Sessions that are known, ended ones included, in figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionStats {
    /// How many.
    pub total: usize,
    /// By what they are for.
    pub by_kind: BTreeMap<SessionKind, usize>,
    /// By where they stand.
    pub by_status: BTreeMap<Status, usize>,
    /// Live ones that are not stale, not being repaired and in no timeout.
    pub healthy: usize,
    /// Live ones in which something runs and nothing happens.
    pub stale: usize,
    /// Milliseconds since their creation, over the live ones.
    pub average_uptime_ms: u64,
    /// Bytes of their process trees, over the live ones.
    pub average_memory: u64,
    /// Tasks of runs that are over.
    pub processed_tasks: usize,
    /// Attempts at bringing sessions back, resets included.
    pub recovery_attempts: u64,
    /// Recoveries that went well.
    pub recovered: u64,
    /// The share of the commands that failed, from 0 to 1.
    pub failure_rate: f64,
}

impl Orchestrator {
    /// All sessions in figures.
    pub async fn session_stats(&self) -> Result<SessionStats> {
        let sessions = self.sessions().await?;
        let live: Vec<SessionId> =
            sessions.iter().filter(|session| session.status.is_live()).map(|s| s.id.clone()).collect();
        let usage = self.usage(&live).await?;
        let report = self.health(None).await?;
        let is_stale = |finding: &&Finding| finding.kind == health::STALE;
        let stale = report.findings.iter().filter(is_stale).filter_map(|finding| finding.session.as_ref());
        let tasks = self.progress(&TaskQuery::default(), 0).await?;
        let memory: u64 = usage.values().map(|usage| usage.memory).sum();
        Ok(SessionStats {
            average_memory: memory.checked_div(usage.len() as u64).unwrap_or(0),
            processed_tasks: tasks.overall.counts.over(),
            ..figures(clock::now().wall, &sessions, &stale.collect())
        })
    }
}

/// What the records tell, and which of them are stale.
fn figures(now: Timestamp, sessions: &[Session], stale: &HashSet<&SessionId>) -> SessionStats {
    let mut stats = SessionStats { total: sessions.len(), ..SessionStats::default() };
    let (mut live, mut uptime, mut executed, mut failed) = (0, Duration::ZERO, 0, 0);
    for session in sessions {
        *stats.by_kind.entry(session.kind).or_default() += 1;
        *stats.by_status.entry(session.status).or_default() += 1;
        executed += session.commands_executed;
        failed += session.commands_failed;
        stats.recovery_attempts += u64::from(session.retry_count);
        stats.recovered += u64::from(session.recoveries);
        let is_ailing = session.stopped || matches!(session.status, Status::Recovering | Status::Timeout);
        if session.status.is_live() {
            live += 1;
            uptime += now.since(session.created_at);
            if stale.contains(&session.id) {
                stats.stale += 1;
            } else if !is_ailing {
                stats.healthy += 1;
            }
        }
    }
    let average = uptime.checked_div(live).unwrap_or_default();
    stats.average_uptime_ms = u64::try_from(average.as_millis()).unwrap_or(u64::MAX);
    #[expect(clippy::cast_precision_loss, reason = "a share of counts far below 2^52")]
    let rate = if executed == 0 { 0.0 } else { failed as f64 / executed as f64 };
    stats.failure_rate = rate;
    stats
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixtures;

    #[test]
    fn figures_are_those_of_the_records() {
        let now = Timestamp(1_000_000);
        let one = |status: Status, age_ms: i64| Session {
            status,
            created_at: Timestamp(now.0 - age_ms),
            commands_executed: 4,
            commands_failed: 1,
            retry_count: 0,
            ..fixtures::session("a")
        };
        let sessions = [
            one(Status::Idle, 400_000),
            Session { id: SessionId::from_text("ses_stale"), ..one(Status::Active, 800_000) },
            one(Status::Active, 600_000),
            Session { retry_count: 2, recoveries: 1, ..one(Status::Timeout, 600_000) },
            Session { retry_count: 3, kind: SessionKind::Director, ..one(Status::Error, 9_000_000) },
        ];
        let stats = figures(now, &sessions, &HashSet::from([&sessions[1].id]));
        assert_eq!((stats.total, stats.healthy, stats.stale), (5, 2, 1));
        assert_eq!(stats.by_kind, [(SessionKind::Worker, 4), (SessionKind::Director, 1)].into());
        assert_eq!(stats.by_status[&Status::Active], 2);
        assert_eq!(stats.average_uptime_ms, 600_000, "over the live ones");
        assert_eq!((stats.recovery_attempts, stats.recovered), (5, 1));
        assert!((stats.failure_rate - 0.25).abs() < 1e-9);
        assert_eq!(figures(now, &[], &HashSet::new()), SessionStats::default());
    }
}
