//! Tasks for tests, and the properties of a run at work.

pub(in crate::engine) use crate::model::fixtures::task;
use crate::model::{Condition, Dependency, Task};

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
