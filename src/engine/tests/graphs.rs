//! What holds of runs whatever happens: random graphs under random strategies, workers that succeed,
//! fail, hang and die, callers that cancel and pause, and servers that crash.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::Index;

use super::worlds::{AnyDependency, AnyRun, AnyTask, World};
use crate::engine::request::{CancelMode, RunChange};
use crate::model::{Condition, OnFailure, Priority, RunResources, Strategy as Order, TaskRetries};

/// One thing that happens. `Index` picks among what there is.
#[derive(Clone, Debug)]
pub(super) enum Action {
    Distribute(AnyRun),
    /// A worker goes on: a shell starts, a command ends with this status.
    Worker(Index, i32),
    /// As many times over all workers, so that runs come far.
    Work(usize, i32),
    SpawnFailed(Index),
    Gone(Index),
    CancelTask(Index, Index, CancelMode),
    CancelRun(Index),
    Control(Index, RunChange),
    Retry(Index, bool),
    Load(f64),
    Session(bool),
    Close(Index),
    Wait(u64),
    Crash,
}

fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![5 => Just(Condition::Success), 1 => Just(Condition::Failure), 2 => Just(Condition::Always)]
}

fn priority() -> impl Strategy<Value = Priority> {
    prop_oneof![
        1 => Just(Priority::Low),
        4 => Just(Priority::Normal),
        1 => Just(Priority::High),
        1 => Just(Priority::Critical)
    ]
}

fn retries() -> impl Strategy<Value = TaskRetries> {
    (0_u32..4, 0_u64..3_000, 1.0..3.0, 0.0..1.0).prop_map(|(max, delay_ms, backoff, jitter)| TaskRetries {
        max,
        delay_ms,
        backoff,
        jitter,
    })
}

fn any_task() -> impl Strategy<Value = AnyTask> {
    let dependency =
        (any::<Index>(), condition()).prop_map(|(on, condition)| AnyDependency { on, condition });
    (
        proptest::collection::vec(dependency, 0..4),
        priority(),
        prop_oneof![4 => Just(1_u32), 1 => 2_u32..6],
        proptest::option::weighted(0.3, retries()),
        prop_oneof![12 => Just(None), 1 => any::<Index>().prop_map(Some)],
        prop_oneof![9 => Just(false), 1 => Just(true)],
        prop_oneof![Just(2_000_u64), Just(600_000)],
    )
        .prop_map(|(dependencies, priority, weight, retries, pinned, needs_gpu, timeout_ms)| AnyTask {
            dependencies,
            priority,
            weight,
            retries,
            pinned,
            needs_gpu,
            timeout_ms,
        })
}

fn any_run() -> impl Strategy<Value = AnyRun> {
    let order = prop_oneof![
        3 => Just(Order::Dependency),
        1 => Just(Order::Priority),
        1 => Just(Order::RoundRobin),
        1 => Just(Order::LoadBalanced),
        1 => Just(Order::Capability),
        1 => Just(Order::Affinity),
        1 => Just(Order::ResourceAware)
    ];
    let on_failure = prop_oneof![3 => Just(OnFailure::SkipDependents), 1 => Just(OnFailure::CancelAll), 1 => Just(OnFailure::Continue)];
    let resources = prop_oneof![
        6 => Just(RunResources::default()),
        1 => Just(RunResources { max_cpu: Some(50.0), ..RunResources::default() }),
        1 => Just(RunResources { max_sessions: Some(2), ..RunResources::default() })
    ];
    let tasks = proptest::collection::vec(any_task(), 1..40);
    (tasks, order, 1_u32..7, on_failure, any::<(bool, bool)>(), 0..5_u8, resources).prop_map(
        |(tasks, order, max_concurrent, on_failure, (resumable, reuses_names), named, resources)| AnyRun {
            tasks,
            order,
            max_concurrent,
            on_failure,
            resumable,
            reuses_names,
            names_sessions: named == 0,
            resources,
        },
    )
}

fn change() -> impl Strategy<Value = RunChange> {
    (proptest::option::of(any::<bool>()), proptest::option::of(0_u32..8), proptest::option::of(priority()))
        .prop_map(|(paused, max_concurrent, priority)| RunChange { paused, max_concurrent, priority })
}

fn action() -> impl Strategy<Value = Action> {
    let status = || prop_oneof![4 => Just(0), 1 => Just(1)];
    let mode = prop_oneof![Just(CancelMode::Graceful), Just(CancelMode::Force)];
    prop_oneof![
        4 => any_run().prop_map(Action::Distribute),
        20 => (any::<Index>(), status()).prop_map(|(worker, status)| Action::Worker(worker, status)),
        10 => (1_usize..4, status()).prop_map(|(times, status)| Action::Work(times, status)),
        1 => any::<Index>().prop_map(Action::SpawnFailed),
        2 => any::<Index>().prop_map(Action::Gone),
        2 => (any::<Index>(), any::<Index>(), mode)
            .prop_map(|(run, task, mode)| Action::CancelTask(run, task, mode)),
        1 => any::<Index>().prop_map(Action::CancelRun),
        2 => (any::<Index>(), change()).prop_map(|(run, change)| Action::Control(run, change)),
        1 => (any::<Index>(), any::<bool>()).prop_map(|(run, failed)| Action::Retry(run, failed)),
        1 => (0.0..100.0).prop_map(Action::Load),
        2 => any::<bool>().prop_map(Action::Session),
        1 => any::<Index>().prop_map(Action::Close),
        4 => (0_u64..8_000).prop_map(Action::Wait),
        1 => Just(Action::Crash),
    ]
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, max_shrink_iters: 1_000, ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn the_rules_of_runs_hold_and_the_same_inputs_give_the_same_steps(
        first in any_run(),
        actions in proptest::collection::vec(action(), 1..120),
    ) {
        let actions: Vec<Action> = std::iter::once(Action::Distribute(first)).chain(actions).collect();
        let trace = World::play(&actions);
        prop_assert!(trace == World::play(&actions), "the same inputs gave other steps");
    }

    #[test]
    fn a_crash_at_any_step_loses_nothing(
        runs in proptest::collection::vec(any_run(), 1..3),
        statuses in proptest::collection::vec(prop_oneof![5 => Just(0), 1 => Just(1)], 1..40),
        crashes in proptest::collection::vec(any::<Index>(), 1..5),
    ) {
        let crashes: BTreeSet<usize> = crashes.iter().map(|index| index.index(statuses.len())).collect();
        let mut actions: Vec<Action> = runs.into_iter().map(Action::Distribute).collect();
        for (number, status) in statuses.into_iter().enumerate() {
            actions.push(Action::Work(1, status));
            if crashes.contains(&number) {
                actions.push(Action::Crash);
            }
        }
        World::play(&actions);
    }
}
