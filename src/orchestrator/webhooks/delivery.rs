//! Delivery to one webhook: a queue, and tries with ever longer pauses between them.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Webhooks;
use crate::limits;
use crate::model::{Event, EventView, Webhook};
use crate::orchestrator::Orchestrator;
use crate::webhook::{self, Undelivered};

type Batch = Vec<(u64, Event)>;

/// The near end of a delivery, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Delivery {
    webhook: Arc<Webhook>,
    batches: mpsc::Sender<Batch>,
    _ended: DropGuard,
}

impl Delivery {
    pub(super) fn start(orchestrator: &Orchestrator, webhook: Webhook) -> Self {
        let webhook = Arc::new(webhook);
        let (batches, mut queue) = mpsc::channel::<Batch>(limits::WEBHOOK_QUEUE);
        let ended: CancellationToken = orchestrator.inner.ending.child_token();
        let (webhooks, told, over) =
            (Arc::clone(&orchestrator.inner.webhooks), Arc::clone(&webhook), ended.clone());
        orchestrator.inner.tasks.spawn(async move {
            let delivering = async {
                while let Some(batch) = queue.recv().await {
                    deliver(&webhooks, &told, batch).await;
                }
            };
            tokio::select! {
                () = over.cancelled() => {}
                () = delivering => {}
            }
        });
        Self { webhook, batches, _ended: ended.drop_guard() }
    }

    /// Events for which there is no room are lost to this receiver, who finds a gap between cursors.
    pub(super) fn queue(&self, webhooks: &Webhooks, batch: Batch) {
        if let Err(error) = self.batches.try_send(batch) {
            let lost = error.into_inner().len() as u64;
            webhooks.account(&self.webhook.id, |account| account.failed += lost);
        }
    }
}

async fn deliver(webhooks: &Webhooks, webhook: &Arc<Webhook>, batch: Batch) {
    let events: Vec<EventView> = batch.iter().map(|(cursor, event)| EventView::new(*cursor, event)).collect();
    let count = events.len() as u64;
    let body = Arc::new(json!({"webhookId": webhook.id, "events": events}).to_string());
    let mut pause = limits::WEBHOOK_RETRY;
    for attempt in 1..=limits::WEBHOOK_ATTEMPTS {
        let Err(undelivered) = post(webhooks, webhook, &body).await else {
            webhooks.account(&webhook.id, |account| {
                account.delivered += count;
                account.last_error = None;
            });
            return;
        };
        let is_last = attempt == limits::WEBHOOK_ATTEMPTS || !undelivered.is_retryable;
        tracing::debug!(webhook = %webhook.id, attempt, why = undelivered.message, "not delivered");
        webhooks.account(&webhook.id, |account| {
            account.last_error = Some(undelivered.message);
            account.failed += if is_last { count } else { 0 };
        });
        if is_last {
            return;
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
}

async fn post(webhooks: &Webhooks, webhook: &Arc<Webhook>, body: &Arc<String>) -> Result<(), Undelivered> {
    // The semaphore is never closed.
    let _permit = webhooks.posts.acquire().await;
    let (webhook, body) = (Arc::clone(webhook), Arc::clone(body));
    let posting = move || webhook::post(&webhook.url, webhook.secret.reveal(), body.as_bytes());
    tokio::task::spawn_blocking(posting)
        .await
        .unwrap_or_else(|error| Err(Undelivered { message: error.to_string(), is_retryable: false }))
}
