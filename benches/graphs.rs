//! Task graphs of work that does nothing, against the tools that people use for that, in the same run:
//! `cargo bench --bench graphs`. What a task costs the scheduler itself is measured in `schedule.rs`.

#![expect(clippy::disallowed_methods, reason = "a benchmark starts processes and reads the clock")]
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

mod server;

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use server::Server;
use uuid::Uuid;

const ROUNDS: usize = 3;

/// A layered graph: each task waits for three of the layer before it.
fn layered(tasks: usize, wide: usize) -> Vec<(String, Vec<String>)> {
    (0..tasks)
        .map(|number| {
            let (layer, place) = (number / wide, number % wide);
            let before = (0..3).map(|step| (layer.wrapping_sub(1), (place + step * 7) % wide));
            let before = before.filter(|_| layer > 0).map(|(layer, place)| format!("t{layer}-{place}"));
            (format!("t{layer}-{place}"), before.collect())
        })
        .collect()
}

/// From the call that brings the graph to the answer that all of it is done.
fn run(server: &mut Server, graph: &[(String, Vec<String>)], wide: usize) -> Duration {
    let tasks: Vec<Value> = graph
        .iter()
        .map(|(id, before)| json!({"id": id, "command": "true", "dependencies": before}))
        .collect();
    let begin = Instant::now();
    let run = server.call("task_distribute", &json!({"tasks": tasks, "maxConcurrent": wide}));
    let asked = json!({"runId": run["runId"], "wait": 600_000});
    let status = server.call("task_status", &asked);
    let took = begin.elapsed();
    assert_eq!(status["summary"]["completed"], graph.len(), "{}", status["summary"]);
    took
}

fn timed(command: &mut Command) -> Duration {
    let begin = Instant::now();
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("it starts");
    assert!(status.success(), "{command:?}");
    begin.elapsed()
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// Two thousand tasks that wait for nothing, eight at a time, against xargs.
fn flat(shell: &str) {
    let graph: Vec<(String, Vec<String>)> =
        (0..2_000).map(|number| (format!("t{number}"), Vec::new())).collect();
    let mut server = Server::start(&["--shell", shell]);
    // The pool is warm, as it is for every run but the first.
    run(&mut server, &graph[..64], 8);
    let mut best = f64::INFINITY;
    let (mut ours, mut theirs) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        let one = run(&mut server, &graph, 8);
        let other = timed(Command::new("sh").args(["-c", "seq 2000 | xargs -n1 -P8 sh -c true"]));
        best = best.min(one.as_secs_f64() / other.as_secs_f64());
        ours = ours.min(one);
        theirs = theirs.min(other);
    }
    println!(
        "2,000 tasks, 8 wide, {shell}: {:.0}/s; xargs -P 8 sh -c true: {:.0}/s; {:.2}x (best pair {best:.2}x)",
        2_000.0 / ours.as_secs_f64(),
        2_000.0 / theirs.as_secs_f64(),
        ours.as_secs_f64() / theirs.as_secs_f64(),
    );
}

fn write_makefile(path: &Path, graph: &[(String, Vec<String>)]) {
    let mut text = String::from(".PHONY:");
    for (id, _) in graph {
        let _ = write!(text, " {id}");
    }
    text.push_str("\nall:");
    for (id, _) in graph {
        let _ = write!(text, " {id}");
    }
    text.push('\n');
    for (id, before) in graph {
        // A command that needs a shell, as ours have; make runs a plain `true` without one.
        let _ = writeln!(text, "{id}: {}\n\t@: ; true", before.join(" "));
    }
    std::fs::write(path, text).expect("a file");
}

fn write_ninja(path: &Path, graph: &[(String, Vec<String>)]) {
    let mut text = String::from("rule nothing\n  command = true\n");
    for (id, before) in graph {
        let _ = writeln!(text, "build {id}: nothing {}", before.join(" "));
    }
    std::fs::write(path, text).expect("a file");
}

/// Ten thousand tasks in layers, against the build tools.
fn layers(shell: &str) {
    let graph = layered(10_000, 100);
    let directory = std::env::temp_dir().join(format!("shellherd-bench-{}", Uuid::new_v4().simple()));
    std::fs::create_dir_all(&directory).expect("a directory");
    write_makefile(&directory.join("Makefile"), &graph);
    write_ninja(&directory.join("build.ninja"), &graph);
    let mut server = Server::start(&["--shell", shell]);
    run(&mut server, &graph[..64], 8);
    let ours = run(&mut server, &graph, 8);
    println!("10,000 tasks in 100 layers, 8 wide, {shell}: {:.0}/s", 10_000.0 / ours.as_secs_f64());
    for (tool, arguments) in [("make", ["-j8", "all"]), ("ninja", ["-j8", "--quiet"])] {
        if is_there(tool) {
            let theirs = timed(Command::new(tool).args(arguments).current_dir(&directory));
            println!(
                "    {tool} -j8: {:.0}/s; {:.2}x",
                10_000.0 / theirs.as_secs_f64(),
                ours.as_secs_f64() / theirs.as_secs_f64()
            );
        } else {
            println!("    {tool} is not there");
        }
    }
    let _ = std::fs::remove_dir_all(directory);
}

fn main() {
    for shell in ["sh", "bash", "zsh"].into_iter().filter(|shell| is_there(shell)) {
        flat(shell);
        layers(shell);
    }
}
