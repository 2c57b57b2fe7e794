//! A look at a store that no server has open, for somebody whose server does not start. Changes nothing.

use std::path::Path;

use rusqlite::{Connection, ErrorCode as Code, OpenFlags, params};

use super::{Failure, Store, count, read_all, schema};
use crate::error::{Error, ErrorCode, Result};
use crate::limits;
use crate::model::{Command, Session};

impl Store {
    /// Whether a server could open the store in `directory`, if there is one; the error's hint is how to mend it.
    pub fn check(directory: &Path) -> Result<()> {
        let file = directory.join("shellherd.db");
        if !file.exists() {
            return Ok(());
        }
        check(&file).map_err(|failure| {
            let what = format!("{} cannot be opened: {failure}", file.display());
            Error::new(ErrorCode::StorageFailed, what).with_hint(remedy(&failure))
        })
    }
}

fn check(file: &Path) -> std::result::Result<(), Failure> {
    let mut connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    schema::share(&mut connection)?;
    schema::check_version(&connection)?;
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(Failure::Damaged(verdict));
    }
    // What a start reads must be readable.
    let (sessions, commands) = (count(limits::ENDED_SESSIONS), count(limits::ENDED_COMMANDS));
    let latest = "SELECT record FROM sessions ORDER BY created_at DESC LIMIT ?1";
    read_all::<Session>(&connection, latest, params![sessions])?;
    let latest = "SELECT record FROM commands ORDER BY queued_at DESC LIMIT ?1";
    read_all::<Command>(&connection, latest, params![commands])?;
    connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK")?;
    Ok(())
}

fn remedy(failure: &Failure) -> &'static str {
    const MOVE_AWAY: &str = "move it away, with the files -wal and -shm beside it if there are any: the next server begins \
        an empty store; or give another directory with --state-dir";
    const OWN: &str =
        "let this user read and write it and its directory, or give another one with --state-dir";
    match failure {
        Failure::Sqlite(error) => match error.sqlite_error_code() {
            Some(Code::NotADatabase | Code::DatabaseCorrupt | Code::Unknown) => MOVE_AWAY,
            Some(Code::DatabaseBusy | Code::DatabaseLocked) => {
                "another program holds it: find it with `fuser -v` and end it"
            }
            _ => OWN,
        },
        Failure::Io(_) => OWN,
        Failure::Record(_) | Failure::Damaged(_) => MOVE_AWAY,
        Failure::Newer { .. } => "update shellherd, or give another directory with --state-dir",
    }
}
