//! Less to read: what tools say as figures, what changed since the last run, and long outputs condensed
//! wherever outputs are shown.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Client, Scratch};
use crate::tasks::task;

/// Prints more than any budget holds, with one line of trouble in the middle, and fails.
const LONG: &str = "for i in $(seq 1 6000); do echo \"job $i done in $((i * 7)) us\"; \
                    [ $i = 3000 ] && echo 'ledger.py:3: error: it does not balance'; done; (exit 3)";

#[track_caller]
fn is_condensed(result: &Value) {
    assert_eq!(result["condensed"], true, "{result}");
    let shown = result["output"].as_str().expect("output");
    assert!(
        shown.contains("error: it does not balance") && shown.contains("× \"job <n> done in <n> us\"]"),
        "{shown}"
    );
    assert!(
        result["tokens"].as_u64() < result["rawTokens"].as_u64()
            && result["omittedLines"].as_u64() > Some(5_000)
    );
}

/// A crate that does not compile, and how to call cargo where no home folder says where the compiler is.
fn broken_crate(folder: &Path) -> Value {
    let source = "pub fn three() -> u8 {\n    let unused = 1;\n    missing\n}\n";
    std::fs::create_dir(folder.join("src")).expect("a folder");
    std::fs::write(folder.join("src/lib.rs"), source).expect("a source file");
    std::fs::write(folder.join("Cargo.toml"), "[package]\nname = \"broken\"\n\n[workspace]\n")
        .expect("a manifest");
    let cargo = Path::new(env!("CARGO"));
    json!({
        "command": format!("{} check --offline", cargo.display()),
        "workingDirectory": folder,
        "env": {"RUSTC": cargo.with_file_name("rustc"), "CARGO_TARGET_DIR": folder.join("target")},
    })
}

#[test]
fn a_compilers_errors_are_told_with_their_places() {
    let mut client = Client::start();
    let session = client.clean("/bin/bash");
    let folder = Scratch::new("parsed");
    let mut arguments = broken_crate(folder.path());
    arguments["sessionId"] = json!(session);
    let outcome = client.call("command_execute", arguments);
    let parsed = json!({
        "kind": "cargo",
        "errors": [{"file": "src/lib.rs", "line": 3, "column": 5, "message": "cannot find value `missing` in this scope [E0425]"}],
    });
    assert_eq!((&outcome.structured["parsed"], outcome.exit()), (&parsed, Some(101)), "{}", outcome.text);
    assert!(outcome.text.contains(" · cargo: 1 error"), "{}", outcome.text);
    let status = client.call("command_status", json!({"commandId": outcome.command()}));
    assert_eq!(status.structured["parsed"], parsed);
    // Words of a compiler in another program's mouth are nothing.
    let other = client.run(&session, "echo 'error: cannot find value'; (exit 1)");
    assert!(other.structured["parsed"].is_null(), "{}", other.structured);
}

#[test]
fn figures_stand_beside_an_output_that_is_condensed() {
    let mut client = Client::start();
    let session = client.clean("/bin/bash");
    let build = "for i in $(seq 1 3000); do echo \"src/a$i.c:$i:1: error: 'x$i' undeclared\"; done; echo 'b.c:1:1: warning: w'";
    let outcome = client.run(&session, build);
    let parsed = &outcome.structured["parsed"];
    let errors = parsed["errors"].as_array().expect("errors");
    assert_eq!(errors[0], json!({"file": "src/a1.c", "line": 1, "column": 1, "message": "'x1' undeclared"}));
    let omitted = parsed["omittedErrors"].as_u64().expect("a count");
    assert_eq!((errors.len() as u64 + omitted, &parsed["warnings"]), (3_000, &json!(1)), "{parsed}");
    assert_eq!(outcome.structured["condensed"], true);
    assert!(
        outcome.text.contains("\nsrc/a10.c:10:1: 'x10' undeclared\n"),
        "what is not shown is told: {}",
        outcome.text
    );
}

#[test]
fn only_what_changed_since_the_last_run_is_shown() {
    let mut client = Client::start();
    let session = client.clean("/bin/bash");
    let print = "for i in $(seq 1 200); do echo \"row $i took $((RANDOM % 900)).5 ms\"; done; echo \"run $((RUN += 1))\"";
    let arguments = json!({"sessionId": session, "command": print, "compareWith": "previous"});
    let first = client.call("command_execute", arguments.clone());
    let why = first.structured["notCompared"].as_str().expect("a reason");
    assert!(why.contains("no earlier run") && first.output().contains("row 100 took"), "{}", first.text);
    assert!(first.text.starts_with("[not compared: no earlier run"), "{}", first.text);

    let second = client.call("command_execute", arguments.clone());
    let result = &second.structured;
    assert_eq!(
        (&result["comparedWith"], &result["changedLines"]),
        (&json!(first.command()), &json!(2)),
        "{result}"
    );
    assert_eq!((&result["omittedLines"], &result["totalLines"]), (&json!(199), &json!(201)), "{result}");
    assert!(
        second.text.starts_with(&format!("[2 lines changed since {}]\n", first.command())),
        "{}",
        second.text
    );
    let whole = json!({"commandId": second.command(), "sessionId": session, "since": result["omittedFrom"]});
    let whole = client.ok("session_output", whole);
    let lines: Vec<&str> = whole["output"].as_str().expect("output").lines().collect();
    assert!(lines.len() == 201 && lines[0].starts_with("row 1 took") && lines[200] == "run 2", "{whole}");
    let changes = format!("[lines 1–199 as before but for times]\n {}\n-run 1\n+run 2\n", lines[199]);
    assert_eq!(second.output(), changes);

    // Another line, another session: nothing to compare with. Another directory given: another run.
    let other = client.clean("/bin/bash");
    for arguments in [
        json!({"sessionId": session, "command": format!("{print} "), "compareWith": "previous"}),
        json!({"sessionId": other, "command": print, "compareWith": "previous"}),
        json!({"sessionId": session, "command": print, "workingDirectory": "/tmp", "compareWith": "previous"}),
    ] {
        let result = client.ok("command_execute", arguments);
        assert!(result["notCompared"].is_string() && result["comparedWith"].is_null(), "{result}");
    }
    let wrong = json!({"sessionId": session, "command": print, "compareWith": "yesterday"});
    assert_eq!(client.call("command_execute", wrong).code(), "invalid_argument");
}

#[test]
fn what_cannot_be_compared_is_shown_as_ever_and_says_so() {
    let mut client = Client::start();
    let session = client.clean("/bin/bash");
    let twice = |client: &mut Client, command: &str| {
        let arguments = json!({"sessionId": session, "command": command, "compareWith": "previous"});
        client.call("command_execute", arguments.clone());
        client.ok("command_execute", arguments)
    };
    for (command, why) in [
        ("seq 1 200000", "too large"),
        ("RUN=$((RUN + 1)); for i in $(seq 1 3000); do echo \"$RUN $i\"; done", "too much changed"),
    ] {
        let result = twice(&mut client, command);
        assert!(result["notCompared"].as_str().is_some_and(|said| said.contains(why)), "{result}");
        assert!(result["truncated"] == true && result["cursor"].is_u64(), "{result}");
    }
    // Figures are those of the run, whatever changed.
    let same = twice(&mut client, "echo 'a.c:1:1: error: x'; seq 1 50; sh -c 'exit 0'");
    assert_eq!(same["output"], "[lines 1–51 as before]\n", "{same}");
    assert_eq!(same["parsed"]["errors"][0]["file"], "a.c", "{same}");
    let running =
        json!({"sessionId": session, "command": "sleep 60", "background": true, "compareWith": "previous"});
    assert_eq!(client.ok("command_execute", running)["notCompared"], "it runs on");
}

#[test]
fn long_outputs_are_condensed_wherever_they_are_shown() {
    let mut client = Client::start();
    let session = client.clean("/bin/bash");
    let other = client.clean("/bin/bash");
    let batch = client.call("command_batch", json!({"sessionId": session, "commands": ["echo short", LONG]}));
    let results = &batch.structured["results"];
    assert_eq!(
        (&results[0]["output"], &results[0]["condensed"]),
        (&json!("short\n"), &Value::Null),
        "{results}"
    );
    is_condensed(&results[1]);
    assert_eq!((&results[1]["exitCode"], &batch.structured["failedAt"]), (&json!(3), &json!(1)), "{results}");

    let to = json!({"sessions": [session, other], "command": LONG, "condense": "aggressive"});
    let broadcast = client.call("command_broadcast", to);
    let results = broadcast.structured["results"].as_array().expect("results");
    assert_eq!(results.len(), 2);
    results.iter().for_each(is_condensed);
    let off =
        client.call("command_batch", json!({"sessionId": session, "commands": [LONG], "condense": "off"}));
    let result = &off.structured["results"][0];
    assert!(result["condensed"].is_null() && result["truncated"] == true, "{result}");
}

#[test]
fn a_task_shows_what_matters_in_all_of_its_output() {
    let mut client = Client::start();
    let tasks = json!([{"id": "ledger", "payload": {"command": LONG}}, {"id": "quick", "payload": {"command": "echo quick"}},
        {"id": "unit", "payload": {"command": "echo 'test result: FAILED. 7 passed; 1 failed; 0 ignored'; (exit 101)"}}]);
    let run = client.ok("task_distribute", json!({"tasks": tasks}))["runId"].clone();
    let shown = client.ok("task_status", json!({"runId": run, "wait": "50s", "condense": "auto"}));
    let tasks = shown["tasks"].as_array().expect("tasks");
    is_condensed(task(tasks, "ledger"));
    assert_eq!(task(tasks, "ledger")["exitCode"], 3);
    let unit = task(tasks, "unit");
    let figures = json!({"kind": "cargo", "passed": 7, "failed": 1});
    assert_eq!((&unit["parsed"], &unit["status"]), (&figures, &json!("failed")), "{unit}");
    let quick = task(tasks, "quick");
    assert_eq!((&quick["output"], &quick["condensed"]), (&json!("quick\n"), &Value::Null), "{quick}");
    // Unasked, the end is shown.
    let shown = client.ok("task_status", json!({"runId": run}));
    let ledger = task(shown["tasks"].as_array().expect("tasks"), "ledger");
    let output = ledger["output"].as_str().expect("output");
    assert!(ledger["condensed"].is_null() && output.ends_with("job 6000 done in 42000 us\n"), "{ledger}");
}

#[test]
fn what_is_left_out_is_read_again_by_cursor_range_and_pattern() {
    let mut client = Client::start();
    let session = client.clean("/bin/bash");
    let run = json!({"sessionId": session, "command": LONG, "condense": "auto"});
    let outcome = client.call("command_execute", run);
    let result = outcome.structured.clone();
    is_condensed(&result);
    assert_eq!((outcome.exit(), &result["totalLines"]), (Some(3), &json!(6_001)), "{result}");
    assert!(outcome.text.contains("condensed"), "{}", outcome.text);
    let command = outcome.command();
    let mut lines: Vec<String> = (1..=6_000).map(|i| format!("job {i} done in {} us", i * 7)).collect();
    lines.insert(3_000, "ledger.py:3: error: it does not balance".to_owned());

    // Wherever it is read, and in fewer words where that is asked for.
    let status = client.call("command_status", json!({"commandId": command, "condense": "aggressive"}));
    is_condensed(&status.structured);
    assert!(status.structured["tokens"].as_u64() < result["tokens"].as_u64(), "{}", status.text);
    assert_eq!(status.exit(), Some(3));
    let read = |client: &mut Client, more: Value| {
        let mut arguments = json!({"sessionId": session, "commandId": command});
        arguments.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        client.ok("session_output", arguments)
    };
    is_condensed(&read(&mut client, json!({"condense": "auto"})));
    assert!(read(&mut client, json!({"condense": "off"}))["condensed"].is_null());

    // Each fold by the numbers that it names, and the first line of it by a pattern.
    let shown = result["output"].as_str().expect("output");
    let mut folds = 0;
    for fold in shown.lines().filter_map(|line| line.strip_prefix("[lines ")) {
        let (range, _) = fold.split_once(": ").expect("a range");
        let (first, last) = range.split_once('–').expect("two numbers");
        let (first, last): (usize, usize) = (first.parse().expect("one"), last.parse().expect("another"));
        let some = json!({"range": format!("{first}-{}", last.min(first + 99))});
        let text = read(&mut client, some)["output"].as_str().expect("output").to_owned();
        assert!(text.lines().eq(lines[first - 1..last.min(first + 99)].iter().map(String::as_str)), "{text}");
        let found = read(&mut client, json!({"grep": format!("^{}$", lines[first - 1])}));
        assert_eq!(found["output"], format!("{first}:{}\n", lines[first - 1]), "{found}");
        folds += 1;
    }
    assert_eq!(folds, 2, "{shown}");

    // All that follows the first line that is left out, page by page.
    let (mut text, mut since) = (String::new(), result["omittedFrom"].clone());
    while !since.is_null() {
        let page = read(&mut client, json!({"since": since}));
        text += page["output"].as_str().expect("output");
        since = page["omittedFrom"].clone();
    }
    let whole = lines.join("\n") + "\n";
    assert!(text.lines().count() > 5_900 && whole.ends_with(&text), "{} lines", text.lines().count());
}
