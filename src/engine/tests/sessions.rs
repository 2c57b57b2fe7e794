//! Creation, resets, settings and idleness.

use serde_json::json;

use super::*;
use crate::error::ErrorCode;
use crate::model::secret::REDACTED;
use crate::model::{Profile, TerminalSize};

#[test]
fn a_shell_is_idle_from_its_first_prompt_on() {
    check(
        "create  => spawn 1, initializing
         started =>
         prompt  => idle
         busy    => active
         prompt  => idle
         prompt  =>",
    );
}

#[test]
fn a_program_without_command_ends_is_active_at_once_and_takes_no_commands() {
    check(
        "create plain command=ls => refused unsupported
         create plain            => spawn 1, initializing
         started                 => active
         run a                   => refused unsupported
         gone 0                  => completed",
    );
}

#[test]
fn an_observer_runs_no_commands() {
    check(
        "create observer => spawn 1, initializing
         started =>
         prompt  => idle
         run a   => refused permission_denied",
    );
}

#[test]
fn the_first_command_runs_at_the_first_prompt_and_hardly_ever_times_out() {
    check(
        "create command=serve => spawn 1, initializing, serve: queued
         started   =>
         prompt    => run serve, active, serve: running
         wait 6d   =>
         wait 1d   => timeout, serve: running late",
    );
}

#[test]
fn a_program_that_does_not_start_leaves_an_error() {
    check(
        "create command=a => spawn 1, initializing, a: queued
         spawn_failed => error, a: lost session_lost
         run b        => refused session_closed
         reset        => spawn 2, recovering
         started      =>
         prompt       => idle",
    );
    let mut play = Play::new();
    let id = play.create(NewSession::default());
    play.event(
        &id,
        WorkerEventKind::SpawnFailed {
            message: "no such file".into(),
            category: FailureCategory::SpawnFailed,
        },
    );
    assert_eq!(play.session(&id).end_reason.as_deref(), Some("no such file"));
}

#[test]
fn a_shell_that_ends_by_itself_leaves_completed_or_error() {
    for (end, status) in [("gone 0", "completed"), ("gone 3", "error"), ("killed 9", "error")] {
        check(&format!(
            "create => spawn 1, initializing
             started =>
             prompt => idle
             {end} => {status}
             prompt =>
             gone 0 =>"
        ));
    }
    let mut play = Play::new();
    let id = play.idle(NewSession::default());
    play.event(&id, WorkerEventKind::Gone { exit: Exit::Signal(9), forced: true });
    let session = play.session(&id);
    assert_eq!((session.exit_code, session.pid, session.ended_by_force), (Some(137), None, true));
    assert_eq!(session.end_reason.as_deref(), Some("the shell was killed by signal 9"));
    assert_eq!(session.ended_at, Some(play.now().wall));
}

#[test]
fn a_reset_waits_for_the_old_shell_and_ignores_it() {
    check(
        "create  => spawn 1, initializing
         started =>
         prompt  => idle
         reset   => close emergency 0ns, recovering
         prompt  =>
         run a   => a: queued
         prompt  =>
         killed 9 => spawn 2
         old prompt =>
         started =>
         prompt  => run a, active, a: running
         ended a 0 => idle, a: exited 0",
    );
}

#[test]
fn a_reset_loses_what_runs_and_what_waits() {
    check(
        "create  => spawn 1, initializing
         prompt  => idle
         run a,b => run a, active, a: running, b: queued
         reset   => close emergency 0ns, recovering, a: lost session_lost, b: lost session_lost
         ended a 0 =>
         memory_limit a =>
         gone 0  => spawn 2
         prompt  => idle
         wait 1h =>",
    );
}

#[test]
fn a_session_can_be_reset_while_it_starts_is_reset_or_runs_late() {
    check(
        "create => spawn 1, initializing
         reset  => close emergency 0ns, recovering
         reset  =>
         gone 0 => spawn 2
         reset  => close emergency 0ns
         gone 0 => spawn 3
         prompt => idle
         run a timeout=1s => run a, active, a: running
         wait 1s => timeout, a: running late
         reset   => close emergency 0ns, recovering, a: lost late session_lost
         close   =>
         gone 0  => terminated",
    );
}

#[test]
fn a_reset_program_is_active_only_once_the_fresh_one_runs() {
    check(
        "create plain => spawn 1, initializing
         reset    => close emergency 0ns, recovering
         started  =>
         killed 9 => spawn 2
         started  => active",
    );
}

#[test]
fn a_reset_session_begins_anew() {
    let mut play = Play::new();
    let id = play.idle(NewSession::default());
    play.event(&id, WorkerEventKind::Prompt { directory: Some("/elsewhere".into()) });
    assert_eq!(play.session(&id).working_directory, PathBuf::from("/elsewhere"));
    let env = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
    play.update(&id, SessionChange { env: env.clone(), rows: Some(9), ..SessionChange::default() })
        .expect("changed");
    play.gone(&id, Exit::Code(3));
    play.reset(&id).expect("reset");
    let EffectKind::Spawn(spawn) = &play.effects[0].kind else { panic!("{:?}", play.effects) };
    assert_eq!((spawn.generation, &spawn.env, spawn.size.rows), (2, &env, 9));
    assert_eq!(spawn.directory, PathBuf::from("/start"));
    let session = play.session(&id);
    assert_eq!((session.retry_count, session.generation, session.status), (0, 2, Status::Recovering));
    assert_eq!((session.exit_code, &session.ended_at, &session.end_reason), (None, &None, &None));
    // The environment has it already.
    play.event(&id, WorkerEventKind::Prompt { directory: None });
    play.run(&id, "a");
    let EffectKind::Run(run) = &play.effects[0].kind else { panic!("{:?}", play.effects) };
    assert_eq!(run.exports, BTreeMap::new());
}

#[test]
fn an_ended_session_cannot_be_reset() {
    check(
        "create => spawn 1, initializing
         close  => close graceful 30s
         reset  => refused session_closed
         gone 0 => terminated
         reset  => refused session_closed",
    );
}

#[test]
fn metadata_merges_deeply_and_nulls_remove() {
    let mut play = Play::new();
    let old = json!({"team": {"name": "a", "size": 3, "lead": "x"}, "tags": [1, 2], "gone": 1, "kept": null});
    let metadata = old.as_object().expect("an object").clone();
    let id = play.idle(NewSession { metadata, ..NewSession::default() });
    let change = json!({
        "team": {"size": 4, "lead": null}, "tags": [3], "gone": null, "new": {"a": null, "b": {"c": null}}
    });
    let metadata = Some(change.as_object().expect("an object").clone());
    let session = play.update(&id, SessionChange { metadata, ..SessionChange::default() }).expect("changed");
    let merged = json!({"team": {"name": "a", "size": 4}, "tags": [3], "kept": null, "new": {"b": {}}});
    assert_eq!(serde_json::Value::Object(session.metadata), merged);
}

#[test]
fn a_refused_change_changes_nothing() {
    let mut play = Play::new();
    let id = play.idle(NewSession::default());
    let before = play.session(&id).clone();
    let everything = SessionChange {
        name: Some("new".into()),
        metadata: json!({"a": 1}).as_object().cloned(),
        capabilities: Some(vec!["c".into()]),
        rows: Some(3),
        env: BTreeMap::from([("A".into(), "1".into())]),
        ..SessionChange::default()
    };
    for status in Status::ALL {
        if status == Status::Idle || before.status.settable().contains(&status) {
            continue;
        }
        let error = play
            .update(&id, SessionChange { status: Some(status), ..everything.clone() })
            .expect_err("not settable");
        assert_eq!(error.code, ErrorCode::IllegalTransition, "{status:?}");
        let legal = error.details.expect("details")["legal"].clone();
        assert_eq!(legal, json!(["completed", "terminated"]));
        assert!(error.message.contains("completed, terminated"), "{}", error.message);
    }
    let too_much = json!({"a": "x".repeat(crate::limits::METADATA_BYTES)}).as_object().cloned();
    let error =
        play.update(&id, SessionChange { metadata: too_much, ..everything.clone() }).expect_err("large");
    assert_eq!(error.code, ErrorCode::InvalidArgument);
    let env = (0..=crate::limits::ENV_ENTRIES).map(|n| (format!("V{n}"), String::new())).collect();
    let error = play.update(&id, SessionChange { env, ..everything.clone() }).expect_err("many");
    assert_eq!(error.code, ErrorCode::InvalidArgument);
    assert_eq!(*play.session(&id), before);

    play.gone(&id, Exit::Code(0));
    let before = play.session(&id).clone();
    let error = play.update(&id, everything).expect_err("its terminal is gone");
    assert_eq!(error.code, ErrorCode::SessionClosed);
    assert_eq!(*play.session(&id), before);
    let name = Some("label".to_owned());
    assert!(play.update(&id, SessionChange { name, ..SessionChange::default() }).is_ok());
}

#[test]
fn a_caller_can_end_a_session_by_its_status() {
    check(
        "create => spawn 1, initializing
         prompt => idle
         set idle =>
         set active => refused illegal_transition
         set completed => close graceful 30s
         killed 1 => completed",
    );
    check(
        "create => spawn 1, initializing
         gone 1 => error
         set completed => refused illegal_transition
         set terminated => terminated
         set idle => refused illegal_transition",
    );
}

#[test]
fn variables_are_exported_once_before_the_next_command() {
    let mut play = Play::new();
    let id = play.idle(NewSession::default());
    let env = BTreeMap::from([("A".to_owned(), "1".to_owned()), ("A_TOKEN".to_owned(), "s3cret".to_owned())]);
    let session =
        play.update(&id, SessionChange { env: env.clone(), ..SessionChange::default() }).expect("changed");
    assert_eq!(session.env["A_TOKEN"], REDACTED);
    assert_eq!(play.effects, []);
    let mut exports = Vec::new();
    for text in ["a", "b"] {
        let command = play.run(&id, text);
        let EffectKind::Run(run) = &play.effects[0].kind else { panic!("{:?}", play.effects) };
        exports.push(run.exports.clone());
        play.end(&id, &command, 0);
    }
    assert_eq!(exports, [env, BTreeMap::new()]);
}

#[test]
fn a_terminal_is_resized_only_to_another_size() {
    let mut play = Play::new();
    let id = play.idle(NewSession::default());
    let TerminalSize { rows, cols } = TerminalSize::default();
    let resize = |rows, cols| SessionChange { rows, cols, ..SessionChange::default() };
    play.update(&id, resize(Some(rows), Some(cols))).expect("changed");
    assert_eq!(play.effects, []);
    play.update(&id, resize(None, Some(cols + 1))).expect("changed");
    let kind = EffectKind::Resize(TerminalSize { rows, cols: cols + 1 });
    assert_eq!(play.effects, [Effect { session: id, kind }]);
}

#[test]
fn secrets_reach_the_shell_but_not_the_record() {
    let mut play = Play::new();
    let env = BTreeMap::from([("API_KEY".to_owned(), "s3cret".to_owned()), ("A".to_owned(), "1".to_owned())]);
    let new = NewSession { env: env.clone(), profile: Profile::Clean, ..NewSession::default() };
    let id = play.create(new);
    let EffectKind::Spawn(spawn) = &play.effects[0].kind else { panic!("{:?}", play.effects) };
    assert_eq!((&spawn.env, spawn.profile), (&env, Profile::Clean));
    assert_eq!(play.session(&id).env["API_KEY"], REDACTED);
    assert_eq!(play.session(&id).env["A"], "1");
    assert!(!format!("{:?}", play.records).contains("s3cret"));
}

#[test]
fn an_idle_session_is_closed_after_its_idle_timeout() {
    check(
        "create idle=60s => spawn 1, initializing
         wait 10m => 
         prompt   => idle
         wait 59s =>
         typed    =>
         wait 59s =>
         run a    => run a, active, a: running
         wait 100s =>
         ended a 0 => idle, a: exited 0
         wait 59s =>
         wait 1s  => close graceful 30s
         wait 1h  =>
         killed 1 => terminated",
    );
}

#[test]
fn a_wall_clock_that_is_set_makes_no_session_idle() {
    for jump in [-1_000_000_000, 1_000_000_000] {
        let mut play = Play::new();
        let id = play.idle(NewSession { idle_timeout: Some(duration("60s")), ..NewSession::default() });
        play.clock += duration("50s");
        play.event(&id, WorkerEventKind::Typed { bytes: 1, secret: false });
        for (seconds, effects) in [(60, 0), (109, 0), (110, 1)] {
            let at = Duration::from_secs(100 + seconds);
            let mut step = Step::default();
            let wall = Timestamp(play.now().wall.0 + jump);
            play.engine.elapse(Now { moment: Moment(at), wall }, &mut step);
            assert_eq!(step.effects.len(), effects, "{jump} at {seconds}");
        }
    }
}
