//! What is installed with the program, and what tells others how to start it.

use std::collections::BTreeSet;
use std::process::Command;

use crate::support::{Scratch, program, shells};

/// What the program prints, in a home of its own.
fn printed(arguments: &[&str]) -> String {
    let home = Scratch::new("printed");
    let output = program(home.path()).args(arguments).output().expect("it runs");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// The long flags that a text names.
fn flags(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_lowercase() || c == '-';
    let words = text.split(|c| !is_name(c)).filter_map(|word| word.strip_prefix("--"));
    words.filter(|name| name.starts_with(char::is_alphabetic)).map(str::to_owned).collect()
}

/// Every verb of the program that is no secret.
const VERBS: [&str; 7] = ["serve", "call", "run", "schemas", "doctor", "completions", "man"];

fn all_flags() -> BTreeSet<String> {
    VERBS.iter().flat_map(|verb| flags(&printed(&[verb, "--help"]))).collect()
}

#[test]
fn completion_scripts_are_accepted_by_their_shells_and_know_every_flag() {
    let wanted = all_flags();
    assert!(wanted.len() > 20, "{wanted:?}");
    let installed = shells();
    for shell in ["bash", "zsh", "fish"] {
        let script = printed(&["completions", shell]);
        let missing: Vec<_> = wanted.iter().filter(|flag| !script.contains(flag.as_str())).collect();
        assert!(missing.is_empty(), "{shell}: {missing:?}");
        assert!(!script.contains("guard"), "{shell}: a hidden verb is offered");
        let Some((_, path)) = installed.iter().find(|(name, _)| *name == shell) else {
            println!("skipped: {shell} is not installed");
            continue;
        };
        let folder = Scratch::new("script");
        let file = folder.path().join("script");
        std::fs::write(&file, &script).expect("the script can be written");
        let output = Command::new(path).arg("-n").arg(&file).output().expect("the shell runs");
        assert!(output.status.success() && output.stderr.is_empty(), "{shell}: {output:?}");
    }
}

#[test]
fn bash_completes_a_flag_of_a_verb() {
    let script = printed(&["completions", "bash"]);
    let ask = "COMP_WORDS=(shellherd run --dry); COMP_CWORD=2; _shellherd shellherd --dry run; echo \"${COMPREPLY[@]}\"";
    let output = Command::new("bash").arg("-c").arg(format!("{script}\n{ask}")).output().expect("bash runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "--dry-run", "{output:?}");
}

#[test]
fn the_manual_page_names_every_verb_and_flag() {
    let page = printed(&["man"]).replace("\\-", "-");
    assert!(page.lines().any(|line| line.starts_with(".TH shellherd 1")), "{page}");
    let named = flags(&page);
    let missing: Vec<_> = all_flags().into_iter().filter(|flag| !named.contains(flag)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    for verb in VERBS {
        assert!(page.lines().any(|line| line == format!("\\fB{verb}\\fR")), "no {verb}: {page}");
    }
}
