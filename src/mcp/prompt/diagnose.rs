//! `diagnose`: what went wrong, and what to do about it.

use serde_json::{Value, json};

use super::{Argument, Given, Names, Prompt, Step};

const fn argument(name: &'static str, description: &'static str, names: Names) -> Argument {
    Argument { name, description, required: false, names }
}

pub(super) const PROMPT: Prompt = Prompt {
    name: "diagnose",
    title: "Find out what is wrong",
    description: "Looks for what went wrong in a session, a command, a task, a run, or anywhere, and repairs it.",
    arguments: &[
        argument("session", "the session's id or name", Names::Session),
        argument("command", "the command's id", Names::Command),
        argument("task", "the task's id", Names::Task),
        argument("run", "the run's id", Names::Run),
        argument("problem", "an error message, or what seems to be wrong", Names::Nothing),
    ],
    tools: &["diagnose", "session_logs", "command_status", "task_status", "events_poll"],
    write: |given| Ok(write(given)),
};

fn write(given: &Given) -> Vec<Step> {
    let mut steps = vec![Step::text("Find out what is wrong, worst first:")];
    let of_session: Value = given.members(&[("session", "sessionId"), ("problem", "problem")]).into();
    steps.push(Step::Call("diagnose", of_session));
    if let Some(session) = given.text("session") {
        steps.push(Step::text("What led to it:"));
        steps.push(Step::Call("session_logs", json!({"sessionId": session, "lines": 100})));
    }
    if let Some(command) = given.text("command") {
        steps.push(Step::text("The command and its output:"));
        steps.push(Step::Call("command_status", json!({"commandId": command})));
    }
    if let Some(task) = given.text("task") {
        steps.push(Step::text("The task, why it failed, and what it printed last:"));
        steps.push(Step::Call("task_status", json!({"taskIds": [task]})));
    }
    if let Some(run) = given.text("run") {
        steps.push(Step::text("What failed of the run:"));
        steps.push(Step::Call("task_status", json!({"runId": run, "status": ["failed"]})));
    }
    if steps.len() == 2 {
        steps.push(Step::text("What went wrong of late:"));
        steps.push(Step::Call("events_poll", json!({"types": ["error", "timeout", "limit", "termination"]})));
    }
    steps.push(Step::text(
        "Say what the cause is and what shows it. Each recommendation is a call that can be made as it stands: make \
         the first one that fits, then look again. Ask before anything that kills or resets what still runs.",
    ));
    steps
}
