//! What callers want to know of tasks: which ones fit a query, where they stand, how far all of them are.

use super::report::{Overall, Progress, RunStatus, RunView, TaskReport, TaskView};
use super::request::TaskQuery;
use super::schedule::{Chain, RunEntry, RunKey, TaskKey};
use super::{Engine, tasks};
use crate::clock::Now;
use crate::error::Result;
use crate::id::SessionId;
use crate::model::{TaskReason, TaskStatus, glob};

/// What a query found.
pub(super) struct Selection {
    pub(super) found: Vec<TaskKey>,
    /// Ids that were named and are unknown.
    pub(super) unknown: Vec<String>,
}

impl Engine {
    /// The tasks that a query fits, in the order in which they were named or accepted. Of tasks with the
    /// same id only the latest counts, unless a run is named.
    pub(super) fn select(&self, query: &TaskQuery) -> Result<Selection> {
        let run = query.run.as_deref().map(|run| self.resolve_run(run)).transpose()?;
        let mut unknown = Vec::new();
        let mut found = Vec::new();
        if query.tasks.is_empty() {
            for (key, entry) in self.schedule.runs().filter(|(key, _)| run.is_none_or(|run| run == *key)) {
                found.extend((0_u32..).zip(entry.tasks.iter()).filter_map(|(number, task)| {
                    let is_latest = || self.schedule.latest(&task.id) == Some((key, number));
                    (run.is_some() || is_latest()).then_some((key, number))
                }));
            }
        }
        for id in &query.tasks {
            let latest = self.schedule.latest(id);
            let named = match run {
                // Only what a later run has too must be looked for.
                Some(key) if latest.is_none_or(|(latest, _)| latest != key) => {
                    self.schedule.run(key).and_then(|entry| entry.number(id)).map(|number| (key, number))
                }
                Some(_) | None => latest,
            };
            match named {
                Some(task) => found.push(task),
                None => unknown.push(id.clone()),
            }
        }
        let session =
            query.session.as_deref().map(|selector| self.session_of_tasks(selector, &found)).transpose()?;
        found.retain(|&(key, number)| {
            let Some(entry) = self.schedule.run(key) else { return false };
            let fits = |pattern: &str| glob::matches(pattern, &entry.tasks[number as usize].id);
            query.pattern.as_deref().is_none_or(fits)
                && session
                    .as_ref()
                    .is_none_or(|session| entry.state(number).session.as_ref() == Some(session))
        });
        Ok(Selection { found, unknown })
    }

    /// The session that a caller names. Tasks may remember one that is forgotten elsewhere.
    fn session_of_tasks(&self, selector: &str, tasks: &[TaskKey]) -> Result<SessionId> {
        self.resolve(selector).or_else(|unknown| {
            let named = SessionId::from_text(selector.trim());
            let remembers = |&(key, number): &TaskKey| {
                self.schedule
                    .run(key)
                    .is_some_and(|entry| entry.state(number).session.as_ref() == Some(&named))
            };
            if tasks.iter().any(remembers) { Ok(named) } else { Err(unknown) }
        })
    }

    /// The tasks that a query fits, the first `most` of them in full. An id that nobody knows is a failed
    /// task with the reason `not_found`.
    pub fn report(&self, now: Now, query: &TaskQuery, most: usize) -> Result<TaskReport> {
        let Selection { found, unknown } = self.select(query)?;
        let mut report = TaskReport { unknown: unknown.len(), ..TaskReport::default() };
        for &(key, number) in &found {
            if let Some(entry) = self.schedule.run(key) {
                *report.counts.of(entry.state(number).status) += 1;
            }
        }
        report.counts.failed += unknown.len();
        let known = found.into_iter().filter_map(|task| self.task_view(now, task));
        report.tasks = known.chain(unknown.into_iter().map(not_found)).take(most).collect();
        Ok(report)
    }

    fn task_view(&self, now: Now, (key, number): TaskKey) -> Option<TaskView> {
        let entry = self.schedule.run(key)?;
        let task = &entry.tasks[number as usize];
        let state = entry.state(number);
        Some(TaskView {
            id: task.id.clone(),
            run: Some(entry.run.id.clone()),
            status: state.status,
            reason: state.reason,
            // Only a task that could start costs a look at the sessions.
            detail: entry.detail(number, || self.starved(entry, number)),
            because_of: state.because_of.map(|root| entry.tasks[root as usize].id.clone()),
            session: state.session.clone(),
            command: state.command.clone(),
            attempt: state.attempt,
            attempts: task.retries.map_or(1, |retries| retries.max.saturating_add(1)),
            exit_code: state.exit_code,
            progress: entry.task_percent(now.wall, number),
            queued_at: Some(entry.run.created_at),
            started_at: state.started_at,
            ended_at: state.ended_at,
        })
    }

    /// How far the tasks are that a query fits; the lists are as long as `most` allows.
    pub fn progress(&self, now: Now, query: &TaskQuery, most: usize) -> Result<Progress> {
        let mut found = self.select(query)?.found;
        found.sort_unstable();
        let mut progress = Progress::default();
        let mut percentages = Weighted::default();
        let mut longest: Option<(RunKey, Chain)> = None;
        for of_run in found.chunk_by(|a, b| a.0 == b.0) {
            let Some((key, _)) = of_run.first() else { continue };
            let Some(entry) = self.schedule.run(*key) else { continue };
            let numbers: Vec<u32> = of_run.iter().map(|(_, number)| *number).collect();
            let path = entry.add_progress(now.wall, &numbers, &mut progress);
            if longest.as_ref().is_none_or(|(_, than)| path.length() > than.length()) {
                longest = Some((*key, path));
            }
            for &number in &numbers {
                percentages.add(entry.tasks[number as usize].weight, entry.state(number).status);
            }
        }
        let overall = &mut progress.overall;
        overall.percentage = percentages.percent();
        overall.status = self.status_of(overall, &found);
        progress.by_session.truncate(most);
        if most == 0 {
            return Ok(progress);
        }
        if let Some((key, path)) = longest
            && let Some(entry) = self.schedule.run(key)
        {
            let ids = path.numbers.iter().map(|&number| entry.tasks[number as usize].id.clone());
            progress.critical_path = ids.take(most).collect();
        }
        let begun = found.into_iter().filter_map(|task| self.task_view(now, task));
        progress.timeline = begun.filter(|view| view.started_at.is_some()).collect();
        progress.timeline.sort_by_key(|view| view.started_at);
        progress.timeline.truncate(most);
        Ok(progress)
    }

    fn status_of(&self, overall: &Overall, tasks: &[TaskKey]) -> RunStatus {
        let mut runs = tasks.iter().map(|(key, _)| *key).collect::<Vec<_>>();
        runs.dedup();
        let is_paused = |key: &RunKey| self.schedule.run(*key).is_some_and(|entry| entry.run.paused);
        super::schedule::status(overall.counts, !runs.is_empty() && runs.iter().all(is_paused))
    }

    /// The run with this id, as it is.
    pub fn run_view(&self, selector: &str) -> Result<RunView> {
        let key = self.resolve_run(selector)?;
        self.schedule.run(key).map(RunEntry::view).ok_or_else(|| tasks::unknown(selector))
    }

    /// Every run in memory, oldest first.
    pub fn run_views(&self) -> impl Iterator<Item = RunView> {
        self.schedule.runs().map(|(_, entry)| entry.view())
    }
}

fn not_found(id: String) -> TaskView {
    TaskView {
        id,
        run: None,
        status: TaskStatus::Failed,
        reason: Some(TaskReason::NotFound),
        detail: None,
        because_of: None,
        session: None,
        command: None,
        attempt: 0,
        attempts: 0,
        exit_code: None,
        progress: None,
        queued_at: None,
        started_at: None,
        ended_at: None,
    }
}

/// The share of a weight that is over.
#[derive(Default)]
struct Weighted {
    over: u64,
    all: u64,
}

impl Weighted {
    fn add(&mut self, weight: u32, status: TaskStatus) {
        self.all += u64::from(weight);
        if status.is_terminal() {
            self.over += u64::from(weight);
        }
    }

    /// In tenths that are cut off, not rounded: 100 stands for the end alone.
    fn percent(&self) -> f64 {
        if self.all == 0 {
            return 0.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "a number from 0 to 1000")]
        let tenths = (u128::from(self.over) * 1_000 / u128::from(self.all)) as f64;
        tenths / 10.0
    }
}
