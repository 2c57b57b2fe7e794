//! Another try at a command whose last one was stopped because its time was up: what that left running is
//! ended first, so that no two tries are ever at work together.

use std::collections::HashSet;
use std::sync::Arc;

use super::Running;
use super::closing::KILL_TIME;
use crate::clock;
use crate::engine::Run;
use crate::id::CommandId;

/// A command that may be tried again.
#[derive(Debug)]
pub(super) struct Tried {
    command: CommandId,
    /// What ran in the session before its first try.
    others: HashSet<u32>,
}

impl Running {
    /// To be called before a command is handed over. Returns whether nothing of its last try is left that
    /// must not be.
    pub(super) async fn is_clear_for(&mut self, run: &Run) -> bool {
        let command = &run.command;
        let slot = Arc::clone(&self.wiring.slot);
        let last = self.tried.as_ref().filter(|tried| tried.command == command.id);
        if let Some(tried) = last.filter(|_| run.is_after_timeout) {
            let deadline = clock::now().moment.after(KILL_TIME);
            let others = tried.others.clone();
            let left = tokio::task::spawn_blocking(move || slot.kill_others(&others, deadline)).await;
            return left.is_ok_and(|left| left == 0);
        }
        if last.is_none() && command.retries.is_some() && command.on_timeout.stops() {
            let others = tokio::task::spawn_blocking(move || slot.pids()).await.unwrap_or_default();
            self.tried = Some(Tried { command: command.id.clone(), others: others.into_iter().collect() });
        }
        true
    }
}
