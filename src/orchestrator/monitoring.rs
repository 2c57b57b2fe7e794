//! What the machine and the sessions use: now, over a span, and in the past; and the defaults that follow
//! from it.

use std::collections::HashMap;
use std::time::Duration;

use tokio::task::spawn_blocking;

use super::dispatcher::{Ground, Read};
use super::recorder::{of_session, sample};
use super::{Orchestrator, Usage};
use crate::clock::{self, Timestamp};
pub use crate::engine::samples::Summary;
use crate::engine::samples::{roll_up, sources, step, summary};
pub use crate::engine::{Analysis, Defaults, Ended, Tuning};
use crate::error::{Error, ErrorCode, Result};
use crate::id::SessionId;
use crate::limits;
use crate::model::{Sample, Session};
use crate::sample::{self as sampling, CpuMeter, Machine};
pub use crate::sample::{MachineUsage, Network, Space, TreeUsage};
use crate::store::{Of, Samples};

/// What is used at a moment, or was over a span that ended then.
#[derive(Clone, Debug)]
pub struct Measurement {
    /// When.
    pub at: Timestamp,
    /// None where the system tells nothing.
    pub machine: Option<MachineUsage>,
    /// The filesystem of the root directory, and that of the state directory.
    pub space: (Option<Space>, Option<Space>),
    /// What each session that has a shell uses.
    pub sessions: HashMap<SessionId, Usage>,
    /// Milliseconds that each takes to begin a command.
    pub responses: HashMap<SessionId, f64>,
    /// What ended in each within the span.
    pub ended: HashMap<SessionId, Ended>,
    /// The span over which commands were counted.
    pub span: Duration,
    /// Percent of the tokens that condensing saved, of each session whose output was condensed.
    pub savings: HashMap<SessionId, f64>,
    /// What the server's own process uses.
    pub server: TreeUsage,
}

/// Commands are counted over this span unless another is measured.
const COUNTED: Duration = Duration::from_secs(60);

/// Which past is asked for.
#[derive(Clone, Debug)]
pub struct Past {
    /// Only this session's.
    pub session: Option<String>,
    /// How far back.
    pub duration: Duration,
    /// In steps of this length, unless it must be longer.
    pub resolution: Duration,
    /// The most steps.
    pub most: usize,
}

/// What was used.
#[derive(Clone, Debug)]
pub struct History {
    /// The length of a step.
    pub step: Duration,
    /// One for each step in which anything was looked at, the latest with a look of now.
    pub points: Vec<Sample>,
    /// For each step the sessions in which commands failed.
    pub failures: Vec<Sample>,
    /// None without any look.
    pub summary: Option<Summary>,
}

/// What tuning came to.
#[derive(Clone, Debug)]
pub struct Tuned {
    /// The defaults as they were.
    pub previous: Defaults,
    /// As they are.
    pub now: Defaults,
    /// What the load says of them.
    pub analysis: Analysis,
    /// Why they were changed, or not.
    pub reasons: Vec<String>,
}

impl Orchestrator {
    /// What is used over a span that begins now; without one, since it was last noted, which takes no time
    /// while there are sessions.
    pub async fn measure(&self, span: Option<Duration>) -> Result<Measurement> {
        let (ground, ..) = self.ground(clock::now().wall).await?;
        let Ground { census, recorder, .. } = ground;
        let begun = clock::now();
        let noted = recorder.machine(begun.moment).filter(|_| span.is_none());
        // Shortly after a round, or without one, there is nothing to compare with yet.
        let least = match recorder.looked_at() {
            Some(at) if noted.is_some() => {
                limits::MEASURE_LEAST.saturating_sub(begun.moment.0.saturating_sub(at.0))
            }
            Some(_) | None => limits::MEASURE_LEAST,
        };
        let mut meter = None;
        let mut machine = None;
        if noted.is_none() {
            let looked = spawn_blocking(move || {
                let mut machine = Machine::new()?;
                machine.look(begun.moment);
                Some(machine)
            });
            machine = looked.await.map_err(|error| broken(&error))?;
        }
        if let (Some(census), Some(_)) = (&census, span) {
            let trees = census.trees().await;
            let now = clock::now().moment;
            let mut first = CpuMeter::default();
            for (slot, tree) in trees.iter() {
                first.begin(*slot, tree.usage.cpu_ms, now);
            }
            meter = Some(first);
        }
        tokio::time::sleep(span.unwrap_or(least)).await;
        let counted = span.unwrap_or(COUNTED);
        let (ground, responses, ended) = self.ground(clock::now().wall.before(counted)).await?;
        let trees = match &ground.census {
            Some(census) => census.trees().await,
            None => std::sync::Arc::default(),
        };
        let now = clock::now();
        let sessions = ground.subjects.iter().map(|of| {
            let tree = trees.get(&of.slot).map(|tree| tree.usage).unwrap_or_default();
            let usage = match &meter {
                Some(meter) => Usage::new(tree, meter, of, now.moment),
                None => recorder.usage(of, tree, now.moment),
            };
            (of.session.clone(), usage)
        });
        let sessions = sessions.collect();
        let state_dir = self.inner.settings.state_dir.clone();
        // A filesystem may take its time to answer.
        let looked = spawn_blocking(move || {
            let machine = noted.or_else(|| machine.as_mut().map(|machine| machine.look(now.moment)));
            let space = (sampling::space("/".as_ref()), sampling::space(&state_dir));
            (machine, space, sampling::tree(&[std::process::id()]))
        });
        let (machine, space, server) = looked.await.map_err(|error| broken(&error))?;
        Ok(Measurement {
            at: now.wall,
            machine,
            space,
            sessions,
            responses,
            ended,
            span: counted,
            savings: ground.savings,
            server,
        })
    }

    /// What was used, up to now.
    pub async fn history(&self, past: &Past) -> Result<History> {
        let session = match &past.session {
            Some(selector) => Some(self.session(selector).await?),
            None => None,
        };
        let measured = self.measure(None).await?;
        let now = measured.at;
        let current = current(&measured, session.as_ref());
        let of = session.map_or(Of::MachineAndFailures, |session| Of::Session(session.id));
        let step = step(past.duration, past.resolution, past.most);
        let from = now.before(past.duration);
        let directory = self.inner.settings.state_dir.clone();
        let read = spawn_blocking(move || -> Result<Vec<Sample>> {
            let store = Samples::open(&directory)?;
            let mut found: Vec<Sample> = Vec::new();
            let mut from = from;
            for source in sources(step) {
                found.extend(store.read(source, from, now, &of)?);
                // A coarser sample tells of all its span.
                from = found.last().map_or(from, |last| from.max(last.at.after(source.span())));
            }
            Ok(found)
        });
        let mut found = read.await.map_err(|error| broken(&error))??;
        found.extend(current);
        let (points, failures) = roll_up(found, step)
            .into_iter()
            .partition::<Vec<_>, _>(|sample| sample.session.is_none() == past.session.is_none());
        let failures = if past.session.is_some() { points.clone() } else { failures };
        let points: Vec<Sample> = points.into_iter().filter(|sample| sample.looks > 0).collect();
        let failures = failures.into_iter().filter(|sample| sample.failed > 0).collect();
        Ok(History { step, summary: summary(&points), points, failures })
    }

    /// Changes defaults as given, and with `auto` what is not given by what the load of late says.
    pub async fn tune(&self, given: Tuning, auto: bool) -> Result<Tuned> {
        let past = Past {
            session: None,
            duration: limits::OF_LATE,
            resolution: Duration::from_secs(60),
            most: limits::HISTORY_POINTS,
        };
        let history = self.history(&past).await?;
        let looks = history.points.iter().map(|point| point.looks).sum();
        let since = clock::now().wall.before(limits::OF_LATE);
        let timeouts = self.read(|reply| Read::Timeouts(since, reply)).await?;
        let analysis = Analysis::new(history.summary.as_ref(), looks, timeouts);
        let mut tuning = given;
        let mut reasons = Vec::new();
        if auto {
            let (_, defaults) = self.read(|reply| Read::Tune(Tuning::default(), reply)).await??;
            let (advised, why) = analysis.advice(&defaults, &given, cores());
            tuning.max_concurrent = tuning.max_concurrent.or(advised.max_concurrent);
            tuning.command_timeout = tuning.command_timeout.or(advised.command_timeout);
            reasons = why;
        }
        let (previous, now) = self.read(|reply| Read::Tune(tuning, reply)).await??;
        Ok(Tuned { previous, now, analysis, reasons })
    }

    async fn ground(
        &self,
        since: Timestamp,
    ) -> Result<(Ground, HashMap<SessionId, f64>, HashMap<SessionId, Ended>)> {
        self.read(|reply| Read::Ground(since, reply)).await
    }
}

/// The processors that this process may use.
pub fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX))
}

/// The look of now as a sample. An ended session has none.
fn current(measured: &Measurement, session: Option<&Session>) -> Option<Sample> {
    if let Some(session) = session {
        return measured.sessions.get(&session.id).map(|usage| of_session(&session.id, measured.at, usage));
    }
    let machine = measured.machine?;
    let members = u32::try_from(measured.sessions.len()).unwrap_or(u32::MAX);
    Some(sample(None, measured.at, machine.cpu, machine.memory(), members))
}

fn broken(error: &tokio::task::JoinError) -> Error {
    Error::new(ErrorCode::Internal, format!("the load could not be looked at: {error}"))
}
