//! Whether a process waits for a terminal's input, from what the kernel says it is blocked in.
//!
//! A process waits when one of its threads sleeps in a read of the terminal, or in a poll, select or
//! epoll whose set asks for input from the terminal; the set is read from the process's memory, so
//! that `tail -f`, which polls a file while its stdin happens to be the terminal, is told apart. A
//! poll that times out within a second is a program that goes on by itself and glances at the keys.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::Duration;

use rustix::process::Pid;

use super::procfs;

/// Threads looked at per process; runtimes with more read their terminal on one of the first.
const THREADS: usize = 64;
/// Descriptors looked at in one set.
const DESCRIPTORS: usize = 1024;
/// A wait shorter than this is a glance.
const GLANCE: Duration = Duration::from_secs(1);
/// The device number of `/dev/tty`, which stands for the terminal of whoever opened it.
const DEV_TTY: u64 = 5 << 8;

/// What could be seen of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// It waits for the terminal's input.
    Waiting,
    /// It does something else.
    Busy,
    /// It belongs to somebody else, as `sudo` does.
    Hidden,
}

/// Looks at every thread of `pid`, the first one first. `terminal` is the device number.
pub(super) fn look(pid: Pid, terminal: u64) -> Sight {
    let process = Process { pid, terminal };
    match process.thread(pid.as_raw_pid()) {
        Sight::Busy => {}
        seen @ (Sight::Waiting | Sight::Hidden) => return seen,
    }
    if procfs::stat(pid).is_none_or(|stat| stat.threads < 2) {
        return Sight::Busy;
    }
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Sight::Busy };
    let waits = threads
        .flatten()
        .take(THREADS)
        .filter_map(|thread| thread.file_name().to_str()?.parse().ok())
        .any(|thread| process.thread(thread) == Sight::Waiting);
    if waits { Sight::Waiting } else { Sight::Busy }
}

struct Process {
    pid: Pid,
    terminal: u64,
}

impl Process {
    fn thread(&self, thread: i32) -> Sight {
        let mut buffer = [0; 256];
        let Some(text) = procfs::read(&format!("/proc/{}/task/{thread}/syscall", self.pid), &mut buffer)
        else {
            return Sight::Hidden;
        };
        match Call::parse(text) {
            Some(call) if self.asks_for_input(&call) == Some(true) => Sight::Waiting,
            Some(_) | None => Sight::Busy,
        }
    }

    /// None where the process ended or changed between two looks.
    fn asks_for_input(&self, call: &Call) -> Option<bool> {
        let [first, second, third, fourth, fifth] = call.arguments;
        let (descriptors, timeout) = match call.kind()? {
            Kind::Read => return Some(self.is_terminal(first)),
            Kind::Poll => (self.polled(first, second)?, milliseconds(third)),
            Kind::PpollWithTimespec => (self.polled(first, second)?, self.duration(third)?),
            Kind::Select => (self.selected(first, second)?, self.duration(fifth)?),
            Kind::Epoll => (self.watched(first)?, milliseconds(fourth)),
            Kind::EpollWithTimespec => (self.watched(first)?, self.duration(fourth)?),
        };
        let patient = timeout.is_none_or(|timeout| timeout >= GLANCE);
        Some(patient && descriptors.into_iter().any(|descriptor| self.is_terminal(descriptor)))
    }

    fn is_terminal(&self, descriptor: u64) -> bool {
        std::fs::metadata(format!("/proc/{}/fd/{descriptor}", self.pid))
            .is_ok_and(|file| file.rdev() == self.terminal || file.rdev() == DEV_TTY)
    }

    /// The descriptors of an array of `struct pollfd` that ask for input.
    fn polled(&self, address: u64, count: u64) -> Option<Vec<u64>> {
        let count = usize::try_from(count).ok()?.min(DESCRIPTORS);
        let entries = self.memory(address, count * 8)?;
        let wanted = libc::POLLIN | libc::POLLRDNORM;
        let (entries, _) = entries.as_chunks::<8>();
        Some(
            entries
                .iter()
                .map(|&[a, b, c, d, e, f, ..]| (i32::from_ne_bytes([a, b, c, d]), i16::from_ne_bytes([e, f])))
                .filter(|(_, events)| events & wanted != 0)
                .filter_map(|(descriptor, _)| u64::try_from(descriptor).ok())
                .collect(),
        )
    }

    /// The descriptors of a `fd_set` for reading.
    fn selected(&self, count: u64, address: u64) -> Option<Vec<u64>> {
        let count = usize::try_from(count).ok()?.min(DESCRIPTORS);
        if address == 0 {
            return Some(Vec::new());
        }
        // The set is one of words; on little-endian machines that is the same as one of bytes.
        let set = self.memory(address, count.div_ceil(64) * 8)?;
        let (words, _) = set.as_chunks::<8>();
        let words: Vec<u64> = words.iter().map(|word| u64::from_ne_bytes(*word)).collect();
        let is_set = |descriptor: &u64| words[*descriptor as usize / 64] & (1 << (descriptor % 64)) != 0;
        Some((0..count as u64).filter(is_set).collect())
    }

    /// The descriptors that an epoll watches for input, from lines of `tfd: 0 events: 19 …`.
    fn watched(&self, epoll: u64) -> Option<Vec<u64>> {
        let text = std::fs::read_to_string(format!("/proc/{}/fdinfo/{epoll}", self.pid)).ok()?;
        let watched = |line: &str| {
            let mut words = line.strip_prefix("tfd:")?.split_ascii_whitespace();
            let descriptor = words.next()?.parse::<u64>().ok()?;
            let events = u32::from_str_radix(words.nth(1)?, 16).ok()?;
            (events & libc::EPOLLIN as u32 != 0).then_some(descriptor)
        };
        Some(text.lines().filter_map(watched).take(DESCRIPTORS).collect())
    }

    /// The duration in a `struct timespec` or `timeval`: only whole seconds matter. Null is forever.
    fn duration(&self, address: u64) -> Option<Option<Duration>> {
        if address == 0 {
            return Some(None);
        }
        let seconds = self.memory(address, 8)?.try_into().ok().map(i64::from_ne_bytes)?;
        Some(Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0))))
    }

    fn memory(&self, address: u64, length: usize) -> Option<Vec<u8>> {
        let mut buffer = vec![0; length];
        let memory = File::open(format!("/proc/{}/mem", self.pid)).ok()?;
        memory.read_exact_at(&mut buffer, address).ok()?;
        Some(buffer)
    }
}

/// An `int` of milliseconds; negative is forever.
fn milliseconds(argument: u64) -> Option<Duration> {
    let value = i32::from_ne_bytes((argument as u32).to_ne_bytes());
    u64::try_from(value).ok().map(Duration::from_millis)
}

/// A system call that a thread sleeps in.
struct Call {
    number: i64,
    arguments: [u64; 5],
}

enum Kind {
    Read,
    Poll,
    PpollWithTimespec,
    Select,
    Epoll,
    EpollWithTimespec,
}

impl Call {
    /// From `NUMBER 0xARG…`; none for `running` and for a thread outside of a call.
    fn parse(text: &[u8]) -> Option<Call> {
        let mut words = std::str::from_utf8(text).ok()?.split_ascii_whitespace();
        let number = words.next()?.parse().ok().filter(|number| *number >= 0)?;
        let mut arguments = [0; 5];
        for argument in &mut arguments {
            *argument = u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
        }
        Some(Call { number, arguments })
    }

    fn kind(&self) -> Option<Kind> {
        match self.number {
            libc::SYS_read | libc::SYS_readv => Some(Kind::Read),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_poll => Some(Kind::Poll),
            libc::SYS_ppoll => Some(Kind::PpollWithTimespec),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_select => Some(Kind::Select),
            libc::SYS_pselect6 => Some(Kind::Select),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_epoll_wait => Some(Kind::Epoll),
            libc::SYS_epoll_pwait => Some(Kind::Epoll),
            libc::SYS_epoll_pwait2 => Some(Kind::EpollWithTimespec),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleeping_call_is_read_and_a_running_thread_is_none() {
        let call = Call::parse(b"0 0x3 0x7f 0x20000 0x0 0x0 0x0 0x7ffd 0x7feb\n").unwrap();
        assert_eq!((call.number, call.arguments[0]), (0, 3));
        assert!(Call::parse(b"running\n").is_none());
        assert!(Call::parse(b"-1 0x7ffd 0x7feb\n").is_none());
    }

    #[test]
    fn a_negative_timeout_is_forever() {
        assert_eq!(milliseconds(u64::from(u32::MAX)), None);
        assert_eq!(milliseconds(100), Some(Duration::from_millis(100)));
    }
}
