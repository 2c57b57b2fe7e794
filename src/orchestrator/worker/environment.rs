//! The environment of a session's shells: what each starts with, and what it had exported, or no longer,
//! when last seen, for the next. The latter stays in memory as it is: there may be secrets in it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Running;
use crate::engine::{Spawn, WorkerEventKind};
use crate::id::SessionId;
use crate::model::Dialect;
use crate::pty::handover;

/// See the module. All clones know the same.
#[derive(Clone, Debug, Default)]
pub(in crate::orchestrator) struct Exports(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// What the latest shell started with.
    given: BTreeSet<String>,
    script: Option<Vec<u8>>,
    unset: BTreeSet<String>,
}

impl Exports {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A shell starts with these variables, and with what the one before it had exported or without that.
    pub(super) fn start(&self, environment: &BTreeMap<OsString, OsString>, takes_exports: bool) {
        let names = environment.keys().filter_map(|name| name.to_str()).filter(|name| can_be_unset(name));
        let mut known = self.known();
        if !takes_exports {
            *known = Known::default();
        }
        known.given = names.map(str::to_owned).collect();
    }

    /// What the shell wrote into its directory after a command, if that is new.
    fn learn(&self, directory: &Path, dialect: Dialect) -> Option<WorkerEventKind> {
        let script = handover::kept_exports(directory)?;
        let mut known = self.known();
        if known.script.as_ref() == Some(&script) {
            return None;
        }
        let exported = handover::exported(&script, dialect);
        known.unset = known.given.iter().filter(|name| !exported.contains_key(*name)).cloned().collect();
        known.script = Some(script);
        let set = exported
            .into_iter()
            .filter_map(|(name, value)| value.filter(|value| is_of_session(&name, value)).map(|v| (name, v)));
        Some(WorkerEventKind::Exported { set: set.collect(), unset: known.unset.clone() })
    }

    /// For the next shell.
    pub(super) fn script(&self, dialect: Dialect) -> Option<Vec<u8>> {
        let known = self.known();
        let script = known.script.as_ref()?;
        Some([handover::unsetting(&known.unset, dialect), script.clone()].concat())
    }
}

impl Running {
    /// Tells what the shell exported, if that is new. To be called when it is at its prompt, and before its
    /// directory is removed.
    pub(super) async fn tell_exports(&mut self) {
        if let Some(news) = self.wiring.exports.learn(&self.directory, self.dialect) {
            self.report(news).await;
        }
        for settled in self.settling.drain(..) {
            let _ = settled.send(());
        }
    }
}

/// What shells set, take away or keep from their children by themselves.
const OF_SHELLS: [&str; 6] = ["PWD", "OLDPWD", "SHLVL", "_", "SHELLHERD_SESSION", "TERM"];
/// What else they never hand on as they got it: nobody took that away.
const NEVER_HANDED_ON: [&str; 10] =
    ["BASHOPTS", "ENV", "EUID", "HISTFILE", "IFS", "OPTIND", "PPID", "SHELLOPTS", "UID", "ZDOTDIR"];

/// Whether every shell can set it: an environment may hold more than that.
fn has_name(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// Whether a shell without this variable, which it started with, was told to do without it.
fn can_be_unset(name: &str) -> bool {
    has_name(name) && !OF_SHELLS.contains(&name) && !NEVER_HANDED_ON.contains(&name)
}

/// Whether a variable is more than what every shell of this server has.
fn is_of_session(name: &str, value: &str) -> bool {
    let is_of_shell = OF_SHELLS.contains(&name);
    let is_own = OWN.iter().any(|(own, set)| *own == name && *set == value);
    has_name(name)
        && !is_of_shell
        && !is_own
        && std::env::var_os(name).is_none_or(|inherited| inherited != *value)
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
