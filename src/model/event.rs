//! Events: what happened to a session, to a task or to the server, in order, kept in the store.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::{CommandId, MessageId, RunId, SessionId};
use crate::model::{EndReason, Status, TaskReason, TaskStatus};

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EventKind {
    /// A shell started.
    Started {
        /// Its process id.
        pid: u32,
    },
    /// The status changed.
    Status {
        /// The status before.
        old: Status,
        /// The status now.
        new: Status,
    },
    /// A command was handed to the shell. Attempts at tasks have events of their own instead.
    CommandStarted {
        /// Which one.
        command: CommandId,
    },
    /// A command ended.
    CommandEnded {
        /// Which one.
        command: CommandId,
        /// Its exit code, where known.
        exit_code: Option<i32>,
        /// Why, where it did not end by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<EndReason>,
    },
    /// A command outlived its timeout.
    TimedOut {
        /// Which one.
        command: CommandId,
    },
    /// A signal was sent.
    Signal {
        /// Its name.
        signal: String,
        /// What it went to.
        target: String,
    },
    /// Text or keys were typed. The text itself is not kept.
    Input {
        /// How many bytes.
        bytes: usize,
        /// Whether the caller called them a secret.
        secret: bool,
    },
    /// The shell ended.
    Exited {
        /// Exit code, or 128 + signal.
        exit_code: i32,
    },
    /// The session is over for good.
    Terminated {
        /// The final status.
        status: Status,
        /// Why.
        reason: String,
        /// Whether it took SIGKILL.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        forced: bool,
    },
    /// Something went wrong that no caller asked for.
    Error {
        /// What.
        message: String,
    },
    /// Something was used beyond its limit.
    Limit {
        /// Which limit, as in a session's `resourceLimits`: `maxMemory`, `maxCpuTime`…
        limit: String,
        /// What was used: bytes of memory, milliseconds of CPU time, or a number.
        measured: u64,
        /// What may be used, in the same unit.
        allowed: u64,
        /// The command that used it, where it was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        command: Option<CommandId>,
    },
    /// A session was to be repaired.
    Recovery {
        /// How.
        strategy: String,
        /// Which try, from 1.
        attempt: u32,
        /// What came of it.
        outcome: String,
    },
    /// The health of something changed.
    Health {
        /// What it is about.
        component: String,
        /// How bad it is.
        severity: String,
        /// What was found.
        message: String,
    },
    /// The server decided something; the reason says why.
    Decision {
        /// What and why.
        reason: String,
    },
    /// A program in a session asked for a yes or a no, or for a secret, and `autoAccept` was on.
    Prompt {
        /// What it asked.
        question: String,
        /// How much a yes may harm, from 0 to 10.
        risk: u8,
        /// The rules that say so, the highest first.
        rules: Vec<String>,
        /// What is typed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answer: Option<String>,
        /// Why it is left to the caller, where nothing is typed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        left: Option<String>,
    },
    /// An attempt at a task started or ended, or the task was over without one.
    Task {
        /// The status before.
        old: TaskStatus,
        /// The status now.
        new: TaskStatus,
        /// Why, when it is over.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<TaskReason>,
        /// Which attempt, from 1; 0 when there was none.
        attempt: u32,
        /// The command of the attempt.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        command: Option<CommandId>,
        /// Its exit code, once it ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit_code: Option<i32>,
        /// Why the attempt started where it did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        placement: Option<Placement>,
    },
    /// More tasks of a run were over at once, without an attempt, than have an event each.
    Tasks {
        /// How many.
        count: usize,
    },
    /// Every task of a run is over.
    RunEnded {
        /// Tasks that completed.
        completed: usize,
        /// Tasks that failed.
        failed: usize,
    },
    /// A message was sent between agents. What it says is not kept.
    MessageSent {
        /// Which one.
        message: MessageId,
        /// Who sent it.
        from: String,
        /// What kind it is, in the caller's words.
        message_type: String,
        /// How many agents are to receive it.
        receivers: usize,
    },
    /// Messages wait no more for an agent.
    MessagesOver {
        /// Which one.
        agent: String,
        /// How many.
        count: usize,
        /// What came of them.
        delivery: Delivery,
    },
}

/// How a message leaves the queue of a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// It was received, and the receiver said so.
    Acknowledged,
    /// Its time was over before.
    Expired,
    /// Its receiver went.
    Dropped,
}

impl Delivery {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Expired => "expired",
            Self::Dropped => "dropped",
        }
    }
}

/// Why an attempt at a task went to the session it went to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// What decided.
    pub rule: PlacementRule,
    /// How many sessions were free for it.
    pub free: usize,
}

impl Placement {
    /// In words.
    pub fn why(self) -> String {
        let reason = match self.rule {
            PlacementRule::Named => return "the session that the task names".to_owned(),
            PlacementRule::First if self.free == 1 => return "the one session that was free".to_owned(),
            PlacementRule::First => "the first",
            PlacementRule::Turn => "its turn",
            PlacementRule::LeastLoaded => "the least loaded",
            PlacementRule::LeastCapable => "the least capable that can do it",
            PlacementRule::Kin => "where a dependency ran",
            PlacementRule::Affinity => "by the affinity of the session it names",
        };
        format!("{reason} of {} free", self.free)
    }
}

/// What decides between the sessions that are free for a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlacementRule {
    /// The task names its session.
    Named,
    /// Nothing: any would do, and it was the first.
    First,
    /// It was the session's turn.
    Turn,
    /// It used the least of processor and memory.
    LeastLoaded,
    /// It can do the least beyond what the task asks for.
    LeastCapable,
    /// A dependency of the task ran there.
    Kin,
    /// The session that the task names has it done there.
    Affinity,
}

/// What an event is about, in a word that callers can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventType {
    /// A shell started.
    Start,
    /// A session's status changed.
    Status,
    /// A command started or ended.
    Command,
    /// A command outlived its timeout.
    Timeout,
    /// A signal was sent.
    Signal,
    /// Something was typed.
    Input,
    /// A shell ended.
    Exit,
    /// A session is over for good.
    Termination,
    /// Something went wrong.
    Error,
    /// A limit was passed.
    Limit,
    /// A session was to be repaired.
    Recovery,
    /// The health of something changed.
    Health,
    /// The server decided something.
    Decision,
    /// A task changed.
    Task,
    /// A run is over.
    Run,
    /// A message was sent, or waits no more.
    Message,
}

impl EventType {
    /// Every type.
    pub const ALL: [EventType; 16] = [
        Self::Start,
        Self::Status,
        Self::Command,
        Self::Timeout,
        Self::Signal,
        Self::Input,
        Self::Exit,
        Self::Termination,
        Self::Error,
        Self::Limit,
        Self::Recovery,
        Self::Health,
        Self::Decision,
        Self::Task,
        Self::Run,
        Self::Message,
    ];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Status => "status",
            Self::Command => "command",
            Self::Timeout => "timeout",
            Self::Signal => "signal",
            Self::Input => "input",
            Self::Exit => "exit",
            Self::Termination => "termination",
            Self::Error => "error",
            Self::Limit => "limit",
            Self::Recovery => "recovery",
            Self::Health => "health",
            Self::Decision => "decision",
            Self::Task => "task",
            Self::Run => "run",
            Self::Message => "message",
        }
    }
}

/// One entry of the history. It belongs to a session, to a task, to both or to neither.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The session concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// The run concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The id of the task of that run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// When it happened.
    pub at: Timestamp,
    /// Where the session's output stood.
    #[serde(default)]
    pub output_cursor: u64,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

impl Event {
    /// What it is about.
    pub fn event_type(&self) -> EventType {
        match &self.kind {
            EventKind::Started { .. } => EventType::Start,
            EventKind::Status { .. } => EventType::Status,
            EventKind::CommandStarted { .. } | EventKind::CommandEnded { .. } => EventType::Command,
            EventKind::TimedOut { .. } => EventType::Timeout,
            EventKind::Signal { .. } => EventType::Signal,
            EventKind::Input { .. } => EventType::Input,
            EventKind::Exited { .. } => EventType::Exit,
            EventKind::Terminated { .. } => EventType::Termination,
            EventKind::Error { .. } => EventType::Error,
            EventKind::Limit { .. } => EventType::Limit,
            EventKind::Recovery { .. } => EventType::Recovery,
            EventKind::Health { .. } => EventType::Health,
            EventKind::Decision { .. } | EventKind::Prompt { .. } => EventType::Decision,
            EventKind::Task { .. } | EventKind::Tasks { .. } => EventType::Task,
            EventKind::RunEnded { .. } => EventType::Run,
            EventKind::MessageSent { .. } | EventKind::MessagesOver { .. } => EventType::Message,
        }
    }

    /// Whether it is of this type. Where a task starts is a decision, too.
    pub fn is(&self, wanted: EventType) -> bool {
        self.event_type() == wanted
            || wanted == EventType::Decision
                && matches!(self.kind, EventKind::Task { placement: Some(_), .. })
    }
}

/// Which events somebody wants to know of: those that fit everything that is named here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Of one of these types; of any when empty.
    pub types: Vec<EventType>,
    /// Of this session.
    pub session: Option<SessionId>,
    /// Of the tasks with this id.
    pub task: Option<String>,
}

impl EventFilter {
    /// Whether somebody wants to know of this event.
    pub fn wants(&self, event: &Event) -> bool {
        (self.types.is_empty() || self.types.iter().any(|wanted| event.is(*wanted)))
            && (self.session.is_none() || self.session == event.session)
            && (self.task.is_none() || self.task == event.task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: EventKind) -> Event {
        Event {
            session: Some(SessionId::from_text("ses_a")),
            run: Some(RunId::from_text("run_a")),
            task: Some("build".to_owned()),
            at: Timestamp(1),
            output_cursor: 0,
            kind,
        }
    }

    fn started(placement: Option<Placement>) -> Event {
        event(EventKind::Task {
            old: TaskStatus::Queued,
            new: TaskStatus::Running,
            reason: None,
            attempt: 1,
            command: None,
            exit_code: None,
            placement,
        })
    }

    #[test]
    fn an_event_of_the_first_version_is_read() {
        let stored = r#"{"session":"ses_a","at":1,"output_cursor":7,"type":"decision","reason":"why"}"#;
        let read: Event = serde_json::from_str(stored).expect("reads");
        assert_eq!(read.session, Some(SessionId::from_text("ses_a")));
        assert_eq!(read.kind, EventKind::Decision { reason: "why".to_owned() });
    }

    #[test]
    fn what_is_written_is_read_back() {
        let placement = Some(Placement { rule: PlacementRule::Kin, free: 3 });
        for event in [started(placement), event(EventKind::Tasks { count: 2 })] {
            let text = serde_json::to_string(&event).expect("writes");
            assert_eq!(serde_json::from_str::<Event>(&text).expect("reads"), event);
        }
    }

    #[test]
    fn the_wire_word_is_the_serde_word() {
        for word in EventType::ALL {
            assert_eq!(serde_json::to_value(word).ok(), Some(word.as_str().into()));
        }
    }

    #[test]
    fn a_filter_wants_what_fits_all_that_it_names() {
        let placed = started(Some(Placement { rule: PlacementRule::First, free: 1 }));
        let check = |types: &[EventType], session: Option<&str>, task: Option<&str>| {
            let filter = EventFilter {
                types: types.to_vec(),
                session: session.map(SessionId::from_text),
                task: task.map(str::to_owned),
            };
            filter.wants(&placed)
        };
        assert!(check(&[], None, None));
        assert!(check(&[EventType::Task], Some("ses_a"), Some("build")));
        assert!(check(&[EventType::Error, EventType::Decision], None, None), "a placement is a decision");
        assert!(!check(&[EventType::Status], None, None));
        assert!(!check(&[], Some("ses_b"), None));
        assert!(!check(&[EventType::Task], Some("ses_a"), Some("test")));
    }
}
