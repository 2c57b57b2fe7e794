//! The examples: each script is run as it stands, with the real program, and has the result that it promises.
//! The files of tasks are run in `run.rs`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Deserializer, Value, json};

use crate::support::{Scratch, apart, program};

const TABLE: &str = include_str!("../fixtures/recipes.tsv");

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// What a script printed, with the tools that it calls, in their order.
struct Recipe {
    tools: Vec<String>,
    results: Vec<Value>,
    _directory: Scratch,
}

/// Runs a script in a directory of its own, where the program is found by its name.
fn start(name: &str) -> (Output, Scratch) {
    let directory = Scratch::new("recipe");
    let home = directory.path().join("home");
    std::fs::create_dir(&home).expect("the directory is new");
    let binary = Path::new(env!("CARGO_BIN_EXE_shellherd"));
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", binary.parent().expect("it is in a directory").display());
    let mut command = apart(Command::new(examples().join(name)), &home);
    let output = command.current_dir(directory.path()).env("PATH", path).output().expect("the script runs");
    (output, directory)
}

fn values(output: &Output) -> Vec<Value> {
    let values = Deserializer::from_slice(&output.stdout).into_iter().collect::<Result<_, _>>();
    values.unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// Runs a script, all of whose calls must succeed.
fn recipe(name: &str) -> Recipe {
    let script = std::fs::read_to_string(examples().join(name)).expect("the script is there");
    let known: BTreeSet<&str> = shellherd::mcp::schema_files().into_iter().map(|(name, _)| name).collect();
    let first = |line: &str| line.strip_prefix("  ")?.split(' ').next().map(str::to_owned);
    let tools: Vec<String> =
        script.lines().filter_map(first).filter(|word| known.contains(&**word)).collect();
    let (output, directory) = start(name);
    assert!(output.status.success(), "{name}: {output:?}");
    let results = values(&output);
    assert_eq!(results.len(), tools.len(), "{name}: {results:#?}");
    Recipe { tools, results, _directory: directory }
}

impl Recipe {
    /// The result of the n-th call of a tool.
    fn of(&self, tool: &str, n: usize) -> &Value {
        let mut calls = self.tools.iter().zip(&self.results).filter(|(called, _)| *called == tool);
        calls.nth(n).unwrap_or_else(|| panic!("{tool} is not called {} times", n + 1)).1
    }

    fn output(&self, tool: &str, n: usize) -> &str {
        self.of(tool, n)["output"].as_str().unwrap_or_else(|| panic!("no output: {}", self.of(tool, n)))
    }
}

/// One field of every item of a list.
fn each<'a>(list: &'a Value, field: &str) -> Vec<&'a str> {
    let items = list.as_array().unwrap_or_else(|| panic!("no list: {list}"));
    items.iter().map(|item| item[field].as_str().unwrap_or_default()).collect()
}

#[test]
fn every_reference_example_has_a_counterpart_that_is_tested() {
    let rows = TABLE.lines().filter(|line| !line.starts_with('#'));
    let rows: Vec<Vec<&str>> = rows.map(|line| line.split('\t').collect()).collect();
    let documents: BTreeSet<&str> = rows.iter().map(|row| row[0]).collect();
    assert_eq!(documents, ["1", "2", "3", "4"].into());
    assert_eq!(rows.iter().filter(|row| row[0] == "1" && row[1].starts_with("Example ")).count(), 15);
    let named: BTreeSet<String> = rows.iter().map(|row| row[2].to_owned()).collect();
    let entries = std::fs::read_dir(examples()).expect("the examples").flatten();
    let files = entries.filter(|entry| entry.path().is_file());
    let files: BTreeSet<String> = files.map(|file| file.file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(named, files, "each file is in the table, and each that is named is there");
    let tests = [include_str!("recipes.rs"), include_str!("run.rs")].concat();
    for file in &files {
        let quoted = format!("\"{file}\"");
        assert!(tests.contains(&quoted), "no test runs {file}");
    }
}

#[test]
fn sessions_are_made_found_changed_used_and_cleared_away() {
    let run = recipe("sessions.sh");
    assert!(run.output("command_execute", 0).starts_with("level debug\n"));
    assert!(run.output("session_output", 0).contains("level debug"));
    assert_eq!(each(&run.of("session_list", 0)["sessions"], "name"), ["numbers"]);
    assert_eq!(run.of("session_list", 0)["sessions"][0]["capabilities"], json!(["batch", "report"]));
    assert_eq!(run.of("session_list", 1)["sessions"][0]["metadata"]["done"], 5);
    assert_eq!(run.of("session_list", 2)["total"], 2);
    assert_eq!(run.of("session_status", 0)["lastCommand"]["exitCode"], 0);
    assert_eq!(run.of("session_stats", 0)["byType"], json!({"department": 1, "director": 1, "observer": 1}));
    assert_eq!(run.of("session_cleanup", 0)["removed"], 3);
    assert_eq!(run.of("session_list", 3)["total"], 0);
}

#[test]
fn a_development_environment_runs_and_ends() {
    let run = recipe("dev-environment.sh");
    assert_eq!(run.of("command_batch", 0)["results"][2]["output"], "set up in app for port 8080\n");
    assert!(run.of("session_output", 0).get("timedOut").is_none());
    let mut names = each(&run.of("session_list", 0)["sessions"], "name");
    names.sort_unstable();
    assert_eq!(names, ["dev-api", "dev-log", "dev-tests", "dev-web"]);
    assert_eq!(run.of("session_close", 0)["sessionIds"].as_array().map(Vec::len), Some(4));
}

#[test]
fn a_session_is_recovered_interrupted_and_reset() {
    let run = recipe("watch-and-recover.sh");
    assert_eq!(run.of("health_check", 0)["components"]["sessions"], "healthy");
    assert_eq!(run.of("events_poll", 0)["events"][0]["type"], "recovery");
    assert_eq!(run.of("error_recover", 0)["recovered"], true);
    assert_eq!(run.output("command_execute", 2), "kept: yes in examples\n");
    assert_eq!(run.of("session_status", 0)["lastCommand"]["running"], true);
    assert_eq!(run.of("command_signal", 0)["delivered"], true);
    assert_eq!(run.of("session_status", 1)["status"], "idle");
    assert_eq!(run.of("performance_monitor", 0)["sessions"][0]["name"], "sturdy");
    assert_eq!(run.of("session_snapshot", 0)["state"]["name"], "sturdy");
    assert!(run.of("session_stats", 0)["recovery"]["succeeded"].as_u64() >= Some(1));
}

#[test]
fn suites_run_side_by_side_and_a_failure_is_a_result() {
    let run = recipe("test-sessions.sh");
    let tasks = &run.of("task_status", 0)["tasks"];
    assert_eq!(each(tasks, "status"), ["completed", "completed", "failed"], "{tasks:#}");
    assert_eq!(tasks[2]["exitCode"], 1);
    assert!(run.output("session_output", 0).contains("sort: ok"));
    assert!(run.output("session_output", 1).contains("join: 1 failed"));
}

#[test]
fn agents_send_messages_share_tasks_and_are_prompted() {
    let run = recipe("agents.sh");
    assert_eq!(run.of("message_send", 1)["recipients"], json!(["tester", "ui"]));
    let received = &run.of("message_receive", 0)["messages"];
    assert_eq!(each(received, "messageType"), ["TaskRequest", "Broadcast"], "the urgent one comes first");
    let outputs = each(&run.of("task_status", 0)["tasks"], "output");
    assert_eq!(outputs, ["form by ui\n", "sign-in by server\n", "tests by tester\n"]);
    assert_eq!(run.output("agent_execute", 0), "SAY WHAT THE STRUCTURE OF THE PROJECT IS");
    assert_eq!(run.output("agent_execute", 1), "build it");
    assert_eq!(run.of("progress_aggregate", 0)["overall"]["percentage"], 100.0);
    assert_eq!(
        run.output("command_execute", 0).lines().last(),
        Some("new"),
        "cp was told to overwrite the page"
    );
    let decided = &run.of("events_poll", 0)["events"];
    let reason = decided[0]["reason"].as_str().expect("a reason");
    assert!(reason.starts_with("autoAccept: on, up to risk 3"), "{decided}");
    assert_eq!((&decided[1]["type"], &decided[1]["risk"]), (&json!("decision"), &json!(3)), "{decided}");
    assert_eq!(each(&run.of("agent_list", 0)["agents"], "agentId"), ["server", "tester", "ui", "writer"]);
}

#[test]
fn what_a_reviewer_prints_is_json_as_it_stands() {
    let run = recipe("review.sh");
    let looks = &run.of("command_broadcast", 0)["results"];
    assert_eq!(each(looks, "output"), ["1:let total = 1  \n", "2:password = x\n"]);
    let report: Value = serde_json::from_str(run.output("command_execute", 3)).expect("JSON");
    assert_eq!(report, json!({"file": "app.txt", "findings": 1}));
}

#[test]
fn a_pipeline_runs_its_stages_in_a_row() {
    let run = recipe("ci.sh");
    let stages = &run.of("command_batch", 0)["results"];
    assert_eq!(each(stages, "output"), ["checked\n", "4\n", "tested\n"]);
    let compared = run.of("command_execute", 1);
    assert_eq!((&compared["exitCode"], &compared["success"]), (&json!(1), &json!(true)), "{compared}");
}

#[test]
fn load_is_made_and_measured_meanwhile() {
    let run = recipe("load.sh");
    let measured = run.of("performance_monitor", 0);
    assert_eq!(each(&measured["sessions"], "name").len(), 2, "{measured}");
    assert!(measured["overall"]["memory"].as_f64() > Some(0.0), "{measured}");
    assert!(run.output("session_output", 0).contains("request 20\ndone 20"));
    assert!(run.output("session_output", 1).ends_with("done 20\n"));
    assert!(!run.of("performance_history", 0)["dataPoints"].as_array().expect("points").is_empty());
}

#[test]
fn work_holds_back_and_defaults_are_tuned() {
    let run = recipe("tuning.sh");
    assert_eq!(each(&run.of("task_status", 0)["tasks"], "status"), ["completed"; 3]);
    assert_eq!(run.of("progress_aggregate", 0)["overall"]["percentage"], 100.0);
    assert!(run.of("performance_tune", 0)["analysis"]["highCpuPressure"].is_boolean());
    let applied = &run.of("performance_tune", 1)["applied"];
    assert_eq!(*applied, json!({"maxConcurrent": 12, "commandTimeout": 600_000}));
}

#[test]
fn what_is_wrong_is_found_with_calls_that_help() {
    let run = recipe("diagnose.sh");
    let kinds = each(&run.of("events_poll", 0)["events"], "type");
    assert!(kinds.contains(&"error"), "{kinds:?}");
    let found = run.of("diagnose", 0);
    assert!(each(&found["findings"], "type").contains(&"connection_refused"), "{found:#}");
    let found = run.of("diagnose", 1);
    assert_eq!(each(&found["findings"], "type"), ["session_error"], "{found:#}");
    assert_eq!(found["recommendations"][0]["tool"], "error_recover", "{found:#}");
    assert!(run.of("session_logs", 0)["logs"].as_str().expect("text").contains("shell exited with 3"));
    assert_eq!(run.of("health_check", 0)["status"], "critical");
    assert_eq!(run.of("session_stats", 0)["byStatus"]["error"], 1);
    let metrics = run.of("metrics_export", 0)["text"].as_str().expect("text");
    assert!(metrics.contains("shellherd_sessions{status=\"error\"} 1"), "{metrics}");
}

#[test]
fn templates_are_merged_and_pools_leave_nothing_behind() {
    let run = recipe("templates-and-pools.sh");
    assert_eq!(run.output("command_execute", 0), "debug 10\n");
    let rank = &run.of("session_status", 0)["metadata"]["rank"];
    assert_eq!(*rank, json!({"team": 1, "own": 2}));
    assert_eq!(run.output("pool_execute", 1), "still info\n");
    assert_eq!(run.of("pool_status", 0)["pools"][0]["size"], 2);
    assert_eq!(each(&run.of("template_list", 0)["templates"], "name"), ["numbers"]);
}

#[test]
fn sessions_move_are_copied_and_come_back() {
    let run = recipe("move-and-copy.sh");
    assert_eq!(run.output("command_execute", 1), "green in there\n");
    assert_eq!(run.output("command_execute", 2), "no colour in there\n");
    let tasks = &run.of("task_status", 0)["tasks"];
    let targets = BTreeSet::from_iter(each(tasks, "sessionId"));
    let back = [0, 1, 2].map(|n| run.of("session_create", n)["sessionId"].as_str().expect("an id"));
    assert_eq!(targets, BTreeSet::from([back[1], back[2]]), "the tasks went to the targets: {tasks:#}");
    assert_eq!(run.output("command_execute", 3), "green again\n");
}

#[test]
fn a_director_and_its_departments_work_and_end_in_order() {
    let run = recipe("orchestration.sh");
    assert_eq!(run.of("session_create", 0)["status"], "initializing");
    assert_eq!(run.of("session_start", 0)["status"], "idle");
    assert_eq!(each(&run.of("task_status", 0)["tasks"], "status"), ["completed"; 2]);
    assert_eq!(run.of("health_check", 0)["components"]["sessions"], "healthy");
    assert_eq!(run.of("session_stats", 0)["totalProcessedTasks"], 2);
    assert!(!run.of("events_poll", 0)["events"].as_array().expect("events").is_empty());
    assert_eq!(run.of("agent_deregister", 0)["drained"], true);
    let closed = run.of("session_close", 0)["sessionIds"].as_array().expect("ids");
    let director = &run.of("session_create", 0)["sessionId"];
    assert_eq!((closed.len(), closed.last()), (3, Some(director)), "departments before their director");
}

#[test]
fn a_context_is_kept_compressed_and_still_there() {
    let run = recipe("context.sh");
    assert_eq!(run.of("context_get", 0)["messages"].as_array().map(Vec::len), Some(2));
    assert!(run.of("context_get", 1)["messages"].as_array().map(Vec::len) < Some(5));
    let compressed = run.of("context_compress", 0);
    let tokens = |when: &str| compressed[when]["totalTokens"].as_u64().expect("tokens");
    assert!(tokens("after") < tokens("before"), "{compressed}");
    let kept = each(&run.of("context_get", 2)["messages"], "content").join("\n");
    assert!(kept.contains("error: cannot find type") && kept.contains("router, store, tests"), "{kept}");
    let original = each(&run.of("context_get", 3)["messages"], "content").join("\n");
    assert!(original.contains("Make an interface") && original.contains("tests for each"), "{original}");
}

#[test]
fn a_session_that_cannot_be_made_says_why() {
    let (output, _directory) = start("will-not-start.sh");
    let results = values(&output);
    assert_eq!(results.len(), 6, "{results:#?}");
    let codes: Vec<&str> = results.iter().filter_map(|result| result["error"]["code"].as_str()).collect();
    assert_eq!(codes, ["invalid_argument", "spawn_failed", "invalid_argument"]);
    for mended in results.iter().skip(1).step_by(2) {
        assert_eq!(mended["status"], "idle", "{mended}");
    }
}

#[test]
fn any_language_can_be_a_client() {
    let (output, _directory) = start("json-rpc.sh");
    assert!(output.status.success(), "{output:?}");
    let answers = values(&output);
    assert_eq!(answers.len(), 8, "{answers:#?}");
    assert_eq!(answers[2]["result"]["structuredContent"]["output"], "built\n");
    assert_eq!(answers[5]["result"]["structuredContent"]["total"], 1);
    assert_eq!(answers[7]["result"]["structuredContent"]["components"]["sessions"], "healthy");
}

#[test]
fn the_example_of_a_configuration_is_accepted() {
    let directory = Scratch::new("recipe");
    let home = directory.path().join("home");
    std::fs::create_dir(&home).expect("the directory is new");
    let file = examples().join("shellherd.toml");
    let mut command = program(&home);
    command.current_dir(directory.path()).args(["call", "session_list", "--config"]).arg(&file);
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    assert!(directory.path().join("target/examples/state").is_dir(), "the file's state directory is used");
}
