//! What kind of failure it was, from what the engine knows. What only the output tells comes from outside.

use crate::engine::Exit;
use crate::model::{Command, EndReason, Ending, FailureCategory, Limit};

/// A program was found and could not be run.
const CANNOT_RUN: i32 = 126;
/// A program was not found.
const NOT_FOUND: i32 = 127;
/// The terminal, or the other end of a pipe, went away.
const LOST: [i32; 2] = [1, 13];
/// Limits of the kernel.
const CPU_TIME: i32 = 24;
/// A command that a signal stopped, and that its shell then left behind.
const STOPPED: [i32; 3] = [19, 20, 21];

/// Why a command is not over as wished; `None` for one that is, or that runs in time.
pub(in crate::engine) fn of_command(command: &Command) -> Option<FailureCategory> {
    match command.reason {
        Some(EndReason::Timeout) => return Some(FailureCategory::Timeout),
        Some(EndReason::MemoryLimit) => return Some(FailureCategory::MemoryLimit),
        Some(EndReason::CpuLimit) => return Some(FailureCategory::CpuLimit),
        Some(EndReason::ProcessLimit) => return Some(FailureCategory::ProcessLimit),
        Some(EndReason::FileLimit) => return Some(FailureCategory::FileLimit),
        Some(EndReason::SessionLost | EndReason::ServerRestart) => {
            return Some(FailureCategory::ConnectionLost);
        }
        Some(EndReason::Cancelled) => return None,
        None => {}
    }
    match command.ending {
        None => command.timed_out.then_some(FailureCategory::Timeout),
        Some(_) if command.is_success() => None,
        Some(Ending::Exited(CANNOT_RUN)) => Some(FailureCategory::PermissionDenied),
        Some(Ending::Exited(NOT_FOUND)) => Some(FailureCategory::CommandNotFound),
        Some(Ending::Exited(_) | Ending::ShellExited(_)) => {
            Some(command.signal().map_or(FailureCategory::Unknown, of_signal))
        }
        Some(Ending::ShellKilled(signal)) => Some(of_signal(signal)),
        Some(Ending::Lost) => Some(FailureCategory::ConnectionLost),
    }
}

/// What passing a limit is.
pub(super) fn of_limit(limit: Limit) -> FailureCategory {
    match limit {
        Limit::Memory => FailureCategory::MemoryLimit,
        Limit::CpuTime => FailureCategory::CpuLimit,
        Limit::Processes | Limit::Tasks => FailureCategory::ProcessLimit,
        Limit::OpenFiles => FailureCategory::FileLimit,
    }
}

/// Why a shell ended.
pub(super) fn of_exit(exit: Exit) -> FailureCategory {
    match exit {
        Exit::Signal(signal) => of_signal(signal),
        // Whatever code: nobody had asked it to end.
        Exit::Code(_) => FailureCategory::Crash,
    }
}

fn of_signal(signal: i32) -> FailureCategory {
    match signal {
        CPU_TIME => FailureCategory::CpuLimit,
        signal if LOST.contains(&signal) => FailureCategory::ConnectionLost,
        signal if STOPPED.contains(&signal) => FailureCategory::Hang,
        _ => FailureCategory::Crash,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::SessionId;
    use crate::model::fixtures;

    fn category(
        ending: Option<Ending>,
        reason: Option<EndReason>,
        timed_out: bool,
    ) -> Option<FailureCategory> {
        let mut command = fixtures::command(&SessionId::from_text("ses_a"));
        (command.ending, command.reason, command.timed_out) = (ending, reason, timed_out);
        of_command(&command)
    }

    #[test]
    fn the_end_of_a_command_has_a_category() {
        use FailureCategory::*;
        for (ending, reason, timed_out, expected) in [
            (None, None, false, None),
            (None, None, true, Some(Timeout)),
            (Some(Ending::Exited(0)), None, false, None),
            (Some(Ending::Exited(0)), None, true, None),
            (Some(Ending::Exited(1)), None, false, Some(Unknown)),
            (Some(Ending::Exited(126)), None, false, Some(PermissionDenied)),
            (Some(Ending::Exited(127)), None, false, Some(CommandNotFound)),
            (Some(Ending::Exited(137)), None, false, Some(Crash)),
            (Some(Ending::Exited(139)), None, false, Some(Crash)),
            (Some(Ending::Exited(141)), None, false, Some(ConnectionLost)),
            (Some(Ending::Exited(147)), None, false, Some(Hang)),
            (Some(Ending::Exited(152)), None, false, Some(CpuLimit)),
            (Some(Ending::Exited(130)), Some(EndReason::Timeout), true, Some(Timeout)),
            (Some(Ending::Exited(130)), Some(EndReason::MemoryLimit), false, Some(MemoryLimit)),
            (Some(Ending::Exited(130)), Some(EndReason::CpuLimit), false, Some(CpuLimit)),
            (Some(Ending::Exited(130)), Some(EndReason::Cancelled), false, None),
            (Some(Ending::ShellKilled(9)), None, false, Some(Crash)),
            (Some(Ending::ShellKilled(1)), None, false, Some(ConnectionLost)),
            (Some(Ending::ShellExited(0)), None, false, None),
            (Some(Ending::ShellExited(3)), None, false, Some(Unknown)),
            (Some(Ending::Lost), Some(EndReason::SessionLost), false, Some(ConnectionLost)),
        ] {
            assert_eq!(category(ending, reason, timed_out), expected, "{ending:?} {reason:?} {timed_out}");
        }
    }
}
