//! The tables, their migrations and their bounds.

use std::time::Duration;

use rusqlite::Connection;

use super::Failure;

/// Few indexes: every page that a commit touches is written twice, and looking through all commands
/// happens only when old sessions are swept away.
///
/// Each entry brings the schema from its index to the next version. Entries are never changed:
/// a database of any earlier version must open.
const MIGRATIONS: &[&str] = &["
CREATE TABLE servers (id TEXT PRIMARY KEY, pid INTEGER NOT NULL) STRICT;
CREATE TABLE sessions (
    id TEXT PRIMARY KEY, server TEXT NOT NULL, live INTEGER NOT NULL,
    created_at INTEGER NOT NULL, record TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE commands (
    id TEXT PRIMARY KEY, session TEXT NOT NULL, queued_at INTEGER NOT NULL, record TEXT NOT NULL) STRICT;
CREATE TABLE events (
    cursor INTEGER PRIMARY KEY, session TEXT NOT NULL,
    output_cursor INTEGER NOT NULL, event TEXT NOT NULL) STRICT;
CREATE INDEX events_by_session ON events (session, cursor);
", "
CREATE TABLE runs (
    id TEXT PRIMARY KEY, server TEXT NOT NULL, live INTEGER NOT NULL, created_at INTEGER NOT NULL,
    record TEXT NOT NULL, graph TEXT, tasks INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE tasks (
    run TEXT NOT NULL, number INTEGER NOT NULL, state TEXT NOT NULL, PRIMARY KEY (run, number))
    STRICT, WITHOUT ROWID;
CREATE TABLE estimates (rowid INTEGER PRIMARY KEY, work INTEGER NOT NULL UNIQUE, mean_us INTEGER NOT NULL) STRICT;
", "
CREATE TABLE agents (
    id TEXT NOT NULL, server TEXT NOT NULL, record TEXT NOT NULL, PRIMARY KEY (id, server)) STRICT, WITHOUT ROWID;
CREATE TABLE messages (id TEXT PRIMARY KEY, server TEXT NOT NULL, record TEXT NOT NULL) STRICT;
CREATE TABLE deliveries (
    message TEXT NOT NULL, agent TEXT NOT NULL, PRIMARY KEY (message, agent)) STRICT, WITHOUT ROWID;
ALTER TABLE events ADD COLUMN server INTEGER NOT NULL DEFAULT 0;
CREATE TABLE webhooks (
    id TEXT PRIMARY KEY, created_at INTEGER NOT NULL, record TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE samples (
    resolution INTEGER NOT NULL, at INTEGER NOT NULL, session TEXT NOT NULL, looks INTEGER NOT NULL,
    cpu INTEGER NOT NULL, cpu_max INTEGER NOT NULL, memory INTEGER NOT NULL, memory_max INTEGER NOT NULL,
    members INTEGER NOT NULL, commands INTEGER NOT NULL, failed INTEGER NOT NULL,
    PRIMARY KEY (resolution, at, session)) STRICT, WITHOUT ROWID;
CREATE TABLE contexts (
    session TEXT PRIMARY KEY, changes INTEGER NOT NULL, messages INTEGER NOT NULL, bytes INTEGER NOT NULL,
    tokens INTEGER NOT NULL, left_messages INTEGER NOT NULL, left_tokens INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE context_messages (
    session TEXT NOT NULL, number INTEGER NOT NULL, record TEXT NOT NULL, PRIMARY KEY (session, number)) STRICT;
CREATE TABLE templates (name TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE snapshots (id TEXT PRIMARY KEY, taken_at INTEGER NOT NULL, record TEXT NOT NULL) STRICT;
", "
ALTER TABLE tasks ADD COLUMN last INTEGER;
CREATE TABLE pools (
    name TEXT NOT NULL, server TEXT NOT NULL, record TEXT NOT NULL, PRIMARY KEY (name, server)) STRICT, WITHOUT ROWID;
"];

/// Another server may be writing: its commits take well under a millisecond, so the first looks at the lock
/// follow each other closely, and no commit waits for longer than it must. `SQLite`'s own pauses grow to 100 ms.
const EAGER: Duration = Duration::from_micros(200);
const EAGER_LOOKS: i32 = 50;
const PATIENT: Duration = Duration::from_millis(2);
/// About 5 s in all.
const LOOKS: i32 = 2_500;
/// A checkpoint syncs the disk, which takes milliseconds: one for some hundred commands is enough.
pub(super) const CHECKPOINT_PAGES: i64 = 4_000;
/// Commands that the store keeps.
const COMMANDS: i64 = 200_000;

/// Makes the connection wait while another one writes.
#[expect(
    clippy::disallowed_methods,
    reason = "SQLite asks within its own call, where nothing can be awaited"
)]
pub(super) fn share(connection: &mut Connection) -> Result<(), Failure> {
    connection.busy_handler(Some(|looks| {
        std::thread::sleep(if looks < EAGER_LOOKS { EAGER } else { PATIENT });
        looks < LOOKS
    }))?;
    Ok(())
}

/// Sets the connection up and brings the schema up to date.
pub(super) fn prepare(connection: &mut Connection) -> Result<(), Failure> {
    share(connection)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if version(connection)? == known {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let found = version(&transaction)?;
    if found > known {
        return Err(Failure::Newer { found, known });
    }
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    transaction.commit()?;
    Ok(())
}

/// Refuses what a newer version wrote.
pub(super) fn check_version(connection: &Connection) -> Result<(), Failure> {
    let (found, known) = (version(connection)?, i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX));
    if found > known { Err(Failure::Newer { found, known }) } else { Ok(()) }
}

fn version(connection: &Connection) -> Result<i64, Failure> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

/// Removes the oldest events and commands beyond their bounds.
pub(super) fn trim(connection: &Connection) -> Result<(), Failure> {
    connection.execute(
        "DELETE FROM events WHERE cursor <= (SELECT max(cursor) FROM events) - ?1",
        [super::count(crate::limits::EVENTS)],
    )?;
    connection
        .execute("DELETE FROM commands WHERE rowid <= (SELECT max(rowid) FROM commands) - ?1", [COMMANDS])?;
    Ok(())
}
