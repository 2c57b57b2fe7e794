//! Which session or command a caller means: a full id, a unique prefix of one, or a unique name.

use serde_json::json;
use uuid::Uuid;

use super::Engine;
use crate::error::{Error, ErrorCode, Result};
use crate::id::{CommandId, SessionId};
use crate::model::{Session, Status};

/// Fewer characters than this are no prefix: they would name a session by accident.
const SHORTEST_PREFIX: usize = 4;

/// Candidates that an error lists.
const CANDIDATES: usize = 10;

impl Engine {
    /// The session that `selector` names.
    pub fn resolve(&self, selector: &str) -> Result<SessionId> {
        let selector = selector.trim();
        let exact = SessionId::from_text(selector);
        if self.sessions.contains_key(&exact) {
            return Ok(exact);
        }
        if let Ok(uuid) = Uuid::try_parse(selector)
            && let Some(session) = self.sessions().find(|session| session.uuid == uuid)
        {
            return Ok(session.id.clone());
        }
        // A session in error can be brought back: a caller who names it does not mean one that is over.
        let named = |is_meant: fn(Status) -> bool| {
            self.sessions().filter(move |s| s.name == selector && is_meant(s.status)).collect::<Vec<_>>()
        };
        let prefixed =
            self.sessions().filter(|session| is_prefix(selector, session.id.as_str(), SessionId::PREFIX));
        let in_error = |status| status == Status::Error;
        for candidates in
            [named(Status::is_live), named(in_error), prefixed.collect(), named(Status::is_final)]
        {
            match candidates.as_slice() {
                [] => {}
                [one] => return Ok(one.id.clone()),
                several => return Err(ambiguous(selector, several)),
            }
        }
        Err(self.session_not_found(selector))
    }

    /// The command in memory that `selector` names.
    pub fn resolve_command(&self, selector: &str) -> Option<CommandId> {
        let exact = CommandId::from_text(selector.trim());
        if self.commands.contains_key(&exact) {
            return Some(exact);
        }
        let selector = selector.trim();
        let mut candidates =
            self.commands.keys().filter(|id| is_prefix(selector, id.as_str(), CommandId::PREFIX));
        match (candidates.next(), candidates.next()) {
            (Some(one), None) => Some(one.clone()),
            (None, _) | (Some(_), Some(_)) => None,
        }
    }

    fn session_not_found(&self, selector: &str) -> Error {
        let live: Vec<_> = self
            .sessions()
            .filter(|session| session.status.is_live())
            .take(CANDIDATES)
            .map(|session| json!({"sessionId": session.id, "name": session.name}))
            .collect();
        let hint = if live.is_empty() {
            "there is no live session: make one with session_create".to_owned()
        } else {
            "list the sessions with session_list, or make one with session_create".to_owned()
        };
        let shown: String = selector.chars().take(80).collect();
        Error::new(ErrorCode::SessionNotFound, format!("no session has the id or name '{shown}'"))
            .with_hint(hint)
            .with_details(json!({ "live": live }))
    }
}

/// Whether `selector` is a long enough beginning of `id`, with or without the prefix of its kind.
pub(super) fn is_prefix(selector: &str, id: &str, kind: &str) -> bool {
    let characters = selector.strip_prefix(kind).unwrap_or(selector);
    characters.len() >= SHORTEST_PREFIX
        && id.strip_prefix(kind).is_some_and(|random| random.starts_with(characters))
}

fn ambiguous(selector: &str, candidates: &[&Session]) -> Error {
    let listed: Vec<_> = candidates
        .iter()
        .take(CANDIDATES)
        .map(|session| {
            json!({
                "sessionId": session.id,
                "name": session.name,
                "status": session.status,
                "workingDirectory": session.working_directory,
            })
        })
        .collect();
    Error::new(ErrorCode::AmbiguousName, format!("'{selector}' names {} sessions", candidates.len()))
        .with_hint("name one of them by its sessionId")
        .with_details(json!({ "candidates": listed }))
}
