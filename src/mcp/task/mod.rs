//! The tools about tasks, a file each, and what their arguments and results share.

use std::fmt::Write;

use schemars::JsonSchema;
use serde::Serialize;

use super::answer::{Answer, fitting, is_default};
use super::call::Call;
use crate::engine::report::{Accepted, Counts};
use crate::engine::request::TaskQuery;
use crate::error::{Error, Result};
use crate::model::TaskStatus;

pub(crate) mod cancel;
pub(crate) mod control;
pub(crate) mod distribute;
pub(crate) mod retry;
mod spec;
pub(crate) mod status;

pub(in crate::mcp) fn status_words() -> [&'static str; 4] {
    TaskStatus::ALL.map(TaskStatus::as_str)
}

/// Tasks by status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, JsonSchema)]
struct Summary {
    total: usize,
    queued: usize,
    running: usize,
    completed: usize,
    failed: usize,
}

impl From<Counts> for Summary {
    fn from(counts: Counts) -> Self {
        Self {
            total: counts.total(),
            queued: counts.queued,
            running: counts.running,
            completed: counts.completed,
            failed: counts.failed,
        }
    }
}

/// A task as its acceptance shows it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Distributed {
    task_id: String,
    /// Where it started, if it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    #[schemars(extend("enum" = status_words()))]
    status: &'static str,
}

/// An accepted run.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Distribution {
    run_id: String,
    /// Every accepted task.
    distributed: Vec<Distributed>,
    /// Tasks at the end of the list that did not fit.
    #[serde(skip_serializing_if = "is_default")]
    omitted_tasks: usize,
    /// Tasks that have not started.
    queue_length: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    estimated_completion: Option<String>,
}

/// The tasks that a call changes: it has to say which.
fn chosen(tasks: Vec<String>, run: Option<String>, pattern: Option<String>) -> Result<TaskQuery> {
    if tasks.is_empty() && run.is_none() && pattern.is_none() {
        return Err(Error::invalid("which tasks? name them by 'taskIds', or the run by 'runId'")
            .with_details(serde_json::json!({"field": "taskIds", "alternatives": ["runId"]})));
    }
    Ok(TaskQuery { tasks, run, pattern, session: None })
}

/// The answer about an accepted run.
fn accepted(call: &Call, run: &Accepted) -> Result<Answer> {
    let most = run.distributed.len().min(call.room().tokens);
    let all: Vec<Distributed> = run.distributed[..most]
        .iter()
        .map(|(task, session, status)| Distributed {
            task_id: task.clone(),
            session_id: session.as_ref().map(ToString::to_string),
            status: status.as_str(),
        })
        .collect();
    let mut room = call.room();
    loop {
        let distributed = all[..fitting(&all, room.tokens)].to_vec();
        let omitted_tasks = run.distributed.len() - distributed.len();
        let mut text = format!("{}: {} tasks, {} queued", run.run, run.distributed.len(), run.queued);
        let estimated_completion = run.estimated_completion.map(|at| at.to_string());
        if let Some(at) = &estimated_completion {
            let _ = write!(text, ", done about {at}");
        }
        for task in &distributed {
            let _ = write!(text, "\n{} {}", task.task_id, task.status);
            if let Some(session) = &task.session_id {
                let _ = write!(text, " {session}");
            }
        }
        if omitted_tasks > 0 {
            let _ = write!(
                text,
                "\n({omitted_tasks} more accepted tasks left out: task_status {{\"runId\": \"{}\", \"since\": {}}})",
                run.run,
                distributed.len()
            );
        }
        let run_id = run.run.to_string();
        let queue_length = run.queued;
        let distribution =
            Distribution { run_id, distributed, omitted_tasks, queue_length, estimated_completion };
        let answer = Answer::new(text, &distribution)?;
        if room.holds(&answer) {
            return Ok(answer);
        }
    }
}
