//! No result is larger than configured, whatever it tells of, and what is left out can be had.

use serde_json::{Map, Value, json};
use shellherd::limits;
use shellherd::term::tokens::estimate_tokens;

use crate::protocol::misfits;
use crate::support::{Client, Outcome, Scratch, server};

/// A client of a server with this budget, which looks at every answer.
struct Sweep {
    client: Client,
    most: usize,
    tools: Vec<Value>,
    _state: Scratch,
}

impl Sweep {
    fn of(most: usize) -> Self {
        let state = Scratch::new("budget");
        let mut command = server(state.path());
        command.args(["--result-tokens", &most.to_string()]);
        let mut client = Client::connect(command, None);
        let tools = client.request("tools/list", json!({}))["result"]["tools"].as_array().cloned();
        Self { client, most, tools: tools.expect("a list"), _state: state }
    }

    fn call(&mut self, tool: &str, arguments: Value) -> Outcome {
        let outcome = self.client.call(tool, arguments);
        for form in [&outcome.text, &outcome.structured.to_string()] {
            let (tokens, begin) = (estimate_tokens(form), form.chars().take(300).collect::<String>());
            assert!(tokens <= self.most, "{tool}: {tokens} tokens of {}: {begin}", self.most);
        }
        if !outcome.structured.is_null() {
            let offered = self.tools.iter().find(|offered| offered["name"] == tool).expect("a tool");
            assert_eq!(misfits("$", &offered["outputSchema"], &outcome.structured), [""; 0], "{tool}");
        }
        outcome
    }

    fn ok(&mut self, tool: &str, arguments: Value) -> Value {
        let outcome = self.call(tool, arguments);
        assert!(!outcome.is_error, "{tool}: {outcome:?}");
        outcome.structured
    }

    fn session(&mut self, change: Value) -> String {
        let mut arguments = json!({"shell": "/bin/bash", "profile": "clean"});
        for (name, value) in change.as_object().cloned().unwrap_or_default() {
            arguments[name] = value;
        }
        let session = self.ok("session_create", arguments);
        session["sessionId"].as_str().expect("an id").to_owned()
    }
}

fn large_labels() -> Value {
    let words = |what: &str| (0..100).map(|n| format!("{what}-{n:0>240}")).collect::<Vec<_>>();
    let metadata: Map<String, Value> =
        (0..60).map(|n| (format!("key-{n}"), json!("é\"\\ß-1 ".repeat(80)))).collect();
    json!({
        "metadata": metadata, "capabilities": words("can"), "constraints": words("must"),
        "env": {"A_LARGE": "x 1-".repeat(2_000), "A_SMALL": "x"},
    })
}

/// Every tool, about sessions and commands that have as much to say as they may.
fn sweep(most: usize) {
    let mut sweep = Sweep::of(most);
    let large = large_labels();
    let session = sweep.session(large.clone());
    for _ in 0..3 {
        sweep.session(json!({"metadata": large["metadata"], "name": "group"}));
    }
    sweep.session(json!({"type": "observer", "name": "group"}));

    let shown = sweep.ok("session_status", json!({"sessionId": session, "detailed": true}));
    assert!(shown["omitted"]["bytes"].as_u64().is_some_and(|bytes| bytes > 60_000), "{shown}");
    let (mut record, mut next) = (String::new(), shown["omitted"]["recordFrom"].as_u64());
    while let Some(from) = next {
        let arguments = json!({"sessionId": session, "detailed": true, "recordFrom": from});
        let page = sweep.ok("session_status", arguments);
        record.push_str(page["record"].as_str().expect("a piece"));
        next = page["omitted"]["recordFrom"].as_u64();
    }
    let record: Value = serde_json::from_str(&record).expect("the pieces are JSON");
    for part in ["metadata", "capabilities", "constraints", "env"] {
        assert_eq!(record[part], large[part], "{part}");
    }

    let page = sweep.ok("session_list", json!({}));
    let listed = page["sessions"].as_array().map_or(0, Vec::len);
    let omitted = usize::try_from(page["omitted"].as_u64().unwrap_or(0)).expect("a size");
    assert!(listed > 0 && listed + omitted == 5, "{page}");
    assert!(page["sessions"][0]["omittedBytes"].as_u64().is_some_and(|bytes| bytes > 60_000), "{page}");
    sweep.ok("session_update", json!({"sessionId": session, "metadata": {"more": "x"}}));

    let loud =
        ["seq 5000", "yes '\"\\\"' | head -9000", "head -c 90000 /dev/urandom", "printf 'a%90000sb' ''"];
    for command in loud {
        let ran = sweep.ok("command_execute", json!({"sessionId": session, "command": command}));
        let id = ran["commandId"].clone();
        sweep.ok("command_status", json!({"commandId": id}));
        sweep.ok("command_status", json!({"commandId": id, "since": 0}));
        for mode in ["text", "raw"] {
            sweep.ok("session_output", json!({"sessionId": session, "commandId": id, "mode": mode}));
            sweep.ok("session_output", json!({"sessionId": session, "since": 0, "mode": mode}));
        }
        sweep.ok("session_output", json!({"sessionId": session, "grep": "."}));
        sweep.ok("session_output", json!({"sessionId": session, "lines": 4000}));
        sweep.ok("session_logs", json!({"sessionId": session, "lines": 4000}));
    }
    let typed = json!({"sessionId": session, "text": "seq 9000", "enter": true, "wait": "idle"});
    sweep.ok("session_input", typed);

    for count in [60, limits::BATCH] {
        let batch = json!({"sessionId": session, "commands": vec!["seq 500"; count], "wait": "50s"});
        let batch = sweep.ok("command_batch", batch);
        assert_eq!(batch["completed"], count, "{batch}");
        let results = batch["results"].as_array().expect("a list");
        let omitted = usize::try_from(batch["omittedResults"].as_u64().unwrap_or(0)).expect("a size");
        assert!(!results.is_empty() && results.len() + omitted == count, "{batch}");
        for result in results {
            assert_eq!((&result["exitCode"], &result["totalLines"]), (&json!(0), &json!(500)), "{result}");
            assert!(result["omittedFrom"].is_u64(), "{result}");
        }
        let ids: Vec<&Value> = results.iter().map(|result| &result["commandId"]).collect();
        let status = sweep.ok("command_status", json!({"commandIds": ids}));
        assert!(status["results"].as_array().is_some_and(|results| !results.is_empty()), "{status}");
    }
    let first = json!({"sessionId": session, "kinds": ["command"], "lines": 10});
    assert!(sweep.ok("session_logs", first)["entries"].is_array());

    let broadcast =
        sweep.call("command_broadcast", json!({"sessions": ["*"], "command": "seq 5000", "wait": "50s"}));
    assert_eq!(broadcast.structured["results"].as_array().map(Vec::len), Some(5), "{broadcast:?}");

    let (rows, cols) = (900, 900);
    sweep.ok("session_update", json!({"sessionId": session, "rows": rows, "cols": cols}));
    sweep.ok(
        "command_execute",
        json!({"sessionId": session, "command": "seq 100000 | tr '\\n' -", "wait": "50s"}),
    );
    let screen = sweep.ok("session_output", json!({"sessionId": session, "mode": "screen"}));
    assert_eq!(screen["truncated"], true);
    let rows =
        sweep.ok("session_output", json!({"sessionId": session, "mode": "screen", "range": "100-101"}));
    let shown = rows["output"].as_str().map_or(0, |output| output.lines().count() as u64);
    assert_eq!(shown + rows["omittedLines"].as_u64().unwrap_or(0), 2, "{rows}");

    sweep.client.start_command(&session, "seq 5000; sleep 300");
    let late = json!({"sessionId": session, "command": "seq 5000; sleep 300", "timeout": "1s", "whenBusy": "interrupt"});
    sweep.call("command_execute", late);
    sweep.ok("command_signal", json!({"sessionId": session, "signal": "SIGKILL"}));
    sweep.ok("session_reset", json!({"sessionId": session}));
    sweep.ok("session_close", json!({"all": true, "mode": "force"}));
}

#[test]
fn every_result_keeps_within_the_budget() {
    sweep(limits::RESULT_TOKENS);
}

#[test]
fn every_result_keeps_within_a_small_budget() {
    sweep(1_500);
}

/// The tools about tasks, about a run of many with ids as long and as awkward as they may be.
fn sweep_tasks(most: usize) {
    const MANY: usize = 5_000;
    let mut sweep = Sweep::of(most);
    let id = |n: usize| format!("{n:04}-{}", "é\"\\ß".repeat(41));
    let ids: Vec<String> = (0..MANY).map(id).collect();
    let tasks = |change: fn(usize) -> Value| {
        let tasks = ids.iter().enumerate().map(|(n, id)| match n {
            0 => json!({"id": id, "command": "seq 5000; sleep 300", "metadata": {"x": "y".repeat(900)}}),
            _ => json!({"id": id, "command": "true", "dependencies": change(n)}),
        });
        tasks.collect::<Vec<Value>>()
    };
    let length = |value: &Value| value.as_array().map_or(0, Vec::len);
    let omitted = |value: &Value| usize::try_from(value.as_u64().unwrap_or(0)).expect("a size");
    let flat = json!({"tasks": tasks(|_| json!([])), "dryRun": true});
    let plan = sweep.ok("task_distribute", flat)["order"].clone();
    let shown: usize = plan["waves"].as_array().expect("waves").iter().map(length).sum();
    assert_eq!(shown + omitted(&plan["omittedTasks"]), MANY);
    let behind = tasks(|_| json!([format!("0000-{}", "é\"\\ß".repeat(41))]));
    let accepted = sweep.ok("task_distribute", json!({"tasks": behind}));
    assert_eq!(length(&accepted["distributed"]) + omitted(&accepted["omittedTasks"]), MANY);
    let run = accepted["runId"].clone();
    let taken = sweep.call("task_distribute", json!({"tasks": behind}));
    assert_eq!(taken.code(), "duplicate_id");

    let unknown: Vec<String> =
        (0..MANY).map(|n| format!("unknown {}", id(n)).chars().take(150).collect()).collect();
    for query in [
        json!({"runId": run}),
        json!({"taskIds": ids}),
        json!({"taskIds": unknown}),
        json!({"pattern": "0*"}),
        json!({"runId": run, "since": 17, "status": "queued"}),
    ] {
        let page = sweep.ok("task_status", query);
        let shown = length(&page["tasks"]);
        assert!(shown > 0 && omitted(&page["omittedTasks"]) > 0, "{page}");
    }
    for query in [json!({"runId": run}), json!({"pattern": "*"})] {
        for format in ["summary", "detailed"] {
            let mut query = query.clone();
            query["format"] = json!(format);
            let progress = sweep.ok("progress_aggregate", query);
            assert_eq!(progress["overall"]["total"], MANY, "{progress}");
        }
    }
    sweep.ok("task_control", json!({"runId": run, "action": "pause", "maxConcurrent": 1_000}));
    let none = sweep.ok("task_cancel", json!({"taskIds": unknown}));
    assert_eq!(length(&none["notFound"]) + omitted(&none["omitted"]), MANY);
    let cancel = json!({"runId": run, "mode": "force"});
    let cancelled = sweep.ok("task_cancel", cancel);
    assert!(length(&cancelled["cancelled"]) > 0, "{cancelled}");
    assert_eq!(length(&cancelled["cancelled"]) + omitted(&cancelled["omitted"]), MANY);
    let failed = sweep.ok("task_status", json!({"runId": run, "status": "failed"}));
    assert_eq!(failed["summary"]["failed"], MANY, "{failed}");
    let again = sweep.ok("task_retry", json!({"runId": run}));
    assert_eq!(length(&again["distributed"]) + omitted(&again["omittedTasks"]), MANY);
    sweep.ok("task_cancel", json!({"runId": again["runId"], "mode": "force"}));
}

#[test]
fn every_result_about_tasks_keeps_within_the_budget() {
    sweep_tasks(limits::RESULT_TOKENS);
}

#[test]
fn every_result_about_tasks_keeps_within_a_small_budget() {
    sweep_tasks(1_500);
}

#[test]
fn many_sessions_are_closed_and_listed_within_a_small_budget() {
    let mut sweep = Sweep::of(500);
    for _ in 0..60 {
        sweep.session(json!({"shell": "/bin/sh"}));
    }
    let page = sweep.ok("session_list", json!({}));
    assert_eq!(page["total"], 60);
    let broadcast =
        sweep.call("command_broadcast", json!({"sessions": ["*"], "command": "echo x"})).structured;
    let results = broadcast["results"].as_array().map_or(0, Vec::len);
    assert_eq!(broadcast["omittedResults"], 60 - results, "{broadcast}");
    let closed = sweep.ok("session_close", json!({"all": true, "mode": "emergency"}));
    let shown = closed["sessionIds"].as_array().map_or(0, Vec::len);
    assert!(shown > 5 && closed["omitted"] == 60 - shown, "{closed}");
}

/// What a caller wrote is not sent back whole by the error that refuses it.
#[test]
fn errors_keep_within_the_budget() {
    let mut sweep = Sweep::of(limits::RESULT_TOKENS);
    let session = sweep.session(json!({}));
    let long = "a-1 ".repeat(100_000);
    for tool in sweep.tools.clone() {
        let name = tool["name"].as_str().expect("a name");
        for field in tool["inputSchema"]["properties"].as_object().expect("properties").keys() {
            for value in [json!(long), json!([long]), json!({"x": long}), json!({&long: 1})] {
                let mut arguments = json!({"sessionId": session});
                arguments[field] = value;
                if name != "session_create" {
                    sweep.call(name, arguments);
                }
            }
        }
        let unknown = json!({&long: 1});
        assert!(sweep.call(name, unknown).is_error);
    }
}
