//! The contexts of sessions, as callers see them. They are no matter of the dispatcher: it only says which
//! session is meant, and the rest happens on threads beside the runtime.

use super::Orchestrator;
use crate::clock;
use crate::engine::context::{self, Reader};
pub use crate::engine::context::{Compressed, Compression};
use crate::error::{Error, ErrorCode, Result};
use crate::id::SessionId;
use crate::model::{ContextMessage, ContextRole, ContextStrategy, ContextTotals};
use crate::store::Contexts;
use crate::term::essence::essence;
use crate::term::tokens::estimate_tokens;

/// How often a change is tried again that another one overtook.
const TRIES: usize = 10;

/// Which part of a context is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContextQuery {
    /// Only the last so many messages.
    pub recent: Option<usize>,
    /// Of these at most so many tokens: instructions first, then the latest.
    pub max_tokens: Option<u64>,
    /// Every message as it came, also what compressions left out.
    pub original: bool,
}

/// A part of a session's context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextPart {
    /// Whose it is.
    pub session: SessionId,
    /// What was wanted of it, in its order.
    pub messages: Vec<ContextMessage>,
    /// All of it, counted.
    pub totals: ContextTotals,
}

/// What texts say, as a terminal's.
struct Texts;

impl Reader for Texts {
    fn essence(&self, text: &str, neighbours: usize) -> Option<String> {
        essence(text, neighbours)
    }

    fn tokens(&self, text: &str) -> u64 {
        estimate_tokens(text) as u64
    }
}

impl Orchestrator {
    /// Adds a message to a session's context; its tokens are estimated unless they are given. Returns it
    /// as it is kept, and the totals.
    pub async fn add_context(
        &self,
        session: &str,
        role: ContextRole,
        mut content: String,
        tokens: Option<u64>,
    ) -> Result<(SessionId, ContextMessage, ContextTotals)> {
        let access = self.access(session).await?;
        access.secrets.blot(&mut content);
        let tokens = tokens.unwrap_or_else(|| Texts.tokens(&content));
        let session = access.session.id;
        self.contexts(move |contexts| {
            let (message, totals) = attempt(|| {
                let (before, all_bytes) = contexts.totals(&session)?;
                let said = (content.clone(), tokens);
                let (message, totals) = context::add(&before, all_bytes, role, said, clock::now().wall)?;
                let is_written = contexts.write(&session, std::slice::from_ref(&message), &totals)?;
                Ok(is_written.then_some((message, totals)))
            })?;
            Ok((session, message, totals))
        })
        .await
    }

    /// Gives a session that was just made the context of another.
    pub(super) async fn copy_context(&self, of: SessionId, to: SessionId) -> Result<()> {
        self.contexts(move |contexts| contexts.copy(&of, &to)).await
    }

    /// A part of a session's context.
    pub async fn context(&self, session: &str, query: ContextQuery) -> Result<ContextPart> {
        let session = self.access(session).await?.session.id;
        self.contexts(move |contexts| {
            let (totals, mut messages) = contexts.read(&session)?;
            messages.retain(|message| query.original || message.left().is_some());
            let cost = |message: &ContextMessage| match message.left() {
                Some((_, tokens)) if !query.original => tokens,
                Some(_) | None => message.tokens,
            };
            let costs: Vec<_> = messages.iter().map(|message| (message.role, cost(message))).collect();
            let wanted = context::select(&costs, query.recent, query.max_tokens);
            let mut messages: Vec<Option<ContextMessage>> = messages.into_iter().map(Some).collect();
            let messages = wanted.into_iter().filter_map(|index| messages[index].take()).collect();
            Ok(ContextPart { session, messages, totals })
        })
        .await
    }

    /// Compresses a session's context; a summary's tokens are estimated. Returns the totals before, and
    /// what came of it.
    pub async fn compress_context(
        &self,
        session: &str,
        strategy: ContextStrategy,
        keep_recent: usize,
        mut summary: Option<String>,
    ) -> Result<(SessionId, ContextTotals, Compressed)> {
        let access = self.access(session).await?;
        if let Some(summary) = &mut summary {
            access.secrets.blot(summary);
        }
        let summary = summary.map(|summary| {
            let tokens = Texts.tokens(&summary);
            (summary, tokens)
        });
        let compression = Compression { strategy, keep_recent, summary };
        let session = access.session.id;
        self.contexts(move |contexts| {
            let (before, done) = attempt(|| {
                let (before, messages) = contexts.read(&session)?;
                let now = clock::now().wall;
                let done = context::compress(&before, &messages, compression.clone(), &Texts, now);
                let is_done =
                    done.changed.is_empty() || contexts.write(&session, &done.changed, &done.totals)?;
                Ok(is_done.then_some((before, done)))
            })?;
            Ok((session, before, done))
        })
        .await
    }

    /// Sees something through that is done to the contexts in the store.
    async fn contexts<T: Send + 'static>(
        &self,
        what: impl FnOnce(&mut Contexts) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let directory = self.inner.settings.state_dir.clone();
        let done = self.inner.tasks.spawn_blocking(move || what(&mut Contexts::open(&directory)?));
        done.await.unwrap_or_else(|error| {
            Err(Error::new(ErrorCode::Internal, format!("a context was not looked at: {error}")))
        })
    }
}

/// Tries until no other change comes in between.
fn attempt<T>(mut change: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    for _ in 0..TRIES {
        if let Some(done) = change()? {
            return Ok(done);
        }
    }
    Err(Error::new(ErrorCode::Overloaded, "the context is being changed by too many others")
        .with_hint("try again in a second"))
}
