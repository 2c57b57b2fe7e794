//! The store over real files.

use std::sync::Arc;

use super::*;
use crate::clock::Timestamp;
use crate::id::RunId;
use crate::limits;
use crate::model::{
    Command, ContextMessage, ContextRole, ContextTotals, Dialect, Event, EventKind, Kept, OnFailure,
    Priority, Run, RunResources, Session, Status, Strategy, Task, TaskState, TaskStatus, Workplace, fixtures,
};
use crate::term::log::{Archive, Chunk, OutputLog};

fn directory() -> PathBuf {
    std::env::temp_dir().join(format!("shellherd-store-{}", Uuid::new_v4().simple()))
}

fn session(name: &str, status: Status) -> Session {
    let uuid = Uuid::new_v4();
    Session { id: SessionId::unique(uuid, |_| false), uuid, status, pid: None, ..fixtures::session(name) }
}

fn command(session: &Session) -> Command {
    let uuid = Uuid::new_v4();
    Command { id: CommandId::unique(uuid, |_| false), uuid, ..fixtures::command(&session.id) }
}

fn records(session: &Session, command: &Command) -> Vec<Record> {
    vec![
        Record::Session(Box::new(session.clone())),
        Record::Command(Box::new(command.clone())),
        Record::Event(Event {
            session: Some(session.id.clone()),
            run: None,
            task: None,
            at: Timestamp(1),
            output_cursor: 7,
            kind: EventKind::CommandStarted { command: command.id.clone() },
        }),
    ]
}

#[test]
fn what_was_committed_is_there_for_the_next_server() {
    let directory = directory();
    let session = session("one", Status::Active);
    let command = command(&session);
    {
        let (mut store, restored) = Store::open(&directory).expect("opens");
        assert!(restored.sessions.is_empty());
        store.commit(&records(&session, &command)).expect("commits");
        assert_eq!(store.command(&command.id).expect("reads"), Some(command.clone()));
    }
    let (store, restored) = Store::open(&directory).expect("opens again");
    assert_eq!(restored.sessions, std::slice::from_ref(&session));
    assert_eq!(restored.commands, [command]);
    assert_eq!(store.events(&session.id, 0, 10).expect("reads").len(), 1);
    assert!(store.events(&session.id, 8, 10).expect("reads").is_empty());
    let _ = fs::remove_dir_all(directory);
}

#[test]
fn a_command_of_an_older_server_is_read_as_one_that_was_not_confined() {
    let command = command(&session("one", Status::Idle));
    let mut stored = serde_json::to_value(&command).expect("writes");
    stored.as_object_mut().and_then(|fields| fields.remove("confined")).expect("it was there");
    assert_eq!(serde_json::from_value::<Command>(stored).expect("reads"), command);
}

#[test]
fn a_commit_waits_while_another_server_writes() {
    let directory = directory();
    let (mut store, _) = Store::open(&directory).expect("opens");
    let other = Connection::open(directory.join("shellherd.db")).expect("opens beside it");
    other.execute_batch("BEGIN IMMEDIATE").expect("takes the lock");
    let session = session("one", Status::Idle);
    let record = Record::Session(Box::new(session.clone()));
    std::thread::scope(|scope| {
        let commit = scope.spawn(|| store.commit(&[record]));
        other.execute_batch("COMMIT").expect("gives it back");
        commit.join().expect("does not panic").expect("commits");
    });
    drop(store);
    let (_next, restored) = Store::open(&directory).expect("opens again");
    assert_eq!(restored.sessions, [session]);
    let _ = fs::remove_dir_all(directory);
}

#[test]
fn live_sessions_of_a_living_server_are_its_own() {
    let directory = directory();
    let (mut first, _) = Store::open(&directory).expect("opens");
    let live = session("live", Status::Idle);
    let done = session("done", Status::Completed);
    first.commit(&records(&live, &command(&live))).expect("commits");
    first.commit(&records(&done, &command(&done))).expect("commits");
    let (_second, restored) = Store::open(&directory).expect("opens beside it");
    assert_eq!(restored.sessions, [done]);
    drop(first);
    let (_third, restored) = Store::open(&directory).expect("opens after it");
    assert_eq!(restored.sessions.len(), 2);
    let _ = fs::remove_dir_all(directory);
}

/// An ended session whose log has this many bytes.
fn with_output(store: &mut Store, name: &str, status: Status, ended_at: i64, bytes: u64) -> Session {
    let session = Session { ended_at: Some(Timestamp(ended_at)), ..session(name, status) };
    store.commit(&records(&session, &command(&session))).expect("commits");
    let directory = store.output_directory(&session.id);
    create_private(&directory).expect("a directory");
    File::create(directory.join("0.log")).and_then(|file| file.set_len(bytes)).expect("a log");
    session
}

#[test]
fn the_oldest_ended_sessions_go_and_live_ones_stay() {
    let directory = directory();
    let (mut store, _) = Store::open(&directory).expect("opens");
    let (mut other, _) = Store::open(&directory).expect("opens beside it");
    let elsewhere = with_output(&mut other, "live elsewhere", Status::Active, 1, 1 << 40);
    let failed_elsewhere = with_output(&mut other, "in error elsewhere", Status::Error, 1, 1 << 40);
    let live = with_output(&mut store, "live", Status::Idle, 1, 1 << 40);
    let oldest = with_output(&mut store, "oldest", Status::Completed, 2, 1);
    let failed = with_output(&mut store, "in error", Status::Error, 3, 50);
    let large = with_output(&mut store, "large", Status::Terminated, 4, 95);
    let small = with_output(&mut other, "small", Status::Completed, 5, 10);
    let latest = with_output(&mut store, "latest", Status::Completed, 6, 90);
    let bounds = Bounds { sessions: 4, output_bytes: 100 };
    let over = store.sweeper().sweep(bounds, std::slice::from_ref(&failed.id), || true).expect("sweeps");
    assert!(over.is_empty() && store.output_directory(&oldest.id).exists(), "nothing goes once it is over");
    let to_empty = store.sweeper().sweep(bounds, std::slice::from_ref(&failed.id), || false).expect("sweeps");
    assert_eq!(to_empty, std::slice::from_ref(&failed.id));
    let kept = |session: &Session| store.output_directory(&session.id).exists();
    for session in [&elsewhere, &failed_elsewhere, &live, &failed, &small, &latest] {
        assert!(kept(session), "{}", session.name);
    }
    assert!(!kept(&large) && !kept(&oldest));
    assert_eq!(store.events(&oldest.id, 0, 10).expect("reads").len(), 1, "the history has its own bound");
    // One that nobody can reset any more goes like the others.
    store.forget(&failed.id).expect("forgets");
    assert!(store.sweeper().sweep(bounds, &[], || false).expect("sweeps").is_empty());
    assert!(!store.output_directory(&failed.id).exists());
    drop((store, other));
    let (_, restored) = Store::open(&directory).expect("opens again");
    assert!(restored.sessions.iter().all(|session| session.name != "oldest"));
    assert_eq!(restored.sessions.len(), 7);
    assert_eq!(restored.commands.len(), 7);
    let _ = fs::remove_dir_all(directory);
}

#[test]
fn a_context_goes_with_its_session_and_a_late_change_is_none() {
    let directory = directory();
    let (mut store, _) = Store::open(&directory).expect("opens");
    let sessions = [session("one", Status::Terminated), session("two", Status::Idle)];
    let of = |session: &Session| Record::Session(Box::new(session.clone()));
    store.commit(&sessions.iter().map(of).collect::<Vec<_>>()).expect("commits");
    let mut contexts = Contexts::open(&directory).expect("opens");
    let message = ContextMessage {
        number: 1,
        place: 1,
        role: ContextRole::User,
        content: "hello".to_owned(),
        tokens: 1,
        added_at: Timestamp(1),
        is_summary: false,
        kept: Kept::Whole,
    };
    let totals =
        ContextTotals { changes: 1, messages: 1, bytes: 5, tokens: 1, left_messages: 1, left_tokens: 1 };
    for session in &sessions {
        assert!(contexts.write(&session.id, std::slice::from_ref(&message), &totals).expect("writes"));
    }
    let other = ContextMessage { content: "late".to_owned(), ..message.clone() };
    assert!(!contexts.write(&sessions[0].id, &[other], &totals).expect("is late"));
    assert_eq!(contexts.read(&sessions[0].id).expect("reads"), (totals, vec![message.clone()]));
    assert_eq!(contexts.totals(&sessions[0].id).expect("reads"), (totals, 10));

    let removed = sessions[0].id.clone();
    store.commit(&[Record::Removed(removed.clone())]).expect("commits");
    let late =
        contexts.write(&removed, std::slice::from_ref(&message), &ContextTotals { changes: 2, ..totals });
    assert_eq!(late.expect_err("is gone").code, ErrorCode::SessionNotFound);
    store.sweeper().remove(std::slice::from_ref(&removed)).expect("removes");
    assert_eq!(contexts.read(&removed).expect("reads"), (ContextTotals::default(), Vec::new()));
    assert_eq!(contexts.totals(&sessions[1].id).expect("reads"), (totals, 5));
    let _ = fs::remove_dir_all(directory);
}

#[test]
fn a_log_that_was_dropped_goes_on_where_it_was() {
    let directory = directory();
    let mut log = OutputLog::new(Box::new(SegmentArchive::open(&directory, 1)));
    log.append(b"0123456789");
    log.clear().expect("drops");
    assert_eq!((log.oldest(), log.end()), (10, 10));
    drop(log);
    let mut log = OutputLog::new(Box::new(SegmentArchive::open(&directory, 1)));
    log.append(b"abc");
    assert_eq!(log.read(0, 20, 20), Chunk { from: 10, bytes: b"abc".to_vec() });
    log.release();
    assert_eq!(log.read(11, 20, 20), Chunk { from: 11, bytes: b"bc".to_vec() });
    let _ = fs::remove_dir_all(directory);
}

#[test]
fn a_store_of_a_newer_version_is_left_alone() {
    let directory = directory();
    drop(Store::open(&directory).expect("opens"));
    let connection = Connection::open(directory.join("shellherd.db")).expect("opens");
    connection.pragma_update(None, "user_version", 99).expect("writes");
    drop(connection);
    let error = Store::open(&directory).expect_err("refuses");
    assert_eq!(error.code, ErrorCode::StorageFailed);
    assert!(error.message.contains("newer version"), "{error}");
    let _ = fs::remove_dir_all(directory);
}

#[test]
fn an_archive_gives_back_every_byte_and_drops_the_oldest_segments() {
    let directory = directory();
    let mut archive = SegmentArchive::open(&directory, 1);
    assert!(!directory.exists(), "nothing is created before the first byte");
    let part: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    for _ in 0..13 {
        archive.append(&part).expect("appends");
    }
    assert_eq!(archive.end(), 13 << 20);
    assert!(archive.oldest() > 0 && archive.end() - archive.oldest() <= 2 * limits::OUTPUT_SEGMENT);
    let archive = SegmentArchive::open(&directory, 1);
    assert_eq!(archive.end(), 13 << 20);
    let mut at = archive.oldest();
    let mut buffer = vec![0; 100_000];
    while at < archive.end() {
        let count = archive.read(at, &mut buffer).expect("reads");
        assert!(count > 0);
        for (offset, byte) in buffer[..count].iter().enumerate() {
            assert_eq!(u64::from(*byte), (at + offset as u64) % 256);
        }
        at += count as u64;
    }
    let _ = fs::remove_dir_all(directory);
}

/// Text instead of the file itself, so that a reader sees what it holds.
const STATE_1: &str = include_str!("../../tests/fixtures/state-1.sql");

#[test]
fn what_the_first_version_wrote_still_opens() {
    let directory = directory();
    create_private(&directory).expect("a directory");
    let old = Connection::open(directory.join("shellherd.db")).expect("a database");
    old.execute_batch(STATE_1).expect("the statements of a dump");
    drop(old);
    let (store, restored) = Store::open(&directory).expect("opens");
    let [session] = restored.sessions.as_slice() else { panic!("{:?}", restored.sessions) };
    assert_eq!((session.name.as_str(), session.status), ("old", Status::Terminated));
    let [command] = restored.commands.as_slice() else { panic!("{:?}", restored.commands) };
    assert_eq!((command.exit_code(), command.confined), (Some(1), false));
    assert!(!store.events(&session.id, 0, 10).expect("reads").is_empty());
    assert!(restored.runs.is_empty());
    let _ = fs::remove_dir_all(directory);
}

fn run(number: i64) -> (Run, Arc<[Task]>) {
    let uuid = Uuid::new_v4();
    let run = Run {
        id: RunId::unique(uuid, |_| false),
        uuid,
        strategy: Strategy::Dependency,
        max_concurrent: 2,
        on_failure: OnFailure::SkipDependents,
        sessions: Vec::new(),
        resumable: false,
        resources: RunResources::default(),
        priority: Priority::Normal,
        workplace: Workplace { shell: "/bin/sh".into(), dialect: Dialect::Posix, directory: "/".into() },
        paused: false,
        attended: true,
        aborted: false,
        created_at: Timestamp(number),
        ended_at: None,
    };
    (run, Arc::from([fixtures::task("a"), fixtures::task("b")]))
}

#[test]
fn runs_come_back_with_their_tasks_and_how_far_these_were() {
    let directory = directory();
    let (mut first, restored) = Store::open(&directory).expect("opens");
    assert!(restored.runs.is_empty() && restored.estimates.is_empty());
    let (run, tasks) = run(1);
    let state = TaskState { status: TaskStatus::Running, attempt: 1, ..TaskState::default() };
    let records = [
        Record::Run(Box::new(run.clone())),
        Record::Graph { run: run.id.clone(), tasks: Arc::clone(&tasks) },
        Record::Task { run: run.id.clone(), numbers: 1..=1, state: Box::new(state.clone()) },
        Record::Estimate { work: u64::MAX, mean_us: 7 },
    ];
    first.commit(&records).expect("commits");
    let (second, restored) = Store::open(&directory).expect("opens beside it");
    assert!(restored.runs.is_empty(), "a run of a living server is its own");
    drop((first, second));
    let (mut third, restored) = Store::open(&directory).expect("opens after it");
    let stored = StoredRun { run: run.clone(), tasks: tasks.to_vec(), states: vec![(1, state)] };
    assert_eq!(restored.runs, [stored]);
    assert_eq!(restored.estimates, [(u64::MAX, 7)]);
    let over = Run { ended_at: Some(Timestamp(2)), ..run };
    third.commit(&[Record::Run(Box::new(over.clone()))]).expect("commits");
    let (_fourth, restored) = Store::open(&directory).expect("opens beside it");
    assert_eq!(restored.runs.iter().map(|stored| &stored.run).collect::<Vec<_>>(), [&over]);
    let _ = fs::remove_dir_all(directory);
}

#[test]
fn tasks_that_ended_alike_are_one_row_which_takes_the_place_of_theirs() {
    let directory = directory();
    let (mut first, _) = Store::open(&directory).expect("opens");
    let (run, _) = run(1);
    let tasks: Arc<[_]> = (0..5).map(|number| fixtures::task(&number.to_string())).collect();
    let begun = TaskState { attempt: 1, ..TaskState::default() };
    let over = TaskState { status: TaskStatus::Failed, ended_at: Some(Timestamp(3)), ..TaskState::default() };
    let task = |numbers, state: &TaskState| Record::Task {
        run: run.id.clone(),
        numbers,
        state: Box::new(state.clone()),
    };
    first
        .commit(&[
            Record::Run(Box::new(run.clone())),
            Record::Graph { run: run.id.clone(), tasks },
            task(0..=0, &begun),
            task(2..=2, &begun),
            task(1..=3, &over),
        ])
        .expect("commits");
    drop(first);
    let (_second, restored) = Store::open(&directory).expect("opens after it");
    let states = [(0, begun), (1, over.clone()), (2, over.clone()), (3, over)];
    assert_eq!(restored.runs[0].states, states, "and of the last nothing is known");
    let _ = fs::remove_dir_all(directory);
}

fn decision(reason: &str) -> Record {
    let kind = EventKind::Decision { reason: reason.to_owned() };
    Record::Event(Event { session: None, run: None, task: None, at: Timestamp(1), output_cursor: 0, kind })
}

fn reasons(store: &Store, since: u64, most: usize) -> (Vec<String>, u64, u64, u64) {
    let stretch = store.history(since, most).expect("reads");
    let reasons = stretch.events.into_iter().map(|(_, event)| match event.kind {
        EventKind::Decision { reason } => reason,
        kind => panic!("{kind:?}"),
    });
    (reasons.collect(), stretch.dropped, stretch.to, stretch.end)
}

#[test]
fn the_history_is_read_once_from_cursor_to_cursor_and_by_the_next_server() {
    let directory = directory();
    let (mut store, _) = Store::open(&directory).expect("opens");
    assert_eq!(reasons(&store, 0, 10), (vec![], 0, 0, 0));
    store.commit(&["a", "b", "c"].map(decision)).expect("commits");
    assert_eq!(reasons(&store, 0, 2), (vec!["a".to_owned(), "b".to_owned()], 0, 2, 3));
    assert_eq!(reasons(&store, 2, 2), (vec!["c".to_owned()], 0, 3, 3));
    assert_eq!(reasons(&store, 99, 2), (vec![], 0, 3, 3), "a cursor from elsewhere");
    drop(store);
    let (mut store, _) = Store::open(&directory).expect("opens again");
    store.commit(&[decision("d")]).expect("commits");
    assert_eq!(reasons(&store, 2, 9), (vec!["c".to_owned(), "d".to_owned()], 0, 4, 4));
    let _ = fs::remove_dir_all(directory);
}

#[test]
fn the_history_of_another_living_server_is_its_own() {
    let directory = directory();
    let (mut store, _) = Store::open(&directory).expect("opens");
    let (mut other, _) = Store::open(&directory).expect("opens beside it");
    other.commit(&[decision("theirs")]).expect("commits");
    store.commit(&[decision("ours")]).expect("commits");
    assert_eq!(reasons(&store, 0, 9), (vec!["ours".to_owned()], 0, 2, 2));
    assert_eq!(reasons(&other, 0, 9), (vec!["theirs".to_owned()], 0, 2, 2));
    drop(other);
    assert_eq!(reasons(&store, 0, 9).0, ["theirs", "ours"]);
    let _ = fs::remove_dir_all(directory);
}

#[test]
fn events_that_were_removed_are_counted_for_who_had_not_read_them() {
    let directory = directory();
    let (mut store, _) = Store::open(&directory).expect("opens");
    let all = limits::EVENTS + EVENTS_BETWEEN_TRIMS;
    let batch: Vec<Record> = (0..1_000).map(|_| decision("again")).collect();
    for _ in 0..all / 1_000 {
        store.commit(&batch).expect("commits");
    }
    let stretch = store.history(10, 5).expect("reads");
    assert_eq!(stretch.end, all as u64);
    assert_eq!(stretch.dropped, (all - limits::EVENTS - 10) as u64);
    assert_eq!(stretch.to, 10 + stretch.dropped + 5);
    assert_eq!(stretch.events.len(), 5);
    let _ = fs::remove_dir_all(directory);
}
