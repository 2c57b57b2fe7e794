//! What goes into the history: the events of sessions, of tasks and of runs.

use super::schedule::{Change, RunEntry, RunKey, TaskKey};
use super::{Engine, Step};
use crate::clock::Now;
use crate::id::SessionId;
use crate::limits;
use crate::model::{Event, EventKind, Placement, TaskStatus};

impl Engine {
    /// Something happened to a session.
    pub(super) fn note(&mut self, now: Now, session: &SessionId, kind: EventKind, step: &mut Step) {
        let output_cursor = self.sessions.get(session).map_or(0, |entry| entry.cursor);
        let session = Some(session.clone());
        step.events.push(Event { session, run: None, task: None, at: now.wall, output_cursor, kind });
    }

    /// An attempt at a task started.
    pub(super) fn note_start(
        &mut self,
        now: Now,
        (run, number): TaskKey,
        placement: Placement,
        step: &mut Step,
    ) {
        let Some(entry) = self.schedule.run(run) else { return };
        let mut event = self.task_event(now, entry, number, (TaskStatus::Queued, TaskStatus::Running));
        if let EventKind::Task { placement: told, .. } = &mut event.kind {
            *told = Some(placement);
        }
        step.events.push(event);
    }

    /// Puts what changed in a run into the step, and its history.
    pub(super) fn note_run(&mut self, now: Now, run: RunKey, step: &mut Step) {
        let Some(entry) = self.schedule.run_mut(run) else { return };
        let changes = entry.take_changed();
        step.runs.insert(run);
        step.tasks.extend(changes.iter().map(|change| (run, change.number)));
        let is_over = entry.is_over();
        if let Some(entry) = self.schedule.run(run) {
            self.note_changes(now, entry, &changes, step);
            if is_over && changes.iter().any(|change| change.moved.is_some()) {
                let counts = entry.counts();
                let kind = EventKind::RunEnded { completed: counts.completed, failed: counts.failed };
                step.events.push(run_event(now, entry, kind));
            }
        }
        if is_over && self.schedule.file(run) {
            step.run_records.insert(run);
            self.schedule.forget_old(|run| step.runs.contains(&run));
        }
    }

    /// What never ran may be over by the thousand, at the cancellation of a run: the rest is counted.
    fn note_changes(&self, now: Now, entry: &RunEntry, changes: &[Change], step: &mut Step) {
        let mut without_attempt = 0;
        for &Change { number, moved } in changes {
            let Some(moved) = moved else { continue };
            // The start is told of with its place.
            if moved.1 == TaskStatus::Running {
                continue;
            }
            without_attempt += usize::from(moved.0 == TaskStatus::Queued);
            if moved.0 == TaskStatus::Running || without_attempt <= limits::SKIP_EVENTS {
                step.events.push(self.task_event(now, entry, number, moved));
            }
        }
        if without_attempt > limits::SKIP_EVENTS {
            let kind = EventKind::Tasks { count: without_attempt - limits::SKIP_EVENTS };
            step.events.push(run_event(now, entry, kind));
        }
    }

    fn task_event(
        &self,
        now: Now,
        entry: &RunEntry,
        number: u32,
        (old, new): (TaskStatus, TaskStatus),
    ) -> Event {
        let state = entry.state(number);
        let had_attempt = old == TaskStatus::Running || new == TaskStatus::Running;
        let session = state.session.clone().filter(|_| had_attempt);
        let output_cursor =
            session.as_ref().and_then(|id| self.sessions.get(id)).map_or(0, |entry| entry.cursor);
        let kind = EventKind::Task {
            old,
            new,
            reason: state.reason,
            attempt: state.attempt,
            command: state.command.clone().filter(|_| had_attempt),
            exit_code: state.exit_code.filter(|_| had_attempt),
            placement: None,
        };
        let task = Some(entry.tasks[number as usize].id.clone());
        Event { session, task, output_cursor, ..run_event(now, entry, kind) }
    }
}

fn run_event(now: Now, entry: &RunEntry, kind: EventKind) -> Event {
    let run = Some(entry.run.id.clone());
    Event { session: None, run, task: None, at: now.wall, output_cursor: 0, kind }
}
