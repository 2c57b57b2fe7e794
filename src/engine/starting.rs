//! The second half of a session that was made to be started later.

use super::refusals::{ended, unknown};
use super::request::Resources;
use super::sessions::Fresh;
use super::{Engine, Step};
use crate::error::{Error, ErrorCode, Result};
use crate::model::Session;

impl Engine {
    /// Starts a session that waits for it, with these resources.
    pub(super) fn start_session(
        &mut self,
        selector: &str,
        resources: Resources,
        step: &mut Step,
    ) -> Result<Session> {
        let id = self.resolve(selector)?;
        let entry = self.sessions.get_mut(&id).ok_or_else(unknown)?;
        let session = &mut entry.session;
        if !session.status.is_live() {
            return Err(ended(session));
        }
        if !session.is_unstarted() {
            return Err(Error::new(
                ErrorCode::IllegalTransition,
                format!("session {id} is {} already", session.status.as_str()),
            )
            .with_hint("only what session_create {autoStart: false} made is started"));
        }
        if let Some(bytes) = resources.memory_bytes {
            session.limits.memory_bytes = Some(bytes);
        }
        if !resources.needs.is_none() {
            session.needs = resources.needs;
        }
        self.respawn(&id, Fresh::AsCreated, step);
        self.session(&id).cloned().ok_or_else(unknown)
    }
}
