//! Where the tasks go that name a session: to others in its stead.

use serde::{Deserialize, Serialize};

/// The sessions that run what names another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Affinity {
    /// Ids, and globs over names and ids; never empty.
    pub targets: Vec<String>,
    /// Which of them is chosen.
    pub strategy: AffinityStrategy,
    /// Milliseconds between two looks at whether they are well.
    pub check_ms: u64,
}

/// How a target is chosen among those that are well and free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AffinityStrategy {
    /// Each in turn.
    #[default]
    RoundRobin,
    /// The one that uses the least of the machine.
    LoadBalanced,
    /// The first in the order given.
    First,
}
