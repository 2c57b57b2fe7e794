//! What a run came to: its tasks, and what those that failed had to say.

use super::follow::{Followed, Interruption};
use super::words::Standing;
use crate::engine::report::{Overall, TaskView};
use crate::orchestrator::{Orchestrator, OutputQuery};

/// Failures whose output is shown; the rest are in the table.
const FAILURES: usize = 25;
/// Lines of the end of a failed command's output.
const TAIL_LINES: usize = 30;
/// The size of that end, and of the error lines before it, in estimated tokens.
const OUTPUT_TOKENS: usize = 1_500;
/// Stands where lines are left out.
const GAP: &str = "…\n";

/// A run that is over.
pub(super) struct Outcome {
    pub(super) run: String,
    pub(super) tasks: Vec<TaskView>,
    pub(super) overall: Overall,
    pub(super) interruption: Option<Interruption>,
    /// In the order of the run.
    pub(super) failures: Vec<Failure>,
}

/// A task that ran and failed.
pub(super) struct Failure {
    /// Its position in the run.
    pub(super) task: usize,
    /// The lines that look like errors, and the end of the output, as far as they fit.
    pub(super) output: String,
    /// Lines that are left out.
    pub(super) omitted: u64,
}

impl Outcome {
    /// Reads what the failed commands printed.
    pub(super) async fn gather(orchestrator: &Orchestrator, run: String, followed: Followed) -> Self {
        let Followed { tasks, overall, interruption } = followed;
        let failed = |task: &TaskView| Standing::of(task) == Standing::Failed;
        let numbers = (0..tasks.len()).filter(|&number| failed(&tasks[number])).take(FAILURES);
        let mut failures = Vec::new();
        for number in numbers.collect::<Vec<_>>() {
            let (output, omitted) = condensed(orchestrator, &tasks[number]).await;
            failures.push(Failure { task: number, output, omitted });
        }
        Self { run, tasks, overall, interruption, failures }
    }

    /// Whether all went as wished.
    pub(super) fn is_success(&self) -> bool {
        self.interruption.is_none() && self.overall.counts.completed == self.overall.counts.total()
    }

    /// Tasks that went this way.
    pub(super) fn count(&self, standing: Standing) -> usize {
        self.tasks.iter().filter(|task| Standing::of(task) == standing).count()
    }

    pub(super) fn failure(&self, number: usize) -> Option<&Failure> {
        self.failures.iter().find(|failure| failure.task == number)
    }
}

/// The end of a failed command's output behind the lines before it that look like errors, and how many
/// lines are left out.
async fn condensed(orchestrator: &Orchestrator, task: &TaskView) -> (String, u64) {
    let (Some(session), Some(command)) = (&task.session, &task.command) else { return (String::new(), 0) };
    let query = OutputQuery {
        command: Some(command.clone()),
        tail_lines: Some(TAIL_LINES),
        budget_tokens: OUTPUT_TOKENS,
        ..OutputQuery::default()
    };
    let errors = OutputQuery { tail_lines: None, errors_only: true, ..query.clone() };
    let Ok(tail) = orchestrator.output(session, query).await else { return (String::new(), 0) };
    let before = tail.total_lines.saturating_sub(tail.text.lines().count() as u64);
    let (mut output, mut shown) = (String::new(), 0);
    if before > 0
        && let Ok(errors) = orchestrator.output(session, errors).await
    {
        (output, shown) = before_end(&errors.text, before);
    }
    (output + tail.text.trim_end(), before.saturating_sub(shown))
}

/// The error lines that stand in the first `before` lines, without their numbers and with gaps marked, and
/// how many there are. Those behind are shown with the end.
fn before_end(errors: &str, before: u64) -> (String, u64) {
    let (mut text, mut last, mut shown) = (String::new(), 0, 0);
    // What tells of gaps and omissions has no number.
    let numbered = errors.lines().filter_map(numbered);
    for (number, line) in numbered.take_while(|(number, _)| *number <= before) {
        if number > last + 1 {
            text += GAP;
        }
        text += line;
        text.push('\n');
        last = number;
        shown += 1;
    }
    if shown > 0 && last < before {
        text += GAP;
    }
    (text, shown)
}

/// A line of an excerpt and its number, which `:` or `-` divides from it.
fn numbered(line: &str) -> Option<(u64, &str)> {
    let (number, _) = line.split_once([':', '-'])?;
    Some((number.parse().ok()?, &line[number.len() + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_shown_once_with_the_gaps_between_them() {
        let errors = "4-four\n5:error: 1-2\n--\n[… 3 lines omitted: they did not fit …]\n9:error\n10-end\n";
        assert_eq!(before_end(errors, 20), ("…\nfour\nerror: 1-2\n…\nerror\nend\n…\n".to_owned(), 4));
        assert_eq!(before_end(errors, 9), ("…\nfour\nerror: 1-2\n…\nerror\n".to_owned(), 3));
        assert_eq!(before_end(errors, 3), (String::new(), 0));
    }
}
