//! Runs and tasks, as callers see them.

use std::time::Duration;

use uuid::Uuid;

use super::Orchestrator;
use super::dispatcher::Read;
use crate::engine::report::{Accepted, Cancelled, Plan, Progress, RunView, TaskReport, TaskView};
use crate::engine::request::{CancelMode, NewRun, RunChange, TaskQuery};
use crate::engine::{Reply, Request};
use crate::error::{Error, ErrorCode, Result};
use crate::limits;
use crate::model::{Dialect, Workplace};
use crate::pty;

/// What ends a wait for tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TasksUntil {
    /// All of them are over.
    Over,
    /// Any of them has changed; or none can any more.
    Changed,
}

/// The shell of pooled sessions when the configured one is none whose commands have a known end.
const FALLBACK: &str = "/bin/sh";
/// Between two looks at tasks that change all the time.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

impl Orchestrator {
    /// Accepts a graph of tasks: committed, and begun where there is room.
    pub async fn distribute(&self, new: NewRun) -> Result<Accepted> {
        let workplace = self.workplace()?;
        self.accepted(Request::Distribute { uuid: Uuid::new_v4(), new: Box::new(new), workplace }).await
    }

    /// How a graph would be worked off. Refuses what [`Orchestrator::distribute`] would refuse.
    pub async fn plan(&self, new: NewRun) -> Result<Plan> {
        let workplace = self.workplace()?;
        self.read(|reply| Read::Plan(Box::new(new), workplace, reply)).await?
    }

    /// The tasks that fit a query, the first `most` of them in full.
    pub async fn tasks(&self, query: &TaskQuery, most: usize) -> Result<TaskReport> {
        self.read(|reply| Read::Tasks(query.clone(), most, reply)).await?
    }

    /// How far the tasks are that fit a query; lists are as long as `most` allows.
    pub async fn progress(&self, query: &TaskQuery, most: usize) -> Result<Progress> {
        self.read(|reply| Read::Progress(query.clone(), most, reply)).await?
    }

    /// A run by its id or a unique prefix of it.
    pub async fn run(&self, selector: &str) -> Result<RunView> {
        self.read(|reply| Read::Run(selector.to_owned(), reply)).await?
    }

    /// Waits for the tasks that fit a query, at most `wait`. Returns whether it came to that.
    pub async fn wait_tasks(&self, query: &TaskQuery, until: TasksUntil, wait: Duration) -> Result<bool> {
        let mut changes = self.read(Read::Runs).await?;
        // Only a change shows in the tasks themselves.
        let most = match until {
            TasksUntil::Over => 0,
            TasksUntil::Changed => limits::TASKS,
        };
        let first = self.tasks(query, most).await?;
        if first.counts.over() == first.counts.total() {
            return Ok(true);
        }
        let come = async {
            loop {
                let now = self.tasks(query, most).await?;
                let is_come = match until {
                    TasksUntil::Over => now.counts.over() == now.counts.total(),
                    TasksUntil::Changed => {
                        !now.tasks.iter().map(standing).eq(first.tasks.iter().map(standing))
                    }
                };
                if is_come {
                    return Ok(true);
                }
                if changes.changed().await.is_err() {
                    return Ok(false);
                }
                // A run of short tasks changes thousands of times in a second.
                if now.counts.total() > limits::BATCH {
                    tokio::time::sleep(LOOK_PAUSE).await;
                }
            }
        };
        tokio::time::timeout(wait, come).await.unwrap_or(Ok(false))
    }

    /// Ends tasks. Those that run may take a moment: wait for them with [`Orchestrator::wait_tasks`].
    pub async fn cancel_tasks(&self, query: &TaskQuery, mode: CancelMode) -> Result<Cancelled> {
        let Reply::Cancelled(cancelled) =
            self.change(Request::CancelTasks { query: query.clone(), mode }).await?.reply
        else {
            return Err(mistaken());
        };
        Ok(cancelled)
    }

    /// Runs tasks that are over once more, in a run of their own.
    pub async fn retry_tasks(&self, query: &TaskQuery, only_failed: bool) -> Result<Accepted> {
        self.accepted(Request::RetryTasks { uuid: Uuid::new_v4(), query: query.clone(), only_failed }).await
    }

    /// Holds a run, lets it go on, or changes its slots or urgency.
    pub async fn control_run(&self, run: &str, change: RunChange) -> Result<RunView> {
        let Reply::RunView(view) =
            self.change(Request::ControlRun { run: run.to_owned(), change }).await?.reply
        else {
            return Err(mistaken());
        };
        Ok(*view)
    }

    async fn accepted(&self, request: Request) -> Result<Accepted> {
        let Reply::Run(accepted) = self.change(request).await?.reply else { return Err(mistaken()) };
        Ok(*accepted)
    }

    /// Where pooled sessions work.
    fn workplace(&self) -> Result<Workplace> {
        let configured = self.inner.settings.shell.clone();
        let wanted = configured.or_else(|| std::env::var("SHELL").ok());
        let mut shell = pty::shell::resolve(wanted.as_deref().unwrap_or(FALLBACK))?;
        let mut dialect = pty::shell::dialect_of(&shell);
        if dialect == Dialect::Plain {
            shell = pty::shell::resolve(FALLBACK)?;
            dialect = pty::shell::dialect_of(&shell);
        }
        Ok(Workplace { shell, dialect, directory: super::sessions::own_directory()? })
    }
}

/// What a caller takes for a change of a task.
fn standing(view: &TaskView) -> (&str, crate::model::TaskStatus, u32) {
    (&view.id, view.status, view.attempt)
}

fn mistaken() -> Error {
    Error::new(ErrorCode::Internal, "a change of tasks was answered with something else")
}
