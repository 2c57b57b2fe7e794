//! `shellherd run`, as people and build servers use it.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::{Client, Flag, Scratch, marker, processes_with, program, shells, until};

/// What a run left.
struct Ran {
    code: Option<i32>,
    out: String,
    errors: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code(), out: text(output.stdout), errors: text(output.stderr) }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("no JSON: {} {}", self.out, self.errors))
    }

    /// The words of each row of the table, by task.
    fn row(&self, task: &str) -> Vec<&str> {
        let row = self.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        row.into_iter()
            .find(|words| words.first() == Some(&task))
            .unwrap_or_else(|| panic!("no {task} in {}", self.out))
    }
}

/// The program in a home of its own, working there.
fn verb(home: &Path, arguments: &[&str]) -> Command {
    let mut command = program(home);
    command.current_dir(home).arg("run").args(arguments).stdin(Stdio::null());
    command
}

fn run(home: &Scratch, arguments: &[&str]) -> Ran {
    Ran::of(verb(home.path(), arguments).output().expect("it runs"))
}

/// Runs a file of this text.
fn run_text(home: &Scratch, name: &str, text: &str, arguments: &[&str]) -> Ran {
    std::fs::write(home.path().join(name), text).expect("the file can be written");
    let all: Vec<&str> = std::iter::once(name).chain(arguments.iter().copied()).collect();
    run(home, &all)
}

/// A task that runs a command.
fn task(id: &str, command: &str, dependencies: Value) -> Value {
    json!({"id": id, "payload": {"command": command}, "dependencies": dependencies})
}

/// One that fails at its second attempt as well, one that never runs, one that cleans up.
fn mixed() -> String {
    let mut failing = task("fails", "echo planted; exit 3", json!(["works"]));
    failing["retries"] = json!({"max": 1, "delay": 10});
    json!({"tasks": [
        task("works", "echo fine", json!([])),
        failing,
        task("skipped", "echo never", json!(["fails"])),
        task("cleans-up", "echo swept", json!([{"id": "fails", "condition": "always"}])),
        task("spared", "echo spared", json!([{"id": "works", "condition": "failure"}])),
    ]})
    .to_string()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder can be made");
    for entry in std::fs::read_dir(from).expect("the folder can be read").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("the file can be copied");
        }
    }
}

/// Rust's proxies find their toolchains below the real home.
fn with_toolchain(command: &mut Command) {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    for (name, folder) in [("RUSTUP_HOME", ".rustup"), ("CARGO_HOME", ".cargo")] {
        command.env(name, std::env::var_os(name).unwrap_or_else(|| home.join(folder).into()));
    }
}

/// Runs an example in every shell that is there: tasks run in the shell of whoever tries it.
#[track_caller]
fn example(name: &str, tasks: usize) {
    for (_, shell) in shells() {
        example_in(&shell, name, tasks);
    }
}

#[track_caller]
fn example_in(shell: &str, name: &str, tasks: usize) {
    let home = Scratch::new("example");
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    copy(&examples, &home.path().join("examples"));
    let mut command = verb(home.path(), &[&format!("examples/{name}"), "--output", "json", "--shell", shell]);
    with_toolchain(&mut command);
    let ran = Ran::of(command.output().expect("it runs"));
    assert_eq!(ran.code, Some(0), "{shell}: {} {}", ran.out, ran.errors);
    let result = ran.json();
    assert_eq!(result["summary"]["completed"], tasks, "{shell}: {result:#}");
    assert_eq!(result["tasks"].as_array().map(Vec::len), Some(tasks), "{result:#}");
}

#[test]
fn the_parallel_build_runs() {
    example("parallel-build.yaml", 9);
}

#[test]
fn the_test_fan_out_runs() {
    example("test-fan-out.yaml", 6);
}

#[test]
fn the_data_pipeline_runs() {
    example("data-pipeline.yaml", 9);
}

#[test]
fn the_deployment_runs() {
    example("deployment.yaml", 10);
}

#[test]
fn a_failure_is_told_with_its_output_in_plain_lines_and_a_table() {
    let home = Scratch::new("run-mixed");
    let ran = run_text(&home, "mixed.json", &mixed(), &[]);
    assert_eq!(ran.code, Some(1), "{} {}", ran.out, ran.errors);
    assert_eq!(ran.row("works")[1], "completed");
    assert!(ran.row("fails").ends_with(&["2", "of", "2", "exit", "code", "3"]), "{}", ran.out);
    assert_eq!(ran.row("fails")[1], "failed");
    assert_eq!(ran.row("skipped"), ["skipped", "skipped", "–", "–", "because", "of", "fails"]);
    assert_eq!(ran.row("cleans-up")[1], "completed");
    assert_eq!(ran.row("spared")[1..3], ["not", "needed"]);
    assert!(ran.out.contains("── fails: exit code 3 ──\nplanted\n"), "{}", ran.out);
    let last = ran.out.lines().last().unwrap_or_default();
    assert!(last.starts_with("3 of 5 tasks completed, 1 failed, 1 skipped in "), "{last}");
    let first_words: Vec<Vec<&str>> = ran
        .errors
        .lines()
        .map(|line| line.split([' ', ',']).filter(|w| !w.is_empty()).take(2).collect())
        .collect();
    for wanted in
        [["finished", "works"], ["failed", "fails"], ["skipped", "skipped"], ["finished", "cleans-up"]]
    {
        assert!(first_words.iter().any(|words| *words == wanted), "{wanted:?}: {}", ran.errors);
    }
    assert!(!ran.errors.contains('\x1b') && !ran.out.contains('\x1b'), "no escapes where no terminal is");
    assert!(!ran.out.contains("started"), "progress is no result");
}

#[test]
fn error_lines_of_a_long_output_are_shown_once() {
    let home = Scratch::new("run-long");
    let command =
        "seq -f 'line %g' 1 50; echo 'error: early'; seq -f 'line %g' 51 100; echo 'error: late'; exit 7";
    let file = json!([task("noisy", command, json!([]))]).to_string();
    let ran = run_text(&home, "noisy.json", &file, &["--quiet"]);
    assert_eq!(ran.code, Some(1), "{}", ran.errors);
    let shown: Vec<&str> = ran.out.lines().skip(1).collect();
    let wanted =
        ["[67 lines left out]", "…", "line 49", "line 50", "error: early", "line 51", "line 52", "…"];
    assert_eq!(shown[..wanted.len()], wanted, "{}", ran.out);
    assert_eq!(shown[wanted.len()], "line 72", "{}", ran.out);
    assert_eq!(ran.out.matches("error: late").count(), 1, "{}", ran.out);
}

#[test]
fn quietly_only_what_failed_is_told() {
    let home = Scratch::new("run-quiet");
    let ran = run_text(&home, "mixed.json", &mixed(), &["--quiet"]);
    assert_eq!((ran.code, ran.errors.as_str()), (Some(1), ""), "{}", ran.out);
    assert!(ran.out.starts_with("── fails") && ran.out.lines().count() == 4, "{}", ran.out);
}

#[test]
fn json_has_every_task() {
    let home = Scratch::new("run-json");
    let ran = run_text(&home, "mixed.json", &mixed(), &["--output", "json"]);
    let result = ran.json();
    assert_eq!((ran.code, &result["status"]), (Some(1), &json!("failed")));
    let wanted = json!({"total": 5, "completed": 3, "failed": 2, "running": 0, "queued": 0});
    assert_eq!(result["summary"], wanted);
    let by_id = |id: &str| {
        let tasks = result["tasks"].as_array().expect("tasks");
        tasks.iter().find(|task| task["id"] == id).unwrap_or_else(|| panic!("no {id}: {result:#}")).clone()
    };
    let failed = by_id("fails");
    assert_eq!([&failed["reason"], &failed["output"]], ["exit_code", "planted"]);
    assert_eq!([&failed["attempt"], &failed["exitCode"]], [2, 3]);
    assert_eq!([&by_id("skipped")["reason"], &by_id("skipped")["becauseOf"]], ["dependency_failed", "fails"]);
    assert!(by_id("works")["durationMs"].is_u64() && by_id("works")["output"].is_null());
}

#[test]
fn junit_can_be_read_by_a_reader_of_junit() {
    let home = Scratch::new("run-junit");
    let ran = run_text(&home, "mixed.json", &mixed(), &["--output", "junit"]);
    assert_eq!(ran.code, Some(1));
    let report = quick_junit::Report::deserialize_from_str(&ran.out).expect("JUnit");
    assert_eq!((report.tests, report.failures, report.errors), (5, 1, 0), "{}", ran.out);
    let suite = &report.test_suites[0];
    assert_eq!((suite.name.as_str(), suite.skipped), ("mixed", 2), "{}", ran.out);
    let cases: Vec<&str> = suite.test_cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(cases, ["works", "fails", "skipped", "cleans-up", "spared"]);
    assert!(
        ran.out.contains("<failure message=\"exit code 3\" type=\"exit_code\">planted</failure>"),
        "{}",
        ran.out
    );
}

#[test]
fn a_dry_run_draws_the_graph_and_runs_nothing() {
    let home = Scratch::new("run-dry");
    let file = json!([
        task("left", "touch ran", json!([])),
        task("right", "touch ran", json!([])),
        task("join", "touch ran", json!(["left", {"id": "right", "condition": "always"}])),
    ])
    .to_string();
    let ran = run_text(&home, "graph.json", &file, &["--dry-run"]);
    assert_eq!(ran.code, Some(0), "{}", ran.errors);
    for wanted in
        ["3 tasks in 2 waves", "wave 1\n", "● join   ← left, right (always)", "critical path: ", " → join"]
    {
        assert!(ran.out.contains(wanted), "no {wanted:?} in {}", ran.out);
    }
    assert!(!home.path().join("ran").exists());
    let order = run(&home, &["graph.json", "--dry-run", "--output", "json"]).json();
    assert_eq!(order["order"]["waves"], json!([["left", "right"], ["join"]]), "{order}");
    assert_eq!(run(&home, &["graph.json", "--dry-run", "--output", "junit"]).code, Some(2));
}

#[test]
fn bad_files_are_refused_with_their_name_and_line() {
    let home = Scratch::new("run-bad");
    let many: String = (0..9).fold("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned(), |bomb, level| {
        bomb + &format!("a{}: &a{} [{}]\n", level + 1, level + 1, vec![format!("*a{level}"); 10].join(", "))
    });
    for (name, text, wanted) in [
        (
            "cycle.yaml",
            "- {id: a, payload: {command: x}}\n- {id: b, payload: {command: x}, dependencies: [c]}\n- {id: c, payload: {command: x}, dependencies: [b]}\n",
            "cycle.yaml:2: these tasks wait for each other: b → c → b",
        ),
        (
            "unknown.yaml",
            "tasks:\n  - id: a\n    payload: {command: x}\n    dependencies: [b]\n",
            "unknown.yaml:2: ",
        ),
        ("field.yaml", "tasks:\n  - id: a\n    comand: x\n", "field.yaml:3: "),
        ("field.json", "{\"tasks\": [\n{\"id\": \"a\",\n\"comand\": \"x\"}]}", "field.json:3: "),
        ("twice.yaml", "- {id: a, payload: {command: x}}\n- {id: a, payload: {command: x}}\n", "twice.yaml"),
        ("key.yaml", "tasks:\n  - id: a\n    id: b\n", "key.yaml:3:"),
        ("syntax.yaml", "tasks: [\n", "syntax.yaml:"),
        ("syntax.json", "{\"tasks\":\n[}", "syntax.json:2:2: "),
        ("empty.yaml", "", "empty.yaml: it is empty"),
        ("none.yaml", "tasks: []\n", "none.yaml: 'tasks' takes 1 to"),
        ("other.yaml", "jobs: []\n", "no field 'tasks'"),
        ("bomb.yaml", &format!("{many}tasks: *a9\n"), "bomb.yaml"),
        ("deep.yaml", &format!("tasks: {}", "[".repeat(100_000)), "deep.yaml"),
        ("deep.json", &"[".repeat(100_000), "deep.json:1:"),
    ] {
        let ran = run_text(&home, name, text, &[]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{name}: {}", ran.errors);
        assert!(
            ran.errors.starts_with("shellherd: ") && ran.errors.contains(wanted),
            "{name}: {}",
            ran.errors
        );
    }
    for (arguments, wanted) in [
        (&["nowhere.yaml"][..], "nowhere.yaml: No such file"),
        (&["."], "Is a directory"),
        (&[], "<FILE>"),
        (&["none.yaml", "--output", "xml"], "xml"),
        (&["none.yaml", "--max-concurrent", "0"], "max-concurrent"),
    ] {
        let ran = run(&home, arguments);
        assert_eq!(ran.code, Some(2), "{arguments:?}: {}", ran.errors);
        assert!(ran.errors.contains(wanted), "{arguments:?}: {}", ran.errors);
    }
}

#[test]
fn stdin_and_the_slots_of_the_command_line_are_taken() {
    let home = Scratch::new("run-stdin");
    // Each task sees whether another runs beside it.
    let alone = "mkdir alone || exit 9; sleep 0.05; rmdir alone";
    let tasks: Vec<Value> = (0..4).map(|number| task(&format!("t{number}"), alone, json!([]))).collect();
    let text = json!({"maxConcurrent": 4, "tasks": tasks}).to_string();
    let mut command = verb(home.path(), &["-", "--max-concurrent", "1"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
    let ran = Ran::of(child.wait_with_output().expect("it ends"));
    assert_eq!(ran.code, Some(0), "{} {}", ran.out, ran.errors);
}

#[test]
fn no_shell_is_killed_in_its_start_up_files() {
    let home = Scratch::new("run-settles");
    // Only the first comes to its prompt at once, and works off all tasks meanwhile.
    let slow = "touch begun.$$; mkdir first 2>/dev/null || sleep 1; touch over.$$\n";
    std::fs::write(home.path().join(".bashrc"), slow).expect("the start-up file can be written");
    let tasks: Vec<Value> = (0..8).map(|number| task(&format!("t{number}"), "true", json!([]))).collect();
    let text = json!({"maxConcurrent": 4, "tasks": tasks}).to_string();
    let ran = run_text(&home, "settles.json", &text, &["--shell", "bash"]);
    assert_eq!(ran.code, Some(0), "{} {}", ran.out, ran.errors);
    let names =
        || std::fs::read_dir(home.path()).expect("a directory").flatten().map(|entry| entry.file_name());
    let count = |what: &str| names().filter(|name| name.to_string_lossy().starts_with(what)).count();
    assert!(count("begun.") > 1 && count("begun.") == count("over."), "{:?}", names().collect::<Vec<_>>());
}

#[test]
fn on_a_terminal_there_are_bars_which_leave_nothing_behind() {
    let home = Scratch::new("run-bars");
    let file = home.path().join("bars.json");
    let seen = Flag::in_(&home);
    let counts = format!("echo counted; {}", seen.awaited());
    let tasks = json!([task("counts", &counts, json!([])), task("fails", "exit 4", json!([]))]);
    std::fs::write(&file, tasks.to_string()).expect("the file can be written");
    let mut client = Client::start();
    let session = client.clean("bash");
    let binary = env!("CARGO_BIN_EXE_shellherd");
    let state = home.path().join("state");
    let command = format!("{binary} run {} --state-dir {}", file.display(), state.display());
    let command = client.start_command(&session, &command);
    let raw = |client: &mut Client| {
        client
            .ok("session_output", json!({"sessionId": session, "commandId": command, "mode": "raw"}))
            .to_string()
    };
    until("the last line of output stands in a bar", || {
        let raw = raw(&mut client);
        ["counts   0:", " counted "].iter().all(|part| raw.contains(part))
    });
    seen.raise();
    let ran = client.ended(&command);
    assert_eq!(ran.exit(), Some(1), "{ran:?}");
    let lines: Vec<&str> = ran.output().lines().filter(|line| !line.is_empty()).collect();
    assert!(lines[0].starts_with("started   fails") || lines[0].starts_with("failed    fails"), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("counts  completed")), "{lines:?}");
    assert!(!ran.output().contains('%'), "the total is gone: {lines:?}");
    let raw = raw(&mut client);
    assert!(raw.contains("0 of 2 tasks") || raw.contains("1 of 2 tasks"), "{raw}");
}

/// A run of two tasks, of which one runs and says so by its marker.
fn started(home: &Scratch, command: &str, mark: &str) -> Child {
    let text = json!([task("runs", command, json!([])), task("waits", "true", json!(["runs"]))]).to_string();
    std::fs::write(home.path().join("long.json"), text).expect("the file can be written");
    let mut verb = verb(home.path(), &["long.json"]);
    let child = verb.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    until("the task runs", || !processes_with(mark).is_empty());
    child
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status().expect("kill runs");
    assert!(status.success());
}

#[test]
fn ctrl_c_cancels_the_run_and_leaves_nothing() {
    for name in ["-INT", "-TERM"] {
        let home = Scratch::new("run-interrupted");
        let mark = marker();
        let child = started(&home, &format!("sleep {mark} & sleep {mark}"), &mark);
        signal(&child, name);
        let ran = Ran::of(child.wait_with_output().expect("it ends"));
        assert_eq!(ran.code, Some(130), "{} {}", ran.out, ran.errors);
        assert!(processes_with(&mark).is_empty(), "gone when it ends, not later");
        assert_eq!(ran.row("runs")[1], "cancelled");
        assert_eq!(ran.row("waits")[1], "cancelled");
        assert!(ran.out.contains("interrupted: cancelled 2 tasks: runs, waits"), "{}", ran.out);
        assert!(ran.errors.contains("press Ctrl-C again"), "{}", ran.errors);
    }
}

#[test]
fn a_second_ctrl_c_kills_at_once() {
    let home = Scratch::new("run-killed");
    let mark = marker();
    // Deaf to the first one; the second must not wait until the grace period is over.
    let mut child = started(&home, &format!("trap '' INT; sleep {mark}"), &mark);
    let begun = std::time::Instant::now();
    signal(&child, "-INT");
    // Signals of one kind that come together are one: the second comes when the first is told of.
    let mut told = String::new();
    let stderr = child.stderr.as_mut().expect("a pipe");
    while !told.contains("press Ctrl-C again") {
        let mut byte = [0];
        stderr.read_exact(&mut byte).unwrap_or_else(|error| panic!("{error}: {told}"));
        told.push(char::from(byte[0]));
    }
    signal(&child, "-INT");
    let ran = Ran::of(child.wait_with_output().expect("it ends"));
    assert_eq!(ran.code, Some(130), "{} {}", ran.out, ran.errors);
    assert!(begun.elapsed() < std::time::Duration::from_secs(4), "{:?}", begun.elapsed());
    assert!(ran.out.contains("interrupted: killed 2 tasks"), "{}", ran.out);
    assert_eq!(ran.row("runs")[1], "cancelled", "it was killed, and does not run");
    assert!(ran.out.contains("0 of 2 tasks completed, 2 cancelled in "), "{}", ran.out);
    until("nothing is left", || processes_with(&mark).is_empty());
}

/// Nobody could resume what a killed `run` left, and its names would be taken for ever.
#[test]
fn a_killed_run_does_not_stand_in_the_way_of_the_next() {
    let home = Scratch::new("run-again");
    let mark = marker();
    let text = |command: &str| {
        let after = json!([{"id": "first", "condition": "always"}]);
        json!([task("first", command, json!([])), task("second", "true", after)]).to_string()
    };
    std::fs::write(home.path().join("again.json"), text(&format!("sleep {mark}")))
        .expect("it can be written");
    let mut child = verb(home.path(), &["again.json"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs");
    until("the task runs", || !processes_with(&mark).is_empty());
    signal(&child, "-KILL");
    child.wait().expect("it ends");
    until("the task is gone", || processes_with(&mark).is_empty());
    let dry = run(&home, &["again.json", "--dry-run"]);
    assert_eq!(dry.code, Some(0), "what the next run would cancel refuses no drawing: {}", dry.errors);
    assert!(dry.out.contains("2 tasks in 2 waves"), "{}", dry.out);
    let ran = run_text(&home, "again.json", &text("true"), &[]);
    assert_eq!(ran.code, Some(0), "{} {}", ran.out, ran.errors);
    assert!(ran.errors.contains("cancelled 1 task of run_"), "{}", ran.errors);
    let ran = run(&home, &["again.json", "--quiet"]);
    assert_eq!((ran.code, ran.errors.as_str()), (Some(0), ""), "there was nothing left to cancel");
}
