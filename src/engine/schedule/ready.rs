//! The tasks of a run that could start, in the order in which they should.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::clock::Moment;
use crate::id::SessionId;
use crate::limits;
use crate::model::{Priority, Task};

/// What the costliest chain of a run counts for, in milliseconds of waiting; others count by their share.
const CHAIN: i64 = 60_000;
/// What a level of priority counts for: [`limits::AGEING`] beyond all that a chain can.
#[expect(clippy::cast_possible_truncation, reason = "a small constant")]
const LEVEL: i64 = limits::AGEING.as_millis() as i64 + CHAIN;

/// Where a task stands among those that are ready: the least goes first. It never changes while the
/// task waits, though waiting raises it: priority and chain count as so much waiting, so that anything
/// ready for long enough comes before all that is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::engine) struct Key {
    /// When it became ready in milliseconds, less what its priority and its chain count for.
    urgency: i64,
    /// The costliest chain first, where the strategy asks for that; else equal for all.
    chain: Reverse<u64>,
    /// First come, first served.
    turn: u64,
    /// The task.
    pub(in crate::engine) number: u32,
}

impl Key {
    /// The key of a task that becomes ready. Its chain counts by its share of the run's `longest`.
    pub(super) fn new(
        now: Moment,
        priority: Priority,
        (chain, longest): (u64, u64),
        turn: u64,
        number: u32,
    ) -> Self {
        let ready = i64::try_from(now.0.as_millis()).unwrap_or(i64::MAX);
        let share = i128::from(CHAIN) * i128::from(chain) / i128::from(longest.max(1));
        let share = i64::try_from(share).unwrap_or(CHAIN).min(CHAIN);
        let urgency = ready - i64::from(priority.level()) * LEVEL - share;
        Self { urgency, chain: Reverse(chain), turn, number }
    }

    /// The key beside those of other runs.
    pub(in crate::engine) fn among_runs(self, run: Priority) -> i64 {
        self.urgency - i64::from(run.level()) * LEVEL
    }
}

/// What tasks of one lane ask of their session. They can all start, or none of them can.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::engine) struct Wish {
    /// This one and no other.
    pub(in crate::engine) session: Option<SessionId>,
    /// One with these capabilities.
    pub(in crate::engine) requirements: Vec<String>,
}

impl Wish {
    pub(super) fn of(task: &Task) -> Self {
        Self { session: task.session.clone(), requirements: task.requirements.clone() }
    }
}

/// Tasks with the same wish, the next one first. A lane whose wish cannot be met now holds up no other.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Lane {
    pub(in crate::engine) wish: Wish,
    queue: BTreeSet<Key>,
}

impl Lane {
    pub(super) fn new(wish: Wish) -> Self {
        Self { wish, queue: BTreeSet::new() }
    }

    pub(super) fn push(&mut self, key: Key) {
        self.queue.insert(key);
    }

    pub(super) fn remove(&mut self, key: &Key) {
        self.queue.remove(key);
    }

    /// The task that comes next.
    pub(in crate::engine) fn head(&self) -> Option<Key> {
        self.queue.first().copied()
    }

    /// All that wait here, the next one first.
    pub(super) fn keys(&self) -> impl Iterator<Item = Key> {
        self.queue.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const LEVELS: [Priority; 4] = [Priority::Low, Priority::Normal, Priority::High, Priority::Critical];

    fn at(ms: u64) -> Moment {
        Moment(Duration::from_millis(ms))
    }

    proptest! {
        #[test]
        fn waiting_less_than_the_ageing_never_beats_priority(
            ready in 0_u64..1_000_000,
            later in 0_u64..60_000,
            chains in (0_u64..=1_000, 0_u64..=1_000),
            levels in (0_usize..3, 1_usize..4),
        ) {
            prop_assume!(levels.0 < levels.1);
            let low = Key::new(at(ready), LEVELS[levels.0], (chains.0, 1_000), 1, 1);
            let high = Key::new(at(ready + later), LEVELS[levels.1], (chains.1, 1_000), 2, 2);
            prop_assert!(high < low);
        }

        #[test]
        fn waiting_long_enough_beats_everything(ready in 0_u64..1_000_000, chains in (0_u64..=9, 0_u64..=9)) {
            let first = Key::new(at(ready), Priority::Low, (chains.0, 9), 1, 1);
            let later = at(ready + 3 * 120_000 + 60_001);
            prop_assert!(first < Key::new(later, Priority::Critical, (chains.1, 9), 2, 2));
        }
    }

    #[test]
    fn the_costlier_chain_goes_first_though_it_was_ready_a_little_later() {
        let short = Key::new(at(59_999), Priority::Normal, (500, 1_000), 1, 1);
        let long = Key::new(at(60_005), Priority::Normal, (1_000, 1_000), 2, 2);
        assert!(long < short);
        let equal = Key::new(at(60_005), Priority::Normal, (500, 1_000), 2, 2);
        assert!(short < equal);
    }
}
