//! Sessions that are started later, and those that take over from others.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::engine::request::{Heritage, Inherited, Resources};
use crate::error::ErrorCode;
use crate::model::Needs;

fn variables(given: &[(&str, &str)]) -> BTreeMap<String, String> {
    given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A shell has this exported, and does without what it was given as `DROPPED`.
fn told(set: BTreeMap<String, String>) -> WorkerEventKind {
    WorkerEventKind::Exported { set, unset: dropped() }
}

fn dropped() -> BTreeSet<String> {
    BTreeSet::from(["DROPPED".to_owned()])
}

fn spawned(play: &Play) -> &crate::engine::Spawn {
    let mut spawns = play.effects.iter().filter_map(|effect| match &effect.kind {
        EffectKind::Spawn(spawn) => Some(&**spawn),
        _ => None,
    });
    spawns.next_back().expect("a shell is started")
}

#[test]
fn a_deferred_session_has_no_shell_before_it_is_started() {
    let mut play = Play::new();
    let id = play.create(NewSession { is_deferred: true, ..NewSession::default() });
    assert!(play.effects.is_empty(), "{:?}", play.effects);
    assert_eq!((play.session(&id).status, play.session(&id).pid), (Status::Initializing, None));
    let refused = play.execute(&id, vec![NewCommand::line("true")], false).expect_err("nothing runs");
    assert_eq!(refused.code, ErrorCode::SessionClosed);
    let needs = Needs { cpu_percent: Some(200), disk_bytes: None };
    let start = |play: &mut Play| {
        let resources = Resources { memory_bytes: Some(512 << 20), needs };
        play.request(Request::StartSession { selector: id.to_string(), resources })
    };
    start(&mut play).expect("it starts");
    assert_eq!(spawned(&play).generation, 1);
    assert_eq!(spawned(&play).bounds.limits.memory_bytes, Some(512 << 20));
    assert_eq!(play.session(&id).needs, needs);
    assert_eq!(start(&mut play).expect_err("only once").code, ErrorCode::IllegalTransition);
    play.event(&id, WorkerEventKind::Started { pid: 7 });
    play.event(&id, WorkerEventKind::Prompt { directory: None });
    assert_eq!(play.session(&id).status, Status::Idle);
}

#[test]
fn a_deferred_session_can_be_closed_and_counts_as_live() {
    let mut play = Play::new();
    let deferred = || NewSession { is_deferred: true, ..NewSession::default() };
    let id = play.create(deferred());
    play.close(&id, CloseMode::Graceful);
    assert_eq!(play.session(&id).status, Status::Terminated);
    assert!(play.effects.iter().all(|effect| !matches!(effect.kind, EffectKind::Close { .. })));
    for _ in 0..crate::limits::SESSIONS {
        play.create(deferred());
    }
    assert_eq!(play.create_as(Dialect::Bash, deferred()).expect_err("full").code, ErrorCode::LimitExceeded);
}

#[test]
fn variables_are_handed_on() {
    let mut play = Play::new();
    let id = play
        .idle(NewSession { env: variables(&[("GIVEN", "1"), ("A_TOKEN", "t")]), ..NewSession::default() });
    let exported = variables(&[("GIVEN", "1"), ("SET", "2"), ("B_TOKEN", "u")]);
    play.event(&id, told(exported.clone()));
    assert_eq!(
        play.session(&id).exported,
        variables(&[("SET", "2")]),
        "no secret, and nothing that it was given"
    );
    play.event(&id, told(exported));
    assert!(play.records.is_empty(), "nothing new");

    let mut heir = |kind: Inherited| {
        let heir_of = Some(Heritage { of: id.clone(), variables: kind, output: true });
        let heir =
            play.create(NewSession { heir_of, env: variables(&[("NEW", "3")]), ..NewSession::default() });
        let restored_from = play.session(&heir).restored_from.clone();
        assert_eq!(restored_from.as_ref(), Some(&id));
        let spawn = spawned(&play);
        assert_eq!(spawn.unset.is_empty(), kind != Inherited::All, "{kind:?}");
        (spawn.env.clone(), spawn.exported.clone())
    };
    let all = variables(&[("GIVEN", "1"), ("A_TOKEN", "t"), ("NEW", "3")]);
    assert_eq!(heir(Inherited::All), (all.clone(), variables(&[("SET", "2"), ("B_TOKEN", "u")])));
    assert_eq!(heir(Inherited::Given), (all, BTreeMap::new()));
    let secrets = variables(&[("A_TOKEN", "t"), ("NEW", "3")]);
    assert_eq!(heir(Inherited::Secrets), (secrets, variables(&[("B_TOKEN", "u")])));
    assert_eq!(play.session(&id).unset, dropped());
    let heir_of = Some(Heritage { of: id, variables: Inherited::All, output: false });
    play.create(NewSession { heir_of, env: variables(&[("DROPPED", "4")]), ..NewSession::default() });
    assert!(spawned(&play).unset.is_empty(), "it is given anew");
}

#[test]
fn where_a_shell_has_gone_does_not_count_as_inside_for_its_heirs() {
    let mut play = Play::new();
    let root = Some("/home/u/p".into());
    let id = play.idle(NewSession { root, ..NewSession::default() });
    play.event(&id, WorkerEventKind::Prompt { directory: Some("/usr".into()) });
    play.reset(&id).expect("it is live");
    play.gone(&id, Exit::Signal(9));
    assert_eq!(spawned(&play).directory, PathBuf::from("/start"), "a reset goes to its own beginning");
    assert_eq!(play.session(&id).root(), PathBuf::from("/home/u/p"));
    let change = SessionChange { directory: Some("/moved".into()), ..SessionChange::default() };
    let request = Request::UpdateSession { selector: id.to_string(), change: Box::new(change) };
    play.request(request).expect("it is live");
    assert_eq!(play.session(&id).root(), PathBuf::from("/moved"), "somebody named it");
}

#[test]
fn a_reset_forgets_what_was_exported() {
    let mut play = Play::new();
    let id = play.idle(NewSession::default());
    play.event(&id, told(variables(&[("SET", "2")])));
    play.reset(&id).expect("it is live");
    play.gone(&id, Exit::Signal(9));
    assert!(play.session(&id).exported.is_empty());
    assert!(spawned(&play).exported.is_empty() && spawned(&play).unset.is_empty());
}
