//! One look at all processes for all that want to know what is left of a session, or what sessions use.
//! Such a look reads a file of every process on the machine, so it is shared, and taken beside the
//! runtime: a hundred sessions that end together cost two looks a round, and delay nobody.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::Usage;
use crate::clock::{self, Moment};
use crate::id::SessionId;
use crate::sample::{CpuMeter, Tree, TreeUsage};

/// The processes of each slot.
pub(super) type Trees = HashMap<u64, Tree>;

/// A session whose processes are to be looked at.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    pub(super) session: SessionId,
    /// Stands for its tree while that lives.
    pub(super) slot: u64,
    /// When its shell started.
    pub(super) since: Moment,
}

impl Usage {
    /// What a session uses by this look at its tree, of a core since the meter's last.
    pub(super) fn new(tree: TreeUsage, meter: &CpuMeter, of: &Subject, now: Moment) -> Self {
        Self {
            cpu: meter.percent(of.slot, tree.cpu_ms, now, of.since),
            over: meter.span(of.slot, now, of.since),
            memory: tree.memory_bytes,
            processes: tree.processes,
            stopped: tree.stopped,
        }
    }
}

/// The latest look.
struct Look {
    begun: Moment,
    trees: Arc<Trees>,
}

/// See the module.
pub(super) struct Census {
    look: Arc<dyn Fn() -> Trees + Send + Sync>,
    /// Held while one looks; those who come meanwhile share the next look.
    latest: Mutex<Option<Look>>,
}

impl Census {
    /// A census by `look`, which may block.
    pub(super) fn new(look: impl Fn() -> Trees + Send + Sync + 'static) -> Self {
        Self { look: Arc::new(look), latest: Mutex::new(None) }
    }

    /// The processes of all sessions, by a look that began after this call.
    pub(super) async fn trees(&self) -> Arc<Trees> {
        let asked = clock::now().moment;
        let mut latest = self.latest.lock().await;
        match &*latest {
            Some(look) if look.begun > asked => Arc::clone(&look.trees),
            _ => {
                let look = Arc::clone(&self.look);
                let begun = clock::now().moment;
                let found = tokio::task::spawn_blocking(move || look()).await;
                let trees = Arc::new(found.unwrap_or_default());
                *latest = Some(Look { begun, trees: Arc::clone(&trees) });
                trees
            }
        }
    }

    /// The same at once, for one that cannot wait: it blocks.
    pub(super) fn trees_now(&self) -> Trees {
        (self.look)()
    }

    /// The processes that carry a session's mark, by such a look.
    pub(super) async fn members(&self, slot: u64) -> Vec<u32> {
        self.trees().await.get(&slot).map(|tree| tree.pids.clone()).unwrap_or_default()
    }
}

impl fmt::Debug for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Census").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn many_who_ask_together_share_a_look_that_began_after_they_asked() {
        let looks = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&looks);
        let census = Census::new(move || {
            let number = counted.fetch_add(1, Ordering::SeqCst);
            let pids = vec![u32::try_from(number).unwrap()];
            HashMap::from([(7, Tree { pids, ..Tree::default() })])
        });
        let asked = futures_util::future::join_all((0..100).map(|_| census.members(7))).await;
        assert!((1..=2).contains(&looks.load(Ordering::SeqCst)), "{looks:?}");
        assert!(asked.iter().all(|members| members.len() == 1));
        let before = looks.load(Ordering::SeqCst);
        assert_eq!(census.members(7).await, [u32::try_from(before).unwrap()], "an old look tells nothing");
        assert!(census.members(8).await.is_empty());
    }
}
