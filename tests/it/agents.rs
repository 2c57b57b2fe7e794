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
    let all = json!({"sessions": [{"capability": "paint"}], "command": "echo here"});
    let all = client.ok("command_broadcast", all);
    assert_eq!(all["results"].as_array().map(Vec::len), Some(1), "{all}");
    assert_eq!(
        (&all["results"][0]["sessionId"], &all["results"][0]["output"]),
        (&json!(able), &json!("here\n"))
    );
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

#[test]
fn an_agent_is_there_again_with_its_session_after_a_crash() {
    let state = Scratch::new("agents");
    let mut client = Client::start_in(state.path());
    let new = json!({"name": "ada", "agentRole": "reviewer", "shell": "sh", "profile": "clean"});
    let session = client.ok("session_create", new)["sessionId"].clone();
    let taken = client.ok("session_snapshot", json!({"sessionId": session}));
    assert_eq!(taken["state"]["agentRole"], "reviewer", "{taken}");
    for payload in 1..=3 {
        client.ok("message_send", json!({"to": "ada", "payload": payload}));
    }
    let inbox = client.ok("message_receive", json!({"agentId": "ada", "max": 2}));
    let first = &inbox["messages"][0]["messageId"];
    client.ok("message_receive", json!({"agentId": "ada", "max": 0, "ack": [first]}));
    client.signal(rustix::process::Signal::KILL);
    client.until_exit();

    let mut client = Client::start_in(state.path());
    until_seen(&mut client, "ada", |agent| agent["status"] == "offline");
    let restored = client.ok("session_restore", json!({"sessionId": session}));
    assert_eq!(restored["agentId"], "ada", "{restored}");
    let shown = client.ok("session_status", json!({"sessionId": restored["sessionId"]}));
    assert_eq!((&shown["agentId"], &shown["agentRole"]), (&json!("ada"), &json!("reviewer")), "{shown}");
    let seen = until_seen(&mut client, "ada", |agent| agent["status"] == "idle");
    assert_eq!((&seen["sessionId"], &seen["role"]), (&restored["sessionId"], &json!("reviewer")), "{seen}");
    let inbox = client.ok("message_receive", json!({"agentId": "ada"}));
    let payloads: Vec<&Value> =
        inbox["messages"].as_array().expect("messages").iter().map(|message| &message["payload"]).collect();
    assert_eq!(payloads, [2, 3], "what was not acknowledged comes again: {inbox}");

    // While that one lives, others like it have agents of their own.
    let cloned = client.ok("session_clone", json!({"sessionId": restored["sessionId"]}));
    let again = client.ok("session_restore", json!({"snapshotId": taken["snapshotId"]}));
    let told = client.ok("session_restore", json!({"state": taken["state"]}));
    for (heir, id) in [(cloned, "ada-clone"), (again, "ada-2"), (told, "ada-3")] {
        assert_eq!(heir["agentId"], id, "{heir}");
        let shown = client.ok("session_status", json!({"sessionId": heir["sessionId"]}));
        assert_eq!(shown["agentRole"], "reviewer", "{id}: {shown}");
    }
    assert_eq!(client.ok("agent_list", json!({}))["total"], 4);
}

#[test]
fn an_agent_goes_in_its_time_though_its_leave_was_cancelled() {
    let mut client = Client::start();
    registered(&mut client, "a", &[]);
    client.ok("message_send", json!({"to": "a", "payload": 1}));
    let leaving = client.send_call("agent_deregister", json!({"agentId": "a", "timeout": 500}));
    until_seen(&mut client, "a", |agent| agent["status"] == "draining");
    client.notify("notifications/cancelled", json!({"requestId": leaving}));
    until_seen(&mut client, "a", Value::is_null);
}

#[test]
fn an_agent_that_is_registered_again_while_it_leaves_stays() {
    let mut client = Client::start();
    let session = registered(&mut client, "a", &[]);
    client.ok("message_send", json!({"to": "a", "payload": 1}));
    let leaving = client.send_call("agent_deregister", json!({"agentId": "a", "timeout": "40s"}));
    until_seen(&mut client, "a", |agent| agent["status"] == "draining");
    client.ok("agent_register", json!({"agentId": "a", "sessionId": session}));
    assert_eq!(client.outcome(leaving).code(), "illegal_transition");
    let sent = client.ok("message_send", json!({"to": "a", "payload": 2}));
    assert_eq!(sent["recipients"], json!(["a"]), "{sent}");
    assert_eq!(client.ok("agent_list", json!({}))["agents"][0]["queueDepth"], 2);
}

#[test]
fn a_try_that_took_too_long_is_followed_by_another_and_nothing_of_it_is_left() {
    let scratch = Scratch::new("agents");
    // The first try leaves something that no signal to its terminal reaches.
    let agent = program(
        &scratch,
        r#"if [ ! -s "$0.left" ]; then
               setsid sh -c 'trap "" INT TERM HUP; echo $$ > "$0.left"; while :; do sleep 1; done' "$0" &
               exec sleep 600
           fi
           left="/proc/$(cat "$0.left")/status"
           if [ -e "$left" ] && ! grep -q zombie "$left"; then echo "it lives"; else cat; fi"#,
    );
    let mut client = Client::start();
    let session = client.clean("sh");
    let before = client.run(&session, "sleep 600 & echo $!");
    let before = before.output().trim().to_owned();
    let run = json!({
        "sessionId": session, "prompt": "well", "command": agent, "timeout": 3_000, "maxRetries": 5, "retryDelay": 1,
    });
    let done = client.ok("agent_execute", run);
    assert_eq!((&done["output"], &done["status"]), (&json!("well"), &json!("completed")), "{done}");
    assert!(done["retryCount"].as_u64().is_some_and(|retries| retries >= 1), "{done}");
    let lives = client.run(&session, &format!("kill -0 {before}"));
    assert_eq!(lives.exit(), Some(0), "what was there before is left alone: {lives:?}");
    let never =
        json!({"prompt": "x", "command": "sleep 600", "timeout": 200, "maxRetries": 1, "retryDelay": 1});
    let never = client.call("agent_execute", never);
    let told = (&never.structured["status"], &never.structured["retryCount"]);
    assert_eq!(told, (&json!("timeout"), &json!(1)), "{never:?}");
}

#[test]
fn a_signal_between_two_tries_keeps_the_next_from_coming() {
    let mut client = Client::start();
    let session = registered(&mut client, "a", &[]);
    let run = json!({
        "agentId": "a", "prompt": "x", "command": "false", "maxRetries": 5, "retryDelay": "10m", "background": true,
    });
    let command = client.ok("agent_execute", run)["commandId"].as_str().expect("an id").to_owned();
    crate::support::until("the pause before the next try", || {
        let logs = client.ok("session_logs", json!({"sessionId": session, "kinds": ["decision"]}));
        logs["logs"].as_str().is_some_and(|text| text.contains("try 2 of 6"))
    });
    let sent = client.call("command_signal", json!({"sessionId": session, "signal": "USR1"}));
    assert_eq!(sent.code(), "command_not_running", "{sent:?}");
    let sent = client.ok("command_signal", json!({"sessionId": session, "signal": "TERM"}));
    assert!(sent["target"].as_str().is_some_and(|target| target.contains("not tried again")), "{sent}");
    let ended = client.ended(&command);
    assert_eq!((&ended.structured["reason"], ended.exit()), (&json!("cancelled"), Some(1)), "{ended:?}");
    assert_eq!(client.run(&session, "echo next").output(), "next\n");
}
