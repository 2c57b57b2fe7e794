//! The protocol's side of the choke point: what rmcp asks is passed on to [`Surface`], and what comes
//! back is given the protocol's form. Both eras that rmcp serves go through here.

use std::sync::Arc;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CustomRequest, CustomResult, ErrorCode as ProtocolCode,
    Implementation, JsonObject, ListToolsResult, PaginatedRequestParams, ProtocolVersion, ServerCapabilities,
    ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::Value;

use super::answer::tool_result;
use super::arguments::shortened;
use super::call::Reporter;
use super::notices::Notices;
use super::surface::{Origin, Surface};
use crate::error::Error;
use crate::limits;

/// What a model knows before it looks at any tool.
const INSTRUCTIONS: &str = "\
shellherd gives you real terminals. A session is one shell that keeps its directory, environment and jobs; \
create one with session_create, run commands in it with command_execute, close it with session_close.\n\
\n\
Parallel work: one session for each job. Start each command with background:true, which answers at once with a \
commandId, then wait with command_status {commandIds:[…]}. Tools that only read or wait can be called in one turn \
and run side by side.\n\
Graphs of tasks: task_distribute runs tasks with dependencies, several at once, in sessions of its own; wait with \
task_status {runId, wait}.\n\
Long commands: a call answers after at most 45 s. running:true is not a failure: the command goes on; continue \
with command_status {commandId, wait, since: cursor}.\n\
Cursors: every byte of a session's output has a number. Pass the cursor of one answer as `since` to get only what \
came later. truncated:true means that lines were left out; read them with session_output {since: omittedFrom} or \
{range}.\n\
Input: awaitingInput:true means that the command asks for something (prompt says what); answer with session_input. \
Keys and full-screen programs: session_input {keys}, session_output {mode:\"screen\"}. Stop a command with \
command_signal.\n\
Failures: a command that failed is an error result with its full output. Any other error is JSON with code, \
message, and a hint that names the next call. retryable:true means that the same call may succeed later.\n\
Durations are milliseconds, or texts such as \"30s\". A sessionId may also be a session's unique name.";

/// One connection.
pub(crate) struct Server {
    pub(crate) surface: Surface,
    pub(crate) notices: Arc<Notices>,
}

impl Server {
    async fn serve(
        &self,
        name: &str,
        arguments: Option<JsonObject>,
        context: RequestContext<RoleServer>,
    ) -> Result<rmcp::model::CallToolResult, ErrorData> {
        self.surface.tool(name).map_err(|error| ErrorData::invalid_params(error.message, None))?;
        let reporter =
            context.meta.get_progress_token().map(|token| Reporter { peer: context.peer.clone(), token });
        // Progress keeps a client's timer from running out.
        let patience = if reporter.is_some() { limits::LONGEST_WAIT } else { limits::SILENT_WAIT };
        let origin = Origin { id: context.id, cancelled: context.ct, reporter, patience };
        Ok(tool_result(self.surface.call(name, arguments, origin).await))
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        #[expect(deprecated, reason = "clients of the older era are sent log messages")]
        let capabilities = ServerCapabilities::builder().enable_tools().enable_logging().build();
        ServerConfig::new(capabilities)
            .with_server_info(
                Implementation::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
                    .with_title("shellherd"),
            )
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        // The list is long: a client that does not read its answers gets no more of them.
        self.surface.traffic().may_answer(&context.id).await;
        let tools = self.surface.offered().iter().map(|offered| offered.published.clone()).collect();
        Ok(ListToolsResult::with_all_items(tools))
    }

    #[expect(deprecated, reason = "clients of the older era ask for log messages by it")]
    async fn set_level(
        &self,
        request: rmcp::model::SetLevelRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        if is_modern(&context) {
            return Err(ErrorData::method_not_found::<rmcp::model::SetLevelRequestMethod>());
        }
        self.notices.tell(request.level, context.peer);
        Ok(())
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.surface.tool(name).ok().map(|offered| offered.published.clone())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        self.serve(&request.name, request.arguments, context).await.map(CallToolResponse::from)
    }

    /// A tool call whose arguments are not an object does not fit rmcp's type and arrives here.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        if request.method != "tools/call" {
            return Err(ErrorData::new(ProtocolCode::METHOD_NOT_FOUND, request.method, None));
        }
        let params = request.params.unwrap_or_default();
        let Some(name) = params.get("name").and_then(Value::as_str) else {
            return Err(ErrorData::invalid_params(
                "tools/call takes {name, arguments}; the name is missing",
                None,
            ));
        };
        let arguments = match params.get("arguments") {
            // Some models write the object as a text.
            Some(Value::String(text)) => serde_json::from_str(text).ok(),
            Some(Value::Object(arguments)) => Some(arguments.clone()),
            Some(Value::Null) | None => Some(JsonObject::new()),
            Some(Value::Bool(_) | Value::Number(_) | Value::Array(_)) => None,
        };
        let is_modern = is_modern(&context);
        let mut result = if let Some(arguments) = arguments {
            self.serve(name, Some(arguments), context).await?
        } else {
            let given = shortened(&params["arguments"].to_string());
            let message = format!("the arguments of {name} must be an object, not {given}");
            tool_result(Err(Error::invalid(message)))
        };
        if !is_modern {
            result.result_type = None;
        }
        let result = serde_json::to_value(result);
        result.map(CustomResult::new).map_err(|error| ErrorData::internal_error(error.to_string(), None))
    }
}

/// Whether the request is of the era without a handshake.
fn is_modern(context: &RequestContext<RoleServer>) -> bool {
    let version = context.protocol_version();
    version.is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str())
}

#[cfg(test)]
mod tests {
    use futures_util::future::LocalBoxFuture;
    use serde_json::json;
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex};
    use tokio::sync::oneshot;

    use super::super::serve::serve_pipes;
    use super::super::surface::tests::surface;
    use super::*;

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

    #[test]
    fn the_instructions_are_short_enough_to_be_kept() {
        assert!(INSTRUCTIONS.len() < 2_048, "{}", INSTRUCTIONS.len());
    }

    #[tokio::test]
    async fn the_era_of_initialize_is_served() {
        with_client(async |client| {
            let answer = initialize(client).await;
            assert_eq!(answer["result"]["protocolVersion"], "2025-11-25");
            assert_eq!(answer["result"]["serverInfo"]["name"], "shellherd");
            assert_eq!(answer["result"]["instructions"], INSTRUCTIONS);

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
                let answer =
                    client.ask("tools/call", json!({"name": "fake_tool", "arguments": arguments})).await;
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
            let call = |id: i32| json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": fake("answer")});
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
}
