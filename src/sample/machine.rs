//! How busy the machine is as a whole.

use std::path::Path;

use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

/// The machine, looked at from time to time.
#[derive(Debug)]
pub struct Machine(System);

impl Machine {
    /// The machine; nothing where the system tells nothing of it.
    pub fn new() -> Option<Self> {
        let what = RefreshKind::nothing()
            .with_cpu(CpuRefreshKind::nothing().with_usage())
            .with_memory(MemoryRefreshKind::nothing().with_ram());
        System::new_with_specifics(what).ok().map(Self)
    }

    /// Percent of all processors in use since the last look, and percent of the memory in use.
    pub fn usage(&mut self) -> (f64, f64) {
        self.0.refresh_cpu_usage();
        self.0.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        let total = self.0.total_memory().max(1);
        #[expect(clippy::cast_precision_loss, reason = "a percentage")]
        let memory = self.0.used_memory() as f64 * 100.0 / total as f64;
        (f64::from(self.0.global_cpu_usage()), memory)
    }
}

/// The space of a filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes in all.
    pub total: u64,
    /// Bytes that are free for anybody.
    pub free: u64,
}

/// The space of the filesystem that `path` is on.
pub fn space(path: &Path) -> Option<Space> {
    let found = rustix::fs::statvfs(path).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Some(Space { total: bytes(found.f_blocks), free: bytes(found.f_bavail.min(found.f_blocks)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filesystem_has_space_and_a_missing_one_has_none() {
        let root = space(Path::new("/")).expect("a root");
        assert!(root.total >= root.free && root.total > 0, "{root:?}");
        assert_eq!(space(Path::new("/nowhere/at/all")), None);
    }

    #[test]
    fn usage_is_given_in_percent() {
        let (cpu, memory) = Machine::new().expect("a machine").usage();
        assert!((0.0..=100.0).contains(&cpu), "{cpu}");
        assert!((0.0..=100.0).contains(&memory) && memory > 0.0, "{memory}");
    }
}
