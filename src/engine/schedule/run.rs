//! A run at work: which of its tasks wait, are ready, run or are over, and what follows from an end.
//! It knows sessions and commands only by name; where and when a task starts is decided elsewhere.

mod moving;
mod restore;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::estimates::{LEAST_COST_US, usual};
use super::graph::Graph;
use super::ready::{Key, Lane, Wish};
use super::rules::{Counts, Verdict, pause, verdict};
use crate::clock::{Moment, Now, Timestamp};
use crate::error::Result;
use crate::id::{CommandId, SessionId};
use crate::model::{
    Condition, OnFailure, Run, Strategy, Task, TaskDetail, TaskReason, TaskState, TaskStatus,
};

/// Ends that the moving rate of a run is taken from.
pub(super) const RATE_WINDOW: usize = 64;

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Outcome {
    /// As wished.
    Succeeded,
    /// Not as wished.
    Failed(TaskReason),
}

/// What is to be done after an attempt's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Next {
    /// Nothing: the task is over.
    Over,
    /// Another attempt once this moment has come.
    Again(Moment),
    /// The run gives up: these commands are to be stopped.
    Stop(Vec<CommandId>),
}

/// Where a task is, in more detail than its status tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Something before it is not over.
    Waiting,
    /// It could start.
    Ready(Key),
    /// Between two attempts.
    Pausing,
    /// An attempt runs and takes these slots, however many the run has by now.
    Running { slots: u32 },
    /// Nothing more happens to it.
    Over,
}

/// Something changed about a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Change {
    pub(in crate::engine) number: u32,
    /// Its status before and after, if it is that which changed.
    pub(in crate::engine) moved: Option<(TaskStatus, TaskStatus)>,
}

#[derive(Clone, Debug)]
struct Node {
    state: TaskState,
    place: Place,
    /// Tasks before it that are not over.
    waiting: u32,
    /// Which lane it is in when ready.
    lane: u32,
    /// The task before it that was over last.
    kin: Option<u32>,
    /// Whether earlier runs tell how long it takes.
    is_known: bool,
    /// Attempts that never began.
    withdrawn: u8,
}

/// A run with its tasks.
#[derive(Clone, Debug)]
pub(in crate::engine) struct RunEntry {
    pub(in crate::engine) run: Run,
    pub(in crate::engine) tasks: Arc<[Task]>,
    graph: Graph,
    nodes: Vec<Node>,
    lanes: Vec<Lane>,
    /// The cost of the costliest chain from each task on, in microseconds.
    chains: Vec<u64>,
    /// The greatest of these.
    longest: u64,
    /// Whether most of these costs are known from earlier runs.
    is_estimated: bool,
    counts: Counts,
    /// Slots in use.
    taken: u32,
    /// Turns given out.
    turns: u64,
    /// The latest ends, each with its weight.
    ends: VecDeque<(Timestamp, u32)>,
    /// What changed since this was last asked.
    changed: Vec<Change>,
}

impl RunEntry {
    /// A run whose tasks all wait; `cost` is what each is expected to take, in microseconds, where that
    /// is known. Refuses what is no graph.
    pub(in crate::engine) fn new(
        run: Run,
        tasks: Arc<[Task]>,
        cost: impl Fn(&Task) -> Option<u64>,
    ) -> Result<Self> {
        let graph = Graph::of(&tasks)?;
        let costs: Vec<Option<u64>> =
            tasks.iter().map(|task| cost(task).map(|cost| cost.max(LEAST_COST_US))).collect();
        let known = costs.iter().flatten().count();
        let usual = usual(&costs);
        let chains = graph.chains(|number| costs[number as usize].unwrap_or(usual));
        let longest = chains.iter().copied().max().unwrap_or(0);
        let is_estimated = known > 0 && known * 2 >= tasks.len();
        let mut lanes: Vec<Lane> = Vec::new();
        let mut lane_of: BTreeMap<Wish, u32> = BTreeMap::new();
        let nodes = (0_u32..).zip(tasks.iter()).map(|(number, task)| {
            let lane = *lane_of.entry(Wish::of(task)).or_insert_with_key(|wish| {
                lanes.push(Lane::new(wish.clone()));
                u32::try_from(lanes.len() - 1).unwrap_or(u32::MAX)
            });
            Node {
                state: TaskState::default(),
                place: Place::Waiting,
                waiting: graph.dependencies(number),
                lane,
                kin: None,
                is_known: costs[number as usize].is_some(),
                withdrawn: 0,
            }
        });
        let nodes: Vec<Node> = nodes.collect();
        let counts = Counts { queued: nodes.len(), ..Counts::default() };
        let (ends, changed) = (VecDeque::new(), Vec::new());
        Ok(Self {
            run,
            tasks,
            graph,
            nodes,
            lanes,
            chains,
            longest,
            is_estimated,
            counts,
            taken: 0,
            turns: 0,
            ends,
            changed,
        })
    }

    /// Lets everything be ready that waits for nothing.
    pub(in crate::engine) fn begin(&mut self, now: Now) {
        for number in self.numbers() {
            if self.nodes[number as usize].waiting == 0 {
                self.make_ready(now, number);
            }
        }
    }

    fn numbers(&self) -> std::ops::Range<u32> {
        0..u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)
    }

    /// The lanes; a task's lane is the place of its own in this.
    pub(in crate::engine) fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    /// Whether a task of this weight fits into the slots that are free.
    pub(in crate::engine) fn has_slot(&self, number: u32) -> bool {
        self.taken + self.slots(number) <= self.run.max_concurrent
    }

    /// A task that is heavier than the run is wide takes all of it.
    fn slots(&self, number: u32) -> u32 {
        self.tasks[number as usize].weight.min(self.run.max_concurrent)
    }

    /// How many of the tasks with this wish could start at once, if only there were sessions.
    pub(in crate::engine) fn could_start(&self, wish: &Wish) -> usize {
        let mut free = self.free_slots();
        let lanes = self.lanes.iter().filter(|lane| lane.wish == *wish);
        let fits = |key: &Key| {
            let left = free.checked_sub(self.slots(key.number));
            free = left.unwrap_or(0);
            left.is_some()
        };
        lanes.flat_map(Lane::keys).take_while(fits).count()
    }

    /// Slots that are free.
    pub(in crate::engine) fn free_slots(&self) -> u32 {
        self.run.max_concurrent.saturating_sub(self.taken)
    }

    /// Tasks by status.
    pub(in crate::engine) fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether every task is over.
    pub(in crate::engine) fn is_over(&self) -> bool {
        self.counts.over() == self.nodes.len()
    }

    /// How far a task has come.
    pub(in crate::engine) fn state(&self, number: u32) -> &TaskState {
        &self.nodes[number as usize].state
    }

    /// The cost of the costliest chain from each task on, in microseconds.
    pub(in crate::engine) fn chains(&self) -> &[u64] {
        &self.chains
    }

    /// Whether most costs are known from earlier runs.
    pub(super) fn is_estimated(&self) -> bool {
        self.is_estimated
    }

    /// What a task is expected to take, in microseconds.
    pub(in crate::engine) fn cost_us(&self, number: u32) -> u64 {
        let behind = self.graph.dependents(number).iter().map(|edge| self.chains[edge.to as usize]).max();
        self.chains[number as usize].saturating_sub(behind.unwrap_or(0))
    }

    /// Whether that is known from earlier runs of the task itself.
    pub(super) fn is_known(&self, number: u32) -> bool {
        self.nodes[number as usize].is_known
    }

    /// The tasks that a task waits for, in the order in which it names them.
    pub(in crate::engine) fn before(&self, number: u32) -> &[u32] {
        self.graph.before(number)
    }

    /// The number of the task with this id.
    pub(in crate::engine) fn number(&self, id: &str) -> Option<u32> {
        (0_u32..).zip(self.tasks.iter()).find(|(_, task)| task.id == id).map(|(number, _)| number)
    }

    /// The graph.
    pub(super) fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The latest ends with their weights, oldest first.
    pub(super) fn latest_ends(&self) -> &VecDeque<(Timestamp, u32)> {
        &self.ends
    }

    /// What a queued task waits for. What only the sessions can tell is `starved`.
    pub(in crate::engine) fn detail(
        &self,
        number: u32,
        starved: impl FnOnce() -> TaskDetail,
    ) -> Option<TaskDetail> {
        let node = &self.nodes[number as usize];
        match node.place {
            Place::Waiting => Some(TaskDetail::WaitingDependencies),
            Place::Ready(_) | Place::Pausing if self.run.paused => Some(TaskDetail::Paused),
            Place::Ready(_) => Some(starved()),
            Place::Pausing => Some(TaskDetail::RetryBackoff),
            Place::Running { .. } | Place::Over => None,
        }
    }

    /// The wish of a task.
    pub(in crate::engine) fn wish(&self, number: u32) -> &Wish {
        &self.lanes[self.nodes[number as usize].lane as usize].wish
    }

    /// The session in which the last of a task's dependencies ran.
    pub(in crate::engine) fn kin(&self, number: u32) -> Option<&SessionId> {
        let kin = self.nodes[number as usize].kin?;
        self.nodes[kin as usize].state.session.as_ref()
    }

    /// An attempt begins.
    pub(in crate::engine) fn start(&mut self, now: Now, number: u32, session: SessionId, command: CommandId) {
        self.leave_lane(number);
        let slots = self.slots(number);
        self.taken += slots;
        let node = &mut self.nodes[number as usize];
        node.place = Place::Running { slots };
        node.state.attempt += 1;
        node.state.session = Some(session);
        node.state.command = Some(command);
        node.state.exit_code = None;
        node.state.started_at = Some(now.wall);
        self.set_status(number, TaskStatus::Running);
    }

    /// An attempt is over.
    pub(in crate::engine) fn attempt_ended(
        &mut self,
        now: Now,
        number: u32,
        outcome: Outcome,
        exit_code: Option<i32>,
    ) -> Next {
        let node = &mut self.nodes[number as usize];
        let Place::Running { slots } = node.place else { return Next::Over };
        self.taken -= slots;
        node.state.exit_code = exit_code;
        let (attempt, told) = (node.state.attempt, node.state.reason);
        let reason = match outcome {
            Outcome::Succeeded => {
                self.end(now, number, TaskStatus::Completed, None, None);
                return Next::Over;
            }
            Outcome::Failed(reason) => told.unwrap_or(reason),
        };
        if let Some(retries) = self.tasks[number as usize].retries
            && reason != TaskReason::Cancelled
            && attempt <= retries.max
        {
            node.place = Place::Pausing;
            let pause = pause(retries, attempt, self.run.uuid.as_u128(), number);
            self.set_status(number, TaskStatus::Queued);
            return Next::Again(now.moment.after(pause));
        }
        self.fail(now, number, reason)
    }

    /// Ends a task that failed for good, and where that is its policy the run.
    fn fail(&mut self, now: Now, number: u32, reason: TaskReason) -> Next {
        let because_of = self.nodes[number as usize].state.because_of;
        self.end(now, number, TaskStatus::Failed, Some(reason), because_of);
        if reason == TaskReason::Cancelled { Next::Over } else { self.failed(now, number) }
    }

    /// After a failure that nobody asked for a run gives up, if that is its policy.
    fn failed(&mut self, now: Now, number: u32) -> Next {
        if self.run.on_failure != OnFailure::CancelAll || self.run.aborted {
            return Next::Over;
        }
        self.run.aborted = true;
        let tasks = Arc::clone(&self.tasks);
        let cleans_up = |task: &Task| {
            let mut before = task.dependencies.iter();
            before.any(|before| before.condition != Condition::Success)
        };
        let given_up = self.numbers().filter(|&other| !cleans_up(&tasks[other as usize]));
        Next::Stop(self.cancel(now, given_up, Some(number)))
    }

    /// The pause before a task's next attempt is over.
    pub(in crate::engine) fn pause_ended(&mut self, now: Now, number: u32) {
        if self.nodes[number as usize].place == Place::Pausing {
            self.make_ready(now, number);
        }
    }

    /// Ends a task that could start and never will.
    pub(in crate::engine) fn give_up(&mut self, now: Now, number: u32, reason: TaskReason) -> Next {
        match self.nodes[number as usize].place {
            Place::Ready(_) => self.fail(now, number, reason),
            Place::Waiting | Place::Pausing | Place::Running { .. } | Place::Over => Next::Over,
        }
    }

    /// Ends those of the tasks that are not over. Returns the commands to stop; their tasks are over
    /// when these are, and say until then that they are to be.
    pub(in crate::engine) fn cancel(
        &mut self,
        now: Now,
        numbers: impl Iterator<Item = u32>,
        because_of: Option<u32>,
    ) -> Vec<CommandId> {
        let mut running = Vec::new();
        // Marked first: what one of them frees must not start, nor be skipped for it.
        let mut queued = Vec::new();
        for number in numbers {
            let node = &mut self.nodes[number as usize];
            match node.place {
                Place::Over => {}
                Place::Running { .. } => {
                    node.state.reason = Some(TaskReason::Cancelled);
                    node.state.because_of = because_of;
                    running.extend(node.state.command.clone());
                    self.changed.push(Change { number, moved: None });
                }
                Place::Waiting | Place::Ready(_) | Place::Pausing => {
                    self.mark_over(now, number, TaskStatus::Failed, Some(TaskReason::Cancelled), because_of);
                    queued.push(number);
                }
            }
        }
        self.propagate(now, queued);
        running
    }

    /// What changed since the last call, in order.
    pub(in crate::engine) fn take_changed(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changed)
    }

    /// Marks a task as over, and everything that follows from that.
    fn end(
        &mut self,
        now: Now,
        number: u32,
        status: TaskStatus,
        reason: Option<TaskReason>,
        because_of: Option<u32>,
    ) {
        self.mark_over(now, number, status, reason, because_of);
        self.propagate(now, vec![number]);
    }

    fn mark_over(
        &mut self,
        now: Now,
        number: u32,
        status: TaskStatus,
        reason: Option<TaskReason>,
        because_of: Option<u32>,
    ) {
        self.leave_lane(number);
        let node = &mut self.nodes[number as usize];
        node.place = Place::Over;
        node.state.reason = reason;
        node.state.because_of = because_of;
        node.state.ended_at = Some(now.wall);
        self.set_status(number, status);
        if self.nodes[number as usize].state.attempt > 0 {
            if self.ends.len() == RATE_WINDOW {
                self.ends.pop_front();
            }
            self.ends.push_back((now.wall, self.tasks[number as usize].weight));
        }
        if self.is_over() {
            self.run.ended_at = Some(now.wall);
        }
    }

    /// Tells those that wait for tasks that are over.
    fn propagate(&mut self, now: Now, mut over: Vec<u32>) {
        let mut next = 0;
        while let Some(&number) = over.get(next) {
            next += 1;
            for edge in 0..self.graph.dependents(number).len() {
                let edge = self.graph.dependents(number)[edge];
                if self.nodes[edge.to as usize].place != Place::Waiting {
                    continue;
                }
                let state = &self.nodes[number as usize].state;
                let root = state.because_of.unwrap_or(number);
                match verdict(edge.condition, state, self.run.on_failure) {
                    Verdict::Met => {
                        let node = &mut self.nodes[edge.to as usize];
                        node.waiting -= 1;
                        node.kin = Some(number);
                        if node.waiting == 0 && node.state.status == TaskStatus::Queued {
                            self.make_ready(now, edge.to);
                        }
                    }
                    Verdict::Blocked => {
                        let reason = Some(TaskReason::DependencyFailed);
                        self.mark_over(now, edge.to, TaskStatus::Failed, reason, Some(root));
                        over.push(edge.to);
                    }
                    Verdict::Unneeded => {
                        let reason = Some(TaskReason::NotNeeded);
                        self.mark_over(now, edge.to, TaskStatus::Completed, reason, Some(root));
                        over.push(edge.to);
                    }
                }
            }
        }
    }

    fn make_ready(&mut self, now: Now, number: u32) {
        self.turns += 1;
        let chain = match self.run.strategy {
            Strategy::Dependency => (self.chains[number as usize], self.longest),
            Strategy::Priority
            | Strategy::RoundRobin
            | Strategy::LoadBalanced
            | Strategy::Capability
            | Strategy::Affinity
            | Strategy::ResourceAware => (0, 0),
        };
        let key = Key::new(now.moment, self.tasks[number as usize].priority, chain, self.turns, number);
        let node = &mut self.nodes[number as usize];
        node.place = Place::Ready(key);
        self.lanes[node.lane as usize].push(key);
    }

    fn leave_lane(&mut self, number: u32) {
        let node = &self.nodes[number as usize];
        if let Place::Ready(key) = node.place {
            self.lanes[node.lane as usize].remove(&key);
        }
    }

    fn set_status(&mut self, number: u32, new: TaskStatus) {
        let state = &mut self.nodes[number as usize].state;
        debug_assert!(state.status.successors().contains(&new), "{:?} cannot become {new:?}", state.status);
        *self.counts.of(state.status) -= 1;
        *self.counts.of(new) += 1;
        let moved = Some((std::mem::replace(&mut state.status, new), new));
        self.changed.push(Change { number, moved });
    }
}
