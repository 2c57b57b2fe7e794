//! The environment of a session's shells: what each starts with, and what it had exported when last seen,
//! for the next. The latter stays in memory: there may be secrets in it, and no later server has a use for it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::Running;
use crate::engine::Spawn;
use crate::id::SessionId;
use crate::pty::handover;

/// See the module. All clones know the same.
#[derive(Clone, Debug, Default)]
pub(in crate::orchestrator) struct Exports(Arc<Mutex<Option<Vec<u8>>>>);

impl Exports {
    /// What the shell that ended wrote into its directory, if it wrote anything.
    fn learn(&self, directory: &Path) {
        if let Some(script) = handover::kept_exports(directory) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(script);
        }
    }

    /// For the next shell.
    pub(super) fn script(&self) -> Option<Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Running {
    /// To be called before the shell's directory is removed.
    pub(super) fn keep_exports(&self) {
        if self.keeps_exports {
            self.wiring.exports.learn(&self.directory);
        }
    }
}

/// The complete environment of a session's program.
pub(in crate::orchestrator) fn environment(
    spawn: &Spawn,
    session: &SessionId,
) -> BTreeMap<OsString, OsString> {
    let mut environment: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
    for name in ["LINES", "COLUMNS", "TERMCAP", "PS1", "PROMPT_COMMAND", "BASH_ENV"] {
        environment.remove(OsStr::new(name));
    }
    let own = [
        ("TERM", "xterm-256color"),
        ("SHELLHERD", env!("CARGO_PKG_VERSION")),
        // A pager would wait for a key that nobody presses.
        ("PAGER", "cat"),
        ("GIT_PAGER", "cat"),
        ("MANPAGER", "cat"),
        ("SYSTEMD_PAGER", "cat"),
    ];
    for (name, value) in own {
        environment.insert(name.into(), value.into());
    }
    environment.insert("SHELLHERD_SESSION".into(), session.as_str().into());
    environment.extend(spawn.env.iter().map(|(name, value)| (name.into(), value.into())));
    environment
}
