//! What is seen of a session, and that every call that is recommended can be made.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::look::{Reason, of_problem, of_session, wants_output};
use super::remedy::Remedy;
use super::*;
use crate::clock::Timestamp;
use crate::mcp::arguments::Reader;
use crate::mcp::tool::offer;
use crate::mcp::tools::all;
use crate::model::fixtures;
use crate::model::{CommandState, EndReason, Ending, ResourceLimits};
use crate::orchestrator::Usage;
use crate::term::diagnosis::{Category, Diagnosis, Ecosystem, diagnose};

/// Subjects that a hostile program prints.
const HOSTILE: [&str; 6] = ["x; rm -rf ~", "$(id)", "-rf", "`id`", "a'b", "x\ny"];

fn place() -> Place<'static> {
    Place {
        session: Some("ses_a"),
        shell: Some("ses_a"),
        directory: Some("/srv/app"),
        command: Some("cmd_a"),
        text: "npm run dev -- --port=8080 https://api.example:8443/v1",
        timeout: 300_000,
    }
}

fn failed(
    category: Category,
    subject: Option<&str>,
    ecosystem: Option<Ecosystem>,
    evidence: &str,
) -> Finding {
    let told =
        Diagnosis { category, evidence: evidence.to_owned(), subject: subject.map(str::to_owned), ecosystem };
    Finding {
        kind: Kind::Failed(category),
        message: String::new(),
        value: None,
        evidence: evidence.to_owned(),
        told: Some(told),
    }
}

/// The tool takes the arguments as they are: none is unknown, missing, or read as something else.
fn can_be_made(remedy: &Remedy) {
    let tool = all().find(|tool| tool.name == remedy.tool);
    let tool = tool.unwrap_or_else(|| panic!("there is no tool for {remedy:?}"));
    let schema = offer(tool).full;
    let reader = Reader { tool: tool.name, schema: &schema };
    let given = remedy.arguments.as_object().unwrap_or_else(|| panic!("{remedy:?}"));
    let read = reader.read(Some(given.clone())).unwrap_or_else(|error| panic!("{remedy:?}: {error:?}"));
    assert_eq!(read, remedy.arguments, "{}", remedy.tool);
    assert!(!remedy.action.is_empty());
}

fn kinds() -> Vec<Kind> {
    let reasons =
        [Reason::Timeout, Reason::SessionLost, Reason::ServerRestart, Reason::MemoryLimit, Reason::CpuLimit];
    let of_sessions = [
        Kind::SessionError,
        Kind::TimedOut,
        Kind::Stale,
        Kind::AwaitingInput,
        Kind::Starting,
        Kind::HighMemory,
        Kind::HighCpu,
        Kind::Running,
    ];
    reasons.map(Kind::Ended).into_iter().chain(of_sessions).collect()
}

#[test]
fn every_recommendation_can_be_made_as_it_stands() {
    use Ecosystem::{Go, Node, Perl, Python, Ruby, Rust};
    let busy = Place { shell: None, ..place() };
    let elsewhere = Place { shell: Some("ses_b"), ..place() };
    let pasted = Place { session: None, command: None, directory: None, text: "", ..place() };
    let places = [place(), busy, elsewhere, pasted, Place::default()];
    let known = ["3000", "left-pad", "@scope/pkg/sub", "/var/lib/apt/lock", "yaml.reader", "example.org/x"];
    let subjects: Vec<Option<&str>> = known.into_iter().chain(HOSTILE).map(Some).chain([None]).collect();
    let ecosystems = [Python, Node, Rust, Go, Ruby, Perl].map(Some).into_iter().chain([None]);
    let mut findings = Vec::new();
    for ecosystem in ecosystems {
        for subject in &subjects {
            let evidence = format!("x: cannot open '/etc/{}': no", subject.unwrap_or_default());
            findings.extend(Category::ALL.map(|category| failed(category, *subject, ecosystem, &evidence)));
        }
    }
    for evidence in
        ["", "Continue? [y/N] ", "Password: ", "Are you sure (yes/no)?", "Press enter to continue"]
    {
        for kind in kinds() {
            let finding = failed(Category::Unknown, None, None, evidence);
            findings.push(Finding { kind, told: None, ..finding });
        }
    }
    let mut tools = BTreeSet::new();
    for finding in &findings {
        for place in &places {
            for remedy in remedies(finding, place) {
                can_be_made(&remedy);
                tools.insert(remedy.tool);
                let command = remedy.arguments["command"].as_str().unwrap_or_default();
                assert!(
                    HOSTILE.iter().all(|hostile| !command.contains(hostile) || *hostile == "-rf"),
                    "{command}"
                );
                assert!(!command.contains(" -rf"), "{command}");
            }
        }
        assert!(!remedies(finding, &place()).is_empty(), "nothing helps with {finding:?}");
    }
    let tools: Vec<&str> = tools.into_iter().collect();
    assert_eq!(
        tools,
        [
            "command_execute",
            "error_recover",
            "session_create",
            "session_input",
            "session_logs",
            "session_output",
            "session_status"
        ]
    );
}

#[test]
fn what_helps_with_recorded_failures_can_be_made() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/failures/tuned");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let (head, output) = text.split_once('\n').unwrap();
        let command = head.splitn(4, " | ").nth(3).unwrap();
        for told in diagnose(output, None) {
            let finding = failed(told.category, told.subject.as_deref(), told.ecosystem, &told.evidence);
            for remedy in remedies(&finding, &Place { text: command, ..place() }) {
                can_be_made(&remedy);
                count += 1;
            }
        }
    }
    assert!(count > 100, "{count}");
}

#[test]
fn remedies_name_what_the_failure_names() {
    let command = |text: &'static str, output: &str| {
        let told = diagnose(output, Some(1)).remove(0);
        let finding = failed(told.category, told.subject.as_deref(), told.ecosystem, &told.evidence);
        let remedies = remedies(&finding, &Place { text, ..place() });
        remedies[0].arguments["command"].as_str().unwrap_or_default().to_owned()
    };
    for (text, output, expected) in [
        ("node a.js", "Error: listen EADDRINUSE: address already in use :::3000", "ss -ltnp 'sport = :3000'"),
        (
            "python3 -m http.server 8123",
            "OSError: [Errno 98] Address already in use",
            "ss -ltnp 'sport = :8123'",
        ),
        (
            "venv/bin/python a.py",
            "ModuleNotFoundError: No module named 'yaml'",
            "venv/bin/python -m pip install PyYAML",
        ),
        (
            "python3.12 a.py",
            "ModuleNotFoundError: No module named 'myapp.utils'",
            "python3.12 -c 'import importlib.util as u; print(u.find_spec(\"myapp\"))'",
        ),
        ("node a.js", "Error: Cannot find module '@acme/core/x'", "npm install @acme/core"),
        ("pnpm dev", "Error: Cannot find module 'express'", "pnpm add express"),
        ("rustc m.rs", "error[E0432]: unresolved import `serde`", "cargo add serde"),
        (
            "git add .",
            "fatal: Unable to create '/srv/app/.git/index.lock': File exists.",
            "fuser -v /srv/app/.git/index.lock",
        ),
        ("curl https://a.example/x", "curl: (60) SSL certificate problem: expired", "-connect a.example:443"),
        ("cat /etc/shadow", "cat: /etc/shadow: Permission denied", "ls -ld /etc/shadow"),
        ("npm i left-padd", "npm error 404  'left-padd@*' is not in this registry.", "npm view left-padd"),
    ] {
        assert!(command(text, output).contains(expected), "{text}: {}", command(text, output));
    }
}

fn observed(change: impl FnOnce(&mut Session, &mut Command)) -> Observation {
    let mut session = fixtures::session("a");
    let mut command = fixtures::command(&session.id);
    command.state = CommandState::Running;
    command.started_at = Some(Timestamp(0));
    session.status = Status::Active;
    change(&mut session, &mut command);
    Observation {
        session,
        last_command: Some(command),
        foreground: None,
        awaiting_input: false,
        queued: 0,
        output_cursor: 0,
    }
}

const STALE: Duration = Duration::from_secs(300);

fn seen(observed: &Observation, cpu: f64, output: Option<&str>, problem: &str, at: i64) -> Vec<&'static str> {
    let over = Duration::from_millis(u64::try_from(at).unwrap());
    let usage = Usage { cpu, over, memory: 200 << 20, processes: 2, stopped: 0 };
    let found = of_session(observed, Some(usage), output, Asked::of(problem), Timestamp(at), STALE);
    found.iter().map(|finding| finding.kind.as_str()).collect()
}

#[test]
fn a_session_is_seen_as_it_is() {
    let running = observed(|_, _| ());
    assert_eq!(seen(&running, 0.0, None, "", 20_000), ["running"]);
    assert_eq!(seen(&running, 0.0, None, "it is stuck", 20_000), ["stale"]);
    assert_eq!(seen(&running, 50.0, None, "it is stuck", 20_000), ["running"]);
    assert_eq!(seen(&running, 0.0, None, "", 300_000), ["stale"]);
    assert_eq!(seen(&running, 0.0, None, "high memory", 20_000), ["high_memory", "running"]);
    assert_eq!(seen(&running, 95.0, None, "", 20_000), ["high_cpu", "running"]);
    assert_eq!(seen(&running, 95.0, None, "", 5_000), ["running"], "a moment says nothing");
    assert_eq!(seen(&running, 95.0, None, "high load", 5_000), ["high_cpu", "running"]);
    let stopped = observed(|session, _| session.stopped = true);
    assert_eq!(seen(&stopped, 0.0, None, "", 20_000), ["stopped", "running"]);
    let spent = observed(|session, _| session.cpu_time_spent = true);
    assert_eq!(seen(&spent, 0.0, None, "", 20_000), ["cpu_time_spent", "running"]);
    let asking = observed(|_, command| command.awaiting_input = Some("Password: ".to_owned()));
    assert_eq!(seen(&asking, 0.0, None, "", 900_000), ["awaiting_input"]);
    let late = observed(|session, command| {
        session.status = Status::Timeout;
        command.timed_out = true;
    });
    assert_eq!(seen(&late, 0.0, None, "", 900_000), ["timeout"]);
    let dead = observed(|session, command| {
        session.status = Status::Error;
        command.state = CommandState::Ended;
        command.reason = Some(EndReason::SessionLost);
        command.ending = Some(Ending::ShellKilled(9));
    });
    assert_eq!(seen(&dead, 0.0, None, "", 5), ["session_error", "session_lost"]);
    let starting = observed(|session, command| {
        session.status = Status::Initializing;
        command.state = CommandState::Queued;
    });
    assert_eq!(seen(&starting, 0.0, None, "", 5), ["starting"]);
}

#[test]
fn suspended_jobs_are_told_unless_the_shell_itself_is_stopped() {
    let kinds = |observed: &Observation| {
        let usage = Usage { processes: 3, stopped: 1, ..Usage::default() };
        let found = of_session(observed, Some(usage), None, Asked::default(), Timestamp(5), STALE);
        found.into_iter().map(|finding| (finding.kind.as_str(), finding.value)).collect::<Vec<_>>()
    };
    let idle = ended("sleep 9", 148);
    assert_eq!(kinds(&idle), [("suspended", Some(json!(1)))]);
    let stopped = observed(|session, _| session.stopped = true);
    assert!(kinds(&stopped).iter().all(|(kind, _)| *kind != "suspended"));
}

fn ended(text: &str, exit: i32) -> Observation {
    observed(|session, command| {
        session.status = Status::Idle;
        command.state = CommandState::Ended;
        command.ending = Some(Ending::Exited(exit));
        command.ok_exit_codes = Some(vec![0]);
        text.clone_into(&mut command.text);
    })
}

#[test]
fn a_failure_is_told_from_the_output_and_a_success_is_not() {
    let failed = ended("x", 127);
    assert_eq!(seen(&failed, 0.0, Some("bash: x: command not found"), "", 5), ["command_not_found"]);
    let wants = |text: &str, exit| wants_output(ended(text, exit).last_command.as_ref().unwrap());
    assert!(wants("make", 2) && !wants("make", 0));
    assert!(wants("cargo build 2>&1 | tail -20", 0), "tail succeeds, whatever cargo does");
    assert!(!wants("cat app.log | tail", 0) && !wants("git log | head", 0) && !wants("a || b", 0));
    let hidden = ended("cargo build 2>&1 | tail", 0);
    let output = "error[E0308]: mismatched types\nerror: could not compile `shop`";
    assert_eq!(seen(&hidden, 0.0, Some(output), "", 5), ["compile_error"]);
}

#[test]
fn what_this_server_killed_was_killed_by_nobody_else() {
    let mut observed = ended("make", 137);
    let limits = ResourceLimits { cpu_ms: Some(9), ..ResourceLimits::default() };
    observed.session.limits = limits;
    let mut kinds = |reason| {
        observed.last_command.as_mut().unwrap().reason = reason;
        let found = of_session(&observed, None, Some("Killed"), Asked::default(), Timestamp(5), STALE);
        found.into_iter().map(|finding| (finding.kind.as_str(), finding.value)).collect::<Vec<_>>()
    };
    assert_eq!(kinds(Some(EndReason::CpuLimit)), [("cpu_limit", Some(json!(9)))]);
    assert_eq!(kinds(Some(EndReason::Cancelled)), []);
    assert_eq!(kinds(None).len(), 1);
    assert_eq!(kinds(None)[0].0, "killed");
}

#[test]
fn a_problem_is_a_message_or_words() {
    let types = |problem: &str| -> Vec<&str> {
        of_problem(problem).iter().map(|finding| finding.kind.as_str()).collect()
    };
    assert_eq!(types("npm error code ERESOLVE"), ["version_mismatch"]);
    assert_eq!(types("connection refused"), ["connection_refused"]);
    assert_eq!(types("Connection reset by peer"), ["connection_lost"]);
    assert_eq!(types("curl: (56) Recv failure: Connection reset by peer"), ["connection_lost"]);
    assert_eq!(types("command not found: foo"), ["command_not_found"]);
    assert_eq!(types("I get a merge conflict"), ["merge_conflict"]);
    assert_eq!(types("the disk full again"), ["disk_full"]);
    assert_eq!(types("it is slow"), [""; 0]);
    assert_eq!(types(""), [""; 0]);
    assert_eq!(of_problem("connection refused")[0].evidence, "connection refused");
}

#[test]
fn a_report_is_lean_and_what_does_not_fit_is_counted() {
    let found = |text: &str| of_problem(text);
    let session = fixtures::session("a");
    let told = found("Error: listen EADDRINUSE: address already in use :::3000");
    let one = report(&told, &[], Some(&session));
    assert_eq!(
        serde_json::to_value(&one).unwrap(),
        json!({
            "findings": [{
                "type": "port_in_use",
                "component": "problem",
                "message": "another process listens on the address it wants: 3000",
                "value": "3000",
                "evidence": "Error: listen EADDRINUSE: address already in use :::3000",
            }],
            "recommendations": [{
                "session": "ses_a",
                "action": "show who listens",
                "tool": "command_execute",
                "arguments": {
                    "sessionId": "ses_a",
                    "command": "ss -ltnp 'sport = :3000' || lsof -nP -iTCP:3000 -sTCP:LISTEN",
                },
            }],
        })
    );
    let many: Vec<Finding> =
        (0..50).flat_map(|n| found(&format!("cat: /srv/{n}/x: Permission denied"))).collect();
    let whole = report(&many, &[], Some(&session));
    let cut = cut(&whole, 1_000);
    assert!(!cut.findings.is_empty() && !cut.recommendations.is_empty());
    assert_eq!(cut.findings.len() + cut.recommendations.len() + cut.omitted, 100);
    assert!(answer(&cut, 1).unwrap().text.contains("left out"));
}
