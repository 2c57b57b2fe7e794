//! What a [`World`] checks after each step.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::worlds::{Seen, Worker, World};
use super::*;
use crate::engine::request::TaskQuery;
use crate::engine::schedule::{RunEntry, RunKey};
use crate::engine::{Deadline, backoff};
use crate::id::RunId;
use crate::limits;
use crate::model::{Condition, OnFailure, Task, TaskDetail, TaskReason, TaskState, TaskStatus};

/// What a dependency's state means for one that waits for it, told once more in other words.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Means {
    Wait,
    Go,
    Skip,
    NotNeeded,
}

fn means(condition: Condition, on: &TaskState, on_failure: OnFailure) -> Means {
    let is_unneeded = on.reason == Some(TaskReason::NotNeeded);
    match (on.status, condition) {
        (TaskStatus::Queued | TaskStatus::Running, _) => Means::Wait,
        (TaskStatus::Completed, Condition::Success) if is_unneeded => Means::NotNeeded,
        (TaskStatus::Completed, Condition::Failure) => Means::NotNeeded,
        (TaskStatus::Failed, Condition::Success) if on_failure != OnFailure::Continue => Means::Skip,
        (TaskStatus::Completed | TaskStatus::Failed, _) => Means::Go,
    }
}

/// What each dependency of a task means for it.
fn meanings(entry: &RunEntry, number: u32, states: &[TaskState]) -> Vec<Means> {
    let named = entry.tasks[number as usize].dependencies.iter().zip(entry.before(number));
    named
        .map(|(named, &before)| means(named.condition, &states[before as usize], entry.run.on_failure))
        .collect()
}

impl World {
    /// Takes in what a step left, carries out its effects, and checks everything.
    pub(super) fn settle(&mut self) {
        let (records, effects) = (self.play.records.clone(), self.play.effects.clone());
        self.store.apply(&records);
        for record in &records {
            if let Record::Graph { run, tasks } = record {
                self.runs.push(run.clone());
                let states = vec![TaskState::default(); tasks.len()];
                let seen =
                    Seen { states, percentage: 0.0, cancelled: BTreeSet::new(), taken: BTreeMap::new() };
                self.seen.insert(run.clone(), seen);
            }
        }
        for effect in &effects {
            self.carry_out(effect);
        }
        let mut at_work = HashSet::new();
        let mut sessions = HashSet::new();
        for id in self.runs.clone() {
            let key = self.play.engine.schedule.key(&id).expect("a run that is known");
            let entry = self.play.engine.schedule.run(key).expect("a run that is known");
            let states: Vec<TaskState> =
                (0_u32..).zip(entry.tasks.iter()).map(|(number, _)| entry.state(number).clone()).collect();
            let mut seen = self.seen.remove(&id).expect("a run that was seen");
            self.check_states(&id, entry, &seen, &states);
            self.check_starts(entry, &mut seen, &states);
            if !self.is_restoring {
                self.check_pauses(key, entry, &seen, &states);
            }
            self.check_slots(entry, &states);
            for state in states.iter().filter(|state| state.status == TaskStatus::Running) {
                assert!(sessions.insert(state.session.clone()), "two tasks in a session: {state:?}");
                at_work.insert(state.command.clone().expect("its command"));
            }
            let percentage = self.percentage(&id);
            assert!(percentage >= seen.percentage, "{percentage} after {}", seen.percentage);
            assert_eq!(percentage >= 100.0, entry.is_over());
            seen.percentage = percentage;
            seen.states = states;
            self.seen.insert(id, seen);
        }
        let handed: HashSet<CommandId> =
            self.workers.values().filter_map(|worker| worker.current.clone()).collect();
        assert_eq!(handed, at_work, "what workers do is not what runs");
        self.check_history(&records);
        self.trace.push((records, effects));
    }

    fn carry_out(&mut self, Effect { session, kind }: &Effect) {
        match kind {
            EffectKind::Spawn(_) => {
                let worker = Worker { is_ready: false, current: None, signalled: None, is_closing: false };
                assert!(self.workers.insert(session.clone(), worker).is_none(), "two workers for {session}");
            }
            EffectKind::Run(run) => {
                let worker = self.workers.get_mut(session).expect("a worker");
                assert!(
                    worker.current.replace(run.command.id.clone()).is_none(),
                    "two commands in {session}"
                );
            }
            EffectKind::Interrupt => self.workers.get_mut(session).expect("a worker").signalled = Some(130),
            EffectKind::Kill => self.workers.get_mut(session).expect("a worker").signalled = Some(137),
            EffectKind::Close { .. } => self.workers.get_mut(session).expect("a worker").is_closing = true,
            EffectKind::Terminate
            | EffectKind::Resume
            | EffectKind::EndOffenders { .. }
            | EffectKind::Bound(_)
            | EffectKind::WatchPrompts(_)
            | EffectKind::Answer { .. }
            | EffectKind::Resize(_)
            | EffectKind::Forget
            | EffectKind::Remove => {}
        }
    }

    /// One state per task, committed; terminal is final; exactly what must be skipped is skipped.
    fn check_states(&self, id: &RunId, entry: &RunEntry, seen: &Seen, states: &[TaskState]) {
        let mut counts = crate::engine::report::Counts::default();
        for (number, state) in (0_u32..).zip(states) {
            let task = &entry.tasks[number as usize];
            let before = &seen.states[number as usize];
            *counts.of(state.status) += 1;
            assert_eq!(self.store.state(id, number), *state, "task {number} is not committed as it is");
            assert!(!before.status.is_terminal() || before == state, "{before:?} was over, and is {state:?}");
            assert_eq!(state.status.is_terminal(), state.ended_at.is_some(), "{state:?}");
            let is_kept = state.attempt == before.attempt || state.attempt == before.attempt + 1;
            assert!(is_kept, "{before:?} became {state:?}");
            assert!(
                state.attempt == before.attempt || !seen.cancelled.contains(&number),
                "task {number} started after its cancellation was answered"
            );
            let meanings = self::meanings(entry, number, states);
            let is_blocked = meanings.contains(&Means::Skip);
            let is_unneeded = meanings.contains(&Means::NotNeeded);
            match state.reason {
                Some(TaskReason::DependencyFailed) => {
                    assert!(is_blocked && state.attempt == 0, "{number} {state:?} {meanings:?}");
                    let root = state.because_of.expect("the root of a skip");
                    let root = &states[root as usize];
                    assert_eq!(root.status, TaskStatus::Failed);
                    assert_ne!(root.reason, Some(TaskReason::DependencyFailed), "{root:?} is no root");
                }
                Some(TaskReason::NotNeeded) => {
                    assert!(is_unneeded && state.attempt == 0, "{number} {state:?} {meanings:?}");
                    assert_eq!(state.status, TaskStatus::Completed);
                }
                _ => assert!(
                    state.status == TaskStatus::Failed || !(is_blocked || is_unneeded),
                    "task {number} of {} should have been skipped: {state:?} {meanings:?}",
                    task.id
                ),
            }
        }
        assert_eq!(counts, entry.counts());
        assert_eq!(entry.is_over(), counts.over() == states.len());
        assert_eq!(entry.is_over(), entry.run.ended_at.is_some());
        assert_eq!(self.store.runs.iter().find(|run| run.id == *id), Some(&entry.run), "an uncommitted run");
    }

    /// Dependencies first, no more than the slots, nothing while held.
    fn check_starts(&self, entry: &RunEntry, seen: &mut Seen, states: &[TaskState]) {
        let slots = |task: &Task| task.weight.min(entry.run.max_concurrent);
        let running = || (0_u32..).zip(states).filter(|(_, state)| state.status == TaskStatus::Running);
        let started: Vec<u32> = running()
            .filter(|(number, state)| state.attempt > seen.states[*number as usize].attempt)
            .map(|(number, _)| number)
            .collect();
        // What a task took at its start it keeps, however many slots the run has by then.
        seen.taken.retain(|number, _| states[*number as usize].status == TaskStatus::Running);
        seen.taken.extend(started.iter().map(|&number| (number, slots(&entry.tasks[number as usize]))));
        for &number in &started {
            let meanings = self::meanings(entry, number, states);
            assert!(meanings.iter().all(|means| *means == Means::Go), "{number} began: {meanings:?}");
        }
        if started.is_empty() {
            return;
        }
        assert!(!entry.run.paused, "{started:?} began in a paused run");
        let taken: u32 = seen.taken.values().sum();
        assert!(taken <= entry.run.max_concurrent, "{taken} of {} slots", entry.run.max_concurrent);
        let is_pressed =
            entry.run.resources.max_cpu.is_some_and(|max| self.play.engine.schedule.load.cpu > max);
        assert!(!is_pressed || running().count() == 1, "{started:?} began though the machine is busy");
    }

    /// The pause before the next attempt is as long as was asked for, less what is up to chance.
    fn check_pauses(&self, key: RunKey, entry: &RunEntry, seen: &Seen, states: &[TaskState]) {
        for (number, state) in (0_u32..).zip(states) {
            let fell_back = state.status == TaskStatus::Queued
                && seen.states[number as usize].status == TaskStatus::Running;
            if !fell_back {
                continue;
            }
            let retries = entry.tasks[number as usize].retries.expect("a task that may be tried again");
            assert!(state.attempt <= retries.max, "{state:?}");
            let whole = backoff(retries.delay_ms, retries.backoff, state.attempt - 1);
            let mut deadlines = self.play.engine.deadlines.iter();
            let due = deadlines.find(|(_, deadline)| **deadline == Deadline::Retry((key, number)));
            // A pause of nothing is over before the step is.
            let pause = due.map_or(Duration::ZERO, |((due, _), _)| due.0.saturating_sub(self.play.clock));
            let least = whole.mul_f64(1.0 - retries.jitter);
            let rounding = Duration::from_micros(1);
            assert!(pause <= whole && pause + rounding >= least, "{pause:?} of {least:?} to {whole:?}");
        }
    }

    /// No slot is idle while a task could use it and a session that suits it is free or could be made.
    fn check_slots(&self, entry: &RunEntry, states: &[TaskState]) {
        let engine = &self.play.engine;
        let is_pressed = entry.run.resources.max_cpu.is_some_and(|max| engine.schedule.load.cpu > max);
        if entry.run.paused || is_pressed {
            return;
        }
        let ready: Vec<u32> = (0_u32..)
            .zip(states)
            .filter(|(_, state)| state.status == TaskStatus::Queued)
            .map(|(number, _)| number)
            .filter(|&number| {
                entry.detail(number, || TaskDetail::WaitingSlot) == Some(TaskDetail::WaitingSlot)
            })
            .collect();
        for &number in &ready {
            let meanings = self::meanings(entry, number, states);
            assert!(meanings.iter().all(|means| *means == Means::Go), "{number} is ready: {meanings:?}");
        }
        // The most urgent one may need more slots than are free; then the others wait for it.
        if !ready.iter().all(|&number| entry.has_slot(number)) {
            return;
        }
        for &number in &ready {
            let wish = entry.wish(number);
            let pool = &engine.schedule.pool;
            let is_free = |id: &SessionId| engine.is_free(id);
            let can = |id: &SessionId| {
                wish.requirements.iter().all(|wish| self.play.session(id).capabilities.contains(wish))
            };
            if let Some(session) = &wish.session {
                assert!(!is_free(session), "{number} waits for {session}, which is free");
            } else if !entry.run.sessions.is_empty() {
                assert!(
                    !entry.run.sessions.iter().any(|id| is_free(id) && can(id)),
                    "{number} waits for nothing"
                );
            } else if !wish.requirements.is_empty() {
                assert!(!engine.sessions().any(|session| is_free(&session.id) && can(&session.id)));
            } else {
                assert!(!pool.keys().any(is_free), "{number} waits, and a pooled session is free");
                let is_coming = pool.values().any(|pooled| !pooled.is_ready) || pool.len() >= limits::POOL;
                let gave_up = engine.schedule.pool_failures >= limits::POOL_FAILURES;
                assert!(is_coming || gave_up, "{number} waits, and no session is made for it: {engine:#?}");
            }
        }
    }

    fn percentage(&self, run: &RunId) -> f64 {
        let query = TaskQuery { run: Some(run.to_string()), ..TaskQuery::default() };
        let progress = self.play.engine.progress(self.play.now(), &query, 10).expect("a known run");
        progress.overall.percentage
    }
}
