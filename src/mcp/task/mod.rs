//! The tools about tasks, a file each, and what they share: which tasks are meant, and how long a call
//! waits for them.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, fitting, is_default};
use super::call::{Call, Watched};
use crate::engine::report::{Accepted, Counts};
use crate::engine::request::TaskQuery;
use crate::error::{Error, Result};
use crate::limits;
use crate::orchestrator::tasks::TasksUntil;

pub(crate) mod cancel;
pub(crate) mod control;
pub(crate) mod distribute;
pub(crate) mod retry;
pub(crate) mod status;

/// Which tasks a call is about: those that fit everything that is given.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Which {
    #[serde(default)]
    #[schemars(extend("x-items" = limits::TASKS))]
    task_ids: Vec<String>,
    run_id: Option<String>,
    /// A glob over task ids
    pattern: Option<String>,
}

impl Which {
    /// Refuses to mean everything.
    fn some(self, tool: &str) -> Result<TaskQuery> {
        if self.task_ids.is_empty() && self.run_id.is_none() && self.pattern.is_none() {
            return Err(Error::invalid(format!(
                "{tool} takes at least one of 'taskIds', 'runId' and 'pattern'"
            ))
            .with_details(serde_json::json!({"field": "taskIds", "alternatives": ["runId", "pattern"]})));
        }
        Ok(TaskQuery { tasks: self.task_ids, run: self.run_id, pattern: self.pattern, session: None })
    }
}

/// Tasks by status.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Summary {
    total: usize,
    queued: usize,
    running: usize,
    completed: usize,
    failed: usize,
}

impl From<Counts> for Summary {
    fn from(counts: Counts) -> Self {
        let Counts { queued, running, completed, failed } = counts;
        Self { total: counts.total(), queued, running, completed, failed }
    }
}

impl Summary {
    fn text(&self) -> String {
        let Self { total, queued, running, completed, failed } = self;
        format!("{total} tasks: {completed} completed, {failed} failed, {running} running, {queued} queued")
    }
}

/// Waits for tasks, with progress reports. Returns whether it came to what was waited for.
async fn wait(call: &Call, query: &TaskQuery, until: TasksUntil, longest: Duration) -> Result<bool> {
    call.wait(call.orchestrator.wait_tasks(query, until, longest), Watched::Tasks(query)).await
}

/// A run that was accepted.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Distribution {
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    distributed: Vec<Distributed>,
    /// Accepted tasks that this list leaves out; the status of the run has them.
    #[serde(skip_serializing_if = "is_default")]
    omitted: usize,
    /// Tasks that have not started.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_length: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    estimated_completion: Option<String>,
    /// Of a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<Order>,
}

#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Distributed {
    task_id: String,
    /// Where it started; left out while it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    status: &'static str,
}

/// How a graph would be worked off.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Order {
    /// Ids; those of each wave wait only for earlier ones.
    waves: Vec<Vec<String>>,
    critical_path: Vec<String>,
    /// Where earlier durations tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    estimated_ms: Option<u64>,
}

/// The answer for an accepted run.
fn accepted(call: &Call, accepted: &Accepted) -> Result<Answer> {
    let all: Vec<Distributed> = accepted
        .distributed
        .iter()
        .map(|(id, session, status)| Distributed {
            task_id: id.clone(),
            session_id: session.as_ref().map(ToString::to_string),
            status: status.as_str(),
        })
        .collect();
    let started = all.len() - accepted.queued.min(all.len());
    let mut room = call.room();
    loop {
        let shown = fitting(&all, room.tokens);
        let text = format!(
            "{}: {} tasks accepted, {started} started{}; follow them with task_status {{\"runId\":\"{}\",\"wait\":45000}}",
            accepted.run,
            all.len(),
            accepted.estimated_completion.map_or_else(String::new, |at| format!(", over at about {at}")),
            accepted.run
        );
        let distribution = Distribution {
            run_id: Some(accepted.run.to_string()),
            distributed: all[..shown].to_vec(),
            omitted: all.len() - shown,
            queue_length: Some(accepted.queued),
            estimated_completion: accepted.estimated_completion.map(|at| at.to_string()),
            order: None,
        };
        let answer = Answer::new(text, &distribution)?;
        if room.holds(&answer) {
            return Ok(answer);
        }
    }
}
