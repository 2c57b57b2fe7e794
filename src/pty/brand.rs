//! A fingerprint that every descendant of a session carries, whatever it does to get away.
//!
//! A process group is left by `setsid`, a session by a double fork, the tree of parents by the death
//! of one of them, an environment variable by `env -i`. Resource limits stay: they pass through fork
//! and exec, and a lowered hard limit cannot be raised again. The server lowers its own hard limit on
//! the size of POSIX message queues (which nobody reaches) to a random value that no other process
//! has, and sets the soft limit to a number of the session just before it starts a shell. Finding all
//! that ever came from a session is then one scan of `/proc/*/limits`, for the server and for whoever
//! outlives it. Rejected: cgroups (not writable in most containers; where they are, they hold
//! [limits](super::cgroup)), a walk of parents alone (sees nothing after the server's death), `PDEATHSIG`
//! (fires when a *thread* ends).
//!
//! A slot has a second value, which only what a confined command starts carries: so what that command left
//! running is told from what the session had before, and from what that starts meanwhile.
//!
//! The server is also the parent of whatever loses its own (a subreaper). So all that is left of a
//! command hangs below a child of the shell or of the server, and that nothing is left, the ordinary
//! case, shows in a look at these children, without a scan. It has to reap them, then.
//!
//! Misses: a privileged descendant that raises its limits, as `sudo` with `pam_limits` may.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, WaitId, WaitIdOptions, getpid, getppid, getrlimit, pidfd_open,
    pidfd_send_signal, prlimit, set_child_subreaper, setrlimit, waitid,
};

use super::{procfs, spawn};
use crate::clock::{self, Moment};
use crate::limits;

/// Sessions that can be told apart. A few more than may live, for those that are just being closed.
const SLOTS: u64 = limits::SESSIONS as u64 + 24;
/// The kernel's default hard limit. Ours is drawn from its upper half, so that servers started by
/// sessions of other servers find room below, too.
const HIGHEST: u64 = 819_200;
/// Rounds of killing. Each finds what was forked during the one before; a fork bomb that survives
/// this many is left to the deadline of whoever asked.
const ROUNDS: usize = 64;

/// The values that mark the processes of one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint {
    /// The hard limit that all of them have.
    pub(super) hard: u64,
    /// The soft limit of the server itself; that of slot n is n + 1 above it, and that of confined commands
    /// there as much below it.
    pub(super) base: u64,
}

/// Whose processes are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those of one session.
    Slot(u64),
    /// Those of them that a confined command started.
    Confined(u64),
    /// Those of every session of this server.
    All,
}

impl Fingerprint {
    /// A fingerprint below the hard limit `hard` that no process has; none if there is no room.
    fn draw(hard: Option<u64>) -> Option<Self> {
        let highest = hard.unwrap_or(HIGHEST).min(HIGHEST);
        let lowest = highest / 2;
        if lowest <= 2 * (SLOTS + 1) {
            return None;
        }
        let used: Vec<u64> = procfs::pids().into_iter().filter_map(|pid| Some(limits_of(pid)?.1)).collect();
        let random = uuid::Uuid::new_v4().as_u128();
        (0..64)
            .map(|round| {
                lowest + u64::try_from((random >> round) % u128::from(highest - lowest)).unwrap_or(0)
            })
            .find(|hard| !used.contains(hard))
            .map(|hard| Self { hard, base: hard - SLOTS - 1 })
    }

    pub(super) fn soft(self, which: Which) -> u64 {
        match which {
            Which::Slot(slot) => self.base + 1 + slot,
            Which::Confined(slot) => self.base - 1 - slot,
            Which::All => self.base,
        }
    }

    /// What carries the mark of `which`.
    fn limit(self, which: Which) -> Rlimit {
        Rlimit { current: Some(self.soft(which)), maximum: Some(self.hard) }
    }

    /// Whether `pid` carries the mark. The server and its guard have the hard limit as well, but the
    /// soft one of no slot; a descendant that changed its soft limit is still found by `All`.
    fn marks(self, pid: Pid, which: Which) -> bool {
        let Some((soft, hard)) = limits_of(pid) else { return false };
        let by_limit = match which {
            Which::Slot(slot) => soft == self.soft(which) || soft == self.soft(Which::Confined(slot)),
            Which::Confined(_) => soft == self.soft(which),
            Which::All => soft != self.base,
        };
        hard == self.hard && by_limit
    }

    /// Whether `pid` carries the mark, or descends from one that does: another server that was started in
    /// a session has put its own mark on itself and all that it started. What descends from a shell that
    /// carries the mark of its confined command need not be that command's.
    fn has(self, pid: Pid, which: Which) -> bool {
        let marks = |pid| self.marks(pid, which);
        marks(pid) || (!matches!(which, Which::Confined(_)) && procfs::ancestors(pid).any(marks))
    }

    pub(super) fn members(self, which: Which) -> Vec<Pid> {
        let spared = [Some(getpid()), getppid()];
        let mut found: Vec<Pid> = procfs::pids()
            .into_iter()
            .filter(|&pid| !spared.contains(&Some(pid)) && self.marks(pid, which))
            .filter(|&pid| procfs::stat(pid).is_some_and(procfs::Stat::is_alive))
            .collect();
        if !found.is_empty() && !matches!(which, Which::Confined(_)) {
            found.extend(procfs::descendants(&found));
        }
        found
    }

    /// See [`Brand::kill_all`].
    pub(super) fn kill_all(self, which: Which, deadline: Moment) -> usize {
        kill_to_fixpoint(|| self.members(which), |pid| self.has(pid, which), deadline)
    }
}

/// The soft and the hard limit on message queues of `pid`.
fn limits_of(pid: Pid) -> Option<(u64, u64)> {
    match spawn::queue_limits(pid) {
        Ok(limits) => return Some(limits),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        Err(_) => return None,
    }
    let (soft, hard) = procfs::limit(pid, b"Max msgqueue size")?;
    Some((soft?, hard?))
}

/// Kills what `find` finds until it finds nothing, or the deadline passes; returns how many are left.
/// A process id may change hands between a look and a signal, so each is held by a pidfd and looked
/// at again before it is hit.
pub(super) fn kill_to_fixpoint(
    find: impl Fn() -> Vec<Pid>,
    is_member: impl Fn(Pid) -> bool,
    deadline: Moment,
) -> usize {
    for _ in 0..ROUNDS {
        let found = find();
        // Those that are gone by now may have left children to find.
        if found.is_empty() {
            return 0;
        }
        let held: Vec<_> = found
            .into_iter()
            .filter_map(|pid| Some((pid, pidfd_open(pid, PidfdFlags::empty()).ok()?)))
            .filter(|(pid, _)| is_member(*pid))
            .collect();
        for (pid, pidfd) in &held {
            if let Err(errno) = pidfd_send_signal(pidfd, Signal::KILL) {
                tracing::debug!(%pid, %errno, "could not kill a process");
            }
        }
        for (_, pidfd) in &held {
            let left = deadline.0.saturating_sub(clock::now().moment.0);
            await_end(pidfd, left);
        }
        if clock::now().moment >= deadline {
            break;
        }
    }
    find().len()
}

/// Blocks until the process behind `pidfd` has ended, at most for `left`.
fn await_end(pidfd: &std::os::fd::OwnedFd, left: Duration) {
    let timeout = Timespec::try_from(left).ok();
    // An interrupted wait is a short one: the caller looks again in any case.
    let _ = poll(&mut [PollFd::new(pidfd, PollFlags::IN)], timeout.as_ref());
}

#[derive(Debug)]
struct Inner {
    /// None where the limits leave no room: then parents and session ids have to do.
    fingerprint: Option<Fingerprint>,
    /// The slots in use, each with the shells started in it.
    slots: Mutex<BTreeMap<u64, Vec<Pid>>>,
    /// What the server started itself, and therefore reaps itself. Held while it starts something,
    /// because its own soft limit is then that of a slot.
    started: Mutex<HashSet<Pid>>,
}

/// This server's fingerprint. There is one for the whole process: clones share it.
#[derive(Clone, Debug)]
pub struct Brand(Arc<Inner>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Brand {
    /// Lowers this process's own limit at the first call, for good, makes it the parent of whatever its
    /// sessions leave without one (see [`Brand::reap`]), and returns the same brand ever after. Where limits leave no room the brand falls back to parents and session ids, which a
    /// process can escape, and says so in the log.
    pub fn claim() -> io::Result<Brand> {
        static BRAND: OnceLock<Brand> = OnceLock::new();
        static CLAIM: Mutex<()> = Mutex::new(());
        let _claiming = lock(&CLAIM);
        if let Some(brand) = BRAND.get() {
            return Ok(brand.clone());
        }
        let hard = getrlimit(Resource::Msgqueue).maximum;
        let fingerprint = Fingerprint::draw(hard);
        if let Some(fingerprint) = fingerprint {
            set_limit(fingerprint, Which::All)?;
        } else {
            tracing::warn!(
                ?hard,
                "the limit on message queues is too low to mark processes with: \
                 one that leaves its session and its parents will outlive it"
            );
        }
        set_child_subreaper(Some(getpid()))?;
        let inner = Inner { fingerprint, slots: Mutex::default(), started: Mutex::default() };
        Ok(BRAND.get_or_init(|| Brand(Arc::new(inner))).clone())
    }

    /// Takes the lowest free slot; none if all are taken.
    pub fn slot(&self) -> Option<Slot> {
        let mut slots = lock(&self.0.slots);
        let number = (0..SLOTS).find(|number| !slots.contains_key(number))?;
        slots.insert(number, Vec::new());
        Some(Slot { brand: self.clone(), number })
    }

    /// The living processes that descend from the sessions meant.
    pub fn members(&self, which: Which) -> Vec<Pid> {
        let Some(fingerprint) = self.0.fingerprint else { return self.walk(which) };
        let mut members = fingerprint.members(which);
        members.retain(|pid| !self.is_spared(*pid, which));
        members
    }

    /// Whether `pid` is one of those meant.
    pub(super) fn has(&self, pid: Pid, which: Which) -> bool {
        match self.0.fingerprint {
            Some(fingerprint) => !self.is_spared(pid, which) && fingerprint.has(pid, which),
            None => self.walk(which).contains(&pid),
        }
    }

    /// Leaves out what this process started itself.
    pub(super) fn retain_adopted(&self, pids: &mut Vec<Pid>) {
        let started = lock(&self.0.started);
        pids.retain(|pid| !started.contains(pid));
    }

    /// A shell may carry the mark of its confined command, but is not part of it.
    fn is_spared(&self, pid: Pid, which: Which) -> bool {
        matches!(which, Which::Confined(_)) && lock(&self.0.started).contains(&pid)
    }

    /// Gives a process that was started by this one another mark.
    pub(super) fn mark(&self, pid: Pid, which: Which) -> io::Result<()> {
        let Some(fingerprint) = self.0.fingerprint else { return Ok(()) };
        prlimit(Some(pid), Resource::Msgqueue, fingerprint.limit(which))?;
        Ok(())
    }

    /// Takes the statuses of those that lost their parents and have ended. To be called whenever a
    /// child of this process has ended.
    pub fn reap(&self) {
        let started = lock(&self.0.started);
        let is_ours = |pid: &Pid| self.0.fingerprint.is_none_or(|mark| mark.marks(*pid, Which::All));
        // Thousands of them may live on while thousands end: only those that ended are looked at closely.
        let has_ended = |pid: &Pid| {
            let ended = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            !started.contains(pid) && matches!(waitid(WaitId::Pid(*pid), ended), Ok(Some(_)))
        };
        let children = procfs::children(getpid()).unwrap_or_default();
        for pid in children.into_iter().filter(has_ended).filter(is_ours) {
            let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
        }
    }

    /// Whether a signal stopped a child of this process, or let one go on, since this was last asked.
    pub fn has_stop_changes(&self) -> bool {
        let changes = WaitIdOptions::STOPPED | WaitIdOptions::CONTINUED | WaitIdOptions::NOHANG;
        let mut has_any = false;
        for _ in 0..limits::SESSIONS {
            if !matches!(waitid(WaitId::All, changes), Ok(Some(_))) {
                break;
            }
            has_any = true;
        }
        has_any
    }

    /// Kills a process that a census found in a slot, unless it has gone meanwhile.
    pub fn kill_one(&self, slot: u64, pid: u32) {
        let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
        if let Ok(held) = pidfd_open(pid, PidfdFlags::empty())
            && self.has(pid, Which::Slot(slot))
        {
            let _ = pidfd_send_signal(&held, Signal::KILL);
        }
    }

    /// Kills them with SIGKILL, round after round until none is left, and returns how many outlived
    /// the deadline. Blocks for about a millisecond; longer only for processes that the kernel holds.
    pub fn kill_all(&self, which: Which, deadline: Moment) -> usize {
        kill_to_fixpoint(|| self.members(which), |pid| self.has(pid, which), deadline)
    }

    /// The slot whose mark a process carries, or without marks, in whose terminal session it is. A process
    /// that changed its soft limit tells nothing but that it is one of ours: its parents tell the rest.
    pub fn slot_of(&self, pid: u32) -> Option<u64> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw)?;
        if let Some(fingerprint) = self.0.fingerprint {
            let slot = |pid| {
                let (soft, hard) = limits_of(pid)?;
                let slot = soft.abs_diff(fingerprint.base).checked_sub(1)?;
                (hard == fingerprint.hard && slot < SLOTS).then_some(slot)
            };
            return slot(pid).or_else(|| procfs::ancestors(pid).find_map(slot));
        }
        let session = procfs::stat(pid)?.session;
        let slots = lock(&self.0.slots);
        let is_in = |shells: &Vec<Pid>| shells.iter().any(|shell| shell.as_raw_pid() == session);
        slots.iter().find(|(_, shells)| is_in(shells)).map(|(slot, _)| *slot)
    }

    pub(super) fn fingerprint(&self) -> Option<Fingerprint> {
        self.0.fingerprint
    }

    /// Runs `start`, which starts a process, while this one has the limits that children of `which` are
    /// to inherit.
    pub(super) fn branding(&self, which: Which, start: impl FnOnce() -> io::Result<Pid>) -> io::Result<Pid> {
        let mut started = lock(&self.0.started);
        if let Some(fingerprint) = self.0.fingerprint {
            set_limit(fingerprint, which)?;
        }
        let pid = start();
        started.extend(pid.as_ref().ok());
        if let Some(fingerprint) = self.0.fingerprint {
            set_limit(fingerprint, Which::All)?;
        }
        pid
    }

    /// The fallback: the shells, what descends from them, and what is left in their sessions. It cannot
    /// tell what a confined command left there from what the session had before: that stays.
    fn walk(&self, which: Which) -> Vec<Pid> {
        let shells: Vec<Pid> = lock(&self.0.slots)
            .iter()
            .filter(|(number, _)| which == Which::All || which == Which::Slot(**number))
            .flat_map(|(_, shells)| shells.iter().copied())
            .collect();
        let mut found = procfs::descendants(&shells);
        let sessions: Vec<i32> = shells.iter().map(|shell| shell.as_raw_pid()).collect();
        let in_session = |pid: &Pid| {
            procfs::stat(*pid).is_some_and(|stat| stat.is_alive() && sessions.contains(&stat.session))
        };
        for pid in procfs::pids().into_iter().filter(in_session) {
            if !found.contains(&pid) {
                found.push(pid);
            }
        }
        found
    }
}

fn set_limit(fingerprint: Fingerprint, which: Which) -> io::Result<()> {
    Ok(setrlimit(Resource::Msgqueue, fingerprint.limit(which))?)
}

/// One session's share of the brand, free again when dropped: kill its members before that.
#[derive(Debug)]
pub struct Slot {
    brand: Brand,
    number: u64,
}

impl Slot {
    /// Stands for the session while the slot is taken.
    pub fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn brand(&self) -> &Brand {
        &self.brand
    }

    /// What was started in this slot.
    pub(super) fn shells(&self) -> Vec<Pid> {
        lock(&self.brand.0.slots).get(&self.number).cloned().unwrap_or_default()
    }

    /// What [`Brand::members`] and [`Brand::kill_all`] take.
    pub fn which(&self) -> Which {
        Which::Slot(self.number)
    }

    /// The living processes that descend from this session.
    pub fn members(&self) -> Vec<Pid> {
        self.brand.members(self.which())
    }

    /// See [`Brand::kill_all`].
    pub fn kill_all(&self, deadline: Moment) -> usize {
        self.brand.kill_all(self.which(), deadline)
    }

    /// Runs `start`, which starts a shell, so that the shell carries the mark of this slot.
    pub(super) fn branding(&self, start: impl FnOnce() -> io::Result<Pid>) -> io::Result<Pid> {
        let shell = self.brand.branding(self.which(), start)?;
        if let Some(shells) = lock(&self.brand.0.slots).get_mut(&self.number) {
            shells.push(shell);
        }
        Ok(shell)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let shells = lock(&self.brand.0.slots).remove(&self.number).unwrap_or_default();
        let mut started = lock(&self.brand.0.started);
        for shell in shells {
            started.remove(&shell);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::path::Path;

    use super::*;
    use crate::pty::spawn::{Program, Streams, spawn};

    #[test]
    fn a_fingerprint_leaves_room_for_every_slot_and_for_another_server_below() {
        let first = Fingerprint::draw(None).unwrap();
        assert!((HIGHEST / 2..HIGHEST).contains(&first.hard));
        assert!(first.soft(Which::Slot(SLOTS - 1)) < first.hard);
        assert!(first.soft(Which::Confined(SLOTS - 1)) > 0);
        let nested = Fingerprint::draw(Some(first.hard)).unwrap();
        assert!(nested.hard < first.hard);
    }

    #[test]
    fn without_room_there_is_no_fingerprint() {
        assert_eq!(Fingerprint::draw(Some(0)), None);
        assert_eq!(Fingerprint::draw(Some(4 * SLOTS)), None);
    }

    #[test]
    fn without_a_fingerprint_parents_and_sessions_are_walked() {
        let inner = Inner { fingerprint: None, slots: Mutex::default(), started: Mutex::default() };
        let slot = Brand(Arc::new(inner)).slot().unwrap();
        let (ours, theirs) = std::io::pipe().unwrap();
        // One child stays in the session, the other keeps its parent; `read` ends with the pipe.
        let script = "(sleep 1000 & exit); setsid sleep 1000 & read x";
        let program = Program {
            path: Path::new("/bin/sh"),
            arguments: &["sh".into(), "-c".into(), script.into()],
            environment: &[("PATH".into(), "/usr/bin:/bin".into())],
            directory: Path::new("/"),
        };
        slot.branding(|| spawn(&program, Streams::Pipe(ours.as_fd()))).unwrap();
        let deadline = clock::now().moment.after(Duration::from_secs(30));
        while slot.members().len() < 3 {
            assert!(clock::now().moment < deadline, "{:?}", slot.members());
        }
        assert_eq!(slot.kill_all(deadline), 0);
        drop(theirs);
    }

    #[test]
    fn the_brand_is_claimed_once_and_slots_are_reused() {
        let brand = Brand::claim().unwrap();
        let again = Brand::claim().unwrap();
        assert_eq!(brand.fingerprint(), again.fingerprint());
        assert!(!brand.members(Which::All).contains(&getpid()));
        let slot = brand.slot().unwrap();
        let number = slot.number;
        assert!(lock(&brand.0.slots).contains_key(&number));
        assert!(slot.members().is_empty());
    }
}
