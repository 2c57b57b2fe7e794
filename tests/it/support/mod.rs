//! The real binary as a client meets it: JSON-RPC lines over pipes, read by a thread of our own so
//! that every wait has a bound.

pub mod http;

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

/// The program under test, away from the configuration of whoever runs the tests: its home is empty.
pub fn program(home: &Path) -> Command {
    apart(Command::new(env!("CARGO_BIN_EXE_shellherd")), home)
}

/// A command in this home, without the environment of whoever runs the tests.
pub fn apart(mut command: Command, home: &Path) -> Command {
    command.env("HOME", home).env("SHELL", "/bin/bash").env("LANG", "C.UTF-8");
    let foreign = ["RUST_LOG", "ZDOTDIR", "ENV", "BASH_ENV", "PROMPT_COMMAND", "PS1", "HISTFILE", "LC_ALL"];
    for name in foreign {
        command.env_remove(name);
    }
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("SHELLHERD_") || (text.starts_with("XDG_") && text != "XDG_RUNTIME_DIR") {
            command.env_remove(&name);
        }
    }
    command
}

/// The server under test, not started yet.
pub fn server(state: &Path) -> Command {
    let home = state.join("home");
    std::fs::create_dir_all(&home).expect("the state directory can be written");
    let mut command = program(&home);
    command
        .arg("serve")
        .arg("--state-dir")
        .arg(state)
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

    /// What a command printed.
    pub fn output(&self) -> &str {
        self.structured["output"].as_str().unwrap_or_else(|| panic!("no output: {self:?}"))
    }

    /// A command's exit code.
    pub fn exit(&self) -> Option<i64> {
        self.structured["exitCode"].as_i64()
    }

    /// The id of a command that was accepted.
    pub fn command(&self) -> String {
        self.structured["commandId"].as_str().unwrap_or_else(|| panic!("no command: {self:?}")).to_owned()
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
        self.send_bytes(line.as_bytes());
        self.send_bytes(b"\n");
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("stdin is open");
        stdin.write_all(bytes).and_then(|()| stdin.flush()).expect("the server reads");
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
        self.call("command_execute", json!({"sessionId": session, "command": command, "wait": "50s"}))
    }

    /// A new session of this shell, without anybody's start-up files.
    pub fn clean(&mut self, shell: &str) -> String {
        self.session(json!({"shell": shell, "profile": "clean"}))
    }

    /// Starts a command and returns its id while it runs.
    pub fn start_command(&mut self, session: &str, command: &str) -> String {
        let started = json!({"sessionId": session, "command": command, "background": true});
        self.call("command_execute", started).command()
    }

    /// A command's end.
    pub fn ended(&mut self, command: &str) -> Outcome {
        let outcome = self.call("command_status", json!({"commandId": command, "wait": "50s"}));
        assert!(outcome.structured["success"].is_boolean(), "{command} has not ended: {outcome:?}");
        outcome
    }

    pub fn status(&mut self, session: &str) -> Value {
        self.ok("session_status", json!({"sessionId": session}))
    }

    /// Looks at a session until what it shows is accepted.
    pub fn until_shown(&mut self, session: &str, what: &str, accept: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let shown = self.status(session);
            if accept(&shown) {
                return shown;
            }
            assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}; {shown}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn until_status(&mut self, session: &str, status: &str) -> Value {
        self.until_shown(session, status, |shown| shown["status"] == status)
    }

    /// Whether a message that fits has come already.
    pub fn has_come(&mut self, wanted: impl Fn(&Value) -> bool) -> bool {
        while let Ok(line) = self.lines.try_recv() {
            self.waiting.push_back(serde_json::from_str(&line).expect("stdout is JSON-RPC"));
        }
        self.waiting.iter().any(wanted)
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        // It may be gone already.
        let _ = rustix::process::kill_process(pid.expect("a process has an id"), signal);
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

/// A file whose appearance ends a command that waits for it.
pub struct Flag(PathBuf);

impl Flag {
    pub fn in_(scratch: &Scratch) -> Self {
        Self(scratch.path().join(format!("flag-{}", uuid::Uuid::new_v4().simple())))
    }

    /// What a POSIX shell runs to wait for it.
    pub fn awaited(&self) -> String {
        format!("until [ -e '{}' ]; do sleep 0.02; done", self.0.display())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn raise(&self) {
        std::fs::write(&self.0, "").expect("the flag can be written");
    }
}

/// Numbers that follow from a seed, so that what fails fails again.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % bound
    }
}

/// A number of seconds for `sleep` that no other process has in its command line.
pub fn marker() -> String {
    let random = uuid::Uuid::new_v4().as_u128();
    format!("9{:06}.{:09}", random % 1_000_000, (random >> 64) % 1_000_000_000)
}

/// A program of this machine.
pub fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&path).map(|directory| directory.join(name)).find(|path| path.is_file());
    if found.is_none() {
        println!("skipped: {name} is not installed");
    }
    found
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
    println!("{} of 4 shells, {} skipped", found.len(), 4 - found.len());
    found
}

/// The children of a process, as (pid, command line).
pub fn children(parent: u32) -> Vec<(u32, String)> {
    let entries = std::fs::read_dir("/proc").expect("/proc is readable").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_child = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        rest.split(' ').nth(1).and_then(|parent| parent.parse().ok()) == Some(parent)
    };
    let line = |pid: u32| {
        let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        (pid, String::from_utf8_lossy(&bytes).replace('\0', " "))
    };
    pids.filter(is_child).map(line).collect()
}

/// A figure in kB from a process's status, like `VmRSS`.
pub fn status_kb(pid: u32, key: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let line = status.lines().find(|line| line.starts_with(key)).unwrap_or_else(|| panic!("no {key}"));
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number of kB")
}
