//! Serves one client over a pair of pipes until it goes away or the server is told to end, and takes
//! everything down in time. Knows no tool.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::server::Server;
use super::surface::Surface;
use super::transport::Lines;
use crate::limits;

/// After the end of input, how long calls may go on to their answers: scripts write all they have and
/// close the pipe. Clients that want the server gone send SIGTERM, which cuts this short.
const DRAIN: Duration = Duration::from_millis(250);
/// How long the last answers may take to be written.
pub(super) const LAST_WORDS: Duration = Duration::from_millis(40);

/// Serves a client on stdin and stdout. Returns when all is down.
pub async fn serve(surface: Surface) -> io::Result<()> {
    let mut signals = Signals::new()?;
    let (reader, writer) = rmcp::transport::stdio_pipes();
    serve_pipes(surface, reader, writer, signals.any()).await;
    Ok(())
}

/// The signals that end the server.
pub struct Signals {
    all: [Signal; 3],
    /// Held, so that a limit on the size of files is an error like that of a full disk, and not the end.
    _file_size: Signal,
}

impl Signals {
    /// Takes the signals over from their default, which is to end at once.
    pub fn new() -> io::Result<Self> {
        let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
        let [terminate, interrupt, hangup] = kinds.map(signal);
        let file_size = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?;
        Ok(Self { all: [terminate?, interrupt?, hangup?], _file_size: file_size })
    }

    /// Returns when one of them comes.
    pub async fn any(&mut self) {
        let [terminate, interrupt, hangup] = &mut self.all;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

pub(crate) async fn serve_pipes(
    surface: Surface,
    reader: impl AsyncRead + Send + Unpin + 'static,
    writer: impl AsyncWrite + Send + Unpin + 'static,
    told_to_end: impl Future<Output = ()>,
) {
    let end_of_input = CancellationToken::new();
    let connection = CancellationToken::new();
    let traffic = surface.traffic().clone();
    let lines = Lines::new(reader, writer, traffic.clone(), end_of_input.clone());
    let (server, telling) = Server::new(surface.clone());
    let mut serving = Box::pin(async {
        match rmcp::service::serve_server_with_ct(server, lines, connection.clone()).await {
            Ok(running) => {
                tokio::select! {
                    ended = running.waiting() => if let Err(error) = ended {
                        tracing::error!(%error, "the connection's task failed");
                    },
                    () = telling => {}
                }
            }
            Err(error) => tracing::debug!(%error, "the connection ended before it began"),
        }
    });
    tokio::pin!(told_to_end);

    let mut is_serving = true;
    tokio::select! {
        () = &mut serving => is_serving = false,
        () = &mut told_to_end => {}
        () = async {
            end_of_input.cancelled().await;
            let _ = tokio::time::timeout(DRAIN, traffic.idle()).await;
        } => {}
    }
    surface.close();
    let down = async {
        surface.orchestrator().shutdown().await;
        // The calls that were cut off say so, as far as the client still reads.
        let _ = tokio::time::timeout(LAST_WORDS, traffic.idle()).await;
        connection.cancel();
    };
    if is_serving {
        let both = async { tokio::join!(down, serving) };
        let _ = tokio::time::timeout(limits::LONGEST_SHUTDOWN + 2 * LAST_WORDS, both).await;
    } else {
        down.await;
    }
}
