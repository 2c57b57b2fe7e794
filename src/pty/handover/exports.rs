//! What a shell has exported, kept for the one that takes its place when it dies.
//!
//! The shell writes it in its own words, by a builtin, after each command: after the mark of its end, so
//! that nobody waits for it, and into two files in turn, so that a shell that dies over it leaves the one
//! before. Rejected: to read `/proc/PID/environ`, which holds what the shell was started with; and to ask a
//! shell when it is needed, which is when it does not answer any more.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use crate::limits;
use crate::model::session::Dialect;
use crate::pty::shell::quoted;

/// The file that a fresh shell finds its predecessor's in.
pub(in crate::pty) const TAKEN: &str = "x";
/// The two files that are written in turn.
const KEPT: [&str; 2] = ["x0", "x1"];
/// Their last line: without it one was not finished.
const LAST_LINE: &[u8] = b"# all\n";

/// What stands behind a command's end mark in its wrapper. The status is left as it was.
pub(super) fn keep(directory: &Path, dialect: Dialect, number: u64) -> Vec<u8> {
    let file = quoted(&directory.join(KEPT[usize::from(number % 2 == 1)]), dialect);
    let (before, after): (&[u8], &[u8]) = match dialect {
        Dialect::Fish => (b"; __shellherd_keep >", b" 2>/dev/null; __shellherd_recall\n"),
        // zsh takes `command` for a program of that name.
        Dialect::Bash | Dialect::Zsh => (
            b"; { \\export -p; \\builtin printf '# all\\n'; } >|",
            b" 2>/dev/null; { __shellherd_recall; } 2>/dev/null\n",
        ),
        Dialect::Posix | Dialect::Plain => (
            b"; { \\export -p; \\command printf '# all\\n'; } >|",
            b" 2>/dev/null; { __shellherd_recall; } 2>/dev/null\n",
        ),
    };
    [before, &file, after].concat()
}

/// What the shell in this directory had exported after its last command; none if it never was asked.
pub fn kept(directory: &Path) -> Option<Vec<u8>> {
    let mut files: Vec<_> = KEPT
        .iter()
        .filter_map(|name| {
            let path = directory.join(name);
            Some((fs::metadata(&path).ok()?.modified().ok()?, path))
        })
        .collect();
    files.sort();
    files.into_iter().rev().find_map(|(_, path)| {
        let mut script = Vec::new();
        fs::File::open(path).ok()?.take(limits::KEPT_ENVIRONMENT).read_to_end(&mut script).ok()?;
        script.ends_with(LAST_LINE).then_some(script)
    })
}

/// Puts it where the hooks of a fresh shell look for it.
pub fn give(directory: &Path, script: &[u8]) -> io::Result<()> {
    super::save(&directory.join(TAKEN), script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_finished_is_not_taken() {
        let directory = std::env::temp_dir().join(format!("shellherd-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir_all(&directory).unwrap();
        assert_eq!(kept(&directory), None);
        fs::write(directory.join("x0"), "export A=1\n# all\n").unwrap();
        fs::write(directory.join("x1"), "export A=2\nexpo").unwrap();
        assert_eq!(kept(&directory).as_deref(), Some(b"export A=1\n# all\n".as_slice()));
        fs::remove_dir_all(&directory).unwrap();
    }
}
