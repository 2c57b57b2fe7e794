//! Commands with variables, a directory or a standard input of their own, and what is left of that.

use super::*;

fn with<'a>(text: &'a str, env: &'a BTreeMap<String, String>) -> HandoverCommand<'a> {
    HandoverCommand {
        text,
        env,
        exports: &NO_EXPORTS,
        directory: None,
        stdin: None,
        keeps_exports: false,
        confined: false,
    }
}

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

async fn check(s: &mut Session, command: HandoverCommand<'_>, code: i32, output: &str) {
    let ending = s.run_with(&command).await;
    let expected = Ending { status: Status::Ended(code), output: output.to_owned() };
    assert_eq!(ending, expected, "{command:?}");
}

async fn prepared(shell: &str) {
    let Some(mut s) = Session::start(shell).await else { return };
    let s = &mut s;
    let fish = s.dialect == Dialect::Fish;
    variables(s, fish).await;
    directories(s, fish).await;
    standard_input(s).await;
    aborted(s, fish).await;
}

async fn variables(s: &mut Session, fish: bool) {
    let (exported, shell_only) = if fish {
        ("set -gx EXPORTED before; set -g LOCAL before; set -gx MULTI 'a'\\n'b'", "set -q ABSENT")
    } else {
        ("export EXPORTED=before; LOCAL=before; export MULTI='a\nb'", "[ -n \"${ABSENT+set}\" ]")
    };
    s.check(exported, 0, "").await;
    let env = env(&[
        ("EXPORTED", "it's $HOME \\ \"quoted\"\nline"),
        ("LOCAL", "during"),
        ("ABSENT", ""),
        ("MULTI", "c"),
        ("e", "x"),
    ]);
    let show = "sh -c 'echo \"$EXPORTED|$LOCAL|${ABSENT-unset}|$MULTI|$e\"'";
    check(s, with(show, &env), 0, "it's $HOME \\ \"quoted\"\r\nline|during||c|x\r\n").await;
    s.check(show, 0, "before||unset|a\r\nb|\r\n").await;
    s.check("echo $LOCAL", 0, "before\r\n").await;
    s.check(shell_only, 1, "").await;
    let exports = self::env(&[("FOR_GOOD", "it's here"), ("ABSENT", "no longer")]);
    let command = HandoverCommand { exports: &exports, ..with("sh -c 'echo $FOR_GOOD'", &env) };
    check(s, command, 0, "it's here\r\n").await;
    s.check("sh -c 'echo $FOR_GOOD, $ABSENT'", 0, "it's here, no longer\r\n").await;
    // The status before is still visible after the preparation.
    let status = if fish { "echo $status" } else { "echo $?" };
    s.check("sh -c 'exit 9'", 9, "").await;
    check(s, with(status, &env), 0, "9\r\n").await;
    check(s, with("false", &env), 1, "").await;
    s.check(status, 0, "1\r\n").await;
}

async fn directories(s: &mut Session, fish: bool) {
    s.check("mkdir -p ~/a/b\\ c ~/d; cd ~/a", 0, "").await;
    let home = s.directory.join("home");
    let none = BTreeMap::new();
    let here = |text, directory| HandoverCommand {
        text,
        env: &none,
        exports: &NO_EXPORTS,
        directory: Some(directory),
        stdin: None,
        keeps_exports: false,
        confined: false,
    };
    let (relative, absolute, missing) = (Path::new("b c"), home.join("d"), home.join("missing"));
    check(s, here("basename \"$PWD\"", relative), 0, "b c\r\n").await;
    assert_eq!(s.terminal.working_directory(), Some(home.join("a")));
    check(s, here("pwd; false", &absolute), 1, &format!("{}\r\n", absolute.display())).await;
    assert_eq!(s.terminal.working_directory(), Some(home.join("a")));
    let ending = s.run_with(&here("echo it ran", &missing)).await;
    assert!(ending.status.code().is_some_and(|code| code != 0), "{ending:?}");
    assert!(ending.output.contains("missing") && !ending.output.contains("it ran"), "{ending:?}");
    assert_eq!(s.terminal.working_directory(), Some(home.join("a")));
    // A command that goes elsewhere stays there.
    check(s, here("cd /usr", &absolute), 0, "").await;
    assert_eq!(s.terminal.working_directory(), Some("/usr".into()));
    if !fish {
        s.check("cd /; cd -", 0, "/usr\r\n").await;
        check(s, here("true", &absolute), 0, "").await;
        s.check("cd -", 0, "/\r\n").await;
    }
}

async fn standard_input(s: &mut Session) {
    let none = BTreeMap::new();
    let fed = |text, stdin| HandoverCommand {
        text,
        env: &none,
        exports: &NO_EXPORTS,
        directory: None,
        stdin: Some(stdin),
        keeps_exports: false,
        confined: false,
    };
    check(s, fed("cat", "one\ntwo"), 0, "one\r\ntwo").await;
    check(s, fed("cat; false", ""), 1, "").await;
    check(s, fed("read x; cat; echo got=$x", "first\nrest\n"), 0, "rest\r\ngot=first\r\n").await;
    s.start_text("cat").await;
    s.await_input().await;
    s.type_bytes(b"\x04").await;
    assert_eq!(s.ending().await.status, Status::Ended(0));
    let all = env(&[("A", "1")]);
    let command = HandoverCommand {
        text: "cat; echo $A$PWD",
        env: &all,
        exports: &NO_EXPORTS,
        directory: Some(Path::new("/usr")),
        stdin: Some("in\n"),
        keeps_exports: false,
        confined: false,
    };
    check(s, command, 0, "in\r\n1/usr\r\n").await;
}

async fn aborted(s: &mut Session, fish: bool) {
    s.output(if fish { "cd /; set -gx KEPT before" } else { "cd /; export KEPT=before" }, 0).await;
    let all = env(&[("KEPT", "during"), ("GONE", "during")]);
    let command = HandoverCommand {
        text: "sleep 1000; echo after",
        env: &all,
        exports: &NO_EXPORTS,
        directory: Some(Path::new("/usr")),
        stdin: Some("unread\n"),
        keeps_exports: false,
        confined: false,
    };
    s.start_command(&command).await;
    s.await_job("sleep").await;
    s.type_bytes(b"\x03").await;
    let ending = s.ending().await;
    assert_eq!(ending.status.code(), Some(130), "{ending:?}");
    s.check("sh -c 'echo \"$KEPT|$GONE|$PWD\"'", 0, "before||/\r\n").await;
    s.start_text("cat").await;
    s.await_input().await;
    s.type_bytes(b"\x04").await;
    assert_eq!(s.ending().await.status, Status::Ended(0));
    // What the command does to its own variables does not last, either.
    let change = if fish { "set -gx KEPT changed" } else { "KEPT=changed" };
    check(s, with(change, &all), 0, "").await;
    s.check("echo $KEPT", 0, "before\r\n").await;
}

#[tokio::test]
async fn bash_undoes_what_one_command_needed() {
    prepared("bash").await;
}

#[tokio::test]
async fn zsh_undoes_what_one_command_needed() {
    prepared("zsh").await;
}

#[tokio::test]
async fn dash_undoes_what_one_command_needed() {
    prepared("dash").await;
}

#[tokio::test]
async fn fish_undoes_what_one_command_needed() {
    prepared("fish").await;
}
