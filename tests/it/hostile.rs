//! Bad input of every kind: refused with the field that is wrong, nothing changed, and the next
//! request is answered.

use std::io::{BufRead, BufReader, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::support::{Client, Flag, Scratch, server, status_kb};

/// Bytes of a message that is refused unread.
const TOO_LONG: usize = shellherd::limits::MESSAGE_BYTES + (1 << 20);

/// Arguments of each tool that would be accepted.
fn valid(tool: &str, session: &str) -> Map<String, Value> {
    let arguments = match tool {
        "session_create"
        | "session_list"
        | "session_cleanup"
        | "session_stats"
        | "template_list"
        | "pool_status"
        | "agent_list"
        | "events_poll"
        | "webhook_list"
        | "circuit_status"
        | "performance_monitor"
        | "performance_history"
        | "metrics_export" => json!({}),
        "template_create" | "template_delete" => json!({"name": "no-such-template"}),
        "session_affinity" => json!({"sessionId": session, "targets": []}),
        "pool_create" => json!({"name": "pool", "size": 1, "config": {"shell": "no-such-shell"}}),
        "pool_execute" => json!({"pool": "no-such-pool", "command": "true"}),
        "pool_delete" => json!({"name": "no-such-pool"}),
        "session_migrate" => json!({"sessionId": session, "workingDirectory": "/"}),
        "performance_tune" => json!({"maxConcurrent": 10}),
        "circuit_reset" => json!({"key": "true"}),
        "webhook_register" => json!({"url": "http://127.0.0.1:9/"}),
        "webhook_delete" => json!({"webhookId": "whk_nothing"}),
        "session_close" => json!({"sessionId": "no-such-session"}),
        "session_update" => json!({"sessionId": session, "name": "changed"}),
        "session_input" => json!({"sessionId": session, "text": "changed"}),
        "command_execute" => json!({"sessionId": session, "command": "true"}),
        "command_batch" => json!({"sessionId": session, "commands": ["true"]}),
        "command_broadcast" => json!({"sessions": [session], "command": "true"}),
        "command_signal" => json!({"sessionId": session, "signal": "SIGINT"}),
        "command_status" => json!({"commandId": "cmd_nothing"}),
        "task_distribute" => json!({"tasks": [{"command": "true"}], "dryRun": true}),
        "task_control" => json!({"runId": "run_nothing", "action": "pause"}),
        "task_status" | "task_cancel" | "task_retry" | "progress_aggregate" => {
            json!({"runId": "run_nothing"})
        }
        "agent_deregister" | "message_receive" => json!({"agentId": "nobody"}),
        "message_send" => json!({"to": "nobody", "payload": 1}),
        "agent_execute" => json!({"sessionId": session, "prompt": "hello", "command": "cat"}),
        "context_add" => json!({"sessionId": session, "role": "user", "content": "hello"}),
        _ => json!({"sessionId": session}),
    };
    arguments.as_object().expect("an object").clone()
}

/// Values that no field of this schema takes.
fn unfit(schema: &Value) -> Vec<Value> {
    let mut values = match schema["type"].as_str() {
        Some("string") => vec![json!({}), json!([["x"]])],
        Some("integer") => vec![json!("soon"), json!({}), json!(-1), json!(1.5), json!(1e30), json!([1])],
        Some("number") => vec![json!("soon"), json!({}), json!(-1)],
        Some("boolean") => vec![json!("maybe"), json!(7), json!([])],
        Some("array") => vec![json!(true)],
        Some("object") => vec![json!(5), json!([1])],
        _ => Vec::new(),
    };
    if schema.get("enum").is_some() {
        values.extend([json!("nonsense"), json!(5)]);
    }
    if schema["type"] == "array" && schema["items"]["type"] == "string" {
        values.extend([json!([{}]), json!([[]])]);
    }
    values
}

#[test]
fn every_tool_refuses_what_it_does_not_take() {
    let mut client = Client::start();
    let session = client.session(json!({"name": "untouched", "profile": "clean"}));
    let before = client.ok("session_status", json!({"sessionId": session, "detailed": true}));
    let listed = client.request("tools/list", json!({}));
    let mut wrong = Vec::new();
    let mut checked = 0;
    for tool in listed["result"]["tools"].as_array().expect("tools") {
        let name = tool["name"].as_str().expect("a name");
        let properties = tool["inputSchema"]["properties"].as_object().cloned().unwrap_or_default();
        let mut refused = |arguments: Value, field: &str, what: &str| {
            let outcome = client.call(name, arguments.clone());
            checked += 1;
            let parsed: Value = serde_json::from_str(&outcome.text).unwrap_or(Value::Null);
            let message = parsed["error"]["message"].as_str().unwrap_or_default();
            if parsed["error"]["code"] != "invalid_argument" || !message.contains(field) {
                wrong.push(format!("{name} {what} {arguments}: {}", outcome.text));
            }
        };
        for (field, schema) in &properties {
            for value in unfit(schema) {
                let mut arguments = valid(name, &session);
                arguments.insert(field.clone(), value);
                refused(arguments.into(), field, "took");
            }
            // A misspelt field is named together with the one that was meant.
            let mut arguments = valid(name, &session);
            let misspelt = format!("{field}x");
            arguments.insert(misspelt.clone(), json!(1));
            refused(arguments.clone().into(), &misspelt, "took");
            refused(arguments.into(), &format!("'{field}'"), "did not name the nearest of");
        }
        for field in tool["inputSchema"]["required"].as_array().into_iter().flatten() {
            let field = field.as_str().expect("a name");
            let mut arguments = valid(name, &session);
            arguments.remove(field);
            refused(arguments.into(), field, "did without");
        }
        refused(json!({"\u{1f600}": 1}), "\u{1f600}", "took");
    }
    println!("{checked} refusals");
    assert!(wrong.is_empty(), "{wrong:#?}");
    let after = client.ok("session_status", json!({"sessionId": session, "detailed": true}));
    assert_eq!(after["details"]["commandsExecuted"], 0, "{after}");
    assert_eq!((&after["name"], &after["status"]), (&before["name"], &before["status"]), "{after}");
    assert_eq!(client.ok("session_list", json!({}))["total"], 1, "nothing was created");
}

#[test]
fn unknown_sessions_and_commands_are_told() {
    let mut client = Client::start();
    let listed = client.request("tools/list", json!({}));
    for tool in listed["result"]["tools"].as_array().expect("tools") {
        let name = tool["name"].as_str().expect("a name");
        let mut arguments = valid(name, "nobody");
        if arguments.contains_key("sessionId") {
            arguments.insert("sessionId".to_owned(), json!("nobody"));
            let outcome = client.call(name, arguments.into());
            assert_eq!(outcome.code(), "session_not_found", "{name}: {outcome:?}");
            assert!(outcome.error()["hint"].is_string(), "{name}: {outcome:?}");
        }
    }
}

#[test]
fn values_out_of_bounds_are_refused() {
    let mut client = Client::start();
    let session = client.clean("/bin/bash");
    let run = |field: &str, value: Value| {
        let mut arguments = valid("command_execute", &session);
        arguments.insert(field.to_owned(), value);
        ("command_execute", Value::Object(arguments))
    };
    let large = "x".repeat(2 << 20);
    let variables: Map<String, Value> = (0..1_001).map(|n| (format!("V{n}"), json!("x"))).collect();
    let cases = [
        run("command", json!("echo a\0b")),
        run("command", json!("")),
        run("command", json!("  \n ")),
        run("command", json!(large)),
        run("timeout", json!(-5)),
        run("timeout", json!("-5s")),
        run("timeout", json!("9999d")),
        run("env", json!({"A=B": "x"})),
        run("env", json!({"A": "a\0b"})),
        run("env", json!({"": "x"})),
        run("env", Value::Object(variables)),
        run("stdin", json!("a\0b")),
        run("workingDirectory", json!("")),
        run("workingDirectory", json!("/a\0b")),
        run("okExitCodes", json!([1_000])),
        run("okExitCodes", json!("some")),
        run("retries", json!({"max": 101})),
        run("retries", json!({"max": 1, "backoff": 0})),
        run("retries", json!({})),
        run("resourceLimits", json!({"maxMemory": "much"})),
        run("resourceLimits", json!({"maxmemoryy": 5})),
        ("session_create", json!({"rows": 1_001})),
        ("session_create", json!({"cols": 0})),
        ("session_create", json!({"name": "x".repeat(300)})),
        ("session_create", json!({"name": " "})),
        ("session_create", json!({"metadata": {"big": "x".repeat(70 << 10)}})),
        ("session_create", json!({"capabilities": vec!["x"; 101]})),
        ("command_batch", json!({"sessionId": session, "commands": []})),
        ("command_batch", json!({"sessionId": session, "commands": vec!["true"; 101]})),
        ("command_batch", json!({"sessionId": session, "commands": ["true", ""]})),
        ("session_input", json!({"sessionId": session, "text": "x".repeat(2 << 20)})),
        ("session_input", json!({"sessionId": session, "keys": ["no-such-key"]})),
        ("session_input", json!({"sessionId": session})),
        ("session_output", json!({"sessionId": session, "grep": "x".repeat(1_001)})),
        ("session_output", json!({"sessionId": session, "grep": "(\\pL{1000}){1000}"})),
        ("session_list", json!({"pageSize": 201})),
        ("session_list", json!({"page": 0})),
    ];
    for (tool, arguments) in cases {
        let outcome = client.call(tool, arguments.clone());
        let shown: String = arguments.to_string().chars().take(120).collect();
        assert_eq!(outcome.code(), "invalid_argument", "{tool} {shown}: {outcome:?}");
        assert!(outcome.text.len() < 2_000, "{tool} {shown}: {} bytes", outcome.text.len());
    }
    assert_eq!(client.status(&session).get("lastCommand"), None, "nothing ran");
    assert_eq!(client.ok("session_list", json!({}))["total"], 1);
    // The bound itself is fine.
    let comment = format!("echo fine # {}", "x".repeat((1 << 20) - 12));
    assert_eq!(client.run(&session, &comment).output(), "fine\n");
}

/// What a client may write to the pipe, whether or not it is JSON.
#[test]
fn garbage_is_answered_and_the_next_request_too() {
    let mut client = Client::start();
    let nested = |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000));
    let in_a_call = |arguments: &str| {
        format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":\"deep\",\"method\":\"tools/call\",\"params\":{{\"name\":\"session_list\",\"arguments\":{arguments}}}}}"
        )
    };
    let lines = [
        "garbage".to_owned(),
        "{".to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        "\"text\"".to_owned(),
        "{}".to_owned(),
        "{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"ping\"}".to_owned(),
        "{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"ping\"}".to_owned(),
        "[{\"jsonrpc\":\"2.0\",\"id\":77,\"method\":\"ping\"},{\"jsonrpc\":\"2.0\",\"id\":78,\"method\":\"ping\"}]".to_owned(),
        "\u{0}\u{1}\u{2}".to_owned(),
        nested("[", "]"),
        nested("{\"a\":", "}").replace("}{", "1}{"),
        in_a_call(&format!("{{\"metadata\":{}}}", nested("[", "]"))),
        "x".repeat(TOO_LONG),
        in_a_call(&format!("{{\"query\":\"{}\"}}", "x".repeat(TOO_LONG))),
    ];
    for line in &lines {
        let shown: String = line.chars().take(60).collect();
        client.send_line(line);
        let refusal = client.message(&format!("a refusal of {shown}"), |message| {
            message.get("error").is_some() || message["id"] == "deep" || message["id"] == 77
        });
        assert!(refusal["error"]["code"].as_i64().is_some_and(|code| code < -32_000), "{shown}: {refusal}");
        assert_eq!(client.request("ping", json!({}))["result"], json!({}), "{shown}");
    }
    // Nothing is said to empty lines and notifications, known or not.
    for line in [
        "",
        "   ",
        "\r",
        "{\"jsonrpc\":\"2.0\",\"method\":\"tools/call\",\"params\":{\"name\":\"session_list\"}}",
        "{\"jsonrpc\":\"2.0\",\"method\":\"no/such\",\"params\":[]}",
        "{\"jsonrpc\":\"2.0\",\"id\":999,\"result\":{}}",
    ] {
        client.send_line(line);
    }
    assert_eq!(client.ok("session_list", json!({}))["total"], 0);
    assert!(!client.has_come(|_| true), "something was said to a notification");
    let invalid = b"\xff\xfe{\"jsonrpc\":\"2.0\"\n";
    client.send_bytes(invalid);
    client.message("a refusal of bytes", |message| message.get("error").is_some());
    assert_eq!(client.request("ping", json!({}))["result"], json!({}));
}

#[test]
fn arguments_that_are_no_object_are_refused() {
    let mut client = Client::start();
    for arguments in [json!([]), json!(5), json!("text"), json!(true)] {
        let answer = client.request("tools/call", json!({"name": "session_list", "arguments": arguments}));
        assert!(
            answer["result"]["isError"] == true || answer.get("error").is_some(),
            "{arguments}: {answer}"
        );
    }
    let answer = client.request("tools/call", json!({"arguments": {}}));
    assert!(answer.get("error").is_some(), "{answer}");
    assert_eq!(client.ok("session_list", json!({}))["total"], 0);
}

#[test]
fn a_thousand_calls_at_once_are_all_answered() {
    let mut client = Client::start();
    let session = client.clean("/bin/bash");
    let mut calls = Vec::new();
    for n in 0..1_000 {
        calls.push(match n % 4 {
            0 => client.send_call("session_list", json!({})),
            1 => client.send_call("session_status", json!({"sessionId": session})),
            2 => client.send_call("session_output", json!({"sessionId": session})),
            _ => client.send_call(
                "command_execute",
                json!({"sessionId": session, "command": "true", "background": true}),
            ),
        });
    }
    let (mut fine, mut refused) = (0, 0);
    for call in calls {
        let outcome = client.outcome(call);
        if outcome.is_error {
            // More than a hundred commands do not queue in one session.
            assert_eq!(outcome.code(), "overloaded", "{outcome:?}");
            refused += 1;
        } else {
            fine += 1;
        }
    }
    println!("{fine} done, {refused} refused");
    assert!(fine >= 750);
    client.until_status(&session, "idle");
    assert_eq!(client.run(&session, "echo fine").output(), "fine\n");
}

/// More calls wait than are served at once, and still another is answered.
#[test]
fn waiting_calls_do_not_use_up_the_server() {
    let scratch = Scratch::new("waiting");
    let mut client = Client::start();
    let (busy, free) = (client.clean("/bin/bash"), client.clean("/bin/bash"));
    let flag = Flag::in_(&scratch);
    let id = client.start_command(&busy, &flag.awaited());
    let waits: Vec<u64> = (0..600)
        .map(|_| client.send_call("command_status", json!({"commandId": id, "wait": "50s"})))
        .collect();
    assert_eq!(client.run(&free, "echo free").output(), "free\n");
    flag.raise();
    for wait in waits {
        assert_eq!(client.outcome(wait).exit(), Some(0));
    }
}

/// Closing waits for its sessions' ends, and others are served meanwhile.
#[test]
fn slow_closes_do_not_use_up_the_server() {
    let mut client = Client::start();
    let session = client.clean("/bin/bash");
    let stubborn = client.start_command(&session, "(trap '' HUP TERM INT; echo ready; sleep 300; sleep 300)");
    let ready = json!({"until": "match", "pattern": "^ready$", "timeout": "50s"});
    client.ok("session_output", json!({"sessionId": session, "commandId": stubborn, "wait": ready}));
    let slow = json!({"sessionId": session, "timeout": "50s"});
    let mut closes: Vec<u64> = (0..300).map(|_| client.send_call("session_close", slow.clone())).collect();
    closes.push(client.send(
        "tools/call",
        json!({"name": "session_close", "arguments": slow, "_meta": {"progressToken": "p"}}),
    ));
    let listed = client.ok("session_list", json!({}));
    assert!(listed["sessions"][0]["status"] != "terminated", "it was answered after the closes: {listed}");

    let impatient =
        client.ok("session_close", json!({"sessionId": session, "timeout": "50s", "wait": "100ms"}));
    assert_eq!(impatient["success"], false, "{impatient}");
    assert_eq!(impatient["sessionIds"], json!([]), "{impatient}");
    assert_eq!(impatient["closing"], json!([session]), "{impatient}");
    let progress = client.message("progress", |message| message["method"] == "notifications/progress");
    assert_eq!(progress["params"]["progressToken"], "p");

    let forced = client.ok("session_close", json!({"sessionId": session, "mode": "emergency"}));
    assert_eq!(forced["sessionIds"], json!([session]), "{forced}");
    for close in closes {
        assert_eq!(client.outcome(close).structured["success"], true);
    }
}

/// A close that nobody waits for any more still ends the sessions whose turn comes last.
#[test]
fn a_close_that_was_given_up_is_seen_through() {
    let mut client = Client::start();
    let department = client
        .session(json!({"shell": "/bin/bash", "profile": "clean", "type": "department", "name": "dep"}));
    let director =
        client.session(json!({"shell": "/bin/bash", "profile": "clean", "type": "director", "name": "dir"}));
    let stubborn = client.start_command(&department, "(trap '' HUP TERM INT; echo ready; sleep 300)");
    let ready = json!({"until": "match", "pattern": "^ready$", "timeout": "50s"});
    client.ok("session_output", json!({"sessionId": department, "commandId": stubborn, "wait": ready}));
    let closed = client.ok("session_close", json!({"all": true, "timeout": "1s", "wait": 0}));
    assert_eq!(closed["closing"].as_array().map(Vec::len), Some(2), "{closed}");
    client.until_status(&director, "terminated");
    assert_eq!(client.status(&department)["status"], "terminated");
}

/// A client that sends and does not read costs bounded memory, and gets everything when it reads again.
#[test]
fn a_client_that_does_not_read_is_not_fed() {
    const CALLS: usize = 1_500;
    let state = Scratch::new("unread");
    let mut child =
        server(state.path()).stderr(std::process::Stdio::null()).spawn().expect("the server starts");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
    let mut next = move || {
        let mut line = String::new();
        stdout.read_line(&mut line).expect("the server writes");
        serde_json::from_str::<Value>(&line).expect("stdout is JSON-RPC")
    };
    let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "it", "version": "0"}});
    let call = |id: usize, tool: &str, arguments: Value| json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": tool, "arguments": arguments}});
    writeln!(stdin, "{}", json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello}))
        .expect("sent");
    writeln!(stdin, "{}", json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).expect("sent");
    next();
    writeln!(stdin, "{}", call(1, "session_create", json!({"shell": "bash", "profile": "clean"})))
        .expect("sent");
    let session = next()["result"]["structuredContent"]["sessionId"].clone();
    writeln!(stdin, "{}", call(2, "command_execute", json!({"sessionId": session, "command": "seq 1 6000"})))
        .expect("sent");
    next();

    let sent = Arc::new(AtomicUsize::new(0));
    let (counter, read) = (Arc::clone(&sent), json!({"sessionId": session}));
    let writer = std::thread::spawn(move || {
        for id in 0..CALLS {
            writeln!(stdin, "{}", call(100 + id, "session_output", read.clone()))
                .expect("the server reads on");
            counter.fetch_add(1, Ordering::Relaxed);
        }
        stdin
    });
    // Until the pipes are full, or everything was sent: the server then holds the most that it will.
    let (mut peak_kb, mut last, mut changed) = (0, (0, 0), Instant::now());
    while changed.elapsed() < Duration::from_secs(2) {
        let resident_kb = status_kb(child.id(), "VmRSS");
        peak_kb = peak_kb.max(resident_kb);
        let now = (sent.load(Ordering::Relaxed), resident_kb / 1_024);
        if now != last {
            (last, changed) = (now, Instant::now());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("{} of {CALLS} calls sent, {} MB at most", last.0, peak_kb / 1_024);
    assert!(peak_kb < 200 * 1_024, "{peak_kb} kB");
    let mut answered = std::collections::BTreeSet::new();
    while answered.len() < CALLS {
        let message = next();
        assert!(message["result"]["isError"] == false, "{message}");
        answered.insert(message["id"].as_u64().expect("an id"));
    }
    drop(writer.join().expect("everything was sent"));
    child.wait().expect("the server ends");
}

/// A program that does not read what is typed: the input is taken up to a bound, then refused.
#[test]
fn unread_input_is_bounded() {
    let mut client = Client::start();
    let session = client.clean("/bin/bash");
    client.start_command(&session, "stty -icanon; echo ready; sleep 300");
    client.ok("session_output", json!({
        "sessionId": session, "since": 0, "wait": {"until": "match", "pattern": "^ready$", "timeout": "50s"},
    }));
    let text = "y".repeat(500_000);
    let mut refused = None;
    for _ in 0..5 {
        let outcome = client.call("session_input", json!({"sessionId": session, "text": text}));
        if outcome.is_error {
            refused = Some(outcome.code());
            break;
        }
    }
    assert_eq!(refused.as_deref(), Some("overloaded"));
    assert_eq!(client.ok("session_list", json!({}))["total"], 1);
    client.ok("session_close", json!({"sessionId": session, "mode": "emergency"}));
}
