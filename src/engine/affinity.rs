//! Tasks that name a session and are run by others in its stead: which ones, and for how long they are well
//! enough. With none left the session runs them itself.

use std::time::Duration;

use serde_json::json;

use super::placement::takes_tasks;
use super::refusals::{ended, unknown};
use super::request::NewAffinity;
use super::sessions::millis;
use super::{Deadline, Engine, Step};
use crate::clock::Now;
use crate::error::{Error, ErrorCode, Result};
use crate::id::SessionId;
use crate::limits;
use crate::model::{Affinity, AffinityStrategy, EventKind, Placement, PlacementRule, Session, Status, glob};

impl Engine {
    /// Lets other sessions run what names this one; without targets it does so itself again.
    pub(super) fn set_affinity(&mut self, now: Now, new: &NewAffinity, step: &mut Step) -> Result<Session> {
        let id = self.resolve(&new.selector)?;
        let session = self.session(&id).ok_or_else(unknown)?;
        if !session.status.is_live() {
            return Err(ended(session));
        }
        if new.targets.len() > limits::AFFINITY_TARGETS {
            return Err(Error::new(
                ErrorCode::LimitExceeded,
                format!("a session has at most {} targets", limits::AFFINITY_TARGETS),
            )
            .with_hint("name several by a glob"));
        }
        let mut targets: Vec<String> = Vec::new();
        for target in &new.targets {
            let target = if is_glob(target) { target.clone() } else { self.target(&id, target)?.to_string() };
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
        let affinity = (!targets.is_empty()).then(|| Affinity {
            targets,
            strategy: new.strategy,
            check_ms: millis(new.check_every),
        });
        if let Some(entry) = self.sessions.get_mut(&id) {
            entry.session.affinity = affinity;
        }
        step.sessions.insert(id.clone());
        self.schedule.is_due = true;
        self.watch_affinity(now, &id);
        self.session(&id).cloned().ok_or_else(unknown)
    }

    /// A session that is brought back shares its tasks out as it did before. Targets that were brought back
    /// before it are known by their new ids; those that are not well are dropped, with an event.
    pub(super) fn restore_affinity(&mut self, now: Now, id: &SessionId, of: &SessionId, step: &mut Step) {
        let Some(former) = self.session(of).and_then(|session| session.affinity.clone()) else { return };
        let heir = |target: &String| {
            let heirs = self.sessions().filter(|session| {
                session.status.is_live()
                    && session.restored_from.as_ref().is_some_and(|from| from.as_str() == target)
            });
            heirs.last().map_or_else(|| target.clone(), |session| session.id.to_string())
        };
        let targets = former.targets.iter().map(heir).collect();
        if let Some(entry) = self.sessions.get_mut(id) {
            entry.session.affinity = Some(Affinity { targets, ..former });
        }
        self.affinity_due(now, id, step);
    }

    /// A session that can run what names `id`.
    fn target(&self, id: &SessionId, target: &str) -> Result<SessionId> {
        let found = self.resolve(target)?;
        if found == *id {
            return Err(Error::invalid(format!("session {id} cannot be its own target"))
                .with_hint("leave the affinity out: a session runs what names it by itself")
                .with_details(json!({"field": "targets"})));
        }
        let session = self.session(&found).ok_or_else(unknown)?;
        if !session.status.is_live() {
            return Err(ended(session));
        }
        if !takes_tasks(session) {
            return Err(Error::new(
                ErrorCode::Unsupported,
                format!("session {found} takes no tasks: it runs no commands"),
            )
            .with_hint("name sessions of type worker with a shell"));
        }
        Ok(found)
    }

    /// The sessions that are to run what names this one, in order: those that are well.
    pub(super) fn stand_ins(&self, id: &SessionId) -> Vec<&SessionId> {
        let Some(affinity) = self.session(id).and_then(|session| session.affinity.as_ref()) else {
            return Vec::new();
        };
        let mut found: Vec<&SessionId> = Vec::new();
        for target in &affinity.targets {
            let fitting = self.sessions().filter(|session| {
                target == session.id.as_str()
                    || (is_glob(target)
                        && (glob::matches(target, &session.name)
                            || glob::matches(target, session.id.as_str())))
            });
            for session in fitting {
                if session.id != *id && self.is_well(session) && !found.contains(&&session.id) {
                    found.push(&session.id);
                }
            }
        }
        found
    }

    /// Which of the stand-ins a task goes to; none while all of them are busy.
    pub(super) fn stand_in(&self, id: &SessionId, among: Vec<&SessionId>) -> Option<(SessionId, Placement)> {
        let strategy = self.session(id)?.affinity.as_ref()?.strategy;
        let free: Vec<&SessionId> = among.into_iter().filter(|id| self.is_free(id)).collect();
        let load = |id: &SessionId| self.schedule.load.sessions.get(id).copied().unwrap_or(0.0);
        let count = free.len();
        let chosen = match strategy {
            AffinityStrategy::RoundRobin => self.next_in_turn(free),
            AffinityStrategy::LoadBalanced => free.into_iter().min_by(|a, b| load(a).total_cmp(&load(b))),
            AffinityStrategy::First => free.first().copied(),
        };
        chosen.map(|id| (id.clone(), Placement { rule: PlacementRule::Affinity, free: count }))
    }

    /// Whether a session can be trusted with the tasks of another.
    fn is_well(&self, session: &Session) -> bool {
        let is_closing = self.sessions.get(&session.id).is_none_or(|entry| entry.closing.is_some());
        session.status.is_live()
            && session.status != Status::Timeout
            && !session.is_unstarted()
            && !session.stopped
            && !is_closing
            && takes_tasks(session)
    }

    /// The time to look at the targets has come: those that are not well are dropped.
    pub(super) fn affinity_due(&mut self, now: Now, id: &SessionId, step: &mut Step) {
        let Some(entry) = self.sessions.get_mut(id) else { return };
        entry.affinity_timer = None;
        let Some(affinity) = entry.session.affinity.clone().filter(|_| entry.session.status.is_live()) else {
            return;
        };
        let is_lost = |target: &String| {
            let session = self.session(&SessionId::from_text(target.clone()));
            !is_glob(target) && session.is_none_or(|session| !self.is_well(session))
        };
        let (lost, left): (Vec<String>, Vec<String>) = affinity.targets.iter().cloned().partition(is_lost);
        if !lost.is_empty() {
            let rest = if left.is_empty() { "; none is left, and it runs its tasks itself" } else { "" };
            let reason = format!("no tasks go to {} any more: not well{rest}", lost.join(", "));
            if let Some(entry) = self.sessions.get_mut(id) {
                entry.session.affinity = (!left.is_empty()).then_some(Affinity { targets: left, ..affinity });
            }
            step.sessions.insert(id.clone());
            self.schedule.is_due = true;
            self.note(now, id, EventKind::Decision { reason }, step);
        }
        self.watch_affinity(now, id);
    }

    fn watch_affinity(&mut self, now: Now, id: &SessionId) {
        self.next_number += 1;
        let number = self.next_number;
        let Some(entry) = self.sessions.get_mut(id) else { return };
        if let Some(key) = entry.affinity_timer.take() {
            self.deadlines.remove(&key);
        }
        if let Some(affinity) = &entry.session.affinity {
            let key = (now.moment.after(Duration::from_millis(affinity.check_ms)), number);
            entry.affinity_timer = Some(key);
            self.deadlines.insert(key, Deadline::Affinity(id.clone()));
        }
    }
}

fn is_glob(target: &str) -> bool {
    target.contains(['*', '?'])
}
