//! Which programs wait for input, who gets a signal, and what the terminal says of itself.

use super::*;

/// Starts `text` and waits until it is seen waiting for input; then ends it by `keys`.
async fn waits(s: &mut Session, text: &str, keys: &str) -> Ending {
    s.start_text(text).await;
    s.await_input().await;
    s.type_bytes(keys.as_bytes()).await;
    s.ending().await
}

/// Whether one of the programs of the foreground is asleep, as far as the kernel is concerned.
fn sleeps(s: &Session, name: &str) -> bool {
    let foreground = s.terminal.foreground().filter(|foreground| foreground.name == name);
    let pid = foreground.and_then(|foreground| rustix::process::Pid::from_raw(foreground.pid.cast_signed()));
    pid.and_then(procfs::stat).is_some_and(|stat| stat.state == b'S')
}

#[tokio::test]
async fn programs_that_wait_for_the_terminal_are_told_from_those_that_do_not() {
    let Some(mut s) = Session::start("bash").await else { return };
    let s = &mut s;
    assert_eq!(waits(s, "cat", "\x04").await.status, Status::Ended(0));
    assert_eq!(waits(s, "cat | cat", "\x04").await.status, Status::Ended(0));
    assert_eq!(waits(s, "read x", "a\n").await.status, Status::Ended(0));
    assert_eq!(waits(s, "read -e x", "a\n").await.status, Status::Ended(0));
    assert_eq!(waits(s, "x=$(cat); echo $x", "hi\n\x04").await.status, Status::Ended(0));
    assert_eq!(waits(s, "cat </dev/tty", "\x04").await.status, Status::Ended(0));
    for (program, text, keys, code) in [
        ("python3", "python3 -q", "raise SystemExit(9)\n", 9),
        ("python3", "python3 -c 'import select,sys; select.select([0],[],[])'", "\n", 0),
        ("python3", "python3 -c 'import threading; threading.Thread(target=input).start()'", "\n", 0),
        ("python3", "python3 -c 'import getpass; getpass.getpass()'", "secret\n", 0),
        ("node", "node -i", ".exit\n", 0),
        ("less", "less /etc/passwd", "q", 0),
        ("vim", "vim -u NONE -i NONE", ":q\r", 0),
        ("fish", "fish --no-config", "exit 3\r", 3),
    ] {
        if find(program).is_some() {
            assert_eq!(waits(s, text, keys).await.status, Status::Ended(code), "{text}");
        }
    }
    for (name, text) in [
        ("sleep", "sleep 1000"),
        ("tail", "tail -f /etc/passwd"),
        ("cat", "mkfifo ~/fifo; cat ~/fifo"),
        ("sleep", "sleep 1000 | cat"),
    ] {
        s.start_text(text).await;
        s.await_job(name).await;
        s.await_sight(text, |s| sleeps(s, name)).await;
        for _ in 0..10 {
            assert!(!s.terminal.awaiting_input(), "{text}");
        }
        s.type_bytes(b"\x03").await;
        assert_eq!(s.ending().await.status.code(), Some(130), "{text}");
    }
}

#[tokio::test]
async fn a_password_is_read_in_the_dark() {
    let Some(mut s) = Session::start("bash").await else { return };
    assert!(!s.terminal.echo_is_off(), "a line editor is no password");
    s.start_text("stty -echo; cat; stty echo").await;
    s.await_job("cat").await;
    s.await_sight("cat", |s| s.terminal.awaiting_input() && s.terminal.echo_is_off()).await;
    s.type_bytes(b"secret\x04\x04").await;
    assert_eq!(s.ending().await, Ending { status: Status::Ended(0), output: "secret".into() });
    s.start_text("cat").await;
    s.await_input().await;
    assert!(!s.terminal.echo_is_off());
    s.type_bytes(b"\x04").await;
    s.ending().await;
}

#[tokio::test]
async fn what_the_shell_runs_in_its_own_group_is_signalled_without_the_shell() {
    for shell in ["bash", "zsh", "dash"] {
        let Some(mut s) = Session::start(shell).await else { continue };
        s.start_text("x=$(sleep 1000); echo $?").await;
        let is_sleep = |pid: &rustix::process::Pid| procfs::name(*pid).as_deref() == Some("sleep");
        s.await_sight("sleep", |s| s.slot.members().iter().any(is_sleep)).await;
        let target = s.terminal.signal_foreground(Signal::TERM).unwrap();
        assert!(matches!(target, Target::Processes { .. }), "{target:?}");
        let ending = s.ending().await;
        assert_eq!(ending.status, Status::Ended(0), "{shell}: {ending:?}");
        assert!(ending.output.ends_with("143\r\n"), "{shell}: {ending:?}");
        s.check("true", 0, "").await;
    }
}

#[tokio::test]
async fn a_resized_terminal_tells_its_programs() {
    let Some(mut s) = Session::start("bash").await else { return };
    s.check("stty size", 0, "24 80\r\n").await;
    s.terminal.resize(TerminalSize { rows: 50, cols: 132 }).unwrap();
    s.check("stty size; tty >/dev/null && [ -t 2 ]", 0, "50 132\r\n").await;
    s.check("ls /proc/self/fd | tr '\\n' ' '", 0, "0 1 2 3 ").await;
    // The server ignores SIGPIPE, as every Rust program does; what it starts must not.
    s.check("grep -cE '^Sig(Blk|Ign).*0000000$' /proc/self/status", 0, "2\r\n").await;
}

#[tokio::test]
async fn a_missing_program_or_directory_is_an_error_at_once() {
    let slot = Brand::claim().unwrap().slot().unwrap();
    let directory = fresh_directory();
    let broken = |program: &str, start: &Path| {
        let attempt = Launch {
            program: program.into(),
            dialect: Dialect::Plain,
            profile: Profile::User,
            env: Vec::new(),
            directory: start.to_owned(),
            size: TerminalSize { rows: 24, cols: 80 },
            nonce: String::new(),
            private_directory: directory.clone(),
            exports: None,
        };
        launch(attempt, &slot).unwrap_err()
    };
    assert_eq!(broken("/no/such/shell", Path::new("/")).code, ErrorCode::SpawnFailed);
    assert_eq!(broken("/etc/passwd", Path::new("/")).code, ErrorCode::SpawnFailed);
    let error = broken("/bin/sh", &directory.join("home/a/b"));
    assert_eq!(error.code, ErrorCode::InvalidArgument);
    assert!(error.hint.unwrap().contains(&*directory.join("home").to_string_lossy()));
}

#[test]
fn the_private_directory_is_private_and_its_path_short() {
    use std::os::unix::fs::PermissionsExt;
    let directory = private_root().unwrap();
    assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
    let name = directory.file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!((name.len(), name.starts_with(guard::PREFIX)), (guard::PREFIX.len() + 6, true));
    fs::remove_dir(directory).unwrap();
}
