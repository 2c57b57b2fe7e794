//! What is done about trouble that was seen and not asked about: limits that are passed, shells that
//! a signal stopped, terminals that are gone.

use super::request::CloseMode;
use super::{Deadline, EffectKind, Engine, Step};
use crate::clock::Now;
use crate::id::{CommandId, SessionId};
use crate::limits;
use crate::model::{Breach, EventKind, Limit, Offender, Status};

impl Engine {
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
        let end = EffectKind::EndOffenders { force: false };
        match command {
            Some(command) => self.stop(now, command, breach.limit.reason(), end, step),
            None if breach.by == Offender::Shell => {
                let reason = format!("{}: {}", breach.limit.reason().as_str(), breach.evidence());
                self.close(now, id, Status::Error, CloseMode::Emergency, None, &reason, step);
                return;
            }
            None => step.effect(id, end),
        }
        let grace = match breach.limit {
            Limit::Memory => limits::MEMORY_GRACE,
            Limit::Processes => limits::PROCESS_GRACE,
            Limit::CpuTime | Limit::OpenFiles => limits::INTERRUPT_GRACE,
        };
        self.next_number += 1;
        let key = (now.moment.after(grace), self.next_number);
        // A second limit that is passed meanwhile ends with the first.
        if let Some(entry) = self.sessions.get_mut(id).filter(|entry| entry.limit_timer.is_none()) {
            entry.limit_timer = Some(key);
            self.deadlines.insert(key, Deadline::Limit(id.clone()));
        }
    }

    /// What passes a limit has had its grace.
    pub(super) fn limit_due(&mut self, id: &SessionId, step: &mut Step) {
        if let Some(entry) = self.sessions.get_mut(id) {
            entry.limit_timer = None;
            step.effect(id, EffectKind::EndOffenders { force: true });
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
        let what = command.map_or_else(|| "what passes a limit".to_owned(), |id| format!("command {id}"));
        let reason = format!("stopping {what}: {}", breach.evidence());
        self.note(now, id, EventKind::Decision { reason }, step);
    }

    /// A signal stopped the shell, or it goes on: what is shown of it stays true.
    pub(super) fn shell_stopped(&mut self, now: Now, id: &SessionId, stopped: bool, step: &mut Step) {
        let Some(entry) = self.sessions.get_mut(id) else { return };
        if entry.session.stopped == stopped {
            return;
        }
        entry.session.stopped = stopped;
        step.sessions.insert(id.clone());
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
