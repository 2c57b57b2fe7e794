//! What is written about webhooks. They are no matter of the engine: nothing is decided here.

use super::Dispatcher;
use crate::error::Result;
use crate::id::WebhookId;
use crate::model::Webhook;

/// A change of the webhooks.
#[derive(Debug)]
pub(in crate::orchestrator) enum WebhookChange {
    Register(Box<Webhook>),
    Delete(WebhookId),
}

impl Dispatcher {
    /// Returns whether the change was one.
    pub(super) fn change_webhooks(&mut self, change: &WebhookChange) -> Result<bool> {
        match change {
            WebhookChange::Register(webhook) => self.store.keep_webhook(webhook).map(|()| true),
            WebhookChange::Delete(id) => self.store.delete_webhook(id),
        }
    }
}
