//! Several clients at one server, over HTTP: what they get, who is let in, and what is left at the end.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::http::HttpServer;
use crate::support::{Flag, Scratch, marker, processes_with, server, until};

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

#[test]
fn a_client_of_the_older_era_is_served() {
    let state = Scratch::new("http");
    let server = HttpServer::start(state.path());
    let mut client = server.client();
    let listed = client.post("tools/list", json!({})).message();
    let tools = listed["result"]["tools"].as_array().expect("tools");
    assert!(tools.iter().any(|tool| tool["name"] == "command_execute"), "{listed}");
    let shell = client.shell();
    let ran = client.ok("command_execute", json!({"sessionId": shell, "command": "echo one $((1 + 1))"}));
    assert_eq!(ran["output"], "one 2\n", "{ran}");

    assert_eq!(server.send("DELETE /mcp", &client.headers(), "").status, 204);
    let gone = client.post("ping", json!({}));
    assert_eq!(gone.status, 404, "the client is told to shake hands again");
    // What it started belongs to the server.
    let sessions = server.client().ok("session_list", json!({}));
    assert_eq!(sessions["sessions"][0]["sessionId"], shell.as_str(), "{sessions}");
}

#[test]
fn a_client_of_the_newer_era_is_served() {
    let state = Scratch::new("http");
    let server = HttpServer::start(state.path());
    let found = server.post_modern(1, "server/discover", json!({})).message();
    let server_info = &found["result"]["_meta"]["io.modelcontextprotocol/serverInfo"];
    assert_eq!(server_info["name"], "shellherd", "{found}");
    let call = |id: u64, tool: &str, arguments: Value| {
        let params = json!({"name": tool, "arguments": arguments});
        server.post_modern(id, "tools/call", params).message()["result"]["structuredContent"].clone()
    };
    let shell = call(2, "session_create", json!({"shell": "/bin/bash", "profile": "clean"}));
    let ran = call(2, "command_execute", json!({"sessionId": shell["sessionId"], "command": "echo modern"}));
    assert_eq!(ran["output"], "modern\n", "{ran}");

    for gone in ["ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"] {
        let mut refused = server.post_modern(5, gone, json!({}));
        assert_eq!(refused.status, 404, "{gone}");
        assert_eq!(refused.message()["error"]["code"], -32601, "{gone}");
    }

    // News of one resource, while its shell prints.
    let uri = format!("session://{}/output", shell["sessionId"].as_str().expect("an id"));
    let wanted = json!({"notifications": {"resourceSubscriptions": [uri]}});
    let mut news = server.post_modern(3, "subscriptions/listen", wanted);
    assert_eq!(news.next().expect("what was promised")["method"], "notifications/subscriptions/acknowledged");
    call(4, "command_execute", json!({"sessionId": shell["sessionId"], "command": "echo news"}));
    let told = news.next().expect("an update");
    assert_eq!(
        (&told["method"], &told["params"]["uri"]),
        (&json!("notifications/resources/updated"), &json!(uri))
    );
}

#[test]
fn two_clients_work_at_a_time() {
    let state = Scratch::new("http");
    let server = HttpServer::start(state.path());
    let (mut one, mut two) = (server.client(), server.client());
    assert_ne!(one.session, two.session);
    let shell = one.shell();
    let flag = Flag::in_(&state);
    let waits = json!({"sessionId": shell, "command": flag.awaited() + "; echo first", "wait": "50s"});
    let mut waiting = one.post("tools/call", json!({"name": "command_execute", "arguments": waits}));
    // The same engine, and requests with the same ids.
    let other = two.shell();
    assert_eq!(two.latest_id(), one.latest_id() - 1);
    let ran = two.ok("command_execute", json!({"sessionId": other, "command": "echo second"}));
    assert_eq!(ran["output"], "second\n", "{ran}");
    let listed = two.ok("session_list", json!({}));
    assert_eq!(listed["sessions"].as_array().map(Vec::len), Some(2), "{listed}");
    flag.raise();
    let ran = waiting.message();
    assert_eq!(ran["result"]["structuredContent"]["output"], "first\n", "{ran}");
}

#[test]
fn only_who_has_the_token_and_comes_by_this_name_is_let_in() {
    let state = Scratch::new("http");
    let server = HttpServer::start(state.path());
    let with = |name: &'static str, value: String| {
        let mut headers = server.headers();
        headers.retain(|(known, _)| *known != name);
        headers.push((name, value));
        server.send("POST /mcp", &headers, PING).status
    };
    // It is let in, and told that it has not shaken hands.
    assert_eq!(with("Origin", format!("http://{}", server.address)), 400);
    assert_eq!(with("Authorization", format!("Bearer {}x", server.token)), 401);
    assert_eq!(with("Authorization", format!("Basic {}", server.token)), 401);
    let mut without = server.headers();
    without.retain(|(name, _)| *name != "Authorization");
    let refused = server.send("POST /mcp", &without, PING);
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer")));
    for host in ["example.com", "127.0.0.1", "127.0.0.1:1", "0.0.0.0:80"] {
        assert_eq!(with("Host", host.to_owned()), 403, "{host}");
    }
    for origin in ["http://example.com", "null", "http://127.0.0.1:1", "https://localhost", "nonsense"] {
        assert_eq!(with("Origin", origin.to_owned()), 403, "{origin}");
    }
    for request in ["POST /", "POST /mcp/x", "GET /"] {
        assert_eq!(server.send(request, &server.headers(), PING).status, 404, "{request}");
    }
    assert_eq!(server.send("PUT /mcp", &server.headers(), PING).status, 405);
}

#[test]
fn a_body_that_is_too_long_or_no_message_is_refused() {
    let state = Scratch::new("http");
    let server = HttpServer::start(state.path());
    let mut headers = server.headers();
    headers.push(("Content-Length", (1_u64 << 40).to_string()));
    assert_eq!(server.send("POST /mcp", &headers, PING).status, 413, "before it is read");
    let other_type = |kind: &str| {
        let mut headers = server.headers();
        headers.retain(|(name, _)| *name != "Content-Type");
        headers.push(("Content-Type", kind.to_owned()));
        headers
    };
    for (body, code, id) in [
        ("", -32_700, Value::Null),
        ("nonsense", -32_700, Value::Null),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping""#, -32_700, Value::Null),
        ("[]", -32_600, Value::Null),
        ("5", -32_600, Value::Null),
        (r#"{"jsonrpc":"2.0","method":5}"#, -32_600, Value::Null),
        (r#"{"jsonrpc":"1.0","id":7,"method":"ping"}"#, -32_600, json!(7)),
    ] {
        for headers in [server.headers(), other_type("Application/JSON; charset=utf-8")] {
            let mut refused = server.send("POST /mcp", &headers, body);
            let told = (refused.status, refused.header("content-type").map(str::to_owned));
            assert_eq!(told, (400, Some("application/json".to_owned())), "{body}");
            let message = refused.message();
            assert_eq!((&message["error"]["code"], &message["id"]), (&json!(code), &id), "{body}");
        }
        assert_eq!(server.send("POST /mcp", &other_type("text/plain"), body).status, 415, "{body}");
    }
    assert_eq!(server.send("POST /mcp", &other_type("text/plain"), PING).status, 415);
    server.client().shell();
}

#[test]
fn an_address_that_is_taken_is_named() {
    let state = Scratch::new("http");
    let server = HttpServer::start(state.path());
    let said = refused(&["--http", &server.address]);
    assert!(said.contains(&server.address) && said.contains("in use"), "{said}");
}

/// The server started with these flags, which it does not take, says why.
fn refused(flags: &[&str]) -> String {
    let state = Scratch::new("http");
    let output = server(state.path()).args(flags).stdin(Stdio::null()).output().expect("it runs");
    assert!(!output.status.success() && output.stdout.is_empty(), "{flags:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn only_addresses_of_this_machine_are_served() {
    for address in ["0.0.0.0:0", "192.0.2.1:80", "[::]:0", "8.8.8.8:53"] {
        let said = refused(&["--http", address]);
        assert!(said.contains("other machines") && said.contains("127.0.0.1:0"), "{said}");
    }
    for address in ["localhost", "127.0.0.1", "", "8640"] {
        let said = refused(&["--http", address]);
        assert!(said.contains("is not an IP address with a port"), "{said}");
    }
}

#[test]
fn a_token_may_come_from_a_private_file() {
    let state = Scratch::new("http");
    let file = state.path().join("token");
    let path = file.to_str().expect("a path of text");
    let set = |text: &str, mode: u32| {
        std::fs::write(&file, text).expect("a file can be written");
        std::fs::set_permissions(&file, Permissions::from_mode(mode)).expect("the file is ours");
    };
    let flags = ["--http", "127.0.0.1:0", "--http-token-file", path];
    assert!(refused(&flags).contains("No such file"));
    set("0123456789abcdef0123456789abcdef\n", 0o644);
    assert!(refused(&flags).contains("others may read"));
    for text in ["", "short", "two words, and long enough"] {
        set(text, 0o600);
        assert!(refused(&flags).contains("a token is one word"), "{text:?}");
    }
    set("0123456789abcdef0123456789abcdef\n", 0o600);
    let mut command = server(state.path());
    command.env("SHELLHERD_HTTP", "127.0.0.1:0").env("SHELLHERD_HTTP_TOKEN_FILE", &file);
    let server = HttpServer::spawn(command, Some("0123456789abcdef0123456789abcdef"));
    server.client().shell();
}

#[test]
fn progress_comes_before_the_answer() {
    let state = Scratch::new("http");
    let server = HttpServer::start(state.path());
    let mut client = server.client();
    let flag = Flag::in_(&state);
    let tasks =
        json!({"tasks": [{"id": "first", "command": flag.awaited()}, {"id": "second", "command": "true"}]});
    let run = client.ok("task_distribute", tasks)["runId"].clone();
    let waits = json!({"runId": run, "wait": "50s"});
    let call = json!({"name": "task_status", "arguments": waits, "_meta": {"progressToken": "here"}});
    let mut answer = client.post("tools/call", call.clone());
    let told = answer.next().expect("progress");
    assert_eq!(
        (&told["method"], &told["params"]["progressToken"]),
        (&json!("notifications/progress"), &json!("here"))
    );
    flag.raise();
    let id = client.latest_id();
    let mut progress = told["params"]["progress"].as_f64().expect("a number");
    loop {
        let message = answer.next().expect("the answer comes at the end");
        if message["id"] == id {
            assert_eq!(message["result"]["structuredContent"]["summary"]["completed"], 2, "{message}");
            break;
        }
        let next = message["params"]["progress"].as_f64().expect("a number");
        assert!(next > progress, "{message}");
        progress = next;
    }
    assert_eq!(answer.next(), None, "the stream ends with the answer");

    let mut answer = server.post_modern(9, "tools/call", call);
    assert!(std::iter::from_fn(|| answer.next()).any(|message| message["id"] == 9));
}

#[test]
fn a_cancelled_call_ends_and_its_command_goes_on() {
    let state = Scratch::new("http");
    let server = HttpServer::start(state.path());
    let mut client = server.client();
    let shell = client.shell();
    let (begun, flag) = (Flag::in_(&state), Flag::in_(&state));
    let command = format!("touch '{}'; {}; echo went on", begun.path().display(), flag.awaited());
    let call = json!({"sessionId": shell, "command": command, "wait": "50s"});
    let mut waiting = client.post("tools/call", json!({"name": "command_execute", "arguments": call}));
    until("the command runs", || begun.path().exists());
    assert_eq!(client.notify("notifications/cancelled", json!({"requestId": client.latest_id()})), 202);
    assert_eq!(waiting.next(), None, "no answer");
    // In the newer era, who goes away has cancelled.
    let follow =
        json!({"sessionId": shell, "wait": {"until": "match", "pattern": "^went on$", "timeout": "50s"}});
    let call = json!({"name": "session_output", "arguments": follow, "_meta": {"progressToken": 1}});
    let mut following = server.post_modern(1, "tools/call", call);
    assert_eq!(following.next().expect("a sign of life")["method"], "notifications/progress");
    following.hang_up();
    flag.raise();
    let shown = client.ok("session_output", follow);
    assert!(shown["output"].as_str().is_some_and(|output| output.contains("went on")), "{shown}");
}

/// A server with two clients, a stream of news and a call that waits; and what tells its processes.
fn check(end: Signal) {
    let state = Scratch::new("http");
    let mut server = HttpServer::start(state.path());
    let mark = marker();
    let (mut one, mut two) = (server.client(), server.client());
    let (shell, other) = (one.shell(), two.shell());
    two.ok("command_execute", json!({"sessionId": other, "command": format!("setsid sleep {mark} & true")}));
    let mut news = server.send("GET /mcp", &two.headers(), "");
    assert_eq!(news.status, 200);
    let waits = json!({"sessionId": shell, "command": format!("sleep {mark}"), "wait": "50s"});
    let mut waiting = one.post("tools/call", json!({"name": "command_execute", "arguments": waits}));
    until("both run", || processes_with(&mark).len() >= 2);
    server.process.signal(end);
    if end == Signal::KILL {
        server.process.until_exit();
    } else {
        let answer = waiting.message();
        let text = answer["result"]["content"][0]["text"].as_str().unwrap_or_default();
        assert!(text.contains("shutting_down"), "{answer}");
        assert_eq!(news.next(), None);
        server.process.until_exit();
        assert_eq!(processes_with(&mark), [0_u32; 0], "it ends what it started before it ends itself");
    }
    until("nothing is left", || processes_with(&mark).is_empty());
}

#[test]
fn sigterm_and_sigint_leave_nothing() {
    check(Signal::TERM);
    check(Signal::INT);
}

#[test]
fn sigkill_leaves_nothing() {
    check(Signal::KILL);
}

#[test]
fn the_end_of_input_is_no_end_for_a_server_over_http() {
    let state = Scratch::new("http");
    let mut server = HttpServer::start(state.path());
    server.process.hang_up();
    server.client().shell();
}
