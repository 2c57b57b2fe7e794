//! Webhooks: who is told of events over the network. One task follows the history and gives each
//! webhook what it wants; each has a task of its own with a bounded queue, so that a receiver that is
//! slow or gone holds up nothing. What a server has not delivered when it ends is not delivered.

mod delivery;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use uuid::Uuid;

use super::Orchestrator;
use super::dispatcher::{Keep, Read};
use super::history::Since;
use crate::clock;
use crate::error::{Error, ErrorCode, Result};
use crate::id::WebhookId;
use crate::limits;
use crate::model::{EventFilter, EventType, SigningSecret, Webhook};
use delivery::Delivery;

/// How delivery to a webhook went so far, by this server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deliveries {
    /// Events that the receiver took.
    pub delivered: u64,
    /// Events that were given up, or for which there was no room.
    pub failed: u64,
    /// Why the latest try went wrong; none when it went well.
    pub last_error: Option<String>,
}

/// What is shared by those who deliver and those who ask how it went.
#[derive(Debug)]
pub(super) struct Webhooks {
    accounts: Mutex<HashMap<WebhookId, Deliveries>>,
    /// Posts at once: each takes a thread.
    posts: Semaphore,
}

impl Webhooks {
    pub(super) fn new() -> Self {
        Self { accounts: Mutex::default(), posts: Semaphore::new(limits::WEBHOOKS_AT_ONCE) }
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<WebhookId, Deliveries>> {
        // Plain numbers: a panic cannot leave them half changed.
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn account(&self, id: &WebhookId, change: impl FnOnce(&mut Deliveries)) {
        change(self.accounts().entry(id.clone()).or_default());
    }
}

impl Orchestrator {
    /// Registers a receiver of events of these types, or of all.
    pub async fn register_webhook(
        &self,
        url: String,
        events: Vec<EventType>,
        secret: SigningSecret,
    ) -> Result<Webhook> {
        crate::webhook::check_url(&url)?;
        let known = self.read(Read::Webhooks).await??;
        if known.len() >= limits::WEBHOOKS {
            return Err(Error::new(
                ErrorCode::LimitExceeded,
                format!("{} webhooks are registered, which is the most there may be", known.len()),
            )
            .with_hint("delete one with webhook_delete"));
        }
        let is_taken = |id: &str| known.iter().any(|webhook| webhook.id.as_str() == id);
        let webhook = Webhook {
            id: WebhookId::unique(Uuid::new_v4(), is_taken),
            url,
            events,
            secret,
            created_at: clock::now().wall,
            since: self.stretch(u64::MAX).await?.end,
        };
        self.keep(Keep::Webhook(Box::new(webhook.clone()))).await?;
        Ok(webhook)
    }

    /// Every webhook, oldest first, and how delivery went.
    pub async fn webhooks(&self) -> Result<Vec<(Webhook, Deliveries)>> {
        let known = self.read(Read::Webhooks).await??;
        let accounts = self.inner.webhooks.accounts();
        let with_account = |webhook: Webhook| {
            let account = accounts.get(&webhook.id).cloned().unwrap_or_default();
            (webhook, account)
        };
        Ok(known.into_iter().map(with_account).collect())
    }

    /// Removes one; what waits for it is dropped.
    pub async fn delete_webhook(&self, id: &WebhookId) -> Result<()> {
        if self.keep(Keep::NoWebhook(id.clone())).await? {
            return Ok(());
        }
        let shown: String = id.as_str().chars().take(80).collect();
        Err(Error::invalid(format!("no webhook has the id '{shown}'"))
            .with_hint("webhook_list shows what there is"))
    }

    /// Delivers until the server ends.
    pub(super) fn deliver_events(self) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let ending = self.inner.ending.clone();
            tokio::select! {
                () = ending.cancelled() => {}
                result = self.follow() => if let Err(error) = result {
                    tracing::debug!(%error, "no more events are delivered");
                }
            }
        })
    }

    async fn follow(&self) -> Result<()> {
        let mut cursor = self.read(Read::HistoryBegin).await?;
        let mut grows = self.read(Read::HistoryGrows).await?;
        let mut open: HashMap<WebhookId, Delivery> = HashMap::new();
        loop {
            let looked_at = Instant::now();
            grows.borrow_and_update();
            let known = self.read(Read::Webhooks).await??;
            open.retain(|id, _| known.iter().any(|webhook| webhook.id == *id));
            self.inner.webhooks.accounts().retain(|id, _| known.iter().any(|webhook| webhook.id == *id));
            if known.is_empty() {
                cursor = self.stretch(u64::MAX).await?.end;
            } else {
                cursor = self.hand_out(cursor, known, &mut open).await?;
            }
            if grows.changed().await.is_err() {
                return Ok(());
            }
            tokio::time::sleep_until(looked_at + limits::WEBHOOK_PAUSE).await;
        }
    }

    /// Puts what came behind a cursor into the queues. Returns the cursor behind it.
    async fn hand_out(
        &self,
        mut cursor: u64,
        known: Vec<Webhook>,
        open: &mut HashMap<WebhookId, Delivery>,
    ) -> Result<u64> {
        loop {
            let since = Since::Cursor(cursor);
            let polled = self.poll_events(since, &EventFilter::default(), std::time::Duration::ZERO).await?;
            cursor = polled.cursor;
            if polled.events.is_empty() {
                return Ok(cursor);
            }
            for webhook in &known {
                let filter = EventFilter { types: webhook.events.clone(), ..EventFilter::default() };
                let wanted = |(at, event): &&(u64, _)| *at > webhook.since && filter.wants(event);
                let events: Vec<_> = polled.events.iter().filter(wanted).cloned().collect();
                let delivery =
                    open.entry(webhook.id.clone()).or_insert_with(|| Delivery::start(self, webhook.clone()));
                for batch in events.chunks(limits::WEBHOOK_EVENTS) {
                    delivery.queue(&self.inner.webhooks, batch.to_vec());
                }
            }
        }
    }
}
