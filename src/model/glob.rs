//! Globs over names and ids: `*` for any run of characters, `?` for one.

/// Whether the whole of `text` matches `pattern`. Linear in practice, `O(n·m)` at worst.
pub fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    // Where the last star stands, and how much of the text it has taken so far.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == '?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match &mut star {
                Some((at, taken)) => {
                    *taken += 1;
                    p = *at + 1;
                    t = *taken;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_take_any_run_and_question_marks_one_character() {
        for (pattern, text) in
            [("*", ""), ("build-*", "build-api"), ("a?c", "abc"), ("*-*-x", "a-b-c-x"), ("ä*", "äö")]
        {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("", "a"), ("a?c", "ac"), ("build-*", "rebuild-x"), ("*x", "xy")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn other_characters_stand_for_themselves() {
        for (pattern, text) in [
            ("a.c", "a.c"),
            ("a+", "a+"),
            ("[ab]", "[ab]"),
            ("a\\*", "a\\x"),
            ("{a,b}", "{a,b}"),
            ("^a$", "^a$"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("a.c", "abc"), ("a+", "aa"), ("[ab]", "a"), ("{a,b}", "a"), ("A", "a"), ("^a$", "a")]
        {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }
}
