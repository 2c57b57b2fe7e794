//! Which questions of the programs in a session the server answers.

use serde::{Deserialize, Serialize};

/// Yes is typed where the risk is low enough; a caller turns it on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutoAccept {
    /// Whether anything is answered.
    pub enabled: bool,
    /// The highest risk that is answered with yes, from 0 to [`AutoAccept::HIGHEST`].
    pub risk_threshold: u8,
    /// Globs of files: what touches one is never answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protected_patterns: Vec<String>,
}

impl AutoAccept {
    /// The highest risk.
    pub const HIGHEST: u8 = 10;
    /// The threshold that holds unless a caller sets one: looking, and writing in the session's directory.
    pub const THRESHOLD: u8 = 3;

    /// For an event: `on, up to risk 3, 2 protected patterns`.
    pub fn in_words(&self) -> String {
        let (switch, threshold) = (if self.enabled { "on" } else { "off" }, self.risk_threshold);
        format!("{switch}, up to risk {threshold}, {} protected patterns", self.protected_patterns.len())
    }

    /// Whether it is as in every new session.
    pub fn is_unset(&self) -> bool {
        *self == Self::default()
    }
}

/// Off.
impl Default for AutoAccept {
    fn default() -> Self {
        Self { enabled: false, risk_threshold: Self::THRESHOLD, protected_patterns: Vec::new() }
    }
}
