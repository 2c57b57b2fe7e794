//! The store over real files.

use std::collections::BTreeMap;

use super::*;
use crate::clock::Timestamp;
use crate::limits;
use crate::model::{
    Command, CommandState, Dialect, EventKind, Profile, ResourceLimits, Session, SessionKind, Status,
    TerminalSize,
};
use crate::term::log::Archive;

fn directory() -> PathBuf {
    std::env::temp_dir().join(format!("shellherd-store-{}", Uuid::new_v4().simple()))
}

fn session(name: &str, status: Status) -> Session {
    let uuid = Uuid::new_v4();
    Session {
        id: SessionId::unique(uuid, |_| false),
        uuid,
        name: name.to_owned(),
        kind: SessionKind::Worker,
        status,
        shell: "/bin/sh".into(),
        dialect: Dialect::Posix,
        profile: Profile::Clean,
        created_directory: "/".into(),
        working_directory: "/".into(),
        env: BTreeMap::new(),
        size: TerminalSize::default(),
        metadata: serde_json::Map::new(),
        capabilities: Vec::new(),
        constraints: Vec::new(),
        command_timeout_ms: 1,
        idle_timeout_ms: None,
        output_bytes: 1,
        pid: None,
        generation: 1,
        created_at: Timestamp(1),
        last_activity: Timestamp(1),
        ended_at: None,
        end_reason: None,
        ended_by_force: false,
        exit_code: None,
        last_command: None,
        commands_executed: 0,
        commands_failed: 0,
        retry_count: 0,
    }
}

fn command(session: &Session) -> Command {
    let uuid = Uuid::new_v4();
    Command {
        id: CommandId::unique(uuid, |_| false),
        uuid,
        session: session.id.clone(),
        text: "true".into(),
        state: CommandState::Running,
        ending: None,
        reason: None,
        ok_exit_codes: Some(vec![0]),
        env: BTreeMap::new(),
        directory: None,
        stdin: None,
        timeout_ms: 1,
        on_timeout: crate::model::OnTimeout::Leave,
        timed_out: false,
        retries: None,
        limits: ResourceLimits::default(),
        attempt: 1,
        queued_at: Timestamp(1),
        started_at: None,
        ended_at: None,
        duration_us: None,
        output_from: None,
        output_to: None,
        working_directory: None,
        awaiting_input: None,
    }
}

fn records(session: &Session, command: &Command) -> Vec<Record> {
    vec![
        Record::Session(Box::new(session.clone())),
        Record::Command(Box::new(command.clone())),
        Record::Event(Event {
            session: session.id.clone(),
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
    let (mut store, restored) = Store::open(&directory).expect("opens again");
    assert_eq!(restored.sessions, std::slice::from_ref(&session));
    assert_eq!(restored.commands, [command]);
    assert_eq!(store.events(&session.id, 0, 10).expect("reads").len(), 1);
    assert!(store.events(&session.id, 8, 10).expect("reads").is_empty());
    let _ = fs::remove_dir_all(directory);
}

#[test]
fn events_that_repeat_a_command_wait_for_others_and_keep_their_place() {
    let directory = directory();
    let (mut store, _) = Store::open(&directory).expect("opens");
    let session = session("one", Status::Idle);
    let command = command(&session);
    let event =
        |kind: EventKind| Event { session: session.id.clone(), at: Timestamp(1), output_cursor: 0, kind };
    let started = event(EventKind::CommandStarted { command: command.id.clone() });
    let decision = event(EventKind::Decision { reason: "told".to_owned() });
    store.commit(&[Record::Event(started.clone())]).expect("commits");
    assert!(store.is_unsettled());
    store.commit(&[Record::Event(decision.clone())]).expect("commits");
    assert!(!store.is_unsettled());
    store.commit(&[Record::Event(started.clone())]).expect("commits");
    let told = [started.clone(), decision, started.clone()];
    assert_eq!(store.events(&session.id, 0, 10).expect("reads"), told, "a reader sees them all");
    store.commit(&vec![Record::Event(started.clone()); LATE_EVENTS]).expect("commits");
    assert!(store.is_unsettled());
    store.commit(&[Record::Event(started)]).expect("commits");
    assert!(!store.is_unsettled(), "only so many wait");
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
