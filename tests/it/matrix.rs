//! Commands, their exit codes and their output, over every shell of this machine.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::support::{Client, Outcome, Scratch, shells};

enum Exit {
    Is(i64),
    Failure,
    Any,
}

enum Output {
    Is(String),
    Holds(&'static str),
    Any,
}

/// One row of the table.
struct Case {
    command: String,
    exit: Exit,
    output: Output,
}

fn row(command: impl Into<String>, exit: i64, output: impl Into<String>) -> Case {
    Case { command: command.into(), exit: Exit::Is(exit), output: Output::Is(output.into()) }
}

fn loose(command: impl Into<String>, exit: Exit, output: Output) -> Case {
    Case { command: command.into(), exit, output }
}

impl Case {
    fn wrong(&self, outcome: &Outcome) -> Option<String> {
        let exit = outcome.exit();
        let exit_fits = match self.exit {
            Exit::Is(code) => exit == Some(code),
            Exit::Failure => exit.is_some_and(|code| code != 0),
            Exit::Any => exit.is_some(),
        };
        let output = outcome.structured["output"].as_str().unwrap_or("(none)");
        let output_fits = match &self.output {
            Output::Is(text) => output == text,
            Output::Holds(text) => output.contains(text),
            Output::Any => true,
        };
        let agrees = exit.is_none() || outcome.is_error == (exit != Some(0));
        if exit_fits && output_fits && agrees {
            return None;
        }
        let cut = |text: &str| text.chars().take(300).collect::<String>();
        let mut message = format!("{:?}: exit {exit:?}, output {:?}", cut(&self.command), cut(output));
        if let Output::Is(wanted) = &self.output {
            let _ = write!(message, ", wanted {:?}", cut(wanted));
        }
        Some(format!("{message}; {}", cut(&outcome.structured.to_string())))
    }
}

/// Runs the cases in one session of each shell, and tells of all that went wrong at once.
fn in_every_shell(cases: impl Fn(&str) -> Vec<Case>) {
    let mut client = Client::start();
    let mut wrong = Vec::new();
    for (shell, path) in shells() {
        let session = client.clean(&path);
        for case in cases(shell) {
            let call = json!({"sessionId": session, "command": case.command, "wait": "30s"});
            let outcome = client.call("command_execute", call);
            wrong.extend(case.wrong(&outcome).map(|what| format!("{shell}: {what}")));
            if outcome.structured["running"] == true {
                // What comes next would wait behind it.
                break;
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn exit_codes_are_exact() {
    in_every_shell(|shell| {
        let fish = shell == "fish";
        let by = |posix: &'static str, in_fish: &'static str| if fish { in_fish } else { posix };
        vec![
            row("true", 0, ""),
            row("false", 1, ""),
            row(by("echo $?", "echo $status"), 0, "1\n"),
            row(by("(exit 42)", "sh -c 'exit 42'"), 42, ""),
            row(by("echo code $?", "echo code $status"), 0, "code 42\n"),
            row("sh -c 'exit 255'", 255, ""),
            loose("no-such-command-anywhere", Exit::Is(127), Output::Holds("no-such-command-anywhere")),
            loose(by("echo a; )", "if true; echo x"), Exit::Failure, Output::Any),
            row("echo still here", 0, "still here\n"),
            loose(by("echo \"abc", "echo 'abc"), Exit::Failure, Output::Any),
            row("echo 'and here'", 0, "and here\n"),
            row("echo ok; return 7; echo no", 7, "ok\n"),
            row("true # a comment", 0, ""),
            row("true | false", 1, ""),
            row("false | true", 0, ""),
        ]
    });
}

#[test]
fn commands_of_any_shape_are_run() {
    in_every_shell(|shell| {
        let fish = shell == "fish";
        let by = |posix: &'static str, in_fish: &'static str| if fish { in_fish } else { posix };
        let lines_loop = by("for i in 1 2 3\ndo\n  echo n$i\ndone", "for i in 1 2 3\n  echo n$i\nend");
        let mut cases = vec![
            row(lines_loop, 0, "n1\nn2\nn3\n"),
            row(format!("echo {} | wc -c", "x".repeat(100_000)), 0, "100001\n"),
            row(format!("{}echo end", "true\n".repeat(12_500)), 0, "end\n"),
            row("\n\n  echo indented\n\n", 0, "indented\n"),
            row("echo 'two\nlines'", 0, "two\nlines\n"),
            row("echo a \\\n  b", 0, "a b\n"),
            row("echo \"it's \\\"quoted\\\"\"", 0, "it's \"quoted\"\n"),
            row("sh -c 'echo out; echo err >&2'", 0, "out\nerr\n"),
            row("echo a;echo b", 0, "a\nb\n"),
            row("seq 1 500 | tail -n 1", 0, "500\n"),
        ];
        if !fish {
            cases.extend([
                row("cat <<'EOF'\nline $x `y`\n\ttab\nEOF", 0, "line $x `y`\n\ttab\n"),
                row("cat <<EOF\nsum $((1 + 2))\nEOF\necho after", 0, "sum 3\nafter\n"),
                loose("cat <<EOF\nno terminator", Exit::Any, Output::Holds("no terminator")),
                row("echo going on", 0, "going on\n"),
                row("f() {\n  echo \"in $1\"\n}\nf function", 0, "in function\n"),
                row("case x in\n  x) echo matched ;;\nesac", 0, "matched\n"),
            ]);
        }
        cases
    });
}

#[test]
fn output_is_what_the_command_printed() {
    let wide = format!("{{\"items\":[{}],\"text\":\"ünï→日本\"}}", vec!["123456789"; 60].join(","));
    in_every_shell(|_| {
        vec![
            row("printf abc", 0, "abc"),
            row("echo next", 0, "next\n"),
            row("printf '\\033[1;31mred\\033[0m and \\033[4mplain\\033[24m\\n'", 0, "red and plain\n"),
            row("printf '10%%\\r50%%\\r100%%\\n'", 0, "100%\n"),
            row("printf 'downloading 10\\rdone\\033[K\\n'", 0, "done\n"),
            row("printf 'one\\ntwo\\n\\033[1A\\rTWO\\n'", 0, "one\nTWO\n"),
            row("printf 'abc\\b\\bX\\n'", 0, "aXc\n"),
            row("printf 'a\\377b\\n'", 0, "a\u{fffd}b\n"),
            row(
                "printf 'h\\303\\251llo \\342\\206\\222 \\346\\227\\245\\346\\234\\254\\n'",
                0,
                "héllo → 日本\n",
            ),
            row("printf '\\033]0;a title\\007text\\n'", 0, "text\n"),
            row("printf '\\n\\n'", 0, "\n\n"),
            row("printf '  spaces  \\n'", 0, "  spaces  \n"),
            row(format!("echo '{wide}'"), 0, format!("{wide}\n")),
            row("printf '%0200d\\n' 7", 0, format!("{}7\n", "0".repeat(199))),
        ]
    });
}

/// Callers parse what a command printed, however wide the line is.
#[test]
fn json_output_parses() {
    let document =
        json!({"list": (0..200).collect::<Vec<_>>(), "text": "a\\b \"c\" é 日本", "nested": {"x": null}});
    let scratch = Scratch::new("json");
    let file = scratch.path().join("document.json");
    std::fs::write(&file, document.to_string()).expect("the file can be written");
    let mut client = Client::start();
    for (shell, path) in shells() {
        let session = client.clean(&path);
        let outcome = client.run(&session, &format!("cat '{}'", file.display()));
        let parsed: Value = serde_json::from_str(outcome.output()).expect("the output is JSON");
        assert_eq!(parsed, document, "{shell}");
        assert_eq!(outcome.output(), document.to_string(), "{shell}");
    }
}

#[test]
fn nothing_that_is_printed_passes_for_a_mark() {
    in_every_shell(|shell| {
        let fish = shell == "fish";
        let dump = match shell {
            "fish" => "set; functions; false",
            "dash" => "set; echo \"$PS1\"; false",
            _ => "set; declare -f; echo \"$PS1\"; false",
        };
        vec![
            row("printf '\\033]133;D;0\\007'; false", 1, ""),
            row("printf '\\033]133;D;0;aid=0000;n=1\\007\\033]133;D;0\\033\\\\'; sh -c 'exit 5'", 5, ""),
            row("printf 'x\\033]133;C\\007y\\033]133;A\\007z\\n'", 0, "xyz\n"),
            loose(dump, Exit::Is(1), Output::Any),
            loose("head -c 60000 /bin/sh; printf '\\033P open'; false", Exit::Is(1), Output::Any),
            row("echo after binary junk", 0, "after binary junk\n"),
            loose(if fish { "env; false" } else { "env; set -o; false" }, Exit::Is(1), Output::Any),
            row("printf '\\033[?1049h\\033[2Jfull screen\\033[?1049l'; false", 1, ""),
            row("echo calm", 0, "calm\n"),
        ]
    });
}

/// The stream of a session, printed again in the same session, ends no command.
#[test]
fn a_replay_of_old_output_ends_nothing() {
    let scratch = Scratch::new("replay");
    let mut client = Client::start();
    for (shell, path) in shells() {
        let session = client.clean(&path);
        client.run(&session, "echo one; false");
        client.run(&session, "ls /");
        let raw = client.ok("session_output", json!({"sessionId": session, "mode": "raw"}));
        let file = scratch.path().join(shell);
        std::fs::write(&file, raw["output"].as_str().expect("raw output")).expect("the file can be written");
        let outcome = client.run(&session, &format!("cat '{}'; sh -c 'exit 6'", file.display()));
        assert_eq!(outcome.exit(), Some(6), "{shell}: {outcome:?}");
        assert!(outcome.output().contains("one\n"), "{shell}: {outcome:?}");
        assert_eq!(client.run(&session, "echo fine").output(), "fine\n", "{shell}");
    }
}

#[test]
fn killed_children_are_told_by_code_and_signal() {
    let mut client = Client::start();
    for (shell, path) in shells() {
        let session = client.clean(&path);
        for (signal, code, name) in
            [("KILL", 137, "SIGKILL"), ("TERM", 143, "SIGTERM"), ("SEGV", 139, "SIGSEGV")]
        {
            let outcome = client.run(&session, &format!("sh -c 'kill -{signal} $$'"));
            assert_eq!(outcome.exit(), Some(code), "{shell} {signal}: {outcome:?}");
            assert_eq!(outcome.structured["signal"], name, "{shell}: {outcome:?}");
            assert!(outcome.is_error && outcome.text.starts_with("command "), "{shell}: {outcome:?}");
        }
        assert_eq!(client.run(&session, "echo alive").output(), "alive\n", "{shell}");
    }
}

#[test]
fn the_shell_keeps_its_state() {
    in_every_shell(|shell| {
        let fish = shell == "fish";
        let by = |posix: &'static str, in_fish: &'static str| if fish { in_fish } else { posix };
        vec![
            row("cd /usr/lib", 0, ""),
            row("pwd", 0, "/usr/lib\n"),
            row(by("export KEPT=bar", "set -gx KEPT bar"), 0, ""),
            row("echo $KEPT; sh -c 'echo $KEPT'", 0, "bar\nbar\n"),
            row("alias zz='echo aliased'", 0, ""),
            row("zz again", 0, "aliased again\n"),
            row(by("f() { echo fn; return 3; }", "function f; echo fn; return 3; end"), 0, ""),
            row("f", 3, "fn\n"),
        ]
    });
}

#[test]
fn options_and_traps_of_the_user_are_tolerated() {
    let scratch = Scratch::new("options");
    let file = |shell: &str| scratch.path().join(shell).display().to_string();
    in_every_shell(|shell| {
        if shell == "fish" {
            return vec![
                loose("stty raw -echo; false", Exit::Is(1), Output::Any),
                loose("stty sane; echo sane", Exit::Is(0), Output::Holds("sane")),
                row("echo straight", 0, "straight\n"),
                row("function fish_prompt; echo noise; end; false", 1, ""),
                row("echo $status", 0, "1\n"),
                row(
                    "function fish_prompt; end; function fish_preexec --on-event fish_preexec; echo pre; end",
                    0,
                    "",
                ),
                row("echo hooked", 0, "hooked\n"),
            ];
        }
        let redirected = file(shell);
        let mut cases = vec![
            loose("set -x; echo hi; set +x", Exit::Is(0), Output::Holds("hi\n")),
            row("echo untraced", 0, "untraced\n"),
            loose("set -v; true; set +v", Exit::Is(0), Output::Any),
            row("set -u", 0, ""),
            row("echo under u", 0, "under u\n"),
            row("set +u", 0, ""),
            row("IFS=x", 0, ""),
            row("echo axb", 0, "axb\n"),
            row("unset IFS", 0, ""),
            row("set -f; set -C", 0, ""),
            row("echo noglob '*'", 0, "noglob *\n"),
            row("set +f; set +C", 0, ""),
            row(format!("exec 3>&1 >'{redirected}'"), 0, ""),
            row("echo to the file", 0, ""),
            row("exec >&3 3>&-", 0, ""),
            row(format!("cat '{redirected}'"), 0, "to the file\n"),
            row("trap 'echo usr1' USR1; kill -USR1 $$; trap - USR1", 0, "usr1\n"),
            loose("stty raw -echo; false", Exit::Is(1), Output::Any),
            loose("stty sane; echo sane", Exit::Is(0), Output::Holds("sane")),
            row("echo straight", 0, "straight\n"),
            row("unset PS1; echo without a prompt", 0, "without a prompt\n"),
            row("false", 1, ""),
        ];
        if shell == "bash" || shell == "zsh" {
            cases.extend([
                loose("trap 'true' DEBUG; trap 'echo on error' ERR; false", Exit::Is(1), Output::Any),
                loose("trap - DEBUG ERR", Exit::Is(0), Output::Any),
                row("echo untrapped", 0, "untrapped\n"),
                row("declare -A map; map[a]=1", 0, ""),
                row("echo ${map[a]}", 0, "1\n"),
            ]);
        }
        if shell == "bash" {
            cases.extend([
                row("PROMPT_COMMAND='echo from the hook'; PS1='% '; false", 1, ""),
                row("echo $?", 0, "1\n"),
                row("shopt -s extdebug; echo debugged; shopt -u extdebug", 0, "debugged\n"),
                row("set -o posix; echo posix; set +o posix", 0, "posix\n"),
            ]);
        }
        if shell == "zsh" {
            cases.extend([
                row("precmd() { echo from the hook }; false", 1, ""),
                row(
                    "setopt ksh_arrays sh_word_split; echo options; unsetopt ksh_arrays sh_word_split",
                    0,
                    "options\n",
                ),
            ]);
        }
        cases
    });
}

#[test]
fn a_background_child_does_not_hold_the_result() {
    in_every_shell(|_| {
        vec![
            loose("sleep 300 &", Exit::Is(0), Output::Any),
            row("echo now", 0, "now\n"),
            loose("sh -c 'sleep 300 & echo left one'", Exit::Is(0), Output::Is("left one\n".into())),
            row("echo later", 0, "later\n"),
        ]
    });
}
