//! Prompts and completions: what a client offers a person to choose from.

use serde_json::{Value, json};

use crate::protocol::{misfits, modern_meta};
use crate::support::{Client, Scratch, server};

fn client(flags: &[&str]) -> Client {
    let state = Scratch::new("guides");
    let mut command = server(state.path());
    command.args(flags);
    Client::connect(command, Some(state))
}

fn prompts(client: &mut Client) -> Vec<Value> {
    let answer = client.request("prompts/list", json!({}));
    answer["result"]["prompts"].as_array().unwrap_or_else(|| panic!("no prompts: {answer}")).clone()
}

fn said(client: &mut Client, name: &str, arguments: Value) -> String {
    let answer = client.request("prompts/get", json!({"name": name, "arguments": arguments}));
    let messages = answer["result"]["messages"].as_array().unwrap_or_else(|| panic!("{name}: {answer}"));
    assert_eq!((messages.len(), &messages[0]["role"]), (1, &json!("user")), "{answer}");
    messages[0]["content"]["text"].as_str().expect("a text").to_owned()
}

/// The calls in a text: lines of a tool's name and its arguments.
fn calls(text: &str) -> Vec<(String, Value)> {
    let call = |line: &str| {
        let (tool, arguments) = line.split_once(" {")?;
        let is_name = tool.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        let arguments = serde_json::from_str(&format!("{{{arguments}")).ok()?;
        is_name.then(|| (tool.to_owned(), arguments))
    };
    text.lines().filter_map(call).collect()
}

#[test]
fn the_calls_in_prompts_fit_their_tools() {
    let mut client = client(&[]);
    let listed = client.request("tools/list", json!({}));
    let tools = listed["result"]["tools"].as_array().expect("tools").clone();
    let cases = [
        ("parallel-build", json!({"commands": "cargo build ;; npm run \"all\"\nmake"}), 3),
        ("parallel-build", json!({"commands": "make", "workingDirectory": "/tmp", "maxConcurrent": "4"}), 3),
        ("diagnose", json!({}), 2),
        (
            "diagnose",
            json!({"session": "web", "command": "cmd_x", "task": "t", "run": "run_x", "problem": "it's slow"}),
            5,
        ),
        ("multi-agent-review", json!({"target": "src/"}), 2),
        (
            "multi-agent-review",
            json!({"target": "HEAD~1", "aspects": "speed", "workingDirectory": "/tmp"}),
            2,
        ),
        ("long-running-service", json!({"command": "npm start"}), 7),
        (
            "long-running-service",
            json!({"command": "x", "name": "web 1", "workingDirectory": "/tmp", "ready": "listening on \\d+"}),
            7,
        ),
    ];
    for (name, arguments, count) in cases {
        let text = said(&mut client, name, arguments.clone());
        let calls = calls(&text);
        assert_eq!(calls.len(), count, "{name} {arguments}:\n{text}");
        for (tool, arguments) in calls {
            let offered = tools.iter().find(|offered| offered["name"] == tool.as_str());
            let schema = &offered.unwrap_or_else(|| panic!("{name} names {tool}"))["inputSchema"];
            let wrong = misfits(&tool, schema, &arguments);
            assert!(wrong.is_empty(), "{name}: {wrong:#?}");
        }
    }
    let names: Vec<Value> = prompts(&mut client).iter().map(|prompt| prompt["name"].clone()).collect();
    assert_eq!(names, ["parallel-build", "diagnose", "multi-agent-review", "long-running-service"]);
}

/// The calls do what the prompt says, made one after the other.
#[test]
fn the_calls_in_prompts_can_be_made() {
    let mut client = client(&[]);
    let text = said(&mut client, "parallel-build", json!({"commands": "echo one ;; echo two; exit 3"}));
    let mut outcomes = Vec::new();
    for (tool, arguments) in calls(&text) {
        let outcome = client.call(&tool, arguments.clone());
        assert!(!outcome.is_error, "{tool} {arguments}: {outcome:?}");
        outcomes.push(outcome.structured);
    }
    let summary = &outcomes[1]["summary"];
    assert_eq!((&summary["completed"], &summary["failed"]), (&json!(1), &json!(1)), "{summary}");

    let arguments = json!({"command": "echo ready on 80; exec sleep 300", "ready": "ready on \\d+"});
    let text = said(&mut client, "long-running-service", arguments);
    for (tool, arguments) in calls(&text) {
        let outcome = client.call(&tool, arguments.clone());
        assert!(!outcome.is_error, "{tool} {arguments}: {outcome:?}");
        assert!(outcome.structured.get("timedOut").is_none(), "{tool} {arguments}: {outcome:?}");
    }
    let text = said(&mut client, "diagnose", json!({}));
    for (tool, arguments) in calls(&text) {
        client.ok(&tool, arguments);
    }
}

#[test]
fn a_prompt_is_offered_where_its_tools_are() {
    let mut client = client(&["--toolsets", "core,monitor,tasks", "--read-only"]);
    let names: Vec<Value> = prompts(&mut client).iter().map(|prompt| prompt["name"].clone()).collect();
    assert_eq!(names, ["diagnose"]);
    let answer =
        client.request("prompts/get", json!({"name": "parallel-build", "arguments": {"commands": "x"}}));
    assert_eq!(answer["error"]["code"], -32_602, "{answer}");
}

#[test]
fn wrong_questions_about_prompts_get_the_protocols_errors() {
    let mut client = client(&[]);
    let long = "x".repeat(20_000);
    let many = "x;;".repeat(101);
    let prompt =
        |name: &str, arguments: Value| ("prompts/get", json!({"name": name, "arguments": arguments}));
    let completion = |of: Value, argument: &str| {
        ("completion/complete", json!({"ref": of, "argument": {"name": argument, "value": ""}}))
    };
    let of_prompt = |name: &str| json!({"type": "ref/prompt", "name": name});
    let of_template = |uri: &str| json!({"type": "ref/resource", "uri": uri});
    let cases = [
        (prompt("paralel-build", json!({})), "did you mean 'parallel-build'?"),
        (prompt("nothing", json!({})), "unknown prompt 'nothing'"),
        (prompt("parallel-build", json!({})), "'commands' is required"),
        (prompt("parallel-build", json!({"commands": "  "})), "'commands' is required"),
        (prompt("parallel-build", json!({"commands": ";;"})), "from 1 to 100 commands"),
        (prompt("parallel-build", json!({"commands": many})), "from 1 to 100 commands"),
        (prompt("parallel-build", json!({"commands": long})), "at most 16384 bytes"),
        (prompt("parallel-build", json!({"commands": ["a"]})), "must be a text"),
        (prompt("parallel-build", json!({"commands": "a", "comands": "b"})), "did you mean 'commands'?"),
        (prompt("parallel-build", json!({"commands": "a", "maxConcurrent": "many"})), "maxConcurrent"),
        (prompt("long-running-service", json!({"command": "a", "ready": "("})), "ready"),
        (("prompts/list", json!({"cursor": "x"})), "one page"),
        (completion(of_prompt("nothing"), "session"), "unknown prompt"),
        (completion(of_prompt("diagnose"), "sesion"), "did you mean 'session'?"),
        (completion(of_template("file://{id}"), "id"), "no resource template"),
        (completion(of_template("run://{id}"), "name"), "only 'id'"),
    ];
    for ((method, params), words) in cases {
        let answer = client.request(method, params);
        assert_eq!(answer["error"]["code"], -32_602, "{words}: {answer}");
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(words), "{words}: {answer}");
    }
}

fn completed(client: &mut Client, of: Value, argument: &str, typed: &str) -> Vec<String> {
    let argument = json!({"name": argument, "value": typed});
    let answer = client.request("completion/complete", json!({"ref": of, "argument": argument}));
    let values = answer["result"]["completion"]["values"].as_array();
    let values = values.unwrap_or_else(|| panic!("no completion: {answer}"));
    values.iter().map(|value| value.as_str().expect("a text").to_owned()).collect()
}

#[test]
fn ids_and_names_are_completed() {
    let mut client = client(&[]);
    let of_session = json!({"type": "ref/resource", "uri": "session://{id}/output"});
    assert_eq!(completed(&mut client, of_session.clone(), "id", ""), Vec::<String>::new());
    let web = client.session(json!({"name": "web", "profile": "clean"}));
    let worker = client.session(json!({"name": "my web worker", "profile": "clean"}));
    let command = client.run(&web, "true").command();
    let run = client.ok("task_distribute", json!({"tasks": [{"id": "build-1", "command": "true"}]}));
    client.ok("task_status", json!({"runId": run["runId"], "wait": "50s"}));

    assert_eq!(completed(&mut client, of_session.clone(), "id", "WEB"), ["web", "my web worker"]);
    let ids = completed(&mut client, of_session, "id", "ses_");
    assert!(ids.contains(&web) && ids.contains(&worker), "{ids:?}");
    let of_run = json!({"type": "ref/resource", "uri": "run://{id}"});
    assert_eq!(completed(&mut client, of_run, "id", "run_"), [run["runId"].as_str().expect("an id")]);
    for name in ["service", "web service"] {
        client.ok("template_create", json!({"name": name, "baseConfig": {"metadata": {"tier": "web"}}}));
    }
    let of_service = json!({"type": "ref/prompt", "name": "long-running-service"});
    assert_eq!(completed(&mut client, of_service, "template", "serv"), ["service", "web service"]);
    let of_prompt = json!({"type": "ref/prompt", "name": "diagnose"});
    assert_eq!(completed(&mut client, of_prompt.clone(), "session", "we"), ["web", "my web worker"]);
    assert!(completed(&mut client, of_prompt.clone(), "command", "cmd").contains(&command));
    assert_eq!(completed(&mut client, of_prompt.clone(), "task", "build"), ["build-1"]);
    assert_eq!(completed(&mut client, of_prompt, "problem", "slow"), Vec::<String>::new());
}

#[test]
fn the_stateless_revision_has_prompts_and_completions() {
    let state = Scratch::new("guides");
    let mut client = Client::spawn(server(state.path()), Some(state));
    let listed = client.request("prompts/list", json!({"_meta": modern_meta()}));
    assert_eq!(listed["result"]["prompts"].as_array().map(Vec::len), Some(4), "{listed}");
    let params = json!({"name": "diagnose", "_meta": modern_meta()});
    let got = client.request("prompts/get", params);
    assert_eq!(got["result"]["resultType"], "complete", "{got}");
    let argument = json!({"name": "session", "value": ""});
    let of = json!({"type": "ref/prompt", "name": "diagnose"});
    let completed = client
        .request("completion/complete", json!({"ref": of, "argument": argument, "_meta": modern_meta()}));
    assert_eq!(completed["result"]["completion"]["values"], json!([]), "{completed}");
}
