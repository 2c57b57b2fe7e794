//! Questions of programs: what is decided stands in the history with the answer, which is typed after it.

use super::*;
use crate::engine::consent::{Asked, Mishap, Question};
use crate::engine::request::AutoAcceptChange;
use crate::error::ErrorCode;
use crate::model::AutoAccept;

const AT: u64 = 7;

fn ask(play: &mut Play, session: &SessionId, text: &str) -> Vec<(Option<String>, Option<String>)> {
    let question = Question { text: text.to_owned(), yes: Some("y\r"), ..Question::default() };
    let asked = Asked { question, directory: None, program: None };
    let generation = play.session(session).generation;
    play.event_of(session, generation, AT, WorkerEventKind::Asks(Box::new(asked)));
    let events = play.records.iter().filter_map(|record| match record {
        Record::Event(event) => Some(event.kind.clone()),
        _ => None,
    });
    events
        .map(|kind| match kind {
            EventKind::Prompt { answer, left, .. } => (answer, left),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn turn(play: &mut Play, session: &SessionId, change: AutoAcceptChange) -> Vec<EffectKind> {
    play.update(session, SessionChange { auto_accept: change, ..SessionChange::default() }).expect("changed");
    play.effects.iter().map(|effect| effect.kind.clone()).collect()
}

#[test]
fn an_answer_is_recorded_in_the_step_that_has_it_typed() {
    let mut play = Play::new();
    let session = play.idle(NewSession::default());
    let command = play.run(&session, "cp -i b a");
    assert_eq!(ask(&mut play, &session, "cp: overwrite 'a'?"), [], "it is off");
    let on = AutoAcceptChange { enabled: Some(true), ..AutoAcceptChange::default() };
    assert_eq!(turn(&mut play, &session, on.clone()), [EffectKind::WatchPrompts(true)]);
    assert_eq!(turn(&mut play, &session, on), [], "nothing changed");
    assert_eq!(ask(&mut play, &session, "cp: overwrite 'a'?"), [(Some("y".to_owned()), None)]);
    assert_eq!(play.effects.len(), 1, "{:?}", play.effects);
    assert_eq!(play.effects[0].kind, EffectKind::Answer { keys: "y\r", at: AT });

    // It waits for no caller while the answer is on its way, and does when that came too late.
    let waits = |play: &mut Play| {
        let kind = WorkerEventKind::Awaiting { command: command.clone(), line: Some("cp?".to_owned()) };
        play.event_of(&session, 1, AT, kind);
        play.engine.command(&command).expect("a command").awaiting_input.is_some()
    };
    assert!(!waits(&mut play));
    play.event_of(&session, 1, AT, WorkerEventKind::AnswerFailed(Mishap::Withheld));
    assert!(waits(&mut play));
    assert_eq!(ask(&mut play, &session, "cp: overwrite 'a'?").len(), 1, "it is decided anew");
}

#[test]
fn an_answer_without_an_effect_is_told_and_not_repeated() {
    let mut play = Play::new();
    let auto_accept = AutoAccept { enabled: true, risk_threshold: 10, ..AutoAccept::default() };
    let session = play.idle(NewSession { auto_accept, ..NewSession::default() });
    play.run(&session, "cp -i b a");
    assert_eq!(ask(&mut play, &session, "cp: overwrite 'a'?"), [(Some("y".to_owned()), None)]);
    play.event_of(&session, 1, AT, WorkerEventKind::Typed { bytes: 2, secret: false });
    play.event_of(&session, 1, AT + 1, WorkerEventKind::AnswerFailed(Mishap::Ignored));
    assert!(play.decisions().iter().any(|reason| reason.contains("no effect")));
    assert_eq!(ask(&mut play, &session, "cp: overwrite 'a'?"), [], "it is the caller's now");
    play.event_of(&session, 1, AT + 1, WorkerEventKind::AnswerFailed(Mishap::Overtaken));
    assert!(play.decisions().iter().any(|reason| reason.contains("just before")));
}

#[test]
fn changes_of_what_is_answered_are_told() {
    let mut play = Play::new();
    let session = play.idle(NewSession::default());
    let change =
        AutoAcceptChange { enabled: Some(true), risk_threshold: Some(9), ..AutoAcceptChange::default() };
    turn(&mut play, &session, change.clone());
    assert_eq!(play.decisions(), ["autoAccept: on, up to risk 9, 0 protected patterns"]);
    turn(&mut play, &session, change);
    assert_eq!(play.decisions(), Vec::<&str>::new(), "nothing changed");
}

#[test]
fn what_is_left_has_its_reason_and_no_effect() {
    let mut play = Play::new();
    let auto_accept =
        AutoAccept { enabled: true, risk_threshold: 10, protected_patterns: vec!["*.lock".to_owned()] };
    let session = play.idle(NewSession { auto_accept, ..NewSession::default() });
    play.run(&session, "rm -i *");
    let left = ask(&mut play, &session, "rm: remove regular file 'Cargo.lock'?");
    assert_eq!(left, [(None, Some("protected: Cargo.lock by *.lock".to_owned()))]);
    assert!(play.effects.is_empty(), "{:?}", play.effects);
    play.close(&session, CloseMode::Graceful);
    assert_eq!(ask(&mut play, &session, "rm: remove regular file 'a'?"), [], "it is being closed");
}

#[test]
fn an_observer_answers_nothing() {
    let mut play = Play::new();
    let session = play.idle(NewSession { kind: SessionKind::Observer, ..NewSession::default() });
    let on = AutoAcceptChange { enabled: Some(true), ..AutoAcceptChange::default() };
    let change = SessionChange { auto_accept: on, ..SessionChange::default() };
    assert_eq!(play.update(&session, change).expect_err("refused").code, ErrorCode::PermissionDenied);
    assert!(play.session(&session).auto_accept.is_unset());
}
