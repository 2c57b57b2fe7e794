//! Forgiving reading of arguments, in one place: a walk along the tool's schema that maps synonyms
//! to canonical names, reads durations, sizes and numbers given as text, takes words in any case,
//! and refuses the rest with the field's path, what is allowed, and what was given.
//! What comes out fits the schema. Knows no tool; bounds beyond the schema are in [`super::check`].

mod value;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::limits;
use value::{bounded_text, describe, mismatch, number, of_kind, type_of, word};

/// Other names of fields, in lower case without separators. One applies only where the tool has the
/// canonical field and no field of that name itself.
const SYNONYMS: &[(&str, &str)] = &[
    ("workspace", "workingDirectory"),
    ("workingdir", "workingDirectory"),
    ("workdir", "workingDirectory"),
    ("cwd", "workingDirectory"),
    ("directory", "workingDirectory"),
    ("dir", "workingDirectory"),
    ("createdirectory", "createWorkingDirectory"),
    ("taskid", "id"),
    ("name", "id"),
    ("id", "taskIds"),
    ("ids", "taskIds"),
    ("taskid", "taskIds"),
    ("tasks", "taskIds"),
    ("id", "runId"),
    ("run", "runId"),
    ("id", "sessionId"),
    ("session", "sessionId"),
    ("sessionname", "sessionId"),
    ("id", "commandId"),
    ("commandid", "commandIds"),
    ("ids", "commandIds"),
    ("environment", "env"),
    ("environmentvariables", "env"),
    ("envvars", "env"),
    ("timeoutms", "timeout"),
    ("timeoutmillis", "timeout"),
    ("waitms", "wait"),
    ("delayms", "delay"),
    ("idletimeoutms", "idleTimeout"),
    ("commandtimeoutms", "commandTimeout"),
    ("env", "environmentVariables"),
    ("config", "baseConfig"),
    ("cmd", "command"),
    ("script", "command"),
    ("cmds", "commands"),
    ("columns", "cols"),
    ("width", "cols"),
    ("height", "rows"),
    ("key", "keys"),
    ("input", "text"),
    ("cursor", "since"),
    ("tail", "lines"),
    ("regex", "pattern"),
    ("filter", "grep"),
    ("glob", "pattern"),
    ("dependson", "dependencies"),
    ("deps", "dependencies"),
    ("needs", "dependencies"),
    ("concurrency", "maxConcurrent"),
    ("when", "condition"),
    ("kind", "type"),
    ("sessionids", "sessions"),
    ("targets", "sessions"),
    ("limit", "pageSize"),
    ("perpage", "pageSize"),
    ("sort", "orderBy"),
    ("sortby", "orderBy"),
    ("search", "query"),
    ("maxretries", "max"),
    ("text", "content"),
    ("message", "content"),
    ("tokens", "tokenCount"),
    ("memory", "maxMemory"),
    ("cputime", "maxCpuTime"),
];

/// What is known of the tool whose arguments are read.
pub(crate) struct Reader<'a> {
    /// Its name, for messages.
    pub(crate) tool: &'a str,
    /// Its full schema.
    pub(crate) schema: &'a Value,
}

/// Turns what [`Reader::read`] gave into a tool's own type.
pub(crate) fn typed<T: DeserializeOwned>(read: Value) -> Result<T> {
    serde_json::from_value(read).map_err(|error| Error::invalid(format!("the arguments do not fit: {error}")))
}

impl Reader<'_> {
    /// Arguments as the schema has them; none at all are the same as an empty object.
    pub(crate) fn read(&self, given: Option<Map<String, Value>>) -> Result<Value> {
        self.object("", self.schema, given.unwrap_or_default())
    }

    fn object(&self, path: &str, schema: &Value, given: Map<String, Value>) -> Result<Value> {
        let Some(Value::Object(properties)) = schema.get("properties") else {
            return self.free_form(path, schema, given);
        };
        let mut named: Map<String, Value> = Map::with_capacity(given.len());
        let mut written: Vec<(String, String)> = Vec::new();
        for (key, value) in given {
            let name = self.canonical(path, properties, &key)?;
            if let Some((_, first)) = written.iter().find(|(canonical, _)| *canonical == name) {
                return Err(refusal(
                    &join(path, name),
                    format!("'{first}' and '{key}' are the same field of {}; give one of them", self.tool),
                ));
            }
            written.push((name.to_owned(), key));
            // Models write null for what they leave out.
            if !value.is_null() {
                let value = self.value(&join(path, name), &properties[name], value)?;
                named.insert(name.to_owned(), value);
            }
        }
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        for name in required.filter_map(Value::as_str) {
            if !named.contains_key(name) {
                let field = join(path, name);
                let allowed = describe(&properties[name]);
                return Err(refusal(&field, format!("'{field}' is required by {}: {allowed}", self.tool)));
            }
        }
        Ok(named.into())
    }

    fn free_form(&self, path: &str, schema: &Value, given: Map<String, Value>) -> Result<Value> {
        match schema.get("additionalProperties") {
            Some(of_each @ Value::Object(_)) => {
                let mut read = Map::with_capacity(given.len());
                for (key, value) in given {
                    let value = self.value(&join(path, &key), of_each, value)?;
                    read.insert(key, value);
                }
                Ok(read.into())
            }
            Some(_) | None => Ok(given.into()),
        }
    }

    /// The schema's name for what the caller wrote.
    fn canonical<'p>(&self, path: &str, properties: &'p Map<String, Value>, key: &str) -> Result<&'p str> {
        let folded = folded(key);
        let names = || properties.keys().map(String::as_str);
        let synonym = || {
            let mut synonyms = SYNONYMS.iter().filter(|(synonym, _)| *synonym == folded);
            synonyms.find_map(|(_, canonical)| names().find(|name| name == canonical))
        };
        if let Some(name) = names().find(|name| *name == key) {
            return Ok(name);
        }
        if let Some(name) = names().find(|name| self::folded(name) == folded).or_else(synonym) {
            return Ok(name);
        }
        let nearest = nearest(key, names());
        let meant = nearest.map_or_else(String::new, |name| format!("; did you mean '{name}'?"));
        let whole = join(path, &shortened(key));
        Err(Error::invalid(format!("unknown field '{whole}' for {}{meant}", self.tool))
            .with_details(json!({"field": whole, "known": names().collect::<Vec<_>>()})))
    }

    fn value(&self, path: &str, schema: &Value, given: Value) -> Result<Value> {
        let given = unpacked(path, schema, given)?;
        if let Some(kind) = schema.get("x-kind").and_then(Value::as_str) {
            return of_kind(kind, &given).ok_or_else(|| mismatch(path, schema, &given));
        }
        if let Some(branches) = schema.get("anyOf").and_then(Value::as_array) {
            let fits = |branch: &&Value| branch.get("type").and_then(Value::as_str) == Some(type_of(&given));
            let branch = branches.iter().find(fits).ok_or_else(|| mismatch(path, schema, &given))?;
            return self.value(path, branch, given);
        }
        if let Some(words) = schema.get("enum").and_then(Value::as_array) {
            return word(words, &given).ok_or_else(|| mismatch(path, schema, &given));
        }
        let expected = schema.get("type").and_then(Value::as_str).unwrap_or_default();
        match (expected, given) {
            ("object", Value::Object(given)) => self.object(path, schema, given),
            ("object", lone @ (Value::String(_) | Value::Number(_))) if schema.get("x-short").is_some() => {
                let short = schema["x-short"].as_str().unwrap_or_default().to_owned();
                self.object(path, schema, Map::from_iter([(short, lone)]))
            }
            ("array", Value::Array(given)) => self.array(path, schema, given),
            // A lone item stands for a list of one.
            ("array", given @ (Value::String(_) | Value::Number(_) | Value::Object(_))) => {
                self.array(path, schema, vec![given])
            }
            ("string", Value::String(given)) => bounded_text(path, schema, given),
            ("integer", given) => number(path, schema, &given, true),
            ("number", given) => number(path, schema, &given, false),
            ("boolean", Value::Bool(given)) => Ok(given.into()),
            ("boolean", Value::String(given)) => match given.trim().to_ascii_lowercase().as_str() {
                "true" => Ok(true.into()),
                "false" => Ok(false.into()),
                _ => Err(mismatch(path, schema, &given.into())),
            },
            ("", given) => Ok(given),
            (_, given) => Err(mismatch(path, schema, &given)),
        }
    }

    fn array(&self, path: &str, schema: &Value, given: Vec<Value>) -> Result<Value> {
        let bound = |name: &str, missing: usize| {
            schema
                .get(name)
                .and_then(Value::as_u64)
                .map_or(missing, |bound| usize::try_from(bound).unwrap_or(missing))
        };
        let (least, most) = (bound("minItems", 0), bound("x-items", limits::BATCH));
        if !(least..=most).contains(&given.len()) {
            return Err(refusal(
                path,
                format!("'{path}' takes {least} to {most} items, not {}", given.len()),
            ));
        }
        let of_each = &schema["items"];
        let items = given.into_iter().enumerate();
        items.map(|(index, item)| self.value(&format!("{path}[{index}]"), of_each, item)).collect()
    }
}

/// A list or an object that was sent as JSON in a string, as models do; everything else is as it came.
/// What begins like one where objects are listed and cannot be read is refused: a broken list of tasks
/// must not pass for the command of a single one.
fn unpacked(path: &str, schema: &Value, given: Value) -> Result<Value> {
    let takes = |of: &Value, kind: &str| of.get("type").and_then(Value::as_str) == Some(kind);
    let (is_list, is_object) = (takes(schema, "array"), takes(schema, "object"));
    let lists_objects = is_list && schema.get("items").is_some_and(|items| takes(items, "object"));
    match given {
        Value::String(text) if (is_list || is_object) && text.trim_start().starts_with(['[', '{']) => {
            match serde_json::from_str(&text) {
                Ok(list @ Value::Array(_)) if is_list => Ok(list),
                Ok(object @ Value::Object(_)) if is_object || lists_objects => Ok(object),
                Ok(_) | Err(_) if !lists_objects => Ok(text.into()),
                Ok(_) => Err(mismatch(path, schema, &text.into())),
                Err(error) => Err(refusal(
                    path,
                    format!("'{path}' is a string that begins like JSON and is none ({error}); send a list"),
                )),
            }
        }
        other => Ok(other),
    }
}

/// A name without its separators and in lower case: `working_directory` and `workingDirectory` are one.
fn folded(name: &str) -> String {
    name.trim().chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

/// The nearest of the known names, when it is near enough to have been meant.
pub(crate) fn nearest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let given: String = given.chars().take(64).collect::<String>().to_lowercase();
    known
        .map(|name| (strsim::jaro_winkler(&given, &name.to_lowercase()), name))
        .filter(|(similarity, _)| *similarity > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// A value as an error message shows it.
pub(crate) fn shortened(text: &str) -> String {
    const SHOWN: usize = 80;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// An argument that is refused.
pub(crate) fn refusal(field: &str, message: impl Into<String>) -> Error {
    Error::invalid(message).with_details(json!({"field": field}))
}

#[cfg(test)]
mod tests;
