//! The kernel's part in the limits of a session, where it plays one: edges a little behind them, in a
//! group of the session's own. They hold what is faster than looking; and the group knows the CPU time
//! of processes that were gone before anybody looked.
//!
//! A command with limits of its own has edges of its own while nothing else runs in the session. Beside
//! what ran before, the kernel could not tell which of them to end, and its limits are only watched.

use std::io;
use std::sync::Arc;

use tracing::warn;

use super::Running;
use crate::engine::{Exit, WorkerEventKind};
use crate::id::CommandId;
use crate::limits;
use crate::model::{Breach, Limit, Offender, ResourceLimits};
use crate::pty::Slot;
use crate::pty::cgroup::{Acts, Edges, Group, Groups, memory_edge, tasks_edge};
use crate::sample;

/// The signal by which the kernel ends what takes too much memory.
const KILL: i32 = 9;

/// An edge, and what it means to reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Edge {
    at: u64,
    breach: Breach,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Both {
    memory: Option<Edge>,
    tasks: Option<Edge>,
}

impl Both {
    /// The edges behind these limits, in a group that has so many bytes already. What a command may use
    /// comes on top of them; they themselves never make the kernel kill.
    fn behind(limits: &ResourceLimits, by: Offender, held_bytes: u64) -> Self {
        let base = if by == Offender::Command { held_bytes } else { 0 };
        let memory = limits.memory_bytes.map(|allowed| {
            let measured = memory_edge(allowed);
            let least = held_bytes.saturating_add(limits::KERNEL_MEMORY);
            let breach = Breach { limit: Limit::Memory, measured, allowed, by };
            Edge { at: base.saturating_add(measured).max(least), breach }
        });
        let tasks = limits.processes.map(|processes| {
            let at = tasks_edge(processes);
            let breach = Breach { limit: Limit::Tasks, measured: at, allowed: u64::from(processes), by };
            Edge { at, breach }
        });
        Self { memory, tasks }
    }

    fn and(self, other: Self) -> Self {
        let nearer = |a: Option<Edge>, b| a.into_iter().chain(b).min_by_key(|edge: &Edge| edge.at);
        Self { memory: nearer(self.memory, other.memory), tasks: nearer(self.tasks, other.tasks) }
    }

    fn edges(self) -> Edges {
        Edges { memory_bytes: self.memory.map(|edge| edge.at), tasks: self.tasks.map(|edge| edge.at) }
    }

    /// What it means that the kernel acted since `before`.
    fn breach(self, before: Acts, now: Acts) -> Option<Breach> {
        // A machine that is out of memory kills as well, and that has nothing to do with an edge of ours.
        let killed = now.killed > before.killed && now.at_memory_edge > before.at_memory_edge;
        let memory = self.memory.filter(|_| killed);
        // Nor have refusals by a group above.
        let got_there = |edge: &Edge| now.most_tasks.is_none_or(|most| most >= edge.at);
        let tasks = self.tasks.filter(|_| now.refused > before.refused).filter(got_there);
        memory.or(tasks).map(|edge| edge.breach)
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Backstop {
    group: Group,
    /// CPU time that was spent before there was a group.
    before_ms: u64,
    session: Both,
    /// What is in force.
    now: Both,
    seen: Acts,
    /// Whether the kernel has refused processes since the look before the last.
    refuses: bool,
    /// Whether it was told that the running command is refused processes: it may try for ever.
    told_refusal: bool,
}

impl Backstop {
    /// Puts all that runs in the session into a group. It blocks.
    fn begin(groups: &Arc<Groups>, slot: &Slot) -> io::Result<Self> {
        let group = groups.create()?;
        let before_ms = sample::tree(&slot.pids()).cpu_ms;
        group.join(slot)?;
        let (session, now) = (Both::default(), Both::default());
        let seen = Acts::default();
        Ok(Self { group, before_ms, session, now, seen, refuses: false, told_refusal: false })
    }

    fn hold_session(&mut self, limits: &ResourceLimits) -> io::Result<()> {
        self.session = Both::behind(limits, Offender::Session, self.group.held_bytes());
        self.now = self.session;
        self.group.hold(self.now.edges())
    }

    fn hold_command(&mut self, limits: &ResourceLimits) -> io::Result<()> {
        self.now = self.session.and(Both::behind(limits, Offender::Command, self.group.held_bytes()));
        self.group.hold(self.now.edges())
    }

    /// Undoes [`Backstop::hold_command`]. It does not block: edges only move away.
    pub(super) fn release_command(&mut self) -> io::Result<()> {
        self.told_refusal = false;
        if self.now == self.session {
            return Ok(());
        }
        self.now = self.session;
        self.group.hold(self.now.edges())
    }

    /// Whether something in the session forks, or wants to, as fast as it can.
    pub(super) fn refuses(&self) -> bool {
        self.refuses
    }

    /// Holds the session still, or lets it go on: a fork bomb takes the processor from whoever is to end it.
    pub(super) fn freeze(&self, still: bool) {
        if let Err(error) = self.group.freeze(still) {
            warn!(%error, still, "a group cannot be held still");
        }
    }

    /// CPU time of the session, with that of what is gone.
    pub(super) fn cpu_ms(&self) -> u64 {
        self.before_ms + self.group.cpu_ms().unwrap_or(0)
    }

    /// What the kernel did for a limit since this was last asked.
    pub(super) fn acted(&mut self) -> Option<Breach> {
        let acts = self.group.acts();
        let before = std::mem::replace(&mut self.seen, acts);
        self.refuses = acts.refused > before.refused;
        let breach = self.now.breach(before, acts)?;
        let is_news = breach.limit != Limit::Tasks || !std::mem::replace(&mut self.told_refusal, true);
        is_news.then_some(breach)
    }
}

/// Whether the kernel has a part in any of these.
fn concerns(limits: &ResourceLimits) -> bool {
    limits.memory_bytes.is_some() || limits.cpu_ms.is_some() || limits.processes.is_some()
}

impl Running {
    /// Has the kernel hold what the session may use.
    pub(super) async fn back_session(&mut self, limits: ResourceLimits) {
        if concerns(&limits) || self.limits.backstop.is_some() {
            self.back(move |backstop| backstop.hold_session(&limits)).await;
        }
    }

    /// Has the kernel hold what a command may use that runs alone, and count the CPU time of any.
    pub(super) async fn back_command(&mut self, limits: ResourceLimits, is_alone: bool) {
        if concerns(&limits) {
            let hold = move |backstop: &mut Backstop| {
                if is_alone { backstop.hold_command(&limits) } else { Ok(()) }
            };
            self.back(hold).await;
        }
    }

    async fn back(&mut self, hold: impl FnOnce(&mut Backstop) -> io::Result<()> + Send + 'static) {
        let Some(groups) = self.wiring.host.groups().cloned() else { return };
        let slot = Arc::clone(&self.wiring.slot);
        let backstop = self.limits.backstop.take();
        let held = tokio::task::spawn_blocking(move || {
            let mut backstop = backstop.map_or_else(|| Backstop::begin(&groups, &slot), Ok)?;
            let held = hold(&mut backstop);
            Ok((backstop, held))
        });
        let failed = match held.await {
            Ok(Ok((backstop, held))) => {
                self.limits.backstop = Some(backstop);
                held.err()
            }
            Ok(Err(error)) => Some(error),
            Err(panic) => Some(panic.into()),
        };
        if let Some(error) = failed {
            warn!(session = %self.wiring.session, %error, "limits are held by looking only");
        }
    }

    /// A command is ending: what the kernel did to it is its reason, however it ended.
    pub(super) async fn tell_acts(&mut self, command: &CommandId) {
        if let Some(breach) = self.limits.backstop.as_mut().and_then(Backstop::acted) {
            self.report(WorkerEventKind::LimitPassed { command: Some(command.clone()), breach }).await;
        }
    }

    /// The shell is gone: the kernel may have chosen it to end.
    pub(super) async fn tell_end_of_shell(&mut self, exit: Exit) {
        let acted = self.limits.backstop.as_mut().and_then(Backstop::acted);
        if let Some(breach) = acted.filter(|breach| exit == Exit::Signal(KILL) && breach.is_passed()) {
            let command = self.current.as_ref().map(|current| current.command.clone());
            self.report(WorkerEventKind::LimitPassed { command, breach }).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEGABYTE: u64 = 1 << 20;

    fn limits(megabytes: Option<u64>, processes: Option<u32>) -> ResourceLimits {
        let memory_bytes = megabytes.map(|megabytes| megabytes * MEGABYTE);
        ResourceLimits { memory_bytes, processes, ..ResourceLimits::default() }
    }

    #[test]
    fn the_nearer_edge_is_in_force_and_knows_whose_it_is() {
        let held = 20 * MEGABYTE;
        let session = Both::behind(&limits(Some(800), Some(10)), Offender::Session, held);
        let command = Both::behind(&limits(Some(80), Some(100)), Offender::Command, held);
        let both = session.and(command);
        assert_eq!(both.edges().memory_bytes, Some(held + memory_edge(80 * MEGABYTE)));
        assert_eq!(both.edges().tasks, Some(tasks_edge(10)));
        let breach = both.memory.unwrap().breach;
        assert_eq!((breach.by, breach.allowed), (Offender::Command, 80 * MEGABYTE));
        assert!(breach.is_passed());
        assert_eq!(both.tasks.unwrap().breach.by, Offender::Session);
        assert_eq!(session.and(Both::default()), session);
        assert_eq!(Both::default().edges(), Edges::default());
    }

    #[test]
    fn what_is_there_already_is_not_killed_by_a_new_edge() {
        let session = Both::behind(&limits(Some(1), None), Offender::Session, 500 * MEGABYTE);
        assert!(session.edges().memory_bytes > Some(500 * MEGABYTE));
    }

    #[test]
    fn only_what_the_kernel_did_at_our_edges_counts() {
        let both = Both::behind(&limits(Some(80), Some(1)), Offender::Session, 0);
        let none = Acts::default();
        let limit = |acts| both.breach(none, acts).map(|breach| breach.limit);
        assert_eq!(limit(Acts { killed: 1, at_memory_edge: 1, ..none }), Some(Limit::Memory));
        assert_eq!(limit(Acts { killed: 1, ..none }), None, "the machine was out of memory");
        assert_eq!(limit(Acts { at_memory_edge: 1, ..none }), None, "nothing was killed");
        assert_eq!(limit(Acts { refused: 1, ..none }), Some(Limit::Tasks));
        let most_tasks = Some(tasks_edge(1));
        assert_eq!(limit(Acts { refused: 1, most_tasks, ..none }), Some(Limit::Tasks));
        assert_eq!(limit(Acts { refused: 1, most_tasks: Some(9), ..none }), None, "a group above refused");
        assert_eq!(Both::default().breach(none, Acts { killed: 1, at_memory_edge: 1, ..none }), None);
        let acts = Acts { killed: 1, at_memory_edge: 1, ..none };
        assert_eq!(both.breach(acts, acts), None, "it was told");
    }
}
