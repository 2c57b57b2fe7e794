//! What condensing saves, and what it keeps: `cargo bench --bench condense` prints the README's tables, and
//! `cargo bench --bench condense -- --readme` puts them there.
//!
//! Every recorded log gets labelled lines planted: a failure near its head, in its middle and near its tail,
//! and a rare line that no word marks as trouble. Reductions are counted in tokens of o200k, against the
//! text that the terminal would have shown and against the raw stream. Beside it the two cuts that agents'
//! own shells make today. The command fails if a planted line is not visible, if anything left out cannot be
//! read again as it was, or if a condensed log is larger than it was. Speed is of the time that the thread had
//! on a core, for others may use the machine; memory is what a process of its own takes for the log.

#![expect(clippy::disallowed_methods, reason = "a benchmark starts processes and reads the clock")]
#![expect(clippy::print_stdout, reason = "the table is for people")]
#![expect(clippy::cast_precision_loss, reason = "of sizes of logs")]

#[path = "condensed/mod.rs"]
mod condensed;

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use self::condensed::{Outcome, Row};
use regex::Regex;
use shellherd::term::condense::{Condense, Condenser};
use shellherd::term::excerpt::{Excerpt, Page, Query, excerpt};
use shellherd::term::log::Chunk;
use shellherd::term::text::render;

/// What the text of one result may take: the default budget of 8,000 less what its fields take.
const BUDGET: usize = 7_500;
/// Lines asked for to follow up one fold.
const FOLLOW_UP: u64 = 40;

/// A line to plant, and where in a log, in hundredths.
const PLANTED: [(usize, &str); 3] = [
    (4, "src/vault/door.rs:41:7: error: PLANTED-HEAD cannot find the key of the vault in this scope"),
    (50, "FATAL PLANTED-MIDDLE replica gamma refused the handover: checksum mismatch"),
    (96, "AssertionError: PLANTED-TAIL expected the ledger to balance"),
];

/// A rare line that no word marks as trouble.
const QUIET: (usize, &str) = (63, "PLANTED-QUIET the moon rose over the seventh lighthouse");

struct Log {
    name: String,
    raw: Vec<u8>,
    text: String,
}

fn main() {
    if std::env::args().any(|argument| argument == MEMORY) {
        return own_memory();
    }
    let large = large();
    let logs = logs();
    let mut wrong = Vec::new();
    let rows: Vec<Row> = logs.iter().map(|log| measure(log, &mut wrong)).collect();
    let report = condensed::report(&rows, &large);
    println!("{report}");
    assert!(wrong.is_empty(), "{wrong:#?}");
    if std::env::args().any(|argument| argument == "--readme") {
        condensed::into_readme(&report);
    }
}

fn logs() -> Vec<Log> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/logs");
    let files = std::fs::read_dir(&folder).expect("the logs are there").flatten().map(|entry| entry.path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|ending| ending == "gz")).collect();
    files.sort();
    let mut logs: Vec<Log> = files
        .iter()
        .map(|path| {
            let mut raw = Vec::new();
            let file = std::fs::File::open(path).expect("a log opens");
            flate2::read::GzDecoder::new(file).read_to_end(&mut raw).expect("a log unpacks");
            let name = path.file_name().unwrap_or_default().to_string_lossy().replace(".log.gz", "");
            planted(name, raw)
        })
        .collect();
    logs.push(planted("(made) build of 40,000 files".to_owned(), build(40_000)));
    logs.push(planted("(made) service, 30,000 lines".to_owned(), service(30_000)));
    logs
}

/// The log with the lines planted where a line begins and nothing overwrites them later.
fn planted(name: String, mut raw: Vec<u8>) -> Log {
    for (percent, line) in PLANTED.into_iter().chain([QUIET]) {
        let mut from = raw.len() * percent / 100;
        loop {
            let start = memchr::memchr(b'\n', &raw[from..]).map_or(raw.len(), |newline| from + newline + 1);
            let with = [&raw[..start], line.as_bytes(), b"\r\n", &raw[start..]].concat();
            if render(&with, 40, 120).text.lines().any(|shown| shown == line) || start == raw.len() {
                raw = with;
                break;
            }
            from = start;
        }
    }
    let text = render(&raw, 40, 120).text;
    assert_eq!(visible(&text), PLANTED.len(), "{name}: a planted line is lost before anything is left out");
    Log { name, raw, text }
}

fn visible(text: &str) -> usize {
    PLANTED.iter().filter(|(_, planted)| text.contains(planted)).count()
}

fn query(condense: Condense, page: Page, bytes: usize) -> Query {
    Query {
        from: 0,
        to: bytes as u64,
        page,
        lines: None,
        range: None,
        grep: None,
        context: 0,
        errors_only: false,
        condense,
        budget_tokens: BUDGET,
        more_may_follow: false,
        rows: 40,
        cols: 120,
    }
}

fn ask(query: &Query, raw: &[u8]) -> Excerpt {
    excerpt(query, |from, to, max| {
        let start = usize::try_from(from).unwrap_or(usize::MAX).min(raw.len());
        let end = usize::try_from(to).unwrap_or(usize::MAX).min(raw.len()).min(start + max).max(start);
        Chunk { from, bytes: raw[start..end].to_vec() }
    })
}

fn measure(log: &Log, wrong: &mut Vec<String>) -> Row {
    let Log { name, raw, text } = log;
    let mut fail = |what: &str| wrong.push(format!("{name}: {what}"));
    let raw_text = String::from_utf8_lossy(raw);
    let shown =
        [Condense::Auto, Condense::Aggressive].map(|way| ask(&query(way, Page::Ends, raw.len()), raw));
    for excerpt in &shown {
        if visible(&excerpt.text) < PLANTED.len() {
            fail("a planted line is not visible");
        }
        if !excerpt.text.contains(QUIET.1) {
            fail("the rare line is not visible");
        }
        if excerpt.text.len() > text.len()
            || excerpt.condensed.is_some_and(|saved| saved.tokens > saved.raw_tokens)
        {
            fail("it got larger");
        }
        if excerpt.truncated && !(is_readable(excerpt, log) && is_found(excerpt, log)) {
            fail("what is left out cannot be read as it was");
        }
    }
    let [auto, aggressive] = &shown;
    let cuts = [middle_cut(text), ends_cut(text)];
    let outcome = |text: &str| Outcome {
        tokens: count(text),
        visible: visible(text),
        shows_quiet: text.contains(QUIET.1),
    };
    let largest = folds(&auto.text).into_iter().max_by_key(|(first, last)| last - first);
    let follow_up = largest.map_or(0, |(first, last)| {
        let range = Some((first, last.min(first + FOLLOW_UP - 1)));
        count(&ask(&Query { range, ..query(Condense::Off, Page::Ends, raw.len()) }, raw).text)
    });
    Row {
        name: name.clone(),
        lines: text.lines().count(),
        raw_tokens: count(&raw_text),
        tokens: count(text),
        ways: [outcome(&auto.text), outcome(&aggressive.text), outcome(&cuts[0]), outcome(&cuts[1])],
        follow_up,
        is_condensed: auto.condensed.is_some(),
        speed: speed(raw),
        memory_kb: memory_kb(raw),
    }
}

fn count(text: &str) -> usize {
    bpe_openai::o200k_base().count(text)
}

/// Megabytes a second from the raw stream to the condensed text.
fn speed(raw: &[u8]) -> f64 {
    let query = query(Condense::Auto, Page::Ends, raw.len());
    let (begun, used) = (Instant::now(), on_core());
    let mut bytes = 0;
    while begun.elapsed() < Duration::from_millis(300) {
        std::hint::black_box(ask(&query, raw));
        bytes += raw.len();
    }
    bytes as f64 / 1e6 / on_core().saturating_sub(used).as_secs_f64()
}

/// How long this thread has had a core.
fn on_core() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").expect("the kernel tells it");
    let nanos = told.split(' ').next().and_then(|nanos| nanos.parse().ok()).expect("a number");
    Duration::from_nanos(nanos)
}

/// An argument: to condense what comes on stdin, and to print what memory that took.
const MEMORY: &str = "--memory";

/// The kilobytes of memory that condensing takes in a process that has done nothing else.
fn memory_kb(raw: &[u8]) -> usize {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    let mut child =
        command.arg(MEMORY).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    child.stdin.take().expect("a pipe").write_all(raw).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number")
}

fn own_memory() {
    let mut raw = Vec::new();
    std::io::stdin().read_to_end(&mut raw).expect("a log");
    let before = peak_kb();
    std::hint::black_box(ask(&query(Condense::Auto, Page::Ends, raw.len()), &raw));
    println!("{}", peak_kb().saturating_sub(before));
}

/// The ranges that the folds of a text name.
fn folds(text: &str) -> Vec<(u64, u64)> {
    let range = |line: &str| {
        let rest = line.strip_prefix("[lines ").or_else(|| line.strip_prefix("[line "))?;
        let (range, _) = rest.split_once(": ")?;
        let (first, last) = range.split_once('–').unwrap_or((range, range));
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    text.lines().filter_map(range).collect()
}

/// Whether all that the excerpt leaves out can be had: each fold by its range, everything behind the cursor
/// page by page, and the raw bytes.
fn is_readable(excerpt: &Excerpt, log: &Log) -> bool {
    let lines: Vec<&str> = log.text.lines().collect();
    let place = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let all = Query { budget_tokens: usize::MAX / 2, ..query(Condense::Off, Page::Ends, log.raw.len()) };
    let by_range = folds(&excerpt.text).into_iter().all(|(first, last)| {
        let found = ask(&Query { range: Some((first, last)), ..all.clone() }, &log.raw).text;
        found.lines().eq(lines[place(first) - 1..place(last)].iter().copied())
    });
    let (mut text, mut from) = (String::new(), excerpt.omitted_from.unwrap_or(0));
    loop {
        let page = ask(&Query { from, ..query(Condense::WhenCut, Page::Forward, log.raw.len()) }, &log.raw);
        text.push_str(&page.text);
        match page.omitted_from {
            Some(next) if next > from => from = next,
            _ => break,
        }
    }
    // A page begins on an empty screen: where a program goes back to earlier lines, only ranges give them.
    let is_redrawn = excerpt.omitted_from == Some(0);
    by_range
        && (is_redrawn || log.text.ends_with(&text))
        && text.lines().count() as u64 >= excerpt.omitted_lines
}

/// Whether the first line of each fold is found by a pattern.
fn is_found(excerpt: &Excerpt, log: &Log) -> bool {
    let lines: Vec<&str> = log.text.lines().collect();
    folds(&excerpt.text).into_iter().take(8).all(|(number, _)| {
        let line = lines[usize::try_from(number).unwrap_or(usize::MAX) - 1];
        let grep = Regex::new(&format!("^{}$", regex::escape(line))).ok();
        let all = Query { budget_tokens: usize::MAX / 2, ..query(Condense::Off, Page::Ends, log.raw.len()) };
        let found = ask(&Query { grep, ..all }, &log.raw).text;
        found.lines().any(|found| found == format!("{number}:{line}"))
    })
}

/// 30,000 characters with the middle cut.
fn middle_cut(text: &str) -> String {
    const CHARACTERS: usize = 30_000;
    let characters = text.chars().count();
    if characters <= CHARACTERS {
        return text.to_owned();
    }
    let head: String = text.chars().take(CHARACTERS / 2).collect();
    let tail: String = text.chars().skip(characters - CHARACTERS / 2).collect();
    format!("{head}\n[{} characters cut]\n{tail}", characters - CHARACTERS)
}

/// 10 KiB or 256 lines, half of either from each end.
fn ends_cut(text: &str) -> String {
    const BYTES: usize = 10 << 10;
    const LINES: usize = 256;
    let lines: Vec<&str> = text.lines().collect();
    if text.len() <= BYTES && lines.len() <= LINES {
        return text.to_owned();
    }
    let within = |lines: &mut dyn Iterator<Item = &&str>| {
        let mut left = BYTES / 2;
        let fits = |line: &&&str| {
            let fits = line.len() < left;
            left = left.saturating_sub(line.len() + 1);
            fits
        };
        lines.take(LINES / 2).take_while(fits).map(|line| (*line).to_owned()).collect::<Vec<_>>()
    };
    let head = within(&mut lines.iter());
    let mut tail = within(&mut lines.iter().rev());
    tail.reverse();
    format!("{}\n[cut]\n{}", head.join("\n"), tail.join("\n"))
}

/// 64 MB made as they are condensed: how fast, and how much memory that takes.
fn large() -> String {
    const BYTES: usize = 64 << 20;
    let piece = String::from_utf8(service(2_000)).unwrap_or_default().replace('\r', "");
    // Sets the peak back to what is in use.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let before = peak_kb();
    let mut condenser = Condenser::new(Condense::Auto).expect("a way that condenses");
    let (used, mut bytes) = (on_core(), 0);
    while bytes < BYTES {
        piece.lines().for_each(|line| condenser.push(line));
        bytes += piece.len();
    }
    let condensed = condenser.finish(BUDGET).expect("it is condensed");
    let seconds = on_core().saturating_sub(used).as_secs_f64();
    format!(
        "Of 64 MB made as they are condensed, {:.0} MB pass in a second and {} kB of memory stay in use; {} lines become {} tokens.",
        bytes as f64 / 1e6 / seconds,
        peak_kb().saturating_sub(before),
        condensed.total_lines,
        condensed.tokens
    )
}

/// The most memory that this process had since its peak was set back.
fn peak_kb() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    peak.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}

/// A colourful build with progress in one line.
fn build(files: usize) -> Vec<u8> {
    let step = |file: usize| {
        format!(
            "\r\x1b[K[{file}/{files}] \x1b[32mCC\x1b[0m src/part{}/unit_{file}.c\r\n\r\x1b[K{:>3}% |{:<20}|",
            file % 97,
            file * 100 / files,
            "#".repeat(file * 20 / files)
        )
    };
    ((0..files).map(step).collect::<String>() + "\r\x1b[Kbuilt 1 program\r\n").into_bytes()
}

/// A service that logs requests, queries and jobs.
fn service(lines: usize) -> Vec<u8> {
    let line = |number: usize| {
        let mixed = number.wrapping_mul(2_654_435_761) >> 7;
        let (minute, second, milli) = (number / 600 % 60, number / 10 % 60, mixed % 1_000);
        let what = match mixed % 7 {
            0 => format!("INFO db: query took {} us and gave {} rows", mixed % 90_000, mixed % 500),
            1 | 2 => format!("DEBUG queue: job {number} acknowledged by worker-{}", mixed % 16),
            _ => format!(
                "INFO web: GET /api/v1/orders/{} 200 in {}.{} ms",
                mixed % 9_999,
                mixed % 80,
                mixed % 10
            ),
        };
        format!("2026-11-21T09:{minute:02}:{second:02}.{milli:03}Z {what}\r\n")
    };
    (0..lines).map(line).collect::<String>().into_bytes()
}
