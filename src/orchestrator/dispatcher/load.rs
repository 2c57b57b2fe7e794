//! How busy the machine is, for as long as a run depends on it; and runs and messages as they come from the store.

use super::Dispatcher;
use super::reading::Members;
use crate::clock::Moment;
use crate::engine::{Load, RestoredBus, RestoredRun};
use crate::id::SessionId;
use crate::limits;
use crate::sample::{self, CpuMeter, Machine};
use crate::store::{StoredBus, StoredRun};

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
            self.machine = Machine::new().map(|machine| (machine, CpuMeter::default()));
        }
        let members = self.members(&self.with_shells());
        let Some((machine, meter)) = &mut self.machine else { return };
        let (cpu, memory) = machine.usage();
        let sessions = members.into_iter().map(|of| (of.session.clone(), load(&of, meter, now))).collect();
        self.engine.load(Load { cpu, memory, sessions });
    }

    fn with_shells(&self) -> Vec<SessionId> {
        self.engine.sessions().filter(|session| session.status.is_live()).map(|s| s.id.clone()).collect()
    }
}

/// How busy a session is: percent of a processor since the last look, and a point for each 10 MB.
fn load(members: &Members, meter: &mut CpuMeter, now: Moment) -> f64 {
    let tree = sample::tree(&members.pids);
    #[expect(clippy::cast_precision_loss, reason = "to compare by")]
    let memory = tree.memory_bytes as f64 / 1e7;
    meter.percent(members.slot, tree.cpu_ms, now, members.since) + memory
}

/// A run as the engine takes it in.
pub(super) fn unstored(stored: StoredRun) -> RestoredRun {
    RestoredRun { run: stored.run, tasks: stored.tasks, states: stored.states }
}

/// Agents and messages as the engine takes them in.
pub(super) fn unstored_bus(stored: StoredBus) -> RestoredBus {
    RestoredBus { agents: stored.agents, messages: stored.messages }
}
