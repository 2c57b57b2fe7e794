//! How a command reaches the shell: its text goes to a private file, and only a short line that
//! sources a wrapper is typed. So there is no echo of the text, no limit of a terminal's line, no
//! quoting, no unclosed quote that swallows what follows, and nothing in the history: the line begins
//! with a blank. Rejected: typing the text with a marker after it, which fails on each of these.
//!
//! For command N the files are `N`, the wrapper; `Nc`, the text; and where there is something to
//! prepare `Nb`, which sets variables and changes the directory; `Nr`, which undoes that; and `Ni`,
//! its standard input.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::shell::{quoted, quoted_bytes};
use crate::model::session::Dialect;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct HandoverCommand<'a> {
    /// Any text but NUL: several lines, here-documents, megabytes.
    pub text: &'a str,
    /// Variables that are exported for this command alone.
    pub env: &'a BTreeMap<String, String>,
    /// Variables that are exported before it, for good.
    pub exports: &'a BTreeMap<String, String>,
    /// Where this command alone runs, from the shell's own directory if relative. A command that
    /// leaves it moves the shell.
    pub directory: Option<&'a Path>,
    /// What it reads as standard input, instead of the terminal.
    pub stdin: Option<&'a str>,
}

/// Writes the files of command `number` into the session's private directory and returns the line to
/// type, with its end. The line assumes a fresh prompt: see [`clear_line`].
pub fn write(
    directory: &Path,
    dialect: Dialect,
    number: u64,
    command: &HandoverCommand<'_>,
) -> io::Result<Vec<u8>> {
    if dialect == Dialect::Plain {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "this program takes no commands by file"));
    }
    check(command)?;
    let file = |kind: &str| directory.join(format!("{number}{kind}"));
    let word = |kind: &str| quoted(&file(kind), dialect);
    save(&file("c"), &[command.text.as_bytes(), b"\n"].concat())?;
    if let Some(stdin) = command.stdin {
        save(&file("i"), stdin.as_bytes())?;
    }
    let prepared = !command.env.is_empty() || !command.exports.is_empty() || command.directory.is_some();
    if prepared {
        let script = Script::new(dialect, command);
        save(&file("b"), &script.prepare(&word("r")))?;
        save(&file("r"), &script.undo())?;
    }
    let words = Words { number, text: word("c"), before: word("b"), stdin: word("i") };
    save(&file(""), &words.wrapper(dialect, prepared, command.stdin.is_some()))?;
    let (source, end): (&[u8], &[u8]) = match dialect {
        Dialect::Fish => (b" source ", b"\r"),
        Dialect::Bash | Dialect::Zsh => (b" \\. ", b"\r"),
        // Read by the terminal's own line discipline, which a command may have left raw.
        Dialect::Posix | Dialect::Plain => (b" \\. ", b"\n"),
    };
    Ok([source, &word(""), end].concat())
}

/// Removes what [`write`] wrote, once the command has ended.
pub fn remove(directory: &Path, number: u64) {
    for kind in ["", "c", "b", "r", "i"] {
        // Most commands have no third file; and a directory that is gone has none at all.
        let _ = std::fs::remove_file(directory.join(format!("{number}{kind}")));
    }
}

/// What to type first when somebody may have typed at the prompt, or put its editor in a command mode:
/// Ctrl-C, which every shell takes in every mode to drop the line. A new prompt mark follows; wait for
/// it before typing on, because the terminal throws away what it holds at that moment.
pub fn clear_line() -> &'static [u8] {
    b"\x03"
}

fn check(command: &HandoverCommand<'_>) -> io::Result<()> {
    let invalid = |why: String| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    if command.text.contains('\0') {
        return invalid("a command cannot hold NUL".into());
    }
    if command.directory.is_some_and(|directory| directory.as_os_str().as_bytes().contains(&0)) {
        return invalid("a directory's name cannot hold NUL".into());
    }
    for (name, value) in command.env.iter().chain(command.exports) {
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
        if !is_name {
            return invalid(format!("`{name}` is not a name that a shell can export"));
        }
        if value.contains('\0') {
            return invalid(format!("the value of `{name}` cannot hold NUL"));
        }
    }
    Ok(())
}

fn save(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)
}

/// The files of one command, as words of its shell.
struct Words {
    number: u64,
    text: Vec<u8>,
    before: Vec<u8>,
    stdin: Vec<u8>,
}

impl Words {
    /// One line, because `set -v` shows lines as they are read: so it shows this one before the
    /// command's output begins. The calls' own traces (`set -x`) are thrown away with their stderr.
    fn wrapper(&self, dialect: Dialect, prepared: bool, with_stdin: bool) -> Vec<u8> {
        let number = self.number;
        let source: &[u8] = if dialect == Dialect::Fish { b"source " } else { b"\\. " };
        let mut run = [source, &self.text].concat();
        if with_stdin && dialect == Dialect::Fish {
            run = [b"begin; ".as_slice(), &run, b"; end <", &self.stdin].concat();
        } else if with_stdin {
            run = [&run, b" <".as_slice(), &self.stdin].concat();
        }
        if prepared && dialect == Dialect::Fish {
            run = [
                b"if source ".as_slice(),
                &self.before,
                b"; __shellherd_recall; ",
                &run,
                b"; else; __shellherd_fail; end",
            ]
            .concat();
        } else if prepared {
            run = [
                b"if \\. ".as_slice(),
                &self.before,
                b"; then { __shellherd_recall; } 2>/dev/null; ",
                &run,
                b"; else __shellherd_fail; fi",
            ]
            .concat();
        }
        let (begin, end) = if dialect == Dialect::Fish {
            (format!("__shellherd_begin {number}; "), format!("; __shellherd_end {number}\n"))
        } else {
            (
                format!("{{ __shellherd_begin {number}; }} 2>/dev/null; "),
                format!("; {{ __shellherd_end {number}; }} 2>/dev/null\n"),
            )
        };
        [begin.as_bytes(), &run, end.as_bytes()].concat()
    }
}

/// What a command needs to have prepared, and undone however it ends.
struct Script<'a> {
    dialect: Dialect,
    env: &'a BTreeMap<String, String>,
    exports: &'a BTreeMap<String, String>,
    directory: Option<PathBuf>,
}

impl<'a> Script<'a> {
    fn new(dialect: Dialect, command: &HandoverCommand<'a>) -> Self {
        // An explicit `./` keeps CDPATH and names like `-` out of it.
        let directory = command.directory.map(|path| Path::new(".").join(path));
        Self { dialect, env: command.env, exports: command.exports, directory }
    }

    fn cd(&self) -> &'static str {
        match self.dialect {
            Dialect::Bash | Dialect::Fish => "\\builtin cd",
            // Without the user's hooks for a change of directory.
            Dialect::Zsh => "\\builtin cd -q",
            Dialect::Posix | Dialect::Plain => "\\command cd",
        }
    }

    /// Keeps the old value of each variable beside the new one, then changes the directory. The undo
    /// file is announced first, so that it runs also when this fails half-way.
    fn prepare(&self, undo: &[u8]) -> Vec<u8> {
        if self.dialect == Dialect::Fish {
            return self.prepare_fish(undo);
        }
        let mut script = [b"__shellherd_undo=".as_slice(), undo, b"; __shellherd_at=\n"].concat();
        for (name, value) in self.exports {
            let word = quoted_bytes(value.as_bytes(), self.dialect);
            script.extend([b"\\export ".as_slice(), name.as_bytes(), b"=", &word, b"\n"].concat());
        }
        for (name, value) in self.env {
            let is_exported = match self.dialect {
                Dialect::Bash => format!("[[ ${{{name}@a}} == *x* ]]"),
                Dialect::Zsh => format!("[[ ${{(t){name}}} == *export* ]]"),
                Dialect::Fish | Dialect::Posix | Dialect::Plain => {
                    format!("case \"$(export -p)\" in *\"export {name}\"[=\\ ]*) ;; *) false ;; esac")
                }
            };
            script.extend(
                format!(
                    "__shellherd_had_{name}=\n\
                     case ${{{name}+set}} in set) __shellherd_old_{name}=${name}; __shellherd_had_{name}=shell\n\
                     if {is_exported}; then __shellherd_had_{name}=exported; fi ;; esac\n\
                     \\export {name}="
                )
                .into_bytes(),
            );
            script.extend(quoted_bytes(value.as_bytes(), self.dialect));
            script.extend(b" || return\n");
        }
        if let Some(directory) = &self.directory {
            script.extend(b"__shellherd_from=$PWD; __shellherd_oldpwd=${OLDPWD-}\n");
            let word = quoted(directory, self.dialect);
            script.extend([self.cd().as_bytes(), b" -- ", &word, b" || return\n"].concat());
            script.extend(b"__shellherd_at=$PWD\n");
        }
        script
    }

    fn undo(&self) -> Vec<u8> {
        if self.dialect == Dialect::Fish {
            return self.undo_fish();
        }
        let mut script = String::new();
        if self.directory.is_some() {
            let cd = self.cd();
            script.push_str(&format!(
                "case $PWD in \"$__shellherd_at\") {cd} -- \"$__shellherd_from\" >/dev/null; OLDPWD=$__shellherd_oldpwd ;; esac\n"
            ));
        }
        for name in self.env.keys() {
            script.push_str(&format!(
                "\\unset -v {name}\n\
                 case $__shellherd_had_{name} in\n\
                 exported) \\export {name}=\"$__shellherd_old_{name}\" ;;\n\
                 shell) {name}=$__shellherd_old_{name} ;;\n\
                 esac\n\
                 \\unset -v __shellherd_had_{name} __shellherd_old_{name}\n"
            ));
        }
        script.into_bytes()
    }

    fn prepare_fish(&self, undo: &[u8]) -> Vec<u8> {
        let mut script =
            [b"set -g __shellherd_undo ".as_slice(), undo, b"\nset -g __shellherd_at\n"].concat();
        for (name, value) in self.exports {
            let word = quoted_bytes(value.as_bytes(), self.dialect);
            script.extend([b"set -gx ".as_slice(), name.as_bytes(), b" ", &word, b"\n"].concat());
        }
        for (name, value) in self.env {
            script.extend(
                format!(
                    "set -g __shellherd_had_{name}\n\
                     if set -qg {name}; set -g __shellherd_old_{name} ${name}; set -g __shellherd_had_{name} -gu\n\
                     if set -qgx {name}; set -g __shellherd_had_{name} -gx; end; end\n\
                     set -gx {name} "
                )
                .into_bytes(),
            );
            script.extend(quoted_bytes(value.as_bytes(), self.dialect));
            script.extend(b"; or return 1\n");
        }
        if let Some(directory) = &self.directory {
            let word = quoted(directory, self.dialect);
            script.extend(b"set -g __shellherd_from $PWD\n");
            script.extend([b"builtin cd -- ".as_slice(), &word, b"; or return 1\n"].concat());
            script.extend(b"set -g __shellherd_at $PWD\n");
        }
        // A bare `set` above leaves its own status.
        script.extend(b"true\n");
        script
    }

    fn undo_fish(&self) -> Vec<u8> {
        let mut script = String::new();
        if self.directory.is_some() {
            script.push_str("if test \"$PWD\" = \"$__shellherd_at\"; builtin cd -- $__shellherd_from; end\n");
        }
        for name in self.env.keys() {
            script.push_str(&format!(
                "set -eg {name}\n\
                 if test -n \"$__shellherd_had_{name}\"; set $__shellherd_had_{name} {name} $__shellherd_old_{name}; end\n\
                 set -eg __shellherd_had_{name}; set -eg __shellherd_old_{name}\n"
            ));
        }
        script.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_shell_can_take_is_refused() {
        let directory = std::env::temp_dir();
        let refused = |text: &str, name: &str, dialect| {
            let env = BTreeMap::from([(name.to_owned(), String::new())]);
            let command =
                HandoverCommand { text, env: &env, exports: &BTreeMap::new(), directory: None, stdin: None };
            write(&directory, dialect, 0, &command).map_err(|error| error.kind())
        };
        assert_eq!(refused("a\0b", "A", Dialect::Bash), Err(io::ErrorKind::InvalidInput));
        for name in ["", "A-B", "1A", "A B", "A=B", "é"] {
            assert_eq!(refused("true", name, Dialect::Zsh), Err(io::ErrorKind::InvalidInput), "{name}");
        }
        assert_eq!(refused("true", "A", Dialect::Plain), Err(io::ErrorKind::Unsupported));
    }
}
