//! Bounds that a schema does not say: names of variables, patterns, directories, metadata, timeouts.
//! What comes out is what the orchestrator takes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value};

use super::arguments::{refusal, shortened};
use super::schema::{Milliseconds, Variable};
use crate::error::Result;
use crate::limits;

/// Variables for a session or a command.
pub(crate) fn env(given: BTreeMap<String, Variable>) -> Result<BTreeMap<String, String>> {
    if given.len() > limits::ENV_ENTRIES {
        let most = limits::ENV_ENTRIES;
        return Err(refusal("env", format!("'env' takes at most {most} variables, not {}", given.len())));
    }
    let given: BTreeMap<String, String> =
        given.into_iter().map(|(name, Variable(value))| (name, value)).collect();
    let bytes: usize = given.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > limits::ENV_TOTAL_BYTES {
        let most = limits::ENV_TOTAL_BYTES;
        return Err(refusal("env", format!("'env' takes at most {most} bytes in all, not {bytes}")));
    }
    for (name, value) in &given {
        let field = format!("env.{}", shortened(name));
        if !is_variable(name) {
            let allowed =
                "a variable's name is made of letters, digits and '_', and does not begin with a digit";
            return Err(refusal(&field, format!("'{field}': {allowed}")));
        }
        if name.len() + value.len() > limits::ENV_BYTES {
            return Err(refusal(&field, format!("'{field}' takes at most {} bytes", limits::ENV_BYTES)));
        }
        if value.contains('\0') {
            return Err(refusal(&field, format!("'{field}' must not contain a NUL")));
        }
    }
    Ok(given)
}

/// A directory, made absolute: `~` is the home, and a relative one lies in the server's own.
pub(crate) fn directory(field: &str, given: &str) -> Result<PathBuf> {
    let given = given.trim();
    let home = || std::env::home_dir().filter(|home| home.is_absolute());
    let expanded = match given.strip_prefix('~') {
        Some("") => home(),
        Some(rest) => match rest.strip_prefix('/') {
            Some(rest) => home().map(|home| home.join(rest)),
            None => Some(PathBuf::from(given)),
        },
        None => Some(PathBuf::from(given)),
    };
    let expanded =
        expanded.ok_or_else(|| refusal(field, format!("'{field}' begins with ~, but no home is known")))?;
    // The home or the server's own directory may have a name that is not UTF-8.
    let absolute = std::path::absolute(&expanded).ok().filter(|path| path.to_str().is_some());
    absolute.ok_or_else(|| refusal(field, format!("'{field}' must be a directory, not {given:?}")))
}

/// A regular expression of bounded size.
pub(crate) fn pattern(field: &str, given: &str) -> Result<Regex> {
    RegexBuilder::new(given)
        .size_limit(limits::PATTERN_COMPILED)
        .dfa_size_limit(limits::PATTERN_COMPILED)
        .build()
        .map_err(|error| {
            let reason = match error {
                regex::Error::CompiledTooBig(_) => "it is too large when compiled".to_owned(),
                // The last line of a syntax error says what is wrong; those before it draw the place.
                other => other.to_string().lines().last().unwrap_or_default().trim().to_owned(),
            };
            refusal(field, format!("'{field}' must be a regular expression: {reason}"))
        })
}

/// A session's own labels.
pub(crate) fn metadata(given: Map<String, Value>) -> Result<Map<String, Value>> {
    let bytes = serde_json::to_string(&given).map_or(usize::MAX, |text| text.len());
    if bytes > limits::METADATA_BYTES {
        let most = limits::METADATA_BYTES;
        return Err(refusal(
            "metadata",
            format!("'metadata' takes at most {most} bytes as JSON, not {bytes}"),
        ));
    }
    Ok(given)
}

/// How long something may take.
pub(crate) fn timeout(field: &str, given: Option<Milliseconds>) -> Result<Option<Duration>> {
    if let Some(Milliseconds(0)) = given {
        return Err(refusal(
            field,
            format!("'{field}' is 0: nothing is done in no time; leave it out for the default"),
        )
        .with_hint("what is to run on, as a service does, may take 604800000 (7 days)"));
    }
    Ok(given.map(Into::into))
}

/// A text that says something.
pub(crate) fn filled(field: &str, given: String) -> Result<String> {
    if given.trim().is_empty() {
        return Err(refusal(field, format!("'{field}' must not be empty")));
    }
    Ok(given)
}

/// A session's name, without the blanks around it: nobody who looks for it gives them.
pub(crate) fn name(given: &str) -> Result<String> {
    filled("name", given.trim().to_owned())
}

/// Whether every shell takes it for the name of a variable.
pub(crate) fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Lines `from` to `to`, from 1 on, both included; one number is one line.
pub(crate) fn range(given: &str) -> Result<(u64, u64)> {
    let wrong =
        || refusal("range", format!("'range' must be lines like \"120-4560\", not {:?}", shortened(given)));
    let (from, to) = given.split_once('-').unwrap_or((given, given));
    let from: u64 = from.trim().parse().map_err(|_| wrong())?;
    let to: u64 = to.trim().parse().map_err(|_| wrong())?;
    if from == 0 || to < from {
        return Err(wrong());
    }
    Ok((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_have_names_that_a_shell_can_set() {
        let check = |name: &str, value: &str| {
            env(BTreeMap::from([(name.to_owned(), Variable(value.to_owned()))])).is_ok()
        };
        assert!(check("PATH", "/bin"));
        assert!(check("_x1", ""));
        for name in ["", "1A", "A=B", "A B", "A-B", "A\0"] {
            assert!(!check(name, ""), "{name:?}");
        }
        assert!(!check("A", "\0"));
        assert!(!check("A", &"x".repeat(limits::ENV_BYTES)));
        let many = (0..20).map(|n| (format!("V{n}"), Variable("x".repeat(limits::ENV_BYTES - 10))));
        assert!(env(many.collect()).unwrap_err().message.contains("in all"));
    }

    #[test]
    fn a_name_has_no_blanks_around_it() {
        assert_eq!(name(" a b ").unwrap(), "a b");
        assert!(name("  ").is_err());
    }

    #[test]
    fn directories_become_absolute() {
        let home = std::env::home_dir().unwrap();
        assert_eq!(directory("d", "~").unwrap(), home);
        assert_eq!(directory("d", "~/x").unwrap(), home.join("x"));
        assert_eq!(directory("d", "x").unwrap(), std::env::current_dir().unwrap().join("x"));
        assert_eq!(directory("d", "/x").unwrap(), PathBuf::from("/x"));
        assert!(directory("d", "").is_err());
    }

    #[test]
    fn patterns_are_bounded() {
        assert!(pattern("grep", "a+b").is_ok());
        assert!(pattern("grep", "(").unwrap_err().message.contains("unclosed group"));
        assert!(pattern("grep", r"(\pL{1000}){1000}").unwrap_err().message.contains("too large"));
    }

    #[test]
    fn a_range_is_in_order_and_counts_from_one() {
        assert_eq!(range("120-4560").unwrap(), (120, 4560));
        assert_eq!(range("7").unwrap(), (7, 7));
        for wrong in ["0-5", "5-4", "a-b", "", "-3"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }
}
