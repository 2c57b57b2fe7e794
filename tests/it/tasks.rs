//! Graphs of tasks, from their acceptance to the last of their ends.

use serde_json::{Value, json};

use crate::support::Client;

/// The tasks of a run once all of them are over.
fn over(client: &mut Client, run: &str) -> Vec<Value> {
    let shown = client.ok("task_status", json!({"runId": run, "wait": "50s"}));
    let summary = &shown["summary"];
    let done = summary["completed"].as_u64().unwrap_or(0) + summary["failed"].as_u64().unwrap_or(0);
    assert_eq!(Some(done), summary["total"].as_u64(), "not over: {shown}");
    shown["tasks"].as_array().cloned().expect("a list")
}

/// Runs a graph to its end; its tasks.
fn run(client: &mut Client, arguments: Value) -> Vec<Value> {
    let accepted = client.ok("task_distribute", arguments);
    over(client, accepted["runId"].as_str().expect("a run has an id"))
}

fn task<'a>(tasks: &'a [Value], id: &str) -> &'a Value {
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
