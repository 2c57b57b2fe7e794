//! The release build of the server over stdio, for benchmarks that measure it whole.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// A server with a state directory of its own, and the pipes to it.
pub(crate) struct Server {
    pub(crate) child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    id: u64,
    state: PathBuf,
}

impl Server {
    /// Starts a server with these flags and introduces a client.
    pub(crate) fn start(flags: &[&str]) -> Self {
        let state = std::env::temp_dir().join(format!("shellherd-bench-{}", uuid::Uuid::new_v4().simple()));
        let mut child = Command::new(env!("CARGO_BIN_EXE_shellherd"))
            .arg("serve")
            .args(flags)
            .arg("--state-dir")
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
        server.request(
            "initialize",
            &json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}),
        );
        let hello = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        writeln!(server.stdin, "{hello}").expect("the server reads");
        server
    }

    /// The whole answer to a request.
    pub(crate) fn request(&mut self, method: &str, params: &Value) -> Value {
        self.id += 1;
        let request = json!({"jsonrpc": "2.0", "id": self.id, "method": method, "params": params});
        let mut line = request.to_string();
        line.push('\n');
        self.stdin.write_all(line.as_bytes()).expect("the server reads");
        loop {
            let mut line = String::new();
            self.stdout.read_line(&mut line).expect("the server answers");
            let message: Value = serde_json::from_str(&line).expect("an answer is JSON");
            if message["id"] == self.id {
                return message;
            }
        }
    }

    /// What a tool gives back; it must not fail.
    pub(crate) fn call(&mut self, tool: &str, arguments: &Value) -> Value {
        let answer = self.request("tools/call", &json!({"name": tool, "arguments": arguments}));
        assert_ne!(answer["result"]["isError"], true, "{tool}: {answer}");
        answer["result"]["structuredContent"].clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.state);
    }
}
