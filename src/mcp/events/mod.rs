//! What is told of events: a line for people and models.

pub(super) mod poll;

use std::fmt::Write;

use crate::model::{Event, EventKind, EventType};

/// The types of events, as callers name them.
pub(in crate::mcp) fn type_words() -> [&'static str; 16] {
    EventType::ALL.map(EventType::as_str)
}

/// What happened, in words.
pub(in crate::mcp) fn text(event: &Event) -> String {
    match &event.kind {
        EventKind::Started { pid } => format!("shell started, pid {pid}"),
        EventKind::Status { old, new } => format!("{} → {}", old.as_str(), new.as_str()),
        EventKind::CommandStarted { command } => format!("{command} started"),
        EventKind::CommandEnded { command, exit_code, reason } => {
            let code = exit_code.map_or_else(String::new, |code| format!(" with exit code {code}"));
            let reason = reason.map_or_else(String::new, |reason| format!(" ({})", reason.as_str()));
            format!("{command} ended{code}{reason}")
        }
        EventKind::TimedOut { command } => format!("{command} outlived its timeout"),
        EventKind::Signal { signal, target } => format!("{signal} sent to {target}"),
        EventKind::Input { bytes, secret: false } => format!("{bytes} bytes typed"),
        EventKind::Input { bytes: _, secret: true } => "a secret typed".to_owned(),
        EventKind::Exited { exit_code } => format!("shell exited with {exit_code}"),
        EventKind::Terminated { status, reason, forced } => {
            let forced = if *forced { ", by force" } else { "" };
            format!("{}: {reason}{forced}", status.as_str())
        }
        EventKind::Error { message } => message.clone(),
        EventKind::Limit { limit, measured, allowed, command } => {
            let whose = command.as_ref().map_or_else(String::new, |command| format!("{command} passed "));
            format!("{whose}{limit}: {measured} of {allowed}")
        }
        EventKind::Recovery { strategy, attempt, outcome } => format!("{strategy}, try {attempt}: {outcome}"),
        EventKind::Health { component, severity, message } => format!("{component} {severity}: {message}"),
        EventKind::Decision { reason } => reason.clone(),
        EventKind::Prompt { question, risk, rules, answer, left } => {
            let outcome = match (answer, left) {
                (Some(answer), _) => format!("answered {answer}"),
                (None, left) => format!("left to the caller: {}", left.as_deref().unwrap_or_default()),
            };
            format!("asked {question:?}, {outcome} (risk {risk}: {})", rules.join("; "))
        }
        EventKind::Task { .. } => task(event),
        EventKind::Tasks { count } => {
            format!("{count} more tasks of {} over without an attempt", named(event.run.as_ref()))
        }
        EventKind::RunEnded { completed, failed } => {
            format!("{} over: {completed} completed, {failed} failed", named(event.run.as_ref()))
        }
        EventKind::MessageSent { message, from, message_type, receivers } => {
            format!("{message} ({message_type}) sent by {from}, receivers: {receivers}")
        }
        EventKind::MessagesOver { agent, count, delivery } => {
            format!("messages of {agent} {}: {count}", delivery.as_str())
        }
    }
}

fn named(id: Option<&impl ToString>) -> String {
    id.map(ToString::to_string).unwrap_or_default()
}

fn task(event: &Event) -> String {
    let EventKind::Task { old, new, reason, attempt, command, exit_code, placement } = &event.kind else {
        return String::new();
    };
    let mut text = format!("task {} {} → {}", named(event.task.as_ref()), old.as_str(), new.as_str());
    if let Some(reason) = reason {
        let _ = write!(text, " ({})", reason.as_str());
    }
    if *attempt > 1 {
        let _ = write!(text, ", attempt {attempt}");
    }
    if let Some(code) = exit_code {
        let _ = write!(text, ", exit code {code}");
    }
    if let Some(placement) = placement {
        let _ = write!(text, ", as {}: {}", named(command.as_ref()), placement.why());
    }
    text
}
