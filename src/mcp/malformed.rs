//! What is said about a message that cannot be read, whichever way it came. Knows JSON-RPC, and nothing of
//! how an answer is sent.

use rmcp::model::RequestId;
use serde::Deserialize;
use serde_json::error::Category;
use serde_json::{Value, json};

/// JSON-RPC: what came is not JSON.
const PARSE_ERROR: i32 = -32_700;
/// JSON-RPC: what came is not a request.
const INVALID_REQUEST: i32 = -32_600;

/// An answer to what is no message.
#[derive(Debug)]
pub(super) struct Refusal {
    id: Value,
    code: i32,
    message: String,
}

/// What can be made out of a message that does not parse. Members that it skips may be nested to any depth.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Envelope {
    #[serde(default)]
    id: Option<RequestId>,
    #[serde(default)]
    method: Option<String>,
}

impl Envelope {
    pub(super) fn of(text: &[u8]) -> Self {
        serde_json::from_slice(text).unwrap_or_default()
    }

    /// What a notification is called. It gets no answer, not even a wrong one.
    pub(super) fn notification(&self) -> Option<&str> {
        self.method.as_deref().filter(|_| self.id.is_none())
    }
}

impl Refusal {
    /// Of what did not parse because of `error`.
    pub(super) fn of(envelope: Envelope, error: &serde_json::Error) -> Self {
        let id = envelope.id.map_or(Value::Null, RequestId::into_json_value);
        let (code, message) = match error.classify() {
            Category::Syntax | Category::Eof => {
                (PARSE_ERROR, format!("this is not JSON that can be read: {error}"))
            }
            Category::Data | Category::Io => {
                (INVALID_REQUEST, "this is JSON, but not a JSON-RPC 2.0 message".to_owned())
            }
        };
        Self { id, code, message }
    }

    /// Of a request that can be read, and is none to answer.
    pub(super) fn of_request(id: Value, message: impl Into<String>) -> Self {
        Self { id, code: INVALID_REQUEST, message: message.into() }
    }

    /// As it is sent.
    pub(super) fn to_json(&self) -> String {
        let Self { id, code, message } = self;
        json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}}).to_string()
    }
}
