//! The engine's rules, without a clock or a terminal.
//!
//! Most rules are told as a script for [`check`]: one line for each thing that happens, and behind
//! `=>` everything that comes of it. To add a case, write its lines, leave the right side empty,
//! run it, and judge what it shows.

mod activity;
mod agents;
mod bounds;
mod circuits;
mod closing;
mod commands;
mod consent;
mod forgetting;
mod graphs;
mod histories;
mod laws;
mod lineage;
mod messages;
mod pools;
mod properties;
mod recovery;
mod runs;
mod selector;
mod sessions;
mod spending;
mod stopping;
mod worlds;

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use uuid::Uuid;

use super::request::{
    CancelScope, CloseMode, Evidence, NewCommand, NewSession, RecoveryRequest, SessionChange,
};
use super::{Defaults, Effect, EffectKind, Engine, Exit, Reply, Request, Step, WorkerEvent, WorkerEventKind};
use crate::clock::{Moment, Now, Timestamp};
use crate::error::{Error, Result};
use crate::id::{CommandId, SessionId};
use crate::model::{
    Breach, Command, CommandState, Dialect, Ending, EventKind, FailureCategory, Limit, Offender, OnTimeout,
    Record, RecoveryPolicy, RecoverySettings, RecoveryStrategy, Retries, Session, SessionKind, Status,
    WhenBusy,
};

/// Plays the dispatcher and the workers, with a clock of its own.
struct Play {
    engine: Engine,
    clock: Duration,
    uuids: u128,
    /// What the latest input led to.
    effects: Vec<Effect>,
    records: Vec<Record>,
}

/// Two minutes: the timeout of commands that name none.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(120);

/// Spreads small numbers over all bits of a UUID, so that ids differ from their first character on.
const SPREAD: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;

impl Play {
    fn new() -> Self {
        let defaults = Defaults {
            command_timeout: COMMAND_TIMEOUT,
            idle_timeout: None,
            output_bytes: 1 << 20,
            max_concurrent: 4,
            attended: false,
            recovery: RecoverySettings::DEFAULT,
            cleanup_after: None,
        };
        Self {
            engine: Engine::new(defaults),
            clock: Duration::from_secs(100),
            uuids: 0,
            effects: Vec::new(),
            records: Vec::new(),
        }
    }

    fn now(&self) -> Now {
        let wall = 1_700_000_000_000 + i64::try_from(self.clock.as_millis()).expect("a short test");
        Now { moment: Moment(self.clock), wall: Timestamp(wall) }
    }

    fn uuid(&mut self) -> Uuid {
        self.uuids += 1;
        Uuid::from_u128(self.uuids.wrapping_mul(SPREAD))
    }

    /// As which one `uuid` was made.
    fn number(&self, uuid: Uuid) -> Option<u128> {
        (1..=self.uuids).find(|number| number.wrapping_mul(SPREAD) == uuid.as_u128())
    }

    /// Keeps what a step holds; every record must stand in it once.
    fn take(&mut self, step: Step) {
        self.records = self.engine.records(&step);
        self.effects = step.effects;
        let mut ids = HashSet::new();
        for record in &self.records {
            let id = match record {
                Record::Session(session) => session.id.to_string(),
                Record::Command(command) => command.id.to_string(),
                Record::Run(run) => run.id.to_string(),
                Record::Graph { run, .. } => format!("graph of {run}"),
                Record::Task { run, numbers, .. } => format!("{run} {numbers:?}"),
                Record::Estimate { work, .. } => format!("work {work}"),
                Record::Removed(id) => id.to_string(),
                Record::Event(_)
                | Record::Agent(_)
                | Record::AgentGone(_)
                | Record::Message(..)
                | Record::Received(..)
                | Record::Pool { .. }
                | Record::PoolGone(_) => continue,
            };
            assert!(ids.insert(id.clone()), "{id} is committed twice");
        }
    }

    fn request(&mut self, request: Request) -> Result<Reply> {
        let mut step = Step::default();
        let reply = self.engine.request(self.now(), request, &mut step);
        self.take(step);
        if reply.is_err() {
            assert!(
                self.effects.is_empty() && self.records.is_empty(),
                "a refused request changed something"
            );
        }
        reply
    }

    fn event_of(&mut self, session: &SessionId, generation: u32, cursor: u64, kind: WorkerEventKind) {
        let mut step = Step::default();
        let event = WorkerEvent { session: session.clone(), generation, cursor, kind };
        self.engine.event(self.now(), event, &mut step);
        self.take(step);
    }

    fn event(&mut self, session: &SessionId, kind: WorkerEventKind) {
        let generation = self.session(session).generation;
        self.event_of(session, generation, 0, kind);
    }

    /// Lets time pass, from deadline to deadline.
    fn wait(&mut self, duration: Duration) {
        let until = self.clock + duration;
        let (mut effects, mut records) = (Vec::new(), Vec::new());
        while let Some(Moment(due)) = self.engine.next_deadline().filter(|due| due.0 <= until) {
            self.clock = self.clock.max(due);
            let mut step = Step::default();
            self.engine.elapse(self.now(), &mut step);
            self.take(step);
            effects.append(&mut self.effects);
            records.append(&mut self.records);
        }
        self.clock = until;
        (self.effects, self.records) = (effects, records);
    }

    fn create_as(&mut self, dialect: Dialect, new: NewSession) -> Result<SessionId> {
        let (uuid, command_uuid) = (self.uuid(), self.uuid());
        let reply = self.request(Request::CreateSession {
            uuid,
            new: Box::new(new),
            shell: PathBuf::from(if dialect == Dialect::Plain { "/usr/bin/top" } else { "/bin/bash" }),
            dialect,
            directory: PathBuf::from("/start"),
            command_uuid,
        })?;
        match reply {
            Reply::Session(session) => Ok(session.id),
            reply => panic!("{reply:?} for a creation"),
        }
    }

    /// A session that is still starting.
    fn create(&mut self, new: NewSession) -> SessionId {
        self.create_as(Dialect::Bash, new).expect("a session")
    }

    /// A session at its prompt.
    fn idle(&mut self, new: NewSession) -> SessionId {
        let id = self.create(new);
        self.event(&id, WorkerEventKind::Started { pid: 7 });
        self.event(&id, WorkerEventKind::Prompt { directory: None });
        id
    }

    fn execute(
        &mut self,
        session: &SessionId,
        commands: Vec<NewCommand>,
        stop_on_error: bool,
    ) -> Result<Vec<CommandId>> {
        let commands = commands.into_iter().map(|command| (self.uuid(), command)).collect();
        let selector = session.to_string();
        match self.request(Request::Execute { selector, commands, stop_on_error })? {
            Reply::Commands(accepted) => Ok(accepted.into_iter().map(|command| command.id).collect()),
            reply => panic!("{reply:?} for an execution"),
        }
    }

    fn run(&mut self, session: &SessionId, text: &str) -> CommandId {
        self.execute(session, vec![NewCommand::line(text)], false).expect("accepted").remove(0)
    }

    fn end(&mut self, session: &SessionId, command: &CommandId, status: i32) {
        self.event(session, ended(command, status));
    }

    fn update(&mut self, session: &SessionId, change: SessionChange) -> Result<Session> {
        let request = Request::UpdateSession { selector: session.to_string(), change: Box::new(change) };
        match self.request(request)? {
            Reply::Session(session) => Ok(*session),
            reply => panic!("{reply:?} for an update"),
        }
    }

    fn reset(&mut self, session: &SessionId) -> Result<Reply> {
        self.request(Request::ResetSession { selector: session.to_string() })
    }

    fn close(&mut self, session: &SessionId, mode: CloseMode) {
        let sessions = vec![session.clone()];
        self.request(Request::Close { sessions, mode, grace: None, reason: None }).expect("never refused");
    }

    fn gone(&mut self, session: &SessionId, exit: Exit) {
        self.event(session, WorkerEventKind::Gone { exit, forced: false });
    }

    fn session(&self, id: &SessionId) -> &Session {
        self.engine.session(id).expect("a known session")
    }

    fn command(&self, id: &CommandId) -> &Command {
        self.engine.command(id).expect("a known command")
    }

    /// The events of the latest input.
    fn events(&self) -> Vec<&EventKind> {
        let events = self.records.iter().filter_map(|record| match record {
            Record::Event(event) => Some(&event.kind),
            _ => None,
        });
        events.collect()
    }

    /// The reasons that the latest input left in the history.
    fn decisions(&self) -> Vec<&str> {
        let reasons = self.events().into_iter().filter_map(|kind| match kind {
            EventKind::Decision { reason } => Some(reason.as_str()),
            _ => None,
        });
        reasons.collect()
    }
}

fn ended(command: &CommandId, status: i32) -> WorkerEventKind {
    WorkerEventKind::Ended {
        command: command.clone(),
        status,
        from: 0,
        duration_us: 1_000,
        directory: Some(PathBuf::from("/here")),
    }
}

/// Plays `script` for one session, and compares what comes of each line. Commands are named by their text.
#[track_caller]
fn check(script: &str) {
    let mut stage = Stage {
        play: Play::new(),
        session: None,
        commands: BTreeMap::new(),
        status: None,
        seen: BTreeMap::new(),
    };
    let mut expected = String::new();
    let mut actual = String::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (input, outcome) = line.split_once("=>").unwrap_or((line, ""));
        let words: Vec<&str> = input.split_whitespace().collect();
        let came = stage.line(&words);
        writeln!(expected, "{} => {}", words.join(" "), outcome.trim()).expect("a string");
        writeln!(actual, "{} => {came}", words.join(" ")).expect("a string");
    }
    assert!(expected == actual, "expected\n{expected}\nbut it went\n{actual}");
}

/// A [`Play`] with one session, and what was last shown of it.
struct Stage {
    play: Play,
    session: Option<SessionId>,
    commands: BTreeMap<String, CommandId>,
    status: Option<Status>,
    seen: BTreeMap<String, String>,
}

impl Stage {
    fn line(&mut self, words: &[&str]) -> String {
        (self.play.effects, self.play.records) = (Vec::new(), Vec::new());
        let refused = self.input(words).err();
        let mut came: Vec<String> = self.play.effects.iter().map(|effect| self.effect(effect)).collect();
        let status = self.session.as_ref().map(|id| self.play.session(id).status);
        if status != self.status {
            came.extend(status.map(|status| status.as_str().to_owned()));
            self.status = status;
        }
        for (name, id) in &self.commands {
            let shown = show(self.play.command(id));
            if self.seen.insert(name.clone(), shown.clone()).as_ref() != Some(&shown) {
                came.push(format!("{name}: {shown}"));
            }
        }
        came.extend(refused.map(|error| format!("refused {}", error.code)));
        came.join(", ")
    }

    fn input(&mut self, words: &[&str]) -> std::result::Result<(), Error> {
        let session = self.session.clone().unwrap_or_else(|| SessionId::from_text("none"));
        match words {
            ["create", options @ ..] => return self.create(options),
            ["started"] => self.play.event(&session, WorkerEventKind::Started { pid: 7 }),
            ["spawn_failed"] => {
                self.play.event(
                    &session,
                    WorkerEventKind::SpawnFailed {
                        message: "no such file".into(),
                        category: FailureCategory::SpawnFailed,
                    },
                );
            }
            ["prompt"] => self.play.event(&session, WorkerEventKind::Prompt { directory: None }),
            ["old", "prompt"] => {
                let generation = self.play.session(&session).generation - 1;
                self.play.event_of(&session, generation, 0, WorkerEventKind::Prompt { directory: None });
            }
            ["busy"] => self.play.event(&session, WorkerEventKind::Busy),
            ["typed"] => self.play.event(&session, WorkerEventKind::Typed { bytes: 1, secret: false }),
            ["begun", name] => {
                let command = self.commands[*name].clone();
                self.play.event(&session, WorkerEventKind::Begun { command });
            }
            ["ended", name, status] => {
                let command = self.commands[*name].clone();
                self.play.end(&session, &command, status.parse().expect("a status"));
            }
            [word @ ("memory_limit" | "cpu_spent"), names @ ..] => {
                let command = names.first().map(|name| self.commands[*name].clone());
                let (limit, by) = match *word {
                    "cpu_spent" => (Limit::CpuTime, Offender::Session),
                    _ => (Limit::Memory, Offender::Command),
                };
                let breach = Breach { limit, measured: 2, allowed: 1, by };
                self.play.event(&session, WorkerEventKind::LimitPassed { command, breach });
            }
            ["terminal_lost"] => self.play.event(&session, WorkerEventKind::TerminalLost),
            ["gone", code] => self.play.gone(&session, Exit::Code(code.parse().expect("a code"))),
            ["killed", signal] => self.play.gone(&session, Exit::Signal(signal.parse().expect("a signal"))),
            ["run", names, options @ ..] => return self.run(&session, names, options, false),
            ["batch", names, options @ ..] => return self.run(&session, names, options, true),
            [word @ ("cancel" | "stop"), names @ ..] => {
                let commands = names.iter().map(|name| self.commands[*name].clone()).collect();
                let scope = if *word == "stop" { CancelScope::All } else { CancelScope::Queued };
                self.play.request(Request::CancelCommands { commands, scope })?;
            }
            ["close", options @ ..] => {
                let mode = match options.first() {
                    Some(&"force") => CloseMode::Force,
                    Some(&"emergency") => CloseMode::Emergency,
                    _ => CloseMode::Graceful,
                };
                let grace = options.get(1).map(|text| duration(text));
                let sessions = vec![session];
                self.play.request(Request::Close { sessions, mode, grace, reason: None })?;
            }
            ["set", status] => {
                let status = Status::ALL.into_iter().find(|known| known.as_str() == *status);
                self.play.update(&session, SessionChange { status, ..SessionChange::default() })?;
            }
            ["reset"] => {
                self.play.reset(&session)?;
            }
            ["recover", word, options @ ..] => {
                self.play.request(Request::Recover(RecoveryRequest {
                    selector: session.to_string(),
                    strategy: policy(word).strategy,
                    max_retries: None,
                    retry_delay: None,
                    requeue: options.contains(&"requeue"),
                    evidence: Evidence { is_stopped: options.contains(&"stopped"), category: None },
                }))?;
            }
            ["stopped"] => self.play.event(&session, WorkerEventKind::Stopped(true)),
            ["continued"] => self.play.event(&session, WorkerEventKind::Stopped(false)),
            ["not_found"] => {
                let (message, category) = ("no such file".into(), FailureCategory::CommandNotFound);
                self.play.event(&session, WorkerEventKind::SpawnFailed { message, category });
            }
            ["wait", text] => self.play.wait(duration(text)),
            _ => panic!("no such line: {words:?}"),
        }
        Ok(())
    }

    fn create(&mut self, options: &[&str]) -> Result<()> {
        let mut new = NewSession::default();
        let mut dialect = Dialect::Bash;
        for option in options {
            match option.split_once('=').unwrap_or((option, "")) {
                ("plain", _) => dialect = Dialect::Plain,
                ("observer", _) => new.kind = SessionKind::Observer,
                ("idle", text) => new.idle_timeout = Some(duration(text)),
                ("command", text) => new.command = Some(text.to_owned()),
                ("recover", word) => new.recovery = Some(policy(word)),
                _ => panic!("no such option: {option}"),
            }
        }
        let first = new.command.clone();
        let id = self.play.create_as(dialect, new)?;
        if let Some(name) = first {
            let record = self.play.records.iter().find_map(|record| match record {
                Record::Command(command) => Some(command.id.clone()),
                _ => None,
            });
            self.commands.insert(name, record.expect("its first command"));
        }
        self.session = Some(id);
        Ok(())
    }

    /// `names` are separated by commas; the options are those of each.
    fn run(&mut self, session: &SessionId, names: &str, options: &[&str], stop: bool) -> Result<()> {
        let names: Vec<&str> = names.split(',').collect();
        let new = |name: &&str| {
            let mut new = NewCommand::line(*name);
            for option in options {
                match *option {
                    "interrupt" => new.on_timeout = Some(OnTimeout::Interrupt),
                    "kill" => new.on_timeout = Some(OnTimeout::Kill),
                    "or-error" => new.when_busy = WhenBusy::Error,
                    "or-interrupt" => new.when_busy = WhenBusy::Interrupt,
                    "any-code" => new.ok_exit_codes = None,
                    option => match option.split_once('=').expect("an option") {
                        ("timeout", text) => new.timeout = Some(duration(text)),
                        ("retries", max) => {
                            let max = max.parse().expect("a number");
                            new.retries = Some(Retries { max, delay_ms: 1_000, backoff: 3.0 });
                        }
                        ("ok", code) => new.ok_exit_codes = Some(vec![0, code.parse().expect("a code")]),
                        _ => panic!("no such option: {option}"),
                    },
                }
            }
            new
        };
        let ids = self.play.execute(session, names.iter().map(new).collect(), stop)?;
        self.commands.extend(names.into_iter().map(str::to_owned).zip(ids));
        Ok(())
    }

    fn effect(&self, effect: &Effect) -> String {
        assert_eq!(Some(&effect.session), self.session.as_ref(), "{effect:?}");
        match &effect.kind {
            EffectKind::Spawn(spawn) => format!("spawn {}", spawn.generation),
            EffectKind::Run(run) => format!("run {}", run.command.text),
            EffectKind::Interrupt => "interrupt".to_owned(),
            EffectKind::Kill => "kill".to_owned(),
            EffectKind::Terminate => "terminate".to_owned(),
            EffectKind::Resume => "resume".to_owned(),
            EffectKind::EndOffenders { force: false } => "end offenders".to_owned(),
            EffectKind::EndOffenders { force: true } => "kill offenders".to_owned(),
            EffectKind::Bound(bounds) => format!("bound {bounds:?}"),
            EffectKind::WatchPrompts(watches) => format!("watch prompts {watches}"),
            EffectKind::Answer { keys, at } => format!("answer {keys:?} at {at}"),
            EffectKind::Resize(size) => format!("resize {}x{}", size.rows, size.cols),
            EffectKind::Close { mode, grace } => format!("close {mode:?} {grace:?}").to_lowercase(),
            EffectKind::Forget => "forget".to_owned(),
            EffectKind::Remove => "remove".to_owned(),
        }
    }
}

/// Three attempts, 2 s apart at first, by the strategy of this name.
fn policy(word: &str) -> RecoveryPolicy {
    let named = RecoveryStrategy::ALL.into_iter().find(|strategy| strategy.as_str() == word);
    let strategy = named.unwrap_or_else(|| panic!("no such strategy: {word}"));
    RecoveryPolicy { max_retries: 3, retry_delay_ms: 2_000, strategy }
}

fn duration(text: &str) -> Duration {
    humantime::parse_duration(text).expect("a duration")
}

/// A command in a few words.
fn show(command: &Command) -> String {
    let how = match (command.state, command.ending) {
        (CommandState::Queued, None) => "queued".to_owned(),
        (CommandState::Running, None) => "running".to_owned(),
        (CommandState::Ended, Some(Ending::Exited(status))) => format!("exited {status}"),
        (CommandState::Ended, Some(Ending::ShellExited(code))) => format!("shell exited {code}"),
        (CommandState::Ended, Some(Ending::ShellKilled(signal))) => format!("shell killed {signal}"),
        (CommandState::Ended, Some(Ending::Lost)) => "lost".to_owned(),
        other => panic!("{other:?} does not go together"),
    };
    let attempt = (command.attempt > 1).then(|| format!("try {}", command.attempt));
    let late = command.timed_out.then(|| "late".to_owned());
    let reason = command.reason.map(|reason| reason.as_str().to_owned());
    [Some(how), attempt, late, reason].into_iter().flatten().collect::<Vec<_>>().join(" ")
}
