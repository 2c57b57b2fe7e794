//! Pools of warm sessions, and sessions that run the tasks of another.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::recovery::stop_shell;
use crate::support::{Client, Flag, Scratch};

#[test]
fn a_pool_runs_no_more_at_once_than_it_has_members() {
    let scratch = Scratch::new("pool");
    let mut client = Client::start();
    let config = json!({"shell": "/bin/bash", "profile": "clean", "env": {"A": "1"}, "workingDirectory": scratch.path()});
    let made = client.ok("pool_create", json!({"name": "build", "size": 2, "config": config}));
    assert_eq!((&made["ready"], &made["busy"]), (&json!(2), &json!(0)), "{made}");
    let ran =
        client.call("pool_execute", json!({"pool": "build", "command": "pwd; echo $A; cd /; export A=2"}));
    assert_eq!(ran.structured["output"], format!("{}\n1\n", scratch.path().display()), "{ran:?}");
    let flag = Flag::in_(&scratch);
    let marks = scratch.path().join("marks");
    // Each tells how many run beside it.
    let command = format!(
        "echo + >> {marks}; {}; echo - >> {marks}; echo $SHELLHERD_SESSION",
        flag.awaited(),
        marks = marks.display()
    );
    let calls: Vec<u64> = (0..5)
        .map(|_| client.send_call("pool_execute", json!({"pool": "build", "command": command})))
        .collect();
    crate::support::until("two run", || {
        std::fs::read_to_string(&marks).is_ok_and(|text| text.lines().count() >= 2)
    });
    assert_eq!(client.ok("pool_status", json!({"name": "build"}))["pools"][0]["busy"], 2);
    flag.raise();
    let mut used = BTreeSet::new();
    for call in calls {
        let ran = client.outcome(call);
        assert_eq!(ran.structured["success"], true, "{ran:?}");
        used.insert(ran.output().to_owned());
    }
    assert_eq!(used.len(), 2, "{used:?}");
    let (mut now, mut most) = (0, 0);
    for line in std::fs::read_to_string(&marks).expect("marks").lines() {
        now += if line == "+" { 1 } else { -1 };
        most = most.max(now);
    }
    assert_eq!(most, 2, "the limit holds");
    let failed = client.call("pool_execute", json!({"pool": "build", "command": "exit 3"}));
    assert_eq!((failed.is_error, failed.exit()), (true, Some(3)), "{failed:?}");
}

#[test]
fn a_broken_member_is_replaced() {
    let mut client = Client::start();
    let mut config = json!({"shell": "/bin/bash", "profile": "clean", "autoAccept": {"enabled": true}});
    let refused = client.call("pool_create", json!({"name": "one", "size": 1, "config": config}));
    assert!(refused.is_error && refused.text.contains("config.autoAccept"), "{refused:?}");
    assert_eq!(client.ok("pool_status", json!({}))["pools"], json!([]), "nothing was made");
    config.as_object_mut().expect("an object").remove("autoAccept");
    client.ok("pool_create", json!({"name": "one", "size": 1, "config": config}));
    let broken = client.call("pool_execute", json!({"pool": "one", "command": "kill -9 $$; sleep 60"}));
    assert!(broken.is_error, "{broken:?}");
    let ran = client.call("pool_execute", json!({"pool": "one", "command": "echo fine"}));
    assert_eq!(ran.structured["output"], "fine\n", "{ran:?}");
    let shown = client.ok("pool_status", json!({}));
    let pool = &shown["pools"][0];
    assert_eq!((&pool["size"], &pool["replaced"]), (&json!(1), &json!(1)), "{shown}");
    let member =
        &client.ok("session_list", json!({"metadata": {"pool": "one"}, "status": "idle"}))["sessions"][0];
    client.ok("session_close", json!({"sessionId": member["sessionId"]}));
    let ran = client.call("pool_execute", json!({"pool": "one", "command": "echo again"}));
    assert_eq!(ran.structured["output"], "again\n", "{ran:?}");
}

#[test]
fn a_stopped_member_costs_no_command() {
    let mut client = Client::start();
    client.ok(
        "pool_create",
        json!({"name": "two", "size": 2, "config": {"shell": "/bin/bash", "profile": "clean"}}),
    );
    for _ in 0..2 {
        let members = client.ok("session_list", json!({"metadata": {"pool": "two"}, "status": "idle"}));
        let member = members["sessions"][0]["sessionId"].as_str().expect("a member");
        stop_shell(&mut client, member);
        for _ in 0..3 {
            let ran = client.call("pool_execute", json!({"pool": "two", "command": "echo fine"}));
            assert_eq!((ran.is_error, ran.output()), (false, "fine\n"), "{ran:?}");
        }
        crate::support::until("another takes its place", || {
            client.ok("pool_status", json!({"name": "two"}))["pools"][0]["ready"] == 2
        });
    }
}

#[test]
fn a_deleted_pool_takes_its_sessions_along() {
    let scratch = Scratch::new("unpool");
    let mut client = Client::start();
    client.ok(
        "pool_create",
        json!({"name": "one", "size": 1, "config": {"shell": "/bin/bash", "profile": "clean"}}),
    );
    let flag = Flag::in_(&scratch);
    let late = client.call("pool_execute", json!({"pool": "one", "command": flag.awaited(), "wait": 0}));
    assert!(late.structured["runId"].is_string(), "{late:?}");
    let waiting = client.send_call("pool_execute", json!({"pool": "one", "command": "true"}));
    let tasks = || json!({"pattern": "pool-one-*"});
    crate::support::until("both are accepted", || client.ok("task_status", tasks())["summary"]["total"] == 2);
    assert_eq!(client.ok("pool_delete", json!({"name": "one"}))["sessions"], 1);
    assert_eq!(client.outcome(waiting).code(), "session_closed");
    let listed = || json!({"metadata": {"pool": "one"}, "status": ["idle", "active", "initializing"]});
    crate::support::until("its session has ended", || client.ok("session_list", listed())["total"] == 0);
    for (tool, arguments, code) in [
        ("pool_execute", json!({"pool": "one", "command": "true"}), "invalid_argument"),
        ("pool_delete", json!({"name": "one"}), "invalid_argument"),
        ("pool_create", json!({"name": "a b", "size": 1}), "invalid_argument"),
        ("pool_create", json!({"name": "a", "size": 0}), "invalid_argument"),
        ("pool_create", json!({"name": "a", "size": 1, "config": {"command": "true"}}), "invalid_argument"),
        ("pool_create", json!({"name": "a", "size": 1, "config": {"shell": "false"}}), "unsupported"),
        ("pool_create", json!({"name": "a", "size": 1, "config": {"type": "observer"}}), "unsupported"),
    ] {
        let refused = client.call(tool, arguments);
        assert_eq!(refused.code(), code, "{refused:?}");
    }
    assert_eq!(client.ok("pool_status", json!({}))["pools"], json!([]));
}

fn ran_in(client: &mut Client, session: &str, count: usize) -> Vec<String> {
    let tasks: Vec<Value> = (0..count).map(|_| json!({"command": "true", "sessionId": session})).collect();
    let run = client.ok("task_distribute", json!({"tasks": tasks}));
    let shown = client.ok("task_status", json!({"runId": run["runId"], "wait": "50s"}));
    let tasks = shown["tasks"].as_array().expect("tasks");
    assert!(tasks.iter().all(|task| task["status"] == "completed"), "{shown}");
    tasks.iter().map(|task| task["sessionId"].as_str().expect("a session").to_owned()).collect()
}

#[test]
fn tasks_of_a_session_go_to_its_targets_while_they_are_well() {
    let mut client = Client::start();
    let mut new = |name: &str, kind: &str| {
        client.session(json!({"name": name, "type": kind, "shell": "/bin/bash", "profile": "clean"}))
    };
    let lead = new("director-1", "director");
    let (one, two) = (new("department-1", "department"), new("department-2", "department"));
    let own = client.call("session_affinity", json!({"sessionId": lead, "targets": ["department-1", lead]}));
    assert_eq!(own.code(), "invalid_argument", "{own:?}");
    let unknown = client.call("session_affinity", json!({"sessionId": lead, "targets": ["nobody"]}));
    assert_eq!(unknown.code(), "session_not_found", "{unknown:?}");
    assert_eq!(ran_in(&mut client, &lead, 2), [lead.clone(), lead.clone()], "nothing changed");

    let set = client.ok(
        "session_affinity",
        json!({"sessionId": lead, "targets": ["department-1", "department-2"], "strategy": "round-robin", "healthCheckInterval": 500}),
    );
    assert_eq!(set["targets"], json!([one, two]), "{set}");
    let shown = client.ok("session_status", json!({"sessionId": lead}));
    let shared = json!({"targets": [one, two], "strategy": "round-robin", "healthCheckInterval": 500});
    assert_eq!(shown["affinity"], shared, "{shown}");
    let used: BTreeSet<String> = ran_in(&mut client, &lead, 6).into_iter().collect();
    assert_eq!(used, BTreeSet::from([one.clone(), two.clone()]));
    client.ok("session_close", json!({"sessionId": one, "mode": "force"}));
    assert_eq!(ran_in(&mut client, &lead, 2), [two.clone(), two.clone()]);
    client.ok("session_close", json!({"sessionId": two, "mode": "force"}));
    assert_eq!(ran_in(&mut client, &lead, 1), std::slice::from_ref(&lead), "none is left");
    let mut logged = || client.ok("session_logs", json!({"sessionId": lead})).to_string();
    crate::support::until("the targets are dropped", || logged().contains("no tasks go to"));
    let ended = client.ok("session_affinity", json!({"sessionId": lead, "targets": []}));
    assert_eq!(ended.get("targets"), None, "{ended}");
}

#[test]
fn departments_end_before_their_directors_in_every_mode() {
    let mut client = Client::start();
    for mode in ["graceful", "force", "emergency"] {
        let mut new =
            |kind: &str| client.session(json!({"type": kind, "shell": "/bin/bash", "profile": "clean"}));
        let director = new("director");
        let others: BTreeSet<String> = [new("worker"), new("department"), new("observer")].into();
        let closed = client.ok("session_close", json!({"all": true, "mode": mode}));
        assert_eq!(closed["success"], true, "{closed}");
        let order: Vec<String> = closed["sessionIds"]
            .as_array()
            .expect("ids")
            .iter()
            .map(|id| id.as_str().expect("an id").to_owned())
            .collect();
        assert_eq!(order.last(), Some(&director), "{mode}: {closed}");
        assert_eq!(order[..3].iter().cloned().collect::<BTreeSet<_>>(), others, "{mode}");
        // Each department's end is noted before the director's.
        let events = client.ok("events_poll", json!({"types": ["termination"]})).to_string();
        let at = |id: &str| events.rfind(id).unwrap_or_else(|| panic!("{id}: {events}"));
        assert!(others.iter().all(|other| at(other) < at(&director)), "{mode}: {events}");
    }
}

#[test]
fn an_observer_only_watches() {
    let mut client = Client::start();
    let observer = client.session(json!({"type": "observer", "shell": "/bin/bash", "profile": "clean"}));
    let worker = client.clean("/bin/bash");
    for (tool, arguments) in [
        ("command_execute", json!({"sessionId": observer, "command": "true"})),
        ("command_batch", json!({"sessionId": observer, "commands": ["true"]})),
        ("session_input", json!({"sessionId": observer, "text": "true", "enter": true})),
        ("session_migrate", json!({"sessionId": observer, "workingDirectory": "/"})),
    ] {
        assert_eq!(client.call(tool, arguments).code(), "permission_denied", "{tool}");
    }
    let task = json!({"tasks": [{"command": "true", "sessionId": observer}]});
    assert_eq!(client.call("task_distribute", task).code(), "unsupported");
    let target = json!({"sessionId": worker, "targets": [observer]});
    assert_eq!(client.call("session_affinity", target).code(), "unsupported");
    client.ok("session_output", json!({"sessionId": observer}));
    client.ok("session_list", json!({}));
    assert_eq!(
        client.ok("session_status", json!({"sessionId": observer, "detailed": true}))["details"]["commandsExecuted"],
        0
    );
}

#[test]
fn a_pool_outlives_its_server() {
    let state = Scratch::new("pools");
    let mut client = Client::start_in(state.path());
    let env = json!({"A": "1", "A_TOKEN": "sesame123"});
    let config = json!({"shell": "/bin/bash", "profile": "clean", "env": env, "capabilities": ["x"]});
    client.ok("pool_create", json!({"name": "build", "size": 2, "config": config}));
    client.ok("pool_create", json!({"name": "gone", "size": 1, "config": config}));
    client.ok("pool_delete", json!({"name": "gone"}));
    let run = json!({"pool": "build", "command": "echo $A/${#A_TOKEN}"});
    assert_eq!(client.call("pool_execute", run.clone()).output(), "1/9\n");
    let check = |client: &mut Client| {
        crate::support::until("two members", || {
            client.ok("pool_status", json!({"name": "build"}))["pools"][0]["ready"] == 2
        });
        assert_eq!(client.ok("pool_status", json!({}))["pools"].as_array().map(Vec::len), Some(1));
        assert_eq!(client.call("pool_execute", run.clone()).output(), "1/0\n", "no secret was kept");
        let listed = client.ok("session_list", json!({"status": ["idle"], "capabilities": ["x"]}));
        assert_eq!(listed["total"], 2, "{listed}");
    };
    client.signal(rustix::process::Signal::KILL);
    client.until_exit();
    let mut client = Client::start_in(state.path());
    check(&mut client);
    client.hang_up();
    client.until_exit();
    let mut client = Client::start_in(state.path());
    check(&mut client);
    let all = client.ok("session_list", json!({}));
    assert_eq!(
        all["total"], 7,
        "two for each server and that of the other pool, none made while one ended: {all}"
    );
    client.ok("pool_delete", json!({"name": "build"}));
    client.hang_up();
    client.until_exit();
    let mut client = Client::start_in(state.path());
    assert_eq!(client.ok("pool_status", json!({}))["pools"], json!([]));
    let store = std::fs::read(state.path().join("shellherd.db")).expect("a store");
    assert!(!store.windows(9).any(|window| window == b"sesame123"), "no secret reached the store");
}

#[test]
fn a_session_that_is_brought_back_shares_its_tasks_out_as_before() {
    let state = Scratch::new("affinity");
    let mut client = Client::start_in(state.path());
    let mut new =
        |name: &str| client.session(json!({"name": name, "shell": "/bin/bash", "profile": "clean"}));
    let (lead, one, two) = (new("lead"), new("one"), new("two"));
    client.ok(
        "session_affinity",
        json!({"sessionId": lead, "targets": [one, two, "helper-*"], "strategy": "first"}),
    );
    client.signal(rustix::process::Signal::KILL);
    client.until_exit();
    let mut client = Client::start_in(state.path());
    let two = client.ok("session_restore", json!({"sessionId": two}))["sessionId"].clone();
    let lead = client.ok("session_restore", json!({"sessionId": lead}))["sessionId"].clone();
    let lead = lead.as_str().expect("an id");
    let shown = client.status(lead);
    let wanted = json!({"targets": [two, "helper-*"], "strategy": "first", "healthCheckInterval": 30_000});
    assert_eq!(shown["affinity"], wanted, "{shown}");
    assert_eq!(ran_in(&mut client, lead, 1), [two.as_str().expect("an id")]);
    let logged = client.ok("session_logs", json!({"sessionId": lead})).to_string();
    assert!(logged.contains(&format!("no tasks go to {one} any more")), "{logged}");
}
