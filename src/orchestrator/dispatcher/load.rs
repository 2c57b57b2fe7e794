//! How busy the machine is, for as long as a run depends on it; and runs as they come from the store.

use std::collections::HashMap;

use super::Dispatcher;
use crate::clock::Moment;
use crate::engine::{Load, RestoredRun};
use crate::id::SessionId;
use crate::limits;
use crate::sample::{self, Machine};
use crate::store::StoredRun;

impl Dispatcher {
    /// Looks at the machine when it is time to, and stops looking when nobody wants to know.
    pub(super) fn look_at_load_if_due(&mut self, now: Moment) {
        if !self.engine.wants_load() {
            self.load_at = None;
            self.machine = None;
            return;
        }
        if self.load_at.is_some_and(|at| now < at) {
            return;
        }
        self.load_at = Some(now.after(limits::LOAD_EVERY));
        if self.machine.is_none() {
            self.machine = Machine::new();
        }
        let (cpu, memory) = self.machine.as_mut().map_or((0.0, 0.0), Machine::usage);
        let sessions = self.session_loads();
        self.engine.load(Load { cpu, memory, sessions });
    }

    /// Of each session with a shell: the resident memory of its tree, in percent of a gigabyte.
    fn session_loads(&self) -> HashMap<SessionId, f64> {
        let live: Vec<SessionId> =
            self.engine.sessions().filter(|session| session.status.is_live()).map(|s| s.id.clone()).collect();
        let of_members = self.members(&live).into_iter().map(|members| {
            let tree = sample::tree(&members.pids);
            #[expect(clippy::cast_precision_loss, reason = "to compare by")]
            let load = tree.cpu_ms as f64 / 10.0 + tree.memory_bytes as f64 / 1e7;
            (members.session, load)
        });
        of_members.collect()
    }
}

/// A run as the engine takes it in.
pub(super) fn unstored(stored: StoredRun) -> RestoredRun {
    RestoredRun { run: stored.run, tasks: stored.tasks, states: stored.states }
}
