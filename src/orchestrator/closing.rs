//! Closing sessions, and waiting until nothing of them is left.

use std::time::Duration;

use tokio::sync::watch;

use super::Orchestrator;
use crate::clock::{self, Moment};
use crate::engine::Request;
use crate::engine::request::{CloseMode, Closed, Targets};
use crate::error::Result;
use crate::id::SessionId;
use crate::limits;
use crate::model::{Session, SessionKind};

/// Beyond the grace period: SIGKILL, draining the terminal, reporting.
const AFTER_GRACE: Duration = Duration::from_secs(5);

impl Orchestrator {
    /// Closes sessions, departments before directors, and waits until nothing of them is left. The directors'
    /// turn comes within this call: see it through.
    pub async fn close_sessions(
        &self,
        targets: Targets,
        mode: CloseMode,
        grace: Option<Duration>,
        reason: Option<String>,
    ) -> Result<Closed> {
        let (directors, others): (Vec<_>, Vec<_>) =
            self.targeted(&targets).await?.into_iter().partition(|(_, kind)| *kind == SessionKind::Director);
        let mut closed = Closed { sessions: Vec::new(), going: Vec::new(), forced: false };
        for group in [others, directors] {
            let ids: Vec<SessionId> = group.into_iter().map(|(id, _)| id).collect();
            if ids.is_empty() {
                continue;
            }
            let request = Request::Close { sessions: ids.clone(), mode, grace, reason: reason.clone() };
            self.change(request).await?;
            let patience = grace.unwrap_or(limits::CLOSE_GRACE) + AFTER_GRACE;
            let deadline = clock::now().moment.after(patience);
            for id in ids {
                let watch = self.access(id.as_str()).await?.watch;
                let (is_gone, forced) = until_gone(watch, deadline).await;
                closed.forced |= forced;
                if is_gone { closed.sessions.push(id) } else { closed.going.push(id) }
            }
        }
        Ok(closed)
    }

    /// The sessions that [`Self::close_sessions`] would close.
    pub async fn targeted(&self, targets: &Targets) -> Result<Vec<(SessionId, SessionKind)>> {
        let pattern = match targets {
            Targets::One(selector) => {
                let session = self.session(selector).await?;
                return Ok(vec![(session.id, session.kind)]);
            }
            Targets::Matching(pattern) => Some(pattern.as_str()),
            Targets::All => None,
        };
        let sessions = self.sessions().await?.into_iter();
        let matching = sessions.filter(|session| {
            !session.status.is_final()
                && pattern.is_none_or(|pattern| {
                    crate::model::glob::matches(pattern, &session.name)
                        || crate::model::glob::matches(pattern, session.id.as_str())
                })
        });
        Ok(matching.map(|session| (session.id, session.kind)).collect())
    }
}

/// Waits for the end that was ordered. Returns whether it came, and whether it took SIGKILL.
async fn until_gone(mut watch: watch::Receiver<Session>, deadline: Moment) -> (bool, bool) {
    let ended = watch.wait_for(|session| !session.status.is_live());
    let is_gone = tokio::time::timeout_at(clock::instant(deadline).into(), ended).await.is_ok();
    (is_gone, watch.borrow().ended_by_force)
}
