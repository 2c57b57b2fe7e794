//! Queues, batches and retries.

use super::*;
use crate::error::ErrorCode;
use crate::limits;

const IDLE: &str = "create => spawn 1, initializing
                    started =>
                    prompt => idle\n";

#[test]
fn commands_run_one_after_the_other_in_the_order_of_their_coming() {
    check(
        "create    => spawn 1, initializing
         run a     => a: queued
         run b,c   => b: queued, c: queued
         started   =>
         prompt    => run a, active, a: running
         begun a   =>
         prompt    =>
         ended b 0 =>
         ended a 1 => run b, a: exited 1, b: running
         ended a 0 =>
         ended b 0 => run c, b: exited 0, c: running
         ended c 0 => idle, c: exited 0",
    );
}

#[test]
fn a_busy_session_may_refuse() {
    check(&format!(
        "{IDLE} run a or-error => run a, active, a: running
                run b or-error => refused session_busy
                ended a 0      => idle, a: exited 0
                busy           => active
                run b or-error => refused session_busy"
    ));
    check(
        "create         => spawn 1, initializing
         run b or-error => refused session_busy",
    );
}

#[test]
fn a_busy_session_may_be_interrupted() {
    check(&format!(
        "{IDLE} run a,b            => run a, active, a: running, b: queued
                run c or-interrupt => interrupt, c: queued
                run d or-interrupt => d: queued
                ended a 130        => run b, a: exited 130 cancelled, b: running
                wait 1m            =>"
    ));
    check(&format!(
        "{IDLE} busy               => active
                run a or-interrupt => interrupt, a: queued
                prompt             => run a, a: running"
    ));
}

#[test]
fn a_shell_that_starts_is_not_interrupted() {
    check(
        "create             => spawn 1, initializing
         run a or-interrupt => a: queued
         prompt             => run a, active, a: running
         reset              => close emergency 0ns, recovering, a: lost session_lost
         run b or-interrupt => b: queued
         gone 0             => spawn 2
         run c or-interrupt => c: queued
         prompt             => run b, active, b: running",
    );
}

#[test]
fn a_full_queue_refuses_all_or_nothing() {
    let mut play = Play::new();
    let id = play.idle(NewSession::default());
    let lines = |count: usize| vec![NewCommand::line("x"); count];
    play.execute(&id, lines(crate::limits::QUEUED_COMMANDS), false).expect("accepted");
    play.run(&id, "the last that fits");
    assert_eq!(play.engine.queued(&id), crate::limits::QUEUED_COMMANDS);
    for count in [1, 5] {
        let error = play.execute(&id, lines(count), false).expect_err("full");
        assert_eq!((error.code, error.code.is_retryable()), (ErrorCode::Overloaded, true));
    }
    assert_eq!(play.engine.queued(&id), crate::limits::QUEUED_COMMANDS);
}

#[test]
fn a_failure_cancels_exactly_the_rest_of_its_batch() {
    check(&format!(
        "{IDLE} batch a,b,c => run a, active, a: running, b: queued, c: queued
                run d       => d: queued
                batch e,f   => e: queued, f: queued
                ended a 0   => run b, a: exited 0, b: running
                ended b 2   => run d, b: exited 2, c: lost cancelled, d: running
                ended d 2   => run e, d: exited 2, e: running
                ended e 0   => run f, e: exited 0, f: running
                ended f 1   => idle, f: exited 1"
    ));
    check(&format!(
        "{IDLE} batch a,b ok=2 => run a, active, a: running, b: queued
                ended a 2      => run b, a: exited 2, b: running
                ended b 1      => idle, b: exited 1"
    ));
    check(&format!(
        "{IDLE} batch a,b => run a, active, a: running, b: queued
                begun a   =>
                gone 3    => error, a: shell exited 3, b: lost cancelled"
    ));
}

#[test]
fn a_command_that_is_tried_again_has_not_failed_its_batch_yet() {
    check(&format!(
        "{IDLE} batch a,b retries=1 => run a, active, a: running, b: queued
                ended a 1 =>
                wait 1s   => run a, a: running try 2
                ended a 1 => idle, a: exited 1 try 2, b: lost cancelled"
    ));
}

#[test]
fn only_what_has_not_started_is_taken_out_of_a_queue() {
    check(&format!(
        "{IDLE} run a,b,c    => run a, active, a: running, b: queued, c: queued
                cancel a b b => b: lost cancelled
                ended a 0    => run c, a: exited 0, c: running"
    ));
    check(&format!(
        "{IDLE} batch a,b,c,d => run a, active, a: running, b: queued, c: queued, d: queued
                run e         => e: queued
                cancel c      => c: lost cancelled, d: lost cancelled
                ended a 0     => run b, a: exited 0, b: running
                ended b 0     => run e, b: exited 0, e: running"
    ));
}

#[test]
fn a_failed_command_is_tried_again_after_growing_pauses() {
    check(&format!(
        "{IDLE} run a,b retries=2 => run a, active, a: running, b: queued
                ended a 1 =>
                ended a 0 =>
                prompt    =>
                wait 999ms =>
                wait 1ms  => run a, a: running try 2
                ended a 1 =>
                wait 2999ms =>
                wait 1ms  => run a, a: running try 3
                ended a 4 => run b, a: exited 4 try 3, b: running
                ended b 0 => idle, b: exited 0"
    ));
}

#[test]
fn a_try_starts_with_a_clean_record() {
    let mut play = Play::new();
    let id = play.idle(NewSession::default());
    let retries = Some(Retries { max: 1, delay_ms: 2_000, backoff: 1.0 });
    let command = play
        .execute(&id, vec![NewCommand { retries, ..NewCommand::line("a") }], false)
        .expect("accepted")
        .remove(0);
    play.end(&id, &command, 7);
    let reason = format!("command {command} failed with exit code 7: try 2 of 2 follows in 2000 ms");
    assert_eq!(play.decisions(), [reason]);
    let record = play.command(&command);
    assert_eq!((record.state, record.ending, record.attempt), (CommandState::Running, None, 1));
    play.wait(duration("2s"));
    let record = play.command(&command);
    assert_eq!((record.attempt, record.ending, record.output_from, record.output_to), (2, None, None, None));
    assert_eq!(record.started_at, Some(play.now().wall));
    play.end(&id, &command, 0);
    let session = play.session(&id);
    assert_eq!((session.commands_executed, session.commands_failed), (1, 0));
    assert!(play.command(&command).is_success());
}

#[test]
fn what_succeeded_or_was_stopped_is_not_tried_again() {
    for (options, status) in [("", 0), ("ok=3", 3), ("any-code", 5), ("", 130), ("", 127), ("", 126)] {
        check(&format!(
            "{IDLE} run a retries=2 {options} => run a, active, a: running
                    ended a {status} => idle, a: exited {status}
                    wait 1h =>"
        ));
    }
    check(&format!(
        "{IDLE} run a retries=2 => run a, active, a: running
                memory_limit a => end offenders
                ended a 1 => idle, a: exited 1 memory_limit"
    ));
}

#[test]
fn what_was_stopped_for_its_timeout_is_tried_again() {
    for (policy, effect) in [("interrupt", "interrupt"), ("kill", "kill")] {
        check(&format!(
            "{IDLE} run a retries=1 {policy} timeout=3s => run a, active, a: running
                    wait 3s     => {effect}, timeout, a: running late
                    ended a 130 =>
                    wait 1s     => run a, active, a: running try 2
                    wait 3s     => {effect}, timeout, a: running try 2 late
                    ended a 130 => idle, a: exited 130 try 2 late timeout
                    wait 1h     =>"
        ));
    }
    check(&format!(
        "{IDLE} run a retries=1 interrupt timeout=3s => run a, active, a: running
                stop a      => interrupt
                wait 3s     =>
                ended a 130 => idle, a: exited 130 cancelled
                wait 1h     =>"
    ));
    check(&format!(
        "{IDLE} run a retries=1 interrupt timeout=3s => run a, active, a: running
                wait 3s     => interrupt, timeout, a: running late
                ended a 130 =>
                stop a      => idle, a: exited 130 late cancelled
                wait 1h     =>"
    ));
}

#[test]
fn a_pause_between_tries_ends_with_an_interrupt() {
    check(&format!(
        "{IDLE} run a retries=2    => run a, active, a: running
                ended a 9          =>
                run b or-interrupt => run b, a: exited 9 cancelled, b: running
                wait 1m            =>
                ended b 0          => idle, b: exited 0"
    ));
}

#[test]
fn a_try_is_not_late_because_the_one_before_was() {
    check(&format!(
        "{IDLE} run a retries=1 timeout=5s => run a, active, a: running
                wait 5s   => timeout, a: running late
                ended a 1 =>
                wait 1s   => run a, active, a: running try 2
                wait 5s   => timeout, a: running try 2 late
                ended a 0 => idle, a: exited 0 try 2 late"
    ));
}

#[test]
fn a_pause_is_bounded_whatever_its_factor() {
    for (delay_ms, backoff, longest) in
        [(0, f64::INFINITY, "1ms"), (1_000, f64::INFINITY, "1h"), (5, 0.0, "5ms")]
    {
        let mut play = Play::new();
        let id = play.idle(NewSession::default());
        let retries = Some(Retries { max: 2, delay_ms, backoff });
        let command = play
            .execute(&id, vec![NewCommand { retries, ..NewCommand::line("a") }], false)
            .expect("accepted")
            .remove(0);
        for attempt in 2..=3 {
            play.end(&id, &command, 1);
            play.wait(duration(longest));
            assert_eq!(play.command(&command).attempt, attempt, "{delay_ms} × {backoff}");
        }
    }
}

#[test]
fn what_a_worker_sees_of_a_command_is_shown() {
    let mut play = Play::new();
    let id = play.idle(NewSession::default());
    let command = play.run(&id, "a");
    assert_eq!(play.session(&id).last_command.as_ref(), Some(&command));
    play.event_of(&id, 1, 40, WorkerEventKind::Begun { command: command.clone() });
    // After a crash this tells what a lost command had printed.
    assert_eq!(play.command(&command).output_from, Some(40));
    assert_eq!(play.records.len(), 1);
    let line = Some("Password: ".to_owned());
    play.event(&id, WorkerEventKind::Awaiting { command: command.clone(), line: line.clone() });
    assert_eq!(play.command(&command).awaiting_input, line);
    // Not worth a commit, but watchers are told.
    assert_eq!(play.records, []);
    play.event_of(&id, 1, 90, ended(&command, 0));
    let record = play.command(&command);
    assert_eq!((record.awaiting_input.as_ref(), record.output_to), (None, Some(90)));
    assert_eq!((record.ended_at, record.duration_us), (Some(play.now().wall), Some(1_000)));
    assert_eq!(play.session(&id).working_directory, PathBuf::from("/here"));
    let ended = EventKind::CommandEnded { command, exit_code: Some(0), reason: None };
    assert_eq!(play.events(), [&ended]);
}

#[test]
fn an_earlier_run_is_one_of_the_same_line_in_the_same_session() {
    let mut world = Play::new();
    let (here, there) = (world.idle(NewSession::default()), world.idle(NewSession::default()));
    let mut ran = |session: &SessionId, text: &str| {
        let command = world.run(session, text);
        world.end(session, &command, 0);
        command
    };
    let long = "x".repeat(limits::ENDED_TEXT_BYTES + 1);
    let first = ran(&here, "make");
    let [elsewhere, other, second] = [ran(&there, "make"), ran(&here, "make all"), ran(&here, "make")];
    let [_, cut] = [ran(&here, &long), ran(&here, &long)];
    let third = ran(&here, "make");
    let earlier = |command: &CommandId| world.engine.earlier_run(command).map(|earlier| earlier.id.clone());
    assert_eq!(earlier(&first), None);
    assert_eq!(earlier(&elsewhere), None);
    assert_eq!(earlier(&other), None);
    assert_eq!(earlier(&second), Some(first));
    assert_eq!(earlier(&third), Some(second));
    assert_eq!(earlier(&cut), None, "of a long line only the beginning is kept");
}
