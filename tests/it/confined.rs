//! Confined commands, down from the orchestrator: no tool offers them, the scheduler will.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use shellherd::engine::request::{NewCommand, NewSession};
use shellherd::id::SessionId;
use shellherd::model::{Command, OnTimeout, Profile, RecoverySettings};
use shellherd::orchestrator::{CommandWatch, Orchestrator, OutputQuery, Settings};

use crate::support::{self, Client, Scratch, children, marker, processes_with, shells};

/// An orchestrator within the test, with a session of this shell.
struct Herd {
    orchestrator: Orchestrator,
    session: SessionId,
    _state: Scratch,
}

impl Herd {
    async fn start(shell: &str) -> Self {
        let state = Scratch::new("confined");
        let settings = Settings {
            state_dir: state.path().to_owned(),
            shell: None,
            max_concurrent: 4,
            attended: false,
            cleanup_after: None,
            program: env!("CARGO_BIN_EXE_shellherd").into(),
            command_timeout: Duration::from_secs(60),
            recovery: RecoverySettings::DEFAULT,
            sample_every: shellherd::limits::SAMPLE_EVERY,
            stale_after: Duration::from_secs(300),
            health_interval: Duration::from_secs(30),
            cgroup: false,
            redact: Vec::new(),
        };
        let orchestrator = Orchestrator::new(settings);
        let new = NewSession { shell: Some(shell.into()), profile: Profile::Clean, ..NewSession::default() };
        let session = orchestrator.create_session(new).await.expect("the shell starts").id;
        Self { orchestrator, session, _state: state }
    }

    async fn start_command(&self, new: NewCommand) -> CommandWatch {
        self.orchestrator.execute(self.session.as_str(), new).await.expect("accepted")
    }

    async fn run(&self, new: NewCommand) -> Command {
        ended(self.start_command(new).await).await
    }

    async fn output(&self, command: &Command) -> String {
        let query =
            OutputQuery { command: Some(command.id.clone()), budget_tokens: 1_000, ..OutputQuery::default() };
        self.orchestrator.output(&self.session, query).await.expect("readable").text
    }
}

async fn ended(mut watch: CommandWatch) -> Command {
    let end = tokio::time::timeout(support::PATIENCE, watch.wait_for(Command::is_ended)).await;
    end.expect("it ends").expect("it is watched to its end").clone()
}

fn confined(text: impl Into<String>) -> NewCommand {
    NewCommand { confined: true, ..NewCommand::line(text) }
}

/// What a command leaves running is gone when its end is told, and none of its output is the next one's.
async fn leaves_nothing(shell: &str) {
    let herd = Herd::start(shell).await;
    let (own, left) = (marker(), marker());
    herd.run(NewCommand::line(format!("sh -c 'setsid sleep {own} &'"))).await;
    for leftover in [
        format!("sleep {left} &"),
        format!("nohup sleep {left} >/dev/null 2>&1 &"),
        format!("setsid sleep {left} &"),
        format!("sh -c '(setsid sh -c \"sleep {left} &\" &)'"),
        format!("setsid sh -c 'trap \"\" TERM INT HUP; while :; do echo noise; done; sleep {left}' &"),
    ] {
        let command = herd.run(confined(&leftover)).await;
        assert_eq!(command.exit_code(), Some(0), "{shell}: {leftover}");
        assert_eq!(processes_with(&left), [] as [u32; 0], "{shell}: {leftover}");
        let next = herd.run(confined("echo next")).await;
        assert_eq!(herd.output(&next).await.trim(), "next", "{shell}: {leftover}");
    }
    assert_eq!(processes_with(&own).len(), 1, "{shell}: the session's own is spared");
    let failed = herd.run(NewCommand { directory: Some("/no/such".into()), ..confined("echo ran") }).await;
    assert_eq!(failed.exit_code(), Some(1), "{shell}");
    assert!(herd.output(&failed).await.contains("/no/such"), "{shell}");
    stops(&herd, shell).await;
    stops_early(&herd, shell).await;
    herd.orchestrator.shutdown().await;
    assert_eq!(processes_with(&own), [] as [u32; 0], "{shell}");
}

/// A timeout ends a confined command with all of its children, and the shell goes on.
async fn stops(herd: &Herd, shell: &str) {
    let timeout = Some(Duration::from_millis(200));
    // On a busy machine the timeout may come before the job has the foreground. The shell is then interrupted,
    // whatever was to happen to the job.
    for (on_timeout, codes) in [(OnTimeout::Interrupt, [130, 130]), (OnTimeout::Kill, [137, 130])] {
        let stubborn = marker();
        let text = format!("setsid sh -c 'trap \"\" TERM INT; sleep {stubborn}; true' & sleep {stubborn}");
        let command = herd.run(NewCommand { timeout, on_timeout: Some(on_timeout), ..confined(text) }).await;
        assert!(command.timed_out, "{shell}");
        assert!(command.exit_code().is_some_and(|code| codes.contains(&code)), "{shell}: {command:?}");
        assert_eq!(processes_with(&stubborn), [] as [u32; 0], "{shell}");
        assert_eq!(herd.run(confined("true")).await.exit_code(), Some(0), "{shell}");
    }
}

/// An interrupt that comes just as the command begins, before it has the foreground, ends it as well: long
/// before the kill that would follow. On a busy machine one may be lost all the same.
async fn stops_early(herd: &Herd, shell: &str) {
    let mut late = Vec::new();
    for timeout_ms in (0..4).cycle().take(40) {
        let timeout = Some(Duration::from_millis(timeout_ms));
        let new = NewCommand { timeout, on_timeout: Some(OnTimeout::Interrupt), ..confined("sleep 1000") };
        let start = Instant::now();
        let command = herd.run(new).await;
        if start.elapsed() >= Duration::from_secs(4) {
            late.push((timeout_ms, command));
        }
    }
    assert!(late.len() < 10, "{shell}: {late:?}");
}

/// Prints what confinement costs, for whoever asks with `--nocapture`.
async fn costs(shell: &str) {
    let herd = Herd::start(shell).await;
    let mut times: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    for round in 0..30 {
        for (what, new) in [
            ("plain", NewCommand::line("true")),
            ("confined", confined("true")),
            ("with a directory", NewCommand { directory: Some("/usr".into()), ..confined("true") }),
            ("with a leftover", confined("sleep 1000 &")),
        ] {
            let start = Instant::now();
            herd.run(new).await;
            if round >= 10 {
                times.entry(what).or_default().push(start.elapsed());
            }
        }
    }
    for (what, mut times) in times {
        times.sort();
        println!("{shell}, {what}: {:?}", times[times.len() / 2]);
    }
    herd.orchestrator.shutdown().await;
}

/// Makes a test of this binary play its part.
const PART: &str = "SHELLHERD_TEST_PART";

/// In a process of its own: an orchestrator marks what its process starts, and ends all that is marked,
/// and other tests start things, too.
#[test]
fn a_confined_command_leaves_nothing_behind_in_any_shell() {
    let part = std::process::Command::new(std::env::current_exe().expect("a test has a program"))
        .args(["--exact", "confined::part_of_the_orchestrator", "--nocapture"])
        .env(PART, "")
        .output()
        .expect("it starts");
    println!("{}", String::from_utf8_lossy(&part.stdout));
    assert!(part.status.success(), "{}", String::from_utf8_lossy(&part.stderr));
}

#[tokio::test]
async fn part_of_the_orchestrator() {
    if std::env::var_os(PART).is_none() {
        return;
    }
    for (_, shell) in shells() {
        leaves_nothing(&shell).await;
        costs(&shell).await;
    }
}

/// What loses its parent becomes the server's child, and no zombie of it.
#[test]
fn processes_without_a_parent_are_reaped() {
    let mut client = Client::start();
    let session = client.clean("bash");
    let before = children(client.pid());
    client.run(&session, "for i in 1 2 3; do sh -c '(sleep 0.01 &)'; done");
    support::until("they are reaped", || children(client.pid()).len() == before.len());
}
