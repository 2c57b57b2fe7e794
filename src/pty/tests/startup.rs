//! Start-up files come first and stay in force, profiles choose among them, and line editors in odd
//! states still take what is typed.

use super::*;

const LOUD: &[(&str, &str)] = &[
    (".bashrc", "export RC=bashrc; PS1='mine> '; PROMPT_COMMAND='LAST=$?; echo prompt'; set -o vi\n"),
    (".bash_profile", "export PROFILE=bash_profile\n"),
    (".profile", "export PROFILE=profile ENV=~/.shrc\n"),
    (".shrc", "export RC=shrc; PS1='mine> '\n"),
    (".zshenv", "export ZENV=zshenv\n"),
    (".zprofile", "export PROFILE=zprofile\n"),
    (
        ".zshrc",
        "export RC=zshrc; precmd() { echo prompt }; bindkey -v; setopt noclobber shwordsplit ksharrays\n",
    ),
    (".zlogin", "export LOGIN=zlogin\n"),
    (".config/fish/config.fish", "set -gx RC config; fish_vi_key_bindings; set -g fish_greeting\n"),
];

async fn profile(shell: &str, profile: Profile, env: &[(&str, &str)], expected: &str) {
    let Some(mut s) = Session::with(shell, profile, LOUD, env).await else { return };
    let show = "sh -c 'echo $RC,$PROFILE,$ZENV,$LOGIN,${ENV##*/},${ZDOTDIR-unset},${PROMPT_COMMAND-unset}'";
    s.check(show, 0, &format!("{expected},unset,unset\r\n")).await;
    s.check("false", 1, "").await;
    s.start_text("sleep 1000").await;
    s.await_job("sleep").await;
    s.type_bytes(b"\x03").await;
    assert_eq!(s.ending().await.status.code(), Some(130));
    s.check("true", 0, "").await;
    // Somebody types half a line and leaves the editor in its command mode.
    s.await_sight("the editor", |s| s.terminal.awaiting_input()).await;
    let from = s.log.len();
    s.type_bytes(b"echo half a line").await;
    s.until("the line", |s| memchr::memmem::find(&s.log[from..], b"line")).await;
    s.type_bytes(b"\x1b").await;
    if s.dialect == Dialect::Fish && profile == Profile::User {
        s.until("the command mode", |s| memchr::memmem::find(&s.log[from..], b"[N]")).await;
    }
    s.await_sight("the editor", |s| s.terminal.awaiting_input()).await;
    s.clear_line(from).await;
    s.check("echo whole", 0, "whole\r\n").await;
}

impl Session {
    /// As a worker does it: the key again where no prompt follows, but not for ever.
    async fn clear_line(&mut self, from: usize) {
        self.prompt_due = from;
        for _ in 0..5 {
            self.type_bytes(handover::clear_line()).await;
            if timeout(Duration::from_millis(200), self.await_prompt()).await.is_ok() {
                return;
            }
        }
    }
}

#[tokio::test]
async fn bash_reads_the_files_of_its_profile() {
    profile("bash", Profile::User, &[], "bashrc,,,,").await;
    profile("bash", Profile::Login, &[], ",bash_profile,,,").await;
    profile("bash", Profile::Clean, &[], ",,,,").await;
    profile("bash", Profile::Tasks, &[], "bashrc,,,,").await;
}

#[tokio::test]
async fn zsh_reads_the_files_of_its_profile() {
    profile("zsh", Profile::User, &[], "zshrc,,zshenv,,").await;
    profile("zsh", Profile::Login, &[], "zshrc,zprofile,zshenv,zlogin,").await;
    profile("zsh", Profile::Clean, &[], ",,,,").await;
    profile("zsh", Profile::Tasks, &[], "zshrc,,zshenv,,").await;
}

#[tokio::test]
async fn dash_reads_the_files_of_its_profile() {
    profile("dash", Profile::User, &[], ",,,,").await;
    profile("dash", Profile::User, &[("ENV", "$HOME/.shrc")], "shrc,,,,.shrc").await;
    profile("dash", Profile::Tasks, &[("ENV", "$HOME/.shrc")], "shrc,,,,.shrc").await;
    profile("dash", Profile::Login, &[], "shrc,profile,,,.shrc").await;
    profile("dash", Profile::Clean, &[("ENV", "$HOME/.shrc")], ",,,,").await;
}

#[tokio::test]
async fn fish_reads_the_files_of_its_profile() {
    profile("fish", Profile::User, &[], "config,,,,").await;
    profile("fish", Profile::Clean, &[], ",,,,").await;
    profile("fish", Profile::Tasks, &[], "config,,,,").await;
}

/// Of a configuration sessions for tasks have all but the prompt and what goes with it.
#[tokio::test]
async fn sessions_for_tasks_have_the_users_files_without_the_prompt() {
    let bourne = "export RC=here; alias wool='echo clipped'; bleat() { echo loud; return 3; }\n";
    let bash = "hook() { echo ran >>~/hooks; }; PROMPT_COMMAND=hook; PS1='$(hook)'; PS0='$(hook)'
preexec() { hook; }; trap preexec DEBUG\n";
    let zsh =
        "hook() { echo ran >>~/hooks }; precmd() { hook }; preexec() { hook }; periodic() { hook }; PERIOD=0
precmd_functions+=(hook); preexec_functions+=(hook); setopt promptsubst; PS1='$(hook)'; RPROMPT='$(hook)'\n";
    let dash = "hook() { echo ran >>~/hooks; }; PS1='$(hook)'\n";
    let fish = "set -gx RC here; function hook; echo ran >>~/hooks; end; function fish_prompt; hook; end
function fish_right_prompt; hook; end; function fish_title; hook; end
function a --on-event fish_prompt; hook; end; function b --on-event fish_preexec; hook; end\n";
    for (shell, file, first, then) in [
        ("bash", ".bashrc", bourne, bash),
        ("zsh", ".zshrc", bourne, zsh),
        ("dash", ".shrc", bourne, dash),
        ("fish", ".config/fish/config.fish", "", fish),
    ] {
        let text = [first, then].concat();
        let env = [("ENV", "$HOME/.shrc")];
        let Some(mut s) = Session::with(shell, Profile::Tasks, &[(file, &text)], &env).await else {
            continue;
        };
        s.check("echo $RC", 0, "here\r\n").await;
        let hooks = s.directory.join("home/hooks");
        let _ = fs::remove_file(&hooks);
        if shell != "fish" {
            s.check("wool; bleat", 3, "clipped\r\nloud\r\n").await;
        }
        s.check("false", 1, "").await;
        s.start_text("sleep 1000").await;
        s.await_job("sleep").await;
        s.type_bytes(b"\x03").await;
        assert_eq!(s.ending().await.status.code(), Some(130), "{shell}");
        s.check("echo whole", 0, "whole\r\n").await;
        assert_eq!(fs::read_to_string(&hooks).ok(), None, "{shell}: {}", s.shown());
    }
}

#[tokio::test]
async fn zsh_finds_a_moved_zdotdir() {
    let files = [(".zshenv", "ZDOTDIR=~/dots\n"), ("dots/.zshrc", "MOVED=yes\n")];
    let Some(mut s) = Session::with("zsh", Profile::User, &files, &[]).await else { return };
    s.check("echo $MOVED ${ZDOTDIR##*/}", 0, "yes dots\r\n").await;
}

#[tokio::test]
async fn nothing_reaches_the_history_file() {
    for (shell, rc, file) in [
        ("bash", ".bashrc", ".bash_history"),
        ("zsh", ".zshrc", ".zsh_history"),
        ("fish", ".config/fish/config.fish", ".local/share/fish/fish_history"),
    ] {
        let text =
            if shell == "fish" { "" } else { "HISTFILE=~/.${0#-}_history SAVEHIST=100 HISTSIZE=100\n" };
        let Some(mut s) = Session::with(shell, Profile::User, &[(rc, text)], &[]).await else { continue };
        s.check("echo a secret", 0, "a secret\r\n").await;
        s.type_bytes(b"echo typed by hand\r").await;
        s.prompt_due = s.log.len();
        s.await_prompt().await;
        s.run("exit 0").await;
        let history = fs::read_to_string(s.directory.join("home").join(file)).unwrap_or_default();
        assert_eq!(history, "", "{shell}");
    }
}

/// In the manner of bash-preexec and starship: a DEBUG trap, and a prompt command that renews itself.
#[tokio::test]
async fn bash_survives_hooks_that_rewrite_the_prompt_command() {
    let rc = "
preexec() { :; }
hook() { local code=$?; PS1=\"[$code] \"; trap preexec DEBUG; return $code; }
install() { unset PROMPT_COMMAND; PROMPT_COMMAND='hook; history -a'; hook; }
PROMPT_COMMAND=install
";
    let Some(mut s) = Session::with("bash", Profile::User, &[(".bashrc", rc)], &[]).await else { return };
    for _ in 0..3 {
        s.check("false", 1, "").await;
        s.start_text("sleep 1000").await;
        s.await_job("sleep").await;
        s.type_bytes(b"\x03").await;
        assert_eq!(s.ending().await.status.code(), Some(130));
    }
}

/// Not a test of speed: it prints what things cost, for whoever asks with `--nocapture`.
#[tokio::test]
async fn a_command_costs_little() {
    let since = |begin| clock::now().moment.0.saturating_sub(begin);
    let median = |mut times: Vec<Duration>| {
        times.sort();
        times[times.len() / 2]
    };
    for shell in ["bash", "zsh", "dash", "fish"] {
        for profile in [Profile::User, Profile::Clean, Profile::Tasks] {
            let launched = clock::now().moment.0;
            let Some(mut s) = Session::with(shell, profile, &[], &[]).await else { continue };
            let ready = since(launched);
            let (mut ends, mut prompts) = (Vec::new(), Vec::new());
            for _ in 0..100 {
                s.log.clear();
                let begin = clock::now().moment.0;
                s.start_text("true").await;
                s.until("end", |s| s.marks().iter().any(|mark| mark.kind == 'D').then_some(())).await;
                ends.push(since(begin));
                s.ending().await;
                prompts.push(since(begin));
            }
            let (end, prompt) = (median(ends), median(prompts));
            println!("{shell} {profile:?}: ready in {ready:?}, end after {end:?}, prompt after {prompt:?}");
        }
    }
    let Some(mut s) = Session::start("dash").await else { return };
    s.start_text("cat").await;
    s.await_input().await;
    let cost = |what: &str, look: &dyn Fn()| {
        let times = (0..100).map(|_| {
            let begin = clock::now().moment.0;
            look();
            since(begin)
        });
        println!("{what}: {:?}", median(times.collect()));
    };
    cost("a wait seen", &|| assert!(s.terminal.awaiting_input()));
    cost("the foreground", &|| assert!(s.terminal.foreground().is_some()));
    cost("all members", &|| assert!(!s.slot.members().is_empty()));
    cost("a mark for confined commands and back", &|| {
        s.slot.confine(s.dialect).and_then(|()| s.slot.release(s.dialect)).unwrap();
    });
    s.slot.brand().reap();
    cost("nothing left of a confined command", &|| assert!(!s.slot.has_leftovers()));
    s.type_bytes(b"\x04").await;
    s.ending().await;
    s.start_text("sleep 1000").await;
    s.await_job("sleep").await;
    cost("no wait seen", &|| assert!(!s.terminal.awaiting_input()));
    println!("processes: {}", procfs::pids().len());
}
