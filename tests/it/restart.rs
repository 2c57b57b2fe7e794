//! What outlives `kill -9`: everything that was acknowledged. And servers that share a state directory.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Client, Scratch, marker, processes_with, until};

fn kill(mut client: Client) {
    client.signal(Signal::KILL);
    client.until_exit();
}

#[test]
fn a_killed_server_is_remembered_by_the_next() {
    let state = Scratch::new("restart");
    let mut client = Client::start_in(state.path());
    let session =
        client.session(json!({"name": "before", "shell": "bash", "profile": "clean", "metadata": {"a": 1}}));
    let command = "printf 'bytes: \\033[31mred\\033[0m \\377 end\\r\\nno newline'; sh -c 'exit 7'";
    let finished = client.run(&session, command);
    let many = client.run(&session, "seq 1 5000");
    let of = |id: &str, mode: &str| json!({"sessionId": session, "commandId": id, "mode": mode});
    let raw = client.ok("session_output", of(&finished.command(), "raw"));
    let page = client.ok("session_output", of(&many.command(), "text"));
    let mark = marker();
    let running = client.start_command(&session, &format!("echo still at it; sleep {mark}"));
    let queued = client.start_command(&session, "echo never");
    until("it printed", || {
        client.call("command_status", json!({"commandId": running})).output() == "still at it\n"
    });
    until("the sleep runs", || !processes_with(&mark).is_empty());
    kill(client);

    let mut client = Client::start_in(state.path());
    let listed = client.ok("session_list", json!({}));
    assert_eq!(listed["total"], 1, "{listed}");
    assert_eq!(
        (&listed["sessions"][0]["sessionId"], &listed["sessions"][0]["status"]),
        (&json!(session), &json!("terminated"))
    );
    let shown = client.status(&session);
    assert_eq!(
        (&shown["endReason"], &shown["metadata"]),
        (&json!("server_restart"), &json!({"a": 1})),
        "{shown}"
    );
    let again = client.call("command_status", json!({"commandId": finished.command()}));
    assert_eq!((again.exit(), again.output()), (Some(7), finished.output()), "{again:?}");
    assert_eq!(client.ok("session_output", of(&finished.command(), "raw")), raw);
    assert_eq!(client.ok("session_output", of(&many.command(), "text")), page);
    let lost = client.ended(&running);
    assert_eq!(lost.structured["reason"], "server_restart", "{lost:?}");
    let printed = client.ok("session_output", json!({"sessionId": session}));
    assert!(printed["output"].as_str().expect("output").ends_with("still at it\n"), "{printed}");
    let never = client.ended(&queued);
    assert_eq!((&never.structured["reason"], never.exit()), (&json!("server_restart"), None), "{never:?}");
    until("the sleep is gone", || processes_with(&mark).is_empty());
    let refused = client.call("command_execute", json!({"sessionId": session, "command": "true"}));
    assert_eq!(refused.code(), "session_closed", "{refused:?}");
    let log = client.ok("session_logs", json!({"sessionId": session}));
    assert!(log["logs"].as_str().expect("logs").contains("still at it"), "{log}");
    // The name is free for a new one, which is what it means from now on.
    let fresh = client.session(json!({"name": "before", "profile": "clean"}));
    assert_eq!(client.status("before")["sessionId"], fresh.as_str());
}

/// A command that ran when the server died did print something.
#[test]
fn what_a_lost_command_had_printed_is_its_output() {
    let state = Scratch::new("printed");
    let mut client = Client::start_in(state.path());
    let session = client.clean("/bin/bash");
    let running = client.start_command(&session, "echo so far; sleep 300");
    until("it printed", || {
        client.call("command_status", json!({"commandId": running})).output() == "so far\n"
    });
    kill(client);
    let mut client = Client::start_in(state.path());
    assert_eq!(client.ended(&running).output(), "so far\n");
}

/// Whatever moment the server dies at: what it had answered is there.
#[test]
fn no_acknowledged_command_is_lost_at_any_moment() {
    let state = Scratch::new("moments");
    for round in 0..5_u64 {
        let mut client = Client::start_in(state.path());
        let session = client.clean("/bin/bash");
        let calls: Vec<u64> = (0..60)
            .map(|n| {
                let call = json!({"sessionId": session, "command": format!("echo {n}"), "background": true});
                client.send_call("command_execute", call)
            })
            .collect();
        let answered = client.outcome(calls[usize::try_from(round).expect("small") * 10]).command();
        std::thread::sleep(Duration::from_millis(round * 7));
        client.signal(Signal::KILL);
        client.until_exit();
        let mut acknowledged = vec![answered];
        for call in calls {
            if client.has_come(|message| message["id"] == call) {
                acknowledged.push(client.outcome(call).command());
            }
        }
        drop(client);
        let mut client = Client::start_in(state.path());
        for id in &acknowledged {
            let command = client.call("command_status", json!({"commandId": id})).structured;
            let ended_well =
                command["exitCode"] == 0 && command["output"].as_str().is_some_and(|o| o.ends_with('\n'));
            assert!(ended_well || command["reason"] == "server_restart", "round {round}: {command}");
        }
        assert_eq!(client.status(&session)["status"], "terminated", "round {round}");
        println!("round {round}: {} acknowledged, all there", acknowledged.len());
    }
}

#[test]
fn an_orderly_end_is_remembered_too() {
    let state = Scratch::new("orderly");
    let mut client = Client::start_in(state.path());
    let session = client.clean("/bin/bash");
    let finished = client.run(&session, "echo kept");
    let closed = client.clean("/bin/bash");
    client.ok("session_close", json!({"sessionId": closed, "reason": "no need"}));
    client.hang_up();
    client.until_exit();
    let mut client = Client::start_in(state.path());
    assert_eq!(client.status(&session)["status"], "terminated");
    assert_eq!(client.ended(&finished.command()).output(), "kept\n");
    let shown = client.status(&closed);
    assert_eq!((&shown["status"], &shown["endReason"]), (&json!("terminated"), &json!("no need")), "{shown}");
}

/// Every client starts a server of its own; they share a state directory and nothing else.
#[test]
fn two_servers_share_a_state_directory() {
    let state = Scratch::new("shared");
    let mut first = Client::start_in(state.path());
    let of_first = first.session(json!({"name": "of the first", "profile": "clean"}));
    let mut second = Client::start_in(state.path());
    let of_second = second.session(json!({"name": "of the second", "profile": "clean"}));
    let names = |client: &mut Client| -> Vec<Value> {
        let listed = client.ok("session_list", json!({"status": ["idle", "active"]}));
        listed["sessions"]
            .as_array()
            .expect("sessions")
            .iter()
            .map(|session| session["name"].clone())
            .collect()
    };
    assert_eq!(names(&mut first), ["of the first"]);
    assert_eq!(names(&mut second), ["of the second"]);
    let calls: Vec<u64> = (0..50)
        .map(|n| {
            first.send_call(
                "command_execute",
                json!({"sessionId": of_first, "command": format!("echo a{n}")}),
            );
            second.send_call(
                "command_execute",
                json!({"sessionId": of_second, "command": format!("echo b{n}")}),
            )
        })
        .collect();
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(second.outcome(call).output(), format!("b{n}\n"));
    }
    let mark = marker();
    second.run(&of_second, &format!("nohup sleep {mark} >/dev/null 2>&1 &"));
    until("the sleep runs", || !processes_with(&mark).is_empty());
    kill(first);
    // The third takes over what the first left, and leaves the second alone.
    let mut third = Client::start_in(state.path());
    assert_eq!(third.status(&of_first)["status"], "terminated");
    assert_eq!(names(&mut third), Vec::<Value>::new());
    assert_eq!(second.run(&of_second, "echo alive").output(), "alive\n");
    assert_eq!(second.status(&of_second)["status"], "idle");
    assert!(!processes_with(&mark).is_empty(), "the guard of one server ended what another runs");
    second.hang_up();
    second.until_exit();
    until("the sleep is gone", || processes_with(&mark).is_empty());
}

/// The output of ended sessions takes no more than its share of the disk, also while the server runs.
#[test]
fn old_output_goes_when_a_session_ends_and_what_is_live_stays() {
    let state = Scratch::new("sweep");
    let mut client = Client::start_in(state.path());
    let mut other = Client::start_in(state.path());
    let grow = |session: &str| {
        let logs = std::fs::read_dir(state.path().join("logs").join(session)).expect("it has printed");
        let log = logs.flatten().next().expect("a log").path();
        // Without data it takes no place, and counts all the same.
        let file = std::fs::File::options().write(true).open(&log).expect("the log is a file");
        file.set_len(5 << 30).expect("it grows");
        log
    };
    let printed = |client: &mut Client| {
        let session = client.clean("/bin/bash");
        client.run(&session, "echo printed");
        session
    };
    let (old, live, elsewhere) = (printed(&mut client), printed(&mut client), printed(&mut other));
    let (old_log, live_log, elsewhere_log) = (grow(&old), grow(&live), grow(&elsewhere));
    let close = |session: &str| json!({"sessionId": session, "mode": "force"});
    let latest = printed(&mut other);
    client.ok("session_close", close(&old));
    other.ok("session_close", close(&latest));
    until("the old output is gone", || !old_log.exists());
    assert!(live_log.exists() && elsewhere_log.exists());
    assert_eq!(client.run(&live, "echo still there").output(), "still there\n");
    let kept = other.ok("session_output", json!({"sessionId": latest}));
    assert!(kept["output"].as_str().is_some_and(|text| text.contains("printed")), "{kept}");
    // Its record tells what it was.
    assert_eq!(client.status(&old)["status"], "terminated");
}

/// Where tasks stand, each with its reason.
fn standing(client: &mut Client, run: &str) -> Vec<(Value, Value, Value)> {
    let shown = client.ok("task_status", json!({"runId": run}));
    let tasks = shown["tasks"].as_array().expect("tasks").iter();
    tasks.map(|task| (task["id"].clone(), task["status"].clone(), task["reason"].clone())).collect()
}

/// Ends a server in the middle of a run, and works the rest off with the next one.
fn check_run_over_end(how: &str, resumable: bool, end: impl Fn(&mut Client)) {
    let state = Scratch::new("run-over-end");
    let mark = marker();
    let mut client = Client::start_in(state.path());
    let release = state.path().join("release");
    let first = format!("test -e {} || sleep {mark}", release.display());
    let tasks = json!([
        {"id": "one", "command": first},
        {"id": "two", "command": "true", "dependencies": ["one"]},
        {"id": "three", "command": "true"},
        {"id": "anyway", "command": "true", "dependencies": [{"id": "one", "condition": "always"}]},
    ]);
    let arguments = json!({"tasks": tasks, "resumable": resumable, "maxConcurrent": 1});
    let run = client.ok("task_distribute", arguments)["runId"].as_str().expect("a run").to_owned();
    until("the first task runs", || !processes_with(&mark).is_empty());
    // Somebody who waits does not hold the end up.
    client.send_call("task_status", json!({"runId": run, "wait": "1h"}));
    end(&mut client);
    client.until_exit();
    until("the task is gone", || processes_with(&mark).is_empty());
    std::fs::write(&release, "").expect("the file can be written");

    let mut client = Client::start_in(state.path());
    let told = |name: &str, status: &str, reason: Option<&str>| (json!(name), json!(status), json!(reason));
    let (one, two) = if resumable {
        (told("one", "queued", None), told("two", "queued", None))
    } else {
        (told("one", "failed", Some("server_restart")), told("two", "failed", Some("dependency_failed")))
    };
    let queued = |name: &str| told(name, "queued", None);
    assert_eq!(standing(&mut client, &run), [one, two, queued("three"), queued("anyway")], "{how}");
    let again = json!({"tasks": [{"id": "three", "command": "true"}]});
    let refused = client.call("task_distribute", again);
    assert_eq!(refused.code(), "duplicate_id", "{how}");
    for way in [format!("task_control (runId: {run}, action: resume)"), format!("task_cancel (runId: {run})")]
    {
        assert!(refused.text.contains(&way), "{how}: no {way} in {refused:?}");
    }
    let resumed = client.ok("task_control", json!({"runId": run, "action": "resume"}));
    assert_eq!(resumed["paused"], json!(null), "{how}: {resumed}");
    let over = crate::tasks::over(&mut client, &run);
    let completed = over.iter().filter(|task| task["status"] == "completed").count();
    assert_eq!(completed, if resumable { 4 } else { 2 }, "{how}: {over:?}");
}

#[test]
fn a_run_outlives_the_end_of_input() {
    for resumable in [true, false] {
        check_run_over_end("end of input", resumable, Client::hang_up);
    }
}

#[test]
fn a_run_outlives_sigterm() {
    for resumable in [true, false] {
        check_run_over_end("SIGTERM", resumable, |client| client.signal(Signal::TERM));
    }
}
