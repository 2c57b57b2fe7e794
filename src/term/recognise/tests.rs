//! Small outputs of tools, most of which are not recorded, and what is to be said of them.

use std::fmt::Write;

use proptest::prelude::*;

use super::{Problem, Recogniser, Recognition};
use crate::limits;

/// An error in a line: its place, and its message.
pub(super) fn spoken(problem: &Problem) -> String {
    let mut text = problem.file.clone();
    for number in [problem.line, problem.column].into_iter().flatten() {
        let _ = write!(text, ":{number}");
    }
    if text.is_empty() { problem.message.clone() } else { format!("{text} {}", problem.message) }
}

fn recognised(command: &str, output: &str) -> Option<Recognition> {
    let mut recogniser = Recogniser::new(command, false);
    output.lines().for_each(|line| recogniser.push(line));
    recogniser.finish()
}

/// Everything that was recognised, in a few words.
pub(super) fn words(found: Option<&Recognition>) -> String {
    let Some(found) = found else { return String::new() };
    let mut text = found.kind.to_owned();
    for (count, word) in [
        (found.omitted_errors, "more"),
        (found.warnings, "warnings"),
        (found.passed, "passed"),
        (found.failed, "failed"),
        (found.skipped, "skipped"),
    ] {
        if count > 0 {
            let _ = write!(text, ", {count} {word}");
        }
    }
    for error in &found.errors {
        let _ = write!(text, "\n{}", spoken(error));
    }
    text
}

fn summary(command: &str, output: &str) -> String {
    words(recognised(command, output).as_ref())
}

#[track_caller]
fn check(command: &str, output: &str, expected: &str) {
    assert_eq!(summary(command, output), expected, "{command}\n{output}");
}

#[test]
fn rust() {
    check(
        "rustc main.rs",
        "error: expected one of `!` or `::`, found `x`\n --> main.rs:1:4\n  |\n1 | fn x\n\nerror: aborting due to 1 previous error\n",
        "rustc\nmain.rs:1:4 expected one of `!` or `::`, found `x`",
    );
    check(
        "cargo build",
        "error: no matching package named `serdee` found\nlocation searched: crates.io index\n",
        "rustc\nno matching package named `serdee` found",
    );
    check(
        "cargo nextest run",
        "        PASS [   0.004s] a tests::x\nthread 'tests::y' (4711) panicked at src/lib.rs:9:5:\nboom\n     Summary [   0.019s] 4 tests run: 2 passed, 1 failed, 1 skipped\n",
        "cargo, 2 passed, 1 failed, 1 skipped\nsrc/lib.rs:9:5 tests::y: boom",
    );
    check(
        "cargo test",
        "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n\ntest result: ok. 2 passed; 0 failed; 0 ignored; 0 measured\n",
        "cargo, 5 passed, 1 skipped",
    );
    check("cargo build", "   Compiling a v0.1.0\n    Finished `dev` profile in 1s\n", "");
}

#[test]
fn compilers_of_c() {
    check(
        "make -j4",
        "cc -c a.c\na.c: In function 'f':\na.c:3:5: error: expected ';' before '}' token\n    3 | x\na.c:9:1: warning: control reaches end\nmake: *** [Makefile:2: a.o] Error 1\n",
        "gcc, 1 warnings\na.c:3:5 expected ';' before '}' token",
    );
    check(
        "clang++ a.cpp",
        "a.cpp:1:10: fatal error: 'nope.h' file not found\n#include \"nope.h\"\n         ^~~~~~~~\n1 error generated.\n",
        "clang\na.cpp:1:10 'nope.h' file not found",
    );
    check(
        "sh x.sh",
        "/usr/bin/ld: main.o: in function `main':\nmain.c:(.text+0x1): undefined reference to `f'\n",
        "gcc\nmain.c undefined reference to `f'",
    );
}

#[test]
fn build_tools() {
    check(
        "make",
        "make[1]: Entering directory '/x'\nmake[1]: *** [Makefile:7: test] Error 2\n",
        "make\nMakefile:7 [test] Error 2",
    );
    check(
        "make all",
        "make: *** No rule to make target 'all'.  Stop.\n",
        "make\nNo rule to make target 'all'.",
    );
    check("make", "Makefile:3: *** missing separator.  Stop.\n", "make\nMakefile:3 missing separator.");
    check(
        "npm i nope-nope",
        "npm error code E404\nnpm error 404 Not Found - GET https://registry.example/nope-nope\nnpm error A complete log of this run can be found in: x\n",
        "npm\ncode E404; 404 Not Found - GET https://registry.example/nope-nope",
    );
    check(
        "terraform validate",
        "╷\n│ Error: Reference to undeclared input variable\n│ \n│   on main.tf line 3, in resource \"a\" \"b\":\n│    3:   c = var.d\n╵\n╷\n│ Warning: Deprecated\n╵\n",
        "terraform, 1 warnings\nmain.tf:3 Reference to undeclared input variable",
    );
    check(
        "terraform plan -no-color",
        "\nError: No configuration files\n\nApply requires\n",
        "terraform\nNo configuration files",
    );
}

#[test]
fn java_builds() {
    check(
        "mvn -q verify",
        "[WARNING] /src/A.java:[3,8] deprecated\n[ERROR] COMPILATION ERROR : \n[ERROR] /src/App.java:[5,9] cannot find symbol\n[INFO] BUILD FAILURE\n[ERROR] Failed to execute goal x: Compilation failure\n[ERROR] /src/App.java:[5,9] cannot find symbol\n",
        "maven, 1 warnings\n/src/App.java:5:9 cannot find symbol",
    );
    check(
        "mvn test",
        "[INFO] Tests run: 2, Failures: 1, Errors: 0, Skipped: 0, Time elapsed: 0.1 s - in AppTest\n[ERROR] Failures: \n[ERROR]   AppTest.adds:12 expected: <1> but was: <2>\n[INFO] \n[ERROR] Tests run: 5, Failures: 1, Errors: 1, Skipped: 1\n[INFO] BUILD FAILURE\n",
        "maven, 2 passed, 2 failed, 1 skipped\nAppTest:12 AppTest.adds: expected: <1> but was: <2>",
    );
    check(
        "./gradlew build",
        "> Task :test FAILED\n\n12 tests completed, 1 failed, 2 skipped\n\n* What went wrong:\nExecution failed for task ':test'.\n\nBUILD FAILED in 3s\n",
        "gradle, 9 passed, 1 failed, 2 skipped\nExecution failed for task ':test'.",
    );
    check(
        "javac A.java",
        "A.java:5: error: ';' expected\n  int x\n       ^\n1 error\n",
        "javac\nA.java:5 ';' expected",
    );
}

#[test]
fn scripts_and_types() {
    check(
        "pytest -q",
        "FAILED tests/test_a.py::test_b - assert 1 == 2\nERROR tests/test_c.py\n1 failed, 3 passed, 2 skipped, 1 warning, 1 error in 0.12s\n",
        "pytest, 1 warnings, 3 passed, 1 failed, 2 skipped\ntests/test_a.py test_b: assert 1 == 2\ntests/test_c.py ERROR",
    );
    check(
        "mypy .",
        "a.py:3: error: Incompatible types  [assignment]\na.py:3: note: see\nFound 1 error in 1 file (checked 4 source files)\n",
        "mypy\na.py:3 Incompatible types  [assignment]",
    );
    check(
        "ruff check",
        "a.py:1:8: F401 [*] `os` imported but unused\nFound 1 error.\n[*] 1 fixable with the `--fix` option.\n",
        "ruff\na.py:1:8 `os` imported but unused [F401]",
    );
    check(
        "npx tsc",
        "error TS18003: No inputs were found in config file.\n",
        "tsc\nNo inputs were found in config file. [TS18003]",
    );
    check(
        "npx vitest run",
        " FAIL  test/a.test.ts > sums > adds\nAssertionError: expected 1 to be 2\n ❯ test/a.test.ts:5:13\n\n Test Files  1 failed (1)\n      Tests  1 failed | 3 passed (4)\n",
        "vitest, 3 passed, 1 failed\ntest/a.test.ts:5:13 sums › adds: AssertionError: expected 1 to be 2",
    );
    check(
        "go build ./...",
        "# shop/cart\n./cart.go:5:2: undefined: total\n./cart.go:9:1: missing return\n",
        "go\n./cart.go:5:2 undefined: total\n./cart.go:9:1 missing return",
    );
}

#[test]
fn git() {
    check(
        "git merge topic",
        "Auto-merging a.txt\nCONFLICT (content): Merge conflict in a.txt\nAutomatic merge failed; fix conflicts and then commit the result.\n",
        "git\na.txt CONFLICT (content): Merge conflict in a.txt",
    );
    check(
        "git push",
        "To x\n ! [rejected]        main -> main (fetch first)\nerror: failed to push some refs to 'x'\n",
        "git\n[rejected]        main -> main (fetch first)\nfailed to push some refs to 'x'",
    );
    check("git checkout x", "fatal: not a git repository\n", "git\nnot a git repository");
}

#[test]
fn what_is_unsure_is_not_said() {
    // Words that stand in any program's output.
    for output in [
        "error: something\nwarning: else\n",
        "fatal: no\n",
        "3 failed, 4 passed\n",
        "Tests: 3 failed\n",
        "FAIL x\n",
        "src/a.xyz:3:5: error: what\n",
        "Found 3 errors.\n",
        "Error: on fire\n",
        "2 errors\n",
    ] {
        check("./run.sh", output, "");
    }
    // What only prints what was written once.
    let log = "test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured\n";
    check("cat test.log", log, "");
    check("./run.sh", log, "cargo, 1 passed, 1 failed");
    // Of a part, only what the tool itself counts.
    let some = "a.c:1:1: warning: x\na.c:2:1: error: y\n";
    check("make | tail -2", some, "gcc\na.c:2:1 y");
    let mut recogniser = Recogniser::new("make", true);
    some.lines().for_each(|line| recogniser.push(line));
    assert_eq!(recogniser.finish().unwrap().warnings, 0);
}

#[test]
fn errors_are_bounded_and_counted() {
    let output: String = (0..5_000).map(|n| format!("a.c:{n}:1: error: {}\n", "x".repeat(2_000))).collect();
    let found = recognised("gcc a.c", &output).unwrap();
    assert_eq!((found.errors.len(), found.omitted_errors), (limits::PARSED_ERRORS, 4_990));
    assert!(found.errors.iter().all(|error| error.message.len() == limits::PARSED_TEXT_BYTES));
}

/// Pieces of which lines of tools are made.
fn line() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[ -~]{0,12}",
        "\\PC{0,6}",
        "[0-9]{1,22}",
        "[a-z/]{1,8}\\.(rs|c|py|go|ts|java)",
        prop::sample::select(vec![
            "error",
            "error: ",
            "error[E1]: ",
            "warning: ",
            " --> ",
            ":",
            ":1:2: ",
            "(1,2): ",
            "error TS1: ",
            "✖ ",
            " problems",
            "=== ",
            "___",
            "E   ",
            " in 1.0s",
            "● ",
            "Tests: ",
            " total",
            "--- FAIL: ",
            " (0.0s)",
            "[ERROR] ",
            ":[1,2] ",
            "Tests run: ",
            "make: *** ",
            "[",
            "]",
            "│",
            "Error: ",
            "on ",
            " line ",
            "npm error ",
            "CONFLICT (",
            "thread '",
            "' panicked at ",
            "test result: ",
            "passed; ",
            " failed",
            "Found ",
            "(checked ",
            " tests completed",
            "undefined reference to ",
            "* What went wrong:",
            "FAILED ",
            "::",
            " - ",
            " > ",
            "❯ ",
            "at ",
            "Summary [",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_is_too_odd(lines in prop::collection::vec(line(), 0..40), command in "\\PC{0,40}") {
        for command in [command.as_str(), "cargo test; make; git pull; npx jest; pytest; mvn; terraform; tsc; go; eslint; ruff"] {
            if let Some(found) = recognised(command, &lines.join("\n")) {
                prop_assert!(found.errors.len() <= limits::PARSED_ERRORS);
                for error in &found.errors {
                    prop_assert!(error.message.len().max(error.file.len()) <= limits::PARSED_TEXT_BYTES);
                }
            }
        }
    }
}
