//! What the machine and the sessions used over time. It comes every few seconds for a hundred sessions at
//! once, and is looked through in thousands of rows, so it has a connection of its own, for a thread beside
//! the runtime. It keeps the resolutions apart, and does not know how one is made of another.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, params};

use super::{Failure, Transaction, count, schema};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorCode, Result};
use crate::id::SessionId;
use crate::model::{Resolution, Sample};

/// The samples of a store that somebody has opened.
#[derive(Debug)]
pub struct Samples {
    connection: Connection,
}

/// Samples of which sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Of {
    /// Only the machine's.
    Machine,
    /// The machine's, and those of sessions in which commands failed.
    MachineAndFailures,
    /// Only this session's.
    Session(SessionId),
    /// All.
    Everything,
}

impl Samples {
    /// The samples in the store in `directory`, which must have been opened before.
    pub fn open(directory: &Path) -> Result<Self> {
        let open = || -> std::result::Result<Connection, Failure> {
            let mut connection = Connection::open(directory.join("shellherd.db"))?;
            schema::share(&mut connection)?;
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            connection.pragma_update(None, "wal_autocheckpoint", schema::CHECKPOINT_PAGES)?;
            // What is written is at the end of the table, and what is read is read once.
            connection.pragma_update(None, "cache_size", -256)?;
            Ok(connection)
        };
        open().map(|connection| Self { connection }).map_err(failed("open"))
    }

    /// Adds samples; those of the same time and session are replaced.
    pub fn write(&mut self, resolution: Resolution, samples: &[Sample]) -> Result<()> {
        self.try_write(resolution, samples).map_err(failed("write"))
    }

    fn try_write(&mut self, resolution: Resolution, samples: &[Sample]) -> std::result::Result<(), Failure> {
        let transaction = Transaction::begin(&self.connection)?;
        let mut statement = self.connection.prepare_cached(
            "INSERT OR REPLACE INTO samples (resolution, at, session, looks, cpu, cpu_max, memory, memory_max,
             members, commands, failed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?;
        for sample in samples {
            statement.execute(params![
                number(resolution),
                sample.at.0,
                sample.session.as_ref().map_or("", SessionId::as_str),
                sample.looks,
                hundredths(sample.cpu),
                hundredths(sample.cpu_max),
                hundredths(sample.memory),
                hundredths(sample.memory_max),
                sample.members,
                sample.commands,
                sample.failed
            ])?;
        }
        drop(statement);
        transaction.commit()?;
        Ok(())
    }

    /// The samples from `from` on and before `to`, in the order of time.
    pub fn read(
        &self,
        resolution: Resolution,
        from: Timestamp,
        to: Timestamp,
        of: &Of,
    ) -> Result<Vec<Sample>> {
        self.try_read(resolution, from, to, of).map_err(failed("read"))
    }

    fn try_read(
        &self,
        resolution: Resolution,
        from: Timestamp,
        to: Timestamp,
        of: &Of,
    ) -> std::result::Result<Vec<Sample>, Failure> {
        let (wanted, session) = match of {
            Of::Machine => ("session = ?4", ""),
            Of::MachineAndFailures => ("(session = ?4 OR failed > 0)", ""),
            Of::Session(session) => ("session = ?4", session.as_str()),
            Of::Everything => ("session >= ?4", ""),
        };
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT session, at, looks, cpu, cpu_max, memory, memory_max, members, commands, failed FROM samples
             WHERE resolution = ?1 AND at >= ?2 AND at < ?3 AND {wanted} ORDER BY at"
        ))?;
        let rows = statement.query_map(params![number(resolution), from.0, to.0, session], |row| {
            let session: String = row.get(0)?;
            Ok(Sample {
                session: (!session.is_empty()).then(|| SessionId::from_text(session)),
                at: Timestamp(row.get(1)?),
                looks: row.get(2)?,
                cpu: whole(row.get(3)?),
                cpu_max: whole(row.get(4)?),
                memory: whole(row.get(5)?),
                memory_max: whole(row.get(6)?),
                members: row.get(7)?,
                commands: row.get(8)?,
                failed: row.get(9)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// When the latest sample begins.
    pub fn last(&self, resolution: Resolution) -> Result<Option<Timestamp>> {
        self.connection
            .prepare_cached("SELECT max(at) FROM samples WHERE resolution = ?1")
            .and_then(|mut statement| statement.query_row([number(resolution)], |row| row.get(0)))
            .map(|at: Option<i64>| at.map(Timestamp))
            .map_err(|error| failed("read")(error.into()))
    }

    /// Drops what is older than its resolution is kept for, or beyond `most` of one. `spare` is left for
    /// coarser samples to be made of it.
    pub fn trim(&mut self, now: Timestamp, spare: Duration, most: usize) -> Result<()> {
        let trim = || -> std::result::Result<(), Failure> {
            for resolution in Resolution::ALL {
                let kept = now.before(resolution.kept() + spare);
                self.connection
                    .prepare_cached("DELETE FROM samples WHERE resolution = ?1 AND at < ?2")?
                    .execute(params![number(resolution), kept.0])?;
                self.connection
                    .prepare_cached(
                        "DELETE FROM samples WHERE resolution = ?1 AND at <= (SELECT at FROM samples
                         WHERE resolution = ?1 ORDER BY at DESC LIMIT 1 OFFSET ?2)",
                    )?
                    .execute(params![number(resolution), count(most)])?;
            }
            Ok(())
        };
        trim().map_err(failed("trim"))
    }
}

fn failed(what: &'static str) -> impl Fn(Failure) -> Error {
    move |error| {
        Error::new(ErrorCode::StorageFailed, format!("cannot {what} the samples of the load: {error}"))
    }
}

/// A resolution as the store has it, for good.
fn number(resolution: Resolution) -> i64 {
    match resolution {
        Resolution::Raw => 0,
        Resolution::Minute => 1,
        Resolution::Quarter => 2,
    }
}

/// A hundredth of a percent, or of a megabyte, is exact enough, and a small integer takes a byte or two.
#[expect(clippy::cast_possible_truncation, reason = "percents and megabytes")]
fn hundredths(figure: f64) -> i64 {
    (figure * 100.0).round() as i64
}

#[expect(clippy::cast_precision_loss, reason = "percents and megabytes")]
fn whole(hundredths: i64) -> f64 {
    hundredths as f64 / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;
    use crate::store::Store;

    fn sample(at: i64, session: Option<&str>) -> Sample {
        Sample {
            session: session.map(SessionId::from_text),
            at: Timestamp(at),
            looks: 1,
            cpu: 12.34,
            cpu_max: 99.99,
            memory: 0.25,
            memory_max: 1_000.0,
            members: 3,
            commands: 2,
            failed: u32::from(session == Some("ses_b")),
        }
    }

    fn scratch() -> std::path::PathBuf {
        std::env::temp_dir().join(format!("shellherd-samples-{}", uuid::Uuid::new_v4().simple()))
    }

    #[test]
    fn samples_come_back_as_they_were_and_survive_a_restart() {
        let directory = scratch();
        drop(Store::open(&directory).unwrap());
        let all = [sample(1_000, None), sample(1_000, Some("ses_a")), sample(2_000, Some("ses_b"))];
        let mut samples = Samples::open(&directory).unwrap();
        assert_eq!(samples.last(Resolution::Raw).unwrap(), None);
        samples.write(Resolution::Raw, &all).unwrap();
        samples.write(Resolution::Raw, &all).unwrap();
        drop(samples);
        drop(Store::open(&directory).unwrap());
        let samples = Samples::open(&directory).unwrap();
        let read = |from, to, of| samples.read(Resolution::Raw, Timestamp(from), Timestamp(to), &of).unwrap();
        assert_eq!(read(0, 9_000, Of::Everything), all);
        assert_eq!(read(0, 9_000, Of::Machine), all[..1]);
        assert_eq!(read(0, 9_000, Of::MachineAndFailures), [all[0].clone(), all[2].clone()]);
        assert_eq!(read(0, 9_000, Of::Session(SessionId::from_text("ses_a"))), all[1..2]);
        assert_eq!(read(1_001, 2_000, Of::Everything), []);
        assert_eq!(samples.last(Resolution::Raw).unwrap(), Some(Timestamp(2_000)));
        assert_eq!(samples.last(Resolution::Minute).unwrap(), None);
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn what_is_too_old_or_too_much_is_dropped() {
        let directory = scratch();
        drop(Store::open(&directory).unwrap());
        let mut samples = Samples::open(&directory).unwrap();
        let hour = 3_600_000;
        let times = [0, hour, hour + 1, hour + 2, hour + 3];
        for resolution in Resolution::ALL {
            samples.write(resolution, &times.map(|at| sample(at, None))).unwrap();
        }
        let left = |samples: &Samples, resolution| {
            let all = samples.read(resolution, Timestamp(0), Timestamp(i64::MAX), &Of::Everything).unwrap();
            all.len()
        };
        samples.trim(Timestamp(hour + 10), Duration::from_millis(5), limits::SAMPLES).unwrap();
        assert_eq!(Resolution::ALL.map(|resolution| left(&samples, resolution)), [4, 5, 5]);
        samples.trim(Timestamp(hour + 10), Duration::from_millis(5), 3).unwrap();
        assert_eq!(Resolution::ALL.map(|resolution| left(&samples, resolution)), [3, 3, 3]);
        std::fs::remove_dir_all(directory).unwrap();
    }
}
