//! tsc, plain and pretty.

use super::line::{Place, figures, number};
use super::{Family, Reader, Report};

pub(super) const FAMILY: Family =
    Family { kind: "tsc", programs: &["tsc", "vue-tsc"], reader: || Box::new(TypeScript) };

struct TypeScript;

impl Reader for TypeScript {
    fn line(&mut self, line: &str, report: &mut Report) {
        if let Some((before, rest)) = line.split_once("error TS") {
            let Some((code, rest)) = number(rest) else { return };
            let Some(message) = rest.strip_prefix(": ") else { return };
            let place = plain(before).or_else(|| pretty(before));
            if place.is_none() && !before.is_empty() {
                return;
            }
            report.is_sure = true;
            report.error(place, &format!("{message} [TS{code}]"));
        } else if report.is_sure && line.starts_with("Found ") {
            let told = figures(line).find(|(_, word)| word.starts_with("error"));
            if let Some((number, _)) = told {
                report.errors.tell_all(number);
            }
        }
    }
}

/// `src/a.ts(2,53): `
fn plain(text: &str) -> Option<Place<'_>> {
    let (file, rest) = text.strip_suffix("): ")?.rsplit_once('(')?;
    let (line, column) = rest.split_once(',')?;
    Some(Place { file, line: Some(line.parse().ok()?), column: column.parse().ok() })
}

/// `src/a.ts:2:53 - `
fn pretty(text: &str) -> Option<Place<'_>> {
    let (place, rest) = Place::read(text)?;
    (rest == " - ").then_some(place)
}
