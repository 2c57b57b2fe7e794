//! What a session hands on: the variables of its shell, to a clone, to one that is restored from it, and to
//! a later server.

use std::collections::{BTreeMap, BTreeSet};

use super::request::{Inherited, NewSession};
use super::{Engine, Step};
use crate::id::SessionId;
use crate::limits;
use crate::model::secret;

/// Variables, by name.
type Variables = BTreeMap<String, String>;

impl Engine {
    /// What a new session is given, what is exported in it, and what is taken away, with what it takes from
    /// another.
    pub(super) fn inherited(&self, new: &NewSession) -> (Variables, Variables, BTreeSet<String>) {
        let (mut env, mut exported, mut unset) = (Variables::new(), Variables::new(), new.unset.clone());
        if let Some(heritage) = &new.heir_of
            && let Some(entry) = self.sessions.get(&heritage.of)
        {
            env.clone_from(&entry.env);
            if heritage.variables != Inherited::Given {
                exported.clone_from(&entry.exported);
                // What it was to export before its next command.
                exported.extend(entry.exports.clone());
            }
            if heritage.variables == Inherited::All {
                unset.extend(entry.session.unset.clone());
            }
            if heritage.variables == Inherited::Secrets {
                env.retain(|name, _| secret::is_secret_name(name));
                exported.retain(|name, _| secret::is_secret_name(name));
            }
        }
        env.extend(new.env.clone());
        exported.extend(new.exported.clone());
        unset.retain(|name| !new.env.contains_key(name) && !exported.contains_key(name));
        (env, exported, unset)
    }

    /// A shell at its prompt has some exported, beside what the server has, and others no longer.
    pub(super) fn has_exported(
        &mut self,
        id: &SessionId,
        set: Variables,
        unset: BTreeSet<String>,
        step: &mut Step,
    ) {
        let Some(entry) = self.sessions.get_mut(id) else { return };
        if unset != entry.session.unset {
            entry.session.unset = unset;
            step.sessions.insert(id.clone());
        }
        let new = set.into_iter().filter(|(name, value)| entry.env.get(name) != Some(value));
        let new: Variables = new.collect();
        if new == entry.exported {
            return;
        }
        let kept = kept(&new);
        entry.exported = new;
        if kept != entry.session.exported {
            entry.session.exported = kept;
            step.sessions.insert(id.clone());
        }
    }
}

/// What a record keeps of it: nothing that is named like a secret, and no more than fits.
pub(super) fn kept(exported: &Variables) -> Variables {
    let mut bytes = 0;
    let kept = exported.iter().filter(|(name, _)| !secret::is_secret_name(name)).filter(|(name, value)| {
        let with = bytes + name.len() + value.len();
        let fits = with <= limits::EXPORTED_BYTES;
        if fits {
            bytes = with;
        }
        fits
    });
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// What a record still knows of it. What was redacted is lost: better unset than set to the redaction.
pub(super) fn known(recorded: &Variables) -> Variables {
    let known = recorded.iter().filter(|(_, value)| !value.contains(secret::REDACTED));
    known.map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_what_is_too_long_are_not_kept() {
        let long = "x".repeat(limits::EXPORTED_BYTES);
        let given = [("A", "1"), ("API_TOKEN", "t"), ("LONG", &long), ("Z", "2")];
        let given: Variables = given.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        assert_eq!(kept(&given).into_keys().collect::<Vec<_>>(), ["A", "Z"]);
    }

    #[test]
    fn what_was_redacted_is_not_known() {
        let recorded = [("A", "1"), ("B", secret::REDACTED), ("C", "a [redacted] b")];
        let recorded = recorded.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        assert_eq!(known(&recorded).into_keys().collect::<Vec<_>>(), ["A"]);
    }
}
