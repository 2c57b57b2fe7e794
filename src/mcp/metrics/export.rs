//! `metrics_export`: the figures of the server, for Prometheus and other programs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::prometheus::{Family, Kind, exposition};
use crate::engine::report::Counts;
use crate::engine::request::TaskQuery;
use crate::error::Result;
use crate::mcp::answer::{Answer, is_default};
use crate::mcp::arguments::typed;
use crate::mcp::call::{Call, Watched};
use crate::mcp::schema;
use crate::mcp::tool::{Effect, Tool};
use crate::model::{Session, Status};
use crate::orchestrator::monitoring::Measurement;

/// Estimated tokens of a session's figures: a guess to begin with.
const SESSION_TOKENS: usize = 150;

pub(crate) const TOOL: Tool = Tool {
    name: "metrics_export",
    title: "Export metrics",
    description: "The figures of the machine, the server, its tasks and its live sessions as text: Prometheus \
        exposition, or the same families as JSON.",
    effect: Effect::Reads,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Report>,
    run: |call, arguments| Box::pin(async move { export(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    /// Default: prometheus
    #[serde(default)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Prometheus,
    Json,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Report {
    format: Format,
    text: String,
    /// Live sessions whose own figures were left out for length.
    #[serde(skip_serializing_if = "is_default")]
    omitted: usize,
}

async fn export(call: &Call, arguments: Arguments) -> Result<Answer> {
    let measured = call.wait(call.orchestrator.measure(None), Watched::Nothing).await?;
    let sessions = call.orchestrator.sessions().await?;
    let counts = call.orchestrator.progress(&TaskQuery::default(), 0).await?.overall.counts;
    let live: Vec<&Session> = sessions.iter().filter(|session| session.status.is_live()).collect();
    let mut room = call.room();
    loop {
        let shown = live.len().min(room.tokens / SESSION_TOKENS);
        let mut families = of_server(&measured, &sessions, counts);
        families.extend(of_sessions(&measured, &live[..shown]));
        let text = match arguments.format {
            Format::Prometheus => exposition(&families),
            Format::Json => {
                families.retain(|family| !family.series.is_empty());
                json!({"timestamp": measured.at.to_string(), "metrics": families}).to_string()
            }
        };
        let report = Report { format: arguments.format, text, omitted: live.len() - shown };
        let answer = Answer::new(report.text.clone(), &report)?;
        if room.holds(&answer) {
            return Ok(answer);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures on the wire")]
fn number(count: impl TryInto<u64>) -> Option<f64> {
    count.try_into().ok().map(|count: u64| count as f64)
}

fn of_server(measured: &Measurement, sessions: &[Session], counts: Counts) -> Vec<Family> {
    let machine = measured.machine;
    let gauge = |name, help| Family::new(name, Kind::Gauge, help);
    let counter = |name, help| Family::new(name, Kind::Counter, help);
    let total = |of: fn(&Session) -> u64| number(sessions.iter().map(of).sum::<u64>());
    let mut by_status = gauge("shellherd_sessions", "Sessions in memory by status.");
    for status in Status::ALL {
        let count = sessions.iter().filter(|session| session.status == status).count();
        by_status = by_status.with(&[("status", status.as_str())], number(count));
    }
    let mut load = gauge("shellherd_machine_load_average", "Load average of the machine.");
    for (minutes, index) in [("1", 0), ("5", 1), ("15", 2)] {
        load = load.with(&[("minutes", minutes)], machine.map(|machine| machine.load_average[index]));
    }
    let mut free = gauge("shellherd_filesystem_free_bytes", "Bytes that may still be written.");
    let mut size = gauge("shellherd_filesystem_size_bytes", "Bytes of the filesystem.");
    for (place, space) in [("root", measured.space.0), ("state", measured.space.1)] {
        free = free.with(&[("place", place)], space.and_then(|space| number(space.free)));
        size = size.with(&[("place", place)], space.and_then(|space| number(space.total)));
    }
    vec![
        by_status,
        gauge("shellherd_tasks", "Tasks in memory by status.")
            .with(&[("status", "queued")], number(counts.queued))
            .with(&[("status", "running")], number(counts.running))
            .with(&[("status", "completed")], number(counts.completed))
            .with(&[("status", "failed")], number(counts.failed)),
        gauge("shellherd_commands", "Commands that sessions in memory ran.")
            .with(&[], total(|session| session.commands_executed)),
        gauge("shellherd_commands_failed", "Those of them that failed.")
            .with(&[], total(|session| session.commands_failed)),
        counter("process_cpu_seconds_total", "CPU time of the server itself.")
            .with(&[], number(measured.server.cpu_ms).map(|milliseconds| milliseconds / 1_000.0)),
        gauge("process_resident_memory_bytes", "Resident memory of the server itself.")
            .with(&[], number(measured.server.memory_bytes)),
        gauge("shellherd_machine_cpu_percent", "Percent of all processors in use.")
            .with(&[], machine.map(|machine| machine.cpu)),
        gauge("shellherd_machine_memory_bytes", "Memory in use.")
            .with(&[], machine.and_then(|machine| number(machine.memory_bytes))),
        gauge("shellherd_machine_memory_size_bytes", "Memory that there is.")
            .with(&[], machine.and_then(|machine| number(machine.memory_total))),
        load,
        free,
        size,
        gauge(
            "shellherd_machine_network_bytes_per_second",
            "Traffic of all interfaces but the loopback one.",
        )
        .with(&[("direction", "received")], machine.and_then(|m| m.network).map(|n| n.received))
        .with(&[("direction", "sent")], machine.and_then(|m| m.network).map(|n| n.sent)),
        gauge("shellherd_machine_disk_bytes_per_second", "Traffic of all disks.")
            .with(&[("direction", "read")], machine.and_then(|m| m.disk).map(|disk| disk.0))
            .with(&[("direction", "written")], machine.and_then(|m| m.disk).map(|disk| disk.1)),
    ]
}

fn of_sessions(measured: &Measurement, sessions: &[&Session]) -> [Family; 6] {
    let gauge = |name, help| Family::new(name, Kind::Gauge, help);
    let mut families = [
        gauge("shellherd_session_cpu_percent", "Percent of one core that a session's processes use."),
        gauge("shellherd_session_memory_bytes", "Resident memory of a session's processes."),
        gauge("shellherd_session_processes", "Processes of a session."),
        gauge(
            "shellherd_session_response_milliseconds",
            "Mean time until a session's shell begins a command.",
        ),
        Family::new("shellherd_session_commands_total", Kind::Counter, "Commands that a session ran."),
        Family::new("shellherd_session_commands_failed_total", Kind::Counter, "Those of them that failed."),
    ];
    for session in sessions {
        let usage = measured.sessions.get(&session.id);
        let figures = [
            usage.map(|usage| usage.cpu),
            usage.and_then(|usage| number(usage.memory)),
            usage.map(|usage| f64::from(usage.processes)),
            measured.responses.get(&session.id).copied(),
            number(session.commands_executed),
            number(session.commands_failed),
        ];
        let labels = [("session", session.id.as_str()), ("name", session.name.as_str())];
        for (family, figure) in families.iter_mut().zip(figures) {
            family.add(&labels, figure);
        }
    }
    families
}
