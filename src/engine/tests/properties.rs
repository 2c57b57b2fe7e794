//! What holds whatever happens: random requests, a model of the workers, and steps of time.

use std::collections::HashMap;

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

/// One thing that happens. `Index` picks among the sessions there are.
#[derive(Clone, Debug)]
enum Action {
    Create { plain: bool, idle: bool, command: bool, recovers: Option<RecoveryStrategy> },
    Execute { session: Index, count: usize, stop: bool, command: AnyCommand },
    Update { session: Index, status: Option<Status>, rows: u16, env: bool },
    Reset(Index),
    Recover(Index, RecoveryStrategy, bool, bool),
    Close(Index, CloseMode),
    Cancel(Index),
    Worker(Index, Sight),
    Wait(u64),
}

#[derive(Clone, Debug)]
struct AnyCommand {
    timeout_ms: u64,
    on_timeout: OnTimeout,
    when_busy: WhenBusy,
    retries: Option<u32>,
}

/// What a worker reports, where its state allows it.
#[derive(Clone, Copy, Debug)]
enum Sight {
    Started,
    SpawnFailed,
    Prompt,
    Busy,
    Typed,
    Begun,
    Awaiting,
    Ended(i32),
    LimitPassed,
    Gone(Exit),
    Stopped(bool),
    /// The prompt of a shell that was replaced.
    Stale,
}

fn sight() -> impl Strategy<Value = Sight> {
    prop_oneof![
        4 => Just(Sight::Started),
        1 => Just(Sight::SpawnFailed),
        6 => Just(Sight::Prompt),
        1 => Just(Sight::Busy),
        1 => Just(Sight::Typed),
        3 => Just(Sight::Begun),
        1 => Just(Sight::Awaiting),
        6 => prop_oneof![Just(0), Just(1), Just(130)].prop_map(Sight::Ended),
        1 => Just(Sight::LimitPassed),
        1 => prop_oneof![Just(Exit::Code(0)), Just(Exit::Code(3)), Just(Exit::Signal(9))].prop_map(Sight::Gone),
        1 => any::<bool>().prop_map(Sight::Stopped),
        1 => Just(Sight::Stale),
    ]
}

fn any_command() -> impl Strategy<Value = AnyCommand> {
    let on_timeout = prop_oneof![Just(OnTimeout::Leave), Just(OnTimeout::Interrupt), Just(OnTimeout::Kill)];
    let when_busy = prop_oneof![Just(WhenBusy::Queue), Just(WhenBusy::Error), Just(WhenBusy::Interrupt)];
    (0_u64..20_000, on_timeout, when_busy, proptest::option::of(0_u32..3)).prop_map(
        |(timeout_ms, on_timeout, when_busy, retries)| AnyCommand {
            timeout_ms,
            on_timeout,
            when_busy,
            retries,
        },
    )
}

fn action() -> impl Strategy<Value = Action> {
    let status = proptest::option::of(proptest::sample::select(Status::ALL.to_vec()));
    let strategy = || proptest::sample::select(RecoveryStrategy::ALL.to_vec());
    let mode = prop_oneof![Just(CloseMode::Graceful), Just(CloseMode::Force), Just(CloseMode::Emergency)];
    prop_oneof![
        2 => (any::<bool>(), any::<bool>(), any::<bool>(), proptest::option::of(strategy())).prop_map(
            |(plain, idle, command, recovers)| Action::Create { plain, idle, command, recovers }),
        2 => (any::<Index>(), strategy(), any::<bool>(), any::<bool>()).prop_map(
            |(session, strategy, requeue, stopped)| Action::Recover(session, strategy, requeue, stopped)),
        6 => (any::<Index>(), 0_usize..4, any::<bool>(), any_command())
            .prop_map(|(session, count, stop, command)| Action::Execute { session, count, stop, command }),
        1 => (any::<Index>(), status, 1_u16..3, any::<bool>())
            .prop_map(|(session, status, rows, env)| Action::Update { session, status, rows, env }),
        1 => any::<Index>().prop_map(Action::Reset),
        1 => (any::<Index>(), mode).prop_map(|(session, mode)| Action::Close(session, mode)),
        1 => any::<Index>().prop_map(Action::Cancel),
        20 => (any::<Index>(), sight()).prop_map(|(session, sight)| Action::Worker(session, sight)),
        3 => (0_u64..8_000).prop_map(Action::Wait),
    ]
}

/// A worker as far as the engine can tell.
struct Worker {
    generation: u32,
    plain: bool,
    started: bool,
    /// The command at hand, and whether it has begun.
    current: Option<(CommandId, bool)>,
}

/// A [`Play`] with workers, that checks after each action what must always hold.
struct World {
    play: Play,
    sessions: Vec<SessionId>,
    workers: HashMap<SessionId, Worker>,
    /// Every command in the order in which it was accepted.
    accepted: Vec<CommandId>,
    /// Commands of which a session was handed the first try, in order.
    handed_over: HashMap<SessionId, Vec<CommandId>>,
    ends: HashMap<CommandId, usize>,
    known_sessions: HashMap<SessionId, Session>,
    known_commands: HashMap<CommandId, Command>,
    /// All that came of it.
    trace: Vec<(Vec<Record>, Vec<Effect>)>,
}

impl World {
    fn play(actions: &[Action]) -> Vec<(Vec<Record>, Vec<Effect>)> {
        let mut world = World {
            play: Play::new(),
            sessions: Vec::new(),
            workers: HashMap::new(),
            accepted: Vec::new(),
            handed_over: HashMap::new(),
            ends: HashMap::new(),
            known_sessions: HashMap::new(),
            known_commands: HashMap::new(),
            trace: Vec::new(),
        };
        for action in actions {
            world.act(action);
            world.settle();
        }
        world.end_everything();
        world.trace
    }

    fn act(&mut self, action: &Action) {
        (self.play.effects, self.play.records) = (Vec::new(), Vec::new());
        let pick = |index: &Index| (!self.sessions.is_empty()).then(|| index.get(&self.sessions).clone());
        match action {
            Action::Create { plain, idle, command, recovers } => {
                let new = NewSession {
                    idle_timeout: idle.then(|| Duration::from_secs(10)),
                    command: command.then(|| "first".to_owned()),
                    recovery: recovers.map(|strategy| RecoveryPolicy { strategy, ..policy("auto") }),
                    ..NewSession::default()
                };
                let dialect = if *plain { Dialect::Plain } else { Dialect::Bash };
                if let Ok(id) = self.play.create_as(dialect, new) {
                    self.sessions.push(id);
                }
            }
            Action::Execute { session, count, stop, command } => {
                if let Some(id) = pick(session) {
                    let _ = self.play.execute(&id, vec![command.new_command(); *count], *stop);
                }
            }
            Action::Update { session, status, rows, env } => {
                let Some(id) = pick(session) else { return };
                let mut change =
                    SessionChange { status: *status, rows: Some(*rows), ..SessionChange::default() };
                if *env {
                    change.env.insert("A".into(), rows.to_string());
                }
                let _ = self.play.update(&id, change);
            }
            Action::Reset(session) => {
                if let Some(id) = pick(session) {
                    let _ = self.play.reset(&id);
                }
            }
            Action::Recover(session, strategy, requeue, is_stopped) => {
                let Some(id) = pick(session) else { return };
                let _ = self.play.request(Request::Recover(RecoveryRequest {
                    selector: id.to_string(),
                    strategy: *strategy,
                    max_retries: None,
                    retry_delay: None,
                    requeue: *requeue,
                    evidence: Evidence { category: None, is_stopped: *is_stopped },
                }));
            }
            Action::Close(session, mode) => {
                if let Some(id) = pick(session) {
                    self.play.close(&id, *mode);
                }
            }
            Action::Cancel(command) => {
                if !self.accepted.is_empty() {
                    let commands = vec![command.get(&self.accepted).clone()];
                    let scope = CancelScope::Queued;
                    self.play.request(Request::CancelCommands { commands, scope }).expect("never refused");
                }
            }
            Action::Worker(session, sight) => {
                if let Some(id) = pick(session) {
                    self.see(&id, *sight);
                }
            }
            Action::Wait(ms) => self.play.wait(Duration::from_millis(*ms)),
        }
    }

    /// Lets a worker report `sight`, if it can.
    fn see(&mut self, id: &SessionId, sight: Sight) {
        let Some(worker) = self.workers.get_mut(id) else { return };
        let generation = worker.generation;
        let at_prompt = worker.started && worker.current.is_none() && !worker.plain;
        let kind = match sight {
            Sight::Stale => {
                let prompt = WorkerEventKind::Prompt { directory: None };
                self.play.event_of(id, generation - 1, 0, prompt);
                assert!(self.play.effects.is_empty() && self.play.records.is_empty());
                return;
            }
            Sight::Started if !worker.started => {
                worker.started = true;
                WorkerEventKind::Started { pid: generation }
            }
            Sight::SpawnFailed if !worker.started => {
                self.workers.remove(id);
                WorkerEventKind::SpawnFailed { message: "no".into(), category: FailureCategory::SpawnFailed }
            }
            Sight::Prompt if at_prompt => WorkerEventKind::Prompt { directory: Some("/p".into()) },
            Sight::Busy if at_prompt => WorkerEventKind::Busy,
            Sight::Stopped(is_stopped) if worker.started => WorkerEventKind::Stopped(is_stopped),
            Sight::Typed if worker.started => WorkerEventKind::Typed { bytes: 1, secret: false },
            Sight::Gone(exit) if worker.started => {
                self.workers.remove(id);
                WorkerEventKind::Gone { exit, forced: false }
            }
            Sight::Begun | Sight::Awaiting | Sight::Ended(_) | Sight::LimitPassed => {
                let Some((command, begun)) = &mut worker.current else { return };
                let command = command.clone();
                match sight {
                    Sight::Begun if !*begun => {
                        *begun = true;
                        WorkerEventKind::Begun { command }
                    }
                    Sight::Awaiting => WorkerEventKind::Awaiting { command, line: Some("?".into()) },
                    Sight::LimitPassed => {
                        let limit = Limit::CpuTime;
                        let breach = Breach { limit, measured: 2, allowed: 1, by: Offender::Session };
                        WorkerEventKind::LimitPassed { command: Some(command), breach }
                    }
                    Sight::Ended(status) => {
                        worker.current = None;
                        ended(&command, status)
                    }
                    _ => return,
                }
            }
            _ => return,
        };
        self.play.event_of(id, generation, 0, kind);
    }

    /// Carries out the effects, and checks everything.
    fn settle(&mut self) {
        let records = std::mem::take(&mut self.play.records);
        let effects = std::mem::take(&mut self.play.effects);
        for record in &records {
            match record {
                Record::Command(command) if !self.known_commands.contains_key(&command.id) => {
                    self.accepted.push(command.id.clone());
                }
                Record::Event(event) => self.check_event(&event.kind),
                _ => {}
            }
        }
        // Commands of one request are committed in the order of their ids; the queue has the true one.
        for effect in &effects {
            self.carry_out(effect);
        }
        self.check_sessions(&records);
        self.check_commands(&records);
        self.trace.push((records, effects));
    }

    fn carry_out(&mut self, Effect { session, kind }: &Effect) {
        if let EffectKind::Spawn(spawn) = kind {
            let plain = spawn.dialect == Dialect::Plain;
            let worker = Worker { generation: spawn.generation, plain, started: false, current: None };
            assert!(self.workers.insert(session.clone(), worker).is_none(), "two workers for {session}");
            return;
        }
        let worker = self.workers.get_mut(session).expect("effects are only for workers");
        if let EffectKind::Run(run) = kind {
            let id = run.command.id.clone();
            assert!(!worker.plain, "a program without command ends was handed one");
            assert!(
                worker.current.replace((id.clone(), false)).is_none(),
                "two commands at once in {session}"
            );
            if run.command.attempt == 1 {
                self.handed_over.entry(session.clone()).or_default().push(id);
            }
        }
    }

    fn check_event(&mut self, kind: &EventKind) {
        match kind {
            EventKind::Status { old, new } => assert!(old.successors().contains(new), "{old:?} to {new:?}"),
            EventKind::CommandEnded { command, .. } => *self.ends.entry(command.clone()).or_default() += 1,
            _ => {}
        }
    }

    fn check_sessions(&mut self, records: &[Record]) {
        for session in self.play.engine.sessions() {
            let is_committed =
                records.iter().any(|record| matches!(record, Record::Session(known) if **known == *session));
            let before = self.known_sessions.insert(session.id.clone(), session.clone());
            // What a crash may take along.
            let noticed = before.clone().map(|before| match session.status {
                Status::Active => Session {
                    status: session.status,
                    last_activity: session.last_activity,
                    last_command: session.last_command.clone(),
                    ..before
                },
                _ => before,
            });
            assert!(
                is_committed || noticed.as_ref() == Some(session),
                "an uncommitted change of {session:?}"
            );
            if let Some(before) = before {
                assert!(
                    !before.status.is_final() || before.status == session.status,
                    "{before:?} to {session:?}"
                );
                assert!(before.generation <= session.generation);
            }
            let has_worker = self.workers.contains_key(&session.id);
            // Between two attempts of a recovery there is none.
            let may_lack_one = session.status == Status::Recovering;
            assert!(session.status.is_live() == has_worker || may_lack_one, "{session:?}");
            assert!(session.ended_at.is_some() != session.status.is_live() || may_lack_one, "{session:?}");
            assert!(session.commands_failed <= session.commands_executed, "{session:?}");
        }
    }

    fn check_commands(&mut self, records: &[Record]) {
        let mut running: HashMap<SessionId, CommandId> = HashMap::new();
        let mut pending = 0;
        for id in &self.accepted {
            let command = self.play.command(id);
            let is_committed =
                records.iter().any(|record| matches!(record, Record::Command(known) if **known == *command));
            let before = self.known_commands.insert(id.clone(), command.clone());
            if let Some(before) = &before {
                assert!(!before.is_ended() || before == command, "{before:?} ended, and became {command:?}");
                // What a crash may take along.
                let noticed = Command {
                    output_from: command.output_from,
                    awaiting_input: command.awaiting_input.clone(),
                    ..before.clone()
                };
                assert!(is_committed || noticed == *command, "an uncommitted change of {command:?}");
            }
            let ends = self.ends.get(id).copied().unwrap_or(0);
            assert_eq!(ends, usize::from(command.is_ended()), "{command:?}");
            assert_eq!(command.ending.is_some(), command.is_ended(), "{command:?}");
            if command.is_ended() {
                continue;
            }
            pending += 1;
            let session = self.play.session(&command.session);
            assert!(session.status.is_live(), "{command:?} in {session:?}");
            if command.state == CommandState::Running {
                assert!(
                    matches!(session.status, Status::Active | Status::Timeout | Status::Recovering),
                    "{command:?} in {session:?}"
                );
                let other = running.insert(command.session.clone(), id.clone());
                assert_eq!(other, None, "two commands run in {session:?}");
            }
        }
        let watched =
            self.play.engine.sessions().filter(|s| s.status.is_live() && s.idle_timeout_ms.is_some());
        // One more each for what passes a limit.
        let most = pending + watched.count() + self.sessions.len() + self.workers.len();
        assert!(self.play.engine.deadlines.len() <= most, "deadlines pile up");
    }

    /// Closes all sessions, and lets their shells go.
    fn end_everything(&mut self) {
        for id in self.sessions.clone() {
            self.play.close(&id, CloseMode::Emergency);
            self.settle();
            self.see(&id, Sight::Started);
            self.settle();
            self.see(&id, Sight::Gone(Exit::Signal(9)));
            self.settle();
        }
        assert!(self.accepted.iter().all(|id| self.play.command(id).is_ended()));
        assert_eq!(self.play.engine.next_deadline(), None);
        for (session, handed_over) in &self.handed_over {
            // What a recovery accepts anew has a number of its own.
            let times = handed_over.iter().filter_map(|id| self.play.number(self.play.command(id).uuid));
            assert!(times.is_sorted(), "{session} did not run its commands in order");
        }
    }
}

impl AnyCommand {
    fn new_command(&self) -> NewCommand {
        NewCommand {
            timeout: Some(Duration::from_millis(self.timeout_ms)),
            on_timeout: Some(self.on_timeout).filter(|what| *what != OnTimeout::Leave),
            when_busy: self.when_busy,
            retries: self.retries.map(|max| Retries { max, delay_ms: 700, backoff: 2.0 }),
            ..NewCommand::line("x")
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn the_rules_hold_and_the_same_inputs_give_the_same_steps(
        actions in proptest::collection::vec(action(), 1..160)
    ) {
        let first = World::play(&actions);
        prop_assert!(first == World::play(&actions));
    }
}
