//! The output of a session: bytes in order, numbered from its beginning by an ever-increasing cursor.
//!
//! The latest bytes stand in a ring in memory; every byte also goes to an archive when it is
//! appended, and older ones are read from there. Reading by successive cursors gives every byte
//! exactly once, minus what is reported as dropped. This module does not know where an archive
//! keeps its bytes, and what the bytes mean.

use std::collections::VecDeque;
use std::fmt;
use std::io;

use crate::limits;

/// Where a session's older output is kept. It may forget from its beginning.
pub trait Archive: Send {
    /// Adds bytes at the end. On an error, [`Archive::end`] tells how many were kept.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Goes on at `cursor`, beyond the end: the bytes in between are lost, and those before may be.
    /// An archive that cannot do that takes no more bytes once some were lost on the way to it.
    fn skip_to(&mut self, cursor: u64) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, format!("cannot go on at {cursor}")))
    }
    /// Gives back what is only needed to append, as open files are.
    fn release(&mut self) {}
    /// Cursor of the first byte still held.
    fn oldest(&self) -> u64;
    /// Cursor behind the last byte.
    fn end(&self) -> u64;
    /// Reads the bytes at `from`; returns how many, 0 only at the end.
    fn read(&self, from: u64, into: &mut [u8]) -> io::Result<usize>;
}

/// An archive in memory that keeps its latest bytes.
#[derive(Debug)]
pub struct MemoryArchive {
    bytes: VecDeque<u8>,
    capacity: usize,
    end: u64,
}

impl MemoryArchive {
    /// An empty archive that will keep up to `capacity` bytes.
    pub fn new(capacity: usize) -> Self {
        Self { bytes: VecDeque::new(), capacity, end: 0 }
    }
}

impl Archive for MemoryArchive {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        push_bounded(&mut self.bytes, bytes, self.capacity);
        self.end += bytes.len() as u64;
        Ok(())
    }

    fn skip_to(&mut self, cursor: u64) -> io::Result<()> {
        self.bytes.clear();
        self.end = cursor;
        Ok(())
    }

    fn oldest(&self) -> u64 {
        self.end - self.bytes.len() as u64
    }

    fn end(&self) -> u64 {
        self.end
    }

    fn read(&self, from: u64, into: &mut [u8]) -> io::Result<usize> {
        let Some(skipped) = from.checked_sub(self.oldest()).and_then(|skipped| usize::try_from(skipped).ok())
        else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "these bytes are no longer held"));
        };
        Ok(copy_from(&self.bytes, skipped, into))
    }
}

/// What was read from a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Cursor of the first byte; beyond the one asked for when bytes in between were dropped.
    pub from: u64,
    /// The bytes, none at the end.
    pub bytes: Vec<u8>,
}

impl Chunk {
    /// The cursor behind these bytes: where to read on.
    pub fn end(&self) -> u64 {
        self.from + self.bytes.len() as u64
    }
}

/// The log of one session.
pub struct OutputLog {
    /// The latest bytes; the last one is at `end - 1`.
    ring: VecDeque<u8>,
    end: u64,
    archive: Box<dyn Archive>,
    append_failures: u64,
}

impl OutputLog {
    /// A log that goes on where the archive ends.
    pub fn new(archive: Box<dyn Archive>) -> Self {
        Self { ring: VecDeque::new(), end: archive.end(), archive, append_failures: 0 }
    }

    /// Appends output. A failing archive is tried again with the next bytes, as far as the ring
    /// still has what it missed.
    pub fn append(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(limits::OUTPUT_RING) {
            push_bounded(&mut self.ring, piece, limits::OUTPUT_RING);
            self.end += piece.len() as u64;
            let before = self.end - piece.len() as u64;
            let archived =
                if self.archive.end() == before { self.archive.append(piece) } else { self.catch_up() };
            self.append_failures += u64::from(archived.is_err());
        }
    }

    /// Drops everything that was appended; what comes next goes on at the same cursor.
    pub fn clear(&mut self) -> io::Result<()> {
        self.ring = VecDeque::new();
        if self.oldest() < self.end {
            self.archive.skip_to(self.end)?;
        }
        self.archive.release();
        Ok(())
    }

    /// Frees the ring, if the archive has everything that is in it.
    pub fn release(&mut self) {
        if self.archive.end() == self.end || self.catch_up().is_ok() {
            self.ring = VecDeque::new();
        }
        self.archive.release();
    }

    /// Cursor behind the last byte.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Cursor of the first byte that can still be read.
    pub fn oldest(&self) -> u64 {
        let oldest = self.archive.oldest();
        if oldest < self.archive.end() { oldest.min(self.ring_start()) } else { self.ring_start() }
    }

    /// How often the archive refused bytes.
    pub fn append_failures(&self) -> u64 {
        self.append_failures
    }

    /// Up to `max` of the bytes from `from` to `to`. No bytes means that there are none (any more):
    /// the chunk's cursor is then at `to`, or at the end.
    pub fn read(&self, from: u64, to: u64, max: usize) -> Chunk {
        let to = to.min(self.end);
        let mut from = from.max(self.oldest()).min(to);
        let room = |from: u64| usize::try_from(to - from).map_or(max, |rest| rest.min(max));
        let ring_start = self.ring_start();
        if from < ring_start && room(from) > 0 {
            let archived_to = self.archive.end().min(ring_start);
            let available = archived_to.saturating_sub(from);
            let mut bytes = vec![0; usize::try_from(available).map_or(room(from), |n| n.min(room(from)))];
            match self.archive.read(from, &mut bytes) {
                Ok(count) if count > 0 => {
                    bytes.truncate(count);
                    return Chunk { from, bytes };
                }
                // Missing or unreadable there: the next bytes are those of the ring.
                Ok(_) | Err(_) => from = ring_start.min(to),
            }
        }
        let mut bytes = vec![0; room(from)];
        let skipped = usize::try_from(from.saturating_sub(ring_start)).unwrap_or(usize::MAX);
        let count = copy_from(&self.ring, skipped, &mut bytes);
        bytes.truncate(count);
        Chunk { from, bytes }
    }

    fn ring_start(&self) -> u64 {
        self.end - self.ring.len() as u64
    }

    /// Gives the archive what it missed.
    fn catch_up(&mut self) -> io::Result<()> {
        if self.archive.end() < self.ring_start() {
            self.archive.skip_to(self.ring_start())?;
        }
        while self.archive.end() < self.end {
            let before = self.archive.end();
            let missed = usize::try_from(before - self.ring_start()).unwrap_or(usize::MAX);
            let (first, second) = self.ring.as_slices();
            let piece = if missed < first.len() { &first[missed..] } else { &second[missed - first.len()..] };
            self.archive.append(piece)?;
            if self.archive.end() == before {
                return Err(io::Error::new(io::ErrorKind::WriteZero, "the archive took no bytes"));
            }
        }
        Ok(())
    }
}

impl fmt::Debug for OutputLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutputLog({}..{}, {} in memory)", self.oldest(), self.end, self.ring.len())
    }
}

fn push_bounded(ring: &mut VecDeque<u8>, bytes: &[u8], capacity: usize) {
    let kept = &bytes[bytes.len().saturating_sub(capacity)..];
    let excess = (ring.len() + kept.len()).saturating_sub(capacity);
    ring.drain(..excess);
    ring.extend(kept);
}

/// Copies what follows the first `skipped` bytes; returns how many that were.
fn copy_from(ring: &VecDeque<u8>, skipped: usize, into: &mut [u8]) -> usize {
    let (first, second) = ring.as_slices();
    let first = first.get(skipped..).unwrap_or_default();
    let second = second.get(skipped.saturating_sub(ring.as_slices().0.len())..).unwrap_or_default();
    let from_first = first.len().min(into.len());
    into[..from_first].copy_from_slice(&first[..from_first]);
    let from_second = second.len().min(into.len() - from_first);
    into[from_first..from_first + from_second].copy_from_slice(&second[..from_second]);
    from_first + from_second
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU8, Ordering};

    /// An archive that fails on demand.
    struct Faulty {
        inner: MemoryArchive,
        /// Bit 0: appends fail; bit 1: they keep half and fail; bit 2: reads fail.
        faults: Arc<AtomicU8>,
        can_skip: bool,
    }

    impl Archive for Faulty {
        fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
            match self.faults.load(Ordering::Relaxed) & 3 {
                0 => self.inner.append(bytes),
                2 => {
                    self.inner.append(&bytes[..bytes.len() / 2])?;
                    Err(io::ErrorKind::StorageFull.into())
                }
                _ => Err(io::ErrorKind::StorageFull.into()),
            }
        }
        fn skip_to(&mut self, cursor: u64) -> io::Result<()> {
            if self.can_skip { self.inner.skip_to(cursor) } else { Err(io::ErrorKind::Unsupported.into()) }
        }
        fn oldest(&self) -> u64 {
            self.inner.oldest()
        }
        fn end(&self) -> u64 {
            self.inner.end()
        }
        fn read(&self, from: u64, into: &mut [u8]) -> io::Result<usize> {
            if self.faults.load(Ordering::Relaxed) & 4 != 0 {
                return Err(io::ErrorKind::Other.into());
            }
            self.inner.read(from, into)
        }
    }

    /// The byte that belongs at a cursor.
    fn byte_at(cursor: u64) -> u8 {
        u8::try_from(cursor.wrapping_mul(0x9e37_79b9) >> 13 & 0xff).unwrap()
    }

    fn output(from: u64, length: usize) -> Vec<u8> {
        (from..from + length as u64).map(byte_at).collect()
    }

    #[test]
    fn older_bytes_come_from_the_archive() {
        let mut log = OutputLog::new(Box::new(MemoryArchive::new(1 << 20)));
        let length = limits::OUTPUT_RING + 1_000;
        log.append(&output(0, length));
        assert_eq!((log.oldest(), log.end()), (0, length as u64));
        assert_eq!(log.read(10, 30, 1_000), Chunk { from: 10, bytes: output(10, 20) });
        assert_eq!(log.read(0, u64::MAX, 5_000).bytes.len(), 1_000, "a chunk ends where the ring begins");
        log.release();
        assert_eq!(log.read(length as u64 - 5, u64::MAX, 9).bytes, output(length as u64 - 5, 5));
        log.append(b"x");
        assert_eq!(log.read(length as u64, u64::MAX, 9).bytes, b"x");
    }

    #[test]
    fn a_log_goes_on_where_its_archive_ends() {
        let mut archive = MemoryArchive::new(100);
        archive.append(b"before").unwrap();
        let mut log = OutputLog::new(Box::new(archive));
        log.append(b" after");
        assert_eq!(log.read(0, u64::MAX, 6).bytes, b"before");
        assert_eq!(log.read(6, u64::MAX, 100).bytes, b" after");
    }

    #[test]
    fn an_idle_log_costs_little() {
        let mut log = OutputLog::new(Box::new(MemoryArchive::new(100)));
        log.append(b"$ ");
        assert!(log.ring.capacity() < 100);
    }

    proptest! {
        #[test]
        fn every_byte_is_read_once_or_reported(
            operations in prop::collection::vec((0_u8..10, 0_usize..120_000, 0_u8..8), 1..40),
            capacity in 1_usize..600_000,
            can_skip in any::<bool>(),
        ) {
            let faults = Arc::new(AtomicU8::new(0));
            let archive =
                Faulty { inner: MemoryArchive::new(capacity), faults: faults.clone(), can_skip };
            let mut log = OutputLog::new(Box::new(archive));
            let mut cursor = 0;
            let mut had_fault = false;
            for (kind, size, fault) in operations {
                match kind {
                    0..=4 => log.append(&output(log.end(), size)),
                    5..=6 => {
                        let oldest = log.oldest();
                        let chunk = log.read(cursor, u64::MAX, size);
                        prop_assert!(chunk.from >= cursor && chunk.end() <= log.end());
                        prop_assert_eq!(&chunk.bytes, &output(chunk.from, chunk.bytes.len()));
                        prop_assert!(chunk.bytes.len() <= size);
                        if !had_fault {
                            prop_assert_eq!(chunk.from, cursor.max(oldest), "dropped without need");
                        }
                        if size > 0 && log.end() > cursor {
                            prop_assert!(chunk.end() > cursor, "no progress");
                        }
                        cursor = chunk.end();
                    }
                    7..=8 => {
                        faults.store(fault, Ordering::Relaxed);
                        had_fault |= fault != 0;
                    }
                    _ => log.release(),
                }
                prop_assert!(log.ring.len() <= limits::OUTPUT_RING);
                let newest = log.end().saturating_sub(100);
                if faults.load(Ordering::Relaxed) == 0 && capacity >= 100 {
                    prop_assert_eq!(log.read(newest, u64::MAX, 100).from, newest, "the latest are there");
                }
            }
        }
    }
}
