//! The command line: which configuration, which runtime, and which of the library's doors to knock at.

mod call;
mod completions;
mod doctor;
mod man;
mod run;
mod schemas;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, Parser, Subcommand};
use tokio_util::task::TaskTracker;
use tracing_subscriber::EnvFilter;

use crate::config::{self, Config, Source, Span};
use crate::error::Error;
use crate::limits;
use crate::mcp::{Defaults, Door, Selection, Surface, Token};
use crate::model::{RecoverySettings, TerminalSize};
use crate::orchestrator::{Orchestrator, Settings};

/// How long tasks may take to notice that the runtime goes down.
const RUNTIME_SHUTDOWN: Duration = Duration::from_millis(100);

/// The exit code for arguments and files that cannot be used; clap's as well.
const BAD_INPUT: u8 = 2;

/// Gives AI agents real terminals over the Model Context Protocol.
#[derive(Parser)]
#[command(name = "shellherd", version, about, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    flags: Flags,
    #[command(flatten)]
    offer: Offer,
}

#[derive(Subcommand)]
enum Verb {
    /// Serve MCP on stdin and stdout, or over HTTP (what shellherd does without a verb)
    Serve {
        #[command(flatten)]
        flags: Flags,
        #[command(flatten)]
        offer: Offer,
    },
    /// Make tool calls, one after the other, in a server of their own, and print the results
    Call {
        /// Names of tools, each followed by its arguments as a JSON object, or by - to read them from stdin
        #[arg(required = true, value_name = "TOOL [JSON]")]
        calls: Vec<String>,
        #[command(flatten)]
        flags: Flags,
    },
    /// Work a file of tasks off, and show how it comes along
    Run {
        #[command(flatten)]
        options: run::Options,
        #[command(flatten)]
        flags: Flags,
    },
    /// Write the tools' schemas, one file for each, and the tables of a README
    Schemas {
        /// Only check that the files are up to date
        #[arg(long)]
        check: bool,
        /// A file with marks between which the tables of tools and of error codes stand
        #[arg(long, value_name = "FILE")]
        readme: Option<PathBuf>,
        /// Where the files are
        #[arg(default_value = "tool-schemas")]
        directory: PathBuf,
    },
    /// Check shells, terminals, limits and the store, and say how to fix what is missing
    Doctor {
        #[command(flatten)]
        flags: Flags,
    },
    /// Print a script that completes the command line in a shell
    Completions { shell: completions::Shell },
    /// Print the manual page
    Man,
    /// Outlives a killed server for a moment, to end what it started
    #[command(hide = true)]
    Guard { hard: u64, base: u64, directory: PathBuf, groups: Option<PathBuf> },
}

/// Flags beat the environment (`SHELLHERD_STATE_DIR` and so on), which beats the configuration file.
#[derive(Args)]
struct Flags {
    /// The configuration file [default: shellherd/shellherd.toml in the XDG configuration directory]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the store and the logs are [default: shellherd in the XDG state directory]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// The shell of sessions that name none [default: $SHELL]
    #[arg(long)]
    shell: Option<String>,
    /// The most that one result may take, in estimated tokens [default: 8000]
    #[arg(long, value_name = "TOKENS")]
    result_tokens: Option<usize>,
    /// Lines of a terminal [default: 40]
    #[arg(long)]
    rows: Option<u16>,
    /// Characters in a line of a terminal [default: 120]
    #[arg(long)]
    cols: Option<u16>,
    /// The timeout of commands that name none, like 5m or 30000 [default: 5m]
    #[arg(long, value_name = "DURATION")]
    command_timeout: Option<String>,
    /// How long after its end a session is removed, like 1h, or never [default: 1h]
    #[arg(long, value_name = "DURATION")]
    cleanup_after: Option<String>,
    /// How often it is noted what the machine and the sessions use, like 5s [default: 5s]
    #[arg(long, value_name = "DURATION")]
    sample_every: Option<String>,
    /// Tasks that run at once in a run that names no number [default: 10]
    #[arg(long, value_name = "TASKS")]
    max_concurrent: Option<u32>,
    /// A running command without output and CPU for this long is stale [default: 5m]
    #[arg(long, value_name = "DURATION")]
    stale_after: Option<String>,
    /// Between two background looks at the health of everything [default: 30s]
    #[arg(long, value_name = "DURATION")]
    health_interval: Option<String>,
    /// The command line of agents, which get their prompt as its last word in a task, and else on stdin
    /// [default: claude -p]
    #[arg(long, value_name = "COMMAND")]
    agent_command: Option<String>,
    /// A text, or a /regular expression/, to blot out wherever it would be stored or logged; may be given
    /// several times
    #[arg(long, value_name = "TEXT")]
    redact: Vec<String>,
    /// What is logged to stderr, as in `RUST_LOG` [default: warn]
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
}

/// What a server offers its clients, and where.
#[derive(Args, Default)]
struct Offer {
    /// The sets of tools to offer: core, commands, tasks, monitor, agents, ops [default: all of them]
    #[arg(long, value_name = "SETS", value_delimiter = ',')]
    toolsets: Option<Vec<String>>,
    /// Offer only tools that change nothing
    #[arg(long)]
    read_only: bool,
    /// Serve over HTTP at this address of this machine, like 127.0.0.1:0, instead of on stdin and stdout
    #[arg(long, value_name = "ADDRESS")]
    http: Option<String>,
    /// The file with the token that clients send over HTTP [default: a new one, told on stderr]
    #[arg(long, value_name = "FILE")]
    http_token_file: Option<PathBuf>,
}

impl Flags {
    /// The configuration of a verb that offers nothing to anybody.
    fn resolve(self) -> Result<Config, Error> {
        self.resolve_with(Offer::default())
    }

    fn resolve_with(self, offer: Offer) -> Result<Config, Error> {
        let file = self.config;
        let source = Source {
            state_dir: self.state_dir,
            shell: self.shell,
            result_tokens: self.result_tokens,
            rows: self.rows,
            cols: self.cols,
            command_timeout: self.command_timeout.map(Span::Text),
            cleanup_after: self.cleanup_after.map(Span::Text),
            sample_every: self.sample_every.map(Span::Text),
            max_concurrent: self.max_concurrent,
            stale_after: self.stale_after.map(Span::Text),
            health_interval: self.health_interval.map(Span::Text),
            agent_command: self.agent_command,
            redact: self.redact,
            log: self.log,
            toolsets: offer.toolsets,
            read_only: offer.read_only.then_some(true),
            http: offer.http,
            http_token_file: offer.http_token_file,
            ..Source::default()
        };
        let config = config::resolve(source, file.as_deref(), |name| {
            std::env::var_os(name).filter(|value| !value.is_empty())
        })?;
        Settings::check_redact(&config.redact)?;
        Ok(config)
    }
}

/// Runs the binary with the process's arguments.
pub fn main() -> ExitCode {
    let Arguments { verb, flags, offer } =
        Arguments::try_parse().unwrap_or_else(|error| refused(error).exit());
    let outcome = match verb.unwrap_or(Verb::Serve { flags, offer }) {
        Verb::Serve { flags, offer } => serve(flags, offer),
        Verb::Call { calls, flags } => call::call(&calls, flags),
        Verb::Run { options, flags } => run::run(&options, flags),
        Verb::Schemas { check, readme, directory } => schemas::schemas(&directory, readme.as_deref(), check),
        Verb::Doctor { flags } => doctor::doctor(flags),
        Verb::Completions { shell } => completions::completions(shell, &Arguments::command()),
        Verb::Man => man::man(&Arguments::command()),
        Verb::Guard { hard, base, directory, groups } => {
            return crate::pty::guard::main(hard, base, &directory, groups.as_deref());
        }
    };
    outcome.unwrap_or_else(|failure| {
        // Nothing is left to tell it to when stderr is gone.
        let _ = writeln!(io::stderr(), "shellherd: {failure}");
        match failure {
            Failure::Input(_) => ExitCode::from(BAD_INPUT),
            Failure::Refused(_) | Failure::Io(_) => ExitCode::FAILURE,
        }
    })
}

/// clap's message tells that a flag and a verb do not go together, but not that they do the other way round.
fn refused(mut error: clap::Error) -> clap::Error {
    if error.kind() == ErrorKind::ArgumentConflict {
        let tip = "options stand behind the verb: shellherd doctor --state-dir DIR";
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

/// What keeps a verb from being done.
enum Failure {
    /// What was given cannot be used, in words for whoever wrote it.
    Input(String),
    Refused(Error),
    Io(io::Error),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Input(message) => f.write_str(message),
            Self::Refused(error) => match &error.hint {
                Some(hint) => write!(f, "{} ({hint})", error.message),
                None => write!(f, "{}", error.message),
            },
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<tokio::task::JoinError> for Failure {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::Io(error.into())
    }
}

type Outcome = Result<ExitCode, Failure>;

fn serve(flags: Flags, offer: Offer) -> Outcome {
    let config = flags.resolve_with(offer)?;
    let selection = Selection::new(config.toolsets.as_deref(), config.read_only)?;
    let door = config.http.as_deref().map(|address| {
        let token = config.http_token_file.as_deref().map_or_else(|| Ok(Token::generate()), Token::from_file);
        Door::new(address, token?)
    });
    let door = door.transpose()?;
    log_to_stderr(&config.log)?;
    // Within a task, what wakes it costs no system call; what `block_on` is given is woken by one.
    in_runtime(async {
        let surface = surface(config, false, &selection);
        let tasks = TaskTracker::new();
        match door {
            Some(door) => tasks.spawn(door.serve(surface)).await,
            None => tasks.spawn(crate::mcp::serve(surface)).await,
        }
    })???;
    Ok(ExitCode::SUCCESS)
}

/// Must be called within the runtime. Runs are `attended` by whoever ends with the server.
fn surface(config: Config, attended: bool, selection: &Selection) -> Surface {
    let size = TerminalSize::default();
    let recovery = RecoverySettings {
        retries: config.recovery_retries,
        delay: config.recovery_delay,
        timeout: config.recovery_timeout,
        circuit_failures: config.circuit_failures,
        circuit_open: config.circuit_open,
    };
    let defaults = Defaults {
        shell: config.shell.clone(),
        size: TerminalSize { rows: config.rows.unwrap_or(size.rows), cols: config.cols.unwrap_or(size.cols) },
        recovery,
        agent_command: config.agent_command,
        result_tokens: config.result_tokens,
    };
    let settings = Settings {
        recovery,
        state_dir: config.state_dir,
        program: "/proc/self/exe".into(),
        shell: config.shell,
        max_concurrent: config.max_concurrent,
        attended,
        command_timeout: config.command_timeout,
        cleanup_after: config.cleanup_after,
        sample_every: config.sample_every,
        stale_after: config.stale_after,
        health_interval: config.health_interval,
        cgroup: config.cgroup,
        redact: config.redact,
    };
    Surface::new(Orchestrator::new(settings), defaults, selection)
}

fn in_runtime<T>(what: impl Future<Output = T>) -> io::Result<T> {
    // One thread: what the server does between two waits takes microseconds, and waking another
    // thread for it takes longer. What takes longer than that runs beside the runtime.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(limits::BLOCKING_THREADS)
        .thread_keep_alive(Duration::MAX)
        .build()?;
    // Where the machine has no thread left, tokio lets work wait for one that it has, and panics if it has none.
    runtime.spawn_blocking(|| {});
    let result = runtime.block_on(what);
    runtime.shutdown_timeout(RUNTIME_SHUTDOWN);
    Ok(result)
}

fn log_to_stderr(filter: &str) -> Result<(), Error> {
    let wrong =
        |error: &dyn std::fmt::Display| Error::invalid(format!("log: {filter:?} is no filter: {error}"));
    let mut filter: EnvFilter = filter.parse().map_err(|error| wrong(&error))?;
    // Below this, rmcp writes whole messages, with whatever secrets are in them.
    filter = filter.add_directive("rmcp=warn".parse().map_err(|error| wrong(&error))?);
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(false).init();
    Ok(())
}

/// Writes a line to stdout. A reader that went away is no failure of what was done.
fn print(line: &str) -> io::Result<()> {
    print_whole(format!("{line}\n").as_bytes())
}

/// Writes a text to stdout, as [`print()`] does.
fn print_whole(text: &[u8]) -> io::Result<()> {
    match io::stdout().lock().write_all(text) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn without_a_verb_it_serves_with_flags() {
        let arguments = Arguments::try_parse_from(["shellherd", "--rows", "7"]).unwrap();
        assert!(arguments.verb.is_none());
        assert_eq!(arguments.flags.rows, Some(7));
        let arguments = Arguments::try_parse_from(["shellherd", "serve", "--state-dir", "/x"]).unwrap();
        assert!(
            matches!(arguments.verb, Some(Verb::Serve { flags, .. }) if flags.state_dir == Some("/x".into()))
        );
    }
}
