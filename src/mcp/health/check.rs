//! `health_check`: what is wrong, and what to do about it.

use std::fmt::Write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::mcp::answer::{Answer, is_default};
use crate::mcp::arguments::typed;
use crate::mcp::call::Call;
use crate::mcp::schema;
use crate::mcp::session::list::{megabytes, rounded};
use crate::mcp::tool::{Effect, Tool};
use crate::orchestrator::health::{Component, Finding, Health, HealthReport};

/// What health there is, on the wire.
const STATUSES: [&str; 3] = ["healthy", "degraded", "critical"];

pub(crate) const TOOL: Tool = Tool {
    name: "health_check",
    title: "Check the health",
    description: "Looks at sessions (hung, stopped, in error), tasks, machine, store and disk, or with sessionId at one \
        session, and returns status and issues, each with a recommendation. detailed adds figures.",
    effect: Effect::Reads,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<View>,
    run: |call, arguments| Box::pin(async move { check(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    session_id: Option<String>,
    #[serde(default)]
    detailed: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct View {
    #[schemars(extend("enum" = STATUSES))]
    status: &'static str,
    #[serde(skip_serializing_if = "is_default")]
    issues: Vec<Issue>,
    /// Issues that did not fit.
    #[serde(skip_serializing_if = "is_default")]
    omitted_issues: usize,
    components: Components,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
}

#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Issue {
    component: &'static str,
    #[schemars(extend("enum" = ["degraded", "critical"]))]
    severity: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    recommendation: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Components {
    sessions: &'static str,
    tasks: &'static str,
    performance: &'static str,
    store: &'static str,
}

/// Of the session that was asked about, or of the server; the last seven of the server in any case.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Details {
    /// Milliseconds.
    uptime: u64,
    /// MB.
    memory_usage: f64,
    /// Percent of one core since the last check.
    cpu_usage: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_activity: Option<String>,
    /// Requests that wait for the server, or commands that wait in the session.
    message_queue: usize,
    /// Percent of the commands that failed.
    error_rate: f64,
    live_sessions: usize,
    queued_tasks: usize,
    running_tasks: usize,
    /// Percent of all processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    machine_cpu: Option<f64>,
    /// Percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    machine_memory: Option<f64>,
    /// MB.
    store_size: f64,
    /// MB.
    #[serde(skip_serializing_if = "Option::is_none")]
    disk_free: Option<f64>,
}

async fn check(call: &Call, arguments: Arguments) -> Result<Answer> {
    let report = call.orchestrator.health(arguments.session_id.as_deref()).await?;
    let mut shown = report.findings.len();
    let mut room = call.room();
    loop {
        let view = view(&report, shown, arguments.detailed);
        let answer = Answer::new(text(&view), &view)?;
        if room.holds(&answer) || shown == 0 {
            return Ok(answer);
        }
        shown /= 2;
    }
}

fn issue(finding: &Finding) -> Issue {
    Issue {
        component: finding.component.as_str(),
        severity: finding.health.as_str(),
        message: finding.message.clone(),
        session_id: finding.session.as_ref().map(ToString::to_string),
        recommendation: finding.recommendation.clone(),
    }
}

/// The worst first.
fn view(report: &HealthReport, shown: usize, detailed: bool) -> View {
    let mut findings: Vec<&Finding> = report.findings.iter().collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.health));
    let [sessions, tasks, performance, store] = Component::ALL.map(|component| {
        Health::of(report.findings.iter().filter(|finding| finding.component == component)).as_str()
    });
    View {
        status: Health::of(&report.findings).as_str(),
        issues: findings.iter().take(shown).map(|finding| issue(finding)).collect(),
        omitted_issues: findings.len().saturating_sub(shown),
        components: Components { sessions, tasks, performance, store },
        details: detailed.then(|| details(report)),
    }
}

fn details(report: &HealthReport) -> Details {
    let HealthReport { snapshot, load, .. } = report;
    let (ended, failed) = load.commands;
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let error_rate = failed as f64 * 100.0 / ended.max(1) as f64;
    Details {
        uptime: u64::try_from(load.uptime.as_millis()).unwrap_or(u64::MAX),
        memory_usage: megabytes(load.memory_bytes),
        cpu_usage: rounded(load.cpu),
        last_activity: load.last_activity.map(|at| at.to_string()),
        message_queue: load.queue,
        error_rate: rounded(error_rate),
        live_sessions: report.live,
        queued_tasks: snapshot.tasks.queued,
        running_tasks: snapshot.tasks.running,
        machine_cpu: snapshot.machine.and_then(|machine| machine.cpu).map(rounded),
        machine_memory: snapshot.machine.map(|machine| rounded(machine.memory)),
        store_size: megabytes(snapshot.store.bytes),
        disk_free: snapshot.store.space.map(|(free, _)| megabytes(free)),
    }
}

fn text(view: &View) -> String {
    let mut text = view.status.to_owned();
    for issue in &view.issues {
        let Issue { component, severity, message, recommendation, .. } = issue;
        let _ = write!(text, "\n{severity} ({component}): {message}; {recommendation}");
    }
    if view.omitted_issues > 0 {
        let _ = write!(text, "\n{} more", view.omitted_issues);
    }
    if let Some(details) = &view.details
        && let Ok(details) = serde_json::to_string(details)
    {
        let _ = write!(text, "\n{details}");
    }
    text
}
