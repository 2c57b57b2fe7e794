//! What is known of sessions that have ended, and for how long: the oldest go when there are too many,
//! and all go some time after their end.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::time::Duration;

use super::{Deadline, EffectKind, Engine, Step};
use crate::clock::Now;
use crate::error::{Error, Result};
use crate::id::SessionId;
use crate::limits;
use crate::model::Status;

impl Engine {
    /// Forgets the oldest ended sessions and commands beyond their bounds. What this step touched
    /// stays until a later one: it is not committed yet.
    pub(super) fn forget_old(&mut self, step: &mut Step) {
        while let Some(id) = oldest(&mut self.ended_commands, limits::ENDED_COMMANDS, &step.commands) {
            self.commands.remove(&id);
        }
        while let Some(id) = oldest(&mut self.ended_sessions, limits::ENDED_SESSIONS, &step.sessions) {
            self.sessions.remove(&id);
            self.order.retain(|known| *known != id);
            step.effect(&id, EffectKind::Forget);
        }
    }

    /// Removes the sessions of these statuses that ended so long ago, with all that is kept of them but
    /// their events. Returns which.
    pub(super) fn clean_up(
        &mut self,
        now: Now,
        older_than: Duration,
        statuses: &[Status],
        step: &mut Step,
    ) -> Result<Vec<SessionId>> {
        if let Some(live) = statuses.iter().find(|status| status.is_live()) {
            return Err(Error::invalid(format!(
                "sessions that are {} have not ended: they are not removed",
                live.as_str()
            ))
            .with_hint("end them first with session_close"));
        }
        let is_due = |id: &&SessionId| {
            // What this step touched is not committed yet.
            !step.sessions.contains(*id)
                && self.session(id).is_some_and(|session| {
                    statuses.contains(&session.status)
                        && session.ended_at.is_some_and(|ended| now.wall.since(ended) >= older_than)
                })
        };
        let removed: Vec<SessionId> = self.ended_sessions.iter().filter(is_due).cloned().collect();
        if removed.is_empty() {
            return Ok(removed);
        }
        let gone: HashSet<&SessionId> = removed.iter().collect();
        self.ended_sessions.retain(|id| !gone.contains(id));
        self.order.retain(|id| !gone.contains(id));
        self.commands.retain(|_, entry| !gone.contains(&entry.command.session));
        self.ended_commands.retain(|id| self.commands.contains_key(id));
        for id in &removed {
            self.sessions.remove(id);
            self.forget_agents(now, id, step);
            step.removed.push(id.clone());
            step.effect(id, EffectKind::Remove);
        }
        Ok(removed)
    }

    /// Sees to it that what has ended is removed in time, without a caller.
    pub(super) fn watch_ended(&mut self, now: Now) {
        if self.defaults.cleanup_after.is_some() && !self.cleans_up && !self.ended_sessions.is_empty() {
            self.cleans_up = true;
            self.next_number += 1;
            let due = now.moment.after(limits::CLEANUP_EVERY);
            self.deadlines.insert((due, self.next_number), Deadline::CleanUp);
        }
    }

    /// The time to clean up has come.
    pub(super) fn clean_up_due(&mut self, now: Now, step: &mut Step) {
        self.cleans_up = false;
        if let Some(older_than) = self.defaults.cleanup_after {
            let ended = Status::ALL.into_iter().filter(|status| !status.is_live()).collect::<Vec<_>>();
            // Nothing of this is refused: no status among these is live.
            let _ = self.clean_up(now, older_than, &ended, step);
        }
        self.watch_ended(now);
    }
}

/// Takes out the oldest of more than `most`, unless it is `kept`.
fn oldest<T: Ord>(ended: &mut VecDeque<T>, most: usize, kept: &BTreeSet<T>) -> Option<T> {
    let is_due = ended.len() > most && ended.front().is_some_and(|id| !kept.contains(id));
    is_due.then(|| ended.pop_front()).flatten()
}
