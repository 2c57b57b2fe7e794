//! What a hundred idle sessions cost: `cargo bench --bench idle`. It starts the release build of the
//! server, leaves the sessions alone for half a minute, and reads what the server used meanwhile.

#![expect(clippy::disallowed_methods, reason = "a benchmark starts processes and waits")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

const SESSIONS: usize = 100;
const IDLE: Duration = Duration::from_secs(30);
/// Until start-up files have been read and the allocator has settled.
const SETTLED: Duration = Duration::from_secs(12);

struct Server {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    id: u64,
    state: std::path::PathBuf,
}

impl Server {
    fn start() -> Self {
        let state = std::env::temp_dir().join(format!("shellherd-bench-{}", uuid::Uuid::new_v4().simple()));
        let mut child = Command::new(env!("CARGO_BIN_EXE_shellherd"))
            .args(["serve", "--state-dir"])
            .arg(&state)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let stdin = child.stdin.take().expect("stdin is piped");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut server = Self { child, stdin, stdout, id: 0, state };
        let client = json!({"name": "bench", "version": "0"});
        let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client});
        server.request("initialize", &hello);
        let hello = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        writeln!(server.stdin, "{hello}").expect("the server reads");
        server
    }

    fn request(&mut self, method: &str, params: &Value) -> Value {
        self.id += 1;
        let request = json!({"jsonrpc": "2.0", "id": self.id, "method": method, "params": params});
        writeln!(self.stdin, "{request}").expect("the server reads");
        loop {
            let mut line = String::new();
            self.stdout.read_line(&mut line).expect("the server answers");
            let message: Value = serde_json::from_str(&line).expect("an answer is JSON");
            if message["id"] == self.id {
                return message;
            }
        }
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Value {
        let answer = self.request("tools/call", &json!({"name": tool, "arguments": arguments}));
        assert_ne!(answer["result"]["isError"], true, "{tool}: {answer}");
        answer["result"]["structuredContent"].clone()
    }

    /// CPU time of the server so far in ticks, without its children.
    fn ticks(&self) -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it runs");
        let (_, fields) = text.rsplit_once(") ").expect("a name");
        let fields: Vec<f64> = fields.split_whitespace().map(|field| field.parse().unwrap_or(0.0)).collect();
        fields[11] + fields[12]
    }

    fn memory_kb(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.state);
    }
}

#[expect(clippy::print_stdout, reason = "a benchmark reports on stdout")]
#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn main() {
    let mut server = Server::start();
    server.call("session_list", &json!({}));
    let before_kb = server.memory_kb();
    let arguments = json!({"shell": "bash", "profile": "clean"});
    for _ in 0..SESSIONS {
        let session = server.call("session_create", &arguments);
        server.call("command_execute", &json!({"sessionId": session["sessionId"], "command": "true"}));
    }
    std::thread::sleep(SETTLED);
    let begun = server.ticks();
    std::thread::sleep(IDLE);
    let ticks = server.ticks() - begun;
    let after_kb = server.memory_kb();
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
