//! The rules for a session's context: what may be added, what a compression leaves of it, and which part
//! of it fits a reader. Of the texts it knows only what it is told by a [`Reader`].

use crate::clock::Timestamp;
use crate::error::{Error, ErrorCode, Result};
use crate::limits;
use crate::model::{ContextMessage, ContextRole, ContextStrategy, ContextTotals, Kept};

/// What can be told of a text.
pub trait Reader {
    /// The lines with a decision or an error, each with so many neighbours on either side, if there are
    /// any. Of what it gave back it gives back all.
    fn essence(&self, text: &str, neighbours: usize) -> Option<String>;

    /// What a text costs a model.
    fn tokens(&self, text: &str) -> u64;
}

/// How to compress.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compression {
    /// How hard.
    pub strategy: ContextStrategy,
    /// Messages at the end that stay as they are.
    pub keep_recent: usize,
    /// What stands for the rest, in the caller's words, with its tokens.
    pub summary: Option<(String, u64)>,
}

/// What a compression did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compressed {
    /// The messages that changed; last the summary, if there is one.
    pub changed: Vec<ContextMessage>,
    /// The totals after it.
    pub totals: ContextTotals,
    /// Messages of which nothing is left.
    pub left_out: u64,
    /// Messages of which some lines are left.
    pub cut: u64,
}

/// A message that is added to a context with these totals, and the totals after that. `all_bytes` is what
/// the contexts of all sessions take.
pub fn add(
    totals: &ContextTotals,
    all_bytes: u64,
    role: ContextRole,
    (content, tokens): (String, u64),
    added_at: Timestamp,
) -> Result<(ContextMessage, ContextTotals)> {
    let bytes = content.len() as u64;
    if totals.messages >= limits::CONTEXT_MESSAGES || totals.bytes + bytes > limits::CONTEXT_BYTES {
        return Err(Error::new(
            ErrorCode::LimitExceeded,
            format!(
                "a context takes {} messages and {} MB, what was left out included; this one has {} messages and \
                 {} kB",
                limits::CONTEXT_MESSAGES,
                limits::CONTEXT_BYTES >> 20,
                totals.messages,
                totals.bytes >> 10
            ),
        )
        .with_hint("go on in a new session, beginning with a summary of this one"));
    }
    if all_bytes + bytes > limits::CONTEXTS_BYTES {
        return Err(Error::new(
            ErrorCode::Overloaded,
            format!(
                "the contexts of all sessions take {} MB, which is the most",
                limits::CONTEXTS_BYTES >> 20
            ),
        )
        .with_hint(
            "end sessions that are not needed with session_close, and remove them with session_cleanup",
        ));
    }
    let message = message(totals, role, (content, tokens), added_at);
    let totals = with(totals, &message);
    Ok((message, totals))
}

fn message(
    totals: &ContextTotals,
    role: ContextRole,
    (content, tokens): (String, u64),
    added_at: Timestamp,
) -> ContextMessage {
    let number = totals.messages + 1;
    let kept = Kept::Whole;
    ContextMessage { number, place: number, role, content, tokens, added_at, is_summary: false, kept }
}

fn with(totals: &ContextTotals, message: &ContextMessage) -> ContextTotals {
    ContextTotals {
        changes: totals.changes + 1,
        messages: totals.messages + 1,
        bytes: totals.bytes + message.content.len() as u64,
        tokens: totals.tokens + message.tokens,
        left_messages: totals.left_messages + 1,
        left_tokens: totals.left_tokens + message.tokens,
    }
}

/// Compresses the context of these messages, which are in their order: instructions and recent messages
/// stay, of the others what decides or tells of an error. A summary takes the place of earlier ones; where
/// nothing can be left out there is none. Changes nothing by itself.
pub fn compress(
    totals: &ContextTotals,
    messages: &[ContextMessage],
    compression: Compression,
    reader: &impl Reader,
    now: Timestamp,
) -> Compressed {
    let left: Vec<(&ContextMessage, &str, u64)> = messages
        .iter()
        .filter_map(|message| message.left().map(|(text, cost)| (message, text, cost)))
        .collect();
    let (old, _recent) = left.split_at(left.len().saturating_sub(compression.keep_recent));
    let mut done = Compressed { totals: *totals, ..Compressed::default() };
    for (message, content, tokens) in old {
        if message.role == ContextRole::System {
            continue;
        }
        let kept = shrunk(content, *tokens, compression.strategy, reader);
        done.change(message, *tokens, kept);
    }
    let Some(last) = done.changed.last().map(|message| message.place) else { return done };
    done.totals.changes += 1;
    let Some(summary) = compression.summary else { return done };
    let earlier = left.iter().filter(|(message, ..)| message.is_summary);
    earlier.for_each(|(message, _, tokens)| done.change(message, *tokens, Some(Kept::Nothing)));
    let summary = ContextMessage {
        place: last,
        is_summary: true,
        ..message(&done.totals, ContextRole::System, summary, now)
    };
    done.totals = ContextTotals { changes: done.totals.changes, ..with(&done.totals, &summary) };
    done.changed.push(summary);
    done
}

impl Compressed {
    /// Takes in what is left of a message that had so many tokens, unless that is what it was.
    fn change(&mut self, message: &ContextMessage, tokens: u64, kept: Option<Kept>) {
        let Some(kept) = kept else { return };
        let after = match &kept {
            Kept::Whole => return,
            Kept::Part { tokens, .. } => {
                self.cut += 1;
                *tokens
            }
            Kept::Nothing => {
                self.left_out += 1;
                self.totals.left_messages -= 1;
                0
            }
        };
        self.totals.left_tokens -= tokens - after;
        self.changed.push(ContextMessage { kept, ..message.clone() });
    }
}

/// What is left of an older message; `None` when all is.
fn shrunk(content: &str, tokens: u64, strategy: ContextStrategy, reader: &impl Reader) -> Option<Kept> {
    let (neighbours, short) = match strategy {
        ContextStrategy::Intelligent => (1, limits::CONTEXT_SHORT),
        ContextStrategy::Aggressive => (0, 0),
    };
    let Some(essence) = reader.essence(content, neighbours) else { return Some(Kept::Nothing) };
    if tokens <= short || essence == content {
        return None;
    }
    // In the measure of whoever counted the whole.
    let (part, whole) = (reader.tokens(&essence), reader.tokens(content).max(1));
    let tokens = tokens.min((tokens * part).div_ceil(whole));
    Some(Kept::Part { content: essence, tokens })
}

/// Which of so many messages with these tokens are shown, in their order: the last `recent`; of them at
/// most `max_tokens`, instructions first, then the latest without a gap.
pub fn select(messages: &[(ContextRole, u64)], recent: Option<usize>, max_tokens: Option<u64>) -> Vec<usize> {
    let from = recent.map_or(0, |recent| messages.len().saturating_sub(recent));
    let Some(mut room) = max_tokens else { return (from..messages.len()).collect() };
    let mut fits = |index: &usize| {
        let (_, tokens) = messages[*index];
        let fits = tokens <= room;
        room -= if fits { tokens } else { 0 };
        fits
    };
    let is_instruction = |index: &usize| messages[*index].0 == ContextRole::System;
    let (instructions, others): (Vec<usize>, Vec<usize>) =
        (from..messages.len()).rev().partition(is_instruction);
    let mut shown: Vec<usize> = instructions.into_iter().filter(&mut fits).collect();
    shown.extend(others.into_iter().take_while(fits));
    shown.sort_unstable();
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Lines that begin with `!` tell; a character is a token.
    struct Marks;

    impl Reader for Marks {
        fn essence(&self, text: &str, _: usize) -> Option<String> {
            let lines: Vec<&str> = text.lines().filter(|line| line.starts_with('!')).collect();
            (!lines.is_empty()).then(|| lines.join("\n"))
        }

        fn tokens(&self, text: &str) -> u64 {
            text.len() as u64
        }
    }

    const NOW: Timestamp = Timestamp(1);

    /// A context as the store would have it.
    #[derive(Default)]
    struct Context {
        totals: ContextTotals,
        messages: Vec<ContextMessage>,
    }

    impl Context {
        fn add(&mut self, role: ContextRole, content: &str) {
            let tokens = content.len() as u64;
            let (message, totals) =
                add(&self.totals, 0, role, (content.to_owned(), tokens), NOW).expect("has room");
            self.messages.push(message);
            self.totals = totals;
        }

        fn compress(
            &mut self,
            strategy: ContextStrategy,
            keep_recent: usize,
            summary: Option<&str>,
        ) -> Compressed {
            let summary = summary.map(|summary| (summary.to_owned(), summary.len() as u64));
            let compression = Compression { strategy, keep_recent, summary };
            let done = compress(&self.totals, &self.messages, compression, &Marks, NOW);
            for changed in &done.changed {
                self.messages.retain(|known| known.number != changed.number);
                self.messages.push(changed.clone());
            }
            self.messages.sort_by_key(ContextMessage::order);
            self.totals = done.totals;
            done
        }

        fn shown(&self) -> Vec<&str> {
            self.messages.iter().filter_map(|message| message.left().map(|(text, _)| text)).collect()
        }

        /// Whether the totals are those of the messages.
        fn adds_up(&self) -> bool {
            let left: Vec<u64> =
                self.messages.iter().filter_map(|m| m.left().map(|(_, tokens)| tokens)).collect();
            self.totals.messages == self.messages.len() as u64
                && self.totals.tokens == self.messages.iter().map(|message| message.tokens).sum::<u64>()
                && self.totals.bytes == self.messages.iter().map(|m| m.content.len() as u64).sum::<u64>()
                && self.totals.left_messages == left.len() as u64
                && self.totals.left_tokens == left.iter().sum::<u64>()
        }
    }

    #[test]
    fn instructions_recent_messages_decisions_and_errors_stay() {
        let mut context = Context::default();
        let long = format!("!decided\n{}", "chatter\n".repeat(50));
        context.add(ContextRole::System, "be brief");
        context.add(ContextRole::User, "hello");
        context.add(ContextRole::Assistant, "so what\n!decided");
        context.add(ContextRole::Tool, &long);
        context.add(ContextRole::User, "thanks");
        let done = context.compress(ContextStrategy::Intelligent, 1, Some("they met"));
        assert_eq!((done.left_out, done.cut), (1, 1));
        assert_eq!(context.shown(), ["be brief", "so what\n!decided", "!decided", "they met", "thanks"]);
        let done = context.compress(ContextStrategy::Aggressive, 1, Some("they met and parted"));
        assert_eq!((done.left_out, done.cut), (1, 1), "the earlier summary, and the short message");
        assert_eq!(context.shown(), ["be brief", "!decided", "they met and parted", "!decided", "thanks"]);
        assert!(context.messages.iter().any(|message| message.content == long), "the original stays");
        assert!(context.adds_up());
    }

    #[test]
    fn a_summary_of_nothing_is_none() {
        let mut context = Context::default();
        context.add(ContextRole::System, "be brief");
        context.add(ContextRole::User, "hello");
        let done = context.compress(ContextStrategy::Aggressive, 1, Some("nothing"));
        assert_eq!(done, Compressed { totals: context.totals, ..Compressed::default() });
        assert_eq!(context.shown(), ["be brief", "hello"]);
    }

    #[test]
    fn a_context_has_bounds() {
        let full = |totals: ContextTotals, all| {
            add(&totals, all, ContextRole::User, ("x".to_owned(), 1), NOW)
                .map_err(|error| error.code)
                .map(|_| ())
        };
        let none = ContextTotals::default();
        assert_eq!(full(none, limits::CONTEXTS_BYTES - 1), Ok(()));
        assert_eq!(full(none, limits::CONTEXTS_BYTES), Err(ErrorCode::Overloaded));
        let messages = ContextTotals { messages: limits::CONTEXT_MESSAGES, ..none };
        assert_eq!(full(messages, 0), Err(ErrorCode::LimitExceeded));
        let bytes = ContextTotals { bytes: limits::CONTEXT_BYTES, ..none };
        assert_eq!(full(bytes, 0), Err(ErrorCode::LimitExceeded));
    }

    #[test]
    fn a_part_is_the_instructions_and_the_latest_that_fit() {
        use ContextRole::{System, User};
        let messages = [(System, 5), (User, 10), (User, 1), (User, 3), (System, 2), (User, 4)];
        assert_eq!(select(&messages, None, None), [0, 1, 2, 3, 4, 5]);
        assert_eq!(select(&messages, Some(2), None), [4, 5]);
        assert_eq!(select(&messages, Some(0), Some(9)), [0; 0]);
        assert_eq!(select(&messages, None, Some(15)), [0, 2, 3, 4, 5]);
        assert_eq!(select(&messages, None, Some(14)), [0, 3, 4, 5]);
        assert_eq!(select(&messages, None, Some(3)), [4]);
        assert_eq!(select(&messages, Some(3), Some(7)), [4, 5]);
    }

    fn content() -> impl Strategy<Value = String> {
        let line = prop_oneof![Just("!x"), Just("plain"), Just("")];
        (proptest::collection::vec(line, 1..6), prop_oneof![Just(1_usize), Just(60)])
            .prop_map(|(lines, times)| format!("{}\nend", lines.join("\n").repeat(times)))
    }

    fn role() -> impl Strategy<Value = ContextRole> {
        proptest::sample::select(ContextRole::ALL.to_vec())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

        #[test]
        fn nothing_that_counts_is_lost_and_all_adds_up(
            messages in proptest::collection::vec((role(), content()), 0..30),
            rounds in proptest::collection::vec((any::<bool>(), 0_usize..12, any::<bool>()), 1..4),
        ) {
            let mut context = Context::default();
            for (role, content) in &messages {
                context.add(*role, content);
            }
            for (is_hard, keep_recent, has_summary) in rounds {
                let strategy =
                    if is_hard { ContextStrategy::Aggressive } else { ContextStrategy::Intelligent };
                let before: Vec<String> = context.shown().into_iter().map(str::to_owned).collect();
                let totals = context.totals;
                let done = context.compress(strategy, keep_recent, has_summary.then_some("in short"));
                prop_assert!(context.adds_up(), "{:?}", context.totals);
                prop_assert_eq!(context.totals.changes, totals.changes + u64::from(!done.changed.is_empty()));
                let after = context.shown();
                let recent = before[before.len().saturating_sub(keep_recent)..].iter().map(String::as_str);
                // An earlier summary may have gone.
                let recent: Vec<&str> = recent.filter(|text| *text != "in short").collect();
                let after: Vec<&str> = after.into_iter().filter(|text| *text != "in short").collect();
                prop_assert!(after.ends_with(&recent), "{:?}", after);
                if !has_summary {
                    prop_assert!(context.totals.left_tokens <= totals.left_tokens);
                    // The same once more finds nothing to do.
                    prop_assert!(context.compress(strategy, keep_recent, None).changed.is_empty());
                }
                let summaries = context.messages.iter().filter(|m| m.is_summary && m.left().is_some()).count();
                prop_assert!(summaries <= 1);
            }
            // The originals are all there, in their order; instructions and marked lines are still shown.
            let originals: Vec<(ContextRole, String)> = context
                .messages
                .iter()
                .filter(|message| !message.is_summary)
                .map(|message| (message.role, message.content.clone()))
                .collect();
            prop_assert_eq!(&originals, &messages);
            for message in context.messages.iter().filter(|message| !message.is_summary) {
                let shown = message.left().map_or("", |(text, _)| text);
                let marks = |text: &str| text.lines().filter(|line| line.starts_with('!')).count();
                prop_assert_eq!(marks(shown), marks(&message.content));
                prop_assert!(message.role != ContextRole::System || message.kept == Kept::Whole);
            }
        }

        #[test]
        fn a_part_fits_and_has_no_gap(
            messages in proptest::collection::vec((role(), 0_u64..20), 0..30),
            recent in proptest::option::of(0_usize..30),
            max_tokens in 0_u64..200,
        ) {
            let shown = select(&messages, recent, Some(max_tokens));
            prop_assert!(shown.is_sorted());
            prop_assert!(shown.iter().map(|index| messages[*index].1).sum::<u64>() <= max_tokens);
            let is_other = |index: &&usize| messages[**index].0 != ContextRole::System;
            let from = shown.iter().find(is_other).copied().unwrap_or(messages.len());
            let others = (from..messages.len()).filter(|index| messages[*index].0 != ContextRole::System);
            prop_assert_eq!(others.count(), shown.iter().filter(is_other).count());
        }
    }
}
