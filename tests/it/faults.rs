//! Real faults, each in a session beside another that must not notice: what passes its limits, what
//! dies, what is stopped, what hangs.

use serde_json::{Value, json};

use crate::support::{Client, marker, processes_with, until};

/// A server with the session that a fault is to hit, and another.
struct Stage {
    client: Client,
    hit: String,
    other: String,
}

impl Stage {
    fn with(mut settings: Value) -> Self {
        let mut client = Client::start();
        let other = client.clean("/bin/bash");
        settings["shell"] = json!("/bin/bash");
        settings["profile"] = json!("clean");
        let hit = client.session(settings);
        Self { client, hit, other }
    }

    /// The event of the session that says this.
    fn until_logged(&mut self, text: &str) {
        let logs = json!({"sessionId": self.hit, "kinds": ["decision"], "lines": 1000});
        let client = &mut self.client;
        until(text, || client.ok("session_logs", logs.clone()).to_string().contains(text));
    }

    /// The server, the other session and the shell of the one that was hit go on.
    fn all_live(&mut self) {
        assert_eq!(self.client.run(&self.other, "echo well").output(), "well\n");
        assert_eq!(self.client.run(&self.hit, "echo alive").output(), "alive\n");
    }
}

/// Forks two of itself, and they too, in the background: the command itself is over at once. It ends at a
/// thousand, which is bad enough for a machine where nothing stops it.
const BOMB: &str =
    "bomb() { if [ $1 -gt 10 ]; then sleep 300; else bomb $(($1+1)) | bomb $(($1+1)) & fi; }; bomb 1";

#[test]
fn a_fork_bomb_within_a_limit_is_ended_and_hurts_nobody() {
    let mut stage = Stage::with(json!({"resourceLimits": {"maxProcesses": 60}}));
    stage.client.start_command(&stage.hit.clone(), BOMB);
    stage.until_logged("maxProcesses is 60");
    let hit = stage.hit.clone();
    stage.client.until_shown(&hit, "only the shell is left", |shown| shown["processes"] == 1);
    stage.all_live();
}

#[test]
fn a_command_that_starts_too_many_processes_is_stopped() {
    let mut stage = Stage::with(json!({}));
    let mark = marker();
    let many = format!("for i in $(seq 200); do sleep {mark} & done; wait");
    let limits = json!({"maxProcesses": 20});
    let outcome = stage.client.call(
        "command_execute",
        json!({"sessionId": stage.hit, "command": many, "resourceLimits": limits, "wait": "50s"}),
    );
    assert_eq!(outcome.structured["reason"], "process_limit", "{outcome:?}");
    until("its processes are gone", || processes_with(&mark).is_empty());
    stage.all_live();
}

/// What the session had before is not the command's, and stays.
#[test]
fn a_command_is_held_to_what_it_uses_itself() {
    let mut stage = Stage::with(json!({}));
    let mark = marker();
    stage.client.run(&stage.hit.clone(), &format!("for i in 1 2 3 4 5; do sleep {mark} & done"));
    let limits = json!({"maxProcesses": 3, "maxMemory": "300m", "maxCpuTime": "20s", "maxOpenFiles": 100});
    let fine = stage.client.call(
        "command_execute",
        json!({"sessionId": stage.hit, "command": "sleep 0.7 | cat", "resourceLimits": limits, "wait": "50s"}),
    );
    assert_eq!(fine.exit(), Some(0), "{fine:?}");
    assert_eq!(processes_with(&mark).len(), 5);
}

#[test]
fn what_leaves_the_foreground_is_held_to_the_sessions_memory_too() {
    let mut stage = Stage::with(json!({"constraints": ["max-memory:80mb", "mine"]}));
    let mark = marker();
    // It leaves the terminal's session, and the prompt is back at once.
    let hoard =
        format!("setsid sh -c '{{ head -c 200m /dev/zero; sleep {mark}; }} | tail -c 200m' >/dev/null &");
    assert_eq!(stage.client.run(&stage.hit.clone(), &hoard).exit(), Some(0));
    stage.until_logged("maxMemory is 83886080");
    until("it is gone", || processes_with(&mark).is_empty());
    stage.all_live();
}

#[test]
fn the_sessions_cpu_time_is_counted_over_all_that_runs_in_it() {
    let mut stage = Stage::with(json!({"resourceLimits": {"maxCpuTime": "1s"}}));
    let outcome = stage.client.run(&stage.hit.clone(), "sh -c 'while :; do :; done' & while :; do :; done");
    assert_eq!(outcome.structured["reason"], "cpu_limit", "{outcome:?}");
    let hit = stage.hit.clone();
    stage.client.until_shown(&hit, "only the shell is left", |shown| shown["processes"] == 1);
    assert_eq!(stage.client.run(&stage.other.clone(), "echo well").output(), "well\n");
    // A fresh shell has all of its time before it.
    stage.client.ok("session_reset", json!({"sessionId": hit}));
    stage.all_live();
}

#[test]
fn a_shell_that_takes_too_much_memory_itself_ends_with_the_reason() {
    let mut stage = Stage::with(json!({"resourceLimits": {"maxMemory": "60m"}}));
    let hit = stage.hit.clone();
    stage.client.run(&hit, "x=$(head -c 100000000 /dev/zero | tr '\\0' x); y=$x; echo ${#y}");
    let shown = stage.client.until_status(&hit, "error");
    assert!(shown["endReason"].as_str().is_some_and(|why| why.starts_with("memory_limit")), "{shown}");
    stage.client.ok("session_reset", json!({"sessionId": hit}));
    stage.all_live();
}

#[test]
fn no_process_opens_more_files_than_it_may() {
    let open =
        "exec 9</dev/null; for i in $(seq 10 90); do eval \"exec $i</dev/null\" || break; done; echo $i";
    for constraints in [json!(["max-open-files:40"]), json!([])] {
        let mut stage = Stage::with(json!({"constraints": constraints}));
        let limits = if constraints == json!([]) { json!({"maxOpenFiles": 40}) } else { json!({}) };
        let command = format!("( {open} ) 2>&1; sh -c 'ulimit -n'");
        let outcome = stage.client.call(
            "command_execute",
            json!({"sessionId": stage.hit, "command": command, "resourceLimits": limits, "wait": "50s"}),
        );
        assert!(outcome.output().contains("Bad file descriptor"), "{outcome:?}");
        assert!(outcome.output().ends_with("40\n"), "{outcome:?}");
        let after = stage.client.run(&stage.hit.clone(), "ulimit -n").output().to_owned();
        assert_eq!(after == "40\n", constraints != json!([]), "{after}");
        stage.all_live();
    }
}

#[test]
fn constraints_hold_and_are_checked() {
    let mut stage =
        Stage::with(json!({"constraints": ["timeout:700", "cpu-priority:low", "max-processes:50"]}));
    let hit = stage.hit.clone();
    assert_eq!(stage.client.run(&hit, "nice").output(), "10\n");
    let limits = stage.client.status(&hit)["limits"].clone();
    assert_eq!(limits["maxProcesses"], 50, "{limits}");
    let late = stage
        .client
        .call("command_execute", json!({"sessionId": hit, "command": "sleep 300", "timeout": "5m"}));
    assert_eq!(late.code(), "timeout", "{late:?}");
    stage.client.ok("command_signal", json!({"sessionId": hit, "signal": "INT"}));
    stage.client.ok("session_update", json!({"sessionId": hit, "constraints": ["max-processes:9"]}));
    assert_eq!(stage.client.status(&hit)["limits"]["maxProcesses"], 9);
    for tool in ["session_create", "session_update"] {
        let mut wrong = json!({"constraints": ["max-memory:4gb", "max-proceses:5"]});
        if tool == "session_update" {
            wrong["sessionId"] = json!(hit);
        }
        let refused = stage.client.call(tool, wrong);
        assert_eq!(refused.code(), "invalid_argument", "{refused:?}");
        assert!(refused.text.contains("did you mean 'max-processes'?"), "{refused:?}");
    }
    assert_eq!(stage.client.status(&hit)["limits"]["maxProcesses"], 9, "nothing changed");
    stage.all_live();
}
