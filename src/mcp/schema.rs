//! The JSON schemas of arguments and results: generated from the Rust types, then simplified in one
//! pass, because clients differ in what they accept. Knows nothing of what the tools do.
//!
//! A schema exists in two forms. The *full* one carries `x-` keywords that steer
//! [`super::arguments`]: `x-kind` names a forgiving reading (a duration, a size…), `x-bytes` bounds
//! a text, `x-short` names the member that a lone word stands for, and `x-hidden` is a field that is taken
//! but not shown, because it can be given elsewhere. The *published* form is without them.

use std::borrow::Cow;
use std::time::Duration;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::term::condense::Condense;

/// A duration in arguments: milliseconds, or `"30s"`, `"5m"`, `"1h"`. Published as an integer, the
/// one form that every client's validation lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Milliseconds(pub(crate) u64);

impl From<Milliseconds> for Duration {
    fn from(given: Milliseconds) -> Self {
        Duration::from_millis(given.0)
    }
}

impl JsonSchema for Milliseconds {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Milliseconds".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "x-kind": "duration"})
    }
}

/// A part of the past in arguments, likewise; longer than anything that can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Period(pub(crate) u64);

impl From<Period> for Duration {
    fn from(given: Period) -> Self {
        Duration::from_millis(given.0)
    }
}

impl JsonSchema for Period {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Period".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "x-kind": "period"})
    }
}

/// A number of bytes in arguments: `"512m"`, `"4gb"`, or a plain number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Bytes(pub(crate) u64);

impl JsonSchema for Bytes {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Bytes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "x-kind": "size"})
    }
}

/// The value of an environment variable; numbers and booleans are taken by their text.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Variable(pub(crate) String);

impl JsonSchema for Variable {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Variable".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "x-kind": "variable"})
    }
}

/// Urgency in arguments: [`super::arguments`] reads every form of it.
pub(crate) fn priority_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string", "enum": ["low", "medium", "high", "critical"], "x-kind": "priority",
    })
}

/// Any JSON at all.
pub(crate) fn anything(_: &mut SchemaGenerator) -> Schema {
    json_schema!({})
}

/// What a long output shows (default: auto, where it would be cut)
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Condensing {
    Off,
    Auto,
    Aggressive,
}

impl Condensing {
    /// Whoever does not say is given what fits as it is.
    pub(crate) fn or_when_cut(given: Option<Self>) -> Condense {
        match given {
            None => Condense::WhenCut,
            Some(Self::Off) => Condense::Off,
            Some(Self::Auto) => Condense::Auto,
            Some(Self::Aggressive) => Condense::Aggressive,
        }
    }
}

/// The full schema of a tool's arguments.
pub(crate) fn of_arguments<T: JsonSchema>() -> Value {
    let mut schema = simplified(SchemaSettings::draft2020_12(), SchemaGenerator::into_root_schema_for::<T>);
    // A tool without arguments knows no field, rather than any.
    if let Value::Object(node) = &mut schema {
        node.entry("properties").or_insert_with(|| Map::new().into());
    }
    schema
}

/// The schema of a tool's result.
pub(crate) fn of_result<T: JsonSchema>() -> Value {
    simplified(SchemaSettings::draft2020_12().for_serialize(), SchemaGenerator::into_root_schema_for::<T>)
}

fn simplified(mut settings: SchemaSettings, generate: impl Fn(SchemaGenerator) -> Schema) -> Value {
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    let mut schema = generate(settings.into_generator()).to_value();
    simplify(&mut schema);
    schema
}

/// Drops what strict clients trip over, and what only costs tokens.
fn simplify(schema: &mut Value) {
    // What may be anything: the official SDK refuses a list of tools with `true` in place of a schema.
    if *schema == Value::Bool(true) {
        *schema = Map::new().into();
    }
    let Value::Object(node) = schema else { return };
    for noise in ["$schema", "title", "format", "default"] {
        node.remove(noise);
    }
    if node.get("minimum") == Some(&Value::from(0)) {
        node.remove("minimum");
    }
    if let Some(Value::String(text)) = node.get_mut("description") {
        *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    without_null(node);
    constants_to_enum(node);
    if let Some(Value::Object(properties)) = node.get_mut("properties") {
        properties.values_mut().for_each(simplify);
    }
    for child in ["items", "additionalProperties"] {
        if let Some(child) = node.get_mut(child).filter(|child| child.is_object()) {
            simplify(child);
        }
    }
    for list in ["anyOf", "oneOf", "allOf"] {
        if let Some(Value::Array(branches)) = node.get_mut(list) {
            branches.iter_mut().for_each(simplify);
        }
    }
}

/// An optional field is one that may be left out, not one that may be null.
fn without_null(node: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = node.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            node.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(values)) = node.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if let Some(Value::Array(branches)) = node.get_mut("anyOf") {
        branches.retain(|branch| branch.get("type").is_none_or(|name| name != "null"));
        if branches.len() == 1
            && let Some(Value::Object(only)) = branches.pop()
        {
            node.remove("anyOf");
            for (key, value) in only {
                node.entry(key).or_insert(value);
            }
        }
    }
}

/// schemars writes an enum with documented variants as a choice of constants.
fn constants_to_enum(node: &mut Map<String, Value>) {
    let Some(Value::Array(branches)) = node.get("oneOf") else { return };
    let constants: Option<Vec<Value>> = branches.iter().map(|branch| branch.get("const").cloned()).collect();
    if let Some(constants) = constants {
        node.remove("oneOf");
        node.insert("type".to_owned(), "string".into());
        node.insert("enum".to_owned(), constants.into());
    }
}

/// The form that clients see.
pub(crate) fn published(full: &Value) -> Value {
    match full {
        Value::Object(node) => node
            .iter()
            .filter(|(key, value)| !key.starts_with("x-") && value.get("x-hidden").is_none())
            .map(|(key, value)| (key.clone(), published(value)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(published).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => full.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde_json::json;

    use super::*;

    #[derive(Deserialize, JsonSchema)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Example {
        /// Spread over
        /// two lines.
        first_field: String,
        count: Option<u32>,
        choice: Option<Choice>,
        wait: Option<Milliseconds>,
        title: Option<String>,
    }

    #[derive(Deserialize, Serialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    enum Choice {
        /// The first.
        One,
        /// The second.
        Two,
    }

    #[test]
    fn schemas_are_inlined_without_nulls_formats_and_titles() {
        assert_eq!(
            published(&of_arguments::<Example>()),
            json!({
                "type": "object",
                "properties": {
                    "firstField": {"description": "Spread over two lines.", "type": "string"},
                    "count": {"type": "integer"},
                    "choice": {"type": "string", "enum": ["one", "two"]},
                    "wait": {"type": "integer"},
                    "title": {"type": "string"},
                },
                "required": ["firstField"],
                "additionalProperties": false,
            })
        );
    }

    #[derive(Serialize, JsonSchema)]
    struct Outcome {
        kept: String,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        dropped: bool,
    }

    #[test]
    fn a_result_field_that_may_be_left_out_is_not_required() {
        assert_eq!(of_result::<Outcome>()["required"], json!(["kept"]));
    }
}
