//! The secrets of one session, known in one place: its worker blots them out of what the terminal
//! prints, the dispatcher out of everything that is written of it or told about it.
//!
//! They are kept per session and in memory only: a secret that one session was given is not looked
//! for in another, and a later server knows only those that are configured.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::error::{Error, Result};
use crate::limits;
use crate::model::{Command, Event, EventKind, Session, secret};
use crate::term::redact::Redactor;

/// Knows what the owner configured: texts, and patterns between two slashes.
pub(super) fn configured(texts: &[String]) -> Result<Redactor> {
    let mut redactor = Redactor::new();
    for text in texts {
        let pattern = text.strip_prefix('/').and_then(|text| text.strip_suffix('/'));
        if let Some(pattern) = pattern.filter(|pattern| !pattern.is_empty()) {
            redactor.add_pattern(pattern)?;
        } else if !redactor.add(text.as_bytes()) {
            return Err(Error::invalid(format!("redact takes at most {} texts", limits::SECRETS)));
        }
    }
    Ok(redactor)
}

/// See the module. Cheap to clone: all clones know the same secrets.
#[derive(Clone, Debug)]
pub(super) struct Secrets(Arc<Mutex<Redactor>>);

impl Secrets {
    /// With the secrets that every session knows.
    pub(super) fn new(configured: Redactor) -> Self {
        Self(Arc::new(Mutex::new(configured)))
    }

    /// Whether it is kept out from now on: `false` when there are too many.
    pub(super) fn add(&self, secret: &[u8]) -> bool {
        self.lock().add(secret)
    }

    /// For a stream of its own, with the secrets of this moment.
    pub(super) fn redactor(&self) -> Redactor {
        self.lock().clone()
    }

    pub(super) fn blot(&self, text: &mut String) {
        self.lock().blot(text);
    }

    /// A session as it may be written and told.
    pub(super) fn session(&self, mut session: Session) -> Session {
        let secrets = self.lock();
        if secrets.is_empty() {
            return session;
        }
        secrets.blot(&mut session.name);
        session.end_reason.iter_mut().for_each(|reason| secrets.blot(reason));
        session.env.values_mut().for_each(|value| secrets.blot(value));
        session.exported.values_mut().for_each(|value| secrets.blot(value));
        session.metadata.values_mut().for_each(|value| blot_json(value, &secrets));
        session.capabilities.iter_mut().for_each(|capability| secrets.blot(capability));
        session.constraints.iter_mut().for_each(|constraint| secrets.blot(constraint));
        blot_path(&mut session.created_directory, &secrets);
        blot_path(&mut session.working_directory, &secrets);
        session.root.iter_mut().for_each(|root| blot_path(root, &secrets));
        session
    }

    /// A command as it may be written and told. It brings secrets of its own, in its variables.
    pub(super) fn command(&self, mut command: Command) -> Command {
        let own = secret::values(&command.env).next().is_some().then(|| {
            let mut secrets = self.redactor();
            secret::values(&command.env).for_each(|value| {
                secrets.add(value.as_bytes());
            });
            secrets
        });
        let secrets = self.lock();
        let secrets: &Redactor = own.as_ref().unwrap_or(&secrets);
        if secrets.is_empty() {
            return command;
        }
        secrets.blot(&mut command.text);
        command.stdin.iter_mut().for_each(|stdin| secrets.blot(stdin));
        command.awaiting_input.iter_mut().for_each(|line| secrets.blot(line));
        command.directory.iter_mut().for_each(|directory| blot_path(directory, secrets));
        command.working_directory.iter_mut().for_each(|directory| blot_path(directory, secrets));
        command.env = secret::redacted(&command.env);
        command.env.values_mut().for_each(|value| secrets.blot(value));
        command
    }

    /// An event as it may be written.
    pub(super) fn event(&self, event: Event) -> Event {
        told_event(event, &self.lock())
    }

    /// Any JSON about the session.
    pub(super) fn blot_json(&self, value: &mut Value) {
        blot_json(value, &self.lock());
    }

    /// A panic while the lock was held leaves all secrets that were known.
    fn lock(&self) -> MutexGuard<'_, Redactor> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An event without these secrets.
pub(super) fn told_event(mut event: Event, secrets: &Redactor) -> Event {
    match &mut event.kind {
        EventKind::Decision { reason } | EventKind::Terminated { reason, .. } => secrets.blot(reason),
        EventKind::Error { message } | EventKind::Health { message, .. } => secrets.blot(message),
        EventKind::Recovery { outcome, .. } => secrets.blot(outcome),
        EventKind::Signal { signal: _, target } => secrets.blot(target),
        EventKind::Prompt { question, rules, left, .. } => {
            [question].into_iter().chain(rules).chain(left).for_each(|text| secrets.blot(text));
        }
        EventKind::Started { .. }
        | EventKind::Status { .. }
        | EventKind::CommandStarted { .. }
        | EventKind::CommandEnded { .. }
        | EventKind::MessageSent { .. }
        | EventKind::MessagesOver { .. }
        | EventKind::TimedOut { .. }
        | EventKind::Input { .. }
        | EventKind::Exited { .. }
        | EventKind::Limit { .. }
        | EventKind::Task { .. }
        | EventKind::Tasks { .. }
        | EventKind::RunEnded { .. } => {}
    }
    event
}

fn blot_json(value: &mut Value, secrets: &Redactor) {
    match value {
        Value::String(text) => secrets.blot(text),
        Value::Array(items) => items.iter_mut().for_each(|item| blot_json(item, secrets)),
        Value::Object(members) => members.values_mut().for_each(|member| blot_json(member, secrets)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A path that is not text cannot be redacted in part, and is replaced by its text if it has to be.
fn blot_path(path: &mut PathBuf, secrets: &Redactor) {
    let before = path.to_string_lossy().into_owned();
    let mut told = before.clone();
    secrets.blot(&mut told);
    if told != before {
        *path = told.into();
    }
}
