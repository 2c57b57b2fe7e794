//! Sessions, as callers see them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::oneshot;
use uuid::Uuid;

use super::dispatcher::{Access, Read};
use super::worker::Order;
use super::{Input, Observation, Orchestrator, Usage, worker};
use crate::clock;
use crate::engine::refusals::unstarted;
use crate::engine::request::{NewSession, Resources, SessionChange};
use crate::engine::{Reply, Request};
use crate::error::{Error, ErrorCode, Result};
use crate::id::SessionId;
use crate::limits;
use crate::model::{Dialect, Event, Session, SessionKind, Status};
use crate::pty;

/// How long a program other than a shell is given to fail at once.
const PLAIN_START: Duration = Duration::from_millis(100);
/// Ctrl-C, as it is typed.
const INTERRUPT: u8 = 3;

impl Orchestrator {
    /// Creates a session and waits for its first prompt (at most [`limits::READY_WAIT`]).
    pub async fn create_session(&self, new: NewSession) -> Result<Session> {
        let (shell, dialect, directory) = looked_up(&new)?;
        let request = Request::CreateSession {
            uuid: Uuid::new_v4(),
            new: Box::new(new),
            shell,
            dialect,
            directory,
            command_uuid: Uuid::new_v4(),
        };
        let session = self.changed(request).await?;
        if session.is_unstarted() {
            return Ok(session);
        }
        self.ready(&session).await
    }

    /// Starts a session that was made to be started later, and waits for its first prompt.
    pub async fn start_session(&self, selector: &str, resources: Resources) -> Result<Session> {
        let request = Request::StartSession { selector: selector.to_owned(), resources };
        let session = self.changed(request).await?;
        self.ready(&session).await
    }

    /// What the kernel holds the shell of a session to, and thereby all that it starts.
    pub fn held(&self, session: &Session) -> pty::Held {
        session.pid.map(pty::held).unwrap_or_default()
    }

    /// Waits for the first prompt of a session that was just started.
    async fn ready(&self, session: &Session) -> Result<Session> {
        let mut ready = self.until_settled(&session.id).await?;
        if session.dialect == Dialect::Plain && ready.status == Status::Active {
            // Such a program says nothing when it is ready; one that cannot work ends at once.
            ready = self.until(&ready.id, PLAIN_START, |session| !session.status.is_live()).await?;
        }
        if ready.status == Status::Terminated {
            let reason = ready.end_reason.as_deref().unwrap_or("it was closed");
            return Err(Error::new(
                ErrorCode::SessionClosed,
                format!("session {} was closed while it started: {reason}", ready.id),
            )
            .with_hint("make a new one with session_create"));
        }
        if ready.status == Status::Error {
            let reason = ready.end_reason.as_deref().unwrap_or("it ended at once");
            return Err(Error::new(
                ErrorCode::SpawnFailed,
                format!("{} did not start: {reason}", ready.shell.display()),
            )
            .with_hint(format!(
                "read what it printed with session_output {{\"sessionId\":\"{}\"}}, or try profile \"clean\"",
                ready.id
            )));
        }
        Ok(ready)
    }

    /// Every known session, ended ones included, oldest first.
    pub async fn sessions(&self) -> Result<Vec<Session>> {
        self.read(Read::Sessions).await
    }

    /// CPU and memory of these sessions, in one look at the machine.
    pub async fn usage(&self, sessions: &[SessionId]) -> Result<HashMap<SessionId, Usage>> {
        let wanted = sessions.to_vec();
        let (census, subjects) = self.read(|reply| Read::Subjects(wanted, reply)).await?;
        let Some(census) = census.filter(|_| !subjects.is_empty()) else { return Ok(HashMap::new()) };
        let trees = census.trees().await;
        let now = clock::now().moment;
        let mut cpu = self.inner.cpu.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let usage = subjects.into_iter().map(|subject| {
            let tree = trees.get(&subject.slot).map(|tree| tree.usage).unwrap_or_default();
            let usage = Usage::new(tree, &cpu, &subject, now);
            cpu.look(subject.slot, tree.cpu_ms, now, subject.since);
            (subject.session, usage)
        });
        Ok(usage.collect())
    }

    /// The session that an id, a unique id prefix (4+ characters, with or without `ses_`) or a name that is
    /// unique among live sessions names.
    pub async fn session(&self, selector: &str) -> Result<Session> {
        Ok(self.access(selector).await?.session)
    }

    /// The same with what the terminal shows of it.
    pub async fn observe(&self, selector: &str) -> Result<Observation> {
        let mut access = self.access(selector).await?;
        let look = look(&access).await;
        let awaiting_input = look.as_ref().is_some_and(|look| look.awaiting);
        let (mut foreground, directory) = look.map_or((None, None), |look| (look.foreground, look.directory));
        if let Some(mut directory) = directory.map(|path| path.to_string_lossy().into_owned()) {
            access.secrets.blot(&mut directory);
            access.session.working_directory = directory.into();
        }
        if let Some(program) = &mut foreground {
            access.secrets.blot(&mut program.name);
            access.secrets.blot(&mut program.command_line);
        }
        Ok(Observation {
            foreground,
            awaiting_input,
            queued: access.queued,
            output_cursor: access.output.end(),
            last_command: access.last_command,
            session: access.session,
        })
    }

    /// Changes settings; an illegal status is refused with the legal ones.
    pub async fn update_session(&self, selector: &str, change: SessionChange) -> Result<Session> {
        let ends = change.status.is_some_and(Status::is_final);
        let session = self
            .changed(Request::UpdateSession { selector: selector.to_owned(), change: Box::new(change) })
            .await?;
        if ends { self.until_ended(&session.id).await } else { Ok(session) }
    }

    /// Kills what runs and puts a fresh shell in place, with the same id and settings.
    pub async fn reset_session(&self, selector: &str) -> Result<Session> {
        let session = self.changed(Request::ResetSession { selector: selector.to_owned() }).await?;
        self.until_settled(&session.id).await
    }

    /// Types into a session. Returns the cursor where the output stood before.
    pub async fn input(&self, selector: &str, input: Input) -> Result<u64> {
        let access = self.access(selector).await?;
        if access.session.kind == SessionKind::Observer {
            return Err(Error::new(
                ErrorCode::PermissionDenied,
                format!("session {} is an observer: nothing is typed into it", access.session.id),
            )
            .with_hint("use a session of type worker"));
        }
        let interrupts = input.bytes.contains(&INTERRUPT);
        let typed = order(&access, |reply| Order::Input(input, reply)).await?;
        if interrupts && let Some(command) = access.between_tries {
            self.cancel_command(command).await?;
        }
        typed
    }

    /// Sends a signal to a session's foreground job, never to its shell. Returns what it went to. A command
    /// that waits for its next try has no job: what would end it keeps it from being tried again.
    pub async fn signal(&self, selector: &str, signal: pty::Signal) -> Result<String> {
        let access = self.access(selector).await?;
        let sent = order(&access, |reply| Order::Signal(signal, reply)).await?;
        match (sent, access.between_tries.filter(|_| signal.ends())) {
            (Err(error), Some(command)) if error.code == ErrorCode::CommandNotRunning => {
                let target = format!("command {command}, which is not tried again");
                self.cancel_command(command).await?;
                Ok(target)
            }
            (sent, _) => sent,
        }
    }

    /// The latest events of a session at or behind an output cursor, in order.
    pub async fn events(&self, session: &SessionId, since: u64, max: usize) -> Result<Vec<Event>> {
        let session = session.clone();
        self.read(|reply| Read::Events { session, since, max, reply }).await?
    }

    /// Removes the sessions of these statuses that ended so long ago. Returns which.
    pub async fn clean_up_sessions(
        &self,
        older_than: Duration,
        statuses: Vec<Status>,
    ) -> Result<Vec<SessionId>> {
        let Reply::Sessions(removed) = self.change(Request::CleanUp { older_than, statuses }).await?.reply
        else {
            return Err(Error::new(ErrorCode::Internal, "a clean-up was answered without what was removed"));
        };
        Ok(removed)
    }

    pub(super) async fn changed(&self, request: Request) -> Result<Session> {
        let Reply::Session(session) = self.change(request).await?.reply else {
            return Err(Error::new(ErrorCode::Internal, "a change of a session was answered without one"));
        };
        Ok(*session)
    }

    /// Waits for a starting shell's prompt, or its end.
    pub(super) async fn until_settled(&self, id: &SessionId) -> Result<Session> {
        self.until(id, limits::READY_WAIT, |session| {
            !matches!(session.status, Status::Initializing | Status::Recovering)
        })
        .await
    }

    async fn until_ended(&self, id: &SessionId) -> Result<Session> {
        self.until(id, limits::CLOSE_GRACE + limits::READY_WAIT, |session| !session.status.is_live()).await
    }

    async fn until(
        &self,
        id: &SessionId,
        wait: std::time::Duration,
        done: impl FnMut(&Session) -> bool,
    ) -> Result<Session> {
        let mut watch = self.access(id.as_str()).await?.watch;
        let waited = tokio::time::timeout(wait, watch.wait_for(done)).await;
        if let Ok(Ok(session)) = waited {
            return Ok(session.clone());
        }
        drop(waited);
        Ok(watch.borrow().clone())
    }
}

/// What a look at the terminal shows; nothing for a session without one.
pub(super) async fn look(access: &Access) -> Option<worker::Look> {
    order(access, Order::Look).await.ok()
}

/// Gives the session's worker an order and waits for the answer, which comes at once.
pub(super) async fn order<T>(access: &Access, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Result<T> {
    let session = &access.session;
    let closed = || {
        if session.is_unstarted() {
            return unstarted(session);
        }
        let reason = session.end_reason.as_deref().unwrap_or("it is ending");
        Error::new(
            ErrorCode::SessionClosed,
            format!("session {} is {}: {reason}", session.id, session.status.as_str()),
        )
        .with_hint("make a new one with session_create, or revive one in status error with session_reset")
    };
    let orders = access.orders.as_ref().ok_or_else(closed)?;
    let (reply, answer) = oneshot::channel();
    orders.try_send(order(reply)).map_err(|error| match error {
        tokio::sync::mpsc::error::TrySendError::Full(_) => Error::new(
            ErrorCode::Overloaded,
            format!("too much waits to be typed into session {}", session.id),
        )
        .with_hint("try again in a second"),
        tokio::sync::mpsc::error::TrySendError::Closed(_) => closed(),
    })?;
    answer.await.map_err(|_| closed())
}

/// The program of a new session, how to talk to it, and where it starts.
pub(super) fn looked_up(new: &NewSession) -> Result<(PathBuf, Dialect, PathBuf)> {
    let wanted = new.shell.clone().or_else(|| std::env::var("SHELL").ok()).unwrap_or_else(|| "sh".to_owned());
    let shell = pty::shell::resolve(&wanted)?;
    let dialect = pty::shell::dialect_of(&shell);
    Ok((shell, dialect, directory(new.directory.as_deref(), new.create_directory)?))
}

/// Where sessions start that are told nothing else.
pub(super) fn own_directory() -> Result<PathBuf> {
    let refused = |why: String| {
        Err(Error::invalid(format!("the server's own directory {why}")).with_hint("name a workingDirectory"))
    };
    match std::env::current_dir() {
        Ok(directory) if directory.to_str().is_some() => Ok(directory),
        Ok(directory) => refused(format!("{} has a name that is not UTF-8", directory.display())),
        Err(error) => refused(format!("is gone: {error}")),
    }
}

/// The directory of a new session: there, and a directory.
fn directory(wanted: Option<&Path>, create: bool) -> Result<PathBuf> {
    let directory = match wanted {
        Some(directory) => directory.to_path_buf(),
        None => own_directory()?,
    };
    if create {
        std::fs::create_dir_all(&directory).map_err(|error| {
            Error::invalid(format!("'workingDirectory' {} cannot be created: {error}", directory.display()))
        })?;
    }
    if directory.is_dir() {
        return Ok(directory);
    }
    let existing = directory.ancestors().skip(1).find(|ancestor| ancestor.is_dir());
    let problem = if directory.exists() { "is not a directory" } else { "does not exist" };
    let exists = existing.map_or_else(String::new, |path| format!("; {} does", path.display()));
    Err(Error::invalid(format!("'workingDirectory' {} {problem}{exists}", directory.display()))
        .with_hint("correct the path, or pass createWorkingDirectory: true"))
}
