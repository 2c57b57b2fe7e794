//! The table of tools. What a tool does is in the file named by its first word.

use std::path::Path;
use std::{fs, io};

use serde_json::json;

use super::tool::{Tool, offer};
use super::toolset::Toolset;
use super::{
    agent, circuit, command, context, diagnose, error, events, health, message, metrics, performance, pool,
    progress, session, task, template, webhook,
};

/// Every tool of this version, by the set that it is in.
pub(crate) const SETS: &[(Toolset, &[&Tool])] = &[
    (
        Toolset::Core,
        &[
            &session::create::TOOL,
            &session::list::TOOL,
            &session::status::TOOL,
            &session::input::TOOL,
            &session::output::TOOL,
            &session::close::TOOL,
            &command::execute::TOOL,
            &command::status::TOOL,
            &command::signal::TOOL,
        ],
    ),
    (Toolset::Commands, &[&command::batch::TOOL, &command::broadcast::TOOL]),
    (
        Toolset::Tasks,
        &[
            &task::distribute::TOOL,
            &task::status::TOOL,
            &task::cancel::TOOL,
            &task::retry::TOOL,
            &task::control::TOOL,
            &progress::TOOL,
            &session::affinity::TOOL,
            &pool::create::TOOL,
            &pool::execute::TOOL,
            &pool::status::TOOL,
            &pool::delete::TOOL,
        ],
    ),
    (
        Toolset::Monitor,
        &[
            &session::logs::TOOL,
            &session::stats::TOOL,
            &performance::monitor::TOOL,
            &performance::history::TOOL,
            &metrics::export::TOOL,
            &events::poll::TOOL,
            &health::check::TOOL,
            &diagnose::TOOL,
        ],
    ),
    (
        Toolset::Agents,
        &[
            &agent::register::TOOL,
            &agent::deregister::TOOL,
            &agent::list::TOOL,
            &agent::execute::TOOL,
            &message::send::TOOL,
            &message::receive::TOOL,
            &context::add::TOOL,
            &context::get::TOOL,
            &context::compress::TOOL,
        ],
    ),
    (
        Toolset::Ops,
        &[
            &session::update::TOOL,
            &session::reset::TOOL,
            &session::cleanup::TOOL,
            &session::start::TOOL,
            &session::clone::TOOL,
            &session::migrate::TOOL,
            &session::snapshot::TOOL,
            &session::restore::TOOL,
            &template::create::TOOL,
            &template::list::TOOL,
            &template::delete::TOOL,
            &error::recover::TOOL,
            &circuit::status::TOOL,
            &circuit::reset::TOOL,
            &performance::tune::TOOL,
            &webhook::register::TOOL,
            &webhook::list::TOOL,
            &webhook::delete::TOOL,
        ],
    ),
];

/// Every tool of this version.
pub(crate) fn all() -> impl Iterator<Item = &'static Tool> {
    SETS.iter().flat_map(|(_, tools)| tools.iter().copied())
}

/// The name of every tool of this version.
pub fn tool_names() -> impl Iterator<Item = &'static str> {
    all().map(|tool| tool.name)
}

/// Every tool as its file under `tool-schemas/` has it: the name, and the text of the file.
pub fn schema_files() -> Vec<(&'static str, String)> {
    all()
        .map(|tool| {
            let published = offer(tool).published;
            let file = json!({
                "name": published.name,
                "title": published.title,
                "description": published.description,
                "annotations": published.annotations,
                "inputSchema": published.input_schema,
                "outputSchema": published.output_schema,
            });
            (tool.name, format!("{file:#}\n"))
        })
        .collect()
}

/// The files in `directory` that differ from what [`schema_files`] says, or should not be there.
pub fn stale_schema_files(directory: &Path) -> io::Result<Vec<String>> {
    let wanted = schema_files();
    let mut stale = Vec::new();
    for (name, text) in &wanted {
        let file = format!("{name}.json");
        match fs::read_to_string(directory.join(&file)) {
            Ok(found) if found == *text => {}
            Ok(_) => stale.push(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => stale.push(file),
            Err(error) => return Err(error),
        }
    }
    if directory.exists() {
        for entry in fs::read_dir(directory)? {
            let file = entry?.file_name().to_string_lossy().into_owned();
            if let Some(name) = file.strip_suffix(".json")
                && !wanted.iter().any(|(known, _)| *known == name)
            {
                stale.push(file);
            }
        }
    }
    Ok(stale)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Every keyword of a schema, with those of the schemas within.
    fn keywords(schema: &Value, found: &mut Vec<String>) {
        let Value::Object(node) = schema else { return };
        for (key, value) in node {
            found.push(key.clone());
            match (key.as_str(), value) {
                ("properties", Value::Object(properties)) => {
                    assert!(properties.values().all(Value::is_object), "a client may refuse {properties:?}");
                    properties.values().for_each(|property| keywords(property, found));
                }
                ("anyOf", Value::Array(branches)) => {
                    for branch in branches {
                        keywords(branch, found);
                    }
                }
                _ => keywords(value, found),
            }
        }
    }

    #[test]
    fn published_tools_are_small_and_plain() {
        let mut bytes = 0;
        for tool in all() {
            let published = offer(tool).published;
            assert!(tool.name.len() <= 24, "{}", tool.name);
            assert!(tool.description.len() < 2_048, "{}", tool.name);
            assert!(!tool.description.contains("  "), "{}", tool.name);
            let input = Value::Object((*published.input_schema).clone());
            bytes += tool.name.len() + tool.description.len() + input.to_string().len();
            let output = Value::Object((*published.output_schema.unwrap_or_default()).clone());
            for schema in [&input, &output] {
                assert_eq!(schema["type"], "object", "{}", tool.name);
                let mut found = Vec::new();
                keywords(schema, &mut found);
                let refused = |key: &String| {
                    key.starts_with('$') || key.starts_with("x-") || key == "format" || key == "oneOf"
                };
                assert_eq!(found.iter().find(|key| refused(key)), None, "{}: {schema:#}", tool.name);
                assert!(!schema.to_string().contains("\"null\""), "{}", tool.name);
            }
            assert_eq!(input["additionalProperties"], false, "{}", tool.name);
        }
        // What a model sees of all tools together.
        assert!(bytes <= 45_000, "{bytes}");
    }

    #[test]
    fn every_tool_is_in_one_set() {
        let mut names: Vec<&str> = all().map(|tool| tool.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
        let sets: Vec<Toolset> = SETS.iter().map(|(set, _)| *set).collect();
        assert_eq!(sets, Toolset::ALL);
    }

    #[test]
    fn the_checked_in_schemas_are_up_to_date() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tool-schemas");
        let stale = stale_schema_files(&directory).unwrap();
        assert!(stale.is_empty(), "run `shellherd schemas`: {stale:?}");
    }
}
