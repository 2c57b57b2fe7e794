//! Graphs of tasks, from their acceptance to the last of their ends.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Client, Flag, Scratch, marker, processes_with, shells, until};

/// The tasks of a run once all of them are over.
pub fn over(client: &mut Client, run: &str) -> Vec<Value> {
    let shown = client.ok("task_status", json!({"runId": run, "wait": "50s"}));
    let summary = &shown["summary"];
    let done = summary["completed"].as_u64().unwrap_or(0) + summary["failed"].as_u64().unwrap_or(0);
    assert_eq!(Some(done), summary["total"].as_u64(), "not over: {shown}");
    shown["tasks"].as_array().cloned().expect("a list")
}

/// Runs a graph to its end; its tasks.
pub fn run(client: &mut Client, arguments: Value) -> Vec<Value> {
    let accepted = client.ok("task_distribute", arguments);
    over(client, accepted["runId"].as_str().expect("a run has an id"))
}

pub fn task<'a>(tasks: &'a [Value], id: &str) -> &'a Value {
    tasks.iter().find(|task| task["id"] == id).unwrap_or_else(|| panic!("no {id} in {tasks:#?}"))
}

#[test]
fn a_diamond_runs_in_order() {
    let mut client = Client::start();
    let step = |id: &str, after: Value| json!({"id": id, "payload": {"command": format!("echo this is {id}")}, "dependencies": after});
    let tasks = json!([
        step("end", json!(["left", {"id": "right"}])),
        step("left", json!(["begin"])),
        step("right", json!("begin")),
        step("begin", json!([])),
    ]);
    let plan = client.ok("task_distribute", json!({"tasks": tasks, "dryRun": true}));
    assert_eq!(plan["order"]["waves"], json!([["begin"], ["left", "right"], ["end"]]), "{plan}");
    assert_eq!(client.ok("task_status", json!({}))["summary"]["total"], 0, "a dry run leaves nothing");
    let accepted = client.ok("task_distribute", json!({"tasks": tasks}));
    assert_eq!(accepted["distributed"].as_array().map(Vec::len), Some(4), "{accepted}");
    let tasks = over(&mut client, accepted["runId"].as_str().expect("an id"));
    for id in ["begin", "left", "right", "end"] {
        let shown = task(&tasks, id);
        assert_eq!((&shown["status"], &shown["exitCode"]), (&json!("completed"), &json!(0)), "{shown}");
        assert_eq!(shown["output"], format!("this is {id}\n"), "{shown}");
    }
    let at = |id: &str, what: &str| task(&tasks, id)[what].as_str().expect("a time").to_owned();
    for (before, after) in [("begin", "left"), ("begin", "right"), ("left", "end"), ("right", "end")] {
        assert!(at(before, "completedAt") <= at(after, "startedAt"), "{before} {after}: {tasks:#?}");
    }
}

#[test]
fn a_failure_skips_what_depends_on_it() {
    let mut client = Client::start();
    let tasks = run(
        &mut client,
        json!({"tasks": [
            {"id": "bad", "command": "echo why; exit 3"},
            {"id": "next", "command": "echo never", "dependencies": "bad"},
            {"id": "last", "command": "echo never", "dependencies": ["next"]},
            {"id": "other", "command": "echo fine"},
            {"id": "mend", "command": "echo mended", "dependencies": [{"id": "bad", "condition": "failure"}]},
            {"id": "needless", "command": "echo never", "dependencies": [{"id": "other", "condition": "failure"}]},
            {"id": "clean", "command": "echo clean", "dependencies": [{"id": "last", "condition": "always"}]},
        ]}),
    );
    let status = |id: &str| task(&tasks, id)["status"].as_str().expect("a word").to_owned();
    let bad = task(&tasks, "bad");
    assert_eq!(
        (status("bad"), &bad["reason"], &bad["exitCode"]),
        ("failed".into(), &json!("exit_code"), &json!(3))
    );
    assert_eq!((&bad["output"], &bad["error"]), (&json!("why\n"), &json!("exit code 3")));
    for id in ["next", "last"] {
        let skipped = task(&tasks, id);
        assert_eq!((status(id), &skipped["reason"]), ("failed".into(), &json!("dependency_failed")));
        assert!(skipped["error"].as_str().is_some_and(|error| error.contains("'bad'")), "{skipped}");
        assert_eq!(skipped.get("commandId"), None, "{skipped}");
    }
    for id in ["other", "mend", "clean", "needless"] {
        assert_eq!(status(id), "completed", "{id}");
    }
    assert_eq!(task(&tasks, "needless")["reason"], "not_needed");
    assert_eq!(task(&tasks, "mend")["output"], "mended\n");
}

pub fn accepted(client: &mut Client, arguments: Value) -> String {
    let accepted = client.ok("task_distribute", arguments);
    accepted["runId"].as_str().expect("a run has an id").to_owned()
}

pub fn shown(client: &mut Client, id: &str) -> Value {
    client.ok("task_status", json!({"taskIds": [id]}))["tasks"][0].clone()
}

/// Looks at a task until what it shows is accepted.
pub fn until_shown(client: &mut Client, id: &str, accept: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    until(&format!("{id} is as wished"), || {
        last = shown(client, id);
        accept(&last)
    });
    last
}

#[test]
fn a_failing_task_is_tried_again() {
    let scratch = Scratch::new("retries");
    let mut client = Client::start();
    let count = scratch.path().join("count");
    let command = format!("echo x >> {0}; [ $(wc -l < {0}) -ge 3 ]", count.display());
    let retries = json!({"max": 5, "delay": 20, "backoff": 1});
    let tasks = run(&mut client, json!({"tasks": [{"id": "flaky", "command": command, "retries": retries}]}));
    let flaky = task(&tasks, "flaky");
    assert_eq!((&flaky["status"], &flaky["attempt"]), (&json!("completed"), &json!(3)), "{flaky}");
    let tasks = run(
        &mut client,
        json!({"tasks": [{"id": "bad", "command": "exit 9", "retries": {"max": 2, "delay": 1}}]}),
    );
    let bad = task(&tasks, "bad");
    assert_eq!((&bad["attempt"], &bad["error"]), (&json!(3), &json!("exit code 9 in attempt 3")), "{bad}");
}

#[test]
fn a_task_ends_at_its_timeout() {
    let mut client = Client::start();
    let mark = marker();
    let tasks = run(
        &mut client,
        json!({"tasks": [{"id": "slow", "command": format!("echo begun; sleep {mark}"), "timeout": 300}]}),
    );
    let slow = task(&tasks, "slow");
    assert_eq!((&slow["status"], &slow["reason"]), (&json!("failed"), &json!("timeout")), "{slow}");
    assert!(slow["output"].as_str().is_some_and(|output| output.starts_with("begun\n")), "{slow}");
    assert_eq!(processes_with(&mark), [0; 0]);
}

#[test]
fn cancelled_tasks_are_gone_when_the_call_answers() {
    let mut client = Client::start();
    for (mode, stubborn) in [("graceful", false), ("force", true), ("graceful", true)] {
        let mark = marker();
        let ignore = if stubborn { "trap '' INT;" } else { "" };
        let slow = format!("{ignore} (sleep {mark} & sleep {mark})");
        let run = accepted(
            &mut client,
            json!({"tasks": [
                {"id": "one", "command": slow}, {"id": "two", "command": slow},
                {"id": "three", "command": "echo never", "dependencies": ["one"]},
            ]}),
        );
        until("both run", || processes_with(&format!("sleep {mark}")).len() >= 4);
        let cancelled = client.ok("task_cancel", json!({"runId": run, "mode": mode}));
        assert_eq!(processes_with(&mark), [0; 0], "{mode} {stubborn}");
        assert_eq!(cancelled, json!({"cancelled": ["one", "two", "three"]}));
        for task in over(&mut client, &run) {
            assert_eq!((&task["status"], &task["reason"]), (&json!("failed"), &json!("cancelled")), "{task}");
        }
        let again = client.ok("task_cancel", json!({"taskIds": ["one", "nobody"]}));
        assert_eq!(again, json!({"cancelled": [], "notFound": ["nobody"]}));
    }
    assert_eq!(client.call("task_cancel", json!({})).code(), "invalid_argument");
    assert_eq!(client.call("task_cancel", json!({"runId": "run_nothing"})).code(), "run_not_found");
}

#[test]
fn a_paused_run_starts_nothing_until_it_is_resumed() {
    let scratch = Scratch::new("pause");
    let (flag, mut client) = (Flag::in_(&scratch), Client::start());
    let run = accepted(
        &mut client,
        json!({"maxConcurrent": 1, "tasks": [
            {"id": "first", "command": flag.awaited()}, {"id": "second", "command": "true"},
        ]}),
    );
    until_shown(&mut client, "first", |task| task["status"] == "running");
    assert_eq!(shown(&mut client, "second")["detail"], "waiting_slot");
    let paused = client.ok("task_control", json!({"runId": run, "action": "pause"}));
    assert_eq!((&paused["status"], &paused["priority"]), (&json!("paused"), &json!("medium")), "{paused}");
    flag.raise();
    until_shown(&mut client, "first", |task| task["status"] == "completed");
    let second = shown(&mut client, "second");
    assert_eq!((&second["status"], &second["detail"]), (&json!("queued"), &json!("paused")), "{second}");
    let resumed = client
        .ok("task_control", json!({"runId": run, "action": "resume", "maxConcurrent": 3, "priority": 4}));
    assert_eq!(
        (&resumed["maxConcurrent"], &resumed["priority"]),
        (&json!(3), &json!("critical")),
        "{resumed}"
    );
    assert_eq!(task(&over(&mut client, &run), "second")["status"], "completed");
    let late = client.call("task_control", json!({"runId": run, "action": "pause"}));
    assert_eq!(late.code(), "illegal_transition");
    assert_eq!(client.call("task_control", json!({"runId": run})).code(), "invalid_argument");
}

#[test]
fn what_is_no_graph_is_refused_and_changes_nothing() {
    let mut client = Client::start();
    let named = |id: &str, after: Value| json!({"id": id, "command": "true", "dependencies": after});
    let refused =
        |client: &mut Client, tasks: Value| client.call("task_distribute", json!({"tasks": tasks})).error();
    let cycle = refused(
        &mut client,
        json!([
            named("a", json!("c")),
            named("b", json!("a")),
            named("c", json!("b")),
            named("d", json!([]))
        ]),
    );
    assert_eq!(cycle["code"], "dependency_cycle", "{cycle}");
    for id in ["a", "b", "c"] {
        assert!(cycle["message"].as_str().is_some_and(|message| message.contains(id)), "{cycle}");
    }
    assert_eq!(refused(&mut client, json!([named("a", json!("x"))]))["code"], "dependency_unknown");
    assert_eq!(
        refused(&mut client, json!([named("a", json!([])), named("a", json!([]))]))["code"],
        "duplicate_id"
    );
    assert_eq!(refused(&mut client, json!([]))["code"], "invalid_argument");
    let many: Vec<Value> = (0..100_001).map(|_| json!("true")).collect();
    let error = refused(&mut client, many.into());
    assert!(error["message"].as_str().is_some_and(|message| message.contains("100000")), "{error}");
    assert_eq!(
        client.ok("task_status", json!({})),
        json!({"tasks": [], "summary": {"total": 0, "queued": 0, "running": 0, "completed": 0, "failed": 0}})
    );
    let unknown = client.ok("task_status", json!({"taskIds": ["nobody"]}));
    assert_eq!(
        (&unknown["tasks"][0]["status"], &unknown["tasks"][0]["reason"]),
        (&json!("failed"), &json!("not_found"))
    );
}

#[test]
fn an_id_is_free_again_when_its_task_is_over() {
    let scratch = Scratch::new("ids");
    let (flag, mut client) = (Flag::in_(&scratch), Client::start());
    let first = accepted(&mut client, json!({"tasks": [{"id": "same", "command": flag.awaited()}]}));
    let taken =
        client.call("task_distribute", json!({"tasks": [{"id": "same", "command": "echo 2"}]})).error();
    assert_eq!(
        (&taken["code"], &taken["details"]["runId"]),
        (&json!("duplicate_id"), &json!(first)),
        "{taken}"
    );
    flag.raise();
    over(&mut client, &first);
    run(&mut client, json!({"tasks": [{"id": "same", "command": "echo 2"}]}));
    assert_eq!(shown(&mut client, "same")["output"], "2\n");
    assert_eq!(client.ok("task_status", json!({}))["summary"]["total"], 1);
}

#[test]
fn tasks_run_in_the_sessions_given() {
    let scratch = Scratch::new("given");
    let (flag, mut client) = (Flag::in_(&scratch), Client::start());
    let (one, two) = (client.clean("/bin/sh"), client.clean("/bin/sh"));
    let tasks: Vec<Value> = (0..8).map(|n| json!({"id": format!("t{n}"), "command": "true"})).collect();
    let tasks = run(&mut client, json!({"tasks": tasks, "sessions": [one, two]}));
    assert!(tasks.iter().all(|task| task["sessionId"] == one || task["sessionId"] == two), "{tasks:#?}");
    let fixed = run(&mut client, json!({"tasks": [{"id": "fixed", "command": "true", "sessionId": two}]}));
    assert_eq!(task(&fixed, "fixed")["sessionId"], two);
    // One that is closed takes its task with it, and those that could run nowhere else.
    let run = accepted(
        &mut client,
        json!({"sessions": [one], "tasks": [
            {"id": "held", "command": flag.awaited()}, {"id": "behind", "command": "true"},
        ]}),
    );
    until_shown(&mut client, "held", |task| task["status"] == "running");
    client.ok("session_close", json!({"sessionId": one, "mode": "emergency"}));
    for task in over(&mut client, &run) {
        assert_eq!((&task["status"], &task["reason"]), (&json!("failed"), &json!("session_lost")), "{task}");
    }
    let gone = client.call("task_distribute", json!({"tasks": ["true"], "sessions": [one]}));
    assert_eq!(gone.code(), "session_closed");
}

#[test]
fn a_wait_reports_progress_that_rises_to_100_at_the_end() {
    let mut client = Client::start();
    let tasks: Vec<Value> = (0..6).map(|n| json!({"id": format!("p{n}"), "command": "sleep 0.4"})).collect();
    let run = accepted(&mut client, json!({"tasks": tasks, "maxConcurrent": 2}));
    let arguments = json!({"runId": run, "wait": "50s"});
    let id = client.send(
        "tools/call",
        json!({"name": "task_status", "arguments": arguments, "_meta": {"progressToken": "t"}}),
    );
    let mut reports = Vec::new();
    loop {
        let message = client.message("progress or the answer", |message| {
            message["id"] == id || message["method"] == "notifications/progress"
        });
        if message["id"] == id {
            assert_eq!(message["result"]["structuredContent"]["summary"]["completed"], 6, "{message}");
            break;
        }
        reports.push(message["params"].clone());
    }
    let numbers: Vec<f64> = reports.iter().filter_map(|report| report["progress"].as_f64()).collect();
    assert!(numbers.len() >= 2 && numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
    assert!(
        numbers
            .split_last()
            .is_some_and(|(last, others)| *last >= 100.0 && others.iter().all(|n| *n < 100.0)),
        "{numbers:?}"
    );
    assert_eq!(reports[0]["total"].as_f64(), Some(100.0));
    assert!(
        reports[0]["message"].as_str().is_some_and(|text| text.contains("/6 done, 2 running")),
        "{reports:?}"
    );
}

#[test]
fn a_wait_for_a_change_ends_at_the_first() {
    let scratch = Scratch::new("change");
    let (flag, mut client) = (Flag::in_(&scratch), Client::start());
    let run = accepted(
        &mut client,
        json!({"tasks": [{"id": "long", "command": "sleep 300"}, {"id": "held", "command": flag.awaited()}]}),
    );
    for id in ["long", "held"] {
        until_shown(&mut client, id, |task| task["status"] == "running");
    }
    let id = client.send_call("task_status", json!({"runId": run, "wait": "50s", "until": "change"}));
    std::thread::sleep(Duration::from_millis(50));
    flag.raise();
    let changed = client.outcome(id).structured;
    assert_eq!(
        changed["summary"],
        json!({"total": 2, "queued": 0, "running": 1, "completed": 1, "failed": 0})
    );
    client.ok("task_cancel", json!({"runId": run, "mode": "force"}));
}

#[test]
fn failed_tasks_run_again_with_what_failed_before_them() {
    let scratch = Scratch::new("again");
    let (flag, mut client) = (scratch.path().join("there"), Client::start());
    let first = accepted(
        &mut client,
        json!({"tasks": [
            {"id": "good", "command": "true"},
            {"id": "bad", "command": format!("[ -e {} ]", flag.display()), "dependencies": "good"},
            {"id": "after", "command": "true", "dependencies": "bad"},
        ]}),
    );
    over(&mut client, &first);
    std::fs::write(&flag, "").expect("it can be written");
    let again = client.ok("task_retry", json!({"runId": first}));
    assert_eq!(again["distributed"].as_array().map(Vec::len), Some(2), "{again}");
    let tasks = over(&mut client, again["runId"].as_str().expect("an id"));
    assert!(tasks.iter().all(|task| task["status"] == "completed"), "{tasks:#?}");
    assert_eq!(client.call("task_retry", json!({"runId": again["runId"]})).code(), "task_not_found");
    assert_eq!(
        client.ok("task_retry", json!({"taskIds": ["good"], "onlyFailed": false}))["distributed"][0]["taskId"],
        "good"
    );
}

#[test]
fn scripts_and_agents_run() {
    let mut client = Client::start();
    let tasks = run(
        &mut client,
        json!({"tasks": [
            {"id": "script", "type": "script", "payload": {"script": "set -e\nx=1\necho $((x + 1))", "env": {"A": 1}}},
            {"id": "program", "type": "script", "payload": {"script": "#!/usr/bin/env -S sed -n p\nas it is '$HOME'", "stdin": "x"}},
            {"id": "code", "type": "script", "script": "#!/bin/sh\ncat; exit 5", "stdin": "given"},
            {"id": "agent", "type": "agent", "payload": {"command": "printf '%s|'", "prompt": "it's $HOME\nhere"}},
        ]}),
    );
    assert_eq!(task(&tasks, "script")["output"], "2\n");
    assert_eq!(task(&tasks, "program")["output"], "#!/usr/bin/env -S sed -n p\nas it is '$HOME'\n");
    let code = task(&tasks, "code");
    assert_eq!((&code["output"], &code["exitCode"]), (&json!("given"), &json!(5)), "{code}");
    assert_eq!(task(&tasks, "agent")["output"], "it's $HOME\nhere|");
}

/// `set -e` is the session's: a failed task fails, its own lines end at the first failure, and the shell lives.
#[test]
fn a_failed_task_ends_no_shell_under_set_e() {
    let mut client = Client::start();
    for (_, shell) in shells().into_iter().filter(|(name, _)| *name != "fish") {
        let session = client.clean(&shell);
        client.run(&session, "set -e");
        let tasks = json!([
            {"id": "fails", "command": "exit 3"},
            {"id": "stops", "command": "false; echo after"},
            {"id": "killed", "command": "kill -9 $(exec sh -c 'echo $PPID')"},
            {"id": "goes-on", "command": "case $- in *e*) echo still set ;; esac"},
        ]);
        let tasks = run(&mut client, json!({"tasks": tasks, "sessions": [session]}));
        let ends: Vec<_> = tasks.iter().map(|task| (&task["reason"], task["exitCode"].as_i64())).collect();
        let failed = json!("exit_code");
        let expected =
            [(&failed, Some(3)), (&failed, Some(1)), (&failed, Some(137)), (&Value::Null, Some(0))];
        assert_eq!(ends, expected, "{shell}: {tasks:#?}");
        let output = |client: &mut Client, id: &str| {
            let id = task(&tasks, id)["commandId"].clone();
            client.call("command_status", json!({"commandId": id})).output().to_owned()
        };
        assert_eq!(output(&mut client, "stops"), "", "{shell}");
        assert_eq!(output(&mut client, "goes-on"), "still set\n", "{shell}");
        assert_eq!(client.run(&session, "case $- in *e*) echo set ;; esac").output(), "set\n", "{shell}");
        assert_eq!(client.status(&session)["status"], "idle", "{shell}");
    }
}

/// What bash says of a stopped job names the command, not what the server put around it.
#[test]
fn a_task_that_stops_itself_is_told_of_in_plain_words() {
    let mut client = Client::start();
    let session = client.clean("/bin/bash");
    let stop = "kill -STOP $BASHPID";
    let tasks = json!([
        {"id": "plain", "command": stop},
        {"id": "prepared", "command": stop, "payload": {"env": {"A": "1"}, "stdin": "text"}},
        {"id": "next", "command": "echo next"},
    ]);
    let tasks = run(&mut client, json!({"tasks": tasks, "sessions": [session]}));
    let outputs = tasks.iter().map(|task| {
        let id = task["commandId"].clone();
        client.call("command_status", json!({"commandId": id})).output().to_owned()
    });
    let outputs: Vec<String> = outputs.collect();
    assert!(outputs[0].contains("Stopped") && outputs[0].ends_with(" command\n"), "{outputs:?}");
    assert!(outputs[1].contains("Stopped") && outputs[2].contains("next\n"), "{outputs:?}");
    assert!(!outputs.concat().contains("shellherd"), "{outputs:?}");
}
