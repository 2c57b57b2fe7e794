//! What each setting of a run does to the order and the place of its tasks, as their log and records tell.

use std::collections::BTreeSet;
use std::fs::read_to_string;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::recovery::stop_shell;
use crate::support::{Client, Flag, Scratch, marker, processes_with, until};
use crate::tasks::{accepted, over, run, task, until_shown};

const STRATEGIES: [&str; 7] =
    ["dependency", "priority", "round-robin", "load-balanced", "capability", "affinity", "resource-aware"];

/// A file that tasks append lines to; each line is one write, so that none is torn.
pub struct Log(PathBuf);

impl Log {
    pub fn in_(scratch: &Scratch) -> Self {
        Self(scratch.path().join(format!("log-{}", uuid::Uuid::new_v4().simple())))
    }

    /// What a POSIX shell runs to append a line.
    pub fn append(&self, line: &str) -> String {
        format!("echo '{line}' >> '{}'", self.0.display())
    }

    /// The same around something else.
    pub fn around(&self, id: &str, command: &str) -> String {
        format!("{}; {command}; {}", self.append(&format!("start {id}")), self.append(&format!("end {id}")))
    }

    /// What a POSIX shell runs to wait until this many lines begin with a word.
    pub fn awaited(&self, word: &str, count: usize) -> String {
        format!("until [ $(grep -c '^{word}' '{}') -ge {count} ]; do sleep 0.01; done", self.0.display())
    }

    pub fn lines(&self) -> Vec<String> {
        read_to_string(&self.0).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// The most tasks between their start and their end at any instant.
    pub fn most_at_once(&self) -> usize {
        let (mut now, mut most) = (0_usize, 0);
        for line in self.lines() {
            if line.starts_with("start ") {
                now += 1;
            } else {
                now -= 1;
            }
            most = most.max(now);
        }
        assert_eq!(now, 0, "what started has ended");
        most
    }
}

fn session_of(tasks: &[Value], id: &str) -> String {
    task(tasks, id)["sessionId"].as_str().unwrap_or_else(|| panic!("{id} ran nowhere: {tasks:#?}")).to_owned()
}

#[test]
fn the_longest_chain_begins_first_under_dependency_only() {
    let scratch = Scratch::new("chains");
    let mut client = Client::start();
    for strategy in STRATEGIES {
        let log = Log::in_(&scratch);
        let step =
            |id: &str, after: Value| json!({"id": id, "command": log.append(id), "dependencies": after});
        run(
            &mut client,
            json!({"strategy": strategy, "maxConcurrent": 1, "tasks": [
                step("alone", json!([])), step("pair", json!([])), step("trio", json!([])),
                step("pair-2", json!("pair")), step("trio-2", json!("trio")), step("trio-3", json!("trio-2")),
            ]}),
        );
        let lines = log.lines();
        let begun: Vec<&String> = lines.iter().filter(|line| !line.contains('-')).collect();
        let expected =
            if strategy == "dependency" { ["trio", "pair", "alone"] } else { ["alone", "pair", "trio"] };
        assert_eq!(begun, expected, "{strategy}: {lines:?}");
        assert_eq!(lines.len(), 6, "{strategy}: {lines:?}");
    }
}

#[test]
fn priorities_hold_under_every_strategy() {
    let scratch = Scratch::new("priorities");
    let mut client = Client::start();
    for strategy in STRATEGIES {
        let log = Log::in_(&scratch);
        let step =
            |id: &str, priority: Value| json!({"id": id, "command": log.append(id), "priority": priority});
        run(
            &mut client,
            json!({"strategy": strategy, "maxConcurrent": 1, "tasks": [
                step("low", json!("low")), step("first", json!("medium")), step("second", json!(2)),
                step("high", json!("high")), step("critical", json!("critical")),
            ]}),
        );
        assert_eq!(log.lines(), ["critical", "high", "first", "second", "low"], "{strategy}");
    }
}

/// Where six tasks go that run one after the other and may go anywhere.
fn places(client: &mut Client, strategy: &str, sessions: &[String]) -> Vec<String> {
    let tasks: Vec<Value> = (0..6).map(|n| json!({"id": format!("t{n}"), "command": "true"})).collect();
    let arguments = json!({"strategy": strategy, "sessions": sessions, "maxConcurrent": 1, "tasks": tasks});
    let tasks = run(client, arguments);
    (0..6).map(|n| session_of(&tasks, &format!("t{n}"))).collect()
}

#[test]
fn round_robin_goes_from_session_to_session() {
    let mut client = Client::start();
    let sessions: Vec<String> = (0..3).map(|_| client.clean("/bin/bash")).collect();
    let places_of = places(&mut client, "round-robin", &sessions);
    for turn in places_of.windows(3) {
        assert_eq!(turn.iter().collect::<BTreeSet<_>>().len(), 3, "{places_of:?}");
    }
    assert_eq!(places(&mut client, "dependency", &sessions), vec![sessions[0].clone(); 6]);
}

#[test]
fn tasks_go_where_they_can_run() {
    let mut client = Client::start();
    let sessions: Vec<String> = (0..2).map(|_| client.clean("/bin/bash")).collect();
    stop_shell(&mut client, &sessions[0]);
    client.until_shown(&sessions[0], "the stop is seen", |shown| shown["stopped"] == true);
    let listed = client.ok("session_list", json!({"query": ""}));
    let stopped = |id: &str| {
        let sessions = listed["sessions"].as_array().expect("sessions");
        sessions.iter().find(|session| session["sessionId"] == id).expect("it is listed")["stopped"].clone()
    };
    assert_eq!((stopped(&sessions[0]), stopped(&sessions[1])), (json!(true), Value::Null));
    for strategy in STRATEGIES {
        assert_eq!(places(&mut client, strategy, &sessions), vec![sessions[1].clone(); 6], "{strategy}");
    }
}

#[test]
fn a_session_that_is_busy_in_its_turn_is_the_next_when_it_is_free() {
    let scratch = Scratch::new("turns");
    let (mut client, log) = (Client::start(), Log::in_(&scratch));
    let sessions: Vec<String> = (0..3).map(|_| client.clean("/bin/bash")).collect();
    let busy = json!({"id": "busy", "command": log.awaited("go", 1), "sessionId": sessions[0]});
    let go = |n: usize| json!({"id": format!("t{n}"), "command": if n == 4 { log.append("go") } else { "true".to_owned() }});
    let chain = (0..5).map(|n| {
        let mut task = go(n);
        task["dependencies"] = if n == 0 { json!([]) } else { json!([format!("t{}", n - 1)]) };
        task
    });
    let last = json!({"id": "last", "command": "true", "dependencies": ["busy", "t4"]});
    let tasks: Vec<Value> = std::iter::once(busy).chain(chain).chain([last]).collect();
    let tasks = run(&mut client, json!({"strategy": "round-robin", "sessions": sessions, "tasks": tasks}));
    let places: Vec<String> = (0..5).map(|n| session_of(&tasks, &format!("t{n}"))).collect();
    let turns = [1, 2, 1, 2, 1].map(|n: usize| sessions[n].clone());
    assert_eq!(places, turns, "the busy one is passed over, and no task waits for it");
    assert_eq!(session_of(&tasks, "last"), sessions[0], "its turn is the longest ago");
}

#[test]
fn load_balanced_keeps_away_from_a_busy_session() {
    let scratch = Scratch::new("balance");
    let (flag, mut client) = (Flag::in_(&scratch), Client::start());
    let (busy, quiet) = (client.clean("/bin/bash"), client.clean("/bin/bash"));
    client.run(&busy, "yes > /dev/null &");
    let sessions = [busy.clone(), quiet.clone()];
    // The machine is looked at for as long as a run asks for it.
    let asking = accepted(
        &mut client,
        json!({"strategy": "load-balanced", "tasks": [{"id": "asking", "command": flag.awaited()}]}),
    );
    until("the load is known", || places(&mut client, "load-balanced", &sessions)[5] == quiet);
    assert_eq!(places(&mut client, "load-balanced", &sessions), vec![quiet; 6]);
    assert_eq!(places(&mut client, "dependency", &sessions), vec![busy; 6]);
    flag.raise();
    over(&mut client, &asking);
}

#[test]
fn affinity_stays_where_the_task_before_ran() {
    let mut client = Client::start();
    let sessions: Vec<String> = (0..3).map(|_| client.clean("/bin/bash")).collect();
    for (strategy, place) in [("affinity", &sessions[2]), ("dependency", &sessions[0])] {
        let tasks = run(
            &mut client,
            json!({"strategy": strategy, "sessions": sessions, "tasks": [
                {"id": "begin", "command": "true", "sessionId": sessions[2]},
                {"id": "next", "command": "true", "dependencies": "begin"},
                {"id": "last", "command": "true", "dependencies": "next"},
            ]}),
        );
        let of = ["begin", "next", "last"].map(|id| session_of(&tasks, id));
        assert_eq!(of, [sessions[2].clone(), place.clone(), place.clone()], "{strategy}");
    }
}

#[test]
fn capability_spares_the_able_sessions_and_requirements_are_waited_for() {
    let mut client = Client::start();
    let mut able = |words: Value| {
        client.session(json!({"shell": "/bin/bash", "profile": "clean", "capabilities": words}))
    };
    let (both, gpu, none) = (able(json!(["gpu", "ssd"])), able(json!(["gpu"])), able(json!([])));
    let sessions = [&both, &gpu, &none];
    for (strategy, of_gpu, of_any) in [("capability", &gpu, &none), ("priority", &both, &both)] {
        let tasks = run(
            &mut client,
            json!({"strategy": strategy, "sessions": sessions, "maxConcurrent": 1, "tasks": [
                {"id": "needs-gpu", "command": "true", "requirements": ["gpu"]},
                {"id": "needs-both", "command": "true", "requirements": ["ssd", "gpu"]},
                {"id": "needs-nothing", "command": "true"},
            ]}),
        );
        let of = ["needs-gpu", "needs-both", "needs-nothing"].map(|id| session_of(&tasks, id));
        assert_eq!(of, [of_gpu, &both, of_any].map(Clone::clone), "{strategy}");
    }
    let waiting =
        accepted(&mut client, json!({"tasks": [{"id": "rare", "command": "true", "requirements": ["tpu"]}]}));
    until_shown(&mut client, "rare", |task| task["detail"] == "no_capable_session");
    let hint = client.ok("task_status", json!({"taskIds": ["rare"]}))["hint"].clone();
    assert!(hint.as_str().is_some_and(|hint| hint.contains("agent_register")), "{hint}");
    let none = client.ok("progress_aggregate", json!({"pattern": "zz*"}));
    assert!(none["hint"].as_str().is_some_and(|hint| hint.contains("no task fits")), "{none}");
    let rare = client.session(json!({"shell": "/bin/bash", "profile": "clean", "capabilities": ["tpu"]}));
    assert_eq!(session_of(&over(&mut client, &waiting), "rare"), rare);
    assert_eq!(client.ok("task_status", json!({"taskIds": ["rare"]})).get("hint"), None);
}

/// A machine that is busier than the run allows gives it one task at a time, and no more.
#[test]
fn resource_aware_holds_back() {
    let scratch = Scratch::new("resources");
    let (flag, log, mut client) = (Flag::in_(&scratch), Log::in_(&scratch), Client::start());
    // The load is known before the run begins.
    accepted(
        &mut client,
        json!({"resources": {"maxMemory": 0}, "tasks": [{"id": "asking", "command": flag.awaited()}]}),
    );
    until_shown(&mut client, "asking", |task| task["status"] == "running");
    let tasks: Vec<Value> = (0..8)
        .map(|n| json!({"id": format!("r{n}"), "command": log.around(&n.to_string(), "sleep 0.05")}))
        .collect();
    let run = accepted(
        &mut client,
        json!({"strategy": "resource-aware", "resources": {"maxMemory": 0}, "maxConcurrent": 4, "tasks": tasks}),
    );
    until_shown(&mut client, "r7", |task| {
        task["detail"] == "resource_pressure" || task["status"] == "completed"
    });
    over(&mut client, &run);
    assert_eq!((log.most_at_once(), log.lines().len()), (1, 16));
    flag.raise();
}

#[test]
fn a_heavy_task_is_alone_in_the_slots() {
    let scratch = Scratch::new("weights");
    let (log, mut client) = (Log::in_(&scratch), Client::start());
    for weight in [4, 1_000] {
        let before = log.lines().len();
        let tasks: Vec<Value> = (0..9)
            .map(|n| {
                let id = if n == 4 { "heavy".to_owned() } else { format!("light-{n}") };
                let weight = if n == 4 { weight } else { 1 };
                // The light ones before it end only when all of them have begun.
                let until =
                    if n < 4 { log.awaited("start light", before / 18 * 8 + 4) } else { "sleep 0.02".into() };
                json!({"id": id, "weight": weight, "command": log.around(&id, &until)})
            })
            .collect();
        run(&mut client, json!({"maxConcurrent": 4, "strategy": "priority", "tasks": tasks}));
        let lines = log.lines().split_off(before);
        let at =
            |line: &str| lines.iter().position(|known| known == line).unwrap_or_else(|| panic!("{lines:?}"));
        let (start, end) = (at("start heavy"), at("end heavy"));
        assert_eq!(end, start + 1, "nothing begins or ends beside it: {lines:?}");
        assert_eq!(start, 8, "it is alone after the four before it, and before the others: {lines:?}");
    }
    assert_eq!(log.most_at_once(), 4);
}

#[test]
fn a_bound_on_sessions_bounds_what_runs() {
    let scratch = Scratch::new("sessions");
    let (log, mut client) = (Log::in_(&scratch), Client::start());
    let tasks: Vec<Value> = (0..12)
        .map(|n| {
            let until = if n < 2 { log.awaited("start", 2) } else { "true".to_owned() };
            json!({"id": format!("s{n}"), "command": log.around(&n.to_string(), &until)})
        })
        .collect();
    let tasks =
        run(&mut client, json!({"maxConcurrent": 8, "resources": {"maxSessions": 2}, "tasks": tasks}));
    let sessions: BTreeSet<&str> = tasks.iter().filter_map(|task| task["sessionId"].as_str()).collect();
    assert_eq!((log.most_at_once(), sessions.len()), (2, 2), "{tasks:#?}");
    assert_eq!(client.ok("session_list", json!({}))["total"], 2);
}

#[test]
fn a_task_that_passes_its_memory_limit_is_ended() {
    let mut client = Client::start();
    let mark = marker();
    // It keeps 200 MB until somebody reads them.
    let hungry = format!("head -c 200000000 /dev/zero | tail -c 200000000 | sleep {mark}");
    let tasks = run(
        &mut client,
        json!({"tasks": [
            {"id": "hungry", "command": hungry, "resourceLimits": {"maxMemory": "50m"}},
            {"id": "modest", "command": "true", "resourceLimits": {"maxMemory": "50m"}},
        ]}),
    );
    let hungry = task(&tasks, "hungry");
    assert_eq!(
        (&hungry["status"], &hungry["reason"]),
        (&json!("failed"), &json!("memory_limit")),
        "{hungry}"
    );
    assert_eq!(processes_with(&mark), [0; 0]);
    assert_eq!(task(&tasks, "modest")["status"], "completed");
}

/// What becomes of tasks behind a failure and beside it, by the policy of the run.
#[test]
fn a_failure_does_to_the_others_what_the_run_says() {
    let scratch = Scratch::new("policies");
    let mut client = Client::start();
    for (policy, next, beside, waiting) in [
        ("skip-dependents", "dependency_failed", "completed", "completed"),
        ("continue", "completed", "completed", "completed"),
        ("cancel-all", "dependency_failed", "cancelled", "cancelled"),
    ] {
        let (flag, log, mark) = (Flag::in_(&scratch), Log::in_(&scratch), marker());
        let begun = log.append("begun");
        let run = accepted(
            &mut client,
            json!({"onFailure": policy, "maxConcurrent": 2, "tasks": [
                {"id": "beside", "command": format!("sleep {mark} & {begun}; {}", flag.awaited())},
                {"id": "bad", "command": format!("{}; exit 3", log.awaited("begun", 1))},
                {"id": "next", "command": "true", "dependencies": "bad"},
                {"id": "waiting", "command": "true"},
                {"id": "clean", "command": "true", "dependencies": [{"id": "bad", "condition": "always"}]},
            ]}),
        );
        until_shown(&mut client, "bad", |task| task["status"] == "failed");
        flag.raise();
        let tasks = over(&mut client, &run);
        let outcome = |id: &str| {
            let shown = task(&tasks, id);
            let word = if shown["status"] == "failed" { &shown["reason"] } else { &shown["status"] };
            word.as_str().unwrap_or_default().to_owned()
        };
        let came = ["bad", "next", "beside", "waiting", "clean"].map(outcome);
        assert_eq!(came, ["exit_code", next, beside, waiting, "completed"], "{policy}: {tasks:#?}");
        assert_eq!(processes_with(&mark), [0; 0], "{policy}");
        if policy == "cancel-all" {
            let error = task(&tasks, "waiting")["error"].as_str().unwrap_or_default();
            assert!(error.contains("'bad'"), "{error}");
        }
    }
}

#[test]
fn conditions_decide_what_runs() {
    let scratch = Scratch::new("conditions");
    let (log, mut client) = (Log::in_(&scratch), Client::start());
    let mut tasks = vec![json!({"id": "good", "command": "true"}), json!({"id": "bad", "command": "false"})];
    for before in ["good", "bad"] {
        for condition in ["success", "failure", "always"] {
            let id = format!("{condition} of {before}");
            let after = json!([{"id": before, "condition": condition}]);
            tasks.push(json!({"id": id, "command": log.append(&id), "dependencies": after}));
        }
    }
    let tasks = run(&mut client, json!({"tasks": tasks}));
    let mut ran = log.lines();
    ran.sort();
    assert_eq!(ran, ["always of bad", "always of good", "failure of bad", "success of good"]);
    let blocked = task(&tasks, "success of bad");
    assert_eq!((&blocked["status"], &blocked["reason"]), (&json!("failed"), &json!("dependency_failed")));
    let needless = task(&tasks, "failure of good");
    assert_eq!((&needless["status"], &needless["reason"]), (&json!("completed"), &json!("not_needed")));
}
