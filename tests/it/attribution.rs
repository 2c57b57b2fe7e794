//! Thousands of commands over twenty sessions while faults hit them: each result is whole, and its own.

use std::collections::VecDeque;
use std::fmt::Write;

use serde_json::{Value, json};

use crate::support::{Client, Outcome, Random, shells};

const SESSIONS: usize = 20;
/// Commands that wait in a session at once.
const AHEAD: usize = 20;
/// Faults of a session that end its shell. Each recovery in a row waits twice as long as the one before.
const SHELLS_KILLED: usize = 5;

/// A command, and the only result that it may have.
struct Expected {
    text: String,
    settings: Value,
    output: String,
    exit: Option<i64>,
    reason: Option<&'static str>,
    /// What is done to it.
    fault: &'static str,
}

impl Expected {
    /// What says whose it is stands first and last, so that nothing of it can miss or be another's.
    fn any(random: &mut Random, tag: &str, shell: &str, shells_left: &mut usize) -> Self {
        let lines = random.below(40);
        let mut output = format!("begin {tag}\n");
        for line in 1..=lines {
            let _ = writeln!(output, "{line}");
        }
        let begin = format!("echo begin {tag}; seq 1 {lines}");
        let command = |fault, text: String, output: String, exit, reason| Self {
            text,
            settings: json!({}),
            output,
            exit,
            reason,
            fault,
        };
        match random.below(100) {
            0..=3 if *shells_left > 0 => {
                *shells_left -= 1;
                let text = format!("{begin}; kill -9 {}", if shell == "fish" { "$fish_pid" } else { "$$" });
                command("its shell is killed", text, output, Some(137), None)
            }
            0..=5 => command("it is killed", format!("{begin}; sh -c 'kill -9 $$'"), output, Some(137), None),
            6..=7 => {
                let text = format!("{begin}; sh -c 'trap \"\" INT; while :; do sleep 0.05; done'");
                let settings = json!({"timeout": 300, "onTimeout": "kill"});
                Self { settings, ..command("it hangs", text, output, None, Some("timeout")) }
            }
            8 => {
                let settings = json!({"resourceLimits": {"maxCpuTime": 100}});
                let text = format!("{begin}; sh -c 'while :; do :; done'");
                Self { settings, ..command("it spins", text, output, None, Some("cpu_limit")) }
            }
            _ => {
                let exit = i64::try_from(random.below(3)).expect("a small number");
                let text = format!("{begin}; echo end {tag}; sh -c 'exit {exit}'");
                command("none", text, format!("{output}end {tag}\n"), Some(exit), None)
            }
        }
    }

    fn check(&self, found: &Outcome) {
        let shown = format!("{}\n{found:?}", self.text);
        assert_eq!(found.structured["reason"].as_str(), self.reason, "{shown}");
        assert!(self.exit.is_none_or(|exit| found.exit() == Some(exit)), "{shown}");
        // What a shell says of a job that was killed follows what the command printed.
        let is_whole = if self.reason.is_some() || self.exit == Some(137) {
            found.output().starts_with(&self.output)
        } else {
            found.output() == self.output
        };
        assert!(is_whole, "{shown}");
    }
}

#[test]
fn no_result_is_lost_garbled_or_anothers() {
    let each = if std::env::var_os("SHELLHERD_LONG").is_some() { 500 } else { 30 };
    let mut random = Random(20);
    let mut client = Client::start();
    let known = shells();
    let sessions: Vec<String> = (0..SESSIONS)
        .map(|number| {
            let recovery = json!({"maxRetries": 20, "retryDelay": 10});
            let shell = &known[number % known.len()].1;
            client.session(json!({"shell": shell, "profile": "clean", "recovery": recovery}))
        })
        .collect();
    let mut shells_left = vec![SHELLS_KILLED; SESSIONS];
    let mut pending: VecDeque<(String, Expected)> = VecDeque::new();
    let mut faults = std::collections::BTreeMap::new();
    for number in 0..each {
        for ((session, left), (shell, _)) in sessions.iter().zip(&mut shells_left).zip(known.iter().cycle()) {
            let expected = Expected::any(&mut random, &format!("{session}-{number}"), shell, left);
            let mut arguments = expected.settings.clone();
            arguments["sessionId"] = json!(session);
            arguments["command"] = json!(expected.text);
            arguments["background"] = json!(true);
            pending.push_back((client.call("command_execute", arguments).command(), expected));
        }
        let ahead = if number + 1 == each { 0 } else { AHEAD * SESSIONS };
        while pending.len() > ahead {
            let (command, expected) = pending.pop_front().expect("there is one");
            expected.check(&client.ended(&command));
            *faults.entry(expected.fault).or_insert(0) += 1;
        }
    }
    println!("{} commands, faults: {faults:?}", each * SESSIONS);
    assert_eq!((faults.values().sum::<usize>(), faults.len()), (each * SESSIONS, 5), "{faults:?}");
}
