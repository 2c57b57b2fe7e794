//! terraform and tofu: errors in their boxes, or without.

use super::line::{Place, number};
use super::{Family, Reader, Report};

pub(super) const FAMILY: Family =
    Family { kind: "terraform", programs: &["terraform", "tofu"], reader: || Box::<Terraform>::default() };

#[derive(Default)]
struct Terraform {
    error: Option<String>,
}

impl Reader for Terraform {
    fn line(&mut self, line: &str, report: &mut Report) {
        let text = line.strip_prefix('│').map_or(line, str::trim_start);
        let is_boxed = text.len() < line.len();
        let text = text.trim_start();
        if let Some(message) = text.strip_prefix("Error: ").filter(|_| is_boxed || text == line) {
            self.finish(report);
            report.is_sure |= is_boxed;
            self.error = Some(message.to_owned());
        } else if is_boxed && text.starts_with("Warning: ") {
            report.is_sure = true;
            report.warnings.see();
        } else if let Some(place) = self.error.as_ref().and_then(|_| place(text)) {
            let message = self.error.take().unwrap_or_default();
            report.is_sure = true;
            report.error(Some(place), &message);
        }
    }

    fn finish(&mut self, report: &mut Report) {
        if let Some(message) = self.error.take() {
            report.error(None, &message);
        }
    }
}

/// `on main.tf line 3, in resource "x" "y":`
fn place(text: &str) -> Option<Place<'_>> {
    let (file, rest) = text.strip_prefix("on ")?.split_once(" line ")?;
    let (line, _) = number(rest)?;
    Some(Place { file, line: Some(line), column: None })
}
