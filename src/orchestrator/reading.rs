//! Reading a session's output: excerpts, raw bytes, the screen. Never through the dispatcher.

use std::sync::Arc;

use super::dispatcher::Access;
use super::output::Output;
use super::{Orchestrator, OutputQuery, RawOutput, ScreenShot};
use crate::error::{Error, ErrorCode, Result};
use crate::id::{CommandId, SessionId};
use crate::limits;
use crate::model::Command;
use crate::term::excerpt::{self, Excerpt, Lines, Query};
use crate::term::recognise::{Recognition, recognise};
use crate::term::screen;

/// Laying out more than this is done beside the runtime, so that other calls are served meanwhile.
const INLINE_BYTES: u64 = 256 << 10;

/// Lines shown around each match.
const CONTEXT_LINES: usize = 0;

/// A part of a session's output, and whether more may be appended to it.
struct Range {
    from: u64,
    to: u64,
    grows: bool,
}

impl Orchestrator {
    /// A part of a session's output as text.
    pub async fn output(&self, session: &SessionId, query: OutputQuery) -> Result<Excerpt> {
        let access = self.access(session.as_str()).await?;
        let range = self.range(&access, query.command.as_ref(), query.since).await?;
        let output = access.output;
        let size = output.size();
        let query = Query {
            from: range.from,
            to: range.to,
            page: query.page,
            lines: query.tail_lines.map(Lines::Tail),
            range: query.range,
            grep: query.grep,
            context: CONTEXT_LINES,
            errors_only: query.errors_only,
            condense: query.condense,
            budget_tokens: query.budget_tokens,
            more_may_follow: range.grows,
            rows: size.rows,
            cols: size.cols,
        };
        let lay_out = move || {
            let excerpt = excerpt::excerpt(&query, |from, to, max| output.read(from, to, max));
            if let Some(savings) = excerpt.condensed {
                output.count_savings(savings);
            }
            excerpt
        };
        beside(range.to - range.from, lay_out).await
    }

    /// What a known tool says in the output of a command.
    pub async fn recognised(&self, command: &Command) -> Result<Option<Recognition>> {
        let (Some(from), Some(to)) = (command.output_from, command.output_to) else { return Ok(None) };
        let output = self.access(command.session.as_str()).await?.output;
        let (size, line) = (output.size(), command.text.clone());
        let read = move |from, to, max| output.read(from, to, max);
        beside(to - from, move || recognise(&line, (from, to), (size.rows, size.cols), read)).await
    }

    /// Raw bytes of a session's output, at most `max`: the first from a cursor on, or the last.
    pub async fn raw_output(
        &self,
        session: &SessionId,
        command: Option<&CommandId>,
        since: Option<u64>,
        max: usize,
    ) -> Result<RawOutput> {
        let access = self.access(session.as_str()).await?;
        let range = self.range(&access, command, since).await?;
        let output = access.output;
        let from = match since {
            Some(_) => range.from,
            None => range.from.max(range.to.saturating_sub(max as u64)),
        };
        let chunk = output.read(from, range.to, max);
        Ok(RawOutput {
            from: chunk.from,
            bytes: chunk.bytes,
            asked: (range.from, range.to),
            readable_from: range.from.max(output.oldest()).min(chunk.from),
        })
    }

    /// What the session's terminal shows.
    pub async fn screen(&self, session: &SessionId) -> Result<ScreenShot> {
        let output = self.access(session.as_str()).await?.output;
        let size = output.size();
        let to = output.end();
        let bytes = read_all(&output, to.saturating_sub(limits::OUTPUT_RING as u64), to);
        let start = screen::replay_start(&bytes);
        let screen = screen::replay(&bytes[start..], size.rows, size.cols);
        Ok(ScreenShot {
            lines: screen.lines,
            rows: size.rows,
            cols: size.cols,
            cursor_row: screen.cursor_row,
            cursor_col: screen.cursor_col,
            title: screen.title,
            alternate: screen.alternate,
            cursor: to,
        })
    }

    async fn range(&self, access: &Access, command: Option<&CommandId>, since: Option<u64>) -> Result<Range> {
        let output = &access.output;
        let (first, to, grows) = match command {
            // What is gone from behind a cursor was dropped, and is reported as such.
            None => (since.map_or_else(|| output.oldest(), |_| 0), output.end(), true),
            Some(id) => {
                let command = match &access.last_command {
                    Some(last) if last.id == *id => last.clone(),
                    _ => self.command(id.as_str()).await?.borrow().clone(),
                };
                match (command.output_from, command.output_to) {
                    (Some(from), Some(to)) => (from, to, false),
                    (Some(from), None) => (from, output.end(), true),
                    (None, _) => (output.end(), output.end(), !command.is_ended()),
                }
            }
        };
        // A cursor from elsewhere is not an error: what lies behind it is empty, or begins later.
        let from = since.map_or(first, |since| since.max(first)).min(to);
        Ok(Range { from, to, grows })
    }
}

/// Does what takes long for so many bytes beside the runtime.
pub(super) async fn beside<T: Send + 'static>(
    bytes: u64,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    if bytes <= INLINE_BYTES {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::new(ErrorCode::Internal, format!("laying out the output failed: {error}")))
}

pub(super) fn read_all(output: &Arc<Output>, from: u64, to: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut at = from;
    while at < to {
        let chunk = output.read(at, to, limits::OUTPUT_RING);
        if chunk.bytes.is_empty() {
            break;
        }
        at = chunk.end();
        bytes.extend(chunk.bytes);
    }
    bytes
}
