//! Confined commands: what they start is marked, and ends with them.

use std::sync::Arc;

use tracing::warn;

use super::Running;
use super::closing::KILL_TIME;
use crate::clock::{self, Moment};
use crate::pty::Modes;

/// What a confined command may change beside its own processes.
#[derive(Debug)]
pub(super) struct Confined {
    /// None for shells that see to it themselves.
    modes: Option<Modes>,
}

impl Running {
    /// From now on what the shell starts belongs to a confined command.
    pub(super) fn confine(&self) -> Confined {
        if let Err(error) = self.wiring.slot.confine(self.dialect) {
            warn!(session = %self.wiring.session, %error, "what a command leaves running will not be found");
        }
        Confined { modes: self.terminal.line_modes().filter(|_| !self.edits_lines) }
    }

    pub(super) fn runs_confined(&self) -> bool {
        self.current.as_ref().is_some_and(|current| current.confined.is_some())
    }

    /// The confined command is over: what it left running is killed. Before its end is reported, so that
    /// whatever still writes to the terminal does so before the next command.
    pub(super) async fn clear_away(&self, confined: &Confined) {
        if let Err(error) = self.wiring.slot.release(self.dialect) {
            warn!(session = %self.wiring.session, %error, "the shell keeps the mark of its last command");
        }
        if self.wiring.slot.has_leftovers() {
            let slot = Arc::clone(&self.wiring.slot);
            self.kill(move |deadline| slot.kill_leftovers(deadline)).await;
        }
        if let Some(modes) = &confined.modes
            && let Err(error) = self.terminal.set_modes(modes)
        {
            warn!(session = %self.wiring.session, %error, "the terminal keeps the modes of its last command");
        }
    }

    /// SIGKILL to all that the confined command started, whatever group or session it is in.
    pub(super) async fn kill_confined(&self) {
        let slot = Arc::clone(&self.wiring.slot);
        self.kill(move |deadline| slot.kill_confined(deadline)).await;
    }

    async fn kill(&self, kill: impl FnOnce(Moment) -> usize + Send + 'static) {
        let deadline = clock::now().moment.after(KILL_TIME);
        let left = tokio::task::spawn_blocking(move || kill(deadline)).await;
        if left.unwrap_or(0) > 0 {
            warn!(session = %self.wiring.session, "processes of a command survive SIGKILL");
        }
    }
}
