//! What all sessions of a server share on this machine: the mark that every descendant inherits,
//! the guard that outlives a killed server, and the private directory for handing commands over.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Settings;
use crate::clock;
use crate::error::{Error, ErrorCode, Result};
use crate::pty::{self, Brand, Guard, Signal, Slot, Which};

#[derive(Debug)]
pub(super) struct Host {
    brand: Brand,
    private: PathBuf,
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
        let private = pty::private_root().map_err(failed("the private directory"))?;
        let brand = Brand::claim().map_err(failed("the mark of the sessions' processes"))?;
        let guard = Guard::start(&brand, &private, &settings.program).map_err(failed("the guard process"))?;
        Ok(Self { brand, private, _guard: guard })
    }

    pub(super) fn slot(&self) -> Result<Slot> {
        self.brand
            .slot()
            .ok_or_else(|| Error::new(ErrorCode::LimitExceeded, "no more sessions can be told apart"))
    }

    pub(super) fn brand(&self) -> &Brand {
        &self.brand
    }

    /// An empty directory of a session's own; its path is short because it is typed.
    pub(super) fn session_directory(&self, slot: &Slot) -> std::io::Result<PathBuf> {
        let directory = self.private.join(slot.number().to_string());
        let _ = fs::remove_dir_all(&directory);
        fs::DirBuilder::new().mode(0o700).create(&directory)?;
        Ok(directory)
    }

    /// Hangs everything up, waits up to `grace`, and kills what is left.
    pub(super) async fn end_everything(&self, grace: Duration) {
        let polite_until = clock::now().moment.after(grace);
        self.brand.signal(Which::All, Signal::HUP);
        self.brand.signal(Which::All, Signal::TERM);
        self.brand.signal(Which::All, Signal::CONT);
        while !self.brand.members(Which::All).is_empty() && clock::now().moment < polite_until {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.brand.kill_all(Which::All, clock::now().moment.after(grace));
    }

    /// The directory that is gone when the server is.
    pub(super) fn private(&self) -> &Path {
        &self.private
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.private());
    }
}
