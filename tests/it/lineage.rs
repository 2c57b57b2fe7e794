//! Sessions that are started later, cloned, moved, snapshotted and restored.

use serde_json::{Value, json};

use crate::support::{Client, Flag, Scratch, server, shells};

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
        ("session_reset", json!({"sessionId": "later"})),
        ("error_recover", json!({"sessionId": "later", "strategy": "restart"})),
    ] {
        let refused = client.call(tool, arguments);
        assert_eq!(refused.code(), "session_closed", "{refused:?}");
        assert!(refused.error()["hint"].as_str().is_some_and(|hint| hint.contains("session_start")));
    }
    for resources in
        [json!({"cpu": "many"}), json!({"memory": "lots"}), json!({"memory": "1"}), json!({"ram": "1g"})]
    {
        let refused = client.call("session_start", json!({"sessionId": "later", "resources": resources}));
        assert_eq!(refused.code(), "invalid_argument", "{refused:?}");
    }
    assert_eq!(client.status("later")["status"], "initializing", "nothing changed");
    let resources = json!({"memory": "512m", "cpu": "2", "disk": "10g"});
    let started = client.ok("session_start", json!({"sessionId": "later", "resources": resources}));
    assert!(started["pid"].is_u64(), "{started}");
    let held = &started["resources"];
    assert!(held["cpu"].as_str().is_some_and(|cpu| cpu.starts_with("runs on")), "{started}");
    assert!(held["disk"].as_str().is_some_and(|disk| disk.contains("10737418240")), "{started}");
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
fn a_session_that_was_not_started_is_brought_back_as_it_was() {
    let state = Scratch::new("unstarted");
    let mut client = Client::start_in(state.path());
    let new = json!({"shell": "/bin/bash", "profile": "clean", "autoStart": false, "command": "echo first"});
    let session = client.ok("session_create", new)["sessionId"].as_str().expect("an id").to_owned();
    let taken = client.ok("session_snapshot", json!({"sessionId": session}));
    let kept = &taken["state"];
    assert_eq!((&kept["autoStart"], &kept["command"]), (&json!(false), &json!("echo first")), "{taken}");
    let clone = client.ok("session_clone", json!({"sessionId": session}));
    let by_state = client.ok("session_restore", json!({"state": kept}));
    let check = |client: &mut Client, made: &Value| {
        let id = made["sessionId"].as_str().expect("an id");
        assert_eq!(client.status(id).get("pid"), None, "{made}");
        client.ok("session_start", json!({"sessionId": id}));
        client.until_status(id, "idle");
        assert_eq!(client.status(id)["lastCommand"]["command"], "echo first");
        let output = client.ok("session_output", json!({"sessionId": id}));
        assert!(output["output"].as_str().is_some_and(|output| output.contains("\nfirst\n")), "{output}");
    };
    check(&mut client, &clone);
    check(&mut client, &by_state);
    client.signal(rustix::process::Signal::KILL);
    client.until_exit();
    let mut client = Client::start_in(state.path());
    let by_id = client.ok("session_restore", json!({"sessionId": session}));
    check(&mut client, &by_id);
    let by_snapshot = client.ok("session_restore", json!({"snapshotId": taken["snapshotId"]}));
    check(&mut client, &by_snapshot);
}

#[test]
fn what_a_session_is_given_of_the_machine_holds() {
    let scratch = Scratch::new("given");
    let mut client = Client::start();
    for (shell, path) in shells() {
        let new = json!({"profile": "clean", "shell": path, "autoStart": false});
        let session = client.ok("session_create", new)["sessionId"].as_str().expect("an id").to_owned();
        let small = json!({"sessionId": session, "resources": {"disk": "1m"}});
        assert_eq!(client.call("session_start", small).code(), "invalid_argument", "{shell}");
        let resources = json!({"cpu": "500m", "disk": "3m"});
        let started = client.ok("session_start", json!({"sessionId": session, "resources": resources}));
        let cpu = started["resources"]["cpu"].as_str().expect("cpu").to_owned();
        assert!(cpu.starts_with("runs on 1 of"), "{shell}: {started}");
        let check = |client: &mut Client| {
            assert_eq!(client.run(&session, "nproc").output(), "1\n", "{shell}");
            let write = |file: &str, blocks: u32| {
                format!("head -c {} /dev/zero > '{}/{file}'", blocks << 20, scratch.path().display())
            };
            assert_eq!(client.run(&session, &write("fits", 3)).exit(), Some(0), "{shell}");
            let broken = client.run(&session, &write("too-large", 4));
            assert_ne!(broken.exit(), Some(0), "{shell}: {broken:?}");
            let length = std::fs::metadata(scratch.path().join("too-large")).expect("a file").len();
            assert_eq!(length, 3 << 20, "{shell}");
        };
        check(&mut client);
        client.ok("session_reset", json!({"sessionId": session}));
        check(&mut client);
        let clone = client.ok("session_clone", json!({"sessionId": session}))["sessionId"].clone();
        assert_eq!(client.run(clone.as_str().expect("an id"), "nproc").output(), "1\n", "{shell}");
    }
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
    assert_eq!((&state["name"], &state["size"]["rows"]), (&json!("original"), &json!(31)), "{taken}");
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
fn a_session_whose_directory_is_gone_begins_where_it_was_created() {
    let scratch = Scratch::new("gone");
    let home = std::fs::canonicalize(scratch.path()).expect("is there");
    let mut client = Client::start();
    let session = client.session(json!({"shell": "/bin/bash", "profile": "clean", "workingDirectory": home}));
    client.run(&session, "mkdir sub; cd sub; rmdir \"$PWD\"");
    let taken = client.ok("session_snapshot", json!({"sessionId": session}));
    assert_eq!(taken["state"]["workingDirectory"], json!(home), "{taken}");
    client.run(&session, "mkdir -p ../later; cd ../later");
    let later = client.ok("session_snapshot", json!({"sessionId": session}));
    assert_eq!(later["state"]["workingDirectory"], json!(home.join("later")), "{later}");
    client.run(&session, "cd /; rmdir ~-");
    client.run(&session, "cd - || mkdir sub; cd sub; rmdir \"$PWD\"");
    let cloned = client.ok("session_clone", json!({"sessionId": session}));
    client.ok("session_close", json!({"sessionId": session, "mode": "force"}));
    let revived = client.ok("session_restore", json!({"sessionId": session}));
    let restored = client.ok("session_restore", json!({"snapshotId": later["snapshotId"]}));
    for heir in [cloned, revived, restored] {
        assert_eq!(heir["workingDirectory"], json!(home), "{heir}");
    }
}

#[test]
fn a_directory_whose_name_is_no_text_does_no_harm() {
    let scratch = Scratch::new("bytes");
    let mut client = Client::start();
    let new = json!({"shell": "/bin/bash", "profile": "clean", "workingDirectory": scratch.path()});
    let session = client.session(new.clone());
    let inside = client.run(&session, r"mkdir $'x\xffy'; cd $'x\xffy'; ls -d $'../x\xffy' | wc -l");
    assert_eq!(inside.output(), "1\n", "{inside:?}");
    let taken = client.ok("session_snapshot", json!({"sessionId": session}));
    client.ok("session_clone", json!({"sessionId": session}));
    client.ok("session_restore", json!({"snapshotId": taken["snapshotId"]}));
    let other = client.session(new);
    assert_eq!(client.run(&other, "echo fine").output(), "fine\n", "the store takes all this");
}

#[test]
fn a_clone_is_reset_to_where_it_began() {
    let scratch = Scratch::new("began");
    let home = std::fs::canonicalize(scratch.path()).expect("is there");
    let mut client = Client::start();
    let session = client.session(json!({"shell": "/bin/bash", "profile": "clean", "workingDirectory": home}));
    client.run(&session, "mkdir a b; cd a");
    let clone = client.ok("session_clone", json!({"sessionId": session}));
    let clone = clone["sessionId"].as_str().expect("an id").to_owned();
    client.run(&clone, "cd ../b");
    let reset = client.ok("session_reset", json!({"sessionId": clone}));
    assert_eq!(reset["workingDirectory"], json!(home.join("a")), "{reset}");
    let reset = client.ok("session_reset", json!({"sessionId": session}));
    assert_eq!(reset["workingDirectory"], json!(home), "{reset}");
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

#[test]
fn what_a_session_did_away_with_does_not_come_back() {
    let state = Scratch::new("unset");
    let start = || {
        let mut command = server(state.path());
        command.env("FROM_SERVER", "1").env("STAYS", "1").env("NO-NAME", "1");
        Client::connect(command, None)
    };
    let left = "echo \"<$FROM_SERVER$GIVEN>$STAYS\"";
    let mut client = start();
    let mut sessions = Vec::new();
    for (shell, path) in shells() {
        let new = json!({"shell": path, "profile": "clean", "env": {"GIVEN": "1"}});
        let session = client.session(new);
        assert_eq!(client.run(&session, left).output(), "<11>1\n", "{shell}");
        client.run(
            &session,
            if shell == "fish" { "set -gx PATH /of/the/session $PATH" } else { "PATH=/of/the/session:$PATH" },
        );
        let clone = client.ok("session_clone", json!({"sessionId": session}));
        let clone = clone["sessionId"].as_str().expect("an id");
        assert_eq!(client.run(clone, left).output(), "<11>1\n", "{shell}: nothing is gone yet");
        let path = client.run(clone, "sh -c 'echo \"$PATH\"'");
        let inherited = std::env::var("PATH").expect("there is one");
        assert_eq!(path.output(), format!("/of/the/session:{inherited}\n"), "{shell}");
        client.run(
            &session,
            if shell == "fish" { "set -e FROM_SERVER GIVEN" } else { "unset FROM_SERVER GIVEN" },
        );
        let clone = client.ok("session_clone", json!({"sessionId": session}));
        let clone = clone["sessionId"].as_str().expect("an id").to_owned();
        assert_eq!(client.run(&clone, left).output(), "<>1\n", "{shell}");
        let taken = client.ok("session_snapshot", json!({"sessionId": clone}));
        assert_eq!(taken["state"]["unset"], json!(["FROM_SERVER", "GIVEN"]), "{shell}: {taken}");
        for from in [json!({"snapshotId": taken["snapshotId"]}), json!({"state": taken["state"]})] {
            let restored = client.ok("session_restore", from);
            let restored = restored["sessionId"].as_str().expect("an id");
            assert_eq!(client.run(restored, left).output(), "<>1\n", "{shell}");
        }
        let recovered = client.ok("error_recover", json!({"sessionId": session, "strategy": "restart"}));
        assert_eq!(client.run(&session, left).output(), "<>1\n", "{shell}: {recovered}");
        client.ok("session_snapshot", json!({"sessionId": session}));
        sessions.push((shell, session));
    }
    client.signal(rustix::process::Signal::KILL);
    client.until_exit();
    let mut client = start();
    for (shell, session) in sessions {
        let restored = client.ok("session_restore", json!({"sessionId": session}));
        let restored = restored["sessionId"].as_str().expect("an id").to_owned();
        assert_eq!(client.run(&restored, left).output(), "<>1\n", "{shell}");
        client.ok("session_reset", json!({"sessionId": restored}));
        assert_eq!(client.run(&restored, left).output(), "<11>1\n", "{shell}: as created");
    }
    for wrong in [json!("A"), json!(["a b"]), json!(["A; reboot"])] {
        let refused = client.call("session_restore", json!({"state": {"unset": wrong}}));
        assert_eq!(refused.code(), "invalid_argument", "{refused:?}");
    }
}

#[test]
fn a_session_that_is_said_to_have_moved_is_there() {
    let mut client = Client::start();
    for (shell, path) in shells() {
        let session = client.session(json!({"shell": path, "profile": "clean", "workingDirectory": "/tmp"}));
        let hijack = if shell == "fish" { "function cd; echo taken; end" } else { "cd() { echo taken; }" };
        client.run(&session, hijack);
        let moved = json!({"sessionId": session, "workingDirectory": "/usr"});
        assert_eq!(client.ok("session_migrate", moved)["workingDirectory"], "/usr", "{shell}");
        // Whatever a wait that is too short comes to: it is the truth.
        let at_once = json!({"sessionId": session, "workingDirectory": "/usr/lib", "timeout": 0});
        let answer = client.call("session_migrate", at_once);
        let wanted = if answer.is_error { "/usr\n" } else { "/usr/lib\n" };
        assert_eq!(client.run(&session, "pwd").output(), wanted, "{shell}: {answer:?}");
        let running = client.start_command(&session, "sleep 600");
        let late = json!({"sessionId": session, "workingDirectory": "/", "timeout": 50});
        assert_eq!(client.call("session_migrate", late).code(), "timeout", "{shell}");
        client.ok("command_signal", json!({"sessionId": session, "signal": "TERM"}));
        client.ended(&running);
        assert_eq!(client.run(&session, "pwd").output(), wanted, "{shell}");
    }
}

#[test]
fn where_a_busy_shell_is_is_seen() {
    let mut client = Client::start();
    let session =
        client.session(json!({"shell": "/bin/bash", "profile": "clean", "workingDirectory": "/tmp"}));
    client.start_command(&session, "cd /usr/lib; sleep 600");
    crate::support::until("it is there", || client.status(&session)["workingDirectory"] == "/usr/lib");
    let taken = client.ok("session_snapshot", json!({"sessionId": session}));
    assert_eq!(taken["state"]["workingDirectory"], "/usr/lib", "{taken}");
}

#[test]
fn a_session_that_is_brought_back_has_its_context_and_its_bounds() {
    let state = Scratch::new("context");
    let mut client = Client::start_in(state.path());
    let new = json!({"shell": "/bin/bash", "profile": "clean", "autoStart": false});
    let session = client.ok("session_create", new)["sessionId"].clone();
    for (tool, arguments) in [
        ("session_reset", json!({"sessionId": session})),
        ("error_recover", json!({"sessionId": session, "strategy": "restart"})),
    ] {
        assert_eq!(client.call(tool, arguments).code(), "session_closed", "{tool} does not start it");
    }
    let resources = json!({"cpu": "1", "disk": "10m"});
    client.ok("session_start", json!({"sessionId": session, "resources": resources}));
    client.ok("context_add", json!({"sessionId": session, "role": "user", "content": "remember this"}));
    let taken = client.ok("session_snapshot", json!({"sessionId": session}));
    assert_eq!(taken["state"]["resources"], json!({"cpu": "1", "disk": 10 << 20}), "{taken}");
    client.signal(rustix::process::Signal::KILL);
    client.until_exit();
    let mut client = Client::start_in(state.path());
    for (from, remembers) in [
        (json!({"sessionId": session}), true),
        (json!({"snapshotId": taken["snapshotId"]}), true),
        (json!({"state": taken["state"]}), false),
    ] {
        let id = client.ok("session_restore", from)["sessionId"].as_str().expect("an id").to_owned();
        assert_eq!(client.run(&id, "nproc; ulimit -f").output(), "1\n10240\n");
        let context = client.ok("context_get", json!({"sessionId": id}));
        let count = context["messages"].as_array().map_or(0, Vec::len);
        assert_eq!(count, usize::from(remembers), "{context}");
    }
}
