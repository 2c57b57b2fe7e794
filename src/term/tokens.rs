//! How many tokens a text costs a language model, estimated.

/// Estimates the tokens of `text`, in one pass and without a vocabulary.
///
/// Bytes divided by four is off by up to 64% for what terminals print: paths, numbers, hashes and
/// tables cost far more than prose. So the text is split where its classes change, as tokenizers
/// do before they merge: a run of letters costs a token for every five, digits one for every
/// three, a run of one punctuation character one for every four, anything else in ASCII one each.
/// A single space belongs to the word behind it, longer blanks are a token for every 64, and newlines one
/// a run.
/// Characters outside ASCII cost one each.
pub fn estimate_tokens(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut tokens = 0;
    let mut at = 0;
    while let Some(&first) = bytes.get(at) {
        let class = Class::of(first);
        let same = |byte: &u8| match class {
            Class::Punctuation => *byte == first,
            Class::Letter | Class::Digit | Class::Blank | Class::Newline | Class::Wide => {
                Class::of(*byte) == class
            }
        };
        let length = bytes[at..].iter().take_while(|byte| same(byte)).count();
        tokens += match class {
            Class::Letter => length.div_ceil(5),
            Class::Digit => length.div_ceil(3),
            Class::Punctuation => length.div_ceil(4),
            Class::Blank if length == 1 => 0,
            Class::Blank => length.div_ceil(64),
            Class::Newline => 1,
            // The bytes that begin a character.
            Class::Wide => bytes[at..at + length].iter().filter(|byte| **byte >= 0xc0).count(),
        };
        at += length;
    }
    tokens
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    Digit,
    Punctuation,
    Blank,
    Newline,
    Wide,
}

impl Class {
    fn of(byte: u8) -> Self {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => Self::Letter,
            b'0'..=b'9' => Self::Digit,
            b' ' | b'\t' => Self::Blank,
            b'\r' | b'\n' => Self::Newline,
            0x80..=0xff => Self::Wide,
            _ => Self::Punctuation,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_has_its_price() {
        for (text, tokens) in [
            ("", 0),
            ("hello world", 2),
            ("internationalization", 4),
            ("1234567", 3),
            ("======", 2),
            ("a-b_c", 5),
            ("a  b\n\nc", 5),
            ("日本 é", 3),
            (&" ".repeat(6_400), 100),
        ] {
            assert_eq!(estimate_tokens(text), tokens, "{text:?}");
        }
    }

    #[test]
    fn a_text_never_costs_more_than_its_bytes() {
        let text = "   Compiling serde v1.0.219 (/home/me/a-b/c_d) 日本語 +++ \t\t\n\n 0x7f";
        (0..text.len()).filter(|&end| text.is_char_boundary(end)).for_each(|end| {
            assert!(estimate_tokens(&text[..end]) <= end);
        });
    }
}
