//! What a server offers: which tools, how large, and what it says of each.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Client, Scratch, server};

/// A client of a server with these flags.
fn client(flags: &[&str]) -> Client {
    let state = Scratch::new("offer");
    let mut command = server(state.path());
    command.args(flags);
    Client::connect(command, Some(state))
}

fn listed(client: &mut Client) -> Vec<Value> {
    let answer = client.request("tools/list", json!({}));
    answer["result"]["tools"].as_array().unwrap_or_else(|| panic!("no tools: {answer}")).clone()
}

fn name(tool: &Value) -> &str {
    tool["name"].as_str().expect("a tool has a name")
}

/// Bytes of a tool that clients show to a model.
fn seen(tool: &Value) -> usize {
    let description = tool["description"].as_str().expect("a tool has a description");
    name(tool).len() + description.len() + tool["inputSchema"].to_string().len()
}

#[test]
fn what_a_model_sees_is_bounded() {
    let mut client_of_all = client(&[]);
    let all = listed(&mut client_of_all);
    let whole = Value::Array(all.clone()).to_string().len();
    let sum: usize = all.iter().map(seen).sum();
    println!("{} tools: a model sees {sum} bytes; tools/list has {whole}", all.len());
    assert!(sum <= 45_000 && whole <= 120_000, "{sum} {whole}");
    let mut found = 0;
    for set in ["core", "commands", "tasks", "monitor", "agents", "ops"] {
        let tools = listed(&mut client(&["--toolsets", set]));
        let bytes: usize = tools.iter().map(seen).sum();
        println!("  {set}: {} tools, {bytes} bytes", tools.len());
        assert!(set != "core" || bytes <= 15_000, "core: {bytes}");
        found += tools.len();
    }
    assert_eq!(found, all.len(), "each tool is in one set");
}

#[test]
fn a_tool_that_is_not_offered_is_neither_listed_nor_served() {
    let mut client = client(&["--toolsets", "core,monitor", "--read-only"]);
    let tools = listed(&mut client);
    let names: Vec<&str> = tools.iter().map(name).collect();
    assert!(names.contains(&"session_output") && names.contains(&"events_poll"), "{names:?}");
    assert!(tools.iter().all(|tool| tool["annotations"]["readOnlyHint"] == true), "{tools:?}");
    for tool in ["session_create", "task_status"] {
        assert!(!names.contains(&tool), "{names:?}");
        let answer = client.request("tools/call", json!({"name": tool, "arguments": {}}));
        assert_eq!(answer["error"]["code"], -32_602, "{answer}");
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains("is not offered") && message.contains("(toolset "), "{answer}");
        // The other way in, for arguments that are no object.
        let answer = client.request("tools/call", json!({"name": tool, "arguments": "{}"}));
        assert_eq!(answer["error"]["code"], -32_602, "{answer}");
    }
    client.ok("session_list", json!({}));
}

/// Advice that needs a tool which is left out says which set has it.
#[test]
fn advice_says_what_it_needs() {
    let mut few = client(&["--toolsets", "core,monitor"]);
    let session = few.clean("bash");
    few.call("command_execute", json!({"sessionId": session, "command": "exit 3", "okExitCodes": "any"}));
    few.until_status(&session, "error");
    let refused = few.run(&session, "true").error();
    let hint = refused["hint"].as_str().expect("a hint");
    assert!(hint.ends_with("; not offered by this server: error_recover (toolset ops)"), "{hint}");
    let diagnosed = few.ok("diagnose", json!({"sessionId": session}));
    for recommendation in diagnosed["recommendations"].as_array().expect("recommendations") {
        let absent = recommendation["tool"] == "error_recover";
        let action = recommendation["action"].as_str().expect("an action");
        assert_eq!(action.contains("(toolset ops)"), absent, "{recommendation}");
    }
    let mut all = client(&[]);
    let session = all.clean("bash");
    all.call("command_execute", json!({"sessionId": session, "command": "exit 3", "okExitCodes": "any"}));
    all.until_status(&session, "error");
    let refused = all.run(&session, "true").error();
    assert!(!refused["hint"].as_str().expect("a hint").contains("not offered"), "{refused}");
}

#[test]
fn the_environment_and_the_file_choose_too() {
    let state = Scratch::new("offer");
    let file = state.path().join("offer.toml");
    std::fs::write(&file, "toolsets = [\"tasks\"]\nread-only = true\n").expect("a file can be written");
    let mut command = server(state.path());
    command.arg("--config").arg(&file).env("SHELLHERD_READ_ONLY", "false");
    let mut client = Client::connect(command, Some(state));
    let tools = listed(&mut client);
    let names: Vec<&str> = tools.iter().map(name).collect();
    assert!(names.contains(&"task_distribute") && !names.contains(&"session_list"), "{names:?}");
}

#[test]
fn an_unknown_set_is_refused_with_the_nearest() {
    let state = Scratch::new("offer");
    let mut command = server(state.path());
    command.args(["--toolsets", "core,comands"]).stdin(Stdio::null());
    let output = command.output().expect("it runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    assert!(told.contains("unknown toolset 'comands'; did you mean 'commands'?"), "{told}");
}

/// What only reads or waits says so: clients run such calls of one turn side by side.
#[test]
fn every_tool_says_what_it_does() {
    let reading =
        ["_list", "_status", "_output", "_logs", "_stats", "_poll", "_monitor", "_history", "_export"];
    let reading_too = ["_check", "_get", "_aggregate", "diagnose"];
    for tool in listed(&mut client(&[])) {
        let name = name(&tool);
        let hints = &tool["annotations"];
        let reads = reading.iter().chain(&reading_too).any(|end| name.ends_with(end));
        assert_eq!(hints["readOnlyHint"], reads, "{name}");
        if reads {
            continue;
        }
        let destroys = [
            "_close",
            "_update",
            "_migrate",
            "_cleanup",
            "_reset",
            "_cancel",
            "_delete",
            "_deregister",
            "_recover",
            "_signal",
        ];
        let runs = [
            "command_execute",
            "command_batch",
            "command_broadcast",
            "session_input",
            "task_distribute",
            "agent_execute",
            "pool_execute",
            // Both take a command that their shell runs.
            "session_create",
            "session_restore",
        ];
        if name != "circuit_reset" && (destroys.iter().any(|end| name.ends_with(end)) || runs.contains(&name))
        {
            assert_eq!(hints["destructiveHint"], true, "{name}");
        }
        let outward = runs.contains(&name) || ["task_retry", "webhook_register"].contains(&name);
        assert_eq!(hints["openWorldHint"], outward, "{name}");
    }
}
