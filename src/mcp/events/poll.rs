//! `events_poll`: what happened behind a cursor, and a wait for what happens next.

use std::fmt::Write;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::mcp::answer::{Answer, fitting, is_default};
use crate::mcp::arguments::typed;
use crate::mcp::call::{Call, Watched};
use crate::mcp::schema::{self, Milliseconds};
use crate::mcp::tool::{Effect, Tool};
use crate::model::{EventFilter, EventType, EventView};
use crate::orchestrator::history::{Polled, Since};

pub(crate) const TOOL: Tool = Tool {
    name: "events_poll",
    title: "Follow events",
    description: "Shows what happened to sessions, tasks and runs: status changes, terminations, errors, limits passed, \
        recovery attempts, and decisions with their reasons. Pass the cursor of one answer as since to get every later \
        event once; without since, the latest. With wait it blocks until one comes. dropped counts events that were \
        removed before they were read.",
    effect: Effect::Reads,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Page>,
    run: |call, arguments| Box::pin(async move { poll(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    /// A cursor
    since: Option<u64>,
    /// Only these (default all)
    #[serde(default)]
    types: Vec<Word>,
    session_id: Option<String>,
    task_id: Option<String>,
    /// ms
    wait: Option<Milliseconds>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(transparent)]
struct Word(#[schemars(with = "String", extend("enum" = super::type_words()))] EventType);

#[derive(Debug, Serialize, JsonSchema)]
struct Page {
    events: Vec<EventView>,
    /// Pass it as since to go on.
    cursor: u64,
    #[serde(skip_serializing_if = "is_default")]
    dropped: u64,
}

async fn poll(call: &Call, arguments: Arguments) -> Result<Answer> {
    let session = match &arguments.session_id {
        Some(selector) => Some(call.orchestrator.session(selector).await?.id),
        None => None,
    };
    let filter = EventFilter {
        types: arguments.types.into_iter().map(|Word(wanted)| wanted).collect(),
        session,
        task: arguments.task_id,
    };
    let since = arguments.since.map_or(Since::Latest, Since::Cursor);
    let wait = arguments.wait.map_or(Duration::ZERO, |wait| call.longest_wait(Some(wait.into())));
    let polling = call.orchestrator.poll_events(since, &filter, wait);
    let polled = if wait.is_zero() { polling.await? } else { call.wait(polling, Watched::Nothing).await? };
    answer(call, &polled, since)
}

/// What does not fit is read with the cursor; of the latest events the last ones are shown.
fn answer(call: &Call, polled: &Polled, since: Since) -> Result<Answer> {
    let views: Vec<EventView> =
        polled.events.iter().map(|(cursor, event)| EventView::new(*cursor, event)).collect();
    let mut room = call.room();
    loop {
        let shown = match since {
            Since::Cursor(_) => 0..fitting(&views, room.tokens).max(usize::from(!views.is_empty())),
            Since::Latest => views.len() - fitting(views.iter().rev(), room.tokens)..views.len(),
        };
        let is_cut = shown.end < views.len();
        let cursor = if is_cut { views[shown.end - 1].cursor } else { polled.cursor };
        let mut text = String::new();
        for (cursor, event) in &polled.events[shown.clone()] {
            let session = event.session.as_ref().map_or("", |session| session.as_str());
            let _ = writeln!(text, "{cursor} {} {session} {}", event.at, super::text(event));
        }
        let _ = write!(text, "[cursor {cursor}");
        if polled.dropped > 0 {
            let _ = write!(text, " · {} events were dropped before", polled.dropped);
        }
        text.push(']');
        let answer =
            Answer::new(text, &Page { events: views[shown].to_vec(), cursor, dropped: polled.dropped })?;
        if room.holds(&answer) {
            return Ok(answer);
        }
    }
}
