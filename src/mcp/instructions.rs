//! What a model is told before it looks at any tool: only of what the server offers.

use super::tool::Effect;
use super::tools;

/// Paragraphs, each with the tools that it speaks of.
const PARAGRAPHS: &[(&[&str], &str)] = &[
    (
        &["session_create", "command_execute", "session_close"],
        "shellherd gives you real terminals. A session is one shell that keeps its directory, environment and jobs; \
         create one with session_create, run commands in it with command_execute, close it with session_close.",
    ),
    (
        &["command_execute", "command_status"],
        "Parallel work: one session for each job. Start each with command_execute {background: true}, which answers at once with \
         a commandId, then wait for all of them together: command_status {commandIds:[…], wait}. Tools that only read \
         or wait can be called in one turn and run side by side.",
    ),
    (
        &["task_distribute", "task_status"],
        "Many commands, or some that need others first: task_distribute runs a graph of tasks in sessions of its own; \
         wait with task_status {runId, wait}.",
    ),
    (
        &["command_status"],
        "Long commands: a call answers after at most 45 s. running:true is not a failure: the command goes on; \
         continue with command_status {commandId, wait, since: cursor}.",
    ),
    (
        &["session_output"],
        "Cursors: every byte of a session's output has a number. Pass the cursor of one answer as since to get only \
         what came later. truncated:true means that lines were left out; read them with session_output {since: \
         omittedFrom} or {range}.",
    ),
    (
        &["session_input", "session_output", "command_signal"],
        "Input: awaitingInput:true means that the command asks for something (prompt says what); answer with \
         session_input. Keys and full-screen programs: session_input {keys}, session_output {mode:\"screen\"}. Stop a \
         command with command_signal.",
    ),
    (
        &["diagnose"],
        "Something hangs or fails for no clear reason: diagnose says why, with calls ready to be made.",
    ),
    (
        &[],
        "Failures: a command that failed is an error result with its full output. Any other error is JSON with code, \
         message, and a hint: the next call to make. retryable:true means that the same call may succeed later.\n\
         Durations are milliseconds. A sessionId may also be a session's unique name.",
    ),
];

/// In place of how to begin, where nothing can be.
const ONLY_SHOWS: &str = "shellherd runs terminals and tasks, but this server only shows them, and what earlier servers kept of theirs.";

/// The instructions of a server that offers these tools.
pub(crate) fn instructions(is_offered: impl Fn(&str) -> bool) -> String {
    let changing = tools::all().filter(|tool| tool.effect != Effect::Reads);
    let only_shows = !changing.map(|tool| tool.name).any(&is_offered);
    let fitting = PARAGRAPHS.iter().filter(|(tools, _)| tools.iter().all(|tool| is_offered(tool)));
    let texts = only_shows.then_some(ONLY_SHOWS).into_iter().chain(fitting.map(|(_, text)| *text));
    texts.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::super::tools::all;
    use super::*;

    #[test]
    fn instructions_are_short_enough_to_be_kept() {
        let whole = instructions(|_| true);
        assert!(whole.len() < 2_048, "{}", whole.len());
        assert!(whole.starts_with("shellherd gives you real terminals."));
    }

    /// A paragraph says which tools it speaks of, and speaks of no other.
    #[test]
    fn a_paragraph_speaks_of_its_tools() {
        for (tools, text) in PARAGRAPHS {
            for tool in all() {
                assert_eq!(text.contains(tool.name), tools.contains(&tool.name), "{}: {text}", tool.name);
            }
        }
        let few = instructions(|tool| tool == "session_output");
        assert!(few.contains("session_output") && !few.contains("session_create"), "{few}");
        assert!(few.starts_with(ONLY_SHOWS) && !instructions(|_| true).contains(ONLY_SHOWS), "{few}");
    }
}
