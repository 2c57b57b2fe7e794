//! What a session's program finds in its environment.

use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::engine::Spawn;
use crate::id::SessionId;

/// The complete environment of a session's program.
pub(in crate::orchestrator) fn environment(
    spawn: &Spawn,
    session: &SessionId,
) -> BTreeMap<OsString, OsString> {
    let mut environment: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
    for name in ["LINES", "COLUMNS", "TERMCAP", "PS1", "PROMPT_COMMAND", "BASH_ENV"] {
        environment.remove(std::ffi::OsStr::new(name));
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
