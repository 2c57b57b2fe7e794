//! Counts what is under way between client and server: requests that have no answer yet, and answers
//! and progress that the client has not read. rmcp bounds neither. Knows numbers, not messages.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rmcp::model::RequestId;
use tokio::sync::Notify;

use crate::limits;

/// Open requests at which nothing more is read. More than the choke point takes, so that it is the
/// choke point that says `overloaded`, and a pipe that is not read is the last resort.
const OPEN_REQUESTS: usize = limits::CALLS_AT_ONCE + limits::CALLS_WAITING + 64;

/// Bytes of open requests at which nothing more is read.
const OPEN_BYTES: usize = 2 * limits::MESSAGE_BYTES;

/// The counts, shared by the transport and the choke point.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    counts: Mutex<Counts>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Counts {
    open: HashMap<RequestId, Request>,
    open_bytes: usize,
    /// Open requests whose answers are being made or are on their way to be written.
    answering: usize,
    unread_bytes: usize,
}

#[derive(Debug)]
struct Request {
    bytes: usize,
    answering: bool,
}

impl Traffic {
    /// A request came in. False when its id is that of another one without an answer.
    pub(crate) fn opened(&self, id: &RequestId, bytes: usize) -> bool {
        let mut counts = self.counts();
        if counts.open.contains_key(id) {
            return false;
        }
        counts.open.insert(id.clone(), Request { bytes, answering: false });
        counts.open_bytes += bytes;
        true
    }

    /// What a request carried is with the orchestrator, which has bounds of its own.
    pub(crate) fn handed_over(&self, id: &RequestId) {
        let mut counts = self.counts();
        if let Some(request) = counts.open.get_mut(id) {
            let bytes = std::mem::take(&mut request.bytes);
            counts.open_bytes -= bytes;
        }
        self.wake(counts);
    }

    /// A request got its answer, or will get none.
    pub(crate) fn closed(&self, id: &RequestId) {
        let mut counts = self.counts();
        if let Some(request) = counts.open.remove(id) {
            counts.open_bytes -= request.bytes;
            counts.answering -= usize::from(request.answering);
        }
        self.wake(counts);
    }

    /// Bytes of an answer, or of progress, wait for the client.
    pub(crate) fn queued(&self, bytes: usize) {
        self.counts().unread_bytes += bytes;
    }

    /// The client's pipe took some of them.
    pub(crate) fn written(&self, bytes: usize) {
        let mut counts = self.counts();
        counts.unread_bytes = counts.unread_bytes.saturating_sub(bytes);
        self.wake(counts);
    }

    /// Returns when there is room for another request.
    pub(crate) async fn may_read(&self) {
        self.until(|counts| {
            counts.open.len() < OPEN_REQUESTS
                && counts.open_bytes < OPEN_BYTES
                && counts.unread_bytes < limits::UNREAD_BYTES
        })
        .await;
    }

    /// Returns when there is room for the answer to a request, and takes it until the request is closed.
    pub(crate) async fn may_answer(&self, id: &RequestId) {
        self.until(|counts| {
            let has_room =
                counts.unread_bytes < limits::UNREAD_BYTES && counts.answering < limits::CALLS_AT_ONCE;
            match counts.open.get_mut(id) {
                Some(request) if has_room && !request.answering => {
                    request.answering = true;
                    counts.answering += 1;
                    true
                }
                Some(request) => request.answering,
                // It was cancelled, or came on no connection: nothing will be written.
                None => true,
            }
        })
        .await;
    }

    /// Whether progress would be read soon. A client that does not read gets no more of it.
    pub(crate) fn takes_progress(&self) -> bool {
        self.counts().unread_bytes < limits::UNREAD_PROGRESS
    }

    /// Returns when every request is answered and every answer is read.
    pub(crate) async fn idle(&self) {
        self.until(|counts| counts.open.is_empty() && counts.unread_bytes == 0).await;
    }

    #[cfg(test)]
    pub(crate) fn unread_bytes(&self) -> usize {
        self.counts().unread_bytes
    }

    async fn until(&self, reached: impl Fn(&mut Counts) -> bool) {
        loop {
            let changed = self.changed.notified();
            if reached(&mut self.counts()) {
                return;
            }
            changed.await;
        }
    }

    fn wake(&self, counts: MutexGuard<'_, Counts>) {
        drop(counts);
        self.changed.notify_waiters();
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // The counts are plain numbers: a panic cannot leave them half changed.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn id(number: i64) -> RequestId {
        RequestId::Number(number)
    }

    #[test]
    fn an_id_is_open_once() {
        let traffic = Traffic::default();
        assert!(traffic.opened(&id(1), 10));
        assert!(!traffic.opened(&id(1), 10));
        traffic.closed(&id(1));
        assert!(traffic.opened(&id(1), 10));
    }

    #[test]
    fn reading_stops_at_each_bound_and_goes_on_below_it() {
        let traffic = Traffic::default();
        assert!(traffic.opened(&id(1), OPEN_BYTES));
        assert!(traffic.may_read().now_or_never().is_none());
        traffic.handed_over(&id(1));
        assert!(traffic.may_read().now_or_never().is_some());

        traffic.queued(limits::UNREAD_BYTES);
        assert!(traffic.may_read().now_or_never().is_none());
        assert!(traffic.may_answer(&id(1)).now_or_never().is_none());
        traffic.written(1);
        assert!(traffic.may_read().now_or_never().is_some());
        assert!(traffic.may_answer(&id(1)).now_or_never().is_some());
        assert!(traffic.idle().now_or_never().is_none());
    }

    #[test]
    fn progress_stops_long_before_answers_do() {
        let traffic = Traffic::default();
        assert!(traffic.takes_progress());
        traffic.queued(limits::UNREAD_PROGRESS);
        assert!(!traffic.takes_progress());
        assert!(traffic.may_read().now_or_never().is_some());
        traffic.written(1);
        assert!(traffic.takes_progress());
    }

    #[test]
    fn only_so_many_answers_are_made_at_once() {
        let traffic = Traffic::default();
        let last = i64::try_from(limits::CALLS_AT_ONCE).unwrap();
        for number in 0..=last {
            assert!(traffic.opened(&id(number), 1));
        }
        for number in 0..last {
            assert!(traffic.may_answer(&id(number)).now_or_never().is_some());
        }
        assert!(traffic.may_answer(&id(last)).now_or_never().is_none());
        assert!(traffic.may_answer(&id(0)).now_or_never().is_some(), "its room is taken already");
        traffic.closed(&id(0));
        assert!(traffic.may_answer(&id(last)).now_or_never().is_some());
    }
}
