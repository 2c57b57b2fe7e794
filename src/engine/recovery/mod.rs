//! Bringing a session back: what is wrong with it, what is done about it, how often, and when it is left
//! alone. By hand whatever was asked for is done; without being asked only for sessions that were created
//! so, and only while the circuit of what ran there is closed.
//!
//! A recovery is a course of moves, each of which ends by the session's prompt, by its shell's end or by a
//! deadline. It does not know what the shell's prompt is worth: a shell that shows one is well.

mod backoff;
mod category;
mod circuit;
mod course;
mod monitor;
mod release;
mod spending;
mod strategy;
mod takeover;

use std::time::Duration;

use super::refusals::{ended, unknown, unstarted};
use super::report::{CircuitView, RecoveryReport};
use super::request::{NewCommand, RecoveryRequest};
use super::schedule::TaskKey;
use super::{CommandEntry, Deadline, Engine, Exit, Step, TimerKey};
use crate::clock::{Moment, Now};
use crate::error::{Error, ErrorCode, Result};
use crate::id::{CommandId, SessionId};
use crate::limits;
use crate::model::{Dialect, Ending, EventKind, FailureCategory, RecoveryPolicy, RecoveryStrategy, Status};
pub(super) use category::of_command;
pub(super) use circuit::{Circuits, Key};
use strategy::{Move, Standing};

/// What a session knows of its recoveries.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    /// The one under way.
    course: Option<Course>,
    /// How the last one went.
    last: Option<RecoveryReport>,
    /// Attempts without being asked, since it was last well.
    streak: u32,
    /// When its shell last came back.
    back_at: Option<Moment>,
    /// When to look at it next.
    timer: Option<TimerKey>,
    /// Until when an open circuit keeps its monitor from what it would do.
    refused_until: Option<Moment>,
    /// What its death took with it: what ran first. Until its recovery, or its next command.
    lost: Vec<NewCommand>,
}

impl Recovery {
    /// Whether one is under way.
    pub(super) fn is_under_way(&self) -> bool {
        self.course.is_some()
    }
}

/// A recovery under way.
#[derive(Clone, Debug)]
struct Course {
    report: RecoveryReport,
    asked: RecoveryStrategy,
    policy: RecoveryPolicy,
    origin: Origin,
    requeues: bool,
    /// When it is given up whatever it is doing.
    until: Moment,
    /// Where the session stood before.
    was: Status,
    /// What is being done.
    at: Move,
    stage: Stage,
    /// The circuit that its end tells.
    key: Option<Key>,
}

/// Who wanted a recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A caller, now.
    Caller,
    /// The session's `recovery`.
    Policy,
    /// The session's `monitor`.
    Monitor,
}

impl Origin {
    fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "by hand",
            Self::Policy => "automatic",
            Self::Monitor => "by its monitor",
        }
    }
}

impl Course {
    /// What somebody gets who asks for a recovery while this one goes on.
    fn joined(&self, wanted: RecoveryStrategy) -> Result<RecoveryReport> {
        if wanted == RecoveryStrategy::Auto || wanted == self.asked {
            return Ok(self.report.clone());
        }
        let (session, who, asked) = (&self.report.session, self.origin.as_str(), self.asked.as_str());
        Err(Error::new(
            ErrorCode::SessionBusy,
            format!("session {session} is being recovered already, {who}, by strategy {asked}"),
        )
        .with_hint("wait for that with strategy auto, and ask again if it fails"))
    }
}

/// Where the move at hand stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The session should come to its prompt by itself now.
    Awaiting,
    /// What was interrupted in vain was killed.
    Killed,
    /// The shell is ending; a fresh one follows, at once or as the next attempt.
    Ending { has_failed: bool },
    /// The pause before the next attempt.
    Pausing,
    /// A fresh shell starts.
    Starting,
}

impl Engine {
    /// Begins what a caller asks for, or joins what is under way already.
    pub(super) fn recover(
        &mut self,
        now: Now,
        request: &RecoveryRequest,
        step: &mut Step,
    ) -> Result<RecoveryReport> {
        let id = self.resolve(&request.selector)?;
        let entry = self.sessions.get(&id).ok_or_else(unknown)?;
        let session = &entry.session;
        if session.status.is_final() || entry.closing.is_some() {
            return Err(ended(session));
        }
        if session.is_unstarted() {
            return Err(unstarted(session));
        }
        if let Some(course) = &entry.recovery.course {
            return course.joined(request.strategy);
        }
        if !entry.has_worker {
            self.check_room()?;
        }
        let entry = self.sessions.get(&id).ok_or_else(unknown)?;
        let session = &entry.session;
        let standing = self.standing(&id, request.evidence.is_stopped);
        let is_busy_program = session.dialect == Dialect::Plain && standing == Standing::Busy;
        if is_busy_program && request.strategy == RecoveryStrategy::Interrupt {
            return Err(Error::new(
                ErrorCode::Unsupported,
                format!(
                    "{} is not a shell: nobody can tell when it has done with an interrupt",
                    session.shell.display()
                ),
            )
            .with_hint("use strategy \"restart\", or send it a signal with command_signal"));
        }
        let defaults = self.defaults.recovery;
        let policy = RecoveryPolicy {
            max_retries: request.max_retries.unwrap_or(defaults.retries).max(1),
            retry_delay_ms: millis(request.retry_delay.unwrap_or(defaults.delay)),
            strategy: request.strategy,
        };
        let category = self.category_now(&id, request.evidence.category, standing);
        let mut first = strategy::first(request.strategy, category, standing);
        if is_busy_program && matches!(first, Move::Interrupt | Move::Terminate) {
            first = Move::Restart;
        }
        let course = self.course(now, &id, policy, category, Origin::Caller);
        self.begin(now, &id, Course { requeues: request.requeue, ..course }, first, step);
        self.recovery(&id).ok_or_else(unknown)
    }

    /// How the recovery under way stands, or how the last one went.
    pub fn recovery(&self, id: &SessionId) -> Option<RecoveryReport> {
        let recovery = &self.sessions.get(id)?.recovery;
        recovery.course.as_ref().map(|course| &course.report).or(recovery.last.as_ref()).cloned()
    }

    /// The shell ended, and nobody had told it to. Returns whether another takes its place.
    pub(super) fn recover_from_end(&mut self, now: Now, id: &SessionId, exit: Exit, step: &mut Step) -> bool {
        if self.course_mut(id).is_some() {
            return self.shell_ended_in_course(now, id, exit, step);
        }
        let Some(entry) = self.sessions.get(id) else { return false };
        let Some(policy) = entry.session.recovery else { return false };
        let last = entry.session.last_command.as_ref().and_then(|id| self.command(id));
        // An order that ends the shell in order, `exit` above all. A Ctrl-D at the prompt may be an accident.
        let is_ordered = last.is_some_and(|command| command.ending == Some(Ending::ShellExited(0)));
        let is_in_order = exit == Exit::Code(0) && entry.breach.is_none();
        if is_in_order && (entry.session.dialect == Dialect::Plain || is_ordered) {
            return false;
        }
        // A limit that was passed is the cause, whatever signal it came to in the end.
        let of_command =
            last.filter(|command| command.ended_at == Some(now.wall) && command.reason.is_some());
        let category = of_command.and_then(category::of_command);
        let of_limit = || entry.breach.map(|breach| category::of_limit(breach.limit));
        let category = category.or_else(of_limit).unwrap_or_else(|| category::of_exit(exit));
        self.recover_unasked(now, id, policy, category, Origin::Policy, Standing::Gone, step)
    }

    /// The running command outlived its timeout, and its session is to be recovered from that.
    pub(super) fn recover_from_timeout(&mut self, now: Now, id: &SessionId, step: &mut Step) {
        let Some(policy) = self.session(id).and_then(|session| session.recovery) else { return };
        if self.course_mut(id).is_none() {
            let category = FailureCategory::Timeout;
            self.recover_unasked(now, id, policy, category, Origin::Policy, Standing::Busy, step);
        }
    }

    /// The same for a shell that a signal stopped, or that goes on.
    pub(super) fn recover_from_stop(&mut self, now: Now, id: &SessionId, is_stopped: bool, step: &mut Step) {
        let Some(entry) = self.sessions.get(id) else { return };
        if entry.going.is_some() {
            return;
        }
        if !is_stopped {
            self.shell_resumed(now, id, step);
        } else if let Some(policy) = entry.session.recovery
            && entry.recovery.course.is_none()
        {
            let category = FailureCategory::Hang;
            self.recover_unasked(now, id, policy, category, Origin::Policy, Standing::Stopped, step);
        }
    }

    /// Begins a recovery that nobody asked for, unless it was tried often enough, or its circuit is open.
    #[expect(clippy::too_many_arguments, reason = "the parts of one decision, named at each call")]
    fn recover_unasked(
        &mut self,
        now: Now,
        id: &SessionId,
        policy: RecoveryPolicy,
        category: FailureCategory,
        origin: Origin,
        standing: Standing,
        step: &mut Step,
    ) -> bool {
        let Some(entry) = self.sessions.get_mut(id) else { return false };
        if entry.recovery.back_at.is_some_and(|at| now.moment >= at.after(limits::RECOVERED_AFTER)) {
            entry.recovery.streak = 0;
        }
        let streak = entry.recovery.streak;
        if streak >= policy.max_retries {
            let reason =
                format!("not recovered: {}, and {streak} attempts in a row did not last", category.as_str());
            self.decide(now, id, &reason, step);
            return false;
        }
        let mut first = strategy::first(policy.strategy, Some(category), standing);
        if first == Move::Nothing || first == Move::GiveUp {
            // Whatever was configured: the shell is gone.
            first = Move::Restart;
        }
        let key = self.culprit(id);
        if let Some(key) = &key {
            let source = self.next_source();
            self.circuits.failed(now, key, source);
            if let Err(refusal) = self.circuits.admit(now, key) {
                let reason = format!("not recovered: {}", refusal.error(key).message);
                self.decide(now, id, &reason, step);
                if standing == Standing::Gone {
                    self.hold(now, id, refusal.until, &reason, step);
                    return true;
                }
                if let Some(entry) = self.sessions.get_mut(id) {
                    entry.recovery.refused_until = Some(refusal.until);
                }
                return false;
            }
        }
        let mut course = self.course(now, id, policy, Some(category), origin);
        course.key = key;
        course.report.attempts = streak;
        self.begin(now, id, course, first, step);
        true
    }

    /// The command line that is to blame: what ran, or ran last.
    fn culprit(&self, id: &SessionId) -> Option<Key> {
        let entry = self.sessions.get(id)?;
        let command = entry.running.as_ref().or(entry.session.last_command.as_ref())?;
        let entry = self.commands.get(command)?;
        let began = entry.command.output_from.is_some() || entry.command.timed_out;
        let survived = matches!(entry.command.ending, Some(Ending::Exited(_)));
        (began && !survived).then(|| self.key_of(entry))
    }

    /// The circuit of a command, which may be the attempt of a task.
    fn key_of(&self, entry: &CommandEntry) -> Key {
        let task = entry.task.and_then(|(run, number)| Some(&self.schedule.run(run)?.tasks[number as usize]));
        task.map_or_else(|| Key::of_command(&entry.command.text), Key::of_task)
    }

    /// What a failure is told apart from others by.
    fn next_source(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    fn standing(&self, id: &SessionId, is_stopped: bool) -> Standing {
        let Some(entry) = self.sessions.get(id).filter(|entry| entry.has_worker) else {
            return Standing::Gone;
        };
        match entry.session.status {
            _ if is_stopped => Standing::Stopped,
            _ if entry.session.cpu_time_spent => Standing::Spent,
            Status::Idle => Standing::AtPrompt,
            Status::Active | Status::Timeout => Standing::Busy,
            Status::Initializing | Status::Recovering => Standing::Starting,
            Status::Error | Status::Completed | Status::Terminated => Standing::Gone,
        }
    }

    /// Why a caller thinks that a session needs recovery.
    fn category_now(
        &self,
        id: &SessionId,
        told: Option<FailureCategory>,
        standing: Standing,
    ) -> Option<FailureCategory> {
        let entry = self.sessions.get(id)?;
        let last = entry.session.last_command.as_ref().and_then(|id| self.command(id));
        let of_last = told.or_else(|| last.and_then(category::of_command));
        match standing {
            Standing::Stopped | Standing::Starting => Some(FailureCategory::Hang),
            Standing::AtPrompt => of_last,
            Standing::Spent => Some(FailureCategory::CpuLimit),
            Standing::Busy => of_last.or(Some(FailureCategory::Hang)),
            Standing::Gone => {
                let before = entry.recovery.last.as_ref().and_then(|report| report.category);
                let exit = entry.session.exit_code.map(|code| match code {
                    129..=192 => category::of_exit(Exit::Signal(code - 128)),
                    code => category::of_exit(Exit::Code(code)),
                });
                told.or(before).or(exit).or(Some(FailureCategory::SpawnFailed))
            }
        }
    }

    fn course(
        &self,
        now: Now,
        id: &SessionId,
        policy: RecoveryPolicy,
        category: Option<FailureCategory>,
        origin: Origin,
    ) -> Course {
        Course {
            report: RecoveryReport {
                session: id.clone(),
                new_session: None,
                recovered: None,
                strategy: policy.strategy,
                attempts: 0,
                category,
                actions: Vec::new(),
            },
            asked: policy.strategy,
            policy,
            origin,
            requeues: false,
            until: now.moment.after(self.defaults.recovery.timeout),
            was: self.session(id).map_or(Status::Error, |session| session.status),
            at: Move::Nothing,
            stage: Stage::Awaiting,
            key: None,
        }
    }

    fn course_mut(&mut self, id: &SessionId) -> Option<&mut Course> {
        self.sessions.get_mut(id)?.recovery.course.as_mut()
    }

    /// The one place where a recovery tells what it does and why.
    fn act(&mut self, now: Now, id: &SessionId, action: String, step: &mut Step) {
        self.decide(now, id, &action, step);
        if let Some(course) = self.course_mut(id) {
            course.report.actions.push(action);
        }
    }

    fn decide(&mut self, now: Now, id: &SessionId, reason: &str, step: &mut Step) {
        step.recovers = true;
        self.note(now, id, EventKind::Decision { reason: format!("recovery: {reason}") }, step);
    }

    /// Circuits that failed of late, or the one for `key`, as it is.
    pub fn circuits(&self, now: Now, key: Option<&str>) -> Vec<CircuitView> {
        let view = |key: &Key| {
            let (state, failures, opens_until) = self.circuits.state(now, key);
            CircuitView { key: key.as_str().to_owned(), state, failures, opens_until }
        };
        match key {
            Some(key) => vec![view(&self.circuit_key(key))],
            None => self.circuits.keys().map(view).collect(),
        }
    }

    /// A key as it was shown, or the command line that it stands for.
    fn circuit_key(&self, given: &str) -> Key {
        let shown = self.circuits.keys().find(|key| key.as_str() == given.trim());
        shown.cloned().unwrap_or_else(|| Key::of_command(given))
    }

    /// Whether a command that failed is tried again by its own retries.
    pub(super) fn admits_try(&mut self, now: Now, id: &CommandId, step: &mut Step) -> bool {
        let Some(entry) = self.commands.get(id) else { return false };
        let (key, session) = (self.key_of(entry), entry.command.session.clone());
        let source = entry.command.uuid.as_u64_pair().0;
        self.circuits.failed(now, &key, source);
        let Err(refusal) = self.circuits.admit(now, &key) else { return true };
        self.note(now, &session, EventKind::Decision { reason: refusal.error(&key).message }, step);
        false
    }

    /// An attempt of a task failed, and another is to follow.
    pub(super) fn attempt_failed_of(&mut self, now: Now, task: TaskKey) {
        let Some(entry) = self.schedule.run(task.0) else { return };
        let key = Key::of_task(&entry.tasks[task.1 as usize]);
        let source = super::schedule::mix(entry.run.uuid.as_u64_pair().0 ^ u64::from(task.1));
        self.circuits.failed(now, &key, source);
    }

    /// Whether the next attempt of a task may start now; else it is put off.
    pub(super) fn admits_attempt(&mut self, now: Now, task: TaskKey, step: &mut Step) -> bool {
        if self.circuits.is_empty() {
            return true;
        }
        let Some(entry) = self.schedule.run(task.0) else { return false };
        let spec = &entry.tasks[task.1 as usize];
        let (key, id, session) = (Key::of_task(spec), spec.id.clone(), entry.state(task.1).session.clone());
        let Err(refusal) = self.circuits.admit(now, &key) else { return true };
        if let Some(session) = session {
            let reason = format!("task {id} waits: {}", refusal.error(&key).message);
            self.note(now, &session, EventKind::Decision { reason }, step);
        }
        self.next_number += 1;
        self.deadlines.insert((refusal.until, self.next_number), Deadline::Held(task));
        false
    }

    /// The shell has run a command to its end: whatever was wrong with the session is over.
    pub(super) fn ran_well(&mut self, id: &SessionId) {
        if let Some(entry) = self.sessions.get_mut(id)
            && entry.recovery.course.is_none()
        {
            entry.recovery.streak = 0;
            entry.recovery.lost.clear();
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
