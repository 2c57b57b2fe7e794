//! What the history tells of tasks and sessions.

use super::worlds::World;
use super::*;
use crate::engine::request::{CancelMode, NewRun, TaskQuery};
use crate::id::RunId;
use crate::limits;
use crate::model::{Event, Placement, PlacementRule, Task, TaskReason, TaskStatus, Workplace, fixtures};

impl World {
    /// Whoever reads the events of a run knows how each of its tasks stands.
    pub(super) fn check_history(&mut self, records: &[Record]) {
        for record in records {
            let Record::Event(Event { run: Some(run), task: Some(task), kind, .. }) = record else {
                continue;
            };
            let EventKind::Task { old, new, placement, .. } = kind else { panic!("{kind:?} of a task") };
            assert!(old.successors().contains(new), "{old:?} to {new:?}");
            assert_eq!(placement.is_some(), *new == TaskStatus::Running, "{kind:?}");
            let before = self.told.insert((run.clone(), task.clone()), *new).unwrap_or_default();
            assert_eq!(before, *old, "{task} of {run} is not where its last event left it");
        }
        for run in &self.runs {
            let entry = self.play.engine.schedule.key(run).and_then(|key| self.play.engine.schedule.run(key));
            let entry = entry.expect("a known run");
            for (number, task) in (0_u32..).zip(entry.tasks.iter()) {
                let told = self.told.get(&(run.clone(), task.id.clone())).copied().unwrap_or_default();
                assert_eq!(told, entry.state(number).status, "{} of {run}", task.id);
            }
        }
    }
}

/// Distributes tasks with these ids, each behind the one before it when `chained`.
fn distribute(play: &mut Play, count: usize, chained: bool) -> RunId {
    let task = |number: usize| {
        let dependencies = if chained && number > 0 {
            vec![crate::model::Dependency {
                id: format!("t{}", number - 1),
                condition: crate::model::Condition::Success,
            }]
        } else {
            Vec::new()
        };
        Task { dependencies, ..fixtures::task(&format!("t{number}")) }
    };
    let new = NewRun { tasks: (0..count).map(task).collect(), ..NewRun::default() };
    let workplace = Workplace { shell: "/bin/bash".into(), dialect: Dialect::Bash, directory: "/w".into() };
    let uuid = play.uuid();
    match play.request(Request::Distribute { uuid, new: Box::new(new), workplace }).expect("a graph") {
        Reply::Run(accepted) => accepted.run,
        reply => panic!("{reply:?} for a run"),
    }
}

/// The session that the latest input made.
fn spawned(play: &Play) -> SessionId {
    let spawn = play.effects.iter().find(|effect| matches!(effect.kind, EffectKind::Spawn(_)));
    spawn.expect("a pooled session").session.clone()
}

/// A turn of the dispatcher after an event.
fn elapse(play: &mut Play) {
    let (now, mut step) = (play.now(), Step::default());
    play.engine.elapse(now, &mut step);
    play.take(step);
}

#[test]
fn a_task_is_told_of_from_its_place_to_its_end_and_its_command_is_not() {
    let mut play = Play::new();
    let run = distribute(&mut play, 1, false);
    let session = spawned(&play);
    play.event(&session, WorkerEventKind::Started { pid: 7 });
    play.event(&session, WorkerEventKind::Prompt { directory: None });
    elapse(&mut play);
    let of_task = |play: &Play| -> Vec<Event> {
        let events = play.records.iter().filter_map(|record| match record {
            Record::Event(event) => Some(event.clone()),
            _ => None,
        });
        events.collect()
    };
    let [started] = &of_task(&play)[..] else { panic!("{:?}", play.records) };
    assert_eq!((&started.run, &started.session), (&Some(run), &Some(session.clone())));
    let EventKind::Task { command: Some(command), placement, attempt: 1, .. } = &started.kind else {
        panic!("{started:?}");
    };
    assert_eq!(*placement, Some(Placement { rule: PlacementRule::First, free: 1 }));
    play.event(&session, ended(command, 3));
    let [ended, over] = &of_task(&play)[..] else { panic!("{:?}", play.records) };
    let EventKind::Task { old, new, reason, exit_code, .. } = &ended.kind else { panic!("{ended:?}") };
    assert_eq!((*old, *new), (TaskStatus::Running, TaskStatus::Failed));
    assert_eq!((*reason, *exit_code), (Some(TaskReason::ExitCode), Some(3)));
    assert_eq!(over.kind, EventKind::RunEnded { completed: 0, failed: 1 });
}

#[test]
fn a_large_run_that_is_cancelled_leaves_few_events() {
    let mut play = Play::new();
    let run = distribute(&mut play, limits::SKIP_EVENTS + 50, true);
    let query = TaskQuery { run: Some(run.to_string()), ..TaskQuery::default() };
    play.request(Request::CancelTasks { query, mode: CancelMode::Force }).expect("a known run");
    let events = play.events();
    assert_eq!(events.len(), limits::SKIP_EVENTS + 2);
    assert_eq!(events[limits::SKIP_EVENTS], &EventKind::Tasks { count: 50 });
    let all = limits::SKIP_EVENTS + 50;
    assert_eq!(events.last(), Some(&&EventKind::RunEnded { completed: 0, failed: all }));
}

#[test]
fn the_end_of_a_session_says_why() {
    let mut play = Play::new();
    let id = play.idle(NewSession::default());
    play.gone(&id, Exit::Signal(9));
    let message = "the shell was killed by signal 9".to_owned();
    assert_eq!(play.events().last(), Some(&&EventKind::Error { message }));
    play.close(&id, CloseMode::Graceful);
    let terminated =
        EventKind::Terminated { status: Status::Terminated, reason: "closed".to_owned(), forced: false };
    assert_eq!(play.events().last(), Some(&&terminated));
}
