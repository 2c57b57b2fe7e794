//! Signals to what runs, for a caller or because its time is up.

use super::{Prompt, Running};
use crate::engine::WorkerEventKind;
use crate::error::{Error, ErrorCode, Result};
use crate::pty::Signal;

/// Ctrl-C.
const INTERRUPT_KEY: &[u8] = b"\x03";

impl Running {
    pub(super) fn interrupt(&mut self) {
        if self.terminal.signal_foreground(Signal::INT).is_err() {
            self.keyboard.send(INTERRUPT_KEY, &self.terminal);
        }
    }

    pub(super) async fn signal(&mut self, signal: Signal) -> Result<String> {
        if self.prompt != Prompt::Away {
            return Err(nothing("the session is at its prompt: there is no foreground job"));
        }
        match self.terminal.signal_foreground(signal) {
            Ok(target) => {
                let target = target.to_string();
                let signalled = WorkerEventKind::Signalled { signal: signal.name(), target: target.clone() };
                self.report(signalled).await;
                Ok(target)
            }
            Err(error) => Err(nothing(format!("nothing could be signalled: {error}"))),
        }
    }
}

pub(super) fn nothing(why: impl Into<String>) -> Error {
    Error::new(ErrorCode::CommandNotRunning, why)
        .with_hint("session_status shows what the session runs; session_close ends the shell itself")
}
