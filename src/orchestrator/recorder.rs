//! Notes every few seconds what the machine and the sessions use, while there are sessions. What is noted
//! goes straight to the store, beside the runtime; what it was last is kept for whoever asks next.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::warn;

use super::Usage;
use super::census::{Subject, Trees};
use crate::clock::{Moment, Now, Timestamp};
use crate::engine::{Ended, samples as spans};
use crate::error::Result;
use crate::id::SessionId;
use crate::limits;
use crate::model::{Resolution, Sample};
use crate::sample::{CpuMeter, Machine, MachineUsage, TreeUsage};
use crate::store::{Of, Samples};

/// What there is to note.
#[derive(Debug)]
pub(super) struct Round {
    /// When the processes were looked at.
    pub(super) now: Now,
    /// Those sessions that have a shell.
    pub(super) subjects: Vec<Subject>,
    /// What ended since the last round.
    pub(super) ended: HashMap<SessionId, Ended>,
}

#[derive(Debug)]
pub(super) struct Recorder {
    /// Between two rounds.
    every: Duration,
    directory: PathBuf,
    state: Mutex<State>,
    /// Held for as long as the disk takes, so apart from what others want to know.
    samples: Mutex<Option<Samples>>,
}

#[derive(Debug, Default)]
struct State {
    machine: Option<Machine>,
    meter: CpuMeter,
    /// The last round of which the machine's figures are known.
    latest: Option<(Moment, MachineUsage)>,
    /// The last round.
    looked_at: Option<Moment>,
}

impl Recorder {
    pub(super) fn new(directory: PathBuf, every: Duration) -> Self {
        Self { every, directory, state: Mutex::default(), samples: Mutex::default() }
    }

    /// Notes a round. Blocks for the time of a commit, and once a minute for that of a roll-up. The first
    /// one only marks where the next begins.
    pub(super) fn note(&self, round: &Round, trees: &Trees) {
        let mut state = lock(&self.state);
        let is_first = state.machine.is_none();
        if is_first {
            state.machine = Machine::new();
        }
        let now = round.now.moment;
        let machine = state.machine.as_mut().map(|machine| machine.look(now)).filter(|_| !is_first);
        state.latest = machine.map(|usage| (now, usage));
        state.looked_at = Some(now);
        let sessions: Vec<(SessionId, Usage)> = round
            .subjects
            .iter()
            .map(|of| {
                let tree = trees.get(&of.slot).map(|tree| tree.usage).unwrap_or_default();
                let usage = Usage::new(tree, &state.meter, of, now);
                state.meter.look(of.slot, tree.cpu_ms, now, of.since);
                (of.session.clone(), usage)
            })
            .collect();
        state.meter.retain(|slot| round.subjects.iter().any(|of| of.slot == slot));
        drop(state);
        let Some(machine) = machine else { return };
        let mut store = lock(&self.samples);
        if let Err(error) = self.store(&mut store, round.now.wall, &samples(round, &machine, &sessions)) {
            warn!(%error, "what the sessions use is not noted");
            // Whatever is wrong with it, the next round begins anew.
            *store = None;
        }
    }

    /// The last round is over for good, or until there are sessions again.
    pub(super) fn rest(&self) {
        *lock(&self.state) = State::default();
        *lock(&self.samples) = None;
    }

    /// The machine's figures of the last round, unless they are too old to be today's.
    pub(super) fn machine(&self, now: Moment) -> Option<MachineUsage> {
        let (at, usage) = lock(&self.state).latest?;
        (now.0.saturating_sub(at.0) < self.every * 2).then_some(usage)
    }

    /// When the last round was.
    pub(super) fn looked_at(&self) -> Option<Moment> {
        lock(&self.state).looked_at
    }

    /// What a session uses, and of a core since the last round.
    pub(super) fn usage(&self, of: &Subject, tree: TreeUsage, now: Moment) -> Usage {
        Usage::new(tree, &lock(&self.state).meter, of, now)
    }

    fn store(&self, open: &mut Option<Samples>, now: Timestamp, noted: &[Sample]) -> Result<()> {
        let samples = match open {
            Some(samples) => samples,
            none => none.insert(Samples::open(&self.directory)?),
        };
        samples.write(Resolution::Raw, noted)?;
        for (fine, coarse) in
            [(Resolution::Raw, Resolution::Minute), (Resolution::Minute, Resolution::Quarter)]
        {
            let span = coarse.span();
            // Another server that shares the store may be late by a round.
            let until = spans::begin(now.before(self.every), span);
            let rolled = samples.last(coarse)?.map(|last| last.after(span));
            let from = rolled.unwrap_or_else(|| now.before(fine.kept() + Resolution::Quarter.span()));
            if from < until {
                let rolled = spans::roll_up(samples.read(fine, from, until, &Of::Everything)?, span);
                if !rolled.is_empty() {
                    samples.write(coarse, &rolled)?;
                    samples.trim(now, Resolution::Quarter.span(), limits::SAMPLES)?;
                }
            }
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The samples of a round: the machine's, and one for each session that has a shell or had one.
fn samples(round: &Round, machine: &MachineUsage, sessions: &[(SessionId, Usage)]) -> Vec<Sample> {
    let at = round.now.wall;
    let (commands, failed) =
        round.ended.values().fold((0, 0), |sum, ended| (sum.0 + ended.commands, sum.1 + ended.failed));
    let members = u32::try_from(sessions.len()).unwrap_or(u32::MAX);
    let mut samples =
        vec![Sample { commands, failed, ..sample(None, at, machine.cpu, machine.memory(), members) }];
    for (session, usage) in sessions {
        let ended = round.ended.get(session).copied().unwrap_or_default();
        samples.push(Sample {
            commands: ended.commands,
            failed: ended.failed,
            ..of_session(session, at, usage)
        });
    }
    let gone = round.ended.iter().filter(|(session, _)| !sessions.iter().any(|(known, _)| known == *session));
    for (session, ended) in gone {
        samples.push(Sample {
            looks: 0,
            commands: ended.commands,
            failed: ended.failed,
            ..sample(Some(session), at, 0.0, 0.0, 0)
        });
    }
    samples
}

/// A single look at a session.
pub(super) fn of_session(session: &SessionId, at: Timestamp, usage: &Usage) -> Sample {
    #[expect(clippy::cast_precision_loss, reason = "megabytes")]
    let megabytes = usage.memory as f64 / f64::from(1 << 20);
    sample(Some(session), at, usage.cpu, megabytes, usage.processes)
}

/// A single look.
pub(super) fn sample(
    session: Option<&SessionId>,
    at: Timestamp,
    cpu: f64,
    memory: f64,
    members: u32,
) -> Sample {
    Sample {
        session: session.cloned(),
        at,
        looks: 1,
        cpu,
        cpu_max: cpu,
        memory,
        memory_max: memory,
        members,
        commands: 0,
        failed: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Tree;
    use crate::store::Store;

    /// Rounds five seconds apart, from a time on that begins a quarter of an hour.
    fn round(number: u64, ended: HashMap<SessionId, Ended>) -> (Round, Trees) {
        let seconds = 5 * number;
        let start = Timestamp(1_800_000_000_000);
        let now = Now {
            moment: Moment(Duration::from_secs(1_000 + seconds)),
            wall: start.after(Duration::from_secs(seconds)),
        };
        let session = SessionId::from_text("ses_a");
        let since = Moment(Duration::from_secs(1_000));
        // A quarter of a core, and ten megabytes.
        let usage = TreeUsage { cpu_ms: seconds * 250, memory_bytes: 10 << 20, processes: 2, stopped: 0 };
        let subjects = vec![Subject { session, slot: 3, since }];
        (Round { now, subjects, ended }, HashMap::from([(3, Tree { pids: vec![], usage })]))
    }

    #[test]
    fn rounds_are_stored_and_rolled_up_also_across_a_restart() {
        let directory =
            std::env::temp_dir().join(format!("shellherd-recorder-{}", uuid::Uuid::new_v4().simple()));
        drop(Store::open(&directory).unwrap());
        let mut recorder = Recorder::new(directory.clone(), Duration::from_secs(5));
        let session = SessionId::from_text("ses_a");
        let gone = SessionId::from_text("ses_b");
        for number in 0..=190 {
            if number == 100 {
                recorder = Recorder::new(directory.clone(), Duration::from_secs(5));
            }
            let ended = Ended { commands: 2, failed: 1 };
            let ended = if number == 50 { HashMap::from([(gone.clone(), ended)]) } else { HashMap::new() };
            let (round, trees) = round(number, ended);
            recorder.note(&round, &trees);
        }
        let samples = Samples::open(&directory).unwrap();
        let read = |resolution, of| samples.read(resolution, Timestamp(0), Timestamp(i64::MAX), &of).unwrap();
        let raw = read(Resolution::Raw, Of::Session(session.clone()));
        // The first rounds of both servers only mark where the next begin.
        assert_eq!(raw.len(), 189);
        assert!(
            raw.iter().all(|sample| (sample.cpu - 25.0).abs() < 0.1 && (sample.memory - 10.0).abs() < 0.1),
            "{raw:?}"
        );
        let minutes = read(Resolution::Minute, Of::Session(session.clone()));
        assert_eq!(minutes.len(), 15);
        assert!(minutes.iter().all(|sample| (11..=12).contains(&sample.looks)), "{minutes:?}");
        let quarters = read(Resolution::Quarter, Of::Session(session));
        assert_eq!(quarters.iter().map(|sample| sample.looks).collect::<Vec<_>>(), [178]);
        let machine = read(Resolution::Quarter, Of::MachineAndFailures);
        let counted: Vec<_> =
            machine.iter().map(|s| (s.session.clone(), s.looks > 0, s.commands, s.failed)).collect();
        assert_eq!(counted, [(None, true, 2, 1), (Some(gone), false, 2, 1)]);
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn between_rounds_the_last_one_is_known_for_a_while() {
        let directory =
            std::env::temp_dir().join(format!("shellherd-recorder-{}", uuid::Uuid::new_v4().simple()));
        drop(Store::open(&directory).unwrap());
        let recorder = Recorder::new(directory.clone(), Duration::from_secs(5));
        let at = |seconds: u64| Moment(Duration::from_secs(1_000 + seconds));
        for number in 0..=1 {
            let (round, trees) = round(number, HashMap::new());
            assert_eq!(recorder.machine(at(5)), None);
            recorder.note(&round, &trees);
        }
        assert!(recorder.machine(at(14)).is_some());
        assert_eq!(recorder.machine(at(15)), None);
        let (round, _) = round(0, HashMap::new());
        let tree = TreeUsage { cpu_ms: 3_250, memory_bytes: 1 << 20, processes: 1, stopped: 0 };
        let usage = recorder.usage(&round.subjects[0], tree, at(7));
        assert!((usage.cpu - 100.0).abs() < 1e-6, "{usage:?}");
        assert_eq!((usage.over, usage.memory, usage.processes), (Duration::from_secs(2), 1 << 20, 1));
        recorder.rest();
        assert_eq!(recorder.looked_at(), None);
        std::fs::remove_dir_all(directory).unwrap();
    }
}
