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
/// The options that leave these at the network.
const FETCHING: &str = "--all --prune --tags --depth --quiet --verbose --progress --rebase --ff-only --no-rebase --heads \
    --branch --single-branch --init --recursive";
const WRITES: &str = "add commit tag branch mv init";
/// What puts files where they lay, or changes them, without naming them.
const UNNAMED: &str = "switch merge rebase stash cherry-pick revert apply am worktree reset pull submodule";
/// Options, by how they begin, that name a program to run, or what names one.
const RUNNING: &[&str] = &["--exe", "--ext", "--upl", "--rece", "--open", "--config", "--tool", "--templ"];
/// Options, by how they begin, that throw work away.
const DISCARDING: &[&str] = &["--forc", "--hard", "--disc", "--abort", "--skip", "--quit"];

/// Where it works: each `-C` counts by itself.
pub(super) fn directories(words: &[String]) -> impl Iterator<Item = &str> {
    let named = words.windows(2).filter(|pair| pair[0] == "-C").map(|pair| pair[1].as_str());
    std::iter::once(".").chain(named)
}

pub(super) fn program(words: &[String], add: &mut impl FnMut(Rule)) {
    let mut rest = words;
    // What stands before the verb: a configuration, or where git's parts lie, can name programs to run.
    while let Some((option, after)) = rest.split_first().filter(|(word, _)| word.starts_with('-')) {
        rest = after;
        match option.as_str() {
            "-C" => rest = rest.get(1..).unwrap_or_default(),
            "--git-dir" | "--work-tree" | "--namespace" => {
                rest = rest.get(1..).unwrap_or_default();
                add(Rule::Hidden);
            }
            "--version" | "--help" => add(Rule::Reads),
            "-P" | "--no-pager" | "--no-optional-locks" => {}
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
    let forces = flag('f') || DISCARDING.iter().any(|prefix| begins(prefix));
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
            if forces || flag('d') || ["--del", "--mi", "--pru", "+", ":"].iter().any(|prefix| begins(prefix))
            {
                add(Rule::Destroys);
            }
        }
        // A checkout of a name may be one of a file.
        "clean" | "restore" | "checkout" => add(Rule::Discards),
        "branch" if flag('M') || flag('C') => add(Rule::Discards),
        _ if forces && (is_among(UNNAMED, verb) || is_among(WRITES, verb)) && verb != "add" => {
            add(Rule::Discards);
        }
        "config" => add(if has("--get") || has("--list") { Rule::Reads } else { Rule::Hidden }),
        "stash" if has("drop") || has("clear") => add(Rule::Discards),
        "rm" => add(Rule::Deletes),
        "branch" | "tag" if flag('D') || flag('d') || begins("--del") => add(Rule::Deletes),
        "worktree" if has("remove") || has("prune") => add(Rule::Deletes),
        _ if begins("--outp") => add(Rule::Writes),
        _ if is_among(READS, verb) => {
            let is_known = rest.iter().all(|word| is_harmless(word, LETTERS, READING));
            add(if is_known { Rule::Reads } else { Rule::Unknown });
        }
        _ if is_among(NETWORK, verb) => {
            add(Rule::Network);
            if !rest.iter().all(|word| is_harmless(word, "qvnpab", FETCHING)) {
                add(Rule::Hidden);
            }
            if is_among(UNNAMED, verb) {
                add(Rule::Unnamed);
            }
        }
        _ if is_among(UNNAMED, verb) => add(Rule::Unnamed),
        _ if is_among(WRITES, verb) => add(Rule::Writes),
        // It may be an alias, which runs whatever it stands for.
        _ => add(Rule::Hidden),
    }
}
