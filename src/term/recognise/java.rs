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
    /// What Maven is stopped by, should nothing else be an error.
    goal: Option<String>,
    /// The next line says what this test of Gradle's failed of.
    test: Option<String>,
}

impl Reader for Java {
    fn line(&mut self, line: &str, report: &mut Report) {
        if std::mem::take(&mut self.is_reason) {
            report.error(None, line);
        } else if let Some(test) = self.test.take() {
            match line.strip_prefix("    ").and_then(thrown) {
                Some((place, thrown)) => report.error(Some(place), &format!("{test}: {thrown}")),
                None => report.error(None, &test),
            }
        } else if let Some((class, test)) =
            line.strip_suffix(" FAILED").and_then(|test| test.split_once(" > "))
            && !class.contains(' ')
        {
            self.test = Some(format!("{class}.{test}"));
        } else if line.starts_with('[') {
            self.maven(line, report);
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

    fn finish(&mut self, report: &mut Report) {
        if let Some(goal) = self.goal.take().filter(|_| report.problems.is_empty()) {
            report.error(None, &goal);
        }
    }
}

/// `java.lang.AssertionError at CartTest.java:10`
fn thrown(text: &str) -> Option<(Place<'_>, &str)> {
    let (thrown, at) = text.rsplit_once(" at ")?;
    let (place, rest) = Place::read(at)?;
    rest.is_empty().then_some((place, thrown))
}

impl Java {
    /// A line of Maven's log.
    fn maven(&mut self, line: &str, report: &mut Report) {
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
            "ERROR" => self.error(text, report),
            "WARNING" if bracketed(text).is_some() => report.warnings.see(),
            _ => {}
        }
    }

    /// `/src/App.java:[5,9] cannot find symbol`, `  AppTest.adds:12 expected: <1> but was: <2>`
    fn error(&mut self, text: &str, report: &mut Report) {
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
        } else if let Some(reason) = text.strip_prefix("Failed to execute goal ") {
            self.goal.get_or_insert_with(|| reason.to_owned());
        }
    }
}

fn bracketed(text: &str) -> Option<(Place<'_>, &str)> {
    let (file, rest) = text.split_once(":[")?;
    let (at, message) = rest.split_once("] ")?;
    let (line, column) = at.split_once(',')?;
    let place = Place { file, line: Some(line.parse().ok()?), column: column.parse().ok() };
    (!file.contains(' ')).then_some((place, message))
}
