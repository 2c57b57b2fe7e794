//! The tool about health, in a file of its own.

pub(crate) mod check;
