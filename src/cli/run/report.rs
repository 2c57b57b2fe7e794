//! What a run came to, for programs: JSON with the words of the wire, or `JUnit` XML.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde_json::{Map, Value, json};

use super::outcome::Outcome;
use super::words::{Standing, duration_ms, reason};
use crate::engine::report::TaskView;
use crate::error::{Error, ErrorCode, Result};

/// The run as JSON, with every task.
pub(super) fn json(outcome: &Outcome) -> Value {
    let counts = outcome.overall.counts;
    let mut shape = Map::new();
    shape.insert("runId".to_owned(), outcome.run.as_str().into());
    let status = if outcome.is_success() { "completed" } else { "failed" };
    shape.insert("status".to_owned(), status.into());
    if let Some(interruption) = &outcome.interruption {
        shape.insert("interrupted".to_owned(), true.into());
        shape.insert("cancelled".to_owned(), interruption.cancelled.clone().into());
    }
    shape.insert("durationMs".to_owned(), outcome.overall.elapsed_ms.into());
    let summary = json!({
        "total": counts.total(),
        "completed": counts.completed,
        "failed": counts.failed,
        "running": counts.running,
        "queued": counts.queued,
    });
    shape.insert("summary".to_owned(), summary);
    let tasks = outcome.tasks.iter().enumerate().map(|(number, task)| json_of(outcome, number, task));
    shape.insert("tasks".to_owned(), tasks.collect());
    shape.into()
}

fn json_of(outcome: &Outcome, number: usize, task: &TaskView) -> Value {
    let mut shape = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            shape.insert(name.to_owned(), value);
        }
    };
    put("id", Some(task.id.as_str().into()));
    put("status", Some(task.status.as_str().into()));
    put("reason", task.reason.map(|reason| reason.as_str().into()));
    put("becauseOf", task.because_of.clone().map(Value::from));
    put("attempt", (task.attempt > 0).then(|| task.attempt.into()));
    put("exitCode", task.exit_code.map(Value::from));
    put("durationMs", duration_ms(task).map(Value::from));
    put("startedAt", task.started_at.map(|at| at.to_string().into()));
    put("completedAt", task.ended_at.map(|at| at.to_string().into()));
    if let Some(failure) = outcome.failure(number) {
        put("output", Some(failure.output.as_str().into()));
        put("omittedLines", (failure.omitted > 0).then(|| failure.omitted.into()));
    }
    shape.into()
}

/// The run as a suite of tests. What failed by its own doing is a failure, what was kept from its end is
/// an error, and what never ran is skipped.
pub(super) fn junit(outcome: &Outcome, title: &str) -> Result<String> {
    let mut suite = TestSuite::new(title);
    suite.set_time(Duration::from_millis(outcome.overall.elapsed_ms));
    for (number, task) in outcome.tasks.iter().enumerate() {
        let status = match Standing::of(task) {
            Standing::Completed => TestCaseStatus::success(),
            Standing::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
            Standing::Cancelled | Standing::Running if task.attempt > 0 => {
                TestCaseStatus::non_success(NonSuccessKind::Error)
            }
            Standing::NotNeeded
            | Standing::Skipped
            | Standing::Cancelled
            | Standing::Running
            | Standing::Queued => TestCaseStatus::skipped(),
        };
        suite.add_test_case(case(outcome, number, task, status, title));
    }
    let mut report = Report::new(title);
    report.set_time(Duration::from_millis(outcome.overall.elapsed_ms)).add_test_suite(suite);
    report
        .to_string()
        .map_err(|error| Error::new(ErrorCode::Internal, format!("the report could not be written: {error}")))
}

fn case(
    outcome: &Outcome,
    number: usize,
    task: &TaskView,
    mut status: TestCaseStatus,
    title: &str,
) -> TestCase {
    let standing = Standing::of(task);
    if standing != Standing::Completed {
        let reason = reason(task);
        status.set_message(if reason.is_empty() { standing.word().to_owned() } else { reason });
        if let Some(reason) = task.reason.filter(|_| standing == Standing::Failed) {
            status.set_type(reason.as_str());
        }
    }
    if let Some(failure) = outcome.failure(number) {
        status.set_description(failure.output.as_str());
    }
    let mut case = TestCase::new(task.id.as_str(), status);
    case.set_classname(title);
    if let Some(ms) = duration_ms(task) {
        case.set_time(Duration::from_millis(ms));
    }
    case
}
