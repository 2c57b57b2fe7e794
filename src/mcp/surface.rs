//! The choke point: every call, from whatever connection, takes a permit here, has its arguments
//! read, is cut off from the others' panics, and ends when it is cancelled or the server goes down.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use rmcp::model::RequestId;
use serde_json::{Map, Value};
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::absent::{self, Absent};
use super::answer::Answer;
use super::arguments::{Reader, nearest, shortened};
use super::call::{Call, Defaults, Reporter};
use super::tool::{Offered, Tool, offer};
use super::tools::all;
use super::toolset::Selection;
use super::traffic::Traffic;
use crate::error::{Error, ErrorCode, Result};
use crate::limits;
use crate::orchestrator::Orchestrator;

/// All tools in front of one orchestrator. Cheap to clone.
#[derive(Clone)]
pub struct Surface {
    shared: Arc<Shared>,
    /// What is under way on the one connection that this handle is of.
    traffic: Arc<Traffic>,
}

struct Shared {
    orchestrator: Orchestrator,
    defaults: Arc<Defaults>,
    tools: Vec<&'static Tool>,
    absent: Absent,
    offered: OnceLock<Vec<Offered>>,
    permits: Arc<Semaphore>,
    open: AtomicUsize,
    closing: CancellationToken,
}

/// Where a call comes from.
pub(crate) struct Origin {
    pub(crate) id: RequestId,
    /// Cancelled when the caller does not want the answer any more.
    pub(crate) cancelled: CancellationToken,
    pub(crate) reporter: Option<Reporter>,
    /// How long the caller waits for a call that names no time.
    pub(crate) patience: Duration,
}

/// Counts a call for as long as it is open.
struct Open<'a>(&'a AtomicUsize);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Surface {
    /// The selected tools in front of `orchestrator`.
    pub fn new(orchestrator: Orchestrator, defaults: Defaults, selection: &Selection) -> Self {
        Self::with_tools(orchestrator, defaults, selection.tools())
    }

    pub(crate) fn with_tools(
        orchestrator: Orchestrator,
        defaults: Defaults,
        tools: Vec<&'static Tool>,
    ) -> Self {
        let absent = Absent::where_offered(|name| tools.iter().any(|tool| tool.name == name));
        Self {
            shared: Arc::new(Shared {
                orchestrator,
                defaults: Arc::new(defaults),
                tools,
                absent,
                offered: OnceLock::new(),
                permits: Arc::new(Semaphore::new(limits::CALLS_AT_ONCE)),
                open: AtomicUsize::new(0),
                closing: CancellationToken::new(),
            }),
            traffic: Arc::default(),
        }
    }

    /// The same tools for another connection, whose requests have ids of their own.
    pub(crate) fn for_another_connection(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), traffic: Arc::default() }
    }

    /// The handle behind the tools.
    pub fn orchestrator(&self) -> &Orchestrator {
        &self.shared.orchestrator
    }

    pub(crate) fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// Every tool with its schemas, which are made when they are first asked for.
    pub(crate) fn offered(&self) -> &[Offered] {
        self.shared.offered.get_or_init(|| self.shared.tools.iter().copied().map(offer).collect())
    }

    /// Whether there is a tool of this name. Makes no schemas.
    pub(crate) fn offers(&self, name: &str) -> bool {
        self.shared.tools.iter().any(|tool| tool.name == name)
    }

    /// The tool of this name; the error names the nearest one.
    pub(crate) fn tool(&self, name: &str) -> Result<&Offered> {
        self.offered().iter().find(|offered| offered.tool.name == name).ok_or_else(|| {
            if all().any(|tool| tool.name == name) {
                return Error::invalid(format!(
                    "tool {} is not offered: --toolsets or --read-only leaves it out",
                    absent::placed(name)
                ));
            }
            let nearest = nearest(name, self.shared.tools.iter().map(|tool| tool.name));
            let meant = nearest.map_or_else(String::new, |name| format!("; did you mean '{name}'?"));
            Error::invalid(format!("unknown tool '{}'{meant}", shortened(name)))
        })
    }

    /// Ends all calls; later ones are refused.
    pub(crate) fn close(&self) {
        self.shared.closing.cancel();
    }

    /// Returns when that was done.
    pub(crate) async fn closed(&self) {
        self.shared.closing.cancelled().await;
    }

    /// Makes one call without a connection; dropping the future is cancelling the call.
    pub async fn call_directly(&self, name: &str, arguments: Option<Map<String, Value>>) -> Result<Answer> {
        let origin = Origin {
            id: RequestId::Number(0),
            cancelled: CancellationToken::new(),
            reporter: None,
            patience: limits::LONGEST_WAIT,
        };
        self.call(name, arguments, origin).await
    }

    /// Serves one call of a tool.
    pub(crate) async fn call(
        &self,
        name: &str,
        arguments: Option<Map<String, Value>>,
        origin: Origin,
    ) -> Result<Answer> {
        let offered = self.tool(name)?;
        let tool = offered.tool;
        let answer = self
            .admit(tool.name, origin, async |call| {
                let reader = Reader { tool: tool.name, schema: &offered.full };
                (tool.run)(&call, reader.read(arguments)?).await
            })
            .await?;
        Ok(self.shared.absent.marked(answer))
    }

    /// Serves whatever may take its time. `what` names it in the log.
    pub(crate) async fn admit<T>(
        &self,
        what: &'static str,
        origin: Origin,
        work: impl AsyncFnOnce(Arc<Call>) -> Result<T>,
    ) -> Result<T> {
        let shared = &*self.shared;
        let open = shared.open.fetch_add(1, Ordering::Relaxed);
        let _open = Open(&shared.open);
        if open >= limits::CALLS_AT_ONCE + limits::CALLS_WAITING {
            return Err(Error::new(ErrorCode::Overloaded, format!("{open} calls are open already"))
                .with_hint("wait for answers before calling again"));
        }
        let span = tracing::info_span!("call", what, id = %origin.id);
        let (cancelled, closing) = (origin.cancelled.clone(), &shared.closing);
        let served = AssertUnwindSafe(self.serve(origin, work)).catch_unwind();
        async {
            tokio::select! {
                biased;
                () = closing.cancelled() => {
                    Err(Error::new(ErrorCode::ShuttingDown, "the server is going down"))
                }
                // Nobody reads this answer. What was committed stays.
                () = cancelled.cancelled() => Err(Error::new(ErrorCode::Internal, "the call was cancelled")),
                served = served => served.unwrap_or_else(|panic| Err(defect(panic.as_ref()))),
            }
        }
        .instrument(span)
        .await
        .map_err(|error| shared.absent.marked_error(error))
    }

    async fn serve<T>(&self, origin: Origin, work: impl AsyncFnOnce(Arc<Call>) -> Result<T>) -> Result<T> {
        let shared = &*self.shared;
        let permit = Arc::clone(&shared.permits).acquire_owned().await.ok();
        tracing::debug!("served");
        let call = Arc::new(Call {
            orchestrator: shared.orchestrator.clone(),
            defaults: Arc::clone(&shared.defaults),
            reporter: origin.reporter,
            patience: origin.patience,
            permits: Arc::clone(&shared.permits),
            permit: Mutex::new(permit),
            traffic: Arc::clone(&self.traffic),
            id: origin.id,
        });
        let outcome = work(Arc::clone(&call)).await;
        // A client that does not read its answers gets no more of them: the permit is kept until there is room.
        self.traffic.may_answer(&call.id).await;
        outcome
    }
}

/// A panic of a handler, told to the caller by an id that stands in the log.
fn defect(panic: &(dyn std::any::Any + Send)) -> Error {
    let error_id = format!("err_{}", &uuid::Uuid::new_v4().simple().to_string()[..10]);
    let text = panic.downcast_ref::<&str>().copied();
    let message = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    tracing::error!(error_id, message, "a call panicked");
    Error::new(ErrorCode::Internal, format!("the server failed at this call ({error_id})"))
        .with_hint("the server goes on; its log on stderr says more under this error_id")
        .with_details(serde_json::json!({"error_id": error_id}))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::PathBuf;

    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    use super::super::schema;
    use super::super::tool::Effect;
    use super::*;
    use crate::model::TerminalSize;
    use crate::orchestrator::Settings;

    #[derive(Deserialize, JsonSchema)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct FakeArguments {
        behaviour: String,
    }

    #[derive(Serialize, JsonSchema)]
    struct FakeResult {
        done: bool,
    }

    /// Does as it is told: answers, panics, or never ends.
    pub(crate) const FAKE: Tool = Tool {
        name: "fake_tool",
        title: "Fake",
        description: "Does as it is told.",
        effect: Effect::Reads,
        input: schema::of_arguments::<FakeArguments>,
        output: schema::of_result::<FakeResult>,
        run: |call, arguments| {
            Box::pin(async move {
                let FakeArguments { behaviour } = super::super::arguments::typed(arguments)?;
                match behaviour.as_str() {
                    "panic" => panic!("as told"),
                    "hang" => std::future::pending::<()>().await,
                    "wait" => {
                        let session = crate::id::SessionId::from_text("ses_fake");
                        call.wait(
                            std::future::pending::<()>(),
                            super::super::call::Watched::Output(&session, None),
                        )
                        .await;
                    }
                    _ => {}
                }
                Answer::new("done", &FakeResult { done: true })
            })
        },
    };

    pub(crate) fn surface() -> Surface {
        let settings = Settings {
            state_dir: PathBuf::from("/nowhere"),
            program: PathBuf::from("/nowhere"),
            shell: None,
            max_concurrent: limits::MAX_CONCURRENT,
            attended: false,
            cleanup_after: None,
            command_timeout: limits::COMMAND_TIMEOUT,
            recovery: crate::model::RecoverySettings::DEFAULT,
            sample_every: limits::SAMPLE_EVERY,
            stale_after: limits::STALE_AFTER,
            health_interval: limits::HEALTH_EVERY,
            cgroup: false,
            redact: Vec::new(),
        };
        let defaults = Defaults {
            shell: None,
            size: TerminalSize::default(),
            recovery: crate::model::RecoverySettings::DEFAULT,
            agent_command: String::new(),
            result_tokens: limits::RESULT_TOKENS,
        };
        Surface::with_tools(Orchestrator::new(settings), defaults, vec![&FAKE])
    }

    async fn call(surface: &Surface, behaviour: &str) -> Result<Answer> {
        let arguments = Map::from_iter([("behaviour".to_owned(), behaviour.into())]);
        surface.call_directly("fake_tool", Some(arguments)).await
    }

    #[tokio::test]
    async fn a_panic_is_one_failed_call() {
        let surface = surface();
        let error = call(&surface, "panic").await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Internal);
        assert!(error.details.unwrap()["error_id"].as_str().unwrap().starts_with("err_"));
        assert_eq!(call(&surface, "answer").await.unwrap().text, "done");
    }

    #[tokio::test]
    async fn an_unknown_tool_and_an_unknown_field_name_the_nearest() {
        let surface = surface();
        let error = surface.call_directly("fake_tol", None).await.unwrap_err();
        assert_eq!(error.message, "unknown tool 'fake_tol'; did you mean 'fake_tool'?");
        let arguments = Map::from_iter([("behavior".to_owned(), "x".into())]);
        let error = surface.call_directly("fake_tool", Some(arguments)).await.unwrap_err();
        assert_eq!(error.message, "unknown field 'behavior' for fake_tool; did you mean 'behaviour'?");
    }

    /// Keeps `count` calls open that were told `behaviour`, while `then` runs.
    async fn with_open<T>(
        surface: &Surface,
        behaviour: &str,
        count: usize,
        then: impl Future<Output = T>,
    ) -> T {
        let mut calls: futures_util::stream::FuturesUnordered<_> =
            (0..count).map(|_| call(surface, behaviour)).collect();
        tokio::select! {
            biased;
            ended = futures_util::StreamExt::next(&mut calls) => panic!("{ended:?}"),
            result = then => result,
        }
    }

    #[tokio::test]
    async fn waiting_calls_do_not_keep_others_from_being_served() {
        let surface = surface();
        let answer = with_open(&surface, "wait", limits::CALLS_AT_ONCE + 1, call(&surface, "answer")).await;
        assert_eq!(answer.unwrap().text, "done");
    }

    #[tokio::test]
    async fn working_calls_make_others_wait_and_then_refuse_them() {
        let surface = surface();
        let soon = tokio::time::timeout(Duration::from_millis(50), call(&surface, "answer"));
        assert!(with_open(&surface, "hang", limits::CALLS_AT_ONCE, soon).await.is_err());
        let full = limits::CALLS_AT_ONCE + limits::CALLS_WAITING;
        let refused = with_open(&surface, "hang", full, call(&surface, "answer")).await;
        assert_eq!(refused.unwrap_err().code, ErrorCode::Overloaded);
        assert!(call(&surface, "answer").await.is_ok());
    }

    #[tokio::test]
    async fn closing_ends_the_calls_that_wait() {
        let surface = surface();
        let hanging = call(&surface, "hang");
        tokio::pin!(hanging);
        assert!((&mut hanging).now_or_never().is_none());
        surface.close();
        assert_eq!(hanging.await.unwrap_err().code, ErrorCode::ShuttingDown);
    }
}
