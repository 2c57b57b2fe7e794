//! Runs, and the order in which their tasks start. Nothing here knows a session beyond its name: where
//! a task starts is decided in `placement.rs`, what callers ask for in `tasks.rs`.

mod estimates;
mod graph;
mod progress;
mod ready;
mod rules;
mod run;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::path::{Path, PathBuf};

use crate::id::{CommandId, RunId, SessionId};
use crate::limits;
pub use estimates::Estimates;
pub(super) use progress::{Chain, status};
pub(super) use ready::{Key, Wish};
pub use rules::Counts;
pub(super) use run::{Change, Next, Outcome, RunEntry};

/// Names a run within the engine, in the order of acceptance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RunKey(u64);

/// A task: its run and its number there.
pub(super) type TaskKey = (RunKey, u32);

/// How busy the machine and its sessions were when last looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Load {
    /// Percent of all processors.
    pub cpu: f64,
    /// Percent of the machine's memory.
    pub memory: f64,
    /// Of each session with a shell: the larger, the busier.
    pub sessions: HashMap<SessionId, f64>,
}

/// All runs, and what their tasks need to be placed.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    runs: BTreeMap<RunKey, RunEntry>,
    by_id: HashMap<RunId, RunKey>,
    /// The latest task of each name.
    latest: HashMap<String, TaskKey>,
    /// Runs that are not over, in the order of acceptance.
    active: BTreeSet<RunKey>,
    /// Runs that are over, oldest first: the first to be forgotten.
    ended: VecDeque<RunKey>,
    /// Tasks in them.
    ended_tasks: usize,
    next_key: u64,
    /// Of earlier work.
    pub(super) estimates: Estimates,
    /// Pooled sessions, each with its shell and whether it has been at its prompt.
    pub(super) pool: BTreeMap<SessionId, Pooled>,
    /// Pooled sessions made so far.
    pub(super) pooled: u64,
    /// Pooled sessions in a row that never came to their prompt.
    pub(super) pool_failures: u32,
    /// How busy everything was when last looked at.
    pub(super) load: Load,
    /// Placements made.
    pub(super) turn: u64,
    /// Whether something changed that may let a task start.
    pub(super) is_due: bool,
    /// Whether runs stay as they are, for the next server.
    pub(super) is_frozen: bool,
}

/// A session of the pool.
#[derive(Debug)]
pub(super) struct Pooled {
    /// Its program.
    pub(super) shell: PathBuf,
    /// Whether it has been at its prompt.
    pub(super) is_ready: bool,
}

impl Schedule {
    /// Takes a run in.
    pub(super) fn insert(&mut self, entry: RunEntry) -> RunKey {
        self.next_key += 1;
        let key = RunKey(self.next_key);
        self.by_id.insert(entry.run.id.clone(), key);
        for (number, task) in (0_u32..).zip(entry.tasks.iter()) {
            self.latest.insert(task.id.clone(), (key, number));
        }
        self.runs.insert(key, entry);
        self.active.insert(key);
        key
    }

    /// Moves a run that is over from the active to the ended ones, the first time. The only place that does.
    pub(super) fn file(&mut self, key: RunKey) -> bool {
        let Some(entry) = self.runs.get(&key).filter(|entry| entry.is_over()) else { return false };
        let is_new = self.active.remove(&key);
        if is_new {
            self.ended.push_back(key);
            self.ended_tasks += entry.tasks.len();
        }
        is_new
    }

    /// Forgets the oldest ended runs beyond their bounds, but none that is `kept`.
    pub(super) fn forget_old(&mut self, kept: impl Fn(RunKey) -> bool) {
        while (self.ended.len() > limits::ENDED_RUNS || self.ended_tasks > limits::ENDED_TASKS)
            && let Some(&key) = self.ended.front()
            && !kept(key)
        {
            self.ended.pop_front();
            let Some(entry) = self.runs.remove(&key) else { continue };
            self.ended_tasks -= entry.tasks.len();
            self.by_id.remove(&entry.run.id);
            for task in entry.tasks.iter() {
                // A later run may have a task of the same name.
                if self.latest.get(&task.id).is_some_and(|(run, _)| *run == key) {
                    self.latest.remove(&task.id);
                }
            }
        }
    }

    /// A run.
    pub(super) fn run(&self, key: RunKey) -> Option<&RunEntry> {
        self.runs.get(&key)
    }

    /// A run, to be changed.
    pub(super) fn run_mut(&mut self, key: RunKey) -> Option<&mut RunEntry> {
        self.runs.get_mut(&key)
    }

    /// The run with this id.
    pub(super) fn key(&self, id: &RunId) -> Option<RunKey> {
        self.by_id.get(id).copied()
    }

    /// Every run, oldest first.
    pub(super) fn runs(&self) -> impl Iterator<Item = (RunKey, &RunEntry)> {
        self.runs.iter().map(|(key, entry)| (*key, entry))
    }

    /// Runs that are not over, oldest first.
    pub(super) fn active(&self) -> impl Iterator<Item = (RunKey, &RunEntry)> {
        self.active.iter().filter_map(|key| Some((*key, self.runs.get(key)?)))
    }

    /// What was for one session is for another from now on, the attempts that `moved` among it. Returns the
    /// runs in which anything changed.
    pub(super) fn move_session(
        &mut self,
        from: &SessionId,
        to: &SessionId,
        moved: &[CommandId],
    ) -> BTreeSet<RunKey> {
        let active: Vec<RunKey> = self.active.iter().copied().collect();
        let changes =
            |key: &RunKey| self.runs.get_mut(key).is_some_and(|entry| entry.move_session(from, to, moved));
        active.into_iter().filter(changes).collect()
    }

    /// Tasks in runs that are not over.
    pub(super) fn open_tasks(&self) -> usize {
        self.active().map(|(_, entry)| entry.tasks.len()).sum()
    }

    /// Whether a pooled session of this shell has been at its prompt and is still there, or may come to it.
    pub(super) fn has_pooled(&self, shell: &Path) -> bool {
        self.pool.values().any(|pooled| pooled.shell == shell)
    }

    /// The latest task of this name.
    pub(super) fn latest(&self, id: &str) -> Option<TaskKey> {
        self.latest.get(id).copied()
    }
}

/// Scrambles the bits of a number (the finalizer of `SplitMix64`, Steele, Lea and Flood 2014), to draw
/// what looks random from what is known.
pub(super) fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
