//! The tool about sessions that are out of order.

pub(crate) mod recover;
