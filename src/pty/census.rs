//! Looking at, and signalling, all processes of sessions at once.

use std::collections::HashMap;

use rustix::process::kill_process;

use super::brand::{Brand, Slot, Which};
use super::signal::Signal;

impl Brand {
    /// The living processes of every slot in use, found by one scan.
    pub fn census(&self) -> HashMap<u64, Vec<u32>> {
        let mut found: HashMap<u64, Vec<u32>> = HashMap::new();
        for pid in self.members(Which::All) {
            if let Some(slot) = self.slot_of(pid) {
                found.entry(slot).or_default().push(pid.as_raw_pid().unsigned_abs());
            }
        }
        found
    }

    /// Sends a signal to every process meant, once. Those that cannot be reached are passed over.
    pub fn signal(&self, which: Which, signal: Signal) {
        let Some(signal) = signal.to_kernel() else { return };
        for pid in self.members(which) {
            let _ = kill_process(pid, signal);
        }
    }
}

impl Slot {
    /// See [`Brand::signal`].
    pub fn signal(&self, signal: Signal) {
        self.brand().signal(self.which(), signal);
    }

    /// The process ids of [`Slot::members`].
    pub fn pids(&self) -> Vec<u32> {
        self.members().into_iter().map(|pid| pid.as_raw_pid().unsigned_abs()).collect()
    }
}
