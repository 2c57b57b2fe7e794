//! The tools about the load, a file each.

pub(crate) mod history;
pub(crate) mod monitor;
pub(crate) mod tune;
