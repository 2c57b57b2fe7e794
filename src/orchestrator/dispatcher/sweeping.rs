//! What ended sessions keep on disk is bounded: when one has ended, the oldest may have to go.

use std::sync::Arc;

use tracing::warn;

use super::Dispatcher;
use crate::clock::Moment;
use crate::limits;
use crate::model::{Session, Status};
use crate::store::Bounds;

impl Dispatcher {
    /// A session has ended: looks at what all of them keep, soon.
    pub(super) fn sweep_soon(&mut self, now: Moment) {
        let due = self.swept_at.map_or(now, |at| at.after(limits::SWEEP_PAUSE).max(now));
        self.sweep_at.get_or_insert(due);
    }

    /// Drops what is kept of sessions that were removed, beside everything else.
    pub(super) fn drop_removed(&mut self) {
        if self.removed.is_empty() {
            return;
        }
        let (sweeper, removed) = (self.store.sweeper(), std::mem::take(&mut self.removed));
        self.workers.spawn_blocking(move || {
            if let Err(error) = sweeper.remove(&removed) {
                warn!(%error, "commands of removed sessions stay");
            }
        });
    }

    /// Does so beside everything else. A session in error keeps its log open for a fresh shell, so
    /// its output is dropped through that.
    pub(super) fn sweep_if_due(&mut self, now: Moment) {
        if self.sweep_at.is_none_or(|at| now < at) || self.stopping.is_cancelled() {
            return;
        }
        self.sweep_at = None;
        self.swept_at = Some(now);
        let in_error = |session: &&Session| session.status == Status::Error;
        let in_error: Vec<Session> = self.engine.sessions().filter(in_error).cloned().collect();
        let outputs: Vec<_> =
            in_error.iter().map(|session| Arc::clone(&self.live_entry(session).output)).collect();
        let (sweeper, stopping) = (self.store.sweeper(), self.stopping.clone());
        self.workers.spawn_blocking(move || {
            let failed: Vec<_> = in_error.into_iter().map(|session| session.id).collect();
            let bounds = Bounds { sessions: limits::STORED_SESSIONS, output_bytes: limits::STORED_OUTPUT };
            match sweeper.sweep(bounds, &failed, || stopping.is_cancelled()) {
                Ok(to_empty) => {
                    for (id, output) in failed.iter().zip(outputs).filter(|(id, _)| to_empty.contains(id)) {
                        if let Err(error) = output.clear() {
                            warn!(%error, session = %id, "a session in error keeps more than it may");
                        }
                    }
                }
                Err(error) => warn!(%error, "ended sessions keep more than they may"),
            }
        });
    }
}
