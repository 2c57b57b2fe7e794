//! Recoveries that a session's monitor wants: by the same moves, and under the same bounds, as those of its
//! policy. Knows nothing of what the monitor saw.

use super::strategy::Standing;
use super::{Origin, millis};
use crate::clock::Now;
use crate::engine::{Engine, Step};
use crate::id::SessionId;
use crate::model::{FailureCategory, RecoveryPolicy, RecoverySettings, RecoveryStrategy};

impl Engine {
    /// Whether the time is over for which the monitor's last wish was refused. It is told once.
    pub(in crate::engine) fn may_try_again(&mut self, now: Now, id: &SessionId) -> bool {
        let Some(entry) = self.sessions.get_mut(id) else { return false };
        entry.recovery.refused_until.take_if(|until| now.moment >= *until).is_some()
    }

    /// What the session's monitor wants done about it, now that it is critical.
    pub(in crate::engine) fn recover_for_monitor(
        &mut self,
        now: Now,
        id: &SessionId,
        strategy: RecoveryStrategy,
        step: &mut Step,
    ) {
        let Some(entry) = self.sessions.get(id) else { return };
        let is_under_way = entry.recovery.is_under_way() || entry.going.is_some();
        let standing = self.standing(id, entry.session.stopped);
        let can_help = match standing {
            Standing::Busy | Standing::Stopped => true,
            Standing::Gone | Standing::Starting | Standing::Spent | Standing::AtPrompt => {
                strategy != RecoveryStrategy::Interrupt
            }
        };
        if is_under_way || !can_help {
            return;
        }
        if let Some(error) = self.check_room().err().filter(|_| standing == Standing::Gone) {
            self.decide(now, id, &format!("not recovered: {}", error.message), step);
            return;
        }
        let RecoverySettings { retries, delay, .. } = self.defaults.recovery;
        let policy = RecoveryPolicy { max_retries: retries, retry_delay_ms: millis(delay), strategy };
        let category = self.category_now(id, None, standing).unwrap_or(FailureCategory::Unknown);
        self.recover_unasked(now, id, policy, category, Origin::Monitor, standing, step);
    }
}
