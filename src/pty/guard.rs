//! What remains when the server is killed: the same program again, doing nothing but holding the end
//! of a pipe. When the pipe closes, the server is gone, however it went, and the guard kills all that
//! carries its brand and removes its private directory and its control groups. The hang-up of the terminals ends most of it
//! already, but not what ignores a hang-up or has left its session.
//!
//! The guard has no runtime, no threads and none of the server's descriptors; every signal that can be
//! is blocked, so that the Ctrl-C or the SIGTERM that ends the server does not end its guard.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};

use super::brand::{Brand, Fingerprint, Which};
use super::cgroup;
use super::spawn::{self, Program, Streams};
use crate::clock;

/// The hidden subcommand that runs a guard: `guard HARD BASE DIRECTORY [GROUPS]`.
pub const SUBCOMMAND: &str = "guard";
/// How every private directory's name begins; the guard removes no other.
pub(super) const PREFIX: &str = "shellherd-";
/// How long a guard tries to kill what the kernel holds on to.
const PATIENCE: Duration = Duration::from_secs(10);

/// The server's end of the pipe. Dropping it makes the guard do its work, and waits a moment for it.
#[derive(Debug)]
pub struct Guard {
    pipe: Option<File>,
    process: OwnedFd,
}

impl Guard {
    /// Starts `program`, normally `/proc/self/exe`, as the guard of all that carries `brand`.
    /// `groups` is the directory of the server's control groups, where it has one.
    pub fn start(
        brand: &Brand,
        private_directory: &Path,
        groups: Option<&Path>,
        program: &Path,
    ) -> io::Result<Guard> {
        let (ours, theirs) = {
            let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
            (write, read)
        };
        let (hard, base) = brand.fingerprint().map_or((0, 0), |mark| (mark.hard, mark.base));
        let mut arguments: Vec<OsString> = vec![
            "shellherd".into(),
            SUBCOMMAND.into(),
            hard.to_string().into(),
            base.to_string().into(),
            private_directory.into(),
        ];
        arguments.extend(groups.map(Into::into));
        let program =
            Program { path: program, arguments: &arguments, environment: &[], directory: Path::new("/") };
        let pid = brand.branding(Which::All, || spawn::spawn(&program, Streams::Pipe(theirs.as_fd())))?;
        let process = pidfd_open(pid, PidfdFlags::empty())?;
        Ok(Guard { pipe: Some(ours.into()), process })
    }

    /// Lets the guard go without any killing, once nothing is left to kill: only the private
    /// directory is removed.
    pub fn dismiss(mut self) {
        if let Some(pipe) = &mut self.pipe {
            // A guard that has died has nothing left to be told.
            let _ = pipe.write_all(DISMISSED);
        }
    }
}

/// What the server writes to a guard that has nobody left to kill.
const DISMISSED: &[u8] = b".";

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let timeout = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        // Whether it ended in time or not: the guard finishes alone.
        let _ = poll(&mut [PollFd::new(&self.process, PollFlags::IN)], Some(&timeout));
        let _ = waitid(WaitId::PidFd(self.process.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
    }
}

/// The guard's whole life; `hard` and `base` are those of its command line, both 0 for a server that
/// could not mark its processes.
pub fn main(hard: u64, base: u64, private_directory: &Path, groups: Option<&Path>) -> ExitCode {
    let mut order = Vec::new();
    // Whatever ends the reading, the server is no longer there.
    let _ = io::stdin().lock().read_to_end(&mut order);
    let deadline = clock::now().moment.after(PATIENCE);
    let left = if order == DISMISSED || hard == 0 {
        0
    } else {
        Fingerprint { hard, base }.kill_all(Which::All, deadline)
    };
    let is_named = |path: &&Path| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(PREFIX))
    };
    if let Some(groups) = groups.filter(is_named) {
        cgroup::dissolve(groups, deadline);
    }
    if is_named(&private_directory) {
        // The server may have removed it already.
        let _ = std::fs::remove_dir_all(private_directory);
    }
    if left == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
