//! Configuration: flags over environment (`SHELLHERD_*`) over `shellherd.toml` over defaults.
//! Knows the keys and their texts; what they mean is known where they are used.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::limits;

/// The settings as one source gives them. Every key may be absent; the file knows exactly these keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Source {
    /// Where the store and the logs are.
    pub state_dir: Option<PathBuf>,
    /// The shell of sessions that name none: a program on the PATH or an absolute path.
    pub shell: Option<String>,
    /// The most that one result may take, in estimated tokens.
    pub result_tokens: Option<usize>,
    /// Lines of a terminal whose creation names none.
    pub rows: Option<u16>,
    /// Characters in a line of such a terminal.
    pub cols: Option<u16>,
    /// The timeout of commands that name none: `"5m"` or milliseconds.
    pub command_timeout: Option<Span>,
    /// How long after its end a session is removed: as for `command_timeout`, or `"never"`.
    pub cleanup_after: Option<Span>,
    /// How often it is noted what the machine and the sessions use, likewise.
    pub sample_every: Option<Span>,
    /// Tasks that run at once in a run that names no number.
    pub max_concurrent: Option<u32>,
    /// A running command without output and without CPU for this long is stale: `"5m"` or milliseconds.
    pub stale_after: Option<Span>,
    /// Between two background looks at the health of everything.
    pub health_interval: Option<Span>,
    /// The command line of agents, which get their prompt as its last word in a task, and else on stdin.
    pub agent_command: Option<String>,
    /// Texts, and regular expressions between slashes, that are blotted out wherever they would be stored
    /// or logged. The environment separates them by commas, so a pattern with one goes elsewhere.
    #[serde(default)]
    pub redact: Vec<String>,
    /// What is logged to stderr, as in `RUST_LOG`.
    pub log: Option<String>,
    /// Attempts at the recovery of a session that names no number.
    pub recovery_retries: Option<u32>,
    /// The pause before the second of them: `"2s"` or milliseconds.
    pub recovery_delay: Option<Span>,
    /// The longest that all of them may take together.
    pub recovery_timeout: Option<Span>,
    /// Failures in a row that open the circuit of a command line.
    pub circuit_failures: Option<u32>,
    /// How long it stays open.
    pub circuit_open: Option<Span>,
    /// Whether control groups hold limits where they can.
    pub cgroup: Option<bool>,
    /// The sets of tools that `serve` offers.
    pub toolsets: Option<Vec<String>>,
    /// Whether of those it offers only the ones that change nothing.
    pub read_only: Option<bool>,
    /// The address of this machine at which `serve` serves over HTTP, instead of on stdin and stdout.
    pub http: Option<String>,
    /// The file with the token that clients send over HTTP.
    pub http_token_file: Option<PathBuf>,
}

/// A duration in the file: a text like `"5m"`, or milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Span {
    /// Milliseconds.
    Milliseconds(u64),
    /// A number with its unit.
    Text(String),
}

/// The keys of the file, for the nearest one to an unknown key.
const KEYS: [&str; 24] = [
    "state-dir",
    "shell",
    "result-tokens",
    "rows",
    "cols",
    "command-timeout",
    "cleanup-after",
    "sample-every",
    "max-concurrent",
    "stale-after",
    "health-interval",
    "agent-command",
    "redact",
    "log",
    "recovery-retries",
    "recovery-delay",
    "recovery-timeout",
    "circuit-failures",
    "circuit-open",
    "cgroup",
    "toolsets",
    "read-only",
    "http",
    "http-token-file",
];

/// What the server runs with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where the store and the logs are. Absolute.
    pub state_dir: PathBuf,
    /// The shell of sessions that name none; `$SHELL` when absent.
    pub shell: Option<String>,
    /// The most that one result may take, in estimated tokens.
    pub result_tokens: usize,
    /// Height of a terminal whose creation names none.
    pub rows: Option<u16>,
    /// Width of such a terminal.
    pub cols: Option<u16>,
    /// The timeout of commands that name none.
    pub command_timeout: Duration,
    /// How long after its end a session is removed; never when absent.
    pub cleanup_after: Option<Duration>,
    /// How often it is noted what the machine and the sessions use.
    pub sample_every: Duration,
    /// Tasks that run at once in a run that names no number.
    pub max_concurrent: u32,
    /// A running command without output and without CPU for this long is stale.
    pub stale_after: Duration,
    /// Between two background looks at the health of everything.
    pub health_interval: Duration,
    /// The command line of agents.
    pub agent_command: String,
    /// Texts, and patterns between slashes, that are blotted out.
    pub redact: Vec<String>,
    /// What is logged to stderr.
    pub log: String,
    /// Attempts at the recovery of a session that names no number.
    pub recovery_retries: u32,
    /// The pause before the second of them.
    pub recovery_delay: Duration,
    /// The longest that all of them may take together.
    pub recovery_timeout: Duration,
    /// Failures in a row that open the circuit of a command line.
    pub circuit_failures: u32,
    /// How long it stays open.
    pub circuit_open: Duration,
    /// Whether control groups hold limits where they can.
    pub cgroup: bool,
    /// The sets of tools that `serve` offers; all when absent.
    pub toolsets: Option<Vec<String>>,
    /// Whether of those it offers only the ones that change nothing.
    pub read_only: bool,
    /// The address at which `serve` serves over HTTP.
    pub http: Option<String>,
    /// The file with the token for it; a new token when absent.
    pub http_token_file: Option<PathBuf>,
}

/// Puts the sources together. `variable` reads the environment; `file` is what `--config` named.
pub fn resolve(
    flags: Source,
    file: Option<&Path>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Config> {
    let environment = of_environment(&variable)?;
    let named = file.map(Path::to_owned).or_else(|| variable("SHELLHERD_CONFIG").map(PathBuf::from));
    let from_file = match named {
        Some(path) => of_file(&path, true)?,
        None => match configuration_directory(&variable) {
            Some(directory) => of_file(&directory.join("shellherd").join("shellherd.toml"), false)?,
            None => Source::default(),
        },
    };
    let source = over(flags, over(environment, from_file));
    let state_dir = match source.state_dir {
        Some(directory) => std::path::absolute(&directory)
            .map_err(|error| Error::invalid(format!("state-dir '{}': {error}", directory.display())))?,
        None => state_directory(&variable)
            .ok_or_else(|| {
                Error::invalid("there is no place for the state: neither XDG_STATE_HOME nor HOME is set")
                    .with_hint("give --state-dir DIR, or set SHELLHERD_STATE_DIR")
            })?
            .join("shellherd"),
    };
    let result_tokens = source.result_tokens.unwrap_or(limits::RESULT_TOKENS);
    if !(500..=100_000).contains(&result_tokens) {
        return Err(Error::invalid(format!("result-tokens must be from 500 to 100000, not {result_tokens}")));
    }
    for (key, side) in [("rows", source.rows), ("cols", source.cols)] {
        if side.is_some_and(|side| !(1..=limits::TERMINAL_SIDE).contains(&side)) {
            return Err(Error::invalid(format!("{key} must be from 1 to {}", limits::TERMINAL_SIDE)));
        }
    }
    let command_timeout = span("command-timeout", source.command_timeout, limits::COMMAND_TIMEOUT)?;
    let recovery_retries = source.recovery_retries.unwrap_or(limits::RECOVERY_RETRIES);
    let circuit_failures = source.circuit_failures.unwrap_or(limits::CIRCUIT_FAILURES);
    for (key, number, most) in [
        ("recovery-retries", recovery_retries, limits::MOST_RECOVERY_RETRIES),
        ("circuit-failures", circuit_failures, limits::MOST_CIRCUIT_FAILURES),
    ] {
        if !(1..=most).contains(&number) {
            return Err(Error::invalid(format!("{key} must be from 1 to {most}")));
        }
    }
    let cleanup_after = match source.cleanup_after {
        Some(Span::Text(text)) if text.trim().eq_ignore_ascii_case("never") => None,
        given => Some(span("cleanup-after", given, limits::CLEANUP_AFTER)?),
    };
    let sample_every = span("sample-every", source.sample_every, limits::SAMPLE_EVERY)?;
    if !limits::SAMPLE_PAUSES.contains(&sample_every) {
        return Err(Error::invalid("sample-every must be from 1 s to 1 min"));
    }
    let stale_after = span("stale-after", source.stale_after, limits::STALE_AFTER)?;
    let health_interval = span("health-interval", source.health_interval, limits::HEALTH_EVERY)?;
    if health_interval < limits::HEALTH_LEAST {
        let least = limits::HEALTH_LEAST.as_millis();
        return Err(Error::invalid(format!("health-interval must be at least {least} ms")));
    }
    let max_concurrent = source.max_concurrent.unwrap_or(limits::MAX_CONCURRENT);
    if !(1..=limits::MOST_CONCURRENT).contains(&max_concurrent) {
        return Err(Error::invalid(format!("max-concurrent must be from 1 to {}", limits::MOST_CONCURRENT)));
    }
    Ok(Config {
        state_dir,
        shell: source.shell,
        result_tokens,
        rows: source.rows,
        cols: source.cols,
        command_timeout,
        cleanup_after,
        sample_every,
        max_concurrent,
        stale_after,
        health_interval,
        agent_command: source.agent_command.unwrap_or_else(|| "claude -p".to_owned()),
        redact: source.redact,
        log: source.log.unwrap_or_else(|| "warn".to_owned()),
        recovery_retries,
        recovery_delay: span("recovery-delay", source.recovery_delay, limits::RECOVERY_DELAY)?,
        recovery_timeout: span("recovery-timeout", source.recovery_timeout, limits::RECOVERY_TIMEOUT)?,
        circuit_failures,
        circuit_open: span("circuit-open", source.circuit_open, limits::CIRCUIT_OPEN)?,
        cgroup: source.cgroup.unwrap_or(true),
        toolsets: source.toolsets,
        read_only: source.read_only.unwrap_or(false),
        http: source.http,
        http_token_file: source.http_token_file,
    })
}

fn span(key: &str, given: Option<Span>, otherwise: Duration) -> Result<Duration> {
    let duration = match given {
        None => otherwise,
        Some(Span::Milliseconds(milliseconds)) => Duration::from_millis(milliseconds),
        Some(Span::Text(text)) => parse_duration(&text)
            .ok_or_else(|| Error::invalid(format!("{key} must be a duration like \"5m\", not \"{text}\"")))?,
    };
    if duration.is_zero() || duration > limits::LONGEST {
        return Err(Error::invalid(format!("{key} must be more than nothing and at most 7 days")));
    }
    Ok(duration)
}

fn over(above: Source, below: Source) -> Source {
    Source {
        state_dir: above.state_dir.or(below.state_dir),
        shell: above.shell.or(below.shell),
        result_tokens: above.result_tokens.or(below.result_tokens),
        rows: above.rows.or(below.rows),
        cols: above.cols.or(below.cols),
        command_timeout: above.command_timeout.or(below.command_timeout),
        cleanup_after: above.cleanup_after.or(below.cleanup_after),
        sample_every: above.sample_every.or(below.sample_every),
        max_concurrent: above.max_concurrent.or(below.max_concurrent),
        stale_after: above.stale_after.or(below.stale_after),
        health_interval: above.health_interval.or(below.health_interval),
        agent_command: above.agent_command.or(below.agent_command),
        // What one source calls a secret, no other can make public.
        redact: [above.redact, below.redact].concat(),
        log: above.log.or(below.log),
        recovery_retries: above.recovery_retries.or(below.recovery_retries),
        recovery_delay: above.recovery_delay.or(below.recovery_delay),
        recovery_timeout: above.recovery_timeout.or(below.recovery_timeout),
        circuit_failures: above.circuit_failures.or(below.circuit_failures),
        circuit_open: above.circuit_open.or(below.circuit_open),
        cgroup: above.cgroup.or(below.cgroup),
        toolsets: above.toolsets.or(below.toolsets),
        read_only: above.read_only.or(below.read_only),
        http: above.http.or(below.http),
        http_token_file: above.http_token_file.or(below.http_token_file),
    }
}

fn of_environment(variable: &impl Fn(&str) -> Option<OsString>) -> Result<Source> {
    let text = |name: &str| variable(name).map(|value| value.to_string_lossy().into_owned());
    Ok(Source {
        state_dir: variable("SHELLHERD_STATE_DIR").map(PathBuf::from),
        shell: text("SHELLHERD_SHELL"),
        result_tokens: number("SHELLHERD_RESULT_TOKENS", text("SHELLHERD_RESULT_TOKENS"))?,
        rows: number("SHELLHERD_ROWS", text("SHELLHERD_ROWS"))?,
        cols: number("SHELLHERD_COLS", text("SHELLHERD_COLS"))?,
        command_timeout: text("SHELLHERD_COMMAND_TIMEOUT").map(Span::Text),
        cleanup_after: text("SHELLHERD_CLEANUP_AFTER").map(Span::Text),
        sample_every: text("SHELLHERD_SAMPLE_EVERY").map(Span::Text),
        max_concurrent: number("SHELLHERD_MAX_CONCURRENT", text("SHELLHERD_MAX_CONCURRENT"))?,
        stale_after: text("SHELLHERD_STALE_AFTER").map(Span::Text),
        health_interval: text("SHELLHERD_HEALTH_INTERVAL").map(Span::Text),
        agent_command: text("SHELLHERD_AGENT_COMMAND"),
        redact: list(text("SHELLHERD_REDACT")).unwrap_or_default(),
        log: text("SHELLHERD_LOG").or_else(|| text("RUST_LOG")),
        recovery_retries: number("SHELLHERD_RECOVERY_RETRIES", text("SHELLHERD_RECOVERY_RETRIES"))?,
        recovery_delay: text("SHELLHERD_RECOVERY_DELAY").map(Span::Text),
        recovery_timeout: text("SHELLHERD_RECOVERY_TIMEOUT").map(Span::Text),
        circuit_failures: number("SHELLHERD_CIRCUIT_FAILURES", text("SHELLHERD_CIRCUIT_FAILURES"))?,
        circuit_open: text("SHELLHERD_CIRCUIT_OPEN").map(Span::Text),
        cgroup: truth("SHELLHERD_CGROUP", text("SHELLHERD_CGROUP"))?,
        toolsets: list(text("SHELLHERD_TOOLSETS")),
        read_only: truth("SHELLHERD_READ_ONLY", text("SHELLHERD_READ_ONLY"))?,
        http: text("SHELLHERD_HTTP"),
        http_token_file: variable("SHELLHERD_HTTP_TOKEN_FILE").map(PathBuf::from),
    })
}

fn list(text: Option<String>) -> Option<Vec<String>> {
    text.map(|list| list.split(',').filter(|text| !text.is_empty()).map(str::to_owned).collect())
}

fn truth(name: &str, text: Option<String>) -> Result<Option<bool>> {
    text.map(|text| match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Error::invalid(format!("{name} must be true or false, not \"{text}\""))),
    })
    .transpose()
}

fn number<T: std::str::FromStr>(name: &str, text: Option<String>) -> Result<Option<T>> {
    text.map(|text| {
        text.trim().parse().map_err(|_| Error::invalid(format!("{name} must be a number, not \"{text}\"")))
    })
    .transpose()
}

fn of_file(path: &Path, must_exist: bool) -> Result<Source> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => {
            return Ok(Source::default());
        }
        Err(error) => return Err(Error::invalid(format!("{}: {error}", path.display()))),
    };
    parse(&text).map_err(|error| Error { message: format!("{}: {}", path.display(), error.message), ..error })
}

fn parse(text: &str) -> Result<Source> {
    let table: toml::Table =
        text.parse().map_err(|error: toml::de::Error| Error::invalid(error.to_string().trim().to_owned()))?;
    if let Some(unknown) = table.keys().find(|key| !KEYS.contains(&key.as_str())) {
        let similar = |known: &&&str| strsim::jaro_winkler(unknown, known) > 0.75;
        let by_similarity = |a: &&&str, b: &&&str| {
            strsim::jaro_winkler(unknown, a).total_cmp(&strsim::jaro_winkler(unknown, b))
        };
        let meant = KEYS.iter().filter(similar).max_by(by_similarity);
        let meant = meant.map_or_else(String::new, |key| format!("; did you mean '{key}'?"));
        return Err(Error::invalid(format!("unknown key '{unknown}'{meant}"))
            .with_hint(format!("the keys are {}", KEYS.join(", "))));
    }
    table.try_into().map_err(|error: toml::de::Error| Error::invalid(error.message().to_owned()))
}

fn home(variable: &impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    variable("HOME").map(PathBuf::from).filter(|home| home.is_absolute())
}

fn state_directory(variable: &impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let given = variable("XDG_STATE_HOME").map(PathBuf::from).filter(|directory| directory.is_absolute());
    given.or_else(|| home(variable).map(|home| home.join(".local").join("state")))
}

fn configuration_directory(variable: &impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let given = variable("XDG_CONFIG_HOME").map(PathBuf::from).filter(|directory| directory.is_absolute());
    given.or_else(|| home(variable).map(|home| home.join(".config")))
}

/// A duration as people write it: `250ms`, `30s`, `5m`, `1h`, `1h 30m`; a plain number is milliseconds.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    if let Ok(milliseconds) = text.parse() {
        return Some(Duration::from_millis(milliseconds));
    }
    // Upper case would read `M` as a month.
    humantime::parse_duration(&text.to_ascii_lowercase()).ok()
}

/// A size as people write it: `512m`, `4gb`, `1.5 GiB`; a plain number is bytes. Units are powers of 1,024.
pub fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(1 << shift);
    }
    let fraction: f64 = number.parse().ok()?;
    let bytes = fraction * f64::from(1_u32 << (shift / 2)) * f64::from(1_u32 << (shift / 2));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "digits only, and bounded here"
    )]
    (bytes < 1e15).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(flags: Source, environment: &[(&str, &str)], file: &str) -> Result<Config> {
        let variable = |name: &str| {
            let set = environment.iter().find(|(key, _)| *key == name);
            set.map(|(_, value)| OsString::from(value))
                .or_else(|| (name == "HOME").then(|| "/nowhere".into()))
        };
        let below = parse(file)?;
        resolve(over(flags, over(of_environment(&variable)?, below)), None, variable)
    }

    #[test]
    fn flags_beat_the_environment_which_beats_the_file() {
        let flags = Source { rows: Some(1), ..Source::default() };
        let environment = [("SHELLHERD_ROWS", "2"), ("SHELLHERD_COLS", "2"), ("SHELLHERD_STALE_AFTER", "7s")];
        let config = check(flags, &environment, "rows = 3\ncols = 3\nshell = \"zsh\"").unwrap();
        assert_eq!(
            (config.stale_after, config.health_interval),
            (Duration::from_secs(7), limits::HEALTH_EVERY)
        );
        assert_eq!((config.rows, config.cols, config.shell.as_deref()), (Some(1), Some(2), Some("zsh")));
    }

    #[test]
    fn without_any_source_the_defaults_hold() {
        let config = check(Source::default(), &[], "").unwrap();
        assert_eq!(config.state_dir, Path::new("/nowhere/.local/state/shellherd"));
        assert_eq!(config.result_tokens, limits::RESULT_TOKENS);
        assert_eq!((config.command_timeout, config.cgroup), (limits::COMMAND_TIMEOUT, true));
    }

    #[test]
    fn what_is_offered_comes_from_any_source() {
        let config =
            check(Source::default(), &[("SHELLHERD_TOOLSETS", "core,tasks")], "read-only = true").unwrap();
        assert_eq!(config.toolsets.unwrap(), ["core", "tasks"]);
        assert!(config.read_only);
        let config = check(Source::default(), &[("SHELLHERD_READ_ONLY", "0")], "read-only = true").unwrap();
        assert_eq!((config.toolsets, config.read_only), (None, false));
        assert!(check(Source::default(), &[("SHELLHERD_READ_ONLY", "perhaps")], "").is_err());
    }

    #[test]
    fn ended_sessions_are_removed_when_it_is_said_or_never() {
        let after = |file| check(Source::default(), &[], file).map(|config| config.cleanup_after);
        assert_eq!(after(""), Ok(Some(limits::CLEANUP_AFTER)));
        assert_eq!(after("cleanup-after = \"5m\""), Ok(Some(Duration::from_secs(300))));
        assert_eq!(after("cleanup-after = \"never\""), Ok(None));
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest() {
        let error = check(Source::default(), &[], "result-token = 5").unwrap_err();
        assert_eq!(error.message, "unknown key 'result-token'; did you mean 'result-tokens'?");
    }

    #[test]
    fn values_out_of_bounds_are_refused() {
        for file in [
            "cleanup-after = \"8d\"",
            "rows = 0",
            "cols = 1001",
            "stale-after = 0",
            "health-interval = 100",
            "result-tokens = 1",
            "command-timeout = \"soon\"",
            "rows = \"x\"",
            "recovery-retries = 0",
            "circuit-open = \"0s\"",
            "recovery-delay = \"x\"",
            "sample-every = \"10ms\"",
            "cgroup = \"on\"",
        ] {
            assert!(check(Source::default(), &[], file).is_err(), "{file}");
        }
    }

    #[test]
    fn durations_and_sizes_read_as_people_write_them() {
        let milliseconds = |text| parse_duration(text).map(|duration| duration.as_millis());
        assert_eq!(milliseconds("250ms"), Some(250));
        assert_eq!(milliseconds(" 30S "), Some(30_000));
        assert_eq!(milliseconds("5M"), Some(300_000));
        assert_eq!(milliseconds("1h 30m"), Some(5_400_000));
        assert_eq!(milliseconds("1500"), Some(1_500));
        assert_eq!(milliseconds("-5s"), None);
        assert_eq!(milliseconds("-5"), None);
        assert_eq!(parse_size("512m"), Some(512 << 20));
        assert_eq!(parse_size("4GB"), Some(4 << 30));
        assert_eq!(parse_size("1.5k"), Some(1_536));
        assert_eq!(parse_size("10"), Some(10));
        assert_eq!(parse_size("ten"), None);
    }
}
