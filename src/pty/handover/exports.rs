//! What a shell has exported, kept for the one that takes its place when it dies.
//!
//! The shell writes it in its own words, by a builtin, after each command: after the mark of its end, so
//! that nobody waits for it, and into two files in turn, so that a shell that dies over it leaves the one
//! before. Behind a command that was aborted its hooks do the same, in shells whose prompt can run code. Rejected: to read `/proc/PID/environ`, which holds what the shell was started with; and to ask a
//! shell when it is needed, which is when it does not answer any more.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use crate::limits;
use crate::model::session::Dialect;
use crate::pty::shell::{quoted, quoted_bytes};

/// The file that a fresh shell finds its predecessor's in.
pub(in crate::pty) const TAKEN: &str = "x";
/// The two files that are written in turn.
const KEPT: [&str; 2] = ["x0", "x1"];
/// How their last line begins, which ends with the number of the command: without it one was not finished.
const LAST_LINE: &[u8] = b"# all ";

/// What stands behind a command's end mark in its wrapper. The status is left as it was.
pub(super) fn keep(directory: &Path, dialect: Dialect, number: u64) -> Vec<u8> {
    let file = quoted(&directory.join(KEPT[usize::from(number % 2 == 1)]), dialect);
    let number = number.to_string();
    let number = number.as_bytes();
    match dialect {
        Dialect::Fish => {
            [b"; __shellherd_keep ", number, b" >", &file, b" 2>/dev/null; __shellherd_recall\n"].concat()
        }
        // zsh takes `command` for a program of that name.
        Dialect::Bash | Dialect::Zsh | Dialect::Posix | Dialect::Plain => {
            let builtin: &[u8] =
                if matches!(dialect, Dialect::Bash | Dialect::Zsh) { b"builtin" } else { b"command" };
            [
                b"; { \\export -p; \\",
                builtin,
                b" printf '# all ",
                number,
                b"\\n'; } >|",
                &file,
                b" 2>/dev/null; { __shellherd_recall; } 2>/dev/null\n",
            ]
            .concat()
        }
    }
}

/// What the shell in this directory had exported after the last command that it could tell of; none if it
/// never was asked.
pub fn kept(directory: &Path) -> Option<Vec<u8>> {
    let newest = KEPT.iter().filter_map(|name| {
        let mut script = Vec::new();
        let file = fs::File::open(directory.join(name)).ok()?;
        file.take(limits::KEPT_ENVIRONMENT).read_to_end(&mut script).ok()?;
        // The clock of files may be too coarse to tell which one is newer.
        let number = last_line(&script)?;
        Some((number, script))
    });
    let (_, mut script) = newest.max_by_key(|(number, _)| *number)?;
    let whole = script.trim_ascii_end().iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    script.truncate(whole);
    Some(script)
}

/// The number of the command that a finished script was written after.
fn last_line(script: &[u8]) -> Option<u64> {
    let line = script.strip_suffix(b"\n")?.rsplit(|byte| *byte == b'\n').next()?;
    std::str::from_utf8(line.strip_prefix(LAST_LINE)?).ok()?.parse().ok()
}

/// Puts it where the hooks of a fresh shell look for it.
pub fn give(directory: &Path, script: &[u8]) -> io::Result<()> {
    super::save(&directory.join(TAKEN), script)
}

/// A script like the ones that shells write, for a fresh shell, which also takes variables away that it
/// started with; none if there is nothing to do.
pub fn script(
    exported: &BTreeMap<String, String>,
    unset: &BTreeSet<String>,
    dialect: Dialect,
) -> Option<Vec<u8>> {
    if (exported.is_empty() && unset.is_empty()) || dialect == Dialect::Plain {
        return None;
    }
    let set: (&[u8], &[u8]) =
        if dialect == Dialect::Fish { (b"set -gx ", b" ") } else { (b"\\export ", b"=") };
    let mut script = unsetting(unset, dialect);
    for (name, value) in exported {
        let word = quoted_bytes(value.as_bytes(), dialect);
        script.extend([set.0, name.as_bytes(), set.1, &word, b"\n"].concat());
    }
    Some(script)
}

/// Lines that take variables away. Where one is read-only the others go all the same.
pub fn unsetting(unset: &BTreeSet<String>, dialect: Dialect) -> Vec<u8> {
    let word = match dialect {
        Dialect::Fish => "set -eg ",
        Dialect::Bash | Dialect::Zsh => "\\builtin unset -v ",
        Dialect::Posix | Dialect::Plain => "\\command unset -v ",
    };
    unset.iter().flat_map(|name| format!("{word}{name}\n").into_bytes()).collect()
}

/// The variables in a script that a shell wrote. Those without a value, or with one that is no text, are
/// only named.
pub fn exported(script: &[u8], dialect: Dialect) -> BTreeMap<String, Option<String>> {
    let mut words = Words { rest: script, dialect };
    let mut found = BTreeMap::new();
    while let Some(line) = words.line() {
        // `declare -x NAME=VALUE` and the like, or `set -gx NAME VALUE`, where a list has several; zsh ties
        // PATH and others to arrays: `export -T NAME name=( VALUE VALUE ) SEPARATOR`.
        let pair = match line.as_slice() {
            [mark, ..] if mark == b"#" => None,
            [_, flag, name, _, tied @ ..] if flag == b"-T" => Some((name.clone(), joined(tied))),
            [_, _, name, values @ ..] if dialect == Dialect::Fish => {
                // As fish itself hands lists on.
                let separator = if name.ends_with(b"PATH") { b':' } else { b' ' };
                Some((name.clone(), Some(values.join(&separator))))
            }
            [_, .., last] => {
                let cut = last.iter().position(|byte| *byte == b'=');
                let value = cut.map(|cut| last[cut + 1..].to_vec());
                Some((last[..cut.unwrap_or(last.len())].to_vec(), value))
            }
            [_] | [] => None,
        };
        if let Some((name, value)) = pair
            && let Ok(name) = String::from_utf8(name)
        {
            found.insert(name, value.and_then(|value| String::from_utf8(value).ok()));
        }
    }
    found
}

/// The value of a variable that is tied to an array, which is printed up to a `)`. Without a word behind that
/// its separator is `:`.
fn joined(printed: &[Vec<u8>]) -> Option<Vec<u8>> {
    match printed {
        [elements @ .., end] if end == b")" => Some(elements.join(&b':')),
        [elements @ .., end, separator] if end == b")" => Some(elements.join(separator.as_slice())),
        _ => None,
    }
}

/// Takes a script apart as the shell that wrote it would read it: the quotes that it prints, and no more.
struct Words<'a> {
    rest: &'a [u8],
    dialect: Dialect,
}

impl Words<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// The words up to the end of the line; none at the end of the script.
    fn line(&mut self) -> Option<Vec<Vec<u8>>> {
        if self.rest.is_empty() {
            return None;
        }
        let mut words = Vec::new();
        let mut word: Option<Vec<u8>> = None;
        while let Some(byte) = self.next().filter(|byte| *byte != b'\n') {
            if byte == b' ' {
                words.extend(word.take());
                continue;
            }
            let word = word.get_or_insert_default();
            match byte {
                b'\'' => self.single(word),
                b'"' => self.double(word),
                b'$' if self.rest.first() == Some(&b'\'') => {
                    self.next();
                    self.escaped(word);
                }
                b'\\' if self.dialect == Dialect::Fish => word.extend(self.escape()),
                b'\\' => word.extend(self.next()),
                other => word.push(other),
            }
        }
        words.extend(word);
        Some(words)
    }

    /// Behind `'`, where only fish escapes anything.
    fn single(&mut self, word: &mut Vec<u8>) {
        while let Some(byte) = self.next().filter(|byte| *byte != b'\'') {
            let is_escape = byte == b'\\' && self.dialect == Dialect::Fish;
            match self.rest.first() {
                Some(&next @ (b'\'' | b'\\')) if is_escape => {
                    self.next();
                    word.push(next);
                }
                Some(_) | None => word.push(byte),
            }
        }
    }

    /// Behind `"`.
    fn double(&mut self, word: &mut Vec<u8>) {
        while let Some(byte) = self.next().filter(|byte| *byte != b'"') {
            match (byte, self.rest.first()) {
                (b'\\', Some(&next @ (b'"' | b'\\' | b'$' | b'`'))) => {
                    self.next();
                    word.push(next);
                }
                (_, Some(_) | None) => word.push(byte),
            }
        }
    }

    /// Behind `$'`.
    fn escaped(&mut self, word: &mut Vec<u8>) {
        while let Some(byte) = self.next().filter(|byte| *byte != b'\'') {
            if byte == b'\\' { word.extend(self.escape()) } else { word.push(byte) }
        }
    }

    /// Behind a backslash that escapes.
    fn escape(&mut self) -> Option<u8> {
        let byte = self.next()?;
        Some(match byte {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'a' => 7,
            b'b' => 8,
            b'e' | b'E' => 27,
            b'f' => 12,
            b'v' => 11,
            b'c' => self.next()? & 0x1f,
            b'C' if self.rest.first() == Some(&b'-') => {
                self.next();
                self.next()? & 0x1f
            }
            b'x' | b'X' => self.digits(0, 2, 16),
            b'0'..=b'7' => self.digits(byte - b'0', 2, 8),
            other => other,
        })
    }

    /// A number that goes on from `begun` with up to so many digits.
    fn digits(&mut self, begun: u8, most: usize, radix: u8) -> u8 {
        let mut number = begun;
        for _ in 0..most {
            let digit = self.rest.first().and_then(|byte| char::from(*byte).to_digit(u32::from(radix)));
            let Some(digit) = digit.and_then(|digit| u8::try_from(digit).ok()) else { break };
            self.next();
            number = number.wrapping_mul(radix).wrapping_add(digit);
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shell_says_in_its_own_words_what_it_exported() {
        let check = |dialect: Dialect, script: &str| {
            let found = exported(script.as_bytes(), dialect);
            let value = |name: &str| found.get(name).and_then(Option::as_deref);
            assert_eq!(value("A"), Some("a\nb\t\u{1}'\"$é\\ x"), "{dialect:?}: {found:?}");
            assert_eq!(value("B"), Some("plain"), "{dialect:?}");
            assert_eq!(value("C"), Some("two words"), "{dialect:?}");
            assert_eq!(value("D"), None, "{dialect:?}");
            let named: Vec<&str> = found.keys().map(String::as_str).collect();
            let has_valueless = dialect != Dialect::Zsh && dialect != Dialect::Fish;
            assert_eq!(named, ["A", "B", "C", "D"][..3 + usize::from(has_valueless)], "{dialect:?}");
        };
        let bash = r#"declare -x A=$'a\nb\t\001\'"$é\\ x'
declare -x B="plain"
declare -rx C="two words"
declare -x D
# all
"#;
        check(Dialect::Bash, bash);
        let zsh = r#"export A=$'a\nb\t\C-A\'"$é\\ x'
export B=plain
export -T C c=( two words ) ' '
# all
"#;
        check(Dialect::Zsh, zsh);
        let tied =
            exported(b"export -T PATH path=( '/a b' /bin '' )\nexport -T NONE none=(  )\n", Dialect::Zsh);
        let value = |value: &str| Some(value.to_owned());
        let lists = exported(b"set -gx PATH /a\\ b /bin\nset -gx LIST a b\n", Dialect::Fish);
        let wanted = [("PATH".to_owned(), value("/a b:/bin")), ("LIST".to_owned(), value("a b"))];
        assert_eq!(lists, BTreeMap::from(wanted));
        let wanted = [("PATH".to_owned(), value("/a b:/bin:")), ("NONE".to_owned(), value(""))];
        assert_eq!(tied, BTreeMap::from(wanted));
        let dash = "export A='a\nb\t\u{1}'\"'\"'\"$é\\ x'\nexport B='plain'\nexport C='two words'\nexport D\n# all\n";
        check(Dialect::Posix, dash);
        let fish = r#"set -gx A a\nb\t\ca\'\"\$é\\\ x
set -gx B plain
set -gx C two words
# all
"#;
        check(Dialect::Fish, fish);
    }

    #[test]
    fn a_script_of_ours_is_read_as_it_was_meant() {
        let given = [("A", "a\nb'\"$é\\ x"), ("B", ""), ("PATH", "/bin:/x y")];
        let given: BTreeMap<String, String> =
            given.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        for dialect in [Dialect::Bash, Dialect::Zsh, Dialect::Posix, Dialect::Fish] {
            let script = script(&given, &BTreeSet::new(), dialect).unwrap();
            let told = given.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect();
            assert_eq!(exported(&script, dialect), told, "{dialect:?}");
        }
        assert_eq!(script(&BTreeMap::new(), &BTreeSet::new(), Dialect::Bash), None);
        assert_eq!(script(&given, &BTreeSet::new(), Dialect::Plain), None);
    }

    #[test]
    fn what_was_not_finished_is_not_taken() {
        let directory = std::env::temp_dir().join(format!("shellherd-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir_all(&directory).unwrap();
        assert_eq!(kept(&directory), None);
        fs::write(directory.join("x0"), "export A=1\nexport B=2\n# all 8\n").unwrap();
        fs::write(directory.join("x1"), "export A=2\nexpo").unwrap();
        let all: &[u8] = b"export A=1\nexport B=2\n";
        assert_eq!(kept(&directory).as_deref(), Some(all));
        fs::write(directory.join("x1"), "export A=2\n# all 9").unwrap();
        assert_eq!(kept(&directory).as_deref(), Some(all));
        fs::write(directory.join("x1"), "# all 9\n").unwrap();
        assert_eq!(kept(&directory).as_deref(), Some(b"".as_slice()), "nothing is exported any more");
        fs::write(directory.join("x0"), "export A=3\n# all 10\n").unwrap();
        assert_eq!(kept(&directory).as_deref(), Some(b"export A=3\n".as_slice()), "10 comes after 9");
        fs::remove_dir_all(&directory).unwrap();
    }
}
