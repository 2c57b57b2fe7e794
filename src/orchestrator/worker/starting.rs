//! The start of a shell that takes another's place: where, and why it may not come to it. And how one goes
//! on that a signal stopped.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::{Running, Wiring};
use crate::engine::{Spawn, WorkerEventKind};
use crate::error::{Error, ErrorCode, Result};
use crate::model::FailureCategory;
use crate::pty::{self, Launch, Terminal};

/// A shell that was started.
pub(super) struct Parts {
    pub(super) directory: PathBuf,
    pub(super) edits_lines: bool,
    /// Where the shell starts, if not where it was to.
    pub(super) elsewhere: Option<(PathBuf, PathBuf)>,
    pub(super) terminal: Terminal,
    pub(super) nonce: String,
}

/// Starts the shell of a session.
pub(super) fn start(
    wiring: &Wiring,
    spawn: &Spawn,
    environment: BTreeMap<OsString, OsString>,
) -> Result<Parts> {
    let private = wiring.host.session_directory(&wiring.slot).map_err(|error| {
        Error::new(ErrorCode::SpawnFailed, format!("cannot make a private directory: {error}"))
    })?;
    wiring.exports.start(&environment, spawn.takes_exports);
    let nonce = Uuid::new_v4().simple().to_string()[..16].to_owned();
    let at = directory(&spawn.directory, &spawn.fallback);
    let launch = Launch {
        program: spawn.shell.clone(),
        dialect: spawn.dialect,
        profile: spawn.profile,
        env: environment.into_iter().collect(),
        directory: at.clone(),
        size: spawn.size,
        nonce: nonce.clone(),
        private_directory: private.clone(),
        exports: if spawn.takes_exports {
            wiring.exports.script(spawn.dialect)
        } else {
            pty::handover::exports_script(&spawn.exported, &spawn.unset, spawn.dialect)
        },
    };
    let terminal = pty::launch(launch, &wiring.slot)?;
    let edits_lines = pty::shell::edits_lines(&spawn.shell, spawn.dialect, spawn.profile);
    let elsewhere = (at != spawn.directory).then(|| (spawn.directory.clone(), at));
    Ok(Parts { directory: private, edits_lines, elsewhere, terminal, nonce })
}

/// The directory to start in: the one wanted, or the fallback, or as much as there is left of the way to
/// the first.
pub(super) fn directory(wanted: &Path, fallback: &Path) -> PathBuf {
    // The root is no substitute: what is run there may take it for the directory that it knows.
    let nearest = || {
        let mut above = wanted.ancestors().skip(1).filter(|ancestor| ancestor.parent().is_some());
        above.find(|ancestor| ancestor.is_dir())
    };
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

impl Running {
    /// Lets a stopped shell go on. A process is stopped no more when the signal for that has been sent.
    pub(super) async fn resume(&mut self) {
        self.terminal.resume();
        if !self.terminal.is_stopped() {
            self.report(WorkerEventKind::Stopped(false)).await;
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
        let nowhere = Path::new("/").join(scratch.file_name().unwrap()).join("a");
        assert_eq!(directory(&nowhere, &nowhere), nowhere);
        std::fs::remove_dir_all(&scratch).unwrap();
    }
}
