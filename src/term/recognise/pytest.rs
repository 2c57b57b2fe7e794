//! pytest: the sum in its last line, and the places of failures.

use super::line::{Place, figures};
use super::{Family, Reader, Report};

pub(super) const FAMILY: Family =
    Family { kind: "pytest", programs: &["pytest", "py.test"], reader: || Box::<Pytest>::default() };

#[derive(Default)]
struct Pytest {
    /// The test whose failure is being told.
    test: Option<String>,
    /// What it failed of.
    message: String,
    /// In its short form, the place of the latest call: file, and line. What it failed of comes behind it.
    call: Option<(String, Option<u64>)>,
}

impl Reader for Pytest {
    fn line(&mut self, line: &str, report: &mut Report) {
        let bare = line.trim_matches('=');
        if bare.len() < line.len() && bare.starts_with(' ') {
            self.test = None;
            report.is_sure |= bare == " test session starts ";
            sum(bare.trim(), report);
        } else if let Some(title) = title(line) {
            self.test = Some(title.to_owned());
            self.message.clear();
            self.call = None;
        } else if let Some(test) = &self.test {
            if let Some(message) = line.strip_prefix("E  ") {
                if let Some((file, line)) = self.call.take() {
                    let place = Place { file: &file, line, column: None };
                    report.error(Some(place), &format!("{test}: {}", message.trim()));
                    self.test = None;
                } else if self.message.is_empty() {
                    message.trim().clone_into(&mut self.message);
                }
            } else if let Some((place, kind)) = Place::read(line)
                && let Some(kind) = kind.strip_prefix(": ")
                && !kind.is_empty()
                && place.has_extension(&["py"])
            {
                if self.message.is_empty() && kind.starts_with("in ") {
                    self.call = Some((place.file.to_owned(), place.line));
                    return;
                }
                let message = if self.message.is_empty() { kind } else { &self.message };
                report.error(Some(place), &format!("{test}: {message}"));
                self.test = None;
            }
        } else if report.problems.is_empty() || report.problems.iter().all(|known| known.line.is_none()) {
            short(line, report);
        }
        if bare.len() == line.len() && line.starts_with(|c: char| c.is_ascii_digit()) {
            sum(line, report);
        }
    }
}

/// `6 failed, 1074 passed in 1.50s`
fn sum(text: &str, report: &mut Report) {
    let Some((counts, time)) = text.rsplit_once(" in ") else { return };
    if !time.split(' ').next().is_some_and(|time| time.ends_with('s')) {
        return;
    }
    let (mut failed, mut errors) = (0, 0);
    for (number, word) in figures(counts) {
        match word {
            "passed" => report.passed.tell(number),
            "failed" => failed = number,
            "skipped" => report.skipped.tell(number),
            "error" | "errors" => errors = number,
            "warning" | "warnings" => report.warnings.tell(number),
            _ => {}
        }
    }
    report.failed.tell(failed);
    report.errors.tell(failed + errors);
}

/// The name in `____ test_adds[1] ____`.
fn title(line: &str) -> Option<&str> {
    let title = line.strip_prefix("___")?.strip_suffix("___")?.trim_matches('_');
    title.strip_prefix(' ')?.strip_suffix(' ')
}

/// `FAILED tests/test_a.py::test_adds - assert 1 == 2`: where no place was told before.
fn short(line: &str, report: &mut Report) {
    let (outcome, rest) = line.split_once(' ').unwrap_or_default();
    if !matches!(outcome, "FAILED" | "ERROR") {
        return;
    }
    let (id, message) = rest.split_once(" - ").unwrap_or((rest, outcome));
    let (file, test) = id.split_once("::").unwrap_or((id, ""));
    let place = Place::of_file(file);
    if place.has_extension(&["py"]) {
        let message = if test.is_empty() { message.to_owned() } else { format!("{test}: {message}") };
        report.error(Some(place), &message);
    }
}
