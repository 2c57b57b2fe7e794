//! What a handler is given: the orchestrator, the server's defaults, and a way to wait that neither
//! keeps others from being served nor leaves the client without a sign of life.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{ProgressNotificationParam, ProgressToken, RequestId};
use rmcp::{Peer, RoleServer};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::answer::Answer;
use super::arguments::shortened;
use super::traffic::Traffic;
use crate::engine::report::{Counts, Overall};
use crate::engine::request::TaskQuery;
use crate::id::{CommandId, SessionId};
use crate::limits;
use crate::model::{RecoverySettings, TerminalSize};
use crate::orchestrator::{Orchestrator, OutputQuery};

/// What calls that name nothing else get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// The shell of sessions; `$SHELL` when absent.
    pub shell: Option<String>,
    /// The size of terminals.
    pub size: TerminalSize,
    /// How sessions are recovered.
    pub recovery: RecoverySettings,
    /// The command line of agents, which get their prompt as its last word in a task, and else on stdin.
    pub agent_command: String,
    /// The most that one result may take, in estimated tokens.
    pub result_tokens: usize,
}

/// What `session_create`, `session_reset` and `session_update` wait for ends by itself before any caller
/// loses patience.
const _: () = assert!(
    limits::CLOSE_GRACE.as_millis() + limits::READY_WAIT.as_millis() < limits::SILENT_WAIT.as_millis()
);

/// What progress tells of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Watched<'a> {
    /// Only that the call still waits.
    Nothing,
    /// The last line that a session, or a command in it, printed.
    Output(&'a SessionId, Option<&'a CommandId>),
    /// How many of these tasks are over.
    Tasks(&'a TaskQuery),
}

/// What the client was told last.
#[derive(Default)]
struct Told {
    /// Only ever grows, as the protocol wants it.
    progress: f64,
    /// Tasks by status.
    counts: Counts,
}

/// Where progress goes.
pub(crate) struct Reporter {
    pub(crate) peer: Peer<RoleServer>,
    pub(crate) token: ProgressToken,
}

/// One call being served.
pub(crate) struct Call {
    pub(crate) orchestrator: Orchestrator,
    pub(crate) defaults: Arc<Defaults>,
    pub(crate) reporter: Option<Reporter>,
    pub(crate) patience: Duration,
    pub(crate) permits: Arc<Semaphore>,
    /// Held while the call works, given back while it waits.
    pub(crate) permit: Mutex<Option<OwnedSemaphorePermit>>,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) id: RequestId,
}

/// How large a result may be.
///
/// What a text costs together with the other fields and JSON's escapes is known only when it is there. So
/// every answer whose size depends on what it tells of is made in a loop, within the tokens that there are
/// for its texts, until the room [holds](Self::holds) it. What is left out is counted, and can be had
/// otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// The most that either form of the answer may cost.
    most: usize,
    /// Estimated tokens that its texts and lists may take. At zero all is left out that can be.
    pub(crate) tokens: usize,
}

impl Room {
    /// A result of at most so many tokens.
    pub(crate) fn of(most: usize) -> Self {
        // The rest is for the fields that are always there.
        Self { most, tokens: most - most / 16 }
    }

    /// Whether the answer can be given. If not, there is less room for the next attempt.
    pub(crate) fn holds(&mut self, answer: &Answer) -> bool {
        let tokens = answer.tokens();
        if tokens <= self.most || self.tokens == 0 {
            return true;
        }
        // What is cut in whole lines or items may not get smaller by a little.
        self.tokens = (self.tokens * self.most / tokens).min(self.tokens - self.tokens / 8 - 1);
        false
    }
}

impl Call {
    /// The room for this call's result.
    pub(crate) fn room(&self) -> Room {
        Room::of(self.defaults.result_tokens)
    }

    /// How long this call may block: as asked, or as long as its client stays patient.
    pub(crate) fn longest_wait(&self, asked: Option<Duration>) -> Duration {
        asked.unwrap_or(self.patience).min(limits::LONGEST_WAIT)
    }

    /// Waits without a permit, and reports progress with the last line of what is `watched`. Every wait
    /// for more than the orchestrator's next answer goes through here.
    pub(crate) async fn wait<T>(&self, what: impl Future<Output = T>, watched: Watched<'_>) -> T {
        self.traffic.handed_over(&self.id);
        drop(self.permit.lock().await.take());
        let result = match &self.reporter {
            None => what.await,
            Some(reporter) => {
                tokio::pin!(what);
                let mut told = Told::default();
                let result = loop {
                    tokio::select! {
                        biased;
                        result = &mut what => break result,
                        () = self.report(reporter, &mut told, watched) => {}
                    }
                };
                if let Watched::Tasks(query) = watched {
                    self.report_end(reporter, &told, query).await;
                }
                result
            }
        };
        // The semaphore is never closed; without a permit the call goes on all the same.
        *self.permit.lock().await = Arc::clone(&self.permits).acquire_owned().await.ok();
        result
    }

    /// One report, when its time has come.
    async fn report(&self, reporter: &Reporter, told: &mut Told, watched: Watched<'_>) {
        let (progress, message) = match watched {
            Watched::Nothing => {
                tokio::time::sleep(limits::PROGRESS_EVERY).await;
                (told.progress + 1.0, String::new())
            }
            Watched::Output(session, command) => {
                tokio::time::sleep(limits::PROGRESS_EVERY).await;
                let query = OutputQuery {
                    command: command.cloned(),
                    tail_lines: Some(1),
                    budget_tokens: 60,
                    ..OutputQuery::default()
                };
                let excerpt = self.orchestrator.output(session, query).await;
                (told.progress + 1.0, excerpt.map(|excerpt| excerpt.text).unwrap_or_default())
            }
            Watched::Tasks(query) => {
                let overall = self.next_overall(query, told.counts).await;
                told.counts = overall.counts;
                (rising(told.progress, overall.percentage), standing(overall.counts))
            }
        };
        if !self.traffic.takes_progress() {
            return;
        }
        told.progress = progress;
        // Blanks cost next to nothing in tokens: the budget alone bounds no line.
        let line = shortened(message.trim());
        let message = if line.is_empty() { "waiting".to_owned() } else { line };
        let total = matches!(watched, Watched::Tasks(_)).then_some(100.0);
        notify(reporter, progress, total, message).await;
    }

    /// The last report of tasks that are all over.
    async fn report_end(&self, reporter: &Reporter, told: &Told, query: &TaskQuery) {
        let Ok(progress) = self.orchestrator.progress(query, 0).await else { return };
        let counts = progress.overall.counts;
        if counts.total() > 0 && counts.over() == counts.total() && told.progress < 100.0 {
            notify(reporter, 100.0, Some(100.0), standing(counts)).await;
        }
    }

    /// How far tasks are once that has changed, or the next report is due.
    async fn next_overall(&self, query: &TaskQuery, before: Counts) -> Overall {
        let due = Instant::now() + limits::PROGRESS_EVERY;
        loop {
            tokio::time::sleep(limits::TASK_PROGRESS_EVERY).await;
            let overall =
                self.orchestrator.progress(query, 0).await.map(|all| all.overall).unwrap_or_default();
            if overall.counts != before || Instant::now() >= due {
                return overall;
            }
        }
    }
}

/// What to report for a percentage: more than before, however little, and 100 only at the end.
fn rising(before: f64, percentage: f64) -> f64 {
    percentage.min(99.0).max(before + (100.0 - before) / 1_000.0)
}

/// Tasks by status, in words.
pub(crate) fn standing(counts: Counts) -> String {
    let mut text = format!("{}/{} done", counts.over(), counts.total());
    for (count, word) in [(counts.running, "running"), (counts.failed, "failed")] {
        if count > 0 {
            let _ = write!(text, ", {count} {word}");
        }
    }
    text
}

async fn notify(reporter: &Reporter, progress: f64, total: Option<f64>, message: String) {
    let mut report = ProgressNotificationParam::new(reporter.token.clone(), progress).with_message(message);
    report.total = total;
    if let Err(error) = reporter.peer.notify_progress(report).await {
        tracing::debug!(%error, "progress could not be reported");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The attempts at an answer with so many tokens of its own beside its text, until the room holds it.
    fn attempts(most: usize, own: usize) -> Vec<usize> {
        let mut room = Room::of(most);
        let mut attempts = Vec::new();
        loop {
            attempts.push(room.tokens);
            let text = "a\n".repeat(usize::midpoint(own, room.tokens));
            let answer = Answer { text, structured: serde_json::Value::Null, failed: false };
            if room.holds(&answer) {
                return attempts;
            }
        }
    }

    #[test]
    fn progress_rises_and_stays_below_its_end() {
        let mut before = 0.0;
        for percentage in [0.0, 0.0, 10.0, 10.0, 5.0, 99.8, 100.0, 100.0, 100.0] {
            let next = rising(before, percentage);
            assert!(next > before && next < 100.0 && next >= percentage.min(99.0), "{before} {next}");
            before = next;
        }
    }

    #[test]
    fn an_answer_is_made_smaller_until_it_fits() {
        assert_eq!(attempts(8_000, 100), [7_500]);
        let several = attempts(8_000, 4_000);
        assert!(several.len() < 8 && several.iter().all(|tokens| *tokens > 3_000), "{several:?}");
        assert_eq!(attempts(8_000, 9_000).last(), Some(&0), "what is always there does not fit");
    }
}
