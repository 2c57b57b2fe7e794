//! How fast terminal output is taken in and made readable.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use shellherd::term::condense::{Condense, Condenser};
use shellherd::term::excerpt::{Page, Query, excerpt};
use shellherd::term::log::{Chunk, MemoryArchive, OutputLog};
use shellherd::term::marks::{MarkScanner, Piece};
use shellherd::term::redact::Redactor;
use shellherd::term::text::{Renderer, complete_prefix};
use shellherd::term::{screen, tokens};

const INPUT_BYTES: usize = 8 << 20;

fn main() {
    divan::main();
}

/// Pieces, each made from its number, until there are so many bytes.
fn repeated(piece: impl Fn(usize) -> String, bytes: usize) -> Vec<u8> {
    let mut output = Vec::with_capacity(bytes + 1_000);
    let mut number = 0;
    while output.len() < bytes {
        output.extend_from_slice(piece(number).as_bytes());
        number += 1;
    }
    output
}

fn plain(bytes: usize) -> Vec<u8> {
    repeated(
        |line| format!("{line:>8}  the quick brown fox jumps over the lazy dog, and runs on /a/b/c.rs\r\n"),
        bytes,
    )
}

fn progress(bytes: usize) -> Vec<u8> {
    repeated(
        |step| {
            let done = step % 100;
            let bar = "=".repeat(done / 2);
            format!("\r\x1b[K[{bar:<50}] {done}%{}", if done == 99 { "\r\n" } else { "" })
        },
        bytes,
    )
}

fn colored(bytes: usize) -> Vec<u8> {
    repeated(
        |step| {
            format!(
                "\x1b[1m\x1b[32m   Compiling\x1b[0m crate-{step} v1.{step}.0\r\n\x1b[1m\x1b[36m    Building\x1b[0m [====>   ] {step}/999\r\x1b[K"
            )
        },
        bytes,
    )
}

fn output_of(kind: &str) -> Vec<u8> {
    match kind {
        "plain" => plain(INPUT_BYTES),
        "progress" => progress(INPUT_BYTES),
        _ => colored(INPUT_BYTES),
    }
}

#[divan::bench]
fn log_append(bencher: Bencher<'_, '_>) {
    let chunk = plain(4_000);
    let mut log = OutputLog::new(Box::new(MemoryArchive::new(0)));
    bencher.counter(BytesCount::of_slice(&chunk)).bench_local(|| log.append(black_box(&chunk)));
}

#[divan::bench(args = ["plain", "colored"])]
fn mark_scan(bencher: Bencher<'_, '_>, kind: &str) {
    let output = output_of(kind);
    let mut scanner = MarkScanner::new("0123456789abcdef");
    bencher.counter(BytesCount::of_slice(&output)).bench_local(|| {
        let mut bytes = 0;
        scanner.feed(black_box(&output), |piece| match piece {
            Piece::Output(output) => bytes += output.len(),
            Piece::Mark(_) => {}
        });
        bytes
    });
}

#[divan::bench]
fn redact_two_secrets(bencher: Bencher<'_, '_>) {
    let output = plain(INPUT_BYTES);
    let mut redactor = Redactor::new();
    redactor.add(b"correct horse battery staple");
    redactor.add(b"hunter2hunter2");
    bencher.counter(BytesCount::of_slice(&output)).bench_local(|| redactor.feed(black_box(&output)).len());
}

#[divan::bench(args = ["plain", "progress", "colored"])]
fn render(bencher: Bencher<'_, '_>, kind: &str) {
    let output = output_of(kind);
    bencher.counter(BytesCount::of_slice(&output)).bench_local(|| {
        let mut bytes = 0;
        let mut renderer = Renderer::new(40, 120);
        renderer.feed(black_box(&output), &mut |line| bytes += line.len());
        renderer.finish(&mut |line| bytes += line.len());
        bytes
    });
}

#[divan::bench]
fn complete_prefix_of_a_page(bencher: Bencher<'_, '_>) {
    let output = colored(64 << 10);
    bencher.counter(BytesCount::of_slice(&output)).bench_local(|| complete_prefix(black_box(&output)));
}

#[divan::bench]
fn estimate_tokens(bencher: Bencher<'_, '_>) {
    let output = String::from_utf8(plain(INPUT_BYTES)).unwrap_or_default();
    bencher.counter(BytesCount::of_str(&output)).bench_local(|| tokens::estimate_tokens(black_box(&output)));
}

/// The result of a command that printed 64 MB.
#[divan::bench(sample_count = 20)]
fn excerpt_ends_of_64_mb(bencher: Bencher<'_, '_>) {
    let output = plain(64 << 20);
    let query = query(output.len(), Page::Ends, 8_000);
    bencher
        .counter(BytesCount::of_slice(&output))
        .bench_local(|| excerpt(&query, |from, to, max| slice(&output, from, to, max)));
}

/// Lines that are plain text already, in fewer words.
#[divan::bench(args = ["plain", "colored", "varied"], sample_count = 10)]
fn condense(bencher: Bencher<'_, '_>, kind: &str) {
    let output = if kind == "varied" { varied(INPUT_BYTES) } else { output_of(kind) };
    let text = shellherd::term::text::render(&output, 40, 120).text;
    bencher.counter(BytesCount::of_str(&text)).bench_local(|| {
        let mut condenser = Condenser::new(Condense::Auto)?;
        text.lines().for_each(|line| condenser.push(line));
        condenser.finish(8_000)
    });
}

/// The result of a command that printed 64 MB, from raw bytes to the condensed text.
#[divan::bench(sample_count = 5)]
fn excerpt_condensed_of_64_mb(bencher: Bencher<'_, '_>) {
    let output = plain(64 << 20);
    let query = Query { condense: Condense::Auto, ..query(output.len(), Page::Ends, 8_000) };
    bencher
        .counter(BytesCount::of_slice(&output))
        .bench_local(|| excerpt(&query, |from, to, max| slice(&output, from, to, max)));
}

/// Lines of a hundred templates, no two of which are the same.
fn varied(bytes: usize) -> Vec<u8> {
    const WORDS: [&str; 10] =
        ["cart", "order", "user", "queue", "shard", "index", "cache", "batch", "node", "page"];
    repeated(
        |line| {
            let (what, which) = (WORDS[line * 7 % 10], WORDS[line * 13 / 10 % 10]);
            format!(
                "2026-11-21T09:{:02}:{:02}.{:03}Z INFO {what}: {which} {line:08x} took {}.{} ms, {} rows\r\n",
                line / 60 % 60,
                line % 60,
                line % 997,
                line % 31,
                line % 7,
                line % 5_000
            )
        },
        bytes,
    )
}

/// Every line of 4 MB that looks like trouble: there is none.
#[divan::bench(sample_count = 20)]
fn excerpt_errors_of_4_mb(bencher: Bencher<'_, '_>) {
    let output = plain(4 << 20);
    bencher.counter(BytesCount::of_slice(&output)).bench_local(|| {
        let query = Query { errors_only: true, ..query(output.len(), Page::Ends, 8_000) };
        excerpt(&query, |from, to, max| slice(&output, from, to, max))
    });
}

/// The first page of a long log, which is all that is read of it: the time counts.
#[divan::bench]
fn excerpt_one_page(bencher: Bencher<'_, '_>) {
    let output = colored(1 << 20);
    let query = query(output.len(), Page::Forward, 8_000);
    bencher.bench_local(|| excerpt(&query, |from, to, max| slice(&output, from, to, max)));
}

#[divan::bench]
fn replay_256_kib(bencher: Bencher<'_, '_>) {
    let output = colored(256 << 10);
    bencher
        .counter(BytesCount::of_slice(&output))
        .bench_local(|| screen::replay(black_box(&output), 40, 120));
}

fn query(bytes: usize, page: Page, budget_tokens: usize) -> Query {
    Query {
        from: 0,
        to: bytes as u64,
        page,
        lines: None,
        range: None,
        grep: None,
        context: 0,
        errors_only: false,
        condense: Condense::Off,
        budget_tokens,
        more_may_follow: false,
        rows: 40,
        cols: 120,
    }
}

fn slice(output: &[u8], from: u64, to: u64, max: usize) -> Chunk {
    let start = usize::try_from(from).unwrap_or(usize::MAX).min(output.len());
    let end = usize::try_from(to).unwrap_or(usize::MAX).min(output.len()).min(start + max);
    Chunk { from, bytes: output[start..end.max(start)].to_vec() }
}
