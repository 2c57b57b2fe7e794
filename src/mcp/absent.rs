//! Errors and results name the next call to make, which may be of a tool that `--toolsets` or `--read-only`
//! leaves out. Where they do, they say so, and which set has it. Leaves alone what a command or a caller wrote.

use std::fmt::Write;

use serde_json::Value;

use super::answer::Answer;
use super::toolset::Toolset;
use crate::error::{Error, Result};

/// What was found of tools that are not offered, each once.
struct Absent<F> {
    offers: F,
    seen: Vec<String>,
}

/// The same outcome, with a word on each tool that it recommends and the server does not offer.
pub(super) fn told(outcome: Result<Answer>, offers: impl Fn(&str) -> bool) -> Result<Answer> {
    let mut absent = Absent { offers, seen: Vec::new() };
    match outcome {
        Ok(mut answer) => {
            absent.mark_answer(&mut answer.structured);
            if !absent.seen.is_empty() {
                let _ = write!(answer.text, "\n({})", not_offered(&absent.seen));
            }
            Ok(answer)
        }
        Err(mut error) => {
            absent.mark_error(&mut error);
            Err(error)
        }
    }
}

/// The name of a tool with the set that has it.
pub(super) fn placed(tool: &str) -> String {
    match Toolset::of(tool) {
        Some(set) => format!("{tool} (toolset {})", set.as_str()),
        None => tool.to_owned(),
    }
}

fn not_offered(tools: &[String]) -> String {
    format!("not offered by this server: {}", tools.join(", "))
}

impl<F: Fn(&str) -> bool> Absent<F> {
    fn mark_error(&mut self, error: &mut Error) {
        if let Some(hint) = &mut error.hint {
            self.mark(hint);
        }
    }

    /// The places of results in which the server itself gives advice.
    fn mark_answer(&mut self, result: &mut Value) {
        self.mark_field(result, "hint");
        for issue in items(result, "issues") {
            self.mark_field(issue, "recommendation");
        }
        for recommendation in items(result, "recommendations") {
            let Some(tool) = recommendation["tool"].as_str() else { continue };
            let absent = self.of(tool);
            if let Some(Value::String(action)) = recommendation.get_mut("action") {
                self.say(absent, action);
            }
        }
    }

    fn mark_field(&mut self, of: &mut Value, field: &str) {
        if let Some(Value::String(text)) = of.get_mut(field) {
            self.mark(text);
        }
    }

    fn mark(&mut self, text: &mut String) {
        let absent = self.of(text);
        self.say(absent, text);
    }

    /// The tools that a text names and that are not offered.
    fn of(&self, text: &str) -> Vec<String> {
        let words = text.split(|c: char| !c.is_ascii_lowercase() && c != '_');
        let absent = words.filter(|word| Toolset::of(word).is_some() && !(self.offers)(word));
        let mut placed: Vec<String> = absent.map(placed).collect();
        placed.dedup();
        placed
    }

    fn say(&mut self, absent: Vec<String>, text: &mut String) {
        if absent.is_empty() {
            return;
        }
        let _ = write!(text, "; {}", not_offered(&absent));
        for tool in absent {
            if !self.seen.contains(&tool) {
                self.seen.push(tool);
            }
        }
    }
}

fn items<'a>(of: &'a mut Value, field: &str) -> impl Iterator<Item = &'a mut Value> {
    of.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(structured: Value) -> Answer {
        Answer { text: "text".to_owned(), structured, failed: false }
    }

    #[test]
    fn a_hint_says_which_set_has_the_tool() {
        let error = Error::invalid("x").with_hint("list them with session_list, or call circuit_reset");
        let error = told(Err(error), |tool| tool == "session_list").unwrap_err();
        assert_eq!(
            error.hint.unwrap(),
            "list them with session_list, or call circuit_reset; \
             not offered by this server: circuit_reset (toolset ops)"
        );
    }

    #[test]
    fn advice_in_results_is_marked_and_what_others_wrote_is_not() {
        let before = json!({
            "hint": "use session_reset",
            "output": "session_reset",
            "metadata": {"hint": "session_reset"},
            "issues": [{"message": "session_reset", "recommendation": "wait"}],
            "recommendations": [
                {"action": "restart it", "tool": "error_recover", "arguments": {}},
                {"action": "read it", "tool": "session_output", "arguments": {}},
            ],
        });
        let marked = told(Ok(answer(before.clone())), |tool| tool == "session_output").unwrap();
        let mut wanted = before.clone();
        wanted["hint"] = "use session_reset; not offered by this server: session_reset (toolset ops)".into();
        wanted["recommendations"][0]["action"] =
            "restart it; not offered by this server: error_recover (toolset ops)".into();
        assert_eq!(marked.structured, wanted);
        assert_eq!(
            marked.text,
            "text\n(not offered by this server: session_reset (toolset ops), error_recover (toolset ops))"
        );
        assert_eq!(told(Ok(answer(before.clone())), |_| true).unwrap(), answer(before));
    }
}
