//! The real binary as a client meets it over HTTP, written out by hand: what a library would set right is
//! what is to be tested.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{Client, PATIENCE, server};

/// A server that listens.
pub struct HttpServer {
    pub process: Client,
    /// Its address and port.
    pub address: String,
    pub token: String,
}

impl HttpServer {
    /// A server with this state directory and a token of its own making.
    pub fn start(state: &Path) -> Self {
        let mut command = server(state);
        command.args(["--http", "127.0.0.1:0"]);
        Self::spawn(command, None)
    }

    /// The server started by `command`, which was given a token, or makes one.
    pub fn spawn(command: Command, token: Option<&str>) -> Self {
        let process = Client::spawn(command, None);
        let address = told(&process, "serving MCP at http://", "/mcp");
        let token = match token {
            Some(token) => token.to_owned(),
            None => told(&process, "Authorization: Bearer ", "'"),
        };
        Self { process, address, token }
    }

    /// What is sent with a request unless the test wants otherwise.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        vec![
            ("Host", self.address.clone()),
            ("Authorization", format!("Bearer {}", self.token)),
            ("Content-Type", "application/json".to_owned()),
            ("Accept", "application/json, text/event-stream".to_owned()),
            ("Connection", "close".to_owned()),
        ]
    }

    /// The answer to a request with these headers.
    pub fn send(&self, request: &str, headers: &[(&str, String)], body: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.address).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        let mut lines = vec![format!("{request} HTTP/1.1")];
        lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
        if !headers.iter().any(|(name, _)| *name == "Content-Length") {
            lines.push(format!("Content-Length: {}", body.len()));
        }
        let head = lines.join("\r\n");
        stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).expect("the server reads");
        Answer::read(stream)
    }

    /// Posts a message of the era without a handshake.
    pub fn post_modern(&self, id: u64, method: &str, mut params: Value) -> Answer {
        let meta = params["_meta"].take();
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "it", "version": "0"},
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        for (name, value) in meta.as_object().into_iter().flatten() {
            params["_meta"][name] = value.clone();
        }
        let mut headers = self.headers();
        headers.push(("MCP-Protocol-Version", "2026-07-28".to_owned()));
        headers.push(("Mcp-Method", method.to_owned()));
        let name = ["name", "uri", "taskId"].iter().find_map(|key| params[*key].as_str());
        headers.extend(name.map(|name| ("Mcp-Name", name.to_owned())));
        let body = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.send("POST /mcp", &headers, &body.to_string())
    }

    /// A client of the older era, after the handshake.
    pub fn client(&self) -> HttpClient<'_> {
        let mut client = HttpClient { server: self, session: String::new(), next_id: 0 };
        let hello = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "it", "version": "0"},
        });
        let mut answer = client.post("initialize", hello);
        answer.header("mcp-session-id").expect("a session").clone_into(&mut client.session);
        let hello = answer.message();
        assert_eq!(hello["result"]["serverInfo"]["name"], "shellherd", "{hello}");
        assert_eq!(client.notify("notifications/initialized", json!({})), 202);
        client
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.process.signal(Signal::TERM);
    }
}

/// What the server says on stderr between these words.
fn told(process: &Client, before: &str, after: &str) -> String {
    let line = process.stderr.recv_timeout(PATIENCE).expect("the server says where it is");
    let rest = line.split_once(before).unwrap_or_else(|| panic!("no '{before}' in {line:?}")).1;
    rest.split_once(after).unwrap_or_else(|| panic!("no '{after}' in {line:?}")).0.to_owned()
}

/// A client of the older protocol era.
pub struct HttpClient<'a> {
    pub server: &'a HttpServer,
    pub session: String,
    next_id: u64,
}

impl HttpClient<'_> {
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = self.server.headers();
        if !self.session.is_empty() {
            headers.push(("Mcp-Session-Id", self.session.clone()));
            headers.push(("MCP-Protocol-Version", "2025-11-25".to_owned()));
        }
        headers
    }

    /// Posts a request; its id is the next number.
    pub fn post(&mut self, method: &str, params: Value) -> Answer {
        self.next_id += 1;
        let body = json!({"jsonrpc": "2.0", "id": self.next_id, "method": method, "params": params});
        self.server.send("POST /mcp", &self.headers(), &body.to_string())
    }

    /// Posts a notification; the status of the answer.
    pub fn notify(&self, method: &str, params: Value) -> u16 {
        let body = json!({"jsonrpc": "2.0", "method": method, "params": params});
        self.server.send("POST /mcp", &self.headers(), &body.to_string()).status
    }

    /// The id of the latest request.
    pub fn latest_id(&self) -> u64 {
        self.next_id
    }

    /// A call that must succeed; its structured content.
    pub fn ok(&mut self, tool: &str, arguments: Value) -> Value {
        let answer = self.post("tools/call", json!({"name": tool, "arguments": arguments})).message();
        assert!(answer["result"]["structuredContent"].is_object(), "{tool} {arguments}: {answer}");
        answer["result"]["structuredContent"].clone()
    }

    /// A new session of a shell; its id.
    pub fn shell(&mut self) -> String {
        let session = self.ok("session_create", json!({"shell": "/bin/bash", "profile": "clean"}));
        session["sessionId"].as_str().expect("a session has an id").to_owned()
    }
}

/// The answer to a request, whose body is read as it comes.
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    body: BufReader<Body>,
}

impl Answer {
    fn read(stream: TcpStream) -> Self {
        let mut reader = BufReader::new(stream);
        let mut next = || {
            let mut line = String::new();
            reader.read_line(&mut line).expect("a line of the head");
            line.trim_end().to_owned()
        };
        let status = next();
        let status = status.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.expect("a status");
        let mut headers = Vec::new();
        while let Some((name, value)) = next().split_once(": ") {
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let is_chunked =
            headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
        let body = if is_chunked { Body::Chunked { reader, left: 0 } } else { Body::Plain(reader) };
        Self { status, headers, body: BufReader::new(body) }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The next message of a stream, or none when it has ended.
    pub fn next(&mut self) -> Option<Value> {
        loop {
            let mut line = String::new();
            if self.body.read_line(&mut line).expect("the stream goes on") == 0 {
                return None;
            }
            let data = line.strip_prefix("data:").map_or("", str::trim);
            if !data.is_empty() {
                return Some(serde_json::from_str(data).expect("an event is a message"));
            }
        }
    }

    /// The one message of the answer, in whatever form it comes.
    pub fn message(&mut self) -> Value {
        if self.header("content-type") == Some("text/event-stream") {
            return self.next().expect("an answer");
        }
        let text = self.text();
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{}: {text}", self.status))
    }

    /// All that is left of it.
    pub fn text(&mut self) -> String {
        let mut text = String::new();
        self.body.read_to_string(&mut text).expect("a body of text");
        text
    }

    /// Goes away in the middle of it.
    pub fn hang_up(self) {
        let (Body::Plain(reader) | Body::Chunked { reader, .. }) = self.body.into_inner();
        let _ = reader.into_inner().shutdown(Shutdown::Both);
    }
}

enum Body {
    Plain(BufReader<TcpStream>),
    Chunked { reader: BufReader<TcpStream>, left: usize },
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(reader) => reader.read(buffer),
            Self::Chunked { reader, left } => {
                if *left == 0 {
                    let mut line = String::new();
                    reader.read_line(&mut line)?;
                    if line.trim().is_empty() {
                        // The end of the chunk before.
                        line.clear();
                        reader.read_line(&mut line)?;
                    }
                    *left = usize::from_str_radix(line.trim(), 16).unwrap_or(0);
                    if *left == 0 {
                        return Ok(0);
                    }
                }
                let most = buffer.len().min(*left);
                let length = reader.read(&mut buffer[..most])?;
                *left -= length;
                Ok(length)
            }
        }
    }
}
