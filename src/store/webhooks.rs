//! Webhooks, for all servers of a state directory.

use rusqlite::params;

use super::{Failure, Store, parse, reading, writing};
use crate::error::Result;
use crate::id::WebhookId;
use crate::model::Webhook;

impl Store {
    /// Every webhook, oldest first.
    pub fn webhooks(&self) -> Result<Vec<Webhook>> {
        let read = || -> std::result::Result<Vec<Webhook>, Failure> {
            let mut statement =
                self.connection.prepare_cached("SELECT record FROM webhooks ORDER BY created_at, id")?;
            let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
            rows.map(|row| parse(&row?)).collect()
        };
        read().map_err(|error| reading(&error))
    }

    /// Keeps a new one.
    pub fn keep_webhook(&mut self, webhook: &Webhook) -> Result<()> {
        let write = || -> std::result::Result<(), Failure> {
            self.connection
                .prepare_cached("INSERT INTO webhooks (id, created_at, record) VALUES (?1, ?2, ?3)")?
                .execute(params![
                    webhook.id.as_str(),
                    webhook.created_at.0,
                    serde_json::to_string(webhook)?
                ])?;
            Ok(())
        };
        write().map_err(|error| writing(&error))
    }

    /// Removes one. Returns whether it was there.
    pub fn delete_webhook(&mut self, id: &WebhookId) -> Result<bool> {
        self.connection
            .prepare_cached("DELETE FROM webhooks WHERE id = ?1")
            .and_then(|mut statement| statement.execute([id.as_str()]))
            .map(|count| count > 0)
            .map_err(|error| writing(&error.into()))
    }
}
