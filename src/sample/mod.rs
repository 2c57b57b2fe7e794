//! What processes use. Hides `/proc` and the clock-tick arithmetic behind plain numbers.
//!
//! CPU time of children that have ended and were waited for counts towards their parent, so that a
//! tree's total does not drop when a compiler it ran is done.

mod machine;

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use crate::clock::Moment;
pub use machine::{Machine, Space, space};

/// What a set of processes uses together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeUsage {
    /// Milliseconds of CPU time since the start of each process.
    pub cpu_ms: u64,
    /// Resident bytes; pages that several share count for each.
    pub memory_bytes: u64,
    /// How many there are.
    pub processes: u32,
}

/// What these processes use; those that have ended count for nothing.
pub fn tree(pids: &[u32]) -> TreeUsage {
    let ticks_per_second = rustix::param::clock_ticks_per_second().max(1);
    let page_bytes = rustix::param::page_size() as u64;
    let mut usage = TreeUsage::default();
    for pid in pids {
        let Some((ticks, pages)) =
            fs::read_to_string(format!("/proc/{pid}/stat")).ok().and_then(|stat| parse_stat(&stat))
        else {
            continue;
        };
        usage.cpu_ms += ticks * 1_000 / ticks_per_second;
        usage.memory_bytes += pages * page_bytes;
        usage.processes += 1;
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

/// CPU ticks and resident pages of a `/proc/PID/stat` line. The name in it may hold anything.
fn parse_stat(stat: &str) -> Option<(u64, u64)> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    // Fields 14 to 17 and 24 of proc(5), counted from the state, which is field 3.
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some((number(14)? + number(15)? + number(16)? + number(17)?, number(24)?))
}

/// Turns total CPU times into percentages of one core between two looks.
#[derive(Debug, Default)]
pub struct CpuMeter {
    before: HashMap<u64, (Moment, u64)>,
}

/// Two looks closer together than this tell nothing: a tick is 10 ms.
const SHORTEST: Duration = Duration::from_millis(100);

impl CpuMeter {
    /// Percent of one core that the tree named by `key` used since the last look at it; since
    /// `started` at the first. A key may be given to another tree once its own is gone.
    pub fn percent(&mut self, key: u64, cpu_ms: u64, now: Moment, started: Moment) -> f64 {
        let before = self.before.get(&key).copied().filter(|(then, _)| *then >= started);
        let (then, before_ms) = before.unwrap_or((started, 0));
        let elapsed = now.0.saturating_sub(then.0);
        if elapsed >= SHORTEST {
            self.before.insert(key, (now, cpu_ms));
        }
        let elapsed_ms = elapsed.max(SHORTEST).as_secs_f64() * 1_000.0;
        #[expect(clippy::cast_precision_loss, reason = "CPU times far below 2^52 ms")]
        let used_ms = cpu_ms.saturating_sub(before_ms) as f64;
        100.0 * used_ms / elapsed_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let stat =
            "7 (a) b (c)) S 1 7 7 0 -1 4194560 100 0 0 0 5 6 7 8 20 0 1 0 100 4096 250 18446744073709551615";
        assert_eq!(parse_stat(stat), Some((26, 250)));
    }

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
        assert!((meter.percent(1, 500, at(11), at(10)) - 50.0).abs() < 1e-9);
        assert!((meter.percent(1, 1_500, at(13), at(10)) - 50.0).abs() < 1e-9);
        // Looks at other trees change nothing, and a new tree under the same key begins anew.
        assert!((meter.percent(2, 100, at(14), at(13)) - 10.0).abs() < 1e-9);
        assert!((meter.percent(1, 1_500, at(15), at(10))).abs() < 1e-9);
        assert!((meter.percent(1, 500, at(17), at(16)) - 50.0).abs() < 1e-9);
    }
}
