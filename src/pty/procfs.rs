//! What `/proc` says about processes. Every answer is a snapshot: a process may be gone by the time
//! that it is used, so nothing here is an error, only absent.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::Pid;

/// The fields of `/proc/PID/stat` that this layer needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    /// `R`, `S`, `D`, `T`, `Z`…
    pub(super) state: u8,
    /// The parent's process id, or 0.
    pub(super) parent: i32,
    /// The session's leader, or 0.
    pub(super) session: i32,
    /// How many threads the process has.
    pub(super) threads: u32,
}

impl Stat {
    /// Whether the process still exists as more than an exit status.
    pub(super) fn is_alive(self) -> bool {
        !matches!(self.state, b'Z' | b'X' | b'x')
    }

    /// Whether a signal stopped the process, or a debugger did.
    pub(super) fn is_stopped(self) -> bool {
        matches!(self.state, b'T' | b't')
    }
}

/// The id of every process that this one can see.
pub(super) fn pids() -> Vec<Pid> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(Pid::from_raw)
        .collect()
}

/// The children of `pid` that its first thread has, which are all those that lost their own parents to
/// it: ended ones until they are reaped. None where the kernel does not tell.
pub(super) fn children(pid: Pid) -> Option<Vec<Pid>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    Some(text.split_ascii_whitespace().filter_map(|child| Pid::from_raw(child.parse().ok()?)).collect())
}

/// Reads the beginning of a small file of `/proc` into `buffer`; one read, as the kernel makes these
/// files whole at the first.
pub(super) fn read<'b>(path: &str, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    let length = File::open(path).ok()?.read(buffer).ok()?;
    buffer.get(..length)
}

/// The state of `pid`.
pub(super) fn stat(pid: Pid) -> Option<Stat> {
    let mut buffer = [0; 1024];
    parse_stat(read(&format!("/proc/{pid}/stat"), &mut buffer)?)
}

/// The name may hold blanks and parentheses: the fields begin after the last `)`.
fn parse_stat(text: &[u8]) -> Option<Stat> {
    let fields = text.get(memchr::memrchr(b')', text)? + 2..)?;
    let mut fields = std::str::from_utf8(fields).ok()?.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let parent = fields.next()?.parse().ok()?;
    let session = fields.nth(1)?.parse().ok()?;
    let threads = fields.nth(13)?.parse().ok()?;
    Some(Stat { state, parent, session, threads })
}

/// The soft and the hard limit of `pid` in the line of `/proc/PID/limits` with this label; a limit that is
/// `None` there is none.
pub(super) fn limit(pid: Pid, label: &[u8]) -> Option<(Option<u64>, Option<u64>)> {
    let mut buffer = [0; 2048];
    let text = read(&format!("/proc/{pid}/limits"), &mut buffer)?;
    let line = text.get(memchr::memmem::find(text, label)? + label.len()..)?;
    let line = line.get(..memchr::memchr(b'\n', line)?)?;
    let mut values = std::str::from_utf8(line).ok()?.split_ascii_whitespace().map(|value| value.parse().ok());
    Some((values.next()?, values.next()?))
}

/// The limits of `pid` on open files.
pub(super) fn open_files_limit(pid: Pid) -> Option<(Option<u64>, Option<u64>)> {
    limit(pid, b"Max open files")
}

/// The limits of `pid` on the size of files.
pub(super) fn file_size_limit(pid: Pid) -> Option<(Option<u64>, Option<u64>)> {
    limit(pid, b"Max file size")
}

/// The short name of `pid`, at most 15 bytes.
pub(super) fn name(pid: Pid) -> Option<String> {
    let mut buffer = [0; 64];
    let name = read(&format!("/proc/{pid}/comm"), &mut buffer)?;
    Some(String::from_utf8_lossy(name).trim_end().to_owned())
}

/// The arguments of `pid`, joined by blanks, at most 4 kB of them; none for a zombie.
pub(super) fn command_line(pid: Pid) -> Option<String> {
    let mut buffer = [0; 4096];
    let arguments = read(&format!("/proc/{pid}/cmdline"), &mut buffer)?;
    let arguments = arguments.strip_suffix(b"\0").unwrap_or(arguments);
    (!arguments.is_empty()).then(|| String::from_utf8_lossy(arguments).replace('\0', " "))
}

/// How often the threads of `pid` were taken off a processor, of their own will or not.
pub(super) fn switches(pid: Pid) -> Option<u64> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let of_thread = |thread: std::fs::DirEntry| {
        let status = std::fs::read_to_string(thread.path().join("status")).ok()?;
        let counts = status.lines().filter_map(|line| line.split_once("ctxt_switches:"));
        counts.map(|(_, count)| count.trim().parse::<u64>().ok()).sum::<Option<u64>>()
    };
    threads.flatten().map(of_thread).sum()
}

/// The working directory of `pid`, as it can be told: a name that is not UTF-8 becomes that of no directory.
pub(super) fn working_directory(pid: Pid) -> Option<PathBuf> {
    let link = format!("/proc/{pid}/cwd");
    let named = std::fs::read_link(&link).ok()?;
    // So reads the top of any file system that was taken away from under the process.
    if named == Path::new("/") && !is_same(Path::new(&link), &named) {
        return None;
    }
    Some(match named.into_os_string().into_string() {
        Ok(text) => text.into(),
        Err(name) => name.to_string_lossy().into_owned().into(),
    })
}

fn is_same(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| path.metadata().ok().map(|found| (found.dev(), found.ino()));
    identity(one).is_some_and(|one| identity(other) == Some(one))
}

/// The living members of the process group `pgid`.
pub(super) fn group(pgid: Pid) -> Vec<Pid> {
    pids()
        .into_iter()
        .filter(|&pid| super::spawn::group_of(pid) == Some(pgid))
        .filter(|&pid| stat(pid).is_some_and(Stat::is_alive))
        .collect()
}

/// The living descendants of `roots`, without the roots: children whose parents died are lost to it.
pub(super) fn descendants(roots: &[Pid]) -> Vec<Pid> {
    let mut children: HashMap<i32, Vec<Pid>> = HashMap::new();
    for (pid, stat) in pids().into_iter().filter_map(|pid| Some((pid, stat(pid)?))) {
        if stat.is_alive() {
            children.entry(stat.parent).or_default().push(pid);
        }
    }
    let mut seen: HashSet<Pid> = roots.iter().copied().collect();
    let mut found: Vec<Pid> = Vec::new();
    let mut open = roots.to_vec();
    while let Some(parent) = open.pop() {
        for child in children.remove(&parent.as_raw_pid()).unwrap_or_default() {
            if seen.insert(child) {
                found.push(child);
                open.push(child);
            }
        }
    }
    found
}

/// The parent of `pid`, its parent, and so on.
pub(super) fn ancestors(pid: Pid) -> impl Iterator<Item = Pid> {
    let parent = |pid: &Pid| stat(*pid).and_then(|stat| Pid::from_raw(stat.parent));
    // Parents that end meanwhile and whose ids are used again could lead in a circle.
    std::iter::successors(parent(&pid), parent).take(DEEPEST)
}

/// Generations of processes that are looked through.
const DEEPEST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let text = b"42 (a) b) (c) S 7 42 41 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 3 0 99 1 1\n";
        assert_eq!(parse_stat(text), Some(Stat { state: b'S', parent: 7, session: 41, threads: 3 }));
    }

    #[test]
    fn this_process_is_alive_and_knows_its_name() {
        let own = rustix::process::getpid();
        assert!(pids().contains(&own));
        assert!(stat(own).is_some_and(Stat::is_alive));
        assert!(command_line(own).is_some_and(|line| !line.is_empty()));
    }
}
