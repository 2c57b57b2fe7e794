//! What can go wrong with an answer between its decision and its effect. Each is told in an event.

use super::super::{Engine, Step};
use crate::clock::Now;
use crate::id::SessionId;
use crate::model::EventKind;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// The question had changed, or somebody typed, before it was typed: it was not.
    Withheld,
    /// Something else was printed between the last look at the question and the key.
    Overtaken,
    /// It was typed, and what reads by itself shows no effect of it.
    Ignored,
}

impl Mishap {
    fn reason(self) -> &'static str {
        match self {
            Self::Withheld => "the answer was not typed: the question did not stand there any more",
            Self::Overtaken => {
                "something else was printed just before the answer was typed, which may have answered that instead"
            }
            Self::Ignored => {
                "the answer was typed and had no effect that shows: the question is left to the caller"
            }
        }
    }
}

impl Engine {
    /// An answer was not typed, or not to its question.
    pub(in crate::engine) fn answer_failed(
        &mut self,
        now: Now,
        id: &SessionId,
        mishap: Mishap,
        step: &mut Step,
    ) {
        let Some(entry) = self.sessions.get_mut(id) else { return };
        match mishap {
            Mishap::Withheld => {
                entry.consent.last = None;
                entry.consent.answered_at = None;
            }
            Mishap::Overtaken => {}
            Mishap::Ignored => {
                // Until something else is typed the same is not answered again.
                if let Some(last) = &mut entry.consent.last {
                    last.is_over = false;
                }
                entry.consent.answered_at = None;
            }
        }
        self.note(now, id, EventKind::Decision { reason: mishap.reason().to_owned() }, step);
    }
}
