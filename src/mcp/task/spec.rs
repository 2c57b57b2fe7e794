//! A task as callers write it, and what becomes of it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::Result;
use crate::id::SessionId;
use crate::limits;
use crate::mcp::arguments::refusal;
use crate::mcp::check;
use crate::mcp::command::execute::{ExitCodes, Limits};
use crate::mcp::schema::{Milliseconds, Variable, priority_schema};
use crate::model::{Condition, Dependency, Priority, Task, TaskKind, TaskRetries};

// A node of the graph.
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
    /// Codes that count as success (default: only 0)
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

// What a task does.
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
        let timeout = check::timeout(&field("timeout"), self.timeout)?.unwrap_or(limits::TASK_TIMEOUT);
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
            timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
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
            limits: Limits::checked(self.resource_limits)?,
            metadata: Some(check::metadata(self.metadata)?).filter(|given| !given.is_empty()).map(Box::new),
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
        TaskKind::Script => filled(script).or(filled(command)).map(script_line).ok_or("script"),
        TaskKind::Agent => {
            let prompt = filled(prompt).ok_or("prompt")?;
            let program = filled(command);
            let program = program.as_deref().unwrap_or(agent);
            Ok(format!("{program} '{}'", prompt.replace('\'', r"'\''")))
        }
    }
}

/// A script whose first line names its program is run by that, from a file: some programs look for
/// themselves beside it, and stdin is the task's own.
fn script_line(script: String) -> String {
    let Some(program) = script.lines().next().and_then(|line| line.strip_prefix("#!")) else { return script };
    let mut end = "END_OF_SCRIPT".to_owned();
    while script.lines().any(|line| line == end) {
        end.push('_');
    }
    format!(
        "script=$(mktemp) || exit\ntrap 'rm -f \"$script\"' EXIT\ncat > \"$script\" <<'{end}'\n{}\n{end}\n{} \"$script\"",
        script.trim_end_matches('\n'),
        program.trim()
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::distribute::TOOL;
    use super::*;
    use crate::mcp::arguments::Reader;
    use crate::model::ResourceLimits;

    /// The one task of a call, as it is given here.
    fn check(given: &Value) -> Result<Task> {
        let schema = (TOOL.input)();
        let reader = Reader { tool: TOOL.name, schema: &schema };
        let read = reader.read(json!({"tasks": [given]}).as_object().cloned())?;
        let spec: Spec = crate::mcp::arguments::typed(read["tasks"][0].clone())?;
        spec.task(0, "k3f9q2", "claude -p")
    }

    #[test]
    fn no_time_at_all_is_refused() {
        let error = check(&json!({"command": "x", "timeout": 0})).unwrap_err();
        assert!(error.message.starts_with("'tasks[0].timeout' is 0"), "{error}");
        assert_eq!(check(&json!({"command": "x", "timeout": 1})).unwrap().timeout_ms, 1);
    }

    fn plain(text: &str) -> Task {
        Task {
            id: "task-k3f9q2-1".to_owned(),
            kind: TaskKind::Command,
            text: text.to_owned(),
            directory: None,
            env: BTreeMap::new(),
            stdin: None,
            priority: Priority::Normal,
            dependencies: Vec::new(),
            timeout_ms: 3_600_000,
            retries: None,
            requirements: Vec::new(),
            session: None,
            weight: 1,
            ok_exit_codes: Some(vec![0]),
            limits: ResourceLimits::default(),
            metadata: None,
        }
    }

    #[test]
    fn a_command_may_stand_anywhere() {
        for given in [
            json!("make"),
            json!({"command": "make"}),
            json!({"payload": "make"}),
            json!({"payload": {"command": "make"}}),
            json!({"type": "COMMAND", "payload": {"cmd": "make"}, "priority": "medium", "id": null}),
        ] {
            assert_eq!(check(&given).unwrap(), plain("make"), "{given}");
        }
    }

    #[test]
    fn every_setting_arrives() {
        let given = json!({
            "id": "a", "type": "command", "priority": 4, "timeout": "5m", "weight": 3, "sessionId": "s",
            "payload": {"command": "make", "cwd": "/tmp", "environment": {"A": 1}, "stdin": "x"},
            "dependsOn": ["b", {"id": "c", "condition": "Always"}, {"taskId": "d", "condition": "failure"}],
            "retries": {"max": 2, "delay": "5s", "backoff": 3, "jitter": 0}, "requirements": ["gpu"],
            "okExitCodes": "any", "resourceLimits": {"maxMemory": "1g"}, "metadata": {"k": "v"},
        });
        let after = |id: &str, condition| Dependency { id: id.to_owned(), condition };
        let wanted = Task {
            id: "a".to_owned(),
            directory: Some("/tmp".into()),
            env: BTreeMap::from([("A".to_owned(), "1".to_owned())]),
            stdin: Some("x".to_owned()),
            priority: Priority::Critical,
            dependencies: vec![
                after("b", Condition::Success),
                after("c", Condition::Always),
                after("d", Condition::Failure),
            ],
            timeout_ms: 300_000,
            retries: Some(TaskRetries { max: 2, delay_ms: 5_000, backoff: 3.0, jitter: 0.0 }),
            requirements: vec!["gpu".to_owned()],
            session: Some(SessionId::from_text("s")),
            weight: 3,
            ok_exit_codes: None,
            limits: ResourceLimits { memory_bytes: Some(1 << 30), ..ResourceLimits::default() },
            metadata: Some(Box::new(Map::from_iter([("k".to_owned(), json!("v"))]))),
            ..plain("make")
        };
        assert_eq!(check(&given).unwrap(), wanted);
        let tries = check(&json!({"command": "a", "retries": 3})).unwrap().retries;
        assert_eq!(tries, Some(TaskRetries { max: 3, delay_ms: 1_000, backoff: 2.0, jitter: 0.1 }));
    }

    #[test]
    fn priorities_are_words_or_numbers() {
        for (given, wanted) in [
            (json!("low"), Priority::Low),
            (json!(1), Priority::Low),
            (json!("2"), Priority::Normal),
            (json!("Normal"), Priority::Normal),
            (json!("HIGH"), Priority::High),
            (json!(4.0), Priority::Critical),
        ] {
            let task = check(&json!({"command": "a", "priority": given})).unwrap();
            assert_eq!(task.priority, wanted, "{given}");
        }
        for wrong in [json!(0), json!(5), json!("urgent"), json!(true)] {
            let error = check(&json!({"command": "a", "priority": wrong})).unwrap_err();
            assert!(error.message.contains("low, medium, high, critical"), "{error:?}");
        }
    }

    #[test]
    fn an_agent_is_given_its_prompt_as_one_word() {
        let text = |given: Value| check(&given).unwrap().text;
        assert_eq!(text(json!({"prompt": "it's"})), r"claude -p 'it'\''s'");
        assert_eq!(
            text(json!({"type": "agent", "payload": {"command": "cat", "prompt": "a\nb"}})),
            "cat 'a\nb'"
        );
        let error = check(&json!({"type": "agent", "command": "cat"})).unwrap_err();
        assert_eq!(error.details, Some(json!({"field": "tasks[0].payload.prompt"})));
    }

    #[test]
    fn a_script_may_name_its_program() {
        let text =
            |script: &str| check(&json!({"type": "script", "payload": {"script": script}})).unwrap().text;
        assert_eq!(text("a\nb"), "a\nb");
        let named = text("#!/usr/bin/env python3\nprint(1)\nEND_OF_SCRIPT\n");
        assert!(named.contains("<<'END_OF_SCRIPT_'\n#!/usr/bin/env python3\nprint(1)\n"), "{named}");
        assert!(named.ends_with("\nEND_OF_SCRIPT_\n/usr/bin/env python3 \"$script\""), "{named}");
    }

    #[test]
    fn what_cannot_be_run_is_refused() {
        let refused = |given: Value| check(&given).unwrap_err().message;
        assert!(refused(json!({"id": "a"})).contains("'tasks[0].payload.command' is required"));
        assert!(refused(json!({"payload": {"command": " "}})).contains("is required"));
        assert!(refused(json!({"id": " ", "command": "a"})).contains("empty"));
        assert!(refused(json!({"id": "x".repeat(257), "command": "a"})).contains("at most 256 bytes"));
        assert!(refused(json!({"command": "a", "payload": "b"})).contains("give one of them"));
        assert!(refused(json!({"command": "a", "weight": 0})).contains("from 1 to 1000"));
        assert!(refused(json!({"command": "a", "retries": {"max": 101}})).contains("from 0 to 100"));
        assert!(
            refused(json!({"command": "a", "dependencies": [{"id": "b", "condition": "maybe"}]}))
                .contains("success, failure, always")
        );
        assert!(refused(json!({"command": "a", "priorty": 1})).contains("did you mean 'priority'"));
    }

    #[test]
    fn what_may_stand_beside_the_payload_is_not_published() {
        let shown = crate::mcp::schema::published(&(TOOL.input)());
        let of_task = &shown["properties"]["tasks"]["items"]["properties"];
        assert_eq!((of_task.get("command"), of_task.get("prompt")), (None, None));
        assert_eq!(of_task["payload"]["properties"]["command"]["type"], "string");
    }
}
