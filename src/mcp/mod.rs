//! The Model Context Protocol: tools, their arguments and results, and the connection to a client.
//!
//! A call passes [`transport`](self) → rmcp → `server` → [`Surface`] (the choke point) → a tool's
//! handler, which asks the orchestrator and shapes the result. Knows nothing of how anything is done.

mod absent;
mod agent;
mod answer;
mod arguments;
mod call;
mod check;
mod circuit;
mod command;
mod completion;
#[cfg(feature = "conformance")]
mod conformance;
mod context;
mod diagnose;
mod error;
mod events;
mod health;
mod http;
mod instructions;
mod malformed;
mod message;
mod metrics;
mod notices;
mod performance;
mod pool;
mod progress;
mod prompt;
mod protocol_task;
mod readme;
mod resource;
mod schema;
mod serve;
mod server;
mod session;
mod surface;
mod task;
mod template;
mod tool;
mod tools;
mod toolset;
mod traffic;
mod transport;
mod webhook;

pub use answer::{Answer, error_json};
pub use call::Defaults;
pub use http::{Door, Token};
pub use readme::with_tables;
pub use serve::{Signals, serve};
pub use surface::Surface;
pub use tools::{schema_files, stale_schema_files, tool_names};
pub use toolset::{Selection, toolset_names};
