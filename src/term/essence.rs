//! The lines of a text that somebody will want to know later: what was decided, and what went wrong.
//! A guess from the wording, of English prose and of what programs print; it prefers a line too many.

use std::sync::LazyLock;

use regex::Regex;

use super::errors;

/// Wordings of a decision, or of what binds later ones.
const DECISION: &str = r"(?xi-u) \b (?:
      deci(?:de|ded|des|sions?) | agree(?:d|s)? | conclu(?:de|ded|des|sions?) | cho(?:se|ose|sen|ice)
    | settled\ on | go(?:ing)?\ with | opt(?:ed)?\ for | (?:will|shall|we'll|i'll|let's)\ use | instead\ of
    | must(?:\ not|n't)? | shall\ not | never | always | requirements? | constraints? | assum(?:e|ed|ptions?)
    | root\ cause | caused\ by | workaround | important | approved | rejected
) \b";

/// Between two lines that are not neighbours in the text.
const GAP: &str = "…";

/// The lines of `text` that tell of a decision or an error, each with so many `neighbours` on either side.
/// `None` when there is no such line; the text itself when there is no other.
pub fn essence(text: &str, neighbours: usize) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut kept = String::new();
    let mut next = 0;
    for (at, _) in lines.iter().enumerate().filter(|(_, line)| tells(line)) {
        let from = at.saturating_sub(neighbours).max(next);
        let to = lines.len().min(at + neighbours + 1);
        for (index, line) in lines.iter().enumerate().take(to).skip(from) {
            if !kept.is_empty() {
                kept.push('\n');
                if index > next {
                    kept.push_str(GAP);
                    kept.push('\n');
                }
            }
            kept.push_str(line);
            next = index + 1;
        }
    }
    if next == 0 {
        return None;
    }
    // Nothing is gained by a text without its last newline.
    Some(if kept.len() + 2 >= text.len() { text.to_owned() } else { kept })
}

fn tells(line: &str) -> bool {
    static DECISIONS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(DECISION).ok());
    DECISIONS.as_ref().is_some_and(|decisions| decisions.is_match(line)) || errors::is_trouble(line)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decisions_and_errors_tell() {
        assert!(Regex::new(DECISION).is_ok(), "{:?}", Regex::new(DECISION));
        for line in [
            "We decided to keep SQLite.",
            "Decision: one writer",
            "The API must not change",
            "Let's use tokio here",
            "I'll go with the second",
            "root cause: a missing flush",
            "error[E0308]: mismatched types",
            "test adds ... FAILED",
        ] {
            assert!(tells(line), "{line}");
        }
        for line in ["", "   Compiling serde v1.0.219", "Looks good to me, thanks!", "I read the file."] {
            assert!(!tells(line), "{line}");
        }
    }

    #[test]
    fn what_is_left_is_the_lines_that_tell() {
        let text = "one\ntwo\nerror: bad\nfour\nfive\nsix\nseven\nWe decided so.\nnine\nten\n";
        assert_eq!(essence(text, 0).as_deref(), Some("error: bad\n…\nWe decided so."));
        assert_eq!(
            essence(text, 1).as_deref(),
            Some("two\nerror: bad\nfour\n…\nseven\nWe decided so.\nnine")
        );
        assert_eq!(essence(text, 5).as_deref(), Some(text));
        assert_eq!(essence("nothing\nof note", 3), None);
        assert_eq!(essence("", 3), None);
    }

    proptest! {
        #[test]
        fn what_tells_stays_and_less_is_never_more(
            lines in proptest::collection::vec(
                prop_oneof![Just("plain"), Just("error: bad"), Just(""), Just("we decided"), Just("…")], 0..30),
            neighbours in 0_usize..3,
        ) {
            let text = lines.join("\n");
            let telling = |text: &str| text.lines().filter(|line| tells(line)).count();
            let Some(kept) = essence(&text, neighbours) else {
                prop_assert_eq!(telling(&text), 0);
                return Ok(());
            };
            prop_assert_eq!(telling(&kept), telling(&text));
            prop_assert!(kept.len() <= text.len());
            // What is left of it is left of that again.
            prop_assert_eq!(essence(&kept, neighbours), Some(kept));
        }
    }
}
