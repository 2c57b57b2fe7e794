//! An event as it is told to the outside: flat, and without what says nothing.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Event, EventKind, EventType, Status, TaskReason, TaskStatus};

/// What happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "they are those of the event")]
pub struct EventView {
    pub cursor: u64,
    #[serde(rename = "type")]
    #[schemars(extend("enum" = EventType::ALL.map(EventType::as_str)))]
    pub event_type: &'static str,
    pub at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_id: Option<String>,
    /// The status before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<&'static str>,
    /// The status now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why the task went where it went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placement: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What a program asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub risk: Option<u8>,
    /// Rules that the risk comes from, each with its score.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// What autoAccept typed; without one reason says why it is left to the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<usize>,
    /// From the second on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
    /// Tasks or messages that this one event stands for, or receivers of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_type: Option<String>,
    /// Who sent the message, or whom it waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
}

/// The most that a text of an event shows: the session's log has all of it.
const TEXT_CHARACTERS: usize = 300;

impl EventView {
    /// The event with this cursor.
    pub fn new(cursor: u64, event: &Event) -> Self {
        let view = Self {
            cursor,
            event_type: event.event_type().as_str(),
            at: event.at.to_string(),
            session_id: event.session.as_ref().map(ToString::to_string),
            run_id: event.run.as_ref().map(ToString::to_string),
            task_id: event.task.clone(),
            ..Self::default()
        };
        let text = |text: String| {
            let is_long = text.chars().count() > TEXT_CHARACTERS;
            Some(if is_long { text.chars().take(TEXT_CHARACTERS).chain(['…']).collect() } else { text })
        };
        match event.kind.clone() {
            EventKind::Started { pid } => Self { pid: Some(pid), ..view },
            EventKind::Status { old, new } => {
                Self { old: Some(old.as_str()), new: Some(new.as_str()), ..view }
            }
            EventKind::CommandStarted { command } => {
                Self { command_id: Some(command.to_string()), new: Some("running"), ..view }
            }
            EventKind::CommandEnded { command, exit_code, reason } => Self {
                command_id: Some(command.to_string()),
                new: Some("ended"),
                exit_code,
                reason: reason.map(|reason| reason.as_str().to_owned()),
                ..view
            },
            EventKind::TimedOut { command } => Self { command_id: Some(command.to_string()), ..view },
            EventKind::Signal { signal, target } => {
                Self { signal: text(signal), target: text(target), ..view }
            }
            // That it was a secret is told by the absence of its length.
            EventKind::Input { bytes, secret } => Self { bytes: (!secret).then_some(bytes), ..view },
            EventKind::Exited { exit_code } => Self { exit_code: Some(exit_code), ..view },
            EventKind::Terminated { status, reason, forced: _ } => {
                Self { new: Some(Status::as_str(status)), reason: text(reason), ..view }
            }
            EventKind::Error { message } => Self { message: text(message), ..view },
            EventKind::Limit { limit, measured, allowed, command } => Self {
                limit: text(limit),
                measured: Some(measured),
                allowed: Some(allowed),
                command_id: command.map(|command| command.to_string()),
                ..view
            },
            EventKind::Recovery { strategy, attempt, outcome } => {
                Self { strategy: text(strategy), attempt: Some(attempt), outcome: text(outcome), ..view }
            }
            EventKind::Health { component, severity, message } => {
                Self { component: text(component), severity: text(severity), message: text(message), ..view }
            }
            EventKind::Decision { reason } => Self { reason: text(reason), ..view },
            EventKind::Prompt { question, risk, rules, answer, left } => {
                Self { prompt: text(question), risk: Some(risk), rules, answer, reason: left, ..view }
            }
            EventKind::Task { old, new, reason, attempt, command, exit_code, placement } => Self {
                old: Some(TaskStatus::as_str(old)),
                new: Some(TaskStatus::as_str(new)),
                reason: reason.map(|reason| TaskReason::as_str(reason).to_owned()),
                attempt: Some(attempt).filter(|attempt| *attempt > 1),
                command_id: command.map(|command| command.to_string()),
                exit_code,
                placement: placement.map(super::Placement::why),
                ..view
            },
            EventKind::Tasks { count } => Self { count: Some(count), ..view },
            EventKind::RunEnded { completed, failed } => {
                Self { completed: Some(completed), failed: Some(failed), ..view }
            }
            EventKind::MessageSent { message, from, message_type, receivers } => Self {
                message_id: Some(message.to_string()),
                message_type: Some(message_type),
                agent_id: Some(from),
                count: Some(receivers),
                outcome: Some("sent".to_owned()),
                ..view
            },
            EventKind::MessagesOver { agent, count, delivery } => Self {
                agent_id: Some(agent),
                count: Some(count),
                outcome: Some(delivery.as_str().to_owned()),
                ..view
            },
        }
    }
}
