//! The life of a command: accepted, queued, handed over, tried again, ended.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::recovery::of_command;
use super::refusals::{ended, no_commands, unknown, unstarted};
use super::request::NewCommand;
use super::sessions::millis;
use super::{CommandEntry, EffectKind, Engine, Exit, Run, Step, Turn};
use crate::clock::Now;
use crate::error::{Error, ErrorCode, Result};
use crate::id::{CommandId, SessionId};
use crate::limits;
use crate::model::{
    Command, CommandState, Dialect, EndReason, Ending, EventKind, FailureCategory, OnTimeout, Session,
    SessionKind, Status, WhenBusy, constraint,
};

/// A command's end as its worker saw it.
pub(super) struct End {
    pub(super) status: i32,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) duration_us: u64,
    pub(super) directory: Option<PathBuf>,
}

impl CommandEntry {
    pub(super) fn new(command: Command, batch: Option<u64>) -> Self {
        Self {
            command,
            batch,
            task: None,
            stopped_for: None,
            at_limit: None,
            failed_with: None,
            never_began: false,
            timer: None,
            handed_at: None,
            response: None,
        }
    }
}

impl Engine {
    pub(super) fn execute(
        &mut self,
        now: Now,
        selector: &str,
        commands: Vec<(Uuid, NewCommand)>,
        stop_on_error: bool,
        step: &mut Step,
    ) -> Result<Vec<Command>> {
        let id = self.resolve(selector)?;
        let entry = self.sessions.get(&id).ok_or_else(unknown)?;
        let session = &entry.session;
        if session.kind == SessionKind::Observer {
            return Err(Error::new(
                ErrorCode::PermissionDenied,
                format!("session {id} is an observer: it runs no commands"),
            )
            .with_hint("use a session of type worker"));
        }
        if !session.status.is_live() || entry.closing.is_some() {
            return Err(ended(session));
        }
        if session.is_unstarted() {
            return Err(unstarted(session));
        }
        if session.dialect == Dialect::Plain {
            return Err(no_commands(&session.shell.display().to_string()));
        }
        if entry.queue.len() + commands.len() > limits::QUEUED_COMMANDS {
            return Err(Error::new(
                ErrorCode::Overloaded,
                format!("{} commands already wait in session {id}", entry.queue.len()),
            )
            .with_hint("wait for them with command_status, or spread the work over more sessions"));
        }
        for (_, command) in &commands {
            self.check_circuit(now, command)?;
        }
        let busy = entry.running.is_some() || !entry.queue.is_empty() || session.status != Status::Idle;
        let policy = commands.first().map_or(WhenBusy::Queue, |(_, command)| command.when_busy);
        if busy && policy == WhenBusy::Error {
            return Err(self.session_busy(&id));
        }
        if busy && policy == WhenBusy::Interrupt {
            self.interrupt_running(now, &id, step);
        }
        self.next_number += 1;
        let batch = stop_on_error.then_some(self.next_number);
        let accepted: Vec<CommandId> = commands
            .into_iter()
            .map(|(uuid, command)| self.accept(now, &id, uuid, command, batch, step))
            .collect();
        self.start_next(now, &id, step);
        Ok(accepted.iter().filter_map(|id| self.command(id).cloned()).collect())
    }

    /// Puts a command at the end of its session's queue.
    pub(super) fn accept(
        &mut self,
        now: Now,
        session: &SessionId,
        uuid: Uuid,
        new: NewCommand,
        batch: Option<u64>,
        step: &mut Step,
    ) -> CommandId {
        let id = CommandId::unique(uuid, |id| self.commands.contains_key(&CommandId::from_text(id)));
        let default_ms = self.session(session).map_or(0, |session| session.command_timeout_ms);
        let recovers = self.session(session).is_some_and(|session| session.recovery.is_some());
        let longest = self.session(session).and_then(|session| constraint::timeout(&session.constraints));
        let timeout_ms = new.timeout.map_or(default_ms, millis).min(longest.map_or(u64::MAX, millis));
        let command = Command {
            id: id.clone(),
            uuid,
            session: session.clone(),
            text: new.text,
            state: CommandState::Queued,
            ending: None,
            reason: None,
            ok_exit_codes: new.ok_exit_codes,
            env: new.env,
            directory: new.directory,
            stdin: new.stdin,
            confined: new.confined,
            timeout_ms,
            on_timeout: new.on_timeout.unwrap_or(if recovers {
                OnTimeout::Recover
            } else {
                OnTimeout::Leave
            }),
            timed_out: false,
            retries: new.retries,
            limits: new.limits,
            attempt: 1,
            queued_at: now.wall,
            started_at: None,
            ended_at: None,
            duration_us: None,
            output_from: None,
            output_to: None,
            working_directory: None,
            awaiting_input: None,
        };
        self.commands.insert(id.clone(), CommandEntry::new(command, batch));
        if let Some(entry) = self.sessions.get_mut(session) {
            entry.queue.push_back(id.clone());
        }
        step.commands.insert(id.clone());
        id
    }

    /// Hands the next command to a shell that is at its prompt.
    pub(super) fn start_next(&mut self, now: Now, id: &SessionId, step: &mut Step) {
        let Some(entry) = self.sessions.get_mut(id) else { return };
        let is_held = entry.running.is_some() || entry.going.is_some() || entry.awaits_replacement();
        if entry.session.status != Status::Idle || is_held {
            return;
        }
        let Some(command) = entry.queue.pop_front() else { return };
        entry.running = Some(command.clone());
        entry.session.last_command = Some(command.clone());
        self.transition(now, id, Status::Active, step);
        // An attempt at a task is told of as such.
        if self.commands.get(&command).is_some_and(|entry| entry.task.is_none()) {
            self.note(now, id, EventKind::CommandStarted { command: command.clone() }, step);
        }
        self.hand_over(now, &command, false, step);
    }

    pub(super) fn begun(&mut self, id: &CommandId, cursor: u64, step: &mut Step) {
        if let Some(entry) = self.commands.get_mut(id)
            && entry.command.state == CommandState::Running
        {
            entry.command.output_from = Some(cursor);
            step.commands.insert(id.clone());
        }
    }

    pub(super) fn awaiting(&mut self, id: &CommandId, line: Option<String>, step: &mut Step) {
        if let Some(entry) = self.commands.get_mut(id)
            && entry.command.state == CommandState::Running
            && entry.command.awaiting_input != line
        {
            entry.command.awaiting_input = line;
            step.noticed.insert(id.clone());
        }
    }

    pub(super) fn ended(&mut self, now: Now, id: &CommandId, end: &End, step: &mut Step) {
        let Some(session_id) = self.command(id).map(|command| command.session.clone()) else { return };
        let Some(session) = self.sessions.get_mut(&session_id) else { return };
        if session.running.as_ref() != Some(id) {
            return;
        }
        let (is_going, is_recovering) = (session.going.is_some(), session.recovery.is_under_way());
        if let Some(directory) = &end.directory {
            session.session.working_directory.clone_from(directory);
            step.sessions.insert(session_id.clone());
        }
        let Some(entry) = self.commands.get_mut(id).filter(|entry| entry.failed_with.is_none()) else {
            return;
        };
        let ran = Duration::from_micros(end.duration_us);
        entry.response = entry.handed_at.map(|handed| now.moment.0.saturating_sub(handed.0 + ran));
        let command = &mut entry.command;
        command.duration_us = Some(end.duration_us);
        command.output_from = Some(end.from);
        command.output_to = Some(end.to);
        command.working_directory.clone_from(&end.directory);
        command.awaiting_input = None;
        command.ending = Some(Ending::Exited(end.status));
        command.reason = entry.stopped_for;
        // What the end of a session is told to everything in it may reach the command before the shell.
        if is_going && !command.is_success() {
            command.reason.get_or_insert(EndReason::SessionLost);
        }
        step.commands.insert(id.clone());
        if self.is_put_back(&session_id, id) {
            self.requeue(now, &session_id, id, step);
            self.leave_command(now, &session_id, step);
            return;
        }
        let Some(entry) = self.commands.get(id) else { return };
        let command = &entry.command;
        // What we stopped because its time was up has failed like any other; the rest was stopped for good.
        let was_late =
            command.reason == Some(EndReason::Timeout) && command.on_timeout.stops() && !is_recovering;
        let is_hopeless = of_command(command).is_some_and(FailureCategory::is_hopeless);
        let by_hand = command.signal() == Some(INTERRUPT) || command.reason.is_some();
        if let Some(retries) = command.retries
            && !command.is_success()
            && (was_late || !by_hand)
            && !is_hopeless
            && !is_going
            && command.attempt <= retries.max
            && self.admits_try(now, id, step)
            && let Some(entry) = self.commands.get_mut(id)
        {
            entry.failed_with = entry.command.ending.take();
            (entry.stopped_for, entry.command.reason) = (None, None);
            let attempt = entry.command.attempt;
            let delay = backoff(retries.delay_ms, retries.backoff, attempt - 1);
            let how = if was_late {
                "outlived its timeout".to_owned()
            } else {
                format!("failed with exit code {}", end.status)
            };
            let reason = format!(
                "command {id} {how}: try {} of {} follows in {} ms",
                attempt.saturating_add(1),
                retries.max.saturating_add(1),
                delay.as_millis()
            );
            self.note(now, &session_id, EventKind::Decision { reason }, step);
            self.schedule(id, now.moment.after(delay), Turn::Retry);
            return;
        }
        self.end_command(now, &session_id, id, step);
    }

    /// The shell is gone, and not because it was told to go: the running command ended it.
    pub(super) fn shell_ended_under_command(
        &mut self,
        now: Now,
        id: &SessionId,
        exit: Exit,
        step: &mut Step,
    ) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let cursor = session.cursor;
        let Some(running) = session.running.clone() else { return };
        let Some(entry) = self.commands.get_mut(&running) else { return };
        let command = &mut entry.command;
        // Before its begin and between its tries a command cannot have been what ended the shell.
        if command.output_from.is_none() || entry.failed_with.is_some() {
            return;
        }
        command.output_to = Some(cursor);
        command.ending = Some(match exit {
            Exit::Code(code) => Ending::ShellExited(code),
            Exit::Signal(signal) => Ending::ShellKilled(signal),
        });
        command.reason = entry.stopped_for;
        self.finish(now, &running, step);
        self.cancel_batch(now, &running, 0, step);
    }

    /// Ends everything that runs or waits in a session whose shell is gone or going.
    pub(super) fn lose_commands(&mut self, now: Now, id: &SessionId, reason: EndReason, step: &mut Step) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let cursor = session.cursor;
        let lost: Vec<CommandId> =
            session.running.take().into_iter().chain(session.queue.drain(..)).collect();
        for command in lost {
            self.lose(now, &command, reason, cursor, step);
        }
    }

    /// The pause before the next try is over.
    pub(super) fn retry(&mut self, now: Now, id: &CommandId, step: &mut Step) {
        let Some(session) = self.command(id).and_then(|command| self.sessions.get(&command.session)) else {
            return;
        };
        // A shell that is going takes its command along.
        if session.going.is_some() {
            return;
        }
        let (session, status) = (session.session.id.clone(), session.session.status);
        let Some(entry) = self.commands.get_mut(id) else { return };
        entry.failed_with = None;
        entry.command.attempt += 1;
        let was_late = std::mem::take(&mut entry.command.timed_out);
        // The try before outlived its timeout; this one has not.
        if status == Status::Timeout {
            self.set_status(now, &session, Status::Idle, step);
            self.set_status(now, &session, Status::Active, step);
        }
        self.hand_over(now, id, was_late, step);
    }

    /// Gives the current try of a running command to its worker, and its timeout a deadline.
    pub(super) fn hand_over(&mut self, now: Now, id: &CommandId, is_after_timeout: bool, step: &mut Step) {
        let Some(entry) = self.commands.get_mut(id) else { return };
        entry.handed_at = Some(now.moment);
        let command = &mut entry.command;
        command.state = CommandState::Running;
        command.started_at = Some(now.wall);
        command.output_from = None;
        command.output_to = None;
        step.commands.insert(id.clone());
        let due = now.moment.after(Duration::from_millis(command.timeout_ms));
        let session = command.session.clone();
        let command = command.clone();
        let exports = self.sessions.get_mut(&session).map(|entry| std::mem::take(&mut entry.exports));
        let run = Run { command, exports: exports.unwrap_or_default(), is_after_timeout };
        step.effect(&session, EffectKind::Run(Box::new(run)));
        self.schedule(id, due, Turn::Timeout);
    }

    /// Ends a command, whose ending is set, in a shell that lives on.
    pub(super) fn end_command(&mut self, now: Now, session: &SessionId, id: &CommandId, step: &mut Step) {
        self.finish(now, id, step);
        self.cancel_batch(now, id, 0, step);
        self.leave_command(now, session, step);
    }

    /// Marks a command, whose ending is set, as over.
    fn finish(&mut self, now: Now, id: &CommandId, step: &mut Step) {
        let Some(entry) = self.commands.get_mut(id) else { return };
        let command = &mut entry.command;
        command.state = CommandState::Ended;
        command.ended_at = Some(now.wall);
        if let Some(started) = command.started_at {
            // A shell that ended under its command reported no duration: the clocks on the wall have to do.
            let took_us = now.wall.since(started).as_micros();
            command.duration_us.get_or_insert(u64::try_from(took_us).unwrap_or(u64::MAX));
        }
        command.awaiting_input = None;
        trim(command);
        let (exit_code, success, task) = (command.exit_code(), command.is_success(), entry.task);
        if let Some(limit) = entry.at_limit.filter(|_| !success) {
            command.reason.get_or_insert(limit.reason());
        }
        let session = command.session.clone();
        step.commands.insert(id.clone());
        self.unschedule(id);
        self.ended_commands.push_back(id.clone());
        if let Some(entry) = self.sessions.get_mut(&session) {
            entry.running.take_if(|running| running == id);
            if exit_code.is_some() {
                entry.session.commands_executed += 1;
                entry.session.commands_failed += u64::from(!success);
            }
            step.sessions.insert(session.clone());
        }
        if success {
            self.close_circuit(now, id);
        }
        if let Some(task) = task {
            self.attempt_ended(now, task, id, step);
        } else {
            let reason = self.command(id).and_then(|command| command.reason);
            self.note(
                now,
                &session,
                EventKind::CommandEnded { command: id.clone(), exit_code, reason },
                step,
            );
        }
        self.forget_old(step);
    }

    /// Cancels what comes behind a command that failed in a batch that stops on errors; `place` is
    /// where the queue goes on behind it.
    pub(super) fn cancel_batch(&mut self, now: Now, id: &CommandId, place: usize, step: &mut Step) {
        let Some(failed) = self.commands.get(id) else { return };
        let batch = failed.batch;
        if batch.is_none() || failed.command.is_success() {
            return;
        }
        let Some(entry) = self.sessions.get_mut(&failed.command.session) else { return };
        let cursor = entry.cursor;
        let behind = entry.queue.split_off(place);
        let (rest, others): (Vec<_>, Vec<_>) = behind
            .into_iter()
            .partition(|id| self.commands.get(id).is_some_and(|entry| entry.batch == batch));
        entry.queue.extend(others);
        for id in rest {
            self.lose(now, &id, EndReason::Cancelled, cursor, step);
        }
    }

    pub(super) fn lose(&mut self, now: Now, id: &CommandId, reason: EndReason, cursor: u64, step: &mut Step) {
        let Some(entry) = self.commands.get_mut(id) else { return };
        let command = &mut entry.command;
        if command.is_ended() {
            return;
        }
        entry.never_began = command.output_from.is_none() && entry.failed_with.is_none();
        // What comes behind a try that is over is not its output.
        if command.state == CommandState::Running && entry.failed_with.is_none() {
            command.output_from.get_or_insert(cursor);
            command.output_to = Some(cursor);
        }
        command.ending = Some(Ending::Lost);
        command.reason = Some(entry.stopped_for.unwrap_or(reason));
        self.finish(now, id, step);
    }

    /// The shell is done with a command: on to the next, or back to the prompt.
    fn leave_command(&mut self, now: Now, id: &SessionId, step: &mut Step) {
        self.ran_well(id);
        let is_news = |session: &Session| matches!(session.status, Status::Timeout | Status::Recovering);
        if self.session(id).is_some_and(is_news) {
            self.set_status(now, id, Status::Idle, step);
        } else {
            self.transition(now, id, Status::Idle, step);
        }
        self.settled(now, id, step);
        self.watch_idleness(id);
        self.breach_over(now, id);
        self.start_next(now, id, step);
    }

    /// The last run before this one of the same line in its session, as far as both are in memory and the
    /// line is kept whole.
    pub fn earlier_run(&self, id: &CommandId) -> Option<&Command> {
        let command = self.command(id)?;
        if command.text.len() > limits::ENDED_TEXT_BYTES {
            return None;
        }
        let mut before = self.ended_commands.iter().rev().skip_while(|ended| *ended != id).skip(1);
        before.find_map(|ended| {
            self.command(ended).filter(|earlier| {
                earlier.session == command.session
                    && earlier.text == command.text
                    && earlier.directory == command.directory
                    && earlier.output_to.is_some()
            })
        })
    }

    fn session_busy(&self, id: &SessionId) -> Error {
        let running = self.sessions.get(id).and_then(|entry| entry.running.as_ref());
        let shown = running.and_then(|id| self.command(id)).map(|command| {
            json!({"commandId": command.id, "command": command.text.chars().take(80).collect::<String>()})
        });
        let what = match running {
            Some(command) => format!("is running {command}"),
            None => "is not at its prompt".to_owned(),
        };
        Error::new(ErrorCode::SessionBusy, format!("session {id} {what}"))
            .with_hint("wait for it with command_status, pass whenBusy \"queue\" or \"interrupt\", or use another session")
            .with_details(json!({ "running": shown }))
    }
}

/// Cuts an ended command down: what was run and read is not needed again, and may be megabytes.
pub(super) fn trim(command: &mut Command) {
    command.stdin = None;
    let text = &mut command.text;
    let length = text.len();
    if length > limits::ENDED_TEXT_BYTES {
        let mut kept = limits::ENDED_TEXT_BYTES;
        while !text.is_char_boundary(kept) {
            kept -= 1;
        }
        *text = format!("{}… [{length} bytes]", &text[..kept]);
    }
}

/// SIGINT: what Ctrl-C sends, so the caller wanted the end.
const INTERRUPT: i32 = 2;

/// The pause before a retry: `delay × factor^exponent`, at most an hour.
pub(super) fn backoff(delay_ms: u64, factor: f64, exponent: u32) -> Duration {
    const MOST_MS: f64 = 3_600_000.0;
    #[expect(clippy::cast_precision_loss, reason = "a delay far below 2^52 ms")]
    let delay = delay_ms as f64 * factor.powi(i32::try_from(exponent).unwrap_or(i32::MAX));
    // A delay of 0 times an infinite factor is not a number: that is no delay at all.
    let bounded = if delay.is_nan() { 0.0 } else { delay.clamp(0.0, MOST_MS) };
    Duration::from_secs_f64(bounded / 1_000.0)
}
