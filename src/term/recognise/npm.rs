//! npm: what it installed, and why it failed.

use super::{Family, Reader, Report};

pub(super) const FAMILY: Family =
    Family { kind: "npm", programs: &["npm", "npx"], reader: || Box::<Npm>::default() };

/// Lines of one failure that make its message.
const MESSAGE_LINES: usize = 3;
/// Fields of an error that tell of the machine.
const DETAILS: &[&str] = &["errno", "syscall", "path", "command", "location", "workspace", "A complete log"];

#[derive(Default)]
struct Npm {
    message: Vec<String>,
}

impl Reader for Npm {
    fn line(&mut self, line: &str, report: &mut Report) {
        // A spinner may stand before it.
        let line = line.trim_start_matches(|c: char| ('\u{2800}'..='\u{28ff}').contains(&c));
        let Some(rest) = line.strip_prefix("npm ") else { return };
        if rest.starts_with("warn ") || rest.starts_with("WARN ") {
            report.warnings.see();
            report.is_sure = true;
        } else if let Some(text) = rest.strip_prefix("error ").or_else(|| rest.strip_prefix("ERR! ")) {
            report.is_sure |= text.starts_with("code ");
            let text = text.trim();
            let is_news = !DETAILS.iter().any(|detail| text.starts_with(detail)) && !text.is_empty();
            if is_news && self.message.len() < MESSAGE_LINES {
                self.message.push(text.to_owned());
            }
        }
    }

    fn finish(&mut self, report: &mut Report) {
        if !self.message.is_empty() {
            report.error(None, &self.message.join("; "));
        }
    }
}
