//! Both eras on an in-memory pipe.

use futures_util::future::LocalBoxFuture;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex};
use tokio::sync::oneshot;

use super::*;
use crate::mcp::serve::serve_pipes;
use crate::mcp::surface::tests::surface;

/// A client on an in-memory pipe.
struct Client {
    writer: tokio::io::WriteHalf<DuplexStream>,
    reader: BufReader<tokio::io::ReadHalf<DuplexStream>>,
    end: oneshot::Sender<()>,
}

impl Client {
    async fn send(&mut self, message: Value) {
        self.writer.write_all(format!("{message}\n").as_bytes()).await.unwrap();
    }

    async fn receive(&mut self) -> Value {
        let mut line = String::new();
        self.reader.read_line(&mut line).await.unwrap();
        serde_json::from_str(&line).unwrap()
    }

    async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.send(json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})).await;
        self.receive().await
    }
}

/// Runs a server with the fake tool while `test` talks to it; the server must end when told.
async fn talk(test: impl AsyncFnOnce(&mut Client)) {
    let (near, far) = duplex(1 << 20);
    let (reader, writer) = tokio::io::split(far);
    let (end, told) = oneshot::channel();
    let serving = serve_pipes(surface(), reader, writer, async {
        let _ = told.await;
    });
    let (reader, writer) = tokio::io::split(near);
    let mut client = Client { writer, reader: BufReader::new(reader), end };
    let talking = async {
        test(&mut client).await;
        client.end.send(()).unwrap();
    };
    let both = async { tokio::join!(serving, talking) };
    tokio::time::timeout(std::time::Duration::from_secs(10), both).await.unwrap();
}

/// Test futures are large, and there is one stack for each.
fn with_client<'a>(test: impl AsyncFnOnce(&mut Client) + 'a) -> LocalBoxFuture<'a, ()> {
    Box::pin(talk(test))
}

async fn initialize(client: &mut Client) -> Value {
    let params = json!({
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "0"},
    });
    let answer = client.ask("initialize", params).await;
    client.send(json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
    answer
}

fn fake(behaviour: &str) -> Value {
    json!({"name": "fake_tool", "arguments": {"behaviour": behaviour}})
}

#[tokio::test]
async fn the_era_of_initialize_is_served() {
    with_client(async |client| {
        let answer = initialize(client).await;
        assert_eq!(answer["result"]["protocolVersion"], "2025-11-25");
        assert_eq!(answer["result"]["serverInfo"]["name"], "shellherd");
        let told = answer["result"]["instructions"].as_str().unwrap();
        assert!(told.contains("\nFailures:") && !told.contains("session_create"), "{told}");

        let answer = client.ask("tools/list", json!({})).await;
        assert_eq!(answer["result"]["tools"][0]["name"], "fake_tool");
        assert_eq!(answer["result"]["tools"][0]["annotations"]["readOnlyHint"], true);

        let answer = client.ask("tools/call", fake("answer")).await;
        assert_eq!(
            answer["result"],
            json!({
                "content": [{"type": "text", "text": "done"}],
                "structuredContent": {"done": true},
                "isError": false,
            })
        );

        let answer = client.ask("tools/call", json!({"name": "fake_tool", "arguments": {"x": 1}})).await;
        let result = &answer["result"];
        assert_eq!(result["isError"], true);
        assert_eq!(result.get("structuredContent"), None);
        let error: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!(error["error"]["code"], "invalid_argument");
        assert_eq!(error["error"]["details"]["known"], json!(["behaviour"]));

        let answer = client.ask("tools/call", json!({"name": "fake_toll"})).await;
        assert_eq!(answer["error"]["code"], -32_602);
        assert!(answer["error"]["message"].as_str().unwrap().contains("did you mean 'fake_tool'"));
    })
    .await;
}

#[tokio::test]
async fn the_era_of_discover_is_served() {
    with_client(async |client| {
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "0"},
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let answer = client.ask("server/discover", json!({"_meta": meta})).await;
        let versions = answer["result"]["supportedVersions"].as_array().unwrap();
        assert!(versions.contains(&json!("2026-07-28")), "{answer}");

        let answer = client.ask("tools/list", json!({"_meta": meta})).await;
        assert_eq!(answer["result"]["tools"][0]["name"], "fake_tool", "{answer}");

        let mut params = fake("answer");
        params["_meta"] = meta;
        let answer = client.ask("tools/call", params).await;
        assert_eq!(answer["result"]["structuredContent"], json!({"done": true}), "{answer}");
        assert_eq!(answer["result"]["resultType"], "complete");
    })
    .await;
}

#[tokio::test]
async fn arguments_that_are_no_object_get_a_tool_error_or_are_read() {
    with_client(async |client| {
        initialize(client).await;
        for arguments in [json!([]), json!(5), json!("no JSON")] {
            let answer = client.ask("tools/call", json!({"name": "fake_tool", "arguments": arguments})).await;
            assert_eq!(answer["result"]["isError"], true, "{answer}");
            assert_eq!(answer["result"].get("resultType"), None, "{answer}");
        }
        let text = json!({"name": "fake_tool", "arguments": "{\"behaviour\": \"answer\"}"});
        let answer = client.ask("tools/call", text).await;
        assert_eq!(answer["result"]["structuredContent"], json!({"done": true}), "{answer}");
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_call_gets_no_answer_and_a_hanging_one_delays_nobody() {
    with_client(async |client| {
        initialize(client).await;
        for id in ["a", "b"] {
            client
                .send(json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": fake("hang")}))
                .await;
        }
        let cancelled = json!({"requestId": "a"});
        client
            .send(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancelled}))
            .await;
        let answer = client.ask("tools/call", fake("answer")).await;
        assert_eq!((&answer["id"], &answer["result"]["isError"]), (&json!(1), &json!(false)));
    })
    .await;
}

#[tokio::test]
async fn a_thousand_calls_at_once_are_all_answered() {
    with_client(async |client| {
        initialize(client).await;
        let call =
            |id: i32| json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": fake("answer")});
        for id in 0..1_000 {
            client.send(call(id)).await;
        }
        let mut ids = std::collections::BTreeSet::new();
        for _ in 0..1_000 {
            let answer = client.receive().await;
            assert_eq!(answer["result"]["isError"], false);
            ids.insert(answer["id"].as_i64().unwrap());
        }
        assert_eq!(ids.len(), 1_000);
    })
    .await;
}

/// A thousand calls wait for minutes, each with progress, and nobody reads any of it.
#[tokio::test(start_paused = true)]
async fn unread_progress_is_bounded() {
    const CALLS: usize = 1_000;
    let (near, far) = duplex(4 << 10);
    let (reader, writer) = tokio::io::split(far);
    let (mut unread, mut pipe) = tokio::io::split(near);
    let surface = surface();
    let traffic = std::sync::Arc::clone(surface.traffic());
    let serving = serve_pipes(surface, reader, writer, std::future::pending());
    let talking = async {
        let params = json!({
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"},
        });
        let mut send = async |message: Value| {
            pipe.write_all(format!("{message}\n").as_bytes()).await.unwrap();
        };
        send(json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})).await;
        send(json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        for id in 1..=CALLS {
            let mut params = fake("wait");
            params["_meta"] = json!({"progressToken": id});
            send(json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params})).await;
        }
        tokio::time::sleep(std::time::Duration::from_secs(120)).await;
        let unread_bytes = traffic.unread_bytes();
        // Each of the calls may have one more on its way.
        assert!(unread_bytes < limits::UNREAD_PROGRESS + CALLS * 256, "{unread_bytes} bytes");
        let mut seen = vec![0; 4 << 10];
        let length = tokio::io::AsyncReadExt::read(&mut unread, &mut seen).await.unwrap();
        assert!(String::from_utf8_lossy(&seen[..length]).contains("notifications/progress"));
    };
    tokio::select! {
        () = serving => panic!("the server ended"),
        () = talking => {}
    }
}

#[tokio::test]
async fn at_the_end_of_input_calls_still_get_their_answers() {
    let params = json!({
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "0"},
    });
    let input = [
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}).to_string(),
        json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": fake("answer")}).to_string(),
        json!({"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": fake("hang")}).to_string(),
    ]
    .join("\n");
    let (far, mut near) = duplex(1 << 20);
    let reader = std::io::Cursor::new(input.into_bytes());
    serve_pipes(surface(), reader, far, std::future::pending()).await;
    let mut output = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut near, &mut output).await.unwrap();
    let answers: Vec<Value> = output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let text = |id: i32| {
        let answer = answers.iter().find(|answer| answer["id"] == id).unwrap();
        answer["result"]["content"][0]["text"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(text(2), "done");
    assert!(text(3).contains("shutting_down"), "{}", text(3));
}
