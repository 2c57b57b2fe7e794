//! Runs, their tasks, and how long work takes. The tasks of a run are written once, as a whole; how far
//! each has come, on every change.

use rusqlite::{Connection, params};

use super::{Failure, count, parse};
use crate::limits;
use crate::model::{Record, Run, Task, TaskState};

/// A run as the store has it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRun {
    /// The record.
    pub run: Run,
    /// Its tasks; the position of each is its number.
    pub tasks: Vec<Task>,
    /// How far tasks have come, each with its number. The others have not begun.
    pub states: Vec<(u32, TaskState)>,
}

/// Ended runs that the store keeps.
const ENDED_RUNS: usize = 2_000;
/// Tasks of ended runs that are read when a store is opened: more would delay the first call.
const RESTORED_TASKS: i64 = 20_000;

/// Writes a record of a run; `server` is who works it off.
pub(super) fn write(connection: &Connection, server: &str, record: &Record) -> Result<(), Failure> {
    match record {
        Record::Run(run) => connection
            .prepare_cached(
                "INSERT INTO runs (id, server, live, created_at, record) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (id) DO UPDATE SET server = ?2, live = ?3, record = ?5",
            )?
            .execute(params![
                run.id.as_str(),
                server,
                run.ended_at.is_none(),
                run.created_at.0,
                serde_json::to_string(run)?
            ])?,
        Record::Graph { run, tasks } => connection
            .prepare_cached("UPDATE runs SET graph = ?2, tasks = ?3 WHERE id = ?1")?
            .execute(params![run.as_str(), serde_json::to_string(tasks.as_ref())?, count(tasks.len())])?,
        Record::Task { run, numbers, state } => {
            let (first, last) = (numbers.start(), numbers.end());
            if first < last {
                connection
                    .prepare_cached("DELETE FROM tasks WHERE run = ?1 AND number BETWEEN ?2 AND ?3")?
                    .execute(params![run.as_str(), first, last])?;
            }
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO tasks (run, number, last, state) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![run.as_str(), first, last, serde_json::to_string(state)?])?
        }
        Record::Estimate { work, mean_us } => connection
            .prepare_cached("INSERT OR REPLACE INTO estimates (work, mean_us) VALUES (?1, ?2)")?
            .execute(params![work.cast_signed(), mean_us.cast_signed()])?,
        Record::Session(_)
        | Record::Removed(_)
        | Record::Command(_)
        | Record::Event(_)
        | Record::Agent(_)
        | Record::AgentGone(_)
        | Record::Message(..)
        | Record::Received(..)
        | Record::Pool { .. }
        | Record::PoolGone(_) => 0,
    };
    Ok(())
}

/// The runs of `server` that are not over, and the latest of those that are; oldest first.
pub(super) fn read(connection: &Connection, server: &str) -> Result<Vec<StoredRun>, Failure> {
    let mut statement = connection.prepare(
        "SELECT id, record, graph FROM (
             SELECT *, sum(CASE live WHEN 0 THEN tasks ELSE 0 END) OVER (ORDER BY created_at DESC, id) AS read
             FROM runs WHERE live = 0 OR server = ?1)
         WHERE graph IS NOT NULL AND (live = 1 OR read <= ?2)
         ORDER BY live DESC, created_at DESC, id LIMIT ?3",
    )?;
    let most = count(limits::RUNS + limits::ENDED_RUNS);
    let rows = statement.query_map(params![server, RESTORED_TASKS, most], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
    })?;
    let mut states = connection
        .prepare("SELECT number, coalesce(last, number), state FROM tasks WHERE run = ?1 ORDER BY number")?;
    let mut runs = Vec::new();
    for row in rows {
        let (id, record, graph) = row?;
        let mut of_run = states.query([&id])?;
        let mut states = Vec::new();
        while let Some(row) = of_run.next()? {
            let (first, last): (u32, u32) = (row.get(0)?, row.get(1)?);
            let state: TaskState = parse(&row.get::<_, String>(2)?)?;
            states.extend((first..=last).map(|number| (number, state.clone())));
        }
        runs.push(StoredRun { run: parse(&record)?, tasks: parse(&graph)?, states });
    }
    runs.sort_by_key(|stored| stored.run.created_at);
    Ok(runs)
}

/// What is known of how long work takes, in microseconds.
pub(super) fn estimates(connection: &Connection) -> Result<Vec<(u64, u64)>, Failure> {
    let mut statement =
        connection.prepare("SELECT work, mean_us FROM estimates ORDER BY rowid DESC LIMIT ?1")?;
    let rows = statement.query_map([count(limits::ESTIMATES)], |row| {
        Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, i64>(1)?.cast_unsigned()))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Drops the oldest ended runs and estimates beyond their bounds.
pub(super) fn trim(connection: &Connection) -> Result<(), Failure> {
    connection.execute(
        "DELETE FROM runs WHERE id IN (
             SELECT id FROM runs WHERE live = 0 ORDER BY created_at DESC, id LIMIT -1 OFFSET ?1)",
        [count(ENDED_RUNS)],
    )?;
    connection.execute("DELETE FROM tasks WHERE run NOT IN (SELECT id FROM runs)", [])?;
    connection.execute(
        "DELETE FROM estimates WHERE rowid <= (SELECT max(rowid) FROM estimates) - ?1",
        [count(limits::ESTIMATES)],
    )?;
    Ok(())
}
