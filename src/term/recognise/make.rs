//! make: what it could not make.

use super::line::Place;
use super::{Family, Reader, Report};

pub(super) const FAMILY: Family =
    Family { kind: "make", programs: &["make", "gmake"], reader: || Box::new(Make) };

struct Make;

impl Reader for Make {
    fn line(&mut self, line: &str, report: &mut Report) {
        let Some(rest) = line.strip_prefix("make").or_else(|| line.strip_prefix("gmake")) else {
            makefile(line, report);
            return;
        };
        // `make[2]: *** [Makefile:3: app] Error 1`
        let level = rest.find(':').unwrap_or(0);
        let is_level =
            level == 0 || rest[..level].trim_matches(['[', ']']).bytes().all(|byte| byte.is_ascii_digit());
        let Some(message) = rest[level..].strip_prefix(": *** ").filter(|_| is_level) else { return };
        report.is_sure = true;
        let place = message.strip_prefix('[').and_then(Place::read);
        match place {
            Some((place, target)) => {
                report.error(Some(place), &format!("[{}", target.trim_start_matches([':', ' '])));
            }
            None => report.error(None, message.trim_end_matches("  Stop.")),
        }
    }
}

/// What it says of the makefile itself.
fn makefile(line: &str, report: &mut Report) {
    let Some((place, rest)) = Place::read(line) else { return };
    if let Some(message) = rest.strip_prefix(": *** ") {
        report.is_sure = true;
        report.error(Some(place), message.trim_end_matches("  Stop."));
    }
}
