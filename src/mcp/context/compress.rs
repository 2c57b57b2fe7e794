//! `context_compress`: makes a session's context smaller.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Content;
use crate::error::Result;
use crate::limits;
use crate::mcp::answer::{Answer, is_default};
use crate::mcp::arguments::typed;
use crate::mcp::call::Call;
use crate::mcp::check;
use crate::mcp::schema;
use crate::mcp::tool::{Effect, Tool};
use crate::model::{ContextStrategy, ContextTotals};

pub(crate) const TOOL: Tool = Tool {
    name: "context_compress",
    title: "Compress a context",
    description: "Leaves out of a session's context what is older than its last messages, but not system messages, decisions \
        and errors, which are guessed from the wording: intelligent keeps the messages that have any (long ones cut to \
        the lines around), aggressive only the very lines. Your summary takes the place of what is left out, and of an \
        earlier summary. context_get {original: true} still gives everything.",
    effect: Effect::Sets,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Compressed>,
    run: |call, arguments| Box::pin(async move { compress(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    session_id: String,
    /// Default intelligent
    strategy: Option<Strategy>,
    /// Messages at the end that stay (default 10)
    #[schemars(range(max = limits::CONTEXT_MESSAGES))]
    keep_recent: Option<usize>,
    summary: Option<Content>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Strategy {
    Intelligent,
    Aggressive,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Compressed {
    session_id: String,
    before: Size,
    after: Size,
    /// Tokens after it by tokens before
    compression_ratio: f64,
    #[serde(skip_serializing_if = "is_default")]
    left_out: u64,
    /// Messages cut to some of their lines
    #[serde(skip_serializing_if = "is_default")]
    cut: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Size {
    message_count: u64,
    total_tokens: u64,
}

impl Size {
    fn of(totals: &ContextTotals) -> Self {
        Self { message_count: totals.left_messages, total_tokens: totals.left_tokens }
    }
}

/// In thousandths; 1 for nothing.
fn ratio(before: u64, after: u64) -> f64 {
    if before == 0 {
        return 1.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "millions of tokens")]
    let ratio = after as f64 / before as f64;
    (ratio * 1_000.0).round() / 1_000.0
}

async fn compress(call: &Call, arguments: Arguments) -> Result<Answer> {
    let strategy = match arguments.strategy {
        Some(Strategy::Intelligent) | None => ContextStrategy::Intelligent,
        Some(Strategy::Aggressive) => ContextStrategy::Aggressive,
    };
    let keep_recent = arguments.keep_recent.unwrap_or(limits::CONTEXT_RECENT);
    let summary = arguments.summary.map(|Content(text)| check::filled("summary", text)).transpose()?;
    let had_summary = summary.is_some();
    let compressing =
        call.orchestrator.compress_context(&arguments.session_id, strategy, keep_recent, summary);
    let (session, before, done) = compressing.await?;
    let compressed = Compressed {
        session_id: session.to_string(),
        before: Size::of(&before),
        after: Size::of(&done.totals),
        compression_ratio: ratio(before.left_tokens, done.totals.left_tokens),
        left_out: done.left_out,
        cut: done.cut,
    };
    let text = if done.changed.is_empty() {
        let unused = if had_summary { "; the summary was not added" } else { "" };
        format!("there is nothing to leave out of the {} tokens{unused}", before.left_tokens)
    } else {
        format!(
            "from {} messages of {} tokens to {} of {} (ratio {}): {} left out, {} cut",
            compressed.before.message_count,
            compressed.before.total_tokens,
            compressed.after.message_count,
            compressed.after.total_tokens,
            compressed.compression_ratio,
            compressed.left_out,
            compressed.cut
        )
    };
    Answer::new(text, &compressed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::float_cmp, reason = "rounded to these very numbers")]
    fn a_ratio_is_what_is_left() {
        assert_eq!(ratio(0, 0), 1.0);
        assert_eq!(ratio(3_000, 1_000), 0.333);
        assert_eq!(ratio(100, 150), 1.5, "a summary may cost more than it saves");
    }
}
