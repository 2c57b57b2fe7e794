//! Resources: what a session or a run has to show, each under an address of its own. What they hold is what
//! the tools show; they change nothing.

pub(super) mod list;
pub(super) mod read;
pub(super) mod updates;

use std::fmt;

use rmcp::ErrorData;
use rmcp::model::ResourceTemplate;
use serde_json::json;

use super::arguments::shortened;
use crate::limits;

/// What an address names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// A part of what a session shows, by its id or name.
    Session { selector: String, part: Part },
    /// A run with its tasks, by its id.
    Run { selector: String },
}

/// What there is of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Output,
    Screen,
    Log,
}

impl Part {
    const ALL: [Self; 3] = [Self::Output, Self::Screen, Self::Log];

    fn as_str(self) -> &'static str {
        match self {
            Self::Output => "output",
            Self::Screen => "screen",
            Self::Log => "log",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::Output => "What a session printed, as plain text; a long output is condensed",
            Self::Screen => "What a session's terminal shows now",
            Self::Log => "A session's output with its events in between, the latest part",
        }
    }
}

impl Address {
    /// The address in a URI; the error is the protocol's.
    pub(crate) fn parse(uri: &str) -> Result<Self, ErrorData> {
        Self::of(uri).ok_or_else(|| {
            let message = format!(
                "there is no resource '{}': the addresses are session://{{id}}/output, /screen or /log, and \
                 run://{{id}}",
                shortened(uri)
            );
            ErrorData::resource_not_found(message, Some(json!({"uri": shortened(uri)})))
        })
    }

    fn of(uri: &str) -> Option<Self> {
        if let Some(run) = uri.strip_prefix("run://") {
            return Some(Self::Run { selector: named(run)? });
        }
        let (session, part) = uri.strip_prefix("session://")?.rsplit_once('/')?;
        let part = Part::ALL.into_iter().find(|known| known.as_str() == part)?;
        Some(Self::Session { selector: named(session)?, part })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session { selector, part } => write!(f, "session://{selector}/{}", part.as_str()),
            Self::Run { selector } => write!(f, "run://{selector}"),
        }
    }
}

/// An id or a name as a URI has it: what a URI cannot hold is written as `%` and two digits.
fn named(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(behind.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &behind[2..];
        } else if *first == b'/' {
            return None;
        } else {
            bytes.push(*first);
            rest = behind;
        }
    }
    let name = String::from_utf8(bytes).ok()?;
    (!name.is_empty() && name.len() <= limits::NAME_BYTES).then_some(name)
}

/// The addresses that there may be.
pub(crate) fn templates() -> Vec<ResourceTemplate> {
    let of_session = Part::ALL.map(|part| {
        let uri = format!("session://{{id}}/{}", part.as_str());
        ResourceTemplate::new(uri, format!("session {}", part.as_str()))
            .with_description(part.description())
            .with_mime_type(TEXT)
    });
    let of_run = ResourceTemplate::new("run://{id}", "run")
        .with_description("A run: how far its tasks are, and what they printed last")
        .with_mime_type(JSON);
    of_session.into_iter().chain([of_run]).collect()
}

const TEXT: &str = "text/plain";
const JSON: &str = "application/json";

#[cfg(test)]
mod tests {
    use super::*;

    fn session(selector: &str, part: Part) -> Address {
        Address::Session { selector: selector.to_owned(), part }
    }

    #[test]
    fn addresses_are_read_as_they_are_written() {
        let known = [
            ("session://ses_a/output", session("ses_a", Part::Output)),
            ("session://build%20one%2Ftwo/screen", session("build one/two", Part::Screen)),
            ("session://ses_a/log", session("ses_a", Part::Log)),
            ("run://run_a", Address::Run { selector: "run_a".to_owned() }),
        ];
        for (uri, address) in known {
            assert_eq!(Address::of(uri), Some(address), "{uri}");
        }
        assert_eq!(Address::of("run://run_a").unwrap().to_string(), "run://run_a");
        assert_eq!(Address::of("session://ses_a/log").unwrap().to_string(), "session://ses_a/log");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("run://{}", "x".repeat(limits::NAME_BYTES + 1));
        let wrong = [
            "",
            "session://",
            "session:///output",
            "session://a/b/output",
            "session://a",
            "session://a/input",
            "run://",
            "run://a/b",
            "run://%",
            "run://%zz",
            "run://%é",
            "run://%ff",
            "file:///etc/passwd",
            &long,
        ];
        for uri in wrong {
            assert_eq!(Address::of(uri), None, "{uri}");
        }
    }
}
