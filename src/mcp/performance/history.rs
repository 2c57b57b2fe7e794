//! `performance_history`: what the machine, or a session, used.

use std::fmt::Write;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::limits;
use crate::mcp::answer::{Answer, is_default, spoken};
use crate::mcp::arguments::{refusal, typed};
use crate::mcp::call::{Call, Watched};
use crate::mcp::schema::{self, Period};
use crate::mcp::session::list::rounded;
use crate::mcp::tool::{Effect, Tool};
use crate::orchestrator::monitoring::{History, Past};

/// Estimated tokens of a point with everything in it: a guess to begin with, as what is too long is made
/// of longer steps.
const POINT_TOKENS: usize = 60;

pub(crate) const TOOL: Tool = Tool {
    name: "performance_history",
    title: "Show the load over time",
    description: "What the machine used over the last duration, or with sessionId one session (cpu in percent of a \
        core, memory in MB). Kept every 5 s for an hour, by the minute for a day, by 15 minutes for a month, and \
        only while there are sessions: gaps are gaps. resolution in the result is the step shown, longer than asked \
        where there is nothing finer or the points would not fit.",
    effect: Effect::Reads,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Report>,
    run: |call, arguments| Box::pin(async move { history(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    /// Default 1h, up to 31d
    duration: Option<Period>,
    /// Default 1m
    resolution: Option<Period>,
    session_id: Option<String>,
    /// Default: all
    #[serde(default)]
    metrics: Vec<Metric>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum Metric {
    Cpu,
    Memory,
    Sessions,
    Processes,
    Errors,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Report {
    data_points: Vec<Point>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<Figures>,
    /// Milliseconds.
    resolution: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Point {
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<f64>,
    /// Live ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    sessions: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    processes: Option<u32>,
    #[serde(skip_serializing_if = "is_default")]
    errors: Vec<Failures>,
}

/// Commands of a session that failed.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Failures {
    session_id: String,
    failed: u32,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Figures {
    #[serde(skip_serializing_if = "Option::is_none")]
    avg_cpu: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_cpu: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p95_cpu: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avg_memory: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_memory: Option<f64>,
    /// Of cpu.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["increasing", "decreasing", "stable"]))]
    trend: Option<&'static str>,
}

async fn history(call: &Call, arguments: Arguments) -> Result<Answer> {
    let of = |given: Option<Period>, default: Duration| given.map_or(default, Duration::from);
    let duration = of(arguments.duration, Duration::from_secs(3_600));
    let resolution = of(arguments.resolution, Duration::from_secs(60).min(duration));
    if duration.is_zero() {
        return Err(refusal("duration", "'duration' must be more than nothing, like \"1h\""));
    }
    if resolution < Duration::from_secs(1) || resolution > duration {
        return Err(refusal("resolution", "'resolution' must be from 1 s to 'duration', like \"1m\""));
    }
    let mut room = call.room();
    loop {
        let past = Past {
            session: arguments.session_id.clone(),
            duration,
            resolution,
            most: (room.tokens / POINT_TOKENS).clamp(1, limits::HISTORY_POINTS),
        };
        let history = call.wait(call.orchestrator.history(&past), Watched::Nothing).await?;
        let report = report(&history, &arguments);
        let answer = Answer::new(table(&report), &report)?;
        if room.holds(&answer) {
            return Ok(answer);
        }
    }
}

fn report(history: &History, arguments: &Arguments) -> Report {
    let wants = |metric| arguments.metrics.is_empty() || arguments.metrics.contains(&metric);
    let of_session = arguments.session_id.is_some();
    let points = history.points.iter().map(|sample| {
        let failures =
            history.failures.iter().filter(|failed| failed.at == sample.at && wants(Metric::Errors));
        let failures = failures.filter_map(|failed| {
            Some(Failures { session_id: failed.session.as_ref()?.to_string(), failed: failed.failed })
        });
        Point {
            timestamp: sample.at.to_string(),
            cpu: wants(Metric::Cpu).then(|| rounded(sample.cpu)),
            memory: wants(Metric::Memory).then(|| rounded(sample.memory)),
            sessions: (wants(Metric::Sessions) && !of_session).then_some(sample.members),
            processes: (wants(Metric::Processes) && of_session).then_some(sample.members),
            errors: failures.collect(),
        }
    });
    let of = |metric, figure| wants(metric).then(|| rounded(figure));
    let is_summed = wants(Metric::Cpu) || wants(Metric::Memory);
    let summary = history.summary.filter(|_| is_summed).map(|summary| Figures {
        avg_cpu: of(Metric::Cpu, summary.avg_cpu),
        max_cpu: of(Metric::Cpu, summary.max_cpu),
        p95_cpu: of(Metric::Cpu, summary.p95_cpu),
        avg_memory: of(Metric::Memory, summary.avg_memory),
        max_memory: of(Metric::Memory, summary.max_memory),
        trend: wants(Metric::Cpu).then(|| summary.trend.as_str()),
    });
    let resolution = u64::try_from(history.step.as_millis()).unwrap_or(u64::MAX);
    Report { data_points: points.collect(), summary, resolution }
}

fn table(report: &Report) -> String {
    let mut text = format!("{} points, one for {}", report.data_points.len(), spoken(report.resolution));
    if let Some(Figures { avg_cpu: Some(average), max_cpu: Some(most), p95_cpu: Some(p95), trend, .. }) =
        &report.summary
    {
        let trend = trend.unwrap_or_default();
        let _ =
            write!(text, "; cpu {average} % on average, {most} % at most, 95 in 100 below {p95} %, {trend}");
    }
    if let Some(Figures { avg_memory: Some(average), max_memory: Some(most), .. }) = &report.summary {
        let _ = write!(text, "; memory {average} on average, {most} at most");
    }
    for point in &report.data_points {
        let _ = write!(text, "\n{}", point.timestamp);
        for (name, figure) in [
            ("cpu", point.cpu),
            ("memory", point.memory),
            ("sessions", point.sessions.map(f64::from)),
            ("processes", point.processes.map(f64::from)),
        ] {
            if let Some(figure) = figure {
                let _ = write!(text, "  {name} {figure}");
            }
        }
        for failures in &point.errors {
            let _ = write!(text, "  {} failed in {}", failures.failed, failures.session_id);
        }
    }
    text
}
