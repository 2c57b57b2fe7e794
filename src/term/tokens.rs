//! How many tokens a text costs a language model, estimated.
//!
//! Wherever a result names tokens, it is this estimate. A test holds it against a real tokenizer (o200k)
//! over all recorded outputs in `tests/fixtures`: the long logs together are off by at most 7%, a single one
//! is told at 75% to 140% of its tokens; a short output at 65% to 140%, give or take ten tokens.

/// Estimates the tokens of `text`, in one pass and without a vocabulary.
///
/// Bytes divided by four is off by up to 64% for what terminals print: paths, numbers, hashes and
/// tables cost far more than prose. So the text is split where its classes change, as tokenizers
/// do before they merge: a run of letters costs a token for every five, digits one for every
/// three, a run of one punctuation character one for every sixteen, anything else in ASCII one each.
/// A single space or punctuation character belongs to the word behind it, longer blanks are a token for every 64, and newlines one
/// a run.
/// Characters outside ASCII cost one each, technical signs three.
pub fn estimate_tokens(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut tokens = 0;
    let mut at = 0;
    while let Some(&first) = bytes.get(at) {
        let class = CLASSES[usize::from(first)];
        let start = at;
        at += 1;
        if class == Class::Punctuation {
            while bytes.get(at) == Some(&first) {
                at += 1;
            }
        } else {
            while bytes.get(at).is_some_and(|byte| CLASSES[usize::from(*byte)] == class) {
                at += 1;
            }
        }
        let length = at - start;
        tokens += match class {
            Class::Letter => length.div_ceil(5),
            Class::Digit => length.div_ceil(3),
            Class::Punctuation if length == 1 && is_letter(bytes.get(at)) => 0,
            Class::Punctuation => length.div_ceil(16),
            Class::Blank if length == 1 => 0,
            Class::Blank => length.div_ceil(64),
            Class::Newline => 1,
            Class::Wide => wide(&bytes[start..at]),
        };
    }
    tokens
}

/// Characters outside ASCII: one each, but for technical signs (U+2300 to U+23FF), of which tokenizers have
/// seen few.
fn wide(bytes: &[u8]) -> usize {
    let characters = bytes.iter().filter(|byte| **byte >= 0xc0).count();
    let signs = bytes.windows(2).filter(|pair| matches!(pair, [0xe2, 0x8c..=0x8f])).count();
    characters + 2 * signs
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
    #![expect(clippy::cast_precision_loss, reason = "of sizes of logs")]

    use std::fmt::Write;

    use super::*;

    /// Tokens by which the estimate of a short text may be off besides.
    const FEW: usize = 10;

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
            ("⎯⎯", 6),
            (&" ".repeat(6_400), 100),
        ] {
            assert_eq!(estimate_tokens(text), tokens, "{text:?}");
        }
    }

    /// What real tools printed: long logs, and recordings of a screen or less.
    fn recorded(folder: &str) -> Vec<(String, String)> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(folder);
        let mut recorded = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let mut raw = std::fs::read(entry.path()).unwrap();
            match name.rsplit_once('.').map(|(_, ending)| ending) {
                Some("gz") => {
                    let packed = std::mem::take(&mut raw);
                    let mut unpacked = flate2::read::GzDecoder::new(&packed[..]);
                    std::io::Read::read_to_end(&mut unpacked, &mut raw).unwrap();
                }
                Some("txt") => {}
                _ => continue,
            }
            let mut text = crate::term::text::render(&raw, 40, 120).text;
            // A part of a large log says as much as all of it.
            text.truncate(text.floor_char_boundary(100_000));
            recorded.push((name, text));
        }
        recorded
    }

    /// The estimate beside o200k. Off by a few tokens is not off where there are few.
    #[test]
    fn the_estimate_is_near_a_real_tokenizer() {
        let tokenizer = bpe_openai::o200k_base();
        for (folders, least, most) in [
            (&["logs"][..], 0.75, 1.4),
            (&["tools", "failures/fresh", "failures/held", "failures/last", "failures/tuned"], 0.65, 1.4),
        ] {
            let (mut estimated, mut counted, mut wrong) = (0, 0, String::new());
            for (name, text) in folders.iter().flat_map(|folder| recorded(folder)) {
                let (estimate, count) = (estimate_tokens(&text), tokenizer.count(&text));
                let ratio = |estimate: usize| estimate as f64 / count.max(1) as f64;
                if ratio(estimate + FEW) < least || ratio(estimate.saturating_sub(FEW)) > most {
                    writeln!(wrong, "{:.2} of {count} {name}", ratio(estimate)).unwrap();
                }
                (estimated, counted) = (estimated + estimate, counted + count);
            }
            let pooled = estimated as f64 / counted as f64;
            assert!((0.93..1.07).contains(&pooled) && wrong.is_empty(), "{folders:?} {pooled:.3}\n{wrong}");
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
