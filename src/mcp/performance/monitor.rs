//! `performance_monitor`: what the machine and the sessions use.

use std::fmt::Write;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::limits;
use crate::mcp::answer::{Answer, fitting, is_default};
use crate::mcp::arguments::{refusal, typed};
use crate::mcp::call::{Call, Watched};
use crate::mcp::schema::{self, Milliseconds};
use crate::mcp::session::list::{megabytes, rounded};
use crate::mcp::tool::{Effect, Tool};
use crate::model::Session;
use crate::orchestrator::monitoring::{MachineUsage, Measurement, Space, cores};

pub(crate) const TOOL: Tool = Tool {
    name: "performance_monitor",
    title: "Measure the load",
    description: "What the machine and each live session use. overall: cpu and memory in percent of the machine, \
        disk and network in kB/s. Per session: cpu in percent of one core and memory in MB over its whole process \
        tree, responseTime (mean ms to begin a command, of its last 20), errorRate (percent of its commands), \
        throughput (commands a minute). Network is the machine's only: per process it cannot be known. interval \
        measures over that span (0.2 to 30 s) instead of since the last sample.",
    effect: Effect::Reads,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Report>,
    run: |call, arguments| Box::pin(async move { monitor(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    /// Default: all
    #[serde(default)]
    metrics: Vec<Metric>,
    session_id: Option<String>,
    /// Adds cores, the server's own use, and each session's status
    #[serde(default)]
    detailed: bool,
    interval: Option<Milliseconds>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum Metric {
    Cpu,
    Memory,
    Disk,
    Network,
    Processes,
    ResponseTime,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Report {
    timestamp: String,
    overall: Overall,
    active_sessions: usize,
    sessions: Vec<Item>,
    /// Sessions left out for length: name one by sessionId.
    #[serde(skip_serializing_if = "is_default")]
    omitted: usize,
}

#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Overall {
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<f64>,
    /// 1, 5 and 15 minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    load_average: Option<[f64; 3]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cores: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_mb: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_total_mb: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk: Option<Disk>,
    /// kB a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<Traffic>,
    /// What this server's own process uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<Server>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Disk {
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<Filesystem>,
    /// Where the server keeps its state, if that is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<Filesystem>,
    /// kB a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    read: Option<f64>,
    /// kB a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    written: Option<f64>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Filesystem {
    used_percent: f64,
    free_mb: f64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Traffic {
    received: f64,
    sent: f64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Server {
    memory_mb: f64,
    cpu_seconds: f64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Item {
    session_id: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    metrics: Metrics,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Metrics {
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    processes: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_time: Option<f64>,
    error_rate: f64,
    throughput: f64,
    commands_executed: u64,
    /// By condensing, of what was condensed.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_savings_percentage: Option<f64>,
}

/// Which figures to show.
struct Shown {
    metrics: Vec<Metric>,
    detailed: bool,
}

impl Shown {
    fn of<T>(&self, metric: Metric, figure: Option<T>) -> Option<T> {
        figure.filter(|_| self.metrics.is_empty() || self.metrics.contains(&metric))
    }

    fn detail<T>(&self, figure: Option<T>) -> Option<T> {
        figure.filter(|_| self.detailed)
    }
}

async fn monitor(call: &Call, arguments: Arguments) -> Result<Answer> {
    let span = arguments.interval.map(Duration::from);
    if span.is_some_and(|span| !(limits::MEASURE_LEAST..=limits::MEASURE_MOST).contains(&span)) {
        return Err(refusal("interval", "'interval' must be from 200 ms to 30 s"));
    }
    let named = match &arguments.session_id {
        Some(selector) => Some(call.orchestrator.session(selector).await?),
        None => None,
    };
    let measured = call.wait(call.orchestrator.measure(span), Watched::Nothing).await?;
    let sessions = call.orchestrator.sessions().await?;
    let active_sessions = sessions.iter().filter(|session| session.status.is_live()).count();
    let is_shown = |session: &&Session| match &named {
        Some(named) => session.id == named.id,
        None => session.status.is_live(),
    };
    let shown = Shown { metrics: arguments.metrics, detailed: arguments.detailed };
    let items: Vec<Item> =
        sessions.iter().filter(is_shown).map(|session| item(session, &measured, &shown)).collect();
    let mut report = Report {
        timestamp: measured.at.to_string(),
        overall: overall(&measured, &shown),
        active_sessions,
        sessions: items,
        omitted: 0,
    };
    let mut room = call.room();
    loop {
        let fitting = fitting(&report.sessions, room.tokens);
        report.omitted += report.sessions.len() - fitting;
        report.sessions.truncate(fitting);
        let answer = Answer::new(table(&report), &report)?;
        if room.holds(&answer) {
            return Ok(answer);
        }
    }
}

fn kilobytes(bytes: f64) -> f64 {
    rounded(bytes / 1_024.0)
}

fn overall(measured: &Measurement, shown: &Shown) -> Overall {
    let machine: Option<MachineUsage> = measured.machine;
    let filesystem = |space: Option<Space>| {
        space.map(|space| Filesystem { used_percent: rounded(space.used()), free_mb: megabytes(space.free) })
    };
    let root = measured.space.0;
    let rates = machine.and_then(|machine| machine.disk);
    let disk = Disk {
        root: filesystem(root),
        state: filesystem(measured.space.1.filter(|state| !root.is_some_and(|root| root.is_of(state)))),
        read: rates.map(|(read, _)| kilobytes(read)),
        written: rates.map(|(_, written)| kilobytes(written)),
    };
    let network = machine.and_then(|machine| machine.network);
    let traffic = network
        .map(|network| Traffic { received: kilobytes(network.received), sent: kilobytes(network.sent) });
    #[expect(clippy::cast_precision_loss, reason = "seconds with a decimal")]
    let cpu_seconds = rounded(measured.server.cpu_ms as f64 / 1_000.0);
    let server = Server { memory_mb: megabytes(measured.server.memory_bytes), cpu_seconds };
    let total = shown.of(Metric::Memory, machine.map(|machine| megabytes(machine.memory_total)));
    Overall {
        cpu: shown.of(Metric::Cpu, machine.map(|machine| rounded(machine.cpu))),
        load_average: shown.of(Metric::Cpu, machine.map(|machine| machine.load_average)),
        cores: shown.detail(Some(cores())),
        memory: shown.of(Metric::Memory, machine.map(|machine| rounded(machine.memory()))),
        memory_mb: shown.of(Metric::Memory, machine.map(|machine| megabytes(machine.memory_bytes))),
        memory_total_mb: shown.detail(total),
        disk: shown.of(Metric::Disk, Some(disk)),
        network: shown.of(Metric::Network, traffic),
        server: shown.detail(Some(server)),
    }
}

fn item(session: &Session, measured: &Measurement, shown: &Shown) -> Item {
    let usage = measured.sessions.get(&session.id);
    let response = measured.responses.get(&session.id).map(|response| rounded(*response));
    let ended = measured.ended.get(&session.id).copied().unwrap_or_default();
    Item {
        session_id: session.id.to_string(),
        name: session.name.clone(),
        status: shown.detail(Some(session.status.as_str())),
        metrics: Metrics {
            cpu: shown.of(Metric::Cpu, usage.map(|usage| rounded(usage.cpu))),
            memory: shown.of(Metric::Memory, usage.map(|usage| megabytes(usage.memory))),
            processes: shown.of(Metric::Processes, usage.map(|usage| usage.processes)),
            response_time: shown.of(Metric::ResponseTime, response),
            error_rate: error_rate(session),
            throughput: rounded(f64::from(ended.commands) * 60.0 / measured.span.as_secs_f64()),
            commands_executed: session.commands_executed,
            token_savings_percentage: measured.savings.get(&session.id).copied().map(rounded),
        },
    }
}

/// Percent of a session's commands that failed.
#[expect(clippy::cast_precision_loss, reason = "a percentage")]
fn error_rate(session: &Session) -> f64 {
    rounded(session.commands_failed as f64 * 100.0 / session.commands_executed.max(1) as f64)
}

fn table(report: &Report) -> String {
    let mut text = format!("{}: {} active sessions", report.timestamp, report.active_sessions);
    let overall = &report.overall;
    for (name, figure, unit) in
        [("cpu", overall.cpu, "%"), ("memory", overall.memory, "%"), ("memory", overall.memory_mb, "MB")]
    {
        if let Some(figure) = figure {
            let _ = write!(text, ", {name} {figure} {unit}");
        }
    }
    if let Some([one, five, fifteen]) = overall.load_average {
        let _ = write!(text, ", load {one} {five} {fifteen}");
    }
    if let Some(disk) = &overall.disk {
        for (name, found) in [("/", &disk.root), ("state", &disk.state)] {
            if let Some(found) = found {
                let _ =
                    write!(text, ", disk {name} {} % used, {} MB free", found.used_percent, found.free_mb);
            }
        }
        if let (Some(read), Some(written)) = (disk.read, disk.written) {
            let _ = write!(text, ", reads {read} kB/s, writes {written} kB/s");
        }
    }
    if let Some(network) = &overall.network {
        let _ = write!(text, ", network {} kB/s in, {} kB/s out", network.received, network.sent);
    }
    if let (Some(cores), Some(total)) = (overall.cores, overall.memory_total_mb) {
        let _ = write!(text, ", {cores} cores, {total} MB in all");
    }
    if let Some(server) = &overall.server {
        let _ = write!(text, ", server {} MB, {} s of cpu", server.memory_mb, server.cpu_seconds);
    }
    for item in &report.sessions {
        let metrics = &item.metrics;
        let _ = write!(text, "\n{}  {}", item.session_id, item.name);
        if let Some(status) = item.status {
            let _ = write!(text, "  {status}");
        }
        let processes = metrics.processes.map(f64::from);
        for (figure, unit) in [
            (metrics.cpu, "%"),
            (metrics.memory, "MB"),
            (processes, "processes"),
            (metrics.response_time, "ms to begin"),
        ] {
            if let Some(figure) = figure {
                let _ = write!(text, "  {figure} {unit}");
            }
        }
        let _ = write!(
            text,
            "  {} commands, {} a minute, {} % failed",
            metrics.commands_executed, metrics.throughput, metrics.error_rate
        );
        if let Some(saved) = metrics.token_savings_percentage {
            let _ = write!(text, ", {saved} % of tokens saved");
        }
    }
    if report.omitted > 0 {
        let _ = write!(text, "\n({} sessions left out: name one by sessionId)", report.omitted);
    }
    text
}
