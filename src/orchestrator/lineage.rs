//! Sessions made of other ones: clones, snapshots and what is restored from them; and one that moves.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::dispatcher::{Keep, Read};
use super::worker::Order;
use super::{Orchestrator, sessions};
use crate::clock;
use crate::engine::Request;
use crate::engine::refusals::ended;
use crate::engine::request::{Heritage, Inherited, NewCommand, NewSession, SessionChange};
use crate::error::{Error, ErrorCode, Result};
use crate::id::{SessionId, SnapshotId};
use crate::limits;
use crate::model::{AutoAccept, Command, OnTimeout, Session, Snapshot, secret};
use crate::pty;

/// How a clone differs from its original.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloneAs {
    /// Its name.
    pub name: Option<String>,
    /// Whether it begins where the original was created, without what was exported there.
    pub is_reset: bool,
    /// Whether it is bounded and looked after as the original is.
    pub copies_limits: bool,
}

impl Orchestrator {
    /// A session as it is when its shell is at its prompt, has told what it exported, and so can be made another
    /// of; as it is by now if the shell is busy.
    pub async fn settled_session(&self, selector: &str) -> Result<Session> {
        let access = self.access(selector).await?;
        if access.orders.is_some() {
            let settled = sessions::order(&access, Order::Settle);
            // A shell that shows no prompt has nothing new to tell.
            let _ = tokio::time::timeout(limits::PROMPT_WAIT, settled).await;
        }
        Ok(self.observe(access.session.id.as_str()).await?.session)
    }

    /// Makes a session like another one.
    pub async fn clone_session(&self, selector: &str, wanted: CloneAs) -> Result<Session> {
        let original = self.settled_session(selector).await?;
        let variables = if wanted.is_reset { Inherited::Given } else { Inherited::All };
        let mut new = like(&original, Heritage { of: original.id.clone(), variables, output: false });
        new.command = self.first_command(&original).await;
        new.name = Some(wanted.name.unwrap_or_else(|| format!("{}-clone", original.name)));
        // Nobody named the directory that its shell has gone to: it does not count as inside.
        new.root = Some(original.root().to_owned());
        if wanted.is_reset {
            new.directory = Some(original.created_directory);
        }
        if !wanted.copies_limits {
            new.limits = crate::model::ResourceLimits::default();
            new.constraints = Vec::new();
            new.needs = crate::model::Needs::default();
            new.monitor = None;
        }
        self.create_session(new).await
    }

    /// Brings back a session that has ended, under a new id: with its settings, what was exported in it, and its
    /// output.
    pub async fn revive_session(&self, selector: &str) -> Result<Session> {
        let ended = self.session(selector).await?;
        if ended.status.is_live() {
            return Err(Error::new(
                ErrorCode::IllegalTransition,
                format!("session {} is {}: it has not ended", ended.id, ended.status.as_str()),
            )
            .with_hint(
                "make another one like it with session_clone, or a snapshot of it with session_snapshot",
            ));
        }
        let heritage = Heritage { of: ended.id.clone(), variables: Inherited::All, output: true };
        let command = self.first_command(&ended).await;
        let new = NewSession { command, ..like(&ended, heritage) };
        Box::pin(self.bring_back(brought_back(new, &ended))).await
    }

    /// Creates a session in which another goes on: with its context.
    pub async fn bring_back(&self, new: NewSession) -> Result<Session> {
        let of = new.heir_of.as_ref().map(|heritage| heritage.of.clone());
        let session = Box::pin(self.create_session(new)).await?;
        if let Some(of) = of
            && let Err(error) = self.copy_context(of, session.id.clone()).await
        {
            tracing::warn!(%error, session = %session.id, "it is brought back without its context");
        }
        Ok(session)
    }

    /// What a session that was never started is to begin with, as far as that is known in full.
    pub async fn first_command(&self, session: &Session) -> Option<String> {
        let id = session.last_command.as_ref().filter(|_| session.generation == 0)?;
        let command = self.command(id.as_str()).await.ok()?.borrow().clone();
        let is_whole = !command.is_ended() || command.text.len() <= limits::ENDED_TEXT_BYTES;
        Some(command.text).filter(|text| is_whole && !text.contains(secret::REDACTED))
    }

    /// Keeps what a session is made of.
    pub async fn keep_snapshot(&self, session: SessionId, state: Map<String, Value>) -> Result<Snapshot> {
        let id = SnapshotId::unique(Uuid::new_v4(), |_| false);
        let snapshot = Snapshot { id, session, state, taken_at: clock::now().wall };
        self.keep(Keep::Snapshot(Box::new(snapshot.clone()))).await?;
        Ok(snapshot)
    }

    /// What was kept.
    pub async fn snapshot(&self, id: &str) -> Result<Snapshot> {
        let id = SnapshotId::from_text(id.trim());
        let found = self.read(|reply| Read::Snapshot(id.clone(), reply)).await??;
        found.ok_or_else(|| {
            let shown: String = id.as_str().chars().take(80).collect();
            Error::invalid(format!("no snapshot has the id '{shown}'"))
                .with_hint("session_snapshot makes one; the oldest beyond 1,000 are dropped")
        })
    }

    /// Moves a session to another directory, under the same id, as soon as what runs in it is over. Without
    /// `keeps_state` a fresh shell starts there.
    pub async fn migrate_session(
        &self,
        selector: &str,
        directory: PathBuf,
        keeps_state: bool,
        timeout: Duration,
    ) -> Result<Session> {
        let session = self.session(selector).await?;
        if !directory.is_dir() {
            return Err(Error::invalid(format!(
                "'workingDirectory' {} is no directory",
                directory.display()
            )));
        }
        let change = NewCommand {
            timeout: Some(limits::READY_WAIT),
            on_timeout: Some(OnTimeout::Interrupt),
            ..NewCommand::line(pty::shell::change_directory(&directory, session.dialect))
        };
        let mut moved = self.execute(session.id.as_str(), change).await?;
        let in_time = tokio::time::timeout(timeout, moved.wait_for(Command::is_ended)).await.is_ok();
        if !in_time {
            // What the shell has been handed cannot be taken back, and ends soon by its own timeout.
            let id = moved.borrow().id.clone();
            self.cancel_queued(&[id]).await?;
            let _ = tokio::time::timeout(limits::READY_WAIT * 2, moved.wait_for(Command::is_ended)).await;
        }
        let command = moved.borrow().clone();
        let session = self.session(session.id.as_str()).await?;
        if !session.status.is_live() {
            return Err(ended(&session));
        }
        let is_there = command.working_directory.as_deref().is_some_and(|at| is_same(at, &directory));
        if !command.is_success() || !is_there {
            if !in_time && command.output_from.is_none() {
                return Err(Error::new(
                    ErrorCode::Timeout,
                    format!("session {} still runs something: it stays where it is", session.id),
                )
                .with_hint("wait for it with command_status, or give a longer timeout"));
            }
            return Err(Error::invalid(format!("the shell cannot enter {}", directory.display())));
        }
        let change = SessionChange { directory: Some(directory), ..SessionChange::default() };
        let selector = session.id.to_string();
        let session = self.changed(Request::UpdateSession { selector, change: Box::new(change) }).await?;
        if keeps_state { Ok(session) } else { self.reset_session(session.id.as_str()).await }
    }
}

/// Under whatever id: where the session was created and is inside, and where it begins if the directory that
/// its shell had gone to is not there any more.
pub fn brought_back(new: NewSession, original: &Session) -> NewSession {
    let directory = new.directory.map(|wanted| there(wanted, &original.created_directory));
    let created_directory = Some(original.created_directory.clone());
    NewSession { directory, created_directory, root: original.root.clone(), ..new }
}

/// Where a session like this one begins.
pub fn beginning(session: &Session) -> PathBuf {
    there(session.working_directory.clone(), &session.created_directory)
}

fn is_same(one: &Path, other: &Path) -> bool {
    one == other || one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

fn there(wanted: PathBuf, otherwise: &Path) -> PathBuf {
    if !wanted.is_dir() && otherwise.is_dir() { otherwise.to_owned() } else { wanted }
}

/// A session with the settings of another one.
fn like(session: &Session, heritage: Heritage) -> NewSession {
    NewSession {
        name: Some(session.name.clone()),
        kind: session.kind,
        directory: Some(beginning(session)),
        shell: Some(session.shell.display().to_string()),
        profile: session.profile,
        size: session.size,
        metadata: session.metadata.clone(),
        capabilities: session.capabilities.clone(),
        constraints: session.constraints.clone(),
        limits: session.limits,
        needs: session.needs,
        monitor: session.monitor,
        // What answers in a caller's place is turned on by the caller alone.
        auto_accept: AutoAccept { enabled: false, ..session.auto_accept.clone() },
        command_timeout: Some(Duration::from_millis(session.command_timeout_ms)),
        idle_timeout: session.idle_timeout_ms.map(Duration::from_millis),
        output_bytes: Some(session.output_bytes),
        recovery: session.recovery,
        is_deferred: session.generation == 0,
        heir_of: Some(heritage),
        ..NewSession::default()
    }
}
