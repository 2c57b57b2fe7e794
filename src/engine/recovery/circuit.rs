//! Circuit breakers: what fails again and again, wherever it is tried, is left alone for a while.
//!
//! A circuit belongs to a command line, or to an agent's program whatever it is told. It counts failures
//! of attempts that nobody asked for one by one, and refuses such attempts; what a caller orders without
//! retries goes through. Failures of one task or command count once, because its own retries are bounded
//! by their own number: a cascade is many of them. Rejected: to count all failures, which would hold up a
//! task that polls a port by its retries.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::clock::{Moment, Now, Timestamp};
use crate::error::{Error, ErrorCode};
use crate::limits;
use crate::model::{CircuitState, RecoverySettings, Task, TaskKind};

/// A command line, or an agent's program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::engine) struct Key(String);

impl Key {
    /// The circuit of a command line.
    pub(in crate::engine) fn of_command(text: &str) -> Self {
        let text = text.trim();
        let Some((at, _)) = text.char_indices().nth(limits::CIRCUIT_KEY) else {
            return Self(text.to_owned());
        };
        let mut rest = DefaultHasher::new();
        text[at..].hash(&mut rest);
        Self(format!("{}…{:016x}", &text[..at], rest.finish()))
    }

    /// The circuit of a task.
    pub(in crate::engine) fn of_task(task: &Task) -> Self {
        match task.kind {
            TaskKind::Command | TaskKind::Script => Self::of_command(&task.text),
            // The prompt is another each time.
            TaskKind::Agent => {
                Self(format!("agent:{}", task.text.split_whitespace().next().unwrap_or_default()))
            }
        }
    }

    pub(in crate::engine) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a circuit knows.
#[derive(Clone, Debug)]
struct Circuit {
    /// Failures in a row.
    failures: u32,
    /// What failed, each once; no more than it takes to open.
    sources: Vec<u64>,
    /// Until when it is open, for both clocks; absent while closed.
    until: Option<(Moment, Timestamp)>,
    /// Whether the one that was let through has not told how it went.
    on_trial: bool,
    failed_at: Moment,
}

/// Why an attempt is not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Refusal {
    /// When one is.
    pub(in crate::engine) until: Moment,
    /// The same for people.
    pub(in crate::engine) until_wall: Timestamp,
    failures: u32,
}

impl Refusal {
    /// What a caller is told.
    pub(in crate::engine) fn error(self, key: &Key) -> Error {
        Error::new(
            ErrorCode::CircuitOpen,
            format!(
                "the circuit of this command line is open: it failed {} times in a row; it is tried again at {}",
                self.failures, self.until_wall
            ),
        )
        .with_hint("see what fails and mend it, then call circuit_reset; without retries it runs at once")
        .with_details(serde_json::json!({"key": key.as_str(), "opensUntil": self.until_wall.to_string()}))
    }
}

/// All circuits that are not as new.
#[derive(Debug)]
pub(in crate::engine) struct Circuits {
    settings: RecoverySettings,
    known: BTreeMap<Key, Circuit>,
}

impl Circuits {
    pub(in crate::engine) fn new(settings: RecoverySettings) -> Self {
        Self { settings, known: BTreeMap::new() }
    }

    /// `source` failed, which is told apart from others by its number. Opens the circuit when enough have.
    pub(in crate::engine) fn failed(&mut self, now: Now, key: &Key, source: u64) {
        if !self.known.contains_key(key) && self.known.len() >= limits::CIRCUITS {
            let oldest = self.known.iter().min_by_key(|(_, circuit)| circuit.failed_at);
            let oldest = oldest.map(|(key, _)| key.clone());
            oldest.map(|key| self.known.remove(&key));
        }
        let circuit = self.known.entry(key.clone()).or_insert_with(|| Circuit {
            failures: 0,
            sources: Vec::new(),
            until: None,
            on_trial: false,
            failed_at: now.moment,
        });
        circuit.failures = circuit.failures.saturating_add(1);
        circuit.failed_at = now.moment;
        let most = self.settings.circuit_failures as usize;
        if circuit.sources.len() < most && !circuit.sources.contains(&source) {
            circuit.sources.push(source);
        }
        let was_trial = std::mem::take(&mut circuit.on_trial);
        if was_trial || (circuit.until.is_none() && circuit.sources.len() >= most) {
            circuit.until = Some(after(now, self.settings));
        }
    }

    /// Something of this key went well: the circuit is as new. Returns whether it was open till now.
    pub(in crate::engine) fn succeeded(&mut self, key: &Key) -> bool {
        self.known.remove(key).is_some_and(|circuit| circuit.until.is_some())
    }

    /// The one that was let through went well. Returns whether that closes the circuit.
    pub(in crate::engine) fn trial_succeeded(&mut self, key: &Key) -> bool {
        self.known.get(key).is_some_and(|circuit| circuit.on_trial) && self.succeeded(key)
    }

    /// Whether there is anything to know.
    pub(in crate::engine) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Lets an attempt through, or says when one is. The first after an open time is the trial; while it is
    /// on its way the others wait as long again.
    pub(in crate::engine) fn admit(&mut self, now: Now, key: &Key) -> Result<(), Refusal> {
        let Some(circuit) = self.known.get_mut(key) else { return Ok(()) };
        let Some((until, until_wall)) = circuit.until else { return Ok(()) };
        if now.moment < until {
            return Err(Refusal { until, until_wall, failures: circuit.failures });
        }
        circuit.until = Some(after(now, self.settings));
        circuit.on_trial = true;
        Ok(())
    }

    /// The same without taking the trial.
    pub(in crate::engine) fn refusal(&self, now: Now, key: &Key) -> Option<Refusal> {
        let circuit = self.known.get(key)?;
        let (until, until_wall) = circuit.until.filter(|(until, _)| now.moment < *until)?;
        Some(Refusal { until, until_wall, failures: circuit.failures })
    }

    /// State, failures in a row, and until when it is open.
    pub(in crate::engine) fn state(&self, now: Now, key: &Key) -> (CircuitState, u32, Option<Timestamp>) {
        let Some(circuit) = self.known.get(key) else { return (CircuitState::Closed, 0, None) };
        match circuit.until {
            None => (CircuitState::Closed, circuit.failures, None),
            Some((until, wall)) if now.moment < until && !circuit.on_trial => {
                (CircuitState::Open, circuit.failures, Some(wall))
            }
            Some(_) => (CircuitState::HalfOpen, circuit.failures, None),
        }
    }

    /// The keys of all that are not as new.
    pub(in crate::engine) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.known.keys()
    }
}

fn after(now: Now, settings: RecoverySettings) -> (Moment, Timestamp) {
    let ms = i64::try_from(settings.circuit_open.as_millis()).unwrap_or(i64::MAX);
    (now.moment.after(settings.circuit_open), Timestamp(now.wall.0.saturating_add(ms)))
}

#[cfg(test)]
mod tests;
