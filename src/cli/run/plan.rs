//! A graph before it is worked off, drawn for people: waves, what each task waits for, the critical path.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::words::{clean, counted, cut, duration, padded};

/// Columns of a task's name, at most.
const NAME_COLUMNS: usize = 48;
/// Tasks of a wave that are drawn, and dependencies of a task that are named.
const DRAWN: usize = 100;
/// See [`DRAWN`].
const NAMED: usize = 6;

/// The `order` of a dry run.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Order {
    pub(super) waves: Vec<Vec<String>>,
    pub(super) critical_path: Vec<String>,
    /// Where earlier durations tell.
    pub(super) estimated_ms: Option<u64>,
}

/// Draws the waves one below the other.
pub(super) fn drawing(title: &str, order: &Order, arguments: &Map<String, Value>) -> String {
    let tasks = order.waves.iter().map(Vec::len).sum();
    let after = dependencies(arguments);
    let critical: BTreeSet<&str> = order.critical_path.iter().map(String::as_str).collect();
    let mut text = format!("{title}: {} in {}\n", counted(tasks, "task"), counted(order.waves.len(), "wave"));
    let widest = order.waves.iter().flatten().map(|id| clean(id).chars().count()).max().unwrap_or(0);
    for (number, wave) in order.waves.iter().enumerate() {
        let _ = write!(text, "\nwave {}\n", number + 1);
        for id in wave.iter().take(DRAWN) {
            let mark = if critical.contains(id.as_str()) { '●' } else { '○' };
            let name = padded(&cut(&clean(id), NAME_COLUMNS), widest.min(NAME_COLUMNS));
            let before = after.get(id.as_str()).map_or_else(String::new, |names| format!("  ← {names}"));
            text += format!("  {mark} {name}{before}").trim_end();
            text.push('\n');
        }
        if wave.len() > DRAWN {
            let _ = writeln!(text, "  … and {} more", wave.len() - DRAWN);
        }
    }
    let path: Vec<String> = order.critical_path.iter().take(DRAWN).map(|id| clean(id)).collect();
    let _ = write!(text, "\n● critical path: {}", path.join(" → "));
    if order.critical_path.len() > DRAWN {
        text += " → …";
    }
    text + &match order.estimated_ms {
        Some(ms) => format!("\nestimate: {}, from earlier runs", duration(ms)),
        None => "\nestimate: none, these commands have not run before".to_owned(),
    }
}

/// What each task waits for, in words.
fn dependencies(arguments: &Map<String, Value>) -> BTreeMap<&str, String> {
    let tasks = arguments.get("tasks").and_then(Value::as_array);
    let mut after = BTreeMap::new();
    for task in tasks.into_iter().flatten() {
        let Some(id) = task["id"].as_str() else { continue };
        let names: Vec<String> = task["dependencies"].as_array().into_iter().flatten().map(named).collect();
        if !names.is_empty() {
            let more = names.len().saturating_sub(NAMED);
            let shown = names[..names.len() - more].join(", ");
            after.insert(id, if more > 0 { format!("{shown}, and {more} more") } else { shown });
        }
    }
    after
}

fn named(dependency: &Value) -> String {
    let id = dependency.as_str().or_else(|| dependency["id"].as_str()).unwrap_or_default();
    match dependency["condition"].as_str() {
        Some(condition) if !condition.eq_ignore_ascii_case("success") => {
            format!("{} ({})", clean(id), clean(&condition.to_lowercase()))
        }
        Some(_) | None => clean(id),
    }
}
