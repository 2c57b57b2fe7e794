//! Log messages to a client that asked for them with `logging/setLevel`: the history as it happens, for
//! the protocol era that has them. A client that does not read is sent no more of them, but told later
//! how many it has missed.

#![expect(deprecated, reason = "the newer era has no such messages; clients of the older one do")]

use rmcp::model::{LoggingLevel, LoggingMessageNotificationParam};
use rmcp::{Peer, RoleServer};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::events;
use super::surface::Surface;
use crate::error::Result;
use crate::limits;
use crate::model::{Event, EventFilter, EventKind, EventView, Status, TaskStatus};
use crate::orchestrator::history::Since;

/// Who wants to be told, and from which level on.
#[derive(Clone)]
struct Wish {
    level: LoggingLevel,
    peer: Peer<RoleServer>,
}

/// What one connection is told without asking each time.
pub(crate) struct Notices {
    wish: watch::Sender<Option<Wish>>,
}

/// Events that were not told.
#[derive(Default)]
struct Missed {
    count: usize,
    /// The cursor in front of the first of them.
    since: u64,
}

impl Notices {
    pub(crate) fn new() -> Self {
        Self { wish: watch::channel(None).0 }
    }

    /// From now on this client is told what is at least as important as this.
    pub(crate) fn tell(&self, level: LoggingLevel, peer: Peer<RoleServer>) {
        self.wish.send_replace(Some(Wish { level, peer }));
    }

    /// Tells for as long as it is polled.
    pub(crate) async fn follow(&self, surface: &Surface) {
        let mut wish = self.wish.subscribe();
        if wish.wait_for(Option::is_some).await.is_err() {
            return;
        }
        if let Err(error) = self.try_follow(surface).await {
            tracing::debug!(%error, "the client is told of no more events");
        }
    }

    async fn try_follow(&self, surface: &Surface) -> Result<()> {
        let orchestrator = surface.orchestrator();
        let mut cursor = orchestrator.history_from_now().await?;
        let mut missed = Missed::default();
        let everything = EventFilter::default();
        loop {
            let polled =
                orchestrator.poll_events(Since::Cursor(cursor), &everything, limits::LONGEST_WAIT).await?;
            let Some(Wish { level, peer }) = self.wish.borrow().clone() else { return Ok(()) };
            let mut told = 0;
            for (at, event) in &polled.events {
                if rank(importance(event)) < rank(level) {
                    cursor = *at;
                    continue;
                }
                let has_room = told < limits::NOTICES_AT_ONCE && surface.traffic().takes_progress();
                if has_room && missed.count == 0 {
                    told += 1;
                    send(&peer, importance(event), message(*at, event)).await;
                } else {
                    if missed.count == 0 {
                        missed.since = cursor;
                    }
                    missed.count += 1;
                }
                cursor = *at;
            }
            cursor = polled.cursor;
            if missed.count > 0 && surface.traffic().takes_progress() {
                let Missed { count, since } = std::mem::take(&mut missed);
                let text = format!("{count} more events: events_poll {{since: {since}}}");
                send(&peer, level, json!({"text": text, "count": count, "since": since})).await;
            }
            tokio::time::sleep(limits::NOTICES_PAUSE).await;
        }
    }
}

async fn send(peer: &Peer<RoleServer>, level: LoggingLevel, data: Value) {
    let message = LoggingMessageNotificationParam::new(level, data).with_logger(env!("CARGO_PKG_NAME"));
    if let Err(error) = peer.notify_logging_message(message).await {
        tracing::debug!(%error, "an event could not be told");
    }
}

fn message(cursor: u64, event: &Event) -> Value {
    let mut data = json!({"text": events::text(event)});
    if let (Value::Object(data), Ok(Value::Object(view))) =
        (&mut data, serde_json::to_value(EventView::new(cursor, event)))
    {
        data.extend(view);
    }
    data
}

/// How important an event is.
fn importance(event: &Event) -> LoggingLevel {
    match &event.kind {
        EventKind::Error { .. } => LoggingLevel::Error,
        EventKind::Limit { .. }
        | EventKind::TimedOut { .. }
        | EventKind::Recovery { .. }
        | EventKind::Health { .. }
        | EventKind::Task { new: TaskStatus::Failed, .. } => LoggingLevel::Warning,
        EventKind::RunEnded { failed, .. } if *failed > 0 => LoggingLevel::Warning,
        EventKind::RunEnded { .. }
        | EventKind::Terminated { .. }
        | EventKind::Prompt { .. }
        | EventKind::Status { new: Status::Error | Status::Timeout, .. } => LoggingLevel::Notice,
        EventKind::Status { .. }
        | EventKind::Started { .. }
        | EventKind::Exited { .. }
        | EventKind::Decision { .. }
        | EventKind::Task { .. }
        | EventKind::Tasks { .. } => LoggingLevel::Info,
        EventKind::CommandStarted { .. }
        | EventKind::CommandEnded { .. }
        | EventKind::Signal { .. }
        | EventKind::Input { .. }
        | EventKind::MessageSent { .. }
        | EventKind::MessagesOver { .. } => LoggingLevel::Debug,
    }
}

/// Levels in the order of their importance.
fn rank(level: LoggingLevel) -> u8 {
    match level {
        LoggingLevel::Debug => 0,
        LoggingLevel::Info => 1,
        LoggingLevel::Notice => 2,
        LoggingLevel::Warning => 3,
        LoggingLevel::Error => 4,
        LoggingLevel::Critical => 5,
        LoggingLevel::Alert => 6,
        LoggingLevel::Emergency => 7,
    }
}
