//! How busy the machine is, for as long as a run depends on it; and runs and messages as they come from the store.

use serde_json::Value;
use tracing::warn;
use uuid::Uuid;

use super::Dispatcher;
use crate::clock::Moment;
use crate::engine::request::NewPool;
use crate::engine::{Load, RestoredBus, RestoredRun};
use crate::id::SessionId;
use crate::limits;
use crate::orchestrator::census::Subject;
use crate::sample::{CpuMeter, Machine, TreeUsage};
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
        let subjects = self.subjects(&self.with_shells());
        let Some((machine, meter)) = &mut self.machine else { return };
        let (cpu, memory) = machine.usage();
        let trees = self.host.as_ref().map(|host| host.census().trees_now()).unwrap_or_default();
        let load = |of: &Subject| {
            let usage = trees.get(&of.slot).map(|tree| tree.usage).unwrap_or_default();
            load(of, usage, meter, now)
        };
        let sessions = subjects.iter().map(load).collect();
        self.engine.load(Load { cpu, memory, sessions });
    }

    pub(super) fn with_shells(&self) -> Vec<SessionId> {
        self.engine.sessions().filter(|session| session.status.is_live()).map(|s| s.id.clone()).collect()
    }
}

/// How busy a session is: percent of a processor since the last look, and a point for each 10 MB.
fn load(of: &Subject, usage: TreeUsage, meter: &mut CpuMeter, now: Moment) -> (SessionId, f64) {
    #[expect(clippy::cast_precision_loss, reason = "to compare by")]
    let memory = usage.memory_bytes as f64 / 1e7;
    let cpu = meter.percent(of.slot, usage.cpu_ms, now, of.since);
    meter.look(of.slot, usage.cpu_ms, now, of.since);
    (of.session.clone(), cpu + memory)
}

/// A run as the engine takes it in.
pub(super) fn unstored(stored: StoredRun) -> RestoredRun {
    RestoredRun { run: stored.run, tasks: stored.tasks, states: stored.states }
}

/// Pools as the engine takes them in: those that can still be read.
pub(super) fn unstored_pools(stored: Vec<Value>) -> Vec<NewPool> {
    let read = stored.into_iter().map(serde_json::from_value::<NewPool>);
    let pools = read.filter_map(|pool| {
        pool.inspect_err(|error| warn!(%error, "a pool of an earlier server is not made again")).ok()
    });
    pools.map(|pool| NewPool { uuid: Uuid::new_v4(), ..pool }).collect()
}

/// Agents and messages as the engine takes them in.
pub(super) fn unstored_bus(stored: StoredBus) -> RestoredBus {
    RestoredBus { agents: stored.agents, messages: stored.messages }
}
