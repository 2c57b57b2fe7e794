//! `autoAccept`: what programs ask is answered where the risk is low enough, and every decision is an event.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Client, Outcome, Scratch, shells, until};

/// A program that asks as agents do: a menu, answered by a key without Enter, or by Enter on what is marked.
const AGENT: &str = r#"
import os, sys, termios, tty
print("● I'll look first.\r\n")
print("╭──────────────────────────────────────╮")
print("│ Bash command                         │")
print("│                                      │")
print("│   %-34s │" % sys.argv[1])
print("│                                      │")
print("│ Do you want to proceed?              │")
print("│ ❯ 1. Yes                             │")
print("│   2. Yes, and don't ask again        │")
print("│   3. No, and tell me what to do      │")
print("╰──────────────────────────────────────╯", flush=True)
before = termios.tcgetattr(0)
tty.setraw(0)
key = os.read(0, 16)
termios.tcsetattr(0, termios.TCSANOW, before)
print("took", {b"1": "yes", b"\r": "yes", b"2": "for good", b"3": "no"}.get(key, repr(key)))
"#;

fn decisions(client: &mut Client, session: &str) -> Vec<Value> {
    let polled = client.ok("events_poll", json!({"sessionId": session, "types": ["decision"]}));
    let events = polled["events"].as_array().cloned().unwrap_or_default();
    events.into_iter().filter(|event| !event["prompt"].is_null()).collect()
}

/// Waits until so many prompts were decided.
fn decided(client: &mut Client, session: &str, count: usize) -> Vec<Value> {
    let mut found = Vec::new();
    until("prompts are decided", || {
        found = decisions(client, session);
        found.len() >= count
    });
    found
}

/// The command when it has ended; that it waits for input meanwhile ends no wait.
fn over(client: &mut Client, command: &str) -> Outcome {
    let ask = |client: &mut Client| client.call("command_status", json!({"commandId": command}));
    until("the command ends", || ask(client).exit().is_some());
    ask(client)
}

fn in_directory(client: &mut Client, shell: &str, directory: &Path, auto_accept: Value) -> String {
    client.session(
        json!({"shell": shell, "profile": "clean", "workingDirectory": directory, "autoAccept": auto_accept}),
    )
}

fn script(directory: &Path, text: &str) -> String {
    let path = directory.join("ask.sh");
    fs::write(&path, format!("#!/bin/sh\n{text}")).expect("a script");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
    path.display().to_string()
}

#[test]
fn every_shell_has_its_prompts_answered() {
    for (name, shell) in shells() {
        let scratch = Scratch::new("consent");
        let directory = scratch.path().canonicalize().expect("a directory");
        fs::write(directory.join("a.txt"), "a").expect("a file");
        let mut client = Client::start();
        let session =
            in_directory(&mut client, &shell, &directory, json!({"enabled": true, "riskThreshold": 6}));
        let removed = client.run(&session, "rm -i a.txt");
        assert_eq!(removed.exit(), Some(0), "{name}: {removed:?}");
        assert!(!directory.join("a.txt").exists(), "{name}");
        let event = &decided(&mut client, &session, 1)[0];
        assert_eq!(event["prompt"], "rm: remove regular file 'a.txt'?", "{name}: {event}");
        assert_eq!((&event["risk"], &event["answer"]), (&json!(6), &json!("y")), "{name}: {event}");
        assert_eq!(event["rules"][0], "deletes 6: rm: remove regular file 'a.txt'?", "{name}: {event}");

        let ask = script(&directory, "printf 'Continue? [y/N] '; read x; echo \"got $x\"\n");
        let answered = client.run(&session, &ask);
        assert!(answered.output().contains("got y"), "{name}: {answered:?}");
        let event = &decided(&mut client, &session, 2)[1];
        assert_eq!((&event["risk"], &event["answer"]), (&json!(5), &json!("y")), "{name}: {event}");

        let read = match name {
            // It edits the line itself, as `read -e` of bash does.
            "fish" => {
                is_left_to_the_caller(&mut client, &session, "read -P 'Go? [y/N] ' x; echo \"got $x\"");
                continue;
            }
            "zsh" => "read 'x?Go? [y/N] '; echo \"got $x\"",
            "bash" => "read -p 'Go? [y/N] ' x; echo \"got $x\"",
            _ => "printf 'Go? [y/N] '; read x; echo \"got $x\"",
        };
        let answered = client.run(&session, read);
        assert!(answered.output().contains("got y"), "{name}: {answered:?}");
        assert_eq!(decided(&mut client, &session, 3).len(), 3, "{name}: each was decided once");
        if name == "bash" {
            let answered = client.run(&session, "read -n1 -p 'Go? [y/N] ' x; echo; echo \"got $x\"");
            assert!(answered.output().contains("got y"), "{name}: {answered:?}");
            is_left_to_the_caller(&mut client, &session, "read -e -p 'Go? [y/N] ' x; echo \"got $x\"");
        }
    }
}

/// What edits a line looks to the terminal like what takes single keys: no letter is typed, with an Enter or without.
fn is_left_to_the_caller(client: &mut Client, session: &str, read: &str) {
    let before = decisions(client, session).len();
    let command = client.start_command(session, read);
    client.until_shown(session, "a pending prompt", |shown| shown["lastCommand"]["awaitingInput"] == true);
    client.ok("session_input", json!({"sessionId": session, "text": "mine", "enter": true}));
    let read = over(client, &command);
    assert!(read.output().contains("got mine"), "{read:?}");
    assert_eq!(decisions(client, session).len(), before);
}

#[test]
fn nothing_is_answered_unless_it_is_turned_on() {
    let scratch = Scratch::new("consent-off");
    let directory = scratch.path().canonicalize().expect("a directory");
    let ask = script(&directory, "printf 'Continue? [y/N] '; read x; echo \"got $x\"\n");
    let mut client = Client::start();
    let session = client.session(json!({"profile": "clean", "workingDirectory": directory}));
    assert!(client.status(&session)["autoAccept"].is_null());
    let command = client.start_command(&session, &ask);
    client.until_shown(&session, "a pending prompt", |shown| shown["lastCommand"]["awaitingInput"] == true);
    assert_eq!(decisions(&mut client, &session), Vec::<Value>::new());

    // It is turned on while the prompt stands there, first with too low a threshold.
    client.ok("session_update", json!({"sessionId": session, "autoAccept": {"enabled": true}}));
    let left = decided(&mut client, &session, 1).remove(0);
    assert_eq!((&left["risk"], &left["answer"]), (&json!(5), &Value::Null), "{left}");
    assert_eq!(left["reason"], "risk 5 is above the threshold 3", "{left}");
    assert_eq!(client.status(&session)["autoAccept"], json!({"enabled": true, "riskThreshold": 3}));
    client.ok("session_update", json!({"sessionId": session, "autoAccept": {"riskThreshold": 5}}));
    assert!(over(&mut client, &command).output().contains("got y"));
    let decided = decided(&mut client, &session, 2);
    assert_eq!((decided.len(), &decided[1]["answer"]), (2, &json!("y")), "{decided:?}");

    client.ok("session_update", json!({"sessionId": session, "autoAccept": {"enabled": false}}));
    let command = client.start_command(&session, &ask);
    client.until_shown(&session, "a pending prompt", |shown| shown["lastCommand"]["awaitingInput"] == true);
    client.ok("session_input", json!({"sessionId": session, "text": "mine", "enter": true}));
    assert!(over(&mut client, &command).output().contains("got mine"));
    assert_eq!(decisions(&mut client, &session).len(), 2);
}

#[test]
fn what_is_too_risky_or_protected_is_left() {
    let scratch = Scratch::new("consent-left");
    let directory = scratch.path().canonicalize().expect("a directory");
    for file in ["a.txt", "package.json"] {
        fs::write(directory.join(file), "x").expect("a file");
    }
    let mut client = Client::start();
    let settings =
        json!({"enabled": true, "riskThreshold": 10, "protectedPatterns": ["package.json", "*.env"]});
    let session = in_directory(&mut client, "bash", &directory, settings);
    let command = client.start_command(&session, "rm -i package.json; rm -i a.txt");
    let left = decided(&mut client, &session, 1).remove(0);
    assert_eq!((&left["risk"], &left["answer"]), (&json!(10), &Value::Null), "{left}");
    assert_eq!(left["reason"], "protected: package.json", "{left}");
    client.ok("session_input", json!({"sessionId": session, "text": "n", "enter": true}));
    assert_eq!(over(&mut client, &command).exit(), Some(0));
    assert!(directory.join("package.json").exists() && !directory.join("a.txt").exists());
    let logs = client.ok("session_logs", json!({"sessionId": session, "kinds": ["decision"]}));
    let logs = logs["logs"].as_str().expect("logs");
    assert!(logs.contains("left to the caller: protected: package.json (risk 10"), "{logs}");
    assert!(logs.contains("a.txt") && logs.contains("answered y"), "{logs}");

    let command = client.start_command(&session, "read -s -p 'Password: ' x; echo \"got ${#x}\"");
    let left = decided(&mut client, &session, 3).remove(2);
    assert_eq!(left["reason"], "a secret is never typed", "{left}");
    client.ok(
        "session_input",
        json!({"sessionId": session, "text": "hunter22", "enter": true, "secret": true}),
    );
    assert!(over(&mut client, &command).output().contains("got 8"));
}

#[test]
fn a_menu_of_an_agent_is_answered_by_what_it_would_run() {
    let scratch = Scratch::new("consent-agent");
    let directory = scratch.path().canonicalize().expect("a directory");
    fs::write(directory.join("agent.py"), AGENT).expect("a file");
    let mut client = Client::start();
    let session = in_directory(&mut client, "bash", &directory, json!({"enabled": true}));
    let read = client.run(&session, "python3 agent.py 'git status'");
    assert!(read.output().contains("took yes"), "{read:?}");
    let command = client.start_command(&session, "python3 agent.py 'rm -rf build'");
    let left = decided(&mut client, &session, 2).remove(1);
    assert_eq!(
        (&left["risk"], &left["rules"][0]),
        (&json!(8), &json!("deletes recursively 8: rm build")),
        "{left}"
    );
    client.ok("session_input", json!({"sessionId": session, "text": "3"}));
    assert!(over(&mut client, &command).output().contains("took no"));

    // It may be the session's own program, and be started by what is typed.
    let session = in_directory(&mut client, "bash", &directory, json!({"enabled": true}));
    client.ok(
        "session_input",
        json!({"sessionId": session, "text": "python3 agent.py 'ls -la'", "enter": true}),
    );
    let event = decided(&mut client, &session, 1).remove(0);
    assert_eq!((&event["risk"], &event["answer"]), (&json!(1), &json!("enter")), "{event}");
    until("the agent takes it", || {
        let output = client.ok("session_output", json!({"sessionId": session, "mode": "text"}));
        output["output"].as_str().is_some_and(|text| text.contains("took yes"))
    });
}

#[test]
fn a_program_that_asks_again_and_again_is_left() {
    let scratch = Scratch::new("consent-circle");
    let directory = scratch.path().canonicalize().expect("a directory");
    let ask =
        script(&directory, "while :; do printf 'Sure? [y/N] '; read x; [ \"$x\" = stop ] && exit 3; done\n");
    let mut client = Client::start();
    let session = in_directory(&mut client, "bash", &directory, json!({"enabled": true, "riskThreshold": 9}));
    let command = client.start_command(&session, &ask);
    let decided = decided(&mut client, &session, 4);
    let answers = decided.iter().filter(|event| event["answer"] == "y").count();
    assert_eq!((decided.len(), answers), (4, 3), "{decided:?}");
    assert_eq!(decided[3]["reason"], "the same was answered 3 times in a row", "{:?}", decided[3]);
    client.ok("session_input", json!({"sessionId": session, "text": "stop", "enter": true}));
    assert_eq!(over(&mut client, &command).exit(), Some(3));
}

#[test]
fn bad_settings_are_refused_and_change_nothing() {
    let mut client = Client::start();
    let session =
        client.session(json!({"profile": "clean", "autoAccept": {"enabled": true, "riskThreshold": 4}}));
    let before = client.status(&session)["autoAccept"].clone();
    assert_eq!(before, json!({"enabled": true, "riskThreshold": 4}));
    let long = "x".repeat(300);
    for wrong in [
        json!({"riskThreshold": 11}),
        json!({"riskThreshold": -1}),
        json!({"riskThreshold": "high"}),
        json!({"enabled": "perhaps"}),
        json!({"enabled": false, "treshold": 1}),
        json!({"enabled": false, "protectedPatterns": [""]}),
        json!({"enabled": false, "protectedPatterns": [long]}),
        json!({"enabled": false, "protectedPatterns": ["*.{js,ts}"]}),
        json!({"enabled": false, "protectedPatterns": vec!["x"; 65]}),
        json!({}),
    ] {
        let refused = client.call("session_update", json!({"sessionId": session, "autoAccept": wrong}));
        assert_eq!(refused.code(), "invalid_argument", "{wrong}: {refused:?}");
        assert_eq!(client.status(&session)["autoAccept"], before, "{wrong}");
        let sessions = client.ok("session_list", json!({}))["total"].clone();
        if wrong != json!({}) {
            let refused = client.call("session_create", json!({"autoAccept": wrong}));
            assert_eq!(refused.code(), "invalid_argument", "{wrong}: {refused:?}");
        }
        assert_eq!(client.ok("session_list", json!({}))["total"], sessions, "{wrong}");
    }
    let unknown = client.call("session_update", json!({"sessionId": session, "autoAccept": {"treshold": 1}}));
    assert!(unknown.text.contains("riskThreshold"), "{unknown:?}");

    let observer = client.session(json!({"type": "observer", "profile": "clean"}));
    let refused =
        client.call("session_update", json!({"sessionId": observer, "autoAccept": {"enabled": true}}));
    assert_eq!(refused.code(), "permission_denied", "{refused:?}");
    let refused = client.call("session_create", json!({"type": "observer", "autoAccept": {"enabled": true}}));
    assert_eq!(refused.code(), "invalid_argument", "{refused:?}");

    // What is made of a session has its settings, but is not turned on by that.
    let off = json!({"enabled": false, "riskThreshold": 4});
    let clone = client.ok("session_clone", json!({"sessionId": session}));
    let clone = clone["sessionId"].as_str().expect("an id");
    assert_eq!(client.status(clone)["autoAccept"], off);
    let state = client.ok("session_snapshot", json!({"sessionId": session}));
    assert_eq!(state["state"]["autoAccept"], before, "{state}");
    let restored = client.ok("session_restore", json!({"snapshotId": state["snapshotId"]}));
    assert_eq!(client.status(restored["sessionId"].as_str().expect("an id"))["autoAccept"], off);
}

/// A question that a job in the background prints is none of the program's that waits for input.
#[test]
fn what_a_sleeping_program_did_not_print_is_not_answered() {
    let scratch = Scratch::new("consent-background");
    let directory = scratch.path().canonicalize().expect("a directory");
    let mut client = Client::start();
    let session = in_directory(&mut client, "bash", &directory, json!({"enabled": true, "riskThreshold": 5}));
    let ask = script(&directory, "printf 'Delete it? [y/N] '; read x; echo \"got $x\"\n");
    let job = "(until [ -e go ]; do sleep 0.1; done; printf '\\nContinue? [y/N] '; touch printed)";
    let command = client.start_command(&session, &format!("{job} & {ask}"));
    // Its own question is left: it has been seen to wait.
    assert_eq!(decided(&mut client, &session, 1)[0]["prompt"], "Delete it? [y/N]");
    fs::write(directory.join("go"), "").expect("a file");
    until("the job asks", || directory.join("printed").exists());
    // As long as another session takes to be answered.
    let other = in_directory(&mut client, "bash", &directory, json!({"enabled": true, "riskThreshold": 9}));
    assert!(client.run(&other, &ask).output().contains("got y"));
    client.ok("session_input", json!({"sessionId": session, "text": "mine", "enter": true}));
    assert!(over(&mut client, &command).output().contains("got mine"));
    assert_eq!(decisions(&mut client, &session).len(), 1);
}

/// A key that a program shows and does not take as its answer is told of, and is the only one.
#[test]
fn an_answer_that_is_not_taken_is_told_and_not_repeated() {
    let scratch = Scratch::new("consent-ignored");
    let directory = scratch.path().canonicalize().expect("a directory");
    let menu = "import os, sys, termios, tty\nprint('\\x1b[?25lContinue?\\n  1. Yes to all\\n\u{276f} 2. Yes\\n  3. No', flush=True)\n\
                tty.setraw(0)\nwhile os.read(0, 1) != b'q': pass\n";
    fs::write(directory.join("menu.py"), menu).expect("a file");
    let mut client = Client::start();
    let session = in_directory(&mut client, "bash", &directory, json!({"enabled": true, "riskThreshold": 9}));
    let command = client.start_command(&session, "python3 menu.py");
    assert_eq!(decided(&mut client, &session, 1)[0]["answer"], "enter");
    until("it is told that nothing came of it", || {
        let polled = client.ok("events_poll", json!({"sessionId": session, "types": ["decision"]}));
        polled["events"].to_string().contains("had no effect")
    });
    assert_eq!(decisions(&mut client, &session).len(), 1);
    client.ok("session_input", json!({"sessionId": session, "text": "q"}));
    assert_eq!(over(&mut client, &command).exit(), Some(0));
}
