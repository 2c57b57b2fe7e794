//! What can go wrong with a session and its commands, and what can be done about it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Why something failed, as far as that decides what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCategory {
    /// It outlived its timeout.
    Timeout,
    /// It passed its memory limit.
    MemoryLimit,
    /// It passed its limit of CPU time.
    CpuLimit,
    /// It passed its limit of processes.
    ProcessLimit,
    /// It passed its limit of open files.
    FileLimit,
    /// The other end, or the terminal, went away.
    ConnectionLost,
    /// It may not do what it tried.
    PermissionDenied,
    /// There is no such program.
    CommandNotFound,
    /// Nobody believed who it said it was.
    Authentication,
    /// It asked too often.
    RateLimit,
    /// A signal or an error of its own ended it.
    Crash,
    /// It is there and does nothing.
    Hang,
    /// The shell could not be started.
    SpawnFailed,
    /// Its directory is gone.
    MissingDirectory,
    /// Nobody knows.
    Unknown,
}

impl FailureCategory {
    /// Every category, for tables and schemas.
    pub const ALL: [FailureCategory; 15] = [
        Self::Timeout,
        Self::MemoryLimit,
        Self::CpuLimit,
        Self::ProcessLimit,
        Self::FileLimit,
        Self::ConnectionLost,
        Self::PermissionDenied,
        Self::CommandNotFound,
        Self::Authentication,
        Self::RateLimit,
        Self::Crash,
        Self::Hang,
        Self::SpawnFailed,
        Self::MissingDirectory,
        Self::Unknown,
    ];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::MemoryLimit => "memory_limit",
            Self::CpuLimit => "cpu_limit",
            Self::ProcessLimit => "process_limit",
            Self::FileLimit => "file_limit",
            Self::ConnectionLost => "connection_lost",
            Self::PermissionDenied => "permission_denied",
            Self::CommandNotFound => "command_not_found",
            Self::Authentication => "authentication",
            Self::RateLimit => "rate_limit",
            Self::Crash => "crash",
            Self::Hang => "hang",
            Self::SpawnFailed => "spawn_failed",
            Self::MissingDirectory => "missing_directory",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the same thing fails the same way however often it is tried: somebody has to change
    /// something first.
    pub fn is_hopeless(self) -> bool {
        match self {
            Self::PermissionDenied | Self::CommandNotFound | Self::Authentication => true,
            Self::Timeout
            | Self::MemoryLimit
            | Self::CpuLimit
            | Self::ProcessLimit
            | Self::FileLimit
            | Self::ConnectionLost
            | Self::RateLimit
            | Self::Crash
            | Self::Hang
            | Self::SpawnFailed
            | Self::MissingDirectory
            | Self::Unknown => false,
        }
    }
}

/// What is done about a session that is out of order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecoveryStrategy {
    /// The mildest that can help.
    #[default]
    Auto,
    /// Ends what runs in the foreground; the shell stays.
    Interrupt,
    /// A fresh shell with the directory, the exported environment and the size of the old one.
    Restart,
    /// A fresh shell with the settings that the session was created with.
    Reset,
    /// Another session takes over what waits.
    Failover,
    /// Asks what runs in the foreground to end, and restarts the shell if it does not.
    Graceful,
}

impl RecoveryStrategy {
    /// Every strategy, for schemas.
    pub const ALL: [RecoveryStrategy; 6] =
        [Self::Auto, Self::Interrupt, Self::Restart, Self::Reset, Self::Failover, Self::Graceful];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Interrupt => "interrupt",
            Self::Restart => "restart",
            Self::Reset => "reset",
            Self::Failover => "failover",
            Self::Graceful => "graceful",
        }
    }
}

/// How a session is recovered without anybody asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryPolicy {
    /// Attempts before it is given up.
    pub max_retries: u32,
    /// Milliseconds before the second attempt; the pause doubles with each.
    pub retry_delay_ms: u64,
    /// What is done.
    pub strategy: RecoveryStrategy,
}

/// What recoveries that name nothing else go by, and when circuits open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoverySettings {
    /// Attempts before a session is given up.
    pub retries: u32,
    /// The pause before the second attempt; it doubles with each.
    pub delay: Duration,
    /// The longest that all attempts may take together.
    pub timeout: Duration,
    /// Failures in a row, each of another task or command, that open the circuit of a command line.
    pub circuit_failures: u32,
    /// How long it stays open before one more is let through.
    pub circuit_open: Duration,
}

impl RecoverySettings {
    /// What holds where nothing is configured.
    pub const DEFAULT: RecoverySettings = RecoverySettings {
        retries: crate::limits::RECOVERY_RETRIES,
        delay: crate::limits::RECOVERY_DELAY,
        timeout: crate::limits::RECOVERY_TIMEOUT,
        circuit_failures: crate::limits::CIRCUIT_FAILURES,
        circuit_open: crate::limits::CIRCUIT_OPEN,
    };
}

/// Whether automatic attempts at a command line are let through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CircuitState {
    /// All are.
    #[default]
    Closed,
    /// None is.
    Open,
    /// One is, and decides.
    HalfOpen,
}

impl CircuitState {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "halfOpen",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_word_is_the_serde_word() {
        for category in FailureCategory::ALL {
            assert_eq!(serde_json::to_value(category).ok(), Some(category.as_str().into()));
        }
        for strategy in RecoveryStrategy::ALL {
            assert_eq!(serde_json::to_value(strategy).ok(), Some(strategy.as_str().into()));
        }
        for state in [CircuitState::Closed, CircuitState::Open, CircuitState::HalfOpen] {
            assert_eq!(serde_json::to_value(state).ok(), Some(state.as_str().into()));
        }
    }
}
