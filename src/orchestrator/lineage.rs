//! Sessions made of other ones: clones, snapshots and what is restored from them; and one that moves.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::dispatcher::{Keep, Read};
use super::worker::Order;
use super::{Orchestrator, sessions};
use crate::clock;
use crate::engine::Request;
use crate::engine::request::{Heritage, Inherited, NewCommand, NewSession, SessionChange};
use crate::error::{Error, ErrorCode, Result};
use crate::id::{SessionId, SnapshotId};
use crate::limits;
use crate::model::{AutoAccept, Command, OnTimeout, Session, Snapshot};
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
        self.session(access.session.id.as_str()).await
    }

    /// Makes a session like another one.
    pub async fn clone_session(&self, selector: &str, wanted: CloneAs) -> Result<Session> {
        let original = self.settled_session(selector).await?;
        let variables = if wanted.is_reset { Inherited::Given } else { Inherited::All };
        let mut new = like(&original, Heritage { of: original.id.clone(), variables, output: false });
        new.name = Some(wanted.name.unwrap_or_else(|| format!("{}-clone", original.name)));
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
        self.create_session(like(&ended, heritage)).await
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
        let waited = tokio::time::timeout(timeout, moved.wait_for(Command::is_ended)).await.is_ok();
        if !waited {
            let id = moved.borrow().id.clone();
            self.cancel_queued(&[id]).await?;
        }
        let command = moved.borrow().clone();
        if !waited && command.output_from.is_none() {
            return Err(Error::new(
                ErrorCode::Timeout,
                format!("session {} still runs something: it stays where it is", session.id),
            )
            .with_hint("wait for it with command_status, or give a longer timeout"));
        }
        if !command.is_success() {
            return Err(Error::invalid(format!("the shell cannot enter {}", directory.display())));
        }
        let change = SessionChange { directory: Some(directory), ..SessionChange::default() };
        let selector = session.id.to_string();
        let session = self.changed(Request::UpdateSession { selector, change: Box::new(change) }).await?;
        if keeps_state { Ok(session) } else { self.reset_session(session.id.as_str()).await }
    }
}

/// A session with the settings of another one.
fn like(session: &Session, heritage: Heritage) -> NewSession {
    NewSession {
        name: Some(session.name.clone()),
        kind: session.kind,
        directory: Some(session.working_directory.clone()),
        // Nobody named the directory that its shell has gone to: it does not count as inside.
        created_directory: Some(session.created_directory.clone()),
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
        heir_of: Some(heritage),
        ..NewSession::default()
    }
}
