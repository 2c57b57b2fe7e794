//! `session_affinity`: who runs the tasks that name a session.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::request::NewAffinity;
use crate::error::Result;
use crate::limits;
use crate::mcp::answer::{Answer, is_default};
use crate::mcp::arguments::{refusal, typed};
use crate::mcp::call::Call;
use crate::mcp::check;
use crate::mcp::schema::{self, Milliseconds};
use crate::mcp::tool::{Effect, Tool};
use crate::model::AffinityStrategy;

pub(crate) const TOOL: Tool = Tool {
    name: "session_affinity",
    title: "Share a session's tasks out",
    description: "Tasks that name the session (sessionId in task_distribute) go to the targets: ids, or globs over names \
        and ids. Targets that are not well are passed over, and dropped at the next check; with none left the session \
        runs its tasks itself. targets [] ends it.",
    effect: Effect::Sets,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Set>,
    run: |call, arguments| Box::pin(async move { set(call, typed(arguments)?).await }),
};

/// How a target is chosen.
pub(super) const STRATEGIES: [&str; 3] = ["round-robin", "load-balanced", "first"];

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    session_id: String,
    targets: Vec<String>,
    #[serde(default)]
    #[schemars(with = "String", extend("enum" = STRATEGIES))]
    strategy: AffinityStrategy,
    /// ms (default 30000)
    health_check_interval: Option<Milliseconds>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Set {
    session_id: String,
    #[serde(skip_serializing_if = "is_default")]
    targets: Vec<String>,
}

async fn set(call: &Call, arguments: Arguments) -> Result<Answer> {
    let check_every = arguments.health_check_interval.map_or(limits::HEALTH_EVERY, Duration::from);
    if check_every < limits::HEALTH_LEAST {
        let least = limits::HEALTH_LEAST.as_millis();
        return Err(refusal("healthCheckInterval", format!("'healthCheckInterval' is at least {least}")));
    }
    let targets = arguments.targets.into_iter().map(|target| check::filled("targets", target));
    let new = NewAffinity {
        selector: arguments.session_id,
        targets: targets.collect::<Result<_>>()?,
        strategy: arguments.strategy,
        check_every,
    };
    let session = call.orchestrator.set_affinity(new).await?;
    let targets = session.affinity.map(|affinity| affinity.targets).unwrap_or_default();
    let text = if targets.is_empty() {
        format!("session {} runs its tasks itself", session.id)
    } else {
        format!("tasks of session {} go to {}", session.id, targets.join(", "))
    };
    Answer::new(text, &Set { session_id: session.id.to_string(), targets })
}
