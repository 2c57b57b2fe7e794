//! `progress_aggregate`: how far tasks are, all together.

use std::fmt::Write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, fitting, is_default, spoken};
use super::arguments::typed;
use super::call::{Call, standing};
use super::schema;
use super::task::control::STATUSES;
use super::task::status_words;
use super::tool::{Effect, Tool};
use crate::engine::report::{self, SessionProgress, TaskView};
use crate::engine::request::TaskQuery;
use crate::error::Result;
use crate::limits;

pub(crate) const TOOL: Tool = Tool {
    name: "progress_aggregate",
    title: "Show progress of tasks",
    description: "Shows how far tasks are, by pattern (a glob over ids, like build-*), runId or sessionId, all together \
        when none is given: percentage (100 only when all are over), counts, elapsedMs, etaMs and throughput (tasks \
        a second). format detailed adds bySession, byStatus, the critical path and a timeline.",
    effect: Effect::Reads,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Aggregate>,
    run: |call, arguments| Box::pin(async move { aggregate(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    pattern: Option<String>,
    run_id: Option<String>,
    session_id: Option<String>,
    #[serde(default)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Summary,
    Detailed,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Aggregate {
    overall: Overall,
    #[serde(skip_serializing_if = "Option::is_none")]
    by_session: Option<Vec<InSession>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by_status: Option<ByStatus>,
    /// Ids: of what is not over, the chain that takes longest.
    #[serde(skip_serializing_if = "Option::is_none")]
    critical_path: Option<Vec<String>>,
    /// In the order in which they began.
    #[serde(skip_serializing_if = "Option::is_none")]
    timeline: Option<Vec<Attempt>>,
    /// Items of these lists that did not fit.
    #[serde(skip_serializing_if = "is_default")]
    omitted: usize,
    #[serde(skip_serializing_if = "is_default")]
    hint: &'static str,
}

/// Nothing is no run that has yet to begin.
const NO_TASK: &str = "no task fits: task_status {} shows those there are";

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Overall {
    percentage: f64,
    completed: usize,
    failed: usize,
    running: usize,
    queued: usize,
    total: usize,
    #[schemars(extend("enum" = STATUSES))]
    status: &'static str,
    elapsed_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    eta_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    throughput: Option<f64>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct InSession {
    session_id: String,
    completed: usize,
    failed: usize,
    running: usize,
    queued: usize,
    /// The id of the task that runs there.
    #[serde(skip_serializing_if = "Option::is_none")]
    current_task: Option<String>,
}

#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
struct ByStatus {
    queued: usize,
    running: usize,
    completed: usize,
    failed: usize,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Attempt {
    task_id: String,
    #[schemars(extend("enum" = status_words()))]
    status: &'static str,
    #[serde(skip_serializing_if = "is_default")]
    session_id: String,
    #[serde(skip_serializing_if = "is_default")]
    started_at: String,
    #[serde(skip_serializing_if = "is_default")]
    completed_at: String,
}

impl Overall {
    fn of(overall: &report::Overall) -> Self {
        let counts = overall.counts;
        Self {
            percentage: overall.percentage,
            completed: counts.completed,
            failed: counts.failed,
            running: counts.running,
            queued: counts.queued,
            total: counts.total(),
            status: overall.status.as_str(),
            elapsed_ms: overall.elapsed_ms,
            eta_ms: overall.eta_ms,
            throughput: overall.throughput.map(|rate| (rate * 100.0).round() / 100.0),
        }
    }
}

impl InSession {
    fn of(progress: &SessionProgress) -> Self {
        let counts = progress.counts;
        Self {
            session_id: progress.session.to_string(),
            completed: counts.completed,
            failed: counts.failed,
            running: counts.running,
            queued: counts.queued,
            current_task: progress.current.clone(),
        }
    }
}

impl Attempt {
    fn of(view: &TaskView) -> Self {
        let text = |value: Option<String>| value.unwrap_or_default();
        Self {
            task_id: view.id.clone(),
            status: view.status.as_str(),
            session_id: text(view.session.as_ref().map(ToString::to_string)),
            started_at: text(view.started_at.map(|at| at.to_string())),
            completed_at: text(view.ended_at.map(|at| at.to_string())),
        }
    }
}

async fn aggregate(call: &Call, arguments: Arguments) -> Result<Answer> {
    let query = TaskQuery {
        tasks: Vec::new(),
        run: arguments.run_id,
        pattern: arguments.pattern,
        session: arguments.session_id,
    };
    let most = if arguments.format == Format::Detailed { limits::TASKS } else { 0 };
    answer(call, &call.orchestrator.progress(&query, most).await?, arguments.format)
}

fn answer(call: &Call, progress: &report::Progress, format: Format) -> Result<Answer> {
    let counts = progress.overall.counts;
    let mut room = call.room();
    // Every item takes some tokens: no more than these can fit.
    let most = room.tokens;
    let sessions: Vec<InSession> = progress.by_session.iter().take(most).map(InSession::of).collect();
    let timeline: Vec<Attempt> = progress.timeline.iter().take(most).map(Attempt::of).collect();
    loop {
        let mut aggregate = Aggregate {
            overall: Overall::of(&progress.overall),
            by_session: None,
            by_status: None,
            critical_path: None,
            timeline: None,
            omitted: 0,
            hint: if counts.total() == 0 { NO_TASK } else { "" },
        };
        if format == Format::Detailed {
            let path = fitting(&progress.critical_path, room.tokens / 4);
            let by_session = fitting(&sessions, room.tokens / 4);
            let begun = fitting(&timeline, room.tokens / 2);
            let all = progress.critical_path.len() + progress.by_session.len() + progress.timeline.len();
            aggregate.omitted = all - path - by_session - begun;
            aggregate.critical_path = Some(progress.critical_path[..path].to_vec());
            aggregate.by_session = Some(sessions[..by_session].to_vec());
            aggregate.timeline = Some(timeline[..begun].to_vec());
            aggregate.by_status = Some(ByStatus {
                queued: counts.queued,
                running: counts.running,
                completed: counts.completed,
                failed: counts.failed,
            });
        }
        let answer = Answer::new(aggregate.text(&standing(counts)), &aggregate)?;
        if room.holds(&answer) {
            return Ok(answer);
        }
    }
}

impl Aggregate {
    fn text(&self, standing: &str) -> String {
        let overall = &self.overall;
        let mut text = format!(
            "{} %, {}: {standing}, {} queued, {} so far",
            overall.percentage,
            overall.status,
            overall.queued,
            spoken(overall.elapsed_ms)
        );
        if let Some(eta) = overall.eta_ms {
            let _ = write!(text, ", about {} left", spoken(eta));
        }
        if let Some(rate) = overall.throughput {
            let _ = write!(text, ", {rate} tasks/s");
        }
        if let Some(path) = self.critical_path.as_ref().filter(|path| !path.is_empty()) {
            let _ = write!(text, "\ncritical path: {}", path.join(" → "));
        }
        for of in self.by_session.iter().flatten() {
            let _ = write!(
                text,
                "\nsession {}: {} completed, {} failed, {} running",
                of.session_id, of.completed, of.failed, of.running
            );
            if let Some(task) = &of.current_task {
                let _ = write!(text, " ({task})");
            }
        }
        for attempt in self.timeline.iter().flatten() {
            let _ = write!(
                text,
                "\n{} – {}  {} {} {}",
                attempt.started_at, attempt.completed_at, attempt.task_id, attempt.status, attempt.session_id
            );
        }
        if !self.hint.is_empty() {
            let _ = write!(text, "\n({})", self.hint);
        }
        if self.omitted > 0 {
            let _ = write!(text, "\n({} items left out: ask for one run or a pattern)", self.omitted);
        }
        text
    }
}
