//! What a session or a command may use, and what it means to use more.

use serde::{Deserialize, Serialize};

use crate::model::EndReason;

/// The most that a process tree may use; what is `None` has no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceLimits {
    /// Resident bytes of the whole tree.
    pub memory_bytes: Option<u64>,
    /// Milliseconds of CPU time of the whole tree.
    pub cpu_ms: Option<u64>,
    /// Processes at once, the session's shell included where they are a session's.
    pub processes: Option<u32>,
    /// Files that any one process may have open at once.
    pub open_files: Option<u32>,
}

/// The smaller of two bounds, where there are two.
fn tighter<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    a.into_iter().chain(b).min()
}

impl ResourceLimits {
    /// Whether nothing is bounded.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Both at once: of each pair the tighter.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            memory_bytes: tighter(self.memory_bytes, other.memory_bytes),
            cpu_ms: tighter(self.cpu_ms, other.cpu_ms),
            processes: tighter(self.processes, other.processes),
            open_files: tighter(self.open_files, other.open_files),
        }
    }
}

/// What can be bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Resident bytes.
    Memory,
    /// Milliseconds of CPU time.
    CpuTime,
    /// Processes.
    Processes,
    /// Processes and their threads, of which the kernel lets a session have no more.
    Tasks,
    /// Open files of one process.
    OpenFiles,
}

impl Limit {
    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "maxMemory",
            Self::CpuTime => "maxCpuTime",
            Self::Processes | Self::Tasks => "maxProcesses",
            Self::OpenFiles => "maxOpenFiles",
        }
    }

    /// What it counts.
    fn unit(self) -> &'static str {
        match self {
            Self::Memory => "bytes of memory",
            Self::CpuTime => "ms of CPU time",
            Self::Processes => "processes",
            Self::Tasks => "processes and threads",
            Self::OpenFiles => "open files in one process",
        }
    }

    /// How a command ends that passes it.
    pub fn reason(self) -> EndReason {
        match self {
            Self::Memory => EndReason::MemoryLimit,
            Self::CpuTime => EndReason::CpuLimit,
            Self::Processes | Self::Tasks => EndReason::ProcessLimit,
            Self::OpenFiles => EndReason::FileLimit,
        }
    }
}

/// Who passes a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offender {
    /// What the latest command with limits of its own started.
    Command,
    /// What runs in the session.
    Session,
    /// The session's own program, by itself.
    Shell,
}

/// A limit that is passed, or one that the kernel holds and that is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breach {
    /// Which one.
    pub limit: Limit,
    /// What is used.
    pub measured: u64,
    /// What may be used.
    pub allowed: u64,
    /// By whom.
    pub by: Offender,
}

impl Breach {
    /// Whether more is used than may be. The kernel lets no process open more files than it may, and no
    /// session have more tasks: the limit is reached then, and what to do about it is left to the process.
    pub fn is_passed(&self) -> bool {
        self.measured > self.allowed && self.limit != Limit::Tasks
    }

    /// How what ends by it says so: the limit's name as of an end, and the evidence.
    pub fn reason(&self) -> String {
        format!("{}: {}", self.limit.reason().as_str(), self.evidence())
    }

    /// In words.
    pub fn evidence(&self) -> String {
        let who = match self.by {
            Offender::Command => "the command",
            Offender::Session => "the session",
            Offender::Shell => "the session's shell itself",
        };
        let Self { limit, measured, allowed, .. } = self;
        format!("{who} uses {measured} {}, and {} is {allowed}", limit.unit(), limit.as_str())
    }
}

/// What holds for all that runs in a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// What it may use.
    pub limits: ResourceLimits,
    /// The nice value that its processes run with, where one is asked for.
    pub niceness: Option<i32>,
    /// Processors that it may use at once.
    pub processors: Option<u32>,
    /// Bytes that any one file may grow to by it.
    pub file_bytes: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_bounds_the_tighter_holds() {
        let a = ResourceLimits { memory_bytes: Some(5), processes: Some(1), ..ResourceLimits::default() };
        let b = ResourceLimits { memory_bytes: Some(3), cpu_ms: Some(7), ..ResourceLimits::default() };
        let both =
            ResourceLimits { memory_bytes: Some(3), cpu_ms: Some(7), processes: Some(1), open_files: None };
        assert_eq!((a.and(b), b.and(a)), (both, both));
        assert!(ResourceLimits::default().and(ResourceLimits::default()).is_none());
    }

    #[test]
    fn what_the_kernel_refuses_passes_nothing() {
        let at = |limit| Breach { limit, measured: 272, allowed: 1, by: Offender::Session };
        assert!(at(Limit::Processes).is_passed() && !at(Limit::Tasks).is_passed());
        assert_eq!(Limit::Tasks.reason(), EndReason::ProcessLimit);
    }

    #[test]
    fn a_breach_names_the_limit_and_both_figures() {
        let breach = Breach { limit: Limit::Memory, measured: 9, allowed: 5, by: Offender::Session };
        assert_eq!(breach.evidence(), "the session uses 9 bytes of memory, and maxMemory is 5");
    }
}
