//! Terminals, shells and processes: the one foreign thing that this layer hides.
//!
//! [`launch`] puts a program on a new [`Terminal`]; if it is a shell that is understood, the program
//! reports its commands by marks (see [`shell`]), and [`handover`] is how commands reach it. Every
//! process that ever comes of it carries the [`brand`] of its session, by which it is found and killed
//! whatever it does; the [`guard`] does that when the server no longer can. Where the kernel lets the server
//! have control groups ([`cgroup`]), it holds the limits of sessions behind those who watch them.
//!
//! This layer knows no sessions, commands or output: it neither scans for marks nor keeps bytes.

mod bounding;
pub mod brand;
pub mod cgroup;
mod confinement;
pub mod guard;
pub mod handover;
mod probe;
mod procfs;
pub mod shell;
pub mod signal;
mod signalling;
mod spawn;
mod terminal;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

pub use bounding::{FileBound, Held, held};
pub use brand::{Brand, Slot, Which};
pub use guard::Guard;
pub use signal::Signal;
pub use signalling::Asked;
pub use terminal::{Exit, Foreground, Modes, Runs, Target, Terminal};

use crate::error::{Error, ErrorCode, Result};
use crate::model::session::{Dialect, Profile, TerminalSize};

/// What to put on a new terminal.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program, absolute: see [`shell::resolve`].
    pub program: PathBuf,
    /// How it is talked to: see [`shell::dialect_of`].
    pub dialect: Dialect,
    /// Which start-up files it reads.
    pub profile: Profile,
    /// Its whole environment, `TERM` included.
    pub env: Vec<(OsString, OsString)>,
    /// Where it starts.
    pub directory: PathBuf,
    /// Rows and columns.
    pub size: TerminalSize,
    /// What its marks carry: letters and digits that nobody can guess.
    pub nonce: String,
    /// Where its files go; created if missing.
    pub private_directory: PathBuf,
    /// What a shell before it had exported: see [`handover::kept_exports`].
    pub exports: Option<Vec<u8>>,
}

/// Starts the program on a terminal of its own, marked with `slot`. Must be called on a runtime, and
/// takes less than a millisecond.
pub fn launch(launch: Launch, slot: &Slot) -> Result<Terminal> {
    let Launch { program, dialect, profile, mut env, directory, size, nonce, private_directory, exports } =
        launch;
    if !directory.is_dir() {
        return Err(missing_directory(&directory));
    }
    let failed = |what: &str, error: &io::Error| {
        Error::new(ErrorCode::SpawnFailed, format!("could not {what}: {error}"))
    };
    let marks = shell::Marks { nonce: &nonce, confine: &slot.confine_word() };
    let arguments = shell::prepare(&private_directory, &program, dialect, profile, &marks, &mut env)
        .map_err(|error| failed("write the shell's start-up files", &error))?;
    if let Some(exports) = exports {
        handover::give_exports(&private_directory, &exports)
            .map_err(|error| failed("write what the last shell had exported", &error))?;
    }
    let opened = spawn::open(size).map_err(|error| failed("open a terminal", &error))?;
    let start =
        spawn::Program { path: &program, arguments: &arguments, environment: &env, directory: &directory };
    let pid = slot
        .branding(|| spawn::spawn(&start, spawn::Streams::Terminal(opened.slave.as_fd())))
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => shell::missing(&program.to_string_lossy()),
            _ => failed(&format!("start `{}`", program.display()), &error),
        })?;
    Terminal::new(opened, pid).map_err(|error| failed("watch the terminal", &error))
}

/// Whether a signal holds this process; none for one that is gone.
pub fn is_stopped(pid: u32) -> Option<bool> {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).ok()?)?;
    procfs::stat(pid).map(procfs::Stat::is_stopped)
}

/// Whether a terminal can be opened at all.
pub fn probe() -> io::Result<()> {
    spawn::open(TerminalSize::default()).map(|_| ())
}

fn missing_directory(directory: &Path) -> Error {
    if directory.exists() {
        return Error::invalid(format!("`{}` is not a directory", directory.display()));
    }
    let error = Error::invalid(format!("the directory `{}` does not exist", directory.display()));
    match directory.ancestors().skip(1).find(|parent| parent.is_dir()) {
        Some(parent) => error.with_hint(format!("the nearest that exists is `{}`", parent.display())),
        None => error.with_hint("name an absolute path"),
    }
}

/// Creates the server's private directory, mode 0700, in memory where the machine has such a place:
/// files there come and go with every command. Its path is short, because it is typed.
pub fn private_root() -> io::Result<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let candidates = runtime.into_iter().chain(["/dev/shm".into(), std::env::temp_dir()]);
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for parent in candidates {
        let random = uuid::Uuid::new_v4().simple().to_string();
        let directory = parent.join(format!("{}{}", guard::PREFIX, &random[..6]));
        match fs::DirBuilder::new().mode(0o700).create(&directory) {
            Ok(()) => return Ok(directory),
            Err(error) => last = error,
        }
    }
    Err(last)
}
