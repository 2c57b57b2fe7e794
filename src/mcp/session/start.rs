//! `session_start`: the second half of a session that was created without being started.

use schemars::JsonSchema;
use serde::Deserialize;

use super::SessionView;
use crate::engine::request::Resources;
use crate::error::Result;
use crate::mcp::answer::Answer;
use crate::mcp::arguments::{refusal, shortened, typed};
use crate::mcp::call::{Call, Watched};
use crate::mcp::schema::{self, Bytes, Variable};
use crate::mcp::tools::{Effect, Tool};
use crate::model::Needs;

pub(crate) const TOOL: Tool = Tool {
    name: "session_start",
    title: "Start a session",
    description: "Starts a session made by session_create {autoStart: false}, and returns when it is at its prompt. Of \
        resources memory is a limit; cpu (processors) and disk are noted for whoever plans with them.",
    effect: Effect::Adds,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<SessionView>,
    later: &[],
    run: |call, arguments| Box::pin(async move { start(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    session_id: String,
    #[serde(default)]
    resources: Wanted,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wanted {
    /// e.g. 512m
    memory: Option<Bytes>,
    /// e.g. 2 or 0.5
    cpu: Option<Variable>,
    /// e.g. 10g
    disk: Option<Bytes>,
}

impl Wanted {
    fn resources(self) -> Result<Resources> {
        let needs = Needs {
            cpu_percent: self.cpu.map(|Variable(text)| cpu_percent(&text)).transpose()?,
            disk_bytes: self.disk.map(|Bytes(bytes)| bytes),
        };
        Ok(Resources { memory_bytes: self.memory.map(|Bytes(bytes)| bytes), needs })
    }
}

/// A number of processors, as containers have it: "2", "0.5" or "500m".
fn cpu_percent(text: &str) -> Result<u32> {
    const MOST: f64 = 10_000.0;
    let text = text.trim();
    let number = match text.strip_suffix('m') {
        Some(thousandths) => thousandths.parse::<f64>().map(|number| number / 1_000.0),
        None => text.parse::<f64>(),
    };
    let fits = number.ok().filter(|number| (0.01..=MOST).contains(number));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and a million")]
    fits.map(|number| (number * 100.0).round() as u32).ok_or_else(|| {
        refusal(
            "resources.cpu",
            format!(
                "'resources.cpu' is a number of processors like \"2\" or \"0.5\", not {:?}",
                shortened(text)
            ),
        )
    })
}

async fn start(call: &Call, arguments: Arguments) -> Result<Answer> {
    let resources = arguments.resources.resources()?;
    let started = call.orchestrator.start_session(&arguments.session_id, resources);
    let session = call.wait(started, Watched::Nothing).await?;
    let view = SessionView::of(&session);
    Answer::new(view.sentence(), &view)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_counted_as_containers_do() {
        for (text, percent) in [("2", 200), ("0.5", 50), ("500m", 50), (" 1.25 ", 125)] {
            assert_eq!(cpu_percent(text).unwrap(), percent, "{text}");
        }
        for wrong in ["", "two", "-1", "0", "NaN", "inf", "1e9", "m"] {
            assert!(cpu_percent(wrong).is_err(), "{wrong}");
        }
    }
}
