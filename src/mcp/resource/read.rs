//! `resources/read`: what the tool about it shows, as text.

use rmcp::model::{ReadResourceResult, ResourceContents};
use serde_json::{Map, Value, json};

use super::{Address, JSON, Part};
use crate::error::{Error, ErrorCode, Result};
use crate::mcp::call::Call;
use crate::mcp::{session, task};

/// What is at an address. `uri` is how the client wrote it.
pub(crate) async fn read(call: &Call, uri: &str, address: &Address) -> Result<ReadResourceResult> {
    let contents = match address {
        Address::Session { selector, part } => {
            let (tool, arguments) = match part {
                Part::Output => (&session::output::TOOL, json!({"sessionId": selector})),
                Part::Screen => (&session::output::TOOL, json!({"sessionId": selector, "mode": "screen"})),
                Part::Log => (&session::logs::TOOL, json!({"sessionId": selector})),
            };
            ResourceContents::text((tool.run)(call, arguments).await?.text, uri)
        }
        Address::Run { selector } => {
            ResourceContents::text(run(call, selector).await?.to_string(), uri).with_mime_type(JSON)
        }
    };
    Ok(ReadResourceResult::new(vec![contents]))
}

/// The run's state, and its tasks: what failed and what runs first.
async fn run(call: &Call, selector: &str) -> Result<Value> {
    let view = call.orchestrator.run(selector).await?;
    let run_id = view.run.to_string();
    let listed = task::status::of_run(call, &run_id).await?;
    let Value::Object(mut listed) = listed.structured else {
        return Err(Error::new(ErrorCode::Internal, "a list of tasks is no object"));
    };
    // A resource takes none.
    listed.remove("cursor");
    let mut run = Map::new();
    run.insert("runId".to_owned(), run_id.into());
    run.insert("status".to_owned(), view.status.as_str().into());
    run.extend(listed);
    Ok(run.into())
}
