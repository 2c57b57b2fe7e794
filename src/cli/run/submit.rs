//! Stands in for the tool `task_distribute` until it is there: reads only what the tests need.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::engine::request::NewRun;
use crate::error::{Error, Result};
use crate::mcp::Surface;
use crate::model::{Condition, Dependency, OnFailure, ResourceLimits, Task, TaskKind, TaskRetries};

pub(super) async fn distribute(surface: &Surface, arguments: Map<String, Value>) -> Result<Value> {
    let dry = arguments.get("dryRun") == Some(&Value::Bool(true));
    let new = new_run(&arguments)?;
    if dry {
        let plan = surface.orchestrator().plan(new).await?;
        return Ok(json!({"order": {
            "waves": plan.waves, "criticalPath": plan.critical_path, "estimatedMs": plan.estimated_ms,
        }}));
    }
    let accepted = surface.orchestrator().distribute(new).await?;
    Ok(json!({"runId": accepted.run}))
}

fn new_run(arguments: &Map<String, Value>) -> Result<NewRun> {
    let mut new = NewRun::default();
    for (number, given) in arguments["tasks"].as_array().into_iter().flatten().enumerate() {
        new.tasks.push(task(number, given)?);
    }
    new.max_concurrent =
        arguments.get("maxConcurrent").and_then(Value::as_u64).and_then(|most| u32::try_from(most).ok());
    new.on_failure = match arguments.get("onFailure").and_then(Value::as_str) {
        Some("cancel-all") => OnFailure::CancelAll,
        Some("continue") => OnFailure::Continue,
        _ => OnFailure::SkipDependents,
    };
    Ok(new)
}

fn task(number: usize, given: &Value) -> Result<Task> {
    const KNOWN: [&str; 10] = [
        "id",
        "priority",
        "type",
        "command",
        "payload",
        "dependencies",
        "retries",
        "timeout",
        "workingDirectory",
        "env",
    ];
    let fields =
        given.as_object().ok_or_else(|| Error::invalid(format!("'tasks[{number}]' must be an object")))?;
    if let Some(unknown) = fields.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        return Err(Error::invalid(format!("unknown field 'tasks[{number}].{unknown}' for task_distribute")));
    }
    let payload = &given["payload"];
    let text = payload["command"].as_str().or_else(|| payload["script"].as_str());
    let dependencies = given["dependencies"].as_array().into_iter().flatten().map(|dependency| Dependency {
        id: dependency.as_str().or_else(|| dependency["id"].as_str()).unwrap_or_default().to_owned(),
        condition: match dependency["condition"].as_str() {
            Some("failure") => Condition::Failure,
            Some("always") => Condition::Always,
            _ => Condition::Success,
        },
    });
    let directory = payload["workingDirectory"].as_str();
    let current = std::env::current_dir().unwrap_or_default();
    Ok(Task {
        id: given["id"].as_str().unwrap_or_default().to_owned(),
        kind: if given["type"] == "script" { TaskKind::Script } else { TaskKind::Command },
        text: text
            .ok_or_else(|| Error::invalid(format!("'tasks[{number}].payload' has no command")))?
            .to_owned(),
        directory: directory.map(|directory| current.join(directory)),
        env: serde_json::from_value(payload["env"].clone()).unwrap_or_default(),
        stdin: None,
        priority: crate::model::Priority::Normal,
        dependencies: dependencies.collect(),
        timeout_ms: 600_000,
        retries: given["retries"].as_object().map(|retries| TaskRetries {
            max: retries
                .get("max")
                .and_then(Value::as_u64)
                .and_then(|max| u32::try_from(max).ok())
                .unwrap_or(0),
            delay_ms: u64::try_from(Duration::from_millis(100).as_millis()).unwrap_or(0),
            backoff: 1.0,
            jitter: 0.0,
        }),
        requirements: Vec::new(),
        session: None,
        weight: 1,
        ok_exit_codes: Some(vec![0]),
        limits: ResourceLimits::default(),
        metadata: Map::new(),
    })
}
