//! What a confined command leaves running, how it is told from the rest, and its end.

use std::collections::HashSet;
use std::io;

use rustix::process::{Pid, getpid};

use super::brand::{Slot, Which, kill_to_fixpoint};
use super::procfs::{self, Stat};
use crate::clock::Moment;
use crate::model::session::Dialect;

/// Looks at children that keep dying under the look.
const LOOKS: usize = 8;

/// Who marks what a confined command starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    /// The subshell that it runs in marks itself, by a builtin: see [`Slot::confine_word`].
    Subshell,
    /// The server marks the shell while the command runs. What the shell starts for its next prompt, before
    /// the server knows of the end, has the mark as well.
    Server,
}

/// Every child of a process: the kernel passes one over when another is reaped while it names them, so
/// that only two equal answers in a row can be trusted.
fn all_children(parent: Pid) -> Option<Vec<Pid>> {
    let mut named = procfs::children(parent)?;
    for _ in 0..LOOKS {
        let again = procfs::children(parent)?;
        if again == named {
            break;
        }
        named = again;
    }
    Some(named)
}

/// Who it is in shells of this kind: fish and dash know no limit on message queues.
pub(super) fn marker(dialect: Dialect) -> Marker {
    match dialect {
        Dialect::Bash | Dialect::Zsh => Marker::Subshell,
        Dialect::Fish | Dialect::Posix | Dialect::Plain => Marker::Server,
    }
}

impl Slot {
    /// To be called with the shell at its prompt: what it starts for a command belongs to a confined one,
    /// until [`Slot::release`].
    pub fn confine(&self, dialect: Dialect) -> io::Result<()> {
        match marker(dialect) {
            Marker::Subshell => Ok(()),
            Marker::Server => self.mark_shells(self.confined()),
        }
    }

    /// What the shell starts from now on is the session's own again.
    pub fn release(&self, dialect: Dialect) -> io::Result<()> {
        match marker(dialect) {
            Marker::Subshell => Ok(()),
            Marker::Server => self.mark_shells(self.which()),
        }
    }

    /// What a subshell of bash or zsh does to carry the mark of a confined command.
    pub(super) fn confine_word(&self) -> String {
        match self.brand().fingerprint() {
            Some(fingerprint) => format!("\\builtin ulimit -S -q {}", fingerprint.soft(self.confined())),
            None => "\\builtin true".to_owned(),
        }
    }

    /// Whether a confined command that has ended left anything running.
    pub fn has_leftovers(&self) -> bool {
        !self.leftovers().is_empty()
    }

    /// Kills what a confined command that has ended left running, until nothing is left or the deadline
    /// passes; returns how many outlived it.
    pub fn kill_leftovers(&self, deadline: Moment) -> usize {
        let with_descendants = || {
            let mut found = self.leftovers();
            let mut at = 0;
            while let Some(pid) = found.get(at) {
                found.extend(procfs::children(*pid).unwrap_or_default());
                at += 1;
            }
            found
        };
        kill_to_fixpoint(with_descendants, |pid| self.brand().has(pid, self.confined()), deadline)
    }

    /// Kills what a confined command started: see [`Brand::kill_all`](super::Brand::kill_all).
    pub fn kill_confined(&self, deadline: Moment) -> usize {
        self.brand().kill_all(self.confined(), deadline)
    }

    /// What is left of a confined command hangs below a child of the server, or is a stopped job of the
    /// shell: its other children are of its next prompt. Only where the kernel does not name children all
    /// processes are scanned, and where too many die for the look to settle.
    fn leftovers(&self) -> Vec<Pid> {
        let shells: Vec<i32> = self.shells().into_iter().map(Pid::as_raw_pid).collect();
        let mut dead = HashSet::new();
        for _ in 0..LOOKS {
            let Some(children) = self.children() else { break };
            let mut found = Vec::new();
            let mut is_settled = true;
            for pid in children {
                // In this order: what dies between the two looks is seen as dead.
                let is_marked = self.brand().has(pid, self.confined());
                let stat = procfs::stat(pid);
                let is_alive = stat.is_some_and(Stat::is_alive);
                let is_left = |stat: Stat| stat.is_stopped() || !shells.contains(&stat.parent);
                if is_marked && is_alive && stat.is_some_and(is_left) {
                    found.push(pid);
                }
                // What it left has become the server's since these children were named.
                is_settled &= is_alive || !dead.insert(pid);
            }
            if is_settled || !found.is_empty() {
                return found;
            }
        }
        self.brand().members(self.confined())
    }

    /// Those of the shell, and those that the server has without having started them.
    fn children(&self) -> Option<Vec<Pid>> {
        let mut children = Vec::new();
        for parent in self.shells().into_iter().chain([getpid()]) {
            children.extend(all_children(parent)?);
        }
        self.brand().retain_adopted(&mut children);
        Some(children)
    }

    fn mark_shells(&self, which: Which) -> io::Result<()> {
        self.shells().into_iter().try_for_each(|shell| self.brand().mark(shell, which))
    }

    fn confined(&self) -> Which {
        Which::Confined(self.number())
    }
}
