//! Following the history: what happened behind a cursor, and what happens next.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::Orchestrator;
use super::dispatcher::Read;
use crate::error::Result;
use crate::limits;
use crate::model::{Event, EventFilter};
use crate::store::Stretch;

/// Events that were wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Polled {
    /// Each with its cursor, in order.
    pub events: Vec<(u64, Event)>,
    /// What comes next lies behind it.
    pub cursor: u64,
    /// Events, wanted or not, that were removed before they were read.
    pub dropped: u64,
}

/// From where on events are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// Behind this cursor; the first ones, if there are too many.
    Cursor(u64),
    /// The last few.
    Latest,
}

impl Orchestrator {
    /// The events that `filter` wants, at most [`limits::EVENTS_POLLED`]; waits so long for the first.
    pub async fn poll_events(&self, since: Since, filter: &EventFilter, wait: Duration) -> Result<Polled> {
        let deadline = Instant::now() + wait;
        let mut grows: watch::Receiver<u64> = self.read(Read::HistoryGrows).await?;
        let mut polled = match since {
            Since::Cursor(cursor) => Polled { cursor, ..Polled::default() },
            Since::Latest => self.latest_events(filter).await?,
        };
        loop {
            grows.borrow_and_update();
            let read_at = Instant::now();
            self.read_events(filter, &mut polled).await?;
            if !polled.events.is_empty() || read_at >= deadline {
                return Ok(polled);
            }
            let grown = tokio::time::timeout_at(deadline, grows.changed()).await;
            if !matches!(grown, Ok(Ok(()))) {
                return Ok(polled);
            }
            // What comes after some silence is read at once, and a flood in large pieces.
            tokio::time::sleep_until(read_at + limits::EVENTS_PAUSE).await;
        }
    }

    /// The cursor behind which everything lies that happens from now on. Does not open the store for that,
    /// but waits until somebody else needs it.
    pub async fn history_from_now(&self) -> Result<u64> {
        if self.inner.begun.is_cancelled() {
            return Ok(self.stretch(u64::MAX).await?.end);
        }
        self.inner.begun.cancelled().await;
        self.read(Read::HistoryBegin).await
    }

    /// Those of the last few events that are wanted.
    async fn latest_events(&self, filter: &EventFilter) -> Result<Polled> {
        let end = self.stretch(u64::MAX).await?.end;
        let cursor = end.saturating_sub(limits::EVENTS_LATEST as u64);
        let mut stretch = self.stretch(cursor).await?;
        stretch.events.retain(|(_, event)| filter.wants(event));
        let excess = stretch.events.len().saturating_sub(limits::EVENTS_POLLED);
        stretch.events.drain(..excess);
        Ok(Polled { events: stretch.events, cursor: stretch.to, dropped: 0 })
    }

    /// Reads on to the end of the history, or until enough is found.
    async fn read_events(&self, filter: &EventFilter, polled: &mut Polled) -> Result<()> {
        loop {
            let stretch = self.stretch(polled.cursor).await?;
            polled.dropped += stretch.dropped;
            for (cursor, event) in stretch.events {
                if !filter.wants(&event) {
                    continue;
                }
                if polled.events.len() == limits::EVENTS_POLLED {
                    return Ok(());
                }
                polled.cursor = cursor;
                polled.events.push((cursor, event));
            }
            if polled.events.len() < limits::EVENTS_POLLED {
                polled.cursor = stretch.to;
            }
            if stretch.to == stretch.end || polled.events.len() >= limits::EVENTS_POLLED {
                return Ok(());
            }
        }
    }

    pub(super) async fn stretch(&self, since: u64) -> Result<Stretch> {
        self.read(|reply| Read::History(since, reply)).await?
    }
}
