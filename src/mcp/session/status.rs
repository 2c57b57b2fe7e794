//! `session_status`: one session, as it is at this moment.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::affinity::STRATEGIES;
use super::list::{kept, megabytes, rounded};
use super::{SessionView, consent};
use crate::clock::{self, Timestamp};
use crate::error::Result;
use crate::mcp::answer::{Answer, is_default, spoken};
use crate::mcp::arguments::{shortened, typed};
use crate::mcp::call::Call;
use crate::mcp::error::recover::strategies;
use crate::mcp::schema;
use crate::mcp::tool::{Effect, Tool};
use crate::model::{
    Affinity, AffinityStrategy, Agent, Command, Dialect, OnCritical, Profile, RecoveryStrategy, Session,
    Status, constraint,
};
use crate::orchestrator::{Observation, Usage};

/// Characters of JSON text for each token of the budget.
const CHARACTERS_PER_TOKEN: usize = 3;

pub(crate) const TOOL: Tool = Tool {
    name: "session_status",
    title: "Show a session",
    description: "Shows what a session is doing: status, directory, last or running command, the program in the \
        foreground, cpu (percent of a core) and memory (MB). detailed adds settings, environment and counts.",
    effect: Effect::Reads,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<View>,
    run: |call, arguments| Box::pin(async move { status(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    session_id: String,
    #[serde(default)]
    detailed: bool,
    /// To read on: omitted.recordFrom of the answer before
    record_from: Option<usize>,
}

/// A session, as it is at this moment.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct View {
    #[serde(flatten)]
    session: SessionView,
    /// What that agent is for.
    #[serde(skip_serializing_if = "is_default")]
    agent_role: Value,
    /// More agents that work in it.
    #[serde(skip_serializing_if = "is_default")]
    other_agents: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_command: Option<LastCommand>,
    /// The program that has the terminal, when it is not the shell.
    #[serde(skip_serializing_if = "Option::is_none")]
    foreground: Option<Foreground>,
    /// A signal holds the shell.
    #[serde(skip_serializing_if = "is_default")]
    stopped: bool,
    /// It has used up its maxCpuTime.
    #[serde(skip_serializing_if = "is_default")]
    cpu_time_spent: bool,
    /// Commands waiting behind the running one.
    #[serde(skip_serializing_if = "is_default")]
    queued: usize,
    /// Percent of one core.
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<f64>,
    /// MB.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    processes: Option<u32>,
    last_activity: String,
    /// Milliseconds.
    uptime: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(skip_serializing_if = "is_default")]
    retry_count: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    auto_accept: Option<consent::View>,
    /// Behind the last byte of output.
    cursor: u64,
    #[serde(skip_serializing_if = "is_default")]
    metadata: Map<String, Value>,
    #[serde(skip_serializing_if = "is_default")]
    capabilities: Vec<String>,
    limits: Limits,
    /// Who runs the tasks that name it.
    #[serde(skip_serializing_if = "Option::is_none")]
    affinity: Option<Shared>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
    /// A piece of what did not fit: JSON text of agentRole, otherAgents, capabilities, constraints, metadata,
    /// targets and env.
    #[serde(skip_serializing_if = "is_default")]
    record: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    omitted: Option<Omitted>,
}

/// What did not fit.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Omitted {
    bytes: usize,
    /// Pass it as recordFrom to read them as JSON text.
    record_from: usize,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct LastCommand {
    command_id: String,
    /// Its text, shortened.
    command: String,
    running: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    awaiting_input: bool,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Foreground {
    pid: u32,
    name: String,
    /// Shortened.
    command_line: String,
}

/// Durations are milliseconds.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Limits {
    command_timeout: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    idle_timeout: Option<u64>,
    #[serde(skip_serializing_if = "is_default")]
    constraints: Vec<String>,
    /// Bytes. These four are what resourceLimits and constraints allow together.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_memory: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_cpu_time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_processes: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_open_files: Option<u32>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Shared {
    targets: Vec<String>,
    #[schemars(with = "String", extend("enum" = STRATEGIES))]
    strategy: AffinityStrategy,
    /// Milliseconds.
    health_check_interval: u64,
}

impl From<Affinity> for Shared {
    fn from(Affinity { targets, strategy, check_ms }: Affinity) -> Self {
        Self { targets, strategy, health_check_interval: check_ms }
    }
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Details {
    uuid: String,
    shell: String,
    /// How the shell is talked to; plain means that the ends of commands are not known.
    dialect: &'static str,
    profile: &'static str,
    #[serde(skip_serializing_if = "is_default")]
    env: BTreeMap<String, String>,
    rows: u16,
    cols: u16,
    created_directory: String,
    /// Bytes of output kept on disk.
    output_buffer_size: u64,
    /// Processors that `session_start` gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    needs_cpu: Option<f64>,
    /// Bytes that it lets a file grow to, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    needs_disk: Option<u64>,
    /// The session that it was restored from.
    #[serde(skip_serializing_if = "Option::is_none")]
    restored_from: Option<String>,
    /// How it is recovered when nobody asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery: Option<Policy>,
    /// How its health is looked after.
    #[serde(skip_serializing_if = "Option::is_none")]
    monitor: Option<Watch>,
    commands_executed: u64,
    commands_failed: u64,
    /// Shells that the session has had.
    generation: u32,
    /// This status in other vocabularies.
    status_as: StatusAs,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Policy {
    max_retries: u32,
    /// Milliseconds.
    retry_delay: u64,
    #[schemars(with = "String", extend("enum" = strategies()))]
    strategy: RecoveryStrategy,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Watch {
    #[serde(skip_serializing_if = "Option::is_none")]
    interval_ms: Option<u64>,
    #[schemars(with = "String", extend("enum" = ["notify", "interrupt", "restart", "close"]))]
    on_critical: OnCritical,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
struct StatusAs {
    /// As a task: running, completed, failed, cancelled, timeout or recovering.
    task: &'static str,
    /// As a constant, in upper case.
    constant: String,
}

fn status_as(status: Status) -> StatusAs {
    let task = match status {
        Status::Initializing | Status::Idle | Status::Active => "running",
        Status::Recovering => "recovering",
        Status::Timeout => "timeout",
        Status::Error => "failed",
        Status::Completed => "completed",
        Status::Terminated => "cancelled",
    };
    StatusAs { task, constant: status.as_str().to_uppercase() }
}

/// Values of variables that are named like secrets are not shown.
fn details(session: &Session) -> Details {
    Details {
        uuid: session.uuid.to_string(),
        shell: session.shell.display().to_string(),
        dialect: match session.dialect {
            Dialect::Bash => "bash",
            Dialect::Zsh => "zsh",
            Dialect::Fish => "fish",
            Dialect::Posix => "posix",
            Dialect::Plain => "plain",
        },
        profile: match session.profile {
            Profile::User => "user",
            Profile::Login => "login",
            Profile::Clean => "clean",
            Profile::Tasks => "tasks",
        },
        env: session.env.clone(),
        rows: session.size.rows,
        cols: session.size.cols,
        created_directory: session.created_directory.display().to_string(),
        output_buffer_size: session.output_bytes,
        needs_cpu: session.needs.cpu_percent.map(|percent| f64::from(percent) / 100.0),
        needs_disk: session.needs.disk_bytes,
        restored_from: session.restored_from.as_ref().map(ToString::to_string),
        recovery: session.recovery.map(|policy| Policy {
            max_retries: policy.max_retries,
            retry_delay: policy.retry_delay_ms,
            strategy: policy.strategy,
        }),
        monitor: session
            .monitor
            .map(|monitor| Watch { interval_ms: monitor.interval_ms, on_critical: monitor.on_critical }),
        commands_executed: session.commands_executed,
        commands_failed: session.commands_failed,
        generation: session.generation,
        status_as: status_as(session.status),
    }
}

fn last_command(command: &Command) -> LastCommand {
    LastCommand {
        command_id: command.id.to_string(),
        command: shortened(&command.text),
        running: !command.is_ended(),
        exit_code: command.exit_code(),
        started_at: command.started_at.map(|at| at.to_string()),
        ended_at: command.ended_at.map(|at| at.to_string()),
        awaiting_input: command.awaiting_input.is_some() && !command.is_ended(),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn view(
    observation: Observation,
    agents: Vec<Agent>,
    usage: Option<Usage>,
    detailed: bool,
    now: Timestamp,
) -> View {
    let mut agents = agents.into_iter();
    let (agent_id, role) = agents.next().map(|agent| (agent.id, agent.role)).unzip();
    let Observation { session, last_command: last, foreground, queued, output_cursor, .. } = observation;
    let bounds = session.bounds().limits;
    let uptime = session.ended_at.unwrap_or(now).since(session.created_at);
    View {
        session: SessionView { agent_id, ..SessionView::of(&session) },
        agent_role: role.flatten().unwrap_or_default(),
        other_agents: agents.map(|agent| agent.id).collect(),
        last_command: last.as_ref().map(last_command),
        foreground: foreground.map(|program| Foreground {
            pid: program.pid,
            name: program.name,
            command_line: shortened(&program.command_line),
        }),
        stopped: session.stopped,
        cpu_time_spent: session.cpu_time_spent,
        queued,
        cpu: usage.map(|usage| rounded(usage.cpu)),
        memory: usage.map(|usage| megabytes(usage.memory)),
        processes: usage.map(|usage| usage.processes),
        last_activity: session.last_activity.to_string(),
        uptime: millis(uptime),
        ended_at: session.ended_at.map(|at| at.to_string()),
        end_reason: session.end_reason.clone(),
        exit_code: session.exit_code,
        retry_count: session.retry_count,
        auto_accept: consent::View::of(&session.auto_accept),
        cursor: output_cursor,
        metadata: session.metadata.clone(),
        capabilities: session.capabilities.clone(),
        limits: Limits {
            command_timeout: constraint::timeout(&session.constraints)
                .map_or(session.command_timeout_ms, |most| millis(most).min(session.command_timeout_ms)),
            idle_timeout: session.idle_timeout_ms,
            constraints: session.constraints.clone(),
            max_memory: bounds.memory_bytes,
            max_cpu_time: bounds.cpu_ms,
            max_processes: bounds.processes,
            max_open_files: bounds.open_files,
        },
        affinity: session.affinity.clone().map(Shared::from),
        details: detailed.then(|| details(&session)),
        record: String::new(),
        omitted: None,
    }
}

async fn status(call: &Call, arguments: Arguments) -> Result<Answer> {
    let observation = call.orchestrator.observe(&arguments.session_id).await?;
    let id = observation.session.id.clone();
    let usage = if observation.session.pid.is_some() {
        call.orchestrator.usage(std::slice::from_ref(&id)).await?.get(&id).copied()
    } else {
        None
    };
    let agents = call.orchestrator.agents_of(&id).await?;
    let whole = view(observation, agents, usage, arguments.detailed, clock::now().wall);
    let mut room = call.room();
    loop {
        let view = match arguments.record_from {
            None => within(&whole, room.tokens),
            Some(from) => read_on(&whole, from, room.tokens),
        };
        let answer = Answer::new(text(&view)?, &view)?;
        if room.holds(&answer) {
            return Ok(answer);
        }
    }
}

/// The view without those of the parts that callers make large that do not fit.
fn within(whole: &View, budget_tokens: usize) -> View {
    let mut view = whole.clone();
    let (mut left, mut bytes) = (budget_tokens, 0);
    view.agent_role = kept(&whole.agent_role, &mut left, &mut bytes);
    view.other_agents = kept(&whole.other_agents, &mut left, &mut bytes);
    view.capabilities = kept(&whole.capabilities, &mut left, &mut bytes);
    view.limits.constraints = kept(&whole.limits.constraints, &mut left, &mut bytes);
    view.metadata = kept(&whole.metadata, &mut left, &mut bytes);
    if let Some(affinity) = &mut view.affinity {
        affinity.targets = kept(&affinity.targets, &mut left, &mut bytes);
    }
    if let Some(details) = &mut view.details {
        details.env = kept(&details.env, &mut left, &mut bytes);
    }
    view.omitted = (bytes > 0).then_some(Omitted { bytes, record_from: 0 });
    view
}

/// The view with a piece of its large parts as JSON text in their place.
fn read_on(whole: &View, from: usize, budget_tokens: usize) -> View {
    let mut parts = json!({
        "agentRole": whole.agent_role,
        "otherAgents": whole.other_agents,
        "capabilities": whole.capabilities,
        "constraints": whole.limits.constraints,
        "metadata": whole.metadata,
    });
    let mut view = within(whole, 0);
    if let Some(affinity) = &whole.affinity {
        parts["targets"] = json!(affinity.targets);
    }
    if let Some(details) = &whole.details {
        parts["env"] = json!(details.env);
    }
    let record = parts.to_string();
    let from = (0..=from.min(record.len())).rev().find(|at| record.is_char_boundary(*at)).unwrap_or(0);
    let most = (budget_tokens * CHARACTERS_PER_TOKEN).max(1);
    view.record = record[from..].chars().take(most).collect();
    let to = from + view.record.len();
    view.omitted = (to < record.len()).then_some(Omitted { bytes: record.len() - to, record_from: to });
    view
}

/// The head line says what matters; the rest is given as the fields are named.
fn text(view: &View) -> Result<String> {
    let up = spoken(view.uptime);
    let SessionView { session_id, name, status, .. } = &view.session;
    let mut text = format!("session {session_id} \"{name}\" is {status}, {up} old");
    let Value::Object(fields) = serde_json::to_value(view)
        .map_err(|error| crate::error::Error::new(crate::error::ErrorCode::Internal, error.to_string()))?
    else {
        return Ok(text);
    };
    let said = ["sessionId", "name", "status", "uptime"];
    for (name, value) in fields.into_iter().filter(|(name, _)| !said.contains(&name.as_str())) {
        match value {
            Value::String(value) => {
                let _ = write!(text, "\n{name}: {value}");
            }
            other => {
                let _ = write!(text, "\n{name}: {other}");
            }
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixtures::session;

    #[test]
    fn what_holds_is_shown_whoever_said_it() {
        let mut session = session("a");
        session.constraints = vec!["timeout:2000".to_owned()];
        session.monitor = Some(crate::model::Monitor { interval_ms: None, on_critical: OnCritical::Restart });
        let observation = Observation {
            session,
            last_command: None,
            foreground: None,
            awaiting_input: false,
            queued: 0,
            output_cursor: 0,
        };
        let shown = serde_json::to_value(view(observation, Vec::new(), None, true, Timestamp(9))).unwrap();
        assert_eq!(shown["limits"]["commandTimeout"], 2_000);
        assert_eq!(shown["details"]["monitor"], json!({"onCritical": "restart"}));
        assert_eq!(shown["details"].get("recovery"), None);
    }

    #[test]
    fn only_details_show_settings_and_nothing_empty_is_shown() {
        let observe = || Observation {
            session: session("a"),
            last_command: None,
            foreground: None,
            awaiting_input: false,
            queued: 0,
            output_cursor: 5,
        };
        let plain = serde_json::to_value(view(observe(), Vec::new(), None, false, Timestamp(9))).unwrap();
        assert_eq!(plain["uptime"], 9);
        for absent in ["details", "lastCommand", "foreground", "queued", "metadata", "cpu"] {
            assert_eq!(plain.get(absent), None, "{absent}");
        }
        let detailed = serde_json::to_value(view(observe(), Vec::new(), None, true, Timestamp(9))).unwrap();
        assert_eq!(
            detailed["details"]["statusAs"],
            serde_json::json!({"task": "running", "constant": "IDLE"})
        );
    }
}
