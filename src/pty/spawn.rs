//! Opening a terminal and starting a program on it: the one place of this crate with unsafe code.
//!
//! portable-pty opens and resizes terminals. It does not start the program, because its way there
//! forks: that takes time in proportion to the server's memory (51 ms at 2 GiB) and closes descriptors
//! one by one in the child (18 ms beside a thousand sessions). `posix_spawn` takes 0.2 ms at any size
//! and returns the child's failure to find its program or directory as an error.

#![expect(
    unsafe_code,
    reason = "posix_spawn, getpgid, prlimit, AsyncFd and portable-pty's descriptor have no safe interface"
)]

use std::ffi::{CString, OsString, c_char, c_int};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::ptr;

use portable_pty::{MasterPty, PtySize, native_pty_system};
use rustix::process::Pid;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::model::session::TerminalSize;

/// A terminal that nothing runs on yet.
pub(super) struct Opened {
    /// portable-pty's handle, for resizing.
    pub(super) pty: Box<dyn MasterPty + Send>,
    /// The master's file on a descriptor of our own, non-blocking.
    pub(super) master: OwnedFd,
    /// The other side. Once it and the program's are closed the master reads end of file.
    pub(super) slave: OwnedFd,
}

/// Opens a terminal of this size.
pub(super) fn open(size: TerminalSize) -> io::Result<Opened> {
    // portable-pty sets close-on-exec only after opening: every child closes what it does not need.
    let pair = native_pty_system().openpty(pty_size(size)).map_err(io::Error::other)?;
    let raw = pair.master.as_raw_fd().ok_or_else(|| io::Error::other("the terminal has no descriptor"))?;
    // SAFETY: `pair.master` owns the descriptor and outlives this borrow.
    let borrowed = unsafe { BorrowedFd::borrow_raw(raw) };
    let master = rustix::io::fcntl_dupfd_cloexec(borrowed, 3)?;
    rustix::io::ioctl_fionbio(&master, true)?;
    let slave = ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    Ok(Opened { pty: pair.master, master, slave })
}

/// Registers a descriptor with the runtime, to wait for it.
pub(super) fn watch(descriptor: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` names the same open descriptor until it is dropped, and the `AsyncFd` owns
    // it: nothing here takes it out or puts another in its place.
    Ok(unsafe { AsyncFd::register_with_interest(descriptor, interest) }?)
}

/// The process group of `pid`; none if it is gone, or if its group has no name here, as those of
/// kernel threads and of other containers, which rustix takes for impossible.
pub(super) fn group_of(pid: Pid) -> Option<Pid> {
    // SAFETY: the call takes and returns integers.
    Pid::from_raw(unsafe { libc::getpgid(pid.as_raw_pid()) }.max(0))
}

/// The soft and the hard limit on message queues of `pid`, without a file of `/proc`, which the kernel
/// takes ten times as long to write. Refused for processes of other users.
pub(super) fn queue_limits(pid: Pid) -> io::Result<(u64, u64)> {
    let mut limits = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: nothing is set, and what is written to is a whole structure of that type.
    let result =
        unsafe { libc::prlimit(pid.as_raw_pid(), libc::RLIMIT_MSGQUEUE, ptr::null(), &raw mut limits) };
    if result == 0 { Ok((limits.rlim_cur, limits.rlim_max)) } else { Err(io::Error::last_os_error()) }
}

/// portable-pty's form of a size.
pub(super) fn pty_size(size: TerminalSize) -> PtySize {
    PtySize { rows: size.rows, cols: size.cols, pixel_width: 0, pixel_height: 0 }
}

/// What to start.
pub(super) struct Program<'a> {
    /// An absolute path.
    pub(super) path: &'a Path,
    /// All arguments; the first is the program's name.
    pub(super) arguments: &'a [OsString],
    /// The whole environment.
    pub(super) environment: &'a [(OsString, OsString)],
    /// Where it starts.
    pub(super) directory: &'a Path,
}

/// What the program gets as its standard streams, and how signals reach it.
#[derive(Clone, Copy)]
pub(super) enum Streams<'a> {
    /// A terminal for all three, which becomes its controlling one; signals as at login.
    Terminal(BorrowedFd<'a>),
    /// A pipe to read, and nothing to write to; every signal that can be is blocked.
    Pipe(BorrowedFd<'a>),
}

/// Starts `program` as the leader of a new session, with no descriptor but its standard streams.
pub(super) fn spawn(program: &Program<'_>, streams: Streams<'_>) -> io::Result<Pid> {
    let path = CString::new(program.path.as_os_str().as_bytes())?;
    let directory = CString::new(program.directory.as_os_str().as_bytes())?;
    let arguments = strings(program.arguments.iter().cloned())?;
    let environment = strings(program.environment.iter().map(|(name, value)| {
        let mut entry = name.clone();
        entry.push("=");
        entry.push(value);
        entry
    }))?;
    let mut actions = FileActions::new()?;
    actions.change_directory(&directory)?;
    match streams {
        Streams::Terminal(slave) => {
            // The child, a session leader without a terminal, gets one by opening it.
            let terminal = CString::new(format!("/proc/self/fd/{}", slave.as_raw_fd()))?;
            actions.open(0, &terminal, libc::O_RDWR)?;
            actions.duplicate(0, 1)?;
            actions.duplicate(0, 2)?;
        }
        Streams::Pipe(pipe) => {
            actions.duplicate(pipe.as_raw_fd(), 0)?;
            actions.open(1, c"/dev/null", libc::O_WRONLY)?;
            actions.duplicate(1, 2)?;
        }
    }
    actions.close_from(3)?;
    let attributes = Attributes::new(matches!(streams, Streams::Pipe(_)))?;
    let (arguments_list, environment_list) = (pointers(&arguments), pointers(&environment));
    let mut pid = 0;
    // SAFETY: every pointer is to a live object: `path`, the two lists, each ended by a null pointer,
    // the strings that they point to, and the initialised actions and attributes outlive the call.
    let result = unsafe {
        libc::posix_spawn(
            &raw mut pid,
            path.as_ptr(),
            &raw const actions.0,
            &raw const attributes.0,
            arguments_list.as_ptr(),
            environment_list.as_ptr(),
        )
    };
    check(result)?;
    Pid::from_raw(pid).ok_or_else(|| io::Error::other("the new process has no id"))
}

fn strings(items: impl Iterator<Item = OsString>) -> io::Result<Vec<CString>> {
    Ok(items.map(|item| CString::new(item.into_vec())).collect::<Result<_, _>>()?)
}

/// The list that C expects: mutable by its type, not by what the call does.
fn pointers(strings: &[CString]) -> Vec<*mut c_char> {
    strings.iter().map(|string| string.as_ptr().cast_mut()).chain([ptr::null_mut()]).collect()
}

/// The functions of this family return their error instead of setting errno.
fn check(result: c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(result)) }
}

struct FileActions(libc::posix_spawn_file_actions_t);

impl FileActions {
    fn new() -> io::Result<Self> {
        let mut actions = MaybeUninit::uninit();
        // SAFETY: the call initialises what it is given, or fails.
        check(unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) })?;
        // SAFETY: initialised by the call above, which succeeded.
        Ok(Self(unsafe { actions.assume_init() }))
    }

    fn open(&mut self, descriptor: c_int, path: &std::ffi::CStr, flags: c_int) -> io::Result<()> {
        // SAFETY: the actions are initialised, and the path is copied.
        check(unsafe {
            libc::posix_spawn_file_actions_addopen(&raw mut self.0, descriptor, path.as_ptr(), flags, 0)
        })
    }

    fn duplicate(&mut self, from: c_int, to: c_int) -> io::Result<()> {
        // SAFETY: the actions are initialised.
        check(unsafe { libc::posix_spawn_file_actions_adddup2(&raw mut self.0, from, to) })
    }

    fn change_directory(&mut self, path: &std::ffi::CStr) -> io::Result<()> {
        // SAFETY: the actions are initialised, and the path is copied.
        check(unsafe { libc::posix_spawn_file_actions_addchdir_np(&raw mut self.0, path.as_ptr()) })
    }

    fn close_from(&mut self, first: c_int) -> io::Result<()> {
        // SAFETY: the actions are initialised.
        check(unsafe { libc::posix_spawn_file_actions_addclosefrom_np(&raw mut self.0, first) })
    }
}

impl Drop for FileActions {
    fn drop(&mut self) {
        // SAFETY: initialised by `new`, and destroyed only here.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
    }
}

struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    /// A new session, every signal at its default, and all of them blocked or none.
    fn new(blocked: bool) -> io::Result<Self> {
        let flags = c_int::from(libc::POSIX_SPAWN_SETSID)
            | libc::POSIX_SPAWN_SETSIGDEF
            | libc::POSIX_SPAWN_SETSIGMASK;
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: the call initialises what it is given, or fails.
        check(unsafe { libc::posix_spawnattr_init(attributes.as_mut_ptr()) })?;
        // SAFETY: initialised by the call above, which succeeded.
        let mut attributes = Self(unsafe { attributes.assume_init() });
        let (all, none) = signal_sets();
        let mask = if blocked { &all } else { &none };
        // SAFETY: the attributes and both sets are initialised.
        unsafe {
            check(libc::posix_spawnattr_setsigdefault(&raw mut attributes.0, &raw const all))?;
            check(libc::posix_spawnattr_setsigmask(&raw mut attributes.0, mask))?;
            check(libc::posix_spawnattr_setflags(
                &raw mut attributes.0,
                flags.try_into().map_err(io::Error::other)?,
            ))?;
        }
        Ok(attributes)
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialised by `new`, and destroyed only here.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.0) };
    }
}

/// The full set of signals, and the empty one.
fn signal_sets() -> (libc::sigset_t, libc::sigset_t) {
    let mut all = MaybeUninit::uninit();
    let mut none = MaybeUninit::uninit();
    // SAFETY: both calls initialise the set that they are given, and cannot fail for a valid pointer.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::sigemptyset(none.as_mut_ptr());
        (all.assume_init(), none.assume_init())
    }
}
