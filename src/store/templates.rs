//! Templates and snapshots, for all servers of a state directory.

use rusqlite::{OptionalExtension, params};

use super::{Failure, Store, count, parse, read_all, reading, writing};
use crate::error::Result;
use crate::id::SnapshotId;
use crate::limits;
use crate::model::{Snapshot, Template};

impl Store {
    /// Every template, by name.
    pub fn templates(&self) -> Result<Vec<Template>> {
        read_all(&self.connection, "SELECT record FROM templates ORDER BY name", [])
            .map_err(|error| reading(&error))
    }

    /// Keeps a template in place of the one of its name.
    pub fn keep_template(&mut self, template: &Template) -> Result<()> {
        let write = || -> std::result::Result<(), Failure> {
            self.connection
                .prepare_cached("INSERT OR REPLACE INTO templates (name, record) VALUES (?1, ?2)")?
                .execute(params![template.name, serde_json::to_string(template)?])?;
            Ok(())
        };
        write().map_err(|error| writing(&error))
    }

    /// Removes a template. Returns whether it was there.
    pub fn delete_template(&mut self, name: &str) -> Result<bool> {
        self.connection
            .prepare_cached("DELETE FROM templates WHERE name = ?1")
            .and_then(|mut statement| statement.execute([name]))
            .map(|count| count > 0)
            .map_err(|error| writing(&error.into()))
    }

    /// A snapshot, if it is still kept.
    pub fn snapshot(&self, id: &SnapshotId) -> Result<Option<Snapshot>> {
        let read = || -> std::result::Result<Option<Snapshot>, Failure> {
            let mut statement =
                self.connection.prepare_cached("SELECT record FROM snapshots WHERE id = ?1")?;
            let found = statement.query_row([id.as_str()], |row| row.get::<_, String>(0)).optional()?;
            found.map(|text| parse(&text)).transpose()
        };
        read().map_err(|error| reading(&error))
    }

    /// Keeps a snapshot, in place of the oldest where there are too many.
    pub fn keep_snapshot(&mut self, snapshot: &Snapshot) -> Result<()> {
        let write = || -> std::result::Result<(), Failure> {
            self.connection
                .prepare_cached("INSERT INTO snapshots (id, taken_at, record) VALUES (?1, ?2, ?3)")?
                .execute(params![
                    snapshot.id.as_str(),
                    snapshot.taken_at.0,
                    serde_json::to_string(snapshot)?
                ])?;
            self.connection
                .prepare_cached(
                    "DELETE FROM snapshots WHERE rowid NOT IN
                         (SELECT rowid FROM snapshots ORDER BY rowid DESC LIMIT ?1)",
                )?
                .execute([count(limits::SNAPSHOTS)])?;
            Ok(())
        };
        write().map_err(|error| writing(&error))
    }
}
