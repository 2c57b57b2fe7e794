//! Real faults on the real binary: what is done to a session, what is seen of it, whether it comes back,
//! and what it has kept. The tests hold every row to its word; `cargo bench --bench faults` prints them.

use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::{Value, json};

use crate::support::{Client, Flag, Scratch, until};

/// What came of a fault.
#[derive(Debug)]
pub struct Row {
    pub fault: &'static str,
    /// The first thing that shows it: a status, or how the command ended.
    pub seen: String,
    /// From the fault to that.
    pub took: Duration,
    pub recovered: bool,
    pub kept: String,
}

/// A fault, and whether a session can come back from it without somebody changing something.
pub struct Fault {
    pub name: &'static str,
    pub recoverable: bool,
    run: fn(&mut Stage) -> Seen,
}

struct Seen {
    what: String,
    took: Duration,
}

/// A session with something to lose.
struct Stage {
    client: Client,
    scratch: Scratch,
    session: String,
    pid: u32,
}

const fn fault(name: &'static str, run: fn(&mut Stage) -> Seen) -> Fault {
    Fault { name, recoverable: true, run }
}

/// Every fault.
pub const FAULTS: &[Fault] = &[
    fault("kill -9 of the shell at its prompt", Stage::kill_shell),
    fault("kill -9 of the shell under a command", |stage| {
        stage.start("sleep 300");
        stage.foreground();
        stage.kill_shell()
    }),
    fault("SIGHUP to the shell", |stage| {
        let pid = stage.pid;
        stage.until_recovering(|_| signal(pid, Signal::HUP))
    }),
    fault("kill -9 of the command's process", |stage| {
        let command = stage.start("sleep 300");
        let child = stage.foreground();
        stage.until_ended(&command, |_| signal(child, Signal::KILL))
    }),
    fault("SIGSTOP of the shell at its prompt", |stage| {
        let pid = stage.pid;
        stage.until_recovering(|_| signal(pid, Signal::STOP))
    }),
    fault("SIGSTOP of the shell under a command", |stage| {
        stage.start("sleep 300");
        stage.foreground();
        let pid = stage.pid;
        let seen = stage.until_recovering(|_| signal(pid, Signal::STOP));
        stage.client.until_status(&stage.session, "active");
        stage.client.ok("command_signal", json!({"sessionId": stage.session, "signal": "KILL"}));
        seen
    }),
    fault("SIGSTOP of the foreground job", |stage| {
        let command = stage.start("sleep 300");
        let child = stage.foreground();
        stage.until_ended(&command, |_| signal(child, Signal::STOP))
    }),
    fault("hang without CPU", |stage| stage.hang("sleep 300")),
    fault("hang that ignores SIGINT", |stage| stage.hang("sh -c 'trap \"\" INT TERM; sleep 300; sleep 300'")),
    fault("hang with CPU, in a process", |stage| stage.hang("sh -c 'while :; do :; done'")),
    fault("hang with CPU, in the shell", |stage| stage.hang("while :; do :; done")),
    fault("hang in the shell that ignores SIGINT", |stage| stage.hang("trap '' INT; while :; do :; done")),
    fault("memory limit passed", |stage| {
        let hog = "x=$(head -c 60000000 /dev/zero | tr '\\0' x); sleep 300; echo ${#x}";
        stage.limited(&format!("bash -c '{}'", hog.replace('\'', "'\\''")), json!({"maxMemory": "40m"}))
    }),
    fault("CPU limit passed", |stage| {
        stage.limited("bash -c 'while :; do :; done'", json!({"maxCpuTime": 300}))
    }),
    fault("CPU limit of the session passed", |stage| stage.spent("bash -c 'while :; do :; done'")),
    fault("CPU limit of the session passed by short-lived processes", |stage| {
        stage.spent("while :; do /bin/true; done")
    }),
    fault("fork bomb with maxProcesses 60", |stage| {
        let bomb = "bomb() { [ $1 -gt 8 ] || { bomb $(($1+1)) & bomb $(($1+1)) & }; sleep 300; }; bomb 0";
        stage.limited(bomb, json!({"maxProcesses": 60}))
    }),
    fault("no space for the store and the output log, then space again", Stage::disk_full),
    fault("PTY EOF: exec false", |stage| stage.until_recovering(|stage| drop(stage.start("exec false")))),
    fault("PTY EOF: exit 3", |stage| stage.until_recovering(|stage| drop(stage.start("exit 3")))),
    fault("PTY EOF: Ctrl-D at the prompt", |stage| {
        stage.until_recovering(|stage| {
            stage.client.ok("session_input", json!({"sessionId": stage.session, "keys": ["ctrl-d"]}));
        })
    }),
    fault("missing directory on restart", |stage| {
        let inner = stage.scratch.path().join("gone/deep");
        std::fs::create_dir_all(&inner).expect("a directory can be made");
        stage.run(&format!("cd '{}'", inner.display()));
        std::fs::remove_dir_all(stage.scratch.path().join("gone")).expect("it can be removed");
        stage.kill_shell()
    }),
    Fault {
        name: "missing shell binary",
        recoverable: false,
        run: |stage| {
            std::fs::remove_file(stage.shell()).expect("it can be removed");
            stage.kill_shell()
        },
    },
    fault("missing shell binary, put back, error_recover", |stage| {
        let aside = stage.scratch.path().join("aside");
        std::fs::rename(stage.shell(), &aside).expect("it can be moved");
        let seen = stage.kill_shell();
        stage.client.until_status(&stage.session, "error");
        std::fs::rename(&aside, stage.shell()).expect("it can be moved");
        let recovered = stage.client.ok("error_recover", json!({"sessionId": stage.session}));
        assert_eq!(recovered["recovered"], true, "{recovered}");
        seen
    }),
    fault("dependency down, then up (task with retries)", dependency),
    fault("three faults in a row", |stage| {
        for _ in 0..2 {
            stage.kill_shell();
            stage.pid = stage.back();
        }
        stage.kill_shell()
    }),
];

/// Injects a fault into a session of its own, in a server of its own.
pub fn inject(fault: &Fault) -> Row {
    let mut stage = Stage::new();
    let seen = (fault.run)(&mut stage);
    let shown = stage.settled();
    let recovered = shown["status"] == "idle";
    let kept = if recovered { stage.kept() } else { shown["endReason"].as_str().unwrap_or("").to_owned() };
    Row { fault: fault.name, seen: seen.what, took: seen.took, recovered, kept }
}

fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process has an id");
    kill_process(pid, signal).expect("it can be signalled");
}

/// A port that nobody listens at yet; a task asks it until somebody does.
fn dependency(stage: &mut Stage) -> Seen {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
    let task = json!({
        "id": "ask", "command": format!("exec 3<>/dev/tcp/127.0.0.1/{port}"), "sessionId": stage.session,
        "retries": {"max": 100, "delay": 100, "backoff": 1},
    });
    let begin = Instant::now();
    let run = stage.client.ok("task_distribute", json!({"tasks": [task]}))["runId"].clone();
    let mut attempts = 0;
    let mut took = Duration::ZERO;
    until("it was tried in vain", || {
        let shown = stage.client.ok("task_status", json!({"runId": run}))["tasks"][0].clone();
        if attempts == 0 && shown["exitCode"].is_number() {
            took = begin.elapsed();
        }
        attempts = shown["attempt"].as_u64().unwrap_or(0);
        attempts > 2
    });
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
    let over = stage.client.ok("task_status", json!({"runId": run, "wait": "50s"}));
    assert_eq!(over["summary"]["completed"], 1, "{over}");
    drop(listener);
    Seen { what: "task queued, retry_backoff".to_owned(), took }
}

impl Stage {
    fn new() -> Self {
        let scratch = Scratch::new("faults");
        std::fs::create_dir(scratch.path().join("work")).expect("a directory can be made");
        std::fs::copy("/bin/bash", scratch.path().join("bash")).expect("bash can be copied");
        let mut client = Client::start();
        let session = client.session(json!({
            "shell": scratch.path().join("bash"), "profile": "clean", "workingDirectory": scratch.path(),
            "rows": 33, "cols": 77, "metadata": {"purpose": "faults"}, "env": {"GIVEN": "at creation"},
            "recovery": {"retryDelay": 200},
        }));
        let mut stage = Self { client, scratch, session, pid: 0 };
        stage.run("cd work; export KEPT=\"it's \\\"here\\\"\"; echo before");
        // What a command exported is written down after its end was told, and before the next one starts.
        stage.run("true");
        stage.pid = stage.back();
        stage
    }

    fn shell(&self) -> std::path::PathBuf {
        self.scratch.path().join("bash")
    }

    fn run(&mut self, command: &str) -> String {
        let outcome = self.client.run(&self.session, command);
        assert_eq!(outcome.exit(), Some(0), "{command}: {outcome:?}");
        outcome.output().to_owned()
    }

    /// A command that runs, and whose processes are there.
    fn start(&mut self, command: &str) -> String {
        self.client.start_command(&self.session, command)
    }

    fn foreground(&mut self) -> u32 {
        let shown = self
            .client
            .until_shown(&self.session, "the job runs", |shown| shown["foreground"]["name"] == "sleep");
        u32::try_from(shown["foreground"]["pid"].as_u64().expect("a pid")).expect("a pid")
    }

    /// Waits until the session is at its prompt; its shell.
    fn back(&mut self) -> u32 {
        let shown = self.client.until_status(&self.session, "idle");
        u32::try_from(shown["pid"].as_u64().expect("a shell")).expect("a pid")
    }

    /// Waits until nothing more happens by itself.
    fn settled(&mut self) -> Value {
        self.client.until_shown(&self.session, "it settles", |shown| {
            ["idle", "error", "completed", "terminated"].iter().any(|status| shown["status"] == *status)
        })
    }

    fn kill_shell(&mut self) -> Seen {
        let pid = self.pid;
        self.until_recovering(|_| signal(pid, Signal::KILL))
    }

    /// Does what makes the session fail, and waits for the first status that shows it. The event is there
    /// even when the status has passed before anybody could look.
    fn until_recovering(&mut self, act: impl FnOnce(&mut Self)) -> Seen {
        let before = self.statuses();
        let begin = Instant::now();
        act(self);
        loop {
            let statuses = self.statuses();
            let new = statuses[before.len()..].iter().find(|(text, _)| text.ends_with("→ recovering"));
            if let Some((_, at)) = new {
                let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time");
                let ago = now.saturating_sub(*at);
                return Seen { what: "recovering".to_owned(), took: begin.elapsed().saturating_sub(ago) };
            }
            assert!(begin.elapsed() < crate::support::PATIENCE, "not seen: {statuses:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The changes of status so far, each with its time since the epoch.
    fn statuses(&mut self) -> Vec<(String, Duration)> {
        let log = self.client.ok("session_logs", json!({"sessionId": self.session, "kinds": ["status"]}));
        let entries = log["entries"].as_array().cloned().unwrap_or_default();
        let parsed = entries.iter().map(|entry| {
            let at = humantime::parse_rfc3339(entry["at"].as_str().expect("a time")).expect("RFC 3339");
            let at = at.duration_since(std::time::UNIX_EPOCH).expect("after the epoch");
            (entry["text"].as_str().expect("a text").to_owned(), at)
        });
        parsed.collect()
    }

    fn until_ended(&mut self, command: &str, act: impl FnOnce(&mut Self)) -> Seen {
        let begin = Instant::now();
        act(self);
        let ended = self.client.ended(command);
        let took = begin.elapsed();
        let reason =
            ended.structured["reason"].as_str().map_or_else(String::new, |reason| format!(", {reason}"));
        let exit = ended.exit().map_or_else(String::new, |code| format!("exit code {code}"));
        Seen { what: format!("idle: command ended, {exit}{reason}"), took }
    }

    /// A command that does not end, with a timeout; the time is that behind the timeout.
    fn hang(&mut self, command: &str) -> Seen {
        let timeout = Duration::from_millis(500);
        let flag = Flag::in_(&self.scratch);
        let text = format!("touch '{}'; {command}", flag.path().display());
        let arguments =
            json!({"sessionId": self.session, "command": text, "background": true, "timeout": 500});
        let path = flag.path().to_owned();
        let mut seen = self.until_recovering(|stage| {
            stage.client.call("command_execute", arguments);
            until("it runs", || path.exists());
        });
        seen.took = seen.took.saturating_sub(timeout);
        seen
    }

    /// To the server every file is as large as it may be: writing fails as on a full disk.
    fn disk_full(&mut self) -> Seen {
        let server = i32::try_from(self.client.pid()).ok().and_then(Pid::from_raw);
        let of_files =
            |current| prlimit(server, Resource::Fsize, current).expect("the server can be limited");
        let flag = Flag::in_(&self.scratch);
        let command = self.start(&format!("{}; seq 2000; echo meanwhile", flag.awaited()));
        let before = of_files(Rlimit { current: Some(0), maximum: None });
        let begin = Instant::now();
        flag.raise();
        let mut took = Duration::ZERO;
        until("it is seen", || {
            took = begin.elapsed();
            self.client.ok("health_check", json!({}))["components"]["store"] == "critical"
        });
        until("the command is over", || {
            let shown = self.client.ok("session_status", json!({"sessionId": self.session}));
            shown["status"] == "idle"
        });
        let refused =
            self.client.call("command_execute", json!({"sessionId": self.session, "command": "echo no"}));
        assert_eq!(refused.code(), "storage_failed", "{refused:?}");
        of_files(before);
        let ended = self.client.ended(&command);
        assert_eq!(ended.exit(), Some(0), "{ended:?}");
        assert!(ended.output().contains("meanwhile"), "{ended:?}");
        Seen { what: "health critical: the store cannot be written".to_owned(), took }
    }

    fn limited(&mut self, command: &str, limits: Value) -> Seen {
        let begin = Instant::now();
        let arguments =
            json!({"sessionId": self.session, "command": command, "resourceLimits": limits, "wait": "50s"});
        let outcome = self.client.call("command_execute", arguments);
        let took = begin.elapsed();
        let reason = outcome.structured["reason"].as_str().unwrap_or_else(|| panic!("{outcome:?}"));
        Seen { what: format!("idle: command ended, {reason}"), took }
    }

    /// A command that uses up the processor time of its session, which gets a fresh shell for that; the time is
    /// that behind the command's end.
    fn spent(&mut self, command: &str) -> Seen {
        let allowed = json!({"sessionId": self.session, "constraints": ["max-cpu-time:2s"]});
        self.client.ok("session_update", allowed);
        let mut ran = Duration::ZERO;
        let seen = self.until_recovering(|stage| {
            let arguments = json!({"sessionId": stage.session, "command": command, "wait": "50s"});
            let ended = stage.client.call("command_execute", arguments);
            assert_eq!(ended.structured["reason"], "cpu_limit", "{ended:?}");
            ran = Duration::from_millis(ended.structured["durationMs"].as_u64().expect("a duration"));
        });
        Seen { what: format!("cpu_limit, then {}", seen.what), took: seen.took.saturating_sub(ran) }
    }

    /// What is as it was before the fault; what is not says so itself.
    fn kept(&mut self) -> String {
        let work = self.scratch.path().join("work");
        let mut kept = Vec::new();
        let here = self.run("pwd").trim_end().to_owned();
        let is_gone = here != work.display().to_string();
        kept.push(if is_gone { fallback(Path::new(&here), self.scratch.path()) } else { "cwd".to_owned() });
        for (what, command, expected) in [
            ("exported variables", "echo $KEPT; sh -c 'echo $KEPT'", "it's \"here\"\nit's \"here\"\n"),
            ("given variables", "sh -c 'echo $GIVEN'", "at creation\n"),
            ("size", "stty size", "33 77\n"),
        ] {
            let found = self.run(command);
            assert_eq!(found, expected, "{what}");
            kept.push(what.to_owned());
        }
        let shown = self.client.ok("session_status", json!({"sessionId": self.session}));
        assert_eq!(shown["metadata"]["purpose"], "faults", "{shown}");
        let log = self.client.ok("session_output", json!({"sessionId": self.session, "grep": "before"}));
        assert!(log["output"].as_str().is_some_and(|text| text.contains("before")), "{log}");
        kept.push("metadata, output log".to_owned());
        kept.join(", ")
    }
}

/// In the row instead of the directory: where the shell is, without the random part.
fn fallback(here: &Path, scratch: &Path) -> String {
    assert_eq!(here, scratch, "the directory is the one that the session was created in");
    "cwd gone: the created one".to_owned()
}
