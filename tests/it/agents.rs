//! Agents at work: prompts, tasks that need what they can do, and how they are seen meanwhile.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::support::{Client, Scratch, server};

/// An agent's program that says what it was told, on which arguments, and where.
fn program(scratch: &Scratch, body: &str) -> String {
    let path = scratch.path().join("agent");
    fs::write(&path, format!("#!/bin/sh\n{body}\n")).expect("can be written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("can be made a program");
    path.display().to_string()
}

fn registered(client: &mut Client, id: &str, capabilities: &[&str]) -> String {
    let session = client.clean("sh");
    client.ok("agent_register", json!({"sessionId": session, "agentId": id, "capabilities": capabilities}));
    session
}

/// How an agent is seen, as soon as that is accepted.
fn until_seen(client: &mut Client, id: &str, accept: impl Fn(&Value) -> bool) -> Value {
    let mut seen = Value::Null;
    crate::support::until("an agent", || {
        seen = client.ok("agent_list", json!({"pattern": id}))["agents"][0].clone();
        accept(&seen)
    });
    seen
}

#[test]
fn a_prompt_reaches_the_configured_program_on_its_stdin() {
    let scratch = Scratch::new("agents");
    let agent = program(&scratch, r#"echo "$# arguments in $(pwd)"; tr a-z A-Z"#);
    let mut command = server(scratch.path());
    command.env("SHELLHERD_AGENT_COMMAND", format!("{agent} -p"));
    let mut client = Client::connect(command, None);
    let session = registered(&mut client, "a", &[]);
    let prompt = "it's \"quoted\"; $(rm) `x`\nsecond line\n";
    let done = client.ok("agent_execute", json!({"agentId": "a", "prompt": prompt, "workingDirectory": "/"}));
    let output = format!("1 arguments in /\n{}", prompt.to_uppercase());
    assert_eq!((&done["output"], &done["status"]), (&json!(output), &json!("completed")), "{done}");
    assert_eq!((&done["agentId"], &done["sessionId"]), (&json!("a"), &json!(session)), "{done}");
    assert_eq!((&done["exitCode"], &done["retryCount"]), (&json!(0), &json!(0)), "{done}");
    let logs = client.ok("command_status", json!({"commandId": done["commandId"]}));
    assert_eq!(logs["output"], done["output"], "it is a command like any other");

    let by_session = json!({"sessionId": session, "prompt": "x", "command": "cat"});
    let by_session = client.ok("agent_execute", by_session);
    assert_eq!((&by_session["agentId"], &by_session["output"]), (&json!("a"), &json!("x")), "{by_session}");

    let alone = json!({"prompt": "x", "workingDirectory": scratch.path()});
    let alone = client.ok("agent_execute", alone);
    let directory = fs::canonicalize(scratch.path()).expect("is there");
    assert_eq!(alone["output"], format!("1 arguments in {}\nX", directory.display()), "{alone}");
    assert_eq!(alone.get("agentId"), None, "{alone}");
    assert_ne!(alone["sessionId"], json!(session));
    let made = client.ok("session_status", json!({"sessionId": alone["sessionId"]}));
    assert_eq!(made["status"], "idle", "it takes the next prompt: {made}");
}

#[test]
fn a_prompt_that_is_cancelled_before_it_begins_leaves_nothing() {
    let scratch = Scratch::new("agents");
    let agent = program(&scratch, r#"touch "$0.ran""#);
    let mut command = server(scratch.path());
    let open = scratch.path().join("open");
    let starts = format!("until [ -e '{}' ]; do sleep 0.02; done\n", open.display());
    fs::write(scratch.path().join("home/.bashrc"), starts).expect("can be written");
    command.env("SHELL", "/bin/bash");
    let mut client = Client::connect(command, None);
    let call = client.send_call("agent_execute", json!({"prompt": "x", "command": agent}));
    crate::support::until("a session", || client.ok("session_list", json!({}))["total"] == 1);
    client.notify("notifications/cancelled", json!({"requestId": call}));
    client.ok("agent_list", json!({}));
    fs::write(&open, "").expect("can be written");
    crate::support::until("its end", || {
        client.ok("session_list", json!({}))["sessions"][0]["status"] == "terminated"
    });
    assert!(!scratch.path().join("agent.ran").exists(), "nobody waits for what it says");
}

#[test]
fn a_session_with_a_role_is_an_agent_from_the_start() {
    let mut client = Client::start();
    let new = json!({"name": "ada", "agentRole": "reviewer", "shell": "sh", "profile": "clean"});
    let (first, second) = (client.ok("session_create", new.clone()), client.ok("session_create", new));
    assert_eq!((&first["agentId"], &second["agentId"]), (&json!("ada"), &json!("ada-2")), "{first} {second}");
    let listed = client.ok("agent_list", json!({"pattern": "ada"}));
    assert_eq!(listed["agents"][0]["role"], "reviewer", "{listed}");
    assert_eq!(listed["agents"][0]["sessionId"], first["sessionId"], "{listed}");
    let sent = client.ok("message_send", json!({"to": "ada-2", "payload": 1}));
    assert_eq!(sent["recipients"], json!(["ada-2"]), "{sent}");
    for role in [json!(" "), json!("a*"), json!("x".repeat(200)), json!({"title": "x"})] {
        let wrong = client.call("session_create", json!({"agentRole": role}));
        assert_eq!(wrong.code(), "invalid_argument", "{wrong:?}");
    }
    assert_eq!(client.ok("session_list", json!({}))["total"], 2);
}

#[test]
fn a_failure_is_tried_again_and_told() {
    let scratch = Scratch::new("agents");
    let agent =
        program(&scratch, r#"echo try >> "$0.tries"; [ "$(wc -l < "$0.tries")" -ge 3 ] && cat || exit 7"#);
    let mut client = Client::start();
    let run =
        |retries: u32| json!({"prompt": "well", "command": agent, "maxRetries": retries, "retryDelay": 1});
    let failed = client.call("agent_execute", run(0));
    assert!(failed.is_error, "{failed:?}");
    assert_eq!((&failed.structured["status"], failed.exit()), (&json!("failed"), Some(7)), "{failed:?}");
    let done = client.ok("agent_execute", run(5));
    assert_eq!((&done["output"], &done["retryCount"]), (&json!("well"), &json!(1)), "{done}");
}

#[test]
fn an_agent_that_takes_too_long_is_stopped() {
    let mut client = Client::start();
    registered(&mut client, "a", &[]);
    let slow = json!({"agentId": "a", "prompt": "x", "command": "sleep 600", "timeout": 200});
    let stopped = client.call("agent_execute", slow);
    assert_eq!(stopped.structured["status"], "timeout", "{stopped:?}");
    until_seen(&mut client, "a", |agent| agent["status"] == "idle");
}

#[test]
fn a_busy_agent_is_seen_as_one_and_has_its_prompts_queued() {
    let mut client = Client::start();
    let session = registered(&mut client, "a", &[]);
    let first = json!({"agentId": "a", "prompt": "x", "command": "sleep 600", "background": true});
    let first = client.ok("agent_execute", first);
    assert!(first["status"] == "running" || first["status"] == "queued", "{first}");
    let second = json!({"agentId": "a", "prompt": "later", "command": "cat", "wait": 0});
    let second = client.ok("agent_execute", second);
    assert_eq!(second["status"], "queued", "{second}");
    client.ok("message_send", json!({"to": "a", "payload": 1}));
    let seen = until_seen(&mut client, "a", |agent| agent["status"] == "busy");
    assert_eq!((&seen["queuedCommands"], &seen["queueDepth"]), (&json!(1), &json!(1)), "{seen}");
    client.ok("command_signal", json!({"sessionId": session, "signal": "SIGKILL"}));
    let second = client.ended(second["commandId"].as_str().expect("an id"));
    assert_eq!(second.output(), "later", "{second:?}");
    let seen = until_seen(&mut client, "a", |agent| agent["status"] == "idle");
    assert_eq!(seen.get("queuedCommands"), None, "{seen}");
}

#[test]
fn a_task_runs_with_the_agent_that_can_do_it() {
    let mut client = Client::start();
    client.clean("sh");
    let able = registered(&mut client, "painter", &["paint", "draw"]);
    let only = registered(&mut client, "drawer", &["draw"]);
    let task = |strategy: &str, requirements: &[&str]| {
        json!({
            "tasks": [{"command": "true", "requirements": requirements}],
            "strategy": strategy,
        })
    };
    for (strategy, requirements, session) in [
        ("capability", vec!["paint"], &able),
        ("affinity", vec!["paint"], &able),
        ("priority", vec!["draw", "paint"], &able),
        // What the other one can do besides is not wasted.
        ("capability", vec!["draw"], &only),
    ] {
        until_seen(&mut client, "painter", |agent| agent["status"] == "idle");
        until_seen(&mut client, "drawer", |agent| agent["status"] == "idle");
        let run = client.ok("task_distribute", task(strategy, &requirements));
        let tasks = client.ok("task_status", json!({"runId": run["runId"], "wait": "50s"}));
        let ran = &tasks["tasks"][0];
        assert_eq!((&ran["status"], &ran["sessionId"]), (&json!("completed"), &json!(session)), "{tasks}");
    }
    let seen = until_seen(&mut client, "painter", |agent| agent["status"] == "idle");
    assert_eq!(seen["progress"], 100.0, "{seen}");
}

#[test]
fn what_is_wrong_is_refused_and_starts_nothing() {
    let mut client = Client::start();
    let session = registered(&mut client, "a", &[]);
    let large = "x".repeat((1 << 20) + 1);
    for (arguments, code) in [
        (json!({"agentId": "a"}), "invalid_argument"),
        (json!({"agentId": "a", "prompt": " "}), "invalid_argument"),
        (json!({"agentId": "a", "prompt": large}), "invalid_argument"),
        (json!({"agentId": "a", "prompt": "x", "command": ""}), "invalid_argument"),
        (json!({"agentId": "a", "sessionId": session, "prompt": "x"}), "invalid_argument"),
        (json!({"agentId": "nobody", "prompt": "x"}), "agent_not_found"),
        (json!({"sessionId": "ses_none", "prompt": "x"}), "session_not_found"),
        (json!({"agentId": "a", "prompt": "x", "maxRetries": 101}), "invalid_argument"),
        (json!({"agentId": "a", "prompt": "x", "timeout": 0}), "invalid_argument"),
        (json!({"agentId": "a", "prompt": "x", "promt": "y"}), "invalid_argument"),
        (json!({"prompt": "x", "workingDirectory": "/nowhere/at/all"}), "invalid_argument"),
    ] {
        let shown = arguments.to_string();
        let outcome = client.call("agent_execute", arguments);
        assert_eq!(outcome.code(), code, "{shown:.80}");
    }
    assert_eq!(client.ok("session_list", json!({}))["total"], 1);
    let status = client.ok("session_status", json!({"sessionId": session, "detailed": true}));
    assert_eq!(status["details"]["commandsExecuted"], 0, "{status}");
    client.ok("message_send", json!({"to": "a", "payload": 1}));
    let leaving = client.send_call("agent_deregister", json!({"agentId": "a", "timeout": "40s"}));
    until_seen(&mut client, "a", |agent| agent["status"] == "draining");
    assert_eq!(
        client.call("agent_execute", json!({"agentId": "a", "prompt": "x"})).code(),
        "agent_not_found"
    );
    client.ok("message_receive", json!({"agentId": "a", "ack": true}));
    assert_eq!(client.outcome(leaving).structured["drained"], true);
}
