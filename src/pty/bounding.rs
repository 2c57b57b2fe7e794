//! Bounds that the kernel holds for the processes of a session, and the end of those that pass a bound
//! which it cannot hold.
//!
//! The kernel counts open files for each process, and processes only for each user: a bound on the
//! processes of one session is watched from outside, and ended by [`Slot::kill_others`]; where there are
//! control groups, [they](super::cgroup) hold it as well.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;

use rustix::process::{Pid, Resource, Rlimit, kill_process_group, prlimit, setpriority_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::brand::{Slot, kill_to_fixpoint};
use super::procfs;
use super::signal::Signal;
use super::spawn::group_of;
use crate::clock::{self, Moment};

/// What the kernel holds a process to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Processors that it may run on.
    pub processors: Option<usize>,
    /// Bytes that it may let a file grow to.
    pub file_bytes: Option<u64>,
}

/// What the kernel holds this process to, as it says itself.
pub fn held(pid: u32) -> Held {
    let Some(pid) = pid_of(pid) else { return Held::default() };
    let processors = sched_getaffinity(Some(pid)).ok();
    Held {
        processors: processors.and_then(|processors| usize::try_from(processors.count()).ok()),
        file_bytes: procfs::file_size_limit(pid).and_then(|(soft, _)| soft),
    }
}

/// How much likelier than others what has a bound on its memory is chosen when the machine's own ends.
const OOM_SCORE: &str = "300";
/// Rounds of killing without a pause. Each finds what was forked during the one before.
const ROUNDS: usize = 64;

/// A bound on open files that holds for a command, and is to be lifted after it.
#[derive(Clone, Copy, Debug)]
pub struct FileBound {
    set: u64,
    before: Option<u64>,
}

fn raw(pid: Pid) -> u32 {
    pid.as_raw_pid().unsigned_abs()
}

fn pid_of(raw: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(raw).ok()?)
}

impl Slot {
    /// The process ids of what was started in this slot.
    pub fn shell_pids(&self) -> Vec<u32> {
        self.shells().into_iter().map(raw).collect()
    }

    /// Lets no process of the session have more files open than this, for good.
    pub fn bound_open_files(&self, most: u32) -> io::Result<()> {
        let most = u64::from(most);
        self.members().into_iter().try_for_each(|pid| {
            let hard =
                procfs::open_files_limit(pid).and_then(|(_, hard)| hard).map_or(most, |it| it.min(most));
            prlimit(Some(pid), Resource::Nofile, Rlimit { current: Some(hard), maximum: Some(hard) })?;
            Ok(())
        })
    }

    /// The same for what the shell starts from now on, until [`Slot::lift_open_files`]. The shell has the
    /// bound as well, and a process may lift its own as far as its session lets it.
    pub fn bound_open_files_for_now(&self, most: u32) -> Option<FileBound> {
        let most = u64::from(most);
        let shell = self.shells().pop()?;
        let (before, hard) = procfs::open_files_limit(shell)?;
        let set = before.map_or(most, |it| it.min(most));
        prlimit(Some(shell), Resource::Nofile, Rlimit { current: Some(set), maximum: hard }).ok()?;
        Some(FileBound { set, before })
    }

    /// Undoes that, unless the command set a bound of its own.
    pub fn lift_open_files(&self, bound: FileBound) {
        let Some(shell) = self.shells().pop() else { return };
        if let Some((soft, hard)) = procfs::open_files_limit(shell)
            && soft == Some(bound.set)
        {
            // It was so before, so that it can be again.
            let _ = prlimit(Some(shell), Resource::Nofile, Rlimit { current: bound.before, maximum: hard });
        }
    }

    /// Lets the session's processes run on so many of the server's processors, for good, or until one of them
    /// chooses others for itself, which the kernel allows.
    pub fn bound_processors(&self, most: u32) -> io::Result<()> {
        let ours = sched_getaffinity(None)?;
        let ours: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|processor| ours.is_set(*processor)).collect();
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        if most >= ours.len() {
            return Ok(());
        }
        // Sessions side by side get different ones.
        let turn = usize::try_from(self.number()).unwrap_or(0).wrapping_mul(most);
        let mut chosen = CpuSet::new();
        (0..most).for_each(|offset| chosen.set(ours[turn.wrapping_add(offset) % ours.len()]));
        self.members().into_iter().try_for_each(|pid| Ok(sched_setaffinity(Some(pid), &chosen)?))
    }

    /// Lets no file grow beyond this by a process of the session, for good: who tries gets SIGXFSZ.
    pub fn bound_file_size(&self, most: u64) -> io::Result<()> {
        self.members().into_iter().try_for_each(|pid| {
            let hard =
                procfs::file_size_limit(pid).and_then(|(_, hard)| hard).map_or(most, |it| it.min(most));
            prlimit(Some(pid), Resource::Fsize, Rlimit { current: Some(hard), maximum: Some(hard) })?;
            Ok(())
        })
    }

    /// Lets the session's processes run with this nice value.
    pub fn set_niceness(&self, niceness: i32) -> io::Result<()> {
        self.members().into_iter().try_for_each(|pid| Ok(setpriority_process(Some(pid), niceness)?))
    }

    /// When the machine's memory ends, this session's processes end before those of others.
    pub fn offer_to_oom_killer(&self) -> io::Result<()> {
        self.members()
            .into_iter()
            .try_for_each(|pid| fs::write(format!("/proc/{pid}/oom_score_adj"), OOM_SCORE))
    }

    /// SIGTERM to everything in the session but its shell, `spared`, and the terminal's foreground, which
    /// hears of it by a signal of its own.
    pub fn terminate_others(&self, spared: &HashSet<u32>, foreground: Option<u32>) {
        let foreground = foreground.and_then(pid_of);
        let is_left_out = |group| Some(group) == foreground;
        self.signal_others(spared, &[Signal::TERM, Signal::CONT], is_left_out);
    }

    /// Kills everything in the session but its shell and `spared`, until nothing is left or the deadline
    /// passes; returns how many outlived it.
    pub fn kill_others(&self, spared: &HashSet<u32>, deadline: Moment) -> usize {
        for _ in 0..ROUNDS {
            let found = self.signal_others(spared, &[Signal::KILL], |_| false);
            if found == 0 || clock::now().moment >= deadline {
                break;
            }
        }
        let is_other = |pid: Pid| self.brand().has(pid, self.which()) && !self.is_spared(pid, spared);
        kill_to_fixpoint(|| self.others(spared), is_other, deadline)
    }

    fn is_spared(&self, pid: Pid, spared: &HashSet<u32>) -> bool {
        spared.contains(&raw(pid)) || self.shells().contains(&pid)
    }

    fn others(&self, spared: &HashSet<u32>) -> Vec<Pid> {
        let mut others = self.members();
        others.retain(|pid| !self.is_spared(*pid, spared));
        others
    }

    /// Signals all of these, whole process groups at once where nobody else is in one: the kernel lets
    /// nobody fork away from a signal to its group, and a fork bomb hardly ever leaves its own. Groups that
    /// `is_left_out` holds for are passed over. Returns how many processes there were.
    fn signal_others(
        &self,
        spared: &HashSet<u32>,
        signals: &[Signal],
        is_left_out: impl Fn(Pid) -> bool,
    ) -> usize {
        let mut groups: HashMap<Pid, Vec<Pid>> = HashMap::new();
        for pid in self.members() {
            if let Some(group) = group_of(pid) {
                groups.entry(group).or_default().push(pid);
            }
        }
        let mut count = 0;
        for (group, mut found) in groups.into_iter().filter(|(group, _)| !is_left_out(*group)) {
            let is_whole = !found.iter().any(|pid| self.is_spared(*pid, spared));
            found.retain(|pid| is_whole || !self.is_spared(*pid, spared));
            count += found.len();
            // One of them is known to be in it right now: the id is no other group's.
            let is_there = |pid: &Pid| self.brand().has(*pid, self.which()) && group_of(*pid) == Some(group);
            if is_whole && found.iter().any(is_there) {
                for signal in signals.iter().filter_map(|signal| signal.to_kernel()) {
                    // Nobody may be left by now.
                    let _ = kill_process_group(group, signal);
                }
            } else {
                for pid in found {
                    self.signal_member(raw(pid), signals);
                }
            }
        }
        count
    }
}
