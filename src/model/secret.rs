//! Which variables hold secrets, judged by their names.

use std::collections::BTreeMap;

/// What stands in place of a secret.
pub const REDACTED: &str = "[redacted]";

/// Parts of names that give a secret away, in upper case.
const TELLTALES: &[&str] = &[
    "SECRET",
    "TOKEN",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "APIKEY",
    "API_KEY",
    "CREDENTIAL",
    "PRIVATE_KEY",
];

/// Endings that do.
const TELLTALE_ENDINGS: &[&str] = &["_KEY", "_PASS", "_AUTH", "_PAT"];

/// Whether a variable of this name is taken to hold a secret.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    TELLTALES.iter().any(|telltale| name.contains(telltale))
        || TELLTALE_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// The values among these variables that are taken to be secrets.
pub fn values<'a>(
    variables: impl IntoIterator<Item = (&'a String, &'a String)>,
) -> impl Iterator<Item = &'a str> {
    variables.into_iter().filter(|(name, _)| is_secret_name(name)).map(|(_, value)| value.as_str())
}

/// The same variables, with the values of secrets replaced.
pub fn redacted(env: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    env.iter()
        .map(|(name, value)| {
            let shown = if is_secret_name(name) { REDACTED } else { value };
            (name.clone(), shown.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_give_secrets_away() {
        for name in ["GITHUB_TOKEN", "aws_secret_access_key", "DB_PASSWORD", "OPENAI_API_KEY", "SSH_PASS"] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["PATH", "HOME", "KEYBOARD", "COMPASS", "TERM", "SSH_AUTH_SOCK"] {
            assert!(!is_secret_name(name), "{name}");
        }
    }
}
