//! What an open circuit holds back, and what lets go of it.

use super::worlds::workplace;
use super::*;
use crate::engine::request::NewRun;
use crate::limits;
use crate::model::{CircuitState, Task, TaskRetries, fixtures};

const FRAGILE: &str = "make";

/// A session, and in it a run of as many tasks of one command line as it takes to open its circuit, and of
/// another one that fails by itself. All of them have failed once.
fn held(tasks: usize) -> (Play, SessionId) {
    let mut play = Play::new();
    let id = play.idle(NewSession::default());
    let retries = |delay_ms| Some(TaskRetries { max: 3, delay_ms, backoff: 1.0, jitter: 0.0 });
    let task = |number: usize| Task {
        text: FRAGILE.to_owned(),
        retries: retries(1_000),
        ..fixtures::task(&format!("t{number}"))
    };
    let mut all: Vec<Task> = (0..tasks).map(task).collect();
    all.push(Task { text: "other".to_owned(), retries: retries(20_000), ..fixtures::task("other") });
    let new =
        NewRun { tasks: all, sessions: vec![id.to_string()], max_concurrent: Some(1), ..NewRun::default() };
    let uuid = play.uuid();
    play.request(Request::Distribute { uuid, new: Box::new(new), workplace: workplace() }).expect("a graph");
    for _ in 0..=tasks {
        end_running(&mut play, &id, 1);
    }
    assert_eq!(state(&play), CircuitState::Open);
    play.wait(Duration::from_secs(2));
    assert_eq!(running(&play, &id), None, "all of them wait");
    (play, id)
}

fn state(play: &Play) -> CircuitState {
    play.engine.circuits(play.now(), Some(FRAGILE))[0].state
}

/// What runs in the session.
fn running(play: &Play, id: &SessionId) -> Option<String> {
    play.engine.running(id).map(|command| command.text.clone())
}

fn end_running(play: &mut Play, id: &SessionId, status: i32) {
    let command = play.engine.running(id).expect("a task runs").id.clone();
    play.event(id, WorkerEventKind::Begun { command: command.clone() });
    play.end(id, &command, status);
    turn(play);
}

/// The end of a turn of the dispatcher.
fn turn(play: &mut Play) {
    let mut step = Step::default();
    play.engine.elapse(play.now(), &mut step);
    play.take(step);
}

#[test]
fn a_circuit_that_is_reset_lets_go_of_tasks_at_once_and_leaves_ordinary_pauses_alone() {
    let (mut play, id) = held(5);
    play.wait(Duration::from_secs(5));
    play.request(Request::ResetCircuit(FRAGILE.to_owned())).expect("never refused");
    turn(&mut play);
    for _ in 0..5 {
        assert_eq!(running(&play, &id).as_deref(), Some(FRAGILE));
        end_running(&mut play, &id, 0);
    }
    assert_eq!(running(&play, &id), None, "the other one has its own pause");
    play.wait(Duration::from_secs(13));
    assert_eq!(running(&play, &id).as_deref(), Some("other"));
}

#[test]
fn a_trial_that_goes_well_lets_go_of_the_others() {
    let (mut play, id) = held(5);
    // The other one's turn comes first.
    play.wait(Duration::from_secs(18));
    end_running(&mut play, &id, 0);
    play.wait(Duration::from_secs(10));
    assert_eq!((running(&play, &id).as_deref(), state(&play)), (Some(FRAGILE), CircuitState::HalfOpen));
    end_running(&mut play, &id, 0);
    assert_eq!(state(&play), CircuitState::Closed);
    turn(&mut play);
    for _ in 0..4 {
        end_running(&mut play, &id, 0);
    }
    assert_eq!(running(&play, &id), None);
}

#[test]
fn many_are_let_go_one_batch_after_the_other() {
    let most = limits::RELEASED_AT_ONCE as usize;
    let (mut play, id) = held(most + 1);
    play.request(Request::ResetCircuit(FRAGILE.to_owned())).expect("never refused");
    turn(&mut play);
    for _ in 0..most {
        end_running(&mut play, &id, 0);
    }
    assert_eq!(running(&play, &id), None);
    play.wait(limits::RELEASE_PAUSE);
    assert_eq!(running(&play, &id).as_deref(), Some(FRAGILE));
}
