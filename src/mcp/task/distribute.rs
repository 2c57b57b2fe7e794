//! `task_distribute`: accepts a graph of tasks, or shows how it would be worked off.

use std::fmt::Write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::spec::Spec;
use super::{Distribution, accepted};
use crate::engine::report::Plan;
use crate::engine::request::NewRun;
use crate::error::Result;
use crate::limits;
use crate::mcp::answer::{Answer, fitting, is_default, spoken};
use crate::mcp::arguments::typed;
use crate::mcp::call::Call;
use crate::mcp::schema;
use crate::mcp::tool::{Effect, Tool};
use crate::model::{OnFailure, RunResources, Strategy};

pub(crate) const TOOL: Tool = Tool {
    name: "task_distribute",
    title: "Run a graph of tasks",
    description: "Accepts tasks with dependencies and runs them in parallel, in pooled sessions made on demand or in the \
        sessions named, at most maxConcurrent (default 10) at once. Answers at once with runId and every task: follow \
        them with task_status {runId, wait}. A cycle, an unknown dependency or an id in use refuses the whole call. \
        Each task runs in a clean shell of its own. dryRun only shows the order. type agent gives payload.prompt to an agent's command line.",
    effect: Effect::Runs,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Outcome>,
    run: |call, arguments| Box::pin(async move { distribute(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    #[schemars(length(min = 1), extend("x-items" = limits::TASKS))]
    tasks: Vec<Spec>,
    /// What starts first, and where; dependencies and priorities hold under each
    #[serde(default)]
    #[schemars(with = "String", extend("enum" = ["dependency", "priority", "round-robin", "load-balanced", "capability", "affinity", "resource-aware"]))]
    strategy: Strategy,
    #[schemars(range(min = 1, max = 1_000))]
    max_concurrent: Option<u32>,
    #[serde(default)]
    #[schemars(with = "String", extend("enum" = ["skip-dependents", "cancel-all", "continue"]))]
    on_failure: OnFailure,
    /// Only these, by id or name
    #[serde(default)]
    #[schemars(extend("x-items" = limits::SESSIONS))]
    sessions: Vec<String>,
    #[serde(default)]
    dry_run: bool,
    /// Tasks that ran when the server died may run again
    #[serde(default)]
    resumable: bool,
    /// Nothing starts above these
    resources: Option<Resources>,
}

/// What holds a run back.
#[expect(clippy::struct_field_names, reason = "they are the names on the wire")]
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Resources {
    /// Percent
    #[schemars(range(min = 0, max = 100))]
    max_cpu: Option<f64>,
    /// Percent
    #[schemars(range(min = 0, max = 100))]
    max_memory: Option<f64>,
    #[schemars(range(min = 1, max = 1_000))]
    max_sessions: Option<u32>,
}

/// A run, or with dryRun its order.
#[derive(Debug, Serialize, JsonSchema)]
struct Outcome {
    #[serde(flatten)]
    run: Option<Distribution>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<Order>,
}

/// How a graph would be worked off.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Order {
    /// Ids; those of a wave wait only for earlier ones.
    waves: Vec<Vec<String>>,
    critical_path: Vec<String>,
    /// Where earlier runs tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    estimated_ms: Option<u64>,
    /// Ids that did not fit.
    #[serde(skip_serializing_if = "is_default")]
    omitted_tasks: usize,
}

fn request(arguments: Arguments, agent: &str, unique: Uuid) -> Result<(NewRun, bool)> {
    // Task ids must differ from those of other runs that are at work.
    let unique = &unique.simple().to_string()[..6];
    let tasks = arguments.tasks.into_iter().enumerate();
    let tasks = tasks.map(|(index, spec)| spec.task(index, unique, agent)).collect::<Result<_>>()?;
    let resources = arguments.resources.map_or_else(RunResources::default, |given| RunResources {
        max_cpu: given.max_cpu,
        max_memory: given.max_memory,
        max_sessions: given.max_sessions,
    });
    let new = NewRun {
        tasks,
        strategy: arguments.strategy,
        max_concurrent: arguments.max_concurrent,
        on_failure: arguments.on_failure,
        sessions: arguments.sessions,
        resumable: arguments.resumable,
        resources,
    };
    Ok((new, arguments.dry_run))
}

async fn distribute(call: &Call, arguments: Arguments) -> Result<Answer> {
    let (new, dry_run) = request(arguments, &call.defaults.agent_command, Uuid::new_v4())?;
    if dry_run {
        return planned(call, &call.orchestrator.plan(new).await?);
    }
    accepted(call, &call.orchestrator.distribute(new).await?)
}

/// The answer about a run that is only planned.
fn planned(call: &Call, plan: &Plan) -> Result<Answer> {
    let total: usize = plan.waves.iter().map(Vec::len).sum();
    let mut room = call.room();
    loop {
        // The path is the shorter, and the one that says more.
        let path = fitting(&plan.critical_path, room.tokens / 3);
        let mut left = room.tokens.saturating_sub(room.tokens / 3);
        let mut waves: Vec<Vec<String>> = Vec::new();
        for wave in &plan.waves {
            let fits = fitting(wave, left);
            left = left.saturating_sub(wave[..fits].iter().map(crate::mcp::answer::json_tokens).sum());
            if fits > 0 {
                waves.push(wave[..fits].to_vec());
            }
            if fits < wave.len() {
                break;
            }
        }
        let shown: usize = waves.iter().map(Vec::len).sum();
        let order = Order {
            waves,
            critical_path: plan.critical_path[..path].to_vec(),
            estimated_ms: plan.estimated_ms,
            omitted_tasks: total - shown,
        };
        let answer = Answer::new(order.text(total), &Outcome { run: None, order: Some(order) })?;
        if room.holds(&answer) {
            return Ok(answer);
        }
    }
}

impl Order {
    fn text(&self, total: usize) -> String {
        let mut text = format!("{total} tasks would run; nothing was started");
        if let Some(ms) = self.estimated_ms {
            let _ = write!(text, "; about {}", spoken(ms));
        }
        for (number, wave) in (1..).zip(&self.waves) {
            let _ = write!(text, "\nwave {number}: {}", wave.join(", "));
        }
        let _ = write!(text, "\ncritical path: {}", self.critical_path.join(" → "));
        if self.omitted_tasks > 0 {
            let _ = write!(text, "\n({} tasks of the waves left out)", self.omitted_tasks);
        }
        text
    }
}
