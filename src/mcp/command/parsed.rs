//! What was recognised in a command's output, as a part of its result.

use std::fmt::Write;

use schemars::JsonSchema;
use serde::Serialize;

use crate::error::Result;
use crate::mcp::answer::{fitting, is_default, json_tokens};
use crate::mcp::call::Call;
use crate::model::Command;
use crate::term::recognise::{Problem, Recognition};

/// The part of a result that errors may take.
const SHARE: usize = 4;

/// Figures of a known tool; of what is not recognised there are none.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::mcp) struct Parsed {
    /// The tool.
    kind: &'static str,
    #[serde(skip_serializing_if = "is_default")]
    errors: Vec<ParsedError>,
    /// Errors behind these.
    #[serde(skip_serializing_if = "is_default")]
    omitted_errors: u64,
    #[serde(skip_serializing_if = "is_default")]
    warnings: u64,
    #[serde(skip_serializing_if = "is_default")]
    passed: u64,
    #[serde(skip_serializing_if = "is_default")]
    failed: u64,
    #[serde(skip_serializing_if = "is_default")]
    skipped: u64,
    /// Only a part of the output was there to be read.
    #[serde(skip_serializing_if = "is_default")]
    partial: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
struct ParsedError {
    #[serde(skip_serializing_if = "is_default")]
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u64>,
    message: String,
}

impl From<&Problem> for ParsedError {
    fn from(problem: &Problem) -> Self {
        let Problem { file, line, column, message } = problem.clone();
        Self { file, line, column, message }
    }
}

impl Parsed {
    /// As many of the errors as fit a share of the budget.
    fn within(found: &Recognition, budget_tokens: usize) -> Self {
        let all: Vec<ParsedError> = found.errors.iter().map(Into::into).collect();
        let mut errors = all.clone();
        errors.truncate(fitting(&all, budget_tokens / SHARE));
        Self {
            kind: found.kind,
            omitted_errors: found.omitted_errors + (all.len() - errors.len()) as u64,
            errors,
            warnings: found.warnings,
            passed: found.passed,
            failed: found.failed,
            skipped: found.skipped,
            partial: found.is_partial,
        }
    }

    /// The figures in words.
    pub(in crate::mcp) fn fact(&self) -> String {
        let errors = self.errors.len() as u64 + self.omitted_errors;
        let figures = [
            (errors, if errors == 1 { "error" } else { "errors" }),
            (self.warnings, if self.warnings == 1 { "warning" } else { "warnings" }),
            (self.passed, "passed"),
            (self.failed, "failed"),
            (self.skipped, "skipped"),
        ];
        let told = figures.iter().filter(|(number, _)| *number > 0);
        let told: Vec<String> = told.map(|(number, word)| format!("{number} {word}")).collect();
        let of = if self.partial { " (of a part of the output)" } else { "" };
        format!("{}: {}{of}", self.kind, told.join(", "))
    }

    /// The errors, a line each.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        self.errors.iter().map(|error| {
            let mut place = error.file.clone();
            for number in [error.line, error.column].into_iter().flatten() {
                let _ = write!(place, ":{number}");
            }
            if place.is_empty() { error.message.clone() } else { format!("{place}: {}", error.message) }
        })
    }
}

/// What there is to recognise in the output of a command that has ended.
pub(in crate::mcp) async fn recognised(call: &Call, command: &Command) -> Result<Option<Recognition>> {
    if !command.is_ended() || command.output_from == command.output_to {
        return Ok(None);
    }
    call.orchestrator.recognised(command).await
}

/// The same of each of several commands.
pub(super) async fn all_recognised(call: &Call, commands: &[Command]) -> Result<Vec<Option<Recognition>>> {
    let mut all = Vec::with_capacity(commands.len());
    for command in commands {
        all.push(recognised(call, command).await?);
    }
    Ok(all)
}

/// What a result tells of it within a budget, and what that leaves of the budget.
pub(in crate::mcp) fn parsed(found: Option<&Recognition>, budget_tokens: usize) -> (Option<Parsed>, usize) {
    let parsed = found.map(|found| Parsed::within(found, budget_tokens));
    let used = parsed.as_ref().map_or(0, json_tokens);
    (parsed, budget_tokens.saturating_sub(used))
}
