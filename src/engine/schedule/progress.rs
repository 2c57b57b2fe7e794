//! How far a run has come, and how long the rest of it takes.

use std::collections::BTreeMap;

use super::estimates::LEAST_COST_US;
use super::rules::Counts;
use super::run::{RATE_WINDOW, RunEntry};
use crate::clock::Timestamp;
use crate::engine::report::{Plan, Progress, RunStatus, RunView, SessionProgress};
use crate::model::TaskStatus;

/// A chain of tasks of one run.
pub(in crate::engine) struct Chain {
    /// Whether it is of what is not over; else it is of what was.
    is_open: bool,
    /// What it takes, or took.
    cost_us: u64,
    /// The tasks.
    pub(in crate::engine) numbers: Vec<u32>,
}

impl Chain {
    /// By this the chains of several runs compare: what is open decides when all is over.
    pub(in crate::engine) fn length(&self) -> (bool, u64) {
        (self.is_open, self.cost_us)
    }
}

impl RunEntry {
    /// The run as callers see it.
    pub(in crate::engine) fn view(&self) -> RunView {
        RunView {
            run: self.run.id.clone(),
            status: status(self.counts(), self.run.paused),
            paused: self.run.paused,
            attended: self.run.attended,
            max_concurrent: self.run.max_concurrent,
            priority: self.run.priority,
            counts: self.counts(),
            created_at: self.run.created_at,
            ended_at: self.run.ended_at,
        }
    }

    /// How it would be worked off.
    pub(in crate::engine) fn plan(&self) -> Plan {
        let named = |numbers: Vec<u32>| numbers.into_iter().map(|number| self.name(number)).collect();
        Plan {
            waves: self.graph().waves().into_iter().map(named).collect(),
            critical_path: named(self.graph().costliest(self.chains(), |_| true)),
            estimated_ms: self.estimated_ms(),
        }
    }

    /// Milliseconds that all of it should take, where earlier durations tell.
    pub(in crate::engine) fn estimated_ms(&self) -> Option<u64> {
        let chain = self.chains().iter().copied().max().unwrap_or(0);
        let all = self.costs_us().fold(0, u64::saturating_add);
        self.is_estimated().then(|| chain.max(all / u64::from(self.run.max_concurrent)) / 1_000)
    }

    fn costs_us(&self) -> impl Iterator<Item = u64> {
        (0_u32..).zip(self.tasks.iter()).map(|(number, _)| self.cost_us(number))
    }

    fn name(&self, number: u32) -> String {
        self.tasks[number as usize].id.clone()
    }

    /// Percent of what a running task is expected to take that has passed, never 100. Only earlier runs of
    /// that very task can tell.
    pub(in crate::engine) fn task_percent(&self, now: Timestamp, number: u32) -> Option<u8> {
        let state = self.state(number);
        let started =
            state.started_at.filter(|_| state.status == TaskStatus::Running && self.is_known(number))?;
        let percent = now.since(started).as_micros() * 100 / u128::from(self.cost_us(number).max(1));
        Some(u8::try_from(percent.min(99)).unwrap_or(99))
    }

    /// Adds how far some of its tasks have come. Returns the longest chain among them.
    pub(in crate::engine) fn add_progress(
        &self,
        now: Timestamp,
        numbers: &[u32],
        progress: &mut Progress,
    ) -> Chain {
        let mut by_session: BTreeMap<_, SessionProgress> =
            progress.by_session.drain(..).map(|of| (of.session.clone(), of)).collect();
        let mut open_us = 0_u64;
        let mut last = None;
        for &number in numbers {
            let state = self.state(number);
            *progress.overall.counts.of(state.status) += 1;
            last = last.max(state.ended_at);
            if !state.status.is_terminal() {
                open_us = open_us.saturating_add(self.left_us(now, number));
            }
            if let Some(session) = &state.session {
                let of = by_session.entry(session.clone()).or_insert_with(|| SessionProgress {
                    session: session.clone(),
                    counts: Counts::default(),
                    current: None,
                });
                *of.counts.of(state.status) += 1;
                if state.status == TaskStatus::Running {
                    of.current = Some(self.name(number));
                }
            }
        }
        progress.by_session = by_session.into_values().collect();
        let is_over = numbers.iter().all(|&number| self.state(number).status.is_terminal());
        let until = if is_over { last.unwrap_or(now) } else { now };
        let elapsed = u64::try_from(until.since(self.run.created_at).as_millis()).unwrap_or(u64::MAX);
        progress.overall.elapsed_ms = progress.overall.elapsed_ms.max(elapsed);
        let path = self.path_among(now, numbers, is_over);
        if is_over {
            return path;
        }
        let rate = if numbers.len() == self.tasks.len() {
            self.rate(until)
        } else {
            self.rate_among(until, numbers)
        };
        if let Some(rate) = rate {
            progress.overall.throughput = Some(progress.overall.throughput.unwrap_or(0.0) + rate);
        }
        let (mut open, mut known) = (0, 0);
        for &number in numbers.iter().filter(|&&number| !self.state(number).status.is_terminal()) {
            open += 1;
            known += usize::from(self.is_known(number));
        }
        let is_estimated = known > 0 && known * 2 >= open;
        if let Some(eta) = self.eta_ms(rate, open, open_us, is_estimated.then_some(path.cost_us)) {
            progress.overall.eta_ms = Some(progress.overall.eta_ms.unwrap_or(0).max(eta));
        }
        path
    }

    /// What a task that is not over is still expected to take; one that is overdue may end at any moment.
    fn left_us(&self, now: Timestamp, number: u32) -> u64 {
        let state = self.state(number);
        let passed = match (state.status, state.started_at) {
            (TaskStatus::Running, Some(started)) => now.since(started).as_micros(),
            _ => 0,
        };
        let left = self.cost_us(number).saturating_sub(u64::try_from(passed).unwrap_or(u64::MAX));
        left.max(LEAST_COST_US)
    }

    /// Of some of its tasks the chain that decides when they are over, or when they were. What lies between
    /// two of them and is none of them counts for nothing.
    fn path_among(&self, now: Timestamp, numbers: &[u32], is_over: bool) -> Chain {
        let mut costs = vec![0_u64; self.tasks.len()];
        for &number in numbers {
            costs[number as usize] = match self.state(number).status.is_terminal() {
                true if is_over => self.cost_us(number).max(LEAST_COST_US),
                true => 0,
                false => self.left_us(now, number),
            };
        }
        let chains = self.graph().chains(|number| costs[number as usize]);
        let mut path = self.graph().costliest(&chains, |_| true);
        let cost_us = path.first().map_or(0, |&first| chains[first as usize]);
        path.retain(|&number| costs[number as usize] > 0);
        Chain { is_open: !is_over, cost_us, numbers: path }
    }

    /// Ends of some of its tasks in a second, since the first of them began.
    fn rate_among(&self, now: Timestamp, numbers: &[u32]) -> Option<f64> {
        let states = numbers.iter().map(|&number| self.state(number));
        let begun = states.clone().filter_map(|state| state.started_at).min()?;
        let ended = states.filter(|state| state.started_at.is_some() && state.status.is_terminal()).count();
        let seconds = now.since(begun).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "at most the tasks of a run")]
        let count = ended as f64;
        (ended > 0 && seconds > 0.0).then(|| count / seconds)
    }

    /// Tasks over in a second, over the latest ends.
    fn rate(&self, now: Timestamp) -> Option<f64> {
        let ends = self.latest_ends();
        let (first, _) = ends.front()?;
        // A few ends at the very beginning tell nothing yet.
        let begin = if ends.len() < RATE_WINDOW { self.run.created_at } else { *first };
        let seconds = now.since(begin).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "at most the window")]
        let count = ends.len() as f64;
        (seconds > 0.0).then(|| count / seconds)
    }

    /// The rest at the rate of late, but no less than the longest chain takes where that is known. Before
    /// anything is over only earlier runs can tell.
    fn eta_ms(&self, rate: Option<f64>, open: usize, open_us: u64, chain_us: Option<u64>) -> Option<u64> {
        let by_rate = rate.map(|rate| {
            #[expect(clippy::cast_precision_loss, reason = "at most the tasks of a run")]
            let seconds = open as f64 / rate;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a saturating cast of a positive number"
            )]
            let ms = (seconds * 1_000.0) as u64;
            ms
        });
        let by_work =
            chain_us.map(|chain_us| (open_us / u64::from(self.run.max_concurrent)).max(chain_us) / 1_000);
        let by_chain = chain_us.map_or(0, |chain_us| chain_us / 1_000);
        by_rate.map(|by_rate| by_rate.max(by_chain)).or(by_work).map(|eta| eta.max(1))
    }
}

/// A set of tasks in a word.
pub(in crate::engine) fn status(counts: Counts, paused: bool) -> RunStatus {
    if counts.total() > 0 && counts.over() == counts.total() {
        if counts.failed == 0 { RunStatus::Completed } else { RunStatus::Failed }
    } else if paused {
        RunStatus::Paused
    } else if counts.running > 0 || counts.over() > 0 {
        RunStatus::Running
    } else {
        RunStatus::Queued
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::time::Duration;

    use uuid::Uuid;

    use super::super::tests::tasks;
    use super::*;
    use crate::clock::{Moment, Now};
    use crate::id::{CommandId, RunId, SessionId};
    use crate::model::{Dialect, OnFailure, Priority, Run, RunResources, Strategy, Workplace};

    fn at(seconds: u64) -> Now {
        let moment = Moment(Duration::from_secs(seconds));
        Now { moment, wall: Timestamp(0).after(moment.0) }
    }

    /// A run of these tasks, two at a time, that has begun. What each takes is known where its id has a
    /// number behind it, in tenths of a second.
    fn run(lines: &[&str]) -> RunEntry {
        let run = Run {
            attended: false,
            id: RunId::from_text("run_k3f9q2"),
            uuid: Uuid::from_u128(1),
            strategy: Strategy::Dependency,
            max_concurrent: 2,
            on_failure: OnFailure::SkipDependents,
            sessions: Vec::new(),
            resumable: false,
            resources: RunResources::default(),
            priority: Priority::Normal,
            workplace: Workplace {
                shell: PathBuf::from("/bin/sh"),
                dialect: Dialect::Plain,
                directory: PathBuf::from("/"),
            },
            paused: false,
            aborted: false,
            created_at: Timestamp(0),
            ended_at: None,
        };
        let known =
            |task: &crate::model::Task| task.id.get(1..)?.parse::<u64>().ok().map(|tenths| tenths * 100_000);
        let mut entry = RunEntry::new(run, Arc::from(tasks(lines)), known).unwrap();
        entry.begin(at(0));
        entry
    }

    fn start(entry: &mut RunEntry, seconds: u64, number: u32) {
        entry.start(at(seconds), number, SessionId::from_text("s"), CommandId::from_text("c"));
    }

    #[test]
    fn nothing_open_is_expected_to_take_no_time() {
        let entry = run(&["a0", "b0 < a0", "c0 < b0", "d0"]);
        assert_eq!(entry.estimated_ms(), Some(3));
        // What nothing is known of does not count for as little as what is trivial.
        assert_eq!(run(&["a0", "b0", "c"]).estimated_ms(), Some(100));
        let mut entry = run(&["a0", "b0"]);
        start(&mut entry, 0, 0);
        let mut progress = Progress::default();
        entry.add_progress(at(9).wall, &[0, 1], &mut progress);
        assert_eq!(progress.overall.eta_ms, Some(1));
    }

    #[test]
    fn the_path_and_the_time_left_are_of_the_selected_tasks_only() {
        let mut entry = run(&["a10", "x900 < a10", "b20 < x900", "y900", "c40"]);
        let check = |entry: &RunEntry, numbers: &[u32], path: &[u32], eta: u64| {
            let mut progress = Progress::default();
            let found = entry.add_progress(at(3).wall, numbers, &mut progress);
            assert_eq!((found.numbers.as_slice(), progress.overall.eta_ms), (path, Some(eta)), "{numbers:?}");
        };
        check(&entry, &[0, 1, 2, 3, 4], &[0, 1, 2], 93_500);
        check(&entry, &[0, 2], &[0, 2], 3_000);
        start(&mut entry, 0, 4);
        check(&entry, &[4], &[4], 1_000);
        check(&entry, &[2, 4], &[2], 2_000);
    }

    #[test]
    fn only_a_task_that_is_known_shows_a_percentage() {
        let mut entry = run(&["a40", "b"]);
        start(&mut entry, 0, 0);
        start(&mut entry, 0, 1);
        assert_eq!(entry.task_percent(at(1).wall, 0), Some(25));
        assert_eq!(entry.task_percent(at(9).wall, 0), Some(99));
        assert_eq!(entry.task_percent(at(1).wall, 1), None);
    }
}
