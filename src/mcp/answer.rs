//! What a call gives back, in both forms that clients show to a model: a text, and structured content.
//! Each alone is complete. An error is a text only. Knows no tool.

use rmcp::ErrorData;
use rmcp::model::{CallToolResult, ContentBlock};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::error::{Error, ErrorCode, Result};
use crate::term::excerpt::Savings;
use crate::term::tokens::estimate_tokens;

/// The result of a tool.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// For readers of text.
    pub text: String,
    /// For readers of JSON; fits the tool's output schema.
    pub structured: Value,
    /// Whether what was asked for was done and ended badly: a command that failed.
    pub failed: bool,
}

/// That a text is condensed, and what it saved: the fields of every result that has one.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Saved {
    /// Folded lines can be had by their numbers: `session_output` with range.
    condensed: bool,
    /// Estimate for the whole output as plain text
    raw_tokens: usize,
    tokens: usize,
}

impl Saved {
    /// The same in words.
    pub(crate) fn fact(&self) -> String {
        format!("condensed from {} to {} tokens", self.raw_tokens, self.tokens)
    }
}

impl From<Savings> for Saved {
    fn from(Savings { raw_tokens, tokens }: Savings) -> Self {
        Self { condensed: true, raw_tokens, tokens }
    }
}

impl Answer {
    /// What was asked for.
    pub(crate) fn new(text: impl Into<String>, result: &impl Serialize) -> Result<Self> {
        let structured = serde_json::to_value(result).map_err(|error| {
            Error::new(ErrorCode::Internal, format!("the result could not be written: {error}"))
        })?;
        Ok(Self { text: text.into(), structured, failed: false })
    }

    /// What it costs its reader, whichever form that is shown.
    pub(crate) fn tokens(&self) -> usize {
        estimate_tokens(&self.text).max(json_tokens(&self.structured))
    }

    /// The same, of a command that failed.
    #[must_use]
    pub(crate) fn failed_if(mut self, failed: bool) -> Self {
        self.failed = failed;
        self
    }
}

/// The error as JSON, in the shape that every caller knows.
pub fn error_json(error: &Error) -> Value {
    let mut shape = Map::new();
    shape.insert("code".to_owned(), error.code.as_str().into());
    shape.insert("message".to_owned(), error.message.clone().into());
    if let Some(hint) = &error.hint {
        shape.insert("hint".to_owned(), hint.clone().into());
    }
    if error.code.is_retryable() {
        shape.insert("retryable".to_owned(), true.into());
    }
    if let Some(details) = &error.details {
        shape.insert("details".to_owned(), details.clone());
    }
    json!({ "error": shape })
}

/// The protocol's form of an outcome.
pub(crate) fn tool_result(outcome: Result<Answer>) -> CallToolResult {
    match outcome {
        Ok(answer) => {
            let mut result = CallToolResult::success(vec![ContentBlock::text(answer.text)]);
            result.structured_content = Some(answer.structured);
            result.is_error = Some(answer.failed);
            result
        }
        Err(error) => CallToolResult::error(vec![ContentBlock::text(error_json(&error).to_string())]),
    }
}

/// The protocol's form of an error outside of tools. What is not there has a code of its own.
pub(crate) fn protocol_error(error: &Error) -> ErrorData {
    let message = match &error.hint {
        Some(hint) => format!("{} ({hint})", error.message),
        None => error.message.clone(),
    };
    let data = Some(error_json(error)["error"].take());
    let is = |codes: &[ErrorCode]| codes.contains(&error.code);
    if is(&[ErrorCode::SessionNotFound, ErrorCode::RunNotFound, ErrorCode::AmbiguousName]) {
        ErrorData::resource_not_found(message, data)
    } else if is(&[ErrorCode::InvalidArgument, ErrorCode::LimitExceeded]) {
        ErrorData::invalid_params(message, data)
    } else {
        ErrorData::internal_error(message, data)
    }
}

/// For `skip_serializing_if`: results leave out what says nothing.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What a part of a result costs as JSON.
pub(crate) fn json_tokens(part: &impl Serialize) -> usize {
    serde_json::to_string(part).map_or(usize::MAX, |text| estimate_tokens(&text))
}

/// How many of the parts, from the first on, fit a budget of tokens together.
pub(crate) fn fitting<'a, T: Serialize + 'a>(parts: impl IntoIterator<Item = &'a T>, budget: usize) -> usize {
    let mut left = budget;
    let fitting = parts.into_iter().map(json_tokens).take_while(|tokens| {
        let fits = *tokens <= left;
        left = left.saturating_sub(*tokens);
        fits
    });
    fitting.count()
}

/// A duration as a person reads it.
pub(crate) fn spoken(milliseconds: u64) -> String {
    match milliseconds {
        0..1_000 => format!("{milliseconds} ms"),
        1_000..60_000 => format!("{}.{} s", milliseconds / 1_000, milliseconds % 1_000 / 100),
        _ => format!("{} min {} s", milliseconds / 60_000, milliseconds % 60_000 / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_json_text_without_structured_content() {
        let error = Error::new(ErrorCode::Overloaded, "full").with_hint("wait");
        let result = tool_result(Err(error));
        assert_eq!(result.is_error, Some(true));
        assert_eq!(result.structured_content, None);
        let [block] = result.content.as_slice() else { panic!("{:?}", result.content) };
        let text = &block.as_text().unwrap().text;
        assert_eq!(
            serde_json::from_str::<Value>(text).unwrap(),
            json!({"error": {"code": "overloaded", "message": "full", "hint": "wait", "retryable": true}})
        );
    }

    #[test]
    fn durations_are_spoken_in_the_unit_that_fits() {
        assert_eq!(spoken(4), "4 ms");
        assert_eq!(spoken(1_234), "1.2 s");
        assert_eq!(spoken(125_000), "2 min 5 s");
    }
}
