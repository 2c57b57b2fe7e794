//! Tools about webhooks.

pub(super) mod delete;
pub(super) mod list;
pub(super) mod register;

use schemars::JsonSchema;
use serde::Deserialize;

use super::arguments::shortened;
use super::events::type_words;
use crate::model::{EventType, Webhook};

// A type of event, as callers name it.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(transparent)]
struct Word(#[schemars(with = "String", extend("enum" = type_words()))] EventType);

/// What may follow a URL's path is often a secret of the receiver.
fn shown_url(webhook: &Webhook) -> String {
    let (path, query) = webhook.url.split_once('?').unwrap_or((&webhook.url, ""));
    let path = shortened(path);
    if query.is_empty() { path } else { format!("{path}?…") }
}

fn words(webhook: &Webhook) -> Vec<&'static str> {
    webhook.events.iter().map(|wanted| wanted.as_str()).collect()
}
