//! `shellherd call`: calls in a server of their own, one after the other, which goes down with them.

use std::io::Read;
use std::process::ExitCode;

use serde_json::{Map, Value};

use super::{Failure, Flags, Outcome, in_runtime, log_to_stderr, print, surface};
use crate::error::{Error, ErrorCode};
use crate::limits;
use crate::mcp::{Selection, Signals, Surface, error_json};

/// One tool call of the command line.
struct Planned {
    tool: String,
    arguments: Map<String, Value>,
}

pub(super) fn call(words: &[String], flags: Flags) -> Outcome {
    let config = flags.resolve()?;
    log_to_stderr(&config.log)?;
    let calls = planned(words)?;
    in_runtime(async {
        let mut signals = Signals::new()?;
        let surface = surface(config, false, &Selection::everything());
        let outcome = tokio::select! {
            outcome = make(&surface, calls) => outcome,
            () = signals.any() => Err(Error::new(ErrorCode::ShuttingDown, "interrupted").into()),
        };
        surface.orchestrator().shutdown().await;
        outcome
    })?
}

/// Makes the calls in order, and stops at the first that fails.
async fn make(surface: &Surface, calls: Vec<Planned>) -> Outcome {
    for Planned { tool, arguments } in calls {
        let (shown, failed) = match surface.call_directly(&tool, Some(arguments)).await {
            Ok(answer) => (answer.structured, answer.failed),
            Err(error) => (error_json(&error), true),
        };
        print(&format!("{shown:#}"))?;
        if failed {
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Names of tools, each with its arguments behind it if it has any.
fn planned(words: &[String]) -> Result<Vec<Planned>, Failure> {
    let mut calls: Vec<Planned> = Vec::new();
    let mut takes_arguments = false;
    for word in words {
        let is_object = word == "-" || word.trim_start().starts_with('{');
        match calls.last_mut() {
            Some(call) if is_object && takes_arguments => {
                call.arguments = if word == "-" { object(&read_stdin()?)? } else { object(word)? };
                takes_arguments = false;
            }
            _ if is_object => {
                let message = format!("the arguments {word} do not follow the name of a tool");
                return Err(Error::invalid(message).into());
            }
            _ => {
                calls.push(Planned { tool: word.clone(), arguments: Map::new() });
                takes_arguments = true;
            }
        }
    }
    Ok(calls)
}

fn read_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    let most = u64::try_from(limits::MESSAGE_BYTES).unwrap_or(u64::MAX);
    std::io::stdin().lock().take(most).read_to_string(&mut text)?;
    Ok(text)
}

fn object(text: &str) -> Result<Map<String, Value>, Failure> {
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_str(text).map_err(|error| {
        Failure::Refused(Error::invalid(format!("the arguments must be a JSON object: {error}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(words: &[&str]) -> Option<Vec<(String, usize)>> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let calls = planned(&words).ok()?;
        Some(calls.into_iter().map(|call| (call.tool, call.arguments.len())).collect())
    }

    #[test]
    fn tools_are_followed_by_their_arguments() {
        let two = plan(&["session_create", r#"{"name": "a"}"#, "session_list"]);
        assert_eq!(two, Some(vec![("session_create".into(), 1), ("session_list".into(), 0)]));
        assert_eq!(plan(&[r"{}"]), None);
        assert_eq!(plan(&["session_list", "{}", "{}"]), None);
        assert_eq!(plan(&["session_list", "{nonsense"]), None);
    }
}
