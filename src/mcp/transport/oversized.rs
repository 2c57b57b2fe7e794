//! The two ends of a line that is too long to be kept, where its request's id is looked for: without the
//! id in its refusal the client would wait for ever.

use rmcp::model::RequestId;
use serde::Deserialize;
use serde_json::Value;

/// Bytes kept of either end. Clients write the id before the parameters or right behind them.
const END_BYTES: usize = 200;
/// What stands before an id.
const KEY: &[u8] = b"\"id\"";

/// A line of which only its ends are kept.
pub(super) struct Oversized {
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Oversized {
    /// A line that begins like this.
    pub(super) fn new(begin: &[u8]) -> Self {
        let mut line = Self { head: Vec::new(), tail: Vec::new() };
        line.extend(begin);
        line
    }

    /// More of the line.
    pub(super) fn extend(&mut self, piece: &[u8]) {
        let missing = END_BYTES - self.head.len();
        self.head.extend_from_slice(&piece[..missing.min(piece.len())]);
        self.tail.extend_from_slice(&piece[piece.len().saturating_sub(END_BYTES)..]);
        self.tail.drain(..self.tail.len().saturating_sub(END_BYTES));
    }

    /// The id of the request, or null.
    pub(super) fn id(&self) -> Value {
        let id = in_head(&self.head).or_else(|| in_tail(self.tail.trim_ascii_end()));
        id.map_or(Value::Null, RequestId::into_json_value)
    }
}

/// The id in the outermost object of which this is the beginning.
fn in_head(head: &[u8]) -> Option<RequestId> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, &byte) in head.iter().enumerate() {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                in_string = true;
                let value = (depth == 1).then(|| value_of(&head[at..])).flatten();
                if let Some(value) = value {
                    let mut values = serde_json::Deserializer::from_slice(value).into_iter::<RequestId>();
                    let id = values.next()?.ok()?;
                    // At the very end there may be more of it.
                    return (values.byte_offset() < value.len()).then_some(id);
                }
            }
            _ => {}
        }
    }
    None
}

/// The id in the outermost object of which this is the end: nothing but whole members stands behind it.
fn in_tail(tail: &[u8]) -> Option<RequestId> {
    #[derive(Deserialize)]
    struct Rest {
        id: RequestId,
    }
    let rest = |at: usize| serde_json::from_slice::<Rest>(&[b"{", &tail[at..]].concat()).ok();
    memchr::memmem::rfind_iter(tail, KEY).find_map(rest).map(|rest| rest.id)
}

/// What stands behind the key `id` and its colon.
fn value_of(text: &[u8]) -> Option<&[u8]> {
    text.strip_prefix(KEY)?.trim_ascii_start().strip_prefix(b":").map(<[u8]>::trim_ascii_start)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What is found in a line that comes in pieces of 64 bytes.
    fn check(begin: &str, end: &str, id: &Value) {
        let line = format!("{begin}{}{end}", "x".repeat(1_000));
        let mut oversized = Oversized::new(b"");
        line.as_bytes().chunks(64).for_each(|piece| oversized.extend(piece));
        assert_eq!(oversized.id(), *id, "{begin}…{end}");
    }

    #[test]
    fn the_id_is_found_at_either_end_and_nowhere_else() {
        check(r#"{"jsonrpc":"2.0","id":7,"params":{"id":1,"a":""#, "\"}}\r\n", &json!(7));
        check(r#" { "id" : "a\"b" , "params":{"a":""#, "\"}}", &json!("a\"b"));
        check(r#"{"params":{"tasks":[{"id":"t","command":""#, r#""}]},"id":8}"#, &json!(8));
        check(r#"{"params":{"a":""#, r#""},"id":"9","method":"tools/call"}"#, &json!("9"));
        check(r#"{"params":{"id":1,"a":""#, r#"","id":2}}"#, &Value::Null);
        check(r#"{"method":"{\"id\":1,","params":{"a":""#, r#"\"id\":3}"}}"#, &Value::Null);
        check("", "", &Value::Null);
    }
}
