//! Line framing between the client's pipes and rmcp. rmcp's own transport drops what it cannot parse
//! without a word, reads without bound while answers pile up, and lets a stray notification before
//! `initialize` end the server. This one answers every line it refuses, with the request's id where
//! one can be made out, and stops reading while too much is under way. Knows JSON-RPC, no tool.

mod oversized;

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use rmcp::RoleServer;
use rmcp::model::{CallToolRequest, ClientRequest, GetMeta, JsonRpcMessage, JsonRpcRequest, ProtocolVersion};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio_util::sync::CancellationToken;

use super::malformed::{Envelope, Refusal};
use super::traffic::Traffic;
use crate::limits;
use oversized::Oversized;

/// Bytes read, and written, at once.
const PIECE_BYTES: usize = 64 << 10;
/// A buffer that grew beyond this is given back after use.
const KEPT_BYTES: usize = 1 << 20;

/// One client on a pair of pipes.
pub(crate) struct Lines<R, W> {
    reader: BufReader<R>,
    line: Vec<u8>,
    /// What is kept of a line that is too long and is being skipped.
    skipped: Option<Oversized>,
    /// A refusal is queued and perhaps not yet written.
    flushing: bool,
    /// The client has chosen its protocol era; before, rmcp ends on anything but a request.
    begun: bool,
    ended: bool,
    writer: Arc<Writer<W>>,
    traffic: Arc<Traffic>,
    end_of_input: CancellationToken,
}

struct Writer<W> {
    queue: Mutex<VecDeque<Vec<u8>>>,
    sink: tokio::sync::Mutex<Sink<W>>,
}

struct Sink<W> {
    pipe: W,
    /// What is being written, and how much of it is. Kept here so that a cancelled write is continued.
    current: Vec<u8>,
    done: usize,
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    fn push(&self, bytes: Vec<u8>, traffic: &Traffic) {
        traffic.queued(bytes.len());
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).push_back(bytes);
    }

    /// The next answers in the queue, as one piece of moderate size.
    fn take(&self) -> Vec<u8> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let mut piece = queue.pop_front().unwrap_or_default();
        while let Some(next) = queue.front()
            && piece.len() + next.len() <= PIECE_BYTES
        {
            piece.extend_from_slice(next);
            queue.pop_front();
        }
        piece
    }

    fn is_empty(&self) -> bool {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Sees to it that the queue is written: by itself, or by whoever is writing already. A client that
    /// does not read thus costs the bytes it leaves unread, and not a waiting task for each answer.
    async fn drain(&self, traffic: &Traffic) -> io::Result<()> {
        while !self.is_empty() {
            // Whoever holds the sink looks at the queue again after it has let go of it.
            let Ok(mut sink) = self.sink.try_lock() else { return Ok(()) };
            self.write(&mut sink, traffic).await?;
        }
        Ok(())
    }

    /// Writes all that is queued, and what was being written when a writer was dropped.
    async fn finish(&self, traffic: &Traffic) -> io::Result<()> {
        let mut sink = self.sink.lock().await;
        self.write(&mut sink, traffic).await
    }

    /// May be dropped at any await: the next call continues.
    async fn write(&self, sink: &mut Sink<W>, traffic: &Traffic) -> io::Result<()> {
        loop {
            if sink.done == sink.current.len() {
                sink.current = self.take();
                sink.done = 0;
                if sink.current.is_empty() {
                    return sink.pipe.flush().await;
                }
            }
            let written = sink.pipe.write(&sink.current[sink.done..]).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            sink.done += written;
            traffic.written(written);
        }
    }
}

/// What a read brought.
enum Piece {
    Line,
    TooLong(Value),
    More,
    End,
}

impl<R: AsyncRead + Unpin + Send, W: AsyncWrite + Unpin + Send + 'static> Lines<R, W> {
    /// A transport over `reader` and `writer`. `end_of_input` is cancelled when the client sends no more.
    pub(crate) fn new(reader: R, writer: W, traffic: Arc<Traffic>, end_of_input: CancellationToken) -> Self {
        Self {
            reader: BufReader::with_capacity(PIECE_BYTES, reader),
            line: Vec::new(),
            skipped: None,
            flushing: false,
            begun: false,
            ended: false,
            writer: Arc::new(Writer {
                queue: Mutex::new(VecDeque::new()),
                sink: tokio::sync::Mutex::new(Sink { pipe: writer, current: Vec::new(), done: 0 }),
            }),
            traffic,
            end_of_input,
        }
    }

    /// Takes one step towards a whole line. May be dropped at its await.
    async fn piece(&mut self) -> Piece {
        let available = match self.reader.fill_buf().await {
            Ok(available) => available,
            Err(error) => {
                tracing::error!(%error, "the client's pipe cannot be read");
                &[]
            }
        };
        if available.is_empty() {
            // A last line without its newline is a line.
            return self.skipped.take().map_or(Piece::End, |skipped| Piece::TooLong(skipped.id()));
        }
        let newline = memchr::memchr(b'\n', available);
        let length = newline.map_or(available.len(), |position| position + 1);
        let piece = &available[..length];
        if self.skipped.is_none() && self.line.len() + length > limits::MESSAGE_BYTES {
            self.skipped = Some(Oversized::new(&std::mem::take(&mut self.line)));
        }
        match &mut self.skipped {
            Some(skipped) => skipped.extend(piece),
            None => self.line.extend_from_slice(piece),
        }
        self.reader.consume(length);
        match (newline, self.skipped.take()) {
            (Some(_), Some(skipped)) => Piece::TooLong(skipped.id()),
            (Some(_), None) => Piece::Line,
            (None, skipped) => {
                self.skipped = skipped;
                Piece::More
            }
        }
    }

    fn refuse(&mut self, refusal: &Refusal) {
        let mut bytes = refusal.to_json().into_bytes();
        bytes.push(b'\n');
        self.writer.push(bytes, &self.traffic);
        self.flushing = true;
    }

    /// The message in the line, or nothing when it is refused or of no interest.
    fn parse(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        let bytes = self.line.len();
        let parsed = parse_line(&self.line);
        if self.line.capacity() > KEPT_BYTES {
            self.line = Vec::new();
        } else {
            self.line.clear();
        }
        let message = match parsed {
            Ok(message) => message?,
            Err(refusal) => {
                self.refuse(&refusal);
                return None;
            }
        };
        match &message {
            JsonRpcMessage::Request(request) => {
                if !self.traffic.opened(&request.id, bytes) {
                    let id = request.id.clone().into_json_value();
                    self.refuse(&Refusal::of_request(id, "another request with this id is still open"));
                    return None;
                }
                self.begun = self.begun || begins(&request.request);
                Some(message)
            }
            JsonRpcMessage::Notification(notification) => {
                if let rmcp::model::ClientNotification::CancelledNotification(cancelled) =
                    &notification.notification
                    && let Some(id) = &cancelled.params.request_id
                {
                    self.traffic.closed(id);
                }
                self.begun.then_some(message)
            }
            JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_) => self.begun.then_some(message),
        }
    }
}

/// Whether rmcp takes this request as the client's choice of a protocol era.
fn begins(request: &ClientRequest) -> bool {
    match request {
        ClientRequest::InitializeRequest(_) => true,
        ClientRequest::PingRequest(_) | ClientRequest::DiscoverRequest(_) => false,
        other => {
            let meta = other.get_meta();
            meta.missing_required_keys(&ProtocolVersion::V_2026_07_28).is_empty()
                && meta
                    .protocol_version()
                    .is_some_and(|version| ProtocolVersion::KNOWN_VERSIONS.contains(&version))
        }
    }
}

fn parse_line(line: &[u8]) -> Result<Option<RxJsonRpcMessage<RoleServer>>, Refusal> {
    let line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line).trim_ascii();
    if line.is_empty() {
        return Ok(None);
    }
    // Most lines are calls, and rmcp's own type tries everything else first.
    if memchr::memmem::find(line, b"tools/call").is_some()
        && let Ok(call) = serde_json::from_slice::<JsonRpcRequest<CallToolRequest>>(line)
    {
        let request = ClientRequest::CallToolRequest(call.request);
        return Ok(Some(JsonRpcMessage::Request(JsonRpcRequest::new(call.id, request))));
    }
    let error = match serde_json::from_slice::<RxJsonRpcMessage<RoleServer>>(line) {
        Ok(message) => return Ok(Some(message)),
        Err(error) => error,
    };
    let envelope = Envelope::of(line);
    if let Some(method) = envelope.notification() {
        tracing::debug!(method, %error, "a notification that cannot be read is left out");
        return Ok(None);
    }
    Err(Refusal::of(envelope, &error))
}

impl<R, W> Transport<RoleServer> for Lines<R, W>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send + 'static,
{
    type Error = io::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let (writer, traffic) = (Arc::clone(&self.writer), Arc::clone(&self.traffic));
        async move {
            let mut bytes = serde_json::to_vec(&message)?;
            bytes.push(b'\n');
            writer.push(bytes, &traffic);
            match &message {
                JsonRpcMessage::Response(response) => traffic.closed(&response.id),
                JsonRpcMessage::Error(error) => error.id.iter().for_each(|id| traffic.closed(id)),
                JsonRpcMessage::Request(_) | JsonRpcMessage::Notification(_) => {}
            }
            drop(message);
            writer.drain(&traffic).await
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            if self.flushing {
                if let Err(error) = self.writer.finish(&self.traffic).await {
                    tracing::debug!(%error, "the client does not take answers any more");
                }
                self.flushing = false;
            }
            if self.ended {
                // rmcp takes an end of input as an end of the connection, and answers that are still
                // being made would come late. The server ends it, by its token.
                self.end_of_input.cancel();
                std::future::pending::<()>().await;
            }
            self.traffic.may_read().await;
            match self.piece().await {
                Piece::More => {}
                Piece::Line => {
                    if let Some(message) = self.parse() {
                        return Some(message);
                    }
                }
                Piece::TooLong(id) => {
                    let most = limits::MESSAGE_BYTES;
                    self.refuse(&Refusal::of_request(id, format!("this line is longer than {most} bytes")));
                }
                Piece::End => {
                    self.ended = true;
                    // A last line without its newline is a line.
                    if let Some(message) = self.parse() {
                        return Some(message);
                    }
                }
            }
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        self.writer.finish(&self.traffic).await
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, duplex};

    use super::*;

    const PING: &str = r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#;
    const NOTE: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

    /// What rmcp gets to see of `input`, and what the transport answers by itself.
    async fn check(input: impl Into<Vec<u8>>) -> (Vec<RxJsonRpcMessage<RoleServer>>, String) {
        let input: Vec<u8> = input.into();
        let (client, mut answers) = duplex(1 << 20);
        let end = CancellationToken::new();
        let mut lines = Lines::new(input.as_slice(), client, Arc::default(), end.clone());
        let mut messages = Vec::new();
        loop {
            tokio::select! {
                biased;
                message = lines.receive() => messages.extend(message),
                () = end.cancelled() => break,
            }
        }
        drop(lines);
        let mut answered = String::new();
        answers.read_to_string(&mut answered).await.unwrap();
        (messages, answered)
    }

    #[tokio::test]
    async fn a_last_line_needs_no_newline() {
        let (messages, answered) = check(PING).await;
        assert_eq!(messages.len(), 1);
        assert_eq!(answered, "");
    }

    #[tokio::test]
    async fn garbage_is_answered_and_the_next_line_is_read() {
        for garbage in ["nonsense", "{\"jsonrpc\":", "[]", "5", "\u{0}\u{1}"] {
            let (messages, answered) = check(format!("\r\n{garbage}\n{PING}\n")).await;
            assert_eq!(messages.len(), 1, "{garbage}");
            assert!(answered.contains("\"id\":null"), "{garbage}: {answered}");
        }
        let (messages, answered) = check([b"\xff\xfe\n".as_slice(), PING.as_bytes()].concat()).await;
        assert_eq!((messages.len(), answered.lines().count()), (1, 1));
    }

    #[tokio::test]
    async fn deep_nesting_is_refused_under_the_requests_own_id() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let line = format!(r#"{{"jsonrpc":"2.0","method":"tools/call","params":{deep},"id":"a"}}"#);
        let (messages, answered) = check(format!("{line}\n{PING}\n")).await;
        assert_eq!(messages.len(), 1);
        assert!(answered.contains("\"id\":\"a\""), "{answered}");
    }

    #[tokio::test]
    async fn a_line_beyond_the_bound_is_skipped() {
        let long = "x".repeat(limits::MESSAGE_BYTES + 1);
        let (messages, answered) = check(format!("{long}\n{PING}\n")).await;
        assert_eq!(messages.len(), 1);
        assert_eq!(answered.lines().count(), 1);
        assert!(answered.contains("longer than") && answered.contains("\"id\":null"), "{answered}");
        let (messages, answered) = check(format!(r#"{{"id":"q","params":"{long}"}}"#)).await;
        assert!(messages.is_empty() && answered.contains("\"id\":\"q\""), "{answered}");
    }

    #[tokio::test]
    async fn an_id_that_is_still_open_is_refused() {
        let (messages, answered) = check(format!("{PING}\n{PING}\n")).await;
        assert_eq!(messages.len(), 1);
        assert!(answered.contains("still open"), "{answered}");
    }

    #[tokio::test]
    async fn a_notification_before_the_beginning_is_left_out() {
        let (messages, answered) = check(format!("{NOTE}\n{PING}\n")).await;
        assert!(matches!(messages.as_slice(), [JsonRpcMessage::Request(_)]));
        assert_eq!(answered, "");
    }
}
