//! The end of sessions, ordered or not, and what it does to commands.

use super::*;

const IDLE: &str = "create => spawn 1, initializing
                    started =>
                    prompt => idle\n";

#[test]
fn a_command_can_end_its_shell() {
    let run = format!("{IDLE} run a,b => run a, active, a: running, b: queued\n begun a =>\n");
    check(&format!("{run} gone 0 => completed, a: shell exited 0, b: lost session_lost"));
    check(&format!("{run} gone 3 => error, a: shell exited 3, b: lost session_lost"));
    check(&format!("{run} killed 9 => error, a: shell killed 9, b: lost session_lost"));
}

#[test]
fn a_command_that_had_not_begun_did_not_end_its_shell() {
    check(&format!(
        "{IDLE} run a  => run a, active, a: running
                gone 0 => completed, a: lost session_lost"
    ));
    check(&format!(
        "{IDLE} run a retries=1 => run a, active, a: running
                begun a =>
                ended a 1 =>
                gone 0  => completed, a: lost session_lost"
    ));
}

#[test]
fn what_runs_in_a_session_that_is_closed_is_lost() {
    check(&format!(
        "{IDLE} run a,b => run a, active, a: running, b: queued
                begun a =>
                close   => close graceful 30s
                run c   => refused session_closed
                killed 1 => terminated, a: lost session_lost, b: lost session_lost
                close   =>"
    ));
}

#[test]
fn a_command_may_end_well_while_its_session_is_closed_but_no_other_starts() {
    check(&format!(
        "{IDLE} run a,b retries=3 => run a, active, a: running, b: queued
                close     => close graceful 30s
                ended a 1 => idle, a: exited 1 session_lost
                prompt    =>
                gone 0    => terminated, b: lost session_lost"
    ));
    check(&format!(
        "{IDLE} run a retries=3 => run a, active, a: running
                ended a 1 =>
                close     => close graceful 30s
                wait 2s   =>
                gone 0    => terminated, a: lost session_lost"
    ));
}

#[test]
fn a_second_close_can_only_hasten_the_end() {
    check(&format!(
        "{IDLE} close          => close graceful 30s
                wait 10s       =>
                close          =>
                close graceful 25s =>
                close graceful 5s => close graceful 5s
                close force    => close force 1s
                close force 9s =>
                close emergency => close emergency 0ns
                close          =>
                killed 9       => terminated"
    ));
}

#[test]
fn a_session_in_error_is_closed_at_once() {
    check(&format!(
        "{IDLE} gone 1 => error
                close  => terminated
                close  =>"
    ));
}

#[test]
fn the_first_reason_is_kept() {
    let mut play = Play::new();
    let id = play.idle(NewSession::default());
    for reason in ["done", "again"] {
        let (sessions, reason) = (vec![id.clone()], Some(reason.to_owned()));
        let close = Request::Close { sessions, mode: CloseMode::Graceful, grace: None, reason };
        play.request(close).expect("never refused");
    }
    play.event(&id, WorkerEventKind::Gone { exit: Exit::Signal(9), forced: true });
    let session = play.session(&id);
    assert_eq!((session.status, session.end_reason.as_deref()), (Status::Terminated, Some("done")));
    assert_eq!(play.decisions(), ["SIGKILL: processes of the session outlived their grace"]);
    play.close(&SessionId::from_text("ses_nobody"), CloseMode::Force);
    assert_eq!(play.effects, []);
}

#[test]
fn a_close_overrides_a_reset_and_a_failed_start() {
    check(&format!(
        "{IDLE} reset    => close emergency 0ns, recovering
                run a    => a: queued
                close    =>
                killed 9 => terminated, a: lost session_lost"
    ));
    check(
        "create => spawn 1, initializing
         close  => close graceful 30s
         spawn_failed => terminated",
    );
}
