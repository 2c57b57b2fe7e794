//! `shellherd run`: works a file of tasks off in a server of its own, which goes down with it.

mod file;
mod follow;
mod outcome;
mod plan;
mod progress;
mod report;
mod summary;
mod words;

use std::io::{IsTerminal, stderr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Deserialize;
use serde_json::Value;

use super::{Failure, Flags, in_runtime, log_to_stderr, print, surface};
use crate::engine::request::{CancelMode, TaskQuery};
use crate::error::{Error, ErrorCode};
use crate::limits;
use crate::mcp::{Selection, Signals, Surface};
use crate::model::{Session, Status};
use crate::orchestrator::Orchestrator;
use file::TaskFile;
use follow::Interruption;
use outcome::Outcome;
use plan::Order;
use progress::Screen;
use words::counted;

/// What a shell says of a command that ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

/// What to run, and how to tell of it.
#[derive(Args)]
pub(super) struct Options {
    /// The tasks, as JSON or YAML with the fields of `task_distribute`, or only the list of tasks; - reads stdin
    file: PathBuf,
    /// What goes to stdout in the end
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    /// Only draw the graph: waves, critical path, and an estimate from earlier runs
    #[arg(long)]
    dry_run: bool,
    /// Show no progress, and in the end only what failed
    #[arg(long, short)]
    quiet: bool,
}

/// How a run is told of.
#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table, and what the failures had to say
    #[default]
    Text,
    /// Every task, with the words of the wire
    Json,
    /// A suite of tests
    Junit,
}

/// Between two looks at shells that are starting.
const SETTLE_PAUSE: Duration = Duration::from_millis(20);

pub(super) fn run(options: &Options, flags: Flags) -> super::Outcome {
    let max_concurrent = flags.max_concurrent;
    let mut config = flags.resolve().map_err(|error| Failure::Input(Failure::Refused(error).to_string()))?;
    // The answer is read by this program, not by a model.
    config.result_tokens = limits::RUN_FILE_TOKENS;
    log_to_stderr(&config.log)?;
    let mut file = TaskFile::read(&options.file).map_err(Failure::Input)?;
    if let Some(most) = max_concurrent {
        file.arguments.insert("maxConcurrent".to_owned(), most.into());
    }
    if options.dry_run {
        file.arguments.insert("dryRun".to_owned(), true.into());
    }
    in_runtime(async {
        let mut signals = Signals::new()?;
        let surface = surface(config, true, &Selection::everything());
        let outcome = work_off(&surface, &file, options, &mut signals).await;
        settle(surface.orchestrator(), &mut signals).await;
        surface.orchestrator().shutdown().await;
        outcome
    })?
}

/// Lets shells of the pool that nothing ran in come to their prompt, unless a signal comes: killed in the middle of
/// their start-up files, they leave locks of version managers behind that hold up every shell after them.
async fn settle(orchestrator: &Orchestrator, signals: &mut Signals) {
    let is_starting = |session: &Session| session.status == Status::Initializing;
    let settled = async {
        while orchestrator.sessions().await.is_ok_and(|sessions| sessions.iter().any(is_starting)) {
            tokio::time::sleep(SETTLE_PAUSE).await;
        }
    };
    tokio::select! {
        () = settled => {}
        () = signals.any() => {}
        () = tokio::time::sleep(limits::READY_WAIT) => {}
    }
}

async fn work_off(
    surface: &Surface,
    file: &TaskFile,
    options: &Options,
    signals: &mut Signals,
) -> super::Outcome {
    let accepted = accepted(surface, file).await.map_err(|error| match error.code {
        ErrorCode::StorageFailed | ErrorCode::Internal | ErrorCode::ShuttingDown | ErrorCode::Overloaded => {
            Failure::Refused(error)
        }
        _ => Failure::Input(file.refusal(&error)),
    })?;
    // The file itself may ask for a dry run.
    let Some(run) = accepted["runId"].as_str().map(str::to_owned) else {
        return dry_run(&accepted, file, options);
    };
    let orchestrator = surface.orchestrator();
    let mut screen = Screen::new(stderr().is_terminal(), options.quiet);
    let mut followed = follow::follow(orchestrator, &run, signals, &mut screen).await?;
    if matches!(followed.interruption, Some(Interruption { is_abrupt: true, .. })) {
        // Nothing is to outlive the second signal for as long as a report takes.
        orchestrator.shutdown().await;
        followed.end_the_rest();
    }
    let outcome = Outcome::gather(orchestrator, run, followed).await;
    print(&match options.output {
        Format::Text => summary::summary(&outcome, options.quiet),
        Format::Json => format!("{:#}", report::json(&outcome)),
        Format::Junit => report::junit(&outcome, file.title())?,
    })?;
    Ok(match &outcome.interruption {
        Some(_) => ExitCode::from(INTERRUPTED),
        None if outcome.is_success() => ExitCode::SUCCESS,
        None => ExitCode::FAILURE,
    })
}

/// Hands the tasks in. What has their names and was left in the middle by a `shellherd run` that was killed
/// is cancelled: whoever would have resumed it starts it anew instead.
async fn accepted(surface: &Surface, file: &TaskFile) -> Result<Value, Error> {
    loop {
        let error = match surface.call_directly("task_distribute", Some(file.arguments.clone())).await {
            Ok(answer) => return Ok(answer.structured),
            Err(error) => error,
        };
        let holder = error.details.as_ref().and_then(|details| details["runId"].as_str());
        let holder = holder.filter(|_| error.code == ErrorCode::DuplicateId && !file.is_dry_run());
        let Some(holder) = holder else { return Err(error) };
        let orchestrator = surface.orchestrator();
        let run = orchestrator.run(holder).await?;
        // This server restored it, and nobody else is there to resume it.
        if !(run.attended && run.paused) {
            return Err(error);
        }
        let query = TaskQuery { run: Some(holder.to_owned()), ..TaskQuery::default() };
        let cancelled = orchestrator.cancel_tasks(&query, CancelMode::Force).await?;
        if cancelled.tasks.is_empty() {
            return Err(error);
        }
        let what = counted(cancelled.tasks.len(), "task");
        progress::say(&format!(
            "cancelled {what} of {holder}, which an earlier 'shellherd run' left unfinished"
        ));
    }
}

fn dry_run(accepted: &Value, file: &TaskFile, options: &Options) -> super::Outcome {
    match options.output {
        Format::Text => {}
        Format::Json => {
            print(&format!("{accepted:#}"))?;
            return Ok(ExitCode::SUCCESS);
        }
        Format::Junit => {
            let message = "a dry run draws no JUnit; take --output text or json".to_owned();
            return Err(Failure::Input(message));
        }
    }
    let order = Order::deserialize(&accepted["order"]).map_err(|error| {
        Failure::Refused(Error::new(ErrorCode::Internal, format!("the order cannot be read: {error}")))
    })?;
    print(&plan::drawing(file.title(), &order, &file.arguments))?;
    Ok(ExitCode::SUCCESS)
}
