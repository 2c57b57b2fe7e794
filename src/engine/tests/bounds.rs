//! What is kept, for how long, and over a restart.

use super::*;
use crate::engine::request::{Heritage, Inherited};
use crate::error::ErrorCode;
use crate::limits;
use crate::model::secret::REDACTED;

#[test]
fn the_oldest_ended_sessions_are_forgotten_whatever_their_end() {
    let mut play = Play::new();
    let mut ids = Vec::new();
    for number in 0..limits::ENDED_SESSIONS {
        let id = play.idle(NewSession::default());
        play.gone(&id, Exit::Code(i32::from(number % 2 == 1)));
        assert_eq!(play.effects, [], "{number}");
        ids.push(id);
    }
    // The oldest in error lives again, and is no longer among them.
    play.reset(&ids[1]).expect("reset");
    for (forgotten, has_room) in [(0, true), (0, false), (2, false), (3, false)] {
        let id = play.idle(NewSession::default());
        play.gone(&id, Exit::Code(0));
        let forget = Effect { session: ids[forgotten].clone(), kind: EffectKind::Forget };
        assert_eq!(play.effects, if has_room { vec![] } else { vec![forget] });
        assert_eq!(play.engine.session(&ids[forgotten]).is_some(), has_room);
    }
    assert_eq!(play.engine.sessions().count(), limits::ENDED_SESSIONS + 1);
    assert_eq!(play.session(&ids[1]).status, Status::Recovering);
}

#[test]
fn a_session_in_error_that_is_closed_counts_once() {
    let mut play = Play::new();
    let id = play.idle(NewSession::default());
    play.gone(&id, Exit::Code(1));
    play.close(&id, CloseMode::Graceful);
    assert_eq!(play.engine.ended_sessions, [id]);
}

#[test]
fn the_oldest_ended_commands_are_forgotten() {
    let mut play = Play::new();
    let session = play.idle(NewSession::default());
    let first = play.run(&session, "a");
    play.end(&session, &first, 0);
    let second = play.run(&session, "a");
    play.end(&session, &second, 0);
    for _ in 2..limits::ENDED_COMMANDS {
        let command = play.run(&session, "a");
        play.end(&session, &command, 0);
    }
    assert!(play.engine.command(&first).is_some());
    let running = play.run(&session, "a");
    assert!(play.engine.command(&first).is_some());
    play.end(&session, &running, 0);
    assert!(play.engine.command(&first).is_none());
    assert!(play.engine.command(&second).is_some());
}

#[test]
fn what_ended_in_a_step_is_in_its_records_however_much_it_is() {
    let mut play = Play::new();
    let mut ids = Vec::new();
    while ids.len() * limits::QUEUED_COMMANDS <= limits::ENDED_COMMANDS + 200 {
        let id = play.create(NewSession::default());
        let commands = vec![NewCommand::line("x"); limits::QUEUED_COMMANDS];
        play.execute(&id, commands, false).expect("accepted");
        ids.push(id);
    }
    let mut step = Step::default();
    for id in &ids {
        let kind = WorkerEventKind::Gone { exit: Exit::Code(0), forced: false };
        let event = WorkerEvent { session: id.clone(), generation: 1, cursor: 0, kind };
        play.engine.event(play.now(), event, &mut step);
    }
    play.take(step);
    let commands = play.records.iter().filter(|record| matches!(record, Record::Command(_))).count();
    assert_eq!(commands, ids.len() * limits::QUEUED_COMMANDS);
    // The next end makes up for it.
    let id = play.create(NewSession { command: Some("a".into()), ..NewSession::default() });
    play.gone(&id, Exit::Code(0));
    assert_eq!(play.engine.commands.len(), limits::ENDED_COMMANDS);
}

#[test]
fn there_is_a_most_of_live_sessions_for_resets_too() {
    let mut play = Play::new();
    let broken = play.idle(NewSession::default());
    play.gone(&broken, Exit::Code(1));
    for _ in 0..limits::SESSIONS {
        play.create(NewSession::default());
    }
    let error = play.create_as(Dialect::Bash, NewSession::default()).expect_err("full");
    assert_eq!(error.code, ErrorCode::LimitExceeded);
    let before = play.session(&broken).clone();
    assert_eq!(play.reset(&broken).expect_err("full").code, ErrorCode::LimitExceeded);
    assert_eq!(*play.session(&broken), before);
}

#[test]
fn a_long_text_is_cut_when_its_command_has_ended() {
    let mut play = Play::new();
    let id = play.idle(NewSession::default());
    let new = NewCommand { stdin: Some("input".into()), ..NewCommand::line("ä".repeat(10_000)) };
    let command = play.execute(&id, vec![new], false).expect("accepted").remove(0);
    assert_eq!(play.command(&command).text.len(), 20_000);
    play.end(&id, &command, 0);
    let record = play.command(&command);
    assert!(record.text.starts_with('ä') && record.text.ends_with("… [20000 bytes]"));
    assert!(record.text.len() < limits::ENDED_TEXT_BYTES + 50);
    assert_eq!(record.stdin, None);
}

/// One session in each situation that a server can leave, and their commands.
fn left_behind() -> (Vec<Session>, Vec<Command>) {
    let mut play = Play::new();
    let env = BTreeMap::from([("A".to_owned(), "1".to_owned()), ("A_TOKEN".to_owned(), "s3cret".to_owned())]);
    let ids = [(); 5].map(|()| play.idle(NewSession { env: env.clone(), ..NewSession::default() }));
    let mut commands = Vec::new();
    for id in &ids[..4] {
        let done = play.run(id, "done");
        play.end(id, &done, 3);
        commands.push(done);
    }
    commands.push(play.run(&ids[0], &"running".repeat(2_000)));
    commands.push(play.run(&ids[0], "queued"));
    play.gone(&ids[1], Exit::Code(0));
    play.gone(&ids[2], Exit::Code(1));
    play.close(&ids[3], CloseMode::Emergency);
    play.gone(&ids[3], Exit::Signal(9));
    let sessions = ids.iter().map(|id| play.session(id).clone()).collect();
    (sessions, commands.iter().map(|id| play.command(id).clone()).collect())
}

#[test]
fn a_restart_ends_what_was_not_over_and_leaves_the_rest() {
    let (sessions, commands) = left_behind();
    let mut stored = sessions.clone();
    stored[0].last_command = None; // That a session became active is not committed.
    let mut play = Play::new();
    let mut step = Step::default();
    play.engine.restore(play.now(), stored, commands.clone(), &mut step);
    play.take(step);
    assert_eq!((&play.effects, play.engine.next_deadline()), (&vec![], None));
    for before in &sessions {
        let after = play.session(&before.id);
        if before.status.is_final() {
            assert_eq!(after, before);
        } else {
            assert_eq!((after.status, after.pid), (Status::Terminated, None));
            assert_eq!(after.end_reason.as_deref(), Some("server_restart"));
            assert_eq!(after.last_command, before.last_command);
        }
    }
    for before in &commands {
        let after = play.command(&before.id);
        if before.is_ended() {
            assert_eq!(after, before);
        } else {
            let shown = show(after);
            assert_eq!((shown.as_str(), after.ended_at), ("lost server_restart", Some(play.now().wall)));
            assert!(after.text.len() < limits::ENDED_TEXT_BYTES + 50);
        }
    }
    let touched = play.records.iter().filter(|record| !matches!(record, Record::Event(_))).count();
    assert_eq!(touched, 3 + 2, "two live sessions, one in error, and two unended commands");
    assert_eq!(
        play.engine.sessions().map(|s| &s.id).collect::<Vec<_>>(),
        sessions.iter().map(|s| &s.id).collect::<Vec<_>>()
    );
}

#[test]
fn the_secrets_of_a_session_that_a_restart_ended_are_lost_to_its_heir() {
    let (sessions, commands) = left_behind();
    let mut play = Play::new();
    let now = play.now();
    play.engine.restore(now, sessions.clone(), commands, &mut Step::default());
    let broken = &sessions[2].id;
    assert_eq!(play.session(broken).env["A_TOKEN"], REDACTED);
    assert_eq!(play.reset(broken).expect_err("it is over").code, ErrorCode::SessionClosed);
    let heir_of = Some(Heritage { of: broken.clone(), variables: Inherited::All, output: true });
    play.create(NewSession { heir_of, ..NewSession::default() });
    let EffectKind::Spawn(spawn) = &play.effects[0].kind else { panic!("{:?}", play.effects) };
    assert_eq!(spawn.env, BTreeMap::from([("A".to_owned(), "1".to_owned())]));
}
