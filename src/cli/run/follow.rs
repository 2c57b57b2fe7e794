//! Follows a run to its end, shows how it comes along, and ends it when a signal comes.

use std::collections::HashMap;
use std::time::Duration;

use super::progress::Screen;
use super::words::counted;
use crate::clock;
use crate::engine::report::{Overall, TaskView};
use crate::engine::request::{CancelMode, TaskQuery};
use crate::error::{ErrorCode, Result};
use crate::id::CommandId;
use crate::limits;
use crate::mcp::Signals;
use crate::model::{TaskReason, TaskStatus};
use crate::orchestrator::tasks::TasksUntil;
use crate::orchestrator::{Orchestrator, OutputQuery};

/// Between two looks, at least.
const LOOK_PAUSE: Duration = Duration::from_millis(100);
/// Looking at a hundred thousand tasks takes its time: at most one part in so many goes into it.
const LOOK_SHARE: u32 = 10;
/// Bytes of the end of a task's output in which its last line is looked for.
const LAST_LINE_BYTES: u64 = 4 << 10;

/// A run that is followed no longer.
pub(super) struct Followed {
    pub(super) tasks: Vec<TaskView>,
    pub(super) overall: Overall,
    pub(super) interruption: Option<Interruption>,
}

/// What a signal did.
pub(super) struct Interruption {
    /// Tasks that were cancelled.
    pub(super) cancelled: Vec<String>,
    /// Whether a second signal cut the end short.
    pub(super) is_abrupt: bool,
}

impl Followed {
    /// Tells of tasks that were killed by going down what became of them: nobody is left who would.
    pub(super) fn end_the_rest(&mut self) {
        let now = clock::now().wall;
        for task in self.tasks.iter_mut().filter(|task| !task.status.is_terminal()) {
            task.status = TaskStatus::Failed;
            task.reason = Some(TaskReason::Cancelled);
            task.detail = None;
            task.ended_at = Some(now);
        }
        let counts = &mut self.overall.counts;
        counts.failed += std::mem::take(&mut counts.queued) + std::mem::take(&mut counts.running);
    }
}

/// Follows a run until all of its tasks are over, or until a second signal.
pub(super) async fn follow(
    orchestrator: &Orchestrator,
    run: &str,
    signals: &mut Signals,
    screen: &mut Screen,
) -> Result<Followed> {
    let query = TaskQuery { run: Some(run.to_owned()), ..TaskQuery::default() };
    let mut looker = Looker { orchestrator, query: &query, last_lines: HashMap::new() };
    let mut interruption: Option<Interruption> = None;
    let is_over = orchestrator.wait_tasks(&query, TasksUntil::Over, limits::LONGEST);
    tokio::pin!(is_over);
    let mut pause = Duration::ZERO;
    loop {
        tokio::select! {
            biased;
            () = signals.any() => match &mut interruption {
                None => {
                    let cancelled = orchestrator.cancel_tasks(&query, CancelMode::Graceful).await?.tasks;
                    let what = counted(cancelled.len(), "task");
                    screen.note(&format!("cancelling {what}; press Ctrl-C again to kill at once"));
                    interruption = Some(Interruption { cancelled, is_abrupt: false });
                }
                Some(interruption) => {
                    interruption.is_abrupt = true;
                    break;
                }
            },
            over = &mut is_over => match over {
                Ok(true) => break,
                Ok(false) => is_over.set(orchestrator.wait_tasks(&query, TasksUntil::Over, limits::LONGEST)),
                Err(error) if error.code == ErrorCode::Overloaded => {
                    tokio::time::sleep(LOOK_PAUSE).await;
                    is_over.set(orchestrator.wait_tasks(&query, TasksUntil::Over, limits::LONGEST));
                }
                Err(error) => return Err(error),
            },
            () = tokio::time::sleep(pause) => {
                let begun = clock::now().moment;
                looker.look(screen).await?;
                let took = clock::now().moment.0.saturating_sub(begun.0);
                pause = LOOK_PAUSE.max(took * LOOK_SHARE);
            }
        }
    }
    let (tasks, overall) = looker.look(screen).await?;
    screen.clear();
    Ok(Followed { tasks, overall, interruption })
}

struct Looker<'a> {
    orchestrator: &'a Orchestrator,
    query: &'a TaskQuery,
    /// The end of a command's output at the last look, and its last line.
    last_lines: HashMap<CommandId, (u64, String)>,
}

impl Looker<'_> {
    async fn look(&mut self, screen: &mut Screen) -> Result<(Vec<TaskView>, Overall)> {
        let tasks = self.orchestrator.tasks(self.query, limits::TASKS).await?.tasks;
        let overall = self.orchestrator.progress(self.query, 0).await?.overall;
        let mut watched = Vec::new();
        for task in screen.watched(&tasks) {
            watched.push((task, self.last_line(task).await));
        }
        self.last_lines
            .retain(|command, _| watched.iter().any(|(task, _)| task.command.as_ref() == Some(command)));
        screen.update(&tasks, &overall, &watched);
        Ok((tasks, overall))
    }

    /// The last line of a task's output, or nothing while there is none.
    async fn last_line(&mut self, task: &TaskView) -> String {
        let (Some(session), Some(command)) = (&task.session, &task.command) else { return String::new() };
        let Ok(end) = self.orchestrator.raw_output(session, Some(command), None, 1).await else {
            return String::new();
        };
        let (from, to) = end.asked;
        if let Some((seen, line)) = self.last_lines.get(command)
            && *seen == to
        {
            return line.clone();
        }
        let query = OutputQuery {
            command: Some(command.clone()),
            since: Some(from.max(to.saturating_sub(LAST_LINE_BYTES))),
            tail_lines: Some(1),
            budget_tokens: 100,
            ..OutputQuery::default()
        };
        let excerpt = self.orchestrator.output(session, query).await;
        let line = excerpt.map(|excerpt| excerpt.text.trim().to_owned()).unwrap_or_default();
        // Where the output is ahead of the news of its beginning, there is no line yet though there will be.
        if !line.is_empty() {
            self.last_lines.insert(command.clone(), (to, line.clone()));
        }
        line
    }
}
