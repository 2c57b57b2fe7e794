//! Groups of processes that the kernel itself holds to limits (cgroup v2), where it lets the server.
//!
//! It does where the server has a group to itself in which it may make others: a scope that was delegated
//! to it (`systemd-run --user --scope -p Delegate=yes`), or the root of a container's own cgroup namespace.
//! Processes may live only in the leaves of such a tree. So [`Groups::take`] moves the server into a leaf,
//! has the memory and pids controllers passed on to a directory of its own beside it, and makes a group
//! there for each session that has a limit; sessions without limits stay with the server. A group in which
//! anybody else lives is left alone, and whatever fails on the way is undone.
//!
//! This is a second line. What belongs to a session is told by its [`brand`], which works everywhere; limits
//! are watched, so that what passes one is asked before it is killed; the kernel's edges lie a little behind
//! the limits, and hold what is faster than the watching. They hold against accidents: a process of the
//! same user may leave its group, as it may raise its other limits.
//!
//! Rejected: a group for each command, with the shell moved to and fro (each move takes the kernel
//! milliseconds, and what the shell starts meanwhile for itself is in the wrong one); a shell that is
//! started inside its group (`posix_spawn` cannot, before glibc 2.39, and a fork of our own would hold the
//! runtime for as long as the move takes). [`Group::join`] moves what there is until nothing is left
//! outside, before any command is handed over.
//!
//! [`brand`]: super::brand

mod reading;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{Timespec, poll};
use rustix::fs::{Access, FlockOperation, access, flock};
use rustix::process::getpid;

pub use reading::{Acts, Edges, memory_edge, tasks_edge};

use super::brand::Slot;
use super::guard::PREFIX;
use crate::clock::{self, Moment};

/// The leaf that the server lives in.
const OWN_LEAF: &str = "server";
/// Rounds of moving. Each finds what was forked by what the one before had still to move.
const ROUNDS: usize = 64;
/// Between two looks at whether a group is empty.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 2_000_000 };
/// How long the server waits for what it has killed to leave its groups. The guard has more patience.
const PATIENCE: Duration = Duration::from_millis(200);

/// Why the kernel cannot be made to hold limits.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// There is none, or none that this process can see its own group in.
    #[error("no cgroup v2 is mounted that shows this process's group")]
    NotMounted,
    /// Version 1 has them, or whoever is above passes none on.
    #[error("{} has no memory and pids controllers: cgroup v1 has them, or they are not delegated", .0.display())]
    NoControllers(PathBuf),
    /// It belongs to somebody else.
    #[error("{} is not this user's to change", .0.display())]
    NotWritable(PathBuf),
    /// A group in which others live is not taken over.
    #[error("other processes live in {}", .0.display())]
    Shared(PathBuf),
    /// Somebody made it a part of another.
    #[error("{} is no group of the ordinary kind", .0.display())]
    Special(PathBuf),
    /// It looked possible and was not; everything is as before.
    #[error("{} could not be prepared: {}", .0.display(), .1)]
    Failed(PathBuf, io::Error),
}

/// A group that others can be made in.
struct Site {
    directory: PathBuf,
    /// Whether its processes must leave it first: the controllers are not passed on yet.
    must_leave: bool,
}

fn survey() -> Result<Site, Unavailable> {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let directory = reading::own_path(&own)
        .and_then(|path| reading::directory(&mounts, path))
        .filter(|directory| directory.is_dir())
        .ok_or(Unavailable::NotMounted)?;
    let says = |file: &str| fs::read_to_string(directory.join(file)).unwrap_or_default();
    if !reading::has_controllers(&says("cgroup.controllers")) {
        return Err(Unavailable::NoControllers(directory));
    }
    let files = ["", "cgroup.procs", "cgroup.subtree_control"];
    if !files.iter().all(|file| access(directory.join(file), Access::WRITE_OK).is_ok()) {
        return Err(Unavailable::NotWritable(directory));
    }
    if reading::has_controllers(&says("cgroup.subtree_control")) {
        return Ok(Site { directory, must_leave: false });
    }
    // The root of the whole machine has no such file, and nobody has it to himself.
    let kind = says("cgroup.type");
    if kind.is_empty() || reading::processes(&says("cgroup.procs")) != [own_pid()] {
        return Err(Unavailable::Shared(directory));
    }
    if kind.trim() != "domain" {
        return Err(Unavailable::Special(directory));
    }
    Ok(Site { directory, must_leave: true })
}

fn own_pid() -> u32 {
    getpid().as_raw_pid().unsigned_abs()
}

/// Where a server that is started like this process would have its groups. Changes nothing.
pub fn available() -> Result<PathBuf, Unavailable> {
    survey().map(|site| site.directory)
}

/// A directory of the server's own, and the groups in it.
#[derive(Debug)]
pub struct Groups {
    directory: PathBuf,
    made: AtomicU64,
    /// What could not be removed yet.
    left: Mutex<Vec<PathBuf>>,
    /// Locked, so that no other server takes the directory for a dead one's.
    _lock: File,
}

impl Groups {
    /// Prepares for groups, and moves the whole process if it must. On an error everything is as before.
    pub fn take() -> Result<Arc<Groups>, Unavailable> {
        let site = survey()?;
        remove_leftovers(&site.directory);
        let random = uuid::Uuid::new_v4().simple().to_string();
        let directory = site.directory.join(format!("{PREFIX}{}", &random[..6]));
        match prepare(&site, &directory) {
            Ok(lock) => Ok(Arc::new(Groups {
                directory,
                made: AtomicU64::new(0),
                left: Mutex::default(),
                _lock: lock,
            })),
            Err(error) => {
                dissolve(&directory, clock::now().moment);
                Err(Unavailable::Failed(site.directory, error))
            }
        }
    }

    /// What `dissolve` takes.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A new group without any edges, and without processes.
    pub fn create(self: &Arc<Self>) -> io::Result<Group> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.retain(|path| fs::remove_dir(path).is_err());
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let path = self.directory.join(format!("s{number}"));
        fs::create_dir(&path)?;
        Ok(Group { groups: Arc::clone(self), path })
    }

    /// The processes that live where the server does.
    fn beside_server(&self) -> Vec<u32> {
        let leaf = members(&self.directory.join(OWN_LEAF));
        leaf.or_else(|| self.directory.parent().and_then(members)).unwrap_or_default()
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        dissolve(&self.directory, clock::now().moment.after(PATIENCE));
    }
}

fn prepare(site: &Site, directory: &Path) -> io::Result<File> {
    fs::create_dir(directory)?;
    let lock = File::open(directory)?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
    if site.must_leave {
        let leaf = directory.join(OWN_LEAF);
        fs::create_dir(&leaf)?;
        move_into(&leaf, own_pid())?;
        // The kernel refuses it if anybody came in meanwhile.
        pass_controllers(&site.directory, '+')?;
    }
    pass_controllers(directory, '+')?;
    Ok(lock)
}

/// Starts passing the controllers on to what is below a group, or stops it.
fn pass_controllers(group: &Path, sign: char) -> io::Result<()> {
    fs::write(group.join("cgroup.subtree_control"), format!("{sign}memory {sign}pids"))
}

fn move_into(group: &Path, pid: u32) -> io::Result<()> {
    fs::write(group.join("cgroup.procs"), pid.to_string())
}

fn members(group: &Path) -> Option<Vec<u32>> {
    fs::read_to_string(group.join("cgroup.procs")).ok().map(|text| reading::processes(&text))
}

fn below(group: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(group).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path())
}

/// Removes the directories of servers that are gone, and whose guards are as well. Only what is empty can
/// be removed at all.
fn remove_leftovers(site: &Path) {
    let is_ours = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(PREFIX))
    };
    for directory in below(site).filter(is_ours) {
        let Ok(lock) = File::open(&directory) else { continue };
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            below(&directory).for_each(|group| {
                let _ = fs::remove_dir(group);
            });
            let _ = fs::remove_dir(&directory);
        }
    }
}

/// Undoes [`Groups::take`]: kills what is left in the groups of sessions, moves the server and its guard to
/// where they were started, and removes the directory. What the kernel does not let go of until the
/// deadline stays.
pub(super) fn dissolve(directory: &Path, deadline: Moment) {
    let leaf = directory.join(OWN_LEAF);
    for group in below(directory).filter(|group| *group != leaf) {
        // Kernels before 5.14 have no such file: then what the brand does not find stays.
        let _ = fs::write(group.join("cgroup.kill"), "1");
        remove(&group, deadline);
    }
    if leaf.is_dir()
        && let Some(site) = directory.parent()
    {
        // Nobody may be in a group that passes controllers on.
        let _ = pass_controllers(directory, '-');
        let _ = pass_controllers(site, '-');
        for pid in members(&leaf).unwrap_or_default() {
            if let Err(error) = move_into(site, pid) {
                tracing::debug!(%error, pid, "a process stays in the server's leaf");
            }
        }
        remove(&leaf, deadline);
    }
    let _ = fs::remove_dir(directory);
}

/// Removes a group as soon as nobody is in it any more.
fn remove(group: &Path, deadline: Moment) {
    while fs::remove_dir(group).is_err_and(|error| error.kind() == io::ErrorKind::ResourceBusy)
        && clock::now().moment < deadline
    {
        // An interrupted pause is a short one.
        let _ = poll(&mut [], Some(&PAUSE));
    }
}

/// The group of one session, removed when dropped: whatever is left in it is killed then.
#[derive(Debug)]
pub struct Group {
    groups: Arc<Groups>,
    path: PathBuf,
}

impl Group {
    /// Moves the processes of the session that live beside the server here, until none does: whatever they
    /// start after that is here from its beginning. One that went to a group of its own stays there.
    pub fn join(&self, slot: &Slot) -> io::Result<()> {
        for _ in 0..ROUNDS {
            let mut outside = self.groups.beside_server();
            outside.retain(|pid| *pid != own_pid() && slot.has(*pid));
            if outside.is_empty() {
                return Ok(());
            }
            for pid in outside {
                match move_into(&self.path, pid) {
                    // It has ended meanwhile.
                    Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                    moved => moved?,
                }
            }
        }
        Err(io::Error::other("its processes multiply faster than they can be moved"))
    }

    /// Has the kernel hold these edges and no others. Waits while it drops caches to get below one.
    pub fn hold(&self, edges: Edges) -> io::Result<()> {
        let text = |edge: Option<u64>| edge.map_or_else(|| "max".to_owned(), |edge| edge.to_string());
        let swap = if edges.memory_bytes.is_some() { "0" } else { "max" };
        match self.write("memory.swap.max", swap) {
            // The kernel was made without swap.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            written => written?,
        }
        self.write("memory.max", &text(edges.memory_bytes))?;
        self.write("pids.max", &text(edges.tasks))
    }

    /// Holds all of its processes still, or lets them go on. SIGKILL ends them in either state.
    pub fn freeze(&self, still: bool) -> io::Result<()> {
        self.write("cgroup.freeze", if still { "1" } else { "0" })
    }

    /// Milliseconds of CPU time that was spent in the group, also by what is gone.
    pub fn cpu_ms(&self) -> Option<u64> {
        Some(reading::number(&self.read("cpu.stat"), "usage_usec")? / 1_000)
    }

    /// What the kernel did to the group so far.
    pub fn acts(&self) -> Acts {
        let memory = self.read("memory.events");
        Acts {
            killed: reading::number(&memory, "oom_kill").unwrap_or(0),
            at_memory_edge: reading::number(&memory, "oom").unwrap_or(0),
            refused: reading::number(&self.read("pids.events"), "max").unwrap_or(0),
            most_tasks: self.read("pids.peak").trim().parse().ok(),
        }
    }

    /// Bytes charged to the group that only its processes can give back.
    pub fn held_bytes(&self) -> u64 {
        reading::held_bytes(&self.read("memory.stat"))
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path.join(file)).unwrap_or_default()
    }

    fn write(&self, file: &str, text: &str) -> io::Result<()> {
        fs::write(self.path.join(file), text)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if fs::remove_dir(&self.path).is_err() {
            // What was killed a moment ago may take another to be gone; what lost its mark is killed now.
            let _ = self.write("cgroup.kill", "1");
            self.groups.left.lock().unwrap_or_else(PoisonError::into_inner).push(self.path.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_directories_of_dead_servers_are_removed() {
        let site = std::env::temp_dir().join(format!("cgroup-{}", uuid::Uuid::new_v4().simple()));
        let [dead, live, foreign] = ["shellherd-dead", "shellherd-live", "other"].map(|name| site.join(name));
        let used = dead.join("s1/used");
        for directory in [dead.join(OWN_LEAF), used, dead.join("s2"), live.clone(), foreign.clone()] {
            fs::create_dir_all(directory).unwrap();
        }
        let lock = File::open(&live).unwrap();
        flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
        remove_leftovers(&site);
        assert_eq!(below(&dead).collect::<Vec<_>>(), [dead.join("s1")], "what is in use stays");
        fs::remove_dir(dead.join("s1/used")).unwrap();
        remove_leftovers(&site);
        assert!(!dead.exists() && live.exists() && foreign.exists());
        drop(lock);
        remove_leftovers(&site);
        assert_eq!(below(&site).collect::<Vec<_>>(), [foreign]);
        fs::remove_dir_all(&site).unwrap();
    }

    #[test]
    fn a_survey_tells_what_is_missing_and_changes_nothing() {
        let (first, second) = (available(), available());
        assert_eq!(first.as_ref().ok(), second.as_ref().ok());
        if let Err(why) = first {
            assert!(!why.to_string().is_empty());
        }
    }
}
