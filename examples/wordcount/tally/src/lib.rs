//! Counts words.

use std::collections::BTreeMap;

/// Words in lower case with how often each occurs.
pub fn tally(text: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        *counts.entry(word.to_lowercase()).or_insert(0) += 1;
    }
    counts
}

/// The most frequent words, the alphabet deciding between equals.
pub fn top(counts: &BTreeMap<String, usize>, most: usize) -> Vec<(&str, usize)> {
    let mut words: Vec<_> = counts.iter().map(|(word, count)| (word.as_str(), *count)).collect();
    words.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    words.truncate(most);
    words
}

#[cfg(test)]
mod counting {
    use super::*;

    #[test]
    fn words_are_counted_whatever_their_case() {
        assert_eq!(tally("A herd, a Herd!")["herd"], 2);
    }

    #[test]
    fn nothing_has_no_words() {
        assert!(tally(" ,.\n").is_empty());
    }
}

#[cfg(test)]
mod ordering {
    use super::*;

    #[test]
    fn the_most_frequent_come_first() {
        assert_eq!(top(&tally("b a c b"), 2), [("b", 2), ("a", 1)]);
    }

    #[test]
    fn equals_are_in_the_order_of_the_alphabet() {
        assert_eq!(top(&tally("z y x"), 9), [("x", 1), ("y", 1), ("z", 1)]);
    }
}
