//! A session's place in a run is taken by another.

use super::{Change, Place, RunEntry};
use crate::clock::Now;
use crate::id::{CommandId, SessionId};
use crate::limits;
use crate::model::TaskStatus;

impl RunEntry {
    /// An attempt never began: the task waits for a session as if there had been none. Returns false when
    /// that has happened too often, or when the task is to end.
    pub(in crate::engine) fn withdraw(&mut self, now: Now, number: u32) -> bool {
        let node = &mut self.nodes[number as usize];
        let Place::Running { slots } = node.place else { return false };
        if node.withdrawn >= limits::WITHDRAWN || node.state.reason.is_some() {
            return false;
        }
        self.taken -= slots;
        node.withdrawn += 1;
        node.state.attempt -= 1;
        (node.state.session, node.state.command, node.state.started_at) = (None, None, None);
        self.set_status(number, TaskStatus::Queued);
        self.make_ready(now, number);
        true
    }

    /// Puts `to` in the place of `from`, for tasks to come and for those attempts that `moved`. Returns
    /// whether the run had anything to do with it.
    pub(in crate::engine) fn move_session(
        &mut self,
        from: &SessionId,
        to: &SessionId,
        moved: &[CommandId],
    ) -> bool {
        let mut is_changed = false;
        for lane in &mut self.lanes {
            if lane.wish.session.as_ref() == Some(from) {
                lane.wish.session = Some(to.clone());
                is_changed = true;
            }
        }
        if let Some(place) = self.run.sessions.iter().position(|session| session == from) {
            self.run.sessions.remove(place);
            if !self.run.sessions.contains(to) {
                self.run.sessions.insert(place, to.clone());
            }
            is_changed = true;
        }
        for (number, node) in (0_u32..).zip(&mut self.nodes) {
            let has_moved = node.state.command.as_ref().is_some_and(|command| moved.contains(command));
            if has_moved && matches!(node.place, Place::Running { .. }) {
                node.state.session = Some(to.clone());
                self.changed.push(Change { number, moved: None });
                is_changed = true;
            }
        }
        is_changed
    }
}
