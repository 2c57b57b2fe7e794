//! Posting to the network: signed JSON over HTTP and HTTPS. It hides the HTTP client and the
//! cryptography, and knows nothing of what is posted, nor when it is tried again.

use std::fmt::Write;
use std::io;
use std::sync::OnceLock;

use ring::hmac;
use ureq::http::{StatusCode, Uri};
use ureq::{Agent, Error as HttpError};

use crate::error::{Error, Result};
use crate::limits;

/// Names the signature of a body: `sha256=` and the HMAC-SHA256 in hexadecimal digits.
pub const SIGNATURE: &str = "X-Shellherd-Signature";

/// Why a body did not reach its receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undelivered {
    /// What went wrong, without the address.
    pub message: String,
    /// Whether the same may go well later.
    pub is_retryable: bool,
}

/// Refuses what nothing can be posted to.
pub fn check_url(url: &str) -> Result<()> {
    let refused = |why: &str| {
        Err(Error::invalid(format!("'url' {why}"))
            .with_hint("give an address like https://example.org/events"))
    };
    let Ok(parsed) = url.parse::<Uri>() else { return refused("is no URL") };
    if !matches!(parsed.scheme_str(), Some("http" | "https")) {
        return refused("must begin with https:// or http://");
    }
    match parsed.authority() {
        None => refused("names no host"),
        Some(authority) if authority.host().is_empty() => refused("names no host"),
        Some(authority) if authority.as_str().contains('@') => {
            refused("must hold no user and no password: it is shown in lists")
        }
        Some(authority)
            if authority.as_str() != authority.host()
                && authority.port_u16().is_none_or(|port| port == 0) =>
        {
            refused("names no port from 1 to 65535 behind its colon")
        }
        Some(_) if url.contains('#') => refused("must have no fragment"),
        Some(_) => Ok(()),
    }
}

/// The value of the header [`SIGNATURE`] for a body.
pub fn signature(secret: &str, body: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), body);
    tag.as_ref().iter().fold("sha256=".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Posts a body; blocks for up to [`limits::WEBHOOK_TIMEOUT`]. A redirection is not followed: what is
/// signed for one receiver is not for another.
pub fn post(url: &str, secret: &str, body: &[u8]) -> std::result::Result<(), Undelivered> {
    let sent = agent()
        .post(url)
        .header("Content-Type", "application/json")
        .header(SIGNATURE, signature(secret, body))
        .send(body);
    match sent {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(refused(answer.status())),
        Err(error) => Err(failed(&error)),
    }
}

fn refused(status: StatusCode) -> Undelivered {
    let is_retryable = status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT;
    Undelivered { message: format!("the receiver answered {}", status.as_u16()), is_retryable }
}

fn failed(error: &HttpError) -> Undelivered {
    let (message, is_retryable) = match error {
        HttpError::Timeout(_) => ("the receiver did not answer in time".to_owned(), true),
        HttpError::HostNotFound => ("its host is not found".to_owned(), true),
        HttpError::ConnectionFailed => ("no connection".to_owned(), true),
        HttpError::Io(error) => (broken_off(error), true),
        HttpError::Tls(why) => (format!("TLS: {why}"), false),
        HttpError::Rustls(error) => (format!("TLS: {error}"), false),
        // The client's error type is open; what is not known here is about the request or its answer.
        _ => ("the receiver does not speak HTTP as it should".to_owned(), false),
    };
    Undelivered { message, is_retryable }
}

/// What the system says of a connection; without what the client says of it, which may name the address.
fn broken_off(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code).to_string(),
        None if error.kind() == io::ErrorKind::Other => "the connection broke off".to_owned(),
        // The standard library has no kind for it.
        None if error.to_string().starts_with("failed to lookup address") => {
            "its host is not found".to_owned()
        }
        None => error.kind().to_string(),
    }
}

/// Made when something is first posted: the certificates that it trusts take half a megabyte.
fn agent() -> &'static Agent {
    static AGENT: OnceLock<Agent> = OnceLock::new();
    AGENT.get_or_init(|| {
        Agent::config_builder()
            .timeout_global(Some(limits::WEBHOOK_TIMEOUT))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .max_idle_connections(limits::WEBHOOKS_AT_ONCE)
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .build()
            .into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_rfc_4231() {
        let expected = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(signature("Jefe", b"what do ya want for nothing?"), expected);
    }

    #[test]
    fn bad_urls_are_refused() {
        for good in
            ["http://localhost:8080/x", "https://example.org", "https://[::1]:1/a?b=c", "HTTP://10.0.0.1/"]
        {
            assert!(check_url(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "example.org",
            "/path",
            "ftp://example.org",
            "file:///etc/passwd",
            "https://",
            "https:///path",
            "https://user:word@example.org/",
            "https://example.org:/",
            "https://example.org:0/",
            "https://example.org:99999/",
            "https://example.org/ a",
            "https://example.org/\nHost: other",
            "https://example.org/#there",
            "javascript:alert(1)",
        ] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_may_pass_is_tried_again_and_what_may_not_is_not() {
        let check = |status: u16| refused(StatusCode::from_u16(status).expect("a status")).is_retryable;
        assert!(check(500) && check(503) && check(429) && check(408));
        assert!(!check(301) && !check(400) && !check(404) && !check(410));
    }
}
