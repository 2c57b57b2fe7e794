//! The history: one table for all servers of a state directory, numbered in the order of the commits.
//! Only the oldest events are ever removed, so that a number stands for one event for good.

use rusqlite::{Connection, params};

use super::{Failure, Store, clamp, count, parse, reading};
use crate::error::Result;
use crate::id::SessionId;
use crate::model::Event;

/// A part of the history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stretch {
    /// Its events with their cursors, in order, without those of other servers that live.
    pub events: Vec<(u64, Event)>,
    /// Events behind the cursor asked for that were removed before.
    pub dropped: u64,
    /// The cursor that the stretch ends at: what comes next lies behind it.
    pub to: u64,
    /// The cursor of the latest event.
    pub end: u64,
}

impl Store {
    /// The latest `max` events of a session at or behind an output cursor, in order.
    pub fn events(&self, session: &SessionId, since: u64, max: usize) -> Result<Vec<Event>> {
        self.of_session(session, since, max).map_err(|error| reading(&error))
    }

    /// What came behind a cursor: so many of the events, of whatever kind.
    pub fn history(&self, since: u64, most: usize) -> Result<Stretch> {
        self.stretch(since, most).map_err(|error| reading(&error))
    }

    fn of_session(
        &self,
        session: &SessionId,
        since: u64,
        max: usize,
    ) -> std::result::Result<Vec<Event>, Failure> {
        let mut statement = self.connection.prepare_cached(
            "SELECT event FROM events WHERE session = ?1 AND output_cursor >= ?2 ORDER BY cursor DESC LIMIT ?3",
        )?;
        let rows = statement
            .query_map(params![session.as_str(), clamp(since), count(max)], |row| row.get::<_, String>(0))?;
        let mut events =
            rows.map(|row| parse(&row?)).collect::<std::result::Result<Vec<Event>, Failure>>()?;
        events.reverse();
        Ok(events)
    }

    fn stretch(&self, since: u64, most: usize) -> std::result::Result<Stretch, Failure> {
        let (oldest, end) = self
            .connection
            .prepare_cached("SELECT (SELECT min(cursor) FROM events), (SELECT max(cursor) FROM events)")?
            .query_row([], |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?)))?;
        let (oldest, end) = (oldest.unwrap_or(1).cast_unsigned(), end.unwrap_or(0).cast_unsigned());
        // A cursor from another store: what comes is new to its holder.
        let since = since.min(end);
        let from = since.max(oldest.saturating_sub(1));
        let to = end.min(from.saturating_add(most as u64));
        let mut stretch = Stretch { events: Vec::new(), dropped: from - since, to, end };
        if from == to {
            return Ok(stretch);
        }
        let others = serde_json::to_string(&self.others()?)?;
        let mut statement = self.connection.prepare_cached(
            "SELECT cursor, event FROM events WHERE cursor > ?1 AND cursor <= ?2
             AND server NOT IN (SELECT value FROM json_each(?3)) ORDER BY cursor",
        )?;
        let rows = statement.query_map(params![clamp(from), clamp(to), others], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
        })?;
        for row in rows {
            let (cursor, event) = row?;
            stretch.events.push((cursor.cast_unsigned(), parse(&event)?));
        }
        Ok(stretch)
    }

    /// The numbers of the servers that share this store and are not known to be dead.
    fn others(&self) -> std::result::Result<Vec<i64>, Failure> {
        let mut statement = self.connection.prepare_cached("SELECT id FROM servers WHERE id <> ?1")?;
        let rows = statement.query_map([&self.server], |row| row.get::<_, String>(0))?;
        Ok(rows.map(|row| row.map(|id| number(&id))).collect::<std::result::Result<_, _>>()?)
    }
}

/// Writes an event of this server.
pub(super) fn write(
    connection: &Connection,
    server: &str,
    event: &Event,
) -> std::result::Result<(), Failure> {
    connection
        .prepare_cached("INSERT INTO events (session, output_cursor, event, server) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![
            event.session.as_ref().map_or("", SessionId::as_str),
            clamp(event.output_cursor),
            serde_json::to_string(event)?,
            number(server)
        ])?;
    Ok(())
}

/// A server in an event's row, where there is no room for its whole name.
fn number(server: &str) -> i64 {
    server.get(..15).and_then(|digits| i64::from_str_radix(digits, 16).ok()).unwrap_or(0)
}
