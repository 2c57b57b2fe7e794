//! Sessions that are removed after their end.

use super::*;
use crate::error::ErrorCode;
use crate::limits;
use crate::model::Status;

fn clean_up(play: &mut Play, older_than: Duration, statuses: &[Status]) -> Result<Vec<SessionId>> {
    match play.request(Request::CleanUp { older_than, statuses: statuses.to_vec() })? {
        Reply::Sessions(removed) => Ok(removed),
        reply => panic!("{reply:?} for a clean-up"),
    }
}

fn elapse(play: &mut Play) {
    let (now, mut step) = (play.now(), Step::default());
    play.engine.elapse(now, &mut step);
    play.take(step);
}

#[test]
fn what_ended_long_enough_ago_goes_with_its_commands() {
    let mut play = Play::new();
    let (done, failed, live) = {
        let mut new = || play.idle(NewSession::default());
        (new(), new(), new())
    };
    let command = play.run(&done, "a");
    play.end(&done, &command, 0);
    play.gone(&done, Exit::Code(0));
    play.clock += Duration::from_secs(10);
    play.gone(&failed, Exit::Code(1));
    let ended = [Status::Completed, Status::Error];
    assert_eq!(clean_up(&mut play, Duration::from_secs(11), &ended), Ok(vec![]));
    assert_eq!(clean_up(&mut play, Duration::ZERO, &[Status::Terminated]), Ok(vec![]));
    assert_eq!(clean_up(&mut play, Duration::from_secs(10), &ended), Ok(vec![done.clone()]));
    assert_eq!(play.records, [Record::Removed(done.clone())]);
    assert_eq!(play.effects, [Effect { session: done.clone(), kind: EffectKind::Remove }]);
    assert!(play.engine.session(&done).is_none() && play.engine.command(&command).is_none());
    assert_eq!(clean_up(&mut play, Duration::ZERO, &ended), Ok(vec![failed]));
    assert_eq!(play.engine.sessions().map(|session| &session.id).collect::<Vec<_>>(), [&live]);
    assert_eq!((play.engine.ended_sessions.len(), play.engine.ended_commands.len()), (0, 0));
}

#[test]
fn what_is_live_is_refused() {
    let mut play = Play::new();
    play.idle(NewSession::default());
    let refused = clean_up(&mut play, Duration::ZERO, &[Status::Completed, Status::Idle]);
    assert_eq!(refused.map_err(|error| error.code), Err(ErrorCode::InvalidArgument));
}

#[test]
fn ended_sessions_are_removed_without_a_caller_and_nothing_is_looked_at_otherwise() {
    let mut play = Play::new();
    play.engine.defaults.cleanup_after = Some(limits::CLEANUP_AFTER);
    let id = play.idle(NewSession::default());
    assert_eq!(play.engine.next_deadline(), None);
    play.gone(&id, Exit::Code(0));
    let begin = play.clock;
    while play.engine.session(&id).is_some() {
        let Moment(due) = play.engine.next_deadline().expect("a clean-up");
        assert!(due <= begin + limits::CLEANUP_AFTER + limits::CLEANUP_EVERY);
        play.clock = due;
        elapse(&mut play);
    }
    assert!(play.clock >= begin + limits::CLEANUP_AFTER);
    assert_eq!(play.engine.next_deadline(), None, "nothing is left to look at");
}
