//! The life of a session: created, at its prompt, busy, reset, closed, gone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use uuid::Uuid;

use super::commands::trim;
use super::heritage::{kept, known};
use super::refusals::{ended, no_commands, unknown, unstarted};
use super::request::{CloseMode, Inherited, NewCommand, NewSession};
use super::{EffectKind, Engine, Entry, Exit, Spawn, Step};
use crate::clock::Now;
use crate::error::{Error, ErrorCode, Result};
use crate::id::SessionId;
use crate::limits;
use crate::model::{
    AutoAccept, Command, CommandState, Dialect, EndReason, EventKind, FailureCategory, Session, Status,
    secret,
};

/// What a fresh shell begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fresh {
    /// What the session was created with.
    AsCreated,
    /// The directory and the exported variables of the shell before it.
    AsItWas,
}

/// What the edge looked up for a session to be created.
pub(super) struct Creation {
    pub(super) uuid: Uuid,
    pub(super) shell: PathBuf,
    pub(super) dialect: Dialect,
    pub(super) directory: PathBuf,
    pub(super) command_uuid: Uuid,
}

impl Engine {
    pub(super) fn create_session(
        &mut self,
        now: Now,
        creation: Creation,
        new: NewSession,
        step: &mut Step,
    ) -> Result<Session> {
        self.check_room()?;
        let crew = self.crew(&new)?;
        if new.command.is_some() && creation.dialect == Dialect::Plain {
            return Err(no_commands(&creation.shell.display().to_string()));
        }
        let (env, exported, unset) = self.inherited(&new);
        let id = SessionId::unique(creation.uuid, |id| self.sessions.contains_key(&SessionId::from_text(id)));
        let program =
            creation.shell.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let name =
            new.name.unwrap_or_else(|| format!("{program}-{}", &id.as_str()[SessionId::PREFIX.len()..]));
        let session = Session {
            id: id.clone(),
            uuid: creation.uuid,
            name,
            kind: new.kind,
            status: Status::Initializing,
            shell: creation.shell,
            dialect: creation.dialect,
            profile: new.profile,
            created_directory: new.created_directory.unwrap_or_else(|| creation.directory.clone()),
            root: new.root,
            working_directory: creation.directory,
            env: secret::redacted(&env),
            exported: kept(&exported),
            unset,
            restored_from: new.heir_of.as_ref().filter(|heir| heir.output).map(|heir| heir.of.clone()),
            size: new.size,
            metadata: new.metadata,
            capabilities: new.capabilities,
            constraints: new.constraints,
            limits: new.limits,
            affinity: None,
            needs: new.needs,
            monitor: new.monitor,
            auto_accept: new.auto_accept,
            stopped: false,
            cpu_time_spent: false,
            command_timeout_ms: millis(new.command_timeout.unwrap_or(self.defaults.command_timeout)),
            idle_timeout_ms: new.idle_timeout.or(self.defaults.idle_timeout).map(millis),
            output_bytes: new.output_bytes.unwrap_or(self.defaults.output_bytes),
            pid: None,
            generation: u32::from(!new.is_deferred),
            created_at: now.wall,
            last_activity: now.wall,
            ended_at: None,
            end_reason: None,
            ended_by_force: false,
            exit_code: None,
            last_command: None,
            commands_executed: 0,
            commands_failed: 0,
            retry_count: 0,
            recoveries: 0,
            recovery: new.recovery,
        };
        let brought_back =
            new.heir_of.filter(|heritage| heritage.output && heritage.variables == Inherited::All);
        self.order.push(id.clone());
        let answering = Some(&session.auto_accept).filter(|given| given.enabled).map(AutoAccept::in_words);
        self.sessions.insert(id.clone(), Entry::new(session, env, exported, now));
        if let Some(answering) = answering {
            let reason = format!("autoAccept: {answering}");
            self.note(now, &id, EventKind::Decision { reason }, step);
        }
        if !new.is_deferred {
            self.spawn(&id, Fresh::AsCreated, step);
        }
        if let Some(text) = new.command {
            let mut command = NewCommand::line(text);
            command.timeout = Some(limits::LONGEST);
            let command = self.accept(now, &id, creation.command_uuid, command, None, step);
            // What is made of it before its start begins with the same.
            if let Some(entry) = self.sessions.get_mut(&id).filter(|_| new.is_deferred) {
                entry.session.last_command = Some(command);
            }
        }
        if let Some(heritage) = brought_back {
            self.restore_affinity(now, &id, &heritage.of, step);
        }
        self.muster(now, &id, crew, step)?;
        step.sessions.insert(id.clone());
        self.session(&id).cloned().ok_or_else(|| Error::new(ErrorCode::Internal, "a new session is unknown"))
    }

    /// Puts what an earlier server left into the tables, and ends what it left running.
    pub fn restore(&mut self, now: Now, sessions: Vec<Session>, commands: Vec<Command>, step: &mut Step) {
        let mut running = BTreeMap::new();
        for mut command in commands {
            if !command.is_ended() {
                if command.state == CommandState::Running {
                    running.insert(command.session.clone(), command.id.clone());
                }
                command.state = CommandState::Ended;
                command.ending = Some(crate::model::Ending::Lost);
                command.reason = Some(EndReason::ServerRestart);
                command.ended_at = Some(now.wall);
                command.awaiting_input = None;
                trim(&mut command);
                step.commands.insert(command.id.clone());
            }
            self.ended_commands.push_back(command.id.clone());
            self.commands.insert(command.id.clone(), super::CommandEntry::new(command, None));
        }
        for mut session in sessions {
            let id = session.id.clone();
            let was_over = session.status.is_final();
            // What a session began to run was committed with the command alone.
            session.last_command = running.remove(&id).or(session.last_command);
            self.order.push(id.clone());
            // What was redacted is lost: better unset than set to the redaction.
            let (env, exported) = (known(&session.env), known(&session.exported));
            self.sessions.insert(id.clone(), Entry::new(session, env, exported, now));
            if was_over {
                self.ended_sessions.push_back(id);
            } else {
                self.end(now, &id, Status::Terminated, "server_restart", step);
            }
        }
        self.forget_old(step);
        self.watch_ended(now);
    }

    pub(super) fn reset_session(&mut self, now: Now, selector: &str, step: &mut Step) -> Result<Session> {
        let id = self.resolve(selector)?;
        let entry = self.sessions.get(&id).ok_or_else(unknown)?;
        if entry.session.status.is_final() || entry.closing.is_some() {
            return Err(ended(&entry.session));
        }
        if entry.session.is_unstarted() {
            return Err(unstarted(&entry.session));
        }
        let has_worker = entry.has_worker;
        if !has_worker {
            self.check_room()?;
        }
        self.over(now, &id, false, step);
        let entry = self.sessions.get_mut(&id).ok_or_else(unknown)?;
        entry.restart = has_worker;
        step.sessions.insert(id.clone());
        self.lose_commands(now, &id, EndReason::SessionLost, step);
        self.set_status(now, &id, Status::Recovering, step);
        self.note(
            now,
            &id,
            EventKind::Decision { reason: "reset by the caller: a fresh shell follows".into() },
            step,
        );
        if has_worker {
            self.end_shell(now, &id, CloseMode::Emergency, Duration::ZERO, step);
        } else {
            self.respawn(&id, Fresh::AsCreated, step);
        }
        self.session(&id).cloned().ok_or_else(unknown)
    }

    /// Ends a session in order; `status` is what it will be then.
    #[expect(clippy::too_many_arguments, reason = "the parts of one request, named at each call")]
    pub(super) fn close(
        &mut self,
        now: Now,
        id: &SessionId,
        status: Status,
        mode: CloseMode,
        grace: Option<Duration>,
        reason: &str,
        step: &mut Step,
    ) {
        let Some(entry) = self.sessions.get_mut(id) else { return };
        if entry.session.status.is_final() {
            return;
        }
        if !entry.has_worker {
            self.end(now, id, status, reason, step);
            return;
        }
        entry.restart = false;
        entry.closing.get_or_insert((status, reason.to_owned()));
        let grace = match mode {
            CloseMode::Graceful => grace.unwrap_or(limits::CLOSE_GRACE),
            CloseMode::Force => grace.unwrap_or(limits::FORCE_GRACE).min(limits::FORCE_GRACE),
            CloseMode::Emergency => Duration::ZERO,
        };
        self.end_shell(now, id, mode, grace, step);
    }

    /// Tells a worker to end its shell. Told again, it only hears what brings the end forward: a
    /// caller that asks every few seconds must not keep a session alive.
    pub(super) fn end_shell(
        &mut self,
        now: Now,
        id: &SessionId,
        mode: CloseMode,
        grace: Duration,
        step: &mut Step,
    ) {
        let Some(entry) = self.sessions.get_mut(id) else { return };
        let until = now.moment.after(grace);
        if entry.going.is_none_or(|earlier| until < earlier) {
            entry.going = Some(until);
            step.effect(id, EffectKind::Close { mode, grace });
        }
    }

    pub(super) fn started(&mut self, now: Now, id: &SessionId, pid: u32, step: &mut Step) {
        let Some(entry) = self.sessions.get_mut(id) else { return };
        entry.session.pid = Some(pid);
        step.sessions.insert(id.clone());
        let is_ready = entry.session.dialect == Dialect::Plain && entry.going.is_none();
        self.note(now, id, EventKind::Started { pid }, step);
        if is_ready {
            self.set_status(now, id, Status::Active, step);
            self.settled(now, id, step);
        }
    }

    pub(super) fn spawn_failed(
        &mut self,
        now: Now,
        id: &SessionId,
        message: String,
        category: FailureCategory,
        step: &mut Step,
    ) {
        let Some(entry) = self.sessions.get_mut(id) else { return };
        entry.has_worker = false;
        entry.restart = false;
        if entry.closing.is_none() && self.start_failed_in_course(now, id, &message, category, step) {
            return;
        }
        let Some(entry) = self.sessions.get_mut(id) else { return };
        let (status, reason) = entry.closing.take().unwrap_or((Status::Error, message));
        self.end(now, id, status, &reason, step);
    }

    pub(super) fn prompt(&mut self, now: Now, id: &SessionId, directory: Option<PathBuf>, step: &mut Step) {
        let Some(entry) = self.sessions.get_mut(id) else { return };
        if let Some(directory) = directory
            && directory != entry.session.working_directory
        {
            entry.session.working_directory = directory;
            step.sessions.insert(id.clone());
        }
        if entry.running.is_some() || entry.going.is_some() {
            return;
        }
        self.set_status(now, id, Status::Idle, step);
        self.settled(now, id, step);
        self.watch_idleness(id);
        self.breach_over(now, id);
        self.start_next(now, id, step);
    }

    pub(super) fn busy(&mut self, now: Now, id: &SessionId, step: &mut Step) {
        if self.session(id).is_some_and(|session| session.status == Status::Idle) {
            self.set_status(now, id, Status::Active, step);
        }
    }

    /// Something was typed or signalled: the session is in use.
    pub(super) fn activity(&mut self, now: Now, id: &SessionId, kind: EventKind, step: &mut Step) {
        let Some(entry) = self.sessions.get_mut(id) else { return };
        entry.session.last_activity = now.wall;
        entry.active_at = now.moment;
        entry.consent.typed();
        step.sessions.insert(id.clone());
        self.note(now, id, kind, step);
    }

    /// The shell ended and nothing of it is left.
    pub(super) fn gone(&mut self, now: Now, id: &SessionId, exit: Exit, forced: bool, step: &mut Step) {
        let Some(entry) = self.sessions.get_mut(id) else { return };
        entry.has_worker = false;
        if let Some(key) = entry.limit_timer.take() {
            self.deadlines.remove(&key);
        }
        entry.session.exit_code = Some(exit.code());
        entry.session.ended_by_force = forced;
        let restart = std::mem::take(&mut entry.restart);
        let closing = entry.closing.take();
        let ordered = restart || closing.is_some();
        self.note(now, id, EventKind::Exited { exit_code: exit.code() }, step);
        if !ordered {
            self.take_back(now, id, true, step);
            self.keep_lost(id);
            self.shell_ended_under_command(now, id, exit, step);
        }
        if restart {
            // What waits came after the reset, and is for the fresh shell.
            self.respawn(id, Fresh::AsCreated, step);
            return;
        }
        if !ordered && self.recover_from_end(now, id, exit, step) {
            return;
        }
        self.lose_commands(now, id, EndReason::SessionLost, step);
        let breach = self.sessions.get(id).and_then(|entry| entry.breach);
        let (status, reason) = closing.unwrap_or_else(|| match (breach, exit) {
            (Some(breach), _) => (Status::Error, breach.reason()),
            (None, Exit::Code(0)) => (Status::Completed, "the shell exited".to_owned()),
            (None, Exit::Code(code)) => (Status::Error, format!("the shell exited with code {code}")),
            (None, Exit::Signal(signal)) => {
                (Status::Error, format!("the shell was killed by signal {signal}"))
            }
        });
        if forced {
            let reason = "SIGKILL: processes of the session outlived their grace".to_owned();
            self.note(now, id, EventKind::Decision { reason }, step);
        }
        self.end(now, id, status, &reason, step);
    }

    /// Moves a session along its transition table, with an event.
    pub(super) fn set_status(&mut self, now: Now, id: &SessionId, new: Status, step: &mut Step) {
        if let Some(old) = self.transition(now, id, new, step) {
            self.note(now, id, EventKind::Status { old, new }, step);
        }
    }

    /// The same without an event, for what the start and the end of a command tell already. Returns
    /// the old status when it changed; an illegal move is a defect of this engine.
    pub(super) fn transition(
        &mut self,
        now: Now,
        id: &SessionId,
        new: Status,
        step: &mut Step,
    ) -> Option<Status> {
        let entry = self.sessions.get_mut(id)?;
        let old = entry.session.status;
        if old == new {
            return None;
        }
        debug_assert!(old.successors().contains(&new), "{old:?} cannot become {new:?}");
        entry.session.status = new;
        entry.session.last_activity = now.wall;
        entry.active_at = now.moment;
        let changed = if new == Status::Active { &mut step.activated } else { &mut step.sessions };
        changed.insert(id.clone());
        self.session_changed(id, new);
        Some(old)
    }

    pub(super) fn end(&mut self, now: Now, id: &SessionId, status: Status, reason: &str, step: &mut Step) {
        self.over(now, id, false, step);
        self.unwake(id);
        self.lose_commands(now, id, EndReason::SessionLost, step);
        self.set_status(now, id, status, step);
        let Some(entry) = self.sessions.get_mut(id) else { return };
        if let Some(key) = entry.timer.take() {
            self.deadlines.remove(&key);
        }
        entry.breach = None;
        entry.session.pid = None;
        entry.session.stopped = false;
        entry.session.cpu_time_spent = false;
        entry.session.ended_at = Some(now.wall);
        entry.session.end_reason = Some(reason.to_owned());
        let (reason, forced) = (reason.to_owned(), entry.session.ended_by_force);
        let kind = if status.is_final() {
            EventKind::Terminated { status, reason, forced }
        } else {
            EventKind::Error { message: reason }
        };
        self.note(now, id, kind, step);
        step.sessions.insert(id.clone());
        self.ended_sessions.retain(|ended| ended != id);
        self.ended_sessions.push_back(id.clone());
        self.forget_old(step);
        self.watch_ended(now);
    }

    /// Refuses one more shell than the server keeps.
    pub(super) fn check_room(&self) -> Result<()> {
        self.check_room_for(1)
    }

    /// The same for several.
    pub(super) fn check_room_for(&self, more: usize) -> Result<()> {
        let counts = |entry: &&Entry| entry.has_worker || entry.session.is_unstarted();
        let live = self.sessions.values().filter(counts).count();
        if live + more <= limits::SESSIONS {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::LimitExceeded,
            format!("{live} sessions are live, and {} are the most this server keeps", limits::SESSIONS),
        )
        .with_hint("close some with session_close"))
    }

    pub(super) fn respawn(&mut self, id: &SessionId, fresh: Fresh, step: &mut Step) {
        if let Some(entry) = self.sessions.get_mut(id) {
            let session = &mut entry.session;
            session.generation += 1;
            session.pid = None;
            session.exit_code = None;
            session.ended_at = None;
            session.end_reason = None;
            session.ended_by_force = false;
            session.stopped = false;
            session.cpu_time_spent = false;
            if fresh == Fresh::AsCreated {
                session.working_directory = session.created_directory.clone();
                // The first shell has what it inherited.
                if session.generation > 1 {
                    session.exported.clear();
                    session.unset.clear();
                    entry.exported.clear();
                }
            }
            entry.exports.clear();
            entry.breach = None;
        }
        self.spawn(id, fresh, step);
    }

    fn spawn(&mut self, id: &SessionId, fresh: Fresh, step: &mut Step) {
        let Some(entry) = self.sessions.get_mut(id) else { return };
        entry.has_worker = true;
        self.ended_sessions.retain(|ended| ended != id);
        entry.going = None;
        let session = &entry.session;
        let spawn = Spawn {
            generation: session.generation,
            shell: session.shell.clone(),
            dialect: session.dialect,
            profile: session.profile,
            env: entry.env.clone(),
            directory: session.working_directory.clone(),
            fallback: session.created_directory.clone(),
            exported: if session.generation == 1 { entry.exported.clone() } else { BTreeMap::new() },
            unset: if session.generation == 1 { session.unset.clone() } else { BTreeSet::new() },
            takes_exports: fresh == Fresh::AsItWas,
            size: session.size,
            output_bytes: session.output_bytes,
            bounds: session.bounds(),
            watches_prompts: session.auto_accept.enabled,
        };
        step.sessions.insert(id.clone());
        step.effect(id, EffectKind::Spawn(Box::new(spawn)));
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
