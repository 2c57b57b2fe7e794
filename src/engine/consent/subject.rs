//! What a question is about: a file, a command, a host; from its words and from what is shown with it.

use super::place::{names, quoted};

/// A question, as it stood on the screen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// What is asked, in one line.
    pub text: String,
    /// The lines above it that belong to it.
    pub shown: Vec<String>,
    /// Every filled line above it that the screen shows of the running command.
    pub above: Vec<String>,
    /// Whether it may begin further above than can be seen.
    pub is_cut: bool,
    /// Whether its answers stand in a menu below it.
    pub is_menu: bool,
    /// What types a yes; none where a secret is asked for.
    pub yes: Option<&'static str>,
}

impl Question {
    /// As it stands in an event: with what a menu shows, since its question alone does not tell what it is about.
    pub(super) fn in_words(&self) -> String {
        let shown = self.shown.iter().map(|line| line.trim());
        let shown: Vec<&str> =
            shown.filter(|line| self.is_menu && !line.is_empty() && *line != self.text).collect();
        [self.text.as_str()].into_iter().chain(shown).collect::<Vec<_>>().join(" | ")
    }

    /// What is the same when it is drawn again, with another count of seconds or of attempts.
    pub(super) fn identity(&self) -> String {
        without_numbers(&self.words())
    }

    /// What is the same when it is asked again about the same thing: of what is shown above a line the numbers may
    /// differ, which change by themselves.
    pub(super) fn words(&self) -> String {
        let shown = self.shown.join("\n");
        let shown = if self.is_menu { shown } else { without_numbers(&shown) };
        format!("{} {shown}\n{}", if self.yes.is_none() { "secret" } else { "yes" }, self.text)
    }
}

/// With one 0 for each number.
fn without_numbers(text: &str) -> String {
    let mut is_digit = false;
    let kept = text.chars().filter(|c| {
        let was = std::mem::replace(&mut is_digit, c.is_ascii_digit());
        !(was && is_digit)
    });
    kept.map(|c| if c.is_ascii_digit() { '0' } else { c }).collect()
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
    /// What they are if a row goes on with the one above: all in one.
    pub(super) joined: Vec<String>,
    /// Whether more is shown than a file that is looked at.
    pub(super) is_more: bool,
    /// Whether it is a menu that an agent asks with in a known form, and so says all itself.
    pub(super) is_headed: bool,
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

/// Heads of agents' menus: whole, or with what they are about behind them in brackets.
const HEADS: &[(&[&str], About)] = &[
    (&["bash command", "shell command", "bash"], About::Commands),
    (&["fetch", "webfetch", "web fetch", "web search", "websearch", "googlesearch"], About::Fetching),
    (
        &[
            "edit file",
            "edit",
            "multiedit",
            "create file",
            "write file",
            "write",
            "update",
            "overwrite file",
            "edit notebook",
            "notebookedit",
        ],
        About::Writing,
    ),
    (&["read file", "read files", "read", "search", "grep", "glob", "list", "list files"], About::Reading),
];
/// Heads with what they are about behind them.
const OPEN_HEADS: &[(&str, About)] = &[
    ("Shell ", About::Commands),
    ("WriteFile Writing to ", About::Writing),
    ("ReadFile ", About::Reading),
    ("WebFetch ", About::Fetching),
    ("GoogleSearch ", About::Fetching),
];
/// Questions that are the head of their menu.
const ASKING_HEADS: &[(&str, About)] = &[
    ("would you like to run the following command?", About::Commands),
    ("would you like to make the following edits?", About::Writing),
];

/// What sentences on a command begin with; a program `List` would be another one than `list`.
const TELLING: &[&str] = &[
    "List",
    "Lists",
    "Show",
    "Shows",
    "Check",
    "Display",
    "View",
    "Search",
    "Count",
    "Verify",
    "Inspect",
    "Examine",
    "Explore",
    "Create",
    "Update",
    "Compile",
    "Delete",
    "Rename",
    "Lint",
    "Compare",
    "Determine",
    "Confirm",
    "Navigate",
    "Commit",
    "Stage",
    "Push",
    "Pull",
    "Switch",
    "See",
    "Preview",
    "Review",
    "Analyze",
    "Query",
    "Identify",
    "Run",
    "Build",
];

/// What a question is about.
pub(super) fn of(question: &Question) -> Subject {
    let lower = question.text.to_lowercase();
    let head = question.shown.iter().map(|line| line.trim()).find(|line| !line.is_empty());
    let head = head.unwrap_or_default().trim_start_matches(['?', ' ']);
    let headed = by_head(head).filter(|_| question.is_menu);
    let about = about(question, &lower, headed);
    let (commands, joined) =
        if about == About::Commands { commands(question, head) } else { (Vec::new(), Vec::new()) };
    let is_headed = headed == Some(about);
    let files = match about {
        About::Deleting | About::Writing | About::Reading => files(question, head, is_headed),
        About::Commands | About::Fetching | About::Trusting | About::HostKey | About::GoingOn => Vec::new(),
    };
    let is_shown = |line: &&String| !line.trim().is_empty() && line.trim() != question.text;
    let is_more = about == About::Reading && question.shown.iter().filter(is_shown).count() > 2;
    Subject { about, files, commands, joined, is_more, is_headed }
}

/// What a known head of a menu says.
fn by_head(head: &str) -> Option<About> {
    let lower = head.to_lowercase();
    let name = lower.split_once('(').map_or(lower.as_str(), |(name, _)| name);
    let whole =
        HEADS.iter().find(|(heads, _)| heads.contains(&name) && (name.contains(' ') || is_named(&lower)));
    let open = || OPEN_HEADS.iter().find(|(open, _)| head.starts_with(open)).map(|(_, about)| *about);
    let asking = || ASKING_HEADS.iter().find(|(asking, _)| lower == *asking).map(|(_, about)| *about);
    whole.map(|(_, about)| *about).or_else(open).or_else(asking)
}

/// A single word is a head with brackets behind it, or one that means nothing else.
fn is_named(head: &str) -> bool {
    head.contains('(') || head == "fetch"
}

fn about(question: &Question, lower: &str, headed: Option<About>) -> About {
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let shows = |word: &str| question.shown.iter().any(|line| line.to_lowercase().contains(word));
    if says(&["continue connecting", "fingerprint"]) || shows("authenticity of host") {
        return About::HostKey;
    }
    if says(&["trust"]) {
        return About::Trusting;
    }
    if let Some(headed) = headed {
        return headed;
    }
    if says(&["following command", "run shell command", "allow execution", "run this command"]) {
        return About::Commands;
    }
    if says(&["fetch this", "network access"]) {
        return About::Fetching;
    }
    if says(DELETING) {
        return About::Deleting;
    }
    if says(WRITING) {
        return About::Writing;
    }
    if says(&["file to the chat"]) {
        return About::Reading;
    }
    About::GoingOn
}

/// The command lines that are shown with a question, those joined that a `\` at their end joins; and all in one.
fn commands(question: &Question, head: &str) -> (Vec<String>, Vec<String>) {
    // Above a line nothing tells where they begin.
    let shown = if question.is_menu { &question.shown } else { &question.above };
    let lines = shown.iter().map(|line| line.trim()).filter(|line| !line.is_empty());
    let mut lines: Vec<&str> = lines.filter(|line| *line != question.text).collect();
    if question.is_menu && by_head(head) == Some(About::Commands) && head != question.text {
        lines.remove(0);
        if let Some(command) = head.strip_prefix("Bash(") {
            lines.insert(0, command.strip_suffix(')').unwrap_or(command));
        }
    } else if question.is_menu
        && let Some(first) = lines.iter().position(|line| line.starts_with("$ "))
    {
        lines.drain(..first);
    }
    if let Some(command) =
        OPEN_HEADS.iter().find_map(|(open, _)| head.strip_prefix(open)).filter(|_| lines.is_empty())
    {
        lines.push(command);
    }
    let mut joined = Vec::new();
    if lines.len() > 1 {
        // With a quote that does not end it is no part of a command.
        let is_quoted = |line: &&str| line.matches('\'').count() % 2 == 1;
        let prose = lines.pop_if(|last| is_prose(last));
        joined.push(
            lines
                .iter()
                .copied()
                .chain(prose.filter(|prose| !is_quoted(prose)))
                .collect::<Vec<_>>()
                .join(" "),
        );
        joined.push(lines.concat());
    }
    let mut commands: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in lines {
        let line = line.trim_start_matches("$ ");
        let (text, joins) = line.strip_suffix('\\').map_or((line, false), |text| (text, true));
        match commands.last_mut().filter(|_| goes_on) {
            Some(command) => command.push_str(text),
            None => commands.push(text.to_owned()),
        }
        goes_on = joins;
    }
    (commands, joined)
}

/// A sentence of an agent on what its command does: it begins with a word that no program is called by, and has no
/// sign in it that means something to a shell.
fn is_prose(line: &str) -> bool {
    line.split_once(' ').is_some_and(|(first, _)| TELLING.contains(&first))
        && line.chars().all(|c| c.is_alphanumeric() || " ,.'-()/:".contains(c))
}

/// The files that a question names: in quotation marks, or by what looks like a file.
fn files(question: &Question, head: &str, is_headed: bool) -> Vec<String> {
    let is_choices = |name: &str| name.to_lowercase().split('/').all(|part| CHOICES.contains(&part));
    let looks_like_one = |name: &&str| {
        name.contains(['.', '/']) && name.chars().any(char::is_alphanumeric) && !is_choices(name)
    };
    let mut found: Vec<String> = quoted(&question.text).into_iter().map(str::to_owned).collect();
    if found.is_empty() {
        found.extend(names(&question.text).filter(looks_like_one).map(str::to_owned));
    }
    let asked = question.text.split_whitespace().collect::<Vec<_>>();
    if let ["replace" | "remove" | "overwrite" | "delete", file, ..] = asked.as_slice()
        && found.is_empty()
    {
        found.push(file.trim_end_matches('?').to_owned());
    }
    if is_headed {
        found.extend(headed_files(question, head));
        // Read(a), Search(pattern: "x", path: "a")
        let calls: Vec<String> =
            found.iter().filter(|file| file.contains(['(', '"', ':'])).cloned().collect();
        found.extend(calls.iter().flat_map(|call| names(call)).map(str::to_owned));
    }
    found.dedup();
    found
}

/// Agents name it in the head of what they show, or in the line below; what they would write comes then. With what
/// is counted behind a name, it may be one of several.
fn headed_files(question: &Question, head: &str) -> Vec<String> {
    let in_head = OPEN_HEADS.iter().find_map(|(open, _)| head.strip_prefix(open));
    let in_brackets = head.split_once('(').map(|(_, rest)| rest.strip_suffix(')').unwrap_or(rest));
    let below = question.shown.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).skip(1);
    let counted = |line: &str| line.split_once(" (+").map(|(file, _)| file.to_owned());
    if let Some(file) = in_head.or(in_brackets) {
        return vec![file.trim().to_owned()];
    }
    let (mut files, mut is_first) = (Vec::new(), true);
    for line in below.filter(|line| *line != question.text) {
        match counted(line) {
            Some(file) => files.push(file),
            None if is_first => files.push(line.to_owned()),
            None => {}
        }
        is_first = false;
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(shown: &[&str], text: &str) -> Question {
        Question {
            text: text.to_owned(),
            shown: shown.iter().map(|line| (*line).to_owned()).collect(),
            yes: Some("y\r"),
            above: shown.iter().map(|line| (*line).to_owned()).collect(),
            ..Question::default()
        }
    }

    fn menu(shown: &[&str], text: &str) -> Question {
        Question { is_menu: true, ..line(shown, text) }
    }

    #[test]
    fn a_question_is_about_what_its_words_say() {
        type Made = fn(&[&str], &str) -> Question;
        let check = |made: Made, shown: &[&str], text: &str| {
            let Subject { about, files, commands, .. } = of(&made(shown, text));
            (about, files.join(" "), commands.join("; "))
        };
        let files = |about, files: &str| (about, files.to_owned(), String::new());
        let commands = |lines: &str| (About::Commands, String::new(), lines.to_owned());
        assert_eq!(check(line, &[], "rm: remove regular file 'a b'?"), files(About::Deleting, "a b"));
        assert_eq!(check(line, &[], "cp: overwrite ‘a’?"), files(About::Writing, "a"));
        assert_eq!(check(line, &[], "replace a? [y]es, [n]o, [A]ll:"), files(About::Writing, "a"));
        assert_eq!(check(line, &["key already exists."], "Overwrite (y/n)?"), files(About::Writing, ""));
        assert_eq!(
            check(
                menu,
                &[" Edit file", " src/x.rs", "", " 1 - a/b.c"],
                "Do you want to make this edit to x.rs?"
            ),
            files(About::Writing, "x.rs src/x.rs")
        );
        assert_eq!(
            check(menu, &["?  WriteFile Writing to ../o/s.json", "", "1 {}"], "Apply this change?"),
            files(About::Writing, "../o/s.json")
        );
        assert_eq!(
            check(menu, &[" Read file", " a.txt"], "Do you want to proceed?"),
            files(About::Reading, "a.txt")
        );
        assert_eq!(
            check(
                menu,
                &[" Bash command", "", "   ls", "   List it", "", " Do you want to proceed?"],
                "Do you want to proceed?"
            ),
            commands("ls")
        );
        assert_eq!(
            check(menu, &[" Bash command", "", "   ls", "   rm -rf x"], "Do you want to proceed?"),
            commands("ls; rm -rf x")
        );
        assert_eq!(
            check(
                menu,
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
        assert_eq!(
            check(line, &["cargo test"], "Run shell command? (Y)es/(N)o [Yes]:"),
            commands("cargo test")
        );
        assert_eq!(
            check(
                menu,
                &["?  Shell ls (List)", "", "ls", "", "Allow execution of: 'ls'?"],
                "Allow execution of: 'ls'?"
            ),
            commands("ls")
        );
        assert_eq!(check(line, &["After this"], "Do you want to continue? [Y/n]"), files(About::GoingOn, ""));
        assert_eq!(
            check(line, &["The authenticity of host"], "Are you sure (yes/no)?"),
            files(About::HostKey, "")
        );
        assert_eq!(check(menu, &[], "Do you trust the files in this folder?"), files(About::Trusting, ""));
    }
}
