//! `session_input`: types into a terminal.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::WaitUntil;
use crate::error::{Error, Result};
use crate::limits;
use crate::mcp::answer::{Answer, is_default};
use crate::mcp::arguments::{refusal, shortened, typed};
use crate::mcp::call::{Call, Watched};
use crate::mcp::check;
use crate::mcp::schema::{self, Milliseconds};
use crate::mcp::tool::{Effect, Tool};
use crate::model::{Command, CommandState, Session};
use crate::orchestrator::{CommandWatch, Input, OutputQuery, Until};
use crate::term::excerpt::Page;
use crate::term::keys::key;

/// How quiet the terminal must be before an answer to the input counts as complete.
const SETTLED: Duration = Duration::from_millis(60);
/// How long such an answer is awaited when the call names no wait.
const PATIENCE: Duration = Duration::from_millis(300);

pub(crate) const TOOL: Tool = Tool {
    name: "session_input",
    title: "Type into a session",
    description: "Types text and keys into a session's terminal, for programs that ask something or fill the screen. \
        Run commands with command_execute instead. Keys: enter, tab, esc, up, ctrl-c, alt-x, f5…. wait blocks until \
        idle (at the prompt, or waiting for input again), a match of pattern, or exit of the program. Returns the \
        output since then and a cursor. secret keeps the text out of all logs.",
    effect: Effect::Runs,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Typed>,
    run: |call, arguments| Box::pin(async move { input(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    session_id: String,
    #[schemars(extend("x-bytes" = limits::INPUT_BYTES))]
    text: Option<String>,
    /// Pressed after the text
    #[serde(default)]
    #[schemars(extend("x-items" = 1_000))]
    keys: Vec<String>,
    /// Press Enter at the end
    #[serde(default)]
    enter: bool,
    wait: Option<Wait>,
    #[serde(default)]
    secret: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-short" = "until"))]
struct Wait {
    #[schemars(with = "String", extend("enum" = ["idle", "match", "exit"]))]
    until: WaitUntil,
    /// Regular expression
    #[schemars(extend("x-bytes" = limits::PATTERN_BYTES))]
    pattern: Option<String>,
    timeout: Option<Milliseconds>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Typed {
    /// Bytes typed.
    written: usize,
    /// What the terminal printed since.
    #[serde(skip_serializing_if = "is_default")]
    output: String,
    cursor: u64,
    /// What was waited for did not come in time.
    #[serde(skip_serializing_if = "is_default")]
    timed_out: bool,
    /// The program asks again.
    #[serde(skip_serializing_if = "is_default")]
    awaiting_input: bool,
    /// The command that had the terminal, when it is over.
    #[serde(flatten)]
    ended: Option<EndedCommand>,
    #[serde(skip_serializing_if = "is_default")]
    truncated: bool,
    #[serde(skip_serializing_if = "is_default")]
    omitted_lines: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    omitted_from: Option<u64>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct EndedCommand {
    command_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    success: bool,
}

impl EndedCommand {
    fn of(command: &Command) -> Option<Self> {
        command.is_ended().then(|| Self {
            command_id: command.id.to_string(),
            exit_code: command.exit_code(),
            success: command.is_success(),
        })
    }

    fn fact(&self) -> String {
        let code = self.exit_code.map_or_else(|| "ended".to_owned(), |code| format!("exit {code}"));
        format!(" · {} {code}", self.command_id)
    }
}

/// The command that has the session's terminal, unless the shell has it.
async fn running(call: &Call, session: &Session) -> Option<CommandWatch> {
    let watch = call.orchestrator.command(session.last_command.as_ref()?.as_str()).await.ok()?;
    let is_running = watch.borrow().state == CommandState::Running;
    is_running.then_some(watch)
}

fn bytes(text: Option<String>, keys: &[String], enter: bool) -> Result<Vec<u8>> {
    let mut bytes = text.unwrap_or_default().into_bytes();
    for (index, name) in keys.iter().enumerate() {
        let pressed = key(name.trim()).ok_or_else(|| {
            let field = format!("keys[{index}]");
            let message = format!("'{field}' is no key: {:?}", shortened(name));
            refusal(&field, message).with_hint(
                "keys are named enter, tab, esc, backspace, up, down, left, right, home, end, pageup, pagedown, \
                 f1 to f12, ctrl-a to ctrl-z, alt-a…; plain text goes into 'text'",
            )
        })?;
        bytes.extend(pressed);
    }
    if enter {
        bytes.push(b'\r');
    }
    if bytes.is_empty() {
        return Err(Error::invalid("session_input is given nothing to type: give 'text', 'keys' or 'enter'"));
    }
    Ok(bytes)
}

fn until(wait: &Wait) -> Result<Until> {
    match (wait.until, &wait.pattern) {
        (WaitUntil::Match, Some(given)) => check::pattern("wait.pattern", given).map(Until::Match),
        (WaitUntil::Match, None) => {
            Err(refusal("wait.pattern", "'wait.pattern' is required with until \"match\""))
        }
        (_, Some(_)) => Err(refusal("wait.pattern", "'wait.pattern' goes with until \"match\" only")),
        (WaitUntil::Exit, None) => Ok(Until::Exit),
        (WaitUntil::Idle | WaitUntil::Output | WaitUntil::Quiet, None) => Ok(Until::Idle),
    }
}

async fn input(call: &Call, arguments: Arguments) -> Result<Answer> {
    let bytes = bytes(arguments.text, &arguments.keys, arguments.enter)?;
    let wait = arguments.wait.as_ref();
    let until = wait.map(until).transpose()?;
    let written = bytes.len();
    let session = call.orchestrator.session(&arguments.session_id).await?;
    let running = running(call, &session).await;
    let session = session.id;
    let before = call.orchestrator.input(session.as_str(), Input { bytes, secret: arguments.secret }).await?;
    let timed_out = if let Some((wait, until)) = wait.zip(until) {
        let longest = call.longest_wait(wait.timeout.map(Into::into));
        let come = call.orchestrator.wait_output(&session, None, Some(before), until, longest);
        !call.wait(come, Watched::Output(&session, None)).await?
    } else {
        let settled =
            call.orchestrator.wait_output(&session, None, Some(before), Until::Quiet(SETTLED), PATIENCE);
        call.wait(settled, Watched::Output(&session, None)).await?;
        false
    };
    let awaiting_input = call.orchestrator.observe(session.as_str()).await?.awaiting_input;
    let ended = running.and_then(|watch| EndedCommand::of(&watch.borrow()));
    let mut facts = ended.as_ref().map(EndedCommand::fact).unwrap_or_default();
    if timed_out {
        facts.push_str(" · what was waited for did not come");
    }
    if awaiting_input {
        facts.push_str(" · awaiting input");
    }
    let mut room = call.room();
    loop {
        let query = OutputQuery {
            since: Some(before),
            page: Page::Ends,
            budget_tokens: room.tokens,
            ..OutputQuery::default()
        };
        let excerpt = call.orchestrator.output(&session, query).await?;
        let result = Typed {
            written,
            output: excerpt.text,
            cursor: excerpt.cursor,
            timed_out,
            awaiting_input,
            ended: ended.clone(),
            truncated: excerpt.truncated,
            omitted_lines: excerpt.omitted_lines,
            omitted_from: excerpt.omitted_from,
        };
        let line = format!("[{written} bytes typed · cursor {}{facts}]", result.cursor);
        let text = if result.output.is_empty() { line } else { format!("{}\n{line}", result.output) };
        let answer = Answer::new(text, &result)?;
        if room.holds(&answer) {
            return Ok(answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_keys_and_enter_are_typed_in_this_order() {
        let typed = bytes(Some("a".to_owned()), &["ctrl-c".to_owned()], true).unwrap();
        assert_eq!(typed, b"a\x03\r");
        assert!(bytes(None, &[], false).is_err());
        assert!(bytes(None, &["no-key".to_owned()], false).unwrap_err().message.contains("keys[0]"));
    }

    #[test]
    fn a_pattern_goes_with_match() {
        let check = |until, pattern: Option<&str>| {
            super::until(&Wait { until, pattern: pattern.map(str::to_owned), timeout: None }).is_ok()
        };
        assert!(check(WaitUntil::Match, Some("x")));
        assert!(!check(WaitUntil::Match, None));
        assert!(!check(WaitUntil::Idle, Some("x")));
        assert!(check(WaitUntil::Idle, None));
    }
}
