//! One terminal and the program on it: bytes in and out, size, end, and what runs in the foreground.
//!
//! Reading and writing wait on the runtime, not on threads: a thousand terminals cost two threads.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use portable_pty::MasterPty;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, WaitId, WaitIdOptions, kill_process, kill_process_group, pidfd_open, pidfd_send_signal,
    waitid,
};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::probe::{self, Sight};
use super::procfs;
use super::signal::Signal;
use super::spawn::{self, Opened};
use crate::model::session::TerminalSize;
use crate::term::prompt::Reading;

/// How the program on the terminal ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
    /// It ended, and somebody else took its status.
    Unknown,
}

impl Exit {
    /// One number, as shells have it: the exit code, or 128 + signal.
    pub fn code(self) -> Option<i32> {
        match self {
            Exit::Code(code) => Some(code),
            Exit::Signal(signal) => Some(128 + signal),
            Exit::Unknown => None,
        }
    }
}

/// Where two looks find the same, nothing in the foreground has run in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Runs {
    group: u32,
    switches: u64,
}

/// What runs in the terminal's foreground.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreground {
    /// The process group that the terminal's keys go to.
    pub pgid: u32,
    /// Its leader, or another living member when the leader is gone.
    pub pid: u32,
    /// That process's short name.
    pub name: String,
    /// Its arguments, joined by blanks.
    pub command_line: String,
}

/// Who got a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A whole process group.
    Group {
        /// The group.
        pgid: u32,
        /// The short name of its leader.
        name: String,
    },
    /// The shell's own group, by SIGINT only: an interactive shell survives it.
    Shell {
        /// The shell.
        pid: u32,
    },
    /// What the shell runs within its own group, without the shell.
    Processes {
        /// Their ids.
        pids: Vec<u32>,
    },
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Group { pgid, name } => write!(f, "process group {pgid} ({name})"),
            Target::Shell { pid } => write!(f, "what the shell {pid} runs itself"),
            Target::Processes { pids } => {
                let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
                write!(f, "processes {} of the shell", pids.join(", "))
            }
        }
    }
}

/// How a terminal treats what is typed and shown.
#[derive(Clone, Debug)]
pub struct Modes(Termios);

/// A terminal with its program. Dropping it kills the program, and only that: what the program
/// started is found by its slot.
pub struct Terminal {
    master: AsyncFd<OwnedFd>,
    process: AsyncFd<OwnedFd>,
    pty: Mutex<Box<dyn MasterPty + Send>>,
    pid: Pid,
    device: u64,
    exit: Mutex<Option<Exit>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn id(pid: Pid) -> u32 {
    pid.as_raw_pid().unsigned_abs()
}

impl Terminal {
    /// Takes over an opened terminal and the child that was started on it. Needs a runtime.
    pub(super) fn new(opened: Opened, pid: Pid) -> io::Result<Terminal> {
        let device = rustix::fs::fstat(&opened.slave)?.st_rdev;
        Ok(Terminal {
            master: spawn::watch(opened.master, Interest::READABLE)?,
            process: spawn::watch(pidfd_open(pid, PidfdFlags::empty())?, Interest::READABLE)?,
            pty: Mutex::new(opened.pty),
            pid,
            device,
            exit: Mutex::new(None),
        })
    }

    /// Reads what the terminal shows next; 0 is the end, when nobody holds the other side any more.
    /// Nothing is lost when the future is dropped.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let read =
            self.master.async_io(Interest::READABLE, |master| Ok(rustix::io::read(master, &mut *buffer)?));
        match read.await {
            Err(error) if error.raw_os_error() == Some(libc::EIO) => Ok(0),
            result => result,
        }
    }

    /// Types the beginning of `bytes`, and returns how much the terminal took; `WouldBlock` when it takes
    /// nothing now.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(self.master.get_ref(), bytes)?)
    }

    /// Changes the size; programs in the foreground are told by SIGWINCH.
    pub fn resize(&self, size: TerminalSize) -> io::Result<()> {
        lock(&self.pty).resize(spawn::pty_size(size)).map_err(io::Error::other)
    }

    /// Waits until the program has ended, and reaps it. Output may still come: its children can hold
    /// the terminal open.
    pub async fn exited(&self) -> Exit {
        loop {
            let Ok(mut ready) = self.process.readable().await else { return Exit::Unknown };
            match self.try_exited() {
                Some(exit) => return exit,
                None => ready.clear_ready(),
            }
        }
    }

    /// How the program ended, if it has.
    pub fn try_exited(&self) -> Option<Exit> {
        let mut exit = lock(&self.exit);
        if exit.is_none() {
            *exit = reap(self.process.get_ref());
        }
        *exit
    }

    /// Whether a signal holds the program.
    pub fn is_stopped(&self) -> bool {
        procfs::stat(self.pid).is_some_and(procfs::Stat::is_stopped)
    }

    /// Lets the program and what is in its foreground go on after a signal that stopped them.
    pub fn resume(&self) {
        let signal = rustix::process::Signal::CONT;
        // Whoever is gone needs nothing.
        let _ = pidfd_send_signal(self.process.get_ref(), signal);
        if let Some(group) = self.foreground_group() {
            let _ = kill_process_group(group, signal);
        }
    }

    /// The program's process id, which is also the id of its session and process group.
    pub fn pid(&self) -> u32 {
        id(self.pid)
    }

    /// The process group in the foreground, described by its leader.
    pub fn foreground(&self) -> Option<Foreground> {
        let group = self.foreground_group()?;
        let leader = Some(group).filter(|pid| procfs::stat(*pid).is_some_and(procfs::Stat::is_alive));
        let shown = leader.or_else(|| procfs::group(group).first().copied())?;
        let name = procfs::name(shown)?;
        let command_line = procfs::command_line(shown).unwrap_or_else(|| name.clone());
        Some(Foreground { pgid: id(group), pid: id(shown), name, command_line })
    }

    /// The process group in the foreground.
    pub fn foreground_group_id(&self) -> Option<u32> {
        self.foreground_group().map(id)
    }

    /// Whether the shell's own group is in the foreground: it is at its prompt, or runs a builtin, a
    /// function or a loop.
    pub fn is_shell_foreground(&self) -> bool {
        self.foreground_group() == Some(self.pid)
    }

    /// Whether a process of the foreground waits for the terminal's input. Meant for while a command
    /// runs: a shell at its prompt waits, too.
    pub fn awaiting_input(&self) -> bool {
        let Some(pgid) = self.foreground_group() else { return false };
        let waits = |pid: Pid| match probe::look(pid, self.device) {
            // What a signal stopped in the middle of a read reads nothing.
            Sight::Waiting => !procfs::stat(pid).is_some_and(procfs::Stat::is_stopped),
            Sight::Busy => false,
            // What another user runs is known by its sleep and its prompt: nobody types in the dark
            // but for a password.
            Sight::Hidden => self.echo_is_off() && procfs::stat(pid).is_some_and(|stat| stat.state == b'S'),
        };
        let any_waits = waits(pgid) || procfs::group(pgid).into_iter().filter(|pid| *pid != pgid).any(waits);
        // What it printed before it waits may say that it is the shell by now.
        any_waits && !self.has_unread()
    }

    /// Whether something was printed that nobody has read yet.
    pub fn has_unread(&self) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut descriptors = [PollFd::new(self.master.get_ref(), PollFlags::IN)];
        poll(&mut descriptors, Some(&now)).is_ok_and(|ready| ready > 0)
    }

    /// How often what is in the foreground was set running so far. None where that cannot be told.
    pub fn foreground_runs(&self) -> Option<Runs> {
        let group = self.foreground_group()?;
        let switches: Option<u64> = procfs::group(group).into_iter().map(procfs::switches).sum();
        Some(Runs { group: id(group), switches: switches? })
    }

    /// How the program in the foreground has the terminal read what is typed.
    pub fn reading(&self) -> Option<Reading> {
        let modes = tcgetattr(self.master.get_ref()).ok()?.local_modes;
        Some(match (modes.contains(LocalModes::ICANON), modes.contains(LocalModes::ECHO)) {
            (true, true) => Reading::Lines,
            (true, false) => Reading::HiddenLines,
            (false, true) => Reading::Keys,
            (false, false) => Reading::Itself,
        })
    }

    /// Whether a line is being read without showing it, as for a password. Programs that take single
    /// keys, and line editors, show what is typed themselves and don't count.
    pub fn echo_is_off(&self) -> bool {
        self.reading() == Some(Reading::HiddenLines)
    }

    /// The modes, unless a line editor has changed them for itself. To be set again only for a shell
    /// without one (see [`edits_lines`](super::shell::edits_lines)), which leaves them alone.
    pub fn line_modes(&self) -> Option<Modes> {
        let modes = tcgetattr(self.master.get_ref()).ok()?;
        modes.local_modes.contains(LocalModes::ICANON).then_some(Modes(modes))
    }

    /// Sets the modes as they were.
    pub fn set_modes(&self, modes: &Modes) -> io::Result<()> {
        Ok(tcsetattr(self.master.get_ref(), OptionalActions::Now, &modes.0)?)
    }

    /// The shell's working directory.
    pub fn working_directory(&self) -> Option<PathBuf> {
        procfs::working_directory(self.pid)
    }

    /// The working directory of what has the foreground.
    pub fn foreground_directory(&self) -> Option<PathBuf> {
        procfs::working_directory(self.foreground_group()?)
    }

    /// Signals what runs in the foreground, never the shell: its process group, unless that is the
    /// shell's own. In that case SIGINT goes to the group, which a shell survives, and any other
    /// signal to the group's members except the shell. `NotFound` when there is nobody.
    pub fn signal_foreground(&self, signal: Signal) -> io::Result<Target> {
        let nobody = || io::Error::new(io::ErrorKind::NotFound, "nothing runs in the foreground");
        let kernel = signal.to_kernel().ok_or(io::ErrorKind::InvalidInput)?;
        let pgid = self.foreground_group().ok_or_else(nobody)?;
        if pgid != self.pid {
            let name = procfs::name(pgid).unwrap_or_default();
            kill_process_group(pgid, kernel)?;
            return Ok(Target::Group { pgid: id(pgid), name });
        }
        if signal == Signal::INT {
            return self.interrupt_shell();
        }
        let hit: Vec<u32> = procfs::group(pgid)
            .into_iter()
            .filter(|pid| *pid != self.pid && kill_process(*pid, kernel).is_ok())
            .map(id)
            .collect();
        if hit.is_empty() { Err(nobody()) } else { Ok(Target::Processes { pids: hit }) }
    }

    /// SIGINT to the shell's own group: it drops what it runs itself and returns to its prompt.
    pub fn interrupt_shell(&self) -> io::Result<Target> {
        if self.try_exited().is_some() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the shell has ended"));
        }
        kill_process_group(self.pid, rustix::process::Signal::INT)?;
        Ok(Target::Shell { pid: id(self.pid) })
    }

    fn foreground_group(&self) -> Option<Pid> {
        tcgetpgrp(self.master.get_ref()).ok()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if self.try_exited().is_some() {
            return;
        }
        let process = self.process.get_ref();
        if pidfd_send_signal(process, rustix::process::Signal::KILL).is_ok() {
            // It dies at once, unless the kernel holds it: then a zombie is left, not a hung server.
            let timeout = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
            let _ = poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&timeout));
        }
        reap(process);
    }
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminal").field("pid", &self.pid).finish_non_exhaustive()
    }
}

/// Takes the status of the child behind `pidfd`, if it has ended.
fn reap(pidfd: &OwnedFd) -> Option<Exit> {
    match waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
        Ok(None) => None,
        Ok(Some(status)) => Some(match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, Some(signal)) => Exit::Signal(signal),
            (None, None) => Exit::Unknown,
        }),
        // A server that was started with SIGCHLD ignored has no statuses to take.
        Err(_) => Some(Exit::Unknown),
    }
}
