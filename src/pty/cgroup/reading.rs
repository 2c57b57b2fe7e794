//! What the kernel's files say of control groups, and what is written into them: text in, values out.

use std::path::{Path, PathBuf};

use crate::limits;

/// What the kernel holds a group to; what is `None` has no edge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edges {
    /// Bytes charged to the group: what its processes have in memory, and what the kernel has for them.
    pub memory_bytes: Option<u64>,
    /// Processes and threads together: the kernel counts nothing else.
    pub tasks: Option<u64>,
}

/// How often the kernel acted on a group since that was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acts {
    /// Processes killed because memory was at an end, that of the group or that of the machine.
    pub killed: u64,
    /// How often its memory was, and nothing could be dropped.
    pub at_memory_edge: u64,
    /// Forks refused because its tasks, or those of a group above, were at theirs.
    pub refused: u64,
    /// The most tasks that it ever had, where the kernel tells.
    pub most_tasks: Option<u64>,
}

/// The edge behind a limit on resident bytes. The watching, which asks politely, acts at the limit itself;
/// and what the kernel charges besides resident bytes must end nothing that is within it.
pub fn memory_edge(limit: u64) -> u64 {
    limit.saturating_add(limit / 8).saturating_add(limits::KERNEL_MEMORY)
}

/// The edge behind a limit on processes, each of which may have threads.
pub fn tasks_edge(processes: u32) -> u64 {
    u64::from(processes) * limits::THREADS_PER_PROCESS + limits::SPARE_THREADS
}

/// The path of this process's group, in the one hierarchy of version 2, by `/proc/self/cgroup`.
pub(super) fn own_path(text: &str) -> Option<&Path> {
    text.lines().find_map(|line| line.strip_prefix("0::")).map(Path::new)
}

/// Where in the file system the group at `path` is, by `/proc/self/mountinfo`. A mount may show a part of
/// the hierarchy only.
pub(super) fn directory(mountinfo: &str, path: &Path) -> Option<PathBuf> {
    mountinfo.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        if kind.split(' ').next()? != "cgroup2" {
            return None;
        }
        let mut fields = mount.split(' ').skip(3);
        let (root, at) = (unescaped(fields.next()?), unescaped(fields.next()?));
        // Joining an empty path would end it with a slash.
        let below = path.strip_prefix(root).ok()?;
        Some(if below.as_os_str().is_empty() { at.into() } else { Path::new(&at).join(below) })
    })
}

/// Blanks and the like stand there in octal.
fn unescaped(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .into_iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// The number behind `name` in a file of such lines.
pub(super) fn number(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

/// Whether a list of controllers has the two that are needed.
pub(super) fn has_controllers(text: &str) -> bool {
    ["memory", "pids"].iter().all(|wanted| text.split_ascii_whitespace().any(|name| name == *wanted))
}

/// The process ids that a group lists.
pub(super) fn processes(text: &str) -> Vec<u32> {
    text.lines().filter_map(|line| line.trim().parse().ok()).collect()
}

/// What is charged and cannot be had back by dropping caches, by `memory.stat`.
pub(super) fn held_bytes(stat: &str) -> u64 {
    ["anon", "shmem", "kernel_stack", "pagetables", "slab_unreclaimable"]
        .iter()
        .filter_map(|name| number(stat, name))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_group_is_that_of_version_2() {
        let hybrid = "2:cpu,cpuacct:/a\n1:name=systemd:/b\n0::/user.slice/x.scope\n";
        assert_eq!(own_path(hybrid), Some(Path::new("/user.slice/x.scope")));
        assert_eq!(own_path("2:cpu,cpuacct:/a\n"), None);
    }

    #[test]
    fn the_directory_is_below_the_mount_that_shows_it() {
        let line =
            |root: &str, at: &str| format!("30 23 0:26 {root} {at} rw,nosuid shared:4 - cgroup2 none rw");
        let v1 = "31 23 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        let found = |mounts: &str, path: &str| directory(mounts, Path::new(path));
        let whole = format!("{v1}{}", line("/", "/sys/fs/cgroup"));
        assert_eq!(found(&whole, "/a/b"), Some("/sys/fs/cgroup/a/b".into()));
        assert_eq!(found(&whole, "/").unwrap().as_os_str(), "/sys/fs/cgroup");
        let part = line("/a", "/mnt/with\\040blank");
        assert_eq!(found(&part, "/a/b"), Some("/mnt/with blank/b".into()));
        assert_eq!(found(&part, "/ab"), None, "the mount shows another part");
        assert_eq!(found(v1, "/"), None);
        assert_eq!(found("nonsense - cgroup2", "/"), None);
    }

    #[test]
    fn numbers_are_found_by_their_whole_name() {
        let events = "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n";
        assert_eq!(number(events, "oom_kill"), Some(2));
        assert_eq!(number(events, "oom"), Some(3));
        assert_eq!(number(events, "om"), None);
        assert_eq!(number("usage_usec x\n", "usage_usec"), None);
    }

    #[test]
    fn both_controllers_are_needed_and_lists_are_read() {
        assert!(has_controllers("cpu io memory pids\n"));
        assert!(!has_controllers("cpu pids\n") && !has_controllers("memory pidss") && !has_controllers(""));
        assert_eq!(processes("12\n0\n7\n"), [12, 0, 7]);
        let stat = "anon 100\nfile 5000\nshmem 30\nkernel_stack 2\npagetables 3\nslab_unreclaimable 4\n";
        assert_eq!(held_bytes(stat), 139, "caches do not count");
    }

    #[test]
    fn the_kernels_edge_lies_behind_the_limit() {
        assert!(memory_edge(0) > 0 && memory_edge(80 << 20) < 100 << 20);
        assert_eq!(memory_edge(u64::MAX), u64::MAX);
        assert!(tasks_edge(1) > 200 && tasks_edge(u32::MAX) > u64::from(u32::MAX));
    }
}
