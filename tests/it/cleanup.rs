//! Sessions that are removed after their end, and all sessions in figures.

use serde_json::json;

use crate::support::{Client, Scratch, server, until};

#[test]
fn what_has_ended_is_removed_and_stays_away() {
    let state = Scratch::new("cleanup");
    let mut client = Client::start_in(state.path());
    let (done, failed, live) = (client.clean("bash"), client.clean("bash"), client.clean("bash"));
    let command = client.run(&done, "echo here").command();
    client.run(&done, "exit 0");
    client.run(&failed, "exit 1");
    client.until_status(&done, "completed");
    client.until_status(&failed, "error");
    assert_eq!(client.ok("session_cleanup", json!({})), json!({"removed": 0, "sessionIds": []}), "too young");
    let refused = client.call("session_cleanup", json!({"olderThan": 0, "statuses": ["idle"]}));
    assert_eq!(refused.code(), "invalid_argument", "{refused:?}");
    let removed = client.ok("session_cleanup", json!({"olderThan": 0, "statuses": ["COMPLETED"]}));
    assert_eq!(removed, json!({"removed": 1, "sessionIds": [done]}));
    assert_eq!(client.call("session_status", json!({"sessionId": done})).code(), "session_not_found");
    let log = |session: &str| state.path().join("logs").join(session);
    until("its output is gone", || !log(&done).exists());
    assert!(log(&failed).exists() && log(&live).exists());
    client.hang_up();
    client.until_exit();

    let mut client = Client::start_in(state.path());
    let listed = client.ok("session_list", json!({}));
    assert_eq!(listed["total"], 2, "{listed}");
    assert_eq!(client.call("command_status", json!({"commandId": command})).code(), "command_not_found");
    let rest = client.ok("session_cleanup", json!({"olderThan": "0s"}));
    assert_eq!(rest["removed"], 2, "{rest}");
    let events = client.ok("events_poll", json!({"sessionId": null, "types": ["termination"]}));
    assert!(
        events["events"].as_array().is_some_and(|events| events.len() >= 2),
        "the history stays: {events}"
    );
}

#[test]
fn output_whose_session_is_gone_is_dropped() {
    let state = Scratch::new("orphan");
    let orphan = state.path().join("logs").join("ses_orphan");
    std::fs::create_dir_all(&orphan).expect("a directory");
    let mut client = Client::start_in(state.path());
    let session = client.clean("bash");
    client.run(&session, "exit 0");
    until("the orphan is gone", || !orphan.exists());
    assert!(state.path().join("logs").join(&session).exists());
}

#[test]
fn stats_add_up() {
    let state = Scratch::new("stats");
    let mut command = server(state.path());
    command.env("SHELLHERD_CLEANUP_AFTER", "never");
    let mut client = Client::connect(command, None);
    let empty = client.ok("session_stats", json!({}));
    assert_eq!((&empty["totalSessions"], &empty["failureRate"]), (&json!(0), &json!(0.0)));
    let idle = client.clean("bash");
    let ended = client.session(json!({"shell": "bash", "profile": "clean", "type": "director"}));
    client.run(&idle, "true");
    client.run(&idle, "false");
    client.run(&ended, "true");
    client.ok("error_recover", json!({"sessionId": idle, "strategy": "restart"}));
    client.until_status(&idle, "idle");
    client.ok("session_close", json!({"sessionId": ended, "mode": "force"}));
    let stats = client.ok("session_stats", json!({}));
    assert_eq!(stats["totalSessions"], 2, "{stats}");
    assert_eq!(stats["byType"], json!({"worker": 1, "director": 1}));
    assert_eq!(stats["byStatus"], json!({"idle": 1, "terminated": 1}));
    assert_eq!((&stats["healthySessions"], &stats["staleSessions"]), (&json!(1), &json!(0)));
    assert_eq!(stats["recovery"], json!({"attempts": 1, "succeeded": 1}));
    assert_eq!(stats["failureRate"], 0.333, "one of three");
    assert!(stats["averageMemory"].as_f64().is_some_and(|memory| memory > 0.5), "{stats}");
}
