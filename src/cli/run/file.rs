//! The file of `shellherd run`: JSON or YAML, as an object or as a plain list of tasks. Knows no field
//! but `tasks`; what the others mean, and whether they are right, is the surface's business.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use serde_saphyr::Spanned;

use crate::error::Error;
use crate::limits;

/// What a file must look like, for whoever wrote another one.
const SHAPE: &str = "a file holds a list of tasks, or an object like {tasks: [{id: build, command: make}]}";

/// A graph of tasks as it was written.
pub(super) struct TaskFile {
    /// For messages.
    name: String,
    text: String,
    /// The arguments of `task_distribute`.
    pub(super) arguments: Map<String, Value>,
}

/// How a file is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Yaml,
}

impl TaskFile {
    /// Reads a file, or stdin for `-`. The error is for people, and names the file and the line.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        if path.as_os_str() == "-" {
            let text = bounded(io::stdin().lock()).map_err(|error| format!("stdin: {error}"))?;
            return Self::parse("stdin", text, None);
        }
        let name = path.display().to_string();
        let text = File::open(path).and_then(bounded).map_err(|error| format!("{name}: {error}"))?;
        let format = match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => Some(Format::Json),
            Some("yaml" | "yml") => Some(Format::Yaml),
            Some(_) | None => None,
        };
        Self::parse(&name, text, format)
    }

    fn parse(name: &str, text: String, format: Option<Format>) -> Result<Self, String> {
        let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
        let format = format.unwrap_or_else(|| {
            if text.trim_start().starts_with(['{', '[']) { Format::Json } else { Format::Yaml }
        });
        if text.trim().is_empty() {
            return Err(format!("{name}: it is empty; {SHAPE}"));
        }
        let value = match format {
            Format::Json => serde_json::from_str(&text)
                .map_err(|error| format!("{name}:{}:{}: {}", error.line(), error.column(), plain(&error)))?,
            Format::Yaml => yaml::<Value>(&text).map_err(|error| shown(name, &error))?,
        };
        let mut arguments = match value {
            Value::Object(arguments) => arguments,
            Value::Array(tasks) => Map::from_iter([("tasks".to_owned(), Value::Array(tasks))]),
            Value::Null => return Err(format!("{name}: it is empty; {SHAPE}")),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                return Err(format!("{name}: it holds a single value; {SHAPE}"));
            }
        };
        if !arguments.contains_key("tasks") {
            return Err(format!("{name}: there is no field 'tasks'; {SHAPE}"));
        }
        for task in arguments.get_mut("tasks").and_then(Value::as_array_mut).into_iter().flatten() {
            name_by_text(task);
        }
        Ok(Self { name: name.to_owned(), text, arguments })
    }

    /// The name of the file without its folder and its ending.
    pub(super) fn title(&self) -> &str {
        Path::new(&self.name).file_stem().and_then(|stem| stem.to_str()).unwrap_or(&self.name)
    }

    /// Whether the tasks are only to be looked at.
    pub(super) fn is_dry_run(&self) -> bool {
        self.arguments.get("dryRun").and_then(Value::as_bool) == Some(true)
    }

    /// What was refused, with the line that it is about where that can be told.
    pub(super) fn refusal(&self, error: &Error) -> String {
        let line = self.line_of(error).map_or_else(String::new, |line| format!(":{line}"));
        let hint = error.hint.as_ref().map_or_else(String::new, |hint| format!(" ({hint})"));
        format!("{}{line}: {}{hint}", self.name, error.message)
    }

    /// The line of the task, or of its field, that an error names.
    fn line_of(&self, error: &Error) -> Option<usize> {
        let quoted = error.message.split('\'').nth(1).unwrap_or_default();
        let cycle = error.details.as_ref().and_then(|details| details["cycle"][0].as_str());
        let tasks = self.arguments.get("tasks")?.as_array()?;
        let named = |id: &str| tasks.iter().position(|task| task["id"].as_str() == Some(id));
        let (number, field) = match quoted.strip_prefix("tasks[").and_then(|rest| rest.split_once(']')) {
            Some((number, field)) => (number.parse().ok()?, field.rsplit('.').next().unwrap_or_default()),
            None => (named(cycle.unwrap_or(quoted))?, ""),
        };
        let lines = task_lines(&self.text)?;
        let first = *lines.get(number)?;
        let behind = lines.get(number + 1).copied().unwrap_or(usize::MAX);
        let field = field.split('[').next().unwrap_or_default();
        let in_task = self.text.lines().enumerate().skip(first - 1).take(behind.saturating_sub(first).max(1));
        let of_field = in_task.filter(|_| !field.is_empty()).find(|(_, line)| line.contains(field));
        Some(of_field.map_or(first, |(at, _)| at + 1))
    }
}

/// Ids that are written as numbers, as YAML reads `id: 1`, are the text that they were written as.
fn name_by_text(task: &mut Value) {
    fn text(id: &mut Value) {
        match id {
            Value::Number(number) => *id = Value::String(number.to_string()),
            Value::Array(ids) => ids.iter_mut().for_each(text),
            Value::Object(dependency) => dependency.get_mut("id").into_iter().for_each(text),
            Value::Null | Value::Bool(_) | Value::String(_) => {}
        }
    }
    let Some(task) = task.as_object_mut() else { return };
    for field in ["id", "dependencies"] {
        task.get_mut(field).into_iter().for_each(text);
    }
}

/// The lines on which the tasks begin. JSON is read as the YAML that it is.
fn task_lines(text: &str) -> Option<Vec<usize>> {
    #[derive(Deserialize)]
    struct Object {
        tasks: Vec<Spanned<IgnoredAny>>,
    }
    let tasks = match yaml::<Object>(text) {
        Ok(object) => object.tasks,
        Err(_) => yaml(text).ok()?,
    };
    Some(tasks.iter().map(|task| usize::try_from(task.referenced.line()).unwrap_or(0).max(1)).collect())
}

/// Reads YAML 1.2 within bounds: an alias is good for shared settings, not for a bomb.
fn yaml<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, serde_saphyr::Error> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_documents: 1,
            max_nodes: limits::RUN_FILE_NODES,
            max_events: 2 * limits::RUN_FILE_NODES,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: limits::RUN_FILE_ALIASED },
        strict_booleans: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options)
}

fn shown(name: &str, error: &serde_saphyr::Error) -> String {
    let place = error.location().map_or_else(String::new, |at| format!(":{}:{}", at.line(), at.column()));
    let message = error.to_string();
    // The place stands at the end of the library's messages as well.
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(before, _)| before);
    format!("{name}{place}: {message}")
}

/// The message without the place, which it ends with.
fn plain(error: &serde_json::Error) -> String {
    let message = error.to_string();
    message.rsplit_once(" at line ").map_or(message.clone(), |(before, _)| before.to_owned())
}

fn bounded(reader: impl Read) -> io::Result<String> {
    let mut text = String::new();
    reader.take(limits::RUN_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > limits::RUN_FILE_BYTES {
        let most = limits::RUN_FILE_BYTES >> 20;
        return Err(io::Error::other(format!("it is larger than {most} MB; cut it into several runs")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::ErrorCode;

    fn parsed(text: &str) -> Result<Value, String> {
        TaskFile::parse("f", text.to_owned(), None).map(|file| file.arguments.into())
    }

    #[test]
    fn json_and_yaml_are_told_apart_and_a_list_will_do() {
        let wanted = json!({"tasks": [{"id": "a", "on": "no"}]});
        for text in [
            "tasks:\n  - id: a\n    on: no\n",
            "- {id: a, on: no}\n",
            r#"{"tasks": [{"id": "a", "on": "no"}]}"#,
            r#" [{"id": "a", "on": "no"}]"#,
            "\u{feff}- &x {id: a, on: no}\n",
        ] {
            assert_eq!(parsed(text), Ok(wanted.clone()), "{text}");
        }
    }

    #[test]
    fn ids_may_be_numbers() {
        let text = "- {id: 1}\n- {id: b, dependencies: [1, {id: 1}]}\n- {id: c, dependencies: 1}\n";
        let wanted = json!([
            {"id": "1"},
            {"id": "b", "dependencies": ["1", {"id": "1"}]},
            {"id": "c", "dependencies": "1"},
        ]);
        assert_eq!(parsed(text).unwrap()["tasks"], wanted);
    }

    #[test]
    fn what_is_no_file_of_tasks_is_refused_with_its_place() {
        for (text, wanted) in [
            ("", "f: it is empty"),
            (" \n", "f: it is empty"),
            ("# nothing\n", "f: it is empty"),
            ("make\n", "single value"),
            ("strategy: priority\n", "no field 'tasks'"),
            ("{\"tasks\": [\n  {\"id\": }]}", "f:2:"),
            ("tasks:\n  - id: a\n    id: b\n", "f:3:"),
            ("tasks: [\n", "f:"),
            ("tasks: []\n---\ntasks: []\n", "f"),
        ] {
            let refusal = parsed(text).unwrap_err();
            assert!(refusal.contains(wanted), "{text:?}: {refusal}");
        }
    }

    #[test]
    fn a_bomb_of_aliases_is_refused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..10 {
            let items = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb.push_str(
                &["a", &level.to_string(), ": &a", &level.to_string(), " [", &items, "]\n"].concat(),
            );
        }
        assert!(parsed(&(bomb + "tasks: *a9\n")).is_err());
        assert!(parsed(&("[".repeat(100_000))).is_err());
        assert!(parsed(&format!("tasks: {}", "[".repeat(100_000))).is_err());
    }

    #[test]
    fn a_refusal_names_the_line() {
        let text = "# all of it\ntasks:\n  - id: a\n    command: x\n\n  - id: b\n    comand: y\n";
        let file = TaskFile::parse("f", text.to_owned(), None).unwrap();
        let unknown = Error::invalid("unknown field 'tasks[1].comand' for task_distribute").with_hint("look");
        assert_eq!(file.refusal(&unknown), format!("f:7: {} (look)", unknown.message));
        let cycle =
            Error::new(ErrorCode::DependencyCycle, "b → b").with_details(json!({"cycle": ["b", "b"]}));
        assert_eq!(file.refusal(&cycle), "f:6: b → b");
        assert_eq!(file.refusal(&Error::invalid("task 'a' has")), "f:3: task 'a' has");
        assert_eq!(file.refusal(&Error::invalid("'tasks' is")), "f: 'tasks' is");
        let text = "[\n{\"id\": \"a\"},\n{\"id\": \"b\"}\n]";
        let file = TaskFile::parse("f", text.to_owned(), None).unwrap();
        assert_eq!(file.refusal(&Error::invalid("task 'b' has")), "f:3: task 'b' has");
    }
}
