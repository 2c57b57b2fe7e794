//! Resources of sessions and runs: listed, read, and followed, in both eras.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::protocol::modern_meta;
use crate::support::{Client, Flag, Scratch, server, until};

fn read(client: &mut Client, uri: &str) -> Value {
    let answer = client.request("resources/read", json!({"uri": uri}));
    let contents = answer["result"]["contents"].as_array().unwrap_or_else(|| panic!("{uri}: {answer}"));
    assert_eq!((contents.len(), &contents[0]["uri"]), (1, &json!(uri)), "{answer}");
    contents[0].clone()
}

fn text(client: &mut Client, uri: &str) -> String {
    read(client, uri)["text"].as_str().expect("a text").to_owned()
}

fn is_update(message: &Value, uri: &str) -> bool {
    message["method"] == "notifications/resources/updated" && message["params"]["uri"] == uri
}

#[test]
fn what_sessions_and_runs_show_is_read_by_address() {
    let mut client = Client::start();
    let session = client.session(json!({"name": "my build", "shell": "bash", "profile": "clean"}));
    client.run(&session, "echo first; echo second >&2");
    let output = text(&mut client, &format!("session://{session}/output"));
    assert!(output.contains("first\nsecond\n"), "{output}");
    assert!(text(&mut client, "session://my%20build/output").contains("first"), "a name will do");
    let screen = text(&mut client, &format!("session://{session}/screen"));
    assert!(screen.contains("second") && screen.contains("40×120"), "{screen}");
    let log = text(&mut client, &format!("session://{session}/log"));
    assert!(log.contains("shell started") && log.contains("first"), "{log}");

    let run = client.ok("task_distribute", json!({"tasks": [{"id": "one", "command": "echo did it"}]}));
    let run = run["runId"].as_str().expect("a run has an id").to_owned();
    client.ok("task_status", json!({"runId": run, "wait": "50s"}));
    let shown = read(&mut client, &format!("run://{run}"));
    assert_eq!(shown["mimeType"], "application/json");
    let shown: Value = serde_json::from_str(shown["text"].as_str().expect("a text")).expect("JSON");
    assert_eq!((&shown["runId"], &shown["status"]), (&json!(run), &json!("completed")), "{shown}");
    assert_eq!(shown["tasks"][0]["output"], "did it\n", "{shown}");

    let tasks = json!([{"id": "well", "command": "true"}, {"id": "ill", "command": "false"}]);
    let run_of_two = client.ok("task_distribute", json!({"tasks": tasks}))["runId"].clone();
    client.ok("task_status", json!({"runId": run_of_two, "wait": "50s"}));
    let shown = text(&mut client, &format!("run://{}", run_of_two.as_str().expect("an id")));
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(
        (&shown["tasks"][0]["id"], &shown["tasks"][1]["id"]),
        (&json!("ill"), &json!("well")),
        "{shown}"
    );

    let listed = client.request("resources/list", json!({}));
    let uris: Vec<String> = listed["result"]["resources"]
        .as_array()
        .expect("resources")
        .iter()
        .map(|resource| resource["uri"].as_str().expect("a URI").to_owned())
        .collect();
    for uri in [format!("session://{session}/log"), format!("run://{run}")] {
        assert!(uris.contains(&uri), "{uris:?}");
    }
    for uri in &uris {
        read(&mut client, uri);
    }
    let templates = client.request("resources/templates/list", json!({}));
    let templates = templates["result"]["resourceTemplates"].as_array().expect("templates").clone();
    let templates: Vec<&str> =
        templates.iter().map(|template| template["uriTemplate"].as_str().expect("a template")).collect();
    assert_eq!(
        templates,
        ["session://{id}/output", "session://{id}/screen", "session://{id}/log", "run://{id}"]
    );
}

#[test]
fn a_long_output_is_read_within_the_budget() {
    let state = Scratch::new("resources");
    let mut command = server(state.path());
    command.args(["--result-tokens", "500"]);
    let mut client = Client::connect(command, Some(state));
    let session = client.clean("bash");
    client.run(&session, "for i in $(seq 3000); do echo \"line $i of $RANDOM\"; done");
    for part in ["output", "log", "screen"] {
        let shown = text(&mut client, &format!("session://{session}/{part}"));
        assert!(shown.len() < 5_000 && shown.contains("3000"), "{part}: {} bytes", shown.len());
    }
}

#[test]
fn the_list_opens_no_store() {
    let state = Scratch::new("resources");
    let mut client = Client::start_in(state.path());
    let listed = client.request("resources/list", json!({}));
    assert_eq!(listed["result"]["resources"], json!([]), "{listed}");
    let files: Vec<_> = std::fs::read_dir(state.path()).expect("a directory").flatten().collect();
    assert!(files.iter().all(|file| file.file_name() == "home"), "{files:?}");
}

#[test]
fn what_is_not_there_is_told_by_the_protocols_errors() {
    let mut client = Client::start();
    client.session(json!({"profile": "clean"}));
    let mut refused = |method: &str, params: Value, code: i32, words: &str| {
        let answer = client.request(method, params.clone());
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert_eq!(answer["error"]["code"], code, "{method} {params}: {answer}");
        assert!(message.contains(words), "{method} {params}: {answer}");
    };
    for method in ["resources/read", "resources/subscribe"] {
        refused(method, json!({"uri": "file:///etc/passwd"}), -32_002, "session://{id}/output");
        refused(method, json!({"uri": "session://ses_a/everything"}), -32_002, "no resource");
        refused(method, json!({"uri": "session://nobody/output"}), -32_002, "no session");
        refused(method, json!({"uri": "run://run_nobody"}), -32_002, "run");
    }
    refused("resources/unsubscribe", json!({"uri": "nothing"}), -32_002, "no resource");
    refused("resources/list", json!({"cursor": "elsewhere"}), -32_602, "no cursor 'elsewhere'");
    refused("resources/templates/list", json!({"cursor": "2"}), -32_602, "one page");
    refused("tools/list", json!({"cursor": "2"}), -32_602, "one page");
    refused("resources/read", json!({}), -32_602, "resources/read takes {uri}");
    refused("logging/setLevel", json!({"level": "loud"}), -32_602, "emergency}");
    refused("prompts/get", json!({}), -32_602, "prompts/get takes {name, arguments}");
    refused("completion/complete", json!({"ref": {"type": "ref/tool"}}), -32_602, "ref/prompt");
    // The newer era has another code for it.
    let params = json!({"uri": "session://nobody/output", "_meta": modern_meta()});
    let answer = client.request("resources/read", params);
    assert_eq!(answer["error"]["code"], -32_602, "{answer}");
}

#[test]
fn changes_are_told_together_and_the_last_one_is_told() {
    let mut client = Client::start();
    let session = client.clean("bash");
    let uri = format!("session://{session}/output");
    let begin = Instant::now();
    let answer = client.request("resources/subscribe", json!({"uri": uri}));
    assert_eq!(answer["result"], json!({}), "{answer}");
    client.request("resources/subscribe", json!({"uri": uri}));
    client.run(&session, "for i in $(seq 150); do echo $i; sleep 0.01; done; echo the end");
    // After the last update the resource is what it stays.
    let mut updates = 0;
    loop {
        client.message("update", |message| is_update(message, &uri));
        updates += 1;
        if !client.has_come(|message| is_update(message, &uri)) && text(&mut client, &uri).contains("the end")
        {
            break;
        }
    }
    let most = begin.elapsed().as_secs_f64() * 4.0 + 1.0;
    println!("{updates} updates in {:?}", begin.elapsed());
    assert!(updates >= 2 && f64::from(updates) <= most, "{updates} updates, {most} at most");

    // Without the subscription nothing more is told; another one goes on.
    let other = format!("session://{session}/log");
    client.request("resources/subscribe", json!({"uri": other}));
    client.request("resources/unsubscribe", json!({"uri": uri}));
    client.ok("session_list", json!({}));
    while client.has_come(|message| is_update(message, &uri)) {
        client.message("update", |message| is_update(message, &uri));
    }
    client.run(&session, "echo more");
    client.message("update of the log", |message| is_update(message, &other));
    assert!(!client.has_come(|message| is_update(message, &uri)));
}

#[test]
fn a_run_is_followed_to_its_end() {
    let mut client = Client::start();
    let scratch = Scratch::new("resources");
    let flag = Flag::in_(&scratch);
    let tasks = json!([{"id": "held", "command": flag.awaited()}, {"id": "next", "command": "true", "dependencies": ["held"]}]);
    let run = client.ok("task_distribute", json!({"tasks": tasks}));
    let uri = format!("run://{}", run["runId"].as_str().expect("a run has an id"));
    client.request("resources/subscribe", json!({"uri": uri}));
    flag.raise();
    loop {
        client.message("update of the run", |message| is_update(message, &uri));
        if text(&mut client, &uri).contains("\"status\":\"completed\",\"tasks\"") {
            break;
        }
    }
}

#[test]
fn subscriptions_are_bounded() {
    let mut client = Client::start();
    let session = client.session(json!({"name": "a", "profile": "clean"}));
    // As many ways to write one address as there are places.
    let spelled = |n: usize| {
        let written: String = session
            .bytes()
            .enumerate()
            .map(
                |(at, byte)| {
                    if n >> at & 1 == 1 { format!("%{byte:02x}") } else { char::from(byte).to_string() }
                },
            )
            .collect();
        format!("session://{written}/output")
    };
    for n in 0..100 {
        let answer = client.request("resources/subscribe", json!({"uri": spelled(n)}));
        assert_eq!(answer["result"], json!({}), "{n}: {answer}");
    }
    let answer = client.request("resources/subscribe", json!({"uri": spelled(100)}));
    assert_eq!(answer["error"]["code"], -32_602, "{answer}");
    client.request("resources/unsubscribe", json!({"uri": spelled(0)}));
    // The place is free as soon as the server has let go of it.
    until("a place is free", || {
        client.request("resources/subscribe", json!({"uri": spelled(100)}))["error"].is_null()
    });
}

/// The era without a handshake: a stream for several resources, which the client ends.
#[test]
fn a_stream_tells_of_changes_until_it_is_cancelled() {
    let state = Scratch::new("resources");
    let mut client = Client::spawn(server(state.path()), Some(state));
    let call = |client: &mut Client, tool: &str, arguments: Value| {
        let params = json!({"name": tool, "arguments": arguments, "_meta": modern_meta()});
        client.request("tools/call", params)["result"]["structuredContent"].clone()
    };
    let created = call(&mut client, "session_create", json!({"shell": "bash", "profile": "clean"}));
    let session = created["sessionId"].as_str().expect("a session has an id").to_owned();
    let uri = format!("session://{session}/output");
    let wanted = json!({"resourceSubscriptions": [uri, "file:///etc/passwd"], "toolsListChanged": true});
    let stream =
        client.send("subscriptions/listen", json!({"notifications": wanted, "_meta": modern_meta()}));
    let accepted = client.message("acknowledgement", |message| {
        message["method"] == "notifications/subscriptions/acknowledged"
    });
    assert_eq!(accepted["params"]["notifications"], json!({"resourceSubscriptions": [uri]}), "{accepted}");
    call(&mut client, "command_execute", json!({"sessionId": session, "command": "echo streamed"}));
    let update = client.message("update", |message| is_update(message, &uri));
    assert_eq!(update["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], stream, "{update}");
    let params = json!({"uri": uri, "_meta": modern_meta()});
    let shown = client.request("resources/read", params);
    assert!(
        shown["result"]["contents"][0]["text"].as_str().is_some_and(|text| text.contains("streamed")),
        "{shown}"
    );
    assert!(shown["result"]["ttlMs"].is_number(), "{shown}");

    // The older era's way is not there.
    let params = json!({"uri": uri, "_meta": modern_meta()});
    assert_eq!(client.request("resources/subscribe", params)["error"]["code"], -32_601);

    client.notify("notifications/cancelled", json!({"requestId": stream, "_meta": modern_meta()}));
    let listed = client.request("resources/list", json!({"_meta": modern_meta()}));
    assert_eq!(listed["result"]["resources"].as_array().map(Vec::len), Some(3), "{listed}");
    while client.has_come(|message| is_update(message, &uri)) {
        client.message("update", |message| is_update(message, &uri));
    }
    call(&mut client, "command_execute", json!({"sessionId": session, "command": "echo unheard"}));
    assert!(!client.has_come(|message| is_update(message, &uri)));
}

#[test]
fn a_stream_tells_of_what_comes_to_be_later() {
    let state = Scratch::new("resources");
    let mut client = Client::spawn(server(state.path()), Some(state));
    let uri = "session://later/output";
    let wanted = json!({"resourceSubscriptions": [uri]});
    client.send("subscriptions/listen", json!({"notifications": wanted, "_meta": modern_meta()}));
    client.message("acknowledgement", |message| {
        message["method"] == "notifications/subscriptions/acknowledged"
    });
    let arguments = json!({"name": "later", "shell": "bash", "profile": "clean"});
    let params = json!({"name": "session_create", "arguments": arguments, "_meta": modern_meta()});
    client.request("tools/call", params);
    client.message("update", |message| is_update(message, uri));
}

/// A server that goes down ends its streams with their last answer, in time.
#[test]
fn a_stream_does_not_hold_up_the_end() {
    let state = Scratch::new("resources");
    let mut client = Client::spawn(server(state.path()), Some(state));
    let stream = client.send(
        "subscriptions/listen",
        json!({"notifications": {"resourceSubscriptions": ["session://nobody/log"]}, "_meta": modern_meta()}),
    );
    client.message("acknowledgement", |message| {
        message["method"] == "notifications/subscriptions/acknowledged"
    });
    client.hang_up();
    let ended = client.answer(stream);
    assert_eq!(ended["result"]["resultType"], "complete", "{ended}");
    assert!(client.until_exit() < Duration::from_secs(20));
}
