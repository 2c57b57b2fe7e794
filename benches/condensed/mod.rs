//! The tables that `cargo bench --bench condense` makes of what it measured.

use std::fmt::Write;
use std::path::Path;

/// Logs of so many tokens are long: no result holds them whole.
const LONG: usize = 8_000;
/// Around the tables in the README.
const MARKS: [&str; 2] =
    ["<!-- condensing: by cargo bench --bench condense -- --readme -->", "<!-- /condensing -->"];

/// What one way to shorten a log came to.
pub(crate) struct Outcome {
    pub(crate) tokens: usize,
    pub(crate) visible: usize,
    pub(crate) shows_quiet: bool,
}

/// What was measured of one log.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) lines: usize,
    pub(crate) raw_tokens: usize,
    pub(crate) tokens: usize,
    /// Automatic, aggressive, 30,000 characters, 10 KiB.
    pub(crate) ways: [Outcome; 4],
    pub(crate) follow_up: usize,
    pub(crate) is_condensed: bool,
    pub(crate) speed: f64,
    pub(crate) memory_kb: usize,
}

const WAYS: [&str; 4] = [
    "`condense: \"auto\"`",
    "`condense: \"aggressive\"`",
    "the first and last of 30,000 characters",
    "the first and last of 256 lines, 10 KiB",
];

/// Both tables, the sums first.
pub(crate) fn report(rows: &[Row], large: &str) -> String {
    let mut text = String::new();
    let long: Vec<&Row> = rows.iter().filter(|row| row.tokens >= LONG).collect();
    sums(&format!("{} logs of 8,000 tokens and more", long.len()), &long, &mut text);
    sums(&format!("all {} logs", rows.len()), &rows.iter().collect::<Vec<_>>(), &mut text);
    let slowest = long.iter().map(|row| row.speed).fold(f64::INFINITY, f64::min);
    let most = rows.iter().map(|row| row.memory_kb).max().unwrap_or(0);
    let _ = writeln!(
        text,
        "Long logs are condensed at {slowest:.0} MB/s of one core and more, median {:.0} MB/s, none with more than {most} kB of memory. {large}\n",
        median(long.iter().map(|row| row.speed).collect())
    );
    let _ = writeln!(text, "<details><summary>Each log</summary>\n");
    each(rows, &mut text);
    let _ = write!(text, "\n</details>");
    text
}

fn sums(title: &str, rows: &[&Row], text: &mut String) {
    let planted = rows.len() * 3;
    let _ = writeln!(
        text,
        "| {title} | median saved, of the rendered text | pooled | of the raw stream | planted failures shown | rare line shown |\n|---|--:|--:|--:|--:|--:|"
    );
    for (index, way) in WAYS.into_iter().enumerate() {
        let ways = || rows.iter().map(|row| &row.ways[index]);
        let tokens: usize = ways().map(|way| way.tokens).sum();
        let sum = |of: fn(&Row) -> usize| rows.iter().map(|row| of(row)).sum::<usize>();
        let _ = writeln!(
            text,
            "| {way} | {:.1} % | {:.1} % | {:.1} % | {} of {planted} | {} of {} |",
            median(rows.iter().map(|row| saved(row.ways[index].tokens, row.tokens)).collect()),
            saved(tokens, sum(|row| row.tokens)),
            saved(tokens, sum(|row| row.raw_tokens)),
            ways().map(|way| way.visible).sum::<usize>(),
            ways().filter(|way| way.shows_quiet).count(),
            rows.len(),
        );
    }
    text.push('\n');
}

fn each(rows: &[Row], text: &mut String) {
    let _ = writeln!(
        text,
        "| log | lines | tokens raw | rendered | auto | saved | of raw | aggressive | planted shown | 30,000 characters | 10 KiB | follow-up | MB/s | kB |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    );
    for row in rows {
        let [auto, aggressive, middle, ends] = &row.ways;
        let of = |way: &Outcome| saved(way.tokens, row.tokens);
        let _ = writeln!(
            text,
            "| {}{} | {} | {} | {} | {} | {:.1} % | {:.1} % | {:.1} % | {}/3, {}/3 | {:.1} %, {}/3 | {:.1} %, {}/3 | {} | {:.0} | {} |",
            row.name,
            if row.is_condensed { "" } else { " (short: as it is)" },
            row.lines,
            row.raw_tokens,
            row.tokens,
            auto.tokens,
            of(auto),
            saved(auto.tokens, row.raw_tokens),
            of(aggressive),
            auto.visible,
            aggressive.visible,
            of(middle),
            middle.visible,
            of(ends),
            ends.visible,
            row.follow_up,
            row.speed,
            row.memory_kb,
        );
    }
}

/// Puts the report between the marks in the README.
pub(crate) fn into_readme(report: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(&path).expect("a README");
    let [begin, end] = MARKS;
    let (before, rest) = readme.split_once(begin).expect("a mark");
    let (_, behind) = rest.split_once(end).expect("another mark");
    std::fs::write(path, format!("{before}{begin}\n{report}\n{end}{behind}")).expect("a README");
}

fn saved(tokens: usize, of: usize) -> f64 {
    100.0 - 100.0 * tokens as f64 / of.max(1) as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
