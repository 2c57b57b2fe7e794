//! What git would do.

use super::reader::is_harmless;
use super::{Rule, is_among};

/// What it only shows by.
const READS: &str = "status log diff show blame ls-files rev-parse describe grep shortlog";
/// The options that leave it at that; of the letters only `-O` does not, which runs a program.
const READING: &str = "--oneline --stat --short --porcelain --branch --cached --staged --name-only --name-status --graph --all \
    --decorate --pretty --format --patch --no-patch --color --no-color --follow --since --until --author --grep --max-count \
    --abbrev-commit --show-toplevel --abbrev-ref --verify --tags --long --always --dirty --others --exclude-standard \
    --modified --deleted --stage --ignored --untracked-files --numstat --shortstat --summary --word-diff --unified --merges \
    --no-merges --first-parent --reverse --date --line-number --ignore-case --count --files-with-matches --word-regexp \
    --check --diff-filter --exit-code --quiet --numbered --email --raw --git-dir --is-inside-work-tree";
const LETTERS: &str = "ABCDEFGHIKLMNPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const NETWORK: &str = "clone fetch pull ls-remote submodule remote";
const WRITES: &str =
    "add commit switch checkout merge rebase tag branch stash mv init cherry-pick revert apply am worktree";
/// Options, by how they begin, that name a program to run.
const RUNNING: &[&str] = &["--exe", "--ext", "--upl", "--rece", "--open", "--config", "--tool"];

pub(super) fn program(words: &[String], add: &mut impl FnMut(Rule)) {
    let mut rest = words;
    // What stands before the verb: a configuration, or where git's parts lie, can name programs to run.
    while let Some((option, after)) = rest.split_first().filter(|(word, _)| word.starts_with('-')) {
        rest = after;
        match option.as_str() {
            "-C" | "--git-dir" | "--work-tree" | "--namespace" => rest = rest.get(1..).unwrap_or_default(),
            "--version" | "--help" => add(Rule::Reads),
            "-P" | "--no-pager" | "--no-optional-locks" => {}
            _ if option.starts_with("--git-dir=") || option.starts_with("--work-tree=") => {}
            _ => add(Rule::Hidden),
        }
    }
    let Some((verb, rest)) = rest.split_first() else { return };
    let verb = verb.as_str();
    let has =
        |option: &str| rest.iter().any(|word| word == option || word.starts_with(&format!("{option}=")));
    let flag = |letter: char| {
        rest.iter().any(|word| word.starts_with('-') && !word.starts_with("--") && word.contains(letter))
    };
    let begins = |prefix: &str| rest.iter().any(|word| word.starts_with(prefix));
    let forces = begins("--forc") || flag('f') || begins("--hard");
    let runs = RUNNING.iter().any(|prefix| begins(prefix))
        || verb == "grep" && flag('O')
        || matches!(verb, "rebase" | "difftool") && flag('x')
        || verb == "submodule" && has("foreach");
    if runs {
        add(Rule::Hidden);
    }
    match verb {
        "push" => {
            add(Rule::Remote);
            if forces || flag('d') || begins("--del") || begins("--mirror") || begins("+") || begins(":") {
                add(Rule::Destroys);
            }
        }
        "clean" | "restore" => add(Rule::Discards),
        "reset" => add(if forces { Rule::Discards } else { Rule::Writes }),
        "checkout" | "switch" if forces || has("--") || has(".") => add(Rule::Discards),
        "stash" if has("drop") || has("clear") => add(Rule::Discards),
        "rm" => add(Rule::Deletes),
        "branch" | "tag" if flag('D') || flag('d') || begins("--del") => add(Rule::Deletes),
        "worktree" if has("remove") || has("prune") => add(Rule::Deletes),
        _ if begins("--outp") => add(Rule::Writes),
        _ if is_among(READS, verb) => {
            let is_known = rest.iter().all(|word| is_harmless(word, LETTERS, READING));
            add(if is_known { Rule::Reads } else { Rule::Unknown });
        }
        _ if is_among(NETWORK, verb) => add(Rule::Network),
        _ if is_among(WRITES, verb) => add(Rule::Writes),
        _ => add(Rule::Unknown),
    }
}
