//! How long a piece of work takes, from how long it took before.

use std::collections::{HashMap, VecDeque};

use crate::limits;
use crate::model::Task;

/// What a task counts for when nothing is known of any, in microseconds.
const UNKNOWN_COST_US: u64 = 1_000_000;
/// The least that an unknown one counts for when others are known: a shell takes about that long for
/// anything.
const LEAST_UNKNOWN_US: u64 = 100_000;
/// The least that a known task counts for: nothing is done in no time.
pub(super) const LEAST_COST_US: u64 = 1_000;

/// What those tasks count for of which nothing is known: as much as the others do.
pub(super) fn usual(costs: &[Option<u64>]) -> u64 {
    let known = costs.iter().flatten();
    let sum = known.clone().fold(0_u64, |sum, cost| sum.saturating_add(*cost));
    match known.count() {
        0 => UNKNOWN_COST_US,
        count => (sum / count as u64).max(LEAST_UNKNOWN_US),
    }
}

/// Moving means of durations, by what was run and where.
#[derive(Debug, Default)]
pub struct Estimates {
    means_us: HashMap<u64, u64>,
    /// The works known, oldest first: the first to be forgotten.
    order: VecDeque<u64>,
}

impl Estimates {
    /// What stands for a task's work: equal for equal texts in equal directories (FNV-1a, so that it is the
    /// same for every version that reads the store).
    pub fn work(task: &Task) -> u64 {
        let directory = task.directory.as_ref().map_or(&[][..], |path| path.as_os_str().as_encoded_bytes());
        let bytes = task.text.bytes().chain([0]).chain(directory.iter().copied());
        bytes
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }

    /// Takes in what the store knows.
    pub fn restore(&mut self, work: u64, mean_us: u64) {
        if self.means_us.insert(work, mean_us).is_none() {
            self.order.push_back(work);
        }
        while self.order.len() > limits::ESTIMATES {
            let oldest = self.order.pop_front();
            oldest.map(|work| self.means_us.remove(&work));
        }
    }

    /// Takes in how long a task took; returns the new mean when it is worth being stored.
    pub(in crate::engine) fn learn(&mut self, task: &Task, took_us: u64) -> Option<(u64, u64)> {
        let work = Self::work(task);
        let mean = match self.means_us.get(&work) {
            None => took_us,
            // The latest counts for a quarter: machines and work change slowly, but they change.
            Some(&mean) => mean - mean / 4 + took_us / 4,
        };
        let stored = self.means_us.get(&work).copied();
        // Small changes of small durations would cost a write for each task, and tell nobody anything.
        let matters = stored.is_none_or(|stored| mean.abs_diff(stored) > (stored / 5).max(100_000));
        self.restore(work, mean);
        matters.then_some((work, mean))
    }

    /// What a task is expected to take, in microseconds.
    pub(in crate::engine) fn of(&self, task: &Task) -> Option<u64> {
        self.means_us.get(&Self::work(task)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::task;
    use super::*;

    #[test]
    fn the_mean_follows_what_is_seen_and_tells_what_matters() {
        let mut estimates = Estimates::default();
        let task = task("a");
        assert_eq!(estimates.of(&task), None);
        assert_eq!(estimates.learn(&task, 1_000_000), Some((Estimates::work(&task), 1_000_000)));
        assert_eq!(estimates.learn(&task, 1_100_000), None);
        assert_eq!(estimates.of(&task), Some(1_025_000));
        assert!(estimates.learn(&task, 9_000_000).is_some());
    }

    #[test]
    fn no_more_works_are_known_than_the_bound() {
        let mut estimates = Estimates::default();
        for work in 0..limits::ESTIMATES as u64 + 5 {
            estimates.restore(work, 1);
        }
        assert_eq!(estimates.means_us.len(), limits::ESTIMATES);
    }
}
