//! `parallel-build`: several commands side by side, and what failed of them.

use serde_json::{Map, Value, json};

use super::{Argument, Given, Names, Prompt, Step, items};
use crate::error::Result;
use crate::limits;
use crate::mcp::arguments::refusal;

pub(super) const PROMPT: Prompt = Prompt {
    name: "parallel-build",
    title: "Build in parallel",
    description: "Runs several commands side by side, waits for all of them, and repairs what failed.",
    arguments: &[
        Argument {
            name: "commands",
            description: "the commands, one a line, or separated by ;;",
            required: true,
            names: Names::Nothing,
        },
        Argument {
            name: "workingDirectory",
            description: "where they run",
            required: false,
            names: Names::Directory,
        },
        Argument {
            name: "maxConcurrent",
            description: "how many run at once",
            required: false,
            names: Names::Nothing,
        },
    ],
    tools: &["task_distribute", "task_status", "task_retry"],
    write,
};

fn write(given: &Given) -> Result<Vec<Step>> {
    let commands = items(given.required("commands"));
    if commands.is_empty() || commands.len() > limits::BATCH {
        let message =
            format!("'commands' must hold from 1 to {} commands, not {}", limits::BATCH, commands.len());
        return Err(refusal("commands", message));
    }
    let ids: Vec<String> = (1..=commands.len()).map(|number| format!("build-{number}")).collect();
    let tasks: Vec<Value> = ids
        .iter()
        .zip(&commands)
        .map(|(id, command)| {
            let mut payload = given.members(&[("workingDirectory", "workingDirectory")]);
            payload.insert("command".to_owned(), (*command).into());
            json!({"id": id, "payload": payload})
        })
        .collect();
    let mut distribute: Map<String, Value> = given.members(&[("maxConcurrent", "maxConcurrent")]);
    distribute.insert("tasks".to_owned(), tasks.into());
    Ok(vec![
        Step::text(
            "Run these commands side by side. Where one needs another to be done first, add \"dependencies\": \
             [{\"id\": \"build-1\"}] to its task.",
        ),
        Step::Call("task_distribute", distribute.into()),
        Step::text(
            "Wait for all of them. If the answer comes before they are over, make the same call again.",
        ),
        Step::Call("task_status", json!({"taskIds": ids, "wait": "45s"})),
        Step::text(
            "Each failed task shows why: its reason, its error, the end of its output. Repair the cause, then run \
             what failed once more, and wait again:",
        ),
        Step::Call("task_retry", json!({"taskIds": ids})),
        Step::text("At the end say which commands succeeded, and of each that did not, the first error."),
    ])
}
