//! Templates: kept, merged into what a session is created with, and kept across servers.

use serde_json::json;

use crate::support::{Client, Scratch};

#[test]
fn a_session_takes_from_its_template_what_is_not_said() {
    let scratch = Scratch::new("template");
    let mut client = Client::start();
    let made = client.ok(
        "template_create",
        json!({
            "name": "node-build", "type": "department",
            "baseConfig": {
                "workspace": scratch.path(), "profile": "clean", "shell": "/bin/bash", "rows": 33,
                "capabilities": ["node", "build"], "metadata": {"team": {"lead": "a", "size": 3}},
                "env": {"A": "base", "B": "base", "C": "base"},
            },
            "environmentVariables": {"B": "variables"},
        }),
    );
    assert_eq!((&made["name"], made.get("replaced")), (&json!("node-build"), None), "{made}");
    let session = client.session(json!({
        "template": "node-build", "name": "mine", "env": {"C": "call"},
        "overrides": {"metadata": {"team": {"lead": "b"}}, "capabilities": ["web"], "env": {"A": "overrides"}},
    }));
    let shown = client.ok("session_status", json!({"sessionId": session, "detailed": true}));
    assert_eq!(shown["type"], "department", "{shown}");
    assert_eq!(shown["workingDirectory"], scratch.path().display().to_string(), "{shown}");
    assert_eq!(shown["details"]["rows"], 33, "{shown}");
    assert_eq!(shown["capabilities"], json!(["web"]), "{shown}");
    assert_eq!(
        shown["metadata"],
        json!({"template": "node-build", "team": {"lead": "b", "size": 3}}),
        "{shown}"
    );
    assert_eq!(client.run(&session, "echo $A $B $C").output(), "overrides variables call\n");
}

#[test]
fn templates_outlive_their_server_and_can_be_replaced_and_deleted() {
    let state = Scratch::new("templates");
    let mut client = Client::start_in(state.path());
    client.ok("template_create", json!({"name": "one", "baseConfig": {"rows": 10}}));
    client.ok("template_create", json!({"name": "two"}));
    client.hang_up();
    client.until_exit();
    let mut client = Client::start_in(state.path());
    let replaced = client.ok("template_create", json!({"name": "one", "baseConfig": {"rows": 11}}));
    assert_eq!(replaced["replaced"], true, "{replaced}");
    let listed = client.ok("template_list", json!({}));
    let templates = listed["templates"].as_array().expect("templates");
    assert_eq!(templates.len(), 2, "{listed}");
    assert_eq!((&templates[0]["name"], &templates[0]["settings"]), (&json!("one"), &json!({"rows": 11})));
    client.ok("template_delete", json!({"name": "two"}));
    assert_eq!(client.ok("template_list", json!({"pattern": "t*"}))["templates"], json!([]));
}

#[test]
fn bad_templates_are_refused_and_change_nothing() {
    let mut client = Client::start();
    let none = client.call("session_create", json!({"template": "build"}));
    assert_eq!(none.code(), "template_not_found", "{none:?}");
    client.ok("template_create", json!({"name": "node-build"}));
    for tool in ["session_create", "template_delete"] {
        let key = if tool == "session_create" { "template" } else { "name" };
        let unknown = client.call(tool, json!({key: "node-biuld"}));
        assert_eq!(unknown.code(), "template_not_found", "{unknown:?}");
        assert!(
            unknown.error()["message"].as_str().is_some_and(|m| m.contains("'node-build'")),
            "{unknown:?}"
        );
    }
    let cases = [
        json!({"name": "x", "baseConfig": {"shel": "bash"}}),
        json!({"name": "x", "baseConfig": {"rows": "many"}}),
        json!({"name": "x", "baseConfig": {"template": "node-build"}}),
        json!({"name": "x", "environmentVariables": {"API_TOKEN": "t"}}),
        json!({"name": "x", "baseConfig": {"env": {"DB_PASSWORD": "t"}}}),
        json!({"name": "x", "baseConfig": {"metadata": {"long": "x".repeat(200_000)}}}),
        json!({"name": " "}),
    ];
    for arguments in cases {
        let refused = client.call("template_create", arguments.clone());
        assert_eq!(refused.code(), "invalid_argument", "{arguments}: {refused:?}");
    }
    for arguments in
        [json!({"overrides": {"rows": 10}}), json!({"template": "node-build", "overrides": {"rowz": 10}})]
    {
        let refused = client.call("session_create", arguments);
        assert_eq!(refused.code(), "invalid_argument", "{refused:?}");
    }
    let listed = client.ok("template_list", json!({}));
    assert_eq!(listed["templates"].as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(client.ok("session_list", json!({}))["total"], 0);
}

#[test]
fn settings_of_which_no_session_can_be_made_take_the_place_of_none() {
    let mut client = Client::start();
    client.ok("template_create", json!({"name": "t", "baseConfig": {"rows": 31}}));
    for wrong in [
        json!({"constraints": ["timeout:-4"]}),
        json!({"env": {"A B": "1"}}),
        json!({"type": "observer", "command": "x"}),
        json!({"workingDirectory": " "}),
    ] {
        let refused = client.call("template_create", json!({"name": "t", "baseConfig": wrong}));
        assert_eq!(refused.code(), "invalid_argument", "{refused:?}");
    }
    assert_eq!(client.ok("template_list", json!({}))["templates"][0]["settings"]["rows"], 31);
}
