//! Tools about pools of warm sessions.

pub(super) mod create;
pub(super) mod delete;
pub(super) mod execute;
pub(super) mod status;

use schemars::JsonSchema;
use serde::Serialize;

use super::answer::is_default;
use crate::engine::report::PoolView;

/// A pool as it stands.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Item {
    name: String,
    size: usize,
    /// Members that wait for something to run.
    ready: usize,
    busy: usize,
    #[serde(skip_serializing_if = "is_default")]
    starting: usize,
    /// Members made in place of broken ones.
    #[serde(skip_serializing_if = "is_default")]
    replaced: usize,
    /// Several members in a row did not start: no more are made.
    #[serde(skip_serializing_if = "is_default")]
    failed: bool,
}

impl Item {
    fn of(view: &PoolView) -> Self {
        Self {
            name: view.name.clone(),
            size: view.size,
            ready: view.ready,
            busy: view.members.len().saturating_sub(view.ready + view.starting),
            starting: view.starting,
            replaced: view.replaced,
            failed: view.has_failed,
        }
    }

    fn line(&self) -> String {
        let failed = if self.failed { ", failed" } else { "" };
        format!(
            "{}: {} of {} ready, {} busy, {} starting, {} replaced{failed}",
            self.name, self.ready, self.size, self.busy, self.starting, self.replaced
        )
    }
}
