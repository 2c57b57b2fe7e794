//! The user's own configuration: odd prompts, hooks, editing modes, history and noise at start-up.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Client, Scratch, server, shells};

/// A start-up file of one shell, in a home of its own.
struct Config {
    what: &'static str,
    shell: &'static str,
    text: &'static str,
}

const CONFIGS: &[Config] = &[
    Config {
        what: "a prompt with hooks that print and run commands",
        shell: "bash",
        text: r"PS1='\u@\h $(echo sub) \w\n\$ '; PS0='(ps0)'; PROMPT_COMMAND='echo hook noise; false; ls / >/dev/null'",
    },
    Config {
        what: "a prompt as starship makes it",
        shell: "bash",
        text: "star_preexec() { STARTED=1; }\nstar_precmd() { STATUS=$?; PS1=\"$(printf '\\n\\033[1;32m❯\\033[0m %s ' \"$STATUS\")\"; STARTED=; }\n\
               PROMPT_COMMAND=star_precmd\ntrap 'star_preexec \"$_\"' DEBUG",
    },
    Config {
        what: "an array of hooks",
        shell: "bash",
        text: "one() { echo one; }\ntwo() { return 9; }\nPROMPT_COMMAND=(one two)",
    },
    Config { what: "vi mode", shell: "bash", text: "set -o vi\nbind 'set show-mode-in-prompt on'" },
    Config {
        what: "noise and marks at start-up",
        shell: "bash",
        text: "echo welcome; printf '\\033]133;D;0\\007\\033[31mred'; printf '\\377\\376'; cat /dev/null; false",
    },
    Config {
        what: "hostile aliases, functions and options",
        shell: "bash",
        text: "alias printf='echo nope'; alias source='echo nope'; alias true='echo nope true'; unalias true\n\
               cd() { builtin cd \"$@\" && echo \"now in $PWD\" >/dev/null; }\nset -o noclobber; shopt -s autocd",
    },
    Config { what: "set -u", shell: "bash", text: "set -u" },
    Config { what: "set -e", shell: "bash", text: "set -e" },
    Config { what: "a slow start", shell: "bash", text: "sleep 1; echo at last" },
    Config {
        what: "an exit trap",
        shell: "bash",
        text: "trap 'echo good bye' EXIT; trap 'echo oops >/dev/null' ERR",
    },
    Config {
        what: "hooks that print",
        shell: "zsh",
        text: "setopt prompt_subst\nPROMPT='%n $(echo sub) %~ %# '\nRPROMPT='%*'\nprecmd() { echo precmd noise; false }\n\
               preexec() { echo preexec noise >/dev/null }\nchpwd() { ls / >/dev/null }",
    },
    Config {
        what: "hook arrays as starship has them",
        shell: "zsh",
        text: "autoload -Uz add-zsh-hook\nstar() { local s=$?; PROMPT=\"$(printf '\\n❯ %s ' $s)\" }\nadd-zsh-hook precmd star\n\
               widget() { zle reset-prompt }\nzle -N zle-line-init widget",
    },
    Config { what: "vi mode", shell: "zsh", text: "bindkey -v\nKEYTIMEOUT=1" },
    Config {
        what: "options",
        shell: "zsh",
        text: "setopt correct_all no_clobber sh_word_split extended_glob; echo welcome",
    },
    Config { what: "set -u", shell: "zsh", text: "setopt no_unset; alias printf='echo nope'" },
    Config {
        what: "a prompt that runs commands",
        shell: "fish",
        text: "function fish_prompt; set -l s $status; ls / >/dev/null; printf '\\n%s ❯ ' $s; end\n\
               function fish_right_prompt; date; end\nset -g fish_greeting 'welcome to fish'",
    },
    Config { what: "vi mode", shell: "fish", text: "fish_vi_key_bindings" },
    Config {
        what: "event handlers that print",
        shell: "fish",
        text: "function pre --on-event fish_preexec; echo pre >/dev/null; end\nfunction post --on-event fish_postexec; false; end",
    },
    Config { what: "a prompt of its own", shell: "dash", text: "PS1='custom $(echo sub) $ '; echo welcome" },
    Config { what: "options", shell: "dash", text: "set -C; PS4='+++ '" },
];

fn start_up_file(shell: &str) -> &'static str {
    match shell {
        "bash" => ".bashrc",
        "zsh" => ".zshrc",
        "fish" => ".config/fish/config.fish",
        _ => ".shinit",
    }
}

/// A home with these files, and a client of a server that lives there and goes before it.
fn at_home(files: &[(&str, &str)]) -> (Scratch, Client) {
    let scratch = Scratch::new("home");
    for (name, text) in files {
        let path = scratch.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("folders can be made");
        std::fs::write(path, text).expect("the file can be written");
    }
    let mut command = server(&scratch.path().join("state"));
    command.env("HOME", scratch.path()).env("ENV", scratch.path().join(".shinit"));
    (scratch, Client::connect(command, None))
}

/// What must hold in a session, whatever its user has configured.
fn wrong_in(client: &mut Client, session: &str, shell: &str, tolerates_failure: bool) -> Vec<String> {
    let status = if shell == "fish" { "$status" } else { "$?" };
    let mut cases = vec![
        ("echo plain".to_owned(), 0, "plain\n"),
        // Some of the files have an alias of this name.
        ("command printf 'no newline'".to_owned(), 0, "no newline"),
        ("cd /usr; pwd".to_owned(), 0, "/usr\n"),
    ];
    if tolerates_failure {
        cases.extend([
            ("sh -c 'exit 42'".to_owned(), 42, ""),
            (format!("echo code {status}"), 0, "code 42\n"),
            ("false".to_owned(), 1, ""),
        ]);
    }
    let mut wrong = Vec::new();
    for (command, code, output) in cases {
        let outcome = client.run(session, &command);
        if outcome.exit() != Some(code) || outcome.structured["output"] != output {
            wrong.push(format!("{command:?}: {outcome:?}"));
        }
    }
    if tolerates_failure {
        let id = client.start_command(session, "sleep 300");
        client.until_shown(session, "the sleep runs", |shown| shown["foreground"]["name"] == "sleep");
        client.ok("command_signal", json!({"sessionId": session, "signal": "SIGINT"}));
        let ended = client.ended(&id);
        if ended.exit() != Some(130) {
            wrong.push(format!("interrupted: {ended:?}"));
        }
    }
    let last = client.run(session, "echo and on");
    if last.structured["output"] != "and on\n" {
        wrong.push(format!("at last: {last:?}"));
    }
    wrong
}

fn check(shell: &str) {
    let Some((_, path)) = shells().into_iter().find(|(name, _)| *name == shell) else { return };
    let mut wrong = Vec::new();
    for config in CONFIGS.iter().filter(|config| config.shell == shell) {
        let (_home, mut client) = at_home(&[(start_up_file(shell), config.text)]);
        let session = client.session(json!({"shell": path, "profile": "user"}));
        let failures = wrong_in(&mut client, &session, shell, config.what != "set -e");
        wrong.extend(failures.into_iter().map(|what| format!("{shell} with {}: {what}", config.what)));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn commands_run_whatever_bash_is_configured_with() {
    check("bash");
}

#[test]
fn commands_run_whatever_zsh_is_configured_with() {
    check("zsh");
}

#[test]
fn commands_run_whatever_fish_is_configured_with() {
    check("fish");
}

#[test]
fn commands_run_whatever_dash_is_configured_with() {
    check("dash");
}

#[test]
fn the_users_aliases_are_there_unless_the_profile_is_clean() {
    let text = "alias greet='echo greetings'\nexport FROM_RC=yes\n";
    let in_fish = "alias greet='echo greetings'\nset -gx FROM_RC yes\n";
    let (_home, mut client) = at_home(&[
        (".bashrc", text),
        (".zshrc", text),
        (".shinit", text),
        (".config/fish/config.fish", in_fish),
    ]);
    for (shell, path) in shells() {
        let user = client.session(json!({"shell": path}));
        let outcome = client.run(&user, "greet you; echo $FROM_RC");
        assert_eq!(outcome.output(), "greetings you\nyes\n", "{shell}: {outcome:?}");
        let clean = client.clean(&path);
        let outcome = client.run(&clean, "echo \"[$FROM_RC]\"");
        assert_eq!(outcome.output(), "[]\n", "{shell}: {outcome:?}");
        assert_eq!(client.run(&clean, "greet").exit(), Some(127), "{shell}");
    }
}

#[test]
fn a_login_shell_reads_its_login_files() {
    let (_home, mut client) = at_home(&[
        (".bash_profile", "export FROM_LOGIN=bash\n. ~/.bashrc\n"),
        (".bashrc", "alias greet='echo greetings'\n"),
        (".zprofile", "export FROM_LOGIN=zsh\n"),
        (".zshrc", "alias greet='echo greetings'\n"),
    ]);
    for (shell, path) in shells().into_iter().filter(|(shell, _)| *shell == "bash" || *shell == "zsh") {
        let session = client.session(json!({"shell": path, "profile": "login"}));
        let outcome = client.run(&session, "echo $FROM_LOGIN; greet");
        assert_eq!(outcome.output(), format!("{shell}\ngreetings\n"), "{outcome:?}");
    }
}

fn read(path: &Path) -> Option<Vec<u8>> {
    std::fs::read(path).ok()
}

/// Agents' commands stay out of the user's history, also when the session ends.
#[test]
fn the_history_file_is_left_alone() {
    let in_bash = "HISTFILE=~/.bash_history; HISTCONTROL=; shopt -s histappend; PROMPT_COMMAND='history -a'";
    let in_zsh = "HISTFILE=~/.zsh_history; HISTSIZE=1000; SAVEHIST=1000; setopt inc_append_history";
    let old_fish = "- cmd: echo old\n  when: 1700000000\n";
    let (home, mut client) = at_home(&[
        (".bashrc", in_bash),
        (".bash_history", "echo old\nls\n"),
        (".zshrc", in_zsh),
        (".zsh_history", "echo old\nls\n"),
        (".config/fish/config.fish", ""),
        (".local/share/fish/fish_history", old_fish),
    ]);
    let files = [".bash_history", ".zsh_history", ".local/share/fish/fish_history"];
    let before: Vec<_> = files.iter().map(|name| read(&home.path().join(name))).collect();
    for (shell, path) in shells() {
        let session = client.session(json!({"shell": path}));
        for command in ["echo telltale one", "echo telltale two\necho telltale three"] {
            assert_eq!(client.run(&session, command).exit(), Some(0), "{shell}");
        }
        if shell == "bash" {
            let listed = client.run(&session, "history");
            assert!(!listed.output().contains("telltale"), "{listed:?}");
        }
        client.ok("session_close", json!({"sessionId": session}));
    }
    let after: Vec<_> = files.iter().map(|name| read(&home.path().join(name))).collect();
    assert_eq!(after, before);
}

/// A start-up file that asks something does not hold the caller for ever.
#[test]
fn a_start_up_file_that_asks_is_shown_and_can_be_answered() {
    let (_home, mut client) = at_home(&[(".bashrc", "read -p 'passphrase? ' x; echo \"got $x\"")]);
    let created = client.ok("session_create", json!({"shell": "bash", "name": "asking"}));
    assert_eq!(created["status"], "initializing", "{created}");
    assert!(created["hint"].is_string(), "{created}");
    let session = created["sessionId"].as_str().expect("an id");
    let screen = client.ok("session_output", json!({"sessionId": session, "mode": "screen"}));
    assert!(screen["output"].as_str().expect("a screen").contains("passphrase?"), "{screen}");
    client.ok("session_input", json!({"sessionId": session, "text": "x", "enter": true}));
    client.until_status(session, "idle");
    assert_eq!(client.run(session, "echo ready").output(), "ready\n");
}

/// A shell that dies in its start-up files is an error that says so.
#[test]
fn a_start_up_file_that_ends_the_shell_is_told() {
    let (_home, mut client) = at_home(&[(".bashrc", "echo no luck; exit 5")]);
    let refused = client.call("session_create", json!({"shell": "bash", "profile": "user"}));
    assert_eq!(refused.code(), "spawn_failed", "{refused:?}");
    let sessions = client.ok("session_list", Value::Object(serde_json::Map::new()));
    assert_eq!(sessions["sessions"][0]["status"], "error", "{sessions}");
}
