//! Recoveries and circuits, as callers see them.

use std::time::Duration;

use super::dispatcher::{Access, Read};
use super::{Orchestrator, OutputQuery, sessions};
use crate::clock;
use crate::engine::report::{CircuitView, RecoveryReport};
use crate::engine::request::{Evidence, RecoveryRequest};
use crate::engine::{Reply, Request};
use crate::error::{Error, ErrorCode, Result};
use crate::model::FailureCategory;
use crate::term::diagnosis::{self, Category};

/// The end of a failed command's output that may tell why.
const TELLING_LINES: usize = 200;
/// The same in estimated tokens.
const TELLING_TOKENS: usize = 4_000;

impl Orchestrator {
    /// Puts a session back in order and waits for the outcome, at most `wait`; a report without one is of a
    /// recovery that goes on. That it did not work is no error.
    pub async fn recover(&self, mut request: RecoveryRequest, wait: Duration) -> Result<RecoveryReport> {
        let access = self.access(&request.selector).await?;
        let is_stopped = sessions::look(&access).await.is_some_and(|look| look.is_stopped);
        request.evidence = Evidence { is_stopped, category: self.told_by_output(&access).await };
        let mut changes = self.read(Read::Recoveries).await?;
        let Reply::Recovery(mut report) = self.change(Request::Recover(request)).await?.reply else {
            return Err(Error::new(ErrorCode::Internal, "a recovery was answered with something else"));
        };
        let id = report.session.clone();
        let until = clock::instant(clock::now().moment.after(wait)).into();
        while report.recovered.is_none() {
            match tokio::time::timeout_at(until, changes.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(super::shutting_down()),
                Err(_) => break,
            }
            let now = self.read(|reply| Read::Recovery(id.clone(), reply)).await?;
            // A session that was forgotten meanwhile is not coming back.
            *report = now.unwrap_or_else(|| RecoveryReport { recovered: Some(false), ..(*report).clone() });
        }
        Ok(*report)
    }

    /// Why the session's last command failed, as far as its output tells.
    async fn told_by_output(&self, access: &Access) -> Option<FailureCategory> {
        let command = access.last_command.as_ref().filter(|command| command.is_ended())?;
        let exit = command.exit_code().filter(|code| *code != 0)?;
        let query = OutputQuery {
            command: Some(command.id.clone()),
            tail_lines: Some(TELLING_LINES),
            budget_tokens: TELLING_TOKENS,
            ..OutputQuery::default()
        };
        let excerpt = self.output(&access.session.id, query).await.ok()?;
        failure_category(diagnosis::category(&excerpt.text, Some(exit))?)
    }

    /// Circuits of which anything is known, or the one with this key, as it is.
    pub async fn circuits(&self, key: Option<String>) -> Result<Vec<CircuitView>> {
        self.read(|reply| Read::Circuits(key, reply)).await
    }

    /// Lets automatic attempts at a command line through again.
    pub async fn reset_circuit(&self, key: String) -> Result<()> {
        self.change(Request::ResetCircuit(key)).await.map(|_| ())
    }
}

/// What a cause means for a recovery; nothing where a fresh shell or another try changes nothing about it, and
/// the exit code says as much.
fn failure_category(cause: Category) -> Option<FailureCategory> {
    match cause {
        Category::GitAuth | Category::Authentication => Some(FailureCategory::Authentication),
        Category::RateLimit => Some(FailureCategory::RateLimit),
        Category::CommandNotFound => Some(FailureCategory::CommandNotFound),
        Category::PermissionDenied => Some(FailureCategory::PermissionDenied),
        Category::OutOfMemory => Some(FailureCategory::MemoryLimit),
        Category::Dns
        | Category::NetworkUnreachable
        | Category::ConnectionRefused
        | Category::ConnectionLost => Some(FailureCategory::ConnectionLost),
        Category::Timeout => Some(FailureCategory::Timeout),
        Category::Segfault | Category::Killed => Some(FailureCategory::Crash),
        Category::NoSpaceInotify
        | Category::DiskFull
        | Category::TooManyOpenFiles
        | Category::PortInUse
        | Category::Tls
        | Category::LockHeld
        | Category::MergeConflict
        | Category::VersionMismatch
        | Category::MissingDependency
        | Category::MissingModule
        | Category::MissingFile
        | Category::SyntaxError
        | Category::CompileError
        | Category::TestFailure
        | Category::Unknown => None,
    }
}
