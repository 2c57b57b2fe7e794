//! Pools keep their size, and what stands in for a session is well.

use super::worlds::workplace;
use super::*;
use crate::engine::pool_capability;
use crate::engine::report::PoolView;
use crate::engine::request::{NewAffinity, NewPool, NewRun, TaskQuery};
use crate::error::ErrorCode;
use crate::model::{AffinityStrategy, Task, TaskReason, fixtures};

fn pool(play: &mut Play, name: &str, size: usize) -> Result<PoolView> {
    let uuid = play.uuid();
    let plan = NewPool {
        name: name.to_owned(),
        size,
        new: NewSession::default(),
        shell: "/bin/bash".into(),
        dialect: Dialect::Bash,
        directory: "/start".into(),
        uuid,
    };
    match play.request(Request::CreatePool(Box::new(plan)))? {
        Reply::Pool(view) => Ok(*view),
        reply => panic!("{reply:?} for a pool"),
    }
}

fn view(play: &Play) -> PoolView {
    play.engine.pools().next().expect("a pool")
}

fn elapse(play: &mut Play) {
    let mut step = Step::default();
    play.engine.elapse(play.now(), &mut step);
    play.take(step);
}

fn at_prompt(play: &mut Play, id: &SessionId) {
    play.event(id, WorkerEventKind::Started { pid: 7 });
    play.event(id, WorkerEventKind::Prompt { directory: None });
}

#[test]
fn a_pool_has_its_size_whatever_becomes_of_its_members() {
    let mut play = Play::new();
    pool(&mut play, "p", 3).expect("a pool");
    elapse(&mut play);
    let members = view(&play).members;
    assert_eq!((members.len(), view(&play).starting), (3, 3));
    for id in &members {
        assert_eq!(play.session(id).capabilities, ["pool:p"]);
        at_prompt(&mut play, id);
    }
    assert_eq!((view(&play).ready, view(&play).starting), (3, 0));
    play.gone(&members[0], Exit::Signal(9));
    elapse(&mut play);
    let now = view(&play);
    assert_eq!((now.members.len(), now.ready, now.starting, now.replaced), (3, 2, 1, 1));
    assert!(!now.members.contains(&members[0]));
    // One that is held by a signal is ended, and replaced in turn.
    play.event(&members[1], WorkerEventKind::Stopped(true));
    assert!(play.effects.iter().any(|effect| matches!(effect.kind, EffectKind::Close { .. })));
    play.gone(&members[1], Exit::Signal(9));
    elapse(&mut play);
    assert_eq!((view(&play).members.len(), view(&play).replaced), (3, 2));
}

#[test]
fn a_command_that_never_began_in_its_member_goes_to_another() {
    let mut play = Play::new();
    pool(&mut play, "p", 1).expect("a pool");
    let task = Task { requirements: vec![pool_capability("p")], ..fixtures::task("t") };
    let new = Box::new(NewRun { tasks: vec![task], ..NewRun::default() });
    let uuid = play.uuid();
    play.request(Request::Distribute { uuid, new, workplace: workplace() }).expect("a run");
    // It is given to the next member that comes to its prompt.
    let begins = |play: &mut Play| {
        elapse(play);
        let member = view(play).members[0].clone();
        at_prompt(play, &member);
        elapse(play);
        let command = play.session(&member).last_command.clone().expect("the task's");
        (member, command)
    };
    let task = |play: &Play| {
        play.engine.report(play.now(), &TaskQuery::default(), 1).expect("a task").tasks.remove(0)
    };
    for _ in 0..crate::limits::WITHDRAWN {
        let (member, _) = begins(&mut play);
        assert_eq!(task(&play).attempt, 1);
        play.event(&member, WorkerEventKind::Stopped(true));
        play.gone(&member, Exit::Signal(9));
        assert_eq!((task(&play).attempt, task(&play).session), (0, None), "that was no attempt");
    }
    // Something is wrong with the command if it never begins.
    let (member, _) = begins(&mut play);
    play.gone(&member, Exit::Signal(9));
    assert_eq!(task(&play).reason, Some(TaskReason::SessionLost));
}

#[test]
fn a_command_that_began_in_its_member_runs_once() {
    let mut play = Play::new();
    pool(&mut play, "p", 2).expect("a pool");
    elapse(&mut play);
    let members = view(&play).members;
    for id in &members {
        at_prompt(&mut play, id);
    }
    let task = Task { requirements: vec![pool_capability("p")], ..fixtures::task("t") };
    let new = Box::new(NewRun { tasks: vec![task], ..NewRun::default() });
    let uuid = play.uuid();
    play.request(Request::Distribute { uuid, new, workplace: workplace() }).expect("a run");
    elapse(&mut play);
    let member = members.iter().find(|id| play.session(id).last_command.is_some()).expect("it has the task");
    let command = play.session(member).last_command.clone().expect("the task's");
    play.event(member, WorkerEventKind::Begun { command });
    play.gone(member, Exit::Signal(9));
    let task = play.engine.report(play.now(), &TaskQuery::default(), 1).expect("a task").tasks.remove(0);
    assert_eq!((task.attempt, task.reason), (1, Some(TaskReason::SessionLost)));
}

#[test]
fn a_pool_whose_members_do_not_start_gives_up() {
    let mut play = Play::new();
    pool(&mut play, "p", 1).expect("a pool");
    for _ in 0..crate::limits::POOL_FAILURES {
        elapse(&mut play);
        let starting = view(&play).members.first().cloned().expect("another try");
        play.gone(&starting, Exit::Code(1));
    }
    elapse(&mut play);
    assert!(view(&play).has_failed && view(&play).members.is_empty(), "{:?}", view(&play));
}

#[test]
fn bad_pools_are_refused() {
    let mut play = Play::new();
    pool(&mut play, "p", 2).expect("a pool");
    assert_eq!(pool(&mut play, "p", 2).expect_err("taken").code, ErrorCode::DuplicateId);
    let most = crate::limits::SESSIONS;
    assert_eq!(pool(&mut play, "q", most - 1).expect_err("too many").code, ErrorCode::LimitExceeded);
    let unknown = play.request(Request::DeletePool("x".to_owned())).expect_err("unknown");
    assert_eq!(unknown.code, ErrorCode::InvalidArgument);
    elapse(&mut play);
    let members = view(&play).members;
    play.request(Request::DeletePool("p".to_owned())).expect("known");
    let closed = play.effects.iter().filter(|effect| matches!(effect.kind, EffectKind::Close { .. })).count();
    assert_eq!((closed, play.engine.pools().count()), (members.len(), 0));
    play.gone(&members[0], Exit::Code(0));
    elapse(&mut play);
    assert!(play.effects.is_empty(), "nobody replaces it");
}

fn share(play: &mut Play, id: &SessionId, targets: &[&str]) -> Result<Session> {
    let new = NewAffinity {
        selector: id.to_string(),
        targets: targets.iter().map(|&target| target.to_owned()).collect(),
        strategy: AffinityStrategy::RoundRobin,
        check_every: Duration::from_secs(10),
    };
    match play.request(Request::SetAffinity(new))? {
        Reply::Session(session) => Ok(*session),
        reply => panic!("{reply:?} for an affinity"),
    }
}

#[test]
fn targets_that_are_not_well_are_dropped() {
    let mut play = Play::new();
    let named = |name: &str| NewSession { name: Some(name.to_owned()), ..NewSession::default() };
    let (lead, one, two) = (play.idle(named("lead")), play.idle(named("dep-1")), play.idle(named("dep-2")));
    let targets = |play: &Play| play.session(&lead).affinity.clone().map(|affinity| affinity.targets);
    assert_eq!(share(&mut play, &lead, &["lead"]).expect_err("itself").code, ErrorCode::InvalidArgument);
    assert_eq!(share(&mut play, &lead, &["nobody"]).expect_err("unknown").code, ErrorCode::SessionNotFound);
    assert_eq!(targets(&play), None, "nothing changed");
    share(&mut play, &lead, &["dep-1", "dep-2", "*"]).expect("two sessions and a glob");
    assert_eq!(targets(&play), Some(vec![one.to_string(), two.to_string(), "*".to_owned()]));
    assert_eq!(play.engine.stand_ins(&lead), [&one, &two], "each once, and never itself");
    play.gone(&one, Exit::Signal(9));
    assert_eq!(play.engine.stand_ins(&lead), [&two], "at once");
    play.wait(Duration::from_secs(10));
    assert_eq!(targets(&play), Some(vec![two.to_string(), "*".to_owned()]), "for good");
    assert!(play.decisions().iter().any(|reason| reason.contains(one.as_str())), "{:?}", play.decisions());
    share(&mut play, &lead, &["dep-2"]).expect("one session");
    play.gone(&two, Exit::Signal(9));
    play.wait(Duration::from_secs(10));
    assert_eq!(targets(&play), None);
    assert_eq!(play.engine.next_deadline(), None, "nothing is left to look at");
}

#[test]
fn a_pool_is_not_filled_while_the_server_ends() {
    let mut play = Play::new();
    pool(&mut play, "p", 2).expect("is made");
    elapse(&mut play);
    let members = view(&play).members;
    assert_eq!(members.len(), 2);
    for id in &members {
        at_prompt(&mut play, id);
    }
    play.engine.freeze();
    for id in &members {
        play.close(id, CloseMode::Emergency);
        play.gone(id, Exit::Signal(9));
    }
    elapse(&mut play);
    assert_eq!(play.engine.sessions().count(), 2, "nobody takes their place");
}
