//! `session_snapshot`: what a session is made of, kept for `session_restore`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::list::kept;
use crate::error::Result;
use crate::mcp::agent::word;
use crate::mcp::answer::{Answer, is_default};
use crate::mcp::arguments::{shortened, typed};
use crate::mcp::call::Call;
use crate::mcp::schema;
use crate::mcp::tool::{Effect, Tool};
use crate::model::{Command, Profile, Session, secret};
use crate::orchestrator::beginning;

pub(crate) const TOOL: Tool = Tool {
    name: "session_snapshot",
    title: "Take a snapshot",
    description: "Keeps a session's settings, directory, exported environment (without what is named like a secret) and \
        last command for session_restore. state has the fields of session_create, \
        with size for rows and cols, and resources and unset.",
    effect: Effect::Adds,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Taken>,
    run: |call, arguments| Box::pin(async move { snapshot(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    session_id: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Taken {
    snapshot_id: String,
    created_at: String,
    #[serde(skip_serializing_if = "is_default")]
    state: Map<String, Value>,
    /// Of a state that is too long to be shown; it is kept all the same.
    #[serde(skip_serializing_if = "is_default")]
    omitted_bytes: usize,
}

/// What [`state`] tells beyond what `session_create` takes.
pub(super) const LAST_COMMAND: &str = "lastCommand";
/// Likewise: names of variables that it does without, though the server has them.
pub(super) const UNSET: &str = "unset";
/// Likewise: what `session_create` takes as rows and cols.
pub(super) const SIZE: &str = "size";
/// Likewise: what `session_start` takes beside memory, which is among the limits.
pub(super) const RESOURCES: &str = "resources";

/// A session in the form in which `session_create` takes it. Values that are secrets are left out.
fn state(
    session: &Session,
    role: Option<&Value>,
    first: Option<&str>,
    last: Option<&Command>,
) -> Map<String, Value> {
    let variables = session.env.iter().chain(&session.exported);
    let env: Map<String, Value> = variables
        .filter(|(name, value)| !value.contains(secret::REDACTED) && !session.unset.contains(*name))
        .map(|(name, value)| (name.clone(), value.clone().into()))
        .collect();
    let recovery = session.recovery.map(|policy| {
        json!({
            "maxRetries": policy.max_retries, "retryDelay": policy.retry_delay_ms, "strategy": policy.strategy,
        })
    });
    let state = json!({
        "name": session.name,
        "type": session.kind,
        "workingDirectory": beginning(session),
        "shell": session.shell,
        "profile": match session.profile {
            Profile::User | Profile::Tasks => "user",
            Profile::Login => "login",
            Profile::Clean => "clean",
        },
        "env": env,
        SIZE: session.size,
        "metadata": session.metadata,
        "capabilities": session.capabilities,
        "constraints": session.constraints,
        "resourceLimits": given(json!({
            "maxMemory": session.limits.memory_bytes, "maxCpuTime": session.limits.cpu_ms,
            "maxProcesses": session.limits.processes, "maxOpenFiles": session.limits.open_files,
        })),
        "monitor": session.monitor.map(|monitor| {
            given(json!({"intervalMs": monitor.interval_ms, "onCritical": monitor.on_critical}))
        }),
        "autoAccept": (!session.auto_accept.is_unset()).then(|| {
            given(json!({
                "enabled": session.auto_accept.enabled, "riskThreshold": session.auto_accept.risk_threshold,
                "protectedPatterns": session.auto_accept.protected_patterns,
            }))
        }),
        "commandTimeout": session.command_timeout_ms,
        "idleTimeout": session.idle_timeout_ms,
        "recovery": recovery,
        "outputBufferSize": session.output_bytes,
        // Others than session_create takes are kept by the session's agent alone.
        "agentRole": role.and_then(Value::as_str).filter(|role| word("agentRole", role).is_ok()),
        "autoStart": session.is_unstarted().then_some(false),
        "command": first,
        UNSET: session.unset,
        RESOURCES: given(json!({
            "cpu": session.needs.cpu_percent.map(|percent| (f64::from(percent) / 100.0).to_string()),
            "disk": session.needs.disk_bytes,
        })),
        LAST_COMMAND: last.map(|command| shortened(&command.text)),
    });
    match given(state) {
        Value::Object(state) => state,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

/// Without what says nothing.
fn given(mut value: Value) -> Value {
    if let Value::Object(members) = &mut value {
        members.retain(|_, member| *member != json!(null) && *member != json!({}) && *member != json!([]));
    }
    value
}

async fn snapshot(call: &Call, arguments: Arguments) -> Result<Answer> {
    let session = call.orchestrator.settled_session(&arguments.session_id).await?;
    let last = call.orchestrator.observe(session.id.as_str()).await?.last_command;
    let agents = call.orchestrator.agents_of(&session.id).await?;
    let role = agents.first().and_then(|agent| agent.role.as_ref());
    let first = call.orchestrator.first_command(&session).await;
    let state = state(&session, role, first.as_deref(), last.as_ref());
    let taken = call.orchestrator.keep_snapshot(session.id.clone(), state).await?;
    let mut room = call.room();
    loop {
        let (mut left, mut omitted_bytes) = (room.tokens, 0);
        let shown = kept(&taken.state, &mut left, &mut omitted_bytes);
        let result = Taken {
            snapshot_id: taken.id.to_string(),
            created_at: taken.taken_at.to_string(),
            state: shown,
            omitted_bytes,
        };
        let what = Value::Object(result.state.clone());
        let answer = Answer::new(format!("snapshot {} of {}: {what}", taken.id, session.id), &result)?;
        if room.holds(&answer) {
            return Ok(answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::template;
    use crate::model::Status;
    use crate::model::fixtures::session;

    #[test]
    fn a_state_fits_session_create() {
        let mut subject = session("a");
        subject.env =
            [("A".to_owned(), "1".to_owned()), ("KEY".to_owned(), secret::REDACTED.to_owned())].into();
        subject.exported = [("A".to_owned(), "2".to_owned()), ("B".to_owned(), "3".to_owned())].into();
        subject.limits.memory_bytes = Some(1 << 30);
        subject.idle_timeout_ms = Some(1_000);
        subject.generation = 0;
        subject.status = Status::Initializing;
        let mut state = state(&subject, None, Some("make"), None);
        assert_eq!((&state["autoStart"], &state["command"]), (&json!(false), &json!("make")));
        assert_eq!(state["env"], json!({"A": "2", "B": "3"}));
        assert_eq!(state.remove(SIZE), Some(json!({"rows": 40, "cols": 120})));
        let read = template::read("state", state.clone()).unwrap();
        assert_eq!(Value::Object(read), Value::Object(state));
    }
}
