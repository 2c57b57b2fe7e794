//! Looks at the health of everything: when a caller asks, and from time to time while sessions live.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tracing::warn;

use super::{Dispatcher, Input};
use crate::clock::{Moment, Now};
use crate::engine::health::{self, Finding, MachineSight, RunningSight, SessionSight, Snapshot, StoreSight};
use crate::engine::{Step, WorkerEvent, WorkerEventKind};
use crate::error::Result;
use crate::id::{CommandId, SessionId};
use crate::model::{Session, Status};
use crate::orchestrator::census::Trees;
use crate::orchestrator::health::{HealthReport, Load};
use crate::pty;
use crate::sample::{self, CpuMeter, Pulse, TreeUsage};

/// The server itself among the trees whose CPU is metered; slots are small numbers.
const SERVER: u64 = u64::MAX;
/// A tree that uses less of a processor than one part in so many does nothing: shells that poll do so much.
const IDLE_PART: u128 = 1_000;
/// The clock tick of the kernel's CPU times, in milliseconds: less is noise.
const TICK_MS: u128 = 10;

/// What is kept between two looks.
#[derive(Debug, Default)]
pub(super) struct HealthWatch {
    /// When the next one is due.
    pub(super) at: Option<Moment>,
    pulse: Option<Pulse>,
    meter: CpuMeter,
    silences: HashMap<SessionId, Silence>,
    findings: Vec<Finding>,
    /// Processes that the look before found to be of no session.
    strays: HashSet<u32>,
    /// The last look at the processes, which may still go on.
    look: Option<JoinHandle<()>>,
}

/// Since when a command has used no CPU.
#[derive(Debug)]
struct Silence {
    command: CommandId,
    cpu_ms: u64,
    looked_at: Moment,
    since: Moment,
}

impl HealthWatch {
    /// The server starts: what is asked for first has a time that it can tell of.
    pub(super) fn begin(now: Moment) -> Self {
        Self { pulse: Pulse::new(now), ..Self::default() }
    }
}

impl Silence {
    fn look(&mut self, cpu_ms: u64, now: Moment) {
        let elapsed = now.0.saturating_sub(self.looked_at.0).as_millis();
        let used = u128::from(cpu_ms.abs_diff(self.cpu_ms));
        if used > TICK_MS + elapsed / IDLE_PART {
            self.since = now;
        }
        if used > TICK_MS || elapsed > 1_000 {
            (self.cpu_ms, self.looked_at) = (cpu_ms, now);
        }
    }
}

impl Dispatcher {
    /// A session starts: from now on its health is looked at.
    pub(super) fn watch_health(&mut self, now: Moment) {
        let due = now.after(self.health_interval());
        self.health.at = Some(self.health.at.map_or(due, |at| at.min(due)));
    }

    fn health_interval(&self) -> Duration {
        let monitors = self.engine.sessions().filter(|session| session.status.is_live());
        let asked = monitors.filter_map(|session| session.monitor?.interval_ms).map(Duration::from_millis);
        asked.chain([self.settings.health_interval]).min().unwrap_or(self.settings.health_interval)
    }

    /// Has the processes looked at beside the runtime for the background look. While that takes longer than
    /// the pause the next looks are left out.
    pub(super) fn look_at_health_if_due(&mut self, now: Now) {
        if self.health.at.is_none_or(|at| now.moment < at) || self.stopping.is_cancelled() {
            return;
        }
        self.health.at = Some(now.moment.after(self.health_interval()));
        if self.health.look.as_ref().is_some_and(|look| !look.is_finished()) {
            return;
        }
        let Some(census) = self.host.as_ref().map(|host| Arc::clone(host.census())) else { return };
        let inputs = self.events.clone();
        self.health.look = Some(self.workers.spawn(async move {
            let trees = census.trees().await;
            // Nobody listens only when everything ends.
            let _ = inputs.send(Input::Trees(trees)).await;
        }));
    }

    /// The background look.
    pub(super) fn look_at_health(&mut self, now: Now, trees: &Trees, step: &mut Step) {
        let is_wanted = |session: &Session| {
            session.status.is_live() || (session.status == Status::Error && session.monitor.is_some())
        };
        let goes_on = self.engine.sessions().any(is_wanted);
        self.health.at = goes_on.then(|| now.moment.after(self.health_interval()));
        let snapshot = self.snapshot(now, trees);
        let found = health::examine(&snapshot, self.settings.stale_after);
        let same = |a: &Finding, b: &Finding| (&a.session, a.kind) == (&b.session, b.kind);
        let before = std::mem::replace(&mut self.health.findings, found.clone());
        let (still, new): (Vec<_>, Vec<_>) =
            found.iter().cloned().partition(|one| before.iter().any(|old| same(old, one)));
        let gone: Vec<_> = before.into_iter().filter(|old| !found.iter().any(|one| same(old, one))).collect();
        for finding in new.iter().filter(|finding| finding.session.is_none()) {
            warn!(component = finding.component.as_str(), "{}", finding.message);
        }
        self.engine.health_seen(now, [&new, &still, &gone], step);
        self.end_strays(trees);
    }

    /// How things stand, and what is wrong: of one session, or of all.
    pub(super) fn health(&mut self, now: Now, selector: Option<&str>, trees: &Trees) -> Result<HealthReport> {
        let only = selector.map(|selector| self.engine.resolve(selector)).transpose();
        let only = only.map_err(|error| self.told_error(error))?;
        let mut snapshot = self.snapshot(now, trees);
        if let Some(only) = &only {
            snapshot.sessions.retain(|sight| sight.session == *only);
        }
        let findings = health::examine(&snapshot, self.settings.stale_after);
        let told = |finding: Finding| match &finding.session {
            Some(id) => {
                let mut finding = finding.clone();
                self.secrets(id).blot(&mut finding.message);
                finding
            }
            None => finding,
        };
        let findings: Vec<Finding> = findings.into_iter().map(told).collect();
        let sessions: Vec<&Session> = self
            .engine
            .sessions()
            .filter(|session| only.as_ref().is_none_or(|only| session.id == *only))
            .collect();
        let (ended, failed) = sessions
            .iter()
            .fold((0, 0), |(a, b), session| (a + session.commands_executed, b + session.commands_failed));
        let last_activity = sessions.iter().map(|session| self.current(session).last_activity).max();
        let live = sessions.iter().filter(|session| session.status.is_live()).count();
        let since = only.as_ref().and_then(|id| self.engine.session(id)).map(|session| session.created_at);
        let queue = match &only {
            Some(id) => self.engine.queued(id),
            None => snapshot.waiting_inputs.0,
        };
        let of = only.as_ref().and_then(|id| self.subjects(std::slice::from_ref(id)).pop());
        let (key, tree, started) = match (&only, &of) {
            (None, _) => (SERVER, sample::tree(&[std::process::id()]), Moment(Duration::ZERO)),
            (Some(_), Some(of)) => (of.slot, usage_of(trees, of.slot), of.since),
            (Some(_), None) => (SERVER - 1, TreeUsage::default(), now.moment),
        };
        let cpu = self.health.meter.percent(key, tree.cpu_ms, now.moment, started);
        self.health.meter.look(key, tree.cpu_ms, now.moment, started);
        let load = Load {
            uptime: since.map_or(now.moment.0, |since| now.wall.since(since)),
            memory_bytes: tree.memory_bytes,
            cpu,
            last_activity,
            queue,
            commands: (ended, failed),
        };
        Ok(HealthReport { findings, snapshot, live, load })
    }

    fn snapshot(&mut self, now: Now, trees: &Trees) -> Snapshot {
        let machine = self.health.pulse.as_mut().map(|pulse| pulse.look(now.moment));
        let known: Vec<SessionId> = self
            .engine
            .sessions()
            .filter(|session| !session.status.is_final())
            // Another one has taken its place.
            .filter(|session| !(session.status == Status::Error && session.is_pooled()))
            .map(|s| s.id.clone())
            .collect();
        let busy: Vec<SessionId> =
            known.iter().filter(|id| self.engine.running(id).is_some()).cloned().collect();
        let cpu: HashMap<SessionId, u64> = self
            .subjects(&busy)
            .into_iter()
            .map(|of| (of.session, usage_of(trees, of.slot).cpu_ms))
            .collect();
        self.health.silences.retain(|id, _| cpu.contains_key(id));
        let sessions =
            known.iter().filter_map(|id| self.session_sight(id, cpu.get(id).copied(), now)).collect();
        let capacity = self.events.max_capacity();
        Snapshot {
            sessions,
            tasks: self.engine.open_tasks(),
            busiest_run: self.engine.busiest_run(),
            machine: machine.map(|(busy, memory)| MachineSight {
                cpu: busy.map(|busy| busy.percent),
                cpu_span: busy.map_or(Duration::ZERO, |busy| busy.span),
                memory,
            }),
            store: self.store_sight(),
            waiting_inputs: (capacity - self.events.capacity(), capacity),
        }
    }

    fn session_sight(&mut self, id: &SessionId, cpu_ms: Option<u64>, now: Now) -> Option<SessionSight> {
        let session = self.engine.session(id)?;
        let running = self.engine.running(id).zip(cpu_ms).map(|(command, cpu_ms)| {
            let fresh =
                || Silence { command: command.id.clone(), cpu_ms, looked_at: now.moment, since: now.moment };
            let silence = self.health.silences.entry(id.clone()).or_insert_with(fresh);
            if silence.command != command.id {
                *silence = fresh();
            }
            silence.look(cpu_ms, now.moment);
            let without_cpu = now.moment.0.saturating_sub(silence.since.0);
            let last = self.live.get(id).and_then(|live| live.output.last_output());
            let without_output = last.map_or(without_cpu, |last| now.wall.since(last));
            RunningSight {
                command: command.id.clone(),
                silent_for: without_cpu.min(without_output),
                awaits_input: command.awaiting_input.is_some(),
            }
        });
        Some(SessionSight {
            session: id.clone(),
            status: session.status,
            end_reason: session.end_reason.clone(),
            stopped: session.stopped,
            cpu_time_spent: session.cpu_time_spent,
            running,
            queued: self.engine.queued(id),
            commands: (session.commands_executed, session.commands_failed),
        })
    }

    fn store_sight(&mut self) -> StoreSight {
        let (bytes, error) = match self.store.probe() {
            Ok(bytes) => (bytes, None),
            Err(error) => (0, Some(error.message)),
        };
        let space = sample::space(&self.settings.state_dir).map(|space| (space.free, space.total));
        StoreSight { error, bytes, unwritten: self.unwritten.len(), space }
    }

    /// Ends what carries the mark of a session that is gone. A session that is just being started or ended
    /// is taken for gone by one look, not by two.
    fn end_strays(&mut self, trees: &Trees) {
        let Some(host) = &self.host else { return };
        let live: HashSet<u64> = self
            .live
            .values()
            .filter_map(|live| live.worker.as_ref())
            .map(|worker| worker.slot.number())
            .collect();
        let mut strays = HashSet::new();
        for (&slot, tree) in trees.iter().filter(|(slot, _)| !live.contains(slot)) {
            for &pid in &tree.pids {
                if self.health.strays.contains(&pid) {
                    warn!(pid, "a process outlived its session and is killed");
                    host.brand().kill_one(slot, pid);
                }
                strays.insert(pid);
            }
        }
        self.health.strays = strays;
    }

    /// A child of the server changed: reaps what has no other parent, and sees which shells a signal stopped.
    pub(super) fn look_at_children(&self, batch: &mut Vec<Input>) {
        let Some(host) = &self.host else { return };
        host.brand().reap();
        if !host.brand().has_stop_changes() {
            return;
        }
        for (id, live) in self.live.iter().filter(|(_, live)| live.worker.is_some()) {
            let Some(session) = self.engine.session(id) else { continue };
            let Some(stopped) = session.pid.and_then(pty::is_stopped) else { continue };
            if stopped != session.stopped {
                let kind = WorkerEventKind::Stopped(stopped);
                let (generation, cursor) = (session.generation, live.output.end());
                batch.push(Input::Worker(WorkerEvent { session: id.clone(), generation, cursor, kind }));
            }
        }
    }
}

/// What the processes of a slot use.
fn usage_of(trees: &Trees, slot: u64) -> TreeUsage {
    trees.get(&slot).map(|tree| tree.usage).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_silent_until_it_uses_more_than_polling_does() {
        let at = |seconds| Moment(Duration::from_secs(seconds));
        let command = CommandId::from_text("cmd_a");
        let mut silence = Silence { command, cpu_ms: 100, looked_at: at(0), since: at(0) };
        silence.look(130, at(30));
        assert_eq!(silence.since, at(0), "a tick, and one part in a thousand");
        silence.look(171, at(60));
        assert_eq!(silence.since, at(60));
        silence.look(171, at(90));
        assert_eq!(silence.since, at(60));
        // The end of a child whose time nobody took along is use as well.
        silence.look(0, at(120));
        assert_eq!(silence.since, at(120));
    }
}
