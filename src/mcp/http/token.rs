//! The secret that a client shows to be let in. Knows files and headers.

use std::fs::File;
use std::hint::black_box;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;

use crate::error::{Error, Result};
use crate::limits;

/// The fewest characters of a token that nobody guesses.
const LEAST: usize = 16;

/// A bearer token. Its text is shown by `generated` only.
pub struct Token {
    text: String,
    is_generated: bool,
}

impl Token {
    /// A token that nobody knows yet.
    pub fn generate() -> Self {
        let random = || uuid::Uuid::new_v4().simple().to_string();
        Self { text: random() + &random(), is_generated: true }
    }

    /// The token in a file, without blanks and newlines around it.
    ///
    /// # Errors
    /// `invalid_argument` for a file that cannot be read, that others may read, or with no such text.
    pub fn from_file(path: &Path) -> Result<Self> {
        let wrong = |why: &dyn std::fmt::Display| Error::invalid(format!("{}: {why}", path.display()));
        let (mode, text) = read(path).map_err(|error| wrong(&error))?;
        if mode & 0o077 != 0 {
            return Err(wrong(&"others may read or write this token")
                .with_hint(format!("chmod 600 {}", path.display())));
        }
        let text = text.trim();
        if text.len() < LEAST || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong(&format_args!("a token is one word of at least {LEAST} ASCII characters"))
                .with_hint("openssl rand -hex 32 makes one"));
        }
        Ok(Self { text: text.to_owned(), is_generated: false })
    }

    /// Its text, when nobody else can know it.
    pub(super) fn generated(&self) -> Option<&str> {
        self.is_generated.then_some(&self.text)
    }

    /// Whether a request shows it.
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        let mut shown = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (shown.next(), shown.next()) else { return false };
        let Some((scheme, token)) = value.as_bytes().split_at_checked("Bearer ".len()) else { return false };
        scheme.eq_ignore_ascii_case(b"Bearer ") && is_same(token, self.text.as_bytes())
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

/// Compares in a time that tells nothing of where two texts differ.
fn is_same(shown: &[u8], known: &[u8]) -> bool {
    let pairs = shown.iter().zip(known);
    shown.len() == known.len() && pairs.fold(0, |differing, (a, b)| black_box(differing | (a ^ b))) == 0
}

/// The mode of a file, and as much of its text as a token has.
fn read(path: &Path) -> io::Result<(u32, String)> {
    let file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode();
    let mut text = String::new();
    file.take(limits::HTTP_TOKEN_BYTES).read_to_string(&mut text)?;
    Ok((mode, text))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn shows(values: &[&'static str]) -> bool {
        let token = Token { text: "0123456789abcdef".to_owned(), is_generated: false };
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_static(value));
        }
        token.is_in(&headers)
    }

    #[test]
    fn only_the_whole_token_opens() {
        assert!(shows(&["Bearer 0123456789abcdef"]));
        assert!(shows(&["bearer 0123456789abcdef"]), "the scheme has no case");
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdeF",
            "Bearer 0123456789abcdef0",
            "Basic 0123456789abcdef",
            "0123456789abcdef",
        ] {
            assert!(!shows(&[wrong]), "{wrong}");
        }
        assert!(!shows(&[]));
        assert!(!shows(&["Bearer 0123456789abcdef", "Bearer 0123456789abcdef"]), "twice is nobody's habit");
    }

    #[test]
    fn generated_tokens_differ_and_are_not_logged() {
        let (one, other) = (Token::generate(), Token::generate());
        assert_ne!(one.text, other.text);
        assert_eq!((one.text.len(), format!("{one:?}").as_str()), (64, "Token"));
    }
}
