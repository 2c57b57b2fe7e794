//! Recovery by hand and without being asked, on the real binary.

use serde_json::json;

use crate::faults::{FAULTS, inject};
use crate::strategies::Log;
use crate::support::{Client, Scratch, children, shells, until};

/// Every fault that a session can come back from is one that it comes back from, with all it had.
#[test]
fn a_session_comes_back_from_every_recoverable_fault() {
    let (mut recovered, mut recoverable) = (0, 0);
    for fault in FAULTS {
        let row = inject(fault);
        println!("{}: {} after {:?}; {}", row.fault, row.seen, row.took, row.kept);
        assert_eq!(row.recovered, fault.recoverable, "{row:?}");
        let kept_all =
            ["cwd", "exported variables", "size", "metadata"].iter().all(|what| row.kept.contains(what));
        assert!(kept_all || !fault.recoverable, "{row:?}");
        recoverable += usize::from(fault.recoverable);
        recovered += usize::from(row.recovered);
    }
    assert_eq!(recovered, recoverable);
}

/// The directory and what was exported are those of the dead shell, in every shell.
#[test]
fn every_shell_hands_over_what_it_had_exported() {
    let mut client = Client::start();
    for (shell, path) in shells() {
        let session = client.session(json!({"shell": path, "profile": "clean", "recovery": {}}));
        let export = if shell == "fish" { "set -gx KEPT " } else { "export KEPT=" };
        let value = "\"it's \\\"x\\\"\ntwo \\$y\"";
        let prepared = client.run(&session, &format!("cd /usr/lib; {export}{value}"));
        assert_eq!(prepared.exit(), Some(0), "{shell}: {prepared:?}");
        let pid = client.until_status(&session, "idle")["pid"].as_u64().expect("a pid");
        client.run(&session, &format!("kill -9 {pid}"));
        let after = client.run(&session, "pwd; sh -c 'echo \"$KEPT\"'; echo \"$KEPT\"; cd /usr; echo $PWD");
        let twice = "it's \"x\"\ntwo $y\n";
        assert_eq!(after.output(), format!("/usr/lib\n{twice}{twice}/usr\n"), "{shell}");
    }
}

/// A command that never comes to its own end leaves what it exported to the prompt, where that runs code.
#[test]
fn what_an_aborted_command_had_exported_is_handed_over() {
    let mut client = Client::start();
    for (shell, path) in shells().into_iter().filter(|(shell, _)| *shell != "dash") {
        let session = client.session(json!({"shell": path, "profile": "clean", "recovery": {}}));
        let export = if shell == "fish" { "set -gx KEPT " } else { "export KEPT=" };
        let command = client.start_command(&session, &format!("{export}yes; sleep 300"));
        client.until_shown(&session, "it sleeps", |shown| shown["foreground"]["name"] == "sleep");
        client.ok("command_signal", json!({"sessionId": session, "signal": "SIGINT"}));
        assert_eq!(client.ended(&command).exit(), Some(130), "{shell}");
        let pid = client.until_status(&session, "idle")["pid"].as_u64().expect("a pid");
        client.run(&session, &format!("kill -9 {pid}"));
        assert_eq!(client.run(&session, "sh -c 'echo $KEPT'").output(), "yes\n", "{shell}");
    }
}

/// Without `recovery` a dead shell stays dead until somebody asks; what was lost runs again on request.
#[test]
fn a_dead_session_is_recovered_on_request() {
    let scratch = Scratch::new("recover");
    let count = scratch.path().join("count");
    let mut client = Client::start();
    let session = client.clean("/bin/bash");
    let started = client.start_command(&session, &format!("echo ran >> '{}'; kill -9 $$", count.display()));
    client.start_command(&session, &format!("echo behind >> '{}'", count.display()));
    client.ended(&started);
    client.until_status(&session, "error");
    let again = json!({"sessionId": session, "requeueTasks": true, "strategy": "auto", "maxRetries": 1});
    let report = client.ok("error_recover", again);
    assert_eq!(report["recovered"], true, "{report}");
    assert_eq!((&report["strategy"], &report["category"]), (&json!("restart"), &json!("crash")), "{report}");
    assert_eq!(report["attempts"], 1, "{report}");
    assert!(!report["actions"].as_array().expect("actions").is_empty());
    // What ran kills the shell again, and takes along what is behind it.
    until("it ran twice", || std::fs::read_to_string(&count).unwrap_or_default() == "ran\nran\n");
    client.until_status(&session, "error");
    let report = client.ok("error_recover", json!({"sessionId": session}));
    assert_eq!(report["recovered"], true, "{report}");
    assert_eq!(client.run(&session, "echo well").output(), "well\n");
    let shown = client.status(&session);
    assert_eq!(shown["retryCount"], 2, "{shown}");
}

#[test]
fn a_hanging_command_is_interrupted_by_hand_and_what_waits_goes_on() {
    let mut client = Client::start();
    let session = client.clean("/bin/bash");
    let hanging = client.start_command(&session, "sleep 300");
    let waiting = client.start_command(&session, "echo next");
    client.until_shown(&session, "the sleep runs", |shown| shown["foreground"]["name"] == "sleep");
    let report = client.ok("error_recover", json!({"sessionId": session, "strategy": "interrupt"}));
    assert_eq!((&report["recovered"], &report["strategy"]), (&json!(true), &json!("interrupt")), "{report}");
    assert_eq!(client.ended(&hanging).exit(), Some(130));
    assert_eq!(client.ended(&waiting).output(), "next\n");
    let report = client.ok("error_recover", json!({"sessionId": session}));
    assert_eq!((&report["recovered"], &report["attempts"]), (&json!(true), &json!(0)), "{report}");
}

/// Stops the shell of an idle session; returns its pid.
pub fn stop_shell(client: &mut Client, session: &str) -> u64 {
    let pid = client.until_status(session, "idle")["pid"].as_u64().expect("a pid");
    let raw = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).expect("a pid");
    rustix::process::kill_process(raw, rustix::process::Signal::STOP).expect("it is there");
    // The signal is under way when it was sent: the shell stops as soon as it would run.
    // A member of a pool may have been replaced by then.
    until("it is stopped, or gone", || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        stat.map_or(true, |stat| stat.contains(") T ") || stat.contains(") Z "))
    });
    pid
}

/// A stopped shell sits in its read like one that waits for a line, but has lost none: the line is not typed
/// again, and what waits is run once.
#[test]
fn what_a_stopped_shell_was_given_runs_once_when_it_goes_on() {
    let scratch = Scratch::new("stopped");
    let mut client = Client::start();
    let given: Vec<_> = shells()
        .into_iter()
        .map(|(shell, path)| {
            let (log, session) = (Log::in_(&scratch), client.clean(&path));
            stop_shell(&mut client, &session);
            let commands = ["first", "second"].map(|word| client.start_command(&session, &log.append(word)));
            (shell, log, session, commands)
        })
        .collect();
    // Longer than a line may take until it counts as lost, twice.
    for (shell, _, _, [command, _]) in &given {
        let shown = client.ok("command_status", json!({"commandId": command, "wait": "2s"}));
        assert_eq!(shown["running"], true, "{shell}: {shown}");
    }
    for (shell, log, session, commands) in given {
        let report = client.ok("error_recover", json!({"sessionId": session}));
        assert_eq!(report["recovered"], true, "{shell}: {report}");
        for command in &commands {
            assert_eq!(client.ended(command).exit(), Some(0), "{shell}");
        }
        assert_eq!(client.run(&session, &log.append("third")).exit(), Some(0), "{shell}");
        assert_eq!(log.lines(), ["first", "second", "third"], "{shell}");
    }
}

#[test]
fn a_stopped_shell_goes_on_by_hand() {
    let mut client = Client::start();
    let session = client.clean("/bin/bash");
    let pid = stop_shell(&mut client, &session);
    let report = client.ok("error_recover", json!({"sessionId": session}));
    assert_eq!((&report["recovered"], &report["category"]), (&json!(true), &json!("hang")), "{report}");
    assert_eq!(client.run(&session, "echo $$").output().trim(), pid.to_string(), "the same shell");
}

/// A hopeless failure of a command is none of its session, and is not tried again.
#[test]
fn what_is_hopeless_is_not_tried_again() {
    let mut client = Client::start();
    let session = client.clean("/bin/bash");
    assert_eq!(client.run(&session, "no-such-program-anywhere").exit(), Some(127));
    let report = client.ok("error_recover", json!({"sessionId": session, "requeueTasks": true}));
    assert_eq!(report["recovered"], false, "{report}");
    assert_eq!(
        (&report["category"], &report["attempts"]),
        (&json!("command_not_found"), &json!(0)),
        "{report}"
    );
    assert_eq!(client.run(&session, "echo well").output(), "well\n");
}

#[test]
fn another_session_takes_over() {
    let mut client = Client::start();
    let able = json!({"shell": "/bin/bash", "profile": "clean", "capabilities": ["gpu"]});
    let (stuck, other) = (client.session(able.clone()), client.session(able));
    let old = client.status(&stuck)["pid"].as_u64().expect("a pid");
    client.start_command(&stuck, "sleep 300");
    let waiting = client.start_command(&stuck, "echo moved");
    let report = client.ok("error_recover", json!({"sessionId": stuck, "strategy": "failover"}));
    assert_eq!((&report["recovered"], &report["newSessionId"]), (&json!(true), &json!(other)), "{report}");
    let ended = client.ended(&waiting);
    assert_eq!(ended.output(), "moved\n");
    client.until_status(&stuck, "terminated");
    let old = u32::try_from(old).expect("a pid");
    until("nothing of it is left", || !crate::support::is_alive(old) && children(old).is_empty());
}

/// Several sessions recover at the same time: none waits for another's pauses.
#[test]
fn sessions_recover_in_parallel() {
    let mut client = Client::start();
    let sessions: Vec<String> = (0..8).map(|_| client.clean("/bin/bash")).collect();
    for session in &sessions {
        client.start_command(session, "trap '' INT TERM; sh -c 'trap \"\" INT TERM; sleep 300; sleep 300'");
        client.until_shown(session, "it runs", |shown| shown["foreground"]["name"].is_string());
    }
    let begin = std::time::Instant::now();
    let calls: Vec<u64> = sessions
        .iter()
        .map(|session| {
            client.send_call("error_recover", json!({"sessionId": session, "strategy": "graceful"}))
        })
        .collect();
    for call in calls {
        let report = client.outcome(call).structured;
        assert_eq!(
            (&report["recovered"], &report["strategy"]),
            (&json!(true), &json!("restart")),
            "{report}"
        );
    }
    // Each takes the five seconds of its grace; one after the other would be forty.
    assert!(begin.elapsed() < std::time::Duration::from_secs(30), "{:?}", begin.elapsed());
}

#[test]
fn a_circuit_opens_is_shown_and_is_reset() {
    let state = Scratch::new("circuit");
    let mut command = crate::support::server(state.path());
    command.env("SHELLHERD_CIRCUIT_FAILURES", "2");
    let mut client = Client::connect(command, None);
    let deadly = "kill -9 $$";
    for expected in ["closed", "open"] {
        let session = client.session(json!({"shell": "/bin/bash", "profile": "clean", "recovery": {}}));
        client.run(&session, deadly);
        client.until_shown(&session, "it was dealt with", |shown| {
            shown["status"] == if expected == "open" { "error" } else { "idle" }
        });
        let shown = client.ok("circuit_status", json!({"key": deadly}));
        assert_eq!(shown["state"], expected, "{shown}");
        assert_eq!(shown["opensUntil"].is_string(), expected == "open", "{shown}");
    }
    let other = client.clean("/bin/bash");
    let retrying = json!({"sessionId": other, "command": deadly, "retries": {"max": 1}});
    let refused = client.call("command_execute", retrying);
    assert_eq!(refused.code(), "circuit_open");
    assert!(refused.error()["message"].as_str().is_some_and(|text| text.contains("tried again at")));
    let all = client.ok("circuit_status", json!({}));
    assert_eq!(all["circuits"][0]["failures"], 2, "{all}");
    let reset = client.ok("circuit_reset", json!({"key": deadly}));
    assert_eq!((&reset["state"], &reset["failures"]), (&json!("closed"), &json!(0)), "{reset}");
}
