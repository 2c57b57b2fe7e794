//! `long-running-service`: something that is started, watched, and stopped in the end.

use serde_json::json;

use super::{Argument, Given, Names, Prompt, Step};
use crate::error::Result;
use crate::mcp::check;

pub(super) const PROMPT: Prompt = Prompt {
    name: "long-running-service",
    title: "Run a service",
    description: "Starts a service in a session of its own, waits until it is ready, keeps an eye on it, and stops \
        it.",
    arguments: &[
        Argument {
            name: "command",
            description: "what starts the service",
            required: true,
            names: Names::Nothing,
        },
        Argument {
            name: "name",
            description: "a name for its session that no live one has (default: service)",
            required: false,
            names: Names::Nothing,
        },
        Argument {
            name: "workingDirectory",
            description: "where it runs",
            required: false,
            names: Names::Directory,
        },
        Argument {
            name: "template",
            description: "the template of its session",
            required: false,
            names: Names::Template,
        },
        Argument {
            name: "ready",
            description: "a regular expression that fits what it prints when it is ready (default: listening, ready, started, an address)",
            required: false,
            names: Names::Nothing,
        },
    ],
    tools: &[
        "session_create",
        "command_execute",
        "session_output",
        "session_status",
        "command_signal",
        "session_close",
    ],
    write,
};

/// What services of many kinds print when they are ready.
const READY: &str = "(?i)listening|ready|started|running (on|at)|https?://";

fn write(given: &Given) -> Result<Vec<Step>> {
    let name = given.text("name").unwrap_or("service");
    let mut create = given.members(&[("workingDirectory", "workingDirectory"), ("template", "template")]);
    create.insert("name".to_owned(), name.into());
    let pattern = given.text("ready").unwrap_or(READY);
    check::pattern("ready", pattern)?;
    let wait = json!({"until": "match", "pattern": pattern, "timeout": "30s"});
    Ok(vec![
        Step::text("Start the service in a session of its own:"),
        Step::Call("session_create", create.into()),
        Step::Call(
            "command_execute",
            json!({"sessionId": name, "command": given.required("command"), "background": true, "timeout": 604_800_000}),
        ),
        Step::text(
            "Wait until it is ready. timedOut in the answer means that it is not; then read what it printed.",
        ),
        Step::Call("session_output", json!({"sessionId": name, "wait": wait})),
        Step::text("Do other work in other sessions. Look after the service now and then:"),
        Step::Call("session_status", json!({"sessionId": name})),
        Step::Call("session_output", json!({"sessionId": name, "errorsOnly": true, "lines": 50})),
        Step::text("When it is not needed any more, stop it, and close its session:"),
        Step::Call("command_signal", json!({"sessionId": name, "signal": "SIGINT"})),
        Step::Call("session_close", json!({"sessionId": name})),
    ])
}
