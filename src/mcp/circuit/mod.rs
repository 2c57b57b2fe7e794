//! The tools about circuit breakers, a file each, and how both show one.

use schemars::JsonSchema;
use serde::Serialize;

use super::answer::is_default;
use crate::engine::report::CircuitView;

pub(crate) mod reset;
pub(crate) mod status;

/// The states' words.
const STATES: [&str; 3] = ["closed", "open", "halfOpen"];

/// A circuit.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Circuit {
    key: String,
    #[schemars(extend("enum" = STATES))]
    state: &'static str,
    /// In a row.
    failures: u32,
    #[serde(skip_serializing_if = "is_default")]
    opens_until: Option<String>,
}

impl Circuit {
    fn of(view: CircuitView) -> Self {
        Self {
            key: view.key,
            state: view.state.as_str(),
            failures: view.failures,
            opens_until: view.opens_until.map(|at| at.to_string()),
        }
    }

    fn sentence(&self) -> String {
        let until = self.opens_until.as_ref().map_or_else(String::new, |at| format!(" until {at}"));
        format!("circuit {}: {}{until}, {} failures in a row", self.key, self.state, self.failures)
    }
}
