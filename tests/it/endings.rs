//! What a command does to its session besides printing: variables and directories of its own, its
//! standard input, questions to the terminal, and the end of the shell; over every shell.

use serde_json::json;

use crate::support::{Client, Scratch, installed, marker, processes_with, shells, until};

/// The variable of one command is gone, or back at its old value, after it, however it ended.
#[test]
fn variables_of_one_command_do_not_outlive_it() {
    let mut client = Client::start();
    for (shell, path) in shells() {
        let fish = shell == "fish";
        let session = client.clean(&path);
        let inside = |command: &str| json!({"sessionId": session, "command": command, "env": {"ONLY_HERE": "inside it's \"x\" $y"}});
        let outcome =
            client.call("command_execute", inside("echo \"$ONLY_HERE\"; sh -c 'echo \"$ONLY_HERE\"'"));
        let twice = "inside it's \"x\" $y\ninside it's \"x\" $y\n";
        assert_eq!((outcome.exit(), outcome.output()), (Some(0), twice), "{shell}");
        assert_eq!(client.run(&session, "echo \"[$ONLY_HERE]\"").output(), "[]\n", "{shell}");

        client.run(&session, if fish { "set -gx ONLY_HERE outer" } else { "export ONLY_HERE=outer" });
        assert_eq!(client.call("command_execute", inside("true")).exit(), Some(0), "{shell}");
        assert_eq!(client.run(&session, "echo $ONLY_HERE").output(), "outer\n", "{shell}");

        let mut aborted = inside("sleep 300; echo never");
        aborted["background"] = true.into();
        let id = client.call("command_execute", aborted).command();
        client.until_shown(&session, "the sleep runs", |shown| shown["foreground"]["name"] == "sleep");
        client.ok("command_signal", json!({"sessionId": session, "signal": "SIGINT"}));
        let ended = client.ended(&id);
        assert_eq!(ended.exit(), Some(130), "{shell}: {ended:?}");
        assert!(!ended.output().contains("never"), "{shell}: {ended:?}");
        assert_eq!(client.run(&session, "echo $ONLY_HERE").output(), "outer\n", "{shell} after an abort");

        let syntax = inside(if fish { "if true" } else { "echo 'open" });
        client.call("command_execute", syntax);
        assert_eq!(
            client.run(&session, "echo $ONLY_HERE").output(),
            "outer\n",
            "{shell} after a syntax error"
        );
    }
}

#[test]
fn a_directory_of_one_command_does_not_outlive_it() {
    let scratch = Scratch::new("here");
    let odd = scratch.path().join("it's odd");
    std::fs::create_dir(&odd).expect("a directory can be made");
    let mut client = Client::start();
    for (shell, path) in shells() {
        let session = client.clean(&path);
        client.run(&session, "cd /usr");
        let there = json!({"sessionId": session, "command": "pwd", "workingDirectory": odd});
        let outcome = client.call("command_execute", there);
        assert_eq!(outcome.output().trim_end(), odd.display().to_string(), "{shell}");
        assert_eq!(client.run(&session, "pwd").output(), "/usr\n", "{shell}");
        let failing = json!({"sessionId": session, "command": "false", "workingDirectory": "/tmp"});
        assert_eq!(client.call("command_execute", failing).exit(), Some(1), "{shell}");
        assert_eq!(client.run(&session, "pwd").output(), "/usr\n", "{shell}");
        assert_eq!(client.status(&session)["workingDirectory"], "/usr", "{shell}");
    }
}

#[test]
fn a_change_of_directory_is_seen() {
    let mut client = Client::start();
    for (shell, path) in shells() {
        let session = client.session(json!({"shell": path, "profile": "clean", "workingDirectory": "/"}));
        let moved = client.run(&session, "cd /usr/lib");
        assert_eq!(moved.structured["workingDirectory"], "/usr/lib", "{shell}: {moved:?}");
        assert_eq!(client.status(&session)["workingDirectory"], "/usr/lib", "{shell}");
        // No fact twice: where nothing moved, nothing is said.
        let still = client.run(&session, "true");
        assert_eq!(still.structured.get("workingDirectory"), None, "{shell}");
    }
}

#[test]
fn standard_input_is_given_and_the_terminal_left_alone() {
    let mut client = Client::start();
    let large = "0123456789abcde\n".repeat(8_192);
    for (shell, path) in shells() {
        let session = client.clean(&path);
        let with =
            |command: &str, stdin: &str| json!({"sessionId": session, "command": command, "stdin": stdin});
        let outcome = client.call("command_execute", with("cat", "one\ntwo"));
        assert_eq!((outcome.exit(), outcome.output()), (Some(0), "one\ntwo"), "{shell}: {outcome:?}");
        let outcome = client.call("command_execute", with("wc -c", &large));
        assert_eq!(outcome.output().trim(), "131072", "{shell}: {outcome:?}");
        let outcome = client.call("command_execute", with("cat; false", ""));
        assert_eq!((outcome.exit(), outcome.output()), (Some(1), ""), "{shell}: {outcome:?}");
        let terminal = client.run(&session, "sh -c 'test -t 0 && echo a terminal'");
        assert_eq!(terminal.output(), "a terminal\n", "{shell}: {terminal:?}");
    }
}

/// `exit`, `exec` and `set -e` end the shell: the result says so, and so does the session.
#[test]
fn a_command_that_ends_its_shell_says_so() {
    let mut client = Client::start();
    for (shell, path) in shells() {
        let fish = shell == "fish";
        let cases = [
            ("echo bye; exit 3", 3, "bye\n", "error"),
            ("echo done; exit 0", 0, "done\n", "completed"),
            ("exec sh -c 'echo ex; exit 4'", 4, "ex\n", "error"),
            ("set -e; echo a; false; echo b", 1, "a\n", "error"),
        ];
        for (command, code, output, status) in cases {
            if fish && command.starts_with("set -e") {
                continue;
            }
            let session = client.clean(&path);
            let outcome = client.run(&session, command);
            assert_eq!(
                (outcome.exit(), outcome.output()),
                (Some(code), output),
                "{shell} {command}: {outcome:?}"
            );
            assert_eq!(outcome.is_error, code != 0, "{shell} {command}: {outcome:?}");
            let shown = client.until_status(&session, status);
            assert_eq!(shown["exitCode"], code, "{shell} {command}: {shown}");
            assert_eq!(shown.get("pid"), None, "{shell} {command}: {shown}");
            let refused = client.call("command_execute", json!({"sessionId": session, "command": "true"}));
            assert_eq!(refused.code(), "session_closed", "{shell} {command}");
        }
    }
}

/// The child that keeps the terminal open does not keep the session open.
#[test]
fn a_shell_that_leaves_a_child_behind_has_ended() {
    let mut client = Client::start();
    for (shell, path) in shells() {
        let session = client.clean(&path);
        // zsh refuses to exit with jobs of its own.
        let leave = if shell == "zsh" { "sleep 30 &! exit 0" } else { "sleep 30 & exit 0" };
        let outcome = client.run(&session, leave);
        assert_eq!(outcome.exit(), Some(0), "{shell}: {outcome:?}");
        // The child would have ended by itself after 30 s.
        let took = outcome.structured["durationMs"].as_u64().expect("it has ended");
        assert!(took < 15_000, "{shell}: {took} ms");
        client.until_status(&session, "completed");
    }
}

#[test]
fn a_question_is_recognised_and_answered() {
    let mut client = Client::start();
    for (shell, path) in shells() {
        let session = client.clean(&path);
        let question = match shell {
            "fish" => "read -P 'name? ' x; echo got=$x",
            _ => "printf 'name? '; read x; echo got=$x",
        };
        let asked = client.run(&session, question);
        assert_eq!(asked.structured["awaitingInput"], true, "{shell}: {asked:?}");
        assert_eq!(asked.structured["running"], true, "{shell}: {asked:?}");
        assert!(!asked.is_error, "{shell}: {asked:?}");
        let prompt = asked.structured["prompt"].as_str().unwrap_or_default();
        assert!(prompt.contains("name?"), "{shell}: {asked:?}");
        assert_eq!(client.status(&session)["lastCommand"]["awaitingInput"], true, "{shell}");
        client.ok("session_input", json!({"sessionId": session, "text": "typed", "enter": true}));
        let ended = client.ended(&asked.command());
        assert_eq!(ended.exit(), Some(0), "{shell}: {ended:?}");
        assert!(ended.output().ends_with("got=typed\n"), "{shell}: {ended:?}");
        assert_eq!(client.run(&session, "echo next").output(), "next\n", "{shell}");
    }
}

#[test]
fn a_program_that_reads_the_terminal_gets_what_is_typed() {
    let mut client = Client::start();
    for (shell, path) in shells() {
        let session = client.clean(&path);
        let asked = client.run(&session, "cat");
        assert_eq!(asked.structured["awaitingInput"], true, "{shell}: {asked:?}");
        let typed = client.ok("session_input", json!({
            "sessionId": session, "text": "hello", "enter": true, "wait": {"until": "match", "pattern": "hello"},
        }));
        assert!(typed["output"].as_str().expect("output").contains("hello"), "{shell}: {typed}");
        client.ok("session_input", json!({"sessionId": session, "keys": ["ctrl-d"]}));
        let ended = client.ended(&asked.command());
        assert_eq!((ended.exit(), ended.output()), (Some(0), "hello\nhello\n"), "{shell}: {ended:?}");
    }
}

#[test]
fn a_nested_shell_is_a_program_like_any_other() {
    let mut client = Client::start();
    for (shell, path) in shells() {
        let session = client.clean(&path);
        let asked = client.run(&session, "sh -i");
        assert_eq!(asked.structured["awaitingInput"], true, "{shell}: {asked:?}");
        assert_eq!(client.status(&session)["status"], "active", "{shell}");
        let typed = client.ok(
            "session_input",
            json!({
                "sessionId": session, "text": "echo inner$((1+1))", "enter": true,
                "wait": {"until": "match", "pattern": "^inner2"},
            }),
        );
        assert!(typed["output"].as_str().expect("output").contains("inner2"), "{shell}: {typed}");
        client.ok("session_input", json!({"sessionId": session, "text": "exit 5", "enter": true}));
        let ended = client.ended(&asked.command());
        assert_eq!(ended.exit(), Some(5), "{shell}: {ended:?}");
        assert_eq!(client.run(&session, "echo outer").output(), "outer\n", "{shell}");
    }
}

#[test]
fn a_python_prompt_waits_for_input() {
    if installed("python3").is_none() {
        return;
    }
    let mut client = Client::start();
    let session = client.clean("/bin/bash");
    let asked = client.run(&session, "python3 -q");
    assert_eq!(asked.structured["awaitingInput"], true, "{asked:?}");
    let shown = client.status(&session);
    assert!(shown["foreground"]["name"].as_str().expect("a program").contains("python"), "{shown}");
    let typed = client.ok("session_input", json!({
        "sessionId": session, "text": "print(6*7)", "enter": true, "wait": {"until": "match", "pattern": "^42"},
    }));
    assert!(typed["output"].as_str().expect("output").contains("42"), "{typed}");
    client.ok("session_input", json!({"sessionId": session, "text": "raise SystemExit(9)", "enter": true}));
    assert_eq!(client.ended(&asked.command()).exit(), Some(9));
}

/// Ctrl-Z ends the command for its caller; the shell goes on.
#[test]
fn a_suspended_command_gives_the_shell_back() {
    let mut client = Client::start();
    for (shell, path) in shells() {
        let session = client.clean(&path);
        let id = client.start_command(&session, "sleep 300");
        client.until_shown(&session, "the sleep runs", |shown| shown["foreground"]["name"] == "sleep");
        client.ok("session_input", json!({"sessionId": session, "keys": ["ctrl-z"]}));
        let ended = client.ended(&id);
        println!("{shell}: {:?}", ended.exit());
        let outcome = client.run(&session, "echo on it goes");
        assert!(outcome.output().contains("on it goes\n"), "{shell}: {outcome:?}");
        let closed = client.ok("session_close", json!({"sessionId": session, "mode": "force"}));
        assert_eq!(closed["success"], true, "{shell}");
    }
}

#[test]
fn a_busy_loop_in_the_shell_itself_can_be_interrupted() {
    let mut client = Client::start();
    for (shell, path) in shells() {
        let session = client.clean(&path);
        let busy = if shell == "fish" { "while true; end" } else { "while :; do :; done" };
        let id = client.start_command(&session, &format!("echo begun; {busy}"));
        client.ok("session_output", json!({
            "sessionId": session, "since": 0, "wait": {"until": "match", "pattern": "^begun$", "timeout": "50s"},
        }));
        client.ok("command_signal", json!({"sessionId": session, "signal": "ctrl-c"}));
        assert_eq!(client.ended(&id).exit(), Some(130), "{shell}");
        assert_eq!(client.run(&session, "echo free").output(), "free\n", "{shell}");
    }
}

/// A command that was accepted a moment ago, and has perhaps not begun, is interrupted all the same.
#[test]
fn a_signal_right_after_the_start_is_not_lost() {
    let mut client = Client::start();
    for (shell, path) in shells() {
        let session = client.clean(&path);
        let busy = if shell == "fish" { "while true; end" } else { "while :; do :; done" };
        for _ in 0..10 {
            let start = json!({"sessionId": session, "command": busy, "background": true});
            let started = client.send_call("command_execute", start);
            let signalled =
                client.send_call("command_signal", json!({"sessionId": session, "signal": "SIGINT"}));
            let id = client.outcome(started).command();
            let delivery = client.outcome(signalled);
            if delivery.is_error {
                // It was served before the command was accepted.
                assert_eq!(delivery.code(), "command_not_running", "{shell}");
                client.ok("command_signal", json!({"sessionId": session, "signal": "SIGINT"}));
            }
            let ended = client.ended(&id);
            assert_eq!(ended.exit(), Some(130), "{shell}: {ended:?}");
        }
        assert_eq!(client.run(&session, "echo free").output(), "free\n", "{shell}");
    }
}

/// The end of a command that took the hooks away and was interrupted is not known, and not guessed: its
/// shell is shown as what it is, waiting for input, and a reset mends it.
#[test]
fn an_end_that_no_hook_reports_is_not_guessed() {
    let mut client = Client::start();
    let session = client.clean("/bin/bash");
    let mark = marker();
    let command = client.start_command(&session, &format!("PROMPT_COMMAND=; sleep {mark}; echo never"));
    until("the sleep runs", || !processes_with(&mark).is_empty());
    client.ok("command_signal", json!({"sessionId": session, "signal": "SIGINT"}));
    let shown = client.call("command_status", json!({"commandId": command, "wait": "30s"})).structured;
    assert_eq!((&shown["running"], &shown["awaitingInput"]), (&json!(true), &json!(true)), "{shown}");
    client.ok("session_reset", json!({"sessionId": session}));
    assert_eq!(client.run(&session, "echo back").output(), "back\n");
    assert_eq!(client.ended(&command).structured["reason"], "session_lost");
}
