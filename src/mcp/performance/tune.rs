//! `performance_tune`: changes the server's defaults while it runs.

use std::fmt::Write;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::mcp::answer::{Answer, is_default};
use crate::mcp::arguments::typed;
use crate::mcp::call::{Call, Watched};
use crate::mcp::schema::{self, Milliseconds};
use crate::mcp::session::list::rounded;
use crate::mcp::tool::{Effect, Tool};
use crate::orchestrator::monitoring::{Defaults, Tuned, Tuning};

pub(crate) const TOOL: Tool = Tool {
    name: "performance_tune",
    title: "Tune the defaults",
    description: "Changes what new runs (maxConcurrent) and new sessions (commandTimeout, idleTimeout, 0 for never) \
        get where they name nothing, until the server ends. auto decides maxConcurrent and commandTimeout from the \
        last hour where they are not given, and says why. Without any argument it only shows the analysis.",
    effect: Effect::Sets,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Report>,
    run: |call, arguments| Box::pin(async move { tune(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    #[schemars(range(min = 1, max = 1_000))]
    max_concurrent: Option<u32>,
    command_timeout: Option<Milliseconds>,
    idle_timeout: Option<Milliseconds>,
    #[serde(default)]
    auto: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Report {
    /// What changed, with its new value.
    applied: Map<String, Value>,
    previous: Values,
    analysis: Figures,
    /// Why auto changed something, or not.
    #[serde(skip_serializing_if = "is_default")]
    reasons: Vec<String>,
}

/// The defaults, in milliseconds where they are times.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Values {
    max_concurrent: u32,
    command_timeout: u64,
    /// 0 for never.
    idle_timeout: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Figures {
    avg_cpu: f64,
    max_cpu: f64,
    timeouts: usize,
    high_cpu_pressure: bool,
    low_utilization: bool,
    frequent_timeouts: bool,
}

async fn tune(call: &Call, arguments: Arguments) -> Result<Answer> {
    let tuning = Tuning {
        max_concurrent: arguments.max_concurrent,
        command_timeout: arguments.command_timeout.map(Into::into),
        idle_timeout: arguments.idle_timeout.map(Into::into),
    };
    answer(&call.wait(call.orchestrator.tune(tuning, arguments.auto), Watched::Nothing).await?)
}

fn values(defaults: &Defaults) -> Values {
    let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Values {
        max_concurrent: defaults.max_concurrent,
        command_timeout: milliseconds(defaults.command_timeout),
        idle_timeout: defaults.idle_timeout.map_or(0, milliseconds),
    }
}

fn answer(tuned: &Tuned) -> Result<Answer> {
    let written = |values: &Values| match serde_json::to_value(values) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) | Err(_) => {
            Err(Error::new(crate::error::ErrorCode::Internal, "the defaults could not be written"))
        }
    };
    let (previous, now) = (values(&tuned.previous), values(&tuned.now));
    let before = written(&previous)?;
    let applied: Map<String, Value> =
        written(&now)?.into_iter().filter(|(name, value)| before.get(name) != Some(value)).collect();
    let analysis = &tuned.analysis;
    let report = Report {
        applied,
        previous,
        analysis: Figures {
            avg_cpu: rounded(analysis.avg_cpu),
            max_cpu: rounded(analysis.max_cpu),
            timeouts: analysis.timeouts,
            high_cpu_pressure: analysis.high_cpu_pressure(),
            low_utilization: analysis.low_utilization(),
            frequent_timeouts: analysis.frequent_timeouts(),
        },
        reasons: tuned.reasons.clone(),
    };
    let mut text = if report.applied.is_empty() {
        "nothing changed; the defaults are".to_owned()
    } else {
        format!("applied {}; before that the defaults were", Value::Object(report.applied.clone()))
    };
    let _ = write!(text, " {}", Value::Object(before));
    let _ = write!(
        text,
        "\nlast hour: cpu {} % on average, {} % at most; {} timeouts",
        report.analysis.avg_cpu, report.analysis.max_cpu, report.analysis.timeouts
    );
    for (holds, words) in [
        (report.analysis.high_cpu_pressure, "high cpu pressure"),
        (report.analysis.low_utilization, "low utilization"),
        (report.analysis.frequent_timeouts, "frequent timeouts"),
    ] {
        if holds {
            let _ = write!(text, "; {words}");
        }
    }
    for reason in &report.reasons {
        let _ = write!(text, "\n{reason}");
    }
    Answer::new(text, &report)
}
