//! Limits that the kernel holds behind the watching. `SHELLHERD_TEST_CGROUP` names a directory of cgroup v2
//! that groups can be made in (`tests/cgroup/run` boots a kernel that has one); where there is none, the
//! server has to do without, and says so.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::support::{Client, Scratch, apart, program, until};

/// Takes far more than the tests allow in a fraction of the time between two looks.
const HOARD: &str = "dd if=/dev/zero of=/dev/null bs=300M count=1";
/// The limit that is set against it, and where the kernel's edge behind it lies.
const ALLOWED: u64 = 80 << 20;
const EDGE: u64 = (80 + 10 + 8) << 20;

/// A group for one server, and its state.
struct Place {
    group: PathBuf,
    state: Scratch,
}

impl Place {
    /// None where groups cannot be made.
    fn new() -> Option<Self> {
        let given = PathBuf::from(std::env::var_os("SHELLHERD_TEST_CGROUP")?);
        let group = given.join(format!("it-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&group).expect("a group can be made in SHELLHERD_TEST_CGROUP");
        Some(Self { group, state: Scratch::new("cgroup") })
    }

    /// The program, which enters the group before anything else.
    fn program(&self, arguments: &[&str]) -> Command {
        let mut command = apart(Command::new("/bin/sh"), self.state.path());
        command.args(["-c", "echo $$ >\"$0/cgroup.procs\" && exec \"$@\""]).arg(&self.group);
        command.arg(env!("CARGO_BIN_EXE_shellherd")).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn client(&self) -> Client {
        let mut command = self.program(&["serve", "--state-dir"]);
        command.arg(self.state.path());
        Client::connect(command, None)
    }

    fn doctor(&self) -> String {
        let told = self.program(&["doctor"]).output().expect("the doctor runs");
        String::from_utf8_lossy(&told.stdout).into_owned()
    }

    /// The directory of the server.
    fn own(&self) -> Option<PathBuf> {
        below(&self.group).pop()
    }

    /// The groups of sessions.
    fn sessions(&self) -> Vec<PathBuf> {
        let mut groups = self.own().map(|own| below(&own)).unwrap_or_default();
        groups.retain(|group| !group.ends_with("server"));
        groups
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A failed test may leave somebody in it.
        if !std::thread::panicking() {
            until("the server's group is empty", || std::fs::remove_dir(&self.group).is_ok());
        }
    }
}

fn below(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// The figures of the limit events so far, with the names of the limits.
fn passed(client: &mut Client) -> Vec<(String, u64, u64)> {
    let events = client.ok("events_poll", json!({"types": ["limit"]}));
    let events = events["events"].as_array().cloned().unwrap_or_default();
    let figure = |event: &serde_json::Value, name: &str| event[name].as_u64().unwrap_or(0);
    events
        .iter()
        .map(|event| {
            let limit = event["limit"].as_str().unwrap_or_default().to_owned();
            (limit, figure(event, "measured"), figure(event, "allowed"))
        })
        .collect()
}

#[test]
fn without_a_group_of_its_own_the_server_does_without_and_says_so() {
    let home = Scratch::new("no-cgroup");
    let told = program(home.path()).arg("doctor").output().expect("the doctor runs");
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains("limits are held by looking: "), "{told}");
    assert!(told.contains("systemd-run --user --scope -p Delegate=yes"), "{told}");
    let told = program(home.path()).arg("doctor").env("SHELLHERD_CGROUP", "false").output();
    let told = String::from_utf8_lossy(&told.expect("the doctor runs").stdout).into_owned();
    assert!(told.contains("cgroup is off"), "{told}");
    let mut client = Client::start();
    let session = client.session(json!({
        "shell": "/bin/bash", "profile": "clean", "resourceLimits": {"maxMemory": "80m", "maxProcesses": 9},
    }));
    assert_eq!(client.run(&session, "echo alive").output(), "alive\n");
}

#[test]
fn a_group_to_itself_is_used_and_left_as_it_was() {
    let Some(place) = Place::new() else { return };
    let told = place.doctor();
    assert!(told.contains("limits are held by the kernel, too"), "{told}");
    assert!(below(&place.group).is_empty(), "the doctor changes nothing");
    let mut client = place.client();
    let free = client.clean("/bin/bash");
    assert_eq!(client.run(&free, "echo free").output(), "free\n");
    let own = place.own().expect("the server has a directory");
    assert!(place.sessions().is_empty(), "a session without limits needs no group");
    let limits = json!({"maxMemory": ALLOWED, "maxProcesses": 9});
    let held = client.session(json!({"shell": "/bin/bash", "resourceLimits": limits}));
    let [group] = &place.sessions()[..] else { panic!("one group: {:?}", place.sessions()) };
    let says = |file: &str| std::fs::read_to_string(group.join(file)).unwrap_or_default();
    assert_eq!(says("memory.max").trim(), EDGE.to_string());
    assert_eq!(says("pids.max").trim(), (9 * 16 + 256).to_string());
    let shell = client.status(&held)["pid"].to_string();
    assert!(says("cgroup.procs").lines().any(|pid| pid == shell), "{shell} in {}", says("cgroup.procs"));
    let inside = client.run(&held, "cat /proc/self/cgroup");
    assert!(inside.output().trim_end().ends_with(group.file_name().unwrap().to_str().unwrap()), "{inside:?}");
    client.ok("session_close", json!({"sessionId": held}));
    until("a closed session leaves no group", || place.sessions().is_empty());
    client.hang_up();
    client.until_exit();
    until("a server that ends leaves nothing", || !own.exists());
    let passed_on = std::fs::read_to_string(place.group.join("cgroup.subtree_control"));
    assert_eq!(passed_on.expect("it can be read").trim(), "");
}

#[test]
fn memory_that_is_taken_between_two_looks_is_held_by_the_kernel() {
    let Some(place) = Place::new() else { return };
    let mut client = place.client();
    let neighbour = client.clean("/bin/bash");
    let session = client.clean("/bin/bash");
    let swallowed = format!("{HOARD} | cat; true");
    let edge = ("maxMemory".to_owned(), EDGE, ALLOWED);
    for command in [HOARD, &swallowed] {
        let before = passed(&mut client).len();
        // On a slow machine a look may come in between; then it was that which ended the command.
        until("the kernel ends it, at its edge", || {
            let arguments = json!({
                "sessionId": session, "command": command, "resourceLimits": {"maxMemory": ALLOWED}, "wait": "50s",
            });
            let outcome = client.call("command_execute", arguments);
            assert!(outcome.is_error, "{outcome:?}");
            assert_eq!(outcome.structured["reason"], "memory_limit", "{outcome:?}");
            assert_eq!(client.run(&session, "echo alive").output(), "alive\n");
            passed(&mut client)[before..].contains(&edge)
        });
    }
    // It holds no longer than its command.
    assert_eq!(client.run(&session, HOARD).exit(), Some(0));
    assert_eq!(client.run(&neighbour, "echo alive").output(), "alive\n");
    let limits = json!({"maxMemory": ALLOWED});
    let bounded = client.session(json!({"shell": "/bin/bash", "profile": "clean", "resourceLimits": limits}));
    let outcome = client.run(&bounded, HOARD);
    assert_eq!(outcome.structured["reason"], "memory_limit", "{outcome:?}");
    let outcome = client.run(&bounded, &format!("exec {HOARD}"));
    assert_eq!(outcome.structured["reason"], "memory_limit", "{outcome:?}");
    let shown = client.until_status(&bounded, "error");
    assert!(shown["endReason"].as_str().is_some_and(|why| why.starts_with("memory_limit: ")), "{shown}");
    assert_eq!(client.run(&neighbour, "echo alive").output(), "alive\n");
}

#[test]
fn a_shell_that_is_killed_at_its_prompt_ends_its_session_by_the_limit() {
    let Some(place) = Place::new() else { return };
    let mut client = place.client();
    let limits = json!({"maxMemory": ALLOWED});
    let session = client.session(json!({"shell": "/bin/bash", "profile": "clean", "resourceLimits": limits}));
    client.ok("session_input", json!({"sessionId": session, "text": format!("exec {HOARD}"), "enter": true}));
    let shown = client.until_status(&session, "error");
    assert!(shown.to_string().contains("memory_limit"), "{shown}");
    let other = client.clean("/bin/bash");
    assert_eq!(client.run(&other, "echo alive").output(), "alive\n");
}

#[test]
fn a_fork_bomb_and_threads_without_end_stay_within_their_session() {
    let Some(place) = Place::new() else { return };
    let mut client = place.client();
    let neighbour = client.clean("/bin/bash");
    let session = client.clean("/bin/bash");
    // What cannot fork any more ends, but what it started does not: a bomb that collapses by itself passes nothing.
    let bomb = "sh -c 'bomb() { sleep 300 & bomb & bomb; }; bomb'";
    let bounded = |client: &mut Client, command: &str| {
        let limits = json!({"maxProcesses": 4});
        client.call(
            "command_execute",
            json!({"sessionId": session, "command": command, "resourceLimits": limits, "wait": "50s"}),
        )
    };
    let outcome = bounded(&mut client, bomb);
    assert_eq!(outcome.structured["reason"], "process_limit", "{outcome:?}");
    assert_eq!(client.run(&neighbour, "echo alive").output(), "alive\n");
    if !Path::new("/usr/bin/python3").exists() {
        return;
    }
    // One process: nobody who counts processes would mind.
    let threads = "python3 -Sc 'import _thread, time\nfor _ in range(1000): _thread.start_new_thread(time.sleep, (300,))'";
    let outcome = bounded(&mut client, threads);
    assert_eq!(outcome.structured["reason"], "process_limit", "{outcome:?}");
    let refused = ("maxProcesses".to_owned(), 4 * 16 + 256, 4);
    assert!(passed(&mut client).contains(&refused), "{:?}", passed(&mut client));
    assert_eq!(client.run(&neighbour, "echo alive").output(), "alive\n");
}

#[test]
fn cpu_time_of_children_that_nobody_waits_for_counts() {
    let Some(place) = Place::new() else { return };
    let mut client = place.client();
    let session = client.clean("/bin/bash");
    let spend = "SPEND='i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done' \
                 sh -c 'while :; do (sh -c \"$SPEND\" &); sleep 0.01; done'";
    let outcome = client.call(
        "command_execute",
        json!({
            "sessionId": session, "command": spend, "resourceLimits": {"maxCpuTime": 1500}, "wait": "50s",
        }),
    );
    assert_eq!(outcome.structured["reason"], "cpu_limit", "{outcome:?}");
    let (limit, measured, allowed) = passed(&mut client).remove(0);
    let spent = std::fs::read_to_string(place.sessions()[0].join("cpu.stat")).expect("it can be read");
    let spent_us: u64 = spent.split_whitespace().nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    assert_eq!((limit.as_str(), allowed), ("maxCpuTime", 1500));
    assert!(measured > 1500 && measured <= spent_us / 1000, "{measured}: {spent}");
}

#[test]
fn a_killed_server_leaves_no_groups() {
    let Some(place) = Place::new() else { return };
    let mut client = place.client();
    let limits = json!({"maxProcesses": 50});
    let session = client.session(json!({"shell": "/bin/bash", "profile": "clean", "resourceLimits": limits}));
    client.start_command(&session, "setsid sleep 300");
    assert_eq!(place.sessions().len(), 1);
    client.signal(rustix::process::Signal::KILL);
    until("the guard leaves nothing", || place.own().is_none());
}

/// Somebody else in a server's group.
struct Other(Child);

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_group_that_others_live_in_is_left_alone() {
    let Some(place) = Place::new() else { return };
    let mut sleep = Command::new("sleep");
    let other = Other(sleep.arg("300").spawn().expect("it starts"));
    let pid = other.0.id().to_string();
    std::fs::write(place.group.join("cgroup.procs"), &pid).expect("it can be moved");
    let told = place.doctor();
    assert!(told.contains("other processes live in"), "{told}");
    let mut client = place.client();
    let limits = json!({"maxMemory": ALLOWED, "maxProcesses": 9});
    let session = client.session(json!({"shell": "/bin/bash", "profile": "clean", "resourceLimits": limits}));
    assert_eq!(client.run(&session, "echo alive").output(), "alive\n");
    assert!(below(&place.group).is_empty(), "{:?}", below(&place.group));
    let members = std::fs::read_to_string(place.group.join("cgroup.procs")).expect("it can be read");
    assert!(members.lines().any(|member| member == pid), "{members}");
    client.hang_up();
    client.until_exit();
    drop(other);
}
