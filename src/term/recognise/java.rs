//! Maven, Gradle, and javac as they run it.

use super::line::{Place, figures, number, number_after};
use super::{Family, Reader, Report};

pub(super) const FAMILY: Family = Family {
    kind: "javac",
    programs: &["mvn", "mvnw", "mvnd", "gradle", "gradlew", "javac"],
    reader: || Box::<Java>::default(),
};

#[derive(Default)]
struct Java {
    /// The next line says what Gradle is stopped by.
    is_reason: bool,
}

impl Reader for Java {
    fn line(&mut self, line: &str, report: &mut Report) {
        if std::mem::take(&mut self.is_reason) {
            report.error(None, line);
        } else if line.starts_with('[') {
            maven(line, report);
        } else if line.starts_with("BUILD SUCCESSFUL in ") || line.starts_with("BUILD FAILED in ") {
            (report.kind, report.is_sure) = (Some("gradle"), true);
        } else if line == "* What went wrong:" {
            self.is_reason = report.problems.is_empty();
        } else if let Some((_, rest)) =
            line.split_once(" completed").filter(|(tests, _)| tests.contains(" test"))
        {
            // `12 tests completed, 1 failed, 2 skipped`
            if let Some((all, _)) = number(line) {
                report.tests(rest);
                let others = report.failed.get(false) + report.skipped.get(false);
                report.passed.tell(all.saturating_sub(others));
            }
        } else if let Some((place, rest)) = Place::read(line.trim_start_matches("e: file://"))
            && place.has_extension(&["java", "kt"])
        {
            if let Some(message) = rest.strip_prefix(": error: ") {
                report.is_sure = true;
                report.error(Some(place), message);
            } else if rest.starts_with(": warning: ") {
                report.warnings.see();
            } else if line.starts_with("e: ") {
                report.error(Some(place), rest);
            }
        } else if let Some((_, word)) = figures(line).next().filter(|_| report.kind.is_none()) {
            // javac's own sum: `2 errors`.
            report.is_sure |=
                line.ends_with(word) && word.starts_with("error") && !report.problems.is_empty();
        }
    }
}

/// A line of Maven's log.
fn maven(line: &str, report: &mut Report) {
    let Some((level, text)) = line[1..].split_once("] ") else { return };
    if text.starts_with("BUILD SUCCESS") || text.starts_with("BUILD FAILURE") {
        (report.kind, report.is_sure) = (Some("maven"), true);
    }
    // Those of one class come with the time that it took, or with its name.
    if text.starts_with("Tests run: ") && !text.contains("Time elapsed") && !text.contains(" in ") {
        let count = |name: &str| number_after(text, name).unwrap_or(0);
        let failed = count("Failures: ") + count("Errors: ");
        let skipped = count("Skipped: ");
        report.failed.tell(failed);
        report.skipped.tell(skipped);
        report.passed.tell(count("Tests run: ").saturating_sub(failed + skipped));
    }
    match level {
        "ERROR" => error(text, report),
        "WARNING" if bracketed(text).is_some() => report.warnings.see(),
        _ => {}
    }
}

/// `/src/App.java:[5,9] cannot find symbol`, `  AppTest.adds:12 expected: <1> but was: <2>`
fn error(text: &str, report: &mut Report) {
    if let Some((place, message)) = bracketed(text) {
        report.error(Some(place), message);
    } else if let Some(test) = text.strip_prefix("  ") {
        let mut parts = test.splitn(2, ':');
        let (Some(name), Some(rest)) = (parts.next(), parts.next()) else { return };
        let Some((line, message)) = number(rest) else { return };
        let (class, _) = name.split_once('.').unwrap_or((name, ""));
        if !name.contains(' ') && message.starts_with(' ') {
            let place = Place { file: class, line: Some(line), column: None };
            report.error(Some(place), &format!("{name}:{message}"));
        }
    } else if let Some(reason) =
        text.strip_prefix("Failed to execute goal ").filter(|_| report.problems.is_empty())
    {
        report.error(None, reason);
    }
}

fn bracketed(text: &str) -> Option<(Place<'_>, &str)> {
    let (file, rest) = text.split_once(":[")?;
    let (at, message) = rest.split_once("] ")?;
    let (line, column) = at.split_once(',')?;
    let place = Place { file, line: Some(line.parse().ok()?), column: column.parse().ok() };
    (!file.contains(' ')).then_some((place, message))
}
