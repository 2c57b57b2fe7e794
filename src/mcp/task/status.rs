//! `task_status`: shows tasks, and waits for them.

use std::fmt::Write;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Summary, Which, wait};
use crate::engine::report::TaskView;
use crate::engine::request::TaskQuery;
use crate::error::Result;
use crate::mcp::answer::{Answer, fitting, is_default};
use crate::mcp::arguments::typed;
use crate::mcp::call::Call;
use crate::mcp::schema::{self, Milliseconds};
use crate::mcp::tools::{Effect, Tool};
use crate::model::{TaskReason, TaskStatus};
use crate::orchestrator::OutputQuery;
use crate::orchestrator::tasks::TasksUntil;

/// Tasks of one answer. More would be only names.
const SHOWN: usize = 500;
/// Lines of output of a task that failed, and of any other.
const FAILED_LINES: usize = 30;
/// See [`FAILED_LINES`].
const OTHER_LINES: usize = 5;
/// A task's output takes at most so many tokens, however few tasks there are.
const OUTPUT_TOKENS: usize = 2_000;
/// Below this the output shows nothing that would help.
const LEAST_TOKENS: usize = 20;

pub(crate) const TOOL: Tool = Tool {
    name: "task_status",
    title: "Follow tasks",
    description: "Shows tasks with status (queued, running, completed, failed), reason, detail, exitCode and the end of \
        their output, and a summary. Without arguments: all. With wait it blocks until all are terminal, or with until \
        \"change\" until one changes, or the time is over. An unknown id is failed with reason not_found. All output of a \
        task: session_output with its sessionId and commandId.",
    effect: Effect::Reads,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Status>,
    later: &[],
    run: |call, arguments| Box::pin(async move { status(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    #[serde(flatten)]
    which: Which,
    session_id: Option<String>,
    /// ms
    wait: Option<Milliseconds>,
    #[serde(default)]
    until: Until,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Until {
    #[default]
    Terminal,
    Change,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Status {
    tasks: Vec<Item>,
    summary: Summary,
    /// Tasks that did not fit: narrow the call by pattern or taskIds.
    #[serde(skip_serializing_if = "is_default")]
    omitted: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Item {
    id: String,
    #[serde(skip_serializing_if = "is_default")]
    run_id: String,
    status: &'static str,
    #[serde(skip_serializing_if = "is_default")]
    reason: &'static str,
    /// What a queued task waits for.
    #[serde(skip_serializing_if = "is_default")]
    detail: &'static str,
    #[serde(skip_serializing_if = "is_default")]
    session_id: String,
    #[serde(skip_serializing_if = "is_default")]
    command_id: String,
    #[serde(skip_serializing_if = "is_default")]
    attempt: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    /// The end of what it printed.
    #[serde(skip_serializing_if = "is_default")]
    output: String,
    #[serde(skip_serializing_if = "is_default")]
    error: String,
    /// Percent of what it took before; for running tasks.
    #[serde(skip_serializing_if = "is_default")]
    progress: u8,
    #[serde(skip_serializing_if = "is_default")]
    queued_at: String,
    #[serde(skip_serializing_if = "is_default")]
    started_at: String,
    #[serde(skip_serializing_if = "is_default")]
    completed_at: String,
}

fn item(view: &TaskView, output: String) -> Item {
    let told = |value: &Option<_>| value.as_ref().map_or_else(String::new, ToString::to_string);
    Item {
        id: view.id.clone(),
        run_id: view.run.as_ref().map_or_else(String::new, ToString::to_string),
        status: view.status.as_str(),
        reason: view.reason.map_or("", TaskReason::as_str),
        detail: view.detail.map_or("", crate::model::TaskDetail::as_str),
        session_id: view.session.as_ref().map_or_else(String::new, ToString::to_string),
        command_id: view.command.as_ref().map_or_else(String::new, ToString::to_string),
        attempt: view.attempt,
        exit_code: view.exit_code,
        output,
        error: error(view),
        progress: if view.status == TaskStatus::Running { view.progress } else { 0 },
        queued_at: told(&view.queued_at),
        started_at: told(&view.started_at),
        completed_at: told(&view.ended_at),
    }
}

/// Why a task failed, in a sentence.
fn error(view: &TaskView) -> String {
    let root = view.because_of.as_deref().unwrap_or("another task");
    let attempts = if view.attempts > 1 { format!(" in attempt {}", view.attempt) } else { String::new() };
    match view.reason {
        _ if view.status != TaskStatus::Failed => String::new(),
        Some(TaskReason::ExitCode) => {
            view.exit_code.map_or_else(String::new, |code| format!("exited with code {code}{attempts}"))
        }
        Some(TaskReason::Timeout) => format!("outlived its timeout{attempts}"),
        Some(TaskReason::DependencyFailed) => format!("never ran: {root} failed"),
        Some(TaskReason::Cancelled) if view.because_of.is_some() => {
            format!("cancelled because {root} failed")
        }
        Some(TaskReason::Cancelled) => "cancelled".to_owned(),
        Some(TaskReason::SessionLost) => format!("its session was lost{attempts}"),
        Some(TaskReason::MemoryLimit) => format!("passed its memory limit{attempts}"),
        Some(TaskReason::CpuLimit) => format!("passed its limit of CPU time{attempts}"),
        Some(TaskReason::ServerRestart) => "the server ended while it ran".to_owned(),
        Some(TaskReason::NotFound) => "no task has this id".to_owned(),
        Some(TaskReason::NotNeeded) | None => String::new(),
    }
}

/// The end of what a task printed, within so many tokens.
async fn output(call: &Call, view: &TaskView, tokens: usize) -> String {
    let (Some(session), Some(command)) = (&view.session, &view.command) else { return String::new() };
    if tokens < LEAST_TOKENS {
        return String::new();
    }
    let lines = if view.status == TaskStatus::Failed { FAILED_LINES } else { OTHER_LINES };
    let query = OutputQuery {
        command: Some(command.clone()),
        tail_lines: Some(lines),
        budget_tokens: tokens.min(OUTPUT_TOKENS),
        ..OutputQuery::default()
    };
    // What is gone from the logs is gone; the task's state is still worth telling.
    call.orchestrator.output(session, query).await.map(|excerpt| excerpt.text).unwrap_or_default()
}

async fn status(call: &Call, arguments: Arguments) -> Result<Answer> {
    let Which { task_ids, run_id, pattern } = arguments.which;
    let query = TaskQuery { tasks: task_ids, run: run_id, pattern, session: arguments.session_id };
    let asked: Duration = arguments.wait.map_or(Duration::ZERO, Into::into);
    if !asked.is_zero() {
        let until = match arguments.until {
            Until::Terminal => TasksUntil::Over,
            Until::Change => TasksUntil::Changed,
        };
        wait(call, &query, until, call.longest_wait(Some(asked))).await?;
    }
    let report = call.orchestrator.tasks(&query, SHOWN).await?;
    let printing = report.tasks.iter().filter(|view| view.command.is_some()).count().max(1);
    let mut room = call.room();
    loop {
        let mut items = Vec::with_capacity(report.tasks.len());
        // Half for the tasks themselves; a failure needs more to be told than a success.
        let share = room.tokens / 2 / printing;
        for view in &report.tasks {
            items.push(item(view, output(call, view, share).await));
        }
        let shown = fitting(&items, room.tokens);
        items.truncate(shown);
        let status = Status {
            omitted: report.counts.total() - items.len(),
            tasks: items,
            summary: report.counts.into(),
        };
        let answer = Answer::new(text(&status), &status)?;
        if room.holds(&answer) {
            return Ok(answer);
        }
    }
}

fn text(status: &Status) -> String {
    let mut text = status.summary.text();
    for item in &status.tasks {
        let _ = write!(text, "\n{}  {}", item.id, item.status);
        for more in [item.reason, item.detail, &item.error, &item.session_id] {
            if !more.is_empty() {
                let _ = write!(text, "  {more}");
            }
        }
        for line in item.output.lines() {
            let _ = write!(text, "\n    {line}");
        }
    }
    if status.omitted > 0 {
        let _ = write!(text, "\n({} tasks left out: narrow the call by pattern or taskIds)", status.omitted);
    }
    text
}
