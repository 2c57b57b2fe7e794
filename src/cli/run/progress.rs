//! How a run comes along, on stderr: bars on a terminal, plain lines elsewhere. Decides nothing.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use unicode_width::UnicodeWidthStr;

use super::words::{Standing, clean, counted, cut, duration, duration_ms, padded, reason};
use crate::clock;
use crate::engine::report::{Overall, TaskView};
use crate::model::TaskStatus;

/// Bars at once; the total tells of the rest.
const BARS: usize = 12;
/// Columns of a task's name in front of its bar.
const NAME_COLUMNS: usize = 30;
/// The total's length: percent in tenths.
const WHOLE: u64 = 1_000;

/// Where progress is shown.
pub(super) struct Screen {
    kind: Kind,
    /// How each task stood at the last look, in the run's order.
    known: Vec<(TaskStatus, u32)>,
}

enum Kind {
    Bars(Bars),
    Lines,
    Quiet,
}

struct Bars {
    all: MultiProgress,
    total: ProgressBar,
    running: HashMap<String, ProgressBar>,
    /// Columns of the names.
    columns: usize,
}

impl Screen {
    pub(super) fn new(is_terminal: bool, is_quiet: bool) -> Self {
        let kind = match (is_quiet, is_terminal) {
            (true, _) => Kind::Quiet,
            (false, true) => Kind::Bars(Bars::new()),
            (false, false) => Kind::Lines,
        };
        Self { kind, known: Vec::new() }
    }

    /// The running tasks whose last line of output is shown, those that began first.
    pub(super) fn watched<'a>(&self, tasks: &'a [TaskView]) -> Vec<&'a TaskView> {
        if !matches!(self.kind, Kind::Bars(_)) {
            return Vec::new();
        }
        let mut running: Vec<_> = tasks.iter().filter(|task| task.status == TaskStatus::Running).collect();
        running.sort_by_key(|task| task.started_at);
        running.truncate(BARS);
        running
    }

    /// Shows how the tasks stand; `watched` come with their last line.
    pub(super) fn update(&mut self, tasks: &[TaskView], overall: &Overall, watched: &[(&TaskView, String)]) {
        self.known.resize(tasks.len(), (TaskStatus::Queued, 0));
        for (task, known) in tasks.iter().zip(&mut self.known) {
            let now = (task.status, task.attempt);
            let before = std::mem::replace(known, now);
            if before == now {
                continue;
            }
            for line in changed(task, before) {
                match &self.kind {
                    Kind::Lines => say(&line),
                    // The bars show the rest.
                    Kind::Bars(bars) if Standing::of(task) == Standing::Failed => bars.say(&line),
                    Kind::Bars(_) | Kind::Quiet => {}
                }
            }
        }
        if let Kind::Bars(bars) = &mut self.kind {
            bars.update(tasks, overall, watched);
        }
    }

    /// Says something beside the progress.
    pub(super) fn note(&self, line: &str) {
        match &self.kind {
            Kind::Bars(bars) => bars.say(line),
            Kind::Lines | Kind::Quiet => say(line),
        }
    }

    /// Takes the bars away.
    pub(super) fn clear(&self) {
        if let Kind::Bars(bars) = &self.kind {
            // One that is left unfinished draws itself once more when it is dropped.
            for bar in bars.running.values().chain([&bars.total]) {
                bar.finish_and_clear();
            }
            // Nothing depends on it.
            let _ = bars.all.clear();
        }
    }
}

/// What happened to a task since the last look, a line for each.
fn changed(task: &TaskView, before: (TaskStatus, u32)) -> Vec<String> {
    let id = clean(&task.id);
    let mut lines = Vec::new();
    let of_attempts = if task.attempts > 1 && task.attempt > 0 {
        format!(", attempt {} of {}", task.attempt, task.attempts)
    } else {
        String::new()
    };
    if task.attempt > before.1 && task.status != TaskStatus::Queued {
        let of_attempts = if task.attempt > 1 { of_attempts.as_str() } else { "" };
        lines.push(format!("started   {id}{of_attempts}"));
    }
    let took = duration_ms(task).map_or_else(String::new, |ms| format!(" in {}", duration(ms)));
    let reason = reason(task);
    let why = if reason.is_empty() { String::new() } else { format!(", {reason}") };
    match Standing::of(task) {
        Standing::Queued if task.attempt > 0 => {
            lines.push(format!("waiting   {id}, to try again{of_attempts}"));
        }
        Standing::Queued | Standing::Running => {}
        Standing::Completed => lines.push(format!("finished  {id}{took}")),
        Standing::Failed => lines.push(format!("failed    {id}{took}{why}{of_attempts}")),
        Standing::Skipped | Standing::NotNeeded => lines.push(format!("skipped   {id}{why}")),
        Standing::Cancelled => lines.push(format!("cancelled {id}{took}")),
    }
    lines
}

/// A line on stderr. Nothing is left to tell it to when that is gone.
pub(super) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

impl Bars {
    fn new() -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let total = all.add(ProgressBar::new(WHOLE).with_style(style("{bar:24} {wide_msg}")));
        Self { all, total, running: HashMap::new(), columns: 0 }
    }

    fn say(&self, line: &str) {
        let _ = self.all.println(line);
    }

    fn update(&mut self, tasks: &[TaskView], overall: &Overall, watched: &[(&TaskView, String)]) {
        self.running.retain(|id, bar| {
            let runs = watched.iter().any(|(task, _)| task.id == *id);
            if !runs {
                bar.finish_and_clear();
                self.all.remove(bar);
            }
            runs
        });
        let now = clock::now().wall;
        let widths = watched.iter().map(|(task, _)| task.id.width());
        // It only grows: names that move about cannot be read.
        self.columns = widths.max().unwrap_or(0).min(NAME_COLUMNS).max(self.columns);
        for (task, line) in watched {
            let elapsed = task.started_at.map_or(Duration::ZERO, |started| now.since(started));
            let bar = self.running.entry(task.id.clone()).or_insert_with(|| {
                let bar = ProgressBar::new_spinner().with_style(style("{spinner} {prefix} {wide_msg}"));
                self.all.insert_before(&self.total, bar)
            });
            let seconds = elapsed.as_secs();
            let elapsed = format!("{}:{:02}", seconds / 60, seconds % 60);
            let name = padded(&cut(&clean(&task.id), self.columns), self.columns);
            bar.set_prefix(format!("{name} {elapsed:>6}"));
            bar.set_message(clean(line));
            bar.tick();
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 1000")]
        self.total.set_position((overall.percentage * 10.0) as u64);
        self.total.set_message(total(tasks, overall));
        self.total.tick();
    }
}

/// All tasks in a line.
fn total(tasks: &[TaskView], overall: &Overall) -> String {
    let counts = overall.counts;
    let mut line =
        format!("{}%  {} of {}", overall.percentage, counts.over(), counted(counts.total(), "task"));
    for standing in
        [Standing::Failed, Standing::Skipped, Standing::Cancelled, Standing::Running, Standing::Queued]
    {
        let count = tasks.iter().filter(|task| Standing::of(task) == standing).count();
        if count > 0 {
            let _ = write!(line, ", {count} {}", standing.word());
        }
    }
    let _ = write!(line, "  {}", whole_seconds(overall.elapsed_ms));
    if let Some(eta) = overall.eta_ms {
        let _ = write!(line, ", about {} left", whole_seconds(eta));
    }
    line
}

/// What changes several times a second is shown in full seconds.
fn whole_seconds(ms: u64) -> String {
    if ms < 60_000 { format!("{} s", ms.div_ceil(1_000)) } else { duration(ms) }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸─")
}
