//! Single values: the forgiving readings, their bounds, and what is allowed, in words.

use serde_json::{Value, json};

use super::{folded, refusal, shortened};
use crate::config::{parse_duration, parse_size};
use crate::error::{Error, Result};
use crate::limits;

pub(super) fn mismatch(path: &str, schema: &Value, given: &Value) -> Error {
    let given = match given {
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => shortened(&given.to_string()),
    };
    refusal(path, format!("'{path}' must be {}, not {given}", describe(schema)))
}

pub(super) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// What a schema allows, in words.
pub(super) fn describe(schema: &Value) -> String {
    if let Some(kind) = schema.get("x-kind").and_then(Value::as_str) {
        return match kind {
            "duration" => "milliseconds, or a text like \"30s\", \"5m\" or \"1h\", of at most 7 days",
            "period" => "milliseconds, or a text like \"5m\", \"1h\" or \"7d\", of at most 31 days",
            "size" => "a size like \"512m\" or \"4gb\", or a number of bytes",
            "codes" => "a list of exit codes, or \"any\"",
            "signal" => "a signal's name or number, like \"SIGINT\", \"TERM\", \"ctrl-c\" or 2",
            "range" => "lines like \"120-4560\"",
            "variable" => "a string",
            "priority" => "one of low, medium, high, critical, or a number from 1 to 4",
            _ => "another kind of value",
        }
        .to_owned();
    }
    if let Some(branches) = schema.get("anyOf").and_then(Value::as_array) {
        return branches.iter().map(describe).collect::<Vec<_>>().join(" or ");
    }
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return format!("one of {}", words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "));
    }
    let number = |noun: &str| match (schema.get("minimum"), schema.get("maximum")) {
        (Some(least), Some(most)) => format!("{noun} from {least} to {most}"),
        (Some(least), None) => format!("{noun} of at least {least}"),
        (None, Some(most)) => format!("{noun} from 0 to {most}"),
        (None, None) => noun.to_owned(),
    };
    match schema.get("type").and_then(Value::as_str).unwrap_or_default() {
        "string" => "a string".to_owned(),
        "integer" => number("an integer"),
        "number" => number("a number"),
        "boolean" => "true or false".to_owned(),
        "array" => "an array".to_owned(),
        "object" => "an object".to_owned(),
        _ => "any JSON".to_owned(),
    }
}

pub(super) fn word(words: &[Value], given: &Value) -> Option<Value> {
    let given = folded(given.as_str()?);
    words.iter().find(|word| word.as_str().is_some_and(|word| folded(word) == given)).cloned()
}

pub(super) fn bounded_text(path: &str, schema: &Value, given: String) -> Result<Value> {
    let most = schema
        .get("x-bytes")
        .and_then(Value::as_u64)
        .map_or(limits::NAME_BYTES, |most| usize::try_from(most).unwrap_or(usize::MAX));
    if given.len() > most {
        return Err(refusal(path, format!("'{path}' takes at most {most} bytes, not {}", given.len())));
    }
    if given.contains('\0') {
        return Err(refusal(path, format!("'{path}' must not contain a NUL")));
    }
    Ok(given.into())
}

pub(super) fn number(path: &str, schema: &Value, given: &Value, whole: bool) -> Result<Value> {
    let read = match given {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let least = schema.get("minimum").and_then(Value::as_f64).unwrap_or(0.0);
    let most = schema.get("maximum").and_then(Value::as_f64).unwrap_or(LARGEST);
    match read {
        Some(read) if (least..=most).contains(&read) && !(whole && read.fract() != 0.0) => {
            Ok(if whole { json!(to_integer(read)) } else { json!(read) })
        }
        Some(_) | None => Err(mismatch(path, schema, given)),
    }
}

/// The largest integer that JSON's floating-point numbers carry exactly.
const LARGEST: f64 = 9_007_199_254_740_991.0;

#[expect(clippy::cast_possible_truncation, reason = "bounded by LARGEST in size, and whole")]
fn to_integer(number: f64) -> i64 {
    number as i64
}

/// The forgiving readings, by the name in `x-kind`.
pub(super) fn of_kind(kind: &str, given: &Value) -> Option<Value> {
    let text = match given {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if float.fract() == 0.0 && float.abs() <= LARGEST => to_integer(float).to_string(),
            Some(_) | None => number.to_string(),
        },
        Value::Bool(flag) => flag.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => String::new(),
    };
    match kind {
        "duration" | "period" => {
            let longest = if kind == "period" { limits::HISTORY } else { limits::LONGEST };
            let duration = parse_duration(&text).filter(|duration| *duration <= longest)?;
            u64::try_from(duration.as_millis()).ok().map(Value::from)
        }
        "size" => parse_size(&text).map(Value::from),
        "codes" => exit_codes(given, &text),
        "priority" => {
            let word = match text.to_ascii_lowercase().as_str() {
                "1" | "low" => "low",
                "2" | "medium" | "normal" => "normal",
                "3" | "high" => "high",
                "4" | "critical" => "critical",
                _ => return None,
            };
            (!given.is_boolean()).then(|| word.into())
        }
        "signal" => (!text.is_empty() && !given.is_boolean()).then(|| text.into()),
        "range" => match given {
            Value::Object(ends) if ends.len() == 2 => {
                Some(format!("{}-{}", ends.get("from")?.as_u64()?, ends.get("to")?.as_u64()?).into())
            }
            Value::Array(ends) => match ends.as_slice() {
                [from, to] => Some(format!("{}-{}", from.as_u64()?, to.as_u64()?).into()),
                _ => None,
            },
            Value::String(_) | Value::Number(_) => Some(text.into()),
            Value::Null | Value::Bool(_) | Value::Object(_) => None,
        },
        "variable" => match given {
            Value::String(value) => Some(value.clone().into()),
            Value::Number(_) | Value::Bool(_) => Some(text.into()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        },
        _ => None,
    }
}

fn exit_codes(given: &Value, text: &str) -> Option<Value> {
    let code = |value: &Value| match value {
        Value::Number(number) => number.as_i64().filter(|code| (0..=255).contains(code)),
        Value::String(text) => text.trim().parse().ok().filter(|code| (0..=255).contains(code)),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    match given {
        Value::Array(codes) => codes.iter().map(code).collect::<Option<Vec<_>>>().map(Value::from),
        Value::String(_) if text.eq_ignore_ascii_case("any") => Some("any".into()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            code(given).map(|code| vec![code].into())
        }
    }
}
