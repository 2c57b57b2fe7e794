//! Timeouts and limits of commands, and the ladder that ends them.

use super::*;
use crate::limits;
use crate::model::EndReason;

const RUNNING: &str = "create => spawn 1, initializing
                       started =>
                       prompt => idle\n";

#[test]
fn a_late_command_is_left_alone_unless_told_otherwise() {
    check(&format!(
        "{RUNNING} run a timeout=3s => run a, active, a: running
                   wait 2999ms =>
                   wait 1ms  => timeout, a: running late
                   wait 1h   =>
                   ended a 0 => idle, a: exited 0 late"
    ));
}

#[test]
fn the_session_names_the_timeout_of_commands_that_name_none() {
    check(&format!(
        "{RUNNING} run a     => run a, active, a: running
                   wait 119s =>
                   wait 1s   => timeout, a: running late"
    ));
}

#[test]
fn the_ladder_goes_from_interrupt_over_kill_to_the_shell() {
    check(&format!(
        "{RUNNING} run a,b timeout=3s interrupt => run a, active, a: running, b: queued
                   begun a  =>
                   wait 3s  => interrupt, timeout, a: running late
                   wait 5s  => kill
                   wait 5s  => close emergency 0ns
                   wait 1h  =>
                   killed 9 => error, a: shell killed 9 late timeout, b: lost session_lost"
    ));
}

#[test]
fn a_command_to_be_killed_is_not_interrupted_first() {
    check(&format!(
        "{RUNNING} run a timeout=3s kill => run a, active, a: running
                   wait 3s => kill, timeout, a: running late
                   wait 5s => close emergency 0ns
                   wait 1h =>"
    ));
}

#[test]
fn a_command_that_its_caller_gives_up_is_stopped_wherever_it_is() {
    check(&format!(
        "{RUNNING} run a,b,c   => run a, active, a: running, b: queued, c: queued
                   stop b      => b: lost cancelled
                   stop a a    => interrupt
                   stop b      =>
                   wait 5s     => kill
                   ended a 137 => run c, a: exited 137 cancelled, c: running
                   stop a      =>
                   wait 1h     => timeout, c: running late"
    ));
}

#[test]
fn a_command_that_ends_on_the_ladder_steps_off_it() {
    for (wait, effects) in [("0s", ""), ("5s", "kill")] {
        check(&format!(
            "{RUNNING} run a,b timeout=3s interrupt => run a, active, a: running, b: queued
                       wait 3s     => interrupt, timeout, a: running late
                       wait {wait} => {effects}
                       ended a 130 => run b, active, a: exited 130 late timeout, b: running
                       wait 1s     =>
                       ended b 0   => idle, b: exited 0
                       wait 1h     =>"
        ));
    }
}

#[test]
fn a_shell_that_is_killed_takes_no_further_command() {
    check(&format!(
        "{RUNNING} run a,b timeout=3s kill => run a, active, a: running, b: queued
                   wait 3s     => kill, timeout, a: running late
                   wait 5s     => close emergency 0ns
                   ended a 137 => idle, a: exited 137 late timeout
                   prompt      =>
                   killed 9    => error, b: lost session_lost"
    ));
}

#[test]
fn a_passed_limit_starts_the_ladder_once() {
    check(&format!(
        "{RUNNING} run a timeout=2s interrupt => run a, active, a: running
                   memory_limit a => end offenders
                   wait 500ms     => kill offenders
                   memory_limit a =>
                   wait 500ms     => kill offenders
                   wait 4s        => kill
                   ended a 137    => idle, a: exited 137 memory_limit
                   memory_limit a =>
                   wait 1h        =>"
    ));
    let mut play = Play::new();
    let id = play.idle(NewSession::default());
    let command = play.run(&id, "a");
    let passed = passed(Limit::CpuTime, Offender::Command, Some(&command));
    play.event(&id, passed.clone());
    let limits = |play: &Play| {
        let is_limit = |kind: &&EventKind| matches!(kind, EventKind::Limit { .. });
        play.events().into_iter().filter(is_limit).cloned().collect::<Vec<_>>()
    };
    let limit = "maxCpuTime".to_owned();
    let told = EventKind::Limit { limit, measured: 9, allowed: 5, command: Some(command.clone()) };
    assert_eq!(limits(&play), [told]);
    play.end(&id, &command, 130);
    play.event(&id, passed);
    assert_eq!(limits(&play), []);
}

#[test]
fn a_late_command_that_passes_a_limit_is_stopped_for_that() {
    check(&format!(
        "{RUNNING} run a timeout=2s => run a, active, a: running
                   wait 2s        => timeout, a: running late
                   memory_limit a => end offenders
                   ended a 130    => idle, a: exited 130 late memory_limit"
    ));
}

fn passed(limit: Limit, by: Offender, command: Option<&CommandId>) -> WorkerEventKind {
    let breach = Breach { limit, measured: 9, allowed: 5, by };
    WorkerEventKind::LimitPassed { command: command.cloned(), breach }
}

/// What passes a limit of the session while no command runs is ended all the same, and what was told to
/// run meanwhile is not what passed it.
#[test]
fn what_a_command_left_running_is_ended_and_the_session_goes_on() {
    for by in [Offender::Session, Offender::Command] {
        let mut play = Play::new();
        let id = play.idle(NewSession::default());
        play.event(&id, passed(Limit::Processes, by, None));
        assert_eq!(play.effects.len(), 1, "{:?}", play.effects);
        let command = play.run(&id, "a");
        play.wait(limits::PROCESS_GRACE);
        let kinds: Vec<_> = play.effects.iter().map(|effect| &effect.kind).collect();
        assert_eq!(kinds, [&EffectKind::EndOffenders { force: true }]);
        play.end(&id, &command, 0);
        assert!(play.command(&command).is_success());
        assert_eq!(play.session(&id).status, Status::Idle);
    }
}

#[test]
fn a_shell_that_passes_a_limit_by_itself_is_the_end_of_the_session() {
    let mut play = Play::new();
    let id = play.idle(NewSession::default());
    play.event(&id, passed(Limit::Memory, Offender::Shell, None));
    play.gone(&id, Exit::Signal(9));
    let session = play.session(&id);
    assert_eq!(session.status, Status::Error);
    let reason = session.end_reason.as_deref().unwrap_or_default();
    assert!(reason.starts_with("memory_limit: the session's shell itself uses 9 bytes"), "{reason}");
}

#[test]
fn a_session_whose_shell_passes_a_limit_by_itself_is_recovered_where_it_is_to_be() {
    let mut play = Play::new();
    let id = play.idle(NewSession { recovery: Some(policy("auto")), ..NewSession::default() });
    play.event(&id, passed(Limit::Memory, Offender::Command, None));
    play.event(&id, passed(Limit::Memory, Offender::Shell, None));
    let command = play.run(&id, "a");
    play.wait(limits::MEMORY_GRACE);
    play.gone(&id, Exit::Signal(9));
    let report = play.engine.recovery(&id).expect("it is under way");
    assert_eq!((report.recovered, report.category), (None, Some(FailureCategory::MemoryLimit)));
    play.event(&id, WorkerEventKind::Prompt { directory: None });
    assert_eq!(play.engine.running(&id).map(|running| &running.id), Some(&command), "it waited for that");
}

#[test]
fn a_shell_that_is_killed_for_a_limit_says_so() {
    for with_command in [false, true] {
        let mut play = Play::new();
        let id = play.idle(NewSession::default());
        let command = with_command.then(|| play.run(&id, "a"));
        play.event(&id, passed(Limit::Memory, Offender::Session, command.as_ref()));
        play.gone(&id, Exit::Signal(9));
        let reason = play.session(&id).end_reason.as_deref().unwrap_or_default();
        assert!(reason.starts_with("memory_limit: the session uses"), "{reason}");
    }
    let mut play = Play::new();
    let id = play.idle(NewSession::default());
    play.event(&id, passed(Limit::Memory, Offender::Session, None));
    play.wait(limits::MEMORY_GRACE);
    play.gone(&id, Exit::Signal(9));
    assert_eq!(play.session(&id).end_reason.as_deref(), Some("the shell was killed by signal 9"));
}

#[test]
fn what_the_kernel_refuses_is_the_reason_of_a_command_that_fails_by_it() {
    for (status, reason) in [(0, None), (1, Some(EndReason::ProcessLimit))] {
        let mut play = Play::new();
        let id = play.idle(NewSession::default());
        let command = play.run(&id, "a");
        play.event(&id, passed(Limit::Tasks, Offender::Session, Some(&command)));
        assert!(play.effects.is_empty(), "it is left to the command: {:?}", play.effects);
        play.end(&id, &command, status);
        assert_eq!(play.command(&command).reason, reason);
    }
}

#[test]
fn a_shell_that_is_stopped_is_shown_as_such_until_it_goes_on() {
    let mut play = Play::new();
    let id = play.idle(NewSession::default());
    play.event(&id, WorkerEventKind::Stopped(true));
    assert!(play.session(&id).stopped);
    assert_eq!(play.decisions().len(), 1);
    play.event(&id, WorkerEventKind::Stopped(true));
    assert_eq!(play.decisions(), [""; 0]);
    play.event(&id, WorkerEventKind::Stopped(false));
    assert!(!play.session(&id).stopped);
}

#[test]
fn a_terminal_that_its_program_closed_ends_the_session() {
    check(&format!(
        "{RUNNING} terminal_lost => close force 1s
                   killed 9      => error"
    ));
}

#[test]
fn an_interrupted_predecessor_is_on_the_ladder_too() {
    check(&format!(
        "{RUNNING} run a              => run a, active, a: running
                   begun a            =>
                   run b or-interrupt => interrupt, b: queued
                   wait 5s            => kill
                   wait 5s            => close emergency 0ns
                   killed 9           => error, a: shell killed 9 cancelled, b: lost session_lost"
    ));
}

#[test]
fn deadlines_do_not_pile_up() {
    let mut play = Play::new();
    let id = play.idle(NewSession::default());
    for status in [0, 1, 130].repeat(50) {
        let command = play.run(&id, "a");
        play.end(&id, &command, status);
    }
    assert_eq!(play.engine.next_deadline(), None);
    let command = play.run(&id, "a");
    assert!(play.engine.next_deadline().is_some());
    play.gone(&id, Exit::Code(0));
    assert!(play.command(&command).is_ended());
    assert_eq!(play.engine.next_deadline(), None);

    let id = play.idle(NewSession { idle_timeout: Some(duration("1h")), ..NewSession::default() });
    for _ in 0..100 {
        let command = play.run(&id, "a");
        play.end(&id, &command, 0);
        play.event(&id, WorkerEventKind::Prompt { directory: None });
    }
    assert_eq!(play.engine.deadlines.len(), 1);
    play.gone(&id, Exit::Code(0));
    assert_eq!(play.engine.next_deadline(), None);
}
