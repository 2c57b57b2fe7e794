//! A session that has used up its processor time: how that ends, and how it begins again.

use super::*;
use crate::model::EndReason;

#[test]
fn a_session_that_is_to_be_recovered_gets_a_fresh_shell_once_its_command_has_said_why() {
    check(
        "create recover=auto => spawn 1, initializing
         prompt      => idle
         run a,b     => run a, active, a: running, b: queued
         begun a     =>
         cpu_spent a => end offenders
         ended a 130 => idle, a: exited 130 cpu_limit
         wait 249ms  =>
         wait 1ms    => close emergency 0ns, recovering
         killed 9    => spawn 2
         prompt      => run b, active, b: running
         ended b 0   => idle, b: exited 0
         wait 1h     =>",
    );
}

#[test]
fn what_uses_it_up_behind_the_prompt_has_its_grace_first() {
    check(
        "create recover=auto => spawn 1, initializing
         prompt    => idle
         cpu_spent => end offenders
         run a     => a: queued
         wait 4s   =>
         wait 1s   => close emergency 0ns, recovering
         killed 9  => spawn 2
         prompt    => run a, active, a: running",
    );
}

#[test]
fn without_the_wish_for_it_the_shell_stays() {
    check(
        "create      => spawn 1, initializing
         prompt      => idle
         run a,b     => run a, active, a: running, b: queued
         begun a     =>
         cpu_spent a => end offenders
         ended a 130 => run b, a: exited 130 cpu_limit, b: running
         ended b 0   => idle, b: exited 0
         wait 5s     => kill offenders
         wait 1h     =>",
    );
}

#[test]
fn a_shell_that_ends_by_it_is_recovered_because_of_it() {
    check(
        "create recover=auto => spawn 1, initializing
         prompt      => idle
         run a       => run a, active, a: running
         begun a     =>
         cpu_spent a => end offenders
         wait 5s     => kill, kill offenders
         wait 5s     => close emergency 0ns
         killed 9    => spawn 2, recovering, a: shell killed 9 cpu_limit
         prompt      => idle",
    );
    check(
        "create plain recover=auto => spawn 1, initializing
         started   => active
         cpu_spent => end offenders
         gone 0    => spawn 2, recovering
         started   => active",
    );
}

#[test]
fn the_end_and_the_recovery_name_the_limit() {
    for (recovery, exit) in
        [(None, Exit::Signal(9)), (None, Exit::Code(0)), (Some(policy("auto")), Exit::Signal(9))]
    {
        let mut play = Play::new();
        let id = play.idle(NewSession { recovery, ..NewSession::default() });
        let command = play.run(&id, "a");
        play.event(&id, WorkerEventKind::Begun { command: command.clone() });
        let breach = Breach { limit: Limit::CpuTime, measured: 9, allowed: 5, by: Offender::Session };
        play.event(&id, WorkerEventKind::LimitPassed { command: Some(command.clone()), breach });
        play.gone(&id, exit);
        assert_eq!(play.command(&command).reason, Some(EndReason::CpuLimit));
        if recovery.is_none() {
            let session = play.session(&id);
            let told = "cpu_limit: the session uses 9 ms of CPU time, and maxCpuTime is 5";
            assert_eq!((session.status, session.end_reason.as_deref()), (Status::Error, Some(told)));
            play.reset(&id).expect("it may begin again");
            play.event(&id, WorkerEventKind::Prompt { directory: None });
        } else {
            let report = play.engine.recovery(&id).expect("it is under way");
            assert_eq!((report.recovered, report.category), (None, Some(FailureCategory::CpuLimit)));
            play.event(&id, WorkerEventKind::Prompt { directory: None });
            assert_eq!(play.engine.recovery(&id).and_then(|report| report.recovered), Some(true));
        }
        // That was the old shell's budget.
        assert!(!play.session(&id).cpu_time_spent);
        play.gone(&id, Exit::Signal(9));
        let reason = play.session(&id).end_reason.as_deref();
        let told = recovery.is_none().then_some("the shell was killed by signal 9");
        assert_eq!(reason, told);
    }
}

#[test]
fn a_wider_bound_gives_it_time_again() {
    let mut play = Play::new();
    let constraints = |text: &str| Some(vec![text.to_owned()]);
    let id = play
        .idle(NewSession { constraints: constraints("max-cpu-time:5s").unwrap(), ..NewSession::default() });
    let breach = Breach { limit: Limit::CpuTime, measured: 6_000, allowed: 5_000, by: Offender::Session };
    play.event(&id, WorkerEventKind::LimitPassed { command: None, breach });
    for (text, is_spent) in [("max-cpu-time:5000", true), ("max-cpu-time:9s", false)] {
        let change = SessionChange { constraints: constraints(text), ..SessionChange::default() };
        assert_eq!(play.update(&id, change).expect("a bound").cpu_time_spent, is_spent, "{text}");
    }
}

#[test]
fn a_shell_that_dies_after_its_command_did_not_die_by_the_limit() {
    let mut play = Play::new();
    let id = play.idle(NewSession::default());
    let command = play.run(&id, "a");
    play.event(&id, WorkerEventKind::Begun { command: command.clone() });
    let breach = Breach { limit: Limit::CpuTime, measured: 9, allowed: 5, by: Offender::Session };
    play.event(&id, WorkerEventKind::LimitPassed { command: Some(command.clone()), breach });
    play.end(&id, &command, 130);
    play.gone(&id, Exit::Signal(9));
    assert_eq!(play.session(&id).end_reason.as_deref(), Some("the shell was killed by signal 9"));
}
