//! Deep merge of JSON objects (RFC 7396).

use serde_json::{Map, Value};

/// Objects merge, a null removes its key, anything else replaces: lists too.
pub fn merge(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (key, value) in from {
        match value {
            Value::Null => {
                into.shift_remove(&key);
            }
            Value::Object(new) => {
                let mut merged = match into.get_mut(&key) {
                    Some(Value::Object(old)) => std::mem::take(old),
                    Some(_) | None => Map::new(),
                };
                merge(&mut merged, new);
                into.insert(key, Value::Object(merged));
            }
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                into.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_merge_and_everything_else_replaces() {
        let check = |base: Value, over: Value, expected: Value| {
            let (Value::Object(mut into), Value::Object(from)) = (base, over) else { panic!("two objects") };
            merge(&mut into, from);
            assert_eq!(Value::Object(into), expected);
        };
        check(json!({"a": {"b": 1, "c": 2}}), json!({"a": {"b": 3}}), json!({"a": {"b": 3, "c": 2}}));
        check(json!({"a": [1, 2]}), json!({"a": [3]}), json!({"a": [3]}));
        check(json!({"a": {"b": 1}}), json!({"a": 2}), json!({"a": 2}));
        check(json!({"a": 2}), json!({"a": {"b": 1}}), json!({"a": {"b": 1}}));
        check(json!({"a": 1, "b": {"c": 1}}), json!({"a": null, "b": {"c": null}}), json!({"b": {}}));
    }
}
