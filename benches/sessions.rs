//! `session_list` with 1,000 sessions, filtered and ordered, beside a bare sort of as many names; and a
//! command in a warm session of a pool beside one in a session made for it: `cargo bench --bench sessions`.
//! The release build of the server is asked over stdio.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark reads the clock and prints"
)]

mod server;

use std::hint::black_box;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use server::Server;

const SESSIONS: usize = 1_000;
const ROUNDS: usize = 200;

fn main() {
    lists();
    pools();
}

fn pools() {
    let mut server = Server::start(&[]);
    let config = json!({"shell": "bash", "profile": "clean"});
    server.call("pool_create", &json!({"name": "warm", "size": 4, "config": config}));
    let warm = median(|| {
        let begun = Instant::now();
        let ran = server.call("pool_execute", &json!({"pool": "warm", "command": "true"}));
        assert_eq!(ran["success"], true, "{ran}");
        begun.elapsed()
    });
    let cold = median(|| {
        let begun = Instant::now();
        let made = server.call("session_create", &config);
        let session = &made["sessionId"];
        server.call("command_execute", &json!({"sessionId": session, "command": "true"}));
        let took = begun.elapsed();
        server.call("session_close", &json!({"sessionId": session, "mode": "emergency"}));
        took
    });
    let (times, cold, warm) =
        (cold.as_secs_f64() / warm.as_secs_f64(), milliseconds(cold), milliseconds(warm));
    println!("true in a warm pool: {warm:.2} ms; in a session made for it: {cold:.2} ms ({times:.1} times)");
}

fn lists() {
    let mut server = Server::start(&[]);
    let name = |number: usize| format!("worker-{:03}", number * 7_919 % SESSIONS);
    for number in 0..SESSIONS {
        let rank = number * 31 % 100;
        server.call(
            "session_create",
            &json!({"name": name(number), "shell": "sh", "autoStart": false, "metadata": {"team": {"rank": rank}}}),
        );
    }
    let floor = median(|| {
        let mut names: Vec<String> = (0..SESSIONS).map(name).collect();
        let begun = Instant::now();
        names.sort();
        black_box(&names);
        begun.elapsed()
    });
    println!("bare sort of {SESSIONS} names: {:.3} ms", milliseconds(floor));
    let cases = [
        ("one page, as they come", json!({"pageSize": 10})),
        ("by name", json!({"pageSize": 10, "orderBy": {"field": "name"}})),
        (
            "by metadata.team.rank, then name",
            json!({
                "pageSize": 10, "orderBy": [{"field": "metadata.team.rank", "direction": "desc"}, {"field": "name"}],
            }),
        ),
        (
            "filtered by query and status, by name",
            json!({
                "pageSize": 10, "query": "worker-1", "status": "initializing", "orderBy": {"field": "name"},
            }),
        ),
    ];
    for (what, arguments) in cases {
        let mut total = Value::Null;
        let took = median(|| {
            let begun = Instant::now();
            total = server.call("session_list", &arguments)["total"].clone();
            begun.elapsed()
        });
        let (took, times) = (milliseconds(took), took.as_secs_f64() / floor.as_secs_f64());
        println!("{what}: {took:.2} ms (limit 5), {times:.0} times the sort, {total} found");
    }
}

fn median(mut round: impl FnMut() -> Duration) -> Duration {
    let mut rounds: Vec<Duration> = (0..ROUNDS).map(|_| round()).collect();
    rounds.sort();
    rounds[ROUNDS / 2]
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
