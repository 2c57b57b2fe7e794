//! A webhook: somebody on the network who wants to be told of events.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::WebhookId;
use crate::model::EventType;

/// The record of a webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Short id on the wire.
    pub id: WebhookId,
    /// Where events are posted to; checked.
    pub url: String,
    /// Which events; all when empty.
    pub events: Vec<EventType>,
    /// What deliveries are signed with.
    pub secret: SigningSecret,
    /// When it was registered.
    pub created_at: Timestamp,
    /// The cursor of the history then: what came before is not delivered.
    pub since: u64,
}

/// A secret that is kept, to sign with, and shown nowhere.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SigningSecret(String);

impl SigningSecret {
    /// Takes the secret.
    pub fn new(secret: String) -> Self {
        Self(secret)
    }

    /// The secret itself, for the signature.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_show() {
        let secret = SigningSecret::new("open sesame".to_owned());
        assert_eq!(format!("{secret:?}"), "…");
        assert_eq!(serde_json::to_value(&secret).expect("writes"), "open sesame");
    }
}
