//! Graphs of tasks as the references call them, in large numbers, and over the death of a server.

use serde_json::{Value, json};
use shellherd::term::tokens::estimate_tokens;

use crate::support::{Client, Flag, Scratch, marker, processes_with, until};
use crate::tasks::{accepted, over, shown, task, until_shown};

/// Example 3 of the reference: a build by dependencies, watched by a pattern.
#[test]
fn the_reference_builds_its_components() {
    let scratch = Scratch::new("build");
    let mut client = Client::start();
    let node = |name: &str, priority: Value, after: Value| {
        json!({
            "id": format!("build-{name}"), "type": "command", "priority": priority, "dependencies": after,
            "payload": {"command": format!("echo built {name}"), "workingDirectory": scratch.path()},
        })
    };
    let tasks = json!([
        node("core", json!("high"), json!([])),
        node("ui", json!("medium"), json!(["build-core"])),
        node("app", json!(1), json!(["build-ui", "build-core"])),
    ]);
    client.ok("task_distribute", json!({"tasks": tasks, "strategy": "dependency", "maxConcurrent": 4}));
    let mut before = 0.0;
    let mut last = Value::Null;
    until("the build is complete", || {
        last = client.ok("progress_aggregate", json!({"pattern": "build-*", "format": "detailed"}));
        let percentage = last["overall"]["percentage"].as_f64().expect("a number");
        assert!(percentage >= before, "{before} {last}");
        let over = last["overall"]["completed"] == 3;
        assert_eq!(percentage >= 100.0, over, "{last}");
        before = percentage;
        over
    });
    assert_eq!(last["overall"]["status"], "completed");
    assert_eq!(last["byStatus"], json!({"queued": 0, "running": 0, "completed": 3, "failed": 0}));
    assert_eq!(last["criticalPath"], json!(["build-core", "build-ui", "build-app"]), "{last}");
    assert_eq!(last["timeline"].as_array().map(Vec::len), Some(3));
    assert!(last["bySession"].as_array().is_some_and(|sessions| !sessions.is_empty()), "{last}");
    let nothing = client.ok("progress_aggregate", json!({"pattern": "deploy-*"}));
    assert_eq!((&nothing["overall"]["total"], &nothing["overall"]["percentage"]), (&json!(0), &json!(0.0)));
}

/// Example 7 of the reference: stages of tasks, each awaited by asking for the ids that were given back.
#[test]
fn the_reference_deploys_its_services() {
    let mut client = Client::start();
    client.session(json!({"name": "deployment-coordinator"}));
    for stage in ["build", "test"] {
        let task = |service: &str| {
            json!({
                "id": format!("{service}-{stage}"), "type": "command", "priority": "medium", "timeout": 60_000,
                "payload": {"command": format!("[ {service} != broken ] && echo {stage}"), "workingDirectory": "/tmp"},
            })
        };
        let tasks = json!([task("auth"), task("shop"), task("broken")]);
        let distribution = client
            .ok("task_distribute", json!({"tasks": tasks, "strategy": "load-balanced", "maxConcurrent": 5}));
        let ids: Vec<Value> = distribution["distributed"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|accepted| accepted["taskId"].clone())
            .collect();
        assert_eq!(ids.len(), 3, "{distribution}");
        let mut last = Value::Null;
        until("every task is completed or failed", || {
            last = client.ok("task_status", json!({"taskIds": ids}));
            let tasks = last["tasks"].as_array().expect("a list");
            tasks.iter().all(|task| task["status"] == "completed" || task["status"] == "failed")
        });
        assert_eq!(
            last["summary"],
            json!({"total": 3, "queued": 0, "running": 0, "completed": 2, "failed": 1})
        );
    }
}

#[test]
fn two_thousand_tasks_are_told_of_within_the_budget() {
    let mut client = Client::start();
    let tasks: Vec<Value> = (0..2_000)
        .map(|n| json!({"id": format!("many-{n:04}"), "command": if n % 500 == 7 { "echo why; false" } else { "true" }}))
        .collect();
    let accepted = client.call("task_distribute", json!({"tasks": tasks, "maxConcurrent": 4}));
    let run = accepted.structured["runId"].as_str().expect("an id").to_owned();
    let within = |outcome: &crate::support::Outcome| {
        for form in [&outcome.text, &outcome.structured.to_string()] {
            assert!(estimate_tokens(form) <= shellherd::limits::RESULT_TOKENS, "{}", estimate_tokens(form));
        }
    };
    within(&accepted);
    let listed = accepted.structured["distributed"].as_array().map_or(0, Vec::len);
    assert_eq!(accepted.structured["omittedTasks"], 2_000 - listed);
    let paths = client.call(
        "task_distribute",
        json!({"tasks": (0..2_000).map(|n| json!({
        "id": format!("chain-{n:04}"), "command": "true",
        "dependencies": if n == 0 { json!([]) } else { json!([format!("chain-{:04}", n - 1)]) },
    })).collect::<Vec<_>>(), "dryRun": true}),
    );
    within(&paths);
    assert!(paths.structured["order"]["omittedTasks"].as_u64().is_some_and(|omitted| omitted > 0));
    until("all are over", || {
        let progress = client.call("progress_aggregate", json!({"runId": run, "format": "detailed"}));
        within(&progress);
        progress.structured["overall"]["percentage"] == 100.0
    });
    let mut since = 0;
    let mut seen = std::collections::BTreeSet::new();
    loop {
        let page = client.call("task_status", json!({"runId": run, "since": since}));
        within(&page);
        for task in page.structured["tasks"].as_array().expect("a list") {
            assert!(seen.insert(task["id"].to_string()), "twice: {task}");
        }
        let Some(next) = page.structured["cursor"].as_u64() else { break };
        assert!(next > since);
        since = next;
    }
    assert_eq!(seen.len(), 2_000);
    let failed = client.ok("task_status", json!({"runId": run, "status": "failed"}));
    assert_eq!(failed["tasks"].as_array().map(Vec::len), Some(4), "{failed}");
    assert_eq!(failed["tasks"][0]["output"], "why\n");
}

/// What was acknowledged outlives `kill -9`.
#[test]
fn runs_outlive_the_server() {
    let (state, scratch) = (Scratch::new("runs"), Scratch::new("flags"));
    let (flag, mark) = (Flag::in_(&scratch), marker());
    let mut client = Client::start_in(state.path());
    let mut runs = Vec::new();
    for (name, resumable) in [("plain", false), ("again", true)] {
        let id = |what: &str| format!("{name}-{what}");
        runs.push(accepted(
            &mut client,
            json!({"resumable": resumable, "tasks": [
                {"id": id("done"), "command": format!("echo done {name}")},
                {"id": id("bad"), "command": "exit 4"},
                {"id": id("running"), "dependencies": id("done"),
                    "command": format!("[ -e '{}' ] || sleep {mark}; echo ran", flag.path().display())},
                {"id": id("behind"), "command": "echo behind", "dependencies": id("running")},
            ]}),
        ));
        until_shown(&mut client, &id("running"), |task| task["status"] == "running");
        until_shown(&mut client, &id("bad"), |task| task["status"] == "failed");
    }
    until("both sleep", || processes_with(&mark).len() >= 2);
    client.signal(rustix::process::Signal::KILL);
    client.until_exit();
    drop(client);
    flag.raise();

    let mut client = Client::start_in(state.path());
    let fact = |client: &mut Client, id: &str| {
        let task = shown(client, id);
        let word = |field: &str| task[field].as_str().unwrap_or_default().to_owned();
        (word("status"), word("reason"))
    };
    let pair = |status: &str, reason: &str| (status.to_owned(), reason.to_owned());
    for name in ["plain", "again"] {
        let done = shown(&mut client, &format!("{name}-done"));
        assert_eq!(
            (&done["status"], &done["output"]),
            (&json!("completed"), &json!(format!("done {name}\n"))),
            "{done}"
        );
        assert_eq!(fact(&mut client, &format!("{name}-bad")), pair("failed", "exit_code"));
    }
    assert_eq!(fact(&mut client, "plain-running"), pair("failed", "server_restart"));
    assert_eq!(fact(&mut client, "plain-behind"), pair("failed", "dependency_failed"));
    until("the sleeps are gone", || processes_with(&mark).is_empty());
    let waiting = shown(&mut client, "again-running");
    assert_eq!((&waiting["status"], &waiting["detail"]), (&json!("queued"), &json!("paused")), "{waiting}");
    client.ok("task_control", json!({"runId": runs[1], "action": "resume"}));
    let tasks = over(&mut client, &runs[1]);
    assert_eq!(task(&tasks, "again-running")["output"], "ran\n", "{tasks:#?}");
    assert_eq!(task(&tasks, "again-behind")["status"], "completed");
    let ids = json!(["plain-done", "again-done"]);
    assert_eq!(client.ok("task_status", json!({"taskIds": ids}))["summary"]["completed"], 2);
}
