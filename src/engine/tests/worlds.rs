//! A [`Play`] with runs, workers and a store, that checks after each step what must always hold.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proptest::sample::Index;

use super::graphs::Action;
use super::*;
use crate::engine::RestoredRun;
use crate::engine::request::{CancelMode, NewRun, RunChange, TaskQuery};
use crate::engine::schedule::Load;
use crate::id::RunId;
use crate::model::{
    Condition, Dependency, OnFailure, Priority, Run, RunResources, Strategy, Task, TaskRetries, TaskState,
    TaskStatus, Workplace, fixtures,
};

#[derive(Clone, Debug)]
pub(super) struct AnyDependency {
    pub(super) on: Index,
    pub(super) condition: Condition,
}

#[derive(Clone, Debug)]
pub(super) struct AnyTask {
    pub(super) dependencies: Vec<AnyDependency>,
    pub(super) priority: Priority,
    pub(super) weight: u32,
    pub(super) retries: Option<TaskRetries>,
    pub(super) pinned: Option<Index>,
    pub(super) needs_gpu: bool,
    pub(super) timeout_ms: u64,
}

#[derive(Clone, Debug)]
pub(super) struct AnyRun {
    pub(super) tasks: Vec<AnyTask>,
    pub(super) order: Strategy,
    pub(super) max_concurrent: u32,
    pub(super) on_failure: OnFailure,
    pub(super) resumable: bool,
    pub(super) reuses_names: bool,
    pub(super) names_sessions: bool,
    pub(super) resources: RunResources,
}

/// A worker as far as the engine can tell.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) is_ready: bool,
    pub(super) current: Option<CommandId>,
    /// What it was told: the status with which its command will end.
    pub(super) signalled: Option<i32>,
    pub(super) is_closing: bool,
}

/// What is committed.
#[derive(Default)]
pub(super) struct Store {
    pub(super) sessions: BTreeMap<SessionId, Session>,
    pub(super) commands: BTreeMap<CommandId, Command>,
    pub(super) runs: Vec<Run>,
    pub(super) graphs: HashMap<RunId, Vec<Task>>,
    pub(super) states: BTreeMap<(RunId, u32), TaskState>,
    pub(super) estimates: BTreeMap<u64, u64>,
}

impl Store {
    pub(super) fn apply(&mut self, records: &[Record]) {
        for record in records {
            match record.clone() {
                Record::Session(session) => drop(self.sessions.insert(session.id.clone(), *session)),
                Record::Command(command) => {
                    let old = self.commands.insert(command.id.clone(), *command.clone());
                    assert!(
                        old.is_none_or(|old| !old.is_ended() && old.text == command.text),
                        "{command:?} took an id that was taken"
                    );
                }
                Record::Run(run) => match self.runs.iter_mut().find(|known| known.id == run.id) {
                    Some(known) => *known = *run,
                    None => self.runs.push(*run),
                },
                Record::Graph { run, tasks } => {
                    assert!(self.graphs.insert(run, tasks.to_vec()).is_none(), "a graph is committed twice");
                }
                Record::Task { run, numbers, state } => {
                    self.states.extend(numbers.map(|number| ((run.clone(), number), (*state).clone())));
                }
                Record::Estimate { work, mean_us } => drop(self.estimates.insert(work, mean_us)),
                Record::Removed(session) => drop(self.sessions.remove(&session)),
                Record::Event(_)
                | Record::Agent(_)
                | Record::AgentGone(_)
                | Record::Message(..)
                | Record::Received(..)
                | Record::Pool { .. }
                | Record::PoolGone(_) => {}
            }
        }
    }

    pub(super) fn state(&self, run: &RunId, number: u32) -> TaskState {
        self.states.get(&(run.clone(), number)).cloned().unwrap_or_default()
    }

    fn unfinished(&self) -> Vec<RestoredRun> {
        let open = self.runs.iter().filter(|run| run.ended_at.is_none());
        let restored = open.map(|run| {
            let states = self.states.iter().filter(|((of, _), _)| *of == run.id);
            RestoredRun {
                run: run.clone(),
                tasks: self.graphs[&run.id].clone(),
                states: states.map(|((_, number), state)| (*number, state.clone())).collect(),
            }
        });
        restored.collect()
    }
}

/// What was last seen of a run.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) states: Vec<TaskState>,
    pub(super) percentage: f64,
    /// Running tasks that were told to end.
    pub(super) cancelled: BTreeSet<u32>,
    /// The slots that each running task takes.
    pub(super) taken: BTreeMap<u32, u32>,
}

pub(super) struct World {
    pub(super) play: Play,
    pub(super) store: Store,
    pub(super) workers: BTreeMap<SessionId, Worker>,
    /// Made by callers, in order.
    pub(super) sessions: Vec<SessionId>,
    /// Every run in the order of acceptance.
    pub(super) runs: Vec<RunId>,
    pub(super) seen: HashMap<RunId, Seen>,
    /// Where the latest event of each task left it.
    pub(super) told: HashMap<(RunId, String), TaskStatus>,
    pub(super) is_restoring: bool,
    pub(super) trace: Vec<(Vec<Record>, Vec<Effect>)>,
}

pub(super) type Trace = Vec<(Vec<Record>, Vec<Effect>)>;

pub(super) fn workplace() -> Workplace {
    Workplace { shell: "/bin/bash".into(), dialect: Dialect::Bash, directory: "/work".into() }
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            play: Play::new(),
            store: Store::default(),
            workers: BTreeMap::new(),
            sessions: Vec::new(),
            runs: Vec::new(),
            seen: HashMap::new(),
            told: HashMap::new(),
            is_restoring: false,
            trace: Vec::new(),
        }
    }

    pub(super) fn play(actions: &[Action]) -> Trace {
        let mut world = Self::new();
        for action in actions {
            world.act(action);
        }
        world.end_everything();
        world.trace
    }

    fn act(&mut self, action: &Action) {
        let run = |index: &Index| (!self.runs.is_empty()).then(|| index.get(&self.runs).clone());
        let worker = |index: &Index| {
            let ids: Vec<&SessionId> = self.workers.keys().collect();
            (!ids.is_empty()).then(|| (*index.get(&ids)).clone())
        };
        match action {
            Action::Distribute(new) => self.distribute(new),
            Action::Worker(index, status) => {
                if let Some(id) = worker(index) {
                    self.go_on(&id, *status);
                }
            }
            Action::Work(times, status) => (0..*times).for_each(|_| self.work(*status)),
            Action::SpawnFailed(index) => {
                if let Some(id) = worker(index).filter(|id| !self.workers[id].is_ready) {
                    self.workers.remove(&id);
                    self.event(
                        &id,
                        WorkerEventKind::SpawnFailed {
                            message: "no".into(),
                            category: FailureCategory::SpawnFailed,
                        },
                    );
                }
            }
            Action::Gone(index) => {
                if let Some(id) = worker(index).filter(|id| self.workers[id].is_ready) {
                    self.workers.remove(&id);
                    self.event(&id, WorkerEventKind::Gone { exit: Exit::Signal(9), forced: false });
                }
            }
            Action::CancelTask(index, task, mode) => {
                let Some(run) = run(index) else { return };
                let tasks = &self.store.graphs[&run];
                let id = tasks[task.index(tasks.len())].id.clone();
                self.cancel(
                    TaskQuery { run: Some(run.to_string()), tasks: vec![id], ..Default::default() },
                    *mode,
                );
            }
            Action::CancelRun(index) => {
                let Some(run) = run(index) else { return };
                self.cancel(
                    TaskQuery { run: Some(run.to_string()), ..Default::default() },
                    CancelMode::Graceful,
                );
            }
            Action::Control(index, change) => {
                let Some(run) = run(index) else { return };
                self.control(&run, *change);
            }
            Action::Retry(index, only_failed) => {
                let Some(run) = run(index) else { return };
                let query = TaskQuery { run: Some(run.to_string()), ..Default::default() };
                let uuid = self.play.uuid();
                let _ = self.request(Request::RetryTasks { uuid, query, only_failed: *only_failed });
            }
            Action::Load(percent) => {
                let load = Load { cpu: *percent, memory: *percent, sessions: HashMap::default() };
                self.step(|engine, _, _| engine.load(load));
            }
            Action::Session(has_gpu) => self.create(*has_gpu),
            Action::Close(index) => {
                if let Some(id) = worker(index) {
                    let mode = CloseMode::Emergency;
                    let _ =
                        self.request(Request::Close { sessions: vec![id], mode, grace: None, reason: None });
                }
            }
            Action::Wait(ms) => self.wait(Duration::from_millis(*ms)),
            Action::Crash => self.crash(),
        }
    }

    fn distribute(&mut self, new: &AnyRun) {
        let live: Vec<SessionId> = self.live().cloned().collect();
        let of_run = if new.reuses_names { 0 } else { self.play.uuids };
        let name = |number: usize| format!("t{of_run}-{number}");
        let tasks = new.tasks.iter().enumerate().map(|(number, task)| {
            let before = task.dependencies.iter().filter(|_| number > 0).map(|dependency| Dependency {
                id: name(dependency.on.index(number.max(1))),
                condition: dependency.condition,
            });
            Task {
                text: name(number),
                dependencies: before.collect(),
                priority: task.priority,
                weight: task.weight,
                retries: task.retries,
                session: task.pinned.filter(|_| !live.is_empty()).map(|index| index.get(&live).clone()),
                requirements: task.needs_gpu.then(|| "gpu".to_owned()).into_iter().collect(),
                timeout_ms: task.timeout_ms,
                ..fixtures::task(&name(number))
            }
        });
        let new = NewRun {
            tasks: tasks.collect(),
            strategy: new.order,
            max_concurrent: Some(new.max_concurrent),
            on_failure: new.on_failure,
            sessions: live.iter().take(2).filter(|_| new.names_sessions).map(ToString::to_string).collect(),
            resumable: new.resumable,
            resources: new.resources,
        };
        let uuid = self.play.uuid();
        let request = Request::Distribute { uuid, new: Box::new(new), workplace: workplace() };
        self.step(|engine, now, step| {
            let before = format!("{:?}", engine.schedule);
            if engine.request(now, request, step).is_err() {
                assert!(before == format!("{:?}", engine.schedule), "a refused graph left a trace");
            }
        });
    }

    pub(super) fn create(&mut self, has_gpu: bool) {
        let new = NewSession {
            capabilities: has_gpu.then(|| "gpu".to_owned()).into_iter().collect(),
            ..NewSession::default()
        };
        let (uuid, command_uuid) = (self.play.uuid(), self.play.uuid());
        let reply = self.request(Request::CreateSession {
            uuid,
            new: Box::new(new),
            shell: "/bin/bash".into(),
            dialect: Dialect::Bash,
            directory: "/start".into(),
            command_uuid,
        });
        if let Ok(Reply::Session(session)) = reply {
            self.sessions.push(session.id);
        }
    }

    pub(super) fn cancel(&mut self, query: TaskQuery, mode: CancelMode) {
        let Ok(Reply::Cancelled(cancelled)) = self.request(Request::CancelTasks { query, mode }) else {
            panic!("a cancellation is refused")
        };
        for id in cancelled.tasks {
            for (run, seen) in &mut self.seen {
                let number = self.store.graphs[run].iter().position(|task| task.id == id);
                if let Some(number) = number.filter(|&number| !seen.states[number].status.is_terminal()) {
                    seen.cancelled.insert(u32::try_from(number).expect("a small number"));
                }
            }
        }
    }

    fn control(&mut self, run: &RunId, change: RunChange) {
        let _ = self.request(Request::ControlRun { run: run.to_string(), change });
    }

    /// Each worker that has something to do does it.
    pub(super) fn work(&mut self, status: i32) {
        for id in self.workers.keys().cloned().collect::<Vec<_>>() {
            self.go_on(&id, status);
        }
    }

    pub(super) fn go_on(&mut self, id: &SessionId, status: i32) {
        let Some(worker) = self.workers.get_mut(id) else { return };
        self.play.clock += Duration::from_millis(50);
        if worker.is_closing {
            self.workers.remove(id);
            self.event(id, WorkerEventKind::Gone { exit: Exit::Signal(9), forced: false });
        } else if !worker.is_ready {
            worker.is_ready = true;
            self.event(id, WorkerEventKind::Started { pid: 7 });
            self.event(id, WorkerEventKind::Prompt { directory: None });
        } else if let Some(command) = worker.current.take() {
            let status = worker.signalled.take().unwrap_or(status);
            self.event(id, ended(&command, status));
        }
    }

    pub(super) fn wait(&mut self, duration: Duration) {
        let until = self.play.clock + duration;
        while let Some(Moment(due)) = self.play.engine.next_deadline().filter(|due| due.0 <= until) {
            self.play.clock = self.play.clock.max(due);
            self.step(|_, _, _| ());
        }
        self.play.clock = until;
    }

    pub(super) fn event(&mut self, session: &SessionId, kind: WorkerEventKind) {
        let generation = self.play.session(session).generation;
        let event = WorkerEvent { session: session.clone(), generation, cursor: 0, kind };
        self.step(|engine, now, step| engine.event(now, event, step));
    }

    pub(super) fn request(&mut self, request: Request) -> Result<Reply> {
        self.step(|engine, now, step| engine.request(now, request, step))
    }

    /// One turn of the dispatcher.
    fn step<R>(&mut self, turn: impl FnOnce(&mut Engine, Now, &mut Step) -> R) -> R {
        let (now, mut step) = (self.play.now(), Step::default());
        let result = turn(&mut self.play.engine, now, &mut step);
        self.play.engine.elapse(now, &mut step);
        self.play.take(step);
        self.settle();
        result
    }

    /// The server dies, and another one takes up what it had committed.
    pub(super) fn crash(&mut self) {
        self.play.clock += Duration::from_millis(500);
        self.workers.clear();
        self.sessions.clear();
        self.play.engine = Engine::new(self.play.engine.defaults.clone());
        let sessions = self.store.sessions.values().cloned().collect();
        let commands = self.store.commands.values().filter(|command| !command.is_ended()).cloned().collect();
        let estimates: Vec<(u64, u64)> = self.store.estimates.clone().into_iter().collect();
        let runs = self.store.unfinished();
        self.runs.retain(|id| runs.iter().any(|restored| restored.run.id == *id));
        self.is_restoring = true;
        self.step(|engine, now, step| {
            engine.restore_estimates(estimates);
            engine.restore(now, sessions, commands, step);
            engine.restore_runs(now, runs, step);
        });
        self.is_restoring = false;
    }

    /// An orderly end of the server, and what the next one finds.
    pub(super) fn shut_down(&mut self) {
        let (now, mut step) = (self.play.now(), Step::default());
        let engine = &mut self.play.engine;
        engine.freeze();
        let sessions: Vec<SessionId> = self.workers.keys().cloned().collect();
        let close = Request::Close {
            sessions: sessions.clone(),
            mode: CloseMode::Emergency,
            grace: None,
            reason: None,
        };
        engine.request(now, close, &mut step).expect("sessions can be closed");
        for session in sessions {
            let generation = engine.session(&session).expect("it is known").generation;
            let kind = WorkerEventKind::Gone { exit: Exit::Signal(1), forced: false };
            engine.event(now, WorkerEvent { session, generation, cursor: 0, kind }, &mut step);
        }
        engine.elapse(now, &mut step);
        self.play.take(step);
        self.store.apply(&self.play.records);
        self.crash();
    }

    /// Lets everything come to its end: nothing hangs, and nothing runs for ever.
    pub(super) fn end_everything(&mut self) {
        self.step(|engine, _, _| engine.load(Load::default()));
        self.create(true);
        // What a run's own sessions cannot do would be waited for until they can.
        for id in self.live().cloned().collect::<Vec<_>>() {
            let change = SessionChange { capabilities: Some(vec!["gpu".into()]), ..SessionChange::default() };
            self.request(Request::UpdateSession { selector: id.to_string(), change: Box::new(change) })
                .expect("a live session");
        }
        let mut idle_turns = 0;
        while self.play.engine.schedule.active().count() > 0 {
            // A shell that had to be killed with its command may have been the last that can.
            if self.live().next().is_none() {
                self.create(true);
            }
            for run in self.runs.clone() {
                if self.seen[&run].percentage < 100.0 {
                    self.control(&run, RunChange { paused: Some(false), ..RunChange::default() });
                }
            }
            let before: u32 = self.attempts();
            self.work(0);
            self.wait(Duration::from_secs(10));
            idle_turns = if self.attempts() > before { 0 } else { idle_turns + 1 };
            assert!(idle_turns < 20, "the runs never end: {}", self.open_tasks());
        }
    }

    /// The callers' sessions that have a shell.
    fn live(&self) -> impl Iterator<Item = &SessionId> {
        self.sessions.iter().filter(|id| self.workers.contains_key(id))
    }

    fn open_tasks(&self) -> String {
        let report = self.play.engine.report(self.play.now(), &TaskQuery::default(), usize::MAX);
        let open = report.expect("a query for all").tasks.into_iter();
        open.filter(|task| !task.status.is_terminal()).take(3).map(|task| format!("{task:#?}\n")).collect()
    }

    fn attempts(&self) -> u32 {
        self.seen.values().flat_map(|seen| &seen.states).map(|state| state.attempt).sum()
    }
}
