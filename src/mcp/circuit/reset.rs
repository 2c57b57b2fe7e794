//! `circuit_reset`: lets what was left alone be tried again.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Circuit;
use crate::error::{Error, ErrorCode, Result};
use crate::mcp::answer::Answer;
use crate::mcp::arguments::typed;
use crate::mcp::call::Call;
use crate::mcp::check;
use crate::mcp::schema;
use crate::mcp::tool::{Effect, Tool};

pub(crate) const TOOL: Tool = Tool {
    name: "circuit_reset",
    title: "Reset a circuit breaker",
    description: "Closes the circuit of a command line (key as circuit_status shows it): recoveries and retries are let \
        through again.",
    effect: Effect::Sets,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Circuit>,
    run: |call, arguments| Box::pin(async move { reset(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    #[schemars(extend("x-bytes" = crate::limits::COMMAND_BYTES))]
    key: String,
}

async fn reset(call: &Call, arguments: Arguments) -> Result<Answer> {
    let key = check::filled("key", arguments.key)?;
    call.orchestrator.reset_circuit(key.clone()).await?;
    let circuit = call.orchestrator.circuits(Some(key)).await?.pop().map(Circuit::of);
    let circuit = circuit.ok_or_else(|| Error::new(ErrorCode::Internal, "a circuit has no state"))?;
    Answer::new(circuit.sentence(), &circuit)
}
