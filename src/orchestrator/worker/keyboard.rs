//! What is to be typed and the terminal has not taken yet.
//!
//! It is tried again after a pause rather than when the terminal is said to be writable: in raw mode a
//! full terminal whose program does not read is called writable and refuses every byte, which would
//! keep a thread busy for nothing.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use tracing::debug;

use crate::clock::{self, Moment};
use crate::pty::Terminal;

/// The first pause after a refusal; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Keyboard {
    bytes: VecDeque<u8>,
    refused: Option<Refused>,
}

#[derive(Debug)]
struct Refused {
    again_at: Moment,
    pause: Duration,
}

impl Keyboard {
    /// Types what is waiting and then `bytes`, as far as the terminal takes them.
    pub(super) fn send(&mut self, bytes: &[u8], terminal: &Terminal) {
        self.bytes.extend(bytes);
        if self.refused.is_none() {
            self.go_on(terminal);
        }
    }

    /// When to call [`Keyboard::go_on`].
    pub(super) fn again_at(&self) -> Option<Moment> {
        self.refused.as_ref().map(|refused| refused.again_at)
    }

    /// Types what is waiting, as far as the terminal takes it.
    pub(super) fn go_on(&mut self, terminal: &Terminal) {
        let mut pause = self.refused.take().map_or(FIRST_PAUSE, |refused| refused.pause);
        while !self.bytes.is_empty() {
            match terminal.try_write(self.bytes.as_slices().0) {
                Ok(count) => {
                    self.bytes.drain(..count);
                    pause = FIRST_PAUSE;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let again_at = clock::now().moment.after(pause);
                    self.refused = Some(Refused { again_at, pause: (pause * 2).min(LONGEST_PAUSE) });
                    return;
                }
                Err(error) => {
                    debug!(%error, "the terminal takes no input");
                    self.bytes.clear();
                }
            }
        }
    }

    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether everything was taken.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}
