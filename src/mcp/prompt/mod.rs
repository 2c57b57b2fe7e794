//! Prompts: work that is often wanted, as a text with the calls that do it, ready to be made. A prompt is
//! offered where its tools are, and its calls are read by the same rules as calls that are made.

mod diagnose;
mod long_running_service;
mod multi_agent_review;
mod parallel_build;

use std::collections::BTreeMap;
use std::fmt::Write;

use rmcp::model::{GetPromptResult, PromptArgument, PromptMessage, Role};
use serde_json::{Map, Value};

use super::arguments::{Reader, nearest, refusal, shortened};
use super::surface::Surface;
use crate::error::{Error, Result};
use crate::limits;

/// A prompt, with what its arguments are.
pub(crate) struct Prompt {
    pub(crate) name: &'static str,
    title: &'static str,
    description: &'static str,
    pub(crate) arguments: &'static [Argument],
    /// Every tool that its calls may name.
    tools: &'static [&'static str],
    write: fn(&Given) -> Result<Vec<Step>>,
}

/// An argument, which is always a text.
pub(crate) struct Argument {
    pub(crate) name: &'static str,
    description: &'static str,
    required: bool,
    pub(crate) names: Names,
}

/// What a text names, and so what it can be completed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    Session,
    Command,
    Task,
    Run,
    Directory,
    Template,
    Nothing,
}

/// The arguments of one `prompts/get`; those that are empty are left out.
struct Given(BTreeMap<String, String>);

/// A part of what a prompt says.
enum Step {
    Text(String),
    /// A call of a tool.
    Call(&'static str, Value),
}

const PROMPTS: &[&Prompt] =
    &[&parallel_build::PROMPT, &diagnose::PROMPT, &multi_agent_review::PROMPT, &long_running_service::PROMPT];

impl Given {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// An argument that is required, and so is there.
    fn required(&self, name: &str) -> &str {
        self.text(name).unwrap_or_default()
    }

    /// These arguments as members of an object, under the names of the tool's fields.
    fn members(&self, names: &[(&str, &str)]) -> Map<String, Value> {
        let member = |(own, field): &(&str, &str)| Some(((*field).to_owned(), self.text(own)?.into()));
        names.iter().filter_map(member).collect()
    }
}

impl Step {
    fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }
}

/// What a list of several things holds: one a line, or separated by `;;`, which no command contains.
fn items(text: &str) -> Vec<&str> {
    text.lines().flat_map(|line| line.split(";;")).map(str::trim).filter(|item| !item.is_empty()).collect()
}

/// The prompts whose tools the server offers.
fn offered(surface: &Surface) -> impl Iterator<Item = &'static Prompt> {
    let has_tools = |prompt: &&Prompt| prompt.tools.iter().all(|tool| surface.offers(tool));
    PROMPTS.iter().copied().filter(has_tools)
}

/// The prompts whose tools the server offers, as they are published.
pub(crate) fn list(surface: &Surface) -> Vec<rmcp::model::Prompt> {
    let argument = |argument: &Argument| {
        PromptArgument::new(argument.name)
            .with_description(argument.description)
            .with_required(argument.required)
    };
    offered(surface)
        .map(|prompt| {
            let arguments = prompt.arguments.iter().map(argument).collect();
            rmcp::model::Prompt::new(prompt.name, Some(prompt.description), Some(arguments))
                .with_title(prompt.title)
        })
        .collect()
}

/// The prompt of this name; the error names the nearest one.
pub(crate) fn find(surface: &Surface, name: &str) -> Result<&'static Prompt> {
    offered(surface).find(|prompt| prompt.name == name).ok_or_else(|| {
        let meant = nearest(name, offered(surface).map(|prompt| prompt.name));
        let meant = meant.map_or_else(String::new, |name| format!("; did you mean '{name}'?"));
        Error::invalid(format!("unknown prompt '{}'{meant}", shortened(name)))
    })
}

/// What a prompt says with these arguments.
pub(crate) fn get(surface: &Surface, name: &str, given: Map<String, Value>) -> Result<GetPromptResult> {
    let prompt = find(surface, name)?;
    let steps = (prompt.write)(&prompt.read(given)?)?;
    let mut text = String::new();
    for step in &steps {
        let _ = match step {
            Step::Text(said) => writeln!(text, "{said}"),
            Step::Call(tool, arguments) => writeln!(text, "{tool} {}", ready(surface, tool, arguments)?),
        };
    }
    let message = PromptMessage::new_text(Role::User, text.trim_end());
    Ok(GetPromptResult::new(vec![message]).with_description(prompt.description))
}

/// The arguments of a call as the tool takes them.
fn ready(surface: &Surface, tool: &str, arguments: &Value) -> Result<Value> {
    let offered = surface.tool(tool)?;
    let reader = Reader { tool: offered.tool.name, schema: &offered.full };
    reader.read(arguments.as_object().cloned())
}

impl Prompt {
    /// The argument of this name; the error names the nearest one.
    pub(crate) fn argument(&self, name: &str) -> Result<&'static Argument> {
        self.arguments.iter().find(|argument| argument.name == name).ok_or_else(|| {
            let nearest = nearest(name, self.arguments.iter().map(|argument| argument.name));
            let meant = nearest.map_or_else(String::new, |name| format!("; did you mean '{name}'?"));
            let message = format!("unknown argument '{}' for {}{meant}", shortened(name), self.name);
            refusal(&shortened(name), message)
        })
    }

    fn read(&self, given: Map<String, Value>) -> Result<Given> {
        let mut read = BTreeMap::new();
        for (name, value) in given {
            let argument = self.argument(&name)?;
            let text = match value {
                Value::Null => continue,
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                    let message = format!("'{name}' must be a text, not {}", shortened(&value.to_string()));
                    return Err(refusal(argument.name, message));
                }
            };
            if text.len() > limits::PROMPT_BYTES {
                let most = limits::PROMPT_BYTES;
                return Err(refusal(argument.name, format!("'{name}' may have at most {most} bytes")));
            }
            if !text.trim().is_empty() {
                read.insert(name, text);
            }
        }
        let missing = |argument: &&Argument| argument.required && !read.contains_key(argument.name);
        if let Some(Argument { name, description, .. }) = self.arguments.iter().find(missing) {
            return Err(refusal(name, format!("'{name}' is required by {}: {description}", self.name)));
        }
        Ok(Given(read))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::tools::all;
    use super::*;

    fn given(pairs: &[(&str, &str)]) -> Given {
        Given(pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect())
    }

    #[test]
    fn items_are_lines_or_stand_between_double_semicolons() {
        assert_eq!(
            items("cargo build; true\n\n npm test ;; make a,b"),
            ["cargo build; true", "npm test", "make a,b"]
        );
        assert!(items(" ;; \n").is_empty());
    }

    #[test]
    fn arguments_take_the_names_of_fields() {
        let members = given(&[("name", "web")]).members(&[("name", "sessionId"), ("command", "command")]);
        assert_eq!(Value::Object(members), serde_json::json!({"sessionId": "web"}));
    }

    /// With every argument a prompt names every tool that it says it needs, and no other.
    #[test]
    fn prompts_name_the_tools_that_they_need() {
        for prompt in PROMPTS {
            let everything =
                Given(prompt.arguments.iter().map(|known| (known.name.to_owned(), "7".to_owned())).collect());
            let required = prompt.arguments.iter().filter(|known| known.required);
            let little = Given(required.map(|known| (known.name.to_owned(), "7".to_owned())).collect());
            let mut named = BTreeSet::new();
            for given in [everything, little] {
                let steps = (prompt.write)(&given).unwrap();
                named.extend(steps.iter().filter_map(|step| match step {
                    Step::Call(tool, _) => Some(*tool),
                    Step::Text(_) => None,
                }));
            }
            assert_eq!(named, prompt.tools.iter().copied().collect(), "{}", prompt.name);
            assert!(named.iter().all(|name| all().any(|tool| tool.name == *name)), "{named:?}");
        }
    }
}
