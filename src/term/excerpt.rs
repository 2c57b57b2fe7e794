//! What a caller gets to see of a range of the log: rendered text within a budget of tokens, with
//! everything that is left out counted, and reachable by a cursor.
//!
//! The log is read in pieces by a function of the caller: a range of 64 MB never stands in memory.
//! A page begins on an empty screen, so what a program drew before it cannot be changed by it.

use regex::Regex;

use crate::term::condense::{Condense, Condenser};
use crate::term::fill::Fill;
use crate::term::filter::{Filter, MARKER_TOKENS, Tail, joined};
use crate::term::log::Chunk;
use crate::term::source::Source;

/// Ranges up to this size are rendered whole; of larger ones only both ends are, and the lines in
/// between are counted as newlines.
const WHOLE_BYTES: u64 = 4 << 20;
/// So much of the end of a larger range is rendered. More than any budget shows.
const END_BYTES: u64 = 512 << 10;

/// Budgets from this size on have room for a condensed text.
const CONDENSED_TOKENS: usize = 200;

/// Which lines of what is left by the other filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// The first ones.
    Head(usize),
    /// The last ones.
    Tail(usize),
}

/// What happens to what does not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Page {
    /// A third of the budget goes to the beginning, the rest to the end, and a line in between
    /// tells of what is missing: for the result of a command.
    #[default]
    Ends,
    /// The page is filled from the beginning, and the next one continues at its cursor.
    Forward,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Query {
    /// Cursor of the first byte.
    pub from: u64,
    /// Cursor behind the last byte.
    pub to: u64,
    /// The shape of the answer. With filters, which look at the whole range, it only says
    /// which of the found lines are shown when not all fit: both ends, or the first.
    pub page: Page,
    /// A bound on the number of lines.
    pub lines: Option<Lines>,
    /// First and last rendered line, from 1.
    pub range: Option<(u64, u64)>,
    /// Only lines that match.
    pub grep: Option<Regex>,
    /// Lines shown around each match, up to 100.
    pub context: usize,
    /// Only lines that tell of errors, warnings and failures.
    pub errors_only: bool,
    /// What is left out of a long output. Filters take all that they find.
    pub condense: Condense,
    /// The size of the answer, estimated.
    pub budget_tokens: usize,
    /// The range still grows: an unfinished character or escape sequence is left for the next time.
    pub more_may_follow: bool,
    /// The terminal's rows.
    pub rows: u16,
    /// The terminal's columns.
    pub cols: u16,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Excerpt {
    /// The text, with a last newline exactly if the output had one there.
    pub text: String,
    /// Where to continue.
    pub cursor: u64,
    /// Rendered lines of the range; of a large one the newlines in it. For `Page::Forward` those
    /// of this page.
    pub total_lines: u64,
    /// Lines, of those asked for, that are not shown at all.
    pub omitted_lines: u64,
    /// Bytes that are not shown: the raw ones between beginning and end, and those that the
    /// log no longer had. For filtered answers only the latter.
    pub omitted_bytes: u64,
    /// Whether more was asked for than is shown.
    pub truncated: bool,
    /// Cursor of the first byte that is not shown and can still be read.
    pub omitted_from: Option<u64>,
    /// Where the text was condensed: what it saved.
    pub condensed: Option<Savings>,
}

/// What condensing saved, in estimated tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Savings {
    /// Of the whole output as plain text.
    pub raw_tokens: usize,
    /// Of the text.
    pub tokens: usize,
}

/// Answers `query` about a log that is read by `read(from, to, max)`, as by [`OutputLog::read`].
///
/// [`OutputLog::read`]: crate::term::log::OutputLog::read
pub fn excerpt(query: &Query, read: impl FnMut(u64, u64, usize) -> Chunk) -> Excerpt {
    let mut source = Source { read, rows: query.rows, cols: query.cols };
    // Reading nothing there gives the log's end, if the range goes beyond it.
    let to = (source.read)(query.to, query.to, 0).from.min(query.to).max(query.from);
    let from = source.skip_dropped(query.from, to);
    let to = if query.more_may_follow { source.complete_end(from, to) } else { to.max(from) };
    let dropped = from - query.from.min(from);
    let is_filtered =
        query.grep.is_some() || query.errors_only || query.range.is_some() || query.lines.is_some();
    let plain = |source: &mut Source<_>| match query.page {
        Page::Ends | Page::Forward if is_filtered => filtered(query, source, from, to),
        Page::Ends => ends(query, source, from, to),
        Page::Forward => forward(source, from, to, query.budget_tokens).into(),
    };
    let mut excerpt = match (query.condense, query.page) {
        (Condense::Auto | Condense::Aggressive, _) if !is_filtered => {
            condensed(query, &mut source, from, to).unwrap_or_else(|| plain(&mut source))
        }
        (Condense::WhenCut, Page::Ends) if !is_filtered => {
            let whole = plain(&mut source);
            let condensed = whole.truncated.then(|| condensed(query, &mut source, from, to)).flatten();
            condensed.unwrap_or(whole)
        }
        (Condense::Off | Condense::WhenCut | Condense::Auto | Condense::Aggressive, _) => plain(&mut source),
    };
    excerpt.omitted_bytes += dropped;
    excerpt.truncated |= dropped > 0;
    excerpt
}

/// One page from `from` on.
struct ForwardPage {
    text: String,
    lines: u64,
    cursor: u64,
    is_last: bool,
}

impl From<ForwardPage> for Excerpt {
    fn from(page: ForwardPage) -> Self {
        Self {
            text: page.text,
            cursor: page.cursor,
            total_lines: page.lines,
            truncated: !page.is_last,
            omitted_from: (!page.is_last).then_some(page.cursor),
            ..Self::default()
        }
    }
}

/// As many whole lines as fit; if not even one does, as much of it as fits.
///
/// The page ends where a new last line begins. It is the last such place at which the text so far
/// fits, so that a block of progress lines, drawn over and over, stays on one page.
fn forward<F: FnMut(u64, u64, usize) -> Chunk>(
    source: &mut Source<F>,
    from: u64,
    to: u64,
    budget: usize,
) -> ForwardPage {
    let mut fill = Fill::new(source.rows, source.cols, budget);
    let mut at = from;
    source.pieces(from, to, |cursor, bytes| {
        at = cursor;
        let mut rest = bytes;
        while !rest.is_empty() && fill.wants_more(at) {
            let step = memchr::memchr(b'\n', &rest[..rest.len().min(fill.step)])
                .map_or(rest.len().min(fill.step), |newline| newline + 1);
            // Not within a character: then there would be fewer places to end.
            let step = step + rest[step..].iter().take_while(|byte| **byte & 0xc0 == 0x80).take(3).count();
            at += step as u64;
            fill.step(&rest[..step], at);
            rest = &rest[step..];
        }
        rest.is_empty()
    });
    let everything_fits = at >= to && fill.measure_fits();
    let cut = if everything_fits { to } else { fill.cut(at) };
    let mut page = ForwardPage { text: String::new(), lines: 0, cursor: cut, is_last: everything_fits };
    let ends_with_newline = source.render(from, cut, &mut |line| {
        page.text.push_str(line);
        page.text.push('\n');
        page.lines += 1;
    });
    if !ends_with_newline {
        page.text.pop();
    }
    page
}

/// The whole range, or its beginning and its end.
fn ends<F: FnMut(u64, u64, usize) -> Chunk>(
    query: &Query,
    source: &mut Source<F>,
    from: u64,
    to: u64,
) -> Excerpt {
    let is_whole = to - from <= WHOLE_BYTES;
    let tail_from = if is_whole { from } else { source.line_start_within(to - END_BYTES, to) };
    let mut tail = Tail::new(query.budget_tokens, usize::MAX);
    let ends_with_newline = source.render(tail_from, to, &mut |line| tail.push(line));
    if is_whole && tail.left_out == 0 && tail.tokens <= query.budget_tokens {
        return Excerpt {
            total_lines: tail.kept.len() as u64,
            text: joined(tail.lines(), ends_with_newline),
            cursor: to,
            ..Excerpt::default()
        };
    }
    let total_lines = if is_whole {
        tail.left_out + tail.kept.len() as u64
    } else {
        source.count_newlines(from, to) + u64::from(!ends_with_newline)
    };
    let budget = query.budget_tokens.saturating_sub(MARKER_TOKENS).max(2);
    let head = forward(source, from, to.min(from + WHOLE_BYTES), budget / 3);
    // A head that ends within a line shows something of it.
    tail.shrink(budget - budget / 3, total_lines.saturating_sub(head.lines));
    let tail_lines = tail.kept.len();
    let tail_cursor = match tail.kept.front() {
        // It is cut, and the only one.
        Some(line) if line.is_cut => {
            let newline = if ends_with_newline { b"\r\n".len() } else { 0 };
            to.saturating_sub((line.text.len() + newline) as u64)
        }
        _ => source.line_start_from_end(head.cursor, to, tail_lines, ends_with_newline),
    };
    let omitted_lines = total_lines.saturating_sub(head.lines + tail_lines as u64);
    let omitted_bytes = tail_cursor.saturating_sub(head.cursor);
    let mut text = head.text;
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&marker(omitted_lines, omitted_bytes, head.cursor));
    text.push('\n');
    text.push_str(&joined(tail.lines(), ends_with_newline));
    Excerpt {
        text,
        cursor: to,
        total_lines,
        omitted_lines,
        omitted_bytes,
        truncated: true,
        omitted_from: Some(head.cursor),
        condensed: None,
    }
}

/// The whole range in fewer words, unless it is better given as it is.
fn condensed<F: FnMut(u64, u64, usize) -> Chunk>(
    query: &Query,
    source: &mut Source<F>,
    from: u64,
    to: u64,
) -> Option<Excerpt> {
    // In less room, both ends say more.
    if query.budget_tokens < CONDENSED_TOKENS {
        return None;
    }
    let mut condenser = Condenser::new(query.condense)?;
    let ends_with_newline = source.render(from, to, &mut |line| condenser.push(line));
    let condensed = condenser.finish(query.budget_tokens)?;
    Some(Excerpt {
        text: condensed.text + if ends_with_newline { "\n" } else { "" },
        cursor: to,
        total_lines: condensed.total_lines,
        omitted_lines: condensed.omitted_lines,
        truncated: true,
        omitted_from: Some(source.line_start(from, to, condensed.first_omitted)),
        condensed: Some(Savings { raw_tokens: condensed.raw_tokens, tokens: condensed.tokens }),
        ..Excerpt::default()
    })
}

fn marker(lines: u64, bytes: u64, from: u64) -> String {
    let size = match bytes {
        0..=9_999 => format!("{bytes} bytes"),
        10_000..=999_999 => format!("{} kB", bytes / 1_000),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10),
    };
    match lines {
        0 => format!("[… {size} omitted: continue reading since {from} …]"),
        1 => format!("[… 1 line ({size}) omitted: continue reading since {from} …]"),
        _ => format!("[… {lines} lines ({size}) omitted: continue reading since {from} …]"),
    }
}

/// The lines that pass the filters, of the whole range.
fn filtered<F: FnMut(u64, u64, usize) -> Chunk>(
    query: &Query,
    source: &mut Source<F>,
    from: u64,
    to: u64,
) -> Excerpt {
    let is_plain = query.grep.is_none() && !query.errors_only && query.range.is_none();
    let wants_end_only = is_plain && matches!(query.lines, Some(Lines::Tail(_)));
    let start = if wants_end_only && to - from > WHOLE_BYTES {
        source.line_start_within(to - END_BYTES, to)
    } else {
        from
    };
    let mut filter = Filter::new(query);
    let ends_with_newline = source.render(start, to, &mut |line| filter.push(line));
    let total_lines = filter.number + source.count_newlines(from, start);
    let (text, omitted_lines) = filter.finish(ends_with_newline);
    Excerpt {
        text,
        cursor: to,
        total_lines,
        omitted_lines,
        truncated: omitted_lines > 0,
        ..Excerpt::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::log::{MemoryArchive, OutputLog};
    use crate::term::text::render;
    use crate::term::tokens::estimate_tokens;
    use proptest::prelude::*;

    fn query(page: Page, budget_tokens: usize) -> Query {
        Query {
            from: 0,
            to: u64::MAX,
            page,
            lines: None,
            range: None,
            grep: None,
            context: 0,
            errors_only: false,
            condense: Condense::Off,
            budget_tokens,
            more_may_follow: false,
            rows: 5,
            cols: 20,
        }
    }

    fn log(bytes: &[u8]) -> OutputLog {
        let mut log = OutputLog::new(Box::new(MemoryArchive::new(usize::MAX)));
        log.append(bytes);
        log
    }

    fn ask(query: &Query, bytes: &[u8]) -> Excerpt {
        let log = log(bytes);
        excerpt(query, |from, to, max| log.read(from, to, max))
    }

    fn numbered(lines: usize) -> String {
        (1..=lines).fold(String::new(), |text, number| text + &format!("line {number}\r\n"))
    }

    #[test]
    fn what_fits_is_shown_whole() {
        for page in [Page::Ends, Page::Forward] {
            let expected = Excerpt { text: "a\nb".into(), cursor: 4, total_lines: 2, ..Excerpt::default() };
            assert_eq!(ask(&query(page, 100), b"a\r\nb"), expected);
            assert_eq!(ask(&query(page, 100), b""), Excerpt::default());
        }
    }

    #[test]
    fn both_ends_of_a_long_output_are_shown() {
        let output = numbered(1_000);
        let excerpt = ask(&query(Page::Ends, 100), output.as_bytes());
        assert!(estimate_tokens(&excerpt.text) <= 100, "{}", excerpt.text);
        let (head, rest) = excerpt.text.split_once("[… ").unwrap();
        let (marker, tail) = rest.split_once(" …]\n").unwrap();
        assert!(head.starts_with("line 1\n") && tail.ends_with("line 1000\n"));
        let shown = (head.lines().count() + tail.lines().count()) as u64;
        assert_eq!(excerpt.omitted_lines, 1_000 - shown);
        let from = excerpt.omitted_from.unwrap();
        let omitted = &output.as_bytes()[usize::try_from(from).unwrap()..]
            [..usize::try_from(excerpt.omitted_bytes).unwrap()];
        assert_eq!(format!("{head}{}{tail}", render(omitted, 5, 20).text), output.replace('\r', ""));
        assert!(marker.ends_with(&format!("continue reading since {from}")), "{marker}");
    }

    #[test]
    fn a_line_longer_than_the_budget_is_cut() {
        let output = format!("[{}]", "1234567,".repeat(1_000));
        let excerpt = ask(&query(Page::Ends, 200), output.as_bytes());
        assert!(excerpt.text.starts_with("[1234567,") && excerpt.text.ends_with("1234567,]"));
        assert!(excerpt.text.len() < 1_000 && excerpt.truncated);
        let shown = excerpt.text.lines().filter(|line| !line.starts_with("[…")).map(str::len).sum::<usize>();
        assert_eq!(shown as u64 + excerpt.omitted_bytes, output.len() as u64);
    }

    #[test]
    fn a_large_output_is_counted_and_not_rendered() {
        let output = numbered(400_000);
        let excerpt = ask(&query(Page::Ends, 100), output.as_bytes());
        assert_eq!(excerpt.total_lines, 400_000);
        assert!(excerpt.text.starts_with("line 1\n") && excerpt.text.ends_with("\nline 400000\n"));
        let last = Query { lines: Some(Lines::Tail(2)), ..query(Page::Ends, 100) };
        assert_eq!(ask(&last, output.as_bytes()).text, "line 399999\nline 400000\n");
    }

    #[test]
    fn lines_and_ranges() {
        let output = numbered(20);
        let text = |query: Query| ask(&query, output.as_bytes()).text;
        let plain = || query(Page::Ends, 1_000);
        assert_eq!(text(Query { lines: Some(Lines::Head(2)), ..plain() }), "line 1\nline 2\n");
        assert_eq!(text(Query { lines: Some(Lines::Tail(1)), ..plain() }), "line 20\n");
        assert_eq!(text(Query { range: Some((3, 4)), ..plain() }), "line 3\nline 4\n");
        assert_eq!(text(Query { range: Some((30, 40)), ..plain() }), "");
        let small = ask(&Query { range: Some((1, 19)), ..query(Page::Forward, 60) }, output.as_bytes());
        assert!(small.text.starts_with("line 1\n") && small.truncated && small.omitted_lines > 10);
    }

    #[test]
    fn matches_come_with_numbers_and_context() {
        let grep = |pattern: &str, context| Query {
            grep: Some(Regex::new(pattern).unwrap()),
            context,
            ..query(Page::Ends, 1_000)
        };
        let output = numbered(20);
        assert_eq!(
            ask(&grep("[36]$", 0), output.as_bytes()).text,
            "3:line 3\n6:line 6\n13:line 13\n16:line 16\n"
        );
        assert_eq!(
            ask(&grep("^line (2|9)$", 1), output.as_bytes()).text,
            "1-line 1\n2:line 2\n3-line 3\n--\n8-line 8\n9:line 9\n10-line 10\n"
        );
        let errors = Query { errors_only: true, ..query(Page::Ends, 1_000) };
        let output = format!("{}error: broken\r\n{}", numbered(5), numbered(5));
        assert_eq!(
            ask(&errors, output.as_bytes()).text,
            "4-line 4\n5-line 5\n6:error: broken\n7-line 1\n8-line 2\n"
        );
    }

    #[test]
    fn what_the_log_dropped_is_counted() {
        let mut log = OutputLog::new(Box::new(MemoryArchive::new(10)));
        log.append(numbered(50_000).as_bytes());
        let oldest = log.oldest();
        let excerpt = excerpt(&query(Page::Forward, 50), |from, to, max| log.read(from, to, max));
        assert!(oldest > 0 && excerpt.omitted_bytes == oldest && excerpt.truncated);
    }

    #[test]
    fn an_unfinished_sequence_waits() {
        let growing = Query { more_may_follow: true, ..query(Page::Forward, 100) };
        let excerpt = ask(&growing, b"50%\x1b[3");
        assert_eq!((excerpt.text.as_str(), excerpt.cursor), ("50%", 3));
    }

    #[test]
    fn a_redrawn_block_stays_on_one_page() {
        let frame = |number: usize| format!("\x1b[3Aa: {number}\x1b[K\r\nb: {number}\r\nc: {number}\r\n");
        let output =
            format!("start\r\n\r\n\r\n\r\n{}{}", (0..200).map(frame).collect::<String>(), numbered(50));
        let page = ask(&query(Page::Forward, 60), output.as_bytes());
        assert!(page.text.starts_with("start\na: 199\nb: 199\nc: 199\nline 1\n"), "{}", page.text);
    }

    proptest! {
        #[test]
        fn pages_give_every_line_exactly_once(
            lines in prop::collection::vec("([ -~]|[é日]|\x1b\\[[0-9]{1,2}m){0,80}", 0..30),
            budget in 1_usize..80, ends_with_newline in any::<bool>(),
        ) {
            let mut output = lines.join("\r\n");
            if ends_with_newline { output.push_str("\r\n"); }
            let log = log(output.as_bytes());
            let (mut text, mut from, mut pages) = (String::new(), 0, 0);
            loop {
                let page = excerpt(
                    &Query { from, ..query(Page::Forward, budget) },
                    |from, to, max| log.read(from, to, max),
                );
                prop_assert!(estimate_tokens(&page.text) <= budget.max(16), "{:?}", page.text);
                text.push_str(&page.text);
                if page.cursor == log.end() { break; }
                prop_assert!(page.cursor > from && page.omitted_from == Some(page.cursor));
                from = page.cursor;
                pages += 1;
                prop_assert!(pages <= output.len());
            }
            prop_assert_eq!(text, render(output.as_bytes(), 5, 20).text);
        }

        #[test]
        fn any_bytes_stay_within_any_budget(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(0x1b), 32_u8..127], 0..800),
            budget in 100_usize..300,
        ) {
            let excerpt = ask(&query(Page::Ends, budget), &bytes);
            prop_assert!(estimate_tokens(&excerpt.text) <= budget + 20, "{}", excerpt.text);
            prop_assert_eq!(excerpt.cursor, bytes.len() as u64);
        }
    }
}
