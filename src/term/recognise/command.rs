//! Which programs a command line runs, as far as a look at its words tells.

use crate::term::filter::beginning;

/// Programs that print what is in files, or let through a part of what they read.
const READERS: &[&str] = &[
    "cat", "less", "more", "head", "tail", "grep", "egrep", "rg", "ag", "sed", "awk", "cut", "sort", "uniq",
    "zcat", "bat", "diff", "strings", "jq", "xxd",
];
/// What `git` prints then is what was written, not what happened.
const GIT_READERS: &[&str] = &["log", "show", "diff", "grep", "blame", "cat-file", "fsck"];
/// Programs that run the one named behind them.
const WRAPPERS: &[&str] = &[
    "sudo", "env", "time", "nice", "nohup", "exec", "command", "timeout", "stdbuf", "xargs", "npx", "pnpx",
    "bunx", "python", "python3", "py", "uv", "uvx", "poetry", "pipenv", "pdm", "hatch", "run", "then", "do",
    "else", "if", "while", "dlx", "bundle", "ccache", "sccache", "bear", "strace",
];
/// Programs that are remembered. A longer line is a script, in which the first are as good as any.
const PROGRAMS: usize = 32;
/// Bytes that are looked at.
const TEXT_BYTES: usize = 8 << 10;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct CommandLine {
    programs: Vec<String>,
    /// It only prints what was written at another time.
    pub(super) only_reads: bool,
    /// What a program prints goes through one that may leave some of it out.
    pub(super) is_filtered: bool,
}

impl CommandLine {
    pub(super) fn of(text: &str) -> Self {
        let mut line = Self::default();
        let mut runs = false;
        let mut is_piped = false;
        let separators = [';', '\n', '|', '&', '(', ')', '{', '}', '`'];
        let mut rest = beginning(text, TEXT_BYTES);
        while !rest.is_empty() && line.programs.len() < PROGRAMS {
            let end = rest.find(separators).unwrap_or(rest.len());
            let (segment, behind) = rest.split_at(end);
            if let Some((program, argument)) = program(segment) {
                let is_reader =
                    READERS.contains(&program) || program == "git" && GIT_READERS.contains(&argument);
                line.is_filtered |= is_piped && is_reader;
                runs |= !is_reader && program != "cd";
                line.only_reads |= is_reader;
                line.programs.push(program.to_owned());
            }
            is_piped = behind.starts_with('|') && !behind.starts_with("||");
            let skipped = if behind.starts_with("||") || behind.starts_with("&&") { 2 } else { 1 };
            rest = behind.get(skipped..).unwrap_or_default();
        }
        line.only_reads &= !runs;
        line
    }

    /// Whether one of these is among its programs.
    pub(super) fn names(&self, programs: &[&str]) -> bool {
        let is_named = |program: &str| {
            programs.iter().any(|name| {
                // `gcc-12`, `python3.11`
                let rest = program.strip_prefix(name);
                rest.is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '-' || c == '.'))
            })
        };
        self.programs.iter().any(|program| is_named(program))
    }
}

/// The program of a simple command, without its folder, and its first argument.
fn program(segment: &str) -> Option<(&str, &str)> {
    let mut words = segment.split_whitespace().map(|word| word.trim_matches(['"', '\'']));
    let program = words.find_map(|word| {
        let is_setting = word.starts_with('-')
            || word
                .split_once('=')
                .is_some_and(|(name, _)| name.chars().all(|c| c.is_alphanumeric() || c == '_'))
            || !word.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '.' | '_' | '~'));
        let name = word.rsplit('/').next().unwrap_or(word);
        (!is_setting && !name.is_empty() && !WRAPPERS.contains(&name)).then_some(name)
    })?;
    Some((program, words.find(|word| !word.starts_with('-')).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_behind_what_runs_them() {
        for (line, programs) in [
            ("cargo test", "cargo"),
            ("cd app && RUST_BACKTRACE=1 cargo test 2>&1", "cd cargo"),
            ("sudo -E env A=1 /usr/bin/make -j4", "make"),
            ("timeout 30 python3 -m pytest -q; uv run mypy .", "pytest mypy"),
            ("npx tsc --noEmit | tail -5", "tsc tail"),
            ("(cd x; ./gradlew build)", "cd gradlew"),
        ] {
            let found = CommandLine::of(line);
            assert_eq!(found.programs.join(" "), programs, "{line}");
        }
        assert!(CommandLine::of("gcc-12 x.c").names(&["gcc"]));
        assert!(!CommandLine::of("grep cargo README").names(&["cargo"]));
    }

    #[test]
    fn what_only_reads_is_told_from_what_runs() {
        let is = |line: &str| {
            let line = CommandLine::of(line);
            (line.only_reads, line.is_filtered)
        };
        assert_eq!(is("cat build.log"), (true, false));
        assert_eq!(is("cd x && git --no-pager log -3"), (true, false));
        assert_eq!(is("cargo test 2>&1 | tail -40"), (false, true));
        assert_eq!(is("cargo test || cat log"), (false, false));
        assert_eq!(is(""), (false, false));
    }
}
