//! Shells: finding them, and starting them so that they report their commands.
//!
//! A shell that is understood loads a hook file after the user's own start-up files. From then on it
//! writes marks to its terminal, by OSC 133 with a nonce of the session: `A` at each prompt, `C;n=N`
//! when command N begins, `D;STATUS;n=N` when it ends, and the last again with `x=1` from the prompt
//! for a command that was aborted and so never reached its own end. The nonce stands only in the hook
//! file: never in what is typed, nor in the environment, and in a dump of the shell's functions only
//! without the escape that makes a mark of it.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::handover;
use crate::error::{Error, ErrorCode, Result};
use crate::model::session::{Dialect, Profile};

/// Programs named when the one asked for is missing.
const KNOWN: [&str; 12] =
    ["bash", "zsh", "fish", "dash", "sh", "ash", "ksh", "mksh", "nu", "elvish", "xonsh", "tcsh"];

/// How `program` is talked to, by its name.
pub fn dialect_of(program: &Path) -> Dialect {
    match program.file_name().and_then(OsStr::to_str) {
        Some("bash") => Dialect::Bash,
        Some("zsh") => Dialect::Zsh,
        Some("fish") => Dialect::Fish,
        Some("sh" | "dash" | "ash" | "ksh" | "ksh93" | "mksh") => Dialect::Posix,
        Some(_) | None => Dialect::Plain,
    }
}

/// The absolute path of `program`, which is a path or a name to be found on the PATH.
pub fn resolve(program: &str) -> Result<PathBuf> {
    let found = if program.contains('/') {
        let path = std::path::absolute(program).map_err(|_| missing(program))?;
        if path.is_dir() {
            return Err(refused(program, "is a directory"));
        }
        if path.exists() && !is_executable(&path) {
            return Err(refused(program, "is not executable"));
        }
        Some(path).filter(|path| path.exists())
    } else {
        on_path(program)
    };
    // A record has no room for a name that is not UTF-8.
    found.filter(|path| path.to_str().is_some()).ok_or_else(|| missing(program))
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let absolute = env::split_paths(&path).filter(|directory| directory.is_absolute());
    absolute.map(|directory| directory.join(name)).find(|path| !name.is_empty() && is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// The shells of this machine, for an error or a report.
pub fn installed() -> Vec<&'static str> {
    KNOWN.into_iter().filter(|name| on_path(name).is_some()).collect()
}

fn refused(program: &str, why: &str) -> Error {
    Error::new(ErrorCode::SpawnFailed, format!("`{program}` {why}"))
        .with_hint(format!("shells on this machine: {}", installed().join(", ")))
}

/// The error for a program that does not exist.
pub(super) fn missing(program: &str) -> Error {
    refused(program, "was not found")
}

/// Whether the shell may have a line editor, which changes the terminal's modes at every prompt.
pub fn edits_lines(program: &Path, dialect: Dialect, profile: Profile) -> bool {
    match dialect {
        Dialect::Bash => !matches!(profile, Profile::Clean | Profile::Tasks),
        Dialect::Posix => {
            fs::canonicalize(program).map_or(true, |path| path.file_name() != Some(OsStr::new("dash")))
        }
        Dialect::Zsh | Dialect::Fish | Dialect::Plain => true,
    }
}

/// What a shell needs to know for its marks.
pub(super) struct Marks<'a> {
    /// What all that it writes carry.
    pub(super) nonce: &'a str,
    /// What marks the subshell of a confined command, in shells that do it: see [`Slot::confine_word`].
    ///
    /// [`Slot::confine_word`]: super::Slot::confine_word
    pub(super) confine: &'a str,
}

/// Writes the hook file for a shell into `directory`, which is created, changes `environment` as the
/// shell needs it, and returns the arguments to start it with, its name first.
pub(super) fn prepare(
    directory: &Path,
    program: &Path,
    dialect: Dialect,
    profile: Profile,
    marks: &Marks<'_>,
    environment: &mut Vec<(OsString, OsString)>,
) -> io::Result<Vec<OsString>> {
    fs::DirBuilder::new().mode(0o700).recursive(true).create(directory)?;
    let name = program.file_name().unwrap_or(program.as_os_str()).to_owned();
    let user_env = take(environment, "ENV");
    let user_zdotdir = take(environment, "ZDOTDIR");
    take(environment, "PROMPT_COMMAND");
    let profile_name = match profile {
        Profile::User => "user",
        Profile::Login => "login",
        Profile::Clean => "clean",
        Profile::Tasks => "tasks",
    };
    let wrapper = quoted(&directory.join(handover::WRAPPER), dialect);
    let taken = quoted(&directory.join(handover::TAKEN_EXPORTS), dialect);
    let fill = |template: &str| {
        let text = template
            .replace("@PROFILE@", profile_name)
            .replace("@NONCE@", marks.nonce)
            .replace("@CONFINE@", marks.confine);
        replace(&replace(text.as_bytes(), b"@WRAPPER@", &wrapper), b"@EXPORTS@", &taken)
    };
    let hooks = directory.join("init");
    let mut arguments = vec![name];
    match dialect {
        Dialect::Bash => {
            fs::write(&hooks, fill(include_str!("hooks/bash.sh")))?;
            if !edits_lines(program, dialect, profile) {
                // Readline's echo is half of what a short command takes, and nobody types into such a shell.
                arguments.push("--noediting".into());
            }
            if profile == Profile::Clean {
                // With neither file to load the hooks from, the first prompt does.
                arguments.extend(["--noprofile".into(), "--norc".into()]);
                let load = [b". ".as_slice(), &quoted(&hooks, dialect)].concat();
                environment.push(("PROMPT_COMMAND".into(), os(load)));
            } else {
                arguments.extend(["--rcfile".into(), hooks.into_os_string()]);
            }
            arguments.push("-i".into());
        }
        Dialect::Zsh => {
            let files = directory.join("z");
            fs::DirBuilder::new().mode(0o700).recursive(true).create(&files)?;
            write_zsh_files(&files, profile, user_zdotdir, &fill(include_str!("hooks/zsh.sh")))?;
            environment.push(("ZDOTDIR".into(), files.into_os_string()));
            match profile {
                Profile::User | Profile::Tasks => {}
                Profile::Login => arguments.push("-l".into()),
                // Of the system-wide files only zshenv is read in any case.
                Profile::Clean => arguments.push("-d".into()),
            }
            arguments.push("-i".into());
        }
        Dialect::Fish => {
            fs::write(&hooks, fill(include_str!("hooks/fish.fish")))?;
            match profile {
                Profile::User | Profile::Tasks => {}
                Profile::Login => arguments.push("-l".into()),
                Profile::Clean => arguments.push("--no-config".into()),
            }
            let load = [b"source ".as_slice(), &quoted(&hooks, dialect)].concat();
            arguments.extend(["-i".into(), "-C".into(), os(load)]);
        }
        Dialect::Posix => {
            let user_env = quoted(Path::new(&user_env.unwrap_or_default()), dialect);
            let text = fill(include_str!("hooks/posix.sh"));
            let text = replace(&text, b"@ENV@", &user_env);
            let text = replace(&replace(&text, b"@ESC@", b"\x1b"), b"@BEL@", b"\x07");
            fs::write(&hooks, text)?;
            environment.push(("ENV".into(), hooks.into_os_string()));
            arguments.push("-i".into());
        }
        Dialect::Plain => {
            restore(environment, "ENV", user_env);
            restore(environment, "ZDOTDIR", user_zdotdir);
        }
    }
    Ok(arguments)
}

/// zsh reads four files from ZDOTDIR. Ours stand there, and each forwards to the user's with ZDOTDIR
/// as the user has it, also when the user's own files move it.
fn write_zsh_files(
    files: &Path,
    profile: Profile,
    user_zdotdir: Option<OsString>,
    hooks: &[u8],
) -> io::Result<()> {
    let ours = quoted(files, Dialect::Zsh);
    let theirs = user_zdotdir.map(|directory| quoted(Path::new(&directory), Dialect::Zsh));
    let last = if profile == Profile::Login { ".zlogin" } else { ".zshrc" };
    for name in [".zshenv", ".zprofile", ".zshrc", ".zlogin"] {
        let mut text = Vec::new();
        if profile != Profile::Clean {
            text.extend(match (name, &theirs) {
                (".zshenv", Some(theirs)) => [b"ZDOTDIR=".as_slice(), theirs, b"\n"].concat(),
                (".zshenv", None) => b"\\builtin unset ZDOTDIR\n".to_vec(),
                _ => b"if [[ -n ${__shellherd_zdotdir+set} ]]; then ZDOTDIR=$__shellherd_zdotdir; else \\builtin unset ZDOTDIR; fi\n".to_vec(),
            });
            text.extend(
                format!("if [[ -r ${{ZDOTDIR:-$HOME}}/{name} ]]; then \\. ${{ZDOTDIR:-$HOME}}/{name}; fi\n")
                    .into_bytes(),
            );
            text.extend(b"\\builtin unset __shellherd_zdotdir\nif [[ -n ${ZDOTDIR+set} ]]; then __shellherd_zdotdir=$ZDOTDIR; fi\n");
        }
        if name == last {
            text.extend(b"if [[ -n ${__shellherd_zdotdir+set} ]]; then ZDOTDIR=$__shellherd_zdotdir; else \\builtin unset ZDOTDIR; fi\n\\builtin unset __shellherd_zdotdir\n");
            text.extend(hooks);
        } else {
            text.extend([b"ZDOTDIR=".as_slice(), &ours, b"\n"].concat());
        }
        fs::write(files.join(name), text)?;
    }
    Ok(())
}

fn take(environment: &mut Vec<(OsString, OsString)>, name: &str) -> Option<OsString> {
    let value = environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    environment.retain(|(known, _)| known != name);
    value
}

fn restore(environment: &mut Vec<(OsString, OsString)>, name: &str, value: Option<OsString>) {
    environment.extend(value.map(|value| (name.into(), value)));
}

fn os(bytes: Vec<u8>) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes)
}

fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memmem::find(rest, from) {
        result.extend_from_slice(&rest[..at]);
        result.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    result.extend_from_slice(rest);
    result
}

/// `path` as one word of the shell: bare where nothing in it is special.
pub(super) fn quoted(path: &Path, dialect: Dialect) -> Vec<u8> {
    quoted_bytes(path.as_os_str().as_bytes(), dialect)
}

/// The command that makes this the shell's directory.
pub fn change_directory(path: &Path, dialect: Dialect) -> String {
    // Start-up files may have put something else in its place.
    let cd = match dialect {
        Dialect::Bash | Dialect::Zsh => "\\builtin cd",
        Dialect::Fish => "builtin cd",
        Dialect::Posix | Dialect::Plain => "\\command cd",
    };
    format!("{cd} -- {}", String::from_utf8_lossy(&quoted(path, dialect)))
}

/// Any bytes but NUL as one word of the shell.
pub(super) fn quoted_bytes(bytes: &[u8], dialect: Dialect) -> Vec<u8> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-".contains(byte);
    if !bytes.is_empty() && bytes.iter().all(is_plain) {
        return bytes.to_vec();
    }
    let mut word = vec![b'\''];
    for &byte in bytes {
        match (byte, dialect) {
            (b'\'' | b'\\', Dialect::Fish) => word.extend([b'\\', byte]),
            (b'\'', _) => word.extend(b"'\\''"),
            _ => word.push(byte),
        }
    }
    word.push(b'\'');
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dialects_go_by_the_name() {
        for (path, dialect) in [
            ("/bin/bash", Dialect::Bash),
            ("/opt/zsh/bin/zsh", Dialect::Zsh),
            ("/usr/bin/fish", Dialect::Fish),
            ("/bin/sh", Dialect::Posix),
            ("/usr/bin/python3", Dialect::Plain),
            ("/", Dialect::Plain),
        ] {
            assert_eq!(dialect_of(Path::new(path)), dialect, "{path}");
        }
    }

    #[test]
    fn programs_are_found_or_refused_with_what_exists() {
        assert!(resolve("sh").is_ok_and(|path| path.is_absolute()));
        assert_eq!(resolve("/bin/sh").ok(), Some("/bin/sh".into()));
        for program in ["no-such-shell", "/no/such/shell", "/tmp", "/etc/passwd", ""] {
            let error = resolve(program).unwrap_err();
            assert_eq!(error.code, ErrorCode::SpawnFailed, "{program}");
            assert!(error.hint.is_some_and(|hint| hint.contains("sh")), "{program}");
        }
    }

    #[test]
    fn words_are_quoted_only_where_it_matters() {
        let word = |text: &str, dialect| String::from_utf8(quoted_bytes(text.as_bytes(), dialect)).unwrap();
        assert_eq!(word("/dev/shm/x-1/2", Dialect::Bash), "/dev/shm/x-1/2");
        assert_eq!(word("it's", Dialect::Zsh), r"'it'\''s'");
        assert_eq!(word(r"a\'b", Dialect::Fish), r"'a\\\'b'");
        assert_eq!(word("", Dialect::Posix), "''");
    }
}
