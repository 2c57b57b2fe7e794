//! A configured pattern, looked for in a stream: besides where it matches, it can tell where a match may
//! begin that the bytes so far do not decide. It knows bytes, not characters: `\w` is ASCII.

use std::ops::Range;

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};

use crate::error::{Error, Result};
use crate::limits;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    regex: regex::bytes::Regex,
    /// Walks through a beginning of a match, anchored. It decides in advance what it needs to know, so
    /// that nothing in a stream can make it slow.
    prefix: std::sync::Arc<dense::DFA<Vec<u32>>>,
}

impl Pattern {
    pub(super) fn new(text: &str) -> Result<Self> {
        let invalid = |why: &dyn std::fmt::Display| {
            Error::invalid(format!("redact: /{text}/ is no pattern: {why}")).with_hint(
                "a text between two slashes is a regular expression, matched byte by byte within a line",
            )
        };
        if text.len() > limits::PATTERN_BYTES {
            return Err(invalid(&format!("it has more than {} bytes", limits::PATTERN_BYTES)));
        }
        let regex = regex::bytes::RegexBuilder::new(text)
            .unicode(false)
            .size_limit(limits::PATTERN_COMPILED)
            .build()
            .map_err(|error| invalid(&error))?;
        let config = dense::Config::new()
            .start_kind(StartKind::Anchored)
            .dfa_size_limit(Some(limits::PATTERN_COMPILED))
            .determinize_size_limit(Some(limits::PATTERN_COMPILED));
        let prefix = dense::Builder::new()
            .configure(config)
            .syntax(syntax::Config::new().unicode(false).utf8(false))
            .thompson(thompson::Config::new().utf8(false))
            .build(text)
            .map_err(|error| invalid(&error))?;
        if regex.is_match(b"") {
            return Err(invalid(&"it matches nothing at all"));
        }
        Ok(Self { regex, prefix: prefix.into() })
    }

    /// Where it matches within a line.
    pub(super) fn matches<'a>(&'a self, line: &'a [u8]) -> impl Iterator<Item = Range<usize>> + 'a {
        self.regex.find_iter(line).map(|found| found.range()).filter(|range| !range.is_empty())
    }

    /// The first place behind `from` in an unfinished line where what comes next decides whether, or how
    /// far, it matches.
    pub(super) fn open_from(&self, line: &[u8], from: usize) -> Option<usize> {
        (from..line.len()).find(|&start| self.is_open(line, start))
    }

    fn is_open(&self, line: &[u8], start: usize) -> bool {
        let input = Input::new(line).range(start..).anchored(Anchored::Yes);
        let Ok(mut state) = self.prefix.start_state_forward(&input) else { return true };
        line[start..].iter().all(|byte| {
            state = self.prefix.next_state(state, *byte);
            !self.prefix.is_dead_state(state)
        })
    }
}
