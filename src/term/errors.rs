//! Which lines of output tell of an error, a warning or a failure. A guess from the wording of
//! compilers, test runners, shells and runtimes: it prefers a line too many to one too few.

use std::sync::LazyLock;

use regex::Regex;

/// Wordings of trouble. Case matters where the word alone is ordinary prose.
pub(super) const TROUBLE: &str = r"(?x-u)
      (?:^|[\ \t\[(:>|]) (?:error|Error|ERROR|ERR!|fatal|Fatal|FATAL|CRITICAL|PANIC|SEVERE|panic) (?:\[\w+\])? (?:[:\ \t\])!,]|$)
    | \b \w* (?:Error|Exception|Warning) (?:[:\ ]|$)
    | \b [1-9]\d* \ (?:\w+\ )? (?:errors?|failures?|failed|warnings?) \b
    | (?:^|[\ \t\[(:]) [Ww]arning (?:\[\w+\])? [:\ ]
    | \b WARN(?:ING)? \b
    | \b FAIL(?:ED|URE|URES)? \b | --- \ FAIL | ^not\ ok\b | ^E\ {2,}
    | \b [Ff]ailed \b | \b [Ff]ailure \b
    | panicked\ at | Traceback\ \(most\ recent | [Aa]ssertion | \b[Uu]n(?:caught|handled)\b
    | No\ such\ file | [Pp]ermission\ denied | [Nn]ot\ permitted | command\ not\ found | :\ not\ found$ | [Aa]ccess\ denied
    | undefined\ (?:reference|symbol) | [Uu]nresolved\b | multiple\ definition | [Ss]yntax\ error
    | \b [Cc](?:annot|ould\ not|an't) \b | \b [Uu]nable\ to \b
    | [Ss]egmentation\ fault | core\ dumped | ^Killed | ^Aborted | [Oo]ut\ of\ memory | [Nn]o\ space\ left
    | [Tt]imed\ out | [Cc]onnection\ (?:refused|reset) | \*\*\*\ \[
    | exit(?:ed\ with)?\ (?:code|status):?\ [1-9]
";

/// What would be taken for trouble, and says that there was none.
const HARMLESS: &str =
    r"(?-u)\b(?:0|no) (?:\w+ )?(?:errors?|failures?|failed|warnings?)\b|(?i:failed|failures?|errors?): 0\b";

/// The patterns, compiled once.
#[derive(Debug)]
pub(super) struct Troubles {
    trouble: Regex,
    harmless: Regex,
}

/// Whether `line` tells of trouble.
pub(super) fn is_trouble(line: &str) -> bool {
    static PATTERNS: LazyLock<Option<Troubles>> = LazyLock::new(Troubles::compile);
    PATTERNS.as_ref().is_none_or(|patterns| patterns.matches(line))
}

impl Troubles {
    /// `None` never happens: a test compiles them.
    fn compile() -> Option<Self> {
        Some(Self { trouble: Regex::new(TROUBLE).ok()?, harmless: Regex::new(HARMLESS).ok()? })
    }

    fn matches(&self, line: &str) -> bool {
        self.trouble.is_match(line)
            && (!self.harmless.is_match(line) || self.trouble.is_match(&self.harmless.replace_all(line, "")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_patterns_compile() {
        assert!(Regex::new(TROUBLE).is_ok(), "{:?}", Regex::new(TROUBLE));
        assert!(Troubles::compile().is_some());
    }

    #[test]
    fn trouble_is_recognised() {
        for line in [
            "error[E0308]: mismatched types",
            "src/main.c:3:5: error: expected ';'",
            "src/a.ts(3,5): error TS2304: Cannot find name 'x'.",
            "warning: unused variable: `x`",
            "Error: Cannot find module './x'",
            "TypeError: x is not a function",
            "java.lang.NullPointerException: null",
            "test tests::adds ... FAILED",
            "test result: FAILED. 3 passed; 1 failed; 0 ignored",
            "--- FAIL: TestAdd (0.00s)",
            "not ok 2 - adds",
            "E   assert 1 == 2",
            "thread 'main' panicked at src/main.rs:3:5:",
            "Traceback (most recent call last):",
            "cat: x: No such file or directory",
            "bash: ./x: Permission denied",
            "bash: foo: command not found",
            "sh: 1: foo: not found",
            "fatal: not a git repository",
            "main.o: undefined reference to `f'",
            "make: *** [Makefile:2: all] Error 1",
            "npm ERR! code ELIFECYCLE",
            "[ERROR] BUILD FAILURE",
            "2024-01-01 WARN slow query",
            "Segmentation fault (core dumped)",
            "Process exited with code 2",
            "Found 3 errors in 2 files.",
        ] {
            assert!(is_trouble(line), "{line}");
        }
    }

    #[test]
    fn ordinary_lines_are_not() {
        for line in [
            "",
            "   Compiling thiserror v1.0.50",
            "test tests::reports_errors ... ok",
            "test result: ok. 12 passed; 0 failed; 0 ignored",
            "0 errors, 0 warnings",
            "Found no errors.",
            "src/error.rs",
            "Failures: 0",
        ] {
            assert!(!is_trouble(line), "{line}");
        }
    }
}
