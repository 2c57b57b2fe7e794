//! `task_status`: follows tasks.

use std::fmt::Write;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Summary, status_words};
use crate::engine::report::{TaskReport, TaskView};
use crate::engine::request::TaskQuery;
use crate::error::Result;
use crate::id::CommandId;
use crate::limits;
use crate::mcp::answer::{Answer, Saved, fitting, is_default, json_tokens};
use crate::mcp::arguments::typed;
use crate::mcp::call::{Call, Watched, standing};
use crate::mcp::command::parsed::{Parsed, parsed, recognised};
use crate::mcp::schema::{self, Condensing, Milliseconds};
use crate::mcp::tool::{Effect, Tool};
use crate::model::{TaskDetail, TaskReason, TaskStatus};
use crate::orchestrator::OutputQuery;
use crate::orchestrator::tasks::TasksUntil;
use crate::term::condense::Condense;
use crate::term::recognise::Recognition;
use crate::term::tokens::estimate_tokens;

/// Lines and estimated tokens of output that a failed task shows at most.
const FAILED_TAIL: (usize, usize) = (30, 800);
/// The same of any other task.
const TAIL: (usize, usize) = (5, 150);
/// How much more of what room there is a failed task gets.
const FAILED_WEIGHT: usize = 4;
/// What a task may take before its errors are told beside its output.
const PARSED_TOKENS: usize = 200;
/// Fewer tokens show no line worth reading.
const SMALLEST_TAIL: usize = 12;

pub(crate) const TOOL: Tool = Tool {
    name: "task_status",
    title: "Follow tasks",
    description: "Shows tasks by taskIds, runId, pattern (a glob over ids) or sessionId, all together when none is given: \
        status, why one failed (reason, error), what a queued one waits for (detail), and the last lines of output. \
        With wait it blocks until all are over, or with until:\"change\" until any has changed; without, it answers at \
        once. An unknown id is failed with reason not_found. A failed task is no error of this call. A list that is \
        cut gives a cursor: pass it as since.",
    effect: Effect::Reads,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Listing>,
    run: |call, arguments| Box::pin(async move { status(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    #[serde(default)]
    #[schemars(extend("x-items" = limits::TASKS))]
    task_ids: Vec<String>,
    run_id: Option<String>,
    pattern: Option<String>,
    session_id: Option<String>,
    /// List only these
    #[serde(default)]
    status: Vec<Word>,
    /// ms
    wait: Option<Milliseconds>,
    #[serde(default)]
    until: Until,
    /// A cursor
    #[serde(default)]
    since: usize,
    /// Instead of the last lines of output: what matters in all of it
    condense: Option<Condensing>,
}

#[derive(Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(transparent)]
struct Word(#[schemars(with = "String", extend("enum" = status_words()))] TaskStatus);

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Until {
    #[default]
    Terminal,
    Change,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Listing {
    tasks: Vec<Item>,
    /// Of all tasks that fit, listed or not.
    summary: Summary,
    /// Tasks at the end that did not fit.
    #[serde(skip_serializing_if = "is_default")]
    omitted_tasks: usize,
    /// Pass it as since to see them.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<usize>,
    #[serde(skip_serializing_if = "is_default")]
    hint: &'static str,
}

/// What to do about tasks that no session can do.
const NO_CAPABLE_SESSION: &str = "no session has what these tasks require: make one with session_create {capabilities} or give \
    one more with session_update or agent_register; or end them with task_cancel";

#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Item {
    id: String,
    /// Left out where the caller named it.
    #[serde(skip_serializing_if = "is_default")]
    run_id: String,
    #[schemars(extend("enum" = status_words()))]
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
    /// From the second on.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(skip_serializing_if = "is_default")]
    error: String,
    /// The last lines.
    #[serde(skip_serializing_if = "is_default")]
    output: String,
    #[serde(skip_serializing_if = "is_default")]
    omitted_lines: u64,
    #[serde(flatten)]
    condensed: Option<Saved>,
    /// Of a failed task.
    #[serde(skip_serializing_if = "Option::is_none")]
    parsed: Option<Parsed>,
    /// Percent of a running task's expected duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<u8>,
    #[serde(skip_serializing_if = "is_default")]
    queued_at: String,
    #[serde(skip_serializing_if = "is_default")]
    started_at: String,
    #[serde(skip_serializing_if = "is_default")]
    completed_at: String,
}

impl Item {
    fn of(view: &TaskView, names_run: bool) -> Self {
        let text = |value: Option<String>| value.unwrap_or_default();
        // Between two attempts it runs nowhere; the command of the last one still tells how that went.
        let has_place = view.status != TaskStatus::Queued;
        Self {
            id: view.id.clone(),
            run_id: text(view.run.as_ref().filter(|_| !names_run).map(ToString::to_string)),
            status: view.status.as_str(),
            reason: view.reason.map_or("", TaskReason::as_str),
            detail: view.detail.map_or("", |detail| detail.as_str()),
            session_id: text(view.session.as_ref().filter(|_| has_place).map(ToString::to_string)),
            command_id: text(view.command.as_ref().map(ToString::to_string)),
            attempt: Some(view.attempt).filter(|attempt| *attempt > 1),
            exit_code: view.exit_code,
            error: error(view),
            output: String::new(),
            omitted_lines: 0,
            condensed: None,
            parsed: None,
            progress: view.progress,
            queued_at: text(view.queued_at.map(|at| at.to_string())),
            started_at: text(view.started_at.filter(|_| has_place).map(|at| at.to_string())),
            completed_at: text(view.ended_at.map(|at| at.to_string())),
        }
    }

    fn line(&self) -> String {
        let mut line = format!("{} {}", self.id, self.status);
        for (name, value) in [("", self.reason), ("", self.detail), (": ", &self.error)] {
            if !value.is_empty() {
                let _ = write!(line, "{}{value}", if name.is_empty() { " " } else { name });
            }
        }
        let mut facts: Vec<String> = Vec::new();
        facts.extend(self.progress.map(|progress| format!("{progress} %")));
        facts.extend(self.attempt.map(|attempt| format!("attempt {attempt}")));
        let times =
            [("queued", &self.queued_at), ("started", &self.started_at), ("over", &self.completed_at)];
        let times = times.into_iter().filter(|(_, at)| !at.is_empty());
        facts.extend(
            [&self.run_id, &self.session_id, &self.command_id]
                .into_iter()
                .filter(|id| !id.is_empty())
                .cloned(),
        );
        facts.extend(self.parsed.as_ref().map(Parsed::fact));
        facts.extend(times.map(|(what, at)| format!("{what} {at}")));
        if !facts.is_empty() {
            let _ = write!(line, " [{}]", facts.join(" · "));
        }
        if self.omitted_lines > 0 {
            let place = if self.condensed.is_some() { "left out" } else { "before" };
            let _ = write!(line, "\n  ({} lines {place})", self.omitted_lines);
        }
        for output in self.output.lines() {
            let _ = write!(line, "\n  {output}");
        }
        line
    }
}

/// Why a task failed, in a sentence.
fn error(view: &TaskView) -> String {
    let Some(reason) = view.reason else { return String::new() };
    let attempts = if view.attempt > 1 { format!(" in attempt {}", view.attempt) } else { String::new() };
    match reason {
        TaskReason::ExitCode => match view.exit_code {
            Some(code) => format!("exit code {code}{attempts}"),
            None => format!("it ended without an exit code{attempts}"),
        },
        TaskReason::Timeout => format!("it outlived its timeout{attempts} and was ended"),
        TaskReason::DependencyFailed => match &view.because_of {
            Some(root) => format!("'{root}' failed before it; it never ran"),
            None => "a task before it failed; it never ran".to_owned(),
        },
        TaskReason::NotNeeded => String::new(),
        TaskReason::Cancelled => match &view.because_of {
            Some(root) => format!("cancelled because '{root}' failed"),
            None => "cancelled".to_owned(),
        },
        TaskReason::SessionLost => "its session is gone".to_owned(),
        TaskReason::MemoryLimit => "it passed its memory limit and was ended".to_owned(),
        TaskReason::CpuLimit => "it passed its limit of CPU time and was ended".to_owned(),
        TaskReason::ProcessLimit => "it passed its limit of processes and was ended".to_owned(),
        TaskReason::FileLimit => "it passed its limit of open files and was ended".to_owned(),
        TaskReason::ServerRestart => "the server ended while it ran; run it again with task_retry".to_owned(),
        TaskReason::NotFound => "no task has this id".to_owned(),
    }
}

async fn status(call: &Call, arguments: Arguments) -> Result<Answer> {
    let names_run = arguments.run_id.is_some();
    let query = TaskQuery {
        tasks: arguments.task_ids,
        run: arguments.run_id,
        pattern: arguments.pattern,
        session: arguments.session_id,
    };
    let wait = arguments.wait.map_or(Duration::ZERO, Into::into);
    if !wait.is_zero() {
        let until = match arguments.until {
            Until::Terminal => TasksUntil::Over,
            Until::Change => TasksUntil::Changed,
        };
        let come = call.orchestrator.wait_tasks(&query, until, call.longest_wait(Some(wait)));
        call.wait(come, Watched::Tasks(&query)).await?;
    }
    let mut report = call.orchestrator.tasks(&query, limits::TASKS).await?;
    let wanted =
        |view: &TaskView| arguments.status.is_empty() || arguments.status.contains(&Word(view.status));
    report.tasks.retain(wanted);
    report.tasks.drain(..arguments.since.min(report.tasks.len()));
    let condense = Condensing::or_when_cut(arguments.condense);
    answer(call, &report, arguments.since, names_run, condense).await
}

/// The tasks of a run for who can see no more than fits: those that failed, those that run, and the rest.
pub(crate) async fn of_run(call: &Call, run: &str) -> Result<Answer> {
    let query = TaskQuery { run: Some(run.to_owned()), ..TaskQuery::default() };
    let mut report = call.orchestrator.tasks(&query, limits::TASKS).await?;
    report.tasks.sort_by_key(|view| match view.status {
        TaskStatus::Failed => 0,
        TaskStatus::Running => 1,
        TaskStatus::Queued => 2,
        TaskStatus::Completed => 3,
    });
    answer(call, &report, 0, true, Condensing::or_when_cut(None)).await
}

async fn answer(
    call: &Call,
    report: &TaskReport,
    since: usize,
    names_run: bool,
    condense: Condense,
) -> Result<Answer> {
    // Every task takes some tokens: no more than these can fit.
    let most = report.tasks.len().min(call.room().tokens);
    let items: Vec<Item> = report.tasks[..most].iter().map(|view| Item::of(view, names_run)).collect();
    let mut room = call.room();
    loop {
        // What failed shows why, even where there are many tasks.
        let is_telling = |view: &&TaskView| view.status == TaskStatus::Failed && view.command.is_some();
        let kept = if report.tasks.iter().any(|view| is_telling(&view)) { room.tokens / 4 } else { 0 };
        let fits = fitting(&items, room.tokens - kept);
        let mut shown = items[..fits].to_vec();
        let used: usize = shown.iter().map(json_tokens).sum();
        let left = room.tokens.saturating_sub(used);
        add_output(call, &report.tasks, &mut shown, condense, left).await;
        let omitted_tasks = report.tasks.len() - fits;
        let mut text = standing(report.counts);
        for item in &shown {
            let _ = write!(text, "\n{}", item.line());
        }
        let is_starved = |view: &TaskView| view.detail == Some(TaskDetail::NoCapableSession);
        let hint = if report.tasks.iter().any(is_starved) { NO_CAPABLE_SESSION } else { "" };
        if !hint.is_empty() {
            let _ = write!(text, "\n({hint})");
        }
        let cursor = (omitted_tasks > 0).then_some(since + fits);
        if let Some(cursor) = cursor {
            let _ = write!(text, "\n({omitted_tasks} more tasks left out: pass since: {cursor}, or status)");
        }
        let listing = Listing { tasks: shown, summary: report.counts.into(), omitted_tasks, cursor, hint };
        let answer = Answer::new(text, &listing)?;
        if room.holds(&answer) {
            return Ok(answer);
        }
    }
}

/// Adds the last lines of each task's output, or what matters in all of it, within a budget of tokens.
async fn add_output(call: &Call, views: &[TaskView], items: &mut [Item], condense: Condense, budget: usize) {
    let weight = |view: &TaskView| match (&view.command, view.status) {
        (None, _) => 0,
        (Some(_), TaskStatus::Failed) => FAILED_WEIGHT,
        (Some(_), TaskStatus::Queued | TaskStatus::Running | TaskStatus::Completed) => 1,
    };
    let mut weights: usize = views.iter().zip(&*items).map(|(view, _)| weight(view)).sum();
    let mut left = budget;
    let is_condensed = matches!(condense, Condense::Auto | Condense::Aggressive);
    // What failed comes first: it passes on what it does not need.
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(weight(&views[index])));
    for index in order {
        let view = &views[index];
        let (Some(session), Some(command)) = (&view.session, &view.command) else { continue };
        let (lines, most) = if view.status == TaskStatus::Failed { FAILED_TAIL } else { TAIL };
        let share = (left * weight(view) / weights.max(1)).min(most);
        weights -= weight(view);
        if share < SMALLEST_TAIL {
            continue;
        }
        let found = match view.status {
            TaskStatus::Failed if share >= PARSED_TOKENS => recognised_by(call, command).await,
            TaskStatus::Queued | TaskStatus::Running | TaskStatus::Completed | TaskStatus::Failed => None,
        };
        let (parsed, share_left) = parsed(found.as_ref(), share);
        left -= share - share_left;
        items[index].parsed = parsed;
        let share = share_left;
        let query = OutputQuery {
            command: Some(command.clone()),
            tail_lines: (!is_condensed).then_some(lines),
            condense,
            budget_tokens: share,
            ..OutputQuery::default()
        };
        // Output that was dropped long ago is no reason to tell nothing of the task.
        let Ok(excerpt) = call.orchestrator.output(session, query).await else { continue };
        // A task that was ended leaves the line that the shell began for its prompt.
        if excerpt.text.trim().is_empty() {
            continue;
        }
        let tokens = estimate_tokens(&excerpt.text);
        if tokens <= share.max(SMALLEST_TAIL) * 2 {
            left = left.saturating_sub(tokens);
            let item = &mut items[index];
            let shown = excerpt.text.lines().count() as u64;
            item.output = excerpt.text;
            item.omitted_lines = match excerpt.condensed {
                Some(_) => excerpt.omitted_lines,
                None => excerpt.total_lines.saturating_sub(shown),
            };
            item.condensed = excerpt.condensed.map(Into::into);
        }
    }
}

/// What a known tool said in the output of a task; what is not there any more says nothing.
async fn recognised_by(call: &Call, command: &CommandId) -> Option<Recognition> {
    let watch = call.orchestrator.command(command.as_str()).await.ok()?;
    let command = watch.borrow().clone();
    recognised(call, &command).await.ok().flatten()
}
