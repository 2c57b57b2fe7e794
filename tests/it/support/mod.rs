//! The real binary as a client meets it: JSON-RPC lines over pipes, read by a thread of our own so
//! that every wait has a bound.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Longer than anything takes on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A directory that is removed at the end.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(what: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("shellherd-it-{what}-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir_all(&path).expect("a temporary directory can be made");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The server under test, not started yet.
pub fn server(state: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shellherd"));
    command
        .arg("serve")
        .arg("--state-dir")
        .arg(state)
        .env("SHELL", "/bin/bash")
        .env_remove("RUST_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A connected client that has shaken hands.
pub struct Client {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    stderr: Receiver<String>,
    waiting: VecDeque<Value>,
    next_id: u64,
    _state: Option<Scratch>,
}

/// The outcome of a tool call.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub is_error: bool,
    /// `structuredContent`, or null.
    pub structured: Value,
    /// The one text block.
    pub text: String,
}

impl Outcome {
    /// The `error` object of a tool error.
    pub fn error(&self) -> Value {
        let parsed: Value = serde_json::from_str(&self.text).unwrap_or(Value::Null);
        assert!(self.is_error && parsed["error"].is_object(), "not a tool error: {self:?}");
        parsed["error"].clone()
    }

    /// The code of a tool error.
    pub fn code(&self) -> String {
        self.error()["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl Client {
    /// A server with a state directory of its own.
    pub fn start() -> Self {
        let state = Scratch::new("state");
        let command = server(state.path());
        Self::connect(command, Some(state))
    }

    /// A server with this state directory, which stays.
    pub fn start_in(state: &Path) -> Self {
        Self::connect(server(state), None)
    }

    /// A server started by `command`, after the handshake.
    pub fn connect(command: Command, state: Option<Scratch>) -> Self {
        let mut client = Self::spawn(command, state);
        let hello = json!({
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "it", "version": "0"},
        });
        let answer = client.request("initialize", hello);
        assert_eq!(answer["result"]["serverInfo"]["name"], "shellherd", "{answer}");
        client.notify("notifications/initialized", json!({}));
        client
    }

    /// A server started by `command`, before any handshake.
    pub fn spawn(mut command: Command, state: Option<Scratch>) -> Self {
        let mut child = command.spawn().expect("the server starts");
        let stdin = child.stdin.take();
        let lines = forward(child.stdout.take().expect("stdout is piped"));
        let stderr = forward(child.stderr.take().expect("stderr is piped"));
        Self { child, stdin, lines, stderr, waiting: VecDeque::new(), next_id: 0, _state: state }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a line as it is.
    pub fn send_line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("stdin is open");
        stdin.write_all(line.as_bytes()).and_then(|()| stdin.write_all(b"\n")).expect("the server reads");
        stdin.flush().expect("the server reads");
    }

    pub fn notify(&mut self, method: &str, params: Value) {
        self.send_line(&json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string());
    }

    /// Sends a request without waiting, and returns its id.
    pub fn send(&mut self, method: &str, params: Value) -> u64 {
        self.next_id += 1;
        let id = self.next_id;
        self.send_line(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string());
        id
    }

    pub fn send_call(&mut self, tool: &str, arguments: Value) -> u64 {
        self.send("tools/call", json!({"name": tool, "arguments": arguments}))
    }

    /// The next message that `wanted` accepts; others are kept in order.
    pub fn message(&mut self, what: &str, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        if let Some(at) = self.waiting.iter().position(&mut wanted) {
            return self.waiting.remove(at).expect("it was just found");
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                let errors: Vec<String> = self.stderr.try_iter().collect();
                panic!("no {what} within {PATIENCE:?}; stderr: {errors:#?}");
            };
            let message: Value =
                serde_json::from_str(&line).unwrap_or_else(|_| panic!("stdout is not JSON-RPC: {line}"));
            if wanted(&message) {
                return message;
            }
            self.waiting.push_back(message);
        }
    }

    pub fn answer(&mut self, id: u64) -> Value {
        self.message(&format!("answer to request {id}"), |message| message["id"] == id)
    }

    pub fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params);
        self.answer(id)
    }

    pub fn outcome(&mut self, id: u64) -> Outcome {
        let answer = self.answer(id);
        let result = &answer["result"];
        assert!(result.is_object(), "a tool call was answered by {answer}");
        let content = result["content"].as_array().cloned().unwrap_or_default();
        assert_eq!(content.len(), 1, "one text block: {answer}");
        Outcome {
            is_error: result["isError"].as_bool().unwrap_or(false),
            structured: result["structuredContent"].clone(),
            text: content[0]["text"].as_str().unwrap_or_default().to_owned(),
        }
    }

    pub fn call(&mut self, tool: &str, arguments: Value) -> Outcome {
        let id = self.send_call(tool, arguments);
        self.outcome(id)
    }

    /// A call that must succeed; its structured content.
    pub fn ok(&mut self, tool: &str, arguments: Value) -> Value {
        let outcome = self.call(tool, arguments.clone());
        assert!(!outcome.is_error, "{tool} {arguments} failed: {outcome:?}");
        outcome.structured
    }

    /// A new session; its id.
    pub fn session(&mut self, arguments: Value) -> String {
        let session = self.ok("session_create", arguments);
        session["sessionId"].as_str().expect("a session has an id").to_owned()
    }

    /// Runs a command to its end, whatever its exit code.
    pub fn run(&mut self, session: &str, command: &str) -> Outcome {
        self.call("command_execute", json!({"sessionId": session, "command": command, "wait": "60s"}))
    }

    /// Closes stdin, as a client that goes away does.
    pub fn hang_up(&mut self) {
        self.stdin = None;
    }

    /// Waits for the server's end, and returns how long that took.
    pub fn until_exit(&mut self) -> Duration {
        let start = Instant::now();
        until("the server exits", || self.child.try_wait().expect("the child is ours").is_some());
        start.elapsed()
    }

    pub fn stderr(&mut self) -> Vec<String> {
        self.stderr.try_iter().collect()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.stdin = None;
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn forward(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { return };
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Waits for a condition, looking often.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a process is there and no zombie.
pub fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| stat.rsplit_once(") ").map(|(_, rest)| !rest.starts_with(['Z', 'X'])))
        .unwrap_or(false)
}

/// Processes whose command line holds this text.
pub fn processes_with(text: &str) -> Vec<u32> {
    let own = std::process::id();
    std::fs::read_dir("/proc")
        .expect("/proc is readable")
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| *pid != own && is_alive(*pid))
        .filter(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).replace('\0', " ").contains(text)
        })
        .collect()
}

/// The shells of the matrix that this machine has, as (name, path); the others are printed as skipped.
pub fn shells() -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    for name in ["bash", "zsh", "fish", "dash"] {
        let path = ["/bin", "/usr/bin", "/usr/local/bin"]
            .iter()
            .map(|directory| format!("{directory}/{name}"))
            .find(|path| Path::new(path).exists());
        match path {
            Some(path) => found.push((name, path)),
            None => println!("skipped: {name} is not installed"),
        }
    }
    found
}
