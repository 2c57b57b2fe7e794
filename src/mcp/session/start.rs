//! `session_start`: the second half of a session that was created without being started.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SessionView;
use crate::engine::request::Resources;
use crate::error::Result;
use crate::limits;
use crate::mcp::answer::{Answer, is_default};
use crate::mcp::arguments::{refusal, shortened, typed};
use crate::mcp::call::{Call, Watched};
use crate::mcp::schema::{self, Bytes, Variable};
use crate::mcp::tool::{Effect, Tool};
use crate::model::Needs;
use crate::orchestrator::Held;

pub(crate) const TOOL: Tool = Tool {
    name: "session_start",
    title: "Start a session",
    description: "Starts a session made by session_create {autoStart: false}, and returns when it is at its prompt. \
        resources bound what runs in it: memory in all, cpu to whole processors, disk the size of each file; the \
        answer says what holds.",
    effect: Effect::Adds,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Started>,
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
pub(super) struct Wanted {
    /// e.g. 512m
    memory: Option<Bytes>,
    /// e.g. 2 or 0.5
    cpu: Option<Variable>,
    /// e.g. 10g
    disk: Option<Bytes>,
}

impl Wanted {
    pub(super) fn resources(self) -> Result<Resources> {
        for (name, given, least, why) in [
            ("memory", &self.memory, limits::LEAST_MEMORY, "a shell with a program in it needs"),
            ("disk", &self.disk, limits::KEPT_ENVIRONMENT, "a shell itself writes"),
        ] {
            if let Some(Bytes(bytes)) = given.as_ref().filter(|Bytes(bytes)| *bytes < least) {
                let field = format!("resources.{name}");
                let message = format!("'{field}' is at least {least} bytes, which {why}, not {bytes}");
                return Err(refusal(&field, message));
            }
        }
        let needs = Needs {
            cpu_percent: self.cpu.map(|Variable(text)| cpu_percent(&text)).transpose()?,
            disk_bytes: self.disk.map(|Bytes(bytes)| bytes),
        };
        Ok(Resources { memory_bytes: self.memory.map(|Bytes(bytes)| bytes), needs })
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Started {
    #[serde(flatten)]
    session: SessionView,
    /// What holds of the resources, each in words.
    #[serde(skip_serializing_if = "is_default")]
    resources: BTreeMap<&'static str, String>,
}

/// What became of what was asked for: what the kernel says, not what was told to it.
fn holds(asked: &Resources, held: Held) -> BTreeMap<&'static str, String> {
    let mut holds = BTreeMap::new();
    if let Some(bytes) = asked.memory_bytes {
        holds.insert("memory", format!("what takes more than {bytes} bytes in all is ended"));
    }
    if let Some(percent) = asked.needs.cpu_percent {
        let whole = usize::try_from(percent.div_ceil(100)).unwrap_or(usize::MAX);
        holds.insert("cpu", match held.processors {
            Some(processors) if processors <= whole => {
                format!("runs on {processors} of the machine's processors, unless it chooses others for itself")
            }
            Some(_) | None => "not held: the kernel does not say that it runs on fewer processors".to_owned(),
        });
    }
    if let Some(bytes) = asked.needs.disk_bytes {
        holds.insert(
            "disk",
            match held.file_bytes {
                Some(most) if most <= bytes => {
                    format!("no file grows beyond {most} bytes; all its files together have no bound")
                }
                Some(_) | None => {
                    "not held: the kernel does not say that the size of files is bounded".to_owned()
                }
            },
        );
    }
    holds
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
    let resources = holds(&resources, call.orchestrator.held(&session));
    let words = resources.iter().map(|(name, holds)| format!("\n{name}: {holds}"));
    let text = view.sentence() + &words.collect::<String>();
    Answer::new(text, &Started { session: view, resources })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_kernel_confirms_is_said_to_hold() {
        let needs = Needs { cpu_percent: Some(150), disk_bytes: Some(5 << 20) };
        let asked = Resources { memory_bytes: None, needs };
        let said = |processors, file_bytes| {
            let holds = holds(&asked, Held { processors: Some(processors), file_bytes });
            assert_eq!(holds.keys().copied().collect::<Vec<_>>(), ["cpu", "disk"]);
            (!holds["cpu"].starts_with("not held"), !holds["disk"].starts_with("not held"))
        };
        assert_eq!(said(2, Some(5 << 20)), (true, true));
        assert_eq!(said(1, Some(1 << 20)), (true, true));
        assert_eq!(said(3, Some(6 << 20)), (false, false));
        assert_eq!(said(4, None), (false, false));
    }

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
