//! Errors and results name the next call to make, which may be of a tool that `--toolsets` or `--read-only`
//! leaves out. Where they do, they say so, and which set has it. Leaves alone what a command or a caller wrote.

use std::fmt::Write;

use serde_json::Value;

use super::answer::Answer;
use super::tools;
use super::toolset::Toolset;
use crate::error::Error;

/// The fields of results in which the server itself says what to do, wherever they stand.
const ADVICE: &[&str] = &["hint", "recommendation", "action", "reason", "error"];

/// The fields whose members are somebody else's, whatever they are called.
const QUOTED: &[&str] = &["metadata", "payload", "settings", "state", "env", "arguments", "parsed", "value"];

/// The tools that are not offered.
pub(super) struct Absent(Vec<&'static str>);

/// What was found of them in one result.
#[derive(Default)]
struct Seen {
    /// In advice, which is marked now.
    marked: Vec<&'static str>,
    /// In what others wrote.
    quoted: Vec<&'static str>,
}

/// The name of a tool with the set that has it.
pub(super) fn placed(tool: &str) -> String {
    match Toolset::of(tool) {
        Some(set) => format!("{tool} (toolset {})", set.as_str()),
        None => tool.to_owned(),
    }
}

impl Absent {
    pub(super) fn where_offered(offers: impl Fn(&str) -> bool) -> Self {
        Self(tools::all().map(|tool| tool.name).filter(|name| !offers(name)).collect())
    }

    /// The same result, with a word on each tool that it recommends and the server does not offer.
    ///
    /// What the text says is the server's unless it also stands in the fields that others fill.
    pub(super) fn marked(&self, mut answer: Answer) -> Answer {
        if self.0.is_empty() {
            return answer;
        }
        let mut seen = Seen::default();
        self.mark_fields(&mut answer.structured, &mut seen);
        let mut told = seen.marked;
        let said = self.within(&answer.text);
        told.extend(said.into_iter().filter(|tool| !seen.quoted.contains(tool)));
        let told = distinct(told);
        if !told.is_empty() {
            let _ = write!(answer.text, "\n({})", not_offered(&told));
        }
        answer
    }

    /// The same for an error, of whatever was asked for.
    pub(super) fn marked_error(&self, mut error: Error) -> Error {
        if let Some(hint) = &mut error.hint {
            say(&self.within(hint), hint);
        }
        error
    }

    fn mark_fields(&self, of: &mut Value, seen: &mut Seen) {
        match of {
            Value::Object(fields) => {
                // The tool of a call that is recommended.
                let call = fields
                    .get("tool")
                    .and_then(Value::as_str)
                    .map_or_else(Vec::new, |tool| self.within(tool));
                for (name, field) in fields {
                    match field {
                        Value::String(text) if ADVICE.contains(&name.as_str()) => {
                            let absent = distinct(self.within(text).into_iter().chain(call.iter().copied()));
                            say(&absent, text);
                            seen.marked.extend(absent);
                        }
                        field if QUOTED.contains(&name.as_str()) => self.quote(field, seen),
                        field => self.mark_fields(field, seen),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.mark_fields(item, seen)),
            other => self.quote(other, seen),
        }
    }

    fn quote(&self, of: &Value, seen: &mut Seen) {
        match of {
            Value::String(text) => seen.quoted.extend(self.within(text)),
            Value::Array(items) => items.iter().for_each(|item| self.quote(item, seen)),
            Value::Object(fields) => {
                for (name, field) in fields {
                    seen.quoted.extend(self.within(name));
                    self.quote(field, seen);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// The tools that a text names and that are not offered, each once.
    fn within(&self, text: &str) -> Vec<&'static str> {
        let words = text.split(|c: char| !c.is_ascii_lowercase() && c != '_');
        distinct(words.filter_map(|word| self.0.iter().copied().find(|name| *name == word)))
    }
}

/// Adds to a text which tools in it are not offered.
fn say(absent: &[&str], text: &mut String) {
    if !absent.is_empty() {
        let _ = write!(text, "; {}", not_offered(absent));
    }
}

fn not_offered(tools: &[&str]) -> String {
    let placed: Vec<String> = tools.iter().copied().map(placed).collect();
    format!("not offered by this server: {}", placed.join(", "))
}

fn distinct(names: impl IntoIterator<Item = &'static str>) -> Vec<&'static str> {
    let mut distinct = Vec::new();
    for name in names {
        if !distinct.contains(&name) {
            distinct.push(name);
        }
    }
    distinct
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn absent(offered: &'static [&'static str]) -> Absent {
        Absent::where_offered(move |tool| offered.contains(&tool))
    }

    fn answer(text: &str, structured: Value) -> Answer {
        Answer { text: text.to_owned(), structured, failed: false }
    }

    #[test]
    fn a_hint_says_which_set_has_the_tool() {
        let error = Error::invalid("x").with_hint("list them with session_list, or call circuit_reset");
        assert_eq!(
            absent(&["session_list"]).marked_error(error).hint.unwrap(),
            "list them with session_list, or call circuit_reset; \
             not offered by this server: circuit_reset (toolset ops)"
        );
    }

    #[test]
    fn advice_is_marked_wherever_it_stands_and_what_others_wrote_is_not() {
        let before = json!({
            "hint": "use session_reset",
            "output": "session_reset",
            "metadata": {"hint": "session_reset"},
            "issues": [{"message": "session_reset", "recommendation": "wait"}],
            "tasks": [{"error": "run it again with task_retry"}],
            "recommendations": [
                {"action": "read it", "tool": "session_output", "arguments": {"hint": "task_retry"}},
            ],
        });
        let marked = absent(&["session_output"]).marked(answer("text", before.clone()));
        let mut wanted = before.clone();
        wanted["hint"] = "use session_reset; not offered by this server: session_reset (toolset ops)".into();
        wanted["tasks"][0]["error"] =
            "run it again with task_retry; not offered by this server: task_retry (toolset tasks)".into();
        assert_eq!(marked.structured, wanted);
        assert_eq!(
            marked.text,
            "text\n(not offered by this server: session_reset (toolset ops), task_retry (toolset tasks))"
        );
    }

    #[test]
    fn advice_in_a_text_is_marked_and_what_it_quotes_is_not() {
        let text = "task_retry diagnose\n(3 ids left out: task_status shows them)";
        let before = answer(text, json!({"output": "task_retry diagnose"}));
        assert_eq!(
            absent(&["task_cancel"]).marked(before).text,
            format!("{text}\n(not offered by this server: task_status (toolset tasks))")
        );
    }

    #[test]
    fn a_recommended_call_of_a_tool_that_is_not_offered_is_marked() {
        let call = json!({"recommendations": [{"action": "let it go on", "tool": "error_recover"}]});
        let marked = absent(&["diagnose"]).marked(answer("error_recover {}: let it go on", call.clone()));
        assert_eq!(
            marked.structured["recommendations"][0]["action"],
            "let it go on; not offered by this server: error_recover (toolset ops)"
        );
        assert!(
            marked.text.ends_with("\n(not offered by this server: error_recover (toolset ops))"),
            "{}",
            marked.text
        );
        let all = Absent::where_offered(|_| true);
        assert_eq!(all.marked(answer("error_recover", call.clone())), answer("error_recover", call));
    }
}
