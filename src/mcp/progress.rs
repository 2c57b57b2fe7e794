//! `progress_aggregate`: how far tasks have come, all together.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, fitting, is_default, spoken};
use super::arguments::typed;
use super::call::Call;
use super::schema;
use super::tools::{Effect, Tool};
use crate::engine::report::{Overall, Progress, SessionProgress, TaskView};
use crate::engine::request::TaskQuery;
use crate::error::Result;

/// Entries of each list.
const SHOWN: usize = 500;

pub(crate) const TOOL: Tool = Tool {
    name: "progress_aggregate",
    title: "Progress of tasks",
    description: "How far tasks have come: percentage (100 only when all are over), counts, etaMs and throughput (tasks \
        per second). detailed adds sessions, the critical path (what decides when it is over) and a timeline. \
        Tasks are chosen by pattern (a glob over ids), runId and sessionId; without: all.",
    effect: Effect::Reads,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Aggregate>,
    later: &[],
    run: |call, arguments| Box::pin(async move { aggregate(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    /// e.g. build-*
    pattern: Option<String>,
    run_id: Option<String>,
    session_id: Option<String>,
    #[serde(default)]
    format: Format,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Summary,
    Detailed,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Aggregate {
    overall: OverallView,
    by_status: ByStatus,
    #[serde(skip_serializing_if = "is_default")]
    by_session: Vec<SessionView>,
    /// Of what is not over; when all is, of what took longest.
    #[serde(skip_serializing_if = "is_default")]
    critical_path: Vec<String>,
    /// Tasks in the order in which they began.
    #[serde(skip_serializing_if = "is_default")]
    timeline: Vec<Span>,
    /// Entries of these lists that did not fit.
    #[serde(skip_serializing_if = "is_default")]
    omitted: usize,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct OverallView {
    percentage: f64,
    completed: usize,
    failed: usize,
    running: usize,
    queued: usize,
    total: usize,
    status: &'static str,
    elapsed_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    eta_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    throughput: Option<f64>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ByStatus {
    queued: usize,
    running: usize,
    completed: usize,
    failed: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct SessionView {
    session_id: String,
    #[serde(skip_serializing_if = "is_default")]
    completed: usize,
    #[serde(skip_serializing_if = "is_default")]
    failed: usize,
    /// The task that runs there.
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Span {
    task_id: String,
    status: &'static str,
    #[serde(skip_serializing_if = "is_default")]
    session_id: String,
    started_at: String,
    #[serde(skip_serializing_if = "is_default")]
    completed_at: String,
}

fn overall(of: &Overall) -> OverallView {
    OverallView {
        percentage: of.percentage,
        completed: of.counts.completed,
        failed: of.counts.failed,
        running: of.counts.running,
        queued: of.counts.queued,
        total: of.counts.total(),
        status: of.status.as_str(),
        elapsed_ms: of.elapsed_ms,
        eta_ms: of.eta_ms,
        throughput: of.throughput.map(|rate| (rate * 100.0).round() / 100.0),
    }
}

fn of_session(of: &SessionProgress) -> SessionView {
    SessionView {
        session_id: of.session.to_string(),
        completed: of.counts.completed,
        failed: of.counts.failed,
        current: of.current.clone(),
    }
}

fn span(view: &TaskView) -> Span {
    Span {
        task_id: view.id.clone(),
        status: view.status.as_str(),
        session_id: view.session.as_ref().map_or_else(String::new, ToString::to_string),
        started_at: view.started_at.map_or_else(String::new, |at| at.to_string()),
        completed_at: view.ended_at.map_or_else(String::new, |at| at.to_string()),
    }
}

/// How far tasks have come, in a line.
pub(crate) fn line(of: &Overall) -> String {
    let counts = of.counts;
    let mut line = format!("{}/{} done, {} running", counts.over(), counts.total(), counts.running);
    if counts.failed > 0 {
        line = format!("{line}, {} failed", counts.failed);
    }
    match of.eta_ms {
        Some(eta) => format!("{line}, {} to go", spoken(eta)),
        None => line,
    }
}

async fn aggregate(call: &Call, arguments: Arguments) -> Result<Answer> {
    let query = TaskQuery {
        tasks: Vec::new(),
        run: arguments.run_id,
        pattern: arguments.pattern,
        session: arguments.session_id,
    };
    let is_detailed = arguments.format == Format::Detailed;
    let progress = call.orchestrator.progress(&query, if is_detailed { SHOWN } else { 0 }).await?;
    let Progress { by_session, critical_path, timeline, overall: of } = &progress;
    let sessions: Vec<SessionView> = by_session.iter().map(of_session).collect();
    let spans: Vec<Span> = timeline.iter().map(span).collect();
    let mut room = call.room();
    loop {
        let shown_sessions = &sessions[..fitting(&sessions, room.tokens / 4)];
        let shown_path = &critical_path[..fitting(critical_path, room.tokens / 4)];
        let shown_spans = &spans[..fitting(&spans, room.tokens / 2)];
        let omitted = sessions.len() + critical_path.len() + spans.len()
            - shown_sessions.len()
            - shown_path.len()
            - shown_spans.len();
        let aggregate = Aggregate {
            overall: overall(of),
            by_status: ByStatus {
                queued: of.counts.queued,
                running: of.counts.running,
                completed: of.counts.completed,
                failed: of.counts.failed,
            },
            by_session: shown_sessions.to_vec(),
            critical_path: shown_path.to_vec(),
            timeline: shown_spans.to_vec(),
            omitted,
        };
        let mut text = format!("{} %: {} ({})", of.percentage, line(of), of.status.as_str());
        if !shown_path.is_empty() {
            text = format!("{text}\ncritical path: {}", shown_path.join(" → "));
        }
        let answer = Answer::new(text, &aggregate)?;
        if room.holds(&answer) {
            return Ok(answer);
        }
    }
}
