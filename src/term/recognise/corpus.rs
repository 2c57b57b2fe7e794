//! What is recognised in the recorded logs: one table, whose figures were counted in the logs by other means.

use std::io::Read;
use std::path::Path;

use super::{Recogniser, Recognition};
use crate::term::text::Renderer;

/// Kind; errors, warnings, tests passed, failed and skipped; the first error.
type Figures = (&'static str, [u64; 5], &'static str);

/// Logs of known tools. The name of the log stands for the command line, which is no help to most.
const LOGS: &[(&str, Figures)] = &[
    ("cargo-build", ("cargo", [0, 60, 0, 0, 0], "")),
    ("cargo-clippy", ("cargo", [0, 120, 0, 0, 0], "")),
    (
        "cargo-errors",
        ("cargo", [50, 0, 0, 0, 0], "src/lib.rs:1:49 cannot find value `x0` in this scope [E0425]"),
    ),
    (
        "cargo-test",
        (
            "cargo",
            [1, 60, 719, 1, 0],
            "app/src/cart_sync.rs:10:59 cart_sync::tests::adds_up_7: assertion `left == right` failed",
        ),
    ),
    ("cmake-make", ("gcc", [0, 206, 0, 0, 0], "")),
    ("cmake-ninja", ("gcc", [0, 206, 0, 0, 0], "")),
    ("gcc-make", ("gcc", [1, 206, 0, 0, 0], "main.c undefined reference to `missing_symbol'")),
    ("gcc-make-parallel", ("gcc", [1, 206, 0, 0, 0], "main.c undefined reference to `missing_symbol'")),
    (
        "eslint",
        (
            "eslint",
            [160, 80, 0, 0, 0],
            "/home/dev/js/src/cart_codec.js:1:1 Unexpected var, use let or const instead [no-var]",
        ),
    ),
    ("go-test", ("go", [1, 0, 0, 1, 0], "user_codec_test.go:6 TestTotal3: wrong total for 3")),
    ("go-test-verbose", ("go", [1, 0, 374, 1, 0], "user_codec_test.go:6 TestTotal3: wrong total for 3")),
    ("jest", ("jest", [1, 0, 399, 1, 0], JEST)),
    ("jest-verbose", ("jest", [1, 0, 399, 1, 0], JEST)),
    ("npm-test", ("jest", [1, 0, 399, 1, 0], JEST)),
    ("npm-install", ("npm", [0, 1, 0, 0, 0], "")),
    ("npm-install-plain", ("npm", [0, 2, 0, 0, 0], "")),
    ("pytest", ("pytest", [6, 0, 1_074, 6, 0], PYTEST)),
    ("pytest-verbose", ("pytest", [6, 0, 1_074, 6, 0], PYTEST)),
    (
        "ruff",
        (
            "ruff",
            [2_007, 0, 0, 0, 0],
            "py/tests/test_cart_codec.py:1:1 File `py/tests/test_cart_codec.py` is part of an implicit namespace \
             package. Add an `__init__.py`. [INP001]",
        ),
    ),
    ("tsc", ("tsc", [120, 0, 0, 0, 0], TSC)),
    ("tsc-pretty", ("tsc", [120, 0, 0, 0, 0], TSC)),
];

const JEST: &str = "test/price_codec.test.js:7:138 price_codec › adds 4 numbers of the price_codec: \
                    expect(received).toBe(expected) // Object.is equality";
const PYTEST: &str =
    "tests/test_order_codec.py:13 test_order_codec_case2[1]: assert 0 == (((1 * (1 - 1)) // 2) + 1)";
const TSC: &str = "src/cart_codec.ts:2:53 Type 'string' is not assignable to type 'number'. [TS2322]";

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/logs")
}

fn recognised(name: &str) -> Option<Recognition> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(folder().join(format!("{name}.log.gz"))).unwrap();
    flate2::read::GzDecoder::new(file).read_to_end(&mut bytes).unwrap();
    let mut recogniser = Recogniser::new(name, false);
    let mut renderer = Renderer::new(40, 120);
    let mut push = |line: &str| recogniser.push(line);
    renderer.feed(&bytes, &mut push);
    renderer.finish(&mut push);
    recogniser.finish()
}

#[test]
fn recorded_logs_give_their_figures() {
    for (name, (kind, figures, first)) in LOGS {
        let found = recognised(name).unwrap();
        let errors = found.errors.len() as u64 + found.omitted_errors;
        let all = [errors, found.warnings, found.passed, found.failed, found.skipped];
        assert_eq!((found.kind, all), (*kind, *figures), "{name}");
        assert_eq!(found.errors.first().map(super::tests::spoken).unwrap_or_default(), *first, "{name}");
    }
}

#[test]
fn other_logs_give_nothing() {
    let mut others = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        let Some(name) = name.strip_suffix(".log.gz") else { continue };
        if LOGS.iter().all(|(known, _)| *known != name) {
            assert_eq!(recognised(name), None, "{name}");
            others += 1;
        }
    }
    assert_eq!(others, 18);
}
