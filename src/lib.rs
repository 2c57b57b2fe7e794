//! `shellherd` gives AI agents a herd of real terminals over the Model Context Protocol.
//!
//! A tool call enters through [`mcp`] (or [`cli`]), which knows arguments and results and little
//! else. It asks the [`orchestrator`], a cloneable handle in front of one dispatcher task. The
//! dispatcher feeds the pure [`engine`], commits the records that come back to the [`store`], and
//! only then hands effects to workers (one per terminal, in [`orchestrator`], over [`pty`]) and
//! answers the caller. Output never passes the dispatcher: it goes from the worker into the
//! session's [`term`] log, and readers read there.
//!
//! Layers, each importing only those before it: `id limits error clock config` · `model` · `term`,
//! `engine` · `pty`, `store`, `sample` · `orchestrator` · `mcp`, `cli`.
//! `tests/it/architecture.rs` holds every file to that table.
//!
//! Everything runs on one thread but what takes long: laying out large outputs, and waiting for
//! processes to die. Between two waits the server works for microseconds, which is less than another
//! thread takes to wake; so the store is written inline, too, and has no thread of its own.
//!
//! # Invariants
//!
//! 1. Commit, then act, then reply: what was answered survives `kill -9`.
//! 2. Requests go down, events go up; the dispatcher never waits for a worker.
//! 3. Every queue, buffer, table and wait has a bound in [`limits`].
//! 4. States change only through the tables in [`model`].
//! 5. A session's output is an append-only log with an ever-increasing cursor.
//! 6. The end of a command is known, from a mark with the session's nonce or the shell's exit.
//! 7. No process outlives the server, not even when the server is killed.

pub mod cli;
pub mod clock;
pub mod config;
pub mod engine;
pub mod error;
pub mod id;
pub mod limits;
pub mod mcp;
pub mod model;
pub mod orchestrator;
pub mod pty;
pub mod sample;
pub mod store;
pub mod term;
pub mod webhook;
