//! `diagnose` on real failures, with every call that it recommends made as it stands.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::support::{Client, Outcome, Scratch};

/// A session of bash in a directory of its own.
fn session(client: &mut Client, directory: &Scratch) -> String {
    let created = client.call(
        "session_create",
        json!({"shell": "bash", "profile": "clean", "workingDirectory": directory.path()}),
    );
    created.structured["sessionId"].as_str().expect("a session").to_owned()
}

fn types(diagnosed: &Outcome) -> Vec<&str> {
    assert!(!diagnosed.is_error, "{diagnosed:?}");
    let findings = diagnosed.structured["findings"].as_array().expect("findings");
    findings.iter().filter_map(|finding| finding["type"].as_str()).collect()
}

/// Makes every call that is recommended; none is refused.
fn follow(client: &mut Client, diagnosed: &Outcome) -> Vec<(String, Outcome)> {
    let recommended = diagnosed.structured["recommendations"].as_array().cloned().unwrap_or_default();
    assert!(!recommended.is_empty(), "{diagnosed:?}");
    let calls = recommended.into_iter().map(|recommended| {
        let tool = recommended["tool"].as_str().expect("a tool").to_owned();
        let outcome = client.call(&tool, recommended["arguments"].clone());
        let is_refused =
            serde_json::from_str::<Value>(&outcome.text).is_ok_and(|text| text["error"].is_object());
        assert!(!is_refused, "{recommended}: {outcome:?}");
        (tool, outcome)
    });
    calls.collect()
}

#[test]
fn a_failed_command_is_told_with_calls_that_help() {
    let (mut client, directory) = (Client::start(), Scratch::new("diagnose"));
    let id = session(&mut client, &directory);
    client.call("command_execute", json!({"sessionId": id, "command": "frobnicatee --now"}));
    let told = client.call("diagnose", json!({"sessionId": id}));
    assert_eq!(types(&told), ["command_not_found"]);
    let finding = &told.structured["findings"][0];
    assert_eq!(finding["session"], id);
    assert_eq!(finding["value"], "frobnicatee");
    assert_eq!(finding["evidence"], "bash: frobnicatee: command not found");
    follow(&mut client, &told);

    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let serve = format!("python3 -m http.server --bind 127.0.0.1 {port}");
    let served = client.call("command_execute", json!({"sessionId": id, "command": serve}));
    let told = client.call("diagnose", json!({"sessionId": id}));
    if served.output().contains("python3: command not found") {
        println!("no python3 here: port_in_use is not tried");
    } else {
        assert_eq!(types(&told), ["port_in_use"]);
        let command = told.structured["recommendations"][0]["arguments"]["command"].to_string();
        assert!(command.contains(&port.to_string()), "{command}");
    }

    client.call("command_execute", json!({"sessionId": id, "command": "grep -c error /dev/null"}));
    assert_eq!(types(&client.call("diagnose", json!({"sessionId": id}))), [""; 0]);
    let piped = "cat missing.txt 2>&1 1>/dev/null | sed s/a/a/; ls missing.txt 2>&1 | sed s/b/b/";
    client.call("command_execute", json!({"sessionId": id, "command": format!("true; {piped}")}));
    assert_eq!(types(&client.call("diagnose", json!({"sessionId": id}))), ["missing_file"]);
}

#[test]
fn a_prompt_and_a_dead_shell_are_seen_without_a_session_named_worst_first() {
    let (mut client, directory) = (Client::start(), Scratch::new("diagnose"));
    let (asking, dead) = (session(&mut client, &directory), session(&mut client, &directory));
    let ask = "read -p 'Delete everything? [y/N] ' answer; echo \"got $answer\"";
    let asked = client.call("command_execute", json!({"sessionId": asking, "command": ask, "wait": 30_000}));
    assert_eq!(asked.structured["awaitingInput"], true, "{asked:?}");
    client.call("command_execute", json!({"sessionId": dead, "command": "kill -9 $$"}));

    let told = client.call("diagnose", json!({}));
    assert_eq!(types(&told), ["session_error", "killed", "awaiting_input"]);
    assert_eq!(told.structured["findings"][2]["evidence"], "Delete everything? [y/N]");
    let tools: Vec<String> = follow(&mut client, &told).into_iter().map(|(tool, _)| tool).collect();
    assert_eq!(
        tools,
        [
            "error_recover",
            "session_logs",
            "session_create",
            "session_output",
            "session_input",
            "session_input"
        ]
    );
    let output = client.call("session_output", json!({"sessionId": asking}));
    assert!(output.output().contains("got n"), "{output:?}");
    assert_eq!(types(&client.call("diagnose", json!({"sessionId": dead}))), ["killed"], "its last command");
}

#[test]
fn a_command_that_outlived_its_timeout_is_interrupted_by_what_is_recommended() {
    let (mut client, directory) = (Client::start(), Scratch::new("diagnose"));
    let id = session(&mut client, &directory);
    client.call("command_execute", json!({"sessionId": id, "command": "sleep 300", "timeout": 300}));
    let told = client.call("diagnose", json!({"sessionId": id}));
    assert_eq!(types(&told), ["timeout"]);
    follow(&mut client, &told);
    let next = client.call("command_execute", json!({"sessionId": id, "command": "echo on", "wait": 30_000}));
    assert_eq!(next.output(), "on\n");
}

#[test]
fn a_problem_in_words_is_classified_and_a_wrong_session_refused() {
    let mut client = Client::start();
    let pasted = "Traceback (most recent call last):\nModuleNotFoundError: No module named 'yaml'";
    let told = client.call("diagnose", json!({"problem": pasted}));
    assert_eq!(types(&told), ["missing_module"]);
    let recommended = &told.structured["recommendations"][0];
    assert_eq!(recommended["tool"], "session_create");
    assert_eq!(recommended["arguments"]["command"], "python3 -m pip install PyYAML");
    assert_eq!(types(&client.call("diagnose", json!({"problem": "all is well"}))), [""; 0]);
    assert_eq!(client.call("diagnose", json!({"sessionId": "nobody"})).code(), "session_not_found");
    assert_eq!(client.call("diagnose", json!({"problem": "x".repeat(70_000)})).code(), "invalid_argument");
}
