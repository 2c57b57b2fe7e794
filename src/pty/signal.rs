//! Signals as callers write them: "SIGINT", "term", "ctrl-c", 2, "9".

use std::fmt;

/// Every signal that may be named, with its number on this machine.
const SIGNALS: [(&str, i32); 31] = [
    ("HUP", libc::SIGHUP),
    ("INT", libc::SIGINT),
    ("QUIT", libc::SIGQUIT),
    ("ILL", libc::SIGILL),
    ("TRAP", libc::SIGTRAP),
    ("ABRT", libc::SIGABRT),
    ("BUS", libc::SIGBUS),
    ("FPE", libc::SIGFPE),
    ("KILL", libc::SIGKILL),
    ("USR1", libc::SIGUSR1),
    ("SEGV", libc::SIGSEGV),
    ("USR2", libc::SIGUSR2),
    ("PIPE", libc::SIGPIPE),
    ("ALRM", libc::SIGALRM),
    ("TERM", libc::SIGTERM),
    ("STKFLT", libc::SIGSTKFLT),
    ("CHLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("STOP", libc::SIGSTOP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("URG", libc::SIGURG),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
    ("VTALRM", libc::SIGVTALRM),
    ("PROF", libc::SIGPROF),
    ("WINCH", libc::SIGWINCH),
    ("IO", libc::SIGIO),
    ("PWR", libc::SIGPWR),
    ("SYS", libc::SIGSYS),
];

/// A signal that exists on this machine.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signal(i32);

impl Signal {
    /// The terminal is gone.
    pub const HUP: Signal = Signal(libc::SIGHUP);
    /// Go on after a stop.
    pub const CONT: Signal = Signal(libc::SIGCONT);
    /// What Ctrl-C sends.
    pub const INT: Signal = Signal(libc::SIGINT);
    /// The polite request to end.
    pub const TERM: Signal = Signal(libc::SIGTERM);
    /// The one that cannot be refused.
    pub const KILL: Signal = Signal(libc::SIGKILL);

    /// Whether it is sent to end what gets it.
    pub fn ends(self) -> bool {
        [Self::HUP, Self::INT, Self::TERM, Self::KILL, Signal(libc::SIGQUIT)].contains(&self)
    }

    /// Reads a name with or without "SIG", a number, or the key that sends the signal.
    pub fn parse(text: &str) -> Option<Signal> {
        let text = text.trim().to_ascii_uppercase();
        if let Ok(number) = text.parse() {
            return Signal::from_number(number);
        }
        let name = text.strip_prefix("SIG").unwrap_or(&text);
        let name = match name {
            "CTRL-C" | "CTRL+C" | "^C" => "INT",
            "CTRL-\\" | "CTRL+\\" | "^\\" => "QUIT",
            "CTRL-Z" | "CTRL+Z" | "^Z" => "TSTP",
            "POLL" => "IO",
            "IOT" => "ABRT",
            "CLD" => "CHLD",
            name => name,
        };
        SIGNALS.iter().find(|(known, _)| *known == name).map(|(_, number)| Signal(*number))
    }

    /// The signal with this number.
    pub fn from_number(number: i32) -> Option<Signal> {
        SIGNALS.iter().find(|(_, known)| *known == number).map(|(_, number)| Signal(*number))
    }

    /// Every name, for an error message.
    pub fn names() -> Vec<String> {
        SIGNALS.iter().map(|(name, _)| format!("SIG{name}")).collect()
    }

    /// The name with "SIG".
    pub fn name(self) -> String {
        let known = SIGNALS.iter().find(|(_, number)| *number == self.0);
        known.map_or_else(|| self.0.to_string(), |(name, _)| format!("SIG{name}"))
    }

    /// The number on this machine.
    pub fn number(self) -> i32 {
        self.0
    }

    pub(super) fn to_kernel(self) -> Option<rustix::process::Signal> {
        rustix::process::Signal::from_named_raw(self.0)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_read_as_people_write_them() {
        for (text, name) in [
            ("SIGINT", "SIGINT"),
            ("TERM", "SIGTERM"),
            ("kill", "SIGKILL"),
            ("ctrl-c", "SIGINT"),
            ("Ctrl-\\", "SIGQUIT"),
            ("ctrl-z", "SIGTSTP"),
            ("2", "SIGINT"),
            (" 9 ", "SIGKILL"),
            ("sigusr1", "SIGUSR1"),
        ] {
            assert_eq!(Signal::parse(text).map(Signal::name).as_deref(), Some(name), "{text}");
        }
        for text in ["", "SIG", "0", "-1", "99", "SIGFOO"] {
            assert_eq!(Signal::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_kernel_knows_every_signal_of_the_list() {
        for (name, number) in SIGNALS {
            assert!(Signal(number).to_kernel().is_some(), "{name}");
        }
    }
}
