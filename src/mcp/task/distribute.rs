//! `task_distribute`: accepts a graph of tasks.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Distribution, Order, accepted};
use crate::engine::report::Plan;
use crate::engine::request::NewRun;
use crate::error::Result;
use crate::id::SessionId;
use crate::limits;
use crate::mcp::answer::{Answer, spoken};
use crate::mcp::arguments::{refusal, typed};
use crate::mcp::call::Call;
use crate::mcp::check;
use crate::mcp::command::execute::{ExitCodes, Limits};
use crate::mcp::schema::{self, Milliseconds, Variable};
use crate::mcp::tools::{Effect, Tool};
use crate::model::{
    Condition, Dependency, OnFailure, Priority, ResourceLimits, RunResources, Strategy, Task, TaskKind,
    TaskRetries,
};

/// The strategies' words.
const STRATEGIES: [&str; 7] =
    ["dependency", "priority", "round-robin", "load-balanced", "capability", "affinity", "resource-aware"];

pub(crate) const TOOL: Tool = Tool {
    name: "task_distribute",
    title: "Run a task graph",
    description: "Runs tasks in parallel over sessions, each when what it depends on is done. Answers at once with runId; \
        wait with task_status. type command (default) and script take payload.command, agent takes \
        payload.prompt. Each task has its own directory and environment and leaves nothing behind. Without sessions, \
        pooled shells are made on demand. dryRun only shows waves and critical path. A cycle, an unknown dependency or \
        a duplicate id refuses everything.",
    effect: Effect::Runs,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Distribution>,
    later: &[],
    run: |call, arguments| Box::pin(async move { distribute(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    #[schemars(extend("x-items" = limits::TASKS))]
    tasks: Vec<GivenTask>,
    #[serde(default)]
    #[schemars(with = "String", extend("enum" = STRATEGIES))]
    strategy: Strategy,
    /// Default 10
    #[schemars(range(min = 1, max = limits::MOST_CONCURRENT))]
    max_concurrent: Option<u32>,
    #[serde(default)]
    #[schemars(with = "String", extend("enum" = ["skip-dependents", "cancel-all", "continue"]))]
    on_failure: OnFailure,
    /// The only ones that may be used
    #[serde(default)]
    #[schemars(extend("x-items" = limits::SESSIONS))]
    sessions: Vec<String>,
    #[serde(default)]
    dry_run: bool,
    /// Tasks cut short by a crash run again
    #[serde(default)]
    resumable: bool,
    resources: Option<Resources>,
}

/// Hold back above these.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "these are the names on the wire")]
struct Resources {
    /// Percent of the machine
    #[schemars(range(min = 1, max = 100))]
    max_cpu: Option<f64>,
    /// Percent of the machine
    #[schemars(range(min = 1, max = 100))]
    max_memory: Option<f64>,
    #[schemars(range(min = 1, max = 1_000))]
    max_sessions: Option<u32>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-spread" = "payload"))]
struct GivenTask {
    id: Option<String>,
    #[serde(rename = "type", default)]
    #[schemars(with = "String", extend("enum" = ["command", "script", "agent"]))]
    kind: TaskKind,
    #[serde(default)]
    payload: Payload,
    #[serde(default)]
    #[schemars(with = "String", extend("x-kind" = "priority", "enum" = ["low", "normal", "high", "critical"]))]
    priority: Priority,
    /// Ids, or {id, condition}
    #[serde(default)]
    #[schemars(extend("x-items" = limits::TASKS))]
    dependencies: Vec<GivenDependency>,
    /// ms (default 1 h)
    timeout: Option<Milliseconds>,
    retries: Option<Tries>,
    /// Capabilities of its session
    #[serde(default)]
    requirements: Vec<String>,
    session_id: Option<String>,
    /// Slots that it takes (default 1)
    #[schemars(range(min = 1, max = 1_000))]
    weight: Option<u32>,
    #[schemars(with = "Option<Vec<i32>>", extend("x-kind" = "codes"))]
    ok_exit_codes: Option<ExitCodes>,
    resource_limits: Option<Limits>,
    #[serde(default)]
    metadata: Map<String, Value>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Payload {
    #[schemars(extend("x-bytes" = limits::COMMAND_BYTES))]
    command: Option<String>,
    /// For an agent
    #[schemars(extend("x-bytes" = limits::ENV_BYTES))]
    prompt: Option<String>,
    #[schemars(extend("x-bytes" = 4096))]
    working_directory: Option<String>,
    #[serde(default)]
    env: BTreeMap<String, Variable>,
    #[schemars(extend("x-bytes" = limits::COMMAND_BYTES))]
    stdin: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-short" = "id"))]
struct GivenDependency {
    id: String,
    #[serde(default)]
    #[schemars(with = "String", extend("enum" = ["success", "failure", "always"]))]
    condition: Condition,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Tries {
    #[schemars(range(max = 100))]
    max: u32,
    /// ms (default 1000)
    delay: Option<Milliseconds>,
    /// Factor (default 2)
    #[schemars(range(min = 1, max = 100))]
    backoff: Option<f64>,
    /// Share of a delay up to chance (default 0.1)
    #[schemars(range(max = 1))]
    jitter: Option<f64>,
}

impl From<Tries> for TaskRetries {
    fn from(given: Tries) -> Self {
        Self {
            max: given.max,
            delay_ms: given.delay.map_or(1_000, |Milliseconds(delay)| delay),
            backoff: given.backoff.unwrap_or(2.0),
            jitter: given.jitter.unwrap_or(0.1),
        }
    }
}

/// What a task runs: the text of the command or script, or an agent's command line with its prompt.
fn text(field: &str, kind: TaskKind, payload: &Payload, agent_command: &str) -> Result<String> {
    let said = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    match kind {
        TaskKind::Command | TaskKind::Script => said(&payload.command).ok_or_else(|| {
            let field = format!("{field}.payload.command");
            refusal(&field, format!("'{field}' is missing: there is nothing to run"))
        }),
        TaskKind::Agent => {
            let prompt = said(&payload.prompt).ok_or_else(|| {
                let field = format!("{field}.payload.prompt");
                refusal(&field, format!("'{field}' is missing: an agent needs a prompt"))
            })?;
            let program = said(&payload.command).unwrap_or_else(|| agent_command.to_owned());
            Ok(format!("{program} '{}'", prompt.replace('\'', r"'\''")))
        }
    }
}

/// Where a task runs that names a relative directory: below the run's own.
fn directory(given: Option<&str>, field: &str) -> Result<Option<PathBuf>> {
    given.map(|given| check::directory(field, given)).transpose()
}

fn task(number: usize, given: GivenTask, fresh: &str, agent_command: &str) -> Result<Task> {
    let field = format!("tasks[{number}]");
    let text = text(&field, given.kind, &given.payload, agent_command)?;
    let limits = given.resource_limits.map_or_else(ResourceLimits::default, Into::into);
    let id = match given.id {
        Some(id) => check::filled(&format!("{field}.id"), id)?,
        None => format!("{fresh}-{}", number + 1),
    };
    Ok(Task {
        id,
        kind: given.kind,
        text,
        directory: directory(
            given.payload.working_directory.as_deref(),
            &format!("{field}.payload.workingDirectory"),
        )?,
        env: check::env(given.payload.env)?,
        stdin: given.payload.stdin,
        priority: given.priority,
        dependencies: given
            .dependencies
            .into_iter()
            .map(|GivenDependency { id, condition }| Dependency { id, condition })
            .collect(),
        timeout_ms: given.timeout.map_or_else(
            || u64::try_from(limits::TASK_TIMEOUT.as_millis()).unwrap_or(u64::MAX),
            |Milliseconds(timeout)| timeout,
        ),
        retries: given.retries.map(Into::into),
        requirements: given.requirements,
        session: given.session_id.map(SessionId::from_text),
        weight: given.weight.unwrap_or(1),
        ok_exit_codes: given.ok_exit_codes.map_or_else(|| Some(vec![0]), Into::into),
        limits,
        metadata: check::metadata(given.metadata)?,
    })
}

fn request(arguments: Arguments, agent_command: &str) -> Result<NewRun> {
    let resources = arguments.resources;
    let fresh = format!("task-{}", &Uuid::new_v4().simple().to_string()[..6]);
    let tasks = arguments.tasks.into_iter().enumerate();
    Ok(NewRun {
        tasks: tasks
            .map(|(number, given)| task(number, given, &fresh, agent_command))
            .collect::<Result<_>>()?,
        strategy: arguments.strategy,
        max_concurrent: arguments.max_concurrent,
        on_failure: arguments.on_failure,
        sessions: arguments.sessions,
        resumable: arguments.resumable,
        resources: resources.map_or_else(RunResources::default, |given| RunResources {
            max_cpu: given.max_cpu,
            max_memory: given.max_memory,
            max_sessions: given.max_sessions,
        }),
    })
}

async fn distribute(call: &Call, arguments: Arguments) -> Result<Answer> {
    let dry_run = arguments.dry_run;
    let new = request(arguments, &call.defaults.agent_command)?;
    if dry_run {
        return planned(call, &call.orchestrator.plan(new).await?);
    }
    accepted(call, &call.orchestrator.distribute(new).await?)
}

/// The answer of a dry run. Ids that do not fit are left out of the waves, from the last one on.
fn planned(call: &Call, plan: &Plan) -> Result<Answer> {
    let all: usize = plan.waves.iter().map(Vec::len).sum();
    let mut most = all;
    let mut room = call.room();
    loop {
        let mut left = most;
        let mut waves: Vec<Vec<String>> = Vec::new();
        for wave in &plan.waves {
            let shown = wave.len().min(left);
            left -= shown;
            waves.push(wave[..shown].to_vec());
        }
        waves.retain(|wave| !wave.is_empty());
        let critical_path: Vec<String> = plan.critical_path.iter().take(most).cloned().collect();
        let shown: HashSet<&str> = critical_path.iter().map(String::as_str).collect();
        let mut text = format!("{all} tasks in {} waves", plan.waves.len());
        if let Some(estimate) = plan.estimated_ms {
            let _ = write!(text, ", about {}", spoken(estimate));
        }
        for (number, wave) in waves.iter().enumerate() {
            let named =
                wave.iter().map(|id| if shown.contains(id.as_str()) { format!("*{id}") } else { id.clone() });
            let _ = write!(text, "\n{}. {}", number + 1, named.collect::<Vec<_>>().join(" "));
        }
        text.push_str("\n(* is on the critical path; nothing was started)");
        let distribution = Distribution {
            run_id: None,
            distributed: Vec::new(),
            omitted: all - most,
            queue_length: None,
            estimated_completion: None,
            order: Some(Order { waves, critical_path, estimated_ms: plan.estimated_ms }),
        };
        let answer = Answer::new(text, &distribution)?;
        if room.holds(&answer) || most == 0 {
            return Ok(answer);
        }
        most = most * 3 / 4;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mcp::arguments::Reader;

    fn read(given: &Value) -> Result<NewRun> {
        let schema = (TOOL.input)();
        let reader = Reader { tool: TOOL.name, schema: &schema, later: TOOL.later };
        request(typed(reader.read(given.as_object().cloned())?)?, "claude -p")
    }

    #[test]
    fn a_task_is_read_with_everything_that_it_names() {
        let run = read(&json!({
            "tasks": [{
                "id": "b", "type": "Script", "priority": "medium",
                "payload": {"script": "echo b", "cwd": "/tmp", "environment": {"A": 1}, "stdin": "x"},
                "dependencies": ["a", {"id": "c", "condition": "always"}],
                "timeoutMs": "5m", "retries": {"max": 2, "jitter": 0},
                "requirements": ["gpu"], "session_id": "s", "weight": 3, "okExitCodes": "any",
                "resourceLimits": {"maxMemory": "1g"}, "metadata": {"k": 1},
            }],
            "strategy": "round_robin", "maxConcurrent": 4, "onFailure": "cancel_all",
            "sessions": "s", "resumable": true, "resources": {"maxCpu": 80},
        }))
        .unwrap();
        let retries = TaskRetries { max: 2, delay_ms: 1_000, backoff: 2.0, jitter: 0.0 };
        let task = Task {
            id: "b".into(),
            kind: TaskKind::Script,
            text: "echo b".into(),
            directory: Some("/tmp".into()),
            env: BTreeMap::from([("A".into(), "1".into())]),
            stdin: Some("x".into()),
            priority: Priority::Normal,
            dependencies: vec![
                Dependency { id: "a".into(), condition: Condition::Success },
                Dependency { id: "c".into(), condition: Condition::Always },
            ],
            timeout_ms: 300_000,
            retries: Some(retries),
            requirements: vec!["gpu".into()],
            session: Some(SessionId::from_text("s")),
            weight: 3,
            ok_exit_codes: None,
            limits: ResourceLimits { memory_bytes: Some(1 << 30), cpu_ms: None },
            metadata: json!({"k": 1}).as_object().cloned().unwrap(),
        };
        let wanted = NewRun {
            tasks: vec![task],
            strategy: Strategy::RoundRobin,
            max_concurrent: Some(4),
            on_failure: OnFailure::CancelAll,
            sessions: vec!["s".into()],
            resumable: true,
            resources: RunResources { max_cpu: Some(80.0), ..RunResources::default() },
        };
        assert_eq!(run, wanted);
    }

    #[test]
    fn a_command_may_stand_beside_the_id_and_the_id_may_be_left_out() {
        let run = read(&json!({"tasks": [{"command": "true"}, {"cmd": "false", "priority": 4}]})).unwrap();
        assert_eq!(run.tasks.iter().map(|task| task.text.as_str()).collect::<Vec<_>>(), ["true", "false"]);
        assert_eq!(run.tasks[1].priority, Priority::Critical);
        assert_ne!(run.tasks[0].id, run.tasks[1].id);
        assert_eq!(run.tasks[0].timeout_ms, 3_600_000);
    }

    #[test]
    fn a_prompt_is_one_word_for_the_agent() {
        let text = |payload: Value| {
            read(&json!({"tasks": [{"type": "agent", "payload": payload}]}))
                .map(|run| run.tasks[0].text.clone())
        };
        assert_eq!(text(json!({"prompt": "it's $HOME"})).unwrap(), r"claude -p 'it'\''s $HOME'");
        assert_eq!(text(json!({"prompt": "x", "command": "codex exec"})).unwrap(), "codex exec 'x'");
        assert!(text(json!({"command": "codex exec"})).unwrap_err().message.contains("prompt"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let message = |given: Value| read(&given).unwrap_err().message;
        assert!(message(json!({"tasks": [{"id": "a"}]})).contains("tasks[0].payload.command"));
        let unknown = message(json!({"tasks": [{"id": "a", "command": "x", "dependancies": []}]}));
        assert!(unknown.contains("did you mean 'dependencies'"), "{unknown}");
        let negative = message(json!({"tasks": [{"command": "x"}], "maxConcurrent": -1}));
        assert!(negative.contains("maxConcurrent"), "{negative}");
        let many = vec![json!({"command": "x"}); limits::TASKS + 1];
        let many = message(json!({ "tasks": many }));
        assert!(many.contains("100000 items"), "{many}");
        assert!(message(json!({"tasks": [{"command": "x", "priority": 5}]})).contains("priority"));
    }
}
