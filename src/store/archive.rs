//! The output of one session on disk: segment files named by the cursor of their first byte.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::limits;
use crate::term::log::Archive;

/// Begins an archive with what another one has; nothing is done where there is one already. Segments that are
/// full never change, so they are shared; the last one is copied.
pub fn continue_from(other: &Path, directory: &Path) -> io::Result<()> {
    if directory.exists() || !other.exists() {
        return Ok(());
    }
    let mut names: Vec<_> = fs::read_dir(other)?.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let Some(last) = names.pop() else { return Ok(()) };
    for name in names {
        fs::hard_link(other.join(&name), directory.join(&name))?;
    }
    fs::copy(other.join(&last), directory.join(&last)).map(drop)
}

/// A bounded series of segment files. Nothing is created before the first byte.
#[derive(Debug)]
pub struct SegmentArchive {
    directory: PathBuf,
    /// First cursors of the segments on disk, oldest first. Never empty once something was written.
    segments: VecDeque<u64>,
    end: u64,
    capacity: u64,
    current: Option<File>,
}

impl SegmentArchive {
    /// The archive in `directory`, with whatever an earlier server left there.
    pub fn open(directory: &Path, capacity: u64) -> Self {
        let mut segments: Vec<u64> = fs::read_dir(directory)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name();
                u64::from_str_radix(name.to_str()?.strip_suffix(".log")?, 16).ok()
            })
            .collect();
        segments.sort_unstable();
        let end = segments.last().map_or(0, |&start| {
            let length = fs::metadata(segment_path(directory, start)).map_or(0, |file| file.len());
            start + length
        });
        Self {
            directory: directory.to_path_buf(),
            segments: segments.into(),
            end,
            capacity: capacity.max(2 * limits::OUTPUT_SEGMENT),
            current: None,
        }
    }

    /// The file that the next byte goes to, and how many bytes it still takes.
    fn writable(&mut self) -> io::Result<(&mut File, u64)> {
        let room = self
            .segments
            .back()
            .map_or(0, |&start| (start + limits::OUTPUT_SEGMENT).saturating_sub(self.end));
        if room == 0 {
            if self.segments.is_empty() {
                fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
            }
            self.current = Some(create(&segment_path(&self.directory, self.end))?);
            self.segments.push_back(self.end);
            self.drop_oldest();
            let file =
                self.current.as_mut().ok_or_else(|| io::Error::other("the segment was just opened"))?;
            return Ok((file, limits::OUTPUT_SEGMENT));
        }
        if self.current.is_none() {
            let start = self.segments.back().copied().unwrap_or(self.end);
            self.current = Some(create(&segment_path(&self.directory, start))?);
        }
        let file = self.current.as_mut().ok_or_else(|| io::Error::other("the segment was just opened"))?;
        Ok((file, room))
    }

    fn drop_oldest(&mut self) {
        while self.segments.len() > 1 && self.end - self.segments[0] > self.capacity - limits::OUTPUT_SEGMENT
        {
            if let Some(start) = self.segments.pop_front() {
                let _ = fs::remove_file(segment_path(&self.directory, start));
            }
        }
    }
}

impl Archive for SegmentArchive {
    fn append(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let (file, room) = self.writable()?;
            let part = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
            // A partial write counts: the cursor must say what is on disk, not what was meant to be.
            let written = file.write(&bytes[..part])?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.end += written as u64;
            bytes = &bytes[written..];
        }
        Ok(())
    }

    /// Starts anew there: what was kept is no longer next to what comes, and the newer output matters more.
    fn skip_to(&mut self, cursor: u64) -> io::Result<()> {
        // First the new one: its name tells the next server where to go on.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        self.current = Some(create(&segment_path(&self.directory, cursor))?);
        for start in self.segments.drain(..).filter(|start| *start != cursor) {
            fs::remove_file(segment_path(&self.directory, start))?;
        }
        self.segments.push_back(cursor);
        self.end = cursor;
        Ok(())
    }

    fn release(&mut self) {
        self.current = None;
    }

    fn oldest(&self) -> u64 {
        self.segments.front().copied().unwrap_or(self.end)
    }

    fn end(&self) -> u64 {
        self.end
    }

    fn read(&self, from: u64, into: &mut [u8]) -> io::Result<usize> {
        if from >= self.end {
            return Ok(0);
        }
        let index = self.segments.partition_point(|&start| start <= from);
        let Some(start) = index.checked_sub(1).and_then(|index| self.segments.get(index)) else {
            return Ok(0);
        };
        File::open(segment_path(&self.directory, *start))?.read_at(into, from - start)
    }
}

fn segment_path(directory: &Path, start: u64) -> PathBuf {
    directory.join(format!("{start:016x}.log"))
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}
