//! The tasks of a run that could start, in the order in which they should.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::clock::Moment;
use crate::id::SessionId;
use crate::limits;
use crate::model::{Priority, Task};

/// Where a task stands among those that are ready: the least goes first. It never changes while the
/// task waits, though waiting raises it: a level of priority counts as much as [`limits::AGEING`] of
/// waiting, so that anything ready for long enough comes before all that is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::engine) struct Key {
    /// When it became ready in units of [`limits::AGEING`], less its priority.
    epoch: i64,
    /// The costliest chain first, where the strategy asks for that; else equal for all.
    chain: Reverse<u64>,
    /// First come, first served.
    turn: u64,
    /// The task.
    pub(in crate::engine) number: u32,
}

impl Key {
    /// The key of a task that becomes ready.
    pub(super) fn new(now: Moment, priority: Priority, chain: u64, turn: u64, number: u32) -> Self {
        let epoch = i64::try_from(now.0.as_millis() / limits::AGEING.as_millis()).unwrap_or(i64::MAX);
        let epoch = epoch - i64::from(priority.level());
        Self { epoch, chain: Reverse(chain), turn, number }
    }

    /// The key beside those of other runs.
    pub(in crate::engine) fn among_runs(self, run: Priority) -> i64 {
        self.epoch - i64::from(run.level())
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
