//! The contexts of sessions. They may be megabytes, of which no other part of the server knows anything,
//! so each call has a connection of its own, for a thread beside the runtime. They go with the record of
//! their session. What a change means is not known here: whoever makes one gives the new totals with it.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use super::{Failure, Transaction, clamp, read_all, reading, schema, writing};
use crate::error::{Error, ErrorCode, Result};
use crate::id::SessionId;
use crate::limits;
use crate::model::{ContextMessage, ContextTotals};

/// The contexts in a store that somebody has opened.
#[derive(Debug)]
pub struct Contexts {
    connection: Connection,
}

impl Contexts {
    /// Those in the store in `directory`, which must have been opened before.
    pub fn open(directory: &Path) -> Result<Self> {
        let open = || -> std::result::Result<Connection, Failure> {
            let mut connection = Connection::open(directory.join("shellherd.db"))?;
            schema::share(&mut connection)?;
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            connection.pragma_update(None, "wal_autocheckpoint", schema::CHECKPOINT_PAGES)?;
            Ok(connection)
        };
        open().map(|connection| Self { connection }).map_err(|error| reading(&error))
    }

    /// A session's context, counted; and the bytes of all contexts.
    pub fn totals(&self, session: &SessionId) -> Result<(ContextTotals, u64)> {
        let read = || -> std::result::Result<_, Failure> {
            let all: i64 =
                self.connection
                    .query_row("SELECT coalesce(sum(bytes), 0) FROM contexts", [], |row| row.get(0))?;
            Ok((self.find(session)?, unsigned(all)))
        };
        read().map_err(|error| reading(&error))
    }

    /// All of a session's context, in its order.
    pub fn read(&self, session: &SessionId) -> Result<(ContextTotals, Vec<ContextMessage>)> {
        let read = || -> std::result::Result<_, Failure> {
            // Both as of one moment.
            let _reading = Transaction::begin_reading(&self.connection)?;
            let totals = self.find(session)?;
            let mut messages: Vec<ContextMessage> = read_all(
                &self.connection,
                "SELECT record FROM context_messages WHERE session = ?1 ORDER BY number",
                [session.as_str()],
            )?;
            messages.sort_by_key(ContextMessage::order);
            Ok((totals, messages))
        };
        read().map_err(|error| reading(&error))
    }

    /// Writes messages that are new or have changed, with the totals after that. Returns `false`, and
    /// changes nothing, when the context is no more the one that the change was made for. Refused when
    /// the session is gone.
    pub fn write(
        &mut self,
        session: &SessionId,
        changed: &[ContextMessage],
        totals: &ContextTotals,
    ) -> Result<bool> {
        self.try_write(session, changed, totals).map_err(|error| writing(&error))?.ok_or_else(|| {
            Error::new(ErrorCode::SessionNotFound, format!("session {session} has been removed"))
                .with_hint("list the sessions with session_list")
        })
    }

    /// Gives `to`, which has none yet, the context of another session. Where there is no room for both, that
    /// one's goes over to it.
    pub fn copy(&mut self, of: &SessionId, to: &SessionId) -> Result<()> {
        self.try_copy(of, to).map_err(|error| writing(&error))
    }

    fn try_copy(&mut self, of: &SessionId, to: &SessionId) -> std::result::Result<(), Failure> {
        let transaction = Transaction::begin(&self.connection)?;
        for copy in [
            "INSERT OR IGNORE INTO contexts (session, changes, messages, bytes, tokens, left_messages, left_tokens)
             SELECT ?2, changes, messages, bytes, tokens, left_messages, left_tokens FROM contexts
             WHERE session = ?1 AND EXISTS (SELECT 1 FROM sessions WHERE id = ?2)",
            "INSERT OR IGNORE INTO context_messages (session, number, record)
             SELECT ?2, number, record FROM context_messages
             WHERE session = ?1 AND EXISTS (SELECT 1 FROM contexts WHERE session = ?2)",
        ] {
            self.connection.execute(copy, [of.as_str(), to.as_str()])?;
        }
        let bytes: i64 =
            self.connection
                .query_row("SELECT coalesce(sum(bytes), 0) FROM contexts", [], |row| row.get(0))?;
        if unsigned(bytes) > limits::CONTEXTS_BYTES {
            drop_of(&self.connection, of.as_str())?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// `None` when there is no such session.
    fn try_write(
        &mut self,
        session: &SessionId,
        changed: &[ContextMessage],
        totals: &ContextTotals,
    ) -> std::result::Result<Option<bool>, Failure> {
        let transaction = Transaction::begin(&self.connection)?;
        if !self.connection.prepare("SELECT 1 FROM sessions WHERE id = ?1")?.exists([session.as_str()])? {
            return Ok(None);
        }
        if self.find(session)?.changes + 1 != totals.changes {
            return Ok(Some(false));
        }
        let mut statement = self.connection.prepare(
            "INSERT INTO context_messages (session, number, record) VALUES (?1, ?2, ?3)
             ON CONFLICT (session, number) DO UPDATE SET record = ?3",
        )?;
        for message in changed {
            let record = serde_json::to_string(message)?;
            statement.execute(params![session.as_str(), clamp(message.number), record])?;
        }
        drop(statement);
        self.connection.execute(
            "INSERT OR REPLACE INTO contexts (session, changes, messages, bytes, tokens, left_messages, left_tokens)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                session.as_str(),
                clamp(totals.changes),
                clamp(totals.messages),
                clamp(totals.bytes),
                clamp(totals.tokens),
                clamp(totals.left_messages),
                clamp(totals.left_tokens)
            ],
        )?;
        transaction.commit()?;
        Ok(Some(true))
    }

    fn find(&self, session: &SessionId) -> std::result::Result<ContextTotals, Failure> {
        let found = self
            .connection
            .query_row(
                "SELECT changes, messages, bytes, tokens, left_messages, left_tokens FROM contexts
                 WHERE session = ?1",
                [session.as_str()],
                |row| {
                    Ok(ContextTotals {
                        changes: unsigned(row.get(0)?),
                        messages: unsigned(row.get(1)?),
                        bytes: unsigned(row.get(2)?),
                        tokens: unsigned(row.get(3)?),
                        left_messages: unsigned(row.get(4)?),
                        left_tokens: unsigned(row.get(5)?),
                    })
                },
            )
            .optional()?;
        Ok(found.unwrap_or_default())
    }
}

/// Drops the contexts whose sessions have no record any more.
pub(super) fn drop_orphans(connection: &Connection) -> std::result::Result<(), Failure> {
    let gone: Vec<String> = connection
        .prepare("SELECT session FROM contexts WHERE session NOT IN (SELECT id FROM sessions)")?
        .query_map([], |row| row.get(0))?
        .collect::<std::result::Result<_, _>>()?;
    for session in gone {
        drop_of(connection, &session)?;
    }
    Ok(())
}

fn drop_of(connection: &Connection, session: &str) -> std::result::Result<(), Failure> {
    connection.execute("DELETE FROM context_messages WHERE session = ?1", [session])?;
    connection.execute("DELETE FROM contexts WHERE session = ?1", [session])?;
    Ok(())
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}
