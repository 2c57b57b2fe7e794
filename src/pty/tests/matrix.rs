//! What commands may do to a shell, and the end that must still be known exactly.

use super::*;

/// Everything that bash, zsh and dash have in common.
async fn bourne(shell: &str, profile: Profile) {
    let Some(mut s) = Session::with(shell, profile, &[], &[]).await else { return };
    results(&mut s).await;
    texts(&mut s).await;
    imitations(&mut s).await;
    state(&mut s).await;
    options(&mut s).await;
    interruptions(&mut s).await;
    nesting(&mut s).await;
}

async fn results(s: &mut Session) {
    s.check("true", 0, "").await;
    s.check("false", 1, "").await;
    s.check("echo $?", 0, "1\r\n").await;
    s.check("(exit 42)", 42, "").await;
    s.output("sh -c 'kill -9 $$'", 137).await;
    s.check("printf abc", 0, "abc").await;
    s.check("return 7", 7, "").await;
    s.check("echo $?", 0, "7\r\n").await;
    s.check("", 0, "").await;
}

async fn texts(s: &mut Session) {
    for broken in ["echo a; )", "echo \"abc", "if true; then"] {
        let ending = s.run(broken).await;
        assert!(ending.status.code().is_some_and(|code| code != 0), "{broken}: {ending:?}");
        assert!(!ending.output.is_empty(), "{broken}: {ending:?}");
    }
    s.check("true", 0, "").await;
    s.check(&format!("echo {} | wc -c | tr -d ' '", "x".repeat(100_000)), 0, "100001\r\n").await;
    s.check(&"echo -n\n".repeat(12_500).replace("echo -n", ":"), 0, "").await;
    s.check("for i in 1 2 3\ndo\n  echo n$i\ndone", 0, "n1\r\nn2\r\nn3\r\n").await;
    s.check("cat <<'EOF'\nline $x `y`\nEOF", 0, "line $x `y`\r\n").await;
    s.output("cat <<EOF\nno terminator", 0).await;
    s.check("echo héllo→; printf '\\303'", 0, "héllo→\r\n\u{fffd}").await;
    s.check("# only a comment", 0, "").await;
}

async fn imitations(s: &mut Session) {
    let fake = "printf '\\033]133;D;0\\007\\033]133;D;0;k=0000;n=1\\007'; false";
    s.output(fake, 1).await;
    let replay = s.directory.join("home/replay");
    fs::write(&replay, &s.log).unwrap();
    s.output("cat ~/replay; false", 1).await;
    let before = s.marks().len();
    let dump = if s.dialect == Dialect::Posix { "set" } else { "set; declare -f; typeset -f" };
    s.output(&format!("{dump}; env; echo \"$PS1\"; false"), 1).await;
    // Begin, end and prompt of this command, and nothing from the dump.
    assert_eq!(s.marks().len(), before + 3, "{}", s.shown());
    s.output("head -c 60000 /bin/ls; printf '\\033P an open string'; false", 1).await;
}

async fn state(s: &mut Session) {
    s.check("cd /usr/lib", 0, "").await;
    assert_eq!(s.terminal.working_directory(), Some("/usr/lib".into()));
    s.check("export SHEEP=baa; alias wool='echo clipped'; bleat() { echo loud; return 3; }", 0, "").await;
    s.check("echo $SHEEP; sh -c 'echo $SHEEP'", 0, "baa\r\nbaa\r\n").await;
    s.check("wool; bleat", 3, "clipped\r\nloud\r\n").await;
    s.output("sleep 0.2 &", 0).await;
    assert!(s.output("echo now", 0).await.ends_with("now\r\n"));
    s.output("wait; cd /", 0).await;
    s.start_text("read x; echo got=$x").await;
    s.await_input().await;
    s.type_bytes(b"typed\n").await;
    let ending = s.ending().await;
    assert_eq!((ending.status, ending.output.contains("got=typed")), (Status::Ended(0), true), "{ending:?}");
}

async fn options(s: &mut Session) {
    assert!(s.output("set -x; echo hi", 0).await.contains("hi\r\n"));
    s.output("false", 1).await;
    s.output("set +x", 0).await;
    s.output("set -v", 0).await;
    // The user's text is shown, and nothing of ours.
    s.check("true", 0, "true\r\n").await;
    s.output("set +v; set -u", 0).await;
    s.check("true", 0, "").await;
    s.check("set +u; set -C", 0, "").await;
    s.check("false", 1, "").await;
    s.check("set +C; exec 3>&1 >\"$HOME/redirected\"", 0, "").await;
    s.check("echo to the file", 0, "").await;
    // A line editor may have written there, too.
    assert!(s.output("exec >&3 3>&-; cat ~/redirected", 0).await.contains("to the file\r\n"));
    s.check("IFS=0123x; true", 0, "").await;
    s.check("false", 1, "").await;
    s.check("unset IFS; stty raw -echo; false", 1, "").await;
    s.output("stty sane", 0).await;
    s.check("echo ok", 0, "ok\r\n").await;
    s.check("alias printf=false return=true unset=false; true", 0, "").await;
    s.check("false", 1, "").await;
    s.check("unalias printf; unalias return; \\unalias unset; :", 0, "").await;
}

async fn interruptions(s: &mut Session) {
    s.start_text("sleep 1000; echo after").await;
    s.await_job("sleep").await;
    s.type_bytes(b"\x03").await;
    let ending = s.ending().await;
    assert_eq!(ending.status.code(), Some(130), "{ending:?}");
    assert!(!ending.output.contains("after"), "{ending:?}");
    assert_eq!(s.output("echo $?", 0).await, "130\r\n");

    for (signal, code) in [("KILL", 137), ("TERM", 143), ("INT", 130)] {
        s.start_text("sleep 1000").await;
        s.await_job("sleep").await;
        let foreground = s.terminal.foreground().unwrap();
        // Just after exec the kernel shows the arguments one by one.
        assert!(foreground.name == "sleep" && "sleep 1000".starts_with(&foreground.command_line));
        let target = s.terminal.signal_foreground(Signal::parse(signal).unwrap()).unwrap();
        assert_eq!(target, Target::Group { pgid: foreground.pgid, name: "sleep".into() });
        assert_eq!(s.ending().await.status.code(), Some(code), "{signal}");
    }

    s.start_text("echo round; while :; do :; done").await;
    s.await_output("round").await;
    assert!(s.terminal.signal_foreground(Signal::KILL).is_err(), "there is nobody but the shell");
    s.terminal.signal_foreground(Signal::INT).unwrap();
    assert_eq!(s.ending().await.status, Status::Aborted(130));
    s.check("true", 0, "").await;

    s.start_text("sleep 1000").await;
    s.await_job("sleep").await;
    s.type_bytes(b"\x1a").await;
    let code = s.ending().await.status.code();
    assert!(matches!(code, Some(146..=148)), "{code:?}");
    s.output("kill -9 %%; wait 2>/dev/null; true", 0).await;
    s.output("true", 0).await;
}

async fn nesting(s: &mut Session) {
    s.start_text("sh -i").await;
    s.await_job("sh").await;
    s.await_input().await;
    s.type_bytes(b"echo inner$((1+1))\n").await;
    s.await_output("inner2").await;
    s.type_bytes(b"exit 5\n").await;
    assert_eq!(s.ending().await.status, Status::Ended(5));
}

/// The commands that end the shell.
async fn endings(shell: &str, cases: &[(&str, Exit, &str)]) {
    for (text, exit, output) in cases {
        let Some(mut s) = Session::start(shell).await else { return };
        let ending = s.run(text).await;
        assert_eq!(ending.status, Status::Exited(*exit), "{text}: {ending:?}");
        assert!(ending.output.starts_with(output), "{text}: {ending:?}");
        assert!(!ending.output.contains("after"), "{text}: {ending:?}");
    }
}

const ENDINGS: [(&str, Exit, &str); 4] = [
    ("echo bye; exit 3", Exit::Code(3), "bye\r\n"),
    ("exec sh -c 'echo new; exit 4'", Exit::Code(4), "new\r\n"),
    ("echo a; set -e; false; echo after", Exit::Code(1), "a\r\n"),
    ("kill -9 $$; echo after", Exit::Signal(9), ""),
];

/// A background child holds the terminal open: only the process tells that the shell has ended.
async fn exit_beside_a_child(shell: &str) {
    let Some(mut s) = Session::start(shell).await else { return };
    // zsh would refuse at first, and name the job.
    let background = if s.dialect == Dialect::Zsh { "&!" } else { "&" };
    s.start_text(&format!("sleep 1000 {background}\nexit 0")).await;
    assert_eq!(timeout(PATIENCE, s.terminal.exited()).await.unwrap(), Exit::Code(0));
}

#[tokio::test]
async fn bash_runs_the_matrix() {
    bourne("bash", Profile::User).await;
    bourne("bash", Profile::Clean).await;
    bourne("bash", Profile::Tasks).await;
}

#[tokio::test]
async fn zsh_runs_the_matrix() {
    bourne("zsh", Profile::User).await;
    bourne("zsh", Profile::Clean).await;
    bourne("zsh", Profile::Tasks).await;
}

#[tokio::test]
async fn dash_runs_the_matrix() {
    bourne("dash", Profile::User).await;
    bourne("dash", Profile::Clean).await;
    bourne("dash", Profile::Tasks).await;
}

#[tokio::test]
async fn bash_is_known_to_have_ended() {
    endings("bash", &ENDINGS).await;
    exit_beside_a_child("bash").await;
}

#[tokio::test]
async fn zsh_is_known_to_have_ended() {
    endings("zsh", &ENDINGS).await;
    exit_beside_a_child("zsh").await;
}

#[tokio::test]
async fn dash_is_known_to_have_ended() {
    endings("dash", &ENDINGS).await;
    exit_beside_a_child("dash").await;
}

#[tokio::test]
async fn bash_keeps_its_hook_whatever_the_user_does_to_it() {
    let Some(mut s) = Session::start("bash").await else { return };
    s.check("PROMPT_COMMAND='echo mine'; PS1='% '; false", 1, "").await;
    s.start_text("sleep 1000").await;
    s.await_job("sleep").await;
    s.type_bytes(b"\x03").await;
    assert_eq!(s.ending().await.status.code(), Some(130));
    s.output("unset PROMPT_COMMAND", 0).await;
    s.check("true", 0, "").await;
    assert!(s.output("trap true DEBUG; trap 'echo ERR' ERR; false", 1).await.contains("ERR"));
    s.output("trap - DEBUG ERR", 0).await;
    s.check("set -o posix; false", 1, "").await;
    s.check("set +o posix; readonly PROMPT_COMMAND; false", 1, "").await;
    s.check("declare -A m; m[a]=1", 0, "").await;
    s.check("echo ${m[a]}; history | grep -c shellherd", 1, "1\r\n0\r\n").await;
}

#[tokio::test]
async fn fish_runs_the_matrix() {
    let Some(mut s) = Session::start("fish").await else { return };
    let s = &mut s;
    s.check("true", 0, "").await;
    s.check("false", 1, "").await;
    s.check("echo $status", 0, "1\r\n").await;
    s.check("sh -c 'exit 42'", 42, "").await;
    for broken in ["if true; echo x", "echo 'abc"] {
        let ending = s.run(broken).await;
        assert!(ending.status.code().is_some_and(|code| code != 0), "{broken}: {ending:?}");
    }
    s.check(&format!("echo {} | wc -c | tr -d ' '", "x".repeat(100_000)), 0, "100001\r\n").await;
    s.check("for i in 1 2 3\n  echo n$i\nend", 0, "n1\r\nn2\r\nn3\r\n").await;
    s.check("printf abc", 0, "abc").await;
    s.check("set -gx SHEEP baa", 0, "").await;
    s.check("echo $SHEEP; sh -c 'echo $SHEEP'", 0, "baa\r\nbaa\r\n").await;
    let before = s.marks().len();
    s.output("set; functions __shellherd_prompt __shellherd_end; env; false", 1).await;
    assert_eq!(s.marks().len(), before + 3, "{}", s.shown());
    s.start_text("sleep 1000; echo after").await;
    s.await_job("sleep").await;
    s.type_bytes(b"\x03").await;
    let ending = s.ending().await;
    assert_eq!((ending.status.code(), ending.output.contains("after")), (Some(130), false), "{ending:?}");
    s.start_text("sleep 1000").await;
    s.await_job("sleep").await;
    s.terminal.signal_foreground(Signal::KILL).unwrap();
    assert_eq!(s.ending().await.status.code(), Some(137));
    s.start_text("echo round; while true; end").await;
    s.await_output("round").await;
    s.type_bytes(b"\x03").await;
    assert_eq!(s.ending().await.status.code(), Some(130));
    nesting(s).await;
}

#[tokio::test]
async fn fish_is_known_to_have_ended() {
    let endings_of_fish = [
        ("echo bye; exit 3", Exit::Code(3), "bye\r\n"),
        ("exec sh -c 'echo new; exit 4'", Exit::Code(4), "new\r\n"),
        ("kill -9 $fish_pid; echo after", Exit::Signal(9), ""),
    ];
    endings("fish", &endings_of_fish).await;
}
