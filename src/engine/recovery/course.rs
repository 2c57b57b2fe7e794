//! The moves of a recovery, one after the other.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::backoff::pause;
use super::strategy::{self, Move};
use super::{Course, Origin, Stage, category};
use crate::clock::{Moment, Now};
use crate::engine::deadline::Deadline;
use crate::engine::request::CloseMode;
use crate::engine::sessions::Fresh;
use crate::engine::{EffectKind, Engine, Exit, Step};
use crate::id::SessionId;
use crate::limits;
use crate::model::{EndReason, EventKind, FailureCategory, Status};

/// What is interrupted in vain has been killed by then, and its shell has had time to notice.
const INTERRUPT_TIME: Duration =
    limits::INTERRUPT_GRACE.saturating_mul(2).saturating_add(Duration::from_secs(1));

impl Engine {
    /// Begins a recovery with its first move.
    pub(super) fn begin(&mut self, now: Now, id: &SessionId, course: Course, first: Move, step: &mut Step) {
        let why = course.report.category.map_or("asked for", FailureCategory::as_str);
        let (who, strategy) = (course.origin.as_str(), course.asked.as_str());
        let reason = format!("{who}, strategy {strategy}, because of: {why}");
        let Some(entry) = self.sessions.get_mut(id) else { return };
        entry.recovery.course = Some(course);
        self.decide(now, id, &reason, step);
        self.make(now, id, first, step);
    }

    pub(super) fn make(&mut self, now: Now, id: &SessionId, next: Move, step: &mut Step) {
        let Some(course) = self.course_mut(id) else { return };
        if next != Move::GiveUp {
            (course.at, course.stage) = (next, Stage::Awaiting);
        }
        match next {
            Move::Nothing => {
                self.act(now, id, "the shell is at its prompt: the session itself is well".to_owned(), step);
                self.put_back_lost(now, id, step);
                self.over(now, id, true, step);
                self.start_next(now, id, step);
            }
            Move::GiveUp => {
                let is_at_prompt = self
                    .session(id)
                    .is_some_and(|session| session.status == Status::Idle && !session.cpu_time_spent);
                let why = if is_at_prompt {
                    "not tried again: what failed would fail again until somebody changes something"
                } else {
                    "nothing more that this strategy allows would help; strategy restart would"
                };
                self.act(now, id, why.to_owned(), step);
                self.give_up(now, id, why, step);
            }
            Move::Resume => {
                self.count_attempt(id, step);
                self.act(now, id, "SIGCONT to the shell, which a signal had stopped".to_owned(), step);
                self.set_status(now, id, Status::Recovering, step);
                step.effect(id, EffectKind::Resume);
                self.wake(now, id, now.moment.after(limits::RESUME_GRACE));
            }
            Move::Interrupt => self.interrupt(now, id, step),
            Move::Terminate => {
                self.count_attempt(id, step);
                self.act(now, id, "SIGTERM to the foreground job".to_owned(), step);
                self.mark_stopped(id);
                self.set_status(now, id, Status::Recovering, step);
                step.effect(id, EffectKind::Terminate);
                self.wake(now, id, now.moment.after(limits::INTERRUPT_GRACE));
            }
            Move::Restart | Move::Reset => self.replace(now, id, step),
            Move::TakeOver => self.take_over(now, id, step),
        }
    }

    pub(super) fn count_attempt(&mut self, id: &SessionId, step: &mut Step) {
        let Some(entry) = self.sessions.get_mut(id) else { return };
        entry.session.retry_count += 1;
        let Some(course) = &mut entry.recovery.course else { return };
        course.report.attempts += 1;
        entry.recovery.streak += u32::from(course.origin != Origin::Caller);
        step.sessions.insert(id.clone());
    }

    /// Sets the one deadline of the recovery.
    pub(super) fn wake(&mut self, now: Now, id: &SessionId, at: Moment) {
        self.unwake(id);
        self.next_number += 1;
        let number = self.next_number;
        let Some(entry) = self.sessions.get_mut(id) else { return };
        let until = entry.recovery.course.as_ref().map_or(at, |course| course.until);
        let key = (at.min(until).max(now.moment), number);
        entry.recovery.timer = Some(key);
        self.deadlines.insert(key, Deadline::Recovery(id.clone()));
    }

    /// Takes it back.
    pub(in crate::engine) fn unwake(&mut self, id: &SessionId) {
        if let Some(key) = self.sessions.get_mut(id).and_then(|entry| entry.recovery.timer.take()) {
            self.deadlines.remove(&key);
        }
    }

    fn interrupt(&mut self, now: Now, id: &SessionId, step: &mut Step) {
        self.count_attempt(id, step);
        self.act(now, id, "SIGINT to the foreground job, then SIGKILL".to_owned(), step);
        self.set_status(now, id, Status::Recovering, step);
        let running = self.sessions.get(id).and_then(|entry| entry.running.clone());
        if let Some(command) = running {
            let timed_out = self.command(&command).is_some_and(|command| command.timed_out);
            let reason = if timed_out { EndReason::Timeout } else { EndReason::Cancelled };
            self.wake(now, id, now.moment.after(INTERRUPT_TIME));
            self.stop(now, &command, reason, EffectKind::Interrupt, step);
        } else {
            step.effect(id, EffectKind::Interrupt);
            self.wake(now, id, now.moment.after(limits::INTERRUPT_GRACE));
        }
    }

    /// The running command is ended by this server, whatever it says itself.
    fn mark_stopped(&mut self, id: &SessionId) {
        let Some(running) = self.sessions.get(id).and_then(|entry| entry.running.clone()) else { return };
        self.unschedule(&running);
        if let Some(entry) = self.commands.get_mut(&running) {
            entry.stopped_for.get_or_insert(EndReason::Cancelled);
        }
    }

    /// A fresh shell, once the old one is gone.
    fn replace(&mut self, now: Now, id: &SessionId, step: &mut Step) {
        let Some(entry) = self.sessions.get_mut(id) else { return };
        let Some(course) = &mut entry.recovery.course else { return };
        let keeps_queue = course.at == Move::Restart || course.requeues;
        let has_worker = entry.has_worker;
        // Nobody asked, and the shell of the attempt before is gone again.
        let is_repeated =
            course.origin != Origin::Caller && course.report.attempts > 0 && course.report.actions.is_empty();
        entry.restart = false;
        course.stage = Stage::Ending { has_failed: false };
        self.set_status(now, id, Status::Recovering, step);
        self.free(now, id, keeps_queue, step);
        if has_worker {
            self.act(now, id, "the old shell and everything that it started are killed".to_owned(), step);
            self.end_shell(now, id, CloseMode::Emergency, Duration::ZERO, step);
        } else if is_repeated {
            self.pause_before_next(now, id, "the last attempt did not last", step);
        } else {
            self.put_back_lost(now, id, step);
            self.start_shell(now, id, step);
        }
    }

    /// Takes what runs, and unless it is kept what waits, away from a shell that goes.
    fn free(&mut self, now: Now, id: &SessionId, keeps_queue: bool, step: &mut Step) {
        self.take_back(now, id, false, step);
        let Some(entry) = self.sessions.get(id) else { return };
        let (running, cursor) = (entry.running.clone(), entry.cursor);
        if !keeps_queue {
            self.lose_commands(now, id, EndReason::SessionLost, step);
        } else if let Some(command) = running {
            self.lose(now, &command, EndReason::SessionLost, cursor, step);
            self.cancel_batch(now, &command, 0, step);
        }
    }

    fn start_shell(&mut self, now: Now, id: &SessionId, step: &mut Step) {
        self.count_attempt(id, step);
        let Some(course) = self.course_mut(id) else { return };
        course.stage = Stage::Starting;
        let fresh = if course.at == Move::Reset { Fresh::AsCreated } else { Fresh::AsItWas };
        let (attempts, most) = (course.report.attempts, course.policy.max_retries);
        let what = match fresh {
            Fresh::AsCreated => "a fresh shell with the settings of the creation",
            Fresh::AsItWas => "a fresh shell with the directory, environment and size of the old one",
        };
        self.act(now, id, format!("{what}: attempt {attempts} of {most}"), step);
        self.set_status(now, id, Status::Recovering, step);
        self.respawn(id, fresh, step);
        self.wake(now, id, now.moment.after(limits::RECOVERY_START));
    }

    /// The session is at its prompt, or its program runs.
    pub(in crate::engine) fn settled(&mut self, now: Now, id: &SessionId, step: &mut Step) {
        let Some(course) = self.course_mut(id) else { return };
        match course.stage {
            Stage::Awaiting | Stage::Killed | Stage::Starting => {}
            Stage::Ending { .. } | Stage::Pausing => return,
        }
        self.act(now, id, "the session is back at its prompt".to_owned(), step);
        self.over(now, id, true, step);
    }

    /// A shell that a signal had stopped goes on.
    pub(super) fn shell_resumed(&mut self, now: Now, id: &SessionId, step: &mut Step) {
        if self.course_mut(id).is_none_or(|course| course.at != Move::Resume) {
            return;
        }
        self.act(now, id, "the shell goes on where it was".to_owned(), step);
        self.come_back(now, id, step);
        self.over(now, id, true, step);
        self.start_next(now, id, step);
    }

    /// The status of a shell that was never replaced.
    fn come_back(&mut self, now: Now, id: &SessionId, step: &mut Step) {
        let Some(entry) = self.sessions.get(id) else { return };
        let was = entry.recovery.course.as_ref().map(|course| course.was);
        let is_idle = entry.running.is_none() && was == Some(Status::Idle);
        if entry.session.status == Status::Recovering {
            self.set_status(now, id, if is_idle { Status::Idle } else { Status::Active }, step);
        }
    }

    /// The shell of a recovery ended.
    pub(super) fn shell_ended_in_course(
        &mut self,
        now: Now,
        id: &SessionId,
        exit: Exit,
        step: &mut Step,
    ) -> bool {
        let Some(course) = self.course_mut(id) else { return false };
        let (stage, asked, at) = (course.stage, course.asked, course.at);
        match stage {
            Stage::Ending { has_failed: false } => self.start_shell(now, id, step),
            Stage::Ending { has_failed: true } => self.attempt_failed(now, id, FailureCategory::Hang, step),
            Stage::Starting => self.attempt_failed(now, id, category::of_exit(exit), step),
            Stage::Awaiting | Stage::Killed => match strategy::next(asked, at) {
                next @ (Move::Restart | Move::Reset) => {
                    self.act(now, id, "the shell ended with what ran in it".to_owned(), step);
                    self.make(now, id, next, step);
                }
                Move::Nothing
                | Move::GiveUp
                | Move::Resume
                | Move::Interrupt
                | Move::Terminate
                | Move::TakeOver => {
                    self.act(now, id, "the shell ended with what ran in it".to_owned(), step);
                    self.give_up(now, id, "the shell ended under its interrupt", step);
                }
            },
            Stage::Pausing => return false,
        }
        true
    }

    /// The shell of a recovery could not be started. Returns whether there is a recovery.
    pub(in crate::engine) fn start_failed_in_course(
        &mut self,
        now: Now,
        id: &SessionId,
        message: &str,
        category: FailureCategory,
        step: &mut Step,
    ) -> bool {
        let Some(_) = self.course_mut(id) else { return false };
        self.act(now, id, format!("it did not start: {message}"), step);
        self.attempt_failed(now, id, category, step);
        true
    }

    /// Another attempt after a pause, if there may be one.
    fn attempt_failed(&mut self, now: Now, id: &SessionId, category: FailureCategory, step: &mut Step) {
        let seed = self.session(id).map_or(0, |session| session.uuid.as_u64_pair().1);
        let Some(course) = self.course_mut(id) else { return };
        let is_first = course.report.attempts <= 1;
        if is_first || category.is_hopeless() {
            course.report.category = Some(category);
        }
        let (attempts, policy, until) = (course.report.attempts, course.policy, course.until);
        let pause = pause(policy.retry_delay_ms, attempts, seed);
        let why = if category.is_hopeless() {
            format!("given up: {} does not pass by trying again", category.as_str())
        } else if attempts >= policy.max_retries {
            format!("given up after {attempts} attempts: {}", category.as_str())
        } else if now.moment.after(pause) >= until {
            format!("given up: the time for a recovery is over ({})", category.as_str())
        } else {
            self.pause_before_next(now, id, category.as_str(), step);
            return;
        };
        self.act(now, id, why.clone(), step);
        self.give_up(now, id, &why, step);
    }

    fn pause_before_next(&mut self, now: Now, id: &SessionId, why: &str, step: &mut Step) {
        let seed = self.session(id).map_or(0, |session| session.uuid.as_u64_pair().1);
        let Some(entry) = self.sessions.get_mut(id) else { return };
        let Some(course) = &mut entry.recovery.course else { return };
        course.stage = Stage::Pausing;
        entry.session.pid = None;
        step.sessions.insert(id.clone());
        let pause = pause(course.policy.retry_delay_ms, course.report.attempts, seed);
        self.act(now, id, format!("{why}: the next attempt follows in {} ms", pause.as_millis()), step);
        self.wake(now, id, now.moment.after(pause));
    }

    /// A recovery's deadline has come.
    pub(in crate::engine) fn recovery_due(&mut self, now: Now, id: &SessionId, step: &mut Step) {
        let Some(entry) = self.sessions.get_mut(id) else { return };
        entry.recovery.timer = None;
        let has_command = entry.running.is_some();
        let Some(course) = &entry.recovery.course else {
            self.held_due(now, id, step);
            return;
        };
        let (stage, at, asked, until) = (course.stage, course.at, course.asked, course.until);
        match (stage, at) {
            (Stage::Pausing, _) => self.start_shell(now, id, step),
            (Stage::Ending { .. }, _) => {}
            (Stage::Starting, _) => {
                self.act(now, id, "no prompt came in time".to_owned(), step);
                if let Some(course) = self.course_mut(id) {
                    course.stage = Stage::Ending { has_failed: true };
                }
                self.end_shell(now, id, CloseMode::Emergency, Duration::ZERO, step);
            }
            (Stage::Awaiting, Move::Interrupt) if !has_command && now.moment < until => {
                if let Some(course) = self.course_mut(id) {
                    course.stage = Stage::Killed;
                }
                step.effect(id, EffectKind::Kill);
                self.wake(now, id, now.moment.after(limits::INTERRUPT_GRACE));
            }
            (Stage::Awaiting | Stage::Killed, _) => self.in_vain(now, id, strategy::next(asked, at), step),
        }
    }

    /// The move at hand did not help.
    fn in_vain(&mut self, now: Now, id: &SessionId, next: Move, step: &mut Step) {
        self.act(now, id, "that did not bring the prompt back".to_owned(), step);
        self.make(now, id, next, step);
    }

    /// The ladder of an interrupt has come to the shell itself. Returns whether a recovery sees to that.
    pub(in crate::engine) fn interrupt_failed_in_course(
        &mut self,
        now: Now,
        id: &SessionId,
        step: &mut Step,
    ) -> bool {
        let Some(course) = self.course_mut(id).filter(|course| course.at == Move::Interrupt) else {
            return false;
        };
        let next = strategy::next(course.asked, course.at);
        self.in_vain(now, id, next, step);
        true
    }

    /// The recovery has failed. A shell that lives and was to be kept is kept; any other is no use.
    fn give_up(&mut self, now: Now, id: &SessionId, why: &str, step: &mut Step) {
        let Some(entry) = self.sessions.get(id) else { return };
        let Some(course) = &entry.recovery.course else { return };
        let keeps_shell = !matches!(course.at, Move::Restart | Move::Reset) && entry.going.is_none();
        let (has_worker, is_live) = (entry.has_worker, entry.session.status.is_live());
        if has_worker && keeps_shell {
            self.come_back(now, id, step);
        }
        self.over(now, id, false, step);
        if has_worker && keeps_shell {
            self.start_next(now, id, step);
        } else if has_worker {
            self.close(now, id, Status::Error, CloseMode::Emergency, None, why, step);
        } else if is_live {
            self.end(now, id, Status::Error, why, step);
        }
    }

    /// The recovery is over.
    pub(in crate::engine) fn over(&mut self, now: Now, id: &SessionId, recovered: bool, step: &mut Step) {
        let Some(entry) = self.sessions.get_mut(id) else { return };
        let Some(mut course) = entry.recovery.course.take() else { return };
        course.report.recovered = Some(recovered);
        if !recovered && entry.closing.is_some() {
            course.report.actions.push("the session was closed meanwhile".to_owned());
        }
        course.report.strategy = course.at.strategy().unwrap_or(course.report.strategy);
        if recovered {
            entry.recovery.back_at = Some(now.moment);
            entry.recovery.lost.clear();
            if !matches!(course.at, Move::Restart | Move::Reset) {
                entry.recovery.streak = 0;
            }
            entry.session.recoveries += u32::from(course.report.attempts > 0);
            step.sessions.insert(id.clone());
        }
        let told = EventKind::Recovery {
            strategy: course.report.strategy.as_str().to_owned(),
            attempt: course.report.attempts,
            outcome: if recovered { "recovered" } else { "not recovered" }.to_owned(),
        };
        entry.recovery.last = Some(course.report);
        self.note(now, id, told, step);
        if let (true, Some(key)) = (recovered, &course.key)
            && self.circuits.trial_succeeded(key)
        {
            self.release(now, key);
        }
        if self.session(id).is_some_and(|session| session.status == Status::Idle) {
            self.watch_idleness(id);
        }
        self.unwake(id);
        step.recovers = true;
    }

    /// The fresh shell starts elsewhere.
    pub(in crate::engine) fn relocated(
        &mut self,
        now: Now,
        id: &SessionId,
        from: &Path,
        to: PathBuf,
        step: &mut Step,
    ) {
        let action = format!("{} is gone: the shell starts in {}", from.display(), to.display());
        if let Some(entry) = self.sessions.get_mut(id) {
            entry.session.working_directory = to;
            step.sessions.insert(id.clone());
        }
        self.act(now, id, action, step);
    }
}
