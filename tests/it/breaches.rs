//! Real faults, each in a session beside another that must not notice: what passes its limits, what
//! dies, what is stopped, what hangs.

use std::os::unix::fs::PermissionsExt;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::{Client, Scratch, marker, processes_with, server, until};

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
        let kinds = ["decision", "limit", "health"];
        let logs = json!({"sessionId": self.hit, "kinds": kinds, "lines": 1000});
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
    stage.until_logged(" of 60");
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
    let told = stage.client.ok("events_poll", json!({"types": ["limit"], "sessionId": stage.hit}));
    let event = &told["events"][0];
    assert_eq!((&event["limit"], &event["allowed"]), (&json!("maxProcesses"), &json!(20)), "{told}");
    assert!(event["measured"].as_u64() > Some(20) && event["commandId"].is_string(), "{told}");
    // What it started while it was being ended may stay, as far as it is within the limit.
    until("no more are left than there may be", || processes_with(&mark).len() <= 20);
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
    stage.until_logged(" of 83886080");
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
    let events = stage.client.ok("events_poll", json!({"types": ["command"], "sessionId": hit}));
    let last = events["events"].as_array().and_then(|events| events.last()).expect("an event");
    assert_eq!((&last["new"], &last["reason"]), (&json!("ended"), &json!("cpu_limit")), "{events}");
    // Whatever runs there would be ended, and all who look are told what helps.
    let health = stage.client.ok("health_check", json!({"sessionId": hit}));
    let call = format!("error_recover {{\"sessionId\":\"{hit}\",\"strategy\":\"restart\"}}");
    assert_eq!(health["issues"][0]["recommendation"], call.as_str(), "{health}");
    let diagnosed = stage.client.ok("diagnose", json!({"sessionId": hit}));
    let findings = diagnosed["findings"].as_array().expect("findings");
    let finding = findings.iter().find(|finding| finding["type"] == "cpu_time_spent");
    assert_eq!(finding.expect("the finding")["value"], 1000, "{diagnosed}");
    let calls = diagnosed["recommendations"].as_array().expect("recommendations");
    let arguments = json!({"sessionId": hit, "strategy": "restart"});
    let is_call = |call: &&Value| call["tool"] == "error_recover" && call["arguments"] == arguments;
    assert_eq!(calls.iter().filter(is_call).count(), 1, "{diagnosed}");
    let shown = stage.client.status(&hit);
    assert_eq!(shown["cpuTimeSpent"], true, "{shown}");
    assert!(shown["hint"].as_str().is_some_and(|hint| hint.contains("session_reset")), "{shown}");
    let listed = stage.client.ok("session_list", json!({}));
    let spent: Vec<&Value> = listed["sessions"].as_array().expect("sessions").iter().collect();
    let spent = spent.iter().filter(|session| session["cpuTimeSpent"] == true);
    assert_eq!(spent.map(|session| &session["sessionId"]).collect::<Vec<_>>(), [hit.as_str()], "{listed}");
    // A fresh shell has all of its time before it.
    let recovered = stage.client.ok("error_recover", json!({"sessionId": hit}));
    assert_eq!((&recovered["recovered"], &recovered["strategy"]), (&json!(true), &json!("restart")));
    assert_eq!(recovered["category"], "cpu_limit", "{recovered}");
    assert_eq!(
        stage.client.ok("health_check", json!({"sessionId": hit}))["components"]["sessions"],
        "healthy"
    );
    stage.all_live();
}

#[test]
fn a_session_that_used_up_its_cpu_time_is_given_a_fresh_shell_where_it_is_to_be_recovered() {
    let mut stage = Stage::with(json!({"resourceLimits": {"maxCpuTime": "1s"}, "recovery": {}}));
    let hit = stage.hit.clone();
    for round in 1..=2 {
        let burn = format!("cd /usr; export ROUND={round}; while :; do :; done");
        let outcome = stage.client.run(&hit, &burn);
        assert_eq!(outcome.structured["reason"], "cpu_limit", "{outcome:?}");
        let told = stage.client.run(&hit, "echo $ROUND $PWD");
        assert_eq!(told.output(), format!("{round} /usr\n"), "{told:?}");
        let shown = stage.client.status(&hit);
        assert_eq!((&shown["retryCount"], &shown["cpuTimeSpent"]), (&json!(round), &Value::Null), "{shown}");
    }
    stage.until_logged("automatic, strategy auto, because of: cpu_limit");
    stage.all_live();
}

#[test]
fn a_shell_that_ends_by_the_sessions_limit_says_so() {
    let mut stage = Stage::with(json!({"resourceLimits": {"maxCpuTime": "1s"}}));
    let hit = stage.hit.clone();
    let outcome = stage.client.run(&hit, "exec sh -c 'while :; do :; done'");
    assert_eq!(outcome.structured["reason"], "cpu_limit", "{outcome:?}");
    let shown = stage.client.until_status(&hit, "error");
    assert!(shown["endReason"].as_str().is_some_and(|why| why.starts_with("cpu_limit: ")), "{shown}");
    let diagnosed = stage.client.ok("diagnose", json!({"sessionId": hit}));
    let types = diagnosed["findings"].as_array().expect("findings").iter();
    let types: Vec<&str> = types.filter_map(|finding| finding["type"].as_str()).collect();
    assert_eq!(types, ["session_error", "cpu_limit"], "{diagnosed}");
    stage.client.ok("session_reset", json!({"sessionId": hit}));
    stage.all_live();
}

/// It opens as many as it may, and waits for a line without another one.
#[test]
fn who_reaches_the_limit_of_open_files_is_told_so_and_not_ended() {
    let mut stage = Stage::with(json!({}));
    let all = "for i in $(seq 3 39); do eval \"exec $i</dev/null\"; done; read line; exit $line";
    for (exit, reason) in [("3", json!("file_limit")), ("0", Value::Null)] {
        let command = stage.client.ok(
            "command_execute",
            json!({"sessionId": stage.hit, "command": format!("bash -c '{all}'"), "background": true,
                "resourceLimits": {"maxOpenFiles": 40}}),
        );
        let command = command["commandId"].as_str().expect("a command").to_owned();
        until("it is told", || {
            let told = stage.client.ok("events_poll", json!({"types": ["limit"], "sessionId": stage.hit}));
            let is_told = |event: &Value| {
                event["commandId"] == command.as_str()
                    && event["limit"] == "maxOpenFiles"
                    && event["measured"] == 40
            };
            told["events"].as_array().is_some_and(|events| events.iter().any(is_told))
        });
        stage.client.ok("session_input", json!({"sessionId": stage.hit, "text": exit, "enter": true}));
        let ended = stage.client.ended(&command);
        assert_eq!((ended.exit(), &ended.structured["reason"]), (exit.parse().ok(), &reason), "{ended:?}");
    }
    stage.all_live();
}

#[test]
fn a_session_that_is_told_to_exit_is_not_brought_back() {
    let mut stage = Stage::with(json!({"recovery": {}}));
    let hit = stage.hit.clone();
    stage.client.start_command(&hit, "exit 0");
    let shown = stage.client.until_status(&hit, "completed");
    assert!(shown.get("recoveries").is_none(), "{shown}");
}

#[test]
fn a_shell_that_takes_too_much_memory_itself_ends_with_the_reason() {
    let mut stage = Stage::with(json!({"resourceLimits": {"maxMemory": "60m"}}));
    let hit = stage.hit.clone();
    // A look in the middle of it would have it interrupted, and the memory given back.
    stage.client.run(&hit, "trap '' INT; printf -v x '%100000000s' ''; y=$x; echo ${#y}");
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

impl Stage {
    /// The one issue of this kind that a check of the hit session shows.
    fn until_found(&mut self, what: &str) -> Value {
        let mut found = Value::Null;
        let (client, hit) = (&mut self.client, &self.hit);
        until(what, || {
            let health = client.ok("health_check", json!({"sessionId": hit}));
            let issues = health["issues"].as_array().cloned().unwrap_or_default();
            let fits = |issue: &Value| issue["message"].as_str().is_some_and(|text| text.contains(what));
            found = issues.into_iter().find(fits).unwrap_or(Value::Null);
            !found.is_null()
        });
        found
    }

    fn shell(&mut self) -> Pid {
        let pid = self.client.status(&self.hit)["pid"].as_u64().expect("a live shell");
        Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("a pid")
    }
}

/// A stage whose server looks often and soon calls a command stale.
fn watchful(settings: Value) -> Stage {
    let state = Scratch::new("state");
    let mut command = server(state.path());
    command.args(["--stale-after", "1s", "--health-interval", "500ms"]);
    let mut client = Client::connect(command, Some(state));
    let other = client.clean("/bin/bash");
    let mut settings = settings;
    settings["shell"] = json!("/bin/bash");
    settings["profile"] = json!("clean");
    let hit = client.session(settings);
    Stage { client, hit, other }
}

/// What is seen without being asked is in the log with its time; on an idle machine that is a second later.
#[test]
fn a_killed_shell_is_seen_and_named() {
    let mut stage = Stage::with(json!({}));
    let shell = stage.shell();
    kill_process(shell, Signal::KILL).expect("the shell lives");
    let hit = stage.hit.clone();
    let shown = stage.client.until_status(&hit, "error");
    assert_eq!(shown["endReason"], "the shell was killed by signal 9");
    let issue = stage.until_found("killed by signal 9");
    assert_eq!(
        (&issue["severity"], &issue["component"]),
        (&json!("critical"), &json!("sessions")),
        "{issue}"
    );
    assert_eq!(issue["recommendation"], format!("error_recover {{\"sessionId\":\"{hit}\"}}"));
    let told = stage.client.ok("events_poll", json!({"types": ["health"], "since": 0, "wait": "30s"}));
    assert_eq!(told["events"][0]["severity"], "critical", "{told}");
    stage.client.ok("session_reset", json!({"sessionId": hit}));
    stage.all_live();
    assert_eq!(
        stage.client.ok("health_check", json!({"sessionId": hit}))["components"]["sessions"],
        "healthy"
    );
}

#[test]
fn a_stopped_shell_is_seen_until_it_goes_on() {
    let mut stage = Stage::with(json!({}));
    let shell = stage.shell();
    kill_process(shell, Signal::STOP).expect("the shell lives");
    let hit = stage.hit.clone();
    stage.client.until_shown(&hit, "stopped", |shown| shown["stopped"] == true);
    stage.until_found("a signal stopped the shell");
    kill_process(shell, Signal::CONT).expect("the shell lives");
    stage.client.until_shown(&hit, "going on", |shown| shown["stopped"].is_null());
    stage.until_logged("the shell goes on");
    stage.all_live();
    kill_process(shell, Signal::STOP).expect("the shell lives");
    stage.client.until_shown(&hit, "stopped", |shown| shown["stopped"] == true);
    let recovered = stage.client.ok("error_recover", json!({"sessionId": hit, "strategy": "interrupt"}));
    assert_eq!(recovered["recovered"], true, "{recovered}");
    assert_eq!(stage.shell(), shell, "the shell is the same");
    stage.all_live();
}

#[test]
fn a_job_that_is_suspended_is_found_with_what_lets_it_go_on() {
    let mut stage = Stage::with(json!({}));
    let hit = stage.hit.clone();
    let mark = marker();
    stage.client.start_command(&hit, &format!("sleep {mark}"));
    until("it runs", || processes_with(&mark).len() == 1);
    stage.client.ok("session_input", json!({"sessionId": hit, "keys": ["ctrl-z"]}));
    stage.client.until_status(&hit, "idle");
    let mut diagnosed = Value::Null;
    until("it is seen", || {
        diagnosed = stage.client.ok("diagnose", json!({"sessionId": hit}));
        diagnosed["findings"].to_string().contains("suspended")
    });
    let calls = diagnosed["recommendations"].as_array().expect("recommendations");
    let call = calls.iter().find(|call| call["arguments"]["command"] == "bg").expect("a call");
    stage.client.ok(call["tool"].as_str().expect("a tool"), call["arguments"].clone());
    until("it goes on", || {
        !stage.client.ok("diagnose", json!({"sessionId": hit}))["findings"].to_string().contains("suspended")
    });
    stage.all_live();
}

#[test]
fn a_program_that_closes_its_terminal_and_lives_on_is_ended() {
    let mut stage = Stage::with(json!({}));
    let scratch = Scratch::new("hermit");
    let mark = marker();
    let program = scratch.path().join("hermit");
    std::fs::write(&program, format!("#!/bin/sh\nsleep 0.3\nexec sleep {mark} <&- >&- 2>&-\n"))
        .expect("a script");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("our own file");
    let hermit = stage.client.session(json!({"shell": program}));
    let shown = stage.client.until_status(&hermit, "error");
    assert_eq!(shown["endReason"], "its program closed the terminal and lived on", "{shown}");
    until("it is gone", || processes_with(&mark).is_empty());
    stage.all_live();
}

#[test]
fn a_hang_without_output_and_cpu_is_stale_and_nothing_else_is() {
    let mut stage = watchful(json!({}));
    let (hit, other) = (stage.hit.clone(), stage.other.clone());
    stage.client.start_command(&other, "while :; do :; done");
    stage.client.start_command(&hit, "sleep 300");
    let issue = stage.until_found("is stale");
    assert_eq!(issue["sessionId"], hit.as_str(), "{issue}");
    stage.until_logged("is stale: no output and no CPU");
    let busy = stage.client.ok("health_check", json!({"sessionId": other}));
    assert!(!busy["issues"].to_string().contains("stale"), "{busy}");
    stage.client.ok("command_signal", json!({"sessionId": hit, "signal": "INT"}));
    stage.client.ok("command_signal", json!({"sessionId": other, "signal": "INT"}));
    stage.until_logged("healthy: over:");
    stage.all_live();
}

#[test]
fn a_monitor_does_what_it_was_told_when_its_session_is_critical() {
    for (on_critical, status) in [("interrupt", "idle"), ("restart", "idle"), ("close", "terminated")] {
        let mut stage = watchful(json!({"monitor": {"intervalMs": 500, "onCritical": on_critical}}));
        let hit = stage.hit.clone();
        let command = stage.client.start_command(&hit, "sleep 300");
        let ended = stage.client.ended(&command);
        let reason = if on_critical == "interrupt" { "cancelled" } else { "session_lost" };
        assert_eq!(ended.structured["reason"], reason, "{on_critical}: {ended:?}");
        stage.client.until_status(&hit, status);
        if on_critical != "close" {
            stage.until_logged(&format!("by its monitor, strategy {on_critical}"));
        }
        assert_eq!(stage.client.run(&stage.other.clone(), "echo well").output(), "well\n");
    }
    let mut stage = watchful(json!({"monitor": {"intervalMs": "1s", "onCritical": "restart"}}));
    let shell = stage.shell();
    kill_process(shell, Signal::KILL).expect("the shell lives");
    let hit = stage.hit.clone();
    stage.client.until_status(&hit, "idle");
    stage.client.until_shown(&hit, "another shell", |shown| {
        shown["status"] == "idle" && shown["pid"] != json!(shell.as_raw_pid())
    });
    stage.all_live();
}

#[test]
fn a_health_check_tells_what_is_wrong_and_what_all_costs() {
    let mut stage = Stage::with(json!({}));
    let detailed = stage.client.ok("health_check", json!({"detailed": true}));
    assert_eq!(detailed["components"]["sessions"], "healthy", "{detailed}");
    assert_eq!(detailed["components"]["tasks"], "healthy", "{detailed}");
    let details = &detailed["details"];
    for figure in
        ["machineCpu", "machineMemory", "uptime", "memoryUsage", "storeSize", "diskFree", "lastActivity"]
    {
        assert!(!details[figure].is_null(), "{figure}: {detailed}");
    }
    assert_eq!((&details["liveSessions"], &details["messageQueue"]), (&json!(2), &json!(0)), "{detailed}");
    let task = json!({"id": "t", "payload": {"command": "true"}, "requirements": ["gpu"]});
    stage.client.ok("task_distribute", json!({"tasks": [task]}));
    let health = stage.client.ok("health_check", json!({}));
    assert_eq!(health["components"]["tasks"], "degraded", "{health}");
    assert!(health["issues"].to_string().contains("capability that no session has"), "{health}");
    stage.client.run(&stage.hit.clone(), "for i in 1 2 3; do false; done; false");
    let one = stage.client.ok("health_check", json!({"sessionId": stage.hit, "detailed": true}));
    assert_eq!(one["details"]["errorRate"], 100.0, "{one}");
    let unknown = stage.client.call("health_check", json!({"sessionId": "nobody"}));
    assert_eq!(unknown.code(), "session_not_found", "{unknown:?}");
}
