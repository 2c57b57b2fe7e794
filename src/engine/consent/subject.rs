//! What a question is about: a file, a command, a host; from its words and from what is shown with it.

use super::place::{names, quoted};

/// A question, as it stood on the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What is asked, in one line.
    pub text: String,
    /// The lines above it that belong to it.
    pub shown: Vec<String>,
    /// What types a yes; none where a secret is asked for.
    pub yes: Option<&'static str>,
}

/// What a yes would allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// Commands, which are shown.
    Commands,
    /// To delete files.
    Deleting,
    /// To write files.
    Writing,
    /// To look at files.
    Reading,
    /// To fetch something.
    Fetching,
    /// To trust a program or a directory from now on.
    Trusting,
    /// To trust a host.
    HostKey,
    /// Whatever the program that asks goes on with.
    GoingOn,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) about: About,
    /// Files that it names.
    pub(super) files: Vec<String>,
    /// Command lines that it shows.
    pub(super) commands: Vec<String>,
}

const DELETING: &[&str] = &["remove", "delete", "descend into", "unlink", "erase", "uninstall"];
const WRITING: &[&str] = &[
    "overwrite",
    "replace",
    "this edit",
    "these edits",
    "following edits",
    "create ",
    "this change",
    "these changes",
    "write to",
    "save ",
    "stage this",
];

/// What is no path though it has slashes.
const CHOICES: &[&str] = &["y", "n", "yes", "no", "all", "a", "q", ""];

/// What a question is about.
pub(super) fn of(question: &Question) -> Subject {
    let lower = question.text.to_lowercase();
    let head =
        question.shown.iter().map(|line| line.trim()).find(|line| !line.is_empty()).unwrap_or_default();
    let head = head.trim_start_matches(['?', ' ']);
    let header = head.to_lowercase();
    let about = about(question, &lower, &header);
    let commands = if about == About::Commands { commands(question, &lower) } else { Vec::new() };
    let files = match about {
        About::Deleting | About::Writing | About::Reading => files(question, head),
        About::Commands | About::Fetching | About::Trusting | About::HostKey | About::GoingOn => Vec::new(),
    };
    Subject { about, files, commands }
}

fn about(question: &Question, lower: &str, header: &str) -> About {
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let is_headed = |words: &[&str]| words.iter().any(|word| header.starts_with(word));
    let shows = |word: &str| question.shown.iter().any(|line| line.to_lowercase().contains(word));
    if says(&["continue connecting", "fingerprint"]) || shows("authenticity of host") {
        return About::HostKey;
    }
    if says(&["trust"]) {
        return About::Trusting;
    }
    // The terraform way: what follows is what was planned, whatever else is shown.
    if is_headed(&["bash command", "shell command", "shell ", "bash("])
        || says(&["following command", "run shell command", "allow execution", "run this command"])
    {
        return About::Commands;
    }
    if is_headed(&["fetch", "webfetch", "web search", "websearch", "googlesearch"])
        || says(&["fetch this", "network access"])
    {
        return About::Fetching;
    }
    if says(DELETING) {
        return About::Deleting;
    }
    if is_headed(&["edit", "create file", "write", "update", "notebook", "replace"]) || says(WRITING) {
        return About::Writing;
    }
    if is_headed(&["read", "search", "grep", "glob", "list"]) || says(&["file to the chat"]) {
        return About::Reading;
    }
    About::GoingOn
}

/// The command lines that are shown with a question.
fn commands(question: &Question, lower: &str) -> Vec<String> {
    let is_asked = |line: &&String| line.trim() == question.text;
    // Behind `$ `, with what goes on below.
    let prompted = question.shown.iter().position(|line| line.trim_start().starts_with("$ "));
    if let Some(first) = prompted {
        let lines = question.shown[first..].iter().take_while(|line| !line.trim().is_empty());
        return lines.map(|line| line.trim().trim_start_matches("$ ").to_owned()).collect();
    }
    let is_shown_alone = lower.contains("run shell command");
    // Otherwise all between the head and the question; an agent's own words on it, which come last, are prose.
    let lines = question.shown.iter().skip(usize::from(!is_shown_alone)).filter(|line| !is_asked(line));
    let mut lines: Vec<String> =
        lines.map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect();
    if lines.last().is_some_and(|last| last == &question.text) {
        lines.pop();
    }
    if lines.len() > 1 && lines.last().is_some_and(|last| is_prose(last)) {
        lines.pop();
    }
    lines
}

/// A sentence: no command begins with a capital letter and consists of nothing but words.
fn is_prose(line: &str) -> bool {
    line.starts_with(|c: char| c.is_uppercase())
        && line.contains(' ')
        && line.chars().all(|c| c.is_alphanumeric() || " ,.'-()/:".contains(c))
}

/// The files that a question names: in quotation marks, or by what looks like a file.
fn files(question: &Question, head: &str) -> Vec<String> {
    let named: Vec<&str> = quoted(&question.text);
    if !named.is_empty() {
        return named.into_iter().map(str::to_owned).collect();
    }
    let is_choices = |name: &str| name.to_lowercase().split('/').all(|part| CHOICES.contains(&part));
    let looks_like_one = |name: &&str| {
        name.contains(['.', '/']) && name.chars().any(char::is_alphanumeric) && !is_choices(name)
    };
    let mut found: Vec<String> = names(&question.text).filter(looks_like_one).map(str::to_owned).collect();
    let asked = question.text.split_whitespace().collect::<Vec<_>>();
    if let ["replace" | "remove" | "overwrite" | "delete", file, ..] = asked.as_slice()
        && found.is_empty()
    {
        found.push(file.trim_end_matches('?').to_owned());
    }
    // Agents name it in the head of what they show, or in the line below; what they would write comes then.
    let rest = question.shown.iter().map(|line| line.trim()).filter(|line| !line.is_empty());
    let is_whole = |line: &&str| line.split_whitespace().count() == 1 || line.contains("(+");
    let below = rest.filter(|line| *line != question.text).take(2).filter(is_whole);
    let below = below.filter_map(|line| names(line).next());
    found.extend(names(head).chain(below).filter(looks_like_one).map(str::to_owned));
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(shown: &[&str], text: &str) -> Question {
        Question {
            text: text.to_owned(),
            shown: shown.iter().map(|line| (*line).to_owned()).collect(),
            yes: Some("y\r"),
        }
    }

    #[test]
    fn a_question_is_about_what_its_words_say() {
        let check = |shown: &[&str], text: &str| {
            let Subject { about, files, commands } = of(&question(shown, text));
            (about, files.join(" "), commands.join("; "))
        };
        let files = |about, files: &str| (about, files.to_owned(), String::new());
        let commands = |lines: &str| (About::Commands, String::new(), lines.to_owned());
        assert_eq!(check(&[], "rm: remove regular file 'a b'?"), files(About::Deleting, "a b"));
        assert_eq!(check(&[], "cp: overwrite ‘a’?"), files(About::Writing, "a"));
        assert_eq!(check(&[], "replace a? [y]es, [n]o, [A]ll:"), files(About::Writing, "a"));
        assert_eq!(check(&["key already exists."], "Overwrite (y/n)?"), files(About::Writing, ""));
        assert_eq!(
            check(&[" Edit file", " src/x.rs", "", " 1 - a/b.c"], "Do you want to make this edit to x.rs?"),
            files(About::Writing, "x.rs src/x.rs")
        );
        assert_eq!(
            check(&["?  WriteFile Writing to ../o/s.json", "", "1 {}"], "Apply this change?"),
            files(About::Writing, "../o/s.json")
        );
        assert_eq!(
            check(&[" Read file", " a.txt"], "Do you want to proceed?"),
            files(About::Reading, "a.txt")
        );
        assert_eq!(
            check(
                &[" Bash command", "", "   ls", "   List it", "", " Do you want to proceed?"],
                "Do you want to proceed?"
            ),
            commands("ls")
        );
        assert_eq!(
            check(&[" Bash command", "", "   ls", "   rm -rf x"], "Do you want to proceed?"),
            commands("ls; rm -rf x")
        );
        assert_eq!(
            check(
                &[
                    "  Would you like to run the following command?",
                    "",
                    "  Reason: x",
                    "",
                    "  $ a",
                    "    b",
                    ""
                ],
                "Would you like to run the following command?"
            ),
            commands("a; b")
        );
        assert_eq!(check(&["cargo test"], "Run shell command? (Y)es/(N)o [Yes]:"), commands("cargo test"));
        assert_eq!(
            check(
                &["?  Shell ls (List)", "", "ls", "", "Allow execution of: 'ls'?"],
                "Allow execution of: 'ls'?"
            ),
            commands("ls")
        );
        assert_eq!(check(&["After this"], "Do you want to continue? [Y/n]"), files(About::GoingOn, ""));
        assert_eq!(check(&["The authenticity of host"], "Are you sure (yes/no)?"), files(About::HostKey, ""));
        assert_eq!(check(&[], "Do you trust the files in this folder?"), files(About::Trusting, ""));
    }
}
