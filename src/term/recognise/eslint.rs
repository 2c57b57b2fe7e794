//! The linter eslint in its default form: a file, then its problems, then a sum.

use super::line::{Place, figures, number};
use super::{Family, Reader, Report};

pub(super) const FAMILY: Family =
    Family { kind: "eslint", programs: &["eslint"], reader: || Box::<Eslint>::default() };

#[derive(Default)]
struct Eslint {
    file: String,
}

impl Reader for Eslint {
    fn line(&mut self, line: &str, report: &mut Report) {
        if let Some(sum) = line.strip_prefix("✖ ").filter(|sum| sum.contains(" problem")) {
            report.is_sure = true;
            for (number, word) in figures(sum) {
                match word {
                    "error" | "errors" => report.errors.tell_all(number),
                    "warning" | "warnings" => report.warnings.tell_all(number),
                    _ => {}
                }
            }
        } else if !line.starts_with(' ') {
            self.file.clear();
            if line.contains(['/', '\\', '.']) {
                self.file.push_str(line);
            }
        } else if !self.file.is_empty() {
            self.problem(line.trim_start(), report);
        }
    }
}

impl Eslint {
    /// `1:5   warning  'x' is not used  no-unused-vars`
    fn problem(&self, line: &str, report: &mut Report) {
        let Some((row, rest)) = number(line) else { return };
        let Some((column, rest)) = rest.strip_prefix(':').and_then(number) else { return };
        let rest = rest.trim_start();
        if rest.starts_with("warning  ") {
            report.warnings.see();
        } else if let Some(text) = rest.strip_prefix("error  ") {
            let place = Place { file: &self.file, line: Some(row), column: Some(column) };
            let text = text.trim_start();
            let message = match text.rsplit_once("  ") {
                Some((message, rule)) => format!("{} [{rule}]", message.trim_end()),
                None => text.to_owned(),
            };
            report.error(Some(place), &message);
        }
    }
}
