//! How busy the machine is as a whole. The figures of its processors and its traffic are of the time
//! between two looks, so each who looks from time to time has a [`Machine`] of its own.

use std::fs;
use std::path::Path;
use std::time::Duration;

use sysinfo::{CpuRefreshKind, MemoryRefreshKind, Networks, RefreshKind, System};

use crate::clock::Moment;

/// The machine, looked at from time to time.
#[derive(Debug)]
pub struct Machine {
    system: System,
    networks: Option<Networks>,
    /// Of the last full look.
    before: Option<(Moment, Counters)>,
}

/// How busy the machine is, for those who may look at any time: two looks close together tell the same.
#[derive(Debug)]
pub struct Pulse {
    machine: Machine,
    looked_at: Moment,
    busy: Option<Busy>,
}

/// How much of all processors was in use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Busy {
    /// Percent of them all.
    pub percent: f64,
    /// For how long that was looked at.
    pub span: Duration,
}

/// Two looks closer together than this tell of a moment, and the next one is another.
const LEAST_PAUSE: Duration = Duration::from_secs(1);
/// Better a coarse figure than none: the processors are counted in ticks of 10 ms.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

impl Pulse {
    /// A first look; nothing where the system tells nothing.
    pub fn new(now: Moment) -> Option<Self> {
        Some(Self { machine: Machine::new()?, looked_at: now, busy: None })
    }

    /// How busy the processors were of late, nothing right after the first look, and percent of the memory in use.
    pub fn look(&mut self, now: Moment) -> (Option<Busy>, f64) {
        let pause = if self.busy.is_none() { FIRST_PAUSE } else { LEAST_PAUSE };
        let span = now.0.saturating_sub(self.looked_at.0);
        if span >= pause {
            self.looked_at = now;
            self.busy = Some(Busy { percent: self.machine.cpu(), span });
        }
        (self.busy, self.machine.memory())
    }
}

/// What the whole machine uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MachineUsage {
    /// Percent of all processors since the last look.
    pub cpu: f64,
    /// Bytes of memory in use.
    pub memory_bytes: u64,
    /// Bytes of memory that there are.
    pub memory_total: u64,
    /// Processes that ran or waited for a disk, on average over 1, 5 and 15 minutes.
    pub load_average: [f64; 3],
    /// Bytes a second read from disks and written to them since the last look.
    pub disk: Option<(f64, f64)>,
    /// None before the second look.
    pub network: Option<Network>,
}

impl MachineUsage {
    /// Percent of the memory in use.
    pub fn memory(&self) -> f64 {
        percent(self.memory_bytes, self.memory_total)
    }
}

/// Traffic over all interfaces but the loopback one, since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Network {
    /// Bytes a second.
    pub received: f64,
    /// Bytes a second.
    pub sent: f64,
}

/// Bytes since the machine, or an interface of it, was started.
#[derive(Clone, Copy, Debug)]
struct Counters {
    received: u64,
    sent: u64,
    /// Read from disks and written to them.
    disk: Option<(u64, u64)>,
}

impl Machine {
    /// The machine; nothing where the system tells nothing of it.
    pub fn new() -> Option<Self> {
        let what = RefreshKind::nothing()
            .with_cpu(CpuRefreshKind::nothing().with_usage())
            .with_memory(MemoryRefreshKind::nothing().with_ram());
        let system = System::new_with_specifics(what).ok()?;
        Some(Self { system, networks: None, before: None })
    }

    /// Percent of all processors in use since the last look.
    fn cpu(&mut self) -> f64 {
        self.system.refresh_cpu_usage();
        f64::from(self.system.global_cpu_usage())
    }

    /// Percent of all processors in use since the last look, and percent of the memory in use.
    pub fn usage(&mut self) -> (f64, f64) {
        (self.cpu(), self.memory())
    }

    /// Percent of the memory in use.
    fn memory(&mut self) -> f64 {
        self.system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        percent(self.system.used_memory(), self.system.total_memory())
    }

    /// A full look, which reads a few files for each network interface as well.
    pub fn look(&mut self, now: Moment) -> MachineUsage {
        let (cpu, _) = self.usage();
        let counters = self.counters();
        let before = self.before.replace((now, counters));
        let seconds = before.map_or(0.0, |(then, _)| now.0.saturating_sub(then.0).as_secs_f64());
        let before = before.filter(|_| seconds > 0.0).map(|(_, before)| before);
        let rate = |after: u64, before: u64| per_second(after.saturating_sub(before), seconds);
        let network = before.map(|before| Network {
            received: rate(counters.received, before.received),
            sent: rate(counters.sent, before.sent),
        });
        let disk = counters.disk.zip(before.and_then(|before| before.disk));
        let load = System::load_average().unwrap_or_default();
        MachineUsage {
            cpu,
            memory_bytes: self.system.used_memory(),
            memory_total: self.system.total_memory(),
            load_average: [load.one, load.five, load.fifteen],
            disk: disk.map(|(after, before)| (rate(after.0, before.0), rate(after.1, before.1))),
            network,
        }
    }

    fn counters(&mut self) -> Counters {
        if let Some(networks) = &mut self.networks {
            networks.refresh(true);
        } else {
            self.networks = Networks::new_with_refreshed_list().ok();
        }
        let interfaces =
            self.networks.iter().flat_map(|networks| networks.iter()).filter(|(name, _)| *name != "lo");
        let (received, sent) = interfaces.fold((0, 0), |(received, sent), (_, interface)| {
            (received + interface.total_received(), sent + interface.total_transmitted())
        });
        let disk = fs::read_to_string("/proc/vmstat").ok().and_then(|text| disk_bytes(&text));
        Counters { received, sent, disk }
    }
}

/// Bytes read from and written to disks of any kind: two lines of a file, where the files of each disk
/// would count what a partition does twice. They are in units of 1,024 bytes.
fn disk_bytes(vmstat: &str) -> Option<(u64, u64)> {
    let value = |name: &str| {
        let line = vmstat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        line.trim().parse::<u64>().ok()?.checked_mul(1_024)
    };
    Some((value("pgpgin")?, value("pgpgout")?))
}

/// How full a filesystem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes.
    pub total: u64,
    /// Bytes that a user may still write.
    pub free: u64,
    /// The number of the filesystem.
    filesystem: u64,
}

impl Space {
    /// Percent in use.
    pub fn used(&self) -> f64 {
        percent(self.total - self.free, self.total)
    }

    /// Whether both are of one filesystem.
    pub fn is_of(&self, other: &Space) -> bool {
        (self.filesystem, self.total) == (other.filesystem, other.total)
    }
}

/// The space of the filesystem that `path` is on. Only this one is asked: a list of all would wait for
/// network disks that nobody meant.
pub fn space(path: &Path) -> Option<Space> {
    let found = rustix::fs::statvfs(path).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    // What is kept for root counts as used.
    Some(Space {
        total: bytes(found.f_blocks),
        free: bytes(found.f_bavail.min(found.f_blocks)),
        filesystem: found.f_fsid,
    })
}

#[expect(clippy::cast_precision_loss, reason = "a percentage")]
fn percent(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}

#[expect(clippy::cast_precision_loss, reason = "a rate")]
fn per_second(bytes: u64, seconds: f64) -> f64 {
    bytes as f64 / seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pulse_has_a_figure_once_there_is_a_span_to_tell_of() {
        let at = |ms| Moment(Duration::from_millis(ms));
        let mut pulse = Pulse::new(at(0)).expect("a machine");
        let (busy, memory) = pulse.look(at(19));
        assert_eq!(busy, None);
        assert!((0.0..=100.0).contains(&memory) && memory > 0.0, "{memory}");
        let busy = pulse.look(at(20)).0.expect("a coarse figure");
        assert!((0.0..=100.0).contains(&busy.percent), "{busy:?}");
        assert_eq!(busy.span, Duration::from_millis(20));
        assert_eq!(pulse.look(at(1_019)).0, Some(busy), "the same span");
        assert_eq!(pulse.look(at(1_520)).0.map(|busy| busy.span), Some(Duration::from_millis(1_500)));
    }

    #[test]
    fn rates_begin_with_the_second_look() {
        let mut machine = Machine::new().expect("a machine");
        let at = |seconds| Moment(Duration::from_secs(seconds));
        let first = machine.look(at(1));
        assert_eq!((first.network, first.disk), (None, None));
        assert!((0.0..=100.0).contains(&first.memory()) && first.memory_total > 1 << 20, "{first:?}");
        assert!(first.load_average.iter().all(|load| *load >= 0.0));
        assert_eq!(machine.look(at(1)).network, None, "no time has passed");
        let network = machine.look(at(2)).network.expect("a second look");
        assert!(network.received >= 0.0 && network.sent >= 0.0, "{network:?}");
    }

    #[test]
    fn disk_traffic_is_two_lines_of_vmstat() {
        let text = "nr_free_pages 5\npgpgin 3\npgpgout 10\npgpgoutx 9\n";
        assert_eq!(disk_bytes(text), Some((3_072, 10_240)));
        assert_eq!(disk_bytes("pgpgin 3\n"), None);
    }

    #[test]
    fn a_filesystem_has_space_and_a_missing_one_has_none() {
        let root = space(Path::new("/")).expect("a root");
        assert!(root.total >= root.free && root.total > 0, "{root:?}");
        assert!((0.0..=100.0).contains(&root.used()));
        assert!(root.is_of(&space(Path::new("/..")).expect("the same")));
        assert!(!root.is_of(&space(Path::new("/proc")).expect("another")));
        assert_eq!(space(Path::new("/nowhere/at/all")), None);
    }
}
