//! The tools about sessions, a file each, and what their arguments and results share.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::answer::is_default;
use super::call::Call;
use crate::error::Result;
use crate::model::{Session, SessionKind, Status};

pub(crate) mod affinity;
pub(crate) mod cleanup;
pub(crate) mod clone;
pub(crate) mod close;
mod consent;
pub(crate) mod create;
mod filter;
pub(crate) mod input;
pub(crate) mod list;
pub(crate) mod logs;
pub(crate) mod migrate;
pub(crate) mod output;
pub(crate) mod reset;
pub(crate) mod restore;
pub(crate) mod snapshot;
pub(crate) mod start;
pub(crate) mod stats;
pub(crate) mod status;
pub(crate) mod update;

/// The session's type, as on the wire.
pub(crate) const KINDS: [&str; 5] = ["worker", "director", "department", "observer", "active"];

fn kind_word(kind: SessionKind) -> &'static str {
    match kind {
        SessionKind::Worker => "worker",
        SessionKind::Director => "director",
        SessionKind::Department => "department",
        SessionKind::Observer => "observer",
        SessionKind::Active => "active",
    }
}

fn status_words() -> [&'static str; 8] {
    Status::ALL.map(Status::as_str)
}

/// A status in a list of arguments.
#[derive(Clone, Copy, Deserialize)]
#[serde(transparent)]
struct StatusWord(Status);

impl JsonSchema for StatusWord {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "StatusWord".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "enum": status_words()})
    }
}

/// A session as creation, change and reset show it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct SessionView {
    session_id: String,
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[schemars(extend("enum" = status_words()))]
    status: &'static str,
    working_directory: String,
    /// Of the agent that works in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    created_at: String,
    /// What to do next, when there is something to know.
    #[serde(skip_serializing_if = "is_default")]
    hint: String,
}

impl SessionView {
    fn of(session: &Session) -> Self {
        Self {
            session_id: session.id.to_string(),
            name: session.name.clone(),
            kind: kind_word(session.kind),
            status: session.status.as_str(),
            working_directory: session.working_directory.display().to_string(),
            agent_id: None,
            pid: session.pid,
            created_at: session.created_at.to_string(),
            hint: hint(session).to_owned(),
        }
    }

    /// With the agent that works in it, the first if there are several.
    async fn with_agent(call: &Call, session: &Session) -> Result<Self> {
        let agent = call.orchestrator.agents_of(&session.id).await?.into_iter().next();
        Ok(Self { agent_id: agent.map(|agent| agent.id), ..Self::of(session) })
    }

    fn sentence(&self) -> String {
        let pid = self.pid.map_or_else(String::new, |pid| format!(", pid {pid}"));
        let agent = self.agent_id.as_ref().map_or_else(String::new, |id| format!(", agent {id}"));
        let hint = if self.hint.is_empty() { String::new() } else { format!("\n{}", self.hint) };
        format!(
            "session {} \"{}\" ({}) is {} in {}{agent}{pid}, created {}{hint}",
            self.session_id, self.name, self.kind, self.status, self.working_directory, self.created_at
        )
    }
}

/// What to know of a session that does not take commands as they come.
fn hint(session: &Session) -> &'static str {
    match session.status {
        _ if session.is_unstarted() => "nothing runs in it before session_start",
        _ if session.stopped => {
            "a signal holds the shell: error_recover lets it go on, session_reset gives it a fresh one"
        }
        _ if session.cpu_time_spent && session.recovery.is_some() => {
            "it has used up its maxCpuTime: its automatic recovery gives it a fresh shell, which may use as much again; \
             if that is given up, session_reset does"
        }
        _ if session.cpu_time_spent => {
            "it has used up its maxCpuTime, and whatever runs in it is ended at once: session_reset gives it a fresh \
             shell, which may use as much again"
        }
        Status::Initializing | Status::Recovering => {
            "the shell has shown no prompt yet; commands wait for it, and session_output {mode: \"screen\"} shows \
             what it is doing"
        }
        Status::Idle
        | Status::Active
        | Status::Timeout
        | Status::Error
        | Status::Completed
        | Status::Terminated => "",
    }
}

/// What a call about output waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum WaitUntil {
    Output,
    Quiet,
    Idle,
    Match,
    Exit,
}
