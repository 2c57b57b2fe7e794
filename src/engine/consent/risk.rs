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
    (&["permission", "import", "mcp"], Rule::Trusts),
    (&["password", "passphrase", "credential", "token"], Rule::Credentials),
    // A yes to these is a no.
    (&["abort", "cancel"], Rule::Discards),
];
/// Words of a question that runs what it does not show.
const RUNNING: &[&str] = &["run", "execute", "launch", "command"];

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
            // A row may go on with the one above.
            let shown = subject.commands.iter().chain(&subject.joined);
            found.extend(shown.flat_map(|command| judge(command, places)));
            if subject.commands.is_empty() {
                found.push((Rule::Hidden, "the command is not shown".to_owned()));
            }
        }
        About::Deleting => found.push((Rule::Deletes, question.text.clone())),
        About::Writing => found.extend(subject.files.iter().map(|file| (Rule::Writes, file.clone()))),
        About::Reading => {
            found.push((if subject.is_more { Rule::Unknown } else { Rule::Reads }, question.text.clone()));
        }
        About::Fetching => found.push((Rule::Network, question.text.clone())),
        About::Trusting => found.push((Rule::Trusts, question.text.clone())),
        About::HostKey => {
            found.push((Rule::HostKey, question.text.clone()));
            found.push((Rule::Network, question.text.clone()));
        }
        About::GoingOn => {
            let lower = question.text.to_lowercase();
            let word = words(&lower).find(|word| RUNNING.iter().any(|known| is_form(word, known)));
            found.extend(word.map(|word| (Rule::Hidden, word.to_owned())));
        }
    }
    let is_command = subject.about == About::Commands && subject.is_headed;
    let context = if is_command { Vec::new() } else { shown(question, subject, commands) };
    found.extend(by_words(question, &context, places));
    let does_not_show = |c: char| matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    if question.shown.iter().chain([&question.text]).any(|line| line.contains(does_not_show)) {
        found.push((Rule::Hidden, "it has characters that do not show".to_owned()));
    }
    if question.is_cut {
        found.push((Rule::Hidden, "what is asked may begin above the screen".to_owned()));
    }
    for file in &subject.files {
        program::path(file, subject.about == About::Reading, places, &mut found);
    }
    if depends_on_command(question, subject, commands) {
        found.extend(running());
        // A program of a known name that never asks is another one of that name.
        if file_tool(question, commands).is_none()
            && !commands.last().is_some_and(|command| program::asks(command))
        {
            found.push((Rule::Unknown, "what asks is not known to".to_owned()));
        }
    } else {
        found.extend(running().filter(|(rule, _)| *rule == Rule::Privilege));
    }
    found
}

/// Whether the command that asks tells what it is about, since the question itself does not tell all.
fn depends_on_command(question: &Question, subject: &Subject, commands: &[&str]) -> bool {
    let is_unnamed = matches!(subject.about, About::Writing | About::Reading) && subject.files.is_empty();
    (!subject.is_headed || is_unnamed) && !names_all(question, commands)
}

/// Whether the question names all that a yes touches: with `rm` it does, while `mv` takes something away, too.
fn names_all(question: &Question, commands: &[&str]) -> bool {
    file_tool(question, commands).is_some_and(|tool| ["rm", "rmdir", "unlink"].contains(&tool.as_str()))
}

/// The program that asks about the one file which the question names: `rm: remove regular file 'a'?`
fn file_tool(question: &Question, commands: &[&str]) -> Option<String> {
    let name = |text: &str| text.rsplit('/').next().unwrap_or_default().to_owned();
    let runs = commands.last().and_then(|command| command.split_whitespace().next()).map(name);
    let asks = question.text.split_once(": ").map(|(program, _)| name(program));
    let is_tool =
        |name: &String| ["rm", "rmdir", "unlink", "cp", "mv", "ln", "install"].contains(&name.as_str());
    let names_file = !question.is_menu && !place::quoted(&question.text).is_empty();
    asks.filter(|asks| names_file && runs.as_ref() == Some(asks) && is_tool(asks))
}

/// The words of a line, those of a name with `_`, too.
fn words(lower: &str) -> impl Iterator<Item = &str> {
    lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// The lines that may say what it is about.
fn shown<'q>(question: &'q Question, subject: &Subject, commands: &[&str]) -> Vec<&'q str> {
    // Of a file that is to be written what an agent shows is what will stand in it.
    let is_content = subject.is_headed && subject.about == About::Writing && !subject.files.is_empty();
    if is_content || names_all(question, commands) {
        return Vec::new();
    }
    let above = question.above.iter().filter(|_| !subject.is_headed);
    question.shown.iter().chain(above).map(String::as_str).collect()
}

fn by_words(question: &Question, shown: &[&str], places: &Places<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for line in shown.iter().copied().chain([question.text.as_str()]) {
        let lower = line.to_lowercase();
        for word in words(&lower) {
            let fired = WORDS.iter().filter(|(words, _)| words.iter().any(|known| is_form(word, known)));
            found.extend(fired.map(|(_, rule)| (*rule, word.to_owned())));
        }
    }
    let lines = shown
        .iter()
        .copied()
        .filter(|line| !question.is_menu && question.shown.iter().any(|shown| shown == line));
    let named = lines.chain([question.text.as_str()]).flat_map(names);
    for word in named.filter(|word| is_path(word) && word.len() > 1) {
        // The choices are none: y/n
        if word.starts_with(['/', '~', '.']) && !word.starts_with("//") {
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
    let shown_commands = subject.commands.iter().chain(&subject.joined).map(String::as_str);
    let lines: Vec<&str> = shown_commands.chain(running.iter().copied()).collect();
    // A name may have blanks, or be quoted in a way of its own.
    let named = lines.iter().flat_map(|line| program::named(line)).chain(subject.files.iter().cloned());
    let named: Vec<String> = named.map(|name| format!("`{name}`")).collect();
    let mut texts = vec![question.text.as_str()];
    texts.extend(shown(question, subject, commands));
    texts.extend(named.iter().map(String::as_str));
    for line in lines {
        texts.push(line);
        for files in program::unnamed(line) {
            texts.push(files);
        }
    }
    let (name, pattern) = texts.into_iter().find_map(|text| places.protected(text))?;
    Some(if name == pattern { name.to_owned() } else { format!("{name} by {pattern}") })
}

#[cfg(test)]
mod tests;
