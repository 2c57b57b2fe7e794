//! One crate for all integration tests: the real binary over stdio, on real shells.

#![expect(unreachable_pub, reason = "a test crate has no outside")]
#![expect(clippy::disallowed_methods, reason = "the rules about clocks and processes are the server's")]

mod architecture;
mod commands;
mod endings;
mod limits;
mod matrix;
mod output;
mod prompts;
mod sessions;
mod support;
