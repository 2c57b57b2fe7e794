//! The tools, resources and prompts that the official conformance suite expects of a server under test,
//! beside the server's own. Only in a program that was built for it, by the feature `conformance`.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CompleteRequestParams, CompleteResult, GetPromptRequestParams,
    GetPromptResponse, InputRequiredResult, InputResponses, ListPromptsResult, ListResourceTemplatesResult,
    ListResourcesResult, ProgressNotificationParam, ReadResourceResult, Reference, ServerRequest, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::surface::Surface;

/// A picture of one pixel.
const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
/// A sound of no length.
const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";
/// Between two signs of life.
const PAUSE: Duration = Duration::from_millis(50);
/// Signs the states that go to a client and come back.
static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);

type Outcome<T> = Result<T, ErrorData>;

/// Each tool with what the schema of its arguments says of them.
fn tools() -> Vec<(&'static str, Value)> {
    let text = |name: &str| json!({name: {"type": "string"}});
    let mut tools = vec![
        ("test_sampling", text("prompt")),
        ("test_elicitation", text("message")),
        ("greet", text("name")),
        ("slow_compute", json!({"seconds": {"type": "number"}})),
        ("failing_job", json!({})),
    ];
    let without_arguments = [
        "test_simple_text",
        "test_image_content",
        "test_audio_content",
        "test_embedded_resource",
        "test_multiple_content_types",
        "test_error_handling",
        "test_tool_with_logging",
        "test_tool_with_progress",
        "test_elicitation_sep1034_defaults",
        "test_elicitation_sep1330_enums",
        "test_missing_capability",
        "test_logging_tool",
        "test_streaming_elicitation",
        "test_input_required_result_elicitation",
        "test_input_required_result_sampling",
        "test_input_required_result_list_roots",
        "test_input_required_result_request_state",
        "test_input_required_result_multiple_inputs",
        "test_input_required_result_multi_round",
        "test_input_required_result_tampered_state",
        "test_input_required_result_capabilities",
    ];
    tools.extend(without_arguments.map(|name| (name, json!({}))));
    tools
}

/// The tools as they are listed.
pub(super) fn list_tools() -> Vec<Tool> {
    let tool = |(name, properties): (&str, Value)| {
        let required: Vec<_> =
            properties.as_object().into_iter().flat_map(|all| all.keys().cloned()).collect();
        let schema = json!({"type": "object", "properties": properties, "required": required});
        let tool = json!({"name": name, "description": "For the conformance suite.", "inputSchema": schema});
        shaped(tool).ok()
    };
    tools().into_iter().filter_map(tool).collect()
}

/// Adds the resources to the server's own.
pub(super) fn list_resources(mut listed: ListResourcesResult) -> Outcome<ListResourcesResult> {
    for (name, kind) in [("static-text", "text/plain"), ("static-binary", "image/png")] {
        let uri = format!("test://{name}");
        listed.resources.push(shaped(json!({
            "uri": uri, "name": name, "description": "For the conformance suite.", "mimeType": kind,
        }))?);
    }
    Ok(listed)
}

/// Adds the template to the server's own.
pub(super) fn list_templates(
    mut listed: ListResourceTemplatesResult,
) -> Outcome<ListResourceTemplatesResult> {
    listed.resource_templates.push(shaped(json!({
        "uriTemplate": "test://template/{id}/data", "name": "template", "mimeType": "application/json",
        "description": "For the conformance suite.",
    }))?);
    Ok(listed)
}

/// Whether a resource may be subscribed to here.
pub(super) fn watches(uri: &str) -> bool {
    uri == "test://watched-resource"
}

/// The resource at this address, if it is one of the suite's.
pub(super) fn read(uri: &str) -> Option<Outcome<ReadResourceResult>> {
    let content = match uri {
        "test://static-text" => {
            json!({"mimeType": "text/plain", "text": "This is the content of the static text resource."})
        }
        "test://static-binary" => json!({"mimeType": "image/png", "blob": PNG}),
        _ => {
            let id = uri.strip_prefix("test://template/")?.strip_suffix("/data")?;
            let data = json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")});
            json!({"mimeType": "application/json", "text": data.to_string()})
        }
    };
    let mut content = content;
    content["uri"] = uri.into();
    Some(shaped(json!({"contents": [content], "resultType": "complete"})))
}

/// Adds the prompts to the server's own.
pub(super) fn list_prompts(mut listed: ListPromptsResult) -> Outcome<ListPromptsResult> {
    let prompts: [(&str, &[&str]); 5] = [
        ("test_simple_prompt", &[]),
        ("test_prompt_with_arguments", &["arg1", "arg2"]),
        ("test_prompt_with_embedded_resource", &["resourceUri"]),
        ("test_prompt_with_image", &[]),
        ("test_input_required_result_prompt", &[]),
    ];
    for (name, arguments) in prompts {
        let arguments: Vec<Value> = arguments
            .iter()
            .map(|name| json!({"name": name, "description": name, "required": true}))
            .collect();
        listed.prompts.push(shaped(
            json!({"name": name, "description": "For the conformance suite.", "arguments": arguments}),
        )?);
    }
    Ok(listed)
}

/// The prompt that is asked for, if it is one of the suite's.
pub(super) fn get_prompt(request: &GetPromptRequestParams) -> Option<Outcome<GetPromptResponse>> {
    let given = |name: &str| {
        let arguments = request.arguments.as_ref();
        arguments.and_then(|all| all.get(name)).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let text = |text: String| json!({"type": "text", "text": text});
    let contents = match request.name.as_str() {
        "test_simple_prompt" => vec![text("This is a simple prompt for testing.".to_owned())],
        "test_prompt_with_arguments" => {
            vec![text(format!("Prompt with arguments: arg1='{}', arg2='{}'", given("arg1"), given("arg2")))]
        }
        "test_prompt_with_embedded_resource" => vec![
            json!({"type": "resource", "resource": {
                "uri": given("resourceUri"),
                "mimeType": "text/plain",
                "text": "Embedded resource content for testing.",
            }}),
            text("Please process the embedded resource above.".to_owned()),
        ],
        "test_prompt_with_image" => vec![
            json!({"type": "image", "data": PNG, "mimeType": "image/png"}),
            text("Please analyze the image above.".to_owned()),
        ],
        "test_input_required_result_prompt" => {
            let Some(context) = answered(request.input_responses.as_ref(), "user_context", "context") else {
                let wanted = elicitation("What context should the prompt use?", "context", "string");
                return Some(required(json!({"user_context": wanted}), None).map(Into::into));
            };
            vec![text(format!("Prompt with context: {context}"))]
        }
        _ => return None,
    };
    let messages: Vec<Value> =
        contents.into_iter().map(|content| json!({"role": "user", "content": content})).collect();
    let prompt =
        shaped::<rmcp::model::GetPromptResult>(json!({"messages": messages, "resultType": "complete"}));
    Some(prompt.map(Into::into))
}

/// Nothing fits an argument of the suite's prompts.
pub(super) fn complete(request: &CompleteRequestParams) -> Option<Outcome<CompleteResult>> {
    let Reference::Prompt(prompt) = &request.r#ref else { return None };
    let is_ours = prompt.name.starts_with("test_");
    is_ours.then(|| {
        shaped(json!({"completion": {"values": [], "total": 0, "hasMore": false}, "resultType": "complete"}))
    })
}

/// Makes the call, if the tool is one of the suite's.
pub(super) async fn call_tool(
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Option<Outcome<CallToolResponse>> {
    let name = request.name.as_ref();
    tools().iter().any(|(known, _)| *known == name).then_some(())?;
    Some(match with_input(request, context) {
        Some(response) => response,
        None => talk(request, context).await,
    })
}

/// The command that stands for a tool of the suite which takes its time: it is followed as any other.
pub(super) async fn stand_in(
    surface: &Surface,
    request: &CallToolRequestParams,
) -> Option<CallToolRequestParams> {
    let given = |name: &str| request.arguments.as_ref().and_then(|all| all.get(name)).and_then(Value::as_f64);
    let command = match request.name.as_ref() {
        "slow_compute" => format!("sleep {} && echo computed", given("seconds").unwrap_or_default()),
        "failing_job" => "sleep 1; false".to_owned(),
        _ => return None,
    };
    let shell = json!({"shell": "bash", "profile": "clean"});
    let session = surface.call_directly("session_create", shell.as_object().cloned()).await.ok()?;
    let arguments = json!({"sessionId": session.structured["sessionId"], "command": command});
    Some(CallToolRequestParams::new("command_execute").with_arguments(arguments.as_object().cloned()?))
}

/// The tools that answer by themselves, or in talk with the client of an older era.
async fn talk(
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Outcome<CallToolResponse> {
    let given = |name: &str| {
        let argument = request.arguments.as_ref().and_then(|all| all.get(name));
        argument.and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let text = |text: &str| json!({"type": "text", "text": text});
    let resource = |name: &str, kind: &str, text: &str| {
        let uri = format!("test://{name}");
        json!({"type": "resource", "resource": {"uri": uri, "mimeType": kind, "text": text}})
    };
    let picture = json!({"type": "image", "data": PNG, "mimeType": "image/png"});
    let content = match request.name.as_ref() {
        "greet" => vec![text(&format!("Hello, {}!", given("name")))],
        "test_simple_text" => vec![text("This is a simple text response for testing.")],
        "test_image_content" => vec![picture],
        "test_audio_content" => vec![json!({"type": "audio", "data": WAV, "mimeType": "audio/wav"})],
        "test_embedded_resource" => {
            vec![resource("embedded-resource", "text/plain", "This is an embedded resource content.")]
        }
        "test_multiple_content_types" => vec![
            text("Multiple content types test:"),
            picture,
            resource("mixed-content-resource", "application/json", r#"{"test":"data","value":123}"#),
        ],
        "test_error_handling" => {
            let content = vec![text("This tool intentionally returns an error for testing")];
            return complete_call(json!({"content": content, "isError": true}));
        }
        "test_tool_with_progress" => {
            for progress in [0.0, 50.0, 100.0] {
                if let Some(token) = context.meta.get_progress_token() {
                    let report = ProgressNotificationParam::new(token, progress).with_total(100.0);
                    context.peer.notify_progress(report).await.map_err(|error| failed(&error))?;
                }
                tokio::time::sleep(PAUSE).await;
            }
            vec![text("all of it is done")]
        }
        "test_tool_with_logging" => {
            for message in ["Tool execution started", "Tool processing data", "Tool execution completed"] {
                let notification = json!({
                    "method": "notifications/message", "params": {"level": "info", "data": message},
                });
                let notification = shaped(notification)?;
                context.peer.send_notification(notification).await.map_err(|error| failed(&error))?;
                tokio::time::sleep(PAUSE).await;
            }
            vec![text("all of it was logged")]
        }
        "test_sampling" => {
            let answer = ask(context, sampling(&given("prompt"), 100)).await?;
            vec![text(&format!("LLM response: {}", answer["content"]["text"].as_str().unwrap_or_default()))]
        }
        "test_elicitation" => {
            let properties = json!({
                "username": {"type": "string", "description": "User's response"},
                "email": {"type": "string", "description": "User's email address"},
            });
            let answer = ask(context, form(&given("message"), &properties, &["username", "email"])).await?;
            vec![text(&format!("User response: {}", outcome(&answer)))]
        }
        "test_elicitation_sep1034_defaults" => {
            let answer = ask(context, form("Is this right?", &defaults(), &[])).await?;
            vec![text(&format!("Elicitation completed: {}", outcome(&answer)))]
        }
        "test_elicitation_sep1330_enums" => {
            let answer = ask(context, form("Which of these?", &choices(), &[])).await?;
            vec![text(&format!("Elicitation completed: {}", outcome(&answer)))]
        }
        _ => vec![text("nothing is logged that nobody asked for")],
    };
    complete_call(json!({"content": content}))
}

/// The tools that need input which a client of the newer era gives with its next request.
fn with_input(
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Option<Outcome<CallToolResponse>> {
    let responses = request.input_responses.as_ref();
    let state = request.request_state.as_deref();
    let capabilities = context.client_capabilities().unwrap_or_default();
    let name = || elicitation("What is your name?", "name", "string");
    let roots = || json!({"method": "roots/list", "params": {}});
    let wanted = match request.name.as_ref() {
        "test_missing_capability" => {
            if capabilities.sampling.is_some() {
                return Some(said("it can be sampled"));
            }
            let missing = shaped(json!({"sampling": {}}));
            return Some(Err(
                missing.map_or_else(|error| error, ErrorData::missing_required_client_capability)
            ));
        }
        "test_streaming_elicitation" => json!({"user_name": name()}),
        "test_input_required_result_elicitation" => match answered(responses, "user_name", "name") {
            Some(name) => return Some(said(&format!("Hello, {name}!"))),
            None => json!({"user_name": name()}),
        },
        "test_input_required_result_sampling" => {
            match responses.and_then(|all| all.get("capital_question")) {
                Some(answer) => return Some(said(answer["content"]["text"].as_str().unwrap_or_default())),
                None => json!({"capital_question": sampling("What is the capital of France?", 100)}),
            }
        }
        "test_input_required_result_list_roots" => match responses.and_then(|all| all.get("client_roots")) {
            Some(answer) => return Some(said(&format!("the roots are {}", answer["roots"]))),
            None => json!({"client_roots": roots()}),
        },
        "test_input_required_result_capabilities" => {
            let mut wanted = json!({});
            if capabilities.sampling.is_some() {
                wanted["greeting"] = sampling("Generate a greeting", 50);
            }
            if capabilities.elicitation.is_some() {
                wanted["user_name"] = name();
            }
            wanted
        }
        "test_input_required_result_request_state" | "test_input_required_result_tampered_state" => {
            match state.map(opened) {
                Some(Ok(_)) if responses.is_some() => return Some(said("state-ok")),
                Some(Err(error)) => return Some(Err(error)),
                _ => {
                    let confirm = elicitation("Please confirm", "ok", "boolean");
                    return Some(required(json!({"confirm": confirm}), Some("confirm")).map(Into::into));
                }
            }
        }
        "test_input_required_result_multiple_inputs" => {
            let keys = ["user_name", "greeting", "client_roots"];
            match state.map(opened) {
                Some(Ok(_)) if keys.iter().all(|key| responses.is_some_and(|all| all.contains_key(*key))) => {
                    return Some(said("all of it came"));
                }
                Some(Err(error)) => return Some(Err(error)),
                _ => {
                    let greeting = sampling("Generate a greeting", 50);
                    let wanted = json!({"user_name": name(), "greeting": greeting, "client_roots": roots()});
                    return Some(required(wanted, Some("all")).map(Into::into));
                }
            }
        }
        "test_input_required_result_multi_round" => {
            let step = match state.map(opened).transpose() {
                Ok(step) => step.unwrap_or_default(),
                Err(error) => return Some(Err(error)),
            };
            let has = |key: &str| responses.is_some_and(|all| all.contains_key(key));
            return Some(match step.as_str() {
                "two" if has("step2") => said("both steps are done"),
                "one" if has("step1") => {
                    let colour = elicitation("Step 2: What is your favorite color?", "color", "string");
                    required(json!({"step2": colour}), Some("two")).map(Into::into)
                }
                _ => {
                    let name = elicitation("Step 1: What is your name?", "name", "string");
                    required(json!({"step1": name}), Some("one")).map(Into::into)
                }
            });
        }
        _ => return None,
    };
    Some(required(wanted, None).map(Into::into))
}

/// What a form asks for that has a value for each kind of field.
fn defaults() -> Value {
    json!({
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": true},
    })
}

/// What a form asks for that offers a choice in each way there is.
fn choices() -> Value {
    let titled = |first: &str| {
        json!([
            {"const": "value1", "title": first},
            {"const": "value2", "title": "Second"},
            {"const": "value3", "title": "Third"},
        ])
    };
    let plain = json!(["option1", "option2", "option3"]);
    json!({
        "untitledSingle": {"type": "string", "enum": plain},
        "titledSingle": {"type": "string", "oneOf": titled("First Option")},
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": plain}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled("First Choice")}},
    })
}

/// A request for a form to be filled in.
fn form(message: &str, properties: &Value, required: &[&str]) -> Value {
    let schema = json!({"type": "object", "properties": properties, "required": required});
    json!({"method": "elicitation/create", "params": {"message": message, "requestedSchema": schema}})
}

/// A request for a form with one field.
fn elicitation(message: &str, field: &str, kind: &str) -> Value {
    form(message, &json!({field: {"type": kind}}), &[field])
}

/// A request to ask the client's model.
fn sampling(prompt: &str, tokens: u32) -> Value {
    let message = json!({"role": "user", "content": {"type": "text", "text": prompt}});
    json!({"method": "sampling/createMessage", "params": {"messages": [message], "maxTokens": tokens}})
}

/// What a client of an older era answers to a request of ours.
async fn ask(context: &RequestContext<RoleServer>, request: Value) -> Outcome<Value> {
    let request: ServerRequest = shaped(request)?;
    let answer = context.peer.send_request(request).await.map_err(|error| failed(&error))?;
    serde_json::to_value(answer).map_err(|error| failed(&error))
}

/// How a form came back.
fn outcome(answer: &Value) -> String {
    format!("action={}, content={}", answer["action"].as_str().unwrap_or_default(), answer["content"])
}

/// The field of a form that came with a request.
fn answered(responses: Option<&InputResponses>, key: &str, field: &str) -> Option<String> {
    responses?.get(key)?.get("content")?.get(field)?.as_str().map(str::to_owned)
}

/// A result that asks for input, and a state that is to come back with it.
fn required(wanted: Value, state: Option<&str>) -> Outcome<InputRequiredResult> {
    let state = state.map(|state| format!("{state} {:x}", KEY.hash_one(state)));
    Ok(InputRequiredResult::new(Some(shaped(wanted)?), state))
}

/// A state that came back as it went.
fn opened(state: &str) -> Outcome<String> {
    let signed = state.split_once(' ').filter(|(state, sign)| *sign == format!("{:x}", KEY.hash_one(state)));
    let (state, _) = signed.ok_or_else(|| ErrorData::invalid_params("this state is not as it went", None))?;
    Ok(state.to_owned())
}

fn said(text: &str) -> Outcome<CallToolResponse> {
    complete_call(json!({"content": [{"type": "text", "text": text}]}))
}

fn complete_call(mut result: Value) -> Outcome<CallToolResponse> {
    result["resultType"] = "complete".into();
    shaped::<rmcp::model::CallToolResult>(result).map(Into::into)
}

fn shaped<T: DeserializeOwned>(value: Value) -> Outcome<T> {
    serde_json::from_value(value).map_err(|error| failed(&error))
}

fn failed(error: &dyn std::fmt::Display) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}
