//! How a command reaches the shell: its text goes to a private file, and only a short line that
//! sources a wrapper is typed. So there is no echo of the text, no limit of a terminal's line, no
//! quoting, no unclosed quote that swallows what follows, and nothing in the history: the line begins
//! with a blank. Rejected: typing the text with a marker after it, which fails on each of these.
//!
//! The hooks are armed again with each command's begin and end. What stays unseen is the end of a command
//! that takes the prompt hook away (`PROMPT_COMMAND=`) and is then aborted, so that it never comes to its
//! own end mark: the shell is at its prompt, and all that is known is that it waits for input, which is
//! reported. Rejected: a mark in PS1, of which users keep and export copies that would then end commands
//! in other shells; and to go by the state of the terminal, which is the same in `read -e`.
//!
//! The files are `w`, the wrapper; `c`, the command's text; and where there is something to prepare
//! `b`, which sets variables and the directory and tells the hooks how to undo that, and `i`, the
//! command's standard input; a confined command also has a `p`. Each command's files
//! take the place of the last one's.

mod confined;
mod exports;

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::shell::{quoted, quoted_bytes};
use crate::model::session::Dialect;
pub(super) use exports::TAKEN as TAKEN_EXPORTS;
pub use exports::{
    exported, give as give_exports, kept as kept_exports, script as exports_script, unsetting,
};

/// The file that the typed line sources: the wrapper of the command that comes next. The hooks keep its
/// path in the variable `__sh`, because line editors take what is typed character by character: a short
/// line saves bash a hundred system calls.
pub(super) const WRAPPER: &str = "w";

/// How shells print the begin of a confined command's subshell.
const CONFINING: &[u8] = b"( { __shellherd_confine; } 2> /dev/null; ";

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
    /// Whether what is exported in the shell after it is kept: see [`kept_exports`].
    pub keeps_exports: bool,
    /// Whether it runs in a subshell, and so changes nothing in the shell. Without `stdin` it reads
    /// nothing. See the module `confined`.
    pub confined: bool,
}

/// Writes the files of command `number` into the session's private directory, over those of the one
/// before, and returns the line to type, with its end. The line assumes a fresh prompt: see [`clear_line`].
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
    let word = |name: &str| quoted(&directory.join(name), dialect);
    save(&directory.join("c"), &[command.text.as_bytes(), b"\n"].concat())?;
    if let Some(stdin) = command.stdin {
        // What an earlier command left in the background may still be reading the one before.
        let file = directory.join("i");
        std::fs::remove_file(&file).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
        save(&file, stdin.as_bytes())?;
    }
    let script = Script::new(dialect, command);
    if script.is_needed() {
        save(&directory.join("b"), &script.prepare())?;
    }
    let words = Words { number, text: word("c"), before: word("b"), stdin: word("i") };
    let run = if command.confined {
        confined::write(directory, dialect, command)?
    } else {
        words.run(dialect, command.stdin.is_some())
    };
    let mut wrapper = words.wrapper(dialect, script.is_needed(), run);
    if command.keeps_exports && !command.confined {
        wrapper.pop();
        wrapper.extend(exports::keep(directory, dialect, number));
    }
    save(&directory.join(WRAPPER), &wrapper)?;
    Ok(match dialect {
        Dialect::Fish => b" source $__sh\r".to_vec(),
        Dialect::Zsh => b" \\. \"$__sh\"\r".to_vec(),
        // Without a line editor a terminal that a command left raw does not turn one into the other.
        Dialect::Bash | Dialect::Posix | Dialect::Plain => b" \\. \"$__sh\"\n".to_vec(),
    })
}

/// What to type first when somebody may have typed at the prompt, or put its editor in a command mode:
/// Ctrl-C, which every shell takes in every mode to drop the line. A new prompt mark follows; wait for
/// it before typing on, because the terminal throws away what it holds at that moment. Where none
/// follows within a tenth of a second type it again, a few times at most: editors miss the key between
/// two reads, and fish gives no mark for a line that was empty.
pub fn clear_line() -> &'static [u8] {
    b"\x03"
}

/// What a shell says about a command by the name of the file that it is in, and what it would say about
/// one that was typed: texts to be replaced in its output. The directory's name is random, so nothing but
/// the shell, and a command that asks where it stands, can print such a text.
pub fn messages(directory: &Path, dialect: Dialect) -> Vec<(Vec<u8>, &'static [u8])> {
    let path = |name: &str| directory.join(name).as_os_str().as_bytes().to_vec();
    let (text, wrapper) = (path("c"), path(WRAPPER));
    let mut messages: Vec<(Vec<u8>, &'static [u8])> = match dialect {
        Dialect::Bash => vec![
            ([&text, b": line ".as_slice()].concat(), b"line "),
            // What it says of a confined command that stopped itself.
            ([CONFINING, b"\\. ", &text[..], b" ) < /dev/null"].concat(), b"command"),
            (CONFINING.to_vec(), b"( "),
        ],
        Dialect::Zsh => vec![
            ([&text, b":".as_slice()].concat(), b"zsh:"),
            // What it says of a confined command that was killed: without the name where that is long.
            ([CONFINING, b"\\. ", &text[..], b"; )"].concat(), b"command"),
            ([CONFINING, b"\\. ; )"].concat(), b"command"),
        ],
        Dialect::Posix => vec![([&text, b": ".as_slice()].concat(), b"")],
        Dialect::Fish => {
            let sourcing = b"from sourcing file ".as_slice();
            let called = b"\r\n\tcalled on line 1 of file ".as_slice();
            let trace = [sourcing, &text, called, &wrapper, b"\r\n", sourcing, &wrapper, b"\r\n"].concat();
            let unread = [b"source: Error while reading file '".as_slice(), &text, b"'\r\n"].concat();
            let line = [&text, b" (line ".as_slice()].concat();
            vec![(trace, b""), (unread, b""), (line, b"fish (line ")]
        }
        Dialect::Plain => return Vec::new(),
    };
    messages
        .extend([text, wrapper, path("b"), path("p"), path("i")].map(|path| (path, b"command".as_slice())));
    messages
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
    // Cut to its length afterwards: an empty file's page would be given back and taken anew.
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)
}

/// The files of one command, as words of its shell.
struct Words {
    number: u64,
    text: Vec<u8>,
    before: Vec<u8>,
    stdin: Vec<u8>,
}

impl Words {
    /// What runs the text in the shell itself.
    fn run(&self, dialect: Dialect, with_stdin: bool) -> Vec<u8> {
        let source: &[u8] = if dialect == Dialect::Fish { b"source " } else { b"\\. " };
        let run = [source, &self.text].concat();
        match (with_stdin, dialect) {
            (false, _) => run,
            (true, Dialect::Fish) => [b"begin; ".as_slice(), &run, b"; end <", &self.stdin].concat(),
            (true, _) => [&run, b" <".as_slice(), &self.stdin].concat(),
        }
    }

    /// One line, because `set -v` shows lines as they are read: so it shows this one before the
    /// command's output begins. The calls' own traces (`set -x`) are thrown away with their stderr.
    fn wrapper(&self, dialect: Dialect, prepared: bool, mut run: Vec<u8>) -> Vec<u8> {
        let number = self.number;
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
            // bash saves and restores a closed descriptor in less than half the time of a redirected one.
            let away = if dialect == Dialect::Bash { "2>&-" } else { "2>/dev/null" };
            (
                format!("{{ __shellherd_begin {number}; }} {away}; "),
                format!("; {{ __shellherd_end {number}; }} {away}\n"),
            )
        };
        [begin.as_bytes(), &run, end.as_bytes()].concat()
    }
}

/// A confined command has nothing set in the shell for it alone.
static NO_ENV: BTreeMap<String, String> = BTreeMap::new();

/// What a command needs to have prepared, and undone however it ends.
struct Script<'a> {
    dialect: Dialect,
    env: &'a BTreeMap<String, String>,
    exports: &'a BTreeMap<String, String>,
    directory: Option<PathBuf>,
}

impl<'a> Script<'a> {
    fn new(dialect: Dialect, command: &HandoverCommand<'a>) -> Self {
        if command.confined {
            // What is for the command alone is set where it runs.
            return Self { dialect, env: &NO_ENV, exports: command.exports, directory: None };
        }
        // An explicit `./` keeps CDPATH and names like `-` out of it.
        let directory = command.directory.map(|path| Path::new(".").join(path));
        Self { dialect, env: command.env, exports: command.exports, directory }
    }

    fn is_needed(&self) -> bool {
        !self.env.is_empty() || !self.exports.is_empty() || self.directory.is_some()
    }

    /// Keeps the old value of each variable beside the new one, then changes the directory. The hooks
    /// get the way back first, so that it is gone also when this fails half-way.
    fn prepare(&self) -> Vec<u8> {
        let undo = quoted_bytes(self.undo().as_bytes(), self.dialect);
        if self.dialect == Dialect::Fish {
            return self.prepare_fish(&undo);
        }
        let mut script = [b"__shellherd_undo=".as_slice(), &undo, b"\n__shellherd_at=\n"].concat();
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
            let keep = format!(
                "__shellherd_had_{name}=\n\
                 case ${{{name}+set}} in set) __shellherd_old_{name}=${name}; __shellherd_had_{name}=shell\n\
                 if {is_exported}; then __shellherd_had_{name}=exported; fi ;; esac\n\
                 \\export {name}="
            );
            script.extend(keep.into_bytes());
            script.extend(quoted_bytes(value.as_bytes(), self.dialect));
            script.extend(b" || return\n");
        }
        if let Some(directory) = &self.directory {
            let word = quoted(directory, self.dialect);
            script.extend(b"__shellherd_from=$PWD; __shellherd_oldpwd=${OLDPWD-}\n");
            script.extend([cd(self.dialect).as_bytes(), b" ", &word, b" || return\n"].concat());
            script.extend(b"__shellherd_at=$PWD\n");
        }
        script
    }

    fn undo(&self) -> String {
        if self.dialect == Dialect::Fish {
            return self.undo_fish();
        }
        let mut script = String::new();
        if self.directory.is_some() {
            let cd = cd(self.dialect);
            // By way of the old OLDPWD, which zsh sets only so.
            let back = format!(
                "case $PWD in \"$__shellherd_at\")\n\
                 case $__shellherd_oldpwd in ?*) {cd} \"$__shellherd_oldpwd\" ;; esac\n\
                 {cd} \"$__shellherd_from\" ;;\n\
                 esac\n"
            );
            script.push_str(&back);
        }
        for name in self.env.keys() {
            let restore = format!(
                "\\unset -v {name}\n\
                 case $__shellherd_had_{name} in\n\
                 exported) \\export {name}=\"$__shellherd_old_{name}\" ;;\n\
                 shell) {name}=$__shellherd_old_{name} ;;\n\
                 esac\n\
                 \\unset -v __shellherd_had_{name} __shellherd_old_{name}\n"
            );
            script.push_str(&restore);
        }
        script
    }

    fn prepare_fish(&self, undo: &[u8]) -> Vec<u8> {
        let mut script =
            [b"set -g __shellherd_undo ".as_slice(), undo, b"\nset -g __shellherd_at\n"].concat();
        for (name, value) in self.exports {
            let word = quoted_bytes(value.as_bytes(), self.dialect);
            script.extend([b"set -gx ".as_slice(), name.as_bytes(), b" ", &word, b"\n"].concat());
        }
        for (name, value) in self.env {
            let keep = format!(
                "set -g __shellherd_had_{name}\n\
                 if set -qg {name}; set -g __shellherd_old_{name} ${name}; set -g __shellherd_had_{name} -gu\n\
                 if set -qgx {name}; set -g __shellherd_had_{name} -gx; end; end\n\
                 set -gx {name} "
            );
            script.extend(keep.into_bytes());
            script.extend(quoted_bytes(value.as_bytes(), self.dialect));
            script.extend(b"; or return 1\n");
        }
        if let Some(directory) = &self.directory {
            let word = quoted(directory, self.dialect);
            script.extend(b"set -g __shellherd_from $PWD\n");
            script.extend([cd(self.dialect).as_bytes(), b" ", &word, b"; or return 1\n"].concat());
            script.extend(b"set -g __shellherd_at $PWD\n");
        }
        // A bare `set` leaves the status of what came before it.
        script.extend(b"true\n");
        script
    }

    fn undo_fish(&self) -> String {
        let mut script = String::new();
        if self.directory.is_some() {
            script.push_str("if test \"$PWD\" = \"$__shellherd_at\"; builtin cd -- $__shellherd_from; end\n");
        }
        for name in self.env.keys() {
            let restore = format!(
                "set -eg {name}\n\
                 if test -n \"$__shellherd_had_{name}\"; set $__shellherd_had_{name} {name} $__shellherd_old_{name}; end\n\
                 set -eg __shellherd_had_{name}; set -eg __shellherd_old_{name}\n"
            );
            script.push_str(&restore);
        }
        script
    }
}

/// What changes the directory, whatever functions and aliases there are.
fn cd(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Bash => "\\builtin cd --",
        Dialect::Fish => "builtin cd --",
        Dialect::Zsh => "__shellherd_cd",
        Dialect::Posix | Dialect::Plain => "\\command cd --",
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
            let command = HandoverCommand {
                text,
                env: &env,
                exports: &BTreeMap::new(),
                directory: None,
                stdin: None,
                keeps_exports: false,
                confined: false,
            };
            write(&directory, dialect, 0, &command).map_err(|error| error.kind())
        };
        assert_eq!(refused("a\0b", "A", Dialect::Bash), Err(io::ErrorKind::InvalidInput));
        for name in ["", "A-B", "1A", "A B", "A=B", "é"] {
            assert_eq!(refused("true", name, Dialect::Zsh), Err(io::ErrorKind::InvalidInput), "{name}");
        }
        assert_eq!(refused("true", "A", Dialect::Plain), Err(io::ErrorKind::Unsupported));
    }
}
