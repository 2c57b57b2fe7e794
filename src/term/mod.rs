//! What a terminal prints, as data: the output log, our marks in the stream, secrets kept out of it,
//! and the views of it that callers get (text, screen, excerpt). Nothing here reads a clock, a file
//! or a terminal, and nothing knows of sessions and commands.
//!
//! The way of a byte: `marks` takes our own marks out, `redact` the secrets, `log` keeps the rest
//! raw; `text` (on `vt` and `grid`) and `screen` make it readable on request, `excerpt` within a
//! budget that `tokens` measures, `condense` in fewer words. `diagnosis` says what went wrong from the result,
//! `recognise` what a known tool says of it, `prompt` what a program asks, `changes` what is new since another,
//! `essence` which lines of a text are worth keeping.
//! `keys` is the way back: what a key sends.

pub mod changes;
pub mod condense;
pub mod diagnosis;
mod errors;
pub mod essence;
pub mod excerpt;
mod fill;
mod filter;
mod grid;
pub mod keys;
pub mod log;
pub mod marks;
mod pattern;
pub mod prompt;
pub mod recognise;
pub mod redact;
mod row;
pub mod screen;
mod source;
pub mod text;
pub mod tokens;
mod vt;
