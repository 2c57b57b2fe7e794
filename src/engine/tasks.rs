//! What callers ask for about tasks: accepting a graph, cancelling, trying again, holding a run.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;
use uuid::Uuid;

use super::placement::takes_tasks;
use super::report::{Accepted, Cancelled, Plan, RunView};
use super::request::{CancelMode, NewRun, RunChange, TaskQuery};
use super::schedule::{RunEntry, RunKey, TaskKey};
use super::tracking::Selection;
use super::{EffectKind, Engine, Step};
use crate::clock::Now;
use crate::error::{Error, ErrorCode, Result};
use crate::id::{RunId, SessionId};
use crate::limits;
use crate::model::{
    Condition, EndReason, Priority, Record, Run, RunResources, Strategy, Task, TaskState, TaskStatus,
    Workplace,
};

/// Above this, in percent, the machine counts as busy for a run that names no bound of its own.
const BUSY: f64 = 90.0;

impl Engine {
    /// Accepts a run, and starts what can start.
    pub(super) fn distribute(
        &mut self,
        now: Now,
        uuid: Uuid,
        new: NewRun,
        workplace: Workplace,
        step: &mut Step,
    ) -> Result<Accepted> {
        let entry = self.checked(now, uuid, new, workplace, |_| false)?;
        let id = entry.run.id.clone();
        let key = self.schedule.insert(entry);
        if let Some(entry) = self.schedule.run_mut(key) {
            entry.begin(now);
        }
        // Whatever kept shells from starting then may be mended.
        self.schedule.pool_failures = 0;
        self.schedule.is_due = true;
        step.run_records.insert(key);
        step.graphs.insert(key);
        self.note_run(now, key, step);
        self.dispatch(now, step);
        let entry = self.schedule.run(key).ok_or_else(|| unknown(id.as_str()))?;
        let distributed = (0_u32..).zip(entry.tasks.iter()).map(|(number, task)| {
            let state = entry.state(number);
            (task.id.clone(), state.session.clone(), state.status)
        });
        Ok(Accepted {
            run: id,
            distributed: distributed.collect(),
            queued: entry.counts().queued,
            estimated_completion: entry
                .estimated_ms()
                .map(|ms| crate::clock::Timestamp(now.wall.0.saturating_add_unsigned(ms))),
        })
    }

    /// How a run would be worked off, with every check that accepting it has.
    pub fn plan(&self, now: Now, new: NewRun, workplace: Workplace) -> Result<Plan> {
        // A program that works one file off starts what another left in the middle anew.
        let yields = |holder: &Run| self.defaults.attended && holder.attended && holder.paused;
        let entry = self.checked(now, Uuid::nil(), new, workplace, yields)?;
        Ok(entry.plan())
    }

    /// The run that would be accepted, if other runs that have its ids and do not yield allow that. Changes nothing.
    fn checked(
        &self,
        now: Now,
        uuid: Uuid,
        new: NewRun,
        workplace: Workplace,
        yields: impl Fn(&Run) -> bool,
    ) -> Result<RunEntry> {
        let given = new.tasks.len();
        if given == 0 {
            return Err(Error::invalid("'tasks' is empty: there is nothing to do"));
        }
        if given > limits::TASKS {
            return Err(Error::new(
                ErrorCode::LimitExceeded,
                format!("{given} tasks are more than the {} that one run may have", limits::TASKS),
            )
            .with_hint("cut the graph into several runs; nothing was accepted"));
        }
        let open = self.schedule.open_tasks();
        if self.schedule.active().count() >= limits::RUNS || open + given > limits::TASKS {
            return Err(Error::new(
                ErrorCode::Overloaded,
                format!("{} runs with {open} tasks are not over yet", self.schedule.active().count()),
            )
            .with_hint("wait for them with task_status, or end some with task_cancel"));
        }
        for task in &new.tasks {
            self.check_id(task, &yields)?;
        }
        let mut sessions: Vec<SessionId> = Vec::new();
        for selector in &new.sessions {
            let session = self.place_for_tasks(selector)?;
            if !sessions.contains(&session) {
                sessions.push(session);
            }
        }
        let mut tasks = new.tasks;
        for task in &mut tasks {
            // A run may have 100,000 of them, for a month.
            task.dependencies.shrink_to_fit();
            task.requirements.shrink_to_fit();
            if let Some(selector) = &task.session {
                task.session = Some(self.place_for_tasks(selector.as_str())?);
            }
        }
        let mut resources = new.resources;
        if new.strategy == Strategy::ResourceAware && resources == RunResources::default() {
            resources.max_cpu = Some(BUSY);
            resources.max_memory = Some(BUSY);
        }
        let wished = new.max_concurrent.unwrap_or(self.defaults.max_concurrent);
        let run = Run {
            id: RunId::unique(uuid, |id| self.schedule.key(&RunId::from_text(id)).is_some()),
            uuid,
            strategy: new.strategy,
            max_concurrent: slots(wished, resources),
            on_failure: new.on_failure,
            sessions,
            resumable: new.resumable,
            resources,
            priority: Priority::Normal,
            workplace,
            paused: false,
            attended: self.defaults.attended,
            aborted: false,
            created_at: now.wall,
            ended_at: None,
        };
        RunEntry::new(run, Arc::from(tasks), |task| self.schedule.estimates.of(task))
    }

    /// An id may be used again once the task that had it is over.
    fn check_id(&self, task: &Task, yields: impl Fn(&Run) -> bool) -> Result<()> {
        let taken = self.schedule.latest(&task.id).and_then(|(run, number)| {
            let entry = self.schedule.run(run)?;
            let is_free = entry.state(number).status.is_terminal() || yields(&entry.run);
            (!is_free).then_some(&entry.run)
        });
        let Some(Run { id: run, paused, .. }) = taken else { return Ok(()) };
        let way = if *paused {
            format!(
                "the run is paused: resume it with task_control (runId: {run}, action: resume), end it with task_cancel (runId: {run})"
            )
        } else {
            "wait for it with task_status, end it with task_cancel".to_owned()
        };
        Err(Error::new(ErrorCode::DuplicateId, format!("task '{}' of {run} is not over yet", task.id))
            .with_hint(format!("{way}, or take another id; nothing was accepted"))
            .with_details(json!({"taskId": task.id, "runId": run})))
    }

    /// A session that a caller chose for tasks.
    fn place_for_tasks(&self, selector: &str) -> Result<SessionId> {
        let id = self.resolve(selector)?;
        let session = self.session(&id).ok_or_else(super::refusals::unknown)?;
        if !session.status.is_live() {
            return Err(super::refusals::ended(session));
        }
        if !takes_tasks(session) {
            return Err(Error::new(
                ErrorCode::Unsupported,
                format!("session {id} takes no tasks: it runs no commands"),
            )
            .with_hint("use sessions of type worker with a shell, or none: then pooled ones are made"));
        }
        Ok(id)
    }

    /// Ends tasks; those that run are over when their processes are.
    pub(super) fn cancel_tasks(
        &mut self,
        now: Now,
        query: &TaskQuery,
        mode: CancelMode,
        step: &mut Step,
    ) -> Result<Cancelled> {
        let Selection { mut found, unknown } = self.select(query)?;
        found.retain(|&(run, number)| {
            self.schedule.run(run).is_some_and(|entry| !entry.state(number).status.is_terminal())
        });
        found.sort_unstable();
        found.dedup();
        let mut cancelled = Cancelled { unknown, ..Cancelled::default() };
        for of_run in found.chunk_by(|a, b| a.0 == b.0) {
            let Some(&(run, _)) = of_run.first() else { continue };
            let Some(entry) = self.schedule.run_mut(run) else { continue };
            let running = entry.cancel(now, of_run.iter().map(|(_, number)| *number), None);
            for &(_, number) in of_run {
                let id = &entry.tasks[number as usize].id;
                if !entry.state(number).status.is_terminal() {
                    cancelled.running.push(id.clone());
                }
                cancelled.tasks.push(id.clone());
            }
            let first = match mode {
                CancelMode::Graceful => EffectKind::Interrupt,
                CancelMode::Force => EffectKind::Kill,
            };
            for command in running {
                self.stop(now, &command, EndReason::Cancelled, first.clone(), step);
            }
            self.note_run(now, run, step);
            self.schedule.is_due = true;
        }
        Ok(cancelled)
    }

    /// Accepts tasks that are over once more, in a run of their own. What failed before them and is not
    /// among them comes along: they could not start otherwise.
    pub(super) fn retry_tasks(
        &mut self,
        now: Now,
        uuid: Uuid,
        query: &TaskQuery,
        only_failed: bool,
        step: &mut Step,
    ) -> Result<Accepted> {
        let chosen = self.select(query)?.found;
        let is_chosen = |(run, number): &TaskKey| {
            self.schedule.run(*run).is_some_and(|entry| {
                let state = entry.state(*number);
                state.status.is_terminal() && (!only_failed || state.status == TaskStatus::Failed)
            })
        };
        let mut again: BTreeSet<TaskKey> = chosen.into_iter().filter(is_chosen).collect();
        let mut pending: Vec<TaskKey> = again.iter().copied().collect();
        while let Some((run, number)) = pending.pop() {
            let Some(entry) = self.schedule.run(run) else { continue };
            let named = &entry.tasks[number as usize].dependencies;
            for (named, &before) in named.iter().zip(entry.before(number)) {
                if named.condition == Condition::Success
                    && entry.state(before).status == TaskStatus::Failed
                    && again.insert((run, before))
                {
                    pending.push((run, before));
                }
            }
        }
        let latest = again.last().and_then(|(run, _)| self.schedule.run(*run)).map(|entry| entry.run.clone());
        let Some(latest) = latest else {
            return Err(Error::new(ErrorCode::TaskNotFound, "no task that fits is over and failed")
                .with_hint(
                    "list tasks with task_status; pass onlyFailed: false to run completed ones again",
                ));
        };
        let tasks = again.iter().filter_map(|key| self.without_what_is_over(*key, &again)).collect();
        let new = NewRun {
            tasks,
            strategy: latest.strategy,
            max_concurrent: Some(latest.max_concurrent),
            on_failure: latest.on_failure,
            sessions: self.still_live(&latest)?,
            resumable: latest.resumable,
            resources: latest.resources,
        };
        self.distribute(now, uuid, new, latest.workplace, step)
    }

    /// Of the sessions that a run is restricted to those that live: it must not escape to others.
    fn still_live(&self, run: &Run) -> Result<Vec<String>> {
        let is_live = |id: &&SessionId| self.session(id).is_some_and(|session| session.status.is_live());
        let live: Vec<String> = run.sessions.iter().filter(is_live).map(ToString::to_string).collect();
        if live.is_empty() && !run.sessions.is_empty() {
            return Err(Error::new(
                ErrorCode::SessionClosed,
                format!("all sessions that {} was restricted to are gone", run.id),
            )
            .with_hint("make a session, and pass the tasks to task_distribute with it in sessions")
            .with_details(json!({"runId": run.id, "sessions": run.sessions})));
        }
        Ok(live)
    }

    /// A task to be run again, waiting only for those that run again as well.
    fn without_what_is_over(&self, (run, number): TaskKey, again: &BTreeSet<TaskKey>) -> Option<Task> {
        let entry = self.schedule.run(run)?;
        let mut task = entry.tasks[number as usize].clone();
        let mut before = entry.before(number).iter();
        task.dependencies.retain(|_| before.next().is_some_and(|&before| again.contains(&(run, before))));
        Some(task)
    }

    /// Changes how a run goes on.
    pub(super) fn control_run(
        &mut self,
        now: Now,
        selector: &str,
        change: RunChange,
        step: &mut Step,
    ) -> Result<RunView> {
        let key = self.resolve_run(selector)?;
        let entry = self.schedule.run_mut(key).ok_or_else(|| unknown(selector))?;
        if entry.is_over() {
            return Err(Error::new(
                ErrorCode::IllegalTransition,
                format!("run {} is over: nothing of it is left to control", entry.run.id),
            )
            .with_hint("run its tasks again with task_retry"));
        }
        let run = &mut entry.run;
        run.paused = change.paused.unwrap_or(run.paused);
        run.max_concurrent = slots(change.max_concurrent.unwrap_or(run.max_concurrent), run.resources);
        run.priority = change.priority.unwrap_or(run.priority);
        let view = entry.view();
        step.run_records.insert(key);
        self.schedule.is_due = true;
        self.schedule.pool_failures = 0;
        self.note_run(now, key, step);
        self.dispatch(now, step);
        Ok(self.schedule.run(key).map_or(view, RunEntry::view))
    }

    /// Puts the unfinished runs of an earlier server into the tables; they wait to be resumed.
    pub fn restore_runs(&mut self, now: Now, runs: Vec<RestoredRun>, step: &mut Step) {
        for RestoredRun { run, tasks, states } in runs {
            let cost = |task: &Task| self.schedule.estimates.of(task);
            // What was accepted once is a graph; a damaged record is left where it is.
            let Ok(mut entry) = RunEntry::new(run, Arc::from(tasks), cost) else { continue };
            entry.restore(now, states.into_iter());
            let key = self.schedule.insert(entry);
            step.run_records.insert(key);
            self.note_run(now, key, step);
        }
    }

    /// What to commit of runs and tasks, each as it is now.
    pub(super) fn task_records(&self, step: &Step) -> impl Iterator<Item = Record> {
        let runs = step.run_records.iter().filter_map(|key| self.schedule.run(*key));
        let graphs = step.graphs.iter().filter_map(|key| self.schedule.run(*key));
        let changed: Vec<(TaskKey, &RunEntry)> =
            step.tasks.iter().filter_map(|key| Some((*key, self.schedule.run(key.0)?))).collect();
        let estimates = step.estimates.iter().map(|(&work, &mean_us)| Record::Estimate { work, mean_us });
        let graphs =
            graphs.map(|entry| Record::Graph { run: entry.run.id.clone(), tasks: Arc::clone(&entry.tasks) });
        let runs = runs.map(|entry| Record::Run(Box::new(entry.run.clone())));
        runs.chain(graphs).chain(task_records(&changed)).chain(estimates)
    }

    /// Takes in how long work took under earlier servers.
    pub fn restore_estimates(&mut self, estimates: impl IntoIterator<Item = (u64, u64)>) {
        for (work, mean_us) in estimates {
            self.schedule.estimates.restore(work, mean_us);
        }
    }

    /// The run that a caller names by its id or a unique prefix of it.
    pub(super) fn resolve_run(&self, selector: &str) -> Result<RunKey> {
        let selector = selector.trim();
        if let Some(key) = self.schedule.key(&RunId::from_text(selector)) {
            return Ok(key);
        }
        let mut candidates = self
            .schedule
            .runs()
            .filter(|(_, entry)| super::selector::is_prefix(selector, entry.run.id.as_str(), RunId::PREFIX));
        match (candidates.next(), candidates.next()) {
            (Some((key, _)), None) => Ok(key),
            (None, _) | (Some(_), Some(_)) => Err(unknown(selector)),
        }
    }
}

/// One record for all in a row that ended in the same way; it is their last.
fn task_records(tasks: &[(TaskKey, &RunEntry)]) -> Vec<Record> {
    let belong = |(a, entry): &(TaskKey, &RunEntry), (b, _): &(TaskKey, &RunEntry)| {
        let state = entry.state(a.1);
        a.0 == b.0 && a.1 + 1 == b.1 && state.status.is_terminal() && state == entry.state(b.1)
    };
    let record = |row: &[(TaskKey, &RunEntry)]| {
        let ((key, entry), (last, _)) = (row.first()?, row.last()?);
        Some(Record::Task {
            run: entry.run.id.clone(),
            numbers: key.1..=last.1,
            state: Box::new(entry.state(key.1).clone()),
        })
    };
    tasks.chunk_by(belong).filter_map(record).collect()
}

/// Each task that runs takes a session, so a bound on these bounds the slots.
fn slots(wished: u32, resources: RunResources) -> u32 {
    wished.min(resources.max_sessions.unwrap_or(u32::MAX)).max(1)
}

/// A run as the store has it.
#[derive(Clone, Debug, PartialEq)]
pub struct RestoredRun {
    /// The record.
    pub run: Run,
    /// Its tasks; the position of each is its number.
    pub tasks: Vec<Task>,
    /// How far they had come; the others had not begun.
    pub states: Vec<(u32, TaskState)>,
}

pub(super) fn unknown(selector: &str) -> Error {
    let shown: String = selector.chars().take(80).collect();
    Error::new(ErrorCode::RunNotFound, format!("no run has the id '{shown}'"))
        .with_hint("task_status without arguments shows what there is")
}
