//! How a command failed, in words.

use crate::mcp::answer::spoken;
use crate::model::{Command, EndReason, Ending};

/// The kind of failure, of a command that ended other than its caller wished.
pub(in crate::mcp) fn failure(command: &Command) -> Option<String> {
    if !command.is_ended() || command.is_success() {
        return None;
    }
    let id = &command.id;
    Some(match (command.reason, command.ending) {
        (Some(EndReason::Timeout), _) => {
            format!("command stopped: {id} outlived its timeout of {}", spoken(command.timeout_ms))
        }
        (Some(EndReason::Cancelled), _) => format!("command cancelled: {id}"),
        (Some(EndReason::SessionLost), _) => format!("command lost: the session of {id} ended"),
        (Some(EndReason::ServerRestart), _) => format!("command lost: the server ended while {id} ran"),
        (Some(EndReason::MemoryLimit), _) => format!("command stopped: {id} passed its memory limit"),
        (Some(EndReason::CpuLimit), _) => format!("command stopped: {id} passed its CPU-time limit"),
        (Some(EndReason::ProcessLimit), _) => format!("command stopped: {id} passed its limit of processes"),
        (Some(EndReason::FileLimit), _) => format!("command stopped: {id} passed its limit of open files"),
        (None, Some(Ending::ShellKilled(signal))) => {
            format!("command killed: {} ended the shell of {id}", signal_name(signal))
        }
        (None, Some(Ending::ShellExited(code))) => {
            format!("command failed: {id} ended its shell with exit code {code}")
        }
        (None, Some(Ending::Exited(code))) => match command.signal() {
            Some(signal @ 19..=22) => format!(
                "command stopped, not ended, by {}: `fg` lets it go on, `kill -9 %+` ends it (exit code {code})",
                signal_name(signal)
            ),
            Some(signal) => format!("command killed: {} (exit code {code})", signal_name(signal)),
            None => format!("command failed: exit code {code}"),
        },
        (None, Some(Ending::Lost) | None) => format!("command lost: the end of {id} was not seen"),
    })
}

/// The name of a signal, of those that end or stop programs.
pub(super) fn signal_name(signal: i32) -> String {
    const NAMES: [(i32, &str); 20] = [
        (1, "SIGHUP"),
        (2, "SIGINT"),
        (3, "SIGQUIT"),
        (4, "SIGILL"),
        (6, "SIGABRT"),
        (7, "SIGBUS"),
        (8, "SIGFPE"),
        (9, "SIGKILL"),
        (10, "SIGUSR1"),
        (11, "SIGSEGV"),
        (12, "SIGUSR2"),
        (13, "SIGPIPE"),
        (14, "SIGALRM"),
        (15, "SIGTERM"),
        (19, "SIGSTOP"),
        (20, "SIGTSTP"),
        (21, "SIGTTIN"),
        (22, "SIGTTOU"),
        (24, "SIGXCPU"),
        (25, "SIGXFSZ"),
    ];
    let named = NAMES.iter().find(|(number, _)| *number == signal);
    named.map_or_else(|| format!("signal {signal}"), |(_, name)| (*name).to_owned())
}
