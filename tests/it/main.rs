//! One crate for all integration tests: the real binary over stdio, on real shells.

#![expect(unreachable_pub, reason = "a test crate has no outside")]
#![expect(clippy::disallowed_methods, reason = "the rules about clocks and processes are the server's")]
#![expect(
    clippy::print_stdout,
    reason = "what was measured and what was skipped is for the reader of the log"
)]
#![expect(clippy::needless_pass_by_value, reason = "a test hands its JSON over as it writes it")]

mod agents;
mod architecture;
mod attribution;
mod breaches;
mod budget;
mod cgroup;
mod choices;
mod cleanup;
mod cli;
mod commands;
mod condensing;
mod confined;
mod consent;
mod contexts;
mod diagnose;
mod endings;
mod events;
mod faults;
mod graphs;
mod guides;
mod hostile;
mod http;
mod limits;
mod lineage;
mod load;
mod matrix;
mod messages;
mod offer;
mod output;
mod packaging;
mod performance;
mod pools;
mod prompts;
mod protocol;
mod protocol_tasks;
mod readme;
mod recipes;
mod recovery;
mod resources;
mod restart;
mod run;
mod sessions;
mod shutdown;
mod strategies;
mod support;
mod task_references;
mod tasks;
mod templates;
mod webhooks;
