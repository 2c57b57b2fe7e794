//! How many tokens a text costs a language model, estimated.
//!
//! Wherever a result names tokens, it is this estimate. A test holds it against a real tokenizer (o200k)
//! over the recorded logs in `tests/fixtures/logs`: all together it is off by 2%, a single log by at most 40%.

/// Estimates the tokens of `text`, in one pass and without a vocabulary.
///
/// Bytes divided by four is off by up to 64% for what terminals print: paths, numbers, hashes and
/// tables cost far more than prose. So the text is split where its classes change, as tokenizers
/// do before they merge: a run of letters costs a token for every five, digits one for every
/// three, a run of one punctuation character one for every sixteen, anything else in ASCII one each.
/// A single space or punctuation character belongs to the word behind it, longer blanks are a token for every 64, and newlines one
/// a run.
/// Characters outside ASCII cost one each.
pub fn estimate_tokens(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut tokens = 0;
    let mut at = 0;
    while let Some(&first) = bytes.get(at) {
        let class = CLASSES[usize::from(first)];
        let same = |byte: &u8| match class {
            Class::Punctuation => *byte == first,
            Class::Letter | Class::Digit | Class::Blank | Class::Newline | Class::Wide => {
                CLASSES[usize::from(*byte)] == class
            }
        };
        let length = bytes[at..].iter().take_while(|byte| same(byte)).count();
        tokens += match class {
            Class::Letter => length.div_ceil(5),
            Class::Digit => length.div_ceil(3),
            Class::Punctuation if length == 1 && is_letter(bytes.get(at + 1)) => 0,
            Class::Punctuation => length.div_ceil(16),
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

fn is_letter(byte: Option<&u8>) -> bool {
    byte.is_some_and(u8::is_ascii_alphabetic)
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

/// The class of each byte.
const CLASSES: [Class; 256] = {
    let mut classes = [Class::Wide; 256];
    let mut byte = 0_u8;
    while byte < u8::MAX {
        classes[byte as usize] = Class::of(byte);
        byte += 1;
    }
    classes
};

impl Class {
    const fn of(byte: u8) -> Self {
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
    use std::fmt::Write;

    use super::*;

    #[test]
    fn each_class_has_its_price() {
        for (text, tokens) in [
            ("", 0),
            ("hello world", 2),
            ("internationalization", 4),
            ("1234567", 3),
            ("======", 1),
            ("a-b_c", 3),
            ("a-1", 3),
            ("a  b\n\nc", 5),
            ("日本 é", 3),
            (&" ".repeat(6_400), 100),
        ] {
            assert_eq!(estimate_tokens(text), tokens, "{text:?}");
        }
    }

    /// The estimate beside o200k, over what real tools printed.
    #[test]
    fn the_estimate_is_near_a_real_tokenizer() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/logs");
        let (mut estimated, mut counted, mut worst) = (0, 0, (1.0, 1.0));
        let mut table = String::new();
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            if entry.path().extension().is_none_or(|ending| ending != "gz") {
                continue;
            }
            let mut raw = Vec::new();
            let file = std::fs::File::open(entry.path()).unwrap();
            std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(file), &mut raw).unwrap();
            let text = crate::term::text::render(&raw, 40, 120).text;
            // A part of a large log says as much as all of it.
            let text = &text[..text.floor_char_boundary(100_000)];
            let (estimate, count) = (estimate_tokens(text), bpe_openai::o200k_base().count(text));
            let ratio =
                f64::from(u32::try_from(estimate).unwrap()) / f64::from(u32::try_from(count).unwrap());
            worst = (f64::min(worst.0, ratio), f64::max(worst.1, ratio));
            writeln!(table, "{ratio:.2} {:?}", entry.file_name()).unwrap();
            (estimated, counted) = (estimated + estimate, counted + count);
        }
        let pooled =
            f64::from(u32::try_from(estimated).unwrap()) / f64::from(u32::try_from(counted).unwrap());
        assert!((0.93..1.07).contains(&pooled), "{pooled:.3}\n{table}");
        assert!(worst.0 > 0.75 && worst.1 < 1.4, "{worst:?}\n{table}");
    }

    #[test]
    fn a_text_never_costs_more_than_its_bytes() {
        let text = "   Compiling serde v1.0.219 (/home/me/a-b/c_d) 日本語 +++ \t\t\n\n 0x7f";
        (0..text.len()).filter(|&end| text.is_char_boundary(end)).for_each(|end| {
            assert!(estimate_tokens(&text[..end]) <= end);
        });
    }
}
