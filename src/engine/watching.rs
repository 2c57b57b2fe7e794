//! What is done about trouble that was seen and not asked about: limits that are passed, shells that
//! a signal stopped, terminals that are gone.

use std::time::Duration;

use super::health::{Finding, Health, TaskSight};
use super::request::CloseMode;
use super::{Deadline, EffectKind, Engine, Step};
use crate::clock::Now;
use crate::id::{CommandId, RunId, SessionId};
use crate::limits;
use crate::model::{
    Breach, Command, Event, EventKind, Limit, Offender, OnCritical, RecoveryStrategy, Status, TaskDetail,
};

/// Tasks that are looked at for one that no session can take.
const TASKS_LOOKED_AT: usize = 1_000;

impl Engine {
    /// What a look at the health found that the look before had not, what it found again, and what it did not
    /// find any more.
    pub fn health_seen(&mut self, now: Now, [found, still, gone]: [&[Finding]; 3], step: &mut Step) {
        for finding in still.iter().filter(|finding| finding.health == Health::Critical) {
            if finding.session.as_ref().is_some_and(|id| self.may_try_again(now, id)) {
                self.act_on_critical(now, finding, step);
            }
        }
        for finding in found {
            self.note_finding(now, finding, true, step);
            if finding.health == Health::Critical {
                self.act_on_critical(now, finding, step);
            }
        }
        for finding in gone {
            self.note_finding(now, finding, false, step);
        }
    }

    /// The one place where a finding becomes an event.
    fn note_finding(&mut self, now: Now, finding: &Finding, is_there: bool, step: &mut Step) {
        let kind = EventKind::Health {
            component: finding.component.as_str().to_owned(),
            severity: if is_there { finding.health } else { Health::Healthy }.as_str().to_owned(),
            message: if is_there { finding.message.clone() } else { format!("over: {}", finding.message) },
        };
        match finding.session.as_ref() {
            Some(id) if self.sessions.contains_key(id) => self.note(now, id, kind, step),
            Some(_) => {}
            None => step.events.push(Event {
                session: None,
                run: None,
                task: None,
                at: now.wall,
                output_cursor: 0,
                kind,
            }),
        }
    }

    /// What the session's creator wants done when it is critical.
    fn act_on_critical(&mut self, now: Now, finding: &Finding, step: &mut Step) {
        let Some(id) = &finding.session else { return };
        let Some(entry) = self.sessions.get(id) else { return };
        let Some(monitor) = entry.session.monitor else { return };
        match monitor.on_critical {
            OnCritical::Notify => {}
            OnCritical::Interrupt => self.recover_for_monitor(now, id, RecoveryStrategy::Interrupt, step),
            OnCritical::Restart => self.recover_for_monitor(now, id, RecoveryStrategy::Restart, step),
            OnCritical::Close => {
                let reason = format!("closed by its monitor: {}", finding.message);
                self.close(now, id, Status::Terminated, CloseMode::Force, None, &reason, step);
            }
        }
    }

    /// Tasks that are not over.
    pub fn open_tasks(&self) -> TaskSight {
        let mut sight = TaskSight::default();
        let mut left = TASKS_LOOKED_AT;
        for (_, entry) in self.schedule.active() {
            let counts = entry.counts();
            sight.queued += counts.queued;
            sight.running += counts.running;
            let asks = entry.tasks.iter().enumerate().filter(|(_, task)| !task.requirements.is_empty());
            for (number, _) in asks.take(left) {
                left -= 1;
                let Ok(number) = u32::try_from(number) else { break };
                let detail = entry.detail(number, || self.starved(entry, number));
                sight.incapable += usize::from(detail == Some(TaskDetail::NoCapableSession));
            }
        }
        sight
    }

    /// The run with the most running tasks, and how many.
    pub fn busiest_run(&self) -> Option<(RunId, usize)> {
        let running = self.schedule.active().map(|(_, entry)| (&entry.run.id, entry.counts().running));
        let (run, most) = running.max_by_key(|(_, running)| *running)?;
        (most > 0).then(|| (run.clone(), most))
    }

    /// The session's running command.
    pub fn running(&self, id: &SessionId) -> Option<&Command> {
        self.command(self.sessions.get(id)?.running.as_ref()?)
    }

    /// Ends what passes a limit, politely first. The shell stays, unless it is what passes it.
    pub(super) fn limit_passed(
        &mut self,
        now: Now,
        id: &SessionId,
        command: Option<&CommandId>,
        breach: Breach,
        step: &mut Step,
    ) {
        let Some(entry) = self.sessions.get(id) else { return };
        if command.is_some() && command != entry.running.as_ref() {
            return;
        }
        self.note_breach(now, id, command, breach, step);
        if !breach.is_passed() {
            if let Some(command) = command.and_then(|id| self.commands.get_mut(id)) {
                command.at_limit = Some(breach.limit);
            }
            return;
        }
        if let Some(entry) = self.sessions.get_mut(id) {
            entry.breach = Some(breach);
            if breach.limit == Limit::CpuTime && breach.by == Offender::Session {
                entry.session.cpu_time_spent = true;
                step.sessions.insert(id.clone());
            }
        }
        let end = EffectKind::EndOffenders { force: false };
        match command {
            Some(command) => self.stop(now, command, breach.limit.reason(), end, step),
            None if breach.by == Offender::Shell => {
                // Its end says why, and is one that it may be recovered from.
                self.end_shell(now, id, CloseMode::Emergency, Duration::ZERO, step);
                return;
            }
            None => step.effect(id, end),
        }
        let grace = match breach.limit {
            Limit::Memory => limits::MEMORY_GRACE,
            Limit::Processes => limits::PROCESS_GRACE,
            Limit::CpuTime | Limit::OpenFiles | Limit::Tasks => limits::INTERRUPT_GRACE,
        };
        self.next_number += 1;
        let key = (now.moment.after(grace), self.next_number);
        // A second limit that is passed meanwhile ends with the first.
        if let Some(entry) = self.sessions.get_mut(id).filter(|entry| entry.limit_timer.is_none()) {
            entry.limit_timer = Some(key);
            self.deadlines.insert(key, Deadline::Limit(id.clone()));
        }
    }

    /// The one place where a passed limit becomes an event.
    fn note_breach(
        &mut self,
        now: Now,
        id: &SessionId,
        command: Option<&CommandId>,
        breach: Breach,
        step: &mut Step,
    ) {
        let Breach { limit, measured, allowed, .. } = breach;
        let (limit, command) = (limit.as_str().to_owned(), command.cloned());
        self.note(now, id, EventKind::Limit { limit, measured, allowed, command }, step);
    }

    /// A signal stopped the shell, or it goes on: what is shown of it stays true.
    pub(super) fn shell_stopped(&mut self, now: Now, id: &SessionId, stopped: bool, step: &mut Step) {
        self.recover_from_stop(now, id, stopped, step);
        let Some(entry) = self.sessions.get_mut(id) else { return };
        if entry.session.stopped == stopped {
            return;
        }
        entry.session.stopped = stopped;
        self.schedule.is_due = true;
        step.sessions.insert(id.clone());
        if stopped {
            self.pool_member_stopped(now, id, step);
        }
        let reason = if stopped {
            "a signal stopped the shell: it does nothing until SIGCONT or session_reset"
        } else {
            "the shell goes on after a stop"
        };
        self.note(now, id, EventKind::Decision { reason: reason.to_owned() }, step);
    }

    /// The program closed its terminal: there is no way to it any more, so it is ended.
    pub(super) fn terminal_lost(&mut self, now: Now, id: &SessionId, step: &mut Step) {
        let reason = "its program closed the terminal and lived on";
        self.note(now, id, EventKind::Decision { reason: format!("ending the session: {reason}") }, step);
        self.close(now, id, Status::Error, CloseMode::Force, None, reason, step);
    }
}
