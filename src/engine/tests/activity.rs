//! What sessions ran of late.

use super::*;
use crate::engine::Ended;

/// A command that runs for a second, of which the news takes so long to come.
fn run(play: &mut Play, session: &SessionId, status: i32, late: Duration) {
    let command = play.run(session, "work");
    play.wait(Duration::from_secs(1) + late);
    let kind = WorkerEventKind::Ended { command, status, from: 0, duration_us: 1_000_000, directory: None };
    play.event(session, kind);
}

#[test]
fn what_ended_is_counted_by_session_and_time() {
    let mut play = Play::new();
    let (a, b) = (play.idle(NewSession::default()), play.idle(NewSession::default()));
    run(&mut play, &a, 0, Duration::ZERO);
    play.wait(Duration::from_secs(60));
    let since = play.now().wall;
    run(&mut play, &a, 1, Duration::ZERO);
    run(&mut play, &a, 0, Duration::ZERO);
    run(&mut play, &b, 0, Duration::ZERO);
    let ended = play.engine.ended_since(since);
    let wanted = [(a.clone(), Ended { commands: 2, failed: 1 }), (b, Ended { commands: 1, failed: 0 })];
    assert_eq!(ended, wanted.into_iter().collect());
    assert_eq!(play.engine.ended_since(Timestamp(0))[&a].commands, 3);
    assert!(play.engine.ended_since(play.now().wall.after(Duration::from_secs(1))).is_empty());
}

#[test]
fn a_response_is_the_mean_of_the_latest_without_the_time_of_the_run() {
    let mut play = Play::new();
    let session = play.idle(NewSession::default());
    assert!(play.engine.responses().is_empty());
    run(&mut play, &session, 0, Duration::from_secs(50));
    for milliseconds in (0..20).map(|n| if n % 2 == 0 { 10 } else { 30 }) {
        run(&mut play, &session, 0, Duration::from_millis(milliseconds));
    }
    let response = play.engine.responses()[&session];
    assert!((response - 20.0).abs() < 1e-6, "{response}");
}

#[test]
fn timeouts_are_counted_until_they_are_old() {
    let mut play = Play::new();
    let session = play.idle(NewSession::default());
    let command = play.run(&session, "sleep 1000");
    play.wait(COMMAND_TIMEOUT + Duration::from_secs(1));
    assert_eq!(play.engine.timeouts(Timestamp(0)), 1, "it is still running");
    play.end(&session, &command, 0);
    assert_eq!(play.engine.timeouts(play.now().wall), 1);
    assert_eq!(play.engine.timeouts(play.now().wall.after(Duration::from_secs(1))), 0);
}
