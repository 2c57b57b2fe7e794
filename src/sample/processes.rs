//! One pass over all processes for all trees that somebody wants to know of.

use std::collections::HashMap;
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::{fmt, io};

use rustix::fs::{Mode, OFlags, RawDir, open, openat};

use super::TreeUsage;

/// Bytes for the names in `/proc`: some 1,000 of them at a time.
const NAMES: usize = 32 << 10;
/// Bytes of a `stat` file; 52 fields take 350 of them.
const STAT: usize = 1 << 10;
/// Parents above a process that are asked for its tree. A chain is rarely longer than ten; one that comes
/// back to itself, because ids were given anew between two looks, must end.
const GENERATIONS: usize = 64;

/// The living processes of a tree, and what they use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// The ids of those that carry its key themselves.
    pub pids: Vec<u32>,
    /// What all of them use together.
    pub usage: TreeUsage,
}

/// What `/proc/PID/stat` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    is_alive: bool,
    is_stopped: bool,
    parent: u32,
    pub(super) ticks: u64,
    pub(super) pages: u64,
}

/// All processes of the machine, looked at from time to time: the directory stays open and the buffers
/// are used again, so that a look costs three system calls a process.
pub struct Processes {
    directory: OwnedFd,
    names: Box<[MaybeUninit<u8>]>,
    /// What the last look found: its room is used again.
    found: HashMap<u32, (Stat, Option<u64>)>,
}

impl Processes {
    /// The processes that this one can see.
    pub fn open() -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = open("/proc", flags, Mode::empty())?;
        Ok(Self { directory, names: vec![MaybeUninit::uninit(); NAMES].into(), found: HashMap::new() })
    }

    /// The tree of each key. `owner` names the tree of a process by what it carries itself; one of which it
    /// knows nothing belongs to its nearest ancestor's tree. What has ended is in no tree.
    pub fn trees(&mut self, owner: impl Fn(u32) -> Option<u64>) -> HashMap<u64, Tree> {
        self.look(owner);
        let units = Units::of_this_machine();
        let mut trees: HashMap<u64, Tree> = HashMap::new();
        for (&pid, (stat, own)) in &self.found {
            if stat.is_alive
                && let Some(key) = own.or_else(|| self.inherited(stat.parent))
            {
                let tree = trees.entry(key).or_default();
                if own.is_some() {
                    tree.pids.push(pid);
                }
                tree.usage.add(*stat, units);
            }
        }
        trees
    }

    fn inherited(&self, mut pid: u32) -> Option<u64> {
        for _ in 0..GENERATIONS {
            let (stat, owner) = self.found.get(&pid)?;
            if owner.is_some() {
                return *owner;
            }
            pid = stat.parent;
        }
        None
    }

    fn look(&mut self, owner: impl Fn(u32) -> Option<u64>) {
        self.found.clear();
        // Its position is where the last look ended.
        let _ = rustix::fs::seek(&self.directory, rustix::fs::SeekFrom::Start(0));
        let mut entries = RawDir::new(&self.directory, &mut self.names);
        while let Some(Ok(entry)) = entries.next() {
            let name = std::str::from_utf8(entry.file_name().to_bytes()).ok();
            let Some(pid) = name.and_then(|name| name.parse().ok()) else { continue };
            let Some(stat) = stat(&self.directory, pid) else { continue };
            self.found.insert(pid, (stat, owner(pid)));
        }
    }
}

impl fmt::Debug for Processes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Processes").finish_non_exhaustive()
    }
}

fn stat(directory: &OwnedFd, pid: u32) -> Option<Stat> {
    let mut path = [0; 16];
    write!(&mut path[..], "{pid}/stat").ok()?;
    let length = path.iter().position(|byte| *byte == 0)?;
    let file = openat(directory, &path[..length], OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut text = [0; STAT];
    // The kernel makes these files whole at the first read.
    let length = rustix::io::read(&file, &mut text).ok()?;
    parse_stat(&text[..length])
}

/// The name in it may hold anything: the fields begin after the last bracket.
pub(super) fn parse_stat(text: &[u8]) -> Option<Stat> {
    let fields = text.get(memchr::memrchr(b')', text)? + 2..)?;
    let fields = std::str::from_utf8(fields).ok()?;
    let mut fields = fields.split_ascii_whitespace();
    // Fields 3, 4, 14 to 17 and 24 of proc(5).
    let state = *fields.next()?.as_bytes().first()?;
    let parent = fields.next()?.parse().ok()?;
    let mut number = |skipped: usize| fields.nth(skipped)?.parse::<u64>().ok();
    let ticks = number(9)? + number(0)? + number(0)? + number(0)?;
    let pages = number(6)?;
    let is_alive = !matches!(state, b'Z' | b'X' | b'x');
    Some(Stat { is_alive, is_stopped: matches!(state, b'T' | b't'), parent, ticks, pages })
}

/// What the kernel counts in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Units {
    ticks_per_second: u64,
    page_bytes: u64,
}

impl Units {
    pub(super) fn of_this_machine() -> Self {
        Self {
            ticks_per_second: rustix::param::clock_ticks_per_second().max(1),
            page_bytes: rustix::param::page_size() as u64,
        }
    }
}

impl TreeUsage {
    pub(super) fn add(&mut self, stat: Stat, units: Units) {
        self.cpu_ms += stat.ticks * 1_000 / units.ticks_per_second;
        self.memory_bytes += stat.pages * units.page_bytes;
        self.processes += 1;
        self.stopped += u32::from(stat.is_stopped);
    }
}

#[cfg(test)]
mod tests {
    use std::process::id;

    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let line = |state: char| {
            format!("7 (a) b (c)) {state} 3 7 7 0 -1 4194560 100 0 0 0 5 6 7 8 20 0 1 0 100 4096 250 1844674")
        };
        let stat = Stat { is_alive: true, is_stopped: false, parent: 3, ticks: 26, pages: 250 };
        assert_eq!(parse_stat(line('S').as_bytes()), Some(stat));
        assert_eq!(parse_stat(line('Z').as_bytes()), Some(Stat { is_alive: false, ..stat }));
        assert_eq!(parse_stat(line('T').as_bytes()), Some(Stat { is_stopped: true, ..stat }));
        assert_eq!(parse_stat(b"7 (a) S 1"), None);
        assert_eq!(parse_stat(b""), None);
    }

    #[test]
    fn a_process_of_which_nothing_is_known_belongs_to_its_parent() {
        let mut processes = Processes::open().unwrap();
        let parent = std::os::unix::process::parent_id();
        // Twice, because the second look uses what the first one left.
        for _ in 0..2 {
            let trees = processes.trees(|pid| (pid == parent).then_some(7));
            assert_eq!(trees.len(), 1);
            let tree = &trees[&7];
            assert!(tree.pids == [parent] && tree.usage.processes >= 2, "{tree:?}");
            assert!(tree.usage.memory_bytes > 100_000);
        }
        let apart =
            processes.trees(|pid| [(parent, 7), (id(), 8)].iter().find(|of| of.0 == pid).map(|of| of.1));
        assert!(apart[&7].pids == [parent] && apart[&8].pids == [id()], "{apart:?}");
        assert!(processes.trees(|_| None).is_empty());
    }
}
