//! What callers write, and what is read.

use super::*;
use crate::error::ErrorCode;

fn schema() -> Value {
    json!({
        "type": "object",
        "required": ["sessionId"],
        "properties": {
            "sessionId": {"type": "string"},
            "command": {"type": "string", "x-bytes": 1000},
            "workingDirectory": {"type": "string"},
            "env": {"type": "object", "additionalProperties": {"type": "string", "x-kind": "variable"}},
            "timeout": {"type": "integer", "x-kind": "duration"},
            "maxMemory": {"type": "string", "x-kind": "size"},
            "okExitCodes": {"type": "array", "x-kind": "codes"},
            "signal": {"type": "string", "x-kind": "signal"},
            "range": {"type": "string", "x-kind": "range"},
            "whenBusy": {"type": "string", "enum": ["queue", "error"]},
            "rows": {"type": "integer", "minimum": 1, "maximum": 1000},
            "since": {"type": "integer"},
            "backoff": {"type": "number", "minimum": 1, "maximum": 9},
            "background": {"type": "boolean"},
            "keys": {"type": "array", "items": {"type": "string"}, "x-items": 3},
            "metadata": {"type": "object", "additionalProperties": true},
            "jobs": {
                "type": "array",
                "items": {
                    "type": "object",
                    "x-short": "command",
                    "properties": {"id": {"type": "string"}, "command": {"type": "string"}},
                },
            },
            "wait": {
                "type": "object",
                "x-short": "until",
                "required": ["until"],
                "properties": {"until": {"type": "string", "enum": ["idle", "match"]}, "pattern": {"type": "string"}},
            },
        },
    })
}

fn read(given: &Value) -> Result<Value> {
    let schema = schema();
    let reader = Reader { tool: "some_tool", schema: &schema };
    reader.read(given.as_object().cloned())
}

/// What one field, given as it stands here, is read as under its canonical name.
fn check(field: &str, given: &Value, canonical: &str, wanted: &Value) {
    let read = read(&json!({"sessionId": "s", field: given})).unwrap();
    assert_eq!(&read[canonical], wanted, "{field}");
}

fn refused(field: &str, given: &Value) -> Error {
    let error = read(&json!({"sessionId": "s", field: given})).expect_err(&format!("{field}: {given}"));
    assert_eq!(error.code, ErrorCode::InvalidArgument);
    error
}

#[test]
fn synonyms_and_separators_lead_to_the_canonical_name() {
    for name in
        ["workingDirectory", "working_directory", "working-directory", "workspace", "cwd", "WorkingDirectory"]
    {
        check(name, &json!("/x"), "workingDirectory", &json!("/x"));
    }
    for name in ["env", "environment", "environmentVariables"] {
        check(name, &json!({"A": "b"}), "env", &json!({"A": "b"}));
    }
    for name in ["timeout", "timeoutMs", "timeout_ms"] {
        check(name, &json!(5), "timeout", &json!(5));
    }
    check("cmd", &json!("ls"), "command", &json!("ls"));
    for name in ["id", "session_id", "session", "sessionId"] {
        assert_eq!(read(&json!({name: "s"})).unwrap(), json!({"sessionId": "s"}), "{name}");
    }
}

#[test]
fn a_field_and_its_synonym_together_are_refused() {
    let error = refused("id", &json!("t"));
    assert_eq!(error.message, "'sessionId' and 'id' are the same field of some_tool; give one of them");
    assert_eq!(error.details, Some(json!({"field": "sessionId"})));
}

#[test]
fn values_are_read_as_they_were_meant() {
    for (given, wanted) in
        [(json!("30s"), 30_000), (json!("5M"), 300_000), (json!("250"), 250), (json!(7.0), 7)]
    {
        check("timeout", &given, "timeout", &json!(wanted));
    }
    for (given, wanted) in
        [(json!("512m"), 536_870_912_u64), (json!(1024), 1024), (json!("4gb"), 4_294_967_296)]
    {
        check("maxMemory", &given, "maxMemory", &json!(wanted));
    }
    for (given, wanted) in
        [(json!([0, "1"]), json!([0, 1])), (json!("ANY"), json!("any")), (json!(2), json!([2]))]
    {
        check("okExitCodes", &given, "okExitCodes", &wanted);
    }
    check("signal", &json!(2), "signal", &json!("2"));
    check("range", &json!({"from": 1, "to": 5}), "range", &json!("1-5"));
    check("whenBusy", &json!(" Queue "), "whenBusy", &json!("queue"));
    check("rows", &json!("40"), "rows", &json!(40));
    check("backoff", &json!("1.5"), "backoff", &json!(1.5));
    check("background", &json!("True"), "background", &json!(true));
    check("keys", &json!("up"), "keys", &json!(["up"]));
    check("env", &json!({"PORT": 80, "ON": true}), "env", &json!({"PORT": "80", "ON": "true"}));
    check("metadata", &json!({"cwd": null}), "metadata", &json!({"cwd": null}));
    check("wait", &json!("IDLE"), "wait", &json!({"until": "idle"}));
}

#[test]
fn null_is_the_same_as_nothing() {
    assert_eq!(read(&json!({"sessionId": "s", "rows": null})).unwrap(), json!({"sessionId": "s"}));
    assert!(read(&json!({"sessionId": null})).is_err());
}

#[test]
fn an_unknown_field_is_named_with_the_nearest() {
    let error = refused("comand", &json!("ls"));
    assert_eq!(error.message, "unknown field 'comand' for some_tool; did you mean 'command'?");
    let details = error.details.unwrap();
    assert_eq!(details["field"], "comand");
    assert_eq!(details["known"][0], "sessionId");
    assert_eq!(refused("zzz", &json!(1)).message, "unknown field 'zzz' for some_tool");
    let nested = refused("wait", &json!({"until": "idle", "patern": "x"}));
    assert!(nested.message.contains("'wait.patern'") && nested.message.contains("'pattern'"), "{nested}");
}

#[test]
fn a_wrong_value_is_refused_with_path_bounds_and_what_was_given() {
    for (field, given, message) in [
        ("rows", json!(0), "'rows' must be an integer from 1 to 1000, not 0"),
        ("rows", json!(1.5), "'rows' must be an integer from 1 to 1000, not 1.5"),
        ("rows", json!("many"), "'rows' must be an integer from 1 to 1000, not \"many\""),
        ("since", json!(-1), "'since' must be an integer, not -1"),
        ("background", json!("yes"), "'background' must be true or false, not \"yes\""),
        ("whenBusy", json!("later"), "'whenBusy' must be one of queue, error, not \"later\""),
        ("command", json!(5), "'command' must be a string, not 5"),
        ("command", json!(["ls"]), "'command' must be a string, not an array"),
        ("command", json!("a\0b"), "'command' must not contain a NUL"),
        ("keys", json!(["a", 5]), "'keys[1]' must be a string, not 5"),
        ("keys", json!([]), ""),
        ("wait", json!({}), "'wait.until' is required by some_tool: one of idle, match"),
        ("env", json!({"A": []}), "'env.A' must be a string, not an array"),
    ] {
        if message.is_empty() {
            check(field, &given, field, &given);
        } else {
            assert_eq!(refused(field, &given).message, message);
        }
    }
    assert_eq!(refused("keys", &json!(["a", "b", "c", "d"])).message, "'keys' takes 0 to 3 items, not 4");
    let message = refused("command", &json!("x".repeat(2_000))).message;
    assert_eq!(message, "'command' takes at most 1000 bytes, not 2000");
    let message = refused("rows", &json!("x".repeat(2_000))).message;
    assert!(message.len() < 160, "{message}");
}

#[test]
fn durations_and_sizes_out_of_bounds_are_refused() {
    for given in [json!(-1), json!("-5s"), json!("8d"), json!("soon"), json!(0.5), json!(true), json!(1e300)]
    {
        assert!(refused("timeout", &given).message.starts_with("'timeout' must be milliseconds"));
    }
    for given in [json!("lots"), json!(-1), json!("99999999999999999999t"), json!([])] {
        assert!(refused("maxMemory", &given).message.contains("a size like"));
    }
    for given in [json!([256]), json!("none"), json!([[]]), json!({})] {
        assert!(refused("okExitCodes", &given).message.contains("exit codes"));
    }
}

#[test]
fn without_arguments_what_is_required_is_missed() {
    let error = read(&Value::Null).unwrap_err();
    assert_eq!(error.message, "'sessionId' is required by some_tool: a string");
}

#[test]
fn a_list_or_an_object_may_be_sent_as_json_in_a_string() {
    let jobs = json!([{"id": "a", "command": "x"}, {"command": "y"}]);
    check("jobs", &json!(r#" [{"id": "a", "command": "x"}, "y"]"#), "jobs", &jobs);
    check("jobs", &json!(r#"{"command": "x"}"#), "jobs", &json!([{"command": "x"}]));
    check("jobs", &json!([r#"{"command": "x"}"#]), "jobs", &json!([{"command": "x"}]));
    check("keys", &json!(r#"["a", "b"]"#), "keys", &json!(["a", "b"]));
    check("okExitCodes", &json!("[0, 1]"), "okExitCodes", &json!([0, 1]));
    check("env", &json!(r#"{"A": 1}"#), "env", &json!({"A": "1"}));
    check("wait", &json!(r#"{"until": "idle"}"#), "wait", &json!({"until": "idle"}));
    // What is text stays text.
    check("jobs", &json!("make"), "jobs", &json!([{"command": "make"}]));
    check(
        "jobs",
        &json!(["[ -f x ]", "{ a; }"]),
        "jobs",
        &json!([{"command": "[ -f x ]"}, {"command": "{ a; }"}]),
    );
    check("keys", &json!("["), "keys", &json!(["["]));
    check("command", &json!(r#"["a"]"#), "command", &json!(r#"["a"]"#));
}

#[test]
fn a_broken_list_of_objects_is_not_taken_for_one_item() {
    for given in [r#"[{"id": "a", "command": "x"}"#, r#"{"command": "x","#, "[ -f x ]"] {
        let message = refused("jobs", &json!(given)).message;
        assert!(message.starts_with("'jobs' is a string that begins like JSON and is none"), "{message}");
    }
}
