//! A task as callers write it, and what becomes of it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::priority_schema;
use crate::error::Result;
use crate::id::SessionId;
use crate::limits;
use crate::mcp::arguments::refusal;
use crate::mcp::check;
use crate::mcp::command::execute::{ExitCodes, Limits};
use crate::mcp::schema::{Milliseconds, Variable};
use crate::model::{Condition, Dependency, Priority, Task, TaskKind, TaskRetries};

/// A node of the graph.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-short" = "command"))]
pub(super) struct Spec {
    /// Unique; may be reused once over
    id: Option<String>,
    #[serde(rename = "type")]
    #[schemars(with = "Option<String>", extend("enum" = ["command", "script", "agent"]))]
    kind: Option<TaskKind>,
    payload: Option<Payload>,
    #[serde(default)]
    #[schemars(schema_with = "priority_schema")]
    priority: Priority,
    /// Ids, or {id, condition}
    #[serde(default)]
    #[schemars(extend("x-items" = limits::TASKS))]
    dependencies: Vec<After>,
    /// ms (default 3600000)
    timeout: Option<Milliseconds>,
    retries: Option<Tries>,
    /// Capabilities that its session must have
    #[serde(default)]
    requirements: Vec<String>,
    /// The one session that it may run in
    session_id: Option<String>,
    /// Slots that it takes (default 1)
    #[schemars(range(min = 1, max = 1_000))]
    weight: Option<u32>,
    /// Codes that count as success (default: only 0), or "any"
    #[schemars(with = "Option<Vec<i32>>", extend("x-kind" = "codes"))]
    ok_exit_codes: Option<ExitCodes>,
    resource_limits: Option<Limits>,
    #[serde(default)]
    metadata: Map<String, Value>,
    #[schemars(extend("x-bytes" = limits::COMMAND_BYTES, "x-hidden" = true))]
    command: Option<String>,
    #[schemars(extend("x-bytes" = limits::COMMAND_BYTES, "x-hidden" = true))]
    script: Option<String>,
    #[schemars(extend("x-bytes" = limits::COMMAND_BYTES, "x-hidden" = true))]
    prompt: Option<String>,
    #[schemars(extend("x-bytes" = 4096, "x-hidden" = true))]
    working_directory: Option<String>,
    #[serde(default)]
    #[schemars(extend("x-hidden" = true))]
    env: BTreeMap<String, Variable>,
    #[schemars(extend("x-bytes" = limits::COMMAND_BYTES, "x-hidden" = true))]
    stdin: Option<String>,
}

/// What a task does.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-short" = "command"))]
struct Payload {
    /// Any text for the shell; of an agent its command line
    #[schemars(extend("x-bytes" = limits::COMMAND_BYTES))]
    command: Option<String>,
    #[schemars(extend("x-bytes" = limits::COMMAND_BYTES))]
    script: Option<String>,
    /// For an agent
    #[schemars(extend("x-bytes" = limits::COMMAND_BYTES))]
    prompt: Option<String>,
    #[schemars(extend("x-bytes" = 4096))]
    working_directory: Option<String>,
    #[serde(default)]
    env: BTreeMap<String, Variable>,
    #[schemars(extend("x-bytes" = limits::COMMAND_BYTES))]
    stdin: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-short" = "id"))]
struct After {
    id: String,
    #[serde(default)]
    #[schemars(with = "String", extend("enum" = ["success", "failure", "always"]))]
    condition: Condition,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-short" = "max"))]
struct Tries {
    #[schemars(range(max = 100))]
    max: u32,
    /// ms (default 1000)
    delay: Option<Milliseconds>,
    /// Factor on delay each time (default 2)
    #[schemars(range(min = 1, max = 100))]
    backoff: Option<f64>,
    /// Share of delay left to chance (default 0.1)
    #[schemars(range(min = 0, max = 1))]
    jitter: Option<f64>,
}

impl Spec {
    /// The task, with a name of its own if it has none.
    pub(super) fn task(mut self, index: usize, unique: &str, agent: &str) -> Result<Task> {
        let field = |name: &str| format!("tasks[{index}].{name}");
        let payload = self.whole_payload(index)?;
        let kind = self.kind.unwrap_or(match &payload {
            Payload { command: None, script: None, prompt: Some(_), .. } => TaskKind::Agent,
            Payload { command: None, script: Some(_), .. } => TaskKind::Script,
            Payload { .. } => TaskKind::Command,
        });
        let id = match self.id {
            Some(id) => check::filled(&field("id"), id)?,
            None => format!("task-{unique}-{}", index + 1),
        };
        let directory = payload.working_directory.as_deref();
        let directory =
            directory.map(|given| check::directory(&field("payload.workingDirectory"), given)).transpose()?;
        let (env, stdin) = (check::env(payload.env)?, payload.stdin);
        let text = text(kind, [payload.command, payload.script, payload.prompt], agent);
        Ok(Task {
            id,
            kind,
            text: text.map_err(|missing| {
                let name = field(&format!("payload.{missing}"));
                refusal(&name, format!("'{name}' is required: it says what the task does"))
            })?,
            directory,
            env,
            stdin,
            priority: self.priority,
            dependencies: self
                .dependencies
                .into_iter()
                .map(|after| Dependency { id: after.id, condition: after.condition })
                .collect(),
            timeout_ms: self.timeout.map_or_else(
                || u64::try_from(limits::TASK_TIMEOUT.as_millis()).unwrap_or(u64::MAX),
                |Milliseconds(timeout)| timeout,
            ),
            retries: self.retries.map(|tries| TaskRetries {
                max: tries.max,
                delay_ms: tries.delay.map_or(1_000, |Milliseconds(delay)| delay),
                backoff: tries.backoff.unwrap_or(2.0),
                jitter: tries.jitter.unwrap_or(0.1),
            }),
            requirements: self.requirements,
            session: self.session_id.map(SessionId::from_text),
            weight: self.weight.unwrap_or(1),
            ok_exit_codes: ExitCodes::accepted(self.ok_exit_codes),
            limits: self.resource_limits.map(Into::into).unwrap_or_default(),
            metadata: check::metadata(self.metadata)?,
        })
    }

    /// The payload with what was written beside it.
    fn whole_payload(&mut self, index: usize) -> Result<Payload> {
        let mut payload = self.payload.take().unwrap_or_default();
        let beside = [
            ("command", &mut payload.command, self.command.take()),
            ("script", &mut payload.script, self.script.take()),
            ("prompt", &mut payload.prompt, self.prompt.take()),
            ("workingDirectory", &mut payload.working_directory, self.working_directory.take()),
            ("stdin", &mut payload.stdin, self.stdin.take()),
        ];
        for (name, within, beside) in beside {
            if within.is_some() && beside.is_some() {
                let field = format!("tasks[{index}].{name}");
                return Err(refusal(
                    &field,
                    format!("'{field}' and its payload.{name} are the same; give one of them"),
                ));
            }
            *within = within.take().or(beside);
        }
        payload.env.append(&mut self.env);
        Ok(payload)
    }
}

/// What the shell is given, or the name of what is missing.
fn text(
    kind: TaskKind,
    [command, script, prompt]: [Option<String>; 3],
    agent: &str,
) -> std::result::Result<String, &'static str> {
    let filled = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    match kind {
        TaskKind::Command => filled(command).or(filled(script)).ok_or("command"),
        TaskKind::Script => filled(script).or(filled(command)).ok_or("script"),
        TaskKind::Agent => {
            let prompt = filled(prompt).ok_or("prompt")?;
            let program = filled(command);
            let program = program.as_deref().unwrap_or(agent);
            Ok(format!("{program} '{}'", prompt.replace('\'', r"'\''")))
        }
    }
}
