//! What the end of a task means for others, and how long it is until it is tried again.

use std::time::Duration;

use crate::engine::backoff;
use crate::model::{Condition, OnFailure, TaskReason, TaskRetries, TaskState, TaskStatus};

/// Tasks by status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Not started.
    pub queued: usize,
    /// With an attempt.
    pub running: usize,
    /// Over, and as wished.
    pub completed: usize,
    /// Over, and not as wished.
    pub failed: usize,
}

impl Counts {
    /// All of them.
    pub fn total(self) -> usize {
        self.queued + self.running + self.completed + self.failed
    }

    /// Those that are over.
    pub fn over(self) -> usize {
        self.completed + self.failed
    }

    /// The one for a status.
    pub fn of(&mut self, status: TaskStatus) -> &mut usize {
        match status {
            TaskStatus::Queued => &mut self.queued,
            TaskStatus::Running => &mut self.running,
            TaskStatus::Completed => &mut self.completed,
            TaskStatus::Failed => &mut self.failed,
        }
    }
}

/// What the end of a task means for one that waits for it.
pub(super) enum Verdict {
    Met,
    Blocked,
    Unneeded,
}

pub(super) fn verdict(condition: Condition, state: &TaskState, on_failure: OnFailure) -> Verdict {
    let failed = state.status == TaskStatus::Failed;
    let unneeded = state.reason == Some(TaskReason::NotNeeded);
    match condition {
        Condition::Failure if !failed => Verdict::Unneeded,
        Condition::Success if failed && on_failure != OnFailure::Continue => Verdict::Blocked,
        Condition::Success if unneeded => Verdict::Unneeded,
        Condition::Always | Condition::Failure | Condition::Success => Verdict::Met,
    }
}

/// The pause after a failed attempt. Chance only shortens it, so that the bounds of a caller hold, and
/// is drawn from the run's own id, so that the same inputs give the same pause.
pub(super) fn pause(retries: TaskRetries, attempt: u32, seed: u128, number: u32) -> Duration {
    let whole = backoff(retries.delay_ms, retries.backoff, attempt - 1);
    #[expect(clippy::cast_possible_truncation, reason = "half of a random number is random")]
    let mixed = super::mix(seed as u64 ^ (u64::from(number) << 32) ^ u64::from(attempt));
    #[expect(clippy::cast_precision_loss, reason = "53 random bits are enough")]
    let chance = (mixed >> 11) as f64 / (1_u64 << 53) as f64;
    whole.mul_f64(1.0 - retries.jitter.clamp(0.0, 1.0) * chance)
}
