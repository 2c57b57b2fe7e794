//! How much a yes may harm: the rules that fire, and the highest score among them.

use super::place::{self, Places, is_path, names};
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
    /// Whether not all of what is asked was seen.
    pub(super) is_cut: bool,
}

/// Words of a question that goes on with something, and what they tell of it, in any of their forms.
const WORDS: &[(&[&str], Rule)] = &[
    (&["overwrite", "overwritten", "rewrite", "replace"], Rule::Writes),
    (
        &[
            "delete",
            "deletion",
            "remove",
            "removal",
            "erase",
            "drop",
            "purge",
            "wipe",
            "kill",
            "destroy",
            "uninstall",
            "unlink",
            "truncate",
        ],
        Rule::Deletes,
    ),
    (&["download", "connect", "fetch", "upload"], Rule::Network),
    (&["install", "upgrade"], Rule::Installs),
    (&["discard", "revert", "reset"], Rule::Discards),
    (&["deploy", "deployment", "publish", "push", "production", "terraform"], Rule::Remote),
    (&["sudo", "administrator", "reboot", "shutdown"], Rule::Privilege),
];

/// Whether it is the word with an ending: `deletes`, `deleting`, `dropped`.
fn is_form(found: &str, word: &str) -> bool {
    let ending = |stem: &str| {
        found.strip_prefix(stem).is_some_and(|end| matches!(end, "" | "s" | "es" | "ed" | "ing"))
    };
    let doubled = word.chars().next_back().map(|last| format!("{word}{last}"));
    ending(word)
        || doubled.is_some_and(|stem| found != stem && ending(&stem))
        || word.strip_suffix('e').is_some_and(|stem| found != stem && ending(stem))
}

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
    Assessment { risk, rules: listed.collect(), protected, is_cut: question.is_cut }
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
        About::GoingOn => {}
    }
    if subject.about != About::Commands || !subject.is_headed {
        found.extend(by_words(question, &shown(question, subject, commands), places));
    }
    if question.is_cut {
        found.push((Rule::Hidden, "what is asked may begin above the screen".to_owned()));
    }
    for file in &subject.files {
        program::path(file, subject.about == About::Reading, places, &mut found);
    }
    if depends_on_command(question, subject, commands) {
        found.extend(running());
    } else {
        found.extend(running().filter(|(rule, _)| *rule == Rule::Privilege));
    }
    found
}

/// Whether the command that asks tells what it is about, since the question itself does not tell all.
fn depends_on_command(question: &Question, subject: &Subject, commands: &[&str]) -> bool {
    let is_unnamed = matches!(subject.about, About::Writing | About::Reading) && subject.files.is_empty();
    (!subject.is_headed || is_unnamed) && !is_of_file_tool(question, commands)
}

/// Whether `rm` or the like asks about the one file that it names: `rm: remove regular file 'a'?`.
fn is_of_file_tool(question: &Question, commands: &[&str]) -> bool {
    let name = |text: &str| text.rsplit('/').next().unwrap_or_default().to_owned();
    let runs = commands.last().and_then(|command| command.split_whitespace().next()).map(name);
    let asks = question.text.split_once(": ").map(|(program, _)| name(program));
    let is_tool =
        |name: &String| ["rm", "rmdir", "unlink", "cp", "mv", "ln", "install"].contains(&name.as_str());
    !question.is_menu
        && asks == runs
        && asks.as_ref().is_some_and(is_tool)
        && !place::quoted(&question.text).is_empty()
}

/// The lines that may say what it is about.
fn shown<'q>(question: &'q Question, subject: &Subject, commands: &[&str]) -> Vec<&'q str> {
    // Of a file that is to be written what an agent shows is what will stand in it.
    let is_content = subject.is_headed && subject.about == About::Writing && !subject.files.is_empty();
    if is_content || is_of_file_tool(question, commands) {
        return Vec::new();
    }
    let above = question.above.iter().filter(|_| !subject.is_headed);
    question.shown.iter().chain(above).map(String::as_str).collect()
}

fn by_words(question: &Question, shown: &[&str], places: &Places<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for line in shown.iter().copied().chain([question.text.as_str()]) {
        let lower = line.to_lowercase();
        for word in names(&lower) {
            let fired = WORDS.iter().filter(|(words, _)| words.iter().any(|known| is_form(word, known)));
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
    let running: &[&str] = if depends_on_command(question, subject, commands) { commands } else { &[] };
    let lines = subject.commands.iter().map(String::as_str).chain(running.iter().copied());
    let unnamed = lines.clone().flat_map(program::unnamed);
    // A name may have blanks.
    let files: Vec<String> = subject.files.iter().map(|file| format!("`{file}`")).collect();
    let mut texts = vec![question.text.as_str()];
    texts.extend(
        shown(question, subject, commands).into_iter().chain(files.iter().map(String::as_str)).chain(lines),
    );
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
        let shown: Vec<String> = shown.iter().map(|line| (*line).to_owned()).collect();
        let is_menu = shown
            .first()
            .is_some_and(|head: &String| head.starts_with(char::is_uppercase) && !text.ends_with([')', ':']));
        Question { text: text.to_owned(), shown, is_menu, yes: Some("y\r"), ..Question::default() }
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
            (&["The authenticity of host 'x'"], "Continue (yes/no)?", "ssh x", 8, "remote 8: ssh x"),
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

    fn asked(shown: &[&str], text: &str, is_menu: bool) -> Question {
        let above = shown.iter().map(|line| (*line).to_owned()).collect();
        Question { above, is_menu, ..question(shown, text) }
    }

    #[test]
    fn words_never_make_a_question_less_risky() {
        let risk = |shown: &[&str], text: &str, is_menu, command: &str| {
            assessed(&asked(shown, text, is_menu), &[command], &[]).risk
        };
        for head in [
            "Reading configuration...",
            "Ready to deploy",
            "Listing what will be deleted:",
            "Updated the plan",
        ] {
            assert!(risk(&[head], "Continue? [y/N]", false, "./x.sh") >= 5, "{head}");
            assert!(risk(&[head], "Continue?", true, "./x.sh") >= 5, "{head}");
        }
        for word in ["Deleting", "deploys", "wipe", "wiping", "dropped", "removes", "resetting", "purged"] {
            assert!(risk(&[], &format!("{word} a and overwrite b? [y/N]"), false, "read x") >= 6, "{word}");
            assert!(risk(&[word, "", "that was it"], "Continue? [y/N]", false, "read x") >= 6, "{word}");
        }
        assert_eq!(risk(&["Bash(rm -rf build)"], "Do you want to proceed?", true, "claude"), 8);
        assert_eq!(
            risk(&["Bash command", "ls", "", "rm -rf x"], "Do you want to proceed?", true, "claude"),
            8
        );
        assert_eq!(risk(&["Bash command", "rm \\", "-rf x"], "Do you want to proceed?", true, "claude"), 8);
        let aider = "Run shell command? (Y)es/(N)o [Yes]:";
        assert_eq!(risk(&["rm -rf x", "ls"], aider, false, "aider"), 8);
        let cut =
            Question { is_cut: true, ..asked(&["Bash command", "ls"], "Do you want to proceed?", true) };
        let found = assessed(&cut, &["claude"], &[]);
        assert!(found.is_cut && found.risk == 8, "{found:?}");
    }

    #[test]
    fn what_is_protected_is_looked_for_in_all_that_is_shown_and_runs() {
        let patterns = ["deploy_key".to_owned(), "my notes.txt".to_owned()];
        let is_found = |question: &Question, command: &str| {
            assessed(question, &[command], &patterns).protected.is_some()
        };
        let keygen = ["Generating public/private ed25519 key pair.", "deploy_key already exists."];
        assert!(is_found(&asked(&keygen, "Overwrite (y/n)?", false), "ssh-keygen -f x"));
        assert!(is_found(&asked(&keygen[..1], "Overwrite (y/n)?", false), "ssh-keygen -f deploy_key"));
        let far =
            Question { above: vec!["uses deploy_key".to_owned()], ..question(&["then"], "Continue? [y/N]") };
        assert!(is_found(&far, "./x.sh"));
        let edit = asked(&["Edit file", "my notes.txt", "1 + x"], "Do you want to make this edit?", true);
        assert!(is_found(&edit, "claude"));
        assert!(!is_found(&question(&[], "rm: remove regular file 'a'?"), "rm -i a deploy_key"));
        assert!(is_found(&question(&[], "rm: remove regular file 'a'?"), "./x.sh deploy_key"), "not by rm");
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
