//! Sessions that are started later, cloned, moved, snapshotted and restored.

use serde_json::{Value, json};

use crate::support::{Client, Flag, Scratch, shells};

#[test]
fn a_session_is_started_when_it_is_told_to() {
    let mut client = Client::start();
    let made = client.ok(
        "session_create",
        json!({"profile": "clean", "autoStart": false, "name": "later", "command": "echo first"}),
    );
    assert_eq!((&made["status"], made.get("pid")), (&json!("initializing"), None), "{made}");
    assert!(made["hint"].as_str().is_some_and(|hint| hint.contains("session_start")), "{made}");
    for (tool, arguments) in [
        ("command_execute", json!({"sessionId": "later", "command": "true"})),
        ("session_input", json!({"sessionId": "later", "text": "true"})),
    ] {
        let refused = client.call(tool, arguments);
        assert_eq!(refused.code(), "session_closed", "{refused:?}");
        assert!(refused.error()["hint"].as_str().is_some_and(|hint| hint.contains("session_start")));
    }
    for resources in [json!({"cpu": "many"}), json!({"memory": "lots"}), json!({"ram": "1g"})] {
        let refused = client.call("session_start", json!({"sessionId": "later", "resources": resources}));
        assert_eq!(refused.code(), "invalid_argument", "{refused:?}");
    }
    assert_eq!(client.status("later")["status"], "initializing", "nothing changed");
    let resources = json!({"memory": "512m", "cpu": "2", "disk": "10g"});
    let started = client.ok("session_start", json!({"sessionId": "later", "resources": resources}));
    assert!(started["pid"].is_u64(), "{started}");
    client.until_status("later", "idle");
    let shown = client.ok("session_status", json!({"sessionId": "later", "detailed": true}));
    assert_eq!(shown["limits"]["maxMemory"], 512 << 20, "{shown}");
    assert_eq!(
        (&shown["details"]["needsCpu"], &shown["details"]["needsDisk"]),
        (&json!(2.0), &json!(10_u64 << 30)),
        "{shown}"
    );
    assert_eq!(shown["lastCommand"]["command"], "echo first", "{shown}");
    let again = client.call("session_start", json!({"sessionId": "later"}));
    assert_eq!(again.code(), "illegal_transition", "{again:?}");
}

#[test]
fn every_shell_is_cloned_with_what_it_had_exported() {
    let scratch = Scratch::new("clone");
    let mut client = Client::start();
    for (shell, path) in shells() {
        let session = client.session(json!({
            "name": shell, "shell": path, "profile": "clean", "env": {"GIVEN": "given", "A_TOKEN": "sesame123"},
            "metadata": {"team": "core"}, "capabilities": ["x"], "constraints": ["max-processes:64"], "rows": 31,
        }));
        let set = if shell == "fish" { "set -gx SET 'two  words'" } else { "export SET='two  words'" };
        assert!(client.run(&session, set).exit() == Some(0), "{shell}");
        client.run(&session, &format!("cd '{}'", scratch.path().display()));
        let made = client.ok("session_clone", json!({"sessionId": session}));
        let clone = made["sessionId"].as_str().expect("an id").to_owned();
        assert_eq!(made["name"], format!("{shell}-clone"), "{made}");
        assert_eq!(made["workingDirectory"], scratch.path().display().to_string(), "{shell}: {made}");
        let printed = client.run(&clone, "echo \"$GIVEN/$SET\"; test \"$A_TOKEN\" = sesame123");
        assert_eq!((printed.output(), printed.exit()), ("given/two  words\n", Some(0)), "{shell}");
        let shown = client.ok("session_status", json!({"sessionId": clone, "detailed": true}));
        assert_eq!(
            (&shown["metadata"], &shown["capabilities"], &shown["details"]["rows"]),
            (&json!({"team": "core"}), &json!(["x"]), &json!(31)),
            "{shell}"
        );
        assert_eq!(shown["limits"]["maxProcesses"], 64, "{shown}");
        let plain = client.ok(
            "session_clone",
            json!({"sessionId": session, "name": "plain", "resetState": true, "copyResources": false}),
        );
        let plain = plain["sessionId"].as_str().expect("an id").to_owned();
        assert_eq!(client.run(&plain, "echo \"$GIVEN/$SET\"").output(), "given/\n", "{shell}");
        let shown = client.status(&plain);
        assert_ne!(shown["workingDirectory"], scratch.path().display().to_string(), "{shell}");
        assert_eq!(shown["limits"].get("maxProcesses"), None, "{shown}");
        client.ok("session_close", json!({"all": true, "mode": "emergency"}));
    }
}

#[test]
fn a_session_moves_when_what_runs_is_over() {
    let scratch = Scratch::new("migrate");
    let target = scratch.path().join("it's here");
    std::fs::create_dir(&target).expect("a directory");
    let mut client = Client::start();
    let session = client.clean("/bin/bash");
    client.run(&session, "export KEPT=yes; echo before");
    let missing = scratch.path().join("missing");
    let refused = client.call("session_migrate", json!({"sessionId": session, "workingDirectory": missing}));
    assert_eq!(refused.code(), "invalid_argument", "{refused:?}");

    let flag = Flag::in_(&scratch);
    let running = client.start_command(&session, &flag.awaited());
    let arguments = json!({"sessionId": session, "workingDirectory": target, "timeout": 50});
    let late = client.call("session_migrate", arguments);
    assert_eq!(late.code(), "timeout", "{late:?}");
    let arguments = json!({"sessionId": session, "workingDirectory": target});
    let moving = client.send_call("session_migrate", arguments);
    flag.raise();
    let moved = client.outcome(moving).structured;
    assert_eq!(moved["sessionId"], session.as_str(), "{moved}");
    assert_eq!(moved["workingDirectory"], target.display().to_string(), "{moved}");
    assert_eq!(client.ended(&running).exit(), Some(0));
    let told = client.run(&session, "pwd; echo $KEPT");
    assert_eq!(told.output(), format!("{}\nyes\n", target.display()));
    let output = client.ok("session_output", json!({"sessionId": session}));
    assert!(output["output"].as_str().is_some_and(|text| text.contains("before")), "{output}");
    // Where it moved to is where a fresh shell starts.
    let arguments = json!({"sessionId": session, "workingDirectory": scratch.path(), "preserveState": false});
    client.ok("session_migrate", arguments);
    let told = client.run(&session, "pwd; echo \"<$KEPT>\"");
    assert_eq!(told.output(), format!("{}\n<>\n", scratch.path().display()));
}

#[test]
fn a_snapshot_is_restored_as_it_was() {
    let scratch = Scratch::new("snapshot");
    let mut client = Client::start();
    let session = client.session(json!({
        "name": "original", "shell": "/bin/bash", "profile": "clean", "rows": 31, "metadata": {"team": {"lead": "a"}},
        "env": {"A_TOKEN": "sesame123"},
    }));
    client.run(&session, "echo history line");
    client.run(&session, &format!("export SET='a b'; cd '{}'", scratch.path().display()));
    let taken = client.ok("session_snapshot", json!({"sessionId": session}));
    let state = &taken["state"];
    assert_eq!(state["env"], json!({"SET": "a b"}), "{taken}");
    assert_eq!((&state["name"], &state["rows"]), (&json!("original"), &json!(31)), "{taken}");
    assert!(state["lastCommand"].as_str().is_some_and(|text| text.starts_with("export SET")), "{taken}");
    client.run(&session, "export SET=later; cd /");
    let check = |client: &mut Client, restored: &Value, secret: &str| {
        let id = restored["sessionId"].as_str().expect("an id");
        assert_ne!(id, session);
        assert_eq!(restored["name"], "original", "{restored}");
        let told =
            client.run(id, "pwd; echo \"$SET\"; test \"$A_TOKEN\" = \"$0\" || test \"$A_TOKEN\" = sesame123");
        assert_eq!(told.output(), format!("{}\na b\n", scratch.path().display()), "{restored}");
        assert_eq!(told.exit().map(|code| code == 0), Some(!secret.is_empty()), "{restored}");
        assert_eq!(client.status(id)["metadata"], json!({"team": {"lead": "a"}}));
        let output = client.ok("session_output", json!({"sessionId": id}));
        output["output"].as_str().unwrap_or_default().contains("history line")
    };
    let restored = client.ok("session_restore", json!({"snapshotId": taken["snapshotId"]}));
    assert!(check(&mut client, &restored, "sesame123"), "the output goes on");
    let restored = client.ok("session_restore", json!({"state": state}));
    assert!(!check(&mut client, &restored, ""), "a state has no output");
    for wrong in [
        json!({}),
        json!({"snapshotId": "snp_nothing"}),
        json!({"state": {"colour": 1}}),
        json!({"snapshotId": taken["snapshotId"], "state": {}}),
    ] {
        let refused = client.call("session_restore", wrong);
        assert_eq!(refused.code(), "invalid_argument", "{refused:?}");
    }
    let live = client.call("session_restore", json!({"sessionId": session}));
    assert_eq!(live.code(), "illegal_transition", "{live:?}");
}

#[test]
fn a_session_of_a_server_that_died_is_brought_back() {
    let scratch = Scratch::new("revive");
    let state = Scratch::new("revived");
    let mut client = Client::start_in(state.path());
    for (shell, path) in shells() {
        let session = client.session(json!({
            "name": shell, "shell": path, "profile": "clean", "cols": 99, "env": {"GIVEN": "g"}, "metadata": {"k": shell},
        }));
        let set = if shell == "fish" {
            "set -gx SET 'a b'; set -gx MY_TOKEN sesame123"
        } else {
            "export SET='a b' MY_TOKEN=sesame123"
        };
        client.run(&session, "echo history line");
        client.run(&session, &format!("{set}; cd '{}'", scratch.path().display()));
        // Its record is committed with the next thing that is answered after it.
        client.ok("session_snapshot", json!({"sessionId": session}));
    }
    client.signal(rustix::process::Signal::KILL);
    client.until_exit();
    let mut client = Client::start_in(state.path());
    for (shell, _) in shells() {
        let listed = client.ok("session_list", json!({"name": shell}));
        let ended = &listed["sessions"][0];
        assert_eq!(ended["status"], "terminated", "{listed}");
        let shown = client.status(shell);
        assert_eq!(shown["endReason"], "server_restart", "{shown}");
        let restored = client.ok("session_restore", json!({"sessionId": ended["sessionId"]}));
        let id = restored["sessionId"].as_str().expect("an id").to_owned();
        assert_eq!(restored["name"], shell, "{restored}");
        let told = client.run(&id, "pwd; echo \"$GIVEN/$SET/$MY_TOKEN\"");
        assert_eq!(told.output(), format!("{}\ng/a b/\n", scratch.path().display()), "{shell}");
        let shown = client.ok("session_status", json!({"sessionId": id, "detailed": true}));
        assert_eq!(
            (&shown["metadata"], &shown["details"]["cols"]),
            (&json!({"k": shell}), &json!(99)),
            "{shown}"
        );
        assert_eq!(shown["details"]["restoredFrom"], ended["sessionId"], "{shown}");
        let output = client.ok("session_output", json!({"sessionId": id}));
        assert!(
            output["output"].as_str().is_some_and(|text| text.contains("history line")),
            "{shell}: {output}"
        );
    }
    let store = std::fs::read(state.path().join("shellherd.db")).expect("a store");
    assert!(!store.windows(9).any(|window| window == b"sesame123"), "no secret reached the store");
}
