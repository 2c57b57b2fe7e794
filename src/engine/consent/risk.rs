//! How much a yes may harm: the rules that fire, and the highest score among them.

use super::place::{Places, is_path, names};
use super::program::{self, Finding, judge};
use super::rule::Rule;
use super::subject::{self, About, Question, Subject};

/// Rules that an event lists.
const LISTED: usize = 8;
/// Characters of what a rule was found by.
const DETAIL: usize = 60;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Assessment {
    /// From 0 to 10.
    pub(super) risk: u8,
    /// The rules that fired, the highest first, each with its score and what it was found by.
    pub(super) rules: Vec<String>,
    /// What is touched that is protected.
    pub(super) protected: Option<String>,
}

/// Words of a question that goes on with something, and what they tell of it.
const WORDS: &[(&[&str], Rule)] = &[
    (&["overwrite", "overwritten", "rewrite", "replace"], Rule::Writes),
    (
        &["delete", "deleted", "remove", "removed", "erase", "drop", "purge", "wipe", "kill", "destroy"],
        Rule::Deletes,
    ),
    (&["download", "downloaded", "connect", "fetch", "upload"], Rule::Network),
    (&["install", "installed", "installing", "upgrade", "upgraded"], Rule::Installs),
    (&["discard", "revert", "reset"], Rule::Discards),
    (&["deploy", "publish", "push", "production", "terraform"], Rule::Remote),
    (&["sudo", "administrator", "reboot", "shutdown"], Rule::Privilege),
];

/// What a yes to a question may do. `commands`: those that run while it is asked.
pub(super) fn assess(question: &Question, commands: &[&str], places: &Places<'_>) -> Assessment {
    let subject = subject::of(question);
    let mut found = by_subject(question, &subject, commands, places);
    if question.yes.is_none() {
        found.push((Rule::Secret, question.text.clone()));
    }
    if found.is_empty() {
        found.push((Rule::Unknown, "nothing tells what it does".to_owned()));
    }
    let protected = protected(question, &subject, commands, places).or_else(|| {
        let sweeping = found.iter().find(|(rule, _)| rule.sweeps() && !places.protected.is_empty())?;
        Some(format!("{} may take what is protected along", sweeping.1))
    });
    found.extend(protected.clone().map(|what| (Rule::Protected, what)));
    found.sort_by_key(|(rule, _)| (std::cmp::Reverse(rule.score()), *rule));
    found.dedup();
    let risk = found.first().map_or(0, |(rule, _)| rule.score());
    let listed = found.iter().take(LISTED).map(|(rule, detail)| {
        let detail: String = detail.chars().take(DETAIL).collect();
        format!("{} {}: {detail}", rule.as_str(), rule.score())
    });
    Assessment { risk, rules: listed.collect(), protected }
}

fn by_subject(
    question: &Question,
    subject: &Subject,
    commands: &[&str],
    places: &Places<'_>,
) -> Vec<Finding> {
    let running = || commands.iter().flat_map(|command| judge(command, places));
    let mut found = Vec::new();
    match subject.about {
        About::Commands => {
            found.extend(subject.commands.iter().flat_map(|command| judge(command, places)));
        }
        About::Deleting => found.push((Rule::Deletes, question.text.clone())),
        About::Writing => found.extend(subject.files.iter().map(|file| (Rule::Writes, file.clone()))),
        About::Reading => found.push((Rule::Reads, question.text.clone())),
        About::Fetching => found.push((Rule::Network, question.text.clone())),
        About::Trusting => found.push((Rule::Trusts, question.text.clone())),
        About::HostKey => {
            found.push((Rule::HostKey, question.text.clone()));
            found.push((Rule::Network, question.text.clone()));
        }
        About::GoingOn => found.extend(by_words(question, places)),
    }
    for file in &subject.files {
        program::path(file, subject.about == About::Reading, places, &mut found);
    }
    if depends_on_command(subject) {
        found.extend(running());
    } else {
        found.extend(running().filter(|(rule, _)| *rule == Rule::Privilege));
    }
    found
}

/// Whether only the command that asks tells what it is about.
fn depends_on_command(subject: &Subject) -> bool {
    match subject.about {
        About::GoingOn => true,
        About::Deleting | About::Writing => subject.files.is_empty(),
        About::Commands | About::Reading | About::Fetching | About::Trusting | About::HostKey => false,
    }
}

fn by_words(question: &Question, places: &Places<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for line in question.shown.iter().chain([&question.text]) {
        let lower = line.to_lowercase();
        for word in names(&lower) {
            let fired = WORDS.iter().filter(|(words, _)| words.contains(&word));
            found.extend(fired.map(|(_, rule)| (*rule, word.to_owned())));
        }
    }
    for word in names(&question.text).filter(|word| is_path(word) && word.len() > 1) {
        // The choices are none: y/n
        if word.starts_with(['/', '~', '.']) {
            program::path(word, false, places, &mut found);
        }
    }
    found
}

/// What is protected among all that is named, by the question or by what it is about.
fn protected(
    question: &Question,
    subject: &Subject,
    commands: &[&str],
    places: &Places<'_>,
) -> Option<String> {
    if places.protected.is_empty() {
        return None;
    }
    // Of a file that is to be written what is shown is what will stand in it.
    let is_shown = subject.about != About::Writing || subject.files.is_empty();
    let shown = question.shown.iter().filter(|_| is_shown).map(String::as_str);
    let running: &[&str] = if depends_on_command(subject) { commands } else { &[] };
    let lines = subject.commands.iter().map(String::as_str).chain(running.iter().copied());
    let unnamed = lines.clone().flat_map(program::unnamed);
    let files = subject.files.iter().map(String::as_str);
    let mut texts = vec![question.text.as_str()];
    texts.extend(shown.chain(files).chain(lines));
    for files in unnamed {
        texts.push(files);
    }
    let (name, pattern) = texts.into_iter().find_map(|text| places.protected(text))?;
    Some(if name == pattern { name.to_owned() } else { format!("{name} by {pattern}") })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    fn question(shown: &[&str], text: &str) -> Question {
        let shown = shown.iter().map(|line| (*line).to_owned()).collect();
        Question { text: text.to_owned(), shown, yes: Some("y\r") }
    }

    fn assessed(question: &Question, commands: &[&str], protected: &[String]) -> Assessment {
        let root = Path::new("/home/u/p");
        assess(question, commands, &Places { root, directory: root, protected })
    }

    #[test]
    fn a_risk_is_explained() {
        let check = |shown: &[&str], text: &str, command: &str| {
            let Assessment { risk, rules, .. } = assessed(&question(shown, text), &[command], &[]);
            (risk, rules.first().cloned().unwrap_or_default())
        };
        for (shown, text, command, risk, first) in [
            (
                &[][..],
                "rm: remove regular file 'a'?",
                "rm -i a",
                6,
                "deletes 6: rm: remove regular file 'a'?",
            ),
            (&[], "rm: remove regular file '../a'?", "rm -i ../a", 7, "outside 7: ../a"),
            (&[], "rm: remove regular file '/etc/a'?", "x", 9, "system 9: /etc/a"),
            (&[], "cp: overwrite 'a'?", "cp -i b a", 3, "writes inside 3: a"),
            (&[], "cp: overwrite 'a'?", "sudo cp -i b a", 8, "privilege 8: sudo"),
            (&[], "cp: overwrite '.env'?", "cp -i b .env", 9, "credentials 9: .env"),
            (&[], "Continue? [y/N]", "./x.sh", 5, "unknown 5: ./x.sh"),
            (&[], "Continue? [y/N]", "", 5, "unknown 5: nothing tells what it does"),
            (&[], "Continue? [y/N]", "read -p 'Continue? [y/N] ' x", 1, "reads 1: read"),
            (&[], "Delete everything? [y/N]", "read x", 6, "deletes 6: Delete everything? [y/N]"),
            (&[], "Write to /etc/hosts? [y/N]", "./x.sh", 9, "system 9: /etc/hosts"),
            (&["Would remove:", "  /x"], "Proceed (Y/n)?", "pip uninstall x", 6, "deletes 6: remove"),
            (
                &["Need to install the following packages:", "cowsay"],
                "Ok to proceed? (y)",
                "npx cowsay",
                6,
                "installs 6: install",
            ),
            (&[], "Do you want to continue? [Y/n]", "apt-get install x", 8, "privilege 8: apt-get install"),
            (
                &["Only 'yes' will be accepted"],
                "Enter a value:",
                "terraform apply",
                8,
                "remote 8: terraform apply",
            ),
            (
                &["key already exists."],
                "Overwrite (y/n)?",
                "ssh-keygen -f key",
                9,
                "credentials 9: ssh-keygen key",
            ),
            (
                &["The authenticity of host 'x'"],
                "Continue (yes/no)?",
                "ssh x",
                8,
                "host key 8: Continue (yes/no)?",
            ),
            (
                &["Bash command", "ls -la", "List all files"],
                "Do you want to proceed?",
                "claude",
                1,
                "reads 1: ls",
            ),
            (
                &["Bash command", "rm -rf x"],
                "Do you want to proceed?",
                "claude",
                8,
                "deletes recursively 8: rm x",
            ),
            (
                &["Read file", "/etc/hosts"],
                "Do you want to proceed?",
                "claude",
                2,
                "reads outside 2: /etc/hosts",
            ),
            (&["Fetch", "https://x.y"], "Fetch this content?", "claude", 6, "network 6: Fetch this content?"),
            (&[], "Do you trust the files here?", "claude", 7, "trusts 7: Do you trust the files here?"),
        ] {
            assert_eq!(check(shown, text, command), (risk, first.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_protected_is_of_the_highest_risk() {
        let check = |shown: &[&str], text: &str, command: &str| {
            let patterns = ["package.json".to_owned(), "*.env".to_owned()];
            let found = assessed(&question(shown, text), &[command], &patterns);
            assert_eq!(found.protected.is_some(), found.risk == 10, "{found:?}");
            found.protected
        };
        let rm = "rm -i a package.json";
        assert_eq!(
            check(&[], "rm: remove regular file 'package.json'?", rm).as_deref(),
            Some("package.json")
        );
        assert_eq!(check(&[], "rm: remove regular file 'a'?", rm), None, "only one of them is asked about");
        assert!(check(&[], "Continue? [y/N]", rm).is_some());
        assert!(check(&[], "Ok to proceed? (y)", "npm install x").is_some(), "npm does not name it");
        assert!(check(&["Bash command", "rm -rf ."], "Do you want to proceed?", "claude").is_some());
        assert!(
            check(&["Edit file", "web/package.json"], "Do you want to make this edit?", "claude").is_some()
        );
        assert_eq!(
            check(&["Edit file", "a.rs", "", "+ package.json"], "Make this edit to a.rs?", "claude"),
            None
        );
    }

    proptest! {
        /// Protecting more never makes a yes less risky.
        #[test]
        fn risk_is_monotone_in_what_is_protected(
            text in "[a-z /.'?~-]{0,40}", shown in "[a-z /.'-]{0,30}", command in "[a-z /.;|-]{0,40}",
            patterns in prop::collection::vec("[a-z*./]{1,8}", 0..4), more in "[a-z*./]{1,8}",
        ) {
            let question = question(&[&shown], &text);
            let fewer = assessed(&question, &[&command], &patterns);
            let all: Vec<String> = patterns.iter().cloned().chain([more]).collect();
            let more = assessed(&question, &[&command], &all);
            prop_assert!(more.risk >= fewer.risk, "{fewer:?} {more:?}");
            prop_assert!(more.protected.is_some() || fewer.protected.is_none());
            prop_assert!(fewer.risk <= 10 && !fewer.rules.is_empty());
        }
    }
}
