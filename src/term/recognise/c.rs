//! gcc, clang, and the linkers that they run.

use super::line::{Place, figures};
use super::{Family, Reader, Report};

pub(super) const FAMILY: Family = Family {
    kind: "gcc",
    programs: &["gcc", "g++", "cc", "c++", "clang", "clang++", "ld"],
    reader: || Box::new(C),
};

struct C;

const EXTENSIONS: &[&str] = &[
    "c", "cc", "cpp", "cxx", "h", "hh", "hpp", "hxx", "inc", "ipp", "tcc", "m", "mm", "S", "s", "cu", "cuh",
];

impl Reader for C {
    fn line(&mut self, line: &str, report: &mut Report) {
        if let Some((place, rest)) = Place::read(line)
            && let Some(rest) = rest.strip_prefix(": ")
            && place.has_extension(EXTENSIONS)
        {
            if let Some(message) = rest.strip_prefix("error: ").or(rest.strip_prefix("fatal error: ")) {
                report.is_sure = true;
                report.error(Some(place), message);
            } else if rest.starts_with("warning: ") {
                report.is_sure = true;
                report.warnings.see();
            }
            return;
        }
        if let Some((before, missing)) = line.split_once(": undefined reference to ") {
            // `main.c:(.text+0x5)`, behind the linker's name in newer ones.
            let file = before.rsplit(": ").next().and_then(|at| at.split(':').next()).unwrap_or_default();
            report.is_sure = true;
            report.error(Some(Place::of_file(file)), &format!("undefined reference to {missing}"));
        } else if line.starts_with("clang: error: linker command failed") {
            report.kind = Some("clang");
        } else if line.ends_with(" generated.") {
            // Clang's sum; gcc has none.
            let is_sum = |(_, word): (u64, &str)| word.starts_with("error") || word.starts_with("warning");
            if figures(line).next().is_some_and(is_sum) {
                report.kind = Some("clang");
            }
        }
    }
}
