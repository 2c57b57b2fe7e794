//! Signalling many processes of sessions at once.

use std::collections::HashMap;

use rustix::process::{Pid, PidfdFlags, kill_process, pidfd_open, pidfd_send_signal};

use super::brand::{Brand, Slot, Which};
use super::procfs;
use super::signal::Signal;

impl Brand {
    /// Sends a signal to every process meant, once. Those that cannot be reached are passed over.
    pub fn signal(&self, which: Which, signal: Signal) {
        let Some(signal) = signal.to_kernel() else { return };
        for pid in self.members(which) {
            let _ = kill_process(pid, signal);
        }
    }
}

/// Processes that were sent signals, by what each ran then.
#[derive(Debug, Default)]
pub struct Asked(HashMap<u32, Option<String>>);

impl Slot {
    /// Sends signals to those of these processes that were not asked yet: what was forked meanwhile, and what
    /// has become another program since. A shell's child that has yet to become its program may shrug off
    /// what the shell does.
    pub fn signal_newcomers(&self, pids: &[u32], asked: &mut Asked, signals: &[Signal]) {
        for pid in pids {
            let program = i32::try_from(*pid).ok().and_then(Pid::from_raw).and_then(procfs::name);
            if asked.0.get(pid) != Some(&program) {
                asked.0.insert(*pid, program);
                self.signal_member(*pid, signals);
            }
        }
    }

    /// Sends signals to a process that a census found, unless it has gone meanwhile and its id is
    /// another's. It is held while it is looked at, so that none of them can go astray.
    pub fn signal_member(&self, pid: u32, signals: &[Signal]) {
        let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
        let Ok(held) = pidfd_open(pid, PidfdFlags::empty()) else { return };
        if !self.brand().has(pid, self.which()) {
            return;
        }
        for signal in signals.iter().filter_map(|signal| signal.to_kernel()) {
            // It may end between two of them.
            let _ = pidfd_send_signal(&held, signal);
        }
    }

    /// Whether this process belongs to the session.
    pub(super) fn has(&self, pid: u32) -> bool {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        pid.is_some_and(|pid| self.brand().has(pid, self.which()))
    }

    /// The process ids of [`Slot::members`].
    pub fn pids(&self) -> Vec<u32> {
        self.members().into_iter().map(|pid| pid.as_raw_pid().unsigned_abs()).collect()
    }
}
