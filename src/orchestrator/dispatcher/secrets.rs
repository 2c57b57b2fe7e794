//! Which secrets a session knows, and what is written of its records without them.

use std::collections::BTreeMap;
use std::ffi::OsString;

use serde_json::Value;

use super::{Dispatcher, worker};
use crate::engine::{Effect, EffectKind};
use crate::id::SessionId;
use crate::model::{Record, secret};
use crate::term::redact::Redactor;

impl Dispatcher {
    /// What is written of a record: without the secrets that its session knows.
    pub(super) fn redacted(&self, record: Record) -> Record {
        let known = |session: &SessionId| match self.live.get(session) {
            Some(live) => live.secrets.clone(),
            None => configured(&self.settings.redact),
        };
        match record {
            Record::Session(mut session) => {
                let secrets = known(&session.id);
                if !secrets.is_empty() {
                    session.name = secrets.text(&session.name);
                    session.end_reason = session.end_reason.map(|reason| secrets.text(&reason));
                    session.env.values_mut().for_each(|value| *value = secrets.text(value));
                    session.metadata.values_mut().for_each(|value| redact(value, &secrets));
                }
                Record::Session(session)
            }
            Record::Command(mut command) => {
                let mut secrets = known(&command.session);
                for value in secret::values(&command.env) {
                    secrets.add(value.as_bytes());
                }
                if !secrets.is_empty() {
                    command.text = secrets.text(&command.text);
                    command.stdin = command.stdin.map(|stdin| secrets.text(&stdin));
                    command.env.values_mut().for_each(|value| *value = secrets.text(value));
                }
                command.env = secret::redacted(&command.env);
                Record::Command(command)
            }
            Record::Event(event) => Record::Event(event),
        }
    }

    /// Learns the secrets of what is about to be carried out, before anything of it is written.
    pub(super) fn learn(&mut self, effect: &Effect) {
        match &effect.kind {
            EffectKind::Spawn(spawn) => {
                let environment = worker::environment(spawn, &effect.session);
                let secrets = of_environment(&environment, &self.settings.redact);
                if let Some(session) = self.engine.session(&effect.session).cloned() {
                    self.live_entry(&session).secrets = secrets;
                }
            }
            EffectKind::Run(run) => {
                if let Some(live) = self.live.get_mut(&effect.session) {
                    for value in secret::values(run.command.env.iter().chain(&run.exports)) {
                        live.secrets.add(value.as_bytes());
                    }
                }
            }
            EffectKind::Interrupt
            | EffectKind::Kill
            | EffectKind::Resize(_)
            | EffectKind::Close { .. }
            | EffectKind::Forget => {}
        }
    }
}

/// The values in a session's environment that must not reach its log, and those that the owner configured.
fn of_environment(environment: &BTreeMap<OsString, OsString>, texts: &[String]) -> Redactor {
    let mut redactor = configured(texts);
    let named = environment
        .iter()
        .filter(|(name, _)| name.to_str().is_some_and(secret::is_secret_name))
        .filter_map(|(_, value)| value.to_str());
    named.for_each(|value| {
        redactor.add(value.as_bytes());
    });
    redactor
}

fn configured(texts: &[String]) -> Redactor {
    let mut redactor = Redactor::new();
    for text in texts {
        redactor.add(text.as_bytes());
    }
    redactor
}

fn redact(value: &mut Value, secrets: &Redactor) {
    match value {
        Value::String(text) => *text = secrets.text(text),
        Value::Array(items) => items.iter_mut().for_each(|item| redact(item, secrets)),
        Value::Object(members) => members.values_mut().for_each(|member| redact(member, secrets)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
