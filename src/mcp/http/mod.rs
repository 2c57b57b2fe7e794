//! Serves any number of clients over HTTP on this machine, before one engine, until told to end. What
//! comes is checked here: how large it is, and who sends it; rmcp knows the protocol. Knows no tool.

mod sessions;
mod token;

use std::convert::Infallible;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rmcp::model::ClientJsonRpcMessage;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::malformed::{Envelope, Refusal};
use super::serve::{LAST_WORDS, Signals};
use super::server::Server;
use super::surface::Surface;
use crate::error::{Error, Result};
use crate::limits;
use sessions::Sessions;
pub use token::Token;

/// Where the endpoint is.
const PATH: &str = "/mcp";
/// What it takes.
const JSON: &str = "application/json";
/// Bodies are counted in pieces of this size.
const PIECE_BYTES: usize = 1 << 10;

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// Where a server listens, and for whom it opens.
#[derive(Debug)]
pub struct Door {
    address: SocketAddr,
    token: Token,
}

impl Door {
    /// A door at an address like `127.0.0.1:8640`; port 0 takes any that is free.
    ///
    /// # Errors
    /// `invalid_argument` for what is no such address, or one that others than this machine can reach.
    pub fn new(address: &str, token: Token) -> Result<Self> {
        let wrong = |why: &str| {
            Error::invalid(format!("http: '{address}' {why}"))
                .with_hint("give an address of this machine, like 127.0.0.1:0 or [::1]:8640")
        };
        let address: SocketAddr = address.parse().map_err(|_| wrong("is not an IP address with a port"))?;
        if address.ip().is_loopback() {
            Ok(Self { address, token })
        } else {
            Err(wrong("could be reached from other machines, and whoever reaches it runs commands here"))
        }
    }

    /// Serves until a signal comes. Returns when all is down.
    pub async fn serve(self, surface: Surface) -> io::Result<()> {
        let mut signals = Signals::new()?;
        let listener = TcpListener::bind(self.address)
            .await
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", self.address)))?;
        let address = listener.local_addr()?;
        writeln!(io::stderr(), "shellherd: serving MCP at http://{address}{PATH}")?;
        if let Some(generated) = self.token.generated() {
            writeln!(io::stderr(), "shellherd: clients must send 'Authorization: Bearer {generated}'")?;
        }
        let tasks = TaskTracker::new();
        let closing = CancellationToken::new();
        let endpoint = Arc::new(Endpoint::new(&surface, address, self.token, &tasks));
        let sessions = Arc::clone(&endpoint.sessions);
        tokio::select! {
            () = signals.any() => {}
            () = accept(listener, &endpoint, &tasks, &closing) => {}
            () = sessions.close_idle() => {}
        }
        surface.close();
        closing.cancel();
        surface.orchestrator().shutdown().await;
        tasks.close();
        // The calls that were cut off say so; streams that only wait for news end after them.
        let _ = timeout(LAST_WORDS, tasks.wait()).await;
        endpoint.service.config.cancellation_token.cancel();
        let _ = timeout(LAST_WORDS, tasks.wait()).await;
        Ok(())
    }
}

/// Takes connections for as long as it is polled.
async fn accept(
    listener: TcpListener,
    endpoint: &Arc<Endpoint>,
    tasks: &TaskTracker,
    closing: &CancellationToken,
) {
    let places = Arc::new(Semaphore::new(limits::HTTP_CONNECTIONS));
    loop {
        // The semaphore is never closed.
        let place = Arc::clone(&places).acquire_owned().await.ok();
        match listener.accept().await {
            Ok((stream, _)) => {
                let (endpoint, closing) = (Arc::clone(endpoint), closing.clone());
                tasks.spawn(async move {
                    converse(stream, endpoint, closing).await;
                    drop(place);
                });
            }
            Err(error) => {
                // Mostly there are no descriptors left; waiting is all that helps.
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(limits::NOTICES_PAUSE).await;
            }
        }
    }
}

/// Serves one connection to its end, or to the end of its present answer when the server is closing.
async fn converse(stream: TcpStream, endpoint: Arc<Endpoint>, closing: CancellationToken) {
    let _ = stream.set_nodelay(true);
    let answering = service_fn(move |request| {
        let endpoint = Arc::clone(&endpoint);
        async move { Ok::<_, Infallible>(endpoint.answer(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HTTP_HEAD_WAIT)
        .max_buf_size(limits::HTTP_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), answering);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}

/// What answers requests.
struct Endpoint {
    token: Token,
    /// Room for bodies that are being read.
    room: Semaphore,
    sessions: Arc<Sessions>,
    service: StreamableHttpService<Server, Sessions>,
}

impl Endpoint {
    fn new(surface: &Surface, address: SocketAddr, token: Token, tasks: &TaskTracker) -> Self {
        let (surface, tasks) = (surface.clone(), tasks.clone());
        let sessions = Arc::new(Sessions::new());
        let port = address.port();
        // A page from elsewhere in a browser on this machine is turned away, whatever name it gives us.
        let hosts = [address.to_string(), format!("localhost:{port}")];
        let origins = hosts.clone().map(|host| format!("http://{host}"));
        let config = StreamableHttpServerConfig::default()
            .with_allowed_hosts(hosts)
            .with_allowed_origins(origins)
            .with_max_request_body_bytes(limits::MESSAGE_BYTES);
        let serve_client = move || {
            let (server, telling) = Server::new(surface.for_another_connection());
            tasks.spawn(telling);
            Ok(server)
        };
        Self {
            token,
            room: Semaphore::new(limits::HTTP_BODIES_BYTES / PIECE_BYTES),
            sessions: Arc::clone(&sessions),
            service: StreamableHttpService::new(serve_client, sessions, config),
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        if request.uri().path() != PATH {
            return refusal(StatusCode::NOT_FOUND, format!("MCP is at {PATH}"));
        }
        if !self.token.is_in(request.headers()) {
            let mut answer = refusal(StatusCode::UNAUTHORIZED, "the bearer token is missing or wrong");
            answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return answer;
        }
        let (head, body) = request.into_parts();
        let body = match self.read(body).await {
            Ok(body) => body,
            Err(refusal) => return *refusal,
        };
        let is_farewell = head.method == Method::DELETE;
        let is_json = is_json(&head.headers);
        let mut answer = self.service.handle(Request::from_parts(head, Full::new(body.clone()))).await;
        // To rmcp what is no message is of another type, whatever the type says.
        if is_json && answer.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            return malformed(&body);
        }
        // The Python SDK takes rmcp's 202 for a failure to end the session.
        if is_farewell && answer.status() == StatusCode::ACCEPTED {
            *answer.status_mut() = StatusCode::NO_CONTENT;
        }
        answer
    }

    /// The whole body of a request.
    async fn read(&self, body: Incoming) -> std::result::Result<Bytes, Box<Answer>> {
        let most = limits::MESSAGE_BYTES;
        let too_large = || {
            Box::new(refusal(StatusCode::PAYLOAD_TOO_LARGE, format!("a message has at most {most} bytes")))
        };
        if body.size_hint().lower() > most as u64 {
            return Err(too_large());
        }
        let bytes = body.size_hint().upper().map_or(most, |bytes| usize::try_from(bytes).unwrap_or(most));
        let pieces = u32::try_from(bytes.min(most).div_ceil(PIECE_BYTES)).unwrap_or(u32::MAX);
        let reading = async {
            // The semaphore is never closed.
            let _room = self.room.acquire_many(pieces).await.ok();
            Limited::new(body, most).collect().await
        };
        match timeout(limits::HTTP_BODY_WAIT, reading).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
            Ok(Err(error)) => {
                Err(Box::new(refusal(StatusCode::BAD_REQUEST, format!("the body cannot be read: {error}"))))
            }
            Err(_) => Err(Box::new(refusal(StatusCode::REQUEST_TIMEOUT, "the body took too long"))),
        }
    }
}

/// Whether the body is said to be what this endpoint takes.
fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split_once(';').map_or(content_type, |(essence, _)| essence);
    essence.trim().eq_ignore_ascii_case(JSON)
}

/// What is said to JSON-RPC that cannot be read, in its own words.
fn malformed(body: &[u8]) -> Answer {
    let refused = match serde_json::from_slice::<ClientJsonRpcMessage>(body) {
        Ok(_) => Refusal::of_request(Value::Null, "this message cannot be taken"),
        Err(error) => Refusal::of(Envelope::of(body), &error),
    };
    let mut answer = refusal(StatusCode::BAD_REQUEST, refused.to_json());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    answer
}

/// An answer of a few words.
fn refusal(status: StatusCode, why: impl Into<String>) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(why.into())).boxed());
    *answer.status_mut() = status;
    answer
}
