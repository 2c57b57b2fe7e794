//! The load, as it is measured, kept, summed up and exported; and the defaults that follow from it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::{Client, Scratch, server, until};

/// A server that notes what is used every second.
fn quick(state: &Scratch) -> Client {
    let mut command = server(state.path());
    command.env("SHELLHERD_SAMPLE_EVERY", "1s");
    Client::connect(command, None)
}

fn of<'a>(report: &'a Value, session: &str) -> &'a Value {
    let sessions = report["sessions"].as_array().expect("sessions");
    sessions.iter().find(|item| item["sessionId"] == session).unwrap_or_else(|| panic!("{session}: {report}"))
}

#[test]
fn a_session_is_measured_with_all_that_it_started() {
    let mut client = Client::start();
    let (busy, idle) = (client.clean("/bin/bash"), client.clean("/bin/bash"));
    assert_eq!(client.run(&idle, "false").exit(), Some(1));
    assert_eq!(client.run(&idle, "true").exit(), Some(0));
    // In a terminal session and a process group of its own, and without its parent.
    client.run(&busy, "(setsid sh -c 'while :; do :; done' &)");
    until("the work is measured", || {
        let report = client.ok("performance_monitor", json!({"interval": "1s", "detailed": true}));
        assert_eq!(report["activeSessions"], 2, "{report}");
        for field in ["cpu", "memory", "memoryMb", "cores", "memoryTotalMb"] {
            assert!(
                report["overall"][field].as_f64().is_some_and(|figure| figure >= 0.0),
                "{field}: {report}"
            );
        }
        assert!(report["overall"]["disk"]["state"]["usedPercent"].as_f64() <= Some(100.0), "{report}");
        assert!(report["overall"]["network"]["received"].is_number(), "{report}");
        let (busy, idle) = (&of(&report, &busy)["metrics"], &of(&report, &idle)["metrics"]);
        assert!(idle["memory"].as_f64() > Some(0.5) && idle["processes"] == 1, "{report}");
        assert_eq!((&idle["commandsExecuted"], &idle["errorRate"]), (&json!(2), &json!(50.0)), "{report}");
        assert!(idle["responseTime"].as_f64().is_some_and(|response| response >= 0.0), "{report}");
        busy["processes"].as_u64() >= Some(2)
            && busy["cpu"].as_f64() > Some(10.0)
            && busy["cpu"].as_f64() > idle["cpu"].as_f64()
    });
    let lean = client.ok("performance_monitor", json!({"metrics": ["memory"], "sessionId": idle}));
    assert_eq!(lean["sessions"].as_array().map(Vec::len), Some(1));
    assert!(
        lean["overall"].get("cpu").is_none() && lean["sessions"][0]["metrics"].get("cpu").is_none(),
        "{lean}"
    );
    assert!(lean["sessions"][0]["metrics"]["memory"].as_f64() > Some(0.5), "{lean}");
}

#[test]
fn what_condensing_saves_is_counted_for_each_session() {
    let mut client = Client::start();
    let (read, unread) = (client.clean("/bin/bash"), client.clean("/bin/bash"));
    client.run(&read, "for i in $(seq 3000); do echo line $i of a long and dull output; done");
    client.ok("session_output", json!({"sessionId": read, "condense": "auto"}));
    let report = client.ok("performance_monitor", json!({}));
    let saved = |session: &str| of(&report, session)["metrics"]["tokenSavingsPercentage"].as_f64();
    assert!(saved(&read).is_some_and(|saved| saved > 50.0 && saved <= 100.0), "{report}");
    assert_eq!(saved(&unread), None, "{report}");
}

#[test]
fn history_goes_on_after_a_restart_with_a_gap() {
    let state = Scratch::new("history");
    let mut client = quick(&state);
    let one = client.ok("performance_history", json!({}));
    assert_eq!(one["dataPoints"].as_array().map(Vec::len), Some(1), "at least now: {one}");
    let session = client.clean("/bin/bash");
    client.run(&session, "false");
    let failed = |history: &Value| {
        let points = history["dataPoints"].as_array().cloned().unwrap_or_default();
        points.iter().any(|point| point["errors"] == json!([{"sessionId": session, "failed": 1}]))
    };
    let asked = json!({"resolution": "1s", "duration": "10m"});
    until("the failure is noted", || failed(&client.ok("performance_history", asked.clone())));
    let of_session = client.ok("performance_history", json!({"sessionId": session, "resolution": "1s"}));
    let point = &of_session["dataPoints"][0];
    assert!(point["memory"].as_f64() > Some(0.5) && point["processes"] == 1, "{of_session}");
    assert!(of_session["summary"]["avgMemory"].as_f64() > Some(0.5), "{of_session}");
    drop(client);
    let mut client = quick(&state);
    let history = client.ok("performance_history", asked);
    assert!(failed(&history), "{history}");
    let words = ["avgCpu", "maxCpu", "p95Cpu", "avgMemory", "maxMemory"];
    assert!(words.iter().all(|word| history["summary"][word].is_number()), "{history}");
    let ended = client.ok("performance_history", json!({"sessionId": session, "resolution": "1s"}));
    assert!(ended["dataPoints"].as_array().is_some_and(|points| !points.is_empty()), "{ended}");
    let month = client.ok("performance_history", json!({"duration": "31d", "resolution": "1s"}));
    assert!(month["resolution"].as_u64() >= Some(900_000), "{month}");
}

#[test]
fn tuning_changes_what_comes_next() {
    let mut client = Client::start();
    let before = client.clean("/bin/bash");
    let tuned = client
        .ok("performance_tune", json!({"maxConcurrent": 3, "commandTimeout": "1m", "idleTimeout": "1h"}));
    let wanted = json!({"maxConcurrent": 3, "commandTimeout": 60_000, "idleTimeout": 3_600_000});
    assert_eq!(tuned["applied"], wanted);
    assert_eq!(tuned["previous"], json!({"maxConcurrent": 10, "commandTimeout": 300_000, "idleTimeout": 0}));
    let after = client.clean("/bin/bash");
    let timeout = |client: &mut Client, session: &str| {
        client.ok("session_status", json!({"sessionId": session}))["limits"]["commandTimeout"].clone()
    };
    assert_eq!(timeout(&mut client, &before), 300_000);
    assert_eq!(timeout(&mut client, &after), 60_000);
    let run =
        client.ok("task_distribute", json!({"tasks": [{"id": "a", "payload": {"command": "sleep 1000"}}]}));
    let state = client.ok("task_control", json!({"runId": run["runId"], "action": "resume"}));
    assert_eq!(state["maxConcurrent"], 3, "{state}");
    let auto = client.ok("performance_tune", json!({"auto": true, "commandTimeout": "2m"}));
    assert_eq!(auto["applied"]["commandTimeout"], 120_000, "what is given comes before what is advised");
    assert_eq!(auto["previous"], wanted);
    assert!(auto["reasons"].as_array().is_some_and(|reasons| !reasons.is_empty()), "{auto}");
    for word in ["highCpuPressure", "lowUtilization", "frequentTimeouts"] {
        assert!(auto["analysis"][word].is_boolean(), "{auto}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut client = Client::start();
    for (tool, arguments) in [
        ("performance_monitor", json!({"metrics": ["cpus"]})),
        ("performance_monitor", json!({"interval": 0})),
        ("performance_monitor", json!({"interval": "1h"})),
        ("performance_monitor", json!({"interval": -5})),
        ("performance_history", json!({"duration": 0})),
        ("performance_history", json!({"duration": "-1h"})),
        ("performance_history", json!({"duration": "32d"})),
        ("performance_history", json!({"resolution": 0})),
        ("performance_history", json!({"resolution": "2h"})),
        ("performance_history", json!({"metrics": ["disk"]})),
        ("performance_tune", json!({"maxConcurrent": 0})),
        ("performance_tune", json!({"commandTimeout": 0})),
        ("performance_tune", json!({"commandTimeout": "8d"})),
        ("metrics_export", json!({"format": "xml"})),
    ] {
        let outcome = client.call(tool, arguments.clone());
        assert_eq!(outcome.code(), "invalid_argument", "{tool} {arguments}");
    }
    for tool in ["performance_monitor", "performance_history"] {
        let outcome = client.call(tool, json!({"sessionId": "ses_nobody"}));
        assert_eq!(outcome.code(), "session_not_found", "{tool}");
    }
    let tuned = client.ok("performance_tune", json!({}));
    assert_eq!(tuned["applied"], json!({}));
    assert_eq!(tuned["previous"]["commandTimeout"], 300_000, "nothing refused was applied");
}

/// A name of the exposition format, of metrics or of labels.
fn name(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':').unwrap_or(text.len());
    assert!(end > 0 && !text.starts_with(|c: char| c.is_ascii_digit()), "no name: {text}");
    text.split_at(end)
}

/// The labels of a series behind its name, and what follows them.
fn labels(text: &str) -> (BTreeMap<String, String>, &str) {
    let mut found = BTreeMap::new();
    let Some(mut rest) = text.strip_prefix('{') else { return (found, text) };
    loop {
        let (label, after) = name(rest);
        let after = after.strip_prefix("=\"").unwrap_or_else(|| panic!("no value: {after}"));
        let mut value = String::new();
        let mut characters = after.char_indices();
        let end = loop {
            match characters.next().unwrap_or_else(|| panic!("no end: {after}")) {
                (at, '"') => break at,
                (_, '\\') => match characters.next().map(|(_, c)| c) {
                    Some('n') => value.push('\n'),
                    Some(c @ ('\\' | '"')) => value.push(c),
                    other => panic!("no such escape: {other:?}"),
                },
                (_, c) => value.push(c),
            }
        };
        assert!(found.insert(label.to_owned(), value).is_none(), "{label} twice");
        rest = &after[end + 1..];
        match rest.strip_prefix(',') {
            Some(next) => rest = next,
            None => return (found, rest.strip_prefix('}').unwrap_or_else(|| panic!("no end: {rest}"))),
        }
    }
}

type Exposed = BTreeMap<(String, BTreeMap<String, String>), f64>;

/// Reads the exposition format, and accepts nothing that is not exactly it.
fn exposed(text: &str) -> Exposed {
    let mut series = Exposed::new();
    let mut families = BTreeSet::new();
    let mut lines = text.strip_suffix('\n').expect("a last line end").split('\n').peekable();
    while let Some(line) = lines.next() {
        let (family, help) = name(line.strip_prefix("# HELP ").unwrap_or_else(|| panic!("no HELP: {line}")));
        assert!(help.len() > 1 && families.insert(family.to_owned()), "{line}");
        let kind = lines.next().and_then(|line| line.strip_prefix("# TYPE ")?.strip_prefix(family));
        let kind = kind.unwrap_or_else(|| panic!("no TYPE of {family}"));
        assert!([" counter", " gauge"].contains(&kind), "{family}{kind}");
        assert_eq!(kind == " counter", family.ends_with("_total"), "{family}");
        let before = series.len();
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            let (found, rest) = name(line);
            assert_eq!(found, family, "a figure of another family");
            let (labels, rest) = labels(rest);
            let value = rest.strip_prefix(' ').and_then(|value| value.parse::<f64>().ok());
            let value = value.unwrap_or_else(|| panic!("no value: {line}"));
            assert!(series.insert((found.to_owned(), labels), value).is_none(), "twice: {line}");
        }
        assert!(series.len() > before, "{family} has no figures");
    }
    series
}

#[test]
fn the_export_is_what_prometheus_reads() {
    let mut client = Client::start();
    let odd = "a \"b\"\\ c\nd";
    let arguments = json!({"shell": "/bin/bash", "profile": "clean", "name": odd});
    let session = client.ok("session_create", arguments)["sessionId"].as_str().expect("an id").to_owned();
    client.run(&session, "false");
    let export = client.ok("metrics_export", json!({}));
    let series = exposed(export["text"].as_str().expect("text"));
    let figure = |family: &str, labels: &[(&str, &str)]| {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        series.get(&(family.to_owned(), labels)).copied()
    };
    let own = [("session", session.as_str()), ("name", odd)];
    assert_eq!(figure("shellherd_sessions", &[("status", "idle")]), Some(1.0));
    assert_eq!(figure("shellherd_session_commands_failed_total", &own), Some(1.0));
    assert!(figure("shellherd_session_memory_bytes", &own) > Some(500_000.0), "{series:?}");
    assert!(figure("process_resident_memory_bytes", &[]) > Some(1e6), "{series:?}");
    let export = client.ok("metrics_export", json!({"format": "json"}));
    let parsed: Value = serde_json::from_str(export["text"].as_str().expect("text")).expect("JSON");
    let families = parsed["metrics"].as_array().expect("families");
    let count: usize = families.iter().filter_map(|family| family["series"].as_array()).map(Vec::len).sum();
    assert_eq!(count, series.len(), "both forms say the same");
}
