//! What all sessions of a server share on this machine: the mark that every descendant inherits,
//! the guard that outlives a killed server, and the private directory for handing commands over.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use tokio::sync::Semaphore;

use super::Settings;
use super::census::Census;
use super::worker::PLEASE;
use crate::clock;
use crate::error::{Error, ErrorCode, Result};
use crate::limits;
use crate::pty::cgroup::Groups;
use crate::pty::{self, Asked, Brand, Guard, Signal, Slot, Which};
use crate::sample::Processes;

/// Between two looks at what still has to end.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(super) struct Host {
    brand: Brand,
    census: Arc<Census>,
    /// One shell is started at a time, and others are served in between.
    starting: Semaphore,
    private: PathBuf,
    /// Where the kernel lets the server have them.
    groups: Option<Arc<Groups>>,
    /// Ends with the server; it then finds nothing left to do.
    _guard: Guard,
}

impl Host {
    pub(super) fn set_up(settings: &Settings) -> Result<Self> {
        let failed = |what: &'static str| {
            move |error: std::io::Error| {
                Error::new(ErrorCode::SpawnFailed, format!("cannot set up {what}: {error}"))
                    .with_hint("run `shellherd doctor` on this machine")
            }
        };
        raise_descriptor_limit();
        let private = pty::private_root().map_err(failed("the private directory"))?;
        let brand = Brand::claim().map_err(failed("the mark of the sessions' processes"))?;
        let groups = settings.cgroup.then(Groups::take).and_then(|taken| {
            taken.inspect_err(|why| tracing::debug!(%why, "limits are held by looking")).ok()
        });
        // Behind that: nobody else may be where the server was when it makes groups there.
        let directory = groups.as_ref().map(|groups| groups.directory());
        let guard = Guard::start(&brand, &private, directory, &settings.program)
            .map_err(failed("the guard process"))?;
        let processes = Mutex::new(Processes::open().map_err(failed("the look at processes"))?);
        let looked_at = brand.clone();
        let census = Census::new(move || {
            let mut processes = processes.lock().unwrap_or_else(PoisonError::into_inner);
            processes.trees(|pid| looked_at.slot_of(pid))
        });
        Ok(Self {
            brand,
            census: Arc::new(census),
            starting: Semaphore::new(1),
            private,
            groups,
            _guard: guard,
        })
    }

    pub(super) fn slot(&self) -> Result<Slot> {
        self.brand
            .slot()
            .ok_or_else(|| Error::new(ErrorCode::LimitExceeded, "no more sessions can be told apart"))
    }

    pub(super) fn brand(&self) -> &Brand {
        &self.brand
    }

    pub(super) fn census(&self) -> &Arc<Census> {
        &self.census
    }

    pub(super) fn groups(&self) -> Option<&Arc<Groups>> {
        self.groups.as_ref()
    }

    /// Starts something that takes a millisecond or two. Of a hundred that are to be started at once
    /// each waits for its turn, and between two turns the runtime looks at what else there is to do.
    pub(super) async fn in_turn<T>(&self, start: impl FnOnce() -> T) -> T {
        // The semaphore is never closed; without a permit the start goes on all the same.
        let _turn = self.starting.acquire().await;
        let started = start();
        tokio::task::yield_now().await;
        started
    }

    /// An empty directory of a session's own; its path is short because it is typed.
    pub(super) fn session_directory(&self, slot: &Slot) -> std::io::Result<PathBuf> {
        let directory = self.private.join(slot.number().to_string());
        let _ = fs::remove_dir_all(&directory);
        fs::DirBuilder::new().mode(0o700).create(&directory)?;
        Ok(directory)
    }

    /// Hangs up what runs in these slots, waits up to `grace`, and kills what is left, for as long again. What
    /// even that does not end is left to [`Host::end_everything`].
    pub(super) async fn end(&self, slots: &[Arc<Slot>], grace: Duration) {
        let polite_until = clock::now().moment.after(grace);
        let mut asked = Asked::default();
        loop {
            let trees = self.census.trees().await;
            let now = clock::now().moment;
            let mut is_empty = true;
            for slot in slots {
                let Some(tree) = trees.get(&slot.number()) else { continue };
                is_empty = false;
                if now < polite_until {
                    slot.signal_newcomers(&tree.pids, &mut asked, &PLEASE);
                } else {
                    tree.pids.iter().for_each(|pid| slot.signal_member(*pid, &[Signal::KILL]));
                }
            }
            if is_empty || now >= polite_until.after(grace) {
                return;
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }

    /// Hangs everything up, waits up to `grace`, and kills what is left.
    pub(super) async fn end_everything(&self, grace: Duration) {
        let polite_until = clock::now().moment.after(grace);
        self.brand.signal(Which::All, Signal::HUP);
        self.brand.signal(Which::All, Signal::TERM);
        self.brand.signal(Which::All, Signal::CONT);
        while !self.brand.members(Which::All).is_empty() && clock::now().moment < polite_until {
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        self.brand.kill_all(Which::All, clock::now().moment.after(grace));
    }

    /// The directory that is gone when the server is.
    pub(super) fn private(&self) -> &Path {
        &self.private
    }
}

/// Many systems start programs with a soft limit of 1,024 descriptors, which is 300 sessions. Not more
/// than is needed: programs inherit it, and some close every descriptor that they could have.
fn raise_descriptor_limit() {
    let wanted = (limits::SESSIONS * limits::SESSION_DESCRIPTORS) as u64;
    let limit = getrlimit(Resource::Nofile);
    let reachable = limit.maximum.map_or(wanted, |hard| hard.min(wanted));
    if limit.current.is_some_and(|soft| soft < reachable) {
        let raised = Rlimit { current: Some(reachable), maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit on descriptors stays as it is");
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.private());
    }
}
