//! The tools about figures for other programs, a file each.

pub(crate) mod export;
mod prometheus;
