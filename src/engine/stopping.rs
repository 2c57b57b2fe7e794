//! How commands are stopped before their own end: by their timeout, a limit, a cancellation or
//! another command that is to run, with a ladder of ever firmer means behind each.

use std::collections::HashMap;
use std::time::Duration;

use super::request::{CancelScope, CloseMode};
use super::{CommandEntry, EffectKind, Engine, Step, Turn};
use crate::clock::Now;
use crate::id::{CommandId, SessionId};
use crate::limits;
use crate::model::{CommandState, EndReason, EventKind, OnTimeout, Status};

impl Engine {
    pub(super) fn timed_out(&mut self, now: Now, id: &CommandId, step: &mut Step) {
        let Some(entry) = running(&mut self.commands, id) else { return };
        entry.command.timed_out = true;
        let (session, policy) = (entry.command.session.clone(), entry.command.on_timeout);
        step.commands.insert(id.clone());
        self.note(now, &session, EventKind::TimedOut { command: id.clone() }, step);
        if self.session(&session).is_some_and(|session| session.status == Status::Active) {
            self.set_status(now, &session, Status::Timeout, step);
        }
        match policy {
            OnTimeout::Leave => {}
            OnTimeout::Recover => self.recover_from_timeout(now, &session, step),
            OnTimeout::Interrupt => self.stop(now, id, EndReason::Timeout, EffectKind::Interrupt, step),
            OnTimeout::Kill => self.stop(now, id, EndReason::Timeout, EffectKind::Kill, step),
        }
    }

    pub(super) fn kill(&mut self, now: Now, id: &CommandId, step: &mut Step) {
        let Some(entry) = running(&mut self.commands, id) else { return };
        let session = entry.command.session.clone();
        let reason = format!("command {id} outlived its interrupt: SIGKILL");
        self.note(now, &session, EventKind::Decision { reason }, step);
        step.effect(&session, EffectKind::Kill);
        self.schedule(id, now.moment.after(limits::INTERRUPT_GRACE), Turn::KillShell);
    }

    pub(super) fn kill_shell(&mut self, now: Now, id: &CommandId, step: &mut Step) {
        let Some(entry) = running(&mut self.commands, id) else { return };
        let session = entry.command.session.clone();
        if self.interrupt_failed_in_course(now, &session, step) {
            return;
        }
        let reason = format!("command {id} runs in the shell itself and cannot be ended without it");
        self.note(now, &session, EventKind::Decision { reason: reason.clone() }, step);
        self.end_shell(now, &session, CloseMode::Emergency, Duration::ZERO, step);
    }

    pub(super) fn cancel_commands(
        &mut self,
        now: Now,
        ids: &[CommandId],
        scope: CancelScope,
        step: &mut Step,
    ) {
        for id in ids {
            self.cancel_queued(now, id, step);
            if scope == CancelScope::All {
                self.stop(now, id, EndReason::Cancelled, EffectKind::Interrupt, step);
            }
        }
    }

    fn cancel_queued(&mut self, now: Now, id: &CommandId, step: &mut Step) {
        let Some(command) = self.command(id) else { return };
        let session = command.session.clone();
        let Some(entry) = self.sessions.get_mut(&session) else { return };
        let Some(place) = entry.queue.iter().position(|queued| queued == id) else { return };
        entry.queue.remove(place);
        let cursor = entry.cursor;
        self.lose(now, id, EndReason::Cancelled, cursor, step);
        self.cancel_batch(now, id, place, step);
    }

    pub(super) fn interrupt_running(&mut self, now: Now, id: &SessionId, step: &mut Step) {
        match self.sessions.get(id).and_then(|entry| entry.running.clone()) {
            Some(running) => self.stop(now, &running, EndReason::Cancelled, EffectKind::Interrupt, step),
            // Something typed in by hand has the terminal. A shell that starts is left alone: its
            // start-up files would be cut short.
            None if self.session(id).is_some_and(|session| session.status == Status::Active) => {
                step.effect(id, EffectKind::Interrupt);
            }
            None => {}
        }
    }

    /// The command of a session that failed and waits for its next try: there is nothing that could be
    /// signalled.
    pub fn between_tries(&self, id: &SessionId) -> Option<&CommandId> {
        let running = self.sessions.get(id)?.running.as_ref()?;
        self.commands.get(running)?.failed_with.as_ref().map(|_| running)
    }

    /// Ends a running command for a reason of ours, with the ladder behind it.
    pub(super) fn stop(
        &mut self,
        now: Now,
        id: &CommandId,
        reason: EndReason,
        first: EffectKind,
        step: &mut Step,
    ) {
        let Some(entry) = self.commands.get_mut(id) else { return };
        // Who has lost patience may kill what is on the ladder already.
        let is_harder = first == EffectKind::Kill;
        if entry.command.state != CommandState::Running || (entry.stopped_for.is_some() && !is_harder) {
            return;
        }
        entry.stopped_for.get_or_insert(reason);
        let session = entry.command.session.clone();
        if let Some(ending) = entry.failed_with.take() {
            // Between two tries the shell is at its prompt: nothing to signal, and the failure stands.
            entry.command.ending = Some(ending);
            entry.command.reason = Some(reason);
            self.end_command(now, &session, id, step);
            return;
        }
        let next = if first == EffectKind::Kill { Turn::KillShell } else { Turn::Kill };
        step.effect(&session, first);
        self.schedule(id, now.moment.after(limits::INTERRUPT_GRACE), next);
    }
}

fn running<'a>(
    commands: &'a mut HashMap<CommandId, CommandEntry>,
    id: &CommandId,
) -> Option<&'a mut CommandEntry> {
    commands.get_mut(id).filter(|entry| entry.command.state == CommandState::Running)
}
