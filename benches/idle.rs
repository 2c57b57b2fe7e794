//! What a hundred idle sessions cost: `cargo bench --bench idle`. It starts the release build of the
//! server, leaves the sessions alone for half a minute, and reads what the server used meanwhile.

#![expect(clippy::disallowed_methods, reason = "a benchmark starts processes and waits")]

mod server;

use std::time::Duration;

use serde_json::json;
use server::Server;

const SESSIONS: usize = 100;
const IDLE: Duration = Duration::from_secs(30);
/// Until start-up files have been read and the allocator has settled.
const SETTLED: Duration = Duration::from_secs(12);

/// CPU time of the server so far in ticks, without its children.
fn ticks(server: &Server) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{}/stat", server.child.id())).expect("it runs");
    let (_, fields) = text.rsplit_once(") ").expect("a name");
    let fields: Vec<f64> = fields.split_whitespace().map(|field| field.parse().unwrap_or(0.0)).collect();
    fields[11] + fields[12]
}

/// A figure of the server's `/proc/PID/status`, in kB.
fn status_kb(server: &Server, key: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("it has memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[expect(clippy::print_stdout, reason = "a benchmark reports on stdout")]
#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn main() {
    let mut server = Server::start(&[]);
    server.call("session_list", &json!({}));
    let before_kb = status_kb(&server, "VmRSS:");
    let arguments = json!({"shell": "bash", "profile": "clean"});
    for _ in 0..SESSIONS {
        let session = server.call("session_create", &arguments);
        server.call("command_execute", &json!({"sessionId": session["sessionId"], "command": "true"}));
    }
    std::thread::sleep(SETTLED);
    let begun = ticks(&server);
    std::thread::sleep(IDLE);
    let ticks = ticks(&server) - begun;
    let after_kb = status_kb(&server, "VmRSS:");
    let history = server.call("performance_history", &json!({"duration": "30s", "resolution": "5s"}));
    let points = history["dataPoints"].as_array().map_or(0, Vec::len);
    let per_second = rustix::param::clock_ticks_per_second() as f64;
    let percent = ticks / per_second / IDLE.as_secs_f64() * 100.0;
    println!("{SESSIONS} idle sessions, noted {points} times in {} s:", IDLE.as_secs());
    println!("  {percent:.2} % of one core (limit 1)");
    println!(
        "  {:.0} kB of server memory each (limit 300), {before_kb:.0} kB before and {after_kb:.0} kB after",
        (after_kb - before_kb) / SESSIONS as f64
    );
}
