//! What a worker sees of a program's question, in sessions whose questions are answered, and how it types the
//! answer. Sessions without have none of this.

use std::time::Duration;

use super::{Prompt, Running};
use crate::clock::{self, Moment};
use crate::engine::WorkerEventKind;
use crate::engine::consent::{Asked, Question};
use crate::limits;
use crate::orchestrator::reading::read_all;
use crate::term::prompt::{self, Reading};
use crate::term::screen;

/// See the module.
#[derive(Debug)]
pub(super) struct Asking {
    /// When to look next; the pause doubles while nothing happens.
    look_at: Option<Moment>,
    pause: Duration,
    /// Where the output stood when the screen was last looked at, if nobody has typed since.
    seen: Option<u64>,
    /// How the terminal read then.
    reading: Option<Reading>,
    /// When a caller last typed.
    typed_at: Option<Moment>,
}

impl Asking {
    fn new(now: Moment) -> Self {
        Self { look_at: Some(now), pause: limits::PROMPT_SETTLE, seen: None, reading: None, typed_at: None }
    }

    /// Something was printed: what is asked shows when it is quiet.
    pub(super) fn printed(&mut self, now: Moment) {
        self.pause = limits::PROMPT_SETTLE;
        self.look_at = Some(now.after(self.pause));
    }

    /// Whether what shows with the output at `end` is still to be looked at.
    pub(super) fn is_open(&self, end: u64) -> bool {
        self.seen != Some(end)
    }

    /// A caller typed something, and may be typing on.
    pub(super) fn typed(&mut self, now: Moment) {
        self.seen = None;
        self.typed_at = Some(now);
        self.printed(now);
    }
}

impl Running {
    /// Begins to tell of questions, also of one that stands there already; or ends it.
    pub(super) fn watch_prompts(&mut self, watches: bool) {
        self.asking = watches.then(|| Asking::new(clock::now().moment));
    }

    /// When to look for a question.
    pub(super) fn asking_due(&self) -> Option<Moment> {
        self.asking.as_ref()?.look_at
    }

    /// Tells of a question once the program has stopped for its answer.
    pub(super) async fn look_for_question(&mut self, now: Moment) {
        let touched = self.touched;
        let is_running = self.prompt == Prompt::Away
            && self.closing.is_none()
            && self.current.as_ref().is_none_or(|current| current.begun.is_some());
        let end = self.wiring.output.end();
        let Some(asking) = self.asking.as_mut().filter(|asking| asking.look_at.is_some_and(|at| now >= at))
        else {
            return;
        };
        let typing_until = asking.typed_at.map(|at| at.after(limits::CALLER_TYPES));
        let quiet_at = typing_until.into_iter().chain([touched.after(limits::PROMPT_SETTLE)]).max();
        if let Some(quiet_at) = quiet_at.filter(|at| now < *at) {
            asking.look_at = Some(quiet_at);
            return;
        }
        if asking.seen == Some(end) || self.prompt != Prompt::Away || self.closing.is_some() {
            asking.look_at = None;
            return;
        }
        asking.look_at = Some(now.after(asking.pause));
        asking.pause = (asking.pause * 2).min(limits::AWAITING_EVERY);
        if !is_running || !self.keyboard.is_empty() || !self.terminal.awaiting_input() {
            return;
        }
        self.let_go(now);
        let end = self.wiring.output.end();
        let reading = self.terminal.reading();
        if let Some(asking) = &mut self.asking {
            asking.seen = Some(end);
            asking.reading = reading;
            asking.look_at = None;
        }
        if let Some(question) = reading.and_then(|reading| self.question(end, reading)) {
            let is_shell = self.terminal.is_shell_foreground();
            let program = self.terminal.foreground().filter(|_| !is_shell);
            let asked = Asked {
                question,
                directory: self.terminal.foreground_directory(),
                program: program.map(|program| program.command_line),
            };
            self.report(WorkerEventKind::Asks(Box::new(asked))).await;
        }
    }

    /// What the screen asks, of what was printed since the running command began.
    fn question(&self, end: u64, reading: Reading) -> Option<Question> {
        let output = &self.wiring.output;
        let begun = self.current.as_ref().and_then(|current| current.begun.as_ref());
        let begun = begun.map_or(0, |begun| begun.cursor);
        let from = begun.max(end.saturating_sub(limits::OUTPUT_RING as u64));
        let bytes = read_all(output, from, end);
        let size = output.size();
        let mut shown = screen::replay(&bytes[screen::replay_start(&bytes)..], size.rows, size.cols);
        shown.is_cut |= from > begun;
        let prompt::Prompt { question: text, shown, above, is_cut, is_menu, yes } =
            prompt::recognise(&shown, reading)?;
        Some(Question { text, shown, above, is_cut, is_menu, yes })
    }

    /// Types an answer, if the question still stands there as it was when it was told of.
    pub(super) async fn answer(&mut self, keys: &str, at: u64) {
        let end = self.wiring.output.end();
        let stands = self.asking.as_ref().is_some_and(|asking| asking.seen == Some(at))
            && end == at
            && self.closing.is_none()
            && self.keyboard.is_empty()
            // What is typed was chosen by how it is read.
            && self.terminal.reading() == self.asking.as_ref().and_then(|asking| asking.reading)
            && self.terminal.awaiting_input();
        if !stands {
            if let Some(asking) = &mut self.asking {
                asking.seen = None;
                asking.printed(clock::now().moment);
            }
            // What was not told because an answer was coming is told now.
            if let Some(current) = &mut self.current {
                current.awaiting = None;
            }
            self.report(WorkerEventKind::AnswerWithheld).await;
            return;
        }
        self.keyboard.send(keys.as_bytes(), &self.terminal);
        self.no_longer_awaiting().await;
        self.touched = clock::now().moment;
        self.look_soon();
        self.report(WorkerEventKind::Typed { bytes: keys.len(), secret: false }).await;
    }
}
