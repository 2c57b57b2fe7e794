//! What a confined command leaves running, and its end.

use std::collections::HashSet;
use std::io;

use rustix::process::{Pid, getpid};

use super::brand::{Slot, Which, kill_to_fixpoint};
use super::procfs;
use crate::clock::Moment;

/// Looks at children that keep dying under the look.
const LOOKS: usize = 8;

impl Slot {
    /// Marks the shell, at its prompt: what it starts from now on belongs to a confined command, until
    /// [`Slot::release`].
    pub fn confine(&self) -> io::Result<()> {
        self.mark_shells(self.confined())
    }

    /// What the shell starts from now on is the session's own again.
    pub fn release(&self) -> io::Result<()> {
        self.mark_shells(self.which())
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

    /// What is left of a confined command hangs below a child of the shell or of the server: the living
    /// ones of these. Only where the kernel does not name children all processes are scanned, and where
    /// too many die for the look to settle.
    fn leftovers(&self) -> Vec<Pid> {
        let mut dead = HashSet::new();
        for _ in 0..LOOKS {
            let Some(children) = self.children() else { break };
            let mut found = Vec::new();
            let mut is_settled = true;
            for pid in children {
                // In this order: what dies between the two looks is seen as dead.
                let is_marked = self.brand().has(pid, self.confined());
                let is_alive = procfs::stat(pid).is_some_and(procfs::Stat::is_alive);
                if is_marked && is_alive {
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
            children.extend(procfs::children(parent)?);
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
