//! Nothing outlives its session, whatever it does to get away; nor the server, if that is killed.

use std::io::Read;

use rustix::process::{Pid, kill_process};

use super::*;
use crate::pty::procfs;

/// Runs in the background, each in a way that some method of finding it misses.
const ESCAPES: [&str; 7] = [
    "nohup sleep 1001 >/dev/null 2>&1 &",
    "setsid sleep 1002 &",
    "(setsid sh -c 'sleep 1003 & sleep 1003' &)",
    "env -i setsid sh -c 'sleep 1004 & exit' &",
    "setsid sh -c 'trap \"\" TERM HUP INT; while :; do sleep 1005; done' &",
    "setsid sh -c 'sleep 1006 & until grep -q sleep /proc/$!/comm; do :; done; kill -STOP $! $$' &",
    "setsid sh -c '(ulimit -S -q 1234; exec sleep 1007)' &",
];

fn is_alive(pid: Pid) -> bool {
    procfs::stat(pid).is_some_and(procfs::Stat::is_alive)
}

fn deadline() -> clock::Moment {
    clock::now().moment.after(PATIENCE)
}

#[tokio::test]
async fn a_session_leaves_nothing_behind() {
    let Some(mut s) = Session::start("bash").await else { return };
    let Some(other) = Session::start("dash").await else { return };
    for escape in &ESCAPES[..6] {
        s.output(&format!("{escape}\n:"), 0).await;
    }
    let sleeps = |slot: &Slot| {
        let sleeps = slot.members().into_iter().filter(|pid| procfs::name(*pid).as_deref() == Some("sleep"));
        sleeps.collect::<Vec<Pid>>()
    };
    s.await_sight("all of them", |s| sleeps(&s.slot).len() == 7).await;
    let members = s.slot.members();
    assert!(members.contains(&Pid::from_raw(s.terminal.pid().cast_signed()).unwrap()));
    assert_eq!(s.slot.kill_all(deadline()), 0);
    assert_eq!(members.into_iter().filter(|pid| is_alive(*pid)).count(), 0);
    assert_eq!(s.slot.members(), []);
    assert_eq!(timeout(PATIENCE, s.terminal.exited()).await.unwrap(), Exit::Signal(9));
    assert!(!other.slot.members().is_empty());
    assert_eq!(other.terminal.try_exited(), None);
}

#[tokio::test]
async fn one_process_of_a_slot_is_killed_and_none_of_another() {
    let Some(mut s) = Session::start("bash").await else { return };
    let Some(other) = Session::start("dash").await else { return };
    s.output("setsid sleep 1008 &\n:", 0).await;
    let sleep = |s: &Session| {
        let named = |pid: &Pid| procfs::name(*pid).as_deref() == Some("sleep");
        s.slot.members().into_iter().find(named)
    };
    s.await_sight("the sleep", |s| sleep(s).is_some()).await;
    let pid = sleep(&s).unwrap();
    let brand = Brand::claim().unwrap();
    let raw = pid.as_raw_pid().unsigned_abs();
    assert_eq!(brand.slot_of(raw), Some(s.slot.number()));
    brand.kill_one(other.slot.number(), raw);
    assert!(is_alive(pid), "it is not the other's");
    brand.kill_one(s.slot.number(), raw);
    s.await_sight("its end", |_| !is_alive(pid)).await;
    assert_eq!(s.terminal.try_exited(), None);
}

#[tokio::test]
async fn a_zombie_is_no_member() {
    let Some(mut s) = Session::start("dash").await else { return };
    kill_process(Pid::from_raw(s.terminal.pid().cast_signed()).unwrap(), rustix::process::Signal::KILL)
        .unwrap();
    // Nobody has reaped it yet.
    s.await_sight("the end", |s| s.slot.members().is_empty()).await;
    assert_eq!(s.terminal.exited().await, Exit::Signal(9));
    assert_eq!(s.terminal.exited().await, Exit::Signal(9));
}

/// Variables that make a test of this binary play a part in another test.
const PART: &str = "SHELLHERD_TEST_PART";

/// This test binary, started again for one test only, by a script that a guard can be started by.
fn script(directory: &Path, test: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let script = directory.join(test);
    let binary = std::env::current_exe().unwrap();
    let lines = format!(
        "#!/bin/sh\n{PART}=\"${{*:-{}}}\" exec {} --exact {}::{test} --nocapture\n",
        directory.display(),
        binary.display(),
        module_path!().split_once("::").unwrap().1,
    );
    fs::write(&script, lines).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    script
}

/// Plays the guard, when a guard is wanted.
#[test]
fn part_of_the_guard() {
    let Ok(part) = std::env::var(PART) else { return };
    let arguments: Vec<&str> = part.split(' ').collect();
    assert_eq!(arguments[0], guard::SUBCOMMAND);
    guard::main(arguments[1].parse().unwrap(), arguments[2].parse().unwrap(), Path::new(arguments[3]), None);
}

/// Plays a server: starts a guard and a session with children that try to get away, says who they
/// are, and waits to be killed.
#[tokio::test]
async fn part_of_the_server() {
    let Ok(part) = std::env::var(PART) else { return };
    let brand = Brand::claim().unwrap();
    let guarded = PathBuf::from(&part);
    let guard =
        Guard::start(&brand, &guarded.join("shellherd-test"), None, &script(&guarded, "part_of_the_guard"));
    let guard = guard.unwrap();
    let mut s = Session::start("dash").await.unwrap();
    for escape in ESCAPES {
        s.output(&format!("{escape}\n:"), 0).await;
    }
    let sleeps = || {
        let sleeping = |pid: &Pid| procfs::name(*pid).as_deref() == Some("sleep");
        brand.members(Which::All).into_iter().filter(sleeping).count()
    };
    s.await_sight("all of them", |_| sleeps() == 8).await;
    let members = brand.members(Which::All);
    let pids: Vec<String> = members.iter().map(ToString::to_string).collect();
    fs::write(guarded.join("members~"), pids.join(" ")).unwrap();
    fs::rename(guarded.join("members~"), guarded.join("members")).unwrap();
    let mut rest = Vec::new();
    std::io::stdin().read_to_end(&mut rest).unwrap();
    drop(guard);
}

#[tokio::test]
async fn the_guard_kills_what_a_killed_server_leaves() {
    let directory = fresh_directory();
    let private = directory.join("shellherd-test");
    fs::create_dir(&private).unwrap();
    let slot = Brand::claim().unwrap().slot().unwrap();
    let server = Launch {
        program: script(&directory, "part_of_the_server"),
        dialect: Dialect::Plain,
        profile: Profile::Clean,
        env: std::env::vars_os().collect(),
        directory: directory.clone(),
        size: TerminalSize { rows: 24, cols: 80 },
        nonce: String::new(),
        private_directory: directory.clone(),
        exports: None,
    };
    let server = launch(server, &slot).unwrap();
    let members = directory.join("members");
    let mut log = Vec::new();
    let mut buffer = [0; 1024];
    while !members.exists() {
        let read = timeout(Duration::from_millis(20), server.read(&mut buffer)).await;
        log.extend_from_slice(&buffer[..read.map_or(0, |read| read.unwrap())]);
        assert_eq!(server.try_exited(), None, "{}", String::from_utf8_lossy(&log));
    }
    let members = fs::read_to_string(members).unwrap();
    let members: Vec<Pid> =
        members.split(' ').filter_map(|pid| Pid::from_raw(pid.parse().unwrap())).collect();
    assert!(members.len() >= 9, "{members:?}");
    kill_process(Pid::from_raw(server.pid().cast_signed()).unwrap(), rustix::process::Signal::KILL).unwrap();
    let deadline = deadline();
    while private.exists() || members.iter().any(|pid| is_alive(*pid)) {
        assert!(clock::now().moment < deadline, "still alive: {members:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_dismissed_guard_only_tidies_up() {
    let Some(mut s) = Session::start("dash").await else { return };
    let directory = fresh_directory();
    let private = directory.join("shellherd-test");
    fs::create_dir(&private).unwrap();
    let brand = Brand::claim().unwrap();
    let guard = Guard::start(&brand, &private, None, &script(&directory, "part_of_the_guard")).unwrap();
    guard.dismiss();
    s.await_sight("a tidy place", |_| !private.exists()).await;
    assert_eq!(s.terminal.try_exited(), None);
}

#[tokio::test]
async fn a_guard_that_cannot_start_is_an_error() {
    let brand = Brand::claim().unwrap();
    let error =
        Guard::start(&brand, Path::new("/nonexistent"), None, Path::new("/no/such/program")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}
