//! `circuit_status`: what is not tried again for now.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Circuit, STATES};
use crate::error::Result;
use crate::mcp::answer::{Answer, fitting, is_default};
use crate::mcp::arguments::typed;
use crate::mcp::call::Call;
use crate::mcp::schema;
use crate::mcp::tool::{Effect, Tool};

pub(crate) const TOOL: Tool = Tool {
    name: "circuit_status",
    title: "Show circuit breakers",
    description: "Shows whether automatic recoveries and retries of a command line (key; agent:PROGRAM for agents) are \
        let through. open: not before opensUntil. Without key: all that failed of late.",
    effect: Effect::Reads,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<View>,
    run: |call, arguments| Box::pin(async move { status(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    #[schemars(extend("x-bytes" = crate::limits::COMMAND_BYTES))]
    key: Option<String>,
}

/// One circuit flat, or several in a list.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct View {
    #[serde(skip_serializing_if = "is_default")]
    key: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(extend("enum" = STATES))]
    state: Option<&'static str>,
    /// In a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    failures: Option<u32>,
    #[serde(skip_serializing_if = "is_default")]
    opens_until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    circuits: Option<Vec<Circuit>>,
    /// Circuits that did not fit.
    #[serde(skip_serializing_if = "is_default")]
    omitted: usize,
}

async fn status(call: &Call, arguments: Arguments) -> Result<Answer> {
    let is_one = arguments.key.is_some();
    let circuits = call.orchestrator.circuits(arguments.key).await?;
    let mut circuits: Vec<Circuit> = circuits.into_iter().map(Circuit::of).collect();
    if is_one && let Some(circuit) = circuits.pop() {
        let text = circuit.sentence();
        let view = View {
            key: Some(circuit.key),
            state: Some(circuit.state),
            failures: Some(circuit.failures),
            opens_until: circuit.opens_until,
            ..View::default()
        };
        return Answer::new(text, &view);
    }
    let mut room = call.room();
    loop {
        let fits = fitting(&circuits, room.tokens / 2);
        let omitted = circuits.len() - fits;
        let mut lines: Vec<String> = circuits[..fits].iter().map(Circuit::sentence).collect();
        if circuits.is_empty() {
            lines.push("every circuit is closed, and nothing failed of late".to_owned());
        }
        if omitted > 0 {
            lines.push(format!("({omitted} left out)"));
        }
        circuits.truncate(fits);
        let view = View { circuits: Some(std::mem::take(&mut circuits)), omitted, ..View::default() };
        let answer = Answer::new(lines.join("\n"), &view)?;
        if room.holds(&answer) {
            return Ok(answer);
        }
        circuits = view.circuits.unwrap_or_default();
    }
}
