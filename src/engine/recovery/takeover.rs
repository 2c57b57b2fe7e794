//! What a session leaves behind: commands that are put back, and another session that takes them over.

use std::time::Duration;

use super::strategy::Move;
use super::{Key, Origin};
use crate::clock::{Moment, Now};
use crate::engine::request::{CloseMode, NewCommand};
use crate::engine::{Engine, Step};
use crate::id::{CommandId, SessionId};
use crate::limits;
use crate::model::{Command, CommandState, Session, Status};

impl Engine {
    /// Puts the running command back at the head of the queue, if the recovery is to do so or if it never
    /// began. `shell_ended` when there was nobody left to end it.
    pub(in crate::engine) fn take_back(
        &mut self,
        now: Now,
        id: &SessionId,
        shell_ended: bool,
        step: &mut Step,
    ) {
        let Some(entry) = self.sessions.get(id) else { return };
        let Some(running) = entry.running.clone() else { return };
        let Some(command) = self.commands.get(&running) else { return };
        let requeues = entry.recovery.course.as_ref().is_some_and(|course| course.requeues);
        let never_began = command.command.output_from.is_none() && command.failed_with.is_none();
        let may = requeues || (shell_ended && never_began && entry.session.recovery.is_some());
        if may {
            self.requeue(now, id, &running, step);
        }
    }

    /// Whether the end of this command is only the end of a try, because its recovery puts it back.
    pub(in crate::engine) fn is_put_back(&self, id: &SessionId, command: &CommandId) -> bool {
        self.sessions.get(id).is_some_and(|entry| {
            entry.running.as_ref() == Some(command)
                && entry.recovery.course.as_ref().is_some_and(|course| course.requeues)
        })
    }

    /// Makes a running command one that waits, before all others.
    pub(in crate::engine) fn requeue(
        &mut self,
        now: Now,
        id: &SessionId,
        command: &CommandId,
        step: &mut Step,
    ) {
        self.unschedule(command);
        let Some(entry) = self.commands.get_mut(command) else { return };
        entry.failed_with = None;
        entry.stopped_for = None;
        let record = &mut entry.command;
        record.state = CommandState::Queued;
        record.attempt = record.attempt.saturating_add(1);
        record.timed_out = false;
        (record.ending, record.reason) = (None, None);
        (record.started_at, record.duration_us) = (None, None);
        (record.output_from, record.output_to) = (None, None);
        record.awaiting_input = None;
        step.commands.insert(command.clone());
        if let Some(entry) = self.sessions.get_mut(id) {
            entry.running = None;
            entry.queue.push_front(command.clone());
        }
        self.act(now, id, format!("{command} is put back to run again"), step);
    }

    /// The shell dies and takes its commands along: keeps what would be put back on request. Tasks see to
    /// themselves, by their retries.
    pub(in crate::engine) fn keep_lost(&mut self, id: &SessionId) {
        let Some(entry) = self.sessions.get(id) else { return };
        let mut bytes = 0;
        let lost = entry.running.iter().chain(&entry.queue).filter_map(|id| self.commands.get(id));
        let lost = lost.filter(|entry| entry.task.is_none()).map(|entry| again(&entry.command));
        let lost = lost.take_while(|new| {
            bytes += new.text.len() + new.stdin.as_ref().map_or(0, String::len);
            bytes <= limits::LOST_BYTES
        });
        let lost: Vec<NewCommand> = lost.collect();
        if let Some(entry) = self.sessions.get_mut(id) {
            entry.recovery.lost = lost;
        }
    }

    /// Accepts what the death of the shell took along once more, if the recovery is to do so.
    pub(super) fn put_back_lost(&mut self, now: Now, id: &SessionId, step: &mut Step) {
        let Some(entry) = self.sessions.get_mut(id) else { return };
        if entry.recovery.course.as_ref().is_none_or(|course| !course.requeues) {
            return;
        }
        let lost = std::mem::take(&mut entry.recovery.lost);
        let uuid = entry.session.uuid;
        for new in lost {
            let drawn = self.draw(now, uuid);
            let command = self.accept(now, id, drawn, new, None, step);
            self.act(now, id, format!("what was lost runs again as {command}"), step);
        }
    }

    /// Another session takes over what waits here.
    pub(super) fn take_over(&mut self, now: Now, id: &SessionId, step: &mut Step) {
        self.count_attempt(id, step);
        let Some(to) = self.sibling(id) else {
            let why = "no idle session with the same capabilities, template or pool can take over";
            self.act(now, id, why.to_owned(), step);
            if self.course_mut(id).is_some_and(|course| course.origin != Origin::Caller) {
                self.make(now, id, Move::Restart, step);
            } else {
                self.over(now, id, false, step);
            }
            return;
        };
        self.take_back(now, id, false, step);
        let Some(entry) = self.sessions.get_mut(id) else { return };
        let moved: Vec<CommandId> = entry.queue.drain(..).collect();
        for command in &moved {
            if let Some(entry) = self.commands.get_mut(command) {
                entry.command.session = to.clone();
                step.commands.insert(command.clone());
            }
        }
        let runs = self.schedule.move_session(id, &to, &moved);
        step.run_records.extend(runs.iter().copied());
        for run in runs {
            self.note_run(now, run, step);
        }
        let mut action = format!("session {to} takes over");
        if !moved.is_empty() {
            action = format!("{action} {} commands that waited", moved.len());
        }
        self.act(now, id, action, step);
        self.move_agents(now, id, &to, step);
        if let Some(course) = self.course_mut(id) {
            course.report.new_session = Some(to.clone());
        }
        if let Some(entry) = self.sessions.get_mut(&to) {
            entry.queue.extend(moved);
        }
        // What was lost with a dead shell runs in the other, too.
        let lost = self.sessions.get_mut(id).map(|entry| std::mem::take(&mut entry.recovery.lost));
        let requeues = self.course_mut(id).is_some_and(|course| course.requeues);
        for new in lost.unwrap_or_default().into_iter().filter(|_| requeues) {
            let uuid = self.session(id).map_or_else(uuid::Uuid::nil, |session| session.uuid);
            let drawn = self.draw(now, uuid);
            self.accept(now, &to, drawn, new, None, step);
        }
        self.over(now, id, true, step);
        self.close(
            now,
            id,
            Status::Terminated,
            CloseMode::Emergency,
            None,
            &format!("session {to} took over"),
            step,
        );
        self.schedule.is_due = true;
        self.start_next(now, &to, step);
    }

    /// A free session that can do what this one can, and was made for the same.
    fn sibling(&self, id: &SessionId) -> Option<SessionId> {
        let own = self.session(id)?;
        let is_pooled = |id: &SessionId| self.schedule.pool.contains_key(id);
        let was_pooled = own.is_pooled();
        let fits = |other: &&Session| {
            let is_same = other.kind == own.kind && other.dialect == own.dialect && other.id != own.id;
            let as_able = own.capabilities.iter().all(|needed| other.capabilities.contains(needed));
            let template = own.metadata.get("template");
            let is_kin = match (was_pooled, is_pooled(&other.id)) {
                (true, true) => other.shell == own.shell,
                (false, false) => {
                    !own.capabilities.is_empty()
                        || template.is_some_and(|t| other.metadata.get("template") == Some(t))
                }
                (true, false) | (false, true) => false,
            };
            is_same && as_able && is_kin && self.is_free(&other.id)
        };
        self.sessions().find(fits).map(|session| session.id.clone())
    }

    /// Ends a session whose circuit is open, to try it again when that is over.
    pub(super) fn hold(&mut self, now: Now, id: &SessionId, until: Moment, why: &str, step: &mut Step) {
        self.end(now, id, Status::Error, why, step);
        self.wake(now, id, until);
    }

    /// The circuit that kept a session from its recovery lets one attempt through.
    pub(super) fn held_due(&mut self, now: Now, id: &SessionId, step: &mut Step) {
        let Some(entry) = self.sessions.get(id) else { return };
        let Some(policy) = entry.session.recovery.filter(|_| entry.session.status == Status::Error) else {
            return;
        };
        let key = self.culprit(id);
        if let Some(key) = &key
            && let Err(refusal) = self.circuits.admit(now, key)
        {
            self.wake(now, id, refusal.until);
            return;
        }
        if self.check_room().is_err() {
            return;
        }
        let category = self.category_now(id, None, super::Standing::Gone);
        let course = super::Course { key, ..self.course(now, id, policy, category, Origin::Policy) };
        self.begin(now, id, course, Move::Restart, step);
    }

    /// Refuses what has retries while its circuit is open: an order by hand is what comes without.
    pub(in crate::engine) fn check_circuit(&self, now: Now, new: &NewCommand) -> crate::error::Result<()> {
        if new.retries.is_none() || self.circuits.is_empty() {
            return Ok(());
        }
        let key = Key::of_command(&new.text);
        self.circuits.refusal(now, &key).map_or(Ok(()), |refusal| Err(refusal.error(&key)))
    }
}

/// The order that a command came from.
fn again(command: &Command) -> NewCommand {
    NewCommand {
        text: command.text.clone(),
        timeout: Some(Duration::from_millis(command.timeout_ms)),
        on_timeout: Some(command.on_timeout),
        when_busy: crate::model::WhenBusy::Queue,
        env: command.env.clone(),
        directory: command.directory.clone(),
        stdin: command.stdin.clone(),
        confined: command.confined,
        ok_exit_codes: command.ok_exit_codes.clone(),
        retries: command.retries,
        limits: command.limits,
    }
}
