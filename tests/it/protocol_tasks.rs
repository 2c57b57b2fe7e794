//! Calls that a client follows by a handle, in place of waiting for their results.

use serde_json::{Value, json};

use crate::support::http::HttpServer;
use crate::support::{Client, Flag, Scratch, server, until};

const TASKS: &str = "io.modelcontextprotocol/tasks";

/// A client of the newer era that can follow calls.
struct Follower<'a> {
    server: &'a HttpServer,
    next_id: std::cell::Cell<u64>,
}

impl Follower<'_> {
    fn ask(&self, method: &str, mut params: Value) -> Value {
        self.next_id.set(self.next_id.get() + 1);
        let capabilities = json!({"extensions": {TASKS: {}}});
        params["_meta"] = json!({"io.modelcontextprotocol/clientCapabilities": capabilities});
        self.server.post_modern(self.next_id.get(), method, params).message()
    }

    fn call(&self, tool: &str, arguments: Value) -> Value {
        let answer = self.ask("tools/call", json!({"name": tool, "arguments": arguments}));
        answer["result"].clone()
    }

    /// The handle of a call that is followed.
    fn begin(&self, tool: &str, arguments: Value) -> String {
        let begun = self.call(tool, arguments);
        assert_eq!((&begun["resultType"], &begun["status"]), (&json!("task"), &json!("working")), "{begun}");
        assert!(begun["ttlMs"].as_u64() >= Some(3_600_000) && begun["createdAt"].is_string(), "{begun}");
        begun["taskId"].as_str().expect("a handle").to_owned()
    }

    fn state(&self, handle: &str) -> Value {
        self.ask("tasks/get", json!({"taskId": handle}))["result"].clone()
    }

    /// The result of what is followed.
    fn result(&self, handle: &str) -> Value {
        self.until(handle, "completed")["result"].clone()
    }

    /// How what is followed has ended.
    fn until(&self, handle: &str, status: &str) -> Value {
        until("it is over", || self.state(handle)["status"] != "working");
        let state = self.state(handle);
        assert_eq!(state["status"], status, "{state}");
        state
    }

    fn shell(&self) -> String {
        let shell = self.call("session_create", json!({"shell": "/bin/bash", "profile": "clean"}));
        shell["structuredContent"]["sessionId"].as_str().expect("a session has an id").to_owned()
    }
}

/// Lets a client work with a server.
fn check(test: impl FnOnce(&Follower, &Scratch)) {
    let state = Scratch::new("follow");
    let server = HttpServer::start(state.path());
    test(&Follower { server: &server, next_id: std::cell::Cell::new(0) }, &state);
}

#[test]
fn a_command_is_followed_to_its_result() {
    check(|client, scratch| {
        let shell = client.shell();
        let flag = Flag::in_(scratch);
        let command = format!("{}; echo done", flag.awaited());
        let handle = client.begin("command_execute", json!({"sessionId": shell, "command": command}));
        assert_eq!(client.state(&handle)["status"], "working");
        flag.raise();
        let result = client.result(&handle);
        assert_eq!(
            (&result["isError"], &result["structuredContent"]["output"]),
            (&json!(false), &json!("done\n"))
        );
        assert_eq!(result["structuredContent"]["commandId"], handle.as_str(), "the handle is its id");

        let failing = client.begin("command_execute", json!({"sessionId": shell, "command": "(exit 7)"}));
        let result = client.result(&failing);
        assert_eq!((&result["isError"], &result["structuredContent"]["exitCode"]), (&json!(true), &json!(7)));
        // What comes at once anyway is no handle.
        let refused = client.call("command_execute", json!({"sessionId": "nobody", "command": "true"}));
        assert_eq!(refused["isError"], true, "{refused}");
        let arguments = json!({"sessionId": shell, "command": "true", "background": true});
        let plain = client.call("command_execute", arguments);
        assert!(plain["structuredContent"]["commandId"].is_string(), "{plain}");
    });
}

#[test]
fn a_run_is_followed_to_its_result() {
    check(|client, scratch| {
        let flag = Flag::in_(scratch);
        let tasks = json!([{"id": "first", "command": flag.awaited()}, {"id": "second", "command": "true", "dependencies": ["first"]}]);
        let handle = client.begin("task_distribute", json!({"tasks": tasks}));
        assert!(handle.starts_with("run_"), "{handle}");
        let state = client.state(&handle);
        assert!(state["statusMessage"].as_str().is_some_and(|told| told.starts_with("0/2 done")), "{state}");
        flag.raise();
        let result = client.result(&handle);
        assert_eq!(result["structuredContent"]["summary"]["completed"], 2, "{result}");
    });
}

#[test]
fn what_is_cancelled_ends() {
    check(|client, _| {
        let shell = client.shell();
        let sleep = |seconds: u32| json!({"sessionId": shell, "command": format!("sleep {seconds}")});
        let running = client.begin("command_execute", sleep(600));
        let queued = client.begin("command_execute", sleep(700));
        let cancel = |handle: &str| client.ask("tasks/cancel", json!({"taskId": handle}));
        assert!(cancel(&queued)["result"].is_object());
        client.until(&queued, "cancelled");
        assert_eq!(client.state(&running)["status"], "working", "it is another one");
        assert!(cancel(&running)["result"].is_object());
        client.until(&running, "cancelled");
        let shown = client.call("command_status", json!({"commandId": running}));
        assert_eq!(shown["structuredContent"]["exitCode"], 130, "{shown}");
        assert!(cancel(&running)["result"].is_object(), "it is over");

        let run = client.begin("task_distribute", json!({"tasks": ["sleep 600", "sleep 700"]}));
        assert!(cancel(&run)["result"].is_object());
        assert_eq!(client.result(&run)["structuredContent"]["summary"]["failed"], 2);
    });
}

#[test]
fn handles_of_nobody_are_refused() {
    check(|client, _| {
        let shell = client.shell();
        let handle = client.begin("command_execute", json!({"sessionId": shell, "command": "true"}));
        for unknown in ["", "nonsense", "run_nonsense", "cmd_nonsense", &handle[..handle.len() - 1]] {
            for method in ["tasks/get", "tasks/cancel", "tasks/update"] {
                let mut params = json!({"taskId": unknown});
                if method == "tasks/update" {
                    params["inputResponses"] = json!({});
                }
                assert_eq!(client.ask(method, params)["error"]["code"], -32602, "{method} {unknown:?}");
            }
        }
        let answer = client.ask("tasks/update", json!({"taskId": handle, "inputResponses": {}}));
        assert!(answer["result"].is_object(), "{answer}");
        let mut other = client.server.post_modern(99, "tasks/get", json!({"taskId": handle}));
        assert_eq!(other.message()["error"]["code"], -32021, "a client that says nothing of them");
    });
}

#[test]
fn a_client_of_the_older_era_follows_as_well() {
    let state = Scratch::new("follow");
    let mut client = Client::spawn(server(state.path()), None);
    let hello = json!({
        "protocolVersion": "2025-11-25",
        "capabilities": {"extensions": {TASKS: {}}},
        "clientInfo": {"name": "it", "version": "0"},
    });
    let answer = client.request("initialize", hello);
    assert!(answer["result"]["capabilities"]["extensions"][TASKS].is_object(), "{answer}");
    client.notify("notifications/initialized", json!({}));
    let shell = client.clean("/bin/bash");
    let call = json!({"name": "command_execute", "arguments": {"sessionId": shell, "command": "echo old"}});
    let begun = client.request("tools/call", call);
    let handle =
        begun["result"]["taskId"].as_str().unwrap_or_else(|| panic!("no handle: {begun}")).to_owned();
    let mut state = json!({});
    until("it is over", || {
        state = client.request("tasks/get", json!({"taskId": handle}))["result"].clone();
        state["status"] == "completed"
    });
    assert_eq!(state["result"]["structuredContent"]["output"], "old\n", "{state}");
}
