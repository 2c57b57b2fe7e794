//! The tables of a README that say what the program itself knows: its tools and its error codes. They stand
//! between marks, and are written anew by `shellherd schemas --readme`.

use std::fmt::Write;

use super::tools::SETS;
use crate::error::{Error, ErrorCode, Result};

/// The same text with its tables as they must be. A mark that is missing or there twice is an error.
pub fn with_tables(readme: &str) -> Result<String> {
    let readme = replaced(readme, "tools", &tools())?;
    replaced(&readme, "errors", &errors())
}

/// The tools by their sets, each with the first sentence of its description.
fn tools() -> String {
    let mut table = String::from("| toolset | tool | what it does |\n|---|---|---|\n");
    for (set, tools) in SETS {
        for (index, tool) in tools.iter().enumerate() {
            let set = if index == 0 { format!("`{}`", set.as_str()) } else { String::new() };
            let first = sentence(tool.description).replace('|', "\\|").replace('*', "\\*");
            let _ = writeln!(table, "| {set} | `{}` | {first} |", tool.name);
        }
    }
    table
}

fn errors() -> String {
    let mut table = String::from("| code | what it means |\n|---|---|\n");
    for code in ErrorCode::ALL {
        let again = if code.is_retryable() { "; the same call may succeed later" } else { "" };
        let _ = writeln!(table, "| `{code}` | {}{again} |", code.meaning());
    }
    table
}

/// Up to the first full stop that ends a sentence.
fn sentence(text: &str) -> &str {
    text.split_once(". ").map_or(text, |(first, _)| first).trim_end_matches('.')
}

/// The text with this between the marks of that name.
fn replaced(text: &str, name: &str, table: &str) -> Result<String> {
    let (begin, end) = (format!("<!-- {name}: by shellherd schemas -->\n"), format!("<!-- /{name} -->"));
    for mark in [&begin, &end] {
        let count = text.matches(mark.as_str()).count();
        if count != 1 {
            let mark = mark.trim_end();
            return Err(Error::invalid(format!("the mark {mark} is there {count} times instead of once")));
        }
    }
    let (before, rest) = text.split_once(&begin).unwrap_or_default();
    let Some((_, after)) = rest.split_once(&end) else {
        return Err(Error::invalid(format!("the mark {end} stands before {}", begin.trim_end())));
    };
    Ok(format!("{before}{begin}\n{table}\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "a\n<!-- tools: by shellherd schemas -->\nWORN\n<!-- /tools -->\nb\n\
        <!-- errors: by shellherd schemas -->\n<!-- /errors -->\nc\n";

    #[test]
    fn tables_stand_between_their_marks() {
        let text = with_tables(EMPTY).unwrap();
        assert!(text.starts_with("a\n<!-- tools") && text.ends_with("<!-- /errors -->\nc\n"), "{text}");
        assert!(text.contains("| `core` | `session_create` | Opens a new terminal"), "{text}");
        assert!(
            text.contains("| `overloaded` | a queue is full; the same call may succeed later |"),
            "{text}"
        );
        assert!(!text.contains("WORN"), "{text}");
        assert_eq!(with_tables(&text).unwrap(), text, "written once, it stays");
    }

    #[test]
    fn a_mark_that_is_missing_twice_there_or_misplaced_is_an_error() {
        let missing = EMPTY.replace("<!-- /tools -->", "");
        let twice = EMPTY.replace("<!-- /errors -->", "<!-- /errors --><!-- /errors -->");
        let (first, last) = ("<!-- errors: by shellherd schemas -->\n", "<!-- /errors -->\n");
        let swapped = EMPTY.replace(&format!("{first}{last}"), &format!("{last}{first}"));
        for wrong in [missing, twice, swapped] {
            assert!(with_tables(&wrong).unwrap_err().message.starts_with("the mark <!-- /"), "{wrong}");
        }
    }

    #[test]
    fn a_sentence_ends_at_its_full_stop() {
        assert_eq!(sentence("Waits 0.2 s, at most. Then goes."), "Waits 0.2 s, at most");
        assert_eq!(sentence("Only one."), "Only one");
    }
}
