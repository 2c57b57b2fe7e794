//! Bounds on commands' process trees, watched by the server.

use serde_json::json;

use crate::support::Client;

#[test]
fn a_command_that_takes_too_much_memory_is_stopped() {
    let mut client = Client::start();
    let session = client.clean("/bin/bash");
    // `tail` keeps all of it, until the sleep ends.
    let hoard = "{ head -c 200m /dev/zero; sleep 300; } | tail -c 200m >/dev/null";
    let outcome = client.call(
        "command_execute",
        json!({
            "sessionId": session, "command": hoard, "resourceLimits": {"maxMemory": "80m"}, "wait": "50s",
        }),
    );
    assert!(outcome.is_error, "{outcome:?}");
    assert_eq!(outcome.structured["reason"], "memory_limit", "{outcome:?}");
    assert!(outcome.text.contains("memory limit"), "{outcome:?}");
    assert_eq!(client.run(&session, "echo alive").output(), "alive\n");
    let fine = client.call("command_execute", json!({
        "sessionId": session, "command": "true", "resourceLimits": {"maxMemory": "80m", "maxCpuTime": "10s"},
    }));
    assert_eq!(fine.exit(), Some(0));
}

#[test]
fn a_command_that_takes_too_much_cpu_time_is_stopped() {
    let mut client = Client::start();
    let session = client.clean("/bin/bash");
    for busy in ["sh -c 'while :; do :; done'", "while :; do :; done"] {
        let outcome = client.call(
            "command_execute",
            json!({
                "sessionId": session, "command": busy, "resourceLimits": {"maxCpuTime": 600}, "wait": "50s",
            }),
        );
        assert!(outcome.is_error, "{busy}: {outcome:?}");
        assert_eq!(outcome.structured["reason"], "cpu_limit", "{busy}: {outcome:?}");
        assert_eq!(client.run(&session, "echo alive").output(), "alive\n", "{busy}");
    }
}
