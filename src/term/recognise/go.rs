//! go build, go vet and go test.

use super::line::Place;
use super::{Family, Reader, Report};

pub(super) const FAMILY: Family = Family { kind: "go", programs: &["go"], reader: || Box::<Go>::default() };

/// Lines of a test that are kept until it is known that it failed.
const LINES: usize = 8;

#[derive(Default)]
struct Go {
    /// What a test said whose end has not come yet.
    said: Vec<String>,
    failed: Option<String>,
    /// The lines are a compiler's, about a package.
    is_package: bool,
}

impl Reader for Go {
    fn line(&mut self, line: &str, report: &mut Report) {
        if let Some(rest) = line.strip_prefix("--- ") {
            self.outcome(rest, report);
        } else if line.starts_with("=== RUN ") {
            (self.said, self.failed) = (Vec::new(), None);
        } else if line.starts_with("ok  \t") || line.starts_with("FAIL\t") || line.starts_with("?   \t") {
            (self.failed, self.is_package) = (None, false);
            report.is_sure = true;
        } else if line.starts_with("# ") {
            self.is_package = true;
        } else if let Some(text) = line.strip_prefix("    ") {
            self.said(text.trim_start(), report);
        } else if let Some((place, message)) = Place::read(line.trim_start_matches("vet: "))
            && let Some(message) = message.strip_prefix(": ")
            && place.has_extension(&["go"])
        {
            report.is_sure |= self.is_package;
            report.error(Some(place), message);
        }
    }
}

impl Go {
    /// `PASS: TestTotal (0.00s)`
    fn outcome(&mut self, text: &str, report: &mut Report) {
        let Some((outcome, name)) = text.split_once(": ") else { return };
        let Some((name, _)) = name.split_once(" (").filter(|(_, time)| time.ends_with("s)")) else { return };
        self.failed = None;
        let said = std::mem::take(&mut self.said);
        match outcome {
            "PASS" => report.passed.see(),
            "SKIP" => report.skipped.see(),
            "FAIL" => {
                report.failed.see();
                for line in &said {
                    problem(name, line, report);
                }
                self.failed = Some(name.to_owned());
            }
            _ => return,
        }
        report.is_sure = true;
    }

    fn said(&mut self, text: &str, report: &mut Report) {
        match &self.failed {
            Some(name) => problem(name, text, report),
            None if self.said.len() < LINES => self.said.push(text.to_owned()),
            None => {}
        }
    }
}

fn problem(test: &str, line: &str, report: &mut Report) {
    if let Some((place, message)) = Place::read(line)
        && let Some(message) = message.strip_prefix(": ")
        && place.has_extension(&["go"])
    {
        report.error(Some(place), &format!("{test}: {message}"));
    }
}
