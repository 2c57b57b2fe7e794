//! What a run came to, for people: a table of its tasks, what the failures had to say, and a last line.

use super::outcome::{Failure, Outcome};
use super::words::{Standing, clean, counted, cut, duration, duration_ms, padded, reason};
use crate::engine::report::TaskView;
use std::fmt::Write as _;

/// Of a larger run the table leaves out what went well.
const ROWS: usize = 200;
/// Columns of a task's name, at most.
const NAME_COLUMNS: usize = 48;
/// Between two columns of the table.
const GAP: &str = "  ";
/// The heads of the table's columns.
const HEADS: [&str; 5] = ["task", "status", "duration", "attempts", "reason"];
/// Tasks that a list in a sentence names.
const NAMED: usize = 10;

/// What is printed of a run. Quietly: only what went wrong, and the last line.
pub(super) fn summary(outcome: &Outcome, is_quiet: bool) -> String {
    let mut text = String::new();
    if !is_quiet {
        text += &table(outcome);
        text.push('\n');
    }
    for failure in &outcome.failures {
        text += &shown(&outcome.tasks[failure.task], failure);
        text.push('\n');
    }
    let more = outcome.count(Standing::Failed) - outcome.failures.len();
    if more > 0 {
        let _ =
            write!(text, "{more} more failed; their output is kept, see task_status of {}\n\n", outcome.run);
    }
    if let Some(interruption) = &outcome.interruption {
        let how = if interruption.is_abrupt { "killed" } else { "cancelled" };
        let count = counted(interruption.cancelled.len(), "task");
        let _ = writeln!(text, "interrupted: {how} {count}{}", listed(&interruption.cancelled));
    }
    text + &last_line(outcome)
}

fn listed(ids: &[String]) -> String {
    let named: Vec<String> = ids.iter().take(NAMED).map(|id| clean(id)).collect();
    match ids.len() {
        0 => String::new(),
        all if all > NAMED => format!(": {}, and {} more", named.join(", "), all - NAMED),
        _ => format!(": {}", named.join(", ")),
    }
}

fn table(outcome: &Outcome) -> String {
    let is_large = outcome.tasks.len() > ROWS;
    let is_shown = |task: &&TaskView| !is_large || Standing::of(task) != Standing::Completed;
    let rows: Vec<[String; 5]> = outcome.tasks.iter().filter(is_shown).map(row).collect();
    let left_out = outcome.tasks.len() - rows.len();
    let mut text = String::new();
    if !rows.is_empty() {
        text += &aligned(&rows);
    }
    if left_out > 0 {
        let _ = writeln!(text, "{left_out} tasks that completed are not listed; --output json has all");
    }
    text
}

fn row(task: &TaskView) -> [String; 5] {
    let attempts = match (task.attempt, task.attempts) {
        (0, _) => "–".to_owned(),
        (attempt, 1) => attempt.to_string(),
        (attempt, most) => format!("{attempt} of {most}"),
    };
    [
        cut(&clean(&task.id), NAME_COLUMNS),
        Standing::of(task).word().to_owned(),
        duration_ms(task).map_or_else(|| "–".to_owned(), duration),
        attempts,
        reason(task),
    ]
}

fn aligned(rows: &[[String; 5]]) -> String {
    let heads = HEADS.map(str::to_owned);
    let all = || std::iter::once(&heads).chain(rows);
    let widths: [usize; 5] = std::array::from_fn(|column| {
        all().map(|row| unicode_width::UnicodeWidthStr::width(row[column].as_str())).max().unwrap_or(0)
    });
    let mut text = String::new();
    for row in all() {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| padded(cell, width)).collect();
        text += cells.join(GAP).trim_end();
        text.push('\n');
    }
    text
}

fn shown(task: &TaskView, failure: &Failure) -> String {
    let mut text = format!("── {}: {} ──\n", clean(&task.id), reason(task));
    if failure.omitted > 0 {
        let _ = writeln!(
            text,
            "[{} left out]",
            counted(usize::try_from(failure.omitted).unwrap_or(usize::MAX), "line")
        );
    }
    if failure.output.is_empty() {
        text += "it printed nothing\n";
    }
    for line in failure.output.lines() {
        text += clean(line).trim_end();
        text.push('\n');
    }
    text
}

fn last_line(outcome: &Outcome) -> String {
    let all = outcome.tasks.len();
    let mut line = format!("{} of {} completed", outcome.overall.counts.completed, counted(all, "task"));
    let others =
        [Standing::Failed, Standing::Skipped, Standing::Cancelled, Standing::Running, Standing::Queued];
    for standing in others {
        let count = outcome.count(standing);
        if count > 0 {
            let _ = write!(line, ", {count} {}", standing.word());
        }
    }
    line + &format!(" in {} ({})", duration(outcome.overall.elapsed_ms), outcome.run)
}
