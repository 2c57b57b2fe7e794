//! A session's output as its worker writes it and any number of readers read it. The lock is held
//! for the copy of one chunk at a time, never over an await.

use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::clock::Timestamp;
use crate::model::TerminalSize;
use crate::term::excerpt::Savings;
use crate::term::log::{Chunk, OutputLog};

/// See the module.
#[derive(Debug)]
pub(super) struct Output {
    log: Mutex<OutputLog>,
    end: watch::Sender<u64>,
    last_output_ms: AtomicI64,
    /// Rows and columns, sixteen bits each: the size that text is laid out for.
    size: AtomicU32,
    /// Estimated tokens of what was condensed for readers, before and after.
    condensed: [AtomicU64; 2],
}

impl Output {
    pub(super) fn new(log: OutputLog, size: TerminalSize) -> Self {
        let (end, _) = watch::channel(log.end());
        let output = Self {
            log: Mutex::new(log),
            end,
            last_output_ms: AtomicI64::new(0),
            size: AtomicU32::new(0),
            condensed: [AtomicU64::new(0), AtomicU64::new(0)],
        };
        output.resize(size);
        output
    }

    pub(super) fn append(&self, bytes: &[u8], at: Timestamp) {
        if bytes.is_empty() {
            return;
        }
        let end = {
            let mut log = self.lock();
            log.append(bytes);
            log.end()
        };
        self.last_output_ms.store(at.0, Ordering::Relaxed);
        self.end.send_replace(end);
    }

    /// Bytes from `from` to `to`, at most `max`; they begin later where older ones were dropped.
    pub(super) fn read(&self, from: u64, to: u64, max: usize) -> Chunk {
        self.lock().read(from, to, max)
    }

    pub(super) fn end(&self) -> u64 {
        *self.end.borrow()
    }

    pub(super) fn oldest(&self) -> u64 {
        self.lock().oldest()
    }

    /// Changes whenever bytes are appended; its value is the end cursor.
    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.end.subscribe()
    }

    /// When the last byte came; `None` when none has.
    pub(super) fn last_output(&self) -> Option<Timestamp> {
        match self.last_output_ms.load(Ordering::Relaxed) {
            0 => None,
            at => Some(Timestamp(at)),
        }
    }

    /// Some of it was condensed for a reader.
    pub(super) fn count_savings(&self, savings: Savings) {
        for (sum, tokens) in self.condensed.iter().zip([savings.raw_tokens, savings.tokens]) {
            sum.fetch_add(tokens as u64, Ordering::Relaxed);
        }
    }

    /// Percent of the tokens that condensing saved, over all that was condensed; none before.
    #[expect(clippy::cast_precision_loss, reason = "a percentage")]
    pub(super) fn savings(&self) -> Option<f64> {
        let [before, after] = [0, 1].map(|at: usize| self.condensed[at].load(Ordering::Relaxed) as f64);
        (before > 0.0).then(|| 100.0 * (1.0 - after / before))
    }

    pub(super) fn resize(&self, size: TerminalSize) {
        self.size.store(u32::from(size.rows) << 16 | u32::from(size.cols), Ordering::Relaxed);
    }

    pub(super) fn size(&self) -> TerminalSize {
        let packed = self.size.load(Ordering::Relaxed);
        let low = |bits: u32| u16::try_from(bits & 0xffff).unwrap_or(u16::MAX);
        TerminalSize { rows: low(packed >> 16), cols: low(packed) }
    }

    /// Gives the memory of a session that has ended back; its output stays on disk.
    pub(super) fn release(&self) {
        self.lock().release();
    }

    /// Drops all output of a session without a shell.
    pub(super) fn clear(&self) -> std::io::Result<()> {
        self.lock().clear()
    }

    /// A panic while the lock was held leaves a log whose bytes are still in order.
    fn lock(&self) -> MutexGuard<'_, OutputLog> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
