//! `multi-agent-review`: several agents read the same work, each with one question.

use serde_json::{Map, Value, json};

use super::{Argument, Given, Names, Prompt, Step, items};
use crate::error::Result;
use crate::limits;
use crate::mcp::arguments::refusal;

/// What is asked where the caller names no aspects.
const ASPECTS: [&str; 3] = ["correctness", "security", "tests that are missing or prove nothing"];

pub(super) const PROMPT: Prompt = Prompt {
    name: "multi-agent-review",
    title: "Review with several agents",
    description: "Lets several agents review the same work at once, each under one aspect, and brings what they \
        found together.",
    arguments: &[
        Argument {
            name: "target",
            description: "what to review: files, a directory, a diff such as HEAD~1",
            required: true,
            names: Names::Nothing,
        },
        Argument {
            name: "aspects",
            description: "what to look at, one a line, or separated by ;; (default: correctness, security, tests)",
            required: false,
            names: Names::Nothing,
        },
        Argument {
            name: "workingDirectory",
            description: "where the work is",
            required: false,
            names: Names::Directory,
        },
    ],
    tools: &["task_distribute", "task_status"],
    write,
};

fn write(given: &Given) -> Result<Vec<Step>> {
    let target = given.required("target");
    let aspects = given.text("aspects").map_or_else(|| ASPECTS.to_vec(), items);
    if aspects.is_empty() || aspects.len() > limits::BATCH {
        let message =
            format!("'aspects' must hold from 1 to {} aspects, not {}", limits::BATCH, aspects.len());
        return Err(refusal("aspects", message));
    }
    let ids: Vec<String> = (1..=aspects.len()).map(|number| format!("review-{number}")).collect();
    let task = |(id, aspect): (&String, &&str)| {
        let mut payload: Map<String, Value> = given.members(&[("workingDirectory", "workingDirectory")]);
        let prompt = format!(
            "Review {target} for one thing only: {aspect}. Change nothing. Give each finding with file, line, what is \
             wrong, how to show it, and how sure you are. Say so if there is none."
        );
        payload.insert("prompt".to_owned(), prompt.into());
        json!({"id": id, "type": "agent", "payload": payload})
    };
    let tasks: Vec<Value> = ids.iter().zip(&aspects).map(task).collect();
    Ok(vec![
        Step::text("Let agents review at the same time, each under one aspect:"),
        Step::Call("task_distribute", json!({"tasks": tasks})),
        Step::text(
            "Wait for all of them. If the answer comes before they are over, make the same call again.",
        ),
        Step::Call("task_status", json!({"taskIds": ids, "wait": "45s"})),
        Step::text(
            "A report that is cut can be read in full with session_output, by the sessionId and commandId of its task. \
             Then check each finding yourself, drop what does not hold, put together what several agents found, and \
             report the rest, the worst first.",
        ),
    ])
}
