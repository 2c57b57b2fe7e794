//! The scheduler alone: graphs with three dependencies for each task, accepted and worked off to the
//! end by workers that are done at once. `cargo bench --bench schedule`.
//!
//! A figure is for the engine and nothing else: no store, no shell, no client. "Decision" is all that
//! the engine does for a task from one end to the next start, with its records.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark reads the clock and prints"
)]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use shellherd::clock::{Moment, Now, Timestamp};
use shellherd::engine::request::NewRun;
use shellherd::engine::{Defaults, EffectKind, Engine, Request, Step, WorkerEvent, WorkerEventKind};
use shellherd::id::{CommandId, SessionId};
use shellherd::model::{
    Condition, Dependency, Dialect, Priority, RecoverySettings, ResourceLimits, Task, TaskKind, Workplace,
};
use uuid::Uuid;

const EDGES: usize = 3;
const SLOTS: u32 = 8;

fn main() {
    println!("{:>8} {:>12} {:>14} {:>14}", "tasks", "accepted ms", "decision µs", "bytes a task");
    for tasks in [1_000, 10_000, 100_000] {
        measure(tasks);
    }
}

fn measure(count: usize) {
    let resident = resident_bytes();
    let mut bench = Bench::new();
    let new = NewRun { tasks: tasks(count), max_concurrent: Some(SLOTS), ..NewRun::default() };
    let workplace = Workplace { shell: "/bin/bash".into(), dialect: Dialect::Bash, directory: "/w".into() };
    let begin = Instant::now();
    let request = Request::Distribute { uuid: Uuid::from_u128(7), new: Box::new(new), workplace };
    bench.step(|engine, now, step| engine.request(now, request, step).map(drop).expect("a graph"));
    let accepted = begin.elapsed();
    let bytes = resident_bytes().saturating_sub(resident) / count;
    let begin = Instant::now();
    let ends = bench.work_off();
    let worked = begin.elapsed();
    assert_eq!(ends, count, "every task ran once");
    #[expect(clippy::cast_precision_loss, reason = "a few seconds of microseconds")]
    let decision = worked.as_micros() as f64 / count as f64;
    println!("{count:>8} {:>12.1} {decision:>14.2} {bytes:>14}", accepted.as_secs_f64() * 1_000.0);
}

/// Each task waits for three of the hundred before it.
fn tasks(count: usize) -> Vec<Task> {
    let name = |number: usize| format!("task-{number}");
    let one = |number: usize| {
        let before = (0..EDGES).map(|edge| number.checked_sub(1 + (number * 31 + edge * 37) % 100));
        Task {
            id: name(number),
            kind: TaskKind::Command,
            text: format!("build {number}"),
            directory: None,
            env: std::collections::BTreeMap::new(),
            stdin: None,
            priority: Priority::Normal,
            dependencies: before
                .flatten()
                .map(|number| Dependency { id: name(number), condition: Condition::Success })
                .collect(),
            timeout_ms: 60_000,
            retries: None,
            requirements: Vec::new(),
            session: None,
            weight: 1,
            ok_exit_codes: Some(vec![0]),
            limits: ResourceLimits::default(),
            metadata: None,
        }
    };
    (0..count).map(one).collect()
}

/// An engine, and workers that do at once what they are told.
struct Bench {
    engine: Engine,
    clock: Duration,
    starting: VecDeque<SessionId>,
    running: VecDeque<(SessionId, CommandId)>,
}

impl Bench {
    fn new() -> Self {
        let defaults = Defaults {
            command_timeout: Duration::from_secs(60),
            idle_timeout: None,
            output_bytes: 1,
            max_concurrent: SLOTS,
            attended: false,
            recovery: RecoverySettings::DEFAULT,
            cleanup_after: None,
        };
        Self {
            engine: Engine::new(defaults),
            clock: Duration::from_secs(1),
            starting: VecDeque::new(),
            running: VecDeque::new(),
        }
    }

    fn step(&mut self, turn: impl FnOnce(&mut Engine, Now, &mut Step)) {
        self.clock += Duration::from_micros(10);
        let wall = i64::try_from(self.clock.as_millis()).expect("a short run");
        let now = Now { moment: Moment(self.clock), wall: Timestamp(wall) };
        let mut step = Step::default();
        turn(&mut self.engine, now, &mut step);
        self.engine.elapse(now, &mut step);
        std::hint::black_box(self.engine.records(&step));
        for effect in step.effects {
            match effect.kind {
                EffectKind::Spawn(_) => self.starting.push_back(effect.session),
                EffectKind::Run(run) => self.running.push_back((effect.session, run.command.id)),
                EffectKind::Interrupt
                | EffectKind::Kill
                | EffectKind::Terminate
                | EffectKind::Resume
                | EffectKind::EndOffenders { .. }
                | EffectKind::Bound(_)
                | EffectKind::Resize(_)
                | EffectKind::WatchPrompts(_)
                | EffectKind::Answer { .. }
                | EffectKind::Close { .. }
                | EffectKind::Forget
                | EffectKind::Remove => {}
            }
        }
    }

    fn event(&mut self, session: SessionId, kind: WorkerEventKind) {
        let event = WorkerEvent { session, generation: 1, cursor: 0, kind };
        self.step(|engine, now, step| engine.event(now, event, step));
    }

    /// Ends one command after the other until there is none; returns how many.
    fn work_off(&mut self) -> usize {
        let mut ends = 0;
        loop {
            if let Some(session) = self.starting.pop_front() {
                self.event(session.clone(), WorkerEventKind::Started { pid: 1 });
                self.event(session, WorkerEventKind::Prompt { directory: None });
            } else if let Some((session, command)) = self.running.pop_front() {
                ends += 1;
                let (status, from, duration_us) = (0, 0, 1_000);
                self.event(
                    session,
                    WorkerEventKind::Ended { command, status, from, duration_us, directory: None },
                );
            } else {
                return ends;
            }
        }
    }
}

/// Memory of this process, from the kernel: what an allocator holds back is counted.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = statm.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * 4096
}
