//! Many sessions, many lives, much output.

use std::fmt::Write;
use std::time::Instant;

use serde_json::json;
use shellherd::limits;

use crate::support::{Client, Scratch, children, server, status_kb, until};

/// Bytes of the large output; in an unoptimised build the server itself is the slow part.
const LARGE: usize = if cfg!(debug_assertions) { 8 << 20 } else { 64 << 20 };

#[test]
fn two_hundred_sessions_work_at_once() {
    let mut client = Client::start();
    let start = Instant::now();
    let creations: Vec<u64> = (0..200)
        .map(|n| {
            client.send_call(
                "session_create",
                json!({"shell": "bash", "profile": "clean", "name": format!("s{n}")}),
            )
        })
        .collect();
    let sessions: Vec<String> = creations
        .into_iter()
        .map(|call| {
            let created = client.outcome(call);
            assert!(!created.is_error, "{created:?}");
            created.structured["sessionId"].as_str().expect("an id").to_owned()
        })
        .collect();
    println!("200 sessions after {:?}", start.elapsed());
    for round in 0..3_usize {
        let calls: Vec<(usize, u64)> = sessions
            .iter()
            .enumerate()
            .map(|(n, session)| {
                let command = format!("X=$((X + {n})); echo $X {round}");
                (n, client.send_call("command_execute", json!({"sessionId": session, "command": command})))
            })
            .collect();
        for (n, call) in calls {
            assert_eq!(client.outcome(call).output(), format!("{} {round}\n", n * (round + 1)));
        }
    }
    println!("600 commands after {:?}", start.elapsed());
    let page = client.ok("session_list", json!({"status": ["idle"], "pageSize": 10}));
    assert_eq!(page["total"], 200, "{page}");
    let closed = client.ok("session_close", json!({"all": true, "mode": "force"}));
    assert_eq!(closed["sessionIds"].as_array().map(Vec::len), Some(200));
    println!("all closed after {:?}", start.elapsed());
}

/// Those that work beside the runtime stay; with it there are a few more.
const THREADS: u64 = limits::BLOCKING_THREADS as u64 + 4;

/// What a server holds on to: descriptors, threads, children, and memory in MB.
fn holdings(pid: u32) -> (usize, u64, usize) {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("the server is there").count();
    (descriptors, status_kb(pid, "Threads"), children(pid).len())
}

#[test]
fn sessions_that_come_and_go_leave_nothing() {
    let cycles = if std::env::var_os("SHELLHERD_LONG").is_some() { 1_000 } else { 100 };
    let mut client = Client::start();
    let pid = client.pid();
    let cycle = |client: &mut Client| {
        let session = client.clean("/bin/bash");
        assert_eq!(client.run(&session, "echo here; sleep 300 &").exit(), Some(0));
        client.ok("session_close", json!({"sessionId": session, "mode": "emergency"}));
    };
    for _ in 0..20 {
        cycle(&mut client);
    }
    let before = holdings(pid);
    let before_kb = status_kb(pid, "VmRSS");
    for _ in 0..cycles {
        cycle(&mut client);
    }
    until("everything is given back", || {
        let now = holdings(pid);
        now.0 <= before.0 && now.2 <= before.2
    });
    let threads = holdings(pid).1;
    assert!(threads <= THREADS, "{threads}");
    let after_kb = status_kb(pid, "VmRSS");
    println!("{cycles} cycles: {before:?}, {before_kb} kB before and {after_kb} kB after");
    assert!(after_kb < before_kb + 20 * 1_024, "{before_kb} kB before, {after_kb} kB after");
}

/// Every byte of a large output is there, once and in order, and the server stays small.
#[test]
fn a_large_output_is_there_to_the_last_byte() {
    let state = Scratch::new("large");
    let mut command = server(state.path());
    command.args(["--result-tokens", "100000"]);
    let mut client = Client::connect(command, None);
    let session = client.clean("/bin/bash");
    let mut wanted = String::with_capacity(LARGE + 16);
    let mut n = 0_u64;
    while wanted.len() < LARGE {
        n += 1;
        writeln!(wanted, "{n}").expect("memory is there");
    }
    wanted.truncate(LARGE);
    let start = Instant::now();
    let outcome = client.call("command_execute", json!({
        "sessionId": session, "command": format!("stty -onlcr; seq 1 {n} | head -c {LARGE}"), "wait": "55s",
    }));
    assert_eq!(outcome.exit(), Some(0), "{:?}", outcome.text.chars().take(200).collect::<String>());
    assert_eq!(outcome.structured["truncated"], true);
    println!("{LARGE} bytes after {:?}", start.elapsed());
    let id = outcome.command();
    let first = client.ok("session_logs", json!({"sessionId": session, "kinds": ["command"]}));
    let began = first["entries"][0]["cursor"].as_u64().expect("a cursor");
    let (mut read, mut cursor) = (0, began);
    while read < LARGE {
        let page = client.ok(
            "session_output",
            json!({
                "sessionId": session, "commandId": id, "mode": "raw", "since": cursor,
            }),
        );
        let piece = page["output"].as_str().expect("output");
        assert!(!piece.is_empty(), "nothing at {read}");
        assert!(wanted[read..].starts_with(piece), "other bytes at {read}");
        read += piece.len();
        cursor = page["cursor"].as_u64().expect("a cursor");
    }
    assert_eq!(read, LARGE);
    println!("read back after {:?}", start.elapsed());
    let peak_kb = status_kb(client.pid(), "VmHWM");
    println!("peak {peak_kb} kB");
    assert!(cfg!(debug_assertions) || peak_kb < 80 * 1_024, "{peak_kb} kB");
}
