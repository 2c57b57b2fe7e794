//! One crate for all integration tests: the real binary over stdio, on real shells.

mod architecture;
mod support;
