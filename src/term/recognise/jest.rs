//! Jest and Vitest.

use super::line::Place;
use super::{Family, Reader, Report};

pub(super) const FAMILY: Family =
    Family { kind: "jest", programs: &["jest", "vitest"], reader: || Box::<Jest>::default() };

#[derive(Default)]
struct Jest {
    /// The failure that is being told: the test's name, and what was wrong.
    test: Option<(String, String)>,
}

impl Reader for Jest {
    fn line(&mut self, line: &str, report: &mut Report) {
        let text = line.trim_start();
        if let Some(counts) =
            text.strip_prefix("Tests:").filter(|counts| text == line && counts.ends_with(" total"))
        {
            self.close(None, report);
            report.is_sure = true;
            report.tests(counts);
        } else if let Some(counts) = text.strip_prefix("Tests  ").filter(|_| counts_all(text)) {
            self.close(None, report);
            (report.kind, report.is_sure) = (Some("vitest"), true);
            report.tests(counts);
        } else if let Some(name) = text.strip_prefix("● ") {
            self.close(None, report);
            let is_test = name != "Console" && !name.starts_with("Console ");
            self.test = is_test.then(|| (name.to_owned(), String::new()));
        } else if let Some((_, name)) = text.strip_prefix("FAIL ").and_then(|rest| rest.split_once(" > ")) {
            self.close(None, report);
            self.test = Some((name.replace(" > ", " › "), String::new()));
        } else if let Some(suite) = text.strip_prefix("FAIL ").and_then(suite) {
            self.close(None, report);
            self.test = Some((suite.to_owned(), String::new()));
        } else if let Some((_, message)) = &mut self.test {
            if let Some(place) = place(text) {
                self.close(Some(place), report);
            } else if message.is_empty() && !text.is_empty() {
                text.clone_into(message);
            }
        }
    }

    fn finish(&mut self, report: &mut Report) {
        self.close(None, report);
    }
}

impl Jest {
    fn close(&mut self, place: Option<Place>, report: &mut Report) {
        let Some((test, message)) = self.test.take() else { return };
        let message = if message.is_empty() { test.clone() } else { format!("{test}: {message}") };
        // All failures are told again at the end.
        if report.problems.iter().all(|known| known.message != message) {
            report.error(place, &message);
        }
    }
}

/// Vitest's sum ends in the number of all: `Tests  1 failed | 3 passed (4)`.
fn counts_all(text: &str) -> bool {
    text.ends_with(')') && (text.contains(" passed") || text.contains(" failed") || text.contains(" skipped"))
}

/// Vitest's `test/a.test.ts [ test/a.test.ts ]`: a file that could not be loaded.
fn suite(text: &str) -> Option<&str> {
    let (file, rest) = text.trim_start().split_once(" [ ")?;
    (rest.strip_suffix(" ]") == Some(file)).then_some(file)
}

/// `at Object.toBe (test/a.test.js:7:138)`, `❯ test/a.test.ts:7:138`
fn place(text: &str) -> Option<Place<'_>> {
    let at = match text.strip_prefix("at ") {
        Some(frame) => frame.rsplit_once('(').map_or(frame, |(_, at)| at.trim_end_matches(')')),
        None => text.strip_prefix("❯ ")?.split(' ').next_back()?,
    };
    let (place, rest) = Place::read(at)?;
    (rest.is_empty() && !place.file.contains("node_modules") && !place.file.starts_with("node"))
        .then_some(place)
}
