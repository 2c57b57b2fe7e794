//! Where and when tasks start: the most urgent first, in a session that suits it and is free, and
//! pooled sessions made for those that have none to wait for.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::request::{CloseMode, NewCommand, NewSession};
use super::schedule::{Key, Next, Outcome, Pooled, RunEntry, RunKey, TaskKey, Wish, mix};
use super::sessions::Creation;
use super::{Deadline, EffectKind, Engine, Step};
use crate::clock::Now;
use crate::id::{CommandId, SessionId};
use crate::limits;
use crate::model::{
    Command, Dialect, EndReason, Ending, OnTimeout, Placement, PlacementRule, Profile, Session, SessionKind,
    Status, Strategy, TaskDetail, TaskReason,
};

/// A lane of a run.
type LaneKey = (RunKey, usize);

/// What became of a task that was next.
enum Placed {
    /// It runs.
    Started,
    /// It can never run.
    GivenUp,
    /// No session is free for it now.
    NoSession,
}

impl Engine {
    /// Leaves every run and every pool as it is, for the next server to restore: nothing starts any more, and
    /// the attempts that end now are those of tasks that were running when the server ended.
    pub fn freeze(&mut self) {
        self.schedule.is_frozen = true;
    }

    /// Starts every task that can start. Called once for each batch of inputs, and only when one of them
    /// may have made room.
    pub(super) fn dispatch(&mut self, now: Now, step: &mut Step) {
        if self.schedule.is_frozen || !std::mem::take(&mut self.schedule.is_due) {
            return;
        }
        let mut stuck: BTreeSet<LaneKey> = BTreeSet::new();
        while let Some((lane, key)) = self.next_task(&stuck) {
            match self.place(now, lane.0, key.number, step) {
                Placed::Started => self.note_run(now, lane.0, step),
                Placed::GivenUp => {}
                Placed::NoSession => {
                    stuck.insert(lane);
                }
            }
        }
        self.grow_pool(now, step);
    }

    /// The most urgent task of all that have a slot, leaving out lanes that are `stuck`.
    fn next_task(&self, stuck: &BTreeSet<LaneKey>) -> Option<(LaneKey, Key)> {
        let heads =
            self.schedule.active().filter(|(_, entry)| self.may_start(entry)).filter_map(|(run, entry)| {
                let lanes = entry.lanes().iter().enumerate().map(move |(lane, queue)| ((run, lane), queue));
                let heads = lanes
                    .filter(|(lane, _)| !stuck.contains(lane))
                    .filter_map(|(lane, queue)| Some((lane, queue.head()?)));
                // The heaviest task would wait for ever if lighter ones behind it took each slot that it needs.
                let first = heads.min_by_key(|(_, key)| *key);
                first
                    .filter(|(_, key)| entry.has_slot(key.number))
                    .map(|(lane, key)| ((key.among_runs(entry.run.priority), run), lane, key))
            });
        heads.min_by_key(|(urgency, _, _)| *urgency).map(|(_, lane, key)| (lane, key))
    }

    /// Whether a run may start anything.
    fn may_start(&self, entry: &RunEntry) -> bool {
        !entry.run.paused && entry.free_slots() > 0 && !self.is_held_back(entry)
    }

    /// Whether the machine is busier than the run allows. One task at a time runs all the same: what
    /// others do to the machine must not stop a run for ever.
    fn is_held_back(&self, entry: &RunEntry) -> bool {
        let resources = entry.run.resources;
        let load = &self.schedule.load;
        let above = |most: Option<f64>, now: f64| most.is_some_and(|most| now > most);
        entry.counts().running > 0
            && (above(resources.max_cpu, load.cpu) || above(resources.max_memory, load.memory))
    }

    /// Whether any run needs to know how busy everything is.
    pub fn wants_load(&self) -> bool {
        self.schedule.active().any(|(_, entry)| {
            let resources = entry.run.resources;
            resources.max_cpu.is_some()
                || resources.max_memory.is_some()
                || entry.run.strategy == Strategy::LoadBalanced
        })
    }

    /// Takes in how busy everything is.
    pub fn load(&mut self, load: super::Load) {
        self.schedule.load = load;
        self.schedule.is_due = true;
    }

    fn place(&mut self, now: Now, run: RunKey, number: u32, step: &mut Step) -> Placed {
        let Some(entry) = self.schedule.run(run) else { return Placed::NoSession };
        let wish = entry.wish(number);
        if let Some((session, placement)) = self.suitable(entry, wish, number) {
            self.start_attempt(now, (run, number), &session, step);
            self.note_start(now, (run, number), placement, step);
            return Placed::Started;
        }
        if !self.is_hopeless(entry, wish) {
            return Placed::NoSession;
        }
        if let Some(entry) = self.schedule.run_mut(run) {
            let next = entry.give_up(now, number, TaskReason::SessionLost);
            self.follow(now, (run, number), next, step);
        }
        Placed::GivenUp
    }

    /// Whether the sessions that a task must have are gone for good.
    fn is_hopeless(&self, entry: &RunEntry, wish: &Wish) -> bool {
        let is_gone = |id: &SessionId| self.session(id).is_none_or(|session| !session.status.is_live());
        match &wish.session {
            Some(session) => is_gone(session) && self.stand_ins(session).is_empty(),
            None if !entry.run.sessions.is_empty() => entry.run.sessions.iter().all(is_gone),
            None => {
                let shell = &entry.run.workplace.shell;
                wish.requirements.is_empty() && self.pool_fails() && !self.schedule.has_pooled(shell)
            }
        }
    }

    /// Whether so many pooled sessions in a row did not start that no more are made.
    fn pool_fails(&self) -> bool {
        self.schedule.pool_failures >= limits::POOL_FAILURES
    }

    /// A free session for a task, by the strategy of its run, and why it is that one.
    fn suitable(&self, entry: &RunEntry, wish: &Wish, number: u32) -> Option<(SessionId, Placement)> {
        let is_free = |id: &&SessionId| self.is_free(id);
        if let Some(session) = &wish.session {
            let stand_ins = self.stand_ins(session);
            if !stand_ins.is_empty() {
                return self.stand_in(session, stand_ins);
            }
            let placement = Placement { rule: PlacementRule::Named, free: 1 };
            return Some(session).filter(is_free).map(|id| (id.clone(), placement));
        }
        let named = &entry.run.sessions;
        let free: Vec<&SessionId> = if !named.is_empty() {
            named.iter().filter(is_free).filter(|id| self.can(id, &wish.requirements)).collect()
        } else if wish.requirements.is_empty() {
            let shell = &entry.run.workplace.shell;
            let pool = self.schedule.pool.iter().filter(|(_, pooled)| pooled.shell == *shell);
            pool.map(|(id, _)| id).filter(is_free).collect()
        } else {
            self.order.iter().filter(is_free).filter(|id| self.can(id, &wish.requirements)).collect()
        };
        let free = self.sound_first(free, entry, wish);
        let load = |id: &SessionId| self.schedule.load.sessions.get(id).copied().unwrap_or(0.0);
        let count = free.len();
        let (chosen, rule) = match entry.run.strategy {
            Strategy::RoundRobin => (self.next_in_turn(free), PlacementRule::Turn),
            Strategy::LoadBalanced => {
                let least = free.into_iter().min_by(|a, b| load(a).total_cmp(&load(b)));
                (least, PlacementRule::LeastLoaded)
            }
            Strategy::Capability => {
                let own = |id: &SessionId| self.session(id).map_or(0, |session| session.capabilities.len());
                let able = |id: &SessionId| own(id) + self.bus.abilities(id);
                (free.into_iter().min_by_key(|id| able(id)), PlacementRule::LeastCapable)
            }
            Strategy::Affinity => match entry.kin(number).filter(|kin| free.contains(kin)) {
                Some(kin) => (Some(kin), PlacementRule::Kin),
                None => (free.first().copied(), PlacementRule::First),
            },
            Strategy::Dependency | Strategy::Priority | Strategy::ResourceAware => {
                (free.first().copied(), PlacementRule::First)
            }
        };
        chosen.map(|id| (id.clone(), Placement { rule, free: count }))
    }

    /// Of sessions that are free the one that has had no task for longest. So all that may be used take their
    /// turns; one that is busy when its turn comes is passed over, because no slot stays empty for it, and is
    /// the next when it is free.
    pub(super) fn next_in_turn<'a>(&self, free: Vec<&'a SessionId>) -> Option<&'a SessionId> {
        free.into_iter().min_by_key(|id| self.sessions.get(*id).map(|entry| entry.turn))
    }

    /// Of free sessions those that a task would not fail in; the others only where there is no sound one at all,
    /// not even a busy one: a task that waits for ever is worse than one that fails.
    fn sound_first<'a>(
        &self,
        mut free: Vec<&'a SessionId>,
        entry: &RunEntry,
        wish: &Wish,
    ) -> Vec<&'a SessionId> {
        let is_sound = |id: &SessionId| {
            self.session(id).is_some_and(|session| {
                session.status.is_live() && !session.stopped && !session.cpu_time_spent
            })
        };
        if free.iter().all(|id| is_sound(id)) {
            return free;
        }
        let named = &entry.run.sessions;
        let is_able = |id: &SessionId| is_sound(id) && self.can(id, &wish.requirements);
        let has_sound = if !named.is_empty() {
            named.iter().any(is_able)
        } else if wish.requirements.is_empty() {
            self.schedule.pool.keys().any(is_sound)
        } else {
            self.order.iter().any(is_able)
        };
        free.retain(|id| !has_sound || is_sound(id));
        free
    }

    pub(super) fn is_free(&self, id: &SessionId) -> bool {
        self.sessions.get(id).is_some_and(|entry| {
            entry.session.status == Status::Idle
                && entry.queue.is_empty()
                && entry.running.is_none()
                && entry.closing.is_none()
                && entry.going.is_none()
                && takes_tasks(&entry.session)
        })
    }

    fn can(&self, id: &SessionId, requirements: &[String]) -> bool {
        self.session(id).is_some_and(|session| {
            requirements
                .iter()
                .all(|required| session.capabilities.contains(required) || self.bus.can(id, required))
        })
    }

    /// Why a task that could start does not.
    pub(super) fn starved(&self, entry: &RunEntry, number: u32) -> TaskDetail {
        let wish = entry.wish(number);
        let named = &entry.run.sessions;
        let may_come = wish.session.is_some()
            || wish.requirements.is_empty()
            || self.sessions().any(|session| {
                session.status.is_live()
                    && takes_tasks(session)
                    && (named.is_empty() || named.contains(&session.id))
                    && self.can(&session.id, &wish.requirements)
            });
        if !may_come {
            TaskDetail::NoCapableSession
        } else if self.is_held_back(entry) {
            TaskDetail::ResourcePressure
        } else {
            TaskDetail::WaitingSlot
        }
    }

    fn start_attempt(&mut self, now: Now, task: TaskKey, session: &SessionId, step: &mut Step) {
        let Some(entry) = self.schedule.run(task.0) else { return };
        let spec = &entry.tasks[task.1 as usize];
        let at = self.session(session).map(|session| session.working_directory.as_path());
        let directory = spec.directory.as_ref().unwrap_or(&entry.run.workplace.directory);
        let new = NewCommand {
            timeout: Some(Duration::from_millis(spec.timeout_ms)),
            on_timeout: Some(OnTimeout::Interrupt),
            env: spec.env.clone(),
            directory: (at != Some(directory)).then(|| directory.clone()),
            stdin: spec.stdin.clone(),
            ok_exit_codes: spec.ok_exit_codes.clone(),
            limits: spec.limits,
            confined: true,
            ..NewCommand::line(spec.text.clone())
        };
        let uuid = self.draw(now, entry.run.uuid);
        self.schedule.turn += 1;
        if let Some(entry) = self.sessions.get_mut(session) {
            entry.turn = self.schedule.turn;
        }
        let command = self.accept(now, session, uuid, new, None, step);
        if let Some(entry) = self.commands.get_mut(&command) {
            entry.task = Some(task);
        }
        if let Some(entry) = self.schedule.run_mut(task.0) {
            entry.start(now, task.1, session.clone(), command);
        }
        self.start_next(now, session, step);
    }

    /// A UUID that follows from the run's, and is drawn only once: the time tells apart what servers
    /// draw that take up the same run one after the other.
    pub(super) fn draw(&mut self, now: Now, run: Uuid) -> Uuid {
        self.next_number += 1;
        let (high, low) = run.as_u64_pair();
        let low = low ^ mix(now.wall.0.cast_unsigned());
        Uuid::from_u64_pair(mix(high ^ self.next_number), mix(low.wrapping_add(self.next_number)))
    }

    /// The command of an attempt is over.
    pub(super) fn attempt_ended(&mut self, now: Now, task: TaskKey, command: &CommandId, step: &mut Step) {
        if self.schedule.is_frozen {
            return;
        }
        if self.deliver_elsewhere(now, task, command, step) {
            return;
        }
        let Some(command) = self.commands.get(command).map(|entry| &entry.command) else { return };
        let (outcome, exit_code, took_us) = (outcome(command), command.exit_code(), command.duration_us);
        let Some(entry) = self.schedule.run_mut(task.0) else { return };
        let next = entry.attempt_ended(now, task.1, outcome, exit_code);
        if let (Outcome::Succeeded, Some(took_us)) = (outcome, took_us) {
            let tasks = std::sync::Arc::clone(&entry.tasks);
            let learnt = self.schedule.estimates.learn(&tasks[task.1 as usize], took_us);
            step.estimates.extend(learnt);
        }
        self.follow(now, task, next, step);
    }

    /// Does what the end of an attempt, or of a task, leaves to be done.
    fn follow(&mut self, now: Now, task: TaskKey, next: Next, step: &mut Step) {
        match next {
            Next::Over => {}
            Next::Again(at) => {
                self.attempt_failed_of(now, task);
                self.next_number += 1;
                self.deadlines.insert((at, self.next_number), Deadline::Retry(task));
            }
            Next::Stop(commands) => {
                step.run_records.insert(task.0);
                for command in commands {
                    self.stop(now, &command, EndReason::Cancelled, EffectKind::Interrupt, step);
                }
            }
        }
        self.note_run(now, task.0, step);
        self.schedule.is_due = true;
    }

    /// The pause before a task's next attempt is over.
    pub(super) fn attempt_again(&mut self, now: Now, task: TaskKey, step: &mut Step) {
        if self.schedule.is_frozen || !self.admits_attempt(now, task, step) {
            return;
        }
        if let Some(entry) = self.schedule.run_mut(task.0) {
            entry.pause_ended(now, task.1);
            self.schedule.is_due = true;
            self.note_run(now, task.0, step);
        }
    }

    /// Makes as many pooled sessions as there are tasks that could start in one, within the bounds.
    fn grow_pool(&mut self, now: Now, step: &mut Step) {
        if self.pool_fails() {
            return;
        }
        let starting = self.schedule.pool.values().filter(|pooled| !pooled.is_ready).count();
        let mut wanted: Vec<RunKey> = Vec::new();
        for (run, entry) in self.schedule.active().filter(|(_, entry)| self.may_start(entry)) {
            if entry.run.sessions.is_empty() {
                let could_start = entry.could_start(&Wish::default()).min(limits::POOL);
                wanted.extend(std::iter::repeat_n(run, could_start));
            }
        }
        let room = limits::POOL.saturating_sub(self.schedule.pool.len());
        for run in wanted.into_iter().skip(starting).take(room) {
            if !self.add_to_pool(now, run, step) {
                break;
            }
        }
    }

    fn add_to_pool(&mut self, now: Now, run: RunKey, step: &mut Step) -> bool {
        let Some(entry) = self.schedule.run(run) else { return false };
        let workplace = entry.run.workplace.clone();
        let base = entry.run.uuid;
        self.schedule.pooled += 1;
        let new = NewSession {
            name: Some(format!("pool-{}", self.schedule.pooled)),
            metadata: json!({"purpose": "tasks"}).as_object().cloned().unwrap_or_default(),
            profile: Profile::Tasks,
            idle_timeout: Some(limits::POOL_IDLE),
            ..NewSession::default()
        };
        let creation = Creation {
            uuid: self.draw(now, base),
            shell: workplace.shell.clone(),
            dialect: workplace.dialect,
            directory: workplace.directory,
            command_uuid: base,
        };
        let Ok(session) = self.create_session(now, creation, new, step) else { return false };
        self.schedule.pool.insert(session.id.clone(), Pooled { shell: workplace.shell, is_ready: false });
        self.next_number += 1;
        let due = now.moment.after(limits::POOL_START);
        self.deadlines.insert((due, self.next_number), Deadline::PoolStart(session.id));
        true
    }

    /// A session came to its prompt, or is gone: tasks may start, or have to go elsewhere.
    pub(super) fn session_changed(&mut self, id: &SessionId, status: Status) {
        self.pool_member_changed(id, status);
        if status == Status::Idle {
            if let Some(pooled) = self.schedule.pool.get_mut(id)
                && !std::mem::replace(&mut pooled.is_ready, true)
            {
                self.schedule.pool_failures = 0;
            }
        } else if !status.is_live()
            && let Some(pooled) = self.schedule.pool.remove(id)
            && !pooled.is_ready
        {
            self.schedule.pool_failures += 1;
        }
        if status == Status::Idle || !status.is_live() {
            self.schedule.is_due = true;
        }
    }

    /// A pooled session had its time to come to its prompt.
    pub(super) fn pool_start_due(&mut self, now: Now, id: &SessionId, step: &mut Step) {
        if self.schedule.pool.get(id).is_some_and(|pooled| !pooled.is_ready) || self.pools.is_starting(id) {
            let reason = "no prompt came: its start-up files may wait for something";
            self.close(now, id, Status::Terminated, CloseMode::Emergency, None, reason, step);
        }
    }
}

/// Whether tasks may run in a session at all.
pub(super) fn takes_tasks(session: &Session) -> bool {
    session.dialect != Dialect::Plain && session.kind != SessionKind::Observer
}

/// What the end of a command means for the task whose attempt it was.
fn outcome(command: &Command) -> Outcome {
    match (command.reason, command.ending) {
        (Some(EndReason::Timeout), _) => Outcome::Failed(TaskReason::Timeout),
        (Some(EndReason::Cancelled), _) => Outcome::Failed(TaskReason::Cancelled),
        (Some(EndReason::MemoryLimit), _) => Outcome::Failed(TaskReason::MemoryLimit),
        (Some(EndReason::CpuLimit), _) => Outcome::Failed(TaskReason::CpuLimit),
        (Some(EndReason::ProcessLimit), _) => Outcome::Failed(TaskReason::ProcessLimit),
        (Some(EndReason::FileLimit), _) => Outcome::Failed(TaskReason::FileLimit),
        (Some(EndReason::ServerRestart), _) => Outcome::Failed(TaskReason::ServerRestart),
        // A task runs in a shell of its own below the session's: only from outside, or by aiming at its
        // parent, is the session's shell ended.
        (Some(EndReason::SessionLost), _)
        | (None, None | Some(Ending::Lost | Ending::ShellExited(_) | Ending::ShellKilled(_))) => {
            Outcome::Failed(TaskReason::SessionLost)
        }
        (None, Some(Ending::Exited(_))) if command.is_success() => Outcome::Succeeded,
        (None, Some(Ending::Exited(_))) => Outcome::Failed(TaskReason::ExitCode),
    }
}
