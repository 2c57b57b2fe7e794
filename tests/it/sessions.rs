//! Sessions: made, named, listed, changed, reset, closed, and watched.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::{Client, Flag, Outcome, Scratch, is_alive, marker, processes_with, shells, until};

fn names(page: &Value) -> Vec<&str> {
    page["sessions"]
        .as_array()
        .expect("sessions")
        .iter()
        .map(|s| s["name"].as_str().expect("a name"))
        .collect()
}

#[test]
fn a_session_needs_no_arguments() {
    let mut client = Client::start();
    let session = client.ok("session_create", json!({}));
    for field in ["sessionId", "name", "type", "status", "workingDirectory", "pid", "createdAt"] {
        assert!(!session[field].is_null(), "{field}: {session}");
    }
    assert_eq!((&session["type"], &session["status"]), (&json!("worker"), &json!("idle")), "{session}");
    let id = session["sessionId"].as_str().expect("an id");
    assert!(id.starts_with("ses_") && id.len() <= 12, "{id}");
    assert_eq!(client.run(id, "echo $((6 * 7))").output(), "42\n");
}

#[test]
fn names_are_labels_and_prefixes_are_enough() {
    let mut client = Client::start();
    let mut new = |name: &str| client.session(json!({"name": name, "profile": "clean"}));
    let (first, second, third) = (new("twin"), new("twin"), new("only"));
    let ambiguous = client.call("session_status", json!({"sessionId": "twin"}));
    assert_eq!(ambiguous.code(), "ambiguous_name", "{ambiguous:?}");
    for id in [&first, &second] {
        assert!(ambiguous.text.contains(id.as_str()), "{ambiguous:?}");
    }
    assert_eq!(client.status("only")["sessionId"], third.as_str());
    let prefix = &third[..third.len() - 1];
    assert_eq!(client.status(prefix)["sessionId"], third.as_str(), "{prefix}");
    assert_eq!(client.call("session_status", json!({"sessionId": "ses_"})).code(), "session_not_found");
    client.ok("session_close", json!({"sessionId": first, "mode": "force"}));
    assert_eq!(client.status("twin")["sessionId"], second.as_str(), "only one of them lives");
}

#[test]
fn an_observer_is_created_without_a_command_only() {
    let scratch = Scratch::new("observer");
    let mut client = Client::start();
    let (made, touched) = (scratch.path().join("made"), scratch.path().join("touched"));
    let refused = client.call(
        "session_create",
        json!({
            "type": "observer", "command": format!("touch {}", touched.display()),
            "workingDirectory": made, "createWorkingDirectory": true,
        }),
    );
    assert_eq!(refused.code(), "invalid_argument", "{refused:?}");
    assert_eq!(refused.error()["details"], json!({"field": "command", "conflictsWith": ["type"]}));
    assert_eq!(client.ok("session_list", json!({}))["total"], 0);
    assert!(!made.exists() && !touched.exists());
    let observer = client.session(json!({"type": "observer", "profile": "clean"}));
    assert_eq!(client.run(&observer, "true").code(), "permission_denied");
}

#[test]
fn a_missing_directory_is_named_with_what_exists() {
    let scratch = Scratch::new("missing");
    let wanted = scratch.path().join("not").join("there");
    let mut client = Client::start();
    let refused = client.call("session_create", json!({"workingDirectory": wanted}));
    assert_eq!(refused.code(), "invalid_argument", "{refused:?}");
    let text = refused.error().to_string();
    assert!(text.contains(&wanted.display().to_string()), "{text}");
    assert!(text.contains(&format!("{} ", scratch.path().display())), "{text}");
    assert!(!scratch.path().join("not").exists());
    assert_eq!(client.ok("session_list", json!({}))["total"], 0, "nothing changed");
    let created = client.ok("session_create", json!({"workspace": wanted, "createWorkingDirectory": true}));
    assert_eq!(created["workingDirectory"], wanted.display().to_string());
    assert!(wanted.is_dir());
}

#[test]
fn a_missing_shell_is_named_with_those_that_exist() {
    let mut client = Client::start();
    for shell in ["no-such-shell", "/no/such/shell", "/etc/passwd"] {
        let refused = client.call("session_create", json!({"shell": shell}));
        assert_eq!(refused.code(), "spawn_failed", "{refused:?}");
        let text = refused.error().to_string();
        assert!(text.contains(shell) && text.contains("bash"), "{text}");
    }
    assert_eq!(client.ok("session_list", json!({}))["total"], 0, "nothing changed");
}

#[test]
fn a_program_that_fails_at_once_is_no_session() {
    let mut client = Client::start();
    let answer = client.call("session_create", json!({"shell": "false"}));
    if let Some(id) = answer.structured["sessionId"].as_str() {
        // On a busy machine it had not even begun when the answer was due; its end is told all the same.
        let shown = client.until_status(id, "error");
        assert!(shown["endReason"].to_string().contains("code 1"), "{shown}");
    } else {
        assert_eq!(answer.code(), "spawn_failed", "{answer:?}");
        assert!(answer.error().to_string().contains("code 1"), "{answer:?}");
    }
    let done = client.ok("session_create", json!({"shell": "true"}));
    client.until_status(done["sessionId"].as_str().expect("an id"), "completed");
}

#[test]
fn a_first_command_runs_while_creation_returns() {
    let scratch = Scratch::new("first");
    let mut client = Client::start();
    for (shell, path) in shells().into_iter().filter(|(shell, _)| *shell != "fish") {
        let flag = Flag::in_(&scratch);
        let command = format!("{}; echo was first", flag.awaited());
        let session = client.session(json!({"shell": path, "profile": "clean", "command": command}));
        let shown = client.until_status(&session, "active");
        assert_eq!(shown["lastCommand"]["running"], true, "{shell}: {shown}");
        let id = shown["lastCommand"]["commandId"].as_str().expect("an id").to_owned();
        flag.raise();
        assert_eq!(client.ended(&id).output(), "was first\n", "{shell}");
    }
}

#[test]
fn sessions_are_listed_filtered_ordered_and_paged() {
    let mut client = Client::start();
    let scratch = Scratch::new("list");
    let empty = client.request("tools/call", json!({"name": "session_list"}));
    assert_eq!(empty["result"]["structuredContent"]["total"], 0, "{empty}");
    for (name, kind, rank) in [("alpha", "worker", 3), ("beta", "department", 1), ("gamma", "director", 2)] {
        client.session(json!({
            "name": name, "type": kind, "profile": "clean", "capabilities": [name, "common"],
            "metadata": {"rank": rank, "team": {"lead": name}}, "workingDirectory": scratch.path(),
        }));
    }
    client.run("beta", "exit 0");
    client.until_status("beta", "completed");
    client.ok("agent_register", json!({"sessionId": "gamma", "agentId": "lead"}));
    let mut listed = |arguments: Value| {
        let page = client.ok("session_list", arguments);
        names(&page).join(" ")
    };
    assert_eq!(listed(json!({"orderBy": [{"field": "name", "direction": "desc"}]})), "gamma beta alpha");
    assert_eq!(listed(json!({"orderBy": {"field": "metadata.rank"}})), "beta gamma alpha");
    assert_eq!(listed(json!({"query": "ALPH"})), "alpha");
    assert_eq!(listed(json!({"query": scratch.path(), "orderBy": [{"field": "name"}]})), "alpha beta gamma");
    assert_eq!(listed(json!({"type": "director"})), "gamma");
    assert_eq!(listed(json!({"status": ["completed"]})), "beta");
    assert_eq!(listed(json!({"status": "IDLE", "orderBy": [{"field": "name"}]})), "alpha gamma");
    assert_eq!(listed(json!({"capabilities": ["common", "gamma"]})), "gamma");
    assert_eq!(listed(json!({"metadata": {"team.lead": "beta"}})), "beta");
    assert_eq!(listed(json!({"name": "*a*mm*"})), "gamma");
    assert_eq!(listed(json!({"agentId": "lead"})), "gamma");
    assert_eq!(listed(json!({"agentId": "lead", "type": "worker"})), "");
    assert_eq!(listed(json!({"agentId": "nobody"})), "");
    assert_eq!(listed(json!({"orderBy": [{"field": "name"}], "page": 2, "pageSize": 2})), "gamma");
    let page = client.ok("session_list", json!({"pageSize": 2}));
    assert_eq!(
        (&page["total"], &page["page"], &page["pageSize"]),
        (&json!(3), &json!(1), &json!(2)),
        "{page}"
    );
    let live = &client.ok("session_list", json!({"name": "alpha"}))["sessions"][0];
    assert!(live["memory"].as_f64().is_some_and(|memory| memory > 0.1) && live["cpu"].is_number(), "{live}");
    let wrong = client.call("session_list", json!({"orderBy": [{"field": "colour"}]}));
    assert_eq!(wrong.code(), "invalid_argument", "{wrong:?}");
}

#[test]
fn a_detailed_status_says_more() {
    let mut client = Client::start();
    let arguments = json!({"profile": "clean", "env": {"PLAIN": "shown"}, "rows": 30, "cols": 100});
    let session = client.session(arguments);
    client.run(&session, "false");
    let plain = client.status(&session);
    assert_eq!(plain.get("details"), None, "{plain}");
    assert_eq!(plain["lastCommand"]["exitCode"], 1, "{plain}");
    let detailed = client.ok("session_status", json!({"sessionId": session, "detailed": true}));
    let details = &detailed["details"];
    assert_eq!((&details["rows"], &details["cols"]), (&json!(30), &json!(100)), "{detailed}");
    assert_eq!(
        (&details["commandsExecuted"], &details["commandsFailed"]),
        (&json!(1), &json!(1)),
        "{detailed}"
    );
    assert_eq!(
        (&details["profile"], &details["env"]["PLAIN"]),
        (&json!("clean"), &json!("shown")),
        "{detailed}"
    );
    assert!(details["statusAs"].is_object() && details["uuid"].is_string(), "{detailed}");
}

#[test]
fn a_session_is_changed() {
    let mut client = Client::start();
    let session = client.session(json!({"profile": "clean", "metadata": {"a": 1, "deep": {"x": 1, "y": 2}}}));
    let mut update = |change: Value| {
        let mut arguments = change;
        arguments["sessionId"] = json!(session);
        client.call("session_update", arguments)
    };
    let renamed = update(json!({"name": "renamed", "metadata": {"b": 2, "a": null, "deep": {"x": 5}}}));
    assert_eq!(renamed.structured["name"], "renamed", "{renamed:?}");
    assert!(
        !update(json!({"capabilities": ["rust"], "env": {"ADDED": "later"}, "rows": 33, "cols": 77}))
            .is_error
    );
    let start = std::time::Instant::now();
    let same = update(json!({"status": "idle"}));
    assert!(!same.is_error && start.elapsed().as_secs() < 20, "it was waited for an end: {same:?}");
    let illegal = update(json!({"status": "recovering"}));
    assert_eq!(illegal.code(), "illegal_transition", "{illegal:?}");
    let text = illegal.error().to_string();
    assert!(text.contains("completed") && text.contains("terminated"), "{text}");
    assert_eq!(update(json!({})).code(), "invalid_argument");
    assert_eq!(update(json!({"rows": 0})).code(), "invalid_argument");
    let shown = client.status("renamed");
    assert_eq!(shown["metadata"], json!({"deep": {"x": 5, "y": 2}, "b": 2}), "{shown}");
    assert_eq!(shown["capabilities"], json!(["rust"]), "{shown}");
    assert_eq!(client.run(&session, "stty size; echo $ADDED").output(), "33 77\nlater\n");
    let ended = client.ok("session_update", json!({"sessionId": session, "status": "completed"}));
    assert_eq!(ended["status"], "completed", "{ended}");
    let pid = shown["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).expect("a pid");
    until("the shell is gone", || !is_alive(pid));
}

#[test]
fn a_reset_puts_a_fresh_shell_under_the_same_id() {
    let mut client = Client::start();
    for (shell, path) in shells() {
        let fish = shell == "fish";
        let session = client.session(json!({"shell": path, "profile": "clean", "env": {"FROM": "creation"}}));
        let pid = client.status(&session)["pid"].clone();
        client.run(
            &session,
            if fish { "set -gx FROM changed; cd /usr" } else { "export FROM=changed; cd /usr" },
        );
        let mark = marker();
        let running = client.start_command(&session, &format!("sleep {mark}"));
        until("the sleep runs", || !processes_with(&mark).is_empty());
        let reset = client.ok("session_reset", json!({"sessionId": session}));
        assert_eq!(
            (&reset["sessionId"], &reset["status"]),
            (&json!(session), &json!("idle")),
            "{shell}: {reset}"
        );
        assert_ne!(reset["pid"], pid, "{shell}");
        assert_eq!(processes_with(&mark), [0_u32; 0], "{shell}");
        let lost = client.ended(&running);
        assert_eq!(lost.structured["reason"], "session_lost", "{shell}: {lost:?}");
        assert_eq!(client.run(&session, "echo $FROM").output(), "creation\n", "{shell}");
        assert_eq!(client.status(&session).get("retryCount"), None, "{shell}: no recovery was tried");
    }
}

/// A session in `error` comes back by a reset.
#[test]
fn a_reset_revives_a_session_whose_shell_died() {
    let mut client = Client::start();
    let session = client.clean("/bin/bash");
    client.run(&session, "exit 9");
    client.until_status(&session, "error");
    assert_eq!(client.ok("session_reset", json!({"sessionId": session}))["status"], "idle");
    assert_eq!(client.run(&session, "echo back").output(), "back\n");
}

fn closed(client: &mut Client, arguments: Value) -> Value {
    let closed = client.ok("session_close", arguments);
    assert_eq!(closed["success"], true, "{closed}");
    closed
}

#[test]
fn closing_leaves_nothing() {
    let mut client = Client::start();
    let stubborn =
        |mark: &str| format!("sh -c 'trap \"\" TERM HUP INT; sleep {mark} & wait; wait' & sleep 0");
    for (mode, command, forced) in [
        ("graceful", "sleep MARK & setsid sleep MARK & sleep 0", false),
        ("force", "STUBBORN", true),
        ("emergency", "STUBBORN", true),
    ] {
        let session = client.clean("/bin/bash");
        let mark = marker();
        client.run(&session, &command.replace("STUBBORN", &stubborn(&mark)).replace("MARK", &mark));
        until("the children run", || processes_with(&mark).len() >= 2);
        let answer = closed(&mut client, json!({"sessionId": session, "mode": mode, "reason": "enough"}));
        assert_eq!(answer["sessionIds"], json!([session]), "{mode}: {answer}");
        if mode != "emergency" {
            assert_eq!(answer["forced"] == true, forced, "{mode}: {answer}");
        }
        assert_eq!(processes_with(&mark), [0_u32; 0], "{mode}");
        let shown = client.status(&session);
        assert_eq!(shown["status"], "terminated", "{mode}: {shown}");
        assert!(shown["endReason"].as_str().expect("a reason").contains("enough"), "{mode}: {shown}");
        let late = client.call("session_input", json!({"sessionId": session, "text": "x"}));
        assert_eq!(late.code(), "session_closed", "{mode}");
    }
}

#[test]
fn what_starts_while_a_session_ends_is_asked_to_end_as_well() {
    let mut client = Client::start();
    let session = client.clean("/bin/bash");
    let mark = marker();
    let last_words =
        format!("sh -c 'trap \"setsid sleep {mark} & exit\" HUP TERM; sleep {mark} & wait' & sleep 0");
    client.run(&session, &last_words);
    // The second has the mark as its argument, and comes when the trap is set.
    until("the child runs", || processes_with(&mark).len() >= 2);
    let answer = closed(&mut client, json!({"sessionId": session, "mode": "graceful"}));
    assert_eq!(answer.get("forced"), None, "{answer}");
    assert_eq!(processes_with(&mark), [0_u32; 0]);
}

#[test]
fn a_grace_period_is_given_and_kept() {
    let mut client = Client::start();
    let session = client.clean("/bin/bash");
    let mark = marker();
    client.run(&session, &format!("sh -c 'trap \"\" TERM HUP; sleep {mark}; sleep {mark}' & sleep 0"));
    until("the child runs", || !processes_with(&mark).is_empty());
    let answer = closed(&mut client, json!({"sessionId": session, "timeout": 300}));
    assert_eq!(answer["forced"], true, "{answer}");
    assert_eq!(processes_with(&mark), [0_u32; 0]);
}

#[test]
fn departments_are_closed_before_their_directors() {
    let mut client = Client::start();
    let new = |client: &mut Client, name: &str, kind: &str| {
        client.session(json!({"name": name, "type": kind, "profile": "clean"}))
    };
    let director = new(&mut client, "director", "director");
    let others = [new(&mut client, "one", "department"), new(&mut client, "two", "worker")];
    let answer = closed(&mut client, json!({"all": true}));
    let ids = answer["sessionIds"].as_array().expect("ids");
    assert_eq!(ids.len(), 3, "{answer}");
    assert_eq!(ids[2], director.as_str(), "{answer}");
    let mut ended = |session: &str| client.status(session)["endedAt"].as_str().expect("it ended").to_owned();
    let last = ended(&director);
    for other in others {
        assert!(ended(&other) <= last);
    }
    new(&mut client, "fleet-1", "worker");
    new(&mut client, "fleet-2", "worker");
    assert_eq!(
        closed(&mut client, json!({"pattern": "fleet-*"}))["sessionIds"].as_array().map(Vec::len),
        Some(2)
    );
    assert_eq!(client.call("session_close", json!({})).code(), "invalid_argument");
}

#[test]
fn an_observer_runs_nothing() {
    let mut client = Client::start();
    let session = client.session(json!({"type": "observer", "profile": "clean"}));
    let refused = |outcome: Outcome| assert_eq!(outcome.code(), "permission_denied", "{outcome:?}");
    refused(client.call("command_execute", json!({"sessionId": session, "command": "true"})));
    refused(client.call("command_batch", json!({"sessionId": session, "commands": ["true"]})));
    refused(client.call("session_input", json!({"sessionId": session, "text": "x"})));
    client.ok("session_output", json!({"sessionId": session}));
}

/// Any program is a session; only shells have commands.
#[test]
fn a_plain_program_is_typed_into() {
    let mut client = Client::start();
    let session = client.session(json!({"shell": "cat", "name": "echoes"}));
    let typed = client.ok("session_input", json!({
        "sessionId": session, "text": "hello", "enter": true, "wait": {"until": "match", "pattern": "hello\\s*$"},
    }));
    assert!(typed["written"] == 6 && typed["cursor"].is_number(), "{typed}");
    let wait = json!({"until": "match", "pattern": "hello", "timeout": "30s"});
    let read = client.ok("session_output", json!({"sessionId": session, "since": 0, "wait": wait}));
    assert!(read["output"].as_str().expect("output").contains("hello"), "{read}");
    let refused = client.call("command_execute", json!({"sessionId": session, "command": "true"}));
    assert_eq!(refused.code(), "unsupported", "{refused:?}");
    client.ok("session_input", json!({"sessionId": session, "keys": ["ctrl-d"], "wait": {"until": "exit"}}));
    client.until_status(&session, "completed");
}

/// What is shown is true, also when nobody asked for what happened.
#[test]
fn a_killed_shell_is_an_error_without_being_asked() {
    let mut client = Client::start();
    for (shell, path) in shells() {
        let session = client.clean(&path);
        let mark = marker();
        let running = client.start_command(&session, &format!("sleep {mark}"));
        until("the sleep runs", || !processes_with(&mark).is_empty());
        let pid =
            client.status(&session)["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).expect("a pid");
        kill_process(Pid::from_raw(pid).expect("a pid"), Signal::KILL).expect("it is ours");
        // A call that waits is told without anybody polling.
        let lost = client.ended(&running);
        assert!(lost.is_error, "{shell}: {lost:?}");
        let shown = client.until_status(&session, "error");
        assert_eq!(shown["exitCode"], 137, "{shell}: {shown}");
        until("the child is gone", || processes_with(&mark).is_empty());
    }
}

#[test]
fn an_unused_session_is_closed_after_its_idle_timeout() {
    let mut client = Client::start();
    let session = client.session(json!({"profile": "clean", "idleTimeout": 300}));
    let shown = client.until_status(&session, "terminated");
    assert!(shown["endReason"].is_string(), "{shown}");
}

#[test]
fn what_was_just_typed_is_waited_for() {
    let mut client = Client::start();
    let session = client.clean("/bin/bash");
    let typed = json!({"sessionId": session, "text": "sleep 0.5; echo over and $((1 + 1))", "enter": true, "wait": "exit"});
    let answer = client.ok("session_input", typed);
    assert!(answer["output"].as_str().expect("output").contains("over and 2"), "{answer}");
    // Nothing runs: nothing to wait for.
    let reading = json!({"sessionId": session, "wait": {"until": "exit", "timeout": 5_000}});
    assert_eq!(client.ok("session_output", reading)["timedOut"], serde_json::Value::Null);
}
