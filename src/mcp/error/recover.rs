//! `error_recover`: puts a session back in order.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::report::RecoveryReport;
use crate::engine::request::{Evidence, RecoveryRequest};
use crate::error::Result;
use crate::limits;
use crate::mcp::answer::{Answer, fitting, is_default};
use crate::mcp::arguments::typed;
use crate::mcp::call::{Call, Watched};
use crate::mcp::schema::{self, Milliseconds};
use crate::mcp::tool::{Effect, Tool};
use crate::model::RecoveryStrategy;

pub(crate) const TOOL: Tool = Tool {
    name: "error_recover",
    title: "Recover a session",
    description: "Puts a session that hangs, or whose shell died, back in order. auto picks the mildest that can help; \
        interrupt ends the foreground job; graceful asks it to end, then restarts; restart: fresh shell, same \
        directory, exported environment and size; reset: as created; failover: an idle session with the same \
        capabilities takes over (newSessionId). recovered false is a normal result: actions say why.",
    effect: Effect::Destroys,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Outcome>,
    run: |call, arguments| Box::pin(async move { recover(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    session_id: String,
    #[serde(default)]
    #[schemars(with = "String", extend("enum" = strategies()))]
    strategy: RecoveryStrategy,
    /// Attempts (default 3)
    #[schemars(range(min = 1, max = limits::MOST_RECOVERY_RETRIES))]
    max_retries: Option<u32>,
    /// ms before the second attempt; doubles (default 2000)
    retry_delay: Option<Milliseconds>,
    /// Also run again what was running, and what was lost behind it
    #[serde(default)]
    requeue_tasks: bool,
}

/// The strategies' words.
pub(in crate::mcp) fn strategies() -> [&'static str; 6] {
    RecoveryStrategy::ALL.map(RecoveryStrategy::as_str)
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    recovered: bool,
    session_id: String,
    /// The session that took over.
    #[serde(skip_serializing_if = "Option::is_none")]
    new_session_id: Option<String>,
    /// What was done in the end.
    #[schemars(extend("enum" = strategies()))]
    strategy: &'static str,
    attempts: u32,
    /// What was wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<&'static str>,
    /// What was done, in order.
    actions: Vec<String>,
    /// It goes on: call again to wait for it.
    #[serde(skip_serializing_if = "is_default")]
    pending: bool,
}

async fn recover(call: &Call, arguments: Arguments) -> Result<Answer> {
    let id = call.orchestrator.session(&arguments.session_id).await?.id;
    let request = RecoveryRequest {
        selector: id.to_string(),
        strategy: arguments.strategy,
        max_retries: arguments.max_retries,
        retry_delay: arguments.retry_delay.map(Into::into),
        requeue: arguments.requeue_tasks,
        evidence: Evidence::default(),
    };
    let longest = call.longest_wait(None);
    let recovered = call.orchestrator.recover(request, longest);
    answer(call, &call.wait(recovered, Watched::Output(&id, None)).await?)
}

fn answer(call: &Call, report: &RecoveryReport) -> Result<Answer> {
    let mut room = call.room();
    loop {
        let fits = fitting(&report.actions, room.tokens / 2);
        let outcome = Outcome {
            recovered: report.recovered == Some(true),
            session_id: report.session.to_string(),
            new_session_id: report.new_session.as_ref().map(ToString::to_string),
            strategy: report.strategy.as_str(),
            attempts: report.attempts,
            category: report.category.map(crate::model::FailureCategory::as_str),
            actions: report.actions[..fits].to_vec(),
            pending: report.recovered.is_none(),
        };
        let answer = Answer::new(sentence(&outcome), &outcome)?;
        if room.holds(&answer) {
            return Ok(answer);
        }
    }
}

fn sentence(outcome: &Outcome) -> String {
    let how = match (outcome.pending, outcome.recovered) {
        (true, _) => "is still being recovered: call error_recover again to wait for it",
        (false, true) => "is recovered",
        (false, false) => "is not recovered",
    };
    let new = outcome.new_session_id.as_ref().map_or_else(String::new, |id| format!(", new session {id}"));
    let category = outcome.category.map_or_else(String::new, |category| format!(", category {category}"));
    format!(
        "session {} {how} (strategy {}, attempts {}{category}{new})\n{}",
        outcome.session_id,
        outcome.strategy,
        outcome.attempts,
        outcome.actions.join("\n")
    )
}
