//! What a pool executes and its member never began, because the end of the member came first: that was no
//! attempt, and another member runs it.

use super::schedule::TaskKey;
use super::{Engine, Step};
use crate::clock::Now;
use crate::id::CommandId;
use crate::model::EndReason;

impl Engine {
    /// Takes such an attempt back. Returns whether the task waits for another member now.
    pub(super) fn deliver_elsewhere(
        &mut self,
        now: Now,
        task: TaskKey,
        command: &CommandId,
        step: &mut Step,
    ) -> bool {
        let never_began = self
            .commands
            .get(command)
            .is_some_and(|entry| entry.never_began && entry.command.reason == Some(EndReason::SessionLost));
        let is_of_a_pool = self.schedule.run(task.0).is_some_and(|run| {
            let wish = run.wish(task.1);
            wish.session.is_none() && run.run.sessions.is_empty() && self.pools.replace(&wish.requirements)
        });
        let is_withdrawn = never_began
            && is_of_a_pool
            && self.schedule.run_mut(task.0).is_some_and(|run| run.withdraw(now, task.1));
        if is_withdrawn {
            self.note_run(now, task.0, step);
            self.schedule.is_due = true;
        }
        is_withdrawn
    }
}
