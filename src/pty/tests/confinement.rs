//! Confined commands: exact ends, nothing of theirs in the shell, nothing of theirs left running.

use super::*;

/// Every way to stay behind that some method of finding processes misses.
const LEFTOVERS: [&str; 7] = [
    "sleep 1000 &",
    "nohup sleep 1000 >/dev/null 2>&1 &",
    "setsid sleep 1000 &",
    "sh -c '(setsid sh -c \"sleep 1000 &\" &)'",
    "env -i setsid sh -c 'sleep 1000 & exit' &",
    "sh -c 'trap \"\" TERM INT HUP; while :; do sleep 1000; done' &",
    "sh -c 'trap \"\" TERM INT HUP; sleep 1000 & kill -STOP $!; sleep 1000 &' &",
];

static NO_ENV: BTreeMap<String, String> = BTreeMap::new();

fn confined(text: &str) -> HandoverCommand<'_> {
    HandoverCommand {
        text,
        env: &NO_ENV,
        exports: &NO_EXPORTS,
        directory: None,
        stdin: None,
        keeps_exports: false,
        confined: true,
    }
}

impl Session {
    /// Runs a confined command as a worker does.
    async fn confined(&mut self, command: HandoverCommand<'_>) -> Ending {
        self.slot.confine(self.dialect).unwrap();
        let ending = self.run_with(&command).await;
        self.slot.release(self.dialect).unwrap();
        ending
    }

    async fn check_confined(&mut self, command: HandoverCommand<'_>, code: i32, output: &str) {
        let ending = self.confined(command).await;
        let expected = Ending { status: Status::Ended(code), output: output.to_owned() };
        assert_eq!(ending, expected, "{command:?}");
    }

    fn clear_away(&self) -> usize {
        self.slot.kill_leftovers(clock::now().moment.after(PATIENCE))
    }
}

async fn ends(s: &mut Session) {
    let fish = s.dialect == Dialect::Fish;
    s.check_confined(confined("true"), 0, "").await;
    s.check_confined(confined("echo out; exit 3"), 3, "out\r\n").await;
    s.check_confined(confined("exit"), 0, "").await;
    s.check_confined(confined("exec sh -c 'exit 4'"), 4, "").await;
    s.check_confined(confined("echo a; sh -c 'exit 42'"), 42, "a\r\n").await;
    s.check_confined(confined(&format!("echo {} | wc -c | tr -d ' '", "x".repeat(100_000))), 0, "100001\r\n")
        .await;
    for broken in ["no-such-command", "echo a; )", "echo 'abc"] {
        let ending = s.confined(confined(broken)).await;
        assert!(ending.status.code().is_some_and(|code| code != 0), "{broken}: {ending:?}");
        assert!(!ending.output.is_empty(), "{broken}: {ending:?}");
    }
    if !fish {
        s.check_confined(confined("set -e; false; echo after"), 1, "").await;
        s.check_confined(confined("return 7"), 7, "").await;
        s.check_confined(confined("trap 'echo bye' EXIT; exit 5"), 5, "bye\r\n").await;
    }
    for (signal, code) in [("KILL", 137), ("TERM", 143)] {
        let text = format!("sh -c 'kill -{signal} $PPID'; sleep 1000; echo after");
        let ending = s.confined(confined(&text)).await;
        assert_eq!(ending.status.code(), Some(code), "{signal}: {ending:?}");
        assert!(!ending.output.contains("after"), "{signal}: {ending:?}");
        s.check("true", 0, "").await;
    }
}

/// What a command changes, and what must not show it afterwards.
async fn changes(s: &mut Session) {
    let fish = s.dialect == Dialect::Fish;
    s.check(if fish { "cd /; set -gx KEPT before" } else { "cd /; export KEPT=before" }, 0, "").await;
    let (change, show) = match s.dialect {
        Dialect::Fish => (
            "cd /usr; set -gx KEPT changed; set -gx NEW n; set -U UNI u; function f; end; umask 077; \
             ulimit -n 50; trap 'true' USR1",
            "echo \"$PWD|$KEPT|$NEW|$UNI|\"(umask)'|'(ulimit -n); functions -q f; trap",
        ),
        _ => (
            "cd /usr; export KEPT=changed NEW=n; f() { :; }; alias a=b; umask 077; ulimit -n 50; \
             trap : USR1; set -f; set -- x y",
            "echo \"$PWD|$KEPT|$NEW|$UNI|$(umask)|$(ulimit -n)|$#|$-\"; trap; type f; alias",
        ),
    };
    let before = s.run(show).await.output;
    assert!(before.starts_with("/|before||"), "{before:?}");
    s.check_confined(confined(change), 0, "").await;
    assert_eq!(s.run(show).await.output, before);
    // What the session has, a subshell has.
    if !fish {
        s.check("alias wool='echo clipped'; bleat() { echo loud; return 3; }; LOCAL=here", 0, "").await;
        s.check_confined(confined("wool\necho $LOCAL; bleat"), 3, "clipped\r\nhere\r\nloud\r\n").await;
    }
    s.check_confined(confined("sh -c 'echo $KEPT'"), 0, "before\r\n").await;
}

/// A terminal that a confined command left raw is as before for the next; but not for bash with its line
/// editor, which takes over what it finds.
async fn modes(s: &mut Session, started: (&str, Profile)) {
    let show = "stty -g </dev/tty";
    let before = s.output(show, 0).await;
    let (shell, profile) = started;
    let edits_lines = shell::edits_lines(&find(shell).unwrap(), s.dialect, profile);
    let modes = s.terminal.line_modes().filter(|_| !edits_lines);
    if edits_lines && s.dialect == Dialect::Bash {
        return;
    }
    s.check_confined(confined("stty -echo -opost </dev/tty"), 0, "").await;
    if let Some(modes) = modes {
        s.terminal.set_modes(&modes).unwrap();
    }
    assert_eq!(s.output(show, 0).await, before);
}

async fn preparation(s: &mut Session) {
    s.check("mkdir -p ~/a/b\\ c; cd ~/a", 0, "").await;
    let home = s.directory.join("home");
    let env = BTreeMap::from([
        ("KEPT".to_owned(), "it's $HOME \\ \"quoted\"\nline".to_owned()),
        ("ABSENT".to_owned(), String::new()),
    ]);
    let exports = BTreeMap::from([("FOR_GOOD".to_owned(), "it's here".to_owned())]);
    let show = "sh -c 'echo \"$KEPT|${ABSENT-unset}|$FOR_GOOD|${PWD##*/}\"; cat; exit 9'";
    let command = HandoverCommand {
        env: &env,
        exports: &exports,
        directory: Some(Path::new("b c")),
        stdin: Some("one\ntwo"),
        ..confined(show)
    };
    s.check_confined(command, 9, "it's $HOME \\ \"quoted\"\r\nline||it's here|b c\r\none\r\ntwo").await;
    s.check_confined(confined(show), 9, "before|unset|it's here|a\r\n").await;
    assert_eq!(s.terminal.working_directory(), Some(home.join("a")));
    s.check_confined(HandoverCommand { stdin: Some("x"), ..confined("cat") }, 0, "x").await;
    let missing = home.join("missing");
    for text in ["echo it ran", "#!/bin/sh\necho it ran"] {
        let ending = s.confined(HandoverCommand { directory: Some(&missing), ..confined(text) }).await;
        assert_eq!(ending.status, Status::Ended(1), "{ending:?}");
        assert!(ending.output.contains("missing") && !ending.output.contains("it ran"), "{ending:?}");
    }
    s.check("cd /", 0, "").await;
}

async fn scripts(s: &mut Session) {
    s.check_confined(confined("#!/bin/sh\necho $0 | grep -c shellherd; exit 6"), 6, "1\r\n").await;
    s.check_confined(confined("#!/bin/sh -e\nfalse\necho after"), 1, "").await;
    s.check_confined(confined("#!/usr/bin/env -S sh -e\nfalse\necho after"), 1, "").await;
    let env = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
    let command = HandoverCommand {
        env: &env,
        directory: Some(Path::new("/usr")),
        stdin: Some("in\n"),
        ..confined("#!/bin/sh\ncat; echo $A$PWD")
    };
    s.check_confined(command, 0, "in\r\n1/usr\r\n").await;
    let ending = s.confined(confined("#!/no/such/interpreter\n")).await;
    assert!(ending.status.code().is_some_and(|code| code >= 126), "{ending:?}");
    if find("python3").is_some() {
        s.check_confined(confined("#!/usr/bin/python3\nprint(6 * 7)"), 0, "42\r\n").await;
    }
}

/// The keys and signals that end a foreground job end a confined command, and not the shell.
async fn stops(s: &mut Session) {
    for (signal, code) in [("INT", 130), ("TERM", 143), ("KILL", 137)] {
        s.slot.confine(s.dialect).unwrap();
        s.start_command(&confined("sleep 1000; echo after")).await;
        s.await_begin().await;
        let is_sleep = |pid: &rustix::process::Pid| procfs::name(*pid).as_deref() == Some("sleep");
        s.await_sight("sleep", |s| s.slot.members().iter().any(is_sleep)).await;
        let target = s.terminal.signal_foreground(Signal::parse(signal).unwrap()).unwrap();
        assert!(matches!(target, Target::Group { .. }), "{signal}: {target:?}");
        let ending = s.ending().await;
        s.slot.release(s.dialect).unwrap();
        assert_eq!(ending.status.code(), Some(code), "{signal}: {ending:?}");
        assert!(!ending.output.contains("after"), "{signal}: {ending:?}");
        s.await_sight("nothing", |s| !s.slot.has_leftovers()).await;
        s.check("true", 0, "").await;
    }
    s.slot.confine(s.dialect).unwrap();
    s.start_command(&confined("sh -c 'trap \"\" INT TERM; setsid -w sleep 1000'")).await;
    s.await_begin().await;
    let is_sleep = |pid: &rustix::process::Pid| procfs::name(*pid).as_deref() == Some("sleep");
    s.await_sight("sleep", |s| s.slot.members().iter().any(is_sleep)).await;
    s.terminal.signal_foreground(Signal::INT).unwrap();
    // A subshell of bash waits for what ignores the interrupt; others don't.
    let _ = s.terminal.signal_foreground(Signal::KILL);
    let code = s.ending().await.status.code();
    assert!(matches!(code, Some(130 | 137)), "{code:?}");
    s.slot.release(s.dialect).unwrap();
    s.await_sight("the orphan", |s| s.slot.has_leftovers()).await;
    assert_eq!(s.clear_away(), 0);
    assert!(!s.slot.has_leftovers());
}

/// All of it is found and killed, and what the session had before is spared.
async fn leftovers(s: &mut Session) {
    s.output("setsid sleep 2001 &\ntrue", 0).await;
    s.output("sh -c '(sleep 2002 &)'", 0).await;
    let has = |s: &Session, line: &str| {
        let is_it = |pid: &rustix::process::Pid| procfs::command_line(*pid).as_deref() == Some(line);
        s.slot.members().iter().any(is_it)
    };
    let own = |s: &Session| has(s, "sleep 2001") && has(s, "sleep 2002");
    s.await_sight("the session's own", own).await;
    for text in LEFTOVERS {
        let ending = s.confined(confined(text)).await;
        assert_eq!(ending.status, Status::Ended(0), "{text}: {ending:?}");
        // A fish that ends hangs up on its jobs.
        if s.dialect != Dialect::Fish {
            assert!(s.slot.has_leftovers(), "{text}");
            s.await_sight(text, |s| has(s, "sleep 1000")).await;
        }
        assert_eq!(s.clear_away(), 0, "{text}");
        assert!(!s.slot.has_leftovers(), "{text}");
        assert!(!has(s, "sleep 1000"), "{text}");
        assert!(own(s), "{text}");
    }
    // A stopped job is none of the session's, either.
    s.slot.confine(s.dialect).unwrap();
    s.start_command(&confined("sleep 1000")).await;
    s.await_begin().await;
    s.await_sight("sleep", |s| has(s, "sleep 1000")).await;
    s.terminal.signal_foreground(Signal::parse("STOP").unwrap()).unwrap();
    s.ending().await;
    s.slot.release(s.dialect).unwrap();
    assert!(s.slot.has_leftovers());
    assert_eq!(s.clear_away(), 0);
    s.output("true", 0).await;
    assert!(own(s));
}

/// What the prompt starts, before the server knows that a command is over, is none of the command's.
async fn slow_prompt(shell: &str, file: &str, text: &str) {
    let env = [("ENV", "$HOME/.shrc")];
    let Some(mut s) = Session::with(shell, Profile::User, &[(file, text)], &env).await else { return };
    for _ in 0..3 {
        s.slot.confine(s.dialect).unwrap();
        s.start_command(&confined("true")).await;
        let end = |mark: &Mark, number| mark.kind == 'D' && mark.number == Some(number);
        s.until("end", |s| s.marks().iter().any(|mark| end(mark, s.number)).then_some(())).await;
        let is_sleep = |pid: &rustix::process::Pid| procfs::name(*pid).as_deref() == Some("sleep");
        s.await_sight("the prompt's own", |s| s.slot.members().iter().any(is_sleep)).await;
        assert!(!s.slot.has_leftovers(), "{shell}");
        s.slot.release(s.dialect).unwrap();
        assert_eq!(s.clear_away(), 0, "{shell}");
        assert_eq!(s.ending().await.status, Status::Ended(0), "{shell}");
        let from = s.log.len();
        s.until("the prompt", |s| memchr::memmem::find(&s.log, b"slept 0")).await;
        assert!(memchr::memmem::find(&s.log[..from], b"slept 1").is_none(), "{shell}: {}", s.shown());
        s.log.clear();
    }
}

#[tokio::test]
async fn a_slow_prompt_is_no_part_of_a_confined_command() {
    slow_prompt("bash", ".bashrc", "PROMPT_COMMAND='echo \"$(sleep 0.3; echo slept $?)\"'").await;
    slow_prompt("zsh", ".zshrc", "precmd() { echo \"$(sleep 0.3; echo slept $?)\" }").await;
    slow_prompt("dash", ".shrc", "PS1='$(sleep 0.3; echo slept $?)> '").await;
    let text = "function fish_prompt; sleep 0.3; printf 'slept %s> ' $status; end";
    slow_prompt("fish", ".config/fish/config.fish", text).await;
}

async fn all(shell: &str) {
    for profile in [Profile::User, Profile::Clean, Profile::Tasks] {
        let Some(mut s) = Session::with(shell, profile, &[], &[]).await else { return };
        ends(&mut s).await;
        changes(&mut s).await;
        modes(&mut s, (shell, profile)).await;
        preparation(&mut s).await;
        scripts(&mut s).await;
        stops(&mut s).await;
        leftovers(&mut s).await;
    }
}

#[tokio::test]
async fn bash_is_as_before_after_a_confined_command() {
    all("bash").await;
}

#[tokio::test]
async fn zsh_is_as_before_after_a_confined_command() {
    all("zsh").await;
}

#[tokio::test]
async fn dash_is_as_before_after_a_confined_command() {
    all("dash").await;
}

#[tokio::test]
async fn fish_is_as_before_after_a_confined_command() {
    all("fish").await;
}
