//! Records as tests of other modules start from them: everything at its plainest.

use std::collections::BTreeMap;

use serde_json::Map;
use uuid::Uuid;

use super::{
    AutoAccept, Command, CommandState, Dialect, Needs, OnTimeout, Priority, Profile, ResourceLimits, Session,
    SessionKind, Status, Task, TaskKind, TerminalSize,
};
use crate::clock::Timestamp;
use crate::id::{CommandId, SessionId};

/// An idle session.
pub(crate) fn session(name: &str) -> Session {
    Session {
        id: SessionId::from_text(format!("ses_{name}")),
        uuid: Uuid::from_u128(1),
        name: name.to_owned(),
        kind: SessionKind::Worker,
        status: Status::Idle,
        shell: "/bin/bash".into(),
        dialect: Dialect::Bash,
        profile: Profile::User,
        created_directory: "/home/u/Project".into(),
        root: None,
        working_directory: "/home/u/Project".into(),
        env: BTreeMap::new(),
        size: TerminalSize::default(),
        metadata: Map::new(),
        capabilities: Vec::new(),
        constraints: Vec::new(),
        limits: ResourceLimits::default(),
        affinity: None,
        needs: Needs::default(),
        exported: BTreeMap::new(),
        unset: std::collections::BTreeSet::new(),
        restored_from: None,
        monitor: None,
        auto_accept: AutoAccept::default(),
        stopped: false,
        cpu_time_spent: false,
        command_timeout_ms: 300_000,
        idle_timeout_ms: None,
        output_bytes: 1,
        pid: Some(7),
        generation: 1,
        created_at: Timestamp(0),
        last_activity: Timestamp(0),
        ended_at: None,
        end_reason: None,
        ended_by_force: false,
        exit_code: None,
        last_command: None,
        commands_executed: 0,
        commands_failed: 0,
        retry_count: 0,
        recoveries: 0,
        recovery: None,
    }
}

/// A command that runs, without output so far.
pub(crate) fn command(session: &SessionId) -> Command {
    Command {
        id: CommandId::from_text("cmd_k3f9q2"),
        uuid: Uuid::from_u128(1),
        session: session.clone(),
        text: "true".to_owned(),
        state: CommandState::Running,
        ending: None,
        reason: None,
        ok_exit_codes: Some(vec![0]),
        env: BTreeMap::new(),
        directory: None,
        stdin: None,
        confined: false,
        timeout_ms: 300_000,
        on_timeout: OnTimeout::Leave,
        timed_out: false,
        retries: None,
        limits: ResourceLimits::default(),
        attempt: 1,
        queued_at: Timestamp(0),
        started_at: None,
        ended_at: None,
        duration_us: None,
        output_from: None,
        output_to: None,
        working_directory: None,
        awaiting_input: None,
    }
}

/// A task that waits for nothing.
pub(crate) fn task(id: &str) -> Task {
    Task {
        id: id.to_owned(),
        kind: TaskKind::Command,
        text: "true".to_owned(),
        directory: None,
        env: BTreeMap::new(),
        stdin: None,
        priority: Priority::Normal,
        dependencies: Vec::new(),
        timeout_ms: 60_000,
        retries: None,
        requirements: Vec::new(),
        session: None,
        weight: 1,
        ok_exit_codes: Some(vec![0]),
        limits: ResourceLimits::default(),
        metadata: None,
    }
}
