//! What a worker sees of a program's question, in sessions whose questions are answered, and how it types the
//! answer. Sessions without have none of this.
//!
//! Between the last look and the key a program can still print another question: no look can close that gap, which
//! is below a millisecond. So it is looked at afterwards whether something came between, and whether the question went
//! away; what is seen then is told as well.
//!
//! What waits for input did not print what came while it slept: a question of a job in the background is not its own,
//! and is not told of.

use std::time::Duration;

use super::{Prompt, Running};
use crate::clock::{self, Moment};
use crate::engine::WorkerEventKind;
use crate::engine::consent::{Asked, Mishap, Question};
use crate::limits;
use crate::orchestrator::reading::read_all;
use crate::pty::Runs;
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
    /// How often the foreground had run when it was last seen to wait, and where the output stood.
    asleep: Option<(Runs, u64)>,
    /// The last question that was told.
    asked: Option<Question>,
    answered: Option<Answered>,
}

/// An answer whose effect is still to be seen.
#[derive(Debug)]
struct Answered {
    /// Where the output stood.
    at: u64,
    when: Moment,
    keys: String,
    reading: Option<Reading>,
    question: Option<Question>,
    /// Whether what was printed since begins with the answer, as the terminal shows it, is not known yet.
    is_unread: bool,
}

impl Answered {
    /// What the terminal shows of it at once.
    fn echo(&self) -> Option<u8> {
        let echoes = matches!(self.reading, Some(Reading::Lines | Reading::Keys));
        self.keys.bytes().next().filter(|key| echoes && key.is_ascii_graphic())
    }

    /// Whether a program that reads by itself shows no more than that a key came: `since` was printed, and the screen
    /// asks this.
    fn is_ignored(&self, since: &[u8], question: Option<&Question>) -> bool {
        let is_echo =
            since.iter().all(|byte| byte.is_ascii_whitespace() || self.keys.as_bytes().contains(byte));
        let stands =
            question.is_some_and(|question| question.is_menu && self.question.as_ref() == Some(question));
        self.reading == Some(Reading::Itself) && (is_echo || stands)
    }
}

impl Asking {
    fn new(now: Moment) -> Self {
        Self {
            look_at: Some(now),
            pause: limits::PROMPT_SETTLE,
            seen: None,
            reading: None,
            typed_at: None,
            asleep: None,
            asked: None,
            answered: None,
        }
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
        self.answered = None;
        self.typed_at = Some(now);
        self.printed(now);
    }
}

impl Running {
    /// Begins to tell of questions, also of one that stands there already; or ends it.
    pub(super) fn watch_prompts(&mut self, watches: bool) {
        let asleep = self.asking.take().and_then(|asking| asking.asleep);
        self.asking = watches.then(|| Asking { asleep, ..Asking::new(clock::now().moment) });
    }

    /// When to look for a question.
    pub(super) fn asking_due(&self) -> Option<Moment> {
        self.asking.as_ref()?.look_at
    }

    /// Tells of a question once the program has stopped for its answer.
    pub(super) async fn look_for_question(&mut self, now: Moment) {
        self.look_at_echo().await;
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
        let is_quiet = self.keyboard.is_empty() && !self.terminal.has_unread();
        if !is_running || !is_quiet || !self.terminal.awaiting_input() {
            return;
        }
        self.let_go(now);
        let end = self.wiring.output.end();
        let reading = self.terminal.reading();
        let question = reading.and_then(|reading| self.question(end, reading));
        let Some(asking) = &mut self.asking else { return };
        if let Some(answered) = asking.answered.take() {
            let since = read_all(&self.wiring.output, answered.at, end);
            if answered.is_ignored(&since, question.as_ref()) {
                // A busy machine may take its time to show it.
                let patience = answered.when.after(limits::CALLER_TYPES);
                if now < patience {
                    asking.look_at = Some(patience);
                    asking.answered = Some(answered);
                    return;
                }
                self.fail(Mishap::Ignored).await;
                return;
            }
        }
        asking.seen = Some(end);
        asking.reading = reading;
        asking.look_at = None;
        let asleep = self.terminal.foreground_runs().map(|runs| (runs, end));
        let is_others = asleep.is_some_and(|(runs, _)| {
            asking.asleep.as_ref().is_some_and(|(before, at)| *before == runs && *at != end)
        });
        if !is_others {
            asking.asleep = asleep;
        }
        let Some(question) = question.filter(|_| !is_others) else { return };
        asking.asked = Some(question.clone());
        let is_shell = self.terminal.is_shell_foreground();
        let program = self.terminal.foreground().filter(|_| !is_shell);
        let asked = Asked {
            question,
            directory: self.terminal.foreground_directory(),
            program: program.map(|program| program.command_line),
        };
        self.report(WorkerEventKind::Asks(Box::new(asked))).await;
    }

    /// Tells if something else was printed before the terminal showed the answer.
    async fn look_at_echo(&mut self) {
        let end = self.wiring.output.end();
        let Some(answered) = self.asking.as_mut().and_then(|asking| asking.answered.as_mut()) else { return };
        if !answered.is_unread || end <= answered.at {
            return;
        }
        answered.is_unread = false;
        let first = read_all(&self.wiring.output, answered.at, answered.at + 1);
        if answered.echo().is_some_and(|echo| first.first() != Some(&echo)) {
            self.report(WorkerEventKind::AnswerFailed(Mishap::Overtaken)).await;
        }
    }

    /// Tells that the question is the caller's.
    async fn fail(&mut self, mishap: Mishap) {
        if let Some(asking) = &mut self.asking {
            asking.seen = None;
            asking.printed(clock::now().moment);
        }
        // What was not told because an answer was coming is told now.
        if let Some(current) = &mut self.current {
            current.awaiting = None;
        }
        self.report(WorkerEventKind::AnswerFailed(mishap)).await;
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
            && self.terminal.awaiting_input()
            && !self.terminal.has_unread();
        if !stands {
            self.fail(Mishap::Withheld).await;
            return;
        }
        self.keyboard.send(keys.as_bytes(), &self.terminal);
        let now = clock::now().moment;
        if let Some(asking) = &mut self.asking {
            asking.answered = Some(Answered {
                at,
                when: now,
                keys: keys.to_owned(),
                reading: asking.reading,
                question: asking.asked.take(),
                is_unread: true,
            });
            asking.seen = None;
            asking.printed(now);
        }
        self.no_longer_awaiting().await;
        self.touched = now;
        self.look_soon();
        self.report(WorkerEventKind::Typed { bytes: keys.len(), secret: false }).await;
    }
}
