//! `shellherd call`: one call in a server of its own, which goes down with it.

use std::io::Read;
use std::process::ExitCode;

use serde_json::{Map, Value};

use super::{Failure, Flags, Outcome, in_runtime, log_to_stderr, print, surface};
use crate::error::{Error, ErrorCode};
use crate::limits;
use crate::mcp::{Signals, error_json};

pub(super) fn call(tool: &str, arguments: Option<&str>, flags: Flags) -> Outcome {
    let config = flags.resolve()?;
    log_to_stderr(&config.log)?;
    let arguments = match arguments {
        None => Map::new(),
        Some("-") => object(&read_stdin()?)?,
        Some(text) => object(text)?,
    };
    let outcome = in_runtime(async {
        let mut signals = Signals::new()?;
        let surface = surface(config);
        let outcome = tokio::select! {
            outcome = surface.call_directly(tool, Some(arguments)) => outcome,
            () = signals.any() => Err(Error::new(ErrorCode::ShuttingDown, "interrupted")),
        };
        if tokio::time::timeout(limits::SHUTDOWN, surface.orchestrator().shutdown()).await.is_err() {
            tracing::warn!("the shutdown was not complete in time");
        }
        Ok::<_, Failure>(outcome)
    })??;
    match outcome {
        Ok(answer) => {
            print(&format!("{:#}", answer.structured))?;
            Ok(if answer.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
        }
        Err(error) => {
            print(&format!("{:#}", error_json(&error)))?;
            Ok(ExitCode::FAILURE)
        }
    }
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
