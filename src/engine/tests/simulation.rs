//! Runs in a world of chance: shells that start late or never, tasks that fail, sessions that die, callers
//! who cancel, hold and narrow runs, and servers that crash. After every step the rules are checked.

use std::collections::{BTreeMap, HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::engine::request::{CancelMode, NewRun, RunChange, TaskQuery};
use crate::engine::schedule::mix;
use crate::engine::{RestoredRun, Spawn};
use crate::id::RunId;
use crate::model::{
    Condition, Dependency, OnFailure, Priority, Run, Strategy as Order, Task, TaskReason, TaskRetries,
    TaskState, TaskStatus, Workplace, fixtures,
};

/// Steps before the world turns friendly, so that everything comes to its end.
const STEPS: usize = 150;
/// Steps within which everything must be over then.
const ENDING: usize = 4_000;

/// What the store holds.
#[derive(Clone, Default)]
struct Stored {
    sessions: BTreeMap<SessionId, Session>,
    commands: BTreeMap<CommandId, Command>,
    runs: BTreeMap<RunId, RestoredRun>,
}

/// A shell as its worker sees it.
#[derive(Clone, Debug)]
struct Shell {
    generation: u32,
    is_ready: bool,
    running: Option<CommandId>,
    /// The exit code that a signal made of the running command's end.
    doomed: Option<i32>,
    is_closing: bool,
}

struct World {
    chance: u64,
    engine: Engine,
    clock: Duration,
    stored: Stored,
    shells: BTreeMap<SessionId, Shell>,
    uuids: u128,
    /// Tasks that a caller was told are cancelled.
    cancelled: HashSet<(RunId, String)>,
    trace: Vec<String>,
    /// Whether shells and tasks do as they should from now on.
    is_friendly: bool,
}

fn engine() -> Engine {
    Engine::new(Defaults { command_timeout: COMMAND_TIMEOUT, output_bytes: 1 << 20, max_concurrent: 4 })
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            chance: seed,
            engine: engine(),
            clock: Duration::from_secs(100),
            stored: Stored::default(),
            shells: BTreeMap::new(),
            uuids: u128::from(seed) << 64,
            cancelled: HashSet::new(),
            trace: Vec::new(),
            is_friendly: false,
        }
    }

    /// A number below `bound`.
    fn draw(&mut self, bound: u64) -> u64 {
        self.chance = mix(self.chance);
        self.chance % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.draw(bound) == 0
    }

    fn now(&self) -> Now {
        let wall = 1_700_000_000_000 + i64::try_from(self.clock.as_millis()).expect("a short test");
        Now { moment: Moment(self.clock), wall: Timestamp(wall) }
    }

    fn uuid(&mut self) -> Uuid {
        self.uuids += 1;
        Uuid::from_u128(self.uuids.wrapping_mul(SPREAD))
    }

    /// Gives the engine one batch of inputs, commits, and carries out.
    fn input(&mut self, feed: impl FnOnce(&mut Engine, Now, &mut Step)) {
        let now = self.now();
        let mut step = Step::default();
        feed(&mut self.engine, now, &mut step);
        self.engine.elapse(now, &mut step);
        self.finish(step);
    }

    fn finish(&mut self, mut step: Step) {
        for record in self.engine.records(&step) {
            self.trace.push(format!("{record:?}"));
            self.commit(record);
        }
        for effect in std::mem::take(&mut step.effects) {
            self.trace.push(format!("{effect:?}"));
            self.carry_out(effect);
        }
        self.check();
    }

    fn commit(&mut self, record: Record) {
        match record {
            Record::Session(session) => {
                self.stored.sessions.insert(session.id.clone(), *session);
            }
            Record::Command(command) => {
                self.stored.commands.insert(command.id.clone(), *command);
            }
            Record::Run(run) => {
                let new = RestoredRun { run: (*run).clone(), tasks: Vec::new(), states: Vec::new() };
                let id = run.id.clone();
                self.stored.runs.entry(id).or_insert(new).run = *run;
            }
            Record::Graph { run, tasks } => {
                self.stored.runs.get_mut(&run).expect("the run first").tasks = tasks.to_vec();
            }
            Record::Task { run, number, state } => {
                let stored = self.stored.runs.get_mut(&run).expect("a known run");
                let before = stored.states.iter().position(|(known, _)| *known == number);
                match before {
                    Some(at) => {
                        let status = stored.states[at].1.status;
                        assert!(!status.is_terminal(), "{run} {number} was over and became {state:?}");
                        stored.states[at].1 = *state;
                    }
                    None => stored.states.push((number, *state)),
                }
            }
            Record::Event(_) | Record::Estimate { .. } => {}
        }
    }

    fn carry_out(&mut self, Effect { session, kind }: Effect) {
        match kind {
            EffectKind::Spawn(spawn) => {
                let Spawn { generation, .. } = *spawn;
                let shell =
                    Shell { generation, is_ready: false, running: None, doomed: None, is_closing: false };
                self.shells.insert(session, shell);
            }
            EffectKind::Run(run) => {
                self.check_start(&run.command);
                let shell = self.shells.get_mut(&session).expect("a shell");
                assert_eq!(shell.running, None, "two commands at once in {session}");
                assert!(shell.is_ready, "{session} is not at its prompt");
                shell.running = Some(run.command.id);
                shell.doomed = None;
            }
            EffectKind::Interrupt | EffectKind::Kill => {
                let code = if kind == EffectKind::Kill { 137 } else { 130 };
                if let Some(shell) = self.shells.get_mut(&session) {
                    shell.doomed = Some(code);
                }
            }
            EffectKind::Close { .. } => {
                if let Some(shell) = self.shells.get_mut(&session) {
                    shell.is_closing = true;
                }
            }
            EffectKind::Resize(_) | EffectKind::Forget => {}
        }
    }

    /// The task whose attempt a command is.
    fn task_of(&self, command: &CommandId) -> Option<(&RunId, &Task, &TaskState)> {
        self.stored.runs.values().find_map(|stored| {
            let (number, state) =
                stored.states.iter().find(|(_, state)| state.command.as_ref() == Some(command))?;
            Some((&stored.run.id, &stored.tasks[*number as usize], state))
        })
    }

    /// A task may start only when all that it waits for is as it should be, and there is room.
    fn check_start(&self, command: &Command) {
        let Some((run, task, state)) = self.task_of(&command.id) else { return };
        assert_eq!(state.status, TaskStatus::Running, "{} starts and is not running", task.id);
        assert!(!self.cancelled.contains(&(run.clone(), task.id.clone())), "{} was cancelled", task.id);
        let stored = &self.stored.runs[run];
        assert!(!stored.run.paused, "{} starts in a run that is held", task.id);
        for before in &task.dependencies {
            let met = met(before, stored);
            assert_eq!(met, Some(true), "{} starts before {} is as it should be", task.id, before.id);
        }
        let most = stored.run.max_concurrent;
        let taken: u32 = running(stored).map(|(task, _)| task.weight).sum();
        let alone = running(stored).count() == 1;
        assert!(taken <= most || alone, "{taken} of {most} slots taken in {run}");
        assert!(state.attempt <= task.retries.map_or(0, |retries| retries.max) + 1);
    }

    fn check(&self) {
        let mut used: HashMap<&SessionId, &str> = HashMap::new();
        for stored in self.stored.runs.values() {
            for (task, state) in running(stored) {
                let session = state.session.as_ref().expect("where it runs");
                let other = used.insert(session, &task.id);
                assert_eq!(other, None, "{} and another run in {session}", task.id);
                let command = state.command.as_ref().expect("what it runs");
                assert!(!self.stored.commands[command].is_ended(), "{} has no attempt", task.id);
            }
            check_skips(stored);
            let entry = self.engine.run_view(stored.run.id.as_str()).expect("a known run");
            assert_eq!(entry.counts.total(), stored.tasks.len());
            let over = stored.states.iter().filter(|(_, state)| state.status.is_terminal()).count();
            assert_eq!(entry.counts.over(), over);
            assert_eq!(stored.run.ended_at.is_some(), over == stored.tasks.len(), "{}", stored.run.id);
        }
        let idle = self.engine.startable();
        assert_eq!(idle, None, "a task is ready and a session is free");
    }

    /// Something happens.
    fn step(&mut self) {
        match self.draw(24) {
            0 => self.distribute(),
            1 => self.cancel(),
            2 => self.control(),
            3 => self.retry(),
            4 if self.one_in(3) => self.crash(),
            5..8 => self.pass_time(),
            _ => self.shell_acts(),
        }
    }

    fn pass_time(&mut self) {
        let next = self.engine.next_deadline().map(|due| due.0);
        self.clock = match next {
            Some(due) if self.one_in(2) => self.clock.max(due),
            _ => self.clock + Duration::from_millis(self.draw(20_000)),
        };
        self.input(|_, _, _| {});
    }

    /// One of the shells does what it would do next.
    fn shell_acts(&mut self) {
        let acting: Vec<SessionId> = self
            .shells
            .iter()
            .filter(|(_, shell)| !shell.is_ready || shell.running.is_some() || shell.is_closing)
            .map(|(id, _)| id.clone())
            .collect();
        if acting.is_empty() {
            return self.pass_time();
        }
        let count = acting.len() as u64;
        let id = acting[usize::try_from(self.draw(count)).expect("small")].clone();
        let shell = self.shells[&id].clone();
        let dies = !self.is_friendly && self.one_in(30);
        if shell.is_closing || dies {
            self.shells.remove(&id);
            let exit = if dies { Exit::Signal(9) } else { Exit::Code(0) };
            self.tell(&id, shell.generation, WorkerEventKind::Gone { exit, forced: false });
        } else if !shell.is_ready {
            self.shells.get_mut(&id).expect("it is there").is_ready = true;
            self.tell(&id, shell.generation, WorkerEventKind::Prompt { directory: None });
        } else if let Some(command) = shell.running {
            self.shells.get_mut(&id).expect("it is there").running = None;
            let fails = !self.is_friendly && self.one_in(4);
            let status = shell.doomed.unwrap_or(i32::from(fails));
            let ended =
                WorkerEventKind::Ended { command, status, from: 0, duration_us: 1_000, directory: None };
            self.tell(&id, shell.generation, ended);
        }
    }

    fn tell(&mut self, session: &SessionId, generation: u32, kind: WorkerEventKind) {
        let event = WorkerEvent { session: session.clone(), generation, cursor: 0, kind };
        self.input(|engine, now, step| engine.event(now, event, step));
    }

    fn distribute(&mut self) {
        let count = 1 + self.draw(20);
        let name = self.uuids;
        let mut tasks = Vec::new();
        for number in 0..count {
            let mut task = fixtures::task(&format!("r{name}-{number}"));
            for before in 0..number {
                if self.draw(count) < 2 {
                    let condition = match self.draw(8) {
                        0 => Condition::Failure,
                        1 => Condition::Always,
                        _ => Condition::Success,
                    };
                    task.dependencies.push(Dependency { id: format!("r{name}-{before}"), condition });
                }
            }
            let levels = [Priority::Low, Priority::Normal, Priority::High, Priority::Critical];
            task.priority = levels[usize::try_from(self.draw(4)).expect("small")];
            task.weight = 1 + u32::try_from(self.draw(6) / 4 * 4).expect("small");
            let max = u32::try_from(self.draw(3)).expect("small");
            task.retries = (max > 0).then_some(TaskRetries { max, delay_ms: 500, backoff: 2.0, jitter: 0.5 });
            tasks.push(task);
        }
        let orders = [
            Order::Dependency,
            Order::Priority,
            Order::RoundRobin,
            Order::LoadBalanced,
            Order::Capability,
            Order::Affinity,
        ];
        let policies = [OnFailure::SkipDependents, OnFailure::CancelAll, OnFailure::Continue];
        let new = NewRun {
            tasks,
            strategy: orders[usize::try_from(self.draw(6)).expect("small")],
            max_concurrent: Some(1 + u32::try_from(self.draw(5)).expect("small")),
            on_failure: policies[usize::try_from(self.draw(3)).expect("small")],
            resumable: self.one_in(2),
            ..NewRun::default()
        };
        let workplace =
            Workplace { shell: "/bin/bash".into(), dialect: Dialect::Bash, directory: "/work".into() };
        let uuid = self.uuid();
        self.request(Request::Distribute { uuid, new: Box::new(new), workplace });
    }

    /// Makes a request; what is refused must leave no trace.
    fn request(&mut self, request: Request) -> Option<Reply> {
        let now = self.now();
        let mut step = Step::default();
        let reply = self.engine.request(now, request, &mut step).ok();
        if reply.is_none() {
            assert!(self.engine.records(&step).is_empty() && step.effects.is_empty(), "refused, and yet");
        }
        self.engine.elapse(now, &mut step);
        self.finish(step);
        reply
    }

    /// Of a run that is known, or of all.
    fn query(&mut self) -> Option<TaskQuery> {
        let runs: Vec<RunId> = self.stored.runs.keys().cloned().collect();
        let count = runs.len() as u64;
        let run = runs.get(usize::try_from(self.draw(count.max(1))).expect("small"))?;
        let pattern = self.one_in(2).then(|| format!("*-{}*", self.draw(3)));
        Some(TaskQuery { run: Some(run.to_string()), pattern, ..TaskQuery::default() })
    }

    fn cancel(&mut self) {
        let Some(query) = self.query() else { return };
        let mode = if self.one_in(2) { CancelMode::Graceful } else { CancelMode::Force };
        if let Some(Reply::Tasks(tasks)) = self.request(Request::CancelTasks { query, mode }) {
            self.cancelled.extend(tasks);
        }
    }

    fn control(&mut self) {
        let Some(TaskQuery { run: Some(run), .. }) = self.query() else { return };
        let paused = self.one_in(2).then(|| self.one_in(2));
        let max_concurrent = self.one_in(2).then(|| 1 + u32::try_from(self.draw(5)).expect("small"));
        let change = RunChange { paused, max_concurrent, priority: None };
        self.request(Request::ControlRun { run, change });
    }

    fn retry(&mut self) {
        let Some(query) = self.query() else { return };
        let only_failed = self.one_in(2);
        let uuid = self.uuid();
        self.request(Request::RetryTasks { uuid, query, only_failed });
    }

    /// The server dies; the next one takes over what was committed.
    fn crash(&mut self) {
        let before = self.stored.clone();
        self.engine = engine();
        self.shells.clear();
        let mut step = Step::default();
        let sessions = before.sessions.values().cloned().collect();
        let commands = before.commands.values().cloned().collect();
        let runs = before.runs.values().cloned().collect();
        self.engine.restore(self.now(), sessions, commands, &mut step);
        self.engine.restore_runs(self.now(), runs, &mut step);
        self.finish(step);
        for (id, stored) in &before.runs {
            let after = &self.stored.runs[id];
            for (number, state) in &stored.states {
                let now = &after.states.iter().find(|(known, _)| known == number).expect("it is known").1;
                match state.status {
                    TaskStatus::Completed | TaskStatus::Failed => assert_eq!(now, state),
                    TaskStatus::Running if state.cancelling => {
                        assert_eq!(now.reason, Some(TaskReason::Cancelled));
                    }
                    TaskStatus::Running if stored.run.resumable => assert_eq!(now.status, TaskStatus::Queued),
                    TaskStatus::Running => assert_eq!(now.reason, Some(TaskReason::ServerRestart)),
                    TaskStatus::Queued => {}
                }
            }
            assert!(after.run.paused || after.run.ended_at.is_some(), "{id} goes on by itself");
        }
    }

    /// From now on all goes well, and so everything must come to its end.
    fn end(&mut self) {
        self.is_friendly = true;
        let runs: Vec<Run> = self.stored.runs.values().map(|stored| stored.run.clone()).collect();
        for run in runs {
            let change = RunChange { paused: Some(false), ..RunChange::default() };
            self.request(Request::ControlRun { run: run.id.to_string(), change });
        }
        for _ in 0..ENDING {
            if self.stored.runs.values().all(|stored| stored.run.ended_at.is_some()) {
                return;
            }
            if self.one_in(4) { self.pass_time() } else { self.shell_acts() }
        }
        let open: Vec<_> = self.stored.runs.values().filter(|stored| stored.run.ended_at.is_none()).collect();
        panic!("never over: {open:#?}");
    }
}

fn running(stored: &RestoredRun) -> impl Iterator<Item = (&Task, &TaskState)> {
    let running = stored.states.iter().filter(|(_, state)| state.status == TaskStatus::Running);
    running.map(|(number, state)| (&stored.tasks[*number as usize], state))
}

/// Exactly what must be skipped is skipped.
fn check_skips(stored: &RestoredRun) {
    for (number, state) in &stored.states {
        let task = &stored.tasks[*number as usize];
        let verdicts: Vec<Option<bool>> =
            task.dependencies.iter().map(|before| met(before, stored)).collect();
        match state.reason {
            Some(TaskReason::DependencyFailed | TaskReason::NotNeeded) => {
                assert_eq!(state.attempt, 0, "{} was skipped and ran", task.id);
                assert!(verdicts.contains(&Some(false)), "{} was skipped for nothing", task.id);
            }
            Some(TaskReason::Cancelled) => {}
            _ if state.attempt > 0 => {
                assert!(verdicts.iter().all(|met| *met == Some(true)), "{} should not run", task.id);
            }
            _ => assert!(
                !verdicts.contains(&Some(false)) || state.status.is_terminal(),
                "{} can never run and still waits",
                task.id
            ),
        }
    }
}

/// Whether a dependency is as it should be; nothing while it is not over.
fn met(before: &Dependency, stored: &RestoredRun) -> Option<bool> {
    let number = stored.tasks.iter().position(|task| task.id == before.id)?;
    let (_, state) = stored.states.iter().find(|(known, _)| *known as usize == number)?;
    let unneeded = state.reason == Some(TaskReason::NotNeeded);
    let goes_on = stored.run.on_failure == OnFailure::Continue;
    match (state.status, before.condition) {
        (TaskStatus::Queued | TaskStatus::Running, _) => None,
        (_, Condition::Always) | (TaskStatus::Failed, Condition::Failure) => Some(true),
        (TaskStatus::Completed, Condition::Success) => Some(!unneeded),
        (TaskStatus::Completed, Condition::Failure) => Some(false),
        (TaskStatus::Failed, Condition::Success) => Some(goes_on),
    }
}

fn play(seed: u64) -> Vec<String> {
    let mut world = World::new(seed);
    world.distribute();
    for _ in 0..STEPS {
        world.step();
    }
    world.end();
    world.trace
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn runs_keep_their_rules_in_any_world_and_the_same_world_is_the_same_again(seed: u64) {
        prop_assert_eq!(play(seed), play(seed));
    }
}
