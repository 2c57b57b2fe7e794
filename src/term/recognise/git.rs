//! git: conflicts, refusals, and what it calls an error.

use super::line::Place;
use super::{Family, Reader, Report};

pub(super) const FAMILY: Family = Family { kind: "git", programs: &["git"], reader: || Box::new(Git) };

struct Git;

impl Reader for Git {
    fn line(&mut self, line: &str, report: &mut Report) {
        if let Some(rest) = line.strip_prefix("CONFLICT (") {
            let file = rest.rsplit_once("Merge conflict in ").map_or("", |(_, file)| file);
            report.is_sure |= rest.contains("): ");
            report.error(Some(Place::of_file(file)), line);
        } else if let Some(message) = line.strip_prefix("fatal: ").or_else(|| line.strip_prefix("error: ")) {
            report.error(None, message);
        } else if let Some(refused) = line.strip_prefix(" ! [") {
            report.error(None, &format!("[{refused}"));
        } else if line.starts_with("warning: ") {
            report.warnings.see();
        }
    }
}
