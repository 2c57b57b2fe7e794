//! What comes from a terminal, on its way into the session's log: marks are taken out and handed
//! up, secrets are blotted out, and the echo of the short line that hands a command over is replaced
//! by the command itself, so that the log reads as if it had been typed.

use std::sync::Arc;

use super::output::Output;
use crate::clock::{self, Moment};
use crate::term::marks::{Mark, MarkScanner, Piece};
use crate::term::redact::Redactor;
use crate::term::text;

/// Output held back for the echo: more than any line editor prints for one short line.
const ECHO_BYTES: usize = 8 << 10;

/// Wide enough that what a line editor draws is never wrapped.
const ECHO_COLS: u16 = 1_000;
/// High enough for any prompt.
const ECHO_ROWS: u16 = 50;

/// The first line of a command is shown up to this many characters.
const SHOWN_CHARS: usize = 400;

#[derive(Debug)]
pub(super) struct Stream {
    scanner: MarkScanner,
    sink: Sink,
}

#[derive(Debug)]
struct Sink {
    output: Arc<Output>,
    redactor: Redactor,
    echo: Option<Echo>,
    marks: Vec<(Mark, u64)>,
}

/// A typed line whose echo is awaited.
#[derive(Debug)]
struct Echo {
    /// What was typed, without its blank in front and its newline.
    typed: Vec<u8>,
    /// What is shown instead.
    shown: String,
    held: Vec<u8>,
    since: Moment,
}

impl Stream {
    pub(super) fn new(nonce: &str, output: Arc<Output>, redactor: Redactor) -> Self {
        let sink = Sink { output, redactor, echo: None, marks: Vec::new() };
        Self { scanner: MarkScanner::new(nonce), sink }
    }

    /// Takes bytes in, and returns the marks among them with the cursors where they stood.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<(Mark, u64)> {
        let sink = &mut self.sink;
        self.scanner.feed(bytes, |piece| sink.take(piece));
        std::mem::take(&mut self.sink.marks)
    }

    /// Gives out what was held back: nothing more may come for a while.
    pub(super) fn flush(&mut self) {
        let sink = &mut self.sink;
        self.scanner.flush(|piece| sink.take(piece));
        sink.release_echo();
        sink.settle();
    }

    /// From now to the next begin mark, the echo of `typed` stands for `command`.
    pub(super) fn expect_echo(&mut self, typed: &[u8], command: &str) {
        self.sink.release_echo();
        let typed = typed.trim_ascii().to_vec();
        self.sink.echo =
            Some(Echo { typed, shown: shown(command), held: Vec::new(), since: clock::now().moment });
    }

    /// Since when output is held back for an echo.
    pub(super) fn holds_since(&self) -> Option<Moment> {
        self.sink.echo.as_ref().map(|echo| echo.since)
    }

    /// From now on these bytes are a secret.
    pub(super) fn add_secret(&mut self, secret: &[u8]) {
        self.sink.redactor.add(secret);
    }
}

impl Sink {
    fn take(&mut self, piece: Piece<'_>) {
        match piece {
            Piece::Output(bytes) => match &mut self.echo {
                Some(echo) if echo.held.len() + bytes.len() <= ECHO_BYTES => {
                    echo.held.extend_from_slice(bytes);
                }
                Some(_) => {
                    self.release_echo();
                    self.write(bytes);
                }
                None => self.write(bytes),
            },
            Piece::Mark(mark) => {
                if matches!(mark, Mark::Begin { .. }) {
                    self.replace_echo();
                }
                self.settle();
                self.marks.push((mark, self.output.end()));
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        self.output.append(&self.redactor.feed(bytes), clock::now().wall);
    }

    /// Writes what the redactor held back.
    fn settle(&mut self) {
        self.output.append(&self.redactor.flush(), clock::now().wall);
    }

    fn release_echo(&mut self) {
        if let Some(echo) = self.echo.take() {
            self.write(&echo.held);
        }
    }

    fn replace_echo(&mut self) {
        if let Some(echo) = self.echo.take() {
            self.write(&with_command(&echo));
        }
    }
}

/// The held output with the command in place of the typed line.
fn with_command(echo: &Echo) -> Vec<u8> {
    let mut places = memchr::memmem::find_iter(&echo.held, &echo.typed);
    if let (Some(at), None) = (places.next(), places.next())
        && !is_redrawn(&echo.held[..at])
    {
        let before = echo.held[..at].strip_suffix(b" ").unwrap_or(&echo.held[..at]);
        let after = &echo.held[at + echo.typed.len()..];
        let shown = echo.shown.as_bytes();
        // Typed before the shell had printed its prompt, the line stands above it.
        return match after.strip_prefix(b"\r\n") {
            Some(prompt) if !prompt.is_empty() && !prompt.ends_with(b"\n") => {
                [before, prompt, shown, b"\r\n"].concat()
            }
            _ => [before, shown, after].concat(),
        };
    }
    laid_out_with_command(echo)
}

/// Whether a line editor went back to the beginning of its line.
fn is_redrawn(before: &[u8]) -> bool {
    memchr::memchr_iter(b'\r', before).any(|at| before.get(at + 1).is_some_and(|next| *next != b'\n'))
}

/// The same for an echo that stands there twice, because the terminal showed it before the line editor
/// did, or in pieces, because the line editor coloured and redrew it: what it comes to on the screen.
fn laid_out_with_command(echo: &Echo) -> Vec<u8> {
    let typed = String::from_utf8_lossy(&echo.typed);
    let rendered = text::render(&echo.held, ECHO_ROWS, ECHO_COLS).text;
    let mut lines: Vec<&str> = rendered.lines().collect();
    let last = lines.iter().rposition(|line| line.contains(typed.as_ref()));
    let command_line = if let Some(at) = last {
        let late = lines[at + 1..].last().filter(|_| !rendered.ends_with('\n')).copied().unwrap_or_default();
        let prompt = lines[at].split(typed.as_ref()).next().filter(|prompt| !prompt.trim().is_empty());
        let prompt = prompt.unwrap_or(late);
        lines.truncate(at);
        format!("{}{}", prompt.strip_suffix(' ').unwrap_or(prompt), echo.shown)
    } else {
        lines.pop();
        echo.shown.clone()
    };
    lines.retain(|line| !line.contains(typed.as_ref()));
    let mut shown: Vec<u8> = lines.iter().flat_map(|line| [line.as_bytes(), b"\r\n"].concat()).collect();
    shown.extend_from_slice(command_line.as_bytes());
    shown.extend_from_slice(b"\r\n");
    shown
}

fn shown(command: &str) -> String {
    let mut lines = command.trim_end().lines();
    let first = lines.next().unwrap_or_default();
    let mut shown: String = first.chars().take(SHOWN_CHARS).filter(|c| !c.is_control()).collect();
    if first.chars().nth(SHOWN_CHARS).is_some() || lines.next().is_some() {
        shown.push_str(" …");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TerminalSize;
    use crate::term::log::{MemoryArchive, OutputLog};

    const NONCE: &str = "0123456789abcdef";

    fn stream() -> (Stream, Arc<Output>) {
        let log = OutputLog::new(Box::new(MemoryArchive::new(1 << 20)));
        let output = Arc::new(Output::new(log, TerminalSize::default()));
        (Stream::new(NONCE, Arc::clone(&output), Redactor::new()), output)
    }

    fn logged(output: &Output) -> String {
        String::from_utf8(output.read(0, u64::MAX, 1 << 20).bytes).expect("the test writes text")
    }

    fn begin(number: u64) -> String {
        format!("\x1b]133;C;k={NONCE};n={number}\x07")
    }

    #[test]
    fn the_echo_of_the_typed_line_reads_as_the_command() {
        let (mut stream, output) = stream();
        stream.feed(b"$ ");
        stream.expect_echo(b" \\. /dev/shm/s/3/7\r", "cargo build");
        let marks = stream.feed(format!(" \\. /dev/shm/s/3/7\r\n{}out", begin(7)).as_bytes());
        assert_eq!(logged(&output), "$ cargo build\r\nout");
        assert_eq!(marks, [(Mark::Begin { number: 7 }, logged(&output).len() as u64 - 3)]);
    }

    #[test]
    fn an_echo_that_a_line_editor_coloured_gives_way_to_the_command() {
        let (mut stream, output) = stream();
        stream.expect_echo(b" source /dev/shm/s/3/7\r", "make\nmake test");
        let drawn = "> sour\r\x1b[K> \x1b[32m source\x1b[0m /dev/shm\x1b[K/s/3/7\r\n";
        stream.feed(format!("{drawn}{}out", begin(7)).as_bytes());
        assert_eq!(logged(&output), "> make …\r\nout");
    }

    #[test]
    fn a_line_that_the_terminal_and_the_line_editor_echo_stands_there_once() {
        let (mut stream, output) = stream();
        stream.expect_echo(b" \\. /dev/shm/s/3/7\r", "make");
        stream.feed(format!(" \\. /dev/shm/s/3/7\r\n$  \\. /dev/shm/s/3/7\r\n{}out", begin(7)).as_bytes());
        assert_eq!(logged(&output), "$ make\r\nout");
    }

    #[test]
    fn a_prompt_that_comes_after_the_echo_stands_before_the_command() {
        let (mut stream, output) = stream();
        stream.expect_echo(b" \\. \"$__sh\"\n", "make");
        stream.feed(format!(" \\. \"$__sh\"\r\nbash# {}out", begin(7)).as_bytes());
        assert_eq!(logged(&output), "bash# make\r\nout");
    }

    #[test]
    fn output_before_an_unreadable_echo_is_kept() {
        let (mut stream, output) = stream();
        stream.expect_echo(b" source /dev/shm/s/3/7\r", "make");
        let background = "[job] line one\r\n[job] line two\r\n";
        stream.feed(format!("{background}\x1b[32msou\x1b[0mrce /d\x1b[Kev/shm\r\n{}", begin(7)).as_bytes());
        assert!(logged(&output).starts_with(background), "{:?}", logged(&output));
    }

    #[test]
    fn what_is_held_back_comes_out_when_nothing_follows() {
        let (mut stream, output) = stream();
        stream.expect_echo(b" \\. /dev/shm/s/3/7\r", "make");
        stream.feed(b"something else");
        assert_eq!(logged(&output), "");
        stream.flush();
        assert_eq!(logged(&output), "something else");
    }
}
