//! The command line, as people use it.

use std::process::Output;

use serde_json::{Value, json};

use crate::support::{Scratch, marker, processes_with, program, until};

/// Runs the program in a home of its own.
fn run(home: &Scratch, arguments: &[&str]) -> (bool, String, String) {
    let output: Output = program(home.path()).args(arguments).output().expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_call_prints_its_result() {
    let home = Scratch::new("call");
    let (fine, out, errors) = run(&home, &["call", "session_list"]);
    let result: Value = serde_json::from_str(&out).expect("JSON");
    assert!(fine && result["total"] == 0 && errors.is_empty(), "{out} {errors}");
    let (fine, out, errors) =
        run(&home, &["call", "session_create", "{\"name\": \"mine\", \"profile\": \"clean\"}"]);
    let result: Value = serde_json::from_str(&out).expect("JSON");
    assert!(fine && result["name"] == "mine" && errors.is_empty(), "{out} {errors}");
    // It went down with its server, and stays on record.
    let (_, out, _) = run(&home, &["call", "session_list"]);
    let result: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(result["sessions"][0]["status"], "terminated", "{out}");
    assert!(home.path().join(".local/state/shellherd").is_dir());
}

#[test]
fn a_refused_call_prints_the_error() {
    let home = Scratch::new("refused");
    let (fine, out, _) = run(&home, &["call", "session_status", "{\"sessionId\": \"nobody\"}"]);
    let result: Value = serde_json::from_str(&out).expect("JSON");
    assert!(!fine && result["error"]["code"] == "session_not_found", "{out}");
    for wrong in [
        &["call", "sesion_list"][..],
        &["call", "session_list", "[]"],
        &["call", "session_list", "{"],
        &["call"],
    ] {
        let (fine, out, errors) = run(&home, wrong);
        assert!(!fine, "{wrong:?}: {out} {errors}");
        assert!(!out.is_empty() || !errors.is_empty(), "{wrong:?} is refused without a word");
    }
}

/// The README's first command, with a smaller job.
#[test]
fn calls_in_a_row_share_a_server() {
    let home = Scratch::new("row");
    let mark = marker();
    let command = json!({"sessionId": "build", "command": format!("sleep {mark} & echo built")}).to_string();
    let (fine, out, errors) = run(
        &home,
        &[
            "call",
            "session_create",
            "{\"name\": \"build\", \"profile\": \"clean\"}",
            "command_execute",
            &command,
        ],
    );
    assert!(fine && out.contains("built"), "{out} {errors}");
    until("nothing is left", || processes_with(&mark).is_empty());
}

#[test]
fn the_doctor_says_what_is_there() {
    let home = Scratch::new("doctor");
    let (fine, out, errors) = run(&home, &["doctor"]);
    assert!(fine, "{out} {errors}");
    for wanted in ["default shell /bin/bash", "a terminal can be opened", "limits are held by", "state in"] {
        assert!(out.contains(wanted), "no {wanted:?} in {out}");
    }
    let (fine, out, _) = run(&home, &["doctor", "--state-dir", "/proc/self/nowhere"]);
    assert!(!fine && out.contains("fail") && out.contains("--state-dir"), "{out}");
    let state = home.path().join("state");
    let directory = state.to_str().expect("a path");
    let (fine, _, errors) = run(&home, &["call", "--state-dir", directory, "session_list"]);
    assert!(fine, "{errors}");
    let (fine, out, errors) = run(&home, &["doctor", "--state-dir", directory]);
    assert!(fine && out.contains("state in"), "{out} {errors}");
    std::fs::write(state.join("shellherd.db"), "garbage".repeat(200)).expect("a file");
    let (fine, out, _) = run(&home, &["doctor", "--state-dir", directory]);
    assert!(!fine && out.contains("not a database") && out.contains("move it away"), "{out}");
    let (fine, out, _) = run(&home, &["doctor", "--shell", "no-such-shell"]);
    assert!(!fine && out.contains("no-such-shell"), "{out}");
    assert!(!home.path().join(".local").exists(), "looking changes nothing");
}

#[test]
fn unknown_flags_and_keys_are_refused_with_the_nearest() {
    let home = Scratch::new("flags");
    let (fine, _, errors) = run(&home, &["serve", "--state-dri", "x"]);
    assert!(!fine && errors.contains("--state-dir"), "{errors}");
    let (fine, _, errors) = run(&home, &["serv"]);
    assert!(!fine && errors.contains("serve"), "{errors}");
    let file = home.path().join("shellherd.toml");
    for (text, wanted) in [
        ("result-token = 5", "result-tokens"),
        ("rows = 0", "rows"),
        ("command-timeout = \"soon\"", "command-timeout"),
        ("rows = \"many\"", "shellherd.toml"),
        ("not toml", "shellherd.toml"),
    ] {
        std::fs::write(&file, text).expect("the file can be written");
        let path = file.display().to_string();
        let (fine, _, errors) = run(&home, &["call", "session_list", "--config", &path]);
        assert!(!fine && errors.contains(wanted), "{text}: {errors}");
    }
    let (fine, _, errors) = run(&home, &["call", "session_list", "--config", "/no/such/file.toml"]);
    assert!(!fine && errors.contains("/no/such/file.toml"), "{errors}");
}

#[test]
fn an_option_before_a_verb_is_refused_with_where_it_belongs() {
    let home = Scratch::new("home");
    let (ok, _, told) = run(&home, &["--rows", "9", "doctor"]);
    assert!(!ok);
    assert!(told.contains("options stand behind the verb"), "{told}");
}

#[test]
fn flags_beat_the_environment_which_beats_the_file() {
    let home = Scratch::new("sources");
    let configuration = home.path().join(".config/shellherd");
    std::fs::create_dir_all(&configuration).expect("a folder can be made");
    std::fs::write(configuration.join("shellherd.toml"), "rows = 31\ncols = 91\n")
        .expect("the file can be written");
    let size = |environment: &[(&str, &str)], flags: &[&str]| {
        let mut command = program(home.path());
        command.args([
            "call",
            "session_create",
            "{\"shell\": \"bash\", \"profile\": \"clean\", \"name\": \"sized\"}",
        ]);
        command.args(["command_execute", "{\"sessionId\": \"sized\", \"command\": \"stty size\"}"]);
        let output = command.args(flags).envs(environment.iter().copied()).output().expect("it runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(size(&[], &[]).contains("31 91"));
    assert!(size(&[("SHELLHERD_ROWS", "32")], &[]).contains("32 91"));
    assert!(size(&[("SHELLHERD_ROWS", "32")], &["--rows", "33"]).contains("33 91"));
}

#[test]
fn a_version_and_help_are_printed() {
    let home = Scratch::new("help");
    let (fine, out, _) = run(&home, &["--version"]);
    assert!(fine && out.starts_with("shellherd "), "{out}");
    let (fine, out, _) = run(&home, &["--help"]);
    for verb in ["serve", "call", "schemas", "doctor"] {
        assert!(fine && out.contains(verb), "{out}");
    }
    assert!(!out.contains("guard"), "the guard is nobody's business: {out}");
}
