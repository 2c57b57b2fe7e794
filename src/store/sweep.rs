//! What sessions that have ended may keep: so many of them, and so many bytes of output in all. It
//! looks at the files of thousands of sessions, so it runs beside everything else, over a connection
//! of its own, and takes the write lock only for what it found to be gone.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};

use super::{Failure, context, output_directory};
use crate::error::{Error, ErrorCode, Result};
use crate::id::SessionId;

/// How much ended sessions may keep.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Sessions, with their commands.
    pub sessions: usize,
    /// Bytes of their output. The session that ended last keeps its own in any case.
    pub output_bytes: u64,
}

/// Sweeps a store that somebody else has open.
#[derive(Clone, Debug)]
pub struct Sweeper {
    directory: PathBuf,
}

impl Sweeper {
    pub(super) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_path_buf() }
    }

    /// Drops what is beyond the bounds, the oldest first: output, and whole sessions. What is live is
    /// its server's and left alone, except that `failed` names sessions without a shell that could get
    /// one again: those of them whose output is beyond the bounds are returned, for their owner to drop.
    /// Ends early when `is_over` says so.
    pub fn sweep(
        &self,
        bounds: Bounds,
        failed: &[SessionId],
        is_over: impl Fn() -> bool,
    ) -> Result<Vec<SessionId>> {
        self.try_sweep(bounds, failed, is_over).map_err(|error| {
            Error::new(ErrorCode::StorageFailed, format!("cannot drop old sessions: {error}"))
        })
    }

    /// Drops what is kept of sessions whose records are gone.
    pub fn remove(&self, sessions: &[SessionId]) -> Result<()> {
        for session in sessions {
            let _ = fs::remove_dir_all(output_directory(&self.directory, session));
        }
        self.try_remove(sessions).map_err(|error| {
            Error::new(ErrorCode::StorageFailed, format!("cannot drop removed sessions: {error}"))
        })
    }

    fn try_remove(&self, sessions: &[SessionId]) -> std::result::Result<(), Failure> {
        let mut connection = self.connect()?;
        let commands = commands_of(&connection, &serde_json::to_string(sessions)?)?;
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        delete_commands(&transaction, &commands)?;
        context::drop_orphans(&transaction)?;
        Ok(transaction.commit()?)
    }

    fn connect(&self) -> std::result::Result<Connection, Failure> {
        let mut connection = Connection::open(self.directory.join("shellherd.db"))?;
        super::schema::share(&mut connection)?;
        Ok(connection)
    }

    /// Output whose session is gone: a server died before it had removed it.
    fn drop_orphans(&self, connection: &Connection) -> std::result::Result<(), Failure> {
        // Looked for first: a session is in the table before it has output.
        let directories: Vec<_> =
            fs::read_dir(self.directory.join("logs")).into_iter().flatten().flatten().collect();
        let mut statement = connection.prepare("SELECT 1 FROM sessions WHERE id = ?1")?;
        for directory in directories {
            if !statement.exists([directory.file_name().to_string_lossy()])? {
                let _ = fs::remove_dir_all(directory.path());
            }
        }
        Ok(())
    }

    fn try_sweep(
        &self,
        bounds: Bounds,
        failed: &[SessionId],
        is_over: impl Fn() -> bool,
    ) -> std::result::Result<Vec<SessionId>, Failure> {
        let mut connection = self.connect()?;
        self.drop_orphans(&connection)?;
        let mut kept_bytes = 0;
        let mut kept_sessions = 0;
        let mut dropped = Vec::new();
        let mut to_empty = Vec::new();
        for (id, is_ended) in without_shell(&connection)? {
            if is_over() {
                return Ok(Vec::new());
            }
            let id = SessionId::from_text(&id);
            if !is_ended && !failed.contains(&id) {
                continue;
            }
            let directory = output_directory(&self.directory, &id);
            if is_ended && kept_sessions >= bounds.sessions {
                dropped.push(id);
                continue;
            }
            kept_sessions += 1;
            let bytes = size(&directory);
            if bytes == 0 || kept_bytes == 0 || kept_bytes + bytes <= bounds.output_bytes {
                kept_bytes += bytes;
            } else if is_ended {
                let _ = fs::remove_dir_all(&directory);
            } else {
                to_empty.push(id);
            }
        }
        for session in forget(&mut connection, dropped)? {
            let _ = fs::remove_dir_all(output_directory(&self.directory, &session));
        }
        Ok(to_empty)
    }
}

/// The sessions that have no shell, with whether they can never have one again; what ended last first.
fn without_shell(connection: &Connection) -> std::result::Result<Vec<(String, bool)>, Failure> {
    let mut statement = connection.prepare(
        "SELECT id, live = 0 FROM sessions WHERE live = 0 OR json_extract(record, '$.status') = 'error'
         ORDER BY coalesce(json_extract(record, '$.ended_at'), created_at) DESC, id",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<std::result::Result<_, _>>()?)
}

/// Removes these sessions, if they have still ended, and returns those that are gone. Their commands are
/// looked for before the write lock is taken: that reads the whole table.
fn forget(
    connection: &mut Connection,
    sessions: Vec<SessionId>,
) -> std::result::Result<Vec<SessionId>, Failure> {
    if sessions.is_empty() {
        return Ok(sessions);
    }
    let wanted = serde_json::to_string(&sessions)?;
    let commands = commands_of(connection, &wanted)?;
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let gone: Vec<String> = transaction
        .prepare(
            "DELETE FROM sessions WHERE live = 0 AND id IN (SELECT value FROM json_each(?1)) RETURNING id",
        )?
        .query_map([&wanted], |row| row.get(0))?
        .collect::<std::result::Result<_, _>>()?;
    delete_commands(&transaction, &commands)?;
    context::drop_orphans(&transaction)?;
    transaction.commit()?;
    Ok(gone.into_iter().map(SessionId::from_text).collect())
}

/// The commands of sessions, which are given as a list in JSON.
fn commands_of(connection: &Connection, sessions: &str) -> std::result::Result<Vec<i64>, Failure> {
    let mut statement = connection
        .prepare("SELECT rowid FROM commands WHERE session IN (SELECT value FROM json_each(?1))")?;
    let rows = statement.query_map([sessions], |row| row.get(0))?;
    Ok(rows.collect::<std::result::Result<_, _>>()?)
}

fn delete_commands(connection: &Connection, commands: &[i64]) -> std::result::Result<(), Failure> {
    let mut statement = connection.prepare("DELETE FROM commands WHERE rowid = ?1")?;
    for command in commands {
        statement.execute(params![command])?;
    }
    Ok(())
}

fn size(directory: &Path) -> u64 {
    let files = fs::read_dir(directory).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
}
