//! The end of a shell: everything that it started is ended with it, politely first.

use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use super::{CloseOrder, Running};
use crate::clock::{self, Moment};
use crate::engine::request::CloseMode;
use crate::engine::{Exit, WorkerEventKind};
use crate::limits;
use crate::pty::{Asked, Signal};

/// What a shell that ended by itself leaves behind gets this long to end as well.
const LEFTOVER_GRACE: Duration = Duration::from_millis(300);
/// The first pause between two looks at whether everything is gone; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// The longest one.
const LONGEST_PAUSE: Duration = Duration::from_millis(200);
/// SIGKILL takes effect within this, or the process hangs in the kernel.
pub(super) const KILL_TIME: Duration = Duration::from_secs(2);
/// Output that is still in the terminal's buffer is read for at most this long.
const DRAIN_TIME: Duration = Duration::from_millis(500);

/// What asks a process to end.
pub(in crate::orchestrator) const PLEASE: [Signal; 3] = [Signal::HUP, Signal::TERM, Signal::CONT];

/// How far the end has come.
#[derive(Debug)]
pub(super) struct Closing {
    /// When patience ends; `None` when everything was killed already, or will be by the server's end.
    deadline: Option<Moment>,
    /// Once SIGKILL was sent: when to give up what it does not end.
    hung_after: Option<Moment>,
    pub(super) next_check: Option<Moment>,
    pause: Duration,
    pub(super) exit: Option<Exit>,
    forced: bool,
    /// Until then nothing is asked to end while the shell reads its start-up files.
    patient_until: Moment,
    /// Nothing but the shell's exit is awaited.
    only_shell: bool,
    /// Nothing of the session is left.
    empty: bool,
    /// Who was asked to end.
    asked: Asked,
}

impl Closing {
    fn until(deadline: Moment) -> Self {
        Self {
            deadline: Some(deadline),
            hung_after: None,
            next_check: Some(clock::now().moment.after(FIRST_PAUSE)),
            pause: FIRST_PAUSE,
            exit: None,
            forced: false,
            patient_until: clock::now().moment,
            only_shell: false,
            empty: false,
            asked: Asked::default(),
        }
    }

    /// The server ends every process of every session at once.
    pub(super) fn by_shutdown() -> Self {
        Self { deadline: None, next_check: None, only_shell: true, ..Self::until(clock::now().moment) }
    }
}

impl Running {
    /// Nobody holds the other side of the terminal any more: the program ends now, or has left it.
    pub(super) fn terminal_closed(&mut self) {
        self.lost_at = Some(clock::now().moment.after(LEFTOVER_GRACE));
    }

    pub(super) async fn check_terminal(&mut self, now: Moment) {
        if self.lost_at.is_none_or(|at| now < at) {
            return;
        }
        self.lost_at = None;
        if self.closing.is_none() {
            self.report(WorkerEventKind::TerminalLost).await;
        }
    }

    pub(super) async fn begin_closing(&mut self, order: CloseOrder) {
        let now = clock::now().moment;
        let exit = self.closing.as_ref().and_then(|closing| closing.exit);
        let mut closing = Closing::until(now.after(order.grace));
        closing.exit = exit;
        match order.mode {
            // What is cut short there may leave locks behind that hold up every shell after it.
            CloseMode::Graceful if exit.is_none() && !*self.wiring.started.borrow() => {
                closing.patient_until = now.after(limits::START_GRACE.min(order.grace / 2));
            }
            CloseMode::Graceful | CloseMode::Force => closing.asked = self.ask_to_end().await,
            CloseMode::Emergency => closing.next_check = Some(now),
        }
        self.closing = Some(closing);
    }

    /// Interactive shells shrug SIGTERM off and end by SIGHUP; a stopped process needs SIGCONT to see either.
    async fn ask_to_end(&self) -> Asked {
        let mut asked = Asked::default();
        let members = self.wiring.host.census().members(self.wiring.slot.number()).await;
        self.wiring.slot.signal_newcomers(&members, &mut asked, &PLEASE);
        asked
    }

    pub(super) async fn shell_exited(&mut self, exit: Exit) {
        self.tell_end_of_shell(exit).await;
        let now = clock::now().moment;
        let asked = if self.closing.is_none() { self.ask_to_end().await } else { Asked::default() };
        let closing = self
            .closing
            .get_or_insert_with(|| Closing { asked, ..Closing::until(now.after(LEFTOVER_GRACE)) });
        closing.exit = Some(exit);
        if !closing.only_shell {
            closing.pause = FIRST_PAUSE;
            closing.next_check = Some(now);
        }
    }

    pub(super) async fn check_closing(&mut self, now: Moment) {
        let Some(closing) = self.closing.as_mut().filter(|c| c.next_check.is_some_and(|at| now >= at)) else {
            return;
        };
        let is_due = closing.deadline.is_some_and(|deadline| now >= deadline);
        let mut left = self.wiring.host.census().members(self.wiring.slot.number()).await;
        if left.is_empty() {
            // What was forked during one look, by what has ended in it, shows in the next.
            left = self.wiring.host.census().members(self.wiring.slot.number()).await;
        }
        if left.is_empty() {
            closing.empty = true;
            closing.next_check = None;
            return;
        }
        if is_due {
            closing.forced = true;
            closing.deadline = None;
            closing.hung_after = Some(now.after(KILL_TIME));
        } else if closing.deadline.is_some()
            && (now >= closing.patient_until || *self.wiring.started.borrow())
        {
            self.wiring.slot.signal_newcomers(&left, &mut closing.asked, &PLEASE);
        }
        if let Some(hung_after) = closing.hung_after {
            // What was forked since the last look is killed with the next. What forks faster than that is
            // hunted down without a pause in the end.
            for pid in left {
                self.wiring.slot.signal_member(pid, &[Signal::KILL]);
            }
            closing.pause = FIRST_PAUSE / 2;
            if now >= hung_after {
                let slot = Arc::clone(&self.wiring.slot);
                let deadline = now.after(KILL_TIME);
                let left = tokio::task::spawn_blocking(move || slot.kill_all(deadline)).await;
                if left.is_ok_and(|left| left == 0) {
                    closing.hung_after = Some(deadline);
                } else {
                    warn!(session = %self.wiring.session, "processes of the session survive SIGKILL");
                    closing.empty = true;
                    closing.next_check = None;
                    return;
                }
            }
        }
        closing.pause = (closing.pause * 2).min(LONGEST_PAUSE);
        let next = now.after(closing.pause);
        closing.next_check = Some(closing.deadline.map_or(next, |deadline| next.min(deadline)));
    }

    pub(super) fn is_over(&self) -> bool {
        self.closing
            .as_ref()
            .is_some_and(|closing| closing.exit.is_some() && (closing.empty || closing.only_shell))
    }

    /// Reads what is left in the terminal, and reports the end.
    pub(super) async fn finish(mut self, open: bool, buffer: &mut [u8]) {
        if open {
            let deadline = clock::instant(clock::now().moment.after(DRAIN_TIME));
            while let Ok(Ok(count)) =
                tokio::time::timeout_at(deadline.into(), self.terminal.read(buffer)).await
                && count > 0
            {
                self.take_in(&buffer[..count]).await;
            }
        }
        self.stream.flush();
        self.report_begin().await;
        self.wiring.output.release();
        self.tell_exports().await;
        let _ = std::fs::remove_dir_all(&self.directory);
        self.limits.backstop = None;
        let (exit, forced) = self.closing.as_ref().map_or((Exit::Code(0), false), |closing| {
            (closing.exit.unwrap_or(Exit::Code(0)), closing.forced)
        });
        self.report(WorkerEventKind::Gone { exit, forced }).await;
    }
}
