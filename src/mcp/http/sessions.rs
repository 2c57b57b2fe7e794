//! MCP's own sessions over HTTP, of clients of the older protocol era: so many and no more, and none for
//! ever. rmcp holds them; what it lacks is a bound, and knowing that a client which listens is there.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_server::SessionManager;
use rmcp::transport::streamable_http_server::session::local::{
    LocalSessionManager, LocalSessionManagerError, SessionError,
};
use rmcp::transport::streamable_http_server::session::{ServerSseMessage, SessionId};
use tokio::time::Instant;

use crate::limits;

/// The sessions of one server.
pub(super) struct Sessions {
    held: LocalSessionManager,
    uses: Arc<Mutex<Uses>>,
}

type Outcome<T> = Result<T, LocalSessionManagerError>;

impl Sessions {
    pub(super) fn new() -> Self {
        let mut held = LocalSessionManager::default();
        // It counts a client that only listens as idle.
        held.session_config.keep_alive = None;
        Self { held, uses: Arc::default() }
    }

    /// Closes what nobody uses any more, for as long as it is polled.
    pub(super) async fn close_idle(&self) {
        loop {
            tokio::time::sleep(limits::HTTP_SWEEP).await;
            let idle = self.uses().idle(Instant::now(), limits::HTTP_IDLE);
            for id in idle {
                tracing::debug!("a client's session was idle for too long");
                if let Err(error) = self.close_session(&id).await {
                    tracing::debug!(%error, "a session was closed already");
                }
            }
        }
    }

    fn uses(&self) -> MutexGuard<'_, Uses> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stream, which is counted until it is dropped.
    fn counted<S>(&self, id: &SessionId, stream: S) -> impl Stream<Item = ServerSseMessage> + use<S>
    where
        S: Stream<Item = ServerSseMessage>,
    {
        self.uses().opened(id);
        let open = OpenStream { uses: Arc::clone(&self.uses), id: id.clone() };
        stream.map(move |message| {
            let _ = &open;
            message
        })
    }
}

impl SessionManager for Sessions {
    type Error = LocalSessionManagerError;
    type Transport = <LocalSessionManager as SessionManager>::Transport;

    async fn create_session(&self) -> Outcome<(SessionId, Self::Transport)> {
        let full = self.uses().known.len() >= limits::HTTP_SESSIONS;
        if full {
            let longest_idle = self.uses().longest_idle();
            let Some(longest_idle) = longest_idle else {
                let most = limits::HTTP_SESSIONS;
                let error = io::Error::other(format!("there are {most} clients, and all of them listen"));
                return Err(SessionError::Io(error).into());
            };
            self.close_session(&longest_idle).await?;
        }
        let (id, transport) = self.held.create_session().await?;
        self.uses().known.insert(id.clone(), Use { streams: 0, last: Instant::now() });
        Ok((id, transport))
    }

    async fn initialize_session(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Outcome<ServerJsonRpcMessage> {
        self.held.initialize_session(id, message).await
    }

    async fn has_session(&self, id: &SessionId) -> Outcome<bool> {
        self.held.has_session(id).await
    }

    async fn close_session(&self, id: &SessionId) -> Outcome<()> {
        self.uses().known.remove(id);
        self.held.close_session(id).await
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Outcome<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static> {
        Ok(self.counted(id, self.held.create_stream(id, message).await?))
    }

    async fn accept_message(&self, id: &SessionId, message: ClientJsonRpcMessage) -> Outcome<()> {
        self.uses().used(id);
        self.held.accept_message(id, message).await
    }

    async fn create_standalone_stream(
        &self,
        id: &SessionId,
    ) -> Outcome<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static> {
        Ok(self.counted(id, self.held.create_standalone_stream(id).await?))
    }

    async fn resume(
        &self,
        id: &SessionId,
        last_event_id: String,
    ) -> Outcome<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static> {
        Ok(self.counted(id, self.held.resume(id, last_event_id).await?))
    }
}

/// Who uses which session.
#[derive(Default)]
struct Uses {
    known: HashMap<SessionId, Use>,
}

struct Use {
    /// Answers and streams of news that the client has open.
    streams: usize,
    /// When it last sent something, or closed one of them.
    last: Instant,
}

impl Uses {
    fn opened(&mut self, id: &SessionId) {
        if let Some(session) = self.known.get_mut(id) {
            session.streams += 1;
        }
    }

    fn closed(&mut self, id: &SessionId) {
        if let Some(session) = self.known.get_mut(id) {
            session.streams = session.streams.saturating_sub(1);
            session.last = Instant::now();
        }
    }

    fn used(&mut self, id: &SessionId) {
        if let Some(session) = self.known.get_mut(id) {
            session.last = Instant::now();
        }
    }

    fn idle(&self, now: Instant, longest: Duration) -> Vec<SessionId> {
        let idle = |session: &Use| session.streams == 0 && now.duration_since(session.last) > longest;
        self.known.iter().filter(|(_, session)| idle(session)).map(|(id, _)| id.clone()).collect()
    }

    fn longest_idle(&self) -> Option<SessionId> {
        let idle = self.known.iter().filter(|(_, session)| session.streams == 0);
        idle.min_by_key(|(_, session)| session.last).map(|(id, _)| id.clone())
    }
}

/// Counts a stream for as long as it is open.
struct OpenStream {
    uses: Arc<Mutex<Uses>>,
    id: SessionId,
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner).closed(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_what_nobody_uses_is_idle() {
        let mut uses = Uses::default();
        let [one, two]: [SessionId; 2] = ["one".into(), "two".into()];
        for id in [&one, &two] {
            uses.known.insert(id.clone(), Use { streams: 0, last: Instant::now() });
        }
        uses.opened(&one);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(uses.idle(Instant::now(), Duration::from_secs(9)), std::slice::from_ref(&two));
        uses.used(&two);
        assert_eq!(uses.longest_idle(), Some(two.clone()), "the other one listens");
        uses.closed(&one);
        tokio::time::advance(Duration::from_secs(1)).await;
        uses.used(&two);
        assert_eq!(uses.longest_idle(), Some(one.clone()));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(uses.idle(Instant::now(), Duration::from_secs(10)), [one]);
    }

    #[tokio::test]
    async fn one_more_client_takes_the_place_of_the_one_that_is_away_for_the_longest() {
        let sessions = Sessions::new();
        let mut transports = Vec::new();
        let mut ids = Vec::new();
        for _ in 0..limits::HTTP_SESSIONS {
            let (id, transport) = sessions.create_session().await.unwrap();
            ids.push(id);
            transports.push(transport);
        }
        sessions.uses().opened(&ids[0]);
        let (newest, _transport) = sessions.create_session().await.unwrap();
        assert!(sessions.has_session(&newest).await.unwrap());
        assert!(sessions.has_session(&ids[0]).await.unwrap(), "it listens");
        assert!(!sessions.has_session(&ids[1]).await.unwrap());
        for id in ids[2..].iter().chain([&newest]) {
            sessions.uses().opened(id);
        }
        let Err(error) = sessions.create_session().await else { panic!("all listen") };
        assert!(error.to_string().contains("all of them listen"), "{error}");
    }
}
