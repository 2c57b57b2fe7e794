//! Large and random graphs: what their own log and records tell of order, slots and the death of a server.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use shellherd::limits;
use shellherd::term::tokens::estimate_tokens;

use crate::strategies::Log;
use crate::support::{Client, Outcome, Random, Scratch, until};
use crate::tasks::{accepted, over, run};

/// Of each task those that it waits for: up to three of the twenty before it.
fn any_graph(random: &mut Random, tasks: usize) -> Vec<BTreeSet<usize>> {
    let before = |number: usize, random: &mut Random| {
        let count = if number == 0 { 0 } else { random.below(4) };
        (0..count).map(|_| number - 1 - random.below(number.min(20))).collect()
    };
    (0..tasks).map(|number| before(number, random)).collect()
}

/// Its tasks, which log their names, handed over in any order.
fn logged(random: &mut Random, graph: &[BTreeSet<usize>], log: &Log) -> Vec<Value> {
    let name = |number: &usize| format!("n{number}");
    let mut tasks: Vec<Value> = graph
        .iter()
        .enumerate()
        .map(|(number, before)| {
            let before: Vec<String> = before.iter().map(name).collect();
            json!({"id": name(&number), "command": log.append(&name(&number)), "dependencies": before})
        })
        .collect();
    for last in (1..tasks.len()).rev() {
        tasks.swap(last, random.below(last + 1));
    }
    tasks
}

/// Every line of a task comes after every line of those before it; how often each one ran.
fn check_order(graph: &[BTreeSet<usize>], log: &Log) -> Vec<usize> {
    let mut places: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (place, line) in log.lines().iter().enumerate() {
        places.entry(line[1..].parse().expect("a number")).or_default().push(place);
    }
    for (number, before) in graph.iter().enumerate() {
        let own = places.get(&number).unwrap_or_else(|| panic!("n{number} never ran"));
        for earlier in before {
            assert!(places[earlier].last() < own.first(), "n{number} ran before n{earlier}: {places:?}");
        }
    }
    (0..graph.len()).map(|number| places[&number].len()).collect()
}

#[test]
fn random_graphs_run_in_order() {
    let scratch = Scratch::new("random");
    let mut client = Client::start();
    for (seed, strategy) in (1..).zip(["dependency", "priority", "round-robin", "affinity", "load-balanced"])
    {
        let (mut random, log) = (Random(seed), Log::in_(&scratch));
        let graph = any_graph(&mut random, 60);
        let tasks = logged(&mut random, &graph, &log);
        let tasks = run(&mut client, json!({"tasks": tasks, "strategy": strategy, "maxConcurrent": 5}));
        assert!(tasks.iter().all(|task| task["status"] == "completed"), "seed {seed}: {tasks:#?}");
        assert_eq!(check_order(&graph, &log), vec![1; 60], "seed {seed}");
    }
}

/// The ids of the tasks that are completed.
fn completed(client: &mut Client, run: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut since = 0;
    loop {
        let page = client.ok("task_status", json!({"runId": run, "status": "completed", "since": since}));
        let tasks = page["tasks"].as_array().expect("a list");
        found.extend(tasks.iter().filter_map(|task| task["id"].as_str()).map(str::to_owned));
        let Some(next) = page["cursor"].as_u64() else { return found };
        since = next;
    }
}

#[test]
fn a_resumable_run_survives_kills_at_any_moment() {
    let slots = 4;
    for seed in 1..=4 {
        let (state, scratch) = (Scratch::new("killed"), Scratch::new("log"));
        let (mut random, log) = (Random(seed), Log::in_(&scratch));
        let graph = any_graph(&mut random, 60);
        let tasks = logged(&mut random, &graph, &log);
        let mut client = Client::start_in(state.path());
        let run = accepted(&mut client, json!({"tasks": tasks, "resumable": true, "maxConcurrent": slots}));
        let mut killed: Vec<(BTreeSet<String>, Vec<String>)> = Vec::new();
        let kills = [random.below(25), 26 + random.below(25)];
        for lines in kills {
            until("the run has come so far", || log.lines().len() >= lines);
            let told = completed(&mut client, &run);
            client.signal(rustix::process::Signal::KILL);
            client.until_exit();
            client = Client::start_in(state.path());
            let kept = completed(&mut client, &run);
            let earlier = killed.iter().flat_map(|(kept, _)| kept).chain(&told);
            let lost: Vec<&String> = earlier.filter(|id| !kept.contains(*id)).collect();
            assert!(lost.is_empty(), "seed {seed}: completed before the kill, and not after: {lost:?}");
            let is_over = kept.len() == graph.len();
            killed.push((kept, log.lines()));
            if !is_over {
                client.ok("task_control", json!({"runId": run, "action": "resume"}));
            }
        }
        let tasks = over(&mut client, &run);
        assert!(tasks.iter().all(|task| task["status"] == "completed"), "seed {seed}: {tasks:#?}");
        let times = check_order(&graph, &log);
        for (kept, lines) in &killed {
            for id in kept {
                let before = lines.iter().filter(|line| *line == id).count();
                let number: usize = id[1..].parse().expect("a number");
                assert_eq!(times[number], before, "seed {seed}: {id} was over, and ran again");
            }
        }
        let again: Vec<usize> = (0..graph.len()).filter(|&number| times[number] > 1).collect();
        assert!(again.len() <= kills.len() * slots, "seed {seed}: only what ran then runs again: {again:?}");
    }
}

#[test]
fn no_instant_has_more_tasks_than_slots_and_all_slots_are_used() {
    let scratch = Scratch::new("slots");
    let (log, mut client) = (Log::in_(&scratch), Client::start());
    let tasks: Vec<Value> = (0..200)
        .map(|n| {
            // The first four go on when all of them have begun: fewer at a time would wait for ever.
            let work = if n < 4 { log.awaited("start", 4) } else { "true".to_owned() };
            json!({"id": format!("c{n}"), "command": log.around(&n.to_string(), &work)})
        })
        .collect();
    let run = accepted(&mut client, json!({"tasks": tasks, "maxConcurrent": 4}));
    client.ok("task_status", json!({"runId": run, "wait": "50s"}));
    assert_eq!((log.lines().len(), log.most_at_once()), (400, 4));
}

fn within_budget(outcome: &Outcome) -> &Value {
    assert!(!outcome.is_error, "{outcome:?}");
    for form in [&outcome.text, &outcome.structured.to_string()] {
        let tokens = estimate_tokens(form);
        assert!(tokens <= limits::RESULT_TOKENS, "{tokens} tokens");
    }
    &outcome.structured
}

#[test]
fn ten_thousand_tasks_run_within_the_budget() {
    let mut client = Client::start();
    let tasks: Vec<Value> =
        (0..10_000).map(|n| json!({"id": format!("ten-{n:05}"), "command": "true"})).collect();
    let accepted = client.call("task_distribute", json!({"tasks": tasks, "maxConcurrent": 8}));
    let run = within_budget(&accepted)["runId"].as_str().expect("an id").to_owned();
    let listed = accepted.structured["distributed"].as_array().map_or(0, Vec::len);
    assert_eq!(accepted.structured["omittedTasks"], 10_000 - listed);
    let mut summary = Value::Null;
    for goal in 1..=10 {
        until("a tenth more is over", || {
            let status = client.call("task_status", json!({"runId": run, "wait": "500ms"}));
            summary = within_budget(&status)["summary"].clone();
            summary["completed"].as_u64() >= Some(goal * 1_000)
        });
    }
    assert_eq!(
        summary,
        json!({"total": 10_000, "queued": 0, "running": 0, "completed": 10_000, "failed": 0})
    );
    let progress = client.call("progress_aggregate", json!({"runId": run, "format": "detailed"}));
    assert_eq!(within_budget(&progress)["overall"]["percentage"], json!(100.0));
}

/// Milliseconds since 1970 of a time as tasks tell it.
fn milliseconds(text: &str) -> i64 {
    let since = humantime::parse_rfc3339(text).expect("a time").duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.expect("later").as_millis()).expect("not that late")
}

/// How long slots are empty while tasks are ready, printed for whoever asks with `--nocapture`.
#[test]
fn slots_are_kept_full() {
    const SLOTS: usize = 8;
    let mut client = Client::start();
    let tasks: Vec<Value> =
        (0..2_000).map(|n| json!({"id": format!("full-{n:04}"), "command": "true"})).collect();
    let run = accepted(&mut client, json!({"tasks": tasks, "maxConcurrent": SLOTS}));
    let mut steps: Vec<(i64, i64)> = Vec::new();
    until("all are over", || {
        client.ok("task_status", json!({"runId": run, "wait": "50s"}))["summary"]["completed"] == 2_000
    });
    let mut since = 0;
    loop {
        let page = client.ok("task_status", json!({"runId": run, "since": since}));
        for shown in page["tasks"].as_array().expect("a list") {
            let at = |field: &str| milliseconds(shown[field].as_str().expect("a time"));
            steps.extend([(at("startedAt"), 1), (at("completedAt"), -1)]);
        }
        let Some(next) = page["cursor"].as_u64() else { break };
        since = next;
    }
    assert_eq!(steps.len(), 4_000);
    steps.sort_unstable();
    // The last start ends the time in which tasks were ready; the first one begins it, with the first shell.
    let (begin, end) = (steps[0].0, steps.iter().filter(|step| step.1 > 0).map(|step| step.0).max());
    let end = end.expect("a start");
    let (mut busy, mut running, mut from) = (0, 0, begin);
    for (at, step) in steps {
        busy += running * (at.min(end) - from.min(end));
        (running, from) = (running + step, at);
        assert!(running <= i64::try_from(SLOTS).expect("few"), "{running} at once");
    }
    let whole = (end - begin) * i64::try_from(SLOTS).expect("few");
    println!("slots were empty for {} ms of {whole} ms", whole - busy);
    assert!(busy * 2 > whole, "slots were empty for {} ms of {whole} ms", whole - busy);
}
