//! ruff and mypy.

use super::line::{Place, figures};
use super::{Family, Reader, Report};

pub(super) const RUFF: Family =
    Family { kind: "ruff", programs: &["ruff"], reader: || Box::<Ruff>::default() };
pub(super) const MYPY: Family =
    Family { kind: "mypy", programs: &["mypy", "dmypy"], reader: || Box::new(Mypy) };

const EXTENSIONS: &[&str] = &["py", "pyi", "ipynb"];

#[derive(Default)]
struct Ruff {
    /// The head of a finding whose place is on the next line.
    head: Option<String>,
    findings: bool,
}

impl Reader for Ruff {
    fn line(&mut self, line: &str, report: &mut Report) {
        if let Some(head) = self.head.take()
            && let Some((place, "")) = line.trim_start().strip_prefix("--> ").and_then(Place::read)
        {
            self.findings = true;
            report.error(Some(place), &head);
        } else if let Some(sum) = line.strip_prefix("Found ") {
            let told = figures(sum).find(|(_, word)| matches!(*word, "error" | "errors"));
            if let Some((number, _)) = told.filter(|_| self.findings) {
                report.is_sure = true;
                report.errors.tell_all(number);
            }
        } else if let Some((place, rest)) = Place::read(line)
            && let Some(text) = rest.strip_prefix(": ")
            && place.has_extension(EXTENSIONS)
            && let Some(message) = coded(text)
        {
            self.findings = true;
            report.error(Some(place), &message);
        } else {
            self.head = coded(line);
        }
    }
}

/// A finding's message in `E401 [*] Multiple imports on one line`.
fn coded(text: &str) -> Option<String> {
    let (code, message) = text.split_once(' ')?;
    let letters = code.bytes().take_while(u8::is_ascii_uppercase).count();
    let digits = code.bytes().skip(letters).take_while(u8::is_ascii_digit).count();
    let is_rule = (1..=4).contains(&letters) && (3..=4).contains(&digits) && letters + digits == code.len();
    let is_syntax = code == "invalid-syntax:" || code == "SyntaxError:";
    (is_rule || is_syntax).then(|| {
        let code = code.trim_end_matches(':');
        format!("{} [{code}]", message.strip_prefix("[*] ").unwrap_or(message))
    })
}

struct Mypy;

impl Reader for Mypy {
    fn line(&mut self, line: &str, report: &mut Report) {
        if let Some((place, rest)) = Place::read(line)
            && let Some(message) = rest.strip_prefix(": error: ")
            && place.has_extension(EXTENSIONS)
        {
            report.error(Some(place), message);
        } else if line.starts_with("Found ")
            && (line.contains(" (checked ") || line.ends_with(" (errors prevented further checking)"))
        {
            report.is_sure = true;
            if let Some((number, _)) = figures(line).next() {
                report.errors.tell_all(number);
            }
        }
    }
}
