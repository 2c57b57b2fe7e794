//! The environment of a session's shells: what each starts with, and what it had exported when last seen,
//! for the next. The latter stays in memory as it is: there may be secrets in it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::Running;
use crate::engine::{Spawn, WorkerEventKind};
use crate::id::SessionId;
use crate::model::Dialect;
use crate::pty::handover;

/// See the module. All clones know the same.
#[derive(Clone, Debug, Default)]
pub(in crate::orchestrator) struct Exports(Arc<Mutex<Option<Vec<u8>>>>);

impl Exports {
    /// What the shell wrote into its directory after its last command, if that is new.
    fn learn(&self, directory: &Path, number: u64, dialect: Dialect) -> Option<BTreeMap<String, String>> {
        let script = handover::kept_exports(directory, number)?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_ref() == Some(&script) {
            return None;
        }
        let exported = handover::exported(&script, dialect);
        *known = Some(script);
        Some(exported)
    }

    /// For the next shell.
    pub(super) fn script(&self) -> Option<Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Running {
    /// Tells what the shell exported, if that is new. To be called when it is at its prompt, and before its
    /// directory is removed.
    pub(super) async fn tell_exports(&mut self) {
        if let Some(mut exported) = self.wiring.exports.learn(&self.directory, self.number, self.dialect) {
            exported.retain(|name, value| is_of_session(name, value));
            self.report(WorkerEventKind::Exported(exported)).await;
        }
        for settled in self.settling.drain(..) {
            let _ = settled.send(());
        }
    }
}

/// Whether a variable is more than what every shell of this server has.
fn is_of_session(name: &str, value: &str) -> bool {
    let is_of_shell = ["PWD", "OLDPWD", "SHLVL", "_", "SHELLHERD_SESSION", "TERM"].contains(&name);
    let is_own = OWN.iter().any(|(own, set)| *own == name && *set == value);
    !is_of_shell && !is_own && std::env::var_os(name).is_none_or(|inherited| inherited != *value)
}

/// What every shell is given.
const OWN: [(&str, &str); 6] = [
    ("TERM", "xterm-256color"),
    ("SHELLHERD", env!("CARGO_PKG_VERSION")),
    // A pager would wait for a key that nobody presses.
    ("PAGER", "cat"),
    ("GIT_PAGER", "cat"),
    ("MANPAGER", "cat"),
    ("SYSTEMD_PAGER", "cat"),
];

/// The complete environment of a session's program.
pub(in crate::orchestrator) fn environment(
    spawn: &Spawn,
    session: &SessionId,
) -> BTreeMap<OsString, OsString> {
    let mut environment: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
    for name in ["LINES", "COLUMNS", "TERMCAP", "PS1", "PROMPT_COMMAND", "BASH_ENV"] {
        environment.remove(OsStr::new(name));
    }
    for (name, value) in OWN {
        environment.insert(name.into(), value.into());
    }
    environment.insert("SHELLHERD_SESSION".into(), session.as_str().into());
    environment.extend(spawn.env.iter().map(|(name, value)| (name.into(), value.into())));
    environment
}
