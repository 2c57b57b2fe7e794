//! What processes use. Hides `/proc` and the clock-tick arithmetic behind plain numbers.
//!
//! CPU time of children that have ended and were waited for counts towards their parent, so that a
//! tree's total does not drop when a compiler it ran is done.

mod machine;
mod processes;

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use crate::clock::Moment;
pub use machine::{Busy, Machine, MachineUsage, Network, Pulse, Space, space};
pub use processes::{Processes, Tree};
use processes::{Units, parse_stat};

/// What a set of processes uses together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeUsage {
    /// Milliseconds of CPU time since the start of each process.
    pub cpu_ms: u64,
    /// Resident bytes; pages that several share count for each.
    pub memory_bytes: u64,
    /// How many there are.
    pub processes: u32,
    /// How many of them a signal holds.
    pub stopped: u32,
}

/// What these processes use; those that have ended count for nothing.
pub fn tree(pids: &[u32]) -> TreeUsage {
    let units = Units::of_this_machine();
    let mut usage = TreeUsage::default();
    for pid in pids {
        if let Some(stat) = fs::read(format!("/proc/{pid}/stat")).ok().and_then(|stat| parse_stat(&stat)) {
            usage.add(stat, units);
        }
    }
    usage
}

/// The most files that any of these processes has open; none where that cannot be seen.
pub fn most_open_files(pids: &[u32]) -> Option<u64> {
    let open = |pid: &u32| {
        let directory = format!("/proc/{pid}/fd");
        // Since Linux 6.2 the directory's size is their number.
        let size = fs::metadata(&directory).ok()?.len();
        let count = || u64::try_from(fs::read_dir(&directory).ok()?.count()).ok();
        if size > 0 { Some(size) } else { count() }
    };
    pids.iter().filter_map(open).max()
}

/// Turns total CPU times into percentages of one core between two looks.
#[derive(Debug, Default)]
pub struct CpuMeter {
    looks: HashMap<u64, Looks>,
}

/// When a tree was looked at, and the CPU milliseconds that it had used by then.
type Look = (Moment, u64);

#[derive(Clone, Copy, Debug)]
struct Looks {
    latest: Look,
    /// The one before, which counts while the latest is too fresh.
    earlier: Option<Look>,
}

/// A shorter time tells nothing: a tick is 10 ms.
const SHORTEST: Duration = Duration::from_millis(100);
/// Time that a percentage is taken over where there is a look that old: callers may ask several times in a row.
const SPAN: Duration = Duration::from_millis(500);

impl CpuMeter {
    /// Percent of one core that the tree named by `key` used since the latest look at it that is not too fresh;
    /// since `started` where there is none. A key may be given to another tree once its own is gone.
    pub fn percent(&self, key: u64, cpu_ms: u64, now: Moment, started: Moment) -> f64 {
        let (then, before_ms) = self.base(key, now, started);
        let elapsed_ms = now.0.saturating_sub(then.0).max(SHORTEST).as_secs_f64() * 1_000.0;
        #[expect(clippy::cast_precision_loss, reason = "CPU times far below 2^52 ms")]
        let used_ms = cpu_ms.saturating_sub(before_ms) as f64;
        100.0 * used_ms / elapsed_ms
    }

    /// How long ago that look was.
    pub fn span(&self, key: u64, now: Moment, started: Moment) -> Duration {
        now.0.saturating_sub(self.base(key, now, started).0.0)
    }

    /// Looks at a tree, unless it was just looked at.
    pub fn look(&mut self, key: u64, cpu_ms: u64, now: Moment, started: Moment) {
        let known = self.known(key, started);
        if known.is_some_and(|looks| is_fresh(looks.latest, now)) {
            return;
        }
        let earlier = known.map_or((started, 0), |looks| looks.latest);
        self.looks.insert(key, Looks { latest: (now, cpu_ms), earlier: Some(earlier) });
    }

    /// Looks at a tree for the first time: what it used before counts for nothing.
    pub fn begin(&mut self, key: u64, cpu_ms: u64, now: Moment) {
        self.looks.insert(key, Looks { latest: (now, cpu_ms), earlier: None });
    }

    fn known(&self, key: u64, started: Moment) -> Option<Looks> {
        self.looks.get(&key).copied().filter(|looks| looks.latest.0 >= started)
    }

    fn base(&self, key: u64, now: Moment, started: Moment) -> Look {
        let Some(Looks { latest, earlier }) = self.known(key, started) else { return (started, 0) };
        earlier.filter(|earlier| is_fresh(latest, now) && earlier.0 >= started).unwrap_or(latest)
    }

    /// Forgets trees that are gone.
    pub fn retain(&mut self, is_there: impl Fn(u64) -> bool) {
        self.looks.retain(|key, _| is_there(*key));
    }
}

fn is_fresh(look: Look, now: Moment) -> bool {
    now.0.saturating_sub(look.0.0) < SPAN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_process_uses_memory() {
        let usage = tree(&[std::process::id()]);
        assert_eq!(usage.processes, 1);
        assert!(usage.memory_bytes > 100_000);
    }

    #[test]
    fn our_own_open_files_are_counted() {
        let before = most_open_files(&[std::process::id()]).expect("our own can be seen");
        let _files: Vec<_> = (0..20).map(|_| fs::File::open("/proc/self/stat").expect("a file")).collect();
        let after = most_open_files(&[std::process::id()]).expect("our own can be seen");
        // Other tests open and close files meanwhile.
        assert!(after >= 20 && before > 0, "{before} and {after}");
    }

    #[test]
    fn percent_is_of_the_time_between_two_looks() {
        let mut meter = CpuMeter::default();
        let at = |seconds| Moment(Duration::from_secs(seconds));
        let mut percent = |key, cpu_ms, now, started| {
            let percent = meter.percent(key, cpu_ms, at(now), at(started));
            meter.look(key, cpu_ms, at(now), at(started));
            percent
        };
        assert!((percent(1, 500, 11, 10) - 50.0).abs() < 1e-9);
        assert!((percent(1, 1_500, 13, 10) - 50.0).abs() < 1e-9);
        // Looks at other trees change nothing, and a new tree under the same key begins anew.
        assert!((percent(2, 100, 14, 13) - 10.0).abs() < 1e-9);
        assert!((percent(1, 1_500, 15, 10)).abs() < 1e-9);
        assert!((percent(1, 500, 17, 16) - 50.0).abs() < 1e-9);
        // A second look at once is none, and neither makes the time too short to tell anything.
        meter.look(1, 900, at(17), at(16));
        assert_eq!(meter.span(1, at(19), at(16)), Duration::from_secs(2));
        assert!((meter.percent(1, 1_500, at(19), at(16)) - 50.0).abs() < 1e-9);
        meter.look(1, 1_500, at(19), at(16));
        let soon = Moment(Duration::from_millis(19_020));
        assert_eq!(meter.span(1, soon, at(16)), Duration::from_millis(2_020));
        assert!((meter.percent(1, 1_510, soon, at(16)) - 50.0).abs() < 1e-9);
        assert_eq!(meter.span(1, soon, at(19)), Duration::from_millis(20), "another tree by now");
        meter.look(3, 100, at(20), at(18));
        let soon = Moment(Duration::from_millis(20_010));
        assert_eq!(meter.span(3, soon, at(18)), Duration::from_millis(2_010), "the first look was just now");
    }
}
