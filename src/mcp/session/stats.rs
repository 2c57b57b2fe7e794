//! `session_stats`: all sessions in figures.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kind_word;
use crate::error::Result;
use crate::mcp::answer::{Answer, spoken};
use crate::mcp::arguments::typed;
use crate::mcp::call::Call;
use crate::mcp::schema;
use crate::mcp::tool::{Effect, Tool};
use crate::orchestrator::stats::SessionStats;

pub(crate) const TOOL: Tool = Tool {
    name: "session_stats",
    title: "Sum up sessions",
    description: "Sums up all sessions, ended ones too: counts by type and status, how many live ones are healthy or \
        stale (a command runs and prints nothing for 5 min), averages, recovery, and the share of commands that failed.",
    effect: Effect::Reads,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Stats>,
    run: |call, arguments| Box::pin(async move { stats(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Stats {
    total_sessions: usize,
    by_type: BTreeMap<&'static str, usize>,
    by_status: BTreeMap<&'static str, usize>,
    healthy_sessions: usize,
    stale_sessions: usize,
    /// Milliseconds, of live sessions.
    average_uptime: u64,
    /// MB, of live sessions with all that runs in them.
    average_memory: f64,
    /// Tasks that are over.
    total_processed_tasks: usize,
    recovery: Recovery,
    /// The share of the commands that failed, from 0 to 1.
    failure_rate: f64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Recovery {
    /// Fresh shells, those after a reset included.
    attempts: u64,
    /// Sessions that live again.
    succeeded: u64,
}

impl Stats {
    fn of(stats: &SessionStats) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "to a tenth of a MB")]
        let megabytes = stats.average_memory as f64 / f64::from(1 << 20);
        Self {
            total_sessions: stats.total,
            by_type: stats.by_kind.iter().map(|(kind, count)| (kind_word(*kind), *count)).collect(),
            by_status: stats.by_status.iter().map(|(status, count)| (status.as_str(), *count)).collect(),
            healthy_sessions: stats.healthy,
            stale_sessions: stats.stale,
            average_uptime: stats.average_uptime_ms,
            average_memory: (megabytes * 10.0).round() / 10.0,
            total_processed_tasks: stats.processed_tasks,
            recovery: Recovery { attempts: stats.recovery_attempts, succeeded: stats.recovered },
            failure_rate: (stats.failure_rate * 1_000.0).round() / 1_000.0,
        }
    }

    fn text(&self) -> String {
        let counts = |counts: &BTreeMap<&str, usize>| {
            counts.iter().map(|(word, count)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
        };
        format!(
            "{} sessions ({}; {}): {} healthy, {} stale\nof live ones on average: up {}, {} MB\n{} tasks over, \
             {} attempts at recovery, {} went well, failure rate {}",
            self.total_sessions,
            counts(&self.by_type),
            counts(&self.by_status),
            self.healthy_sessions,
            self.stale_sessions,
            spoken(self.average_uptime),
            self.average_memory,
            self.total_processed_tasks,
            self.recovery.attempts,
            self.recovery.succeeded,
            self.failure_rate
        )
    }
}

async fn stats(call: &Call, Arguments {}: Arguments) -> Result<Answer> {
    let stats = Stats::of(&call.orchestrator.session_stats().await?);
    Answer::new(stats.text(), &stats)
}
