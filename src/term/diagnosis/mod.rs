//! What went wrong, told from a command's rendered output and its exit code: a category, the line that
//! says so, and what it is about. Precision before recall: what is unsure is not said. A table of
//! patterns (`rules`) decides line by line, in time linear in the output, of which no more than the ends
//! are read. Knows nothing of what to do about it.

#[cfg(test)]
mod corpus;
mod rules;

use rules::{RULES, Rules, Weight};

/// Bytes read at each end of an output. What fails says so first or last; all between is progress.
const END_BYTES: usize = 64 << 10;
/// Bytes of a line that are looked at, and that evidence may have.
const LINE_BYTES: usize = 1_000;
/// The most that is said of one output.
const DIAGNOSES: usize = 4;

/// What kind of failure. The order is that of a list of several: causes before what follows from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the name and its message say it")]
pub enum Category {
    NoSpaceInotify,
    DiskFull,
    TooManyOpenFiles,
    OutOfMemory,
    PortInUse,
    Dns,
    Tls,
    NetworkUnreachable,
    ConnectionRefused,
    ConnectionLost,
    GitAuth,
    RateLimit,
    Authentication,
    LockHeld,
    MergeConflict,
    VersionMismatch,
    MissingDependency,
    MissingModule,
    CommandNotFound,
    PermissionDenied,
    MissingFile,
    SyntaxError,
    CompileError,
    Timeout,
    Segfault,
    Killed,
    TestFailure,
    /// It failed, and a line tells of trouble of no known kind.
    Unknown,
}

impl Category {
    /// Every category.
    pub const ALL: [Self; 28] = [
        Self::NoSpaceInotify,
        Self::DiskFull,
        Self::TooManyOpenFiles,
        Self::OutOfMemory,
        Self::PortInUse,
        Self::Dns,
        Self::Tls,
        Self::NetworkUnreachable,
        Self::ConnectionRefused,
        Self::ConnectionLost,
        Self::GitAuth,
        Self::RateLimit,
        Self::Authentication,
        Self::LockHeld,
        Self::MergeConflict,
        Self::VersionMismatch,
        Self::MissingDependency,
        Self::MissingModule,
        Self::CommandNotFound,
        Self::PermissionDenied,
        Self::MissingFile,
        Self::SyntaxError,
        Self::CompileError,
        Self::Timeout,
        Self::Segfault,
        Self::Killed,
        Self::TestFailure,
        Self::Unknown,
    ];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        self.words().0
    }

    /// What it means, as a fragment.
    pub fn message(self) -> &'static str {
        self.words().1
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::NoSpaceInotify => {
                ("no_space_inotify", "no inotify watches are left, though the disk may have room")
            }
            Self::DiskFull => ("disk_full", "the file system it writes to has no space left"),
            Self::TooManyOpenFiles => ("too_many_open_files", "it reached the limit of open files"),
            Self::OutOfMemory => ("out_of_memory", "it could not get the memory it asked for"),
            Self::PortInUse => ("port_in_use", "another process listens on the address it wants"),
            Self::Dns => ("dns", "a host name could not be resolved"),
            Self::Tls => ("tls", "no trusted TLS connection could be made"),
            Self::NetworkUnreachable => ("network_unreachable", "there is no route to the address"),
            Self::ConnectionRefused => ("connection_refused", "nothing listens where it connects to"),
            Self::ConnectionLost => ("connection_lost", "the other side ended the connection"),
            Self::GitAuth => ("git_auth", "the git server did not accept, or did not get, credentials"),
            Self::RateLimit => ("rate_limit", "the other side wants fewer requests"),
            Self::Authentication => {
                ("authentication", "the other side did not accept, or did not get, credentials")
            }
            Self::LockHeld => ("lock_held", "another process holds a lock, or left it behind"),
            Self::MergeConflict => ("merge_conflict", "changes on both sides must be merged by hand"),
            Self::VersionMismatch => ("version_mismatch", "versions do not fit each other"),
            Self::MissingDependency => ("missing_dependency", "a package or library it needs was not found"),
            Self::MissingModule => ("missing_module", "a module that the code imports is not installed"),
            Self::CommandNotFound => ("command_not_found", "there is no such command on the PATH"),
            Self::PermissionDenied => ("permission_denied", "this user may not do that"),
            Self::MissingFile => ("missing_file", "a file or directory it needs is not there"),
            Self::SyntaxError => ("syntax_error", "a script or file is not well-formed"),
            Self::CompileError => ("compile_error", "the code does not compile or link"),
            Self::Timeout => ("timeout", "something took longer than it may"),
            Self::Segfault => ("segfault", "a process touched memory that is not its own"),
            Self::Killed => {
                ("killed", "a process was ended by SIGKILL: by somebody, or by the kernel for its memory")
            }
            Self::TestFailure => ("test_failure", "tests failed"),
            Self::Unknown => ("unknown", "it failed for a reason that is not known here"),
        }
    }
}

/// Whose packages are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "they are names")]
pub enum Ecosystem {
    Python,
    Node,
    Rust,
    Go,
    Ruby,
    Perl,
}

/// One thing that went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// What kind of thing.
    pub category: Category,
    /// The line that says so, as it is; empty when only the exit code does.
    pub evidence: String,
    /// What it is about, when the line names it: the module, port, file, command or host. Text that a
    /// program printed: not to be trusted.
    pub subject: Option<String>,
    /// Whose packages, where one is missing.
    pub ecosystem: Option<Ecosystem>,
}

/// What the output of a failure says went wrong, the likeliest cause first; nothing when that is unsure.
/// `exit` is the exit code as a shell shows it (128 + n for signal n); `None` means that the output is known
/// to be of a failure, or of something still running. An exit code of 0 means that nothing went wrong.
pub fn diagnose(output: &str, exit: Option<i32>) -> Vec<Diagnosis> {
    if exit == Some(0) {
        return Vec::new();
    }
    let Some(rules) = Rules::get() else { return Vec::new() };
    let mut causes: Vec<Diagnosis> = Vec::new();
    let mut symptoms: Vec<Diagnosis> = Vec::new();
    let mut is_remote_of_git = false;
    for line in told_lines(rules, output) {
        let Some(index) = rules.first_match(line) else { continue };
        let rule = &RULES[index];
        is_remote_of_git |= rule.category == Category::GitAuth;
        let list = match rule.weight {
            Weight::Cause => &mut causes,
            Weight::Symptom => &mut symptoms,
        };
        let found = Diagnosis {
            category: rule.category,
            evidence: line.trim().to_owned(),
            subject: rules.subject(index, line),
            ecosystem: rule.ecosystem,
        };
        match list.iter_mut().find(|known| known.category == rule.category) {
            None => list.push(found),
            // The first line that names what it is about says more than those before it.
            Some(known) if known.subject.is_none() && found.subject.is_some() => *known = found,
            Some(_) => {}
        }
    }
    if is_remote_of_git
        && let Some(login) = causes.iter().position(|cause| cause.category == Category::Authentication)
    {
        let mut login = causes.remove(login);
        login.category = Category::GitAuth;
        causes.retain(|cause| cause.category != Category::GitAuth);
        causes.push(login);
    }
    if causes.is_empty() {
        let (unknown, known) = symptoms.into_iter().partition(|found| found.category == Category::Unknown);
        causes = known;
        if let (true, Some(exit)) = (causes.is_empty(), exit) {
            causes = of_exit_code(exit).map_or(if is_failure(exit) { unknown } else { causes }, |category| {
                vec![Diagnosis { category, evidence: String::new(), subject: None, ecosystem: None }]
            });
        }
    }
    causes.sort_by_key(|cause| cause.category);
    causes.truncate(DIAGNOSES);
    causes
}

/// The likeliest cause of a failure; see [`diagnose`].
pub fn category(output: &str, exit: Option<i32>) -> Option<Category> {
    diagnose(output, exit).first().map(|cause| cause.category)
}

/// What an exit code says by itself.
fn of_exit_code(exit: i32) -> Option<Category> {
    match exit {
        // What timeout(1) ends with.
        124 => Some(Category::Timeout),
        127 => Some(Category::CommandNotFound),
        137 => Some(Category::Killed),
        139 => Some(Category::Segfault),
        _ => None,
    }
}

/// Whether an exit code is a failure, and not what an interrupted or politely ended program leaves.
fn is_failure(exit: i32) -> bool {
    !matches!(exit, 0 | 129 | 130 | 141 | 143)
}

/// The lines in which a program speaks for itself: not those of a diff, a listing, or a test that passed.
fn told_lines<'a>(rules: &'a Rules, output: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = || {
        let (head, tail) = ends(output);
        head.lines().chain(tail.lines()).map(|line| beginning(line, LINE_BYTES))
    };
    let is_diff = lines().any(|line| rules.is_hunk(line));
    lines().filter(move |line| {
        !(line.is_empty() || rules.is_quoted(line) || is_diff && line.starts_with(['+', '-', '<', '>', ' ']))
    })
}

/// The first and the last part of a text, apart or all of it.
fn ends(text: &str) -> (&str, &str) {
    if text.len() <= 2 * END_BYTES {
        return (text, "");
    }
    let mut from = text.len() - END_BYTES;
    while !text.is_char_boundary(from) {
        from += 1;
    }
    (beginning(text, END_BYTES), &text[from..])
}

fn beginning(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_went_wrong_in_a_success() {
        assert_eq!(category("bash: foo: command not found", Some(0)), None);
        assert_eq!(category("bash: foo: command not found", Some(127)), Some(Category::CommandNotFound));
        assert_eq!(category("bash: foo: command not found", None), Some(Category::CommandNotFound));
    }

    #[test]
    fn the_evidence_is_the_line_and_the_subject_what_it_names() {
        let found =
            diagnose("starting\nError: listen EADDRINUSE: address already in use :::3000\n    at x", Some(1));
        assert_eq!(
            found,
            [Diagnosis {
                category: Category::PortInUse,
                evidence: "Error: listen EADDRINUSE: address already in use :::3000".to_owned(),
                subject: Some("3000".to_owned()),
                ecosystem: None,
            }]
        );
    }

    #[test]
    fn a_consequence_is_not_told_beside_its_cause() {
        let refused = "ssh: connect to host git.example port 22: Connection refused\n\
                       fatal: Could not read from remote repository.";
        let categories: Vec<Category> =
            diagnose(refused, Some(128)).iter().map(|found| found.category).collect();
        assert_eq!(categories, [Category::ConnectionRefused]);
        let login =
            "dev@git.example: Permission denied (publickey).\nfatal: Could not read from remote repository.";
        assert_eq!(category(login, Some(128)), Some(Category::GitAuth));
        assert_eq!(
            category("dev@host: Permission denied (publickey).", Some(255)),
            Some(Category::Authentication)
        );
    }

    #[test]
    fn an_exit_code_speaks_where_the_output_does_not() {
        assert_eq!(category("", Some(137)), Some(Category::Killed));
        assert_eq!(category("MemoryError\n", Some(137)), Some(Category::OutOfMemory));
        assert_eq!(category("Working on it\n", Some(124)), Some(Category::Timeout));
        for stopped in [130, 143] {
            assert_eq!(category("Error: interrupted", Some(stopped)), None);
        }
        assert_eq!(category("Error: the price is negative", Some(3)), Some(Category::Unknown));
        assert_eq!(category("", Some(1)), None);
    }

    #[test]
    fn a_large_output_is_read_at_its_ends() {
        let filler = "all is well\n".repeat(100_000);
        let found = format!("{filler}curl: (6) Could not resolve host: api.example\n");
        assert_eq!(category(&found, Some(6)), Some(Category::Dns));
        let line = format!("{} Segmentation fault", "é".repeat(500_000));
        assert_eq!(category(&line, Some(1)), None);
    }

    #[test]
    fn every_category_has_its_own_word_and_place() {
        let mut words: Vec<&str> = Category::ALL.iter().map(|category| category.as_str()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Category::ALL.len());
        assert!(Category::ALL.is_sorted());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_text_is_answered_within_bounds(text in "(?s).{0,400}", exit in proptest::option::of(any::<i32>())) {
            let found = diagnose(&text, exit);
            prop_assert!(found.len() <= DIAGNOSES);
            for one in found {
                prop_assert!(text.contains(&one.evidence) && one.evidence.len() <= LINE_BYTES);
            }
        }
    }
}
