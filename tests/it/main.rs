//! One crate for all integration tests: the real binary over stdio, on real shells.

#![expect(unreachable_pub, reason = "a test crate has no outside")]
#![expect(clippy::disallowed_methods, reason = "the rules about clocks and processes are the server's")]

mod architecture;
mod cli;
mod commands;
mod endings;
mod hostile;
mod limits;
mod load;
mod matrix;
mod output;
mod prompts;
mod protocol;
mod restart;
mod sessions;
mod shutdown;
mod support;
