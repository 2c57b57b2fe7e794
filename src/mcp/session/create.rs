//! `session_create`: a new terminal.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{KINDS, SessionView, consent};
use crate::engine::request::{AutoAcceptChange, NewSession};
use crate::error::{Error, Result};
use crate::limits;
use crate::mcp::agent::word;
use crate::mcp::answer::Answer;
use crate::mcp::arguments::{refusal, typed};
use crate::mcp::call::{Call, Watched};
use crate::mcp::check;
use crate::mcp::command::execute::Limits;
use crate::mcp::error::recover::strategies;
use crate::mcp::schema::{self, Bytes, Milliseconds, Variable};
use crate::mcp::template;
use crate::mcp::tool::{Effect, Tool};
use crate::model::{
    AutoAccept, Monitor, Needs, OnCritical, Profile, RecoveryPolicy, RecoverySettings, RecoveryStrategy,
    SessionKind, TerminalSize, constraint,
};

pub(crate) const TOOL: Tool = Tool {
    name: "session_create",
    title: "Create a session",
    description: "Opens a new terminal with a fresh shell and returns when it is at its prompt. \
        The session keeps its directory, environment and jobs between commands. \
        Use one session for each job that runs at the same time. Returns sessionId.",
    effect: Effect::Runs,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<SessionView>,
    run: |call, arguments| Box::pin(async move { create(call, arguments).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::mcp) struct Arguments {
    /// A label; two sessions may share one
    name: Option<String>,
    #[serde(rename = "type", default)]
    #[schemars(with = "String", extend("enum" = KINDS))]
    kind: SessionKind,
    #[schemars(extend("x-bytes" = 4096))]
    working_directory: Option<String>,
    /// Make a missing workingDirectory
    #[serde(default)]
    create_working_directory: bool,
    /// Typed into the shell; the call returns while it runs. Not in an observer, where nothing is run
    #[schemars(extend("x-bytes" = limits::COMMAND_BYTES))]
    command: Option<String>,
    /// bash, zsh, fish, dash, or any program (default $SHELL)
    #[schemars(extend("x-bytes" = 4096))]
    shell: Option<String>,
    /// clean skips the user's start-up files
    #[serde(default)]
    #[schemars(with = "String", extend("enum" = ["user", "login", "clean"]))]
    profile: Profile,
    #[serde(default)]
    env: BTreeMap<String, Variable>,
    #[schemars(range(min = 1, max = 1000))]
    rows: Option<u16>,
    #[schemars(range(min = 1, max = 1000))]
    cols: Option<u16>,
    #[serde(default)]
    metadata: Map<String, Value>,
    #[serde(default)]
    capabilities: Vec<String>,
    /// max-memory:4gb, max-cpu-time:10m, max-processes:50, max-open-files:256, timeout:300000, cpu-priority:low, or
    /// labels without a colon
    #[serde(default)]
    constraints: Vec<String>,
    /// Of everything in the session together
    resource_limits: Option<Limits>,
    monitor: Option<MonitorSettings>,
    auto_accept: Option<consent::Arguments>,
    /// ms, for commands that name none
    command_timeout: Option<Milliseconds>,
    /// ms without use until it is closed
    idle_timeout: Option<Milliseconds>,
    /// Recover by itself when the shell dies, is stopped, or a command outlives its timeout (unless onTimeout says otherwise)
    recovery: Option<Recovery>,
    /// Output kept on disk, e.g. 256m
    output_buffer_size: Option<Bytes>,
    /// Makes it an agent with this role, reached by its name (agentId)
    agent_role: Option<String>,
    /// Default true; false leaves it to be started later
    auto_start: Option<bool>,
    template: Option<String>,
    /// Settings over those of the template
    #[serde(default)]
    overrides: Map<String, Value>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Recovery {
    /// Default true
    enabled: Option<bool>,
    /// Default 3
    #[schemars(range(min = 1, max = limits::MOST_RECOVERY_RETRIES))]
    max_retries: Option<u32>,
    /// ms, doubles (default 2000)
    retry_delay: Option<Milliseconds>,
    #[serde(default)]
    #[schemars(with = "String", extend("enum" = strategies()))]
    strategy: RecoveryStrategy,
}

impl Recovery {
    fn policy(self, settings: RecoverySettings) -> Option<RecoveryPolicy> {
        let delay = self.retry_delay.map_or(settings.delay, Into::into);
        self.enabled.unwrap_or(true).then(|| RecoveryPolicy {
            max_retries: self.max_retries.unwrap_or(settings.retries),
            retry_delay_ms: u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
            strategy: self.strategy,
        })
    }
}

/// Background health checks.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MonitorSettings {
    interval_ms: Option<Milliseconds>,
    /// critical: hung command, stopped shell, error
    #[serde(default)]
    #[schemars(with = "String", extend("enum" = ["notify", "interrupt", "restart", "close"]))]
    on_critical: OnCritical,
}

impl MonitorSettings {
    fn monitor(self) -> Result<Monitor> {
        let interval_ms = self.interval_ms.map(|Milliseconds(milliseconds)| milliseconds);
        let least = u64::try_from(limits::HEALTH_LEAST.as_millis()).unwrap_or(u64::MAX);
        if let Some(interval) = interval_ms.filter(|interval| *interval < least) {
            return Err(refusal(
                "monitor.intervalMs",
                format!("'monitor.intervalMs' is at least {least}, not {interval}"),
            ));
        }
        Ok(Monitor { interval_ms, on_critical: self.on_critical })
    }
}

/// An observer runs nothing, a first command included: whoever wants one wants another type.
fn check_command(kind: SessionKind, command: Option<&str>) -> Result<()> {
    if kind == SessionKind::Observer && command.is_some() {
        return Err(Error::invalid(
            "'command' does not go with 'type' \"observer\": an observer runs no commands",
        )
        .with_hint("leave 'command' out, or give another type")
        .with_details(serde_json::json!({"field": "command", "conflictsWith": ["type"]})));
    }
    Ok(())
}

/// The same for answers to what is asked in it.
fn auto_accept(kind: SessionKind, given: Option<consent::Arguments>) -> Result<AutoAccept> {
    let change = given.map_or_else(|| Ok(AutoAcceptChange::default()), consent::Arguments::change)?;
    if kind == SessionKind::Observer && change.enabled == Some(true) {
        return Err(Error::invalid(
            "'autoAccept' does not go with 'type' \"observer\": nothing is typed into an observer",
        )
        .with_hint("leave 'autoAccept' out, or give another type")
        .with_details(serde_json::json!({"field": "autoAccept", "conflictsWith": ["type"]})));
    }
    Ok(change.applied_to(&AutoAccept::default()))
}

async fn create(call: &Call, given: Value) -> Result<Answer> {
    let new = settings(call, asked(call, given).await?)?;
    let session = call.wait(call.orchestrator.create_session(new), Watched::Nothing).await?;
    let view = SessionView::with_agent(call, &session).await?;
    Answer::new(view.sentence(), &view)
}

/// What a call asks for, with what its template says of what it does not.
async fn asked(call: &Call, given: Value) -> Result<Arguments> {
    let arguments: Arguments = typed(given.clone())?;
    match (arguments.template, given) {
        (Some(name), Value::Object(own)) => {
            typed(template::applied(call, &name, arguments.overrides, own).await?)
        }
        (None, _) if !arguments.overrides.is_empty() => {
            Err(refusal("overrides", "'overrides' go over a template, and none is named"))
        }
        (template, _) => Ok(Arguments { template, ..arguments }),
    }
}

pub(in crate::mcp) fn settings(call: &Call, arguments: Arguments) -> Result<NewSession> {
    check_command(arguments.kind, arguments.command.as_deref())?;
    constraint::check(&arguments.constraints)?;
    let defaults = &call.defaults;
    let directory = arguments.working_directory.as_deref();
    Ok(NewSession {
        created_directory: None,
        root: None,
        name: arguments.name.map(|name| check::name(&name)).transpose()?,
        kind: arguments.kind,
        directory: directory.map(|given| check::directory("workingDirectory", given)).transpose()?,
        create_directory: arguments.create_working_directory,
        shell: arguments
            .shell
            .map(|shell| check::filled("shell", shell))
            .transpose()?
            .or_else(|| defaults.shell.clone()),
        profile: arguments.profile,
        env: check::env(arguments.env)?,
        size: TerminalSize {
            rows: arguments.rows.unwrap_or(defaults.size.rows),
            cols: arguments.cols.unwrap_or(defaults.size.cols),
        },
        metadata: check::metadata(arguments.metadata)?,
        capabilities: arguments.capabilities,
        constraints: arguments.constraints,
        limits: Limits::checked(arguments.resource_limits)?,
        needs: Needs::default(),
        auto_accept: auto_accept(arguments.kind, arguments.auto_accept)?,
        monitor: arguments.monitor.map(MonitorSettings::monitor).transpose()?,
        command_timeout: arguments.command_timeout.map(Into::into),
        idle_timeout: arguments.idle_timeout.map(Into::into),
        output_bytes: arguments.output_buffer_size.map(|Bytes(bytes)| bytes),
        command: arguments.command,
        recovery: arguments.recovery.and_then(|recovery| recovery.policy(defaults.recovery)),
        is_deferred: !arguments.auto_start.unwrap_or(true),
        exported: BTreeMap::new(),
        unset: BTreeSet::new(),
        heir_of: None,
        agent_role: arguments.agent_role.map(|role| word("agentRole", &role)).transpose()?,
    })
}
