//! Draws counts as bars.

/// A line for each word: its name, its count, and a bar of that length.
pub fn render(counts: &[(&str, usize)]) -> String {
    let widest = counts.iter().map(|(word, _)| word.len()).max().unwrap_or(0);
    counts.iter().map(|(word, count)| format!("{word:widest$} {count:3} {}\n", "#".repeat(*count))).collect()
}

#[cfg(test)]
mod drawing {
    use super::*;

    #[test]
    fn bars_stand_below_each_other() {
        assert_eq!(render(&[("herd", 2), ("a", 1)]), "herd   2 ##\na      1 #\n");
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        assert_eq!(render(&[]), "");
    }
}
