//! Which sessions `session_list` shows, and in what order: pure functions over records.

use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;

use serde_json::{Map, Value};

use super::kind_word;
use crate::id::SessionId;
use crate::model::{Session, SessionKind, Status, glob};
use crate::orchestrator::Usage;

/// What a session must be to be shown; what is absent or empty excludes nothing.
#[derive(Debug, Default)]
pub(super) struct Filter {
    /// In lower case. Stands in the name or the working directory, in any case.
    pub(super) query: Option<String>,
    pub(super) kind: Option<SessionKind>,
    pub(super) statuses: Vec<Status>,
    /// Has all of these.
    pub(super) capabilities: Vec<String>,
    /// Values at metadata paths, whose dots separate keys.
    pub(super) metadata: Map<String, Value>,
    /// A glob that matches the name.
    pub(super) name: Option<String>,
    /// Where an agent works.
    pub(super) among: Option<Vec<SessionId>>,
}

impl Filter {
    pub(super) fn admits(&self, session: &Session) -> bool {
        let contains = |query: &String| {
            session.name.to_lowercase().contains(query)
                || session.working_directory.to_string_lossy().to_lowercase().contains(query)
        };
        self.query.as_ref().is_none_or(contains)
            && self.kind.is_none_or(|kind| kind == session.kind)
            && (self.statuses.is_empty() || self.statuses.contains(&session.status))
            && self.capabilities.iter().all(|wanted| session.capabilities.contains(wanted))
            && self.metadata.iter().all(|(path, value)| session.metadata_at(path) == Some(value))
            && self.name.as_ref().is_none_or(|pattern| glob::matches(pattern, &session.name))
            && self.among.as_ref().is_none_or(|among| among.contains(&session.id))
    }
}

/// What sessions are ordered by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Name,
    Kind,
    Status,
    CreatedAt,
    LastActivity,
    Cpu,
    Memory,
    WorkingDirectory,
    /// A metadata path.
    Metadata(String),
}

impl Key {
    pub(super) const WORDS: [&str; 9] = [
        "name",
        "type",
        "status",
        "createdAt",
        "lastActivity",
        "cpu",
        "memory",
        "workingDirectory",
        "metadata.PATH",
    ];

    pub(super) fn parse(word: &str) -> Option<Self> {
        let folded: String = word.chars().filter(|c| *c != '_').flat_map(char::to_lowercase).collect();
        Some(match folded.as_str() {
            "name" => Self::Name,
            "type" => Self::Kind,
            "status" => Self::Status,
            "createdat" => Self::CreatedAt,
            "lastactivity" => Self::LastActivity,
            "cpu" => Self::Cpu,
            "memory" => Self::Memory,
            "workingdirectory" => Self::WorkingDirectory,
            _ => Self::Metadata(word.strip_prefix("metadata.")?.to_owned()),
        })
    }

    /// Whether the order depends on a look at the machine.
    pub(super) fn needs_usage(&self) -> bool {
        matches!(self, Self::Cpu | Self::Memory)
    }

    fn compare(
        &self,
        a: &Session,
        b: &Session,
        usage: &HashMap<SessionId, Usage>,
        descends: bool,
    ) -> Ordering {
        let used = |session: &Session| usage.get(&session.id).copied().unwrap_or_default();
        let ordering = match self {
            Self::Name => a.name.cmp(&b.name),
            Self::Kind => kind_word(a.kind).cmp(kind_word(b.kind)),
            Self::Status => a.status.cmp(&b.status),
            Self::CreatedAt => a.created_at.cmp(&b.created_at),
            Self::LastActivity => a.last_activity.cmp(&b.last_activity),
            Self::Cpu => used(a).cpu.total_cmp(&used(b).cpu),
            Self::Memory => used(a).memory.cmp(&used(b).memory),
            Self::WorkingDirectory => a.working_directory.cmp(&b.working_directory),
            Self::Metadata(path) => match (a.metadata_at(path), b.metadata_at(path)) {
                (Some(a), Some(b)) => compare_values(a, b),
                // Those without it come last in either direction.
                (a, b) => return b.is_some().cmp(&a.is_some()),
            },
        };
        if descends { ordering.reverse() } else { ordering }
    }
}

/// Numbers by size, other values by their text.
fn compare_values(a: &Value, b: &Value) -> Ordering {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (Some(_) | None, _) => text(a).cmp(&text(b)),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Orders sessions by the keys, the first being the weightiest; equals keep their places. Without a key those
/// that are over come last, the latest of them first: a caller asks for what there is to work with.
pub(super) fn order(sessions: &mut [Session], keys: &[(Key, bool)], usage: &HashMap<SessionId, Usage>) {
    if keys.is_empty() {
        sessions.sort_by_key(|session| session.ended_at.filter(|_| session.status.is_final()).map(Reverse));
    }
    sessions.sort_by(|a, b| {
        let by_key = keys.iter().map(|(key, descends)| key.compare(a, b, usage, *descends));
        by_key.fold(Ordering::Equal, Ordering::then)
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::Timestamp;
    use crate::model::fixtures::session;

    #[test]
    fn each_condition_admits_and_excludes() {
        let mut subject = session("Build-1");
        subject.capabilities = vec!["rust".to_owned(), "node".to_owned()];
        subject.metadata = Map::from_iter([("team".to_owned(), json!({"name": "core"}))]);
        let check = |filter: &Filter| filter.admits(&subject);
        let none = Filter::default;

        assert!(check(&none()));
        assert!(check(&Filter { query: Some("build".to_owned()), ..none() }));
        assert!(check(&Filter { query: Some("project".to_owned()), ..none() }));
        assert!(!check(&Filter { query: Some("other".to_owned()), ..none() }));
        assert!(check(&Filter { kind: Some(SessionKind::Worker), ..none() }));
        assert!(!check(&Filter { kind: Some(SessionKind::Observer), ..none() }));
        assert!(check(&Filter { statuses: vec![Status::Error, Status::Idle], ..none() }));
        assert!(!check(&Filter { statuses: vec![Status::Error], ..none() }));
        assert!(check(&Filter { capabilities: vec!["node".to_owned()], ..none() }));
        assert!(!check(&Filter { capabilities: vec!["node".to_owned(), "go".to_owned()], ..none() }));
        let metadata =
            |value: Value| Filter { metadata: Map::from_iter([("team.name".to_owned(), value)]), ..none() };
        assert!(check(&metadata(json!("core"))));
        assert!(!check(&metadata(json!("web"))));
        assert!(check(&Filter { name: Some("Build-?".into()), ..none() }));
        assert!(!check(&Filter { name: Some("Build".into()), ..none() }));
        let at = |id: &str| Filter { among: Some(vec![SessionId::from_text(id)]), ..none() };
        assert!(check(&at("ses_Build-1")));
        assert!(!check(&at("ses_other")) && !check(&Filter { among: Some(Vec::new()), ..none() }));
    }

    #[test]
    fn sessions_are_ordered_by_several_keys() {
        let (mut a, mut b, mut c) = (session("a"), session("b"), session("c"));
        a.metadata.insert("rank".to_owned(), json!(10));
        b.metadata.insert("rank".to_owned(), json!(9));
        c.status = Status::Active;
        let ordered = |keys: &[(&str, bool)]| {
            let keys: Vec<_> = keys.iter().map(|(word, down)| (Key::parse(word).unwrap(), *down)).collect();
            let mut sessions = vec![b.clone(), c.clone(), a.clone()];
            order(&mut sessions, &keys, &HashMap::new());
            sessions.into_iter().map(|session| session.name).collect::<String>()
        };
        assert_eq!(ordered(&[]), "bca");
        let ended =
            |name: &str, at, status| Session { ended_at: Some(Timestamp(at)), status, ..session(name) };
        let mut sessions = [
            ended("d", 1, Status::Completed),
            ended("e", 2, Status::Terminated),
            b.clone(),
            ended("f", 3, Status::Error),
        ];
        order(&mut sessions, &[], &HashMap::new());
        assert_eq!(
            sessions.map(|session| session.name).concat(),
            "bfed",
            "what can be worked with comes first"
        );
        assert_eq!(ordered(&[("name", false)]), "abc");
        assert_eq!(ordered(&[("status", true), ("name", false)]), "cab");
        assert_eq!(ordered(&[("metadata.rank", false)]), "bac");
        assert_eq!(ordered(&[("metadata.rank", true)]), "abc", "without it, c stays last");
        assert_eq!(Key::parse("colour"), None);
    }
}
