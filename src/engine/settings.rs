//! Changes of a session's settings.

use serde_json::json;

use super::refusals::{ended, unknown};
use super::request::{CloseMode, SessionChange};
use super::{EffectKind, Engine, Step};
use crate::clock::Now;
use crate::error::{Error, ErrorCode, Result};
use crate::limits;
use crate::model::{EventKind, Session, SessionKind, Status, TerminalSize, merge, secret};

impl Engine {
    pub(super) fn update_session(
        &mut self,
        now: Now,
        selector: &str,
        change: SessionChange,
        step: &mut Step,
    ) -> Result<Session> {
        let id = self.resolve(selector)?;
        let entry = self.sessions.get_mut(&id).ok_or_else(unknown)?;
        let status = entry.session.status;
        let new_status = change.status.filter(|new| *new != status);
        if let Some(new) = new_status
            && !status.settable().contains(&new)
        {
            return Err(illegal(status, new));
        }
        let touches_terminal = change.rows.is_some() || change.cols.is_some() || !change.env.is_empty();
        if touches_terminal && !status.is_live() {
            return Err(ended(&entry.session));
        }
        if change.auto_accept.enabled == Some(true) && entry.session.kind == SessionKind::Observer {
            return Err(Error::new(
                ErrorCode::PermissionDenied,
                format!("session {id} is an observer: nothing is typed into it"),
            )
            .with_hint("use a session of type worker"));
        }
        let added = change.env.keys().filter(|name| !entry.env.contains_key(*name)).count();
        if entry.env.len() + added > limits::ENV_ENTRIES {
            return Err(Error::invalid(format!("'env' would grow beyond {} variables", limits::ENV_ENTRIES)));
        }
        let kept = entry.env.iter().filter(|(name, _)| !change.env.contains_key(*name));
        let bytes: usize = kept.chain(&change.env).map(|(name, value)| name.len() + value.len()).sum();
        if bytes > limits::ENV_TOTAL_BYTES {
            return Err(Error::invalid(format!("'env' would grow beyond {} bytes", limits::ENV_TOTAL_BYTES)));
        }
        let session = &mut entry.session;
        if let Some(metadata) = change.metadata {
            let mut merged = session.metadata.clone();
            merge(&mut merged, metadata);
            if serde_json::to_string(&merged).map_or(usize::MAX, |text| text.len()) > limits::METADATA_BYTES {
                return Err(Error::invalid(format!(
                    "'metadata' would grow beyond {} bytes of JSON",
                    limits::METADATA_BYTES
                )));
            }
            session.metadata = merged;
        }
        if let Some(name) = change.name {
            session.name = name;
        }
        if let Some(capabilities) = change.capabilities {
            session.capabilities = capabilities;
            self.schedule.is_due = true;
        }
        if let Some(constraints) = change.constraints {
            let before = session.bounds();
            session.constraints = constraints;
            let bounds = session.bounds();
            if bounds.limits.cpu_ms != before.limits.cpu_ms {
                // What is used up by the new bound is seen again.
                session.cpu_time_spent = false;
                self.schedule.is_due = true;
            }
            if bounds != before {
                step.effect(&id, EffectKind::Bound(bounds));
            }
        }
        let mut answering = None;
        let auto_accept = change.auto_accept.applied_to(&session.auto_accept);
        if auto_accept != session.auto_accept {
            // A question that is pending is decided anew.
            if entry.has_worker {
                step.effect(&id, EffectKind::WatchPrompts(auto_accept.enabled));
            }
            session.auto_accept = auto_accept;
            answering = Some(format!("autoAccept: {}", session.auto_accept.in_words()));
        }
        if let Some(directory) = change.directory {
            session.created_directory = directory;
            session.root = None;
        }
        session.env.extend(secret::redacted(&change.env));
        entry.env.extend(change.env.clone());
        entry.exports.extend(change.env);
        let size = TerminalSize {
            rows: change.rows.unwrap_or(session.size.rows),
            cols: change.cols.unwrap_or(session.size.cols),
        };
        if size != session.size {
            session.size = size;
            // Between two shells of a recovery the next one gets it.
            if entry.has_worker {
                step.effect(&id, EffectKind::Resize(size));
            }
        }
        if let Some(reason) = answering {
            self.note(now, &id, EventKind::Decision { reason }, step);
        }
        if let Some(new) = new_status {
            self.close(now, &id, new, CloseMode::Graceful, None, "set by session_update", step);
        }
        step.sessions.insert(id.clone());
        self.session(&id).cloned().ok_or_else(unknown)
    }
}

fn illegal(from: Status, to: Status) -> Error {
    let legal = from.settable();
    let listed = legal.iter().map(|status| status.as_str()).collect::<Vec<_>>();
    let allowed = if listed.is_empty() { "nothing".to_owned() } else { listed.join(", ") };
    Error::new(
        ErrorCode::IllegalTransition,
        format!(
            "a session that is {} cannot be set to {}; it can be set to: {allowed}",
            from.as_str(),
            to.as_str()
        ),
    )
    .with_hint(
        "the other statuses are observed, not set: run a command, or use session_reset or session_close",
    )
    .with_details(json!({"status": from, "requested": to, "legal": legal}))
}
