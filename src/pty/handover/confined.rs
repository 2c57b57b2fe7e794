//! Commands that change nothing in the shell, because a child of it runs them: a subshell where there
//! is such a thing, which costs one fork and knows the shell's functions and aliases, and a new fish
//! beside a fish, which knows only what is exported. So nothing has to be undone: neither the
//! variables and the directory that were asked for (file `p`), nor what the command does by itself.
//! Processes that it leaves running are another matter: see [`Slot::confine`](crate::pty::Slot::confine).
//!
//! A text that begins with `#!` is run by the program that it names, as the kernel would: with what
//! follows the name, if anything, as one argument.

use std::io;
use std::path::Path;

use super::{HandoverCommand, cd, quoted, quoted_bytes, save};
use crate::model::session::Dialect;

/// Writes what has to be prepared for `command`, whose text and input are in the files `c` and `i` of
/// `directory`, and returns the words that run it. Without an input it reads nothing: a task must not
/// wait for an answer that nobody gives.
pub(super) fn write(
    directory: &Path,
    dialect: Dialect,
    command: &HandoverCommand<'_>,
) -> io::Result<Vec<u8>> {
    let word = |name: &str| quoted(&directory.join(name), dialect);
    let (text, preparation) = (word("c"), word("p"));
    let stdin = if command.stdin.is_some() { word("i") } else { b"/dev/null".to_vec() };
    let interpreter = command.text.strip_prefix("#!").map(|script| interpreter(script, dialect));
    let mut prepare = prepare(dialect, command);
    let is_prepared = !prepare.is_empty();
    let words = match (dialect, interpreter) {
        (Dialect::Fish, interpreter) if is_prepared => {
            let run = interpreter.map_or(b"source".to_vec(), |program| [b"exec ", &program[..]].concat());
            prepare.extend([&run, b" ".as_slice(), &text, b"\n"].concat());
            [b"command $__shellherd_fish --no-config ", &preparation[..]].concat()
        }
        (Dialect::Fish, Some(interpreter)) => [b"command ", &interpreter[..], b" ", &text].concat(),
        (Dialect::Fish, None) => [b"command $__shellherd_fish --no-config ", &text[..]].concat(),
        (Dialect::Bash | Dialect::Zsh | Dialect::Posix | Dialect::Plain, interpreter) => {
            let run = interpreter.map_or(b"\\.".to_vec(), |program| [b"\\exec ", &program[..]].concat());
            // The status before is another command's: a bare `exit` must not repeat it.
            let mut first = b"{ __shellherd_confine; } 2>/dev/null; ".to_vec();
            if is_prepared {
                first.extend([b"\\. ", &preparation[..], b"; "].concat());
            }
            [b"( ", &first[..], &run, b" ", &text, b" )"].concat()
        }
    };
    if is_prepared {
        save(&directory.join("p"), &prepare)?;
    }
    let run = [&words, b" <".as_slice(), &stdin].concat();
    if dialect == Dialect::Fish {
        return Ok(run);
    }
    let run = [b"{ __shellherd_spare; } 2>/dev/null; ".as_slice(), &run].concat();
    if dialect != Dialect::Zsh {
        return Ok(run);
    }
    // A frozen terminal gets its modes back after every job. fish does that by itself, and for shells
    // without a line editor the worker can do it.
    Ok([b"\\ttyctl -f; { ".as_slice(), &run, b" } always { \\ttyctl -u }"].concat())
}

/// Sets the variables and the directory, or ends the child; empty where there is nothing to do.
fn prepare(dialect: Dialect, command: &HandoverCommand<'_>) -> Vec<u8> {
    let (export, or_exit) = match dialect {
        Dialect::Fish => ("set -gx ", "; or exit 1\n"),
        Dialect::Bash | Dialect::Zsh | Dialect::Posix | Dialect::Plain => ("\\export ", " || \\exit 1\n"),
    };
    let between = if dialect == Dialect::Fish { " " } else { "=" };
    let mut script = Vec::new();
    for (name, value) in command.env {
        let value = quoted_bytes(value.as_bytes(), dialect);
        script.extend([export.as_bytes(), name.as_bytes(), between.as_bytes(), &value].concat());
        script.extend(or_exit.as_bytes());
    }
    if let Some(directory) = command.directory {
        let word = quoted(&Path::new(".").join(directory), dialect);
        script.extend([cd(dialect).as_bytes(), b" ", &word, or_exit.as_bytes()].concat());
    }
    script
}

/// The program that the first line of `script` names behind its `#!`, and its argument.
fn interpreter(script: &str, dialect: Dialect) -> Vec<u8> {
    let line = script.lines().next().unwrap_or_default().trim();
    let (program, argument) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let mut words = quoted_bytes(program.as_bytes(), dialect);
    let argument = argument.trim();
    if !argument.is_empty() {
        words.push(b' ');
        words.extend(quoted_bytes(argument.as_bytes(), dialect));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interpreter_is_named_as_the_kernel_reads_it() {
        for (script, words) in [
            ("/bin/sh\nexit", "/bin/sh"),
            (" /usr/bin/env  -S python3 -u \r\n", "/usr/bin/env '-S python3 -u'"),
            ("/opt/it's\t-e", r"'/opt/it'\''s' -e"),
            ("", "''"),
        ] {
            assert_eq!(String::from_utf8(interpreter(script, Dialect::Bash)).unwrap(), words, "{script:?}");
        }
    }
}
