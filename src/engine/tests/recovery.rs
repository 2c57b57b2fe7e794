//! Recoveries: by hand, without being asked, and when they are left alone.

use super::*;
use crate::engine::health::{Component, Finding, Health, STALE};
use crate::engine::report::RecoveryReport;
use crate::error::ErrorCode;
use crate::limits;
use crate::model::{Breach, CircuitState, Limit, Monitor, Offender, OnCritical};

#[test]
fn a_shell_that_dies_is_followed_by_another() {
    check(
        "create recover=auto => spawn 1, initializing
         prompt   => idle
         killed 9 => spawn 2, recovering
         started  =>
         prompt   => idle
         gone 1   => recovering
         wait 3s  => spawn 3
         prompt   => idle",
    );
}

#[test]
fn without_the_wish_for_it_a_dead_shell_stays_dead() {
    check(
        "create   => spawn 1, initializing
         prompt   => idle
         killed 9 => error
         wait 1h  =>",
    );
}

#[test]
fn what_waits_is_kept_for_the_fresh_shell_and_what_ran_is_not_run_again() {
    check(
        "create recover=auto => spawn 1, initializing
         prompt   => idle
         run a,b  => run a, active, a: running, b: queued
         begun a  =>
         killed 9 => spawn 2, recovering, a: shell killed 9
         prompt   => run b, active, b: running
         ended b 0 => idle, b: exited 0",
    );
}

#[test]
fn what_never_began_runs_in_the_fresh_shell() {
    check(
        "create recover=auto => spawn 1, initializing
         prompt   => idle
         run a    => run a, active, a: running
         killed 9 => spawn 2, recovering, a: queued try 2
         prompt   => run a, active, a: running try 2",
    );
}

#[test]
fn an_exit_that_was_wished_for_is_none_to_recover_from() {
    check(
        "create recover=auto command=once => spawn 1, initializing, once: queued
         prompt     => run once, active, once: running
         begun once =>
         gone 0     => completed, once: shell exited 0",
    );
    check(
        "create recover=auto => spawn 1, initializing
         prompt => idle
         run a  => run a, active, a: running
         begun a =>
         gone 0 => completed, a: shell exited 0",
    );
    check(
        "create recover=auto => spawn 1, initializing
         prompt => idle
         run a  => run a, active, a: running
         begun a =>
         ended a 0 => idle, a: exited 0
         gone 0 => spawn 2, recovering",
    );
    check(
        "create plain recover=auto => spawn 1, initializing
         started  => active
         killed 9 => spawn 2, recovering
         started  => active
         gone 0   => completed",
    );
}

#[test]
fn the_pauses_grow_and_the_attempts_end() {
    check(
        "create recover=auto => spawn 1, initializing
         prompt   => idle
         killed 9 => spawn 2, recovering
         killed 9 =>
         wait 1400ms =>
         wait 600ms => spawn 3
         killed 9 =>
         wait 2900ms =>
         wait 1100ms => spawn 4
         killed 9 => error
         wait 1h  =>",
    );
}

#[test]
fn a_shell_that_never_comes_to_its_prompt_is_replaced() {
    check(
        "create recover=restart => spawn 1, initializing
         prompt   => idle
         killed 9 => spawn 2, recovering
         wait 14s =>
         wait 1s  => close emergency 0ns
         killed 9 =>
         wait 2s  => spawn 3
         prompt   => idle",
    );
}

#[test]
fn what_fails_for_want_of_a_program_is_not_tried_again() {
    check(
        "create recover=auto => spawn 1, initializing
         prompt    => idle
         killed 9  => spawn 2, recovering
         not_found => error
         wait 1h   =>
         recover restart => spawn 3, recovering
         prompt    => idle",
    );
}

#[test]
fn a_command_that_outlives_its_timeout_is_ended_if_the_session_is_to_be_recovered() {
    check(
        "create recover=auto => spawn 1, initializing
         prompt  => idle
         run a timeout=1s => run a, active, a: running
         begun a =>
         wait 1s => interrupt, recovering, a: running late
         ended a 130 => idle, a: exited 130 late timeout",
    );
    check(
        "create recover=auto => spawn 1, initializing
         prompt  => idle
         run a,b timeout=1s => run a, active, a: running, b: queued
         begun a =>
         wait 1s => interrupt, recovering, a: running late
         wait 5s => kill
         wait 5s => close emergency 0ns, a: lost late timeout
         killed 9 => spawn 2
         prompt  => run b, active, b: running",
    );
}

#[test]
fn a_stopped_shell_is_let_go_on_before_it_is_replaced() {
    check(
        "create recover=auto => spawn 1, initializing
         prompt    => idle
         stopped   => resume, recovering
         continued => idle
         stopped   => resume, recovering
         wait 2s   => close emergency 0ns
         killed 9  => spawn 2
         prompt    => idle",
    );
    check(
        "create    => spawn 1, initializing
         prompt    => idle
         run a     => run a, active, a: running
         stopped   =>
         recover auto stopped => resume, recovering
         continued => active
         ended a 0 => idle, a: exited 0",
    );
}

#[test]
fn strategies_by_hand_do_what_they_say() {
    let busy = "create  => spawn 1, initializing
         prompt  => idle
         run a,b => run a, active, a: running, b: queued
         begun a =>";
    check(&format!(
        "{busy}
         recover interrupt => interrupt, recovering
         ended a 130 => run b, active, a: exited 130 cancelled, b: running"
    ));
    check(&format!(
        "{busy}
         recover interrupt => interrupt, recovering
         wait 5s => kill
         wait 5s => active
         ended a 0 => run b, a: exited 0 cancelled, b: running"
    ));
    check(&format!(
        "{busy}
         recover graceful => terminate, recovering
         ended a 143 => run b, active, a: exited 143 cancelled, b: running"
    ));
    check(&format!(
        "{busy}
         recover graceful => terminate, recovering
         wait 5s  => close emergency 0ns, a: lost cancelled
         killed 9 => spawn 2
         prompt   => run b, active, b: running"
    ));
    check(&format!(
        "{busy}
         recover restart => close emergency 0ns, recovering, a: lost session_lost
         killed 9 => spawn 2
         prompt   => run b, active, b: running"
    ));
    check(&format!(
        "{busy}
         recover reset => close emergency 0ns, recovering, a: lost session_lost, b: lost session_lost
         killed 9 => spawn 2
         prompt   => idle"
    ));
}

#[test]
fn what_ran_is_put_back_on_request() {
    check(
        "create  => spawn 1, initializing
         prompt  => idle
         run a,b => run a, active, a: running, b: queued
         begun a =>
         recover restart requeue => close emergency 0ns, recovering, a: queued try 2
         killed 9 => spawn 2
         prompt   => run a, active, a: running try 2
         recover interrupt requeue => interrupt, recovering
         ended a 130 => run a, active, a: running try 3",
    );
    let mut play = Play::new();
    let id = play.idle(NewSession::default());
    let command = play.run(&id, "a");
    play.run(&id, "b");
    play.event(&id, WorkerEventKind::Begun { command });
    play.gone(&id, Exit::Signal(9));
    recover(&mut play, &id, RecoveryStrategy::Auto, true);
    play.event(&id, WorkerEventKind::Prompt { directory: None });
    let handed: Vec<&str> = play
        .effects
        .iter()
        .filter_map(|effect| match &effect.kind {
            EffectKind::Run(run) => Some(run.command.text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!((handed, play.engine.queued(&id)), (vec!["a"], 1));
    assert_eq!(play.engine.recovery(&id).and_then(|report| report.recovered), Some(true));
}

fn recover(play: &mut Play, id: &SessionId, strategy: RecoveryStrategy, requeue: bool) -> RecoveryReport {
    let request = RecoveryRequest {
        selector: id.to_string(),
        strategy,
        max_retries: None,
        retry_delay: None,
        requeue,
        evidence: Evidence::default(),
    };
    match play.request(Request::Recover(request)).expect("accepted") {
        Reply::Recovery(report) => *report,
        reply => panic!("{reply:?} for a recovery"),
    }
}

#[test]
fn the_state_of_a_dead_shell_is_for_the_next() {
    let mut play = Play::new();
    let id = play.idle(NewSession { recovery: Some(policy("auto")), ..NewSession::default() });
    let command = play.run(&id, "cd /here");
    play.end(&id, &command, 0);
    play.gone(&id, Exit::Signal(9));
    let [Effect { kind: EffectKind::Spawn(spawn), .. }] = &play.effects[..] else {
        panic!("{:?}", play.effects)
    };
    assert_eq!((spawn.directory.to_str(), spawn.fallback.to_str()), (Some("/here"), Some("/start")));
    assert!(spawn.takes_exports);
    play.event(&id, WorkerEventKind::Prompt { directory: None });
    let report = play.engine.recovery(&id).expect("a report");
    assert_eq!((report.recovered, report.attempts), (Some(true), 1));
    assert_eq!(report.category, Some(FailureCategory::Crash));
    assert_eq!(report.strategy, RecoveryStrategy::Restart);
    let session = play.session(&id);
    assert_eq!((session.retry_count, session.recoveries), (1, 1));
}

#[test]
fn another_session_takes_over_what_waits() {
    let mut play = Play::new();
    let able = || NewSession { capabilities: vec!["gpu".into()], ..NewSession::default() };
    let stuck = play.idle(able());
    play.idle(NewSession::default());
    let running = play.run(&stuck, "a");
    let waiting = play.run(&stuck, "b");
    play.event(&stuck, WorkerEventKind::Begun { command: running });
    let report = recover(&mut play, &stuck, RecoveryStrategy::Failover, true);
    assert_eq!((report.recovered, report.new_session), (Some(false), None));
    let other = play.idle(able());
    let report = recover(&mut play, &stuck, RecoveryStrategy::Failover, true);
    assert_eq!((report.recovered, report.new_session), (Some(true), Some(other.clone())));
    assert_eq!(play.command(&waiting).session, other);
    assert_eq!((play.engine.queued(&stuck), play.engine.queued(&other)), (0, 1));
    assert_eq!(play.session(&other).status, Status::Active);
}

#[test]
fn a_command_line_that_kills_one_shell_after_the_other_is_left_alone_for_a_while() {
    let mut play = Play::new();
    let key = "kill -9 $$";
    for round in 1..=5 {
        let id = play.idle(NewSession { recovery: Some(policy("auto")), ..NewSession::default() });
        let command = play.run(&id, key);
        play.event(&id, WorkerEventKind::Begun { command });
        play.gone(&id, Exit::Signal(9));
        let expected = if round < 5 { Status::Recovering } else { Status::Error };
        assert_eq!(play.session(&id).status, expected, "{round}");
        if round < 5 {
            continue;
        }
        let reason = play.session(&id).end_reason.clone().expect("a reason");
        assert!(reason.contains("circuit") && reason.contains("tried again at"), "{reason}");
        let state = |play: &Play| play.engine.circuits(play.now(), Some(key))[0].clone();
        assert_eq!((state(&play).state, state(&play).failures), (CircuitState::Open, 5));
        let mut again = NewCommand::line(key);
        let other = play.idle(NewSession::default());
        play.execute(&other, vec![again.clone()], false).expect("an order by hand goes through");
        again.retries = Some(Retries { max: 1, delay_ms: 1, backoff: 1.0 });
        let error = play.execute(&other, vec![again.clone()], false).expect_err("one with retries does not");
        assert_eq!(error.code, ErrorCode::CircuitOpen);
        play.wait(Duration::from_secs(30));
        assert_eq!(play.session(&id).status, Status::Recovering, "the trial");
        play.event(&id, WorkerEventKind::Prompt { directory: None });
        assert_eq!(state(&play).state, CircuitState::Closed);
    }
}

#[test]
fn a_recovery_under_way_is_joined_only_by_who_wants_the_same() {
    let mut play = Play::new();
    let id = play.idle(NewSession::default());
    let command = play.run(&id, "a");
    play.event(&id, WorkerEventKind::Begun { command });
    recover(&mut play, &id, RecoveryStrategy::Interrupt, false);
    for strategy in [RecoveryStrategy::Interrupt, RecoveryStrategy::Auto] {
        let joined = recover(&mut play, &id, strategy, false);
        assert_eq!(
            (joined.strategy, joined.recovered, joined.attempts),
            (RecoveryStrategy::Interrupt, None, 1)
        );
    }
    let request = RecoveryRequest {
        selector: id.to_string(),
        strategy: RecoveryStrategy::Reset,
        max_retries: None,
        retry_delay: None,
        requeue: false,
        evidence: Evidence::default(),
    };
    let refused = play.request(Request::Recover(request)).expect_err("another is under way");
    assert_eq!(refused.code, ErrorCode::SessionBusy);
    assert!(refused.message.ends_with("by hand, by strategy interrupt"), "{refused}");
}

#[test]
fn a_session_without_processor_time_gets_a_fresh_shell() {
    let mut play = Play::new();
    let id = play.idle(NewSession::default());
    let command = play.run(&id, "a");
    play.event(&id, WorkerEventKind::Begun { command: command.clone() });
    let breach = Breach { limit: Limit::CpuTime, measured: 9, allowed: 5, by: Offender::Session };
    play.event(&id, WorkerEventKind::LimitPassed { command: Some(command.clone()), breach });
    play.end(&id, &command, 130);
    assert!(play.session(&id).cpu_time_spent);
    let report = recover(&mut play, &id, RecoveryStrategy::Interrupt, false);
    assert_eq!(report.recovered, Some(false), "{report:?}");
    let report = recover(&mut play, &id, RecoveryStrategy::Auto, false);
    assert_eq!((report.recovered, report.category), (None, Some(FailureCategory::CpuLimit)));
    play.gone(&id, Exit::Signal(9));
    play.event(&id, WorkerEventKind::Prompt { directory: None });
    let report = play.engine.recovery(&id).expect("a report");
    assert_eq!((report.recovered, report.strategy), (Some(true), RecoveryStrategy::Restart));
    assert!(!play.session(&id).cpu_time_spent);
}

/// A look finds the session critical.
fn critical(play: &mut Play, id: &SessionId) {
    critical_at(play, id, true);
}

/// The same, at a first look or at a later one.
fn critical_at(play: &mut Play, id: &SessionId, is_new: bool) {
    let finding = Finding {
        component: Component::Sessions,
        kind: STALE,
        health: Health::Critical,
        message: "it is stale".to_owned(),
        session: Some(id.clone()),
        recommendation: String::new(),
    };
    let mut step = Step::default();
    let finding = [finding];
    let (new, still): (&[_], &[_]) = if is_new { (&finding, &[]) } else { (&[], &finding) };
    play.engine.health_seen(play.now(), [new, still, &[]], &mut step);
    play.take(step);
}

#[test]
fn a_monitor_restarts_its_session_as_often_as_attempts_are_allowed_and_anew_once_that_lasted() {
    let mut play = Play::new();
    let monitor = Some(Monitor { interval_ms: None, on_critical: OnCritical::Restart });
    let id = play.idle(NewSession { monitor, ..NewSession::default() });
    let restart = |play: &mut Play| {
        critical(play, &id);
        let told = play.decisions().join("; ");
        if play.session(&id).status != Status::Recovering {
            return told;
        }
        play.gone(&id, Exit::Signal(9));
        let [Effect { kind: EffectKind::Spawn(spawn), .. }] = &play.effects[..] else {
            panic!("{:?}", play.effects)
        };
        assert!(spawn.takes_exports, "a restart keeps what a reset does not");
        play.event(&id, WorkerEventKind::Prompt { directory: None });
        told
    };
    for _ in 0..RecoverySettings::DEFAULT.retries {
        assert!(restart(&mut play).contains("by its monitor, strategy restart"));
    }
    assert!(restart(&mut play).contains("3 attempts in a row did not last"));
    assert_eq!(play.session(&id).status, Status::Idle);
    play.wait(limits::RECOVERED_AFTER);
    assert!(restart(&mut play).contains("by its monitor"), "it was well for a while");
}

#[test]
fn a_monitor_that_a_circuit_kept_from_it_interrupts_when_the_circuit_lets_it() {
    let mut play = Play::new();
    let monitor = Some(Monitor { interval_ms: None, on_critical: OnCritical::Interrupt });
    let hang = |play: &mut Play| {
        let id = play.idle(NewSession { monitor, ..NewSession::default() });
        let command = play.run(&id, "hang");
        play.event(&id, WorkerEventKind::Begun { command });
        critical(play, &id);
        id
    };
    for _ in 0..4 {
        let id = hang(&mut play);
        assert_eq!(play.session(&id).status, Status::Recovering);
    }
    let id = hang(&mut play);
    assert!(play.decisions().join("; ").contains("tried again at"));
    assert_eq!(play.session(&id).status, Status::Active);
    critical_at(&mut play, &id, false);
    assert_eq!(play.session(&id).status, Status::Active, "it is too early");
    play.wait(Duration::from_secs(30));
    critical_at(&mut play, &id, false);
    assert_eq!(play.session(&id).status, Status::Recovering, "the trial");
}

#[test]
fn a_monitor_that_interrupts_lets_a_stopped_shell_go_on() {
    let mut play = Play::new();
    let monitor = Some(Monitor { interval_ms: None, on_critical: OnCritical::Interrupt });
    let id = play.idle(NewSession { monitor, ..NewSession::default() });
    critical(&mut play, &id);
    assert_eq!(play.effects.len(), 0, "nothing runs");
    play.event(&id, WorkerEventKind::Stopped(true));
    critical(&mut play, &id);
    assert_eq!(play.effects.iter().map(|effect| &effect.kind).collect::<Vec<_>>(), [&EffectKind::Resume]);
    play.event(&id, WorkerEventKind::Stopped(false));
    assert_eq!((play.session(&id).status, play.session(&id).stopped), (Status::Idle, false));
}
