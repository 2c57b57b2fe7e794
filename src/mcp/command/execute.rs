//! `command_execute`: runs a command and waits for its end, within bounds.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::behind::behind;
use super::changes::{Baseline, Comparison, Executed};
use super::parsed::{parsed, recognised};
use super::{CommandView, Shown, deadline, excerpt, has_left, settled, timed_out};
use crate::engine::request::NewCommand;
use crate::error::Result;
use crate::limits;
use crate::mcp::answer::Answer;
use crate::mcp::arguments::{refusal, typed};
use crate::mcp::call::Call;
use crate::mcp::check;
use crate::mcp::schema::{self, Bytes, Condensing, Milliseconds, Variable};
use crate::mcp::tool::{Effect, Tool};
use crate::model::{OnTimeout, ResourceLimits, Retries, WhenBusy};

pub(crate) const TOOL: Tool = Tool {
    name: "command_execute",
    title: "Run a command",
    description: "Runs a command in a session's shell, or starts one that runs on in the background. Any text: several lines, heredocs, pipes. Directory and \
        variables that it sets remain. Returns output (its own only), exitCode and success; a command that fails is an \
        error result with the same fields. The call blocks at most wait (default 45 s); then, and at once with \
        background, it answers running:true with commandId and cursor, and the command goes on: follow it with \
        command_status. awaitingInput:true means that it asks for something: answer with session_input. At timeout \
        the command is left running unless onTimeout says interrupt or kill.",
    effect: Effect::Runs,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Executed>,
    run: |call, arguments| Box::pin(async move { execute(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    session_id: String,
    #[schemars(extend("x-bytes" = limits::COMMAND_BYTES))]
    command: String,
    /// ms (default 300000, most 604800000)
    timeout: Option<Milliseconds>,
    /// Answer at once
    #[serde(default)]
    background: bool,
    /// ms that this call blocks (default 45000); clients may give up at 60000
    wait: Option<Milliseconds>,
    /// When the session runs another (default queue)
    #[serde(default)]
    #[schemars(with = "String", extend("enum" = ["queue", "error", "interrupt"]))]
    when_busy: WhenBusy,
    /// For this command only
    #[serde(default)]
    env: BTreeMap<String, Variable>,
    /// For this command only
    #[schemars(extend("x-bytes" = 4096))]
    working_directory: Option<String>,
    #[schemars(extend("x-bytes" = limits::COMMAND_BYTES))]
    stdin: Option<String>,
    /// Codes that count as success (default: only 0)
    #[schemars(with = "Option<Vec<i32>>", extend("x-kind" = "codes"))]
    ok_exit_codes: Option<ExitCodes>,
    /// Of the whole process tree
    resource_limits: Option<Limits>,
    #[schemars(with = "Option<String>", extend("enum" = ["leave", "interrupt", "kill"]))]
    on_timeout: Option<OnTimeout>,
    retries: Option<Tries>,
    condense: Option<Condensing>,
    /// Show only what changed since the same line ran last in this session
    compare_with: Option<Baseline>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(in crate::mcp) enum ExitCodes {
    These(Vec<i32>),
    /// Only the word that the reader lets through.
    Any(#[expect(dead_code, reason = "it is always the word any")] String),
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the names on the wire")]
pub(in crate::mcp) struct Limits {
    /// e.g. 512m
    max_memory: Option<Bytes>,
    /// ms
    max_cpu_time: Option<Milliseconds>,
    #[schemars(range(min = 1))]
    max_processes: Option<u32>,
    /// In one process; reaching it is told by a limit event if it lasts
    #[schemars(range(min = limits::LEAST_OPEN_FILES))]
    max_open_files: Option<u32>,
}

impl ExitCodes {
    /// The codes that count as success; `None` takes any.
    pub(in crate::mcp) fn accepted(given: Option<Self>) -> Option<Vec<i32>> {
        match given {
            None => Some(vec![0]),
            Some(Self::These(codes)) => Some(codes),
            Some(Self::Any(_)) => None,
        }
    }
}

impl Limits {
    /// What was given, unless nothing could live with it.
    pub(in crate::mcp) fn checked(given: Option<Self>) -> Result<ResourceLimits> {
        let Some(given) = given else { return Ok(ResourceLimits::default()) };
        let least_ms = u64::try_from(limits::LEAST_CPU_TIME.as_millis()).unwrap_or(u64::MAX);
        let memory = given.max_memory.map(|Bytes(bytes)| bytes);
        let cpu_ms = given.max_cpu_time.map(|Milliseconds(milliseconds)| milliseconds);
        if memory.is_some_and(|bytes| bytes < limits::LEAST_MEMORY) {
            let least = limits::LEAST_MEMORY >> 20;
            let field = "resourceLimits.maxMemory";
            return Err(refusal(field, format!("'{field}' is at least {least}m: a shell takes that much")));
        }
        if cpu_ms.is_some_and(|given_ms| given_ms < least_ms) {
            let field = "resourceLimits.maxCpuTime";
            return Err(refusal(field, format!("'{field}' is at least {least_ms} ms")));
        }
        Ok(ResourceLimits {
            memory_bytes: memory,
            cpu_ms,
            processes: given.max_processes,
            open_files: given.max_open_files,
        })
    }
}

/// Tries after a failure.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Tries {
    #[schemars(range(max = 100))]
    max: u32,
    /// ms (default 1000)
    delay: Option<Milliseconds>,
    /// Factor on delay each time (default 2)
    #[schemars(range(min = 1, max = 100))]
    backoff: Option<f64>,
}

fn request(arguments: Arguments) -> Result<NewCommand> {
    let directory = arguments.working_directory.as_deref();
    let limits = Limits::checked(arguments.resource_limits)?;
    Ok(NewCommand {
        text: check::filled("command", arguments.command)?,
        timeout: check::timeout("timeout", arguments.timeout)?,
        on_timeout: arguments.on_timeout,
        when_busy: arguments.when_busy,
        env: check::env(arguments.env)?,
        directory: directory.map(|given| check::directory("workingDirectory", given)).transpose()?,
        stdin: arguments.stdin,
        confined: false,
        ok_exit_codes: ExitCodes::accepted(arguments.ok_exit_codes),
        retries: arguments.retries.map(|tries| Retries {
            max: tries.max,
            delay_ms: tries.delay.map_or(1_000, |Milliseconds(delay)| delay),
            backoff: tries.backoff.unwrap_or(2.0),
        }),
        limits,
    })
}

async fn execute(call: &Call, arguments: Arguments) -> Result<Answer> {
    let (selector, background) = (arguments.session_id.clone(), arguments.background);
    let condense = Condensing::or_when_cut(arguments.condense);
    let compare_with = arguments.compare_with;
    let asked = if background { Some(std::time::Duration::ZERO) } else { arguments.wait.map(Into::into) };
    let new = request(arguments)?;
    let deadline = deadline(call, asked);
    let before = call.orchestrator.session(&selector).await?.working_directory;
    let mut watch = call.orchestrator.execute(&selector, new).await?;
    let command = settled(call, &mut watch, deadline).await;
    if has_left(&command) {
        return Err(timed_out(call, &command).await);
    }
    let found = recognised(call, &command).await?;
    let behind = behind(call, &command).await?;
    let compared = match compare_with {
        None => None,
        Some(Baseline::Previous) => Some(call.orchestrator.changes(&command).await?),
    };
    let mut room = call.room();
    loop {
        let (parsed, budget_tokens) = parsed(found.as_ref(), room.tokens);
        let compared = compared.as_ref().map(|compared| Comparison::of(compared, &command, budget_tokens));
        let (comparison, changes) = compared.unzip();
        let excerpt = match changes.flatten() {
            Some(changes) => changes,
            None => excerpt(call, &command, Shown { since: None, condense, budget_tokens }).await?,
        };
        let view = CommandView {
            parsed,
            behind: behind.clone(),
            ..CommandView::of(&command, excerpt, Some(&before))
        };
        let answer = Executed { command: view, comparison }.answer(&command)?;
        if room.holds(&answer) {
            return Ok(answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mcp::arguments::Reader;

    fn check(given: &serde_json::Value) -> Result<NewCommand> {
        let schema = (TOOL.input)();
        let reader = Reader { tool: TOOL.name, schema: &schema };
        request(typed(reader.read(given.as_object().cloned())?)?)
    }

    #[test]
    fn defaults_are_those_of_a_plain_line() {
        let new = check(&json!({"sessionId": "s", "command": "true"})).unwrap();
        assert_eq!(new, NewCommand::line("true"));
    }

    #[test]
    fn every_setting_arrives() {
        let new = check(&json!({
            "id": "s", "cmd": "make", "timeoutMs": "5m", "when_busy": "ERROR", "environment": {"A": 1},
            "cwd": "/tmp", "stdin": "x", "okExitCodes": "any", "onTimeout": " Kill ",
            "resourceLimits": {"maxMemory": "512m", "max_cpu_time": "10s"},
            "retries": {"max": "3", "delay": 5, "backoff": 1.5},
        }))
        .unwrap();
        let wanted = NewCommand {
            timeout: Some(std::time::Duration::from_secs(300)),
            on_timeout: Some(OnTimeout::Kill),
            when_busy: WhenBusy::Error,
            env: BTreeMap::from([("A".to_owned(), "1".to_owned())]),
            directory: Some("/tmp".into()),
            stdin: Some("x".to_owned()),
            ok_exit_codes: None,
            retries: Some(Retries { max: 3, delay_ms: 5, backoff: 1.5 }),
            limits: ResourceLimits {
                memory_bytes: Some(512 << 20),
                cpu_ms: Some(10_000),
                ..ResourceLimits::default()
            },
            ..NewCommand::line("make")
        };
        assert_eq!(new, wanted);
    }

    #[test]
    fn what_cannot_be_run_is_refused() {
        let with = |field: &str, value: serde_json::Value| {
            check(&json!({"sessionId": "s", "command": "true", field: value})).unwrap_err()
        };
        let message = |field: &str, value: serde_json::Value| with(field, value).message;
        assert!(check(&json!({"sessionId": "s", "command": "a\0b"})).unwrap_err().message.contains("NUL"));
        assert!(check(&json!({"sessionId": "s", "command": " "})).unwrap_err().message.contains("empty"));
        assert!(message("okExitCodes", json!([300])).contains("exit codes"));
        assert!(message("timeout", json!(-1)).contains("'timeout' must be milliseconds"));
        assert!(message("retries", json!({"max": 101})).contains("from 0 to 100"));
        assert!(message("condense", json!("some")).contains("aggressive"));
        let large = "x".repeat(limits::COMMAND_BYTES + 1);
        assert!(check(&json!({"sessionId": "s", "command": large})).unwrap_err().message.contains("at most"));
    }
}
