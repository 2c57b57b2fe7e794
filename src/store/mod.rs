//! The store: one `SQLite` file for sessions, commands, runs, messages, contexts and events, and beside it the output of the
//! sessions in segment files. It hides `SQLite`, and knows nothing of what the records mean.
//!
//! Several servers may share one state directory (every client starts its own). Each holds a lock
//! file for as long as it lives, so that the next to open the store can tell whose sessions have
//! lost their server. WAL with `synchronous=NORMAL`: a commit is in the kernel when it returns, so
//! it survives the death of the process; a power cut may lose the last commits, never the file.

mod archive;
mod bus;
mod check;
mod context;
mod events;
mod pools;
mod runs;
mod samples;
mod schema;
mod sweep;
mod templates;
mod webhooks;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, params};
use rustix::fs::{FlockOperation, flock};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::error::{Error, ErrorCode, Result};
use crate::id::{CommandId, SessionId};
use crate::limits;
use crate::model::{Command, Record, Session};

pub use archive::{SegmentArchive, continue_from};
pub use bus::StoredBus;
pub use context::Contexts;
pub use events::Stretch;
pub use runs::StoredRun;
pub use samples::{Of, Samples};
pub use sweep::{Bounds, Sweeper};

/// An open store.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    directory: PathBuf,
    server: String,
    /// Held until the process ends: other servers take a free lock for a death certificate.
    _lock: File,
    events_until_trim: usize,
}

/// What an open store held.
#[derive(Debug)]
pub struct Restored {
    /// Sessions that have ended, and those whose server died; oldest first. Sessions of other
    /// living servers are theirs and left out.
    pub sessions: Vec<Session>,
    /// The latest commands of these sessions, oldest first.
    pub commands: Vec<Command>,
    /// Runs that dead servers left unfinished, and the latest that are over; oldest first.
    pub runs: Vec<StoredRun>,
    /// How long work takes: what stands for it, and microseconds.
    pub estimates: Vec<(u64, u64)>,
    /// What dead servers left of agents and messages.
    pub bus: StoredBus,
    /// The pools that dead servers had.
    pub pools: Vec<serde_json::Value>,
}

impl Store {
    /// Opens or creates the store in `directory`, and takes over the sessions of dead servers.
    pub fn open(directory: &Path) -> Result<(Store, Restored)> {
        open(directory).map_err(|error| {
            Error::new(
                ErrorCode::StorageFailed,
                format!("cannot open the store in {}: {error}", directory.display()),
            )
            .with_hint("start the server with --state-dir DIR on a writable disk, or run `shellherd doctor`")
        })
    }

    /// Writes all records in one transaction.
    pub fn commit(&mut self, records: &[Record]) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        self.write(records).map_err(|error| {
            Error::new(ErrorCode::StorageFailed, format!("cannot write to the store: {error}"))
                .with_hint("free disk space in the state directory; what the call was for may have begun: look with session_status before you call again")
        })
    }

    /// Takes the write lock and lets go of it, and returns the store's size in bytes.
    pub fn probe(&mut self) -> Result<u64> {
        self.connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK").map_err(|error| {
            Error::new(ErrorCode::StorageFailed, format!("cannot write to the store: {error}"))
        })?;
        let size = |name| fs::metadata(self.directory.join(name)).map_or(0, |file| file.len());
        Ok(["shellherd.db", "shellherd.db-wal"].into_iter().map(size).sum())
    }

    /// A command that is no longer in memory.
    pub fn command(&self, id: &CommandId) -> Result<Option<Command>> {
        self.connection
            .prepare_cached("SELECT record FROM commands WHERE id = ?1")
            .and_then(|mut statement| {
                statement.query_row([id.as_str()], |row| row.get::<_, String>(0)).optional()
            })
            .map_err(Failure::from)
            .and_then(|found| found.map(|text| parse(&text)).transpose())
            .map_err(|error| reading(&error))
    }

    /// Where the output of a session is kept.
    pub fn output_directory(&self, session: &SessionId) -> PathBuf {
        output_directory(&self.directory, session)
    }

    /// For a session that nobody can bring back to life any more: it may be swept away.
    pub fn forget(&mut self, session: &SessionId) -> Result<()> {
        self.connection
            .prepare_cached("UPDATE sessions SET live = 0 WHERE id = ?1 AND live = 1")
            .and_then(|mut statement| statement.execute([session.as_str()]))
            .map(|_| ())
            .map_err(|error| {
                Error::new(ErrorCode::StorageFailed, format!("cannot write to the store: {error}"))
            })
    }

    /// What drops old sessions, beside everything else.
    pub fn sweeper(&self) -> Sweeper {
        Sweeper::new(&self.directory)
    }

    fn write(&mut self, records: &[Record]) -> std::result::Result<(), Failure> {
        let transaction = Transaction::begin(&self.connection)?;
        for record in records {
            match record {
                Record::Session(session) => {
                    self.connection
                        .prepare_cached(
                            "INSERT INTO sessions (id, server, live, created_at, record) VALUES (?1, ?2, ?3, ?4, ?5)
                             ON CONFLICT (id) DO UPDATE SET server = ?2, live = ?3, record = ?5",
                        )?
                        .execute(params![
                            session.id.as_str(),
                            self.server,
                            !session.status.is_final(),
                            session.created_at.0,
                            serde_json::to_string(session)?
                        ])?;
                }
                Record::Removed(session) => {
                    self.connection
                        .prepare_cached("DELETE FROM sessions WHERE id = ?1")?
                        .execute([session.as_str()])?;
                }
                Record::Command(command) => {
                    self.connection
                        .prepare_cached(
                            "INSERT INTO commands (id, session, queued_at, record) VALUES (?1, ?2, ?3, ?4)
                             ON CONFLICT (id) DO UPDATE SET record = ?4",
                        )?
                        .execute(params![
                            command.id.as_str(),
                            command.session.as_str(),
                            command.queued_at.0,
                            serde_json::to_string(command)?
                        ])?;
                }
                Record::Event(event) => {
                    self.events_until_trim = self.events_until_trim.saturating_sub(1);
                    events::write(&self.connection, &self.server, event)?;
                }
                Record::Run(_) | Record::Graph { .. } | Record::Task { .. } | Record::Estimate { .. } => {
                    runs::write(&self.connection, &self.server, record)?;
                }
                Record::Agent(_) | Record::AgentGone(_) | Record::Message(..) | Record::Received(..) => {
                    bus::write(&self.connection, &self.server, record)?;
                }
                Record::Pool { name, plan } => {
                    pools::write(&self.connection, &self.server, name, Some(plan))?;
                }
                Record::PoolGone(name) => pools::write(&self.connection, &self.server, name, None)?,
            }
        }
        if self.events_until_trim == 0 {
            self.events_until_trim = EVENTS_BETWEEN_TRIMS;
            schema::trim(&self.connection)?;
        }
        transaction.commit()?;
        Ok(())
    }
}

/// A transaction whose statements are prepared once, rolled back unless it is committed.
struct Transaction<'c> {
    connection: &'c Connection,
}

impl<'c> Transaction<'c> {
    fn begin(connection: &'c Connection) -> rusqlite::Result<Self> {
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        Ok(Self { connection })
    }

    /// One that sees the store as it is now, whatever others write.
    fn begin_reading(connection: &'c Connection) -> rusqlite::Result<Self> {
        connection.prepare_cached("BEGIN")?.execute([])?;
        Ok(Self { connection })
    }

    fn commit(self) -> rusqlite::Result<()> {
        self.connection.prepare_cached("COMMIT")?.execute([]).map(|_| ())
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if !self.connection.is_autocommit() {
            let _ = self.connection.execute_batch("ROLLBACK");
        }
    }
}

/// Trimming the tables costs a scan of their indexes; this spreads it.
const EVENTS_BETWEEN_TRIMS: usize = 2_000;

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("a record does not parse: {0}")]
    Record(#[from] serde_json::Error),
    #[error("it is damaged: {0}")]
    Damaged(String),
    #[error("it was written by a newer version (schema {found}, this one knows {known})")]
    Newer { found: i64, known: i64 },
}

fn open(directory: &Path) -> std::result::Result<(Store, Restored), Failure> {
    create_private(directory)?;
    create_private(&directory.join("servers"))?;
    let mut connection = Connection::open(directory.join("shellherd.db"))?;
    connection.set_prepared_statement_cache_capacity(32);
    schema::prepare(&mut connection)?;
    let server = Uuid::new_v4().simple().to_string();
    let lock = lock_file(directory, &server)?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(io::Error::from)?;
    let restored = take_over(&mut connection, directory, &server)?;
    let store = Store {
        connection,
        directory: directory.to_path_buf(),
        server,
        _lock: lock,
        events_until_trim: EVENTS_BETWEEN_TRIMS,
    };
    Ok((store, restored))
}

/// Finds out which servers are dead, makes their sessions ours, and reads what there is to show.
fn take_over(
    connection: &mut Connection,
    directory: &Path,
    server: &str,
) -> std::result::Result<Restored, Failure> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let others: Vec<String> = transaction
        .prepare("SELECT id FROM servers")?
        .query_map([], |row| row.get(0))?
        .collect::<std::result::Result<_, _>>()?;
    for other in others {
        let lock = lock_file(directory, &other)?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            transaction.execute("UPDATE sessions SET server = ?1 WHERE server = ?2", [server, &other])?;
            transaction.execute("UPDATE runs SET server = ?1 WHERE server = ?2", [server, &other])?;
            bus::take_over(&transaction, &other, server)?;
            transaction.execute("DELETE FROM servers WHERE id = ?1", [&other])?;
            let _ = fs::remove_file(lock_path(directory, &other));
        }
    }
    // A server that ended in order has left its row, and with it whatever it could not write last.
    transaction.execute(
        "UPDATE sessions SET server = ?1 WHERE live = 1 AND server NOT IN (SELECT id FROM servers)",
        [server],
    )?;
    transaction.execute(
        "UPDATE runs SET server = ?1 WHERE live = 1 AND server NOT IN (SELECT id FROM servers)",
        [server],
    )?;
    transaction
        .execute("INSERT INTO servers (id, pid) VALUES (?1, ?2)", params![server, std::process::id()])?;
    // First those that are still to be ended, however old; those that ended in an error are not final
    // either, because they can be reset, but any number of them may have come together.
    let mut sessions: Vec<Session> = read_all(
        &transaction,
        "SELECT record FROM sessions WHERE live = 0 OR server = ?1
         ORDER BY live = 1 AND json_extract(record, '$.status') <> 'error' DESC, created_at DESC, id LIMIT ?2",
        params![server, count(limits::ENDED_SESSIONS)],
    )?;
    sessions.sort_by_key(|session| session.created_at);
    let mut commands: Vec<Command> = read_all(
        &transaction,
        "SELECT c.record FROM commands c JOIN sessions s ON s.id = c.session
         WHERE s.live = 0 OR s.server = ?1 ORDER BY c.queued_at DESC, c.rowid DESC LIMIT ?2",
        params![server, count(limits::ENDED_COMMANDS)],
    )?;
    commands.reverse();
    runs::trim(&transaction)?;
    let runs = runs::read(&transaction, server)?;
    let estimates = runs::estimates(&transaction)?;
    let bus = bus::read(&transaction, server)?;
    let pools = pools::read(&transaction, server)?;
    transaction.commit()?;
    Ok(Restored { sessions, commands, runs, estimates, bus, pools })
}

fn read_all<T: DeserializeOwned>(
    connection: &Connection,
    query: &str,
    arguments: impl rusqlite::Params,
) -> std::result::Result<Vec<T>, Failure> {
    let mut statement = connection.prepare(query)?;
    let rows = statement.query_map(arguments, |row| row.get::<_, String>(0))?;
    rows.map(|row| parse(&row?)).collect()
}

fn writing(error: &Failure) -> Error {
    Error::new(ErrorCode::StorageFailed, format!("cannot write to the store: {error}"))
        .with_hint("free disk space in the state directory")
}

fn reading(error: &Failure) -> Error {
    Error::new(ErrorCode::StorageFailed, format!("cannot read the store: {error}"))
}

fn parse<T: DeserializeOwned>(text: &str) -> std::result::Result<T, Failure> {
    Ok(serde_json::from_str(text)?)
}

/// `SQLite`'s integers are signed; a cursor beyond 2^63 does not happen, a caller's number may.
fn clamp(cursor: u64) -> i64 {
    i64::try_from(cursor).unwrap_or(i64::MAX)
}

fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn output_directory(directory: &Path, session: &SessionId) -> PathBuf {
    directory.join("logs").join(session.as_str())
}

fn lock_path(directory: &Path, server: &str) -> PathBuf {
    directory.join("servers").join(format!("{server}.lock"))
}

fn lock_file(directory: &Path, server: &str) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(lock_path(directory, server))
}

fn create_private(directory: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

impl Drop for Store {
    /// A server that ends in order leaves no lock file; what it left behind has ended already.
    fn drop(&mut self) {
        let _ = self.connection.execute("DELETE FROM servers WHERE id = ?1", [&self.server]);
        let _ = fs::remove_file(lock_path(&self.directory, &self.server));
    }
}

#[cfg(test)]
mod tests;
