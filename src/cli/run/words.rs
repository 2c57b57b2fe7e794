//! Words for people: how a task went, how long it took, text that fits a terminal and cannot steer it.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::engine::report::TaskView;
use crate::model::{TaskReason, TaskStatus};

/// How a task went, as a person would say it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Queued,
    Running,
    Completed,
    /// Its condition did not come true, which is fine.
    NotNeeded,
    Failed,
    /// It never ran because of another.
    Skipped,
    Cancelled,
}

impl Standing {
    pub(super) fn of(view: &TaskView) -> Self {
        match (view.status, view.reason) {
            (TaskStatus::Queued, _) => Self::Queued,
            (TaskStatus::Running, _) => Self::Running,
            (TaskStatus::Completed, Some(TaskReason::NotNeeded)) => Self::NotNeeded,
            (TaskStatus::Completed, _) => Self::Completed,
            (TaskStatus::Failed, Some(TaskReason::DependencyFailed)) => Self::Skipped,
            (TaskStatus::Failed, Some(TaskReason::Cancelled)) => Self::Cancelled,
            (TaskStatus::Failed, _) => Self::Failed,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::NotNeeded => "not needed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Why a task is over, where its standing does not say it all; else nothing.
pub(super) fn reason(view: &TaskView) -> String {
    let because = view.because_of.as_deref().map(clean);
    match view.reason {
        None | Some(TaskReason::Cancelled) => String::new(),
        Some(TaskReason::ExitCode) => {
            view.exit_code.map_or_else(|| "no exit code".to_owned(), |code| format!("exit code {code}"))
        }
        Some(TaskReason::Timeout) => "timed out".to_owned(),
        Some(TaskReason::DependencyFailed) => {
            because.map_or_else(|| "a dependency failed".to_owned(), |root| format!("because of {root}"))
        }
        Some(TaskReason::NotNeeded) => because.map_or_else(String::new, |root| format!("because of {root}")),
        Some(TaskReason::SessionLost) => "its session was lost".to_owned(),
        Some(TaskReason::MemoryLimit) => "passed its memory limit".to_owned(),
        Some(TaskReason::CpuLimit) => "passed its limit of CPU time".to_owned(),
        Some(TaskReason::ProcessLimit) => "passed its limit of processes".to_owned(),
        Some(TaskReason::FileLimit) => "passed its limit of open files".to_owned(),
        Some(TaskReason::ServerRestart) => "the server ended".to_owned(),
        Some(TaskReason::NotFound) => "unknown".to_owned(),
    }
}

/// Milliseconds of a task's latest attempt, so far as it has begun and ended.
pub(super) fn duration_ms(view: &TaskView) -> Option<u64> {
    let duration = view.ended_at?.since(view.started_at?);
    Some(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// A duration to three digits or so.
pub(super) fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..10_000 => format!("{}.{:02} s", ms / 1_000, ms % 1_000 / 10),
        10_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        60_000..3_600_000 => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
        _ => format!("{} h {} min", ms / 3_600_000, ms % 3_600_000 / 60_000),
    }
}

/// `1 task`, `2 tasks`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// The text without characters that steer a terminal.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// At most so many columns of it.
pub(super) fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut left = columns.saturating_sub(1);
    let fits = |c: &char| {
        let width = c.width().unwrap_or(0);
        left.checked_sub(width).map(|rest| left = rest).is_some()
    };
    let mut kept: String = text.chars().take_while(fits).collect();
    kept.push('…');
    kept
}

/// At least so many columns of it.
pub(super) fn padded(text: &str, columns: usize) -> String {
    let mut padded = text.to_owned();
    padded.extend(std::iter::repeat_n(' ', columns.saturating_sub(text.width())));
    padded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        let read = [0, 999, 1_000, 9_999, 59_999, 60_000, 3_599_999, 3_600_000, 90_000_000].map(duration);
        let wanted = [
            "0 ms",
            "999 ms",
            "1.00 s",
            "9.99 s",
            "59.9 s",
            "1 min 0 s",
            "59 min 59 s",
            "1 h 0 min",
            "25 h 0 min",
        ];
        assert_eq!(read, wanted);
    }

    #[test]
    fn text_fits_its_columns() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdefg", 6), "abcde…");
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(padded("日", 4), "日  ");
        assert_eq!(clean("a\x1b[2Jb\n"), "a [2Jb ");
    }
}
