//! Contexts of sessions, over the wire.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Client, Scratch};

fn add(client: &mut Client, session: &str, role: &str, content: &str) -> Value {
    client.ok("context_add", json!({"sessionId": session, "role": role, "content": content}))
}

fn contents(context: &Value) -> Vec<&str> {
    let messages = context["messages"].as_array().expect("messages");
    messages.iter().map(|message| message["content"].as_str().expect("a text")).collect()
}

/// What was kept of a session, to the end.
fn all(client: &mut Client, session: &str, original: bool) -> Vec<(u64, String)> {
    let mut read: Vec<(u64, String)> = Vec::new();
    let (mut cursor, mut offset) = (json!(0), json!(0));
    while !cursor.is_null() {
        let arguments =
            json!({"sessionId": session, "original": original, "since": cursor, "offset": offset});
        let page = client.ok("context_get", arguments);
        for message in page["messages"].as_array().expect("messages") {
            let number = message["number"].as_u64().expect("a number");
            let content = message["content"].as_str().expect("a text");
            match read.last_mut().filter(|(last, _)| *last == number) {
                Some((_, text)) => text.push_str(content),
                None => read.push((number, content.to_owned())),
            }
        }
        (cursor, offset) = (page["cursor"].clone(), page.get("offset").cloned().unwrap_or(json!(0)));
    }
    read
}

#[test]
fn a_context_shrinks_to_what_counts_and_is_all_there_still() {
    let mut client = Client::start();
    let session = client.clean("sh");
    let empty = client.ok("context_get", json!({"sessionId": session}));
    assert_eq!(empty, json!({"sessionId": session, "messages": [], "messageCount": 0, "totalTokens": 0}));
    add(&mut client, &session, "system", "You are careful.");
    let log =
        format!("{}error[E0308]: mismatched types\n{}", "   Compiling\n".repeat(300), "ok\n".repeat(300));
    add(&mut client, &session, "Tool", &log);
    add(&mut client, &session, "user", "How do you do?");
    add(&mut client, &session, "assistant", "We decided to keep the store.");
    for number in 0..10 {
        add(&mut client, &session, "user", &format!("recent {number}"));
    }
    let counted = json!({"sessionId": session, "role": "user", "content": "the last", "tokenCount": 1_000});
    let counted = client.ok("context_add", counted);
    assert_eq!((&counted["number"], &counted["tokenCount"]), (&json!(15), &json!(1_000)), "{counted}");

    let recent = client.ok("context_get", json!({"sessionId": session, "recent": 2}));
    assert_eq!(contents(&recent), ["recent 9", "the last"], "{recent}");
    let fitting = client.ok("context_get", json!({"sessionId": session, "maxTokens": 1_011}));
    assert_eq!(contents(&fitting), ["You are careful.", "recent 8", "recent 9", "the last"], "{fitting}");
    let before = all(&mut client, &session, false);

    let summary = json!({"sessionId": session, "summary": "They met."});
    let done = client.ok("context_compress", summary.clone());
    assert_eq!(done["before"], json!({"messageCount": 15, "totalTokens": counted["totalTokens"]}), "{done}");
    assert_eq!((&done["leftOut"], &done["cut"]), (&json!(2), &json!(1)), "{done}");
    let after = client.ok("context_get", json!({"sessionId": session}));
    let shown = contents(&after);
    assert_eq!(
        shown[..4],
        [
            "You are careful.",
            "   Compiling\nerror[E0308]: mismatched types\nok",
            "We decided to keep the store.",
            "They met.",
        ]
    );
    assert_eq!(
        (&after["messages"][1]["cut"], &after["messages"][3]["summary"]),
        (&json!(true), &json!(true))
    );
    let total: u64 = after["messages"]
        .as_array()
        .expect("messages")
        .iter()
        .map(|message| message["tokenCount"].as_u64().expect("tokens"))
        .sum();
    assert_eq!((&after["totalTokens"], &done["after"]["totalTokens"]), (&json!(total), &json!(total)));
    let left = done["after"]["totalTokens"].as_f64().expect("tokens");
    let ratio = left / done["before"]["totalTokens"].as_f64().expect("tokens");
    assert!((done["compressionRatio"].as_f64().expect("a ratio") - ratio).abs() < 0.001, "{done}");
    let again = client.ok("context_compress", summary);
    assert_eq!((&again["compressionRatio"], &again["before"]), (&json!(1.0), &again["after"]), "{again}");

    let mut original = all(&mut client, &session, true);
    original.retain(|(number, _)| *number <= 15);
    assert_eq!(original, before);
    assert_eq!(original[1].1, log);
    let aggressive = json!({"sessionId": session, "strategy": "AGGRESSIVE", "keepRecent": 0});
    client.ok("context_compress", aggressive);
    let bare = client.ok("context_get", json!({"sessionId": session}));
    let wanted =
        ["You are careful.", "error[E0308]: mismatched types", "We decided to keep the store.", "They met."];
    assert_eq!(contents(&bare), wanted, "{bare}");
}

#[test]
fn a_message_larger_than_a_result_is_read_in_parts() {
    let mut client = Client::start();
    let session = client.clean("sh");
    let large: String = (0..8_000).map(|number| format!("\"line\" {number} – ä\n")).collect();
    add(&mut client, &session, "tool", &large);
    add(&mut client, &session, "user", "and?");
    let first = client.ok("context_get", json!({"sessionId": session}));
    assert_eq!((&first["messages"][0]["truncated"], &first["cursor"]), (&json!(true), &json!(0)));
    assert_eq!(all(&mut client, &session, false), [(1, large), (2, "and?".to_owned())]);
}

#[test]
fn a_context_survives_a_crash_and_goes_with_its_session() {
    let state = Scratch::new("contexts");
    let mut client = Client::start_in(state.path());
    let session = client.clean("sh");
    for number in 0..20 {
        add(&mut client, &session, "user", &format!("message {number}"));
    }
    client.ok("context_compress", json!({"sessionId": session, "keepRecent": 5, "summary": "so far"}));
    let before = client.ok("context_get", json!({"sessionId": session}));
    assert_eq!(before["messageCount"], 6, "{before}");
    client.signal(Signal::KILL);
    client.until_exit();

    let mut client = Client::start_in(state.path());
    assert_eq!(client.ok("context_get", json!({"sessionId": session})), before);
    assert_eq!(all(&mut client, &session, true).len(), 21);
    let removed = client.ok("session_cleanup", json!({"olderThan": 0}));
    assert_eq!(removed["removed"], 1, "{removed}");
    assert_eq!(client.call("context_get", json!({"sessionId": session})).code(), "session_not_found");
}

#[test]
fn secrets_do_not_reach_the_context() {
    let mut client = Client::start();
    let session =
        client.session(json!({"shell": "sh", "profile": "clean", "env": {"API_TOKEN": "s3cr3t-value"}}));
    add(&mut client, &session, "user", "use s3cr3t-value, please");
    let context = client.ok("context_get", json!({"sessionId": session}));
    assert!(!context.to_string().contains("s3cr3t-value"), "{context}");
}

#[test]
fn what_is_wrong_is_refused_and_changes_nothing() {
    let mut client = Client::start();
    let session = client.clean("sh");
    add(&mut client, &session, "user", "one");
    let large = "x".repeat((256 << 10) + 1);
    for (tool, arguments, code) in [
        ("context_add", json!({"sessionId": session, "role": "user"}), "invalid_argument"),
        ("context_add", json!({"sessionId": session, "content": "x"}), "invalid_argument"),
        ("context_add", json!({"sessionId": session, "role": "robot", "content": "x"}), "invalid_argument"),
        ("context_add", json!({"sessionId": session, "role": "user", "content": " "}), "invalid_argument"),
        ("context_add", json!({"sessionId": session, "role": "user", "content": large}), "invalid_argument"),
        (
            "context_add",
            json!({"sessionId": session, "role": "user", "content": "x", "tokenCount": -1}),
            "invalid_argument",
        ),
        (
            "context_add",
            json!({"sessionId": "ses_none", "role": "user", "content": "x"}),
            "session_not_found",
        ),
        ("context_get", json!({"sessionId": "ses_none"}), "session_not_found"),
        ("context_get", json!({"sessionId": session, "recent": -1}), "invalid_argument"),
        ("context_get", json!({"sessionId": session, "maxTokns": 5}), "invalid_argument"),
        ("context_compress", json!({"sessionId": "ses_none"}), "session_not_found"),
        ("context_compress", json!({"sessionId": session, "strategy": "brutal"}), "invalid_argument"),
        ("context_compress", json!({"sessionId": session, "summary": ""}), "invalid_argument"),
        ("context_compress", json!({"sessionId": session, "keepRecent": "ten"}), "invalid_argument"),
    ] {
        let shown = arguments.to_string();
        assert_eq!(client.call(tool, arguments).code(), code, "{tool} {shown:.80}");
    }
    let context = client.ok("context_get", json!({"sessionId": session, "recent": 0}));
    assert_eq!((&context["messages"], &context["messageCount"]), (&json!([]), &json!(1)), "{context}");
}

#[test]
fn messages_added_at_once_are_all_there() {
    let mut client = Client::start();
    let session = client.clean("sh");
    let calls: Vec<u64> = (0..60)
        .map(|number| {
            let message = json!({"sessionId": session, "role": "user", "content": format!("m{number}")});
            client.send_call("context_add", message)
        })
        .collect();
    let mut numbers: Vec<u64> =
        calls.into_iter().filter_map(|call| client.outcome(call).structured["number"].as_u64()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=60).collect::<Vec<_>>());
    let context = client.ok("context_get", json!({"sessionId": session}));
    assert_eq!(context["messageCount"], 60, "{context}");
}
