//! What a worker sees only by looking: a program that waits for input, a prompt that was not
//! reported, a line that was lost, limits that are passed.

use std::time::Duration;

use tracing::warn;

use super::{Look, Prompt, Running};
use crate::clock::{self, Moment};
use crate::engine::WorkerEventKind;
use crate::limits;
use crate::model::Dialect;
use crate::orchestrator::ForegroundProgram;
use crate::orchestrator::output::Output;
use crate::term::text::Renderer;

/// Most commands end sooner than this: one report then says both that they began and that they ended.
const BEGIN_PAUSE: Duration = Duration::from_millis(5);
/// A typed line that the shell did not take for this long is typed again.
pub(super) const LOST_LINE: Duration = Duration::from_secs(2);
/// Output held back for an echo that does not come is given out after this long.
const ECHO_WAIT: Duration = Duration::from_millis(500);
/// A command that waits this long at something that is no prompt gets one by Ctrl-C.
const STUCK_PROMPT: Duration = Duration::from_millis(500);
/// How often something is typed again before it is given up.
const ATTEMPTS: u8 = 3;
/// A program that just got input is not awaiting it, though it may not have been scheduled yet.
const SETTLED: Duration = Duration::from_millis(50);
/// A prompt is looked for in this many of the last bytes.
const PROMPT_BYTES: usize = 4 << 10;

impl Running {
    pub(super) fn what_shows(&self) -> Look {
        let foreground = self.terminal.foreground().filter(|_| !self.terminal.is_shell_foreground());
        let at_prompt = self.prompt == (Prompt::Here { dirty: false }) && self.waiting.is_none();
        let settled = clock::now().moment >= self.touched.after(SETTLED) && self.keyboard.is_empty();
        Look {
            foreground: foreground.map(|program| ForegroundProgram {
                pid: program.pid,
                name: program.name,
                command_line: program.command_line,
            }),
            directory: self.terminal.working_directory(),
            at_prompt,
            is_stopped: self.terminal.is_stopped(),
            awaiting: !at_prompt && settled && self.terminal.awaiting_input(),
        }
    }

    pub(super) fn look_soon(&mut self) {
        self.look_pause = limits::AWAITING_AFTER;
        self.look_at = Some(clock::now().moment.after(self.look_pause));
    }

    pub(super) fn needs_looks(&self) -> bool {
        self.current.is_some() || self.waiting.is_some() || self.prompt == Prompt::Away
    }

    pub(super) fn next_look(&self) -> Option<Moment> {
        let closing = self.closing.as_ref().and_then(|closing| closing.next_check);
        let asking = self.asking_due();
        let others = [self.begin_due(), self.held_due(), self.limits.next(), closing, self.lost_at, asking];
        self.look_at.into_iter().chain(others.into_iter().flatten()).min()
    }

    fn begin_due(&self) -> Option<Moment> {
        let begun = self.current.as_ref()?.begun.as_ref().filter(|begun| !begun.is_reported)?;
        Some(begun.at.after(BEGIN_PAUSE))
    }

    /// Nothing was reported for a while: what can only be seen by looking is looked at.
    pub(super) async fn look(&mut self) {
        let now = clock::now().moment;
        self.check_closing(now).await;
        self.check_terminal(now).await;
        self.check_limits(now).await;
        if self.begin_due().is_some_and(|due| now >= due) {
            self.report_begin().await;
        }
        if self.held_due().is_some_and(|due| now >= due) {
            self.release_held(now).await;
        }
        self.look_for_question(now).await;
        if self.look_at.is_none_or(|at| now < at) {
            return;
        }
        self.let_go(now);
        if self.dialect == Dialect::Plain || self.closing.is_some() {
            self.look_at = None;
            return;
        }
        self.release_held(now).await;
        if let Some(current) = &mut self.current {
            if current.begun.is_some() {
                self.look_for_input().await;
            } else if self.terminal.is_stopped() {
                // It reads the line when it goes on.
                current.typed_at = now;
            } else if now >= current.typed_at.after(LOST_LINE) && self.terminal.awaiting_input() {
                self.type_again(now).await;
            }
        } else if self.prompt == Prompt::Away {
            self.look_for_prompt(now).await;
        }
        self.look_pause = (self.look_pause * 2).min(limits::AWAITING_EVERY);
        self.look_at = self.needs_looks().then(|| now.after(self.look_pause));
    }

    /// Gives out what is held back for an echo or a secret that does not come.
    pub(super) fn let_go(&mut self, now: Moment) {
        let holds_for_nothing = self.stream.holds_since().is_none_or(|since| now >= since.after(ECHO_WAIT));
        if holds_for_nothing {
            self.stream.flush();
        }
    }

    /// The shell sits at its prompt, and the line never came to it: a line editor drops what is typed
    /// while it starts. A shell whose hooks are gone loses every line.
    async fn type_again(&mut self, now: Moment) {
        let Some(current) = &mut self.current else { return };
        if current.lost < ATTEMPTS {
            warn!(session = %self.wiring.session, "the shell lost a line, which is typed again");
            current.lost += 1;
            current.typed_at = now;
            self.keyboard.send(&current.line, &self.terminal);
        } else if let Some(current) = self.current.take() {
            if let Some(confined) = &current.confined {
                self.clear_away(confined).await;
            }
            self.lift_command_limits();
            self.cannot_run(current.command, "the shell does not take commands any more; reset the session")
                .await;
        }
    }

    async fn look_for_input(&mut self) {
        let is_awaiting = self.terminal.awaiting_input();
        // A question is told of before the wait for its answer: it may not be the caller's to give.
        let end = self.wiring.output.end();
        if is_awaiting && self.asking.as_ref().is_some_and(|asking| asking.is_open(end)) {
            return;
        }
        let Some(current) = &mut self.current else { return };
        if !is_awaiting {
            self.no_longer_awaiting().await;
            return;
        }
        let from = current.begun.as_ref().map_or(0, |begun| begun.cursor);
        let line = last_line(&self.wiring.output, from);
        if current.awaiting.as_ref() != Some(&line) {
            current.awaiting = Some(line.clone());
            let command = current.command.clone();
            self.report(WorkerEventKind::Awaiting { command, line: Some(line) }).await;
        }
    }

    pub(super) async fn no_longer_awaiting(&mut self) {
        let Some(current) = &mut self.current else { return };
        if current.awaiting.take().is_some() {
            let command = current.command.clone();
            self.report(WorkerEventKind::Awaiting { command, line: None }).await;
        }
    }

    /// Nothing of ours runs, and the prompt was not reported: a program that was typed in has the
    /// terminal, or the user's configuration lost the prompt hook, or a line is unfinished.
    async fn look_for_prompt(&mut self, now: Moment) {
        if !self.terminal.is_shell_foreground() {
            self.is_known_idle = false;
            self.report(WorkerEventKind::Busy).await;
            return;
        }
        if self.number == 0 || !self.terminal.awaiting_input() {
            return;
        }
        let is_stuck = self.clearings < ATTEMPTS
            && self.waiting.as_ref().is_some_and(|waiting| now >= waiting.since.after(STUCK_PROMPT));
        if now >= self.touched.after(limits::PROMPT_WAIT) {
            self.prompt = Prompt::Here { dirty: is_stuck };
            self.is_known_idle = true;
            self.report(WorkerEventKind::Prompt { directory: self.terminal.working_directory() }).await;
            self.type_waiting().await;
        }
    }
}

/// The unfinished last line of the output behind `from`; empty when the last line is finished.
fn last_line(output: &Output, from: u64) -> String {
    let end = output.end();
    let size = output.size();
    let start = from.max(end.saturating_sub(PROMPT_BYTES as u64));
    let bytes = output.read(start, end, PROMPT_BYTES).bytes;
    let mut renderer = Renderer::new(size.rows, size.cols);
    renderer.feed(&bytes, &mut |_| {});
    renderer.last_line().trim_end().to_owned()
}
