//! What is kept for all servers of a state directory: webhooks, templates and snapshots. They are no matter
//! of the engine: nothing is decided here.

use super::Dispatcher;
use crate::error::Result;
use crate::id::WebhookId;
use crate::model::{Snapshot, Template, Webhook};

/// Something to be kept, or to be kept no longer.
#[derive(Debug)]
pub(in crate::orchestrator) enum Keep {
    Webhook(Box<Webhook>),
    NoWebhook(WebhookId),
    Template(Box<Template>),
    NoTemplate(String),
    Snapshot(Box<Snapshot>),
}

impl Dispatcher {
    /// Returns whether anything changed.
    pub(super) fn keep(&mut self, what: Keep) -> Result<bool> {
        match what {
            Keep::Webhook(webhook) => self.store.keep_webhook(&webhook).map(|()| true),
            Keep::NoWebhook(id) => self.store.delete_webhook(&id),
            Keep::Template(mut template) => {
                template.settings.values_mut().for_each(|value| self.blot_all(value));
                self.store.keep_template(&template).map(|()| true)
            }
            Keep::NoTemplate(name) => self.store.delete_template(&name),
            Keep::Snapshot(mut snapshot) => {
                snapshot.state.values_mut().for_each(|value| self.blot_all(value));
                self.store.keep_snapshot(&snapshot).map(|()| true)
            }
        }
    }
}
