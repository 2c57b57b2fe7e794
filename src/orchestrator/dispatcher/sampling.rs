//! When it is noted what the sessions use: at a steady pace while there are any.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::Dispatcher;
use crate::clock::{self, Moment, Now};
use crate::id::SessionId;
use crate::orchestrator::census::{Census, Subject};
use crate::orchestrator::recorder::{Recorder, Round};

/// What there is to look at, and what is known already.
#[derive(Debug)]
pub(in crate::orchestrator) struct Ground {
    /// None before the first session.
    pub(in crate::orchestrator) census: Option<Arc<Census>>,
    /// The sessions that have a shell.
    pub(in crate::orchestrator) subjects: Vec<Subject>,
    pub(in crate::orchestrator) recorder: Arc<Recorder>,
    /// Percent of the tokens that condensing saved, of each session whose output was condensed.
    pub(in crate::orchestrator) savings: HashMap<SessionId, f64>,
}

impl Dispatcher {
    /// There is a session: begins to note what it uses.
    pub(super) fn sample_soon(&mut self, now: Moment) {
        self.sample_at.get_or_insert(now);
    }

    /// Has it looked at beside the runtime. While a round takes longer than the pause the next ones are left
    /// out.
    pub(super) fn sample_if_due(&mut self, now: Now) {
        if self.sample_at.is_none_or(|at| now.moment < at) || self.stopping.is_cancelled() {
            return;
        }
        self.sample_at = Some(now.moment.after(self.settings.sample_every));
        if self.round.as_ref().is_some_and(|round| !round.is_finished()) {
            return;
        }
        let Ground { census, subjects, recorder, .. } = self.ground();
        let Some(census) = census.filter(|_| !subjects.is_empty()) else {
            self.sample_at = None;
            self.sampled_at = None;
            recorder.rest();
            return;
        };
        let ended = self.sampled_at.map(|at| self.engine.ended_since(at)).unwrap_or_default();
        self.sampled_at = Some(now.wall.after(Duration::from_millis(1)));
        self.round = Some(self.workers.spawn(async move {
            let trees = census.trees().await;
            let round = Round { now: clock::now(), subjects, ended };
            let _ = tokio::task::spawn_blocking(move || recorder.note(&round, &trees)).await;
        }));
    }

    pub(super) fn ground(&self) -> Ground {
        let sessions: Vec<SessionId> = self.with_shells();
        Ground {
            census: self.host.as_ref().map(|host| Arc::clone(host.census())),
            subjects: self.subjects(&sessions),
            recorder: Arc::clone(&self.recorder),
            savings: self
                .live
                .iter()
                .filter_map(|(id, live)| Some((id.clone(), live.output.savings()?)))
                .collect(),
        }
    }
}
