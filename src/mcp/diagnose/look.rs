//! What can be said of a session, from its record, its processes and the end of its last output. Pure; knows
//! nothing of what to do about it.

use std::time::Duration;

use serde_json::Value;

use crate::clock::Timestamp;
use crate::mcp::answer::spoken;
use crate::mcp::arguments::shortened;
use crate::model::{Command, CommandState, EndReason, Status};
use crate::orchestrator::{Observation, Usage};
use crate::term::diagnosis::{self, Category, Diagnosis};

/// For a caller who says that something is slow or stuck, a command is when it was silent, and used no
/// processor, for this long.
const SUSPECTED_STALE: Duration = Duration::from_secs(10);
/// Percent of a core under which a process does nothing.
const NO_CPU: f64 = 1.0;
/// Percent of a core from which on a session is busy, when it was for so long: a shell that starts, or any
/// small command, takes a whole core for a moment.
const HIGH_CPU: f64 = 90.0;
const BUSY: Duration = Duration::from_secs(10);
/// Bytes from which on a session is large.
const HIGH_MEMORY: u64 = 1 << 30;
/// The same for a caller who asks about them.
const SUSPECTED_CPU: f64 = 10.0;
const SUSPECTED_MEMORY: u64 = 100 << 20;
/// Longer problems are messages, not words about one.
const WORDS_BYTES: usize = 200;

/// What is the matter. The order is that of an answer: what is worst comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The shell is dead.
    SessionError,
    /// A signal holds the shell.
    Stopped,
    /// It may not use any more processor time.
    CpuTimeSpent,
    /// A command runs on after its timeout.
    TimedOut,
    /// A command runs, silent and idle.
    Stale,
    /// A command waits for somebody to type.
    AwaitingInput,
    /// A command was ended for a reason of the server's.
    Ended(Reason),
    /// A command failed in this way.
    Failed(Category),
    /// The shell has not shown a prompt yet.
    Starting,
    /// A signal holds what was started in it.
    Suspended,
    HighMemory,
    HighCpu,
    /// A command runs, and nothing is wrong with it so far.
    Running,
}

/// The reasons of [`EndReason`] that are worth telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    Timeout,
    SessionLost,
    ServerRestart,
    MemoryLimit,
    CpuLimit,
    ProcessLimit,
    FileLimit,
}

impl Kind {
    /// The word on the wire.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::SessionError => "session_error",
            Self::Stopped => "stopped",
            Self::CpuTimeSpent => "cpu_time_spent",
            Self::Suspended => "suspended",
            Self::TimedOut | Self::Ended(Reason::Timeout) => "timeout",
            Self::Stale => "stale",
            Self::AwaitingInput => "awaiting_input",
            Self::Ended(Reason::SessionLost) => "session_lost",
            Self::Ended(Reason::ServerRestart) => "server_restart",
            Self::Ended(Reason::MemoryLimit) => "memory_limit",
            Self::Ended(Reason::CpuLimit) => "cpu_limit",
            Self::Ended(Reason::ProcessLimit) => "process_limit",
            Self::Ended(Reason::FileLimit) => "file_limit",
            Self::Failed(category) => category.as_str(),
            Self::Starting => "starting",
            Self::HighMemory => "high_memory",
            Self::HighCpu => "high_cpu",
            Self::Running => "running",
        }
    }

    /// What of a session it is about.
    pub(super) fn component(self) -> &'static str {
        match self {
            Self::SessionError | Self::Stopped | Self::CpuTimeSpent | Self::Starting => "session",
            Self::HighMemory | Self::HighCpu => "resources",
            Self::TimedOut
            | Self::Stale
            | Self::AwaitingInput
            | Self::Suspended
            | Self::Ended(_)
            | Self::Failed(_)
            | Self::Running => "command",
        }
    }
}

/// One thing that is the matter.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Finding {
    pub(super) kind: Kind,
    pub(super) message: String,
    /// The number or name that the message is about.
    pub(super) value: Option<Value>,
    /// The line that says so.
    pub(super) evidence: String,
    /// What told it, when an output did.
    pub(super) told: Option<Diagnosis>,
}

impl Finding {
    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), value: None, evidence: String::new(), told: None }
    }

    fn of(told: Diagnosis, exit: Option<i32>) -> Self {
        let about =
            told.subject.as_deref().map_or_else(String::new, |subject| format!(": {}", shortened(subject)));
        let by_code = exit.filter(|_| told.evidence.is_empty());
        let code = by_code.map_or_else(String::new, |exit| format!(" (exit code {exit})"));
        Self {
            kind: Kind::Failed(told.category),
            message: format!("{}{about}{code}", told.category.message()),
            value: told.subject.clone().map(Value::from).or(by_code.map(Value::from)),
            evidence: told.evidence.clone(),
            told: Some(told),
        }
    }
}

/// What a caller's own words ask to be looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) stuck: bool,
    pub(super) memory: bool,
    pub(super) cpu: bool,
}

impl Asked {
    pub(super) fn of(problem: &str) -> Self {
        let text = if problem.len() > WORDS_BYTES { String::new() } else { problem.to_lowercase() };
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        let slow = has(&["slow", "lag", "performance"]);
        Self {
            stuck: slow
                || has(&[
                    "stuck",
                    "hang",
                    "hung",
                    "frozen",
                    "freez",
                    "unresponsive",
                    "not responding",
                    "no output",
                ]),
            memory: slow || has(&["memory", " ram", "leak", "oom"]),
            cpu: slow || has(&["cpu", "load", "busy"]),
        }
    }
}

/// What a text of the caller's says went wrong: a message as a program printed it, or the name of a kind of
/// failure.
pub(super) fn of_problem(problem: &str) -> Vec<Finding> {
    let mut told = diagnosis::diagnose(problem, None);
    let is_short = problem.len() <= WORDS_BYTES && !problem.contains('\n');
    if told.is_empty() && is_short {
        // People leave out the name of the program that messages begin with.
        let message = format!("problem: {}", problem.trim());
        told = diagnosis::diagnose(&message, None);
        for found in &mut told {
            problem.trim().clone_into(&mut found.evidence);
        }
    }
    if told.is_empty() && is_short {
        let words = problem.to_lowercase().replace(['_', '-'], " ");
        let named =
            Category::ALL.into_iter().filter(|category| *category != Category::Unknown).find(|category| {
                let name = category.as_str().replace('_', " ");
                format!(" {words} ").contains(&format!(" {name} "))
            });
        told.extend(named.map(|category| Diagnosis {
            category,
            evidence: problem.trim().to_owned(),
            subject: None,
            ecosystem: None,
        }));
    }
    told.into_iter().map(|told| Finding::of(told, None)).collect()
}

/// Whether the output of a session's last command can tell something.
pub(super) fn wants_output(command: &Command) -> bool {
    match command.state {
        CommandState::Queued => false,
        CommandState::Running => command.awaiting_input.is_none(),
        CommandState::Ended => !command.is_success() || hides_failure(&command.text),
    }
}

/// Whether a command's exit code may be that of a harmless last part, which shows what another one printed.
/// Programs that only show files and logs print others' failures.
fn hides_failure(text: &str) -> bool {
    const READERS: [&str; 22] = [
        "cat",
        "tac",
        "head",
        "tail",
        "less",
        "more",
        "grep",
        "egrep",
        "rg",
        "ag",
        "awk",
        "sed",
        "sort",
        "find",
        "ls",
        "echo",
        "printf",
        "journalctl",
        "dmesg",
        "history",
        "jq",
        "zcat",
    ];
    let is_piped = text.replace("||", "").contains('|');
    let mut words = text.split_whitespace();
    let first = words.next().unwrap_or_default();
    let shows = READERS.contains(&first)
        || (matches!(first, "git" | "docker" | "kubectl")
            && words
                .next()
                .is_some_and(|verb| matches!(verb, "log" | "logs" | "show" | "diff" | "grep" | "blame")));
    is_piped && !shows
}

/// What is the matter with a session, worst first. `output` is that of its last command, if it was asked for;
/// a command that is silent and uses no processor is stuck after `stale_after`.
pub(super) fn of_session(
    observed: &Observation,
    usage: Option<Usage>,
    output: Option<&str>,
    asked: Asked,
    now: Timestamp,
    stale_after: Duration,
) -> Vec<Finding> {
    let stale_after = if asked.stuck { stale_after.min(SUSPECTED_STALE) } else { stale_after };
    let mut found = Vec::new();
    let session = &observed.session;
    match session.status {
        Status::Error => {
            let why = session.end_reason.as_deref().unwrap_or("its shell ended");
            let message = format!("the session has no shell any more: {why}");
            found.push(Finding {
                value: session.exit_code.map(Value::from),
                ..Finding::new(Kind::SessionError, message)
            });
        }
        Status::Initializing | Status::Recovering => {
            let age = spoken(milliseconds(now.since(session.created_at)));
            found.push(Finding::new(
                Kind::Starting,
                format!("the shell has shown no prompt yet, {age} after its start"),
            ));
        }
        Status::Idle | Status::Active | Status::Timeout | Status::Completed | Status::Terminated => {}
    }
    if session.stopped {
        let message = "a signal stopped the shell: nothing happens in it until it goes on";
        found.push(Finding::new(Kind::Stopped, message));
    }
    if session.cpu_time_spent {
        let allowed = session.bounds().limits.cpu_ms;
        let message = "the session has used up its maxCpuTime: whatever runs in it is ended at once";
        found.push(Finding { value: allowed.map(Value::from), ..Finding::new(Kind::CpuTimeSpent, message) });
    }
    if let Some(usage) = usage.filter(|usage| usage.stopped > 0 && !session.stopped) {
        let message = format!("processes of it that a signal has stopped: {}", usage.stopped);
        found.push(Finding { value: Some(usage.stopped.into()), ..Finding::new(Kind::Suspended, message) });
    }
    if let Some(command) = &observed.last_command {
        of_command(&mut found, observed, command, usage, now, stale_after);
        if let Some(output) = output {
            let exit = command.exit_code().filter(|exit| *exit != 0);
            let told = diagnosis::diagnose(output, exit).into_iter();
            let told = told.filter(|told| told.category != Category::Killed || !is_ended_by_us(command));
            found.extend(told.map(|told| Finding::of(told, exit)));
        }
    }
    if let Some(usage) = usage {
        of_usage(&mut found, usage, asked);
    }
    found.sort_by_key(|finding| finding.kind);
    found
}

/// Whether it was this server that ended the command: nobody else need be looked for who killed it.
fn is_ended_by_us(command: &Command) -> bool {
    match command.reason {
        Some(
            EndReason::Timeout
            | EndReason::Cancelled
            | EndReason::MemoryLimit
            | EndReason::CpuLimit
            | EndReason::ProcessLimit,
        ) => true,
        Some(EndReason::SessionLost | EndReason::ServerRestart | EndReason::FileLimit) | None => false,
    }
}

fn of_command(
    found: &mut Vec<Finding>,
    observed: &Observation,
    command: &Command,
    usage: Option<Usage>,
    now: Timestamp,
    stale_after: Duration,
) {
    let text = shortened(&command.text);
    if command.state == CommandState::Ended {
        let (reason, words) = match command.reason {
            Some(EndReason::Timeout) => (Reason::Timeout, "outlived its timeout and was stopped"),
            Some(EndReason::SessionLost) => (Reason::SessionLost, "ended with its shell"),
            Some(EndReason::ServerRestart) => (Reason::ServerRestart, "ended with the server that ran it"),
            Some(EndReason::MemoryLimit) => (Reason::MemoryLimit, "passed its memory limit and was stopped"),
            Some(EndReason::CpuLimit) => {
                (Reason::CpuLimit, "passed its limit of processor time and was stopped")
            }
            Some(EndReason::ProcessLimit) => {
                (Reason::ProcessLimit, "passed its limit of processes and was stopped")
            }
            Some(EndReason::FileLimit) => (Reason::FileLimit, "passed its limit of open files"),
            Some(EndReason::Cancelled) | None => return,
        };
        let limits = command.limits.and(observed.session.bounds().limits);
        let value = match reason {
            Reason::Timeout => Some(command.timeout_ms),
            Reason::MemoryLimit => limits.memory_bytes,
            Reason::CpuLimit => limits.cpu_ms,
            Reason::ProcessLimit => limits.processes.map(u64::from),
            Reason::FileLimit => limits.open_files.map(u64::from),
            Reason::SessionLost | Reason::ServerRestart => None,
        };
        let finding = Finding::new(Kind::Ended(reason), format!("`{text}` {words}"));
        found.push(Finding { value: value.map(Value::from), ..finding });
        return;
    }
    let (CommandState::Running, Some(started)) = (command.state, command.started_at) else { return };
    let elapsed = milliseconds(now.since(started));
    let silent = now.since(observed.session.last_activity.max(started));
    let behind = match observed.queued {
        0 => String::new(),
        queued => format!("; {queued} more wait behind it"),
    };
    let finding = |kind, what: String| Finding {
        value: Some(elapsed.into()),
        ..Finding::new(kind, format!("`{text}` {what}{behind}"))
    };
    let is_idle = usage.is_some_and(|usage| usage.cpu < NO_CPU);
    if command.timed_out {
        let timeout = spoken(command.timeout_ms);
        found.push(finding(Kind::TimedOut, format!("outlived its timeout of {timeout} and runs on")));
    } else if let Some(prompt) = &command.awaiting_input {
        let waits = finding(Kind::AwaitingInput, "waits for input".to_owned());
        found.push(Finding { evidence: shortened(prompt.trim()), value: None, ..waits });
    } else if is_idle && silent >= stale_after {
        let silent = spoken(milliseconds(silent));
        found.push(finding(Kind::Stale, format!("has printed nothing for {silent} and uses no processor")));
    } else {
        found.push(finding(Kind::Running, format!("has been running for {}", spoken(elapsed))));
    }
}

#[expect(clippy::cast_precision_loss, reason = "rounded to megabytes")]
fn of_usage(found: &mut Vec<Finding>, usage: Usage, asked: Asked) {
    let processes = if usage.processes == 1 { "process takes" } else { "processes take" };
    if usage.memory >= if asked.memory { SUSPECTED_MEMORY } else { HIGH_MEMORY } {
        let megabytes = (usage.memory as f64 / f64::from(1 << 20)).round();
        let message = format!("{} {processes} {megabytes} MB of memory", usage.processes);
        found.push(Finding { value: Some(megabytes.into()), ..Finding::new(Kind::HighMemory, message) });
    }
    if (asked.cpu && usage.cpu >= SUSPECTED_CPU) || (usage.cpu >= HIGH_CPU && usage.over >= BUSY) {
        let percent = usage.cpu.round();
        let message = format!("{} {processes} {percent} % of a core", usage.processes);
        found.push(Finding { value: Some(percent.into()), ..Finding::new(Kind::HighCpu, message) });
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
