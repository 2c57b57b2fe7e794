//! Waiting for a moment that changes often. Knows nothing of what is to be done then.

use std::pin::Pin;

use tokio::time::{Instant, Sleep};

use crate::clock::{self, Moment};

/// One timer, set anew only for a moment that is earlier than the one it is set for: a timer that is set
/// while the runtime waits for a later one costs a system call, and a wake-up for nothing.
#[derive(Debug)]
pub(super) struct Alarm {
    sleep: Pin<Box<Sleep>>,
    set_for: Option<Moment>,
}

impl Alarm {
    /// An alarm that is set for nothing. Needs a runtime.
    pub(super) fn new() -> Self {
        let sleep = Box::pin(tokio::time::sleep_until(clock::instant(clock::now().moment).into()));
        Self { sleep, set_for: None }
    }

    /// Returns at `moment`, never without one. May be dropped at any time.
    pub(super) async fn wait(&mut self, moment: Option<Moment>) {
        let Some(moment) = moment else { return std::future::pending().await };
        while self.set_for.is_some() || clock::now().moment < moment {
            if self.set_for.is_none_or(|earlier| moment < earlier) {
                self.sleep.as_mut().reset(Instant::from_std(clock::instant(moment)));
                self.set_for = Some(moment);
            }
            self.sleep.as_mut().await;
            self.set_for = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;

    use super::*;

    fn after(milliseconds: u64) -> Moment {
        clock::now().moment.after(Duration::from_millis(milliseconds))
    }

    #[tokio::test]
    async fn it_goes_off_at_the_moment_whatever_it_was_set_for_before() {
        let mut alarm = Alarm::new();
        assert!(alarm.wait(None).now_or_never().is_none());
        assert!(alarm.wait(Some(after(60_000))).now_or_never().is_none());
        alarm.wait(Some(after(5))).await;
        assert!(alarm.wait(Some(after(10))).now_or_never().is_none());
        let later = after(20);
        alarm.wait(Some(later)).await;
        assert!(clock::now().moment >= later);
        alarm.wait(Some(later)).await;
        assert!(alarm.wait(Some(after(60_000))).now_or_never().is_none());
    }
}
