//! What a worker types: commands, handed over by file when the shell is at its prompt, and input.

use std::time::Duration;

use super::looking::LOST_LINE;
use super::signalling::nothing;
use super::{Current, Order, Prompt, Running};
use crate::clock::{self, Moment};
use crate::engine::{Run, WorkerEventKind};
use crate::error::{Error, ErrorCode, Result};
use crate::id::CommandId;
use crate::limits;
use crate::model::secret;
use crate::orchestrator::Input;
use crate::pty::handover::{self, HandoverCommand};

/// A shell is done with the fork of a job within this.
const FORK_TIME: Duration = Duration::from_millis(20);
/// The status that shells use for a command that was found and could not be run.
const CANNOT_RUN: i32 = 126;

impl Running {
    /// Hands the waiting command over if the shell takes lines now.
    pub(super) async fn type_waiting(&mut self) {
        match self.prompt {
            Prompt::Away => {}
            Prompt::Here { dirty: true } => {
                self.prompt = Prompt::Away;
                self.clearings += 1;
                self.keyboard.send(handover::clear_line(), &self.terminal);
            }
            Prompt::Here { dirty: false } => {
                if let Some(waiting) = self.waiting.take() {
                    self.hand_over(waiting.run).await;
                }
            }
        }
    }

    async fn hand_over(&mut self, run: Box<Run>) {
        if !self.is_clear_for(&run).await {
            let why = "what its last try left running cannot be ended: it is not tried again beside that";
            self.cannot_run(run.command.id.clone(), why).await;
            return;
        }
        self.number += 1;
        let number = self.number;
        let command = &run.command;
        let now = clock::now().moment;
        let handover = HandoverCommand {
            text: &command.text,
            env: &command.env,
            exports: &run.exports,
            directory: command.directory.as_deref(),
            stdin: command.stdin.as_deref(),
            keeps_exports: !command.confined,
            confined: command.confined,
        };
        let line = match handover::write(&self.directory, self.dialect, number, &handover) {
            Ok(line) => line,
            Err(error) => {
                self.cannot_run(command.id.clone(), &format!("the command cannot be handed over: {error}"))
                    .await;
                return;
            }
        };
        self.prompt = Prompt::Away;
        for value in secret::values(command.env.iter().chain(&run.exports)) {
            self.stream.add_secret(value.as_bytes());
        }
        let confined = command.confined.then(|| self.confine());
        self.limit_command(now, command.limits).await;
        self.stream.expect_echo(&line, &command.text);
        self.keyboard.send(&line, &self.terminal);
        self.current = Some(Current {
            command: command.id.clone(),
            confined,
            number,
            typed_at: now,
            line,
            lost: 0,
            begun: None,
            awaiting: None,
        });
        self.touched = now;
        self.look_soon();
    }

    /// A signal that comes while the shell still reads the line, or has yet to be given it, would be
    /// swallowed there, and the command run on, as it would by a child that the shell has just forked: it
    /// waits until a moment after the command's begin, but not for ever.
    pub(super) fn hold_back(&mut self, order: Order) -> Option<Order> {
        let is_early = self.is_about_to_begin(clock::now().moment) && self.held.len() < limits::WORKER_QUEUE;
        match order {
            Order::Interrupt | Order::Kill | Order::Signal(..) if is_early => {
                self.held.push(order);
                None
            }
            order => Some(order),
        }
    }

    /// Whether a command was accepted a moment ago and has not begun, or only just, or none may have been
    /// accepted and the prompt that says so is just coming.
    fn is_about_to_begin(&self, now: Moment) -> bool {
        match (&self.waiting, &self.current) {
            (Some(waiting), _) => now < waiting.since.after(LOST_LINE),
            (None, Some(current)) => now < takes_signals_at(current),
            (None, None) => self.returning_since.is_some_and(|at| now < at.after(limits::PROMPT_WAIT)),
        }
    }

    /// When to let go of what is held back for a command that has begun.
    pub(super) fn held_due(&self) -> Option<Moment> {
        self.current.as_ref().filter(|_| !self.held.is_empty()).map(takes_signals_at)
    }

    /// What was held back, once it is of no use to hold it any longer.
    pub(super) async fn release_held(&mut self, now: Moment) {
        if self.is_about_to_begin(now) {
            return;
        }
        for order in std::mem::take(&mut self.held) {
            Box::pin(self.obey(order)).await;
        }
    }

    pub(super) async fn type_input(&mut self, input: Input) -> Result<u64> {
        if self.closing.is_some() {
            return Err(Error::new(ErrorCode::SessionClosed, "the session is being closed"));
        }
        if self.keyboard.len() + input.bytes.len() > limits::INPUT_BYTES {
            return Err(Error::new(
                ErrorCode::Overloaded,
                format!("{} bytes typed earlier were not read yet", self.keyboard.len()),
            )
            .with_hint("the program does not read its input: look at it with session_output"));
        }
        if input.secret {
            self.learn(&input.bytes)?;
        }
        let before = self.wiring.output.end();
        let ends_line = input.bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 3 | 4));
        self.returning_since = None;
        if let Prompt::Here { .. } = self.prompt {
            self.prompt = if ends_line { Prompt::Away } else { Prompt::Here { dirty: true } };
            self.is_known_idle &= !ends_line;
        }
        self.keyboard.send(&input.bytes, &self.terminal);
        self.no_longer_awaiting().await;
        self.touched = clock::now().moment;
        if let Some(asking) = &mut self.asking {
            asking.typed(self.touched);
        }
        self.look_soon();
        self.limits.look_soon(self.touched);
        self.report(WorkerEventKind::Typed { bytes: input.bytes.len(), secret: input.secret }).await;
        Ok(before)
    }

    /// Keeps what is about to be typed out of everything from now on, or refuses to type it.
    fn learn(&mut self, typed: &[u8]) -> Result<()> {
        // The Enter behind it is no part of it, and a program may print it without one.
        for secret in typed.split(u8::is_ascii_control) {
            if !self.wiring.secrets.add(secret) {
                return Err(Error::new(
                    ErrorCode::LimitExceeded,
                    format!(
                        "the session knows {} secrets, and cannot keep more out of its logs",
                        limits::SECRETS
                    ),
                )
                .with_hint("type it into a session of its own, made with session_create"));
            }
            self.stream.add_secret(secret);
        }
        Ok(())
    }

    /// Ends a command that the shell never got, with the reason as its output.
    pub(super) async fn cannot_run(&mut self, command: CommandId, why: &str) {
        let from = self.wiring.output.end();
        self.wiring.output.append(format!("shellherd: {why}\r\n").as_bytes(), clock::now().wall);
        let directory = self.terminal.working_directory();
        let ended = WorkerEventKind::Ended { command, status: CANNOT_RUN, from, duration_us: 0, directory };
        self.report(ended).await;
    }
}

/// When a command is expected to take signals at the latest: when it has begun, its processes stand in the
/// foreground, with handlers of their own, a moment later.
fn takes_signals_at(current: &Current) -> Moment {
    match &current.begun {
        Some(begun) => begun.at.after(FORK_TIME),
        None => current.typed_at.after(LOST_LINE),
    }
}

/// The command has ended before what was held back for it could reach it.
pub(super) fn answer_held(held: Vec<Order>) {
    for order in held {
        if let Order::Signal(_, reply) = order {
            let _ = reply.send(Err(nothing("the command has just ended")));
        }
    }
}
