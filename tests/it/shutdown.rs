//! The end of the server, in every way in which it comes, leaves nothing that it started.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::support::{Client, Scratch, children, is_alive, marker, processes_with, until};

/// Between the SIGINT and the SIGTERM of a client that goes.
const SECOND_SIGNAL: Duration = Duration::from_millis(110);
/// An orderly end takes a third of a second; this is what no loaded machine needs.
const LONGEST: Duration = Duration::from_secs(20);

/// What is left behind, each under its own mark, and how it was started.
struct Leftovers {
    marks: Vec<(&'static str, String)>,
}

impl Leftovers {
    const STARTS: &[(&str, &str)] = &[
        ("plain", "sleep MARK &"),
        ("nohup", "nohup sleep MARK >/dev/null 2>&1 &"),
        ("setsid", "setsid sleep MARK </dev/null >/dev/null 2>&1 &"),
        ("double fork", "(setsid sh -c 'sleep MARK & exit 0' </dev/null >/dev/null 2>&1 &)"),
        (
            "without environment",
            "env -i \"$(command -v setsid)\" \"$(command -v sleep)\" MARK </dev/null >/dev/null 2>&1 &",
        ),
        ("deaf", "sh -c 'trap \"\" TERM HUP INT QUIT USR1; sleep MARK; sleep MARK' &"),
        (
            "deaf and away",
            "setsid sh -c 'trap \"\" TERM HUP INT; cd /; exec sleep MARK' </dev/null >/dev/null 2>&1 &",
        ),
    ];

    fn start(client: &mut Client, session: &str) -> Self {
        let marks: Vec<(&str, String)> = Self::STARTS.iter().map(|(how, _)| (*how, marker())).collect();
        let lines = Self::STARTS.iter().zip(&marks).map(|((_, line), (_, mark))| line.replace("MARK", mark));
        let script: String = lines.map(|line| line + "\n").collect();
        let outcome = client.run(session, &script);
        assert_eq!(outcome.exit(), Some(0), "{outcome:?}");
        let leftovers = Self { marks };
        until("everything runs", || leftovers.marks.iter().all(|(_, mark)| !processes_with(mark).is_empty()));
        leftovers
    }

    fn alive(&self) -> Vec<&'static str> {
        let alive = self.marks.iter().filter(|(_, mark)| !processes_with(mark).is_empty());
        alive.map(|(how, _)| *how).collect()
    }
}

/// A close that is still going on does not hold up the end.
#[test]
fn an_unfinished_close_does_not_delay_the_end() {
    let mut client = Client::start();
    let session = client.clean("/bin/bash");
    let stubborn = client.start_command(&session, "(trap '' HUP TERM INT; echo ready; sleep 300)");
    let ready = json!({"until": "match", "pattern": "^ready$", "timeout": "50s"});
    client.ok("session_output", json!({"sessionId": session, "commandId": stubborn, "wait": ready}));
    let closed = client.ok("session_close", json!({"all": true, "timeout": "1h", "wait": 0}));
    assert_eq!(closed["success"], false, "{closed}");
    client.hang_up();
    assert!(client.until_exit() < LONGEST);
}

/// The guard process and the private directory that it is to remove.
fn guard(server: u32) -> (u32, PathBuf) {
    let guards: Vec<(u32, String)> =
        children(server).into_iter().filter(|(_, line)| line.contains(" guard ")).collect();
    let [(pid, line)] = guards.as_slice() else { panic!("not one guard: {guards:?}") };
    let directory = PathBuf::from(line.trim_end().rsplit(' ').next().expect("an argument"));
    assert!(directory.is_dir(), "{}", directory.display());
    (*pid, directory)
}

/// Starts sessions with all that may be left behind, ends the server as told, and looks around.
fn check(how: &str, is_orderly: bool, end: impl Fn(&mut Client)) {
    let state = Scratch::new("shutdown");
    let mut client = Client::start_in(state.path());
    let session = client.clean("/bin/bash");
    let leftovers = Leftovers::start(&mut client, &session);
    // A running command and a program that waits are ended as well, and other shells.
    let foreground = marker();
    client.start_command(&session, &format!("sleep {foreground}"));
    for (_, path) in crate::support::shells() {
        let other = client.clean(&path);
        client.start_command(&other, &format!("sleep {foreground}"));
    }
    client.session(json!({"shell": "cat"}));
    until("the commands run", || processes_with(&foreground).len() >= 2);
    // Another server in a session, which marks what it starts as its own.
    let nested = marker();
    let graph = state.path().join("nested.json");
    let task = json!([{"id": "sleeps", "command": format!("trap '' HUP; sleep {nested}")}]);
    std::fs::write(&graph, task.to_string()).expect("the graph can be written");
    let run = format!(
        "{} run {} --state-dir {}/nested",
        env!("CARGO_BIN_EXE_shellherd"),
        graph.display(),
        state.path().display()
    );
    let inner = client.clean("/bin/bash");
    client.start_command(&inner, &run);
    until("the nested server's task runs", || !processes_with(&nested).is_empty());
    let (guard, private) = guard(client.pid());

    end(&mut client);
    let took = client.until_exit();
    println!("{how}: the server was gone after {took:?}");
    if is_orderly {
        assert!(took < LONGEST, "{took:?}");
        // It ends what it started before it ends itself.
        assert_eq!(leftovers.alive(), [""; 0], "{how}: at once");
    }
    until("the guard is gone", || !is_alive(guard));
    assert_eq!(leftovers.alive(), [""; 0], "{how}");
    assert_eq!(processes_with(&foreground), [0_u32; 0], "{how}");
    let graph = graph.display().to_string();
    until("the nested server is gone", || {
        [&nested, &graph].iter().all(|mark| processes_with(mark).is_empty())
    });
    until("the private directory is gone", || !private.exists());
}

/// Each tells its name when it is asked to end.
fn check_order(end: impl Fn(&mut Client)) {
    let scratch = Scratch::new("order");
    let mut client = Client::start();
    let (ready, order) = (scratch.path().join("ready"), scratch.path().join("order"));
    let kinds = ["director", "department", "worker", "director", "department"];
    for kind in kinds {
        let session = client.session(json!({"type": kind, "shell": "/bin/bash", "profile": "clean"}));
        let trap = format!("trap 'echo {kind} >> {}; exit' TERM", order.display());
        let script = format!("{trap}; trap '' HUP; echo >> {}; while :; do sleep .02; done", ready.display());
        client.start_command(&session, &format!("bash -c \"{script}\""));
    }
    let lines = |path: &PathBuf| std::fs::read_to_string(path).map_or(0, |text| text.lines().count());
    until("all are there", || lines(&ready) == kinds.len());
    end(&mut client);
    client.until_exit();
    let order = std::fs::read_to_string(&order).unwrap_or_default();
    let order: Vec<&str> = order.lines().collect();
    // One that has no time left is killed and tells nothing.
    let first_director = order.iter().position(|kind| *kind == "director").unwrap_or(order.len());
    assert!(order[first_director..].iter().all(|kind| *kind == "director"), "{order:?}");
}

#[test]
fn departments_end_before_their_directors_however_the_server_ends() {
    check_order(Client::hang_up);
    check_order(|client| client.signal(Signal::TERM));
    check_order(|client| client.signal(Signal::INT));
}

/// A home whose shells hold a lock while they read their start-up files, until there is a file `go`.
fn slow_home(scratch: &Scratch) -> (serde_json::Value, PathBuf, PathBuf) {
    let (lock, go) = (scratch.path().join("lock"), scratch.path().join("go"));
    let (held, awaited) = (lock.display(), go.display());
    let rc = format!(": > {held}; until [ -e {awaited} ]; do sleep .01; done; rm {held}\n");
    std::fs::write(scratch.path().join(".bashrc"), rc).expect("a start-up file");
    let new =
        json!({"name": "slow", "shell": "/bin/bash", "profile": "user", "env": {"HOME": scratch.path()}});
    (new, lock, go)
}

/// Such a shell has this long, however busy the machine is.
const START_GRACE: Duration = Duration::from_secs(1);

#[test]
fn a_shell_in_its_start_up_files_comes_to_its_prompt_before_the_server_ends() {
    let scratch = Scratch::new("starting");
    let (new, lock, go) = slow_home(&scratch);
    let mut client = Client::start();
    let other = client.clean("/bin/bash");
    let ready = scratch.path().join("ready");
    // It lets the start go on when it is asked to end: that comes first.
    let script = format!("trap ': > {}; exit' TERM; trap '' HUP; : > {}", go.display(), ready.display());
    client.start_command(&other, &format!("bash -c \"{script}; while :; do sleep .02; done\""));
    client.send_call("session_create", new);
    until("one starts and one waits", || lock.exists() && ready.exists());
    client.signal(Signal::TERM);
    let took = client.until_exit();
    assert!(go.exists(), "the other was asked to end");
    assert!(!lock.exists() || took >= START_GRACE, "the lock was not let go, after {took:?}");
}

#[test]
fn a_shell_in_its_start_up_files_comes_to_its_prompt_before_it_is_closed() {
    let scratch = Scratch::new("closing");
    let (new, lock, go) = slow_home(&scratch);
    let mut client = Client::start();
    let created = client.send_call("session_create", new);
    until("it starts", || lock.exists());
    let begun = Instant::now();
    let closed = client.ok("session_close", json!({"sessionId": "slow", "wait": 0}));
    assert_eq!(closed["success"], false, "{closed}");
    std::fs::write(&go, "").expect("a file");
    client.outcome(created);
    until("it has ended", || {
        client.ok("session_status", json!({"sessionId": "slow"}))["status"] == "terminated"
    });
    assert!(!lock.exists() || begun.elapsed() >= START_GRACE, "the lock was not let go");
}

#[test]
fn the_end_of_input_leaves_nothing() {
    check("end of input", true, Client::hang_up);
}

#[test]
fn sigterm_leaves_nothing() {
    check("SIGTERM", true, |client| client.signal(Signal::TERM));
}

#[test]
fn sigint_and_then_sigterm_leave_nothing() {
    check("SIGINT, SIGTERM", true, |client| {
        client.signal(Signal::INT);
        std::thread::sleep(SECOND_SIGNAL);
        client.signal(Signal::TERM);
    });
}

#[test]
fn sigkill_leaves_nothing() {
    check("SIGKILL", false, |client| client.signal(Signal::KILL));
}

/// The order in which some clients go: stdin first, SIGTERM at once.
#[test]
fn the_end_of_input_with_sigterm_leaves_nothing() {
    check("end of input, SIGTERM", true, |client| {
        client.hang_up();
        client.signal(Signal::TERM);
    });
}

/// An impatient user's signals in a row do not cut the clean-up short.
#[test]
fn many_signals_leave_nothing() {
    check("many signals", true, |client| {
        for _ in 0..20 {
            client.signal(Signal::INT);
            client.signal(Signal::TERM);
            client.signal(Signal::HUP);
        }
    });
}

/// A server that was only asked what it offers has started nothing.
#[test]
fn a_server_without_sessions_ends_quietly() {
    let state = Scratch::new("quiet");
    let mut client = Client::start_in(state.path());
    assert!(client.request("tools/list", json!({}))["result"]["tools"].is_array());
    assert_eq!(children(client.pid()), [], "no guard without sessions");
    assert!(!state.path().join("shellherd.db").exists());
    client.hang_up();
    assert!(client.until_exit() < LONGEST);
    assert_eq!(client.stderr(), [""; 0]);
}
