//! Constraints: bounds of a session written as `name:value`. A word without a colon is a label of the
//! caller's own and bounds nothing.

use std::time::Duration;

use crate::config::{parse_duration, parse_size};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::{Bounds, ResourceLimits};

/// What a constraint bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Constraint {
    Memory(u64),
    CpuTime(Duration),
    Processes(u32),
    OpenFiles(u32),
    Timeout(Duration),
    Niceness(i32),
}

/// Names, each with what a value looks like.
const NAMES: [(&str, &str); 6] = [
    ("max-memory", "4gb"),
    ("max-cpu-time", "10m"),
    ("max-processes", "100"),
    ("max-open-files", "256"),
    ("timeout", "300000"),
    ("cpu-priority", "low"),
];
/// Values of `cpu-priority` and their nice values; only a privileged server can go below 0.
const PRIORITIES: [(&str, i32); 4] = [("lowest", 19), ("low", 10), ("normal", 0), ("high", -5)];

/// Reads one; `None` for a label.
fn parse(text: &str) -> Result<Option<Constraint>> {
    let Some((name, value)) = text.split_once(':') else { return Ok(None) };
    let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().to_ascii_lowercase());
    let count = |least: u32| value.parse().ok().filter(|count| *count >= least);
    let duration = || parse_duration(&value).filter(|it| !it.is_zero() && *it <= limits::LONGEST);
    let constraint = match name.as_str() {
        "max-memory" => {
            parse_size(&value).filter(|bytes| *bytes >= limits::LEAST_MEMORY).map(Constraint::Memory)
        }
        "max-cpu-time" => duration().filter(|it| *it >= limits::LEAST_CPU_TIME).map(Constraint::CpuTime),
        "max-processes" => count(1).map(Constraint::Processes),
        "max-open-files" => count(limits::LEAST_OPEN_FILES).map(Constraint::OpenFiles),
        "timeout" => duration().map(Constraint::Timeout),
        "cpu-priority" => {
            let named = PRIORITIES.iter().find(|(word, _)| *word == value);
            named.map(|(_, niceness)| Constraint::Niceness(*niceness))
        }
        _ => return Err(unknown(&name)),
    };
    constraint.map(Some).ok_or_else(|| malformed(&name, &value))
}

fn unknown(name: &str) -> Error {
    let shown: String = name.chars().take(80).collect();
    let nearest = NAMES
        .iter()
        .max_by(|(a, _), (b, _)| strsim::jaro_winkler(name, a).total_cmp(&strsim::jaro_winkler(name, b)));
    let meant = nearest
        .filter(|(near, _)| strsim::jaro_winkler(name, near) > 0.7)
        .map_or_else(String::new, |(near, _)| format!("; did you mean '{near}'?"));
    let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
    Error::invalid(format!("'constraints' knows no '{shown}'{meant}"))
        .with_hint(format!("constraints are {}; a label of your own has no colon", names.join(", ")))
        .with_details(serde_json::json!({"field": "constraints"}))
}

fn malformed(name: &str, value: &str) -> Error {
    let shown: String = value.chars().take(80).collect();
    let like = NAMES.iter().find(|(known, _)| *known == name).map_or("", |(_, like)| like);
    let hint = match name {
        "cpu-priority" => format!("it is one of {}", PRIORITIES.map(|(word, _)| word).join(", ")),
        "max-open-files" => format!("it is at least {}: a shell needs that many", limits::LEAST_OPEN_FILES),
        _ => format!("write it like {name}:{like}"),
    };
    Error::invalid(format!("constraint '{name}' cannot be '{shown}'"))
        .with_hint(hint)
        .with_details(serde_json::json!({"field": "constraints"}))
}

/// Refuses constraints that bound nothing known, or not in a way that can be read.
pub fn check(constraints: &[String]) -> Result<()> {
    constraints.iter().try_for_each(|text| parse(text).map(|_| ()))
}

/// Those that can be read: a store may hold older ones, from before they meant anything.
fn known(constraints: &[String]) -> impl Iterator<Item = Constraint> {
    constraints.iter().filter_map(|text| parse(text).ok().flatten())
}

/// What they let a session use.
pub fn bounds(constraints: &[String]) -> Bounds {
    let mut bounds = Bounds::default();
    for constraint in known(constraints) {
        let mut one = ResourceLimits::default();
        match constraint {
            Constraint::Memory(bytes) => one.memory_bytes = Some(bytes),
            Constraint::CpuTime(time) => {
                one.cpu_ms = Some(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
            }
            Constraint::Processes(count) => one.processes = Some(count),
            Constraint::OpenFiles(count) => one.open_files = Some(count),
            Constraint::Timeout(_) => {}
            Constraint::Niceness(niceness) => bounds.niceness = Some(niceness),
        }
        bounds.limits = bounds.limits.and(one);
    }
    bounds
}

/// The longest timeout that they let a command have.
pub fn timeout(constraints: &[String]) -> Option<Duration> {
    known(constraints)
        .filter_map(|constraint| match constraint {
            Constraint::Timeout(timeout) => Some(timeout),
            Constraint::Memory(_)
            | Constraint::CpuTime(_)
            | Constraint::Processes(_)
            | Constraint::OpenFiles(_)
            | Constraint::Niceness(_) => None,
        })
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(constraints: &[&str]) -> Vec<String> {
        constraints.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn constraints_bound_what_they_name_and_the_tightest_holds() {
        let given = list(&[
            "max-memory:4gb",
            "Max-Memory: 2 GiB",
            "max-cpu-time:10m",
            "max-processes:5",
            "max-open-files:64",
            "timeout:300000",
            "timeout:1h",
            "cpu-priority:low",
            "gpu",
        ]);
        assert_eq!(check(&given), Ok(()));
        let limits = ResourceLimits {
            memory_bytes: Some(2 << 30),
            cpu_ms: Some(600_000),
            processes: Some(5),
            open_files: Some(64),
        };
        assert_eq!(bounds(&given), Bounds { limits, niceness: Some(10), ..Bounds::default() });
        assert_eq!(timeout(&given), Some(Duration::from_secs(300)));
        assert_eq!((bounds(&list(&["gpu"])), timeout(&[])), (Bounds::default(), None));
    }

    #[test]
    fn what_is_unknown_or_malformed_is_refused_by_name() {
        let message = |text: &str| check(&list(&["gpu", text])).unwrap_err().message;
        assert_eq!(message("max-mem:4gb"), "'constraints' knows no 'max-mem'; did you mean 'max-memory'?");
        assert_eq!(message("colour:red"), "'constraints' knows no 'colour'");
        for wrong in [
            "max-memory:lots",
            "max-memory:0",
            "timeout:",
            "timeout:900d",
            "cpu-priority:best",
            "max-processes:0",
            "max-open-files:3",
            "max-cpu-time:-1",
        ] {
            assert!(message(wrong).starts_with("constraint '"), "{wrong}: {}", message(wrong));
        }
        // What an older server stored is not in the way of what can be read.
        assert_eq!(bounds(&list(&["max-memory:lots", "max-processes:7"])).limits.processes, Some(7));
    }
}
