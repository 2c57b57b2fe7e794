//! The start of a shell that takes another's place: where, and why it may not come to it. And what is seen
//! of a shell that a signal stops.

use std::path::{Path, PathBuf};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::warn;

use super::Running;
use crate::engine::{Spawn, WorkerEventKind};
use crate::model::FailureCategory;

/// The directory to start in: the one wanted, or the fallback, or as much as there is left of the way to
/// the first.
pub(super) fn directory(wanted: &Path, fallback: &Path) -> PathBuf {
    let nearest = || wanted.ancestors().skip(1).find(|ancestor| ancestor.is_dir());
    let is_there = |path: &&Path| path.is_dir();
    Some(wanted)
        .filter(is_there)
        .or_else(|| Some(fallback).filter(is_there))
        .or_else(nearest)
        .unwrap_or(wanted)
        .to_path_buf()
}

/// Why a shell did not start, as far as a look at what it needs tells.
pub(super) fn why_not(spawn: &Spawn) -> FailureCategory {
    if !spawn.shell.exists() {
        return FailureCategory::CommandNotFound;
    }
    if crate::pty::shell::resolve(&spawn.shell.to_string_lossy()).is_err() {
        return FailureCategory::PermissionDenied;
    }
    if directory(&spawn.directory, &spawn.fallback).is_dir() {
        FailureCategory::SpawnFailed
    } else {
        FailureCategory::MissingDirectory
    }
}

/// Tells of each change in a child of this process.
pub(super) fn children_change() -> Option<Signal> {
    signal(SignalKind::child())
        .inspect_err(|error| warn!(%error, "shells that are stopped are not noticed"))
        .ok()
}

/// The next change; none comes where nobody listens.
pub(super) async fn next(changes: &mut Option<Signal>) -> Option<()> {
    match changes {
        Some(changes) => changes.recv().await,
        None => std::future::pending().await,
    }
}

impl Running {
    /// Lets a stopped shell go on. A process is stopped no more when the signal for that has been sent.
    pub(super) async fn resume(&mut self) {
        self.terminal.resume();
        if !self.terminal.is_stopped() {
            self.report(WorkerEventKind::Stopped(false)).await;
        }
    }

    /// Some child changed: it may be the shell.
    pub(super) async fn look_whether_stopped(&mut self) {
        if let Some(is_stopped) = self.terminal.stop_change() {
            self.report(WorkerEventKind::Stopped(is_stopped)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_directory_has_a_substitute() {
        let scratch = std::env::temp_dir().join(format!("shellherd-{}", uuid::Uuid::new_v4().simple()));
        let created = scratch.join("created");
        std::fs::create_dir_all(&created).unwrap();
        let gone = scratch.join("a/b/c");
        assert_eq!(directory(&created, &scratch), created);
        assert_eq!(directory(&gone, &created), created);
        assert_eq!(directory(&gone, &scratch.join("x")), scratch);
        std::fs::remove_dir_all(&scratch).unwrap();
    }
}
