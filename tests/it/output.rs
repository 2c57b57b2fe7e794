//! Reading: text, screens and raw streams, cut down by cursors, ranges and patterns; logs; secrets.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Client, Flag, Scratch, installed, server, shells};

fn bash() -> (Client, String) {
    let mut client = Client::start();
    let session = client.clean("/bin/bash");
    (client, session)
}

#[test]
fn output_is_cut_down_as_asked() {
    let (mut client, session) = bash();
    let print = "for i in $(seq 1 100); do echo line $i; done; echo 'src/main.rs:3: error: broken'; echo warning: old";
    let id = client.run(&session, print).command();
    let mut read = |more: Value| {
        let mut arguments = json!({"sessionId": session, "commandId": id});
        arguments.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        client.ok("session_output", arguments)
    };
    let text = |reading: &Value| reading["output"].as_str().expect("output").to_owned();
    let whole = read(json!({}));
    assert_eq!((whole["totalLines"].as_u64(), text(&whole).lines().count()), (Some(102), 102), "{whole}");
    assert_eq!(text(&read(json!({"lines": 2}))).lines().count(), 2);
    assert_eq!(text(&read(json!({"range": "99-100"}))).trim_end(), "line 99\nline 100");
    assert_eq!(text(&read(json!({"grep": "^line .7$"}))).lines().count(), 9);
    let errors = text(&read(json!({"errorsOnly": true})));
    assert!(errors.contains("error: broken") && !errors.contains("line 5"), "{errors}");
    let after = read(json!({"since": whole["cursor"]}));
    assert_eq!(text(&after), "", "{after}");
    for wrong in
        [json!({"grep": "("}), json!({"range": "5-4"}), json!({"lines": 0}), json!({"mode": "screen"})]
    {
        let mut arguments = json!({"sessionId": session, "commandId": id});
        arguments.as_object_mut().expect("an object").extend(wrong.as_object().expect("an object").clone());
        assert_eq!(client.call("session_output", arguments).code(), "invalid_argument", "{wrong}");
    }
}

/// Nothing larger than the budget, nothing lost: what is left out is counted and can be fetched.
#[test]
fn what_is_left_out_is_counted_and_can_be_read() {
    let (mut client, session) = bash();
    let outcome = client.run(&session, "seq 1 20000");
    let result = &outcome.structured;
    assert_eq!(
        (&result["truncated"], &result["totalLines"]),
        (&json!(true), &json!(20_000)),
        "{}",
        result["output"]
    );
    assert!(outcome.text.len() < 60_000 && result.to_string().len() < 60_000);
    let shown = outcome.output();
    assert!(shown.starts_with("1\n2\n") && shown.ends_with("19999\n20000\n"), "{shown}");
    let omitted = result["omittedLines"].as_u64().expect("a count");
    let numbers = shown.lines().filter(|line| line.parse::<u64>().is_ok()).count() as u64;
    assert_eq!(numbers + omitted, 20_000);
    // Page by page, everything is there exactly once.
    let id = outcome.command();
    let (mut text, mut cursor) = (String::new(), 0);
    loop {
        let page =
            client.ok("session_output", json!({"sessionId": session, "commandId": id, "since": cursor}));
        text.push_str(page["output"].as_str().expect("output"));
        if page["truncated"] != true {
            break;
        }
        let next = page["cursor"].as_u64().expect("a cursor");
        assert!(next > cursor, "{page}");
        cursor = next;
    }
    assert_eq!(text, (1..=20_000).map(|n| format!("{n}\n")).collect::<String>());
}

#[test]
fn raw_output_tells_what_is_left_out() {
    let mut client = Client::start();
    let session = client.clean("/bin/bash");
    let id = client.run(&session, "seq 1 20000").command();
    let read = |since: Option<u64>| match since {
        None => json!({"sessionId": session, "commandId": id, "mode": "raw"}),
        Some(since) => json!({"sessionId": session, "commandId": id, "mode": "raw", "since": since}),
    };
    let last = client.ok("session_output", read(None));
    assert_eq!(last["truncated"], true, "{last}");
    assert!(last["output"].as_str().is_some_and(|output| output.ends_with("20000\r\n")), "{last}");
    let (mut text, mut since) = (String::new(), last["omittedFrom"].as_u64());
    while let Some(from) = since {
        let page = client.ok("session_output", read(Some(from)));
        text.push_str(page["output"].as_str().expect("a text"));
        since = page["omittedFrom"].as_u64();
        assert_eq!(page["truncated"] == true, since.is_some(), "{page}");
    }
    assert_eq!(text, (1..=20_000).map(|n| format!("{n}\r\n")).collect::<String>());
    let omitted = usize::try_from(last["omittedBytes"].as_u64().expect("a number")).expect("a size");
    assert_eq!(omitted + last["output"].as_str().map_or(0, str::len), text.len());
}

#[test]
fn raw_output_keeps_every_byte() {
    let (mut client, session) = bash();
    let id = client.run(&session, "printf '\\033[31mred\\033[0m\\r\\n'").command();
    let raw = client.ok("session_output", json!({"sessionId": session, "commandId": id, "mode": "raw"}));
    assert_eq!(raw["output"], "\u{1b}[31mred\u{1b}[0m\r\r\n", "{raw}");
    let id = client.run(&session, "printf 'a\\377b'").command();
    let raw = client.ok("session_output", json!({"sessionId": session, "commandId": id, "mode": "raw"}));
    assert_eq!((&raw["output"], &raw["outputBase64"]), (&json!(""), &json!("Yf9i")), "{raw}");
}

#[test]
fn a_reader_waits_for_output() {
    let scratch = Scratch::new("reader");
    let (mut client, session) = bash();
    let flag = Flag::in_(&scratch);
    let id = client
        .start_command(&session, &format!("echo before; {}; echo 'the word is: xyzzy'", flag.awaited()));
    let first = client.ok("session_output", json!({
        "sessionId": session, "wait": {"until": "match", "pattern": "^before$", "timeout": "50s"}, "since": 0,
    }));
    assert_ne!(first["timedOut"], true, "{first}");
    let wait = |until: Value| json!({"sessionId": session, "since": first["cursor"], "wait": until});
    let late = client.ok(
        "session_output",
        wait(json!({"until": "match", "pattern": "^the word is: xyzzy$", "timeout": 100})),
    );
    assert_eq!(late["timedOut"], true, "{late}");
    let pending = [
        client.send_call(
            "session_output",
            wait(json!({"until": "match", "pattern": "^the word is: xyzzy$", "timeout": "50s"})),
        ),
        client.send_call("session_output", wait(json!({"until": "exit", "timeout": "50s"}))),
        client.send_call("session_output", wait(json!({"until": "output", "timeout": "50s"}))),
    ];
    client.status(&session);
    flag.raise();
    for call in pending {
        let reading = client.outcome(call);
        assert!(reading.structured["timedOut"] != true, "{reading:?}");
        assert!(reading.output().contains("xyzzy"), "{reading:?}");
    }
    client.ended(&id);
}

/// With a progress token a wait may be long: only the end of the command can be why this one is short.
#[test]
fn a_wait_for_what_a_command_never_prints_ends_with_it() {
    let scratch = Scratch::new("reader");
    let (mut client, session) = bash();
    let flag = Flag::in_(&scratch);
    let id = client.start_command(&session, &format!("echo once; {}", flag.awaited()));
    let wait = json!({"until": "match", "pattern": "never", "timeout": "1h"});
    let arguments = json!({"sessionId": session, "commandId": id, "wait": wait});
    let params =
        json!({"name": "session_output", "arguments": arguments, "_meta": {"progressToken": "reading"}});
    let while_it_runs = client.send("tools/call", params.clone());
    client.status(&session);
    flag.raise();
    let afterwards = client.send("tools/call", params);
    for call in [while_it_runs, afterwards] {
        let reading = client.outcome(call);
        assert_eq!(reading.structured["timedOut"], true, "{reading:?}");
        assert_eq!(reading.output(), "once\n");
    }
}

#[test]
fn logs_show_output_and_events_in_order() {
    let (mut client, session) = bash();
    client.run(&session, "echo first words");
    client.run(&session, "sh -c 'echo last words; exit 3'");
    let log = client.ok("session_logs", json!({"sessionId": session}));
    let text = log["logs"].as_str().expect("logs");
    let place = |what: &str| text.find(what).unwrap_or_else(|| panic!("no {what} in {text}"));
    assert!(place("shell started") < place("first words"), "{text}");
    assert!(place("first words") < place("last words"), "{text}");
    assert!(place("last words") < place("exit code 3"), "{text}");
    let commands = client.ok("session_logs", json!({"sessionId": session, "kinds": ["command"]}));
    let entries = commands["entries"].as_array().expect("entries");
    assert!(entries.len() == 4 && entries.iter().all(|entry| entry["kind"] == "command"), "{commands}");
    assert!(!commands["logs"].as_str().expect("logs").contains("first words"), "{commands}");
    let short = client.ok("session_logs", json!({"sessionId": session, "lines": 1}));
    assert!(short["logs"].as_str().expect("logs").lines().count() == 1, "{short}");
}

#[test]
fn a_full_screen_program_is_shown_as_its_screen() {
    let scratch = Scratch::new("screen");
    let file = scratch.path().join("text");
    let lines: String = (1..=500).map(|n| format!("this is line {n}\n")).collect();
    std::fs::write(&file, lines).expect("the file can be written");
    if installed("less").is_none() {
        return;
    }
    let (mut client, session) = bash();
    let started = client.start_command(&session, &format!("less '{}'", file.display()));
    let screen = json!({"sessionId": session, "mode": "screen"});
    let shows = |client: &mut Client, wanted: &str| {
        let mut shown = Value::Null;
        crate::support::until(wanted, || {
            shown = client.ok("session_output", screen.clone());
            shown["output"].as_str().is_some_and(|output| output.contains(wanted))
        });
        shown
    };
    let shown = shows(&mut client, "this is line 1\n");
    assert_eq!((&shown["alternateScreen"], &shown["rows"]), (&json!(true), &json!(40)));
    assert!(shown["output"].as_str().expect("a screen").lines().count() <= 40, "{shown}");
    let status = client.status(&session);
    assert_eq!(
        (&status["status"], &status["foreground"]["name"]),
        (&json!("active"), &json!("less")),
        "{status}"
    );
    client.ok("session_input", json!({"sessionId": session, "keys": ["space"]}));
    shows(&mut client, "this is line 60\n");
    client.ok("session_input", json!({"sessionId": session, "text": "G"}));
    shows(&mut client, "this is line 500");
    client.ok("session_input", json!({"sessionId": session, "text": "q"}));
    assert_eq!(client.ended(&started).exit(), Some(0));
    let after = client.ok("session_output", screen.clone());
    assert_eq!(after.get("alternateScreen"), None, "{after}");
}

#[test]
fn an_editor_edits() {
    if installed("vi").is_none() {
        return;
    }
    let scratch = Scratch::new("editor");
    let file = scratch.path().join("edited");
    let (mut client, session) = bash();
    let started = client.start_command(&session, &format!("vi '{}'", file.display()));
    crate::support::until("the editor has the screen", || {
        client.ok("session_output", json!({"sessionId": session, "mode": "screen"}))["alternateScreen"]
            == true
    });
    client.ok("session_input", json!({"sessionId": session, "text": "iwritten by keys", "keys": ["esc"]}));
    client.ok("session_input", json!({"sessionId": session, "text": ":wq", "enter": true}));
    assert_eq!(client.ended(&started).exit(), Some(0));
    assert_eq!(std::fs::read_to_string(file).expect("the file was written"), "written by keys\n");
}

#[test]
fn a_screen_has_a_title_and_a_cursor() {
    let (mut client, session) = bash();
    let draw = "printf '\\033]0;my title\\007\\033[2J\\033[5;10Hhere'; sleep 300";
    client.start_command(&session, draw);
    let mut shown = Value::Null;
    crate::support::until("it is drawn", || {
        shown = client.ok("session_output", json!({"sessionId": session, "mode": "screen"}));
        // The echo of the command has the word as well.
        shown["cursorCol"] == 13
    });
    assert_eq!(
        (&shown["title"], &shown["cursorRow"], &shown["cursorCol"]),
        (&json!("my title"), &json!(4), &json!(13))
    );
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("the folder is readable").flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// Secrets stand neither in results nor in any file that the server keeps.
#[test]
fn secrets_are_kept_nowhere() {
    let scratch = Scratch::new("secrets");
    let state = scratch.path().join("state");
    let mut command = server(&state);
    command.arg("--redact").arg("hush-configured-hush").arg("--redact").arg("/hush-[0-9]{4,}/");
    let mut client = Client::connect(command, None);
    let (typed, variable, own) = ("s3cret-typed-in", "s3cret-in-the-env", "s3cret-of-one-command");
    let (configured, pattern) = ("hush-configured-hush", "hush-2468");
    let session =
        client.session(json!({"shell": "bash", "profile": "clean", "env": {"API_TOKEN": variable}}));
    let mut told = Vec::new();
    let asked = client.run(&session, "printf 'Password: '; read -s x; echo; echo \"echoed $x\"");
    assert_eq!(asked.structured["awaitingInput"], true, "{asked:?}");
    let input = json!({"sessionId": session, "text": typed, "enter": true, "secret": true});
    told.push(client.ok("session_input", input).to_string());
    told.push(format!("{:?}", client.ended(&asked.command())));
    told.push(format!("{:?}", client.run(&session, &format!("echo {configured} {pattern}"))));
    let halves = client.run(&session, "printf hush-2; sleep 0.3; echo 468, hush-24");
    assert!(halves.output().ends_with("[redacted], hush-24\n"), "{halves:?}");
    told.push(format!(
        "{:?}",
        client.call(
            "command_execute",
            json!({
                "sessionId": session, "command": "echo ${#MY_PASSWORD}", "env": {"MY_PASSWORD": own},
            })
        )
    ));
    told.extend(tell_of_what_was_typed(&mut client, &session, typed));
    told.push(client.ok("session_status", json!({"sessionId": session, "detailed": true})).to_string());
    told.push(client.ok("session_logs", json!({"sessionId": session})).to_string());
    told.push(client.ok("session_output", json!({"sessionId": session, "mode": "raw"})).to_string());
    told.push(client.ok("session_list", json!({})).to_string());
    told.extend(client.stderr());
    // The variable itself reaches the shell.
    let length = client.run(&session, "echo ${#API_TOKEN}");
    assert_eq!(length.output(), format!("{}\n", variable.len()), "{length:?}");
    let close = json!({"sessionId": session, "mode": "force", "reason": format!("{typed} was enough")});
    told.push(client.ok("session_close", close).to_string());
    told.push(client.ok("session_logs", json!({"sessionId": session})).to_string());
    let kept = |when: &str| {
        for file in files(&state) {
            let bytes = std::fs::read(&file).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            for secret in [typed, variable, own, configured, pattern] {
                assert!(!text.contains(secret), "{secret} stands in {} {when}", file.display());
            }
        }
    };
    kept("while it runs");
    client.hang_up();
    client.until_exit();
    told.extend(client.stderr());
    kept("after its end");
    for text in told {
        for secret in [typed, variable, own, configured, pattern] {
            assert!(!text.contains(secret), "{secret} was told: {text}");
        }
    }
}

#[test]
fn a_pattern_that_is_none_is_told_at_once() {
    let scratch = Scratch::new("pattern");
    let refused = server(scratch.path()).arg("--redact").arg("/(/").output().expect("it runs");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("/(/ is no pattern"), "{said}");
}

/// A shell names what it complains about by the file that the command is in: a caller knows no file.
#[test]
fn a_shell_complains_about_the_command_and_not_about_its_file() {
    let mut client = Client::start();
    let cases = [
        (
            "bash",
            "true\necho )",
            "bash: line 2: syntax error near unexpected token `)'\nbash: line 2: `echo )'\n",
        ),
        ("zsh", "nosuchcommand", "zsh:1: command not found: nosuchcommand\n"),
        ("dash", "nosuchcommand", "dash: 1: nosuchcommand: not found\n"),
        ("fish", "echo )", "fish (line 1): Unexpected ')' for unopened parenthesis\necho )\n     ^\n"),
    ];
    for (name, path) in shells() {
        let (_, command, said) = cases.iter().find(|(shell, ..)| *shell == name).expect("a case for each");
        let session = client.clean(&path);
        assert_eq!(client.run(&session, command).output(), *said, "{name}");
    }
    let session = client.clean("/bin/bash");
    assert_eq!(
        client.run(&session, "echo ${BASH_SOURCE[0]}; ls ${BASH_SOURCE[0]} | wc -l").output(),
        "command\n1\n"
    );
}

/// A secret that was typed comes back in every way that a caller has to name it; what was answered.
fn tell_of_what_was_typed(client: &mut Client, session: &str, typed: &str) -> Vec<String> {
    let mut told = Vec::new();
    let (half, rest) = typed.split_at(7);
    for command in [
        format!("echo {typed} | wc -c"),
        format!("printf {half}; sleep 0.4; echo {rest}"),
        format!("mkdir -p $HOME/{half}{rest}; cd $HOME/{half}\"\"{rest}; pwd"),
    ] {
        told.push(format!("{:?}", client.run(session, &command)));
        told.push(client.ok("session_status", json!({"sessionId": session})).to_string());
    }
    let update = json!({"sessionId": session, "name": typed, "metadata": {"a": {"b": [typed]}}});
    told.push(client.ok("session_update", update).to_string());
    // It is known to the session's next shell, too.
    told.push(client.ok("session_reset", json!({"sessionId": session})).to_string());
    let command = format!("cd; sleep 60 # {typed}");
    let sleep = json!({"sessionId": session, "command": command, "background": true});
    told.push(format!("{:?}", client.call("command_execute", sleep)));
    let refused = json!({"sessionId": session, "command": "true", "whenBusy": "error"});
    told.push(format!("{:?}", client.call("command_execute", refused)));
    told.push(client.ok("session_status", json!({"sessionId": session, "detailed": true})).to_string());
    client.ok("command_signal", json!({"sessionId": session, "signal": "SIGINT"}));
    let argument =
        json!({"sessionId": session, "command": format!("exec -a {typed} sleep 60"), "background": true});
    told.push(format!("{:?}", client.call("command_execute", argument)));
    told.push(client.ok("session_status", json!({"sessionId": session, "detailed": true})).to_string());
    client.ok("session_reset", json!({"sessionId": session}));
    told
}

/// Megabytes that end in the middle of a line of a segment on disk are searched once, beside other calls.
#[test]
fn a_search_through_megabytes_ends_and_delays_nobody() {
    let (mut client, session) = bash();
    client.run(&session, "head -c 5000000 /dev/zero | tr '\\0' x | fold -w 100; echo; echo needle");
    let wait =
        |pattern: &str, timeout: &str| json!({"until": "match", "pattern": pattern, "timeout": timeout});
    let missing = json!({"sessionId": session, "since": 0, "wait": wait("no such line", "2s"), "lines": 1});
    assert_eq!(client.ok("session_output", missing)["timedOut"], true);
    let found = json!({"sessionId": session, "since": 0, "wait": wait("^needle$", "50s"), "lines": 1});
    assert_eq!(client.ok("session_output", found)["timedOut"], Value::Null);
}

/// Whatever gave a secret away: a command's variables, a change of the session's, the keyboard.
#[test]
fn secrets_that_come_later_are_kept_out_too() {
    let (mut client, session) = bash();
    let given =
        json!({"sessionId": session, "command": "echo $API_TOKEN", "env": {"API_TOKEN": "of-the-command"}});
    assert_eq!(client.call("command_execute", given).output(), "[redacted]\n");
    client.ok("session_update", json!({"sessionId": session, "env": {"NEW_TOKEN": "of-the-session"}}));
    assert_eq!(client.run(&session, "echo $NEW_TOKEN").output(), "[redacted]\n");
    let asked = client.run(&session, "read -rs word; echo got $word!");
    assert_eq!(asked.structured["awaitingInput"], true, "{}", asked.text);
    let typed =
        json!({"sessionId": session, "text": "typed-in", "enter": true, "secret": true, "wait": "exit"});
    let answer = client.ok("session_input", typed);
    assert!(answer["output"].as_str().expect("output").contains("got [redacted]!"), "{answer}");
}

/// The middle of a long log: what failed is shown, what repeats is counted, and every line can be had.
#[test]
fn a_long_output_is_condensed_and_all_of_it_can_be_read() {
    let (mut client, session) = bash();
    let print = "for i in $(seq 1 6000); do echo \"job $i done in $((i * 7)) us\"; \
                 [ $i = 3000 ] && echo 'ledger.py:3: error: it does not balance'; done; (exit 3)";
    let outcome = client.run(&session, print);
    let result = &outcome.structured;
    assert_eq!((&result["exitCode"], &result["totalLines"]), (&json!(3), &json!(6_001)), "{result}");
    assert_eq!((&result["condensed"], &result["truncated"]), (&json!(true), &json!(true)), "{result}");
    let shown = outcome.output();
    assert!(shown.contains("error: it does not balance\njob 3001 done"), "{shown}");
    assert!(shown.contains("× \"job <n> done in <n> us\"]"), "{shown}");
    let number = |field: &str| result[field].as_u64().expect("a number");
    assert!(number("tokens") * 10 < number("rawTokens"), "{result}");
    let folds = shown.lines().filter(|line| line.starts_with("[lines ")).count() as u64;
    assert_eq!(shown.lines().count() as u64 - folds + number("omittedLines"), 6_001);

    let id = outcome.command();
    let mut read = |more: Value| {
        let mut arguments = json!({"sessionId": session, "commandId": id});
        arguments.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        client.call("session_output", arguments)
    };
    let range = read(json!({"range": "2998-3000"})).structured;
    assert_eq!(
        range["output"],
        "job 2998 done in 20986 us\njob 2999 done in 20993 us\njob 3000 done in 21000 us\n"
    );
    let after = read(json!({"since": number("omittedFrom")})).structured;
    assert!(
        after["output"].as_str().is_some_and(|text| text.starts_with("job 11 done in 77 us\n")),
        "{after}"
    );
    let off = read(json!({"condense": "off"})).structured;
    assert!(
        off["condensed"].is_null() && off["output"].as_str().is_some_and(|text| text.contains("[… ")),
        "{off}"
    );
    let less = read(json!({"condense": "aggressive"})).structured;
    assert!(less["tokens"].as_u64() < Some(number("tokens")), "{less}");
    assert_eq!(read(json!({"condense": "auto", "grep": "x"})).code(), "invalid_argument");
}

#[test]
fn data_and_short_output_are_never_condensed() {
    let (mut client, session) = bash();
    let json = "echo '['; for i in $(seq 1 3000); do echo \"{\\\"id\\\": $i},\"; done; echo '0]'";
    let diff = "printf '%s\n' 'diff --git a/x b/x' '--- a/x' '+++ b/x' '@@ -1,3000 +0,0 @@'; seq -f '-row %g' 1 3000";
    for print in [json, diff, "echo id,size,name; seq -f '%g,7,file' 1 6000", "seq 1 5"] {
        let arguments = json!({"sessionId": session, "command": print, "condense": "aggressive"});
        let result = client.ok("command_execute", arguments);
        assert!(result["condensed"].is_null(), "{result}");
    }
}
