//! The history as callers follow it: every event once, whatever ends in between.

use std::collections::BTreeSet;

use rustix::process::Signal;
use serde_json::{Value, json};
use shellherd::term::tokens::estimate_tokens;

use crate::support::{Client, Flag, Scratch, server};
use crate::tasks;

/// Every event behind a cursor, and the cursor behind them.
fn all(client: &mut Client, since: u64, filter: &Value) -> (Vec<Value>, u64) {
    let mut found = Vec::new();
    let mut cursor = since;
    loop {
        let mut arguments = filter.clone();
        arguments["since"] = cursor.into();
        let page = client.ok("events_poll", arguments);
        assert!(page.get("dropped").is_none(), "{page}");
        cursor = page["cursor"].as_u64().expect("a cursor");
        let events = page["events"].as_array().cloned().expect("events");
        if events.is_empty() {
            return (found, cursor);
        }
        found.extend(events);
    }
}

fn cursors(events: &[Value]) -> Vec<u64> {
    events.iter().map(|event| event["cursor"].as_u64().expect("a cursor")).collect()
}

#[test]
fn every_event_comes_once_also_from_the_next_server() {
    let state = Scratch::new("events");
    let mut client = Client::start_in(state.path());
    let session = client.clean("bash");
    let (first, cursor) = all(&mut client, 0, &json!({}));
    assert!(first.iter().any(|event| event["type"] == "start" && event["sessionId"] == session.as_str()));
    let command = client.run(&session, "exit 3").command();
    client.until_status(&session, "error");
    client.signal(Signal::KILL);
    client.until_exit();

    let mut client = Client::start_in(state.path());
    let (second, cursor) = all(&mut client, cursor, &json!({}));
    let (whole, end) = all(&mut client, 0, &json!({}));
    assert_eq!(cursors(&whole), cursors(&[first, second.clone()].concat()), "each once, and in order");
    assert_eq!(end, cursor);
    assert_eq!(BTreeSet::from_iter(cursors(&whole)).len(), whole.len());
    let find = |what: &str| second.iter().find(|event| event["type"] == what).cloned().unwrap_or_default();
    assert_eq!(find("exit")["exitCode"], 3, "{second:#?}");
    assert_eq!(find("error")["message"], "the shell exited with code 3", "{second:#?}");
    assert_eq!(find("status")["new"], "error", "{second:#?}");
    let of_command = |event: &&Value| event["commandId"] == command.as_str();
    assert_eq!(second.iter().filter(of_command).count(), 2, "its start and its end: {second:#?}");
}

#[test]
fn tasks_are_told_of_from_their_placement_to_their_end() {
    let mut client = Client::start();
    let ran = tasks::run(
        &mut client,
        json!({"tasks": [
            {"id": "good", "payload": {"command": "true"}},
            {"id": "bad", "payload": {"command": "exit 4"}, "dependencies": ["good"]},
            {"id": "never", "payload": {"command": "true"}, "dependencies": ["bad"]},
        ]}),
    );
    assert_eq!(ran.len(), 3);
    let (of_bad, _) = all(&mut client, 0, &json!({"taskId": "bad"}));
    let [started, ended] = of_bad.as_slice() else { panic!("{of_bad:#?}") };
    assert_eq!((&started["old"], &started["new"]), (&json!("queued"), &json!("running")));
    assert!(started["placement"].as_str().is_some_and(|why| why.contains("free")), "{started}");
    assert_eq!((&ended["new"], &ended["reason"]), (&json!("failed"), &json!("exit_code")));
    assert_eq!((&ended["exitCode"], &ended["runId"]), (&json!(4), &started["runId"]));
    let (skipped, _) = all(&mut client, 0, &json!({"taskId": "never"}));
    assert_eq!(skipped.len(), 1, "{skipped:#?}");
    assert_eq!(skipped[0]["reason"], "dependency_failed");
    let (decisions, _) = all(&mut client, 0, &json!({"types": ["DECISION"], "taskId": "good"}));
    assert_eq!(decisions.len(), 1, "where it went: {decisions:#?}");
    let (over, _) = all(&mut client, 0, &json!({"types": ["run"]}));
    assert_eq!((&over[0]["completed"], &over[0]["failed"]), (&json!(1), &json!(2)), "{over:#?}");
    let place = started["sessionId"].as_str().expect("where it ran");
    let log = client.ok("session_logs", json!({"sessionId": place, "kinds": ["task"]}));
    assert!(log["logs"].as_str().is_some_and(|logs| logs.contains("task bad queued → running")), "{log}");
}

#[test]
fn a_wait_ends_with_the_first_event_that_is_wanted() {
    let scratch = Scratch::new("wait");
    let flag = Flag::in_(&scratch);
    let mut client = Client::start();
    let session = client.clean("bash");
    let other = client.clean("bash");
    client.start_command(&session, &format!("{}; exit 5", flag.awaited()));
    let (_, cursor) = all(&mut client, 0, &json!({}));
    let wanted = json!({"since": cursor, "sessionId": session, "types": ["exit", "error"], "wait": "50s"});
    let waiting = client.send_call("events_poll", wanted);
    // Neither an event of another session nor one of another type ends it.
    client.run(&other, "true");
    client.ok("session_update", json!({"sessionId": session, "name": "renamed"}));
    assert!(!client.has_come(|message| message["id"] == waiting));
    flag.raise();
    let page = client.outcome(waiting).structured;
    assert_eq!(page["events"][0]["type"], "exit", "{page}");
    assert_eq!(page["events"][0]["exitCode"], 5, "{page}");
    let nothing = client.ok("events_poll", json!({"since": page["cursor"], "types": ["limit"], "wait": 50}));
    assert_eq!(nothing["events"], json!([]));
}

#[test]
fn pages_fit_the_budget_and_leave_nothing_out() {
    let state = Scratch::new("pages");
    let mut command = server(state.path());
    command.args(["--result-tokens", "500"]);
    let mut client = Client::connect(command, None);
    let session = client.clean("bash");
    for _ in 0..30 {
        client.run(&session, "true");
    }
    let mut cursor = 0;
    let mut ends = 0;
    loop {
        let outcome = client.call("events_poll", json!({"since": cursor}));
        for form in [&outcome.text, &outcome.structured.to_string()] {
            assert!(estimate_tokens(form) <= 500, "{form}");
        }
        let events = outcome.structured["events"].as_array().cloned().expect("events");
        ends += events.iter().filter(|event| event["new"] == "ended").count();
        cursor = outcome.structured["cursor"].as_u64().expect("a cursor");
        if events.is_empty() {
            break;
        }
    }
    assert_eq!(ends, 30);
    let latest = client.ok("events_poll", json!({}));
    assert_eq!(latest["cursor"], cursor, "the latest are at the end");
    assert!(latest["events"].as_array().is_some_and(|events| events.len() > 1), "{latest}");
}

#[test]
fn what_cannot_be_polled_is_refused() {
    let mut client = Client::start();
    let refused = client.call("events_poll", json!({"types": ["statuses"]}));
    assert_eq!(refused.code(), "invalid_argument", "{refused:?}");
    let refused = client.call("events_poll", json!({"sessionId": "ses_none"}));
    assert_eq!(refused.code(), "session_not_found", "{refused:?}");
}

fn is_notice(message: &Value) -> bool {
    message["method"] == "notifications/message"
}

#[test]
fn a_client_that_asks_for_it_is_told_and_no_other() {
    let mut client = Client::start();
    let session = client.clean("bash");
    client.run(&session, "true");
    assert!(!client.has_come(is_notice), "nobody asked");
    assert_eq!(client.request("logging/setLevel", json!({"level": "notice"}))["result"], json!({}));
    client.run(&session, "exit 6");
    let notice = client.message("a message about the end", is_notice);
    let (params, data) = (&notice["params"], &notice["params"]["data"]);
    assert_eq!((&params["level"], &params["logger"]), (&json!("notice"), &json!("shellherd")));
    assert_eq!((&data["type"], &data["new"]), (&json!("status"), &json!("error")), "{notice}");
    assert_eq!(data["sessionId"], session.as_str());
    let notice = client.message("a message about the reason", is_notice);
    assert_eq!(notice["params"]["level"], "error");
    assert_eq!(notice["params"]["data"]["text"], "the shell exited with code 6");
}

#[test]
fn to_ask_for_messages_touches_nothing_and_many_are_told_as_one() {
    let state = Scratch::new("asked");
    let mut client = Client::start_in(state.path());
    client.request("logging/setLevel", json!({"level": "debug"}));
    assert!(!state.path().join("shellherd.db").exists(), "nobody has needed the store yet");
    let tasks: Vec<Value> =
        (0..100).map(|n| json!({"id": format!("t{n}"), "payload": {"command": "exit 1"}})).collect();
    tasks::run(&mut client, json!({"tasks": tasks}));
    let first = client.message("the first message", is_notice);
    assert_eq!(first["params"]["data"]["cursor"], 1, "none is lost: {first}");
    let summary = client
        .message("a summary", |message| is_notice(message) && message["params"]["data"]["count"].is_u64());
    let since = summary["params"]["data"]["since"].as_u64().expect("a cursor");
    let (missed, _) = all(&mut client, since, &json!({}));
    assert!(
        missed.len() as u64 >= summary["params"]["data"]["count"].as_u64().expect("a number"),
        "{summary}"
    );
}
