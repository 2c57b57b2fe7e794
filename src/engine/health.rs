//! What is wrong, by a look at how things stand: a pure function from a [`Snapshot`] to findings. Knows
//! neither who looks nor how often.

use std::time::Duration;

use crate::id::{CommandId, RunId, SessionId};
use crate::limits;
use crate::model::Status;

/// How things stand at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Those that are not over for good.
    pub sessions: Vec<SessionSight>,
    /// Tasks that are not over.
    pub tasks: TaskSight,
    /// The run with the most running tasks, and how many.
    pub busiest_run: Option<(RunId, usize)>,
    /// The machine as a whole; none where it tells nothing.
    pub machine: Option<MachineSight>,
    /// Where things are kept.
    pub store: StoreSight,
    /// Requests that wait for the server, and how many may.
    pub waiting_inputs: (usize, usize),
}

/// A session, as far as its health goes.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionSight {
    /// Which one.
    pub session: SessionId,
    /// Where it stands.
    pub status: Status,
    /// Why it ended, where it did.
    pub end_reason: Option<String>,
    /// Whether a signal holds its shell.
    pub stopped: bool,
    /// Whether it has used up the processor time that it may use.
    pub cpu_time_spent: bool,
    /// What runs.
    pub running: Option<RunningSight>,
    /// Commands behind that.
    pub queued: usize,
    /// Commands that ended, and how many of them failed.
    pub commands: (u64, u64),
}

/// A running command.
#[derive(Clone, Debug, PartialEq)]
pub struct RunningSight {
    /// Which one.
    pub command: CommandId,
    /// For how long there was neither output nor use of a processor.
    pub silent_for: Duration,
    /// Whether it waits for input.
    pub awaits_input: bool,
}

/// Tasks that are not over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskSight {
    /// Not started.
    pub queued: usize,
    /// Started.
    pub running: usize,
    /// Of the queued ones that were looked at, those that no session can take.
    pub incapable: usize,
}

/// The machine as a whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MachineSight {
    /// Percent of all processors; none right after the start.
    pub cpu: Option<f64>,
    /// The time that `cpu` is of.
    pub cpu_span: Duration,
    /// Percent of the memory.
    pub memory: f64,
}

/// Where the state is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreSight {
    /// Why it cannot be written, when it cannot.
    pub error: Option<String>,
    /// Its size in bytes.
    pub bytes: u64,
    /// Records that wait for a store that can be written.
    pub unwritten: usize,
    /// Bytes free on its disk, and in all.
    pub space: Option<(u64, u64)>,
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// Sessions and their commands.
    Sessions,
    /// Tasks.
    Tasks,
    /// The machine, and the server's own queues.
    Performance,
    /// The store and its disk.
    Store,
}

impl Component {
    /// All of them, as they are shown.
    pub const ALL: [Component; 4] =
        [Component::Sessions, Component::Tasks, Component::Performance, Component::Store];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::Tasks => "tasks",
            Self::Performance => "performance",
            Self::Store => "store",
        }
    }
}

/// How things are, from good to bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// Nothing to complain of.
    #[default]
    Healthy,
    /// Something to look after.
    Degraded,
    /// Something does not work.
    Critical,
}

impl Health {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Critical => "critical",
        }
    }

    /// The worst of these.
    pub fn of<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Self {
        findings.into_iter().map(|finding| finding.health).max().unwrap_or_default()
    }
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub component: Component,
    /// What is wrong, in a word: together with the session it tells one finding from another.
    pub kind: &'static str,
    /// How bad it is; never healthy.
    pub health: Health,
    /// What is wrong, with figures.
    pub message: String,
    /// Whose it is, if a session's.
    pub session: Option<SessionId>,
    /// What to do about it.
    pub recommendation: String,
}

/// Percent of the machine's processors and memory from which on it is busy, and from which on memory ends.
const BUSY: f64 = 90.0;
/// For this long at least: every start of a program takes all that there is for a moment.
const BUSY_FOR: Duration = Duration::from_secs(1);
const OUT_OF_MEMORY: f64 = 97.0;
/// Percent of a disk, and bytes on it, below which it is nearly full. It must be both: a hundredth of a
/// large disk is a lot.
const DISK: [(u64, u64, Health); 2] = [(1, 1 << 30, Health::Critical), (5, 5 << 30, Health::Degraded)];
/// The kind of a finding about a command without output and without CPU.
pub const STALE: &str = "stale";
/// Commands of a session from which on its failures say something, and the percentage that is too much.
const COMMANDS: u64 = 10;
const FAILURES: u64 = 50;

/// Everything that is wrong. A command that is silent and idle for `stale_after` is stale; one that waits
/// for input for as long is forgotten by its caller.
pub fn examine(snapshot: &Snapshot, stale_after: Duration) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        snapshot.sessions.iter().flat_map(|session| of_session(session, stale_after)).collect();
    findings.extend(of_tasks(snapshot.tasks));
    findings.extend(of_machine(snapshot));
    findings.extend(of_store(&snapshot.store));
    findings
}

fn of_session(sight: &SessionSight, stale_after: Duration) -> Vec<Finding> {
    let id = &sight.session;
    let mut findings = Vec::new();
    let mut find = |kind, health, message: String, recommendation: String| {
        let component = Component::Sessions;
        let session = Some(id.clone());
        findings.push(Finding { component, kind, health, message, session, recommendation });
    };
    let recover = format!("error_recover {{\"sessionId\":\"{id}\"}}");
    if sight.status == Status::Error {
        let reason = sight.end_reason.as_deref().unwrap_or("the shell ended badly");
        find("error", Health::Critical, format!("session {id} is in error: {reason}"), recover.clone());
    }
    if sight.stopped {
        let message = format!("a signal stopped the shell of session {id}");
        find("stopped", Health::Critical, message, recover.clone());
    }
    if sight.cpu_time_spent {
        let message = format!("session {id} has used up its maxCpuTime: what runs in it is ended at once");
        let restart = format!("error_recover {{\"sessionId\":\"{id}\",\"strategy\":\"restart\"}}");
        find("cpu_time_spent", Health::Critical, message, restart);
    }
    if sight.status == Status::Timeout {
        let message = format!("session {id} runs a command that outlived its timeout");
        let signal = format!("command_signal {{\"sessionId\":\"{id}\",\"signal\":\"SIGINT\"}}");
        find("timeout", Health::Degraded, message, signal);
    }
    if let Some(running) = sight.running.as_ref().filter(|running| running.silent_for >= stale_after) {
        let (command, seconds) = (&running.command, running.silent_for.as_secs());
        if running.awaits_input {
            let message = format!("{command} in session {id} has awaited input for {seconds} s");
            let look = format!("session_output {{\"sessionId\":\"{id}\"}}, then session_input");
            find("awaiting_input", Health::Degraded, message, look);
        } else if !sight.stopped {
            let message = format!("{command} in session {id} is stale: no output and no CPU for {seconds} s");
            find(STALE, Health::Critical, message, recover);
        }
    }
    if sight.queued * 5 >= limits::QUEUED_COMMANDS * 4 {
        let message = format!("{} commands wait in session {id}", sight.queued);
        find("queue", Health::Degraded, message, "spread the work over more sessions".to_owned());
    }
    let (ended, failed) = sight.commands;
    if ended >= COMMANDS && failed * 100 > ended * FAILURES {
        let message = format!("{failed} of {ended} commands in session {id} failed");
        let look = format!("session_output {{\"sessionId\":\"{id}\",\"errorsOnly\":true}}");
        find("failures", Health::Degraded, message, look);
    }
    findings
}

fn of_tasks(tasks: TaskSight) -> Option<Finding> {
    (tasks.incapable > 0).then(|| Finding {
        component: Component::Tasks,
        kind: "no_capable_session",
        health: Health::Degraded,
        message: format!("{} tasks wait for a capability that no session has", tasks.incapable),
        session: None,
        recommendation: "make a session with session_create and the capabilities that task_status names"
            .to_owned(),
    })
}

fn of_machine(snapshot: &Snapshot) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |kind, health, message: String, recommendation: &str| {
        let (component, recommendation) = (Component::Performance, recommendation.to_owned());
        findings.push(Finding { component, kind, health, message, session: None, recommendation });
    };
    if let Some(MachineSight { cpu, cpu_span, memory }) = snapshot.machine {
        if let Some(cpu) = cpu.filter(|cpu| *cpu > BUSY && cpu_span >= BUSY_FOR) {
            let message = format!("{cpu:.0} % of the machine's processors are in use");
            let recommendation = match &snapshot.busiest_run {
                Some((run, running)) => {
                    let fewer = running.div_ceil(2);
                    format!(
                        "run fewer tasks at once: task_control {{\"runId\":\"{run}\",\"maxConcurrent\":{fewer}}}"
                    )
                }
                None => "performance_monitor shows which sessions use them".to_owned(),
            };
            find("cpu", Health::Degraded, message, &recommendation);
        }
        if memory > BUSY {
            let health = if memory > OUT_OF_MEMORY { Health::Critical } else { Health::Degraded };
            let message = format!("{memory:.0} % of the machine's memory is in use");
            find(
                "memory",
                health,
                message,
                "session_list shows the memory of each session; close the largest",
            );
        }
    }
    let (waiting, most) = snapshot.waiting_inputs;
    if most > 0 && waiting * 5 >= most * 4 {
        let message = format!("{waiting} of at most {most} requests wait for the server");
        find("overload", Health::Degraded, message, "send fewer calls at once");
    }
    findings
}

fn of_store(store: &StoreSight) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |kind, health, message: String| {
        let recommendation = "free space in the state directory, or make it writable".to_owned();
        let component = Component::Store;
        findings.push(Finding { component, kind, health, message, session: None, recommendation });
    };
    if let Some(error) = &store.error {
        find("unwritable", Health::Critical, format!("the store cannot be written: {error}"));
    }
    if store.unwritten > 0 {
        let message = format!("{} records wait for a store that can be written", store.unwritten);
        find("unwritten", Health::Critical, message);
    }
    if let Some((free, total)) = store.space {
        let is_short =
            |(percent, bytes, _): &&(u64, u64, Health)| free < *bytes && free < total / 100 * percent;
        if let Some((_, _, health)) = DISK.iter().find(is_short) {
            find("disk", *health, format!("{} MB are free on the disk of the state directory", free >> 20));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(300);

    fn idle() -> SessionSight {
        SessionSight {
            session: SessionId::from_text("ses_a"),
            status: Status::Idle,
            end_reason: None,
            stopped: false,
            cpu_time_spent: false,
            running: None,
            queued: 0,
            commands: (9, 9),
        }
    }

    fn active(silent_secs: u64, awaits_input: bool) -> SessionSight {
        let command = CommandId::from_text("cmd_a");
        let silent_for = Duration::from_secs(silent_secs);
        let running = Some(RunningSight { command, silent_for, awaits_input });
        SessionSight { status: Status::Active, running, ..idle() }
    }

    fn of(session: SessionSight) -> Snapshot {
        Snapshot { sessions: vec![session], ..Snapshot::default() }
    }

    fn machine(cpu: f64, memory: f64) -> Snapshot {
        let machine = MachineSight { cpu: Some(cpu), cpu_span: BUSY_FOR, memory };
        Snapshot { machine: Some(machine), ..Snapshot::default() }
    }

    /// Busy at its first look, a moment after the start.
    fn starting() -> Snapshot {
        let machine = MachineSight { cpu: Some(100.0), cpu_span: BUSY_FOR / 2, memory: 50.0 };
        Snapshot { machine: Some(machine), ..Snapshot::default() }
    }

    fn disk(free: u64, total: u64) -> Snapshot {
        let store = StoreSight { space: Some((free << 20, total << 20)), ..StoreSight::default() };
        Snapshot { store, ..Snapshot::default() }
    }

    #[test]
    fn a_busy_machine_is_relieved_by_a_call_about_its_busiest_run() {
        let busy = |busiest_run| Snapshot { busiest_run, ..machine(91.0, 0.0) };
        let told = |snapshot: Snapshot| examine(&snapshot, LONG).remove(0).recommendation;
        let run = RunId::from_text("run_a");
        let call = r#"task_control {"runId":"run_a","maxConcurrent":3}"#;
        assert!(told(busy(Some((run, 5)))).ends_with(call));
        assert!(told(busy(None)).starts_with("performance_monitor"));
    }

    #[test]
    fn each_trouble_is_found_and_nothing_else_is() {
        use Health::{Critical, Degraded};
        let error = Some("a full disk".to_owned());
        let none: &[(&str, Health)] = &[];
        let table: [(Snapshot, &[(&str, Health)]); 26] = [
            (Snapshot::default(), none),
            (of(idle()), none),
            (of(active(299, false)), none),
            (of(active(300, false)), &[("stale", Critical)]),
            (of(active(299, true)), none),
            (of(active(300, true)), &[("awaiting_input", Degraded)]),
            (of(SessionSight { status: Status::Error, ..idle() }), &[("error", Critical)]),
            (of(SessionSight { stopped: true, ..idle() }), &[("stopped", Critical)]),
            (of(SessionSight { stopped: true, ..active(900, false) }), &[("stopped", Critical)]),
            (of(SessionSight { cpu_time_spent: true, ..idle() }), &[("cpu_time_spent", Critical)]),
            (of(SessionSight { status: Status::Timeout, ..idle() }), &[("timeout", Degraded)]),
            (of(SessionSight { queued: 79, ..idle() }), none),
            (of(SessionSight { queued: 80, ..idle() }), &[("queue", Degraded)]),
            (of(SessionSight { commands: (10, 5), ..idle() }), none),
            (of(SessionSight { commands: (10, 6), ..idle() }), &[("failures", Degraded)]),
            (
                Snapshot { tasks: TaskSight { queued: 9, running: 9, incapable: 1 }, ..Snapshot::default() },
                &[("no_capable_session", Degraded)],
            ),
            (machine(90.0, 90.0), none),
            (starting(), &[]),
            (machine(91.0, 91.0), &[("cpu", Degraded), ("memory", Degraded)]),
            (machine(0.0, 98.0), &[("memory", Critical)]),
            (Snapshot { waiting_inputs: (80, 100), ..Snapshot::default() }, &[("overload", Degraded)]),
            (
                Snapshot {
                    store: StoreSight { error, unwritten: 3, ..StoreSight::default() },
                    ..Snapshot::default()
                },
                &[("unwritable", Critical), ("unwritten", Critical)],
            ),
            (disk(6_000, 1_000_000), none),
            (disk(900, 10_000), none),
            (disk(4_000, 100_000), &[("disk", Degraded)]),
            (disk(900, 100_000), &[("disk", Critical)]),
        ];
        for (snapshot, expected) in table {
            let findings = examine(&snapshot, LONG);
            let found: Vec<_> = findings.iter().map(|finding| (finding.kind, finding.health)).collect();
            assert_eq!(found, expected, "{snapshot:?}");
            let worst = expected.iter().map(|(_, health)| *health).max().unwrap_or_default();
            assert_eq!(Health::of(&findings), worst, "{snapshot:?}");
        }
    }
}
