//! MCP itself: both eras, the list of tools, results that fit their schemas, the shape of errors.

use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value, json};

use crate::support::{Client, Scratch, program, server};

/// The revisions that begin with `initialize`.
const REVISIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
/// The stateless one.
const MODERN: &str = "2026-07-28";

fn unconnected() -> Client {
    let state = Scratch::new("protocol");
    let command = server(state.path());
    Client::spawn(command, Some(state))
}

fn hello(version: &str) -> Value {
    json!({"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "it", "version": "0"}})
}

pub fn modern_meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": {"name": "it", "version": "0"},
        "io.modelcontextprotocol/clientCapabilities": {},
    })
}

#[test]
fn every_revision_with_a_handshake_is_served() {
    for revision in REVISIONS {
        let mut client = unconnected();
        let answer = client.request("initialize", hello(revision));
        let result = &answer["result"];
        assert_eq!(result["protocolVersion"], revision, "{answer}");
        assert_eq!(result["serverInfo"]["name"], "shellherd", "{answer}");
        assert!(result["capabilities"]["tools"].is_object(), "{answer}");
        let instructions = result["instructions"].as_str().expect("instructions");
        assert!(instructions.len() < 2_048 && instructions.contains("session_create"), "{instructions}");
        client.notify("notifications/initialized", json!({}));
        assert_eq!(client.request("ping", json!({}))["result"], json!({}));
        let session = client.session(json!({"profile": "clean"}));
        let outcome = client.run(&session, "echo hello");
        assert_eq!((outcome.exit(), outcome.output()), (Some(0), "hello\n"), "{revision}");
    }
}

#[test]
fn an_unknown_revision_is_offered_a_known_one() {
    let mut client = unconnected();
    let answer = client.request("initialize", hello("1999-01-01"));
    let offered = answer["result"]["protocolVersion"].as_str().expect("a revision");
    assert!(REVISIONS.contains(&offered) || offered == MODERN, "{answer}");
}

#[test]
fn the_stateless_revision_is_served() {
    let mut client = unconnected();
    let answer = client.request("server/discover", json!({"_meta": modern_meta()}));
    let versions = answer["result"]["supportedVersions"].as_array().expect("revisions");
    assert!(versions.contains(&json!(MODERN)), "{answer}");
    let capabilities = &answer["result"]["capabilities"];
    assert!(capabilities["tools"].is_object() && capabilities["logging"].is_null(), "{answer}");
    let listed = client.request("tools/list", json!({"_meta": modern_meta()}));
    assert!(
        listed["result"]["tools"]
            .as_array()
            .is_some_and(|tools| tools.len() == shellherd::mcp::schema_files().len()),
        "{listed}"
    );
    let mut call = |tool: &str, arguments: Value| {
        let params = json!({"name": tool, "arguments": arguments, "_meta": modern_meta()});
        client.request("tools/call", params)["result"].clone()
    };
    let created = call("session_create", json!({"profile": "clean"}));
    assert_eq!(created["resultType"], "complete", "{created}");
    let session = created["structuredContent"]["sessionId"].clone();
    let ran = call("command_execute", json!({"sessionId": session, "command": "echo modern; false"}));
    assert_eq!(
        (&ran["isError"], &ran["structuredContent"]["output"]),
        (&json!(true), &json!("modern\n")),
        "{ran}"
    );
    let refused = call("session_status", json!({"sessionId": "nobody"}));
    assert_eq!((&refused["isError"], refused.get("structuredContent")), (&json!(true), None), "{refused}");
}

/// Both eras on one connection, as a client does that probes first.
#[test]
fn a_probe_in_one_era_does_not_spoil_the_other() {
    let mut client = unconnected();
    client.request("server/discover", json!({"_meta": modern_meta()}));
    let answer = client.request("initialize", hello("2025-11-25"));
    assert_eq!(answer["result"]["protocolVersion"], "2025-11-25", "{answer}");
    client.notify("notifications/initialized", json!({}));
    client.ok("session_list", json!({}));
}

fn schemas(arguments: &[&str], directory: &Path) -> (bool, String) {
    let home = Scratch::new("schemas");
    let mut command: Command = program(home.path());
    let output = command.arg("schemas").args(arguments).arg(directory).output().expect("it runs");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn the_published_schemas_are_checked_in() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tool-schemas");
    let (fine, told) = schemas(&["--check"], &directory);
    assert!(fine, "run `shellherd schemas`: {told}");
    let mut client = Client::start();
    let listed = client.request("tools/list", json!({}));
    let tools = listed["result"]["tools"].as_array().expect("tools");
    for tool in tools {
        let name = tool["name"].as_str().expect("a name");
        let file = std::fs::read_to_string(directory.join(format!("{name}.json"))).expect("a schema file");
        let checked_in: Value = serde_json::from_str(&file).expect("a schema file is JSON");
        assert_eq!(*tool, checked_in, "{name}");
        assert!(name.len() <= 24 && name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
        assert!(tool["description"].as_str().is_some_and(|text| text.len() < 2_048), "{name}");
        assert!(tool["title"].is_string() && tool["annotations"]["readOnlyHint"].is_boolean(), "{tool}");
        assert_eq!(tool["outputSchema"]["type"], "object", "{name}");
    }
    let files = std::fs::read_dir(&directory).expect("the folder is there").count();
    assert_eq!(files, tools.len());

    // A stale file is named, and written anew.
    let copy = Scratch::new("stale");
    assert!(schemas(&[], copy.path()).0);
    std::fs::write(copy.path().join("session_list.json"), "{}").expect("a file can be written");
    let (fine, told) = schemas(&["--check"], copy.path());
    assert!(!fine && told.contains("session_list.json"), "{told}");
}

/// What a value breaks of a schema: the part of JSON Schema that the published ones use, and more
/// strictly than it: a member that is not published is wrong.
pub fn misfits(path: &str, schema: &Value, value: &Value) -> Vec<String> {
    let known = ["type", "properties", "required", "items", "enum", "additionalProperties", "description"];
    let mut wrong = Vec::new();
    if let Some(bad) = schema.as_object().and_then(|schema| {
        schema.keys().find(|key| {
            !known.contains(&key.as_str()) && !["minimum", "maximum", "minItems"].contains(&key.as_str())
        })
    }) {
        wrong.push(format!("{path}: the checker does not know the keyword {bad}"));
    }
    let fits = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some(other) => panic!("{path}: unknown type {other}"),
        None => true,
    };
    if !fits {
        wrong.push(format!("{path}: {value} is no {}", schema["type"]));
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        wrong.push(format!("{path}: {value} is none of {}", schema["enum"]));
    }
    if value.as_array().is_some_and(|items| (items.len() as u64) < schema["minItems"].as_u64().unwrap_or(0)) {
        wrong.push(format!("{path} has too few items"));
    }
    if let (Some(items), Some(of_each)) = (value.as_array(), schema.get("items")) {
        let items = items.iter().enumerate();
        wrong.extend(items.flat_map(|(index, item)| misfits(&format!("{path}[{index}]"), of_each, item)));
    }
    let Some(members) = value.as_object() else { return wrong };
    // What a call is for is told even when there is none.
    let lists = ["sessions", "sessionIds", "tasks", "cancelled"];
    let nothing = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&nothing);
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !members.contains_key(name) {
            wrong.push(format!("{path}.{name} is missing"));
        }
    }
    for (name, member) in members {
        let path = format!("{path}.{name}");
        match (properties.get(name), schema.get("additionalProperties")) {
            (Some(schema), _) => wrong.extend(misfits(&path, schema, member)),
            (None, Some(Value::Bool(true))) => {}
            (None, Some(of_each @ Value::Object(_))) => wrong.extend(misfits(&path, of_each, member)),
            (None, _) => wrong.push(format!("{path} is not published")),
        }
        let says_nothing = member.is_null()
            || member.as_array().is_some_and(|list| list.is_empty() && !lists.contains(&name.as_str()))
            || member.as_object().is_some_and(Map::is_empty);
        if says_nothing {
            wrong.push(format!("{path} says nothing: {member}"));
        }
    }
    wrong
}

/// Every result fits its published schema and is lean.
fn tour(client: &mut Client, tools: &[Value], calls: &[(&str, Value)]) {
    let mut wrong = Vec::new();
    for (tool, arguments) in calls {
        let outcome = client.call(tool, arguments.clone());
        if outcome.structured.is_null() {
            wrong.push(format!("{tool} {arguments}: {}", outcome.text));
            continue;
        }
        let schema = &tools.iter().find(|offered| offered["name"] == *tool).expect("a tool")["outputSchema"];
        let found = misfits("$", schema, &outcome.structured);
        wrong.extend(found.into_iter().map(|what| format!("{tool} {arguments}: {what}")));
        assert!(!outcome.text.trim().is_empty(), "{tool} {arguments}: each form alone is complete");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_result_about_tasks_fits_its_schema() {
    let mut client = Client::start();
    let listed = client.request("tools/list", json!({}));
    let tools = listed["result"]["tools"].as_array().expect("tools").clone();
    let tasks = json!([
        {"id": "held", "command": "echo begun; sleep 300", "metadata": {"a": {"b": 1}}},
        {"id": "next", "command": "true", "dependencies": "held"},
        {"id": "bad", "command": "echo why; exit 3", "retries": {"max": 1, "delay": 1}},
        {"id": "behind", "command": "true", "dependencies": ["bad"]},
        {"id": "never", "command": "true", "requirements": ["tpu"]},
    ]);
    let accepted = client.ok("task_distribute", json!({"tasks": tasks}));
    let run = accepted["runId"].clone();
    let calls = [
        (
            "task_distribute",
            json!({"tasks": ["true", "sleep 300"], "resumable": true, "strategy": "affinity"}),
        ),
        ("task_distribute", json!({"tasks": ["true", "true"], "dryRun": true})),
        ("task_status", json!({"runId": run, "wait": "50s", "until": "change"})),
        ("task_status", json!({"taskIds": ["held", "nobody"]})),
        ("task_status", json!({})),
        ("task_status", json!({"pattern": "nothing*"})),
        ("task_control", json!({"runId": run, "action": "pause"})),
        ("task_control", json!({"runId": run, "action": "resume", "maxConcurrent": 7, "priority": "high"})),
        ("task_control", json!({"runId": run, "priority": 1})),
        ("progress_aggregate", json!({"runId": run, "format": "detailed"})),
        ("progress_aggregate", json!({"pattern": "nothing*"})),
        ("progress_aggregate", json!({})),
        ("task_cancel", json!({"taskIds": ["next", "nobody"]})),
        ("task_cancel", json!({"pattern": "*", "mode": "force"})),
        ("task_status", json!({"runId": run, "wait": "50s"})),
        ("task_retry", json!({"taskIds": ["behind"]})),
        ("task_cancel", json!({"pattern": "*", "mode": "force"})),
        ("task_retry", json!({"runId": run, "onlyFailed": false})),
        ("task_cancel", json!({"pattern": "*", "mode": "force"})),
    ];
    tour(&mut client, &tools, &calls);
}

/// A tour through the tools about sessions and commands.
#[test]
fn every_result_fits_its_schema() {
    let mut client = Client::start();
    let listed = client.request("tools/list", json!({}));
    let tools = listed["result"]["tools"].as_array().expect("tools").clone();
    let session = client.session(json!({"name": "tour", "profile": "clean", "metadata": {"a": {"b": 1}}}));
    let gone = client.session(json!({"name": "gone", "profile": "clean"}));
    let long = client.start_command(&session, "echo begun; sleep 0.2; seq 1 30000; sh -c 'exit 3'");
    let plain = client.session(json!({"shell": "cat"}));
    let calls = [
        ("session_create", json!({"name": "another", "capabilities": ["x"], "type": "active"})),
        ("session_list", json!({})),
        ("session_list", json!({"page": 99})),
        ("session_status", json!({"sessionId": session, "detailed": true})),
        ("session_status", json!({"sessionId": plain})),
        ("command_status", json!({"commandId": long})),
        ("command_status", json!({"commandId": long, "wait": "50s"})),
        ("command_status", json!({"commandIds": [long]})),
        ("command_execute", json!({"sessionId": session, "command": "cd /usr; sh -c 'kill -9 $$'"})),
        (
            "command_execute",
            json!({"sessionId": session, "command": "sleep 300", "timeout": 100, "onTimeout": "kill"}),
        ),
        ("command_execute", json!({"sessionId": session, "command": "read -p 'ok? ' x"})),
        ("session_status", json!({"sessionId": session})),
        (
            "session_input",
            json!({"sessionId": session, "text": "y", "enter": true, "wait": {"until": "idle"}}),
        ),
        ("session_input", json!({"sessionId": plain, "text": "y", "enter": true})),
        ("session_output", json!({"sessionId": session})),
        ("session_output", json!({"sessionId": session, "mode": "screen"})),
        ("session_output", json!({"sessionId": session, "mode": "raw"})),
        ("session_output", json!({"sessionId": session, "grep": "^29", "lines": 3})),
        ("session_logs", json!({"sessionId": session})),
        ("session_update", json!({"sessionId": session, "name": "renamed", "metadata": {"a": null}})),
        ("session_reset", json!({"sessionId": session})),
        (
            "command_batch",
            json!({"sessionId": session, "commands": ["true", "false", "true"], "stopOnError": true}),
        ),
        ("command_execute", json!({"sessionId": session, "command": "sleep 300", "background": true})),
        ("command_execute", json!({"sessionId": session, "command": "true", "background": true})),
        ("command_broadcast", json!({"sessions": ["renamed", "another"], "command": "true", "wait": 100})),
        ("command_signal", json!({"sessionId": session, "signal": "SIGKILL"})),
        ("command_execute", json!({"sessionId": gone, "command": "exit 3"})),
        ("session_status", json!({"sessionId": gone, "detailed": true})),
        ("session_close", json!({"sessionId": session, "mode": "force"})),
        ("session_close", json!({"all": true, "mode": "emergency"})),
        ("session_status", json!({"sessionId": session})),
    ];
    tour(&mut client, &tools, &calls);
    for tool in &tools {
        assert!(tool["inputSchema"]["additionalProperties"] == false, "{tool}");
    }
}

#[test]
fn a_trivial_result_is_lean() {
    let mut client = Client::start();
    let session = client.clean("/bin/bash");
    let outcome = client.run(&session, "true");
    let mut members: Vec<&String> = outcome.structured.as_object().expect("an object").keys().collect();
    members.sort();
    assert_eq!(members, ["commandId", "durationMs", "exitCode", "output", "success"], "{outcome:?}");
    // 60 tokens at the 3 bytes that JSON takes each.
    assert!(outcome.structured.to_string().len() <= 180 && outcome.text.len() <= 100, "{outcome:?}");
}

#[test]
fn errors_have_one_shape() {
    let mut client = Client::start();
    let session = client.clean("/bin/bash");
    let cases = [
        ("session_status", json!({"sessionId": "nobody"}), "session_not_found"),
        ("session_status", json!({}), "invalid_argument"),
        ("session_status", json!({"sessionId": session, "detailled": true}), "invalid_argument"),
        ("command_status", json!({"commandId": "cmd_nothing"}), "command_not_found"),
        ("command_signal", json!({"sessionId": session, "signal": "INT"}), "command_not_running"),
        ("session_update", json!({"sessionId": session, "autoAccept": {}}), "invalid_argument"),
        ("session_create", json!({"shell": "no-such-shell"}), "spawn_failed"),
        ("session_update", json!({"sessionId": session, "status": "error"}), "illegal_transition"),
        ("task_control", json!({"runId": "run_nothing", "action": "pause"}), "run_not_found"),
        ("task_control", json!({"runId": "run_nothing", "action": "stop"}), "invalid_argument"),
        ("task_retry", json!({"taskIds": ["nobody"]}), "task_not_found"),
        (
            "task_distribute",
            json!({"tasks": [{"id": "a", "command": "x", "dependencies": "a"}]}),
            "dependency_cycle",
        ),
    ];
    for (tool, arguments, code) in cases {
        let id = client.send_call(tool, arguments.clone());
        let answer = client.answer(id);
        let result = &answer["result"];
        assert_eq!((&result["isError"], result.get("structuredContent")), (&json!(true), None), "{answer}");
        let text = result["content"][0]["text"].as_str().expect("a text");
        let parsed: Value = serde_json::from_str(text).expect("an error is JSON");
        let error = parsed["error"].as_object().expect("an error");
        assert_eq!((parsed.as_object().map(Map::len), &error["code"]), (Some(1), &json!(code)), "{parsed}");
        let known = ["code", "message", "hint", "retryable", "details"];
        assert!(error.keys().all(|key| known.contains(&key.as_str())), "{parsed}");
        let message = error["message"].as_str().expect("a message");
        assert!(!message.is_empty() && !message.ends_with('.'), "{parsed}");
        assert!(!message.starts_with(|c: char| c.is_uppercase()), "{parsed}");
    }
}

#[test]
fn an_unknown_tool_or_method_is_a_protocol_error() {
    let mut client = Client::start();
    let answer = client.request("tools/call", json!({"name": "sesion_list", "arguments": {}}));
    assert_eq!(answer["error"]["code"], -32_602, "{answer}");
    assert!(answer["error"]["message"].as_str().expect("a message").contains("session_list"), "{answer}");
    let answer = client.request("no/such/method", json!({}));
    assert_eq!(answer["error"]["code"], -32_601, "{answer}");
}

/// Logs and whatever else is said goes to stderr.
#[test]
fn stdout_carries_json_rpc_only() {
    let state = Scratch::new("stdout");
    let mut command = server(state.path());
    command.env("RUST_LOG", "trace");
    let mut client = Client::connect(command, Some(state));
    let session = client.session(json!({}));
    client.run(&session, "echo one; echo two >&2");
    client.call("session_status", json!({"sessionId": "nobody"}));
    assert!(!client.has_come(|message| message["jsonrpc"] != "2.0"));
    client.hang_up();
    client.until_exit();
    assert!(!client.stderr().is_empty(), "the trace went to stderr");
}
