//! `compareWith`: only what changed since the last run of the same line, as a part of a result.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CommandView, failure};
use crate::error::Result;
use crate::mcp::answer::{Answer, is_default};
use crate::model::Command;
use crate::orchestrator::comparing::Compared;
use crate::term::excerpt::Excerpt;
use crate::term::tokens::estimate_tokens;

/// What to compare with.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Baseline {
    Previous,
}

/// A command's result, and what its output was compared with.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Executed {
    #[serde(flatten)]
    pub(super) command: CommandView,
    #[serde(flatten)]
    pub(super) comparison: Option<Comparison>,
}

#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Comparison {
    /// The run since which output shows what changed: - gone, + new.
    #[serde(skip_serializing_if = "is_default")]
    compared_with: String,
    #[serde(skip_serializing_if = "is_default")]
    changed_lines: u64,
    /// Why output is the ordinary one.
    #[serde(skip_serializing_if = "is_default")]
    not_compared: &'static str,
}

impl Comparison {
    /// What to tell of it, and what to show in place of the output if that fits the budget.
    pub(super) fn of(
        compared: &Compared,
        command: &Command,
        budget_tokens: usize,
    ) -> (Self, Option<Excerpt>) {
        let (earlier, changes) = match compared {
            Compared::Not(reason) => return (Self { not_compared: reason, ..Self::default() }, None),
            Compared::With(earlier, changes) => (earlier, changes),
        };
        let changed_lines = changes.changed_lines;
        if estimate_tokens(&changes.text) > budget_tokens {
            let not_compared = "what changed does not fit";
            return (Self { changed_lines, not_compared, ..Self::default() }, None);
        }
        let excerpt = Excerpt {
            text: changes.text.clone(),
            cursor: command.output_to.unwrap_or_default(),
            total_lines: changes.total_lines,
            omitted_lines: changes.omitted_lines,
            truncated: changes.omitted_lines > 0,
            omitted_from: command.output_from.filter(|_| changes.omitted_lines > 0),
            ..Excerpt::default()
        };
        (Self { compared_with: earlier.to_string(), changed_lines, ..Self::default() }, Some(excerpt))
    }

    /// The same in words.
    fn text(&self) -> String {
        if self.not_compared.is_empty() {
            format!("[{} lines changed since {}]\n", self.changed_lines, self.compared_with)
        } else {
            format!("[not compared: {}]\n", self.not_compared)
        }
    }
}

impl Executed {
    pub(super) fn answer(&self, command: &Command) -> Result<Answer> {
        let compared = self.comparison.as_ref().map(Comparison::text).unwrap_or_default();
        let text = compared + &self.command.text(command);
        Ok(Answer::new(text, self)?.failed_if(failure(command).is_some()))
    }
}
