//! Newtype ids. On the wire an id is a prefix and a few base-32 characters of a UUID:
//! short enough to cost a model few tokens, long enough to stay unique in one store.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Crockford's alphabet in lower case: no `i`, `l`, `o` or `u`, so that ids survive being retyped.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The number of base-32 characters that a whole UUID takes.
const LONGEST: usize = 26;

fn short(prefix: &str, uuid: Uuid, length: usize) -> String {
    let mut bits = uuid.as_u128();
    let mut text = String::with_capacity(prefix.len() + length);
    text.push_str(prefix);
    for _ in 0..length {
        text.push(char::from(ALPHABET[(bits & 31) as usize]));
        bits >>= 5;
    }
    text
}

/// Makes the shortest id for `uuid` that `taken` does not know yet.
fn unique(prefix: &str, uuid: Uuid, shortest: usize, taken: impl Fn(&str) -> bool) -> String {
    (shortest..LONGEST)
        .map(|length| short(prefix, uuid, length))
        .find(|id| !taken(id))
        .unwrap_or_else(|| short(prefix, uuid, LONGEST))
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $shortest:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// What every id of this kind begins with.
            pub const PREFIX: &str = $prefix;
            /// The characters that a new id has behind its prefix, unless they are taken.
            pub const SHORTEST: usize = $shortest;

            /// The shortest id for `uuid` that is not `taken`.
            pub fn unique(uuid: Uuid, taken: impl Fn(&str) -> bool) -> Self {
                Self(unique(Self::PREFIX, uuid, Self::SHORTEST, taken))
            }

            /// An id as it was stored or received; nothing is checked.
            pub fn from_text(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The id as it stands on the wire.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// Names one session for as long as the store knows it.
    SessionId,
    "ses_",
    6
);
id!(
    /// Names one command of a session. The store keeps hundreds of thousands of them, of which the
    /// server knows only the latest: eight characters keep the odds of an old one's id below 1 in a million.
    CommandId,
    "cmd_",
    8
);
id!(
    /// Names one snapshot of a session.
    SnapshotId,
    "snp_",
    8
);
id!(
    /// Names one message.
    MessageId,
    "msg_",
    8
);
id!(
    /// Names one run: an accepted graph of tasks.
    RunId,
    "run_",
    6
);
id!(
    /// Names one webhook.
    WebhookId,
    "hook_",
    6
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_short_and_grow_only_when_taken() {
        let uuid = Uuid::from_u128(0x1234_5678_9abc_def0_1234_5678_9abc_def0);
        let first = SessionId::unique(uuid, |_| false);
        assert_eq!(first.as_str().len(), "ses_".len() + SessionId::SHORTEST);
        let second = SessionId::unique(uuid, |id| id == first.as_str());
        assert_eq!(second.as_str().len(), first.as_str().len() + 1);
        assert!(second.as_str().starts_with(first.as_str()));
    }

    #[test]
    fn an_id_is_never_longer_than_its_uuid() {
        let id = CommandId::unique(Uuid::from_u128(u128::MAX), |_| true);
        assert_eq!(id.as_str().len(), "cmd_".len() + LONGEST);
    }
}
