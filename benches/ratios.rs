//! What the server costs over the bare thing, measured in the same run: `cargo bench --bench ratios`.
//!
//! Every figure is a ratio against a baseline that runs in turn with it, so that a slow or busy
//! machine slows both. The baselines: a bare pseudo-terminal with the same shell, and an MCP ping.

#![expect(clippy::disallowed_methods, reason = "a benchmark starts processes and reads the clock")]

mod server;

use std::io::{Read, Write};
use std::process::Command;
use std::time::{Duration, Instant};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use serde_json::json;
use server::Server;

const ROUNDS: usize = 300;
const BULK_BYTES: usize = 64 << 20;
const STARTS: usize = 20;

/// A figure of the server's `/proc/PID/status`, in kB.
fn status_kb(server: &Server, key: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("it has memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// A shell on a bare terminal, with a prompt that is easy to find.
struct Bare {
    reader: Box<dyn Read + Send>,
    writer: Box<dyn Write + Send>,
    child: Box<dyn portable_pty::Child + Send + Sync>,
    _master: Box<dyn portable_pty::MasterPty + Send>,
}

const PROMPT: &[u8] = b"<ready>";

impl Bare {
    fn start() -> Self {
        let pair = native_pty_system()
            .openpty(PtySize { rows: 40, cols: 120, pixel_width: 0, pixel_height: 0 })
            .expect("a terminal opens");
        let mut command = CommandBuilder::new("bash");
        command.args(["--norc", "--noprofile", "-i"]);
        command.env("PS1", "<ready>");
        command.cwd("/");
        let child = pair.slave.spawn_command(command).expect("bash starts");
        let reader = pair.master.try_clone_reader().expect("the terminal is readable");
        let writer = pair.master.take_writer().expect("the terminal is writable");
        let mut bare = Self { reader, writer, child, _master: pair.master };
        bare.until_prompt();
        bare
    }

    /// Reads up to the next prompt; returns how many bytes that were.
    fn until_prompt(&mut self) -> usize {
        let mut buffer = vec![0; 64 << 10];
        let mut tail = Vec::new();
        let mut total = 0;
        loop {
            let count = self.reader.read(&mut buffer).expect("the terminal is readable");
            total += count;
            tail.extend_from_slice(&buffer[..count]);
            if memchr::memmem::find(&tail, PROMPT).is_some() {
                return total;
            }
            let keep = tail.len().saturating_sub(PROMPT.len());
            tail.drain(..keep);
        }
    }

    fn run(&mut self, line: &str) -> usize {
        self.writer.write_all(line.as_bytes()).expect("the terminal is writable");
        self.until_prompt()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e6
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let result = work();
    (start.elapsed(), result)
}

#[expect(clippy::print_stdout, reason = "a benchmark reports on stdout")]
fn report(what: &str, ours: f64, bare: f64, unit: &str) {
    println!("{what}: {ours:.0} {unit} against {bare:.0} {unit} bare = {:.2}x", ours / bare);
}

fn command_latency() {
    let mut server = Server::start(&[]);
    let session = server.call("session_create", &json!({"shell": "bash", "profile": "clean"}));
    let id = session["sessionId"].clone();
    let mut bare = Bare::start();
    let (mut ours, mut shell, mut ping) = (Vec::new(), Vec::new(), Vec::new());
    let arguments = json!({"sessionId": id, "command": "true"});
    for round in 0..ROUNDS + 20 {
        let a = timed(|| server.call("command_execute", &arguments)).0;
        let b = timed(|| bare.run("true\n")).0;
        let c = timed(|| server.request("ping", &json!({}))).0;
        if round >= 20 {
            ours.push(a);
            shell.push(b);
            ping.push(c);
        }
    }
    let (ours, shell, ping) = (median(&mut ours), median(&mut shell), median(&mut ping));
    report("command_execute true (baseline: bare shell + ping)", ours, shell + ping, "µs");
    report("  of which the shell alone", shell, shell + ping, "µs");
}

fn bulk_output() {
    let line = "y".repeat(79);
    let command = format!("yes {line} | head -c {BULK_BYTES}");
    let mut bare = Bare::start();
    let (bare_time, _) = timed(|| bare.run(&format!("{command}\n")));
    let mut server = Server::start(&[]);
    let session = server.call("session_create", &json!({"shell": "bash", "profile": "clean"}));
    let id = session["sessionId"].clone();
    let arguments = json!({"sessionId": id, "command": command, "wait": "5m"});
    let (time, _) = timed(|| server.call("command_execute", &arguments));
    report("64 MB of output", time.as_secs_f64() * 1e3, bare_time.as_secs_f64() * 1e3, "ms");
    report("  peak memory of the server (limit 80)", status_kb(&server, "VmHWM:") / 1024.0, 80.0, "MB");
}

fn creation() {
    let mut server = Server::start(&[]);
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let arguments = json!({"shell": "bash", "profile": "clean"});
        let (time, session) = timed(|| server.call("session_create", &arguments));
        ours.push(time);
        bare.push(timed(Bare::start).0);
        server.call("session_close", &json!({"sessionId": session["sessionId"], "mode": "emergency"}));
    }
    report("session_create to the prompt", median(&mut ours), median(&mut bare), "µs");
}

fn start_up() {
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    let mut memory = 0.0;
    for _ in 0..STARTS {
        let (time, server) = timed(|| Server::start(&[]));
        ours.push(time);
        memory = status_kb(&server, "VmRSS:") / 1024.0;
        bare.push(timed(|| Command::new("true").status()).0);
    }
    report("start to initialize (baseline: spawn of `true`)", median(&mut ours), median(&mut bare), "µs");
    report("  memory when idle (limit 20)", memory, 20.0, "MB");
}

fn main() {
    // `cargo test --benches` and the like pass flags; there is nothing to choose here.
    command_latency();
    bulk_output();
    creation();
    start_up();
}
