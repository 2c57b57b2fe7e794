//! A run as the server left it that died.

use super::{Place, RunEntry};
use crate::clock::Now;
use crate::model::{TaskReason, TaskState, TaskStatus};

impl RunEntry {
    /// Puts a run back to where `states` says that it was when its server died. What was running fails,
    /// or in a resumable run starts anew, unless it was told to end; nothing starts before the run is
    /// resumed.
    pub(in crate::engine) fn restore(&mut self, now: Now, states: impl Iterator<Item = (u32, TaskState)>) {
        let mut over = Vec::new();
        let mut interrupted = Vec::new();
        for (number, state) in states {
            let Some(node) = self.nodes.get_mut(number as usize) else { continue };
            *self.counts.of(node.state.status) -= 1;
            *self.counts.of(state.status) += 1;
            match state.status {
                TaskStatus::Queued => {}
                TaskStatus::Running => interrupted.push((number, state.reason)),
                TaskStatus::Completed | TaskStatus::Failed => {
                    node.place = Place::Over;
                    over.push(number);
                }
            }
            node.state = state;
        }
        self.propagate(now, over);
        let mut failed = None;
        for (number, told) in interrupted {
            if self.run.resumable && told.is_none() {
                self.set_status(number, TaskStatus::Queued);
                continue;
            }
            if told.is_none() {
                failed.get_or_insert(number);
            }
            let because_of = self.state(number).because_of;
            self.end(now, number, TaskStatus::Failed, told.or(Some(TaskReason::ServerRestart)), because_of);
        }
        if let Some(number) = failed {
            // Nothing of it runs that would have to be stopped.
            self.failed(now, number);
        }
        for number in self.numbers() {
            let node = &self.nodes[number as usize];
            if node.waiting == 0 && node.place == Place::Waiting {
                self.make_ready(now, number);
            }
        }
        if !self.is_over() {
            self.run.paused = true;
        }
    }
}
