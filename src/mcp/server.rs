//! The protocol's side of the choke point: what rmcp asks is passed on to [`Surface`], and what comes
//! back is given the protocol's form. Both eras that rmcp serves go through here.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CancelTaskParams, CompleteRequestParams, CompleteResult,
    CreateTaskResult, CustomRequest, CustomResult, DetailedTask, DiscoverResult, ErrorCode as ProtocolCode,
    GetPromptRequestParams, GetPromptResponse, GetTaskParams, GetTaskResult, Implementation, JsonObject,
    ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
    PaginatedRequestParams, ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse,
    ServerCapabilities, ServerConfig, SubscribeRequestParams, SubscriptionFilter, TaskPayload, Tool,
    UnsubscribeRequestParams, UpdateTaskParams,
};
use rmcp::service::{RequestContext, SubscriptionContext};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::Value;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::answer::{protocol_error, tool_result};
use super::arguments::shortened;
use super::call::{Call, Reporter};
use super::completion;
#[cfg(feature = "conformance")]
use super::conformance;
use super::instructions::instructions;
use super::notices::Notices;
use super::prompt;
use super::protocol_task::{self, Followed};
use super::resource::updates::Subscriptions;
use super::resource::{self, Address};
use super::surface::{Origin, Surface};
use crate::error::{Error, ErrorCode};
use crate::limits;

/// Requests whose parameters do not fit rmcp's types arrive as custom ones: what each takes.
const PARAMETERS: [(&str, &str); 7] = [
    ("resources/read", "uri"),
    ("resources/subscribe", "uri"),
    ("resources/unsubscribe", "uri"),
    ("prompts/get", "name, arguments"),
    (
        "completion/complete",
        "ref: {type: ref/prompt, name} or {type: ref/resource, uri}, argument: {name, value}",
    ),
    ("logging/setLevel", "level: debug, info, notice, warning, error, critical, alert or emergency"),
    ("subscriptions/listen", "notifications: {resourceSubscriptions}"),
];

/// Requests that the newer era does not have.
const OLDER: [&str; 3] = ["resources/subscribe", "resources/unsubscribe", "logging/setLevel"];

/// One connection.
pub(crate) struct Server {
    surface: Surface,
    notices: Arc<Notices>,
    subscriptions: Arc<Subscriptions>,
    _gone: DropGuard,
}

impl Server {
    /// What serves one connection, and what tells its client of events and changes for as long as that is
    /// polled and the connection is there.
    pub(crate) fn new(surface: Surface) -> (Self, BoxFuture<'static, ()>) {
        let (notices, subscriptions) = (Arc::new(Notices::new()), Arc::new(Subscriptions::new()));
        let gone = CancellationToken::new();
        let server = Self {
            surface: surface.clone(),
            notices: Arc::clone(&notices),
            subscriptions: Arc::clone(&subscriptions),
            _gone: gone.clone().drop_guard(),
        };
        let telling = async move {
            let both = async { tokio::join!(notices.follow(&surface), subscriptions.follow(&surface)) };
            gone.run_until_cancelled(both).await;
        };
        (server, Box::pin(telling))
    }

    async fn serve(
        &self,
        name: &str,
        arguments: Option<JsonObject>,
        context: RequestContext<RoleServer>,
    ) -> Result<rmcp::model::CallToolResult, ErrorData> {
        self.surface.tool(name).map_err(|error| ErrorData::invalid_params(error.message, None))?;
        let reporter =
            context.meta.get_progress_token().map(|token| Reporter { peer: context.peer.clone(), token });
        let patience = if reporter.is_some() { limits::TALKING_WAIT } else { limits::SILENT_WAIT };
        let origin = Origin { id: context.id, cancelled: context.ct, reporter, patience };
        Ok(tool_result(self.surface.call(name, arguments, origin).await))
    }

    /// Begins a call whose result the client asks for later.
    async fn begin(
        &self,
        name: &str,
        arguments: JsonObject,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        self.surface.tool(name).map_err(|error| ErrorData::invalid_params(error.message, None))?;
        let origin = Origin {
            id: context.id.clone(),
            cancelled: context.ct.clone(),
            reporter: None,
            patience: limits::SILENT_WAIT,
        };
        let answer = match self.surface.call(name, Some(arguments), origin).await {
            Ok(answer) => answer,
            Err(error) => return Ok(tool_result(Err(error)).into()),
        };
        let Some(begun) = Followed::begun(&answer) else { return Ok(tool_result(Ok(answer)).into()) };
        let state = self.admit("tasks/get", context, async |call| begun.state(&call).await).await?;
        // The client asks for the rest, and may find that it is over already.
        let task = DetailedTask::new(state.task, TaskPayload::Working).task;
        Ok(CreateTaskResult::new(task).into())
    }

    /// Serves a request about a protocol task.
    async fn followed<T>(
        &self,
        what: &'static str,
        handle: &str,
        context: RequestContext<RoleServer>,
        work: impl AsyncFnOnce(&Followed, &Call) -> Result<T, Error>,
    ) -> Result<T, ErrorData> {
        let followed = Followed::of(handle);
        self.admit(what, context, async |call| {
            // What is not offered cannot be stopped either.
            if !self.surface.offers(followed.tool()) {
                return Err(protocol_task::unknown(handle));
            }
            work(&followed, &call).await.map_err(|error| match error.code {
                ErrorCode::CommandNotFound | ErrorCode::RunNotFound => protocol_task::unknown(handle),
                _ => error,
            })
        })
        .await
    }

    /// Serves what is no tool.
    async fn admit<T>(
        &self,
        what: &'static str,
        context: RequestContext<RoleServer>,
        work: impl AsyncFnOnce(Arc<Call>) -> Result<T, Error>,
    ) -> Result<T, ErrorData> {
        let (id, cancelled) = (context.id, context.ct);
        let origin = Origin { id, cancelled, reporter: None, patience: limits::SILENT_WAIT };
        self.surface.admit(what, origin, work).await.map_err(|error| protocol_error(&error))
    }
}

/// Lists that fit one page know no cursor.
fn one_page(request: Option<PaginatedRequestParams>) -> Result<(), ErrorData> {
    match request.and_then(|request| request.cursor) {
        None => Ok(()),
        Some(cursor) => {
            let message = format!("this list has one page, and no cursor '{}'", shortened(&cursor));
            Err(ErrorData::invalid_params(message, None))
        }
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        #[expect(deprecated, reason = "clients of the older era are sent log messages")]
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_prompts()
            .enable_completions()
            .enable_resources()
            .enable_resources_subscribe()
            .enable_logging()
            .enable_tasks()
            .build();
        ServerConfig::new(capabilities)
            .with_server_info(
                Implementation::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
                    .with_title("shellherd"),
            )
            .with_instructions(instructions(|tool| self.surface.offers(tool)))
    }

    /// The newer era has no log messages.
    async fn discover(&self, _: RequestContext<RoleServer>) -> Result<DiscoverResult, ErrorData> {
        let mut config = self.get_info();
        config.capabilities.logging = None;
        let versions = self.supported_protocol_versions().into_owned();
        Ok(DiscoverResult::from_server_info(versions, config))
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        one_page(request)?;
        // The list is long: a client that does not read its answers gets no more of them.
        self.surface.traffic().may_answer(&context.id).await;
        let tools = self.surface.offered().iter().map(|offered| offered.published.clone());
        #[cfg(feature = "conformance")]
        let tools = tools.chain(conformance::list_tools());
        Ok(ListToolsResult::with_all_items(tools.collect()))
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
        #[cfg(feature = "conformance")]
        let request = conformance::stand_in(&self.surface, &request).await.unwrap_or(request);
        #[cfg(feature = "conformance")]
        if let Some(response) = conformance::call_tool(&request, &context).await {
            return response;
        }
        let is_followed = context.client_capabilities().is_some_and(|client| client.supports_tasks());
        if is_followed
            && let Some(arguments) = protocol_task::followable(&request.name, request.arguments.as_ref())
        {
            return self.begin(&request.name, arguments, context).await;
        }
        self.serve(&request.name, request.arguments, context).await.map(CallToolResponse::from)
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        self.followed("tasks/get", &request.task_id, context, async |followed, call| {
            followed.state(call).await
        })
        .await
        .map(GetTaskResult::new)
    }

    /// Nothing here asks the client for input: whatever it gives is of no use, and that is no mistake.
    async fn update_task(
        &self,
        request: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.followed("tasks/update", &request.task_id, context, async |followed, call| {
            followed.state(call).await.map(drop)
        })
        .await
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.followed("tasks/cancel", &request.task_id, context, async |followed, call| {
            followed.cancel(call).await
        })
        .await
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let cursor = request.and_then(|request| request.cursor);
        let listed = self
            .admit("resources/list", context, async |call| {
                resource::list::list(&call, cursor.as_deref()).await
            })
            .await;
        #[cfg(feature = "conformance")]
        let listed = listed.and_then(conformance::list_resources);
        listed
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        one_page(request)?;
        let listed = ListResourceTemplatesResult::with_all_items(resource::templates());
        #[cfg(feature = "conformance")]
        let listed = conformance::list_templates(listed)?;
        Ok(listed)
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        #[cfg(feature = "conformance")]
        if let Some(resource) = conformance::read(&request.uri) {
            return resource.map(ReadResourceResponse::from);
        }
        let address = Address::parse(&request.uri)?;
        self.admit("resources/read", context, async |call| {
            resource::read::read(&call, &request.uri, &address).await
        })
        .await
        .map(ReadResourceResponse::from)
    }

    async fn list_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        one_page(request)?;
        let listed = ListPromptsResult::with_all_items(prompt::list(&self.surface));
        #[cfg(feature = "conformance")]
        let listed = conformance::list_prompts(listed)?;
        Ok(listed)
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        #[cfg(feature = "conformance")]
        if let Some(prompt) = conformance::get_prompt(&request) {
            return prompt;
        }
        let arguments = request.arguments.unwrap_or_default();
        self.admit("prompts/get", context, async |_| prompt::get(&self.surface, &request.name, arguments))
            .await
            .map(GetPromptResponse::from)
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        #[cfg(feature = "conformance")]
        if let Some(completed) = conformance::complete(&request) {
            return completed;
        }
        self.admit("completion/complete", context, async |call| {
            let names = completion::names(&self.surface, &request.r#ref, &request.argument)?;
            completion::complete(&call, names, &request.argument.value).await
        })
        .await
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        #[cfg(feature = "conformance")]
        if conformance::watches(&request.uri) {
            return Ok(());
        }
        let address = Address::parse(&request.uri)?;
        let peer = context.peer.clone();
        self.admit("resources/subscribe", context, async |_| {
            self.subscriptions.subscribe(&self.surface, request.uri, address, peer).await
        })
        .await
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        #[cfg(feature = "conformance")]
        if conformance::watches(&request.uri) {
            return Ok(());
        }
        Address::parse(&request.uri)?;
        self.subscriptions.unsubscribe(&request.uri);
        Ok(())
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(self.subscriptions.accepted(requested))
    }

    async fn listen(&self, stream: SubscriptionContext) -> Result<(), ErrorData> {
        self.subscriptions.stream(&self.surface, &stream).await.map_err(|error| protocol_error(&error))
    }

    /// A tool call whose arguments are not an object does not fit rmcp's type and arrives here.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let is_gone = is_modern(&context) && OLDER.contains(&request.method.as_str());
        if let Some((method, takes)) = PARAMETERS.iter().find(|(method, _)| *method == request.method)
            && !is_gone
        {
            let message = format!("the parameters do not fit: {method} takes {{{takes}}}");
            return Err(ErrorData::invalid_params(message, None));
        }
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
mod tests;
