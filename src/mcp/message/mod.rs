//! The tools about messages, a file each.

pub(crate) mod receive;
pub(crate) mod send;
