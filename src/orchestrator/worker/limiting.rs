//! Limits on what a session, or one command in it, uses: looked at while anything runs that they hold for.
//! What the kernel holds behind that is the [`backstop`](super::backstop).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use super::backstop::Backstop;
use super::closing::KILL_TIME;
use super::{Prompt, Running};
use crate::clock::{self, Moment};
use crate::engine::WorkerEventKind;
use crate::id::{CommandId, SessionId};
use crate::limits;
use crate::model::{Bounds, Breach, Dialect, Limit, Offender, ResourceLimits};
use crate::pty::{FileBound, Signal, Slot};
use crate::sample::{self, TreeUsage};

/// So many times the processes that there may be are no crowd that could be asked to end: they are more
/// by the time they are.
const BOMB: u64 = 4;

/// What limits hold against, and what has been seen so far.
#[derive(Debug, Default)]
pub(super) struct Limits {
    session: ResourceLimits,
    /// Of the latest command with limits of its own. They hold for what it leaves running, too, until
    /// the next command: then nobody can tell the two apart.
    command: Option<CommandLimits>,
    next: Option<Moment>,
    spent: CpuTime,
    /// The kernel's part, where it has one and there are limits.
    pub(super) backstop: Option<Backstop>,
    /// What was reported, until it has been ended, and of which running command: the next one is not to
    /// end without a word for what it, too, passes.
    reported: Option<(Breach, Option<CommandId>)>,
    /// The foreground that was interrupted for it.
    interrupted: Option<u32>,
}

#[derive(Debug)]
struct CommandLimits {
    limits: ResourceLimits,
    /// What ran in the session before.
    others: HashSet<u32>,
    /// CPU time that was spent before.
    cpu_ms: u64,
    /// What the shell took before.
    shell_bytes: u64,
    files: Option<FileBound>,
}

impl CommandLimits {
    /// What there is before the command begins, with what the kernel holds set. It blocks.
    fn begin(limits: ResourceLimits, slot: &Slot, session: &SessionId) -> Self {
        let pids = slot.pids();
        if limits.memory_bytes.is_some()
            && let Err(error) = slot.offer_to_oom_killer()
        {
            warn!(%session, %error, "the kernel does not hold a bound");
        }
        Self {
            limits,
            shell_bytes: sample::tree(&slot.shell_pids()).memory_bytes,
            cpu_ms: sample::tree(&pids).cpu_ms,
            others: pids.into_iter().collect(),
            files: limits.open_files.and_then(|most| slot.bound_open_files_for_now(most)),
        }
    }
}

/// CPU time of a tree that never goes back, though a process takes its own along when nobody waits for it.
#[derive(Debug, Default)]
struct CpuTime {
    gone_ms: u64,
    last_ms: u64,
    /// The last look saw less than the one before: it was taken between the death of a process and the
    /// moment when its parent has its time, or the time is gone.
    has_dropped: bool,
}

impl CpuTime {
    fn total_ms(&mut self, seen_ms: u64) -> u64 {
        if seen_ms >= self.last_ms {
            self.last_ms = seen_ms;
            self.has_dropped = false;
        } else if std::mem::replace(&mut self.has_dropped, true) {
            self.gone_ms += self.last_ms - seen_ms;
            self.last_ms = seen_ms;
            self.has_dropped = false;
        }
        self.gone_ms + self.last_ms
    }
}

/// What one look sees of each process: what it uses, and how many files it has open.
type Sight = HashMap<u32, (TreeUsage, u64)>;

/// Looks at these processes. It blocks.
fn look(pids: &[u32], counts_files: bool) -> Sight {
    let files = |pid| if counts_files { sample::most_open_files(&[pid]).unwrap_or(0) } else { 0 };
    // Parents before their children: what ends between two of them is missed rather than counted twice.
    let mut pids = pids.to_vec();
    pids.sort_unstable();
    pids.into_iter().map(|pid| (pid, (sample::tree(&[pid]), files(pid)))).collect()
}

/// What some processes use together.
#[derive(Clone, Copy, Debug, Default)]
struct Usage {
    processes: u64,
    memory_bytes: u64,
    cpu_ms: u64,
    /// Of the one that has the most.
    open_files: u64,
}

impl Usage {
    fn of(sight: &Sight, is_meant: impl Fn(&u32) -> bool) -> Self {
        let mut usage = Self::default();
        for (_, (tree, files)) in sight.iter().filter(|(pid, _)| is_meant(pid)) {
            usage.processes += u64::from(tree.processes);
            usage.memory_bytes += tree.memory_bytes;
            usage.cpu_ms += tree.cpu_ms;
            usage.open_files = usage.open_files.max(*files);
        }
        usage
    }
}

/// The first limit that is passed, or for open files reached.
fn passed(limits: &ResourceLimits, usage: Usage, by: Offender) -> Option<Breach> {
    let pairs = [
        (Limit::Processes, limits.processes.map(u64::from), usage.processes),
        (Limit::Memory, limits.memory_bytes, usage.memory_bytes),
        (Limit::CpuTime, limits.cpu_ms, usage.cpu_ms),
        (Limit::OpenFiles, limits.open_files.map(u64::from), usage.open_files),
    ];
    pairs.into_iter().find_map(|(limit, allowed, measured)| {
        let breach = Breach { limit, measured, allowed: allowed?, by };
        let is_reached = limit == Limit::OpenFiles && breach.measured == breach.allowed;
        (breach.is_passed() || is_reached).then_some(breach)
    })
}

impl Limits {
    fn pause(&self) -> Duration {
        let counts = |limits: &ResourceLimits| limits.processes.is_some();
        if counts(&self.session) || self.command.as_ref().is_some_and(|command| counts(&command.limits)) {
            limits::PROCESS_PAUSE
        } else {
            limits::LIMIT_PAUSE
        }
    }

    pub(super) fn next(&self) -> Option<Moment> {
        self.next
    }

    /// Something runs, or may soon.
    pub(super) fn look_soon(&mut self, now: Moment) {
        if !self.session.is_none() || self.command.is_some() {
            self.next.get_or_insert(now.after(self.pause()));
        }
    }

    /// What the session has spent, of which so much is seen in what is there.
    fn total_cpu_ms(&mut self, seen_ms: u64) -> u64 {
        let known_ms = self.backstop.as_ref().map_or(0, Backstop::cpu_ms);
        // A process that left the group is only seen.
        self.spent.total_ms(seen_ms).max(known_ms)
    }

    /// Whether a breach with this command running was reported.
    fn has_reported(&self, current: Option<&CommandId>) -> bool {
        self.reported
            .as_ref()
            .is_some_and(|(_, of)| current.is_none_or(|current| of.as_ref() == Some(current)))
    }

    /// Whether this breach is no news. To pass a limit is more than to have reached one.
    fn knows(&self, breach: Breach, current: Option<&CommandId>) -> bool {
        let is_worse =
            self.reported.as_ref().is_some_and(|(known, _)| breach.is_passed() && !known.is_passed());
        self.has_reported(current) && !is_worse
    }

    fn counts_files(&self) -> bool {
        let command = self.command.as_ref().is_some_and(|command| command.limits.open_files.is_some());
        command || self.session.open_files.is_some()
    }

    /// Whether there are too many processes. It does not take a look at each, for which there is no time.
    fn crowd(&mut self, pids: &[u32], shells: &[u32]) -> Option<Breach> {
        let count = |pids: usize| Usage { processes: pids as u64, ..Usage::default() };
        let only =
            |limits: &ResourceLimits| ResourceLimits { processes: limits.processes, ..Default::default() };
        if let Some(command) = &mut self.command {
            command.others.retain(|pid| pids.contains(pid));
            let is_own = |pid: &&u32| !shells.contains(pid) && !command.others.contains(pid);
            let own = count(pids.iter().filter(is_own).count());
            if let Some(breach) = passed(&only(&command.limits), own, Offender::Command) {
                return Some(breach);
            }
        }
        passed(&only(&self.session), count(pids.len()), Offender::Session)
    }

    /// What the limits say of these processes, `shells` among them.
    fn breach(&mut self, sight: &Sight, shells: &[u32], is_working: bool) -> Option<Breach> {
        let mut all = Usage::of(sight, |_| true);
        all.cpu_ms = self.total_cpu_ms(all.cpu_ms);
        let alone = Usage::of(sight, |pid| shells.contains(pid));
        if let Some(command) = &self.command {
            let mut own = Usage::of(sight, |pid| !shells.contains(pid) && !command.others.contains(pid));
            let is_there = is_working || own.processes > 0;
            own.memory_bytes += alone.memory_bytes.saturating_sub(command.shell_bytes);
            own.cpu_ms = all.cpu_ms.saturating_sub(command.cpu_ms);
            if is_there && let Some(breach) = passed(&command.limits, own, Offender::Command) {
                return Some(breach);
            }
        }
        if !is_working && all.processes <= alone.processes {
            let memory = ResourceLimits { memory_bytes: self.session.memory_bytes, ..Default::default() };
            return passed(&memory, alone, Offender::Shell);
        }
        passed(&self.session, all, Offender::Session)
    }
}

impl Running {
    /// Bounds that the kernel holds are set at once; others are looked at from now on.
    pub(super) async fn bound(&mut self, bounds: Bounds) {
        self.limits.session = bounds.limits;
        self.back_session(bounds.limits).await;
        if bounds == Bounds::default() {
            return;
        }
        let slot = Arc::clone(&self.wiring.slot);
        let session = self.wiring.session.clone();
        let held = tokio::task::spawn_blocking(move || {
            let files = bounds.limits.open_files.map_or(Ok(()), |most| slot.bound_open_files(most));
            let memory = bounds.limits.memory_bytes.map_or(Ok(()), |_| slot.offer_to_oom_killer());
            let niceness = bounds.niceness.map_or(Ok(()), |niceness| slot.set_niceness(niceness));
            let processors = bounds.processors.map_or(Ok(()), |most| slot.bound_processors(most));
            let sizes = bounds.file_bytes.map_or(Ok(()), |most| slot.bound_file_size(most));
            for (what, done) in [
                ("maxOpenFiles", files),
                ("maxMemory", memory),
                ("cpu-priority", niceness),
                ("cpu", processors),
                ("disk", sizes),
            ] {
                if let Err(error) = done {
                    warn!(%session, %error, what, "the kernel does not hold a bound");
                }
            }
        });
        if held.await.is_err() {
            warn!(session = %self.wiring.session, "the kernel was not told of the bounds");
        }
        self.limits.look_soon(clock::now().moment);
    }

    /// A command is handed over: what it may use is counted from here.
    pub(super) async fn limit_command(&mut self, now: Moment, limits: ResourceLimits) {
        self.limits.command = None;
        if !limits.is_none() {
            let slot = Arc::clone(&self.wiring.slot);
            let session = self.wiring.session.clone();
            let found = tokio::task::spawn_blocking(move || CommandLimits::begin(limits, &slot, &session));
            match found.await {
                Ok(mut command) => {
                    let shells = self.wiring.slot.shell_pids();
                    let is_alone = command.others.iter().all(|pid| shells.contains(pid));
                    self.back_command(limits, is_alone).await;
                    command.cpu_ms = self.limits.total_cpu_ms(command.cpu_ms);
                    self.limits.command = Some(command);
                }
                Err(error) => {
                    warn!(session = %self.wiring.session, %error, "the limits of a command do not hold");
                }
            }
        }
        self.limits.look_soon(now);
    }

    /// The command has ended.
    pub(super) fn lift_command_limits(&mut self) {
        if let Some(files) = self.limits.command.as_mut().and_then(|command| command.files.take()) {
            self.wiring.slot.lift_open_files(files);
        }
        if let Some(Err(error)) = self.limits.backstop.as_mut().map(Backstop::release_command) {
            warn!(session = %self.wiring.session, %error, "the kernel still holds the limits of a command");
        }
    }

    fn is_working(&self) -> bool {
        self.current.is_some() || self.dialect == Dialect::Plain || self.prompt == Prompt::Away
    }

    pub(super) async fn check_limits(&mut self, now: Moment) {
        if self.limits.next.is_none_or(|next| now < next) {
            return;
        }
        if self.closing.is_some() {
            self.limits.next = None;
            return;
        }
        let acted = self.limits.backstop.as_mut().and_then(Backstop::acted);
        let refuses = self.limits.backstop.as_ref().is_some_and(Backstop::refuses);
        if refuses {
            self.freeze(true);
        }
        let (seen, is_alone) = self.look_at_limits().await;
        let breach = seen.filter(Breach::is_passed).or(acted).or(seen);
        let current = self.current.as_ref().map(|current| current.command.clone());
        let is_news = breach.is_some_and(|breach| !self.limits.knows(breach, current.as_ref()));
        self.limits.next =
            (self.is_working() || !is_alone).then(|| clock::now().moment.after(self.limits.pause()));
        self.limits.reported = breach.map(|breach| {
            let before = self.limits.reported.take().filter(|_| !is_news);
            (breach, before.map_or_else(|| current.clone(), |(_, of)| of))
        });
        if breach.is_some_and(|breach| breach.is_passed()) && !is_news {
            self.interrupt_newcomer();
        }
        if let Some(breach) = breach.filter(|_| is_news) {
            if breach.limit == Limit::Processes {
                // A fork bomb doubles before anybody else could decide.
                self.ask_offenders().await;
            }
            // What the limits of an ended command hold for is not the command.
            let command = current.filter(|_| breach.by != Offender::Shell);
            self.report(WorkerEventKind::LimitPassed { command, breach }).await;
            if breach.limit == Limit::Processes && breach.measured / BOMB >= breach.allowed {
                self.end_offenders(breach).await;
            }
        }
        if refuses {
            self.freeze(false);
        }
    }

    fn freeze(&self, still: bool) {
        if let Some(backstop) = &self.limits.backstop {
            backstop.freeze(still);
        }
    }

    /// What is passed, and whether the shell is all that there is.
    async fn look_at_limits(&mut self) -> (Option<Breach>, bool) {
        let slot = &self.wiring.slot;
        let pids = self.wiring.host.census().members(slot.number()).await;
        let shells = slot.shell_pids();
        let is_alone = pids.iter().all(|pid| shells.contains(pid));
        if let Some(breach) = self.limits.crowd(&pids, &shells) {
            return (Some(breach), is_alone);
        }
        let counts_files = self.limits.counts_files();
        let sight = tokio::task::spawn_blocking(move || look(&pids, counts_files)).await.unwrap_or_default();
        let is_working = self.is_working();
        (self.limits.breach(&sight, &shells, is_working), is_alone)
    }

    /// What the limit that is passed does not hold for.
    fn spared(&self, breach: Breach) -> HashSet<u32> {
        match (&self.limits.command, breach.by) {
            (Some(command), Offender::Command) => command.others.clone(),
            (_, Offender::Command | Offender::Session | Offender::Shell) => HashSet::new(),
        }
    }

    /// The shell went on to another job since it was interrupted: one that had just ended, or had yet to begin,
    /// took the interrupt along. A loop of short ones loses it more often than not.
    fn interrupt_newcomer(&mut self) {
        let foreground = self.terminal.foreground_group_id();
        if self.prompt == Prompt::Away && foreground != self.limits.interrupted {
            self.limits.interrupted = foreground;
            self.interrupt();
        }
    }

    /// Ctrl-C to the foreground, and SIGTERM to what is not there.
    pub(super) async fn ask_offenders(&mut self) {
        // A command that the kernel ended is over by now, and what is typed would be for the next.
        if self.prompt == Prompt::Away && (self.current.is_some() || self.limits.reported.is_some()) {
            self.limits.interrupted = self.terminal.foreground_group_id();
            self.interrupt();
        }
        let Some(&(breach, _)) = self.limits.reported.as_ref() else { return };
        let spared = self.spared(breach);
        let foreground = self.terminal.foreground_group_id().filter(|_| breach.limit != Limit::Processes);
        let slot = Arc::clone(&self.wiring.slot);
        let asked = tokio::task::spawn_blocking(move || slot.terminate_others(&spared, foreground)).await;
        if asked.is_err() {
            warn!(session = %self.wiring.session, "what passes a limit was not asked to end");
        }
    }

    /// SIGKILL to all that passes a limit, if anything still does.
    pub(super) async fn kill_offenders(&mut self) {
        let (breach, _) = self.look_at_limits().await;
        let current = self.current.as_ref().map(|current| &current.command);
        let is_known = self.limits.has_reported(current);
        self.limits.reported = None;
        self.limits.look_soon(clock::now().moment);
        if let Some(breach) = breach.filter(|breach| is_known && breach.is_passed()) {
            self.end_offenders(breach).await;
        }
    }

    async fn end_offenders(&mut self, breach: Breach) {
        let spared = self.spared(breach);
        let slot = Arc::clone(&self.wiring.slot);
        let deadline = clock::now().moment.after(KILL_TIME);
        self.freeze(true);
        let left = tokio::task::spawn_blocking(move || slot.kill_others(&spared, deadline)).await;
        self.freeze(false);
        if left.unwrap_or(0) > 0 {
            warn!(session = %self.wiring.session, "processes beyond a limit survive SIGKILL");
            self.limits.next = Some(deadline.after(limits::INTERRUPT_GRACE));
        }
        // What runs in the shell itself ends by an interrupt or not at all.
        if self.prompt == Prompt::Away {
            let _ = self.terminal.signal_foreground(Signal::INT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_never_goes_back_and_is_not_counted_twice() {
        let mut spent = CpuTime::default();
        assert_eq!(spent.total_ms(100), 100);
        // A look between a child's end and its parent's wait for it sees less for a moment.
        assert_eq!(spent.total_ms(40), 100);
        assert_eq!(spent.total_ms(110), 110);
        // What is not seen again at the second look is gone, and was spent all the same.
        assert_eq!(spent.total_ms(50), 110);
        assert_eq!(spent.total_ms(60), 110);
        assert_eq!(spent.total_ms(70), 120);
    }

    #[test]
    fn a_breach_is_news_of_each_command_and_once() {
        let [a, b] = ["cmd_a", "cmd_b"].map(CommandId::from_text);
        let breach = Breach { limit: Limit::CpuTime, measured: 2, allowed: 1, by: Offender::Session };
        let mut limits = Limits::default();
        assert!(!limits.has_reported(None) && !limits.has_reported(Some(&a)));
        limits.reported = Some((breach, Some(a.clone())));
        assert!(
            limits.has_reported(Some(&a)) && limits.has_reported(None),
            "what it left running is its own"
        );
        assert!(!limits.has_reported(Some(&b)));
        let reached = Breach { limit: Limit::OpenFiles, measured: 1, allowed: 1, by: Offender::Session };
        assert!(limits.knows(reached, Some(&a)) && !limits.knows(reached, Some(&b)));
        limits.reported = Some((reached, Some(a.clone())));
        assert!(limits.knows(reached, Some(&a)) && !limits.knows(breach, Some(&a)));
        limits.reported = Some((breach, None));
        assert!(limits.has_reported(None) && !limits.has_reported(Some(&b)));
    }

    #[test]
    fn a_limit_is_passed_only_by_more_than_it_says() {
        let limits = ResourceLimits {
            memory_bytes: Some(10),
            cpu_ms: Some(10),
            processes: Some(2),
            open_files: Some(10),
        };
        let which = |memory_bytes, cpu_ms, processes, open_files| {
            let usage = Usage { processes, memory_bytes, cpu_ms, open_files };
            passed(&limits, usage, Offender::Session).map(|breach| breach.limit)
        };
        assert_eq!(which(10, 10, 2, 9), None);
        // The kernel lets nobody open more.
        assert_eq!(which(10, 10, 2, 10), Some(Limit::OpenFiles));
        assert_eq!(which(11, 11, 2, 10), Some(Limit::Memory));
        assert_eq!(which(10, 11, 2, 10), Some(Limit::CpuTime));
        assert_eq!(which(10, 10, 3, 10), Some(Limit::Processes));
        assert_eq!(which(0, 0, 0, 11), Some(Limit::OpenFiles));
        let most = Usage { processes: 9, memory_bytes: 99, cpu_ms: 99, open_files: 99 };
        assert_eq!(passed(&ResourceLimits::default(), most, Offender::Command), None);
    }

    /// A shell with pid 1, another process of the session from before, and what the command started.
    #[test]
    fn a_command_is_held_to_its_own_and_the_session_to_all() {
        let uses = |memory_bytes| (TreeUsage { memory_bytes, processes: 1, ..TreeUsage::default() }, 0);
        let sight = Sight::from([(1, uses(10)), (2, uses(100)), (3, uses(30))]);
        let limit = |bytes| ResourceLimits { memory_bytes: Some(bytes), ..Default::default() };
        let mut limits = Limits::default();
        limits.command = Some(CommandLimits {
            limits: limit(32),
            others: HashSet::from([2]),
            cpu_ms: 0,
            shell_bytes: 8,
            files: None,
        });
        assert_eq!(limits.breach(&sight, &[1], true), None, "30 and what the shell grew by");
        limits.session = limit(139);
        let breach = limits.breach(&sight, &[1], true).expect("all together are too much");
        assert_eq!((breach.measured, breach.by), (140, Offender::Session));
        let alone = Sight::from([(1, uses(150))]);
        assert_eq!(limits.breach(&alone, &[1], false).map(|breach| breach.by), Some(Offender::Shell));
        assert_eq!(limits.crowd(&[1, 2, 3], &[1]), None);
        if let Some(command) = &mut limits.command {
            command.limits.processes = Some(1);
        }
        assert_eq!(limits.crowd(&[1, 2, 3, 4], &[1]).map(|breach| breach.measured), Some(2));
    }
}
