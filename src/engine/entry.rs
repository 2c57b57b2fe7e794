//! What the engine keeps of each session and each command.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::TimerKey;
use super::consent::Consent;
use super::recovery::Recovery;
use super::schedule::TaskKey;
use crate::clock::{Moment, Now};
use crate::id::CommandId;
use crate::model::{Breach, Command, EndReason, Ending, Limit, Session, Status};

/// A session, and what belongs to it besides its record.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its `env` is redacted; `env` below is not.
    pub(super) session: Session,
    pub(super) env: BTreeMap<String, String>,
    /// What its shell had exported when last seen, beside `env` and what the server has.
    pub(super) exported: BTreeMap<String, String>,
    /// Exported before the next command.
    pub(super) exports: BTreeMap<String, String>,
    pub(super) queue: VecDeque<CommandId>,
    pub(super) running: Option<CommandId>,
    /// Whether a worker has not reported its shell gone.
    pub(super) has_worker: bool,
    /// The status and the reason that an ordered end will leave.
    pub(super) closing: Option<(Status, String)>,
    /// Whether a fresh shell follows the one that is going.
    pub(super) restart: bool,
    /// Until when its shell, which was told to end, may take for that. Nothing is handed to it any more.
    pub(super) going: Option<Moment>,
    /// Where the output stood when last heard of.
    pub(super) cursor: u64,
    /// The time of the session's last activity, on the clock that no one sets.
    pub(super) active_at: Moment,
    /// The pending look at whether it has been idle for too long.
    pub(super) timer: Option<TimerKey>,
    /// The pending look at the sessions that run its tasks.
    pub(super) affinity_timer: Option<TimerKey>,
    /// The pending end of what passes a limit in it.
    pub(super) limit_timer: Option<TimerKey>,
    /// The limit that was passed last, until its shell is at its prompt again.
    pub(super) breach: Option<Breach>,
    /// Which of all placements of tasks was the last in it; none is 0.
    pub(super) turn: u64,
    pub(super) recovery: Recovery,
    pub(super) consent: Consent,
}

impl Entry {
    /// A session without a shell.
    pub(super) fn new(
        session: Session,
        env: BTreeMap<String, String>,
        exported: BTreeMap<String, String>,
        now: Now,
    ) -> Self {
        Self {
            session,
            env,
            exported,
            exports: BTreeMap::new(),
            queue: VecDeque::new(),
            running: None,
            has_worker: false,
            closing: None,
            restart: false,
            going: None,
            cursor: 0,
            active_at: now.moment,
            timer: None,
            recovery: Recovery::default(),
            consent: Consent::default(),
            affinity_timer: None,
            limit_timer: None,
            breach: None,
            turn: 0,
        }
    }
}

/// A command, and what belongs to it besides its record.
#[derive(Debug)]
pub(super) struct CommandEntry {
    pub(super) command: Command,
    /// Commands of one `command_batch` share a number.
    pub(super) batch: Option<u64>,
    /// The task whose attempt it is.
    pub(super) task: Option<TaskKey>,
    /// Why the server is ending it.
    pub(super) stopped_for: Option<EndReason>,
    /// A limit that the kernel holds, and that it was seen at: if it fails, then because of that.
    pub(super) at_limit: Option<Limit>,
    /// Between two tries: how the last one ended.
    pub(super) failed_with: Option<Ending>,
    /// Whether its session ended before it began.
    pub(super) never_began: bool,
    /// Its one pending deadline.
    pub(super) timer: Option<TimerKey>,
    /// When its current try was given to the shell, and how much longer than its run it took to be over.
    pub(super) handed_at: Option<Moment>,
    pub(super) response: Option<Duration>,
}
