//! Commands over time: queues, timeouts, waits, batches, broadcasts, signals.

use serde_json::{Value, json};

use crate::support::{Client, Flag, Scratch, until};

fn bash() -> (Client, String) {
    let mut client = Client::start();
    let session = client.clean("/bin/bash");
    (client, session)
}

#[test]
fn commands_wait_their_turn_in_order() {
    let scratch = Scratch::new("queue");
    let (mut client, session) = bash();
    let flag = Flag::in_(&scratch);
    let log = scratch.path().join("log");
    let first = client.start_command(&session, &flag.awaited());
    let mut ids = vec![first.clone()];
    for n in 1..=8 {
        ids.push(client.start_command(&session, &format!("echo {n} >> '{}'", log.display())));
    }
    let second = client.ok("command_status", json!({"commandId": ids[1]}));
    assert_eq!((&second["queued"], second.get("running")), (&json!(true), None), "{second}");
    let shown = client.status(&session);
    assert_eq!((&shown["queued"], &shown["status"]), (&json!(8), &json!("active")), "{shown}");
    assert_eq!(shown["lastCommand"]["commandId"], first.as_str(), "{shown}");
    flag.raise();
    let all = client.ok("command_status", json!({"commandIds": ids, "wait": "50s"}));
    let results = all["results"].as_array().expect("results");
    assert!(results.iter().all(|result| result["success"] == true), "{all}");
    let written = std::fs::read_to_string(log).expect("the commands wrote");
    assert_eq!(written, (1..=8).map(|n| format!("{n}\n")).collect::<String>());
}

#[test]
fn a_busy_session_refuses_or_interrupts_as_told() {
    let (mut client, session) = bash();
    let running = client.start_command(&session, "sleep 300");
    client.until_shown(&session, "the sleep runs", |shown| shown["foreground"]["name"] == "sleep");
    let with = |policy: &str| json!({"sessionId": session, "command": "echo over", "whenBusy": policy});
    let refused = client.call("command_execute", with("error"));
    assert_eq!(refused.code(), "session_busy", "{refused:?}");
    assert_eq!(refused.error()["retryable"], true);
    let outcome = client.call("command_execute", with("interrupt"));
    assert_eq!((outcome.exit(), outcome.output()), (Some(0), "over\n"), "{outcome:?}");
    assert_eq!(client.ended(&running).exit(), Some(130));
}

#[test]
fn a_command_left_at_its_timeout_runs_on() {
    let scratch = Scratch::new("leave");
    let (mut client, session) = bash();
    let flag = Flag::in_(&scratch);
    let command = format!("echo early; {}; echo late", flag.awaited());
    let outcome = client.call(
        "command_execute",
        json!({"sessionId": session, "command": command, "timeout": 300, "okExitCodes": "any"}),
    );
    let error = outcome.error();
    assert_eq!((&error["code"], error.get("retryable")), (&json!("timeout"), None), "it runs on: {error}");
    let details = &error["details"];
    assert_eq!((&details["running"], &details["output"]), (&json!(true), &json!("early\n")), "{error}");
    assert!(error["hint"].as_str().expect("a hint").contains("command_status"), "{error}");
    assert_eq!(client.status(&session)["status"], "timeout");
    let id = details["commandId"].as_str().expect("an id").to_owned();
    let status = client.ok("command_status", json!({"commandId": id}));
    assert_eq!((&status["running"], &status["timedOut"]), (&json!(true), &json!(true)), "{status}");
    flag.raise();
    let ended = client.ended(&id);
    assert_eq!((ended.exit(), ended.output()), (Some(0), "early\nlate\n"), "{ended:?}");
    client.until_status(&session, "idle");
    assert_eq!(client.run(&session, "echo next").output(), "next\n");
}

#[test]
fn a_timeout_interrupts_or_kills_as_told() {
    let (mut client, session) = bash();
    for (policy, code, signal) in [("interrupt", 130, "SIGINT"), ("kill", 137, "SIGKILL")] {
        let outcome = client.call("command_execute", json!({
            "sessionId": session, "command": "echo begun; sleep 300; echo over", "timeout": 300, "onTimeout": policy,
        }));
        assert!(outcome.is_error, "{policy}: {outcome:?}");
        let result = &outcome.structured;
        assert_eq!(result["reason"], "timeout", "{policy}: {outcome:?}");
        assert_eq!(outcome.text.lines().next().map(|line| line.starts_with("command stopped")), Some(true));
        assert!(outcome.output().starts_with("begun\n"), "{policy}: {outcome:?}");
        // A killed sleep lets a shell go on with what comes next.
        if policy == "interrupt" {
            assert_eq!(
                (outcome.exit(), &result["signal"]),
                (Some(code), &json!(signal)),
                "{policy}: {outcome:?}"
            );
        }
        client.until_status(&session, "idle");
        assert_eq!(client.run(&session, "echo next").output(), "next\n", "{policy}");
    }
}

/// SIGINT, five seconds, SIGKILL.
#[test]
fn the_ladder_ends_what_ignores_signals() {
    let (mut client, session) = bash();
    let outcome = client.call(
        "command_execute",
        json!({
            "sessionId": session, "command": "sh -c 'trap \"\" INT TERM HUP; while :; do sleep 0.1; done'",
            "timeout": 3_000, "onTimeout": "interrupt", "wait": "50s",
        }),
    );
    assert_eq!(
        (outcome.exit(), &outcome.structured["reason"]),
        (Some(137), &json!("timeout")),
        "{outcome:?}"
    );
    let took = outcome.structured["durationMs"].as_u64().expect("it has ended");
    assert!((5_000..45_000).contains(&took), "{took} ms");
    assert_eq!(client.run(&session, "echo next").output(), "next\n");
}

#[test]
fn a_short_wait_is_answered_and_reading_on_gives_every_line_once() {
    let scratch = Scratch::new("pages");
    let (mut client, session) = bash();
    let flag = Flag::in_(&scratch);
    let numbers = |from: u32, to: u32| format!("for i in $(seq {from} {to}); do echo \"line $i\"; done");
    let command = format!("{}; {}; {}", numbers(1, 400), flag.awaited(), numbers(401, 2_000));
    let first =
        client.call("command_execute", json!({"sessionId": session, "command": command, "wait": 400}));
    assert!(!first.is_error, "{first:?}");
    assert_eq!((&first.structured["running"], first.exit()), (&json!(true), None), "{first:?}");
    let id = first.command();
    let mut text = first.output().to_owned();
    let mut cursor = first.structured["cursor"].as_u64().expect("a cursor");
    let mut waiting = true;
    loop {
        let page = client.ok("command_status", json!({"commandId": id, "since": cursor, "wait": 100}));
        text.push_str(page["output"].as_str().expect("output"));
        if page["running"] == true || page["truncated"] == true {
            cursor = page["cursor"].as_u64().expect("a cursor");
        } else {
            break;
        }
        if waiting && text.contains("line 400\n") {
            flag.raise();
            waiting = false;
        }
    }
    let wanted: String = (1..=2_000).map(|n| format!("line {n}\n")).collect();
    assert_eq!(text, wanted);
}

#[test]
fn success_is_what_the_caller_says() {
    let (mut client, session) = bash();
    let with =
        |codes: Value| json!({"sessionId": session, "command": "sh -c 'exit 3'", "okExitCodes": codes});
    for (codes, success) in
        [(json!([0, 3]), true), (json!("any"), true), (json!([0]), false), (json!([]), false)]
    {
        let outcome = client.call("command_execute", with(codes.clone()));
        assert_eq!(outcome.exit(), Some(3), "{codes}");
        assert_eq!(
            (outcome.is_error, &outcome.structured["success"]),
            (!success, &json!(success)),
            "{codes}"
        );
    }
}

#[test]
fn a_failing_command_is_tried_again() {
    let scratch = Scratch::new("retries");
    let (mut client, session) = bash();
    let attempts = |name: &str, enough: u32| {
        let log = scratch.path().join(name).display().to_string();
        (format!("echo x >> '{log}'; echo try; test $(wc -l < '{log}') -ge {enough}"), log)
    };
    let (command, log) = attempts("third", 3);
    let retries = json!({"max": 5, "delay": 10, "backoff": 1});
    let outcome =
        client.call("command_execute", json!({"sessionId": session, "command": command, "retries": retries}));
    assert_eq!((outcome.exit(), &outcome.structured["attempt"]), (Some(0), &json!(3)), "{outcome:?}");
    assert_eq!(std::fs::read_to_string(log).expect("the log").lines().count(), 3);

    let (command, log) = attempts("never", 100);
    let retries = json!({"max": 1, "delay": 10});
    let outcome =
        client.call("command_execute", json!({"sessionId": session, "command": command, "retries": retries}));
    assert_eq!((outcome.exit(), &outcome.structured["attempt"]), (Some(1), &json!(2)), "{outcome:?}");
    assert_eq!(std::fs::read_to_string(log).expect("the log").lines().count(), 2);
}

#[test]
fn a_command_that_waits_for_its_next_try_can_be_stopped() {
    let (mut client, session) = bash();
    for (tool, how) in [
        ("command_signal", json!({"sessionId": session, "signal": "INT"})),
        ("command_signal", json!({"sessionId": session, "signal": "KILL"})),
        ("session_input", json!({"sessionId": session, "keys": ["ctrl-c"]})),
    ] {
        let retries = json!({"max": 5, "delay": 60_000});
        let started = client.ok(
            "command_execute",
            json!({"sessionId": session, "command": "false", "retries": retries, "background": true}),
        );
        let id = started["commandId"].as_str().expect("an id").to_owned();
        let failed = format!("command {id} failed");
        crate::support::until("it waits for its next try", || {
            client.ok("session_logs", json!({"sessionId": session})).to_string().contains(&failed)
        });
        let nudged = client.call("command_signal", json!({"sessionId": session, "signal": "WINCH"}));
        assert_eq!(nudged.code(), "command_not_running", "{nudged:?}");
        let told = client.ok(tool, how);
        assert!(
            tool != "command_signal" || told["target"] == format!("command {id}, which is not tried again")
        );
        let ended = client.ended(&id);
        assert_eq!((ended.exit(), ended.structured.get("attempt")), (Some(1), None), "{ended:?}");
        client.until_status(&session, "idle");
    }
}

#[test]
fn a_batch_stops_on_errors_if_told() {
    let scratch = Scratch::new("batch");
    let (mut client, session) = bash();
    let touched = scratch.path().join("touched");
    let commands = json!(["echo one", "sh -c 'exit 4'", format!("touch '{}'", touched.display())]);
    let outcome = client
        .call("command_batch", json!({"sessionId": session, "commands": commands, "stopOnError": true}));
    assert!(outcome.is_error, "{outcome:?}");
    let batch = &outcome.structured;
    assert_eq!((&batch["completed"], &batch["failedAt"]), (&json!(1), &json!(1)), "{batch}");
    let codes: Vec<&Value> =
        batch["results"].as_array().expect("results").iter().map(|r| &r["exitCode"]).collect();
    assert_eq!(codes, [&json!(0), &json!(4), &Value::Null], "{batch}");
    assert_eq!(batch["results"][2]["reason"], "cancelled", "{batch}");
    assert!(!touched.exists());

    let outcome = client.call("command_batch", json!({"sessionId": session, "commands": commands}));
    assert_eq!((&outcome.structured["completed"], &outcome.structured["failedAt"]), (&json!(2), &json!(1)));
    assert!(touched.exists());
    let fine = client.ok("command_batch", json!({"sessionId": session, "commands": ["cd /usr", "pwd"]}));
    assert_eq!((&fine["completed"], &fine["results"][1]["output"]), (&json!(2), &json!("/usr\n")), "{fine}");
}

#[test]
fn a_batch_tells_of_the_end_of_what_outlived_its_timeout() {
    let scratch = Scratch::new("batch-late");
    let (mut client, session) = bash();
    let flag = Flag::in_(&scratch);
    let commands = json!([format!("{}; (exit 3)", flag.awaited()), "echo over"]);
    let batch = client
        .send_call("command_batch", json!({"sessionId": session, "timeout": 100, "commands": commands}));
    client.until_status(&session, "timeout");
    flag.raise();
    let batch = client.outcome(batch).structured;
    assert_eq!((&batch["results"][0]["exitCode"], &batch["failedAt"]), (&json!(3), &json!(0)), "{batch}");
    assert!(batch["results"][0].get("running").is_none(), "{batch}");
}

#[test]
fn who_waits_behind_a_question_is_told_of_it_and_who_answers_of_the_end() {
    let (mut client, session) = bash();
    let asks = client.start_command(&session, "sh -c 'read -r answer; exit 7'");
    let behind = client.start_command(&session, "echo next");
    until("the question is told of", || {
        let waits = client.ok("command_status", json!({"commandId": behind}));
        let shown = &waits["behind"];
        assert_eq!(
            (&shown["commandId"], &shown["command"]),
            (&json!(asks), &json!("sh -c 'read -r answer; exit 7'"))
        );
        shown["awaitingInput"] == true
    });
    let typed = json!({"sessionId": session, "text": "yes", "enter": true, "wait": {"until": "exit", "timeout": "50s"}});
    let answered = client.ok("session_input", typed);
    assert_eq!((&answered["commandId"], &answered["exitCode"]), (&json!(asks), &json!(7)), "{answered}");
    assert!(answered.get("awaitingInput").is_none(), "{answered}");
    let next = client.ok("command_status", json!({"commandId": behind, "wait": "50s"}));
    assert_eq!((&next["output"], next.get("behind")), (&json!("next\n"), None), "{next}");
}

#[test]
fn no_time_is_no_timeout() {
    let (mut client, session) = bash();
    for (tool, given) in [
        ("command_execute", json!({"sessionId": session, "command": "echo run", "timeout": 0})),
        ("command_batch", json!({"sessionId": session, "commands": ["echo run"], "timeout": 0})),
        ("command_broadcast", json!({"sessions": [session], "command": "echo run", "timeout": 0})),
    ] {
        let refused = client.call(tool, given);
        assert_eq!(
            (refused.code().as_str(), refused.text.contains("'timeout' is 0")),
            ("invalid_argument", true),
            "{refused:?}"
        );
    }
    assert!(client.status(&session).get("lastCommand").is_none(), "nothing was run");
}

#[test]
fn what_is_exported_again_after_a_reset_is_kept() {
    for (name, path) in crate::support::shells() {
        let mut client = Client::start();
        let session = client.clean(&path);
        client.run(&session, "export KEEP=1");
        client.ok("session_reset", json!({"sessionId": session}));
        assert_eq!(client.run(&session, "export KEEP=1; echo $KEEP").output(), "1\n", "{name}");
        until("it is noted", || {
            let snapshot = client.ok("session_snapshot", json!({"sessionId": session}));
            snapshot["state"]["env"]["KEEP"] == "1"
        });
        let heir = client.ok("session_clone", json!({"sessionId": session}));
        let heir = heir["sessionId"].as_str().expect("an id").to_owned();
        assert_eq!(client.run(&heir, "echo kept $KEEP").output(), "kept 1\n", "{name}");
    }
}

#[test]
fn a_broadcast_reaches_whom_it_names() {
    let mut client = Client::start();
    let mut new = |name: &str, capabilities: Value, metadata: Value| {
        client.session(json!({
            "name": name, "shell": "bash", "profile": "clean", "capabilities": capabilities, "metadata": metadata,
        }))
    };
    let first = new("herd-1", json!(["rust"]), json!({"team": {"name": "core"}}));
    let second = new("herd-2", json!([]), json!({}));
    let other = new("other", json!(["rust", "node"]), json!({"team": {"name": "web"}}));
    let mut reached = |sessions: Value| {
        let outcome = client
            .call("command_broadcast", json!({"sessions": sessions, "command": "echo here", "wait": "50s"}));
        assert!(!outcome.is_error, "{sessions}: {outcome:?}");
        let results = outcome.structured["results"].as_array().expect("results").clone();
        assert!(results.iter().all(|result| result["output"] == "here\n"), "{outcome:?}");
        let mut ids: Vec<String> =
            results.iter().map(|result| result["sessionId"].as_str().expect("an id").to_owned()).collect();
        ids.sort();
        ids
    };
    let set = |ids: &[&String]| {
        let mut ids: Vec<String> = ids.iter().map(|id| (*id).clone()).collect();
        ids.sort();
        ids
    };
    assert_eq!(reached(json!(["herd-*"])), set(&[&first, &second]));
    assert_eq!(reached(json!([{"capability": "rust"}])), set(&[&first, &other]));
    assert_eq!(reached(json!([{"metadata": {"team.name": "core"}}])), set(&[&first]));
    assert_eq!(reached(json!([first, "herd-*", {"capability": "node"}])), set(&[&first, &second, &other]));
    assert_eq!(reached(json!(["other"])), set(&[&other]));
    let nobody = client.call("command_broadcast", json!({"sessions": ["nobody-here"], "command": "true"}));
    assert_eq!(nobody.code(), "session_not_found");
    let failing = client.call("command_broadcast", json!({"sessions": ["herd-*"], "command": "false"}));
    assert!(failing.is_error && failing.structured["results"][0]["exitCode"] == 1, "{failing:?}");
}

#[test]
fn signals_go_to_the_foreground_job_under_any_of_their_names() {
    let (mut client, session) = bash();
    let pid = client.status(&session)["pid"].clone();
    let cases = [
        (json!("SIGINT"), 130, "SIGINT"),
        (json!("KILL"), 137, "SIGKILL"),
        (json!("ctrl-c"), 130, "SIGINT"),
        (json!(2), 130, "SIGINT"),
        (json!("term"), 143, "SIGTERM"),
    ];
    for (signal, code, name) in cases {
        let id = client.start_command(&session, "sleep 300");
        client.until_shown(&session, "the sleep runs", |shown| shown["foreground"]["name"] == "sleep");
        let delivery = client.ok("command_signal", json!({"sessionId": session, "signal": signal}));
        assert_eq!((&delivery["delivered"], &delivery["signal"]), (&json!(true), &json!(name)), "{delivery}");
        let ended = client.ended(&id);
        assert_eq!((ended.exit(), &ended.structured["signal"]), (Some(code), &json!(name)), "{signal}");
    }
    client.until_status(&session, "idle");
    let nothing = client.call("command_signal", json!({"sessionId": session, "signal": "KILL"}));
    assert_eq!(nothing.code(), "command_not_running", "{nothing:?}");
    let unknown = client.call("command_signal", json!({"sessionId": session, "signal": "SIGNOPE"}));
    assert_eq!(unknown.code(), "invalid_argument", "{unknown:?}");
    assert_eq!(client.status(&session)["pid"], pid, "the shell lives");
}

#[test]
fn a_cancelled_call_ends_and_its_command_goes_on() {
    let scratch = Scratch::new("cancel");
    let (mut client, session) = bash();
    let flag = Flag::in_(&scratch);
    let command = format!("{}; echo finished", flag.awaited());
    let call = client.send_call("command_execute", json!({"sessionId": session, "command": command}));
    client.until_status(&session, "active");
    client.notify("notifications/cancelled", json!({"requestId": call, "reason": "enough"}));
    let last = client.status(&session)["lastCommand"].clone();
    assert_eq!(last["running"], true, "{last}");
    flag.raise();
    let ended = client.ended(last["commandId"].as_str().expect("an id"));
    assert_eq!(ended.output(), "finished\n");
    assert!(!client.has_come(|message| message["id"] == call), "a cancelled call is not answered");
}

#[test]
fn a_waiting_call_reports_progress() {
    let scratch = Scratch::new("progress");
    let (mut client, session) = bash();
    let flag = Flag::in_(&scratch);
    let command = format!("echo step one; {}", flag.awaited());
    let call = client.send(
        "tools/call",
        json!({
            "name": "command_execute", "arguments": {"sessionId": session, "command": command},
            "_meta": {"progressToken": "token-7"},
        }),
    );
    let progress = client.message("progress", |message| message["method"] == "notifications/progress");
    assert_eq!(progress["params"]["progressToken"], "token-7", "{progress}");
    assert_eq!(progress["params"]["message"], "step one", "{progress}");
    assert!(progress["params"]["progress"].as_f64().is_some_and(|progress| progress > 0.0), "{progress}");
    flag.raise();
    assert_eq!(client.outcome(call).exit(), Some(0));
}

#[test]
fn sessions_work_at_the_same_time() {
    let mut client = Client::start();
    let sessions: Vec<String> = (0..4).map(|_| client.clean("/bin/bash")).collect();
    let command = "date +%s%N; sleep 1; date +%s%N";
    let calls: Vec<u64> = sessions
        .iter()
        .map(|session| client.send_call("command_execute", json!({"sessionId": session, "command": command})))
        .collect();
    let mut spans = Vec::new();
    for call in calls {
        let outcome = client.outcome(call);
        let times: Vec<u128> = outcome.output().lines().map(|line| line.parse().expect("a time")).collect();
        spans.push((times[0], times[1]));
    }
    let last_start = spans.iter().map(|span| span.0).max().expect("spans");
    let first_end = spans.iter().map(|span| span.1).min().expect("spans");
    assert!(last_start < first_end, "they did not overlap: {spans:?}");
}

#[test]
fn a_blocked_call_delays_no_other() {
    let scratch = Scratch::new("blocked");
    let mut client = Client::start();
    let (blocked, free) = (client.clean("/bin/bash"), client.clean("/bin/bash"));
    let flag = Flag::in_(&scratch);
    let waits: Vec<u64> = (0..20)
        .map(|_| {
            client.send_call("command_execute", json!({"sessionId": blocked, "command": flag.awaited()}))
        })
        .collect();
    let reads = client.send_call(
        "session_output",
        json!({"sessionId": blocked, "wait": {"until": "match", "pattern": "^never", "timeout": "50s"}}),
    );
    assert_eq!(client.run(&free, "echo free").output(), "free\n");
    assert!(!client.has_come(|message| waits.iter().any(|id| message["id"] == *id)), "they still wait");
    flag.raise();
    for wait in waits {
        assert_eq!(client.outcome(wait).exit(), Some(0));
    }
    client.notify("notifications/cancelled", json!({"requestId": reads}));
}

#[test]
fn a_wait_without_a_bound_of_its_own_ends_with_the_command() {
    let scratch = Scratch::new("follow");
    let (mut client, session) = bash();
    let flag = Flag::in_(&scratch);
    let id = client.start_command(&session, &format!("{}; sh -c 'exit 6'", flag.awaited()));
    let waits: Vec<u64> =
        (0..3).map(|_| client.send_call("command_status", json!({"commandId": id, "wait": "50s"}))).collect();
    until("the command runs", || client.status(&session)["status"] == "active");
    flag.raise();
    for wait in waits {
        let outcome = client.outcome(wait);
        assert_eq!((outcome.exit(), outcome.is_error), (Some(6), true), "{outcome:?}");
    }
}

/// What a caller waits for may have been printed before it asks, and the echo of the command is not it.
#[test]
fn a_match_is_found_in_the_commands_own_output() {
    let mut client = Client::start();
    let session = client.clean("/bin/bash");
    let command = client.start_command(&session, "echo rea''dy; sleep 300");
    let wait = json!({"until": "match", "pattern": "ready", "timeout": "50s"});
    for arguments in [
        json!({"sessionId": session, "commandId": command, "wait": wait}),
        json!({"sessionId": session, "wait": wait}),
    ] {
        let read = client.ok("session_output", arguments);
        assert!(read["output"].as_str().expect("output").contains("ready\n"), "{read}");
        assert_eq!(read.get("timedOut"), None, "{read}");
    }
}
