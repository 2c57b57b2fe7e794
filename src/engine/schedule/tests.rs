//! Tasks for tests, and the properties of a run at work.

use std::collections::BTreeMap;

use crate::model::{Condition, Dependency, Priority, ResourceLimits, Task, TaskKind};

/// A task that waits for nothing.
pub(in crate::engine) fn task(id: &str) -> Task {
    Task {
        id: id.to_owned(),
        kind: TaskKind::Command,
        text: "true".to_owned(),
        directory: None,
        env: BTreeMap::new(),
        stdin: None,
        priority: Priority::Normal,
        dependencies: Vec::new(),
        timeout_ms: 60_000,
        retries: None,
        requirements: Vec::new(),
        session: None,
        weight: 1,
        ok_exit_codes: Some(vec![0]),
        limits: ResourceLimits::default(),
        metadata: serde_json::Map::new(),
    }
}

/// Tasks from lines like `c < a b`: c waits for a and b. `!a` is for a's failure, `~a` for any end of it.
pub(in crate::engine) fn tasks(lines: &[&str]) -> Vec<Task> {
    lines
        .iter()
        .map(|line| {
            let (id, before) = line.split_once('<').unwrap_or((line, ""));
            let dependencies = before.split_whitespace().map(|word| {
                let (id, condition) = match (word.strip_prefix('!'), word.strip_prefix('~')) {
                    (Some(id), _) => (id, Condition::Failure),
                    (_, Some(id)) => (id, Condition::Always),
                    (None, None) => (word, Condition::Success),
                };
                Dependency { id: id.to_owned(), condition }
            });
            Task { dependencies: dependencies.collect(), ..task(id.trim()) }
        })
        .collect()
}
