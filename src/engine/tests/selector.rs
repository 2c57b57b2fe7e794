//! Which session a caller means.

use super::*;
use crate::error::ErrorCode;

fn named(play: &mut Play, name: &str) -> SessionId {
    play.idle(NewSession { name: Some(name.to_owned()), ..NewSession::default() })
}

fn candidates(error: &Error) -> Vec<String> {
    let listed = error.details.as_ref().expect("details")["candidates"].as_array().expect("a list").clone();
    listed.iter().map(|one| one["sessionId"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn a_session_goes_by_its_id_its_uuid_a_prefix_or_its_name() {
    let mut play = Play::new();
    let id = named(&mut play, "build");
    named(&mut play, "test");
    let uuid = play.session(&id).uuid.to_string();
    let random = &id.as_str()["ses_".len()..];
    for selector in [id.as_str(), &uuid, &id.as_str()[..8], &random[..4], random, "build", "  build\n"] {
        assert_eq!(play.engine.resolve(selector), Ok(id.clone()), "{selector}");
    }
    for selector in ["", "ses_", &random[..3], &id.as_str()[..7], "buil", "Build", &uuid[..8]] {
        let error = play.engine.resolve(selector).expect_err(selector);
        assert_eq!(error.code, ErrorCode::SessionNotFound, "{selector}");
    }
}

#[test]
fn a_name_of_several_live_sessions_is_ambiguous() {
    let mut play = Play::new();
    let ids = [named(&mut play, "build"), named(&mut play, "build")];
    let error = play.engine.resolve("build").expect_err("two of them");
    assert_eq!((error.code, error.message.as_str()), (ErrorCode::AmbiguousName, "'build' names 2 sessions"));
    assert_eq!(candidates(&error), ids.each_ref().map(SessionId::to_string));
    assert!(error.hint.is_some());
}

#[test]
fn an_ended_session_goes_by_its_name_while_no_live_one_has_it() {
    let mut play = Play::new();
    let old = named(&mut play, "build");
    play.gone(&old, Exit::Code(0));
    assert_eq!(play.engine.resolve("build"), Ok(old));
    let new = named(&mut play, "build");
    assert_eq!(play.engine.resolve("build"), Ok(new.clone()));
    play.gone(&new, Exit::Code(0));
    assert_eq!(play.engine.resolve("build").expect_err("two ended ones").code, ErrorCode::AmbiguousName);
}

#[test]
fn a_session_in_error_is_meant_before_one_that_is_over() {
    let mut play = Play::new();
    let old = named(&mut play, "build");
    play.gone(&old, Exit::Code(0));
    let broken = named(&mut play, "build");
    play.gone(&broken, Exit::Signal(9));
    assert_eq!(play.session(&broken).status, Status::Error);
    assert_eq!(play.engine.resolve("build"), Ok(broken));
    let new = named(&mut play, "build");
    assert_eq!(play.engine.resolve("build"), Ok(new));
}

#[test]
fn a_prefix_of_several_ids_is_ambiguous_and_the_whole_of_the_shorter_is_not() {
    let mut play = Play::new();
    // The same UUID twice: the second id is the first and one more character.
    play.uuids = 40;
    let first = play.idle(NewSession::default());
    play.uuids = 40;
    let second = play.idle(NewSession::default());
    assert_eq!(second.as_str().strip_prefix(first.as_str()).map(str::len), Some(1));
    let error = play.engine.resolve(&first.as_str()[..8]).expect_err("a prefix of both");
    assert_eq!(candidates(&error), [first.to_string(), second.to_string()]);
    assert_eq!(play.engine.resolve(first.as_str()), Ok(first.clone()));
}

#[test]
fn who_names_nobody_is_told_whom_to_name() {
    let mut play = Play::new();
    let error = play.engine.resolve("x").expect_err("there is none");
    assert!(error.hint.expect("a hint").contains("session_create"));
    let id = named(&mut play, "build");
    let error = play.engine.resolve(&"x".repeat(5_000)).expect_err("there is no such");
    assert!(error.message.len() < 200, "{}", error.message);
    assert!(error.hint.expect("a hint").contains("session_list"));
    let live = serde_json::json!([{"sessionId": id, "name": "build"}]);
    assert_eq!(error.details.expect("details")["live"], live);
}

#[test]
fn a_command_goes_by_its_id_or_a_prefix() {
    let mut play = Play::new();
    let session = play.idle(NewSession::default());
    let command = play.run(&session, "a");
    let id = command.as_str();
    let padded = format!(" {} ", &id[..9]);
    for selector in [id, &id[..8], &id["cmd_".len()..], &padded] {
        assert_eq!(play.engine.resolve_command(selector), Some(command.clone()), "{selector}");
    }
    for selector in ["", "cmd_", &id[..7], "cmd_zzzzzz"] {
        assert_eq!(play.engine.resolve_command(selector), None, "{selector}");
    }
}
