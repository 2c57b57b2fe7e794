//! Runs told as scripts for [`tell`], in the manner of [`check`]: behind `=>` stands what each line
//! changes of the tasks. A [`World`] checks the laws of runs after each line as well, and at the end of a
//! script lets everything come to its end.

use super::worlds::{World, workplace};
use super::*;
use crate::engine::request::{CancelMode, NewRun, RunChange, TaskQuery};
use crate::error::ErrorCode;
use crate::model::{
    Condition, Dependency, FailureCategory, OnFailure, Task, TaskRetries, TaskState, TaskStatus, fixtures,
};

/// What scripts call tasks and runs: runs count from 1.
struct Tale {
    world: World,
    seen: BTreeMap<String, String>,
}

/// Plays `script`, and compares what comes of each line.
#[track_caller]
fn tell(script: &str) {
    let mut tale = Tale { world: World::new(), seen: BTreeMap::new() };
    let (mut expected, mut actual) = (String::new(), String::new());
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (input, outcome) = line.split_once("=>").unwrap_or((line, ""));
        let words: Vec<&str> = input.split_whitespace().collect();
        let came = tale.line(&words);
        writeln!(expected, "{} => {}", words.join(" "), outcome.trim()).expect("a string");
        writeln!(actual, "{} => {came}", words.join(" ")).expect("a string");
    }
    assert!(expected == actual, "expected\n{expected}\nbut it went\n{actual}");
    tale.world.end_everything();
}

impl Tale {
    fn line(&mut self, words: &[&str]) -> String {
        let refused = self.input(words).err();
        let mut came = Vec::new();
        for run in self.world.runs.clone() {
            let tasks = &self.world.store.graphs[&run];
            for (number, task) in (0_u32..).zip(tasks) {
                let state = self.world.store.state(&run, number);
                let shown = format!("{}{}", show(&state, tasks), self.signal(&state));
                let known = self.seen.insert(format!("{run} {}", task.id), shown.clone());
                if known.unwrap_or_else(|| "queued".to_owned()) != shown {
                    came.push(format!("{} {shown}", task.id));
                }
            }
        }
        came.extend(refused.map(|error| format!("refused {}", error.code)));
        came.join(", ")
    }

    /// What the worker of a running task was told.
    fn signal(&self, state: &TaskState) -> &'static str {
        let worker = state.session.as_ref().filter(|_| state.status == TaskStatus::Running);
        match worker.and_then(|session| self.world.workers.get(session)?.signalled) {
            Some(130) => " interrupted",
            Some(137) => " killed",
            _ => "",
        }
    }

    fn input(&mut self, words: &[&str]) -> Result<()> {
        match words {
            ["run", wide, rest @ ..] => return self.distribute(wide.parse().expect("a width"), rest),
            ["shells"] => self.shells(|world, id| world.go_on(id, 0)),
            ["no", "shells"] => self.shells(|world, id| {
                world.workers.remove(id);
                world.event(
                    id,
                    WorkerEventKind::SpawnFailed {
                        message: "no".into(),
                        category: FailureCategory::SpawnFailed,
                    },
                );
            }),
            ["end", id, status] => {
                let session = self.session(id);
                // A command may end as it likes, whatever it was told.
                self.world.workers.get_mut(&session).expect("a worker").signalled = None;
                self.world.go_on(&session, status.parse().expect("a status"));
            }
            ["lost", id] => {
                let session = self.session(id);
                self.world.workers.remove(&session);
                self.world.event(&session, WorkerEventKind::Gone { exit: Exit::Signal(9), forced: false });
            }
            ["cancel", ids @ ..] => self.cancel(ids, CancelMode::Graceful),
            ["kill", ids @ ..] => self.cancel(ids, CancelMode::Force),
            ["width", wide] => {
                let max_concurrent = Some(wide.parse().expect("a width"));
                return self.control(RunChange { max_concurrent, ..RunChange::default() });
            }
            ["pause"] => return self.control(RunChange { paused: Some(true), ..RunChange::default() }),
            ["resume"] => return self.control(RunChange { paused: Some(false), ..RunChange::default() }),
            ["wait", text] => self.world.wait(duration(text)),
            ["crash"] => self.world.crash(),
            ["shutdown"] => self.world.shut_down(),
            _ => panic!("no such line: {words:?}"),
        }
        Ok(())
    }

    /// Tasks are written as `name`, then `*weight`, `~` for two more tries, `<dependency` and
    /// `<dependency!` for one whose end alone counts.
    fn distribute(&mut self, wide: u32, words: &[&str]) -> Result<()> {
        let mut new = NewRun { max_concurrent: Some(wide), ..NewRun::default() };
        for word in words {
            match *word {
                "cancel-all" => new.on_failure = OnFailure::CancelAll,
                "continue" => new.on_failure = OnFailure::Continue,
                "resumable" => new.resumable = true,
                word => new.tasks.push(spec(word)),
            }
        }
        let uuid = self.world.play.uuid();
        let request = Request::Distribute { uuid, new: Box::new(new), workplace: workplace() };
        self.world.request(request).map(drop)
    }

    /// Does something with each shell that is starting.
    fn shells(&mut self, mut what: impl FnMut(&mut World, &SessionId)) {
        let workers = self.world.workers.iter().filter(|(_, worker)| !worker.is_ready);
        for id in workers.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            what(&mut self.world, &id);
        }
    }

    /// Where the latest task of this name runs.
    fn session(&self, id: &str) -> SessionId {
        let query = TaskQuery { tasks: vec![id.to_owned()], ..TaskQuery::default() };
        let report = self.world.play.engine.report(self.world.play.now(), &query, 1).expect("a query");
        report.tasks[0].session.clone().unwrap_or_else(|| panic!("{id} runs nowhere"))
    }

    fn cancel(&mut self, ids: &[&str], mode: CancelMode) {
        let tasks = ids.iter().map(|id| (*id).to_owned()).collect();
        self.world.cancel(TaskQuery { tasks, ..TaskQuery::default() }, mode);
    }

    fn control(&mut self, change: RunChange) -> Result<()> {
        let run = self.world.runs.last().expect("a run").to_string();
        self.world.request(Request::ControlRun { run, change }).map(drop)
    }
}

fn spec(word: &str) -> Task {
    let mut parts = word.split('<');
    let head = parts.next().unwrap_or_default();
    let (head, retries) = match head.strip_suffix('~') {
        Some(head) => (head, Some(TaskRetries { max: 2, delay_ms: 1_000, backoff: 1.0, jitter: 0.0 })),
        None => (head, None),
    };
    let (name, weight) = head.split_once('*').unwrap_or((head, "1"));
    let dependencies = parts.map(|before| match before.strip_suffix('!') {
        Some(id) => Dependency { id: id.to_owned(), condition: Condition::Always },
        None => Dependency { id: before.to_owned(), condition: Condition::Success },
    });
    Task {
        dependencies: dependencies.collect(),
        weight: weight.parse().expect("a weight"),
        retries,
        ..fixtures::task(name)
    }
}

/// A task in a few words.
fn show(state: &TaskState, tasks: &[Task]) -> String {
    let attempt = (state.attempt > 1).then(|| format!("try {}", state.attempt));
    let reason = state.reason.map(|reason| reason.as_str().to_owned());
    let because = state.because_of.map(|number| format!("by {}", tasks[number as usize].id));
    let words = [Some(state.status.as_str().to_owned()), attempt, reason, because];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_narrower_run_starts_nothing_until_it_fits() {
    tell(
        "run 3 a b c d e f =>
         shells         => a running, b running, c running
         width 1        =>
         end a 0        => a completed
         end b 0        => b completed
         end c 0        => c completed, d running
         width 3        => e running, f running
         shells         =>
         end e 0        => e completed",
    );
}

#[test]
fn a_wider_run_fills_its_slots_at_once() {
    tell(
        "run 1 a b c d =>
         shells        => a running
         width 3       =>
         shells        => b running, c running
         width 1       =>
         width 4       =>
         shells        => d running",
    );
}

#[test]
fn a_heavy_task_gives_back_what_it_took() {
    tell(
        "run 4 big*4 a b c d =>
         shells         => big running
         width 2        =>
         end big 0      => big completed, a running
         width 4        =>
         shells         => b running, c running, d running",
    );
}

#[test]
fn a_heavy_task_fits_into_a_run_that_became_narrow() {
    tell(
        "run 4 a big*4 b =>
         shells         => a running
         width 2        =>
         end a 0        => a completed, big running
         width 4        =>
         shells         => b running",
    );
}

#[test]
fn a_cancelled_task_stays_cancelled_after_a_crash() {
    tell(
        "run 2 resumable a~ b c<a d<a! =>
         shells         => a running, b running
         cancel a       => a running cancelled interrupted
         crash          => a failed cancelled, b queued, c failed dependency_failed by a
         resume         =>
         shells         => b running try 2, d running
         end b 0        => b completed try 2",
    );
}

#[test]
fn what_ran_in_a_crash_fails_and_the_rest_waits_to_be_resumed() {
    tell(
        "run 2 a b c<a d<a! =>
         shells         => a running, b running
         end b 0        => b completed
         crash          => a failed server_restart, c failed dependency_failed by a
         resume         =>
         shells         => d running",
    );
}

#[test]
fn a_shutdown_leaves_runs_as_a_crash_does() {
    tell(
        "run 1 resumable a b<a c =>
         shells         => a running
         shutdown       => a queued
         resume         =>
         shells         => a running try 2
         end a 0        => a completed try 2, c running
         end c 0        => b running, c completed",
    );
    tell(
        "run 2 a~ b c<a d<a! e<b! =>
         shells         => a running, b running
         cancel b       => b running cancelled interrupted
         shutdown       => a failed server_restart, b failed cancelled, c failed dependency_failed by a
         resume         =>
         shells         => d running, e running",
    );
}

#[test]
fn a_shutdown_in_a_pause_between_tries_leaves_the_next_try() {
    tell(
        "run 1 a~ b<a   =>
         shells         => a running
         end a 1        => a queued
         shutdown       =>
         resume         =>
         shells         => a running try 2",
    );
}

#[test]
fn a_resumable_run_counts_its_tries_on() {
    tell(
        "run 1 resumable a~ b<a =>
         shells         => a running
         end a 1        => a queued
         crash          =>
         resume         =>
         shells         => a running try 2
         crash          => a queued try 2
         resume         =>
         shells         => a running try 3
         end a 1        => a failed try 3 exit_code, b failed dependency_failed by a",
    );
}

#[test]
fn a_run_that_gave_up_has_given_up_after_a_crash() {
    tell(
        "run 3 cancel-all resumable a b c<a d<a! =>
         shells         => a running, b running
         end a 1        => a failed exit_code, b running cancelled by a interrupted, c failed dependency_failed by a, d running
         crash          => b failed cancelled by a, d queued
         resume         =>
         shells         => d running try 2",
    );
}

#[test]
fn a_lost_session_makes_a_run_give_up() {
    tell(
        "run 3 cancel-all a b c d<a! =>
         shells         => a running, b running, c running
         lost a         => a failed session_lost, b running cancelled by a interrupted, c running cancelled by a interrupted
         end b 130      => b failed cancelled by a, d running
         end c 130      => c failed cancelled by a
         shells         =>",
    );
}

#[test]
fn what_is_told_to_end_is_cancelled_though_its_session_is_lost() {
    tell(
        "run 3 cancel-all a~ b~ c =>
         shells         => a running, b running, c running
         end c 1        => a running cancelled by c interrupted, b running cancelled by c interrupted, c failed exit_code
         lost a         => a failed cancelled by c
         end b 0        => b failed cancelled by c",
    );
}

#[test]
fn a_lost_session_is_tried_again_where_that_is_asked_for() {
    tell(
        "run 1 a~ b<a =>
         shells       => a running
         lost a       => a queued
         wait 1s      =>
         shells       => a running try 2
         end a 0      => a completed try 2, b running",
    );
}

#[test]
fn an_id_is_free_again_after_a_crash() {
    tell(
        "run 1 a b<a =>
         shells      => a running
         run 1 a     => refused duplicate_id
         crash       => a failed server_restart, b failed dependency_failed by a
         run 1 a     =>
         shells      => a running
         end a 0     => a completed
         run 1 b     => b running
         shells      =>",
    );
}

#[test]
fn an_id_of_a_run_that_waits_to_be_resumed_is_taken() {
    tell(
        "run 1 resumable a b<a =>
         shells         => a running
         crash          => a queued
         run 1 a        => refused duplicate_id
         resume         =>
         shells         => a running try 2
         end a 0        => a completed try 2, b running",
    );
}

#[test]
fn a_pool_that_starts_no_shells_gives_up_its_tasks() {
    tell(
        "run 2 a b<a c =>
         no shells     =>
         no shells     => a failed session_lost, b failed dependency_failed by a, c failed session_lost
         run 1 d       =>
         shells        => d running",
    );
}

#[test]
fn a_run_that_lost_its_pool_tries_again_when_told_to() {
    tell(
        "run 1 a b =>
         no shells =>
         pause     =>
         no shells =>
         resume    =>
         shells    => a running",
    );
}

#[test]
fn force_comes_after_a_grace_that_was_not_enough() {
    tell(
        "run 2 a b =>
         shells    => a running, b running
         cancel a  => a running cancelled interrupted
         kill a    => a running cancelled killed
         end a 0   => a failed cancelled
         cancel a  =>",
    );
}

#[test]
fn a_cancelled_task_that_ends_well_is_cancelled() {
    tell(
        "run 2 a~ b<a =>
         shells       => a running
         cancel a     => a running cancelled interrupted
         wait 5s      => a running cancelled killed
         end a 0      => a failed cancelled, b failed dependency_failed by a",
    );
}

#[test]
fn a_task_in_a_pause_between_tries_is_cancelled() {
    tell(
        "run 1 a~ b =>
         shells     => a running
         end a 1    => a queued, b running
         cancel a   => a failed cancelled
         wait 10s   =>
         end b 0    => b completed",
    );
}

#[test]
fn tasks_that_are_cancelled_together_are_one_record() {
    let mut tale = Tale { world: World::new(), seen: BTreeMap::new() };
    tale.distribute(1, &["a", "b", "c", "d"]).expect("a graph");
    tale.cancel(&["a", "b", "d"], CancelMode::Force);
    let numbers = tale.world.play.records.iter().filter_map(|record| {
        let Record::Task { numbers, .. } = record else { return None };
        Some(numbers.clone())
    });
    assert_eq!(numbers.collect::<Vec<_>>(), [0..=1, 3..=3]);
    tale.world.end_everything();
}

#[test]
fn a_paused_run_tries_nothing_again() {
    tell(
        "run 1 a~ b<a =>
         shells       => a running
         end a 1      => a queued
         pause        =>
         wait 10s     =>
         resume       => a running try 2
         end a 0      => a completed try 2, b running",
    );
}

#[test]
fn tasks_of_an_unknown_session_are_refused_like_those_of_an_unknown_run() {
    let world = World::new();
    let query = TaskQuery { session: Some("nowhere".to_owned()), ..TaskQuery::default() };
    let now = world.play.now();
    let refusals = [
        world.play.engine.report(now, &query, 9).expect_err("an unknown session").code,
        world.play.engine.progress(now, &query, 9).expect_err("an unknown session").code,
    ];
    assert_eq!(refusals, [ErrorCode::SessionNotFound; 2]);
}

#[test]
fn a_retried_run_stays_in_the_sessions_of_the_first() {
    let mut world = World::new();
    world.create(false);
    world.create(false);
    world.work(0);
    let sessions: Vec<String> = world.sessions.iter().map(ToString::to_string).collect();
    let new = NewRun { tasks: vec![fixtures::task("a")], sessions: sessions.clone(), ..NewRun::default() };
    let uuid = world.play.uuid();
    world.request(Request::Distribute { uuid, new: Box::new(new), workplace: workplace() }).expect("a run");
    world.work(1);
    let again = |world: &mut World, closed: usize| {
        let sessions = vec![world.sessions[closed].clone()];
        world
            .request(Request::Close { sessions, mode: CloseMode::Emergency, grace: None, reason: None })
            .expect("a live session");
        (0..3).for_each(|_| world.work(1));
        let query = TaskQuery { tasks: vec!["a".to_owned()], ..TaskQuery::default() };
        let uuid = world.play.uuid();
        world.request(Request::RetryTasks { uuid, query, only_failed: true })
    };
    let Ok(Reply::Run(accepted)) = again(&mut world, 0) else { panic!("one of the sessions lives") };
    assert_eq!(accepted.distributed[0].1.as_ref().map(ToString::to_string), Some(sessions[1].clone()));
    world.work(1);
    let error = again(&mut world, 1).expect_err("no session of the run lives");
    assert_eq!(error.code, ErrorCode::SessionClosed);
    assert!(error.hint.is_some());
}
