//! The tools about commands, a file each, and how a command's record and output become a result.

use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::answer::{Answer, Saved, fitting, is_default, spoken};
use super::call::{Call, Watched};
use crate::error::{Error, ErrorCode, Result};
use crate::limits;
use crate::model::{Command, CommandState, OnTimeout};
use crate::orchestrator::{CommandWatch, OutputQuery};
use crate::term::condense::Condense;
use crate::term::excerpt::{Excerpt, Page};
use crate::term::tokens::estimate_tokens;
use behind::Behind;
pub(super) use failure::failure;
use failure::signal_name;
use parsed::Parsed;

pub(crate) mod batch;
mod behind;
pub(crate) mod broadcast;
mod changes;
pub(crate) mod execute;
mod failure;
pub(in crate::mcp) mod parsed;
pub(crate) mod signal;
pub(crate) mod status;

/// Fewer tokens of output show little but the line that tells of what is missing.
const SMALLEST_SHARE: usize = 60;
/// Characters of the line that a command asks by. A longer one is no question.
const PROMPT_CHARACTERS: usize = 500;

/// The text of a command in a list.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
struct CommandText(String);

impl JsonSchema for CommandText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "CommandText".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "x-bytes": limits::COMMAND_BYTES})
    }
}

/// A command and its output, as every tool about commands shows it.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of the wire, left out when false")]
pub(super) struct CommandView {
    command_id: String,
    /// Left out where the caller named it.
    #[serde(skip_serializing_if = "is_default")]
    session_id: String,
    /// What the command itself printed.
    output: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(skip_serializing_if = "is_default")]
    signal: String,
    /// There when the command has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    success: Option<bool>,
    #[serde(skip_serializing_if = "is_default")]
    running: bool,
    /// It waits for its turn.
    #[serde(skip_serializing_if = "is_default")]
    queued: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
    /// Pass it as since to read on.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<u64>,
    #[serde(skip_serializing_if = "is_default")]
    truncated: bool,
    #[serde(skip_serializing_if = "is_default")]
    omitted_lines: u64,
    /// The cursor where the omission begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    omitted_from: Option<u64>,
    #[serde(skip_serializing_if = "is_default")]
    total_lines: u64,
    #[serde(flatten)]
    condensed: Option<Saved>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parsed: Option<Parsed>,
    /// Where the shell is now, if not where it was when this was called.
    #[serde(skip_serializing_if = "is_default")]
    working_directory: String,
    #[serde(skip_serializing_if = "is_default")]
    awaiting_input: bool,
    /// The line that asks.
    #[serde(skip_serializing_if = "is_default")]
    prompt: String,
    #[serde(skip_serializing_if = "is_default")]
    timed_out: bool,
    /// Why it ended, where the exit code does not say it.
    #[serde(skip_serializing_if = "is_default")]
    reason: String,
    /// The number of the try, from the second on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) attempt: Option<u32>,
    /// What it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    behind: Option<Behind>,
}

impl CommandView {
    /// `before` is the directory that the caller knows the shell to have been in, if there is one.
    fn of(command: &Command, excerpt: Excerpt, before: Option<&std::path::Path>) -> Self {
        let ended = command.is_ended();
        let moved =
            command.working_directory.as_deref().filter(|now| before.is_none_or(|before| before != *now));
        // Of an ended command whose output is all here, nothing remains to be read.
        let is_whole = ended && !excerpt.truncated;
        Self {
            command_id: command.id.to_string(),
            session_id: String::new(),
            output: excerpt.text,
            exit_code: command.exit_code(),
            signal: command.signal().map(signal_name).unwrap_or_default(),
            success: ended.then(|| command.is_success()),
            running: command.state == CommandState::Running,
            queued: command.state == CommandState::Queued,
            duration_ms: command.duration_us.filter(|_| ended).map(|microseconds| microseconds / 1_000),
            cursor: (!is_whole).then_some(excerpt.cursor),
            truncated: excerpt.truncated,
            omitted_lines: excerpt.omitted_lines,
            omitted_from: excerpt.omitted_from,
            total_lines: if excerpt.truncated { excerpt.total_lines } else { 0 },
            condensed: excerpt.condensed.map(Into::into),
            parsed: None,
            working_directory: moved.map(|path| path.display().to_string()).unwrap_or_default(),
            awaiting_input: !ended && command.awaiting_input.is_some(),
            prompt: command.awaiting_input.as_deref().filter(|_| !ended).map(question).unwrap_or_default(),
            timed_out: command.timed_out,
            reason: command.reason.map(|reason| reason.as_str().to_owned()).unwrap_or_default(),
            attempt: (command.attempt > 1).then_some(command.attempt),
            behind: None,
        }
    }

    /// The same for a caller who did not name the session.
    pub(super) fn with_session(command: &Command, excerpt: Excerpt) -> Self {
        Self { session_id: command.session.to_string(), ..Self::of(command, excerpt, None) }
    }

    /// Output first, or a line that names the failure before it; then one line with what matters.
    pub(super) fn text(&self, command: &Command) -> String {
        let mut text = String::new();
        if let Some(failure) = failure(command) {
            text.push_str(&failure);
            text.push('\n');
        }
        if !self.output.is_empty() {
            text.push_str(self.output.strip_suffix('\n').unwrap_or(&self.output));
            text.push('\n');
        }
        // They may be among what is not shown.
        for error in self.parsed.iter().filter(|_| self.truncated).flat_map(Parsed::lines) {
            text.push_str(&error);
            text.push('\n');
        }
        text.push('[');
        text.push_str(&self.facts().join(" · "));
        text.push(']');
        text
    }

    fn facts(&self) -> Vec<String> {
        let mut facts = Vec::new();
        match self.exit_code {
            Some(code) => facts.push(format!("exit {code}")),
            None if self.queued => facts.push("queued".to_owned()),
            None if self.running => facts.push("running".to_owned()),
            None => facts.push("ended".to_owned()),
        }
        facts.extend(self.duration_ms.map(spoken));
        facts.push(self.command_id.clone());
        facts.extend(self.parsed.as_ref().map(Parsed::fact));
        let mut named = |name: &str, value: &str| {
            if !value.is_empty() {
                facts.push(format!("{name} {value}"));
            }
        };
        named("session", &self.session_id);
        named("signal", &self.signal);
        named("now in", &self.working_directory);
        named("reason", &self.reason);
        if self.awaiting_input {
            facts.push(format!("awaiting input: {:?}", self.prompt));
        }
        if self.timed_out && self.running {
            facts.push("past its timeout".to_owned());
        }
        facts.extend(self.behind.as_ref().map(Behind::fact));
        facts.extend(self.attempt.map(|attempt| format!("attempt {attempt}")));
        if self.truncated {
            facts.push(format!("{} of {} lines left out", self.omitted_lines, self.total_lines));
        }
        facts.extend(self.condensed.as_ref().map(Saved::fact));
        facts.extend(self.omitted_from.map(|cursor| format!("from cursor {cursor}")));
        facts.extend(self.cursor.map(|cursor| format!("cursor {cursor}")));
        facts
    }
}

/// The end of a line that asks.
fn question(line: &str) -> String {
    let from = line.char_indices().rev().nth(PROMPT_CHARACTERS - 1).map_or(0, |(at, _)| at);
    line[from..].to_owned()
}

/// What to show of a command's output.
#[derive(Clone, Copy)]
pub(super) struct Shown {
    pub(super) since: Option<u64>,
    pub(super) condense: Condense,
    pub(super) budget_tokens: usize,
}

/// What to show of one command's output among several results, each of which gets the same share. Of one
/// that is small that is the last line, or nothing.
async fn share(call: &Call, command: &Command, condense: Condense, budget_tokens: usize) -> Result<Excerpt> {
    let shown = Shown { since: None, condense, budget_tokens: budget_tokens.max(SMALLEST_SHARE) };
    let excerpt = excerpt(call, command, shown).await?;
    if budget_tokens >= SMALLEST_SHARE || estimate_tokens(&excerpt.text) <= budget_tokens {
        return Ok(excerpt);
    }
    let last = excerpt.text.lines().next_back().filter(|line| estimate_tokens(line) < budget_tokens);
    Ok(Excerpt {
        omitted_lines: excerpt.total_lines.saturating_sub(u64::from(last.is_some())),
        text: last.unwrap_or_default().to_owned(),
        omitted_from: command.output_from,
        truncated: true,
        ..excerpt
    })
}

/// Leaves out the last of several results when nothing more can be left out of each. Returns how many.
fn cut<T: Serialize>(
    call: &Call,
    budget_tokens: usize,
    text: &mut Vec<String>,
    results: &mut Vec<T>,
) -> usize {
    if budget_tokens > 0 {
        return 0;
    }
    let most = call.room().tokens;
    let fitting = fitting(&*results, most).min(fitting(&*text, most));
    let omitted = results.len() - fitting;
    results.truncate(fitting);
    text.truncate(fitting);
    if omitted > 0 {
        text.push(format!(
            "({omitted} more results left out: session_logs {{kinds: [\"command\"]}} names the commands, and \
             command_status shows them)"
        ));
    }
    omitted
}

pub(super) async fn excerpt(call: &Call, command: &Command, shown: Shown) -> Result<Excerpt> {
    if command.output_from.is_none() {
        return Ok(Excerpt { cursor: shown.since.unwrap_or(0), ..Excerpt::default() });
    }
    let query = OutputQuery {
        command: Some(command.id.clone()),
        since: shown.since,
        page: if shown.since.is_some() { Page::Forward } else { Page::Ends },
        condense: shown.condense,
        budget_tokens: shown.budget_tokens,
        ..OutputQuery::default()
    };
    call.orchestrator.output(&command.session, query).await
}

/// Waits until there is something to tell of a command: its end, that it asks for input, or that it
/// outlived its timeout and runs on. Gives the record as it is then, or when the time is over.
pub(super) async fn settled(call: &Call, watch: &mut CommandWatch, deadline: Instant) -> Command {
    // Whoever asks about a command that outlived its timeout earlier wants to know of its end.
    let was_left = has_left(&watch.borrow());
    let is_settled = |command: &Command| is_settled(command) && !(was_left && is_only_left(command));
    if is_settled(&watch.borrow()) || deadline <= Instant::now() {
        return watch.borrow().clone();
    }
    let (session, id) = {
        let command = watch.borrow();
        (command.session.clone(), command.id.clone())
    };
    let until = async {
        // Both ends are the same to this call: the time is over, or nobody will change the record any more.
        let _ = tokio::time::timeout_at(deadline, watch.wait_for(is_settled)).await;
    };
    call.wait(until, Watched::Output(&session, Some(&id))).await;
    watch.borrow().clone()
}

fn is_settled(command: &Command) -> bool {
    command.is_ended() || asks(command) || has_left(command)
}

fn asks(command: &Command) -> bool {
    command.state == CommandState::Running && command.awaiting_input.is_some()
}

/// Whether nothing is to be told of it but that it outlived its timeout.
fn is_only_left(command: &Command) -> bool {
    has_left(command) && !asks(command)
}

/// Whether it outlived its timeout and was left to run.
fn has_left(command: &Command) -> bool {
    command.timed_out && !command.is_ended() && command.on_timeout == OnTimeout::Leave
}

pub(super) fn deadline(call: &Call, asked: Option<Duration>) -> Instant {
    Instant::now() + call.longest_wait(asked)
}

/// The error of a command that outlived its timeout and runs on.
async fn timed_out(call: &Call, command: &Command) -> Error {
    // Some of the output says more about what it hangs at than the fact itself.
    let shown = Shown { since: None, condense: Condense::WhenCut, budget_tokens: call.room().tokens / 8 };
    let excerpt = excerpt(call, command, shown).await.unwrap_or_default();
    let id = &command.id;
    let message = format!("{id} outlived its timeout of {} and runs on", spoken(command.timeout_ms));
    Error::new(ErrorCode::Timeout, message)
        .with_hint(format!(
            "wait on with command_status {{\"commandId\": \"{id}\", \"since\": {}}}, or stop it with command_signal \
             {{\"sessionId\": \"{}\", \"signal\": \"SIGINT\"}}",
            excerpt.cursor, command.session
        ))
        .with_details(serde_json::json!({
            "commandId": id,
            "running": true,
            "cursor": excerpt.cursor,
            "output": excerpt.text,
        }))
}

/// The answer about one command.
/// A command and its output, for a tool that shows it with facts of its own.
pub(in crate::mcp) async fn shown(
    call: &Call,
    command: &Command,
    budget_tokens: usize,
) -> Result<CommandView> {
    let shown = Shown { since: None, condense: Condense::WhenCut, budget_tokens };
    let excerpt = excerpt(call, command, shown).await?;
    Ok(CommandView { session_id: command.session.to_string(), ..CommandView::of(command, excerpt, None) })
}

impl CommandView {
    /// As a text, and whether it failed.
    pub(in crate::mcp) fn told(&self, command: &Command) -> (String, bool) {
        (self.text(command), failure(command).is_some())
    }
}

fn answer(command: &Command, view: &CommandView) -> Result<Answer> {
    Ok(Answer::new(view.text(command), view)?.failed_if(failure(command).is_some()))
}

#[cfg(test)]
mod tests {
    use super::super::answer::tool_result;
    use super::*;
    use crate::clock::Timestamp;
    use crate::id::SessionId;
    use crate::model::fixtures;
    use crate::model::{EndReason, Ending};

    fn ended(code: i32) -> Command {
        Command {
            state: CommandState::Ended,
            ending: Some(Ending::Exited(code)),
            started_at: Some(Timestamp(0)),
            ended_at: Some(Timestamp(1)),
            duration_us: Some(1_500),
            output_from: Some(10),
            output_to: Some(10),
            working_directory: Some("/home/u".into()),
            ..fixtures::command(&SessionId::from_text("ses_k3f9q2"))
        }
    }

    fn view(command: &Command, output: &str) -> CommandView {
        let excerpt = Excerpt { text: output.to_owned(), cursor: 10, ..Excerpt::default() };
        CommandView::of(command, excerpt, Some(std::path::Path::new("/home/u")))
    }

    #[test]
    fn a_trivial_result_costs_at_most_60_tokens_in_either_form() {
        let command = ended(0);
        let answer = answer(&command, &view(&command, "")).unwrap();
        assert_eq!(
            answer.structured,
            serde_json::json!({
                "commandId": "cmd_k3f9q2", "output": "", "exitCode": 0, "success": true, "durationMs": 1,
            })
        );
        assert_eq!(answer.text, "[exit 0 · 1 ms · cmd_k3f9q2]");
        assert!(estimate_tokens(&answer.structured.to_string()) <= 60);
        assert!(estimate_tokens(&answer.text) <= 60);
    }

    #[test]
    fn a_failed_command_is_an_error_with_its_whole_result() {
        let command = ended(2);
        let result = tool_result(answer(&command, &view(&command, "oops\n")));
        assert_eq!(result.is_error, Some(true));
        assert_eq!(result.structured_content.unwrap()["output"], "oops\n");
        let text = &result.content[0].as_text().unwrap().text;
        assert_eq!(text, "command failed: exit code 2\noops\n[exit 2 · 1 ms · cmd_k3f9q2]");
    }

    #[test]
    fn the_first_line_names_the_kind_of_failure() {
        let first = |change: &dyn Fn(&mut Command)| {
            let mut command = ended(1);
            change(&mut command);
            failure(&command).unwrap_or_default()
        };
        assert_eq!(
            first(&|c| c.ending = Some(Ending::Exited(137))),
            "command killed: SIGKILL (exit code 137)"
        );
        assert!(first(&|c| c.reason = Some(EndReason::Timeout)).starts_with("command stopped: "));
        assert!(first(&|c| c.reason = Some(EndReason::SessionLost)).starts_with("command lost: "));
        assert!(first(&|c| c.ending = Some(Ending::ShellExited(3))).contains("ended its shell"));
        assert_eq!(first(&|c| c.ok_exit_codes = None), "");
        assert_eq!(first(&|c| c.ok_exit_codes = Some(vec![0, 1])), "");
        assert_eq!(first(&|c| c.state = CommandState::Running), "");
    }

    #[test]
    fn a_running_command_shows_how_to_go_on() {
        let mut command = ended(0);
        (command.state, command.ending) = (CommandState::Running, None);
        command.awaiting_input = Some("Password: ".to_owned());
        let view = view(&command, "Password: ");
        assert_eq!(
            serde_json::to_value(&view).unwrap(),
            serde_json::json!({
                "commandId": "cmd_k3f9q2", "output": "Password: ", "running": true, "cursor": 10,
                "awaitingInput": true, "prompt": "Password: ",
            })
        );
        assert!(is_settled(&command));
    }

    #[test]
    fn a_command_that_was_left_at_its_timeout_settles_the_call() {
        let mut command = ended(0);
        (command.state, command.ending, command.timed_out) = (CommandState::Running, None, true);
        assert!(is_settled(&command));
        command.on_timeout = OnTimeout::Interrupt;
        assert!(!is_settled(&command));
    }
}
