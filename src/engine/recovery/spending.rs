//! A session has used up the processor time that it may use: what runs in it is ended, and where it was
//! created so, a fresh shell follows, which may use as much again.

use super::{Origin, Standing};
use crate::clock::Now;
use crate::engine::deadline::Deadline;
use crate::engine::entry::Entry;
use crate::engine::{EffectKind, Engine, Step};
use crate::id::SessionId;
use crate::limits;
use crate::model::FailureCategory;

impl Engine {
    /// The shell is at its prompt again: what passed a limit in the foreground has ended. If the shell is to be
    /// replaced, that follows in a moment, when it has written down what it exports.
    pub(in crate::engine) fn breach_over(&mut self, now: Now, id: &SessionId) {
        let Some(entry) = self.sessions.get_mut(id) else { return };
        entry.breach = None;
        if !is_to_be_replaced(entry) {
            return;
        }
        if let Some(key) = entry.limit_timer.take() {
            self.deadlines.remove(&key);
        }
        self.next_number += 1;
        let key = (now.moment.after(limits::PROMPT_WAIT), self.next_number);
        entry.limit_timer = Some(key);
        self.deadlines.insert(key, Deadline::Limit(id.clone()));
    }

    /// What passes a limit has had its grace.
    pub(in crate::engine) fn limit_due(&mut self, now: Now, id: &SessionId, step: &mut Step) {
        let Some(entry) = self.sessions.get_mut(id) else { return };
        entry.limit_timer = None;
        if entry.running.is_none() && entry.going.is_none() {
            entry.breach = None;
        }
        let policy = entry.session.recovery.filter(|_| is_to_be_replaced(entry));
        let (category, standing) = (FailureCategory::CpuLimit, Standing::Spent);
        let is_replaced = policy.is_some_and(|policy| {
            self.recover_unasked(now, id, policy, category, Origin::Policy, standing, step)
        });
        if !is_replaced {
            step.effect(id, EffectKind::EndOffenders { force: true });
            self.start_next(now, id, step);
        }
    }
}

impl Entry {
    /// Whether what waits in it is for the fresh shell that is about to come.
    pub(in crate::engine) fn awaits_replacement(&self) -> bool {
        self.limit_timer.is_some() && is_to_be_replaced(self)
    }
}

/// Whether nothing keeps a session without processor time from its fresh shell: a command that still runs is
/// ended first, so that it can say why.
fn is_to_be_replaced(entry: &Entry) -> bool {
    let is_free = entry.has_worker && entry.running.is_none() && entry.closing.is_none();
    entry.session.cpu_time_spent
        && entry.session.recovery.is_some()
        && is_free
        && !entry.restart
        && entry.going.is_none()
        && entry.recovery.course.is_none()
}
