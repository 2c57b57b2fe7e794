//! Pools of warm sessions: what each is made of, for the server that comes after.

use rusqlite::{Connection, params};
use serde_json::Value;

use super::Failure;

/// Writes a pool of `server`, or takes it out.
pub(super) fn write(
    connection: &Connection,
    server: &str,
    name: &str,
    plan: Option<&Value>,
) -> Result<(), Failure> {
    match plan {
        Some(plan) => connection
            .prepare_cached("INSERT OR REPLACE INTO pools (name, server, record) VALUES (?1, ?2, ?3)")?
            .execute(params![name, server, plan.to_string()])?,
        None => connection
            .prepare_cached("DELETE FROM pools WHERE name = ?1 AND server = ?2")?
            .execute(params![name, server])?,
    };
    Ok(())
}

/// The pools of `server`, with what others left that are no more. Of two with one name the later is kept.
pub(super) fn read(connection: &Connection, server: &str) -> Result<Vec<Value>, Failure> {
    connection.execute(
        "UPDATE OR REPLACE pools SET server = ?1
         WHERE server <> ?1 AND server NOT IN (SELECT id FROM servers)",
        [server],
    )?;
    super::read_all(connection, "SELECT record FROM pools WHERE server = ?1 ORDER BY name", [server])
}
