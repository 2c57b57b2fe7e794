//! `autoAccept`, as `session_create` and `session_update` take it and `session_status` shows it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::request::AutoAcceptChange;
use crate::error::Result;
use crate::limits;
use crate::mcp::arguments::{refusal, shortened};
use crate::model::AutoAccept;

/// Answer yes/no prompts of programs with yes
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Arguments {
    /// Default false
    enabled: Option<bool>,
    /// Highest risk answered (default 3): 1 reads, 3 writes in the session's directory, 5 unknown, 6 deletes, network, 7
    /// outside, 8 privilege
    #[schemars(range(min = 0, max = AutoAccept::HIGHEST))]
    risk_threshold: Option<u8>,
    /// Globs of files (*, ?) whose prompts are left to you
    protected_patterns: Option<Vec<String>>,
}

impl Arguments {
    /// What they change.
    pub(super) fn change(self) -> Result<AutoAcceptChange> {
        self.protected_patterns.as_deref().map_or(Ok(()), check)?;
        Ok(AutoAcceptChange {
            enabled: self.enabled,
            risk_threshold: self.risk_threshold,
            protected_patterns: self.protected_patterns,
        })
    }
}

/// What would silently protect nothing is refused.
fn check(patterns: &[String]) -> Result<()> {
    let field = "autoAccept.protectedPatterns";
    if patterns.len() > limits::PROTECTED_PATTERNS {
        let most = limits::PROTECTED_PATTERNS;
        return Err(refusal(
            field,
            format!("'{field}' takes at most {most} patterns, not {}", patterns.len()),
        ));
    }
    for (number, pattern) in patterns.iter().enumerate() {
        let wrong = if pattern.trim_matches(['.', '/', ' ']).is_empty() {
            "must name a file".to_owned()
        } else if pattern.len() > limits::NAME_BYTES {
            format!("takes at most {} bytes", limits::NAME_BYTES)
        } else if pattern.starts_with('~') {
            "must not begin with ~: give the absolute path".to_owned()
        } else if pattern.split('/').any(|part| part == "..") {
            "must not go back by ..: give the path that it comes to".to_owned()
        } else if pattern.trim() != *pattern {
            "must not begin or end with a blank".to_owned()
        } else if pattern.contains(['[', ']', '{', '}', '\\']) || pattern.starts_with('!') {
            "is a glob that knows only * and ?".to_owned()
        } else if pattern.contains(char::is_control) {
            "must not contain control characters".to_owned()
        } else {
            continue;
        };
        let field = format!("{field}[{number}]");
        return Err(refusal(&field, format!("'{field}' {wrong}, not {:?}", shortened(pattern))));
    }
    Ok(())
}

/// How prompts are answered.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct View {
    enabled: bool,
    risk_threshold: u8,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    protected_patterns: Vec<String>,
}

impl View {
    /// Of a session in which it was ever set.
    pub(super) fn of(settings: &AutoAccept) -> Option<Self> {
        (!settings.is_unset()).then(|| Self {
            enabled: settings.enabled,
            risk_threshold: settings.risk_threshold,
            protected_patterns: settings.protected_patterns.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_would_protect_nothing_are_refused() {
        let ok = |pattern: &str| check(&[pattern.to_owned()]).is_ok();
        for pattern in ["package.json", "*.env", "migrations/*", "/etc/x", "*"] {
            assert!(ok(pattern), "{pattern}");
        }
        for pattern in
            ["", "  ", "/", "./", "~/.ssh", "[ab].env", "*.{js,ts}", "!x", "a\\b", "a\nb", "a/../b", "x "]
        {
            assert!(!ok(pattern), "{pattern}");
        }
        assert!(!ok(&"x".repeat(limits::NAME_BYTES + 1)));
        assert!(check(&vec!["x".to_owned(); limits::PROTECTED_PATTERNS + 1]).is_err());
    }
}
