//! `command_signal`: stops or pokes what runs in a session.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::mcp::answer::Answer;
use crate::mcp::arguments::{refusal, shortened, typed};
use crate::mcp::call::Call;
use crate::mcp::schema;
use crate::mcp::tool::{Effect, Tool};
use crate::pty::Signal;

pub(crate) const TOOL: Tool = Tool {
    name: "command_signal",
    title: "Signal a command",
    description: "Sends a signal to what runs in the foreground of a session, never to its shell. SIGINT interrupts as \
        Ctrl-C does; SIGKILL when nothing else helps. Returns what it went to.",
    effect: Effect::Destroys,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Delivery>,
    run: |call, arguments| Box::pin(async move { signal(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    session_id: String,
    /// SIGINT, TERM, ctrl-c, 9…
    #[schemars(extend("x-kind" = "signal"))]
    signal: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Delivery {
    delivered: bool,
    signal: String,
    target: String,
}

async fn signal(call: &Call, arguments: Arguments) -> Result<Answer> {
    let signal = Signal::parse(&arguments.signal).ok_or_else(|| {
        let given = shortened(&arguments.signal);
        refusal("signal", format!("'signal' must be a signal's name or number, like \"SIGINT\", \"TERM\", \"ctrl-c\" or 2, not {given:?}"))
    })?;
    let target = call.orchestrator.signal(&arguments.session_id, signal).await?;
    let delivery = Delivery { delivered: true, signal: signal.name(), target };
    Answer::new(format!("{} sent to {}", delivery.signal, delivery.target), &delivery)
}
