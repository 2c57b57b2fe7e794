//! Sessions that nobody uses: closed after the time that they were given.

use std::time::Duration;

use super::request::CloseMode;
use super::{Deadline, Engine, Step};
use crate::clock::Now;
use crate::id::SessionId;
use crate::model::{EventKind, Status};

impl Engine {
    pub(super) fn idle_for_long(&mut self, now: Now, id: &SessionId, step: &mut Step) {
        let Some(entry) = self.sessions.get(id) else { return };
        let session = &entry.session;
        let Some(timeout) = session.idle_timeout_ms.map(Duration::from_millis) else { return };
        if session.status != Status::Idle || entry.going.is_some() {
            return;
        }
        if now.moment >= entry.active_at.after(timeout) {
            let reason = format!("idle for {} ms", timeout.as_millis());
            self.note(now, id, EventKind::Decision { reason: format!("closing: {reason}") }, step);
            self.close(now, id, Status::Terminated, CloseMode::Graceful, None, &reason, step);
        } else {
            self.watch_idleness(id);
        }
    }

    pub(super) fn watch_idleness(&mut self, id: &SessionId) {
        let Some(session) = self.session(id) else { return };
        let Some(timeout) = session.idle_timeout_ms.map(Duration::from_millis) else { return };
        self.next_number += 1;
        let number = self.next_number;
        // One pending look is enough: it puts itself forward while there is activity.
        if let Some(entry) = self.sessions.get_mut(id)
            && entry.timer.is_none()
        {
            let key = (entry.active_at.after(timeout), number);
            entry.timer = Some(key);
            self.deadlines.insert(key, Deadline::Idle(id.clone()));
        }
    }
}
