//! Prompts as real programs showed them (`*.ansi`, recorded from their terminals) and screens made by hand after
//! agent CLIs and others that were not at hand (`made/`); and what only looks like a prompt.

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;

use super::super::screen::{Screen, replay, replay_start};
use super::{Prompt, Reading, recognise};

const COLS: u16 = 120;
/// Programs hide the cursor while they show a menu.
const HIDDEN: &str = "\x1b[?25l";

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/prompts")
}

fn shown(bytes: &[u8]) -> Screen {
    replay(&bytes[replay_start(bytes)..], 40, COLS)
}

fn recorded(name: &str) -> Option<Prompt> {
    let bytes = fs::read(folder().join(format!("{name}.ansi"))).expect("a recording");
    asked(&shown(&bytes))
}

fn made(name: &str) -> Option<Prompt> {
    let text = fs::read_to_string(folder().join("made").join(format!("{name}.txt"))).expect("a screen");
    asked(&shown(format!("{HIDDEN}{}", text.replace('\n', "\r\n")).as_bytes()))
}

fn in_line(text: &str) -> Option<Prompt> {
    asked(&shown(text.as_bytes()))
}

/// What a screen asks of a program that reads lines, or else of one that has a menu.
fn asked(screen: &Screen) -> Option<Prompt> {
    recognise(screen, Reading::Lines).or_else(|| recognise(screen, Reading::Itself))
}

#[test]
fn recorded_prompts_are_recognised_with_the_keys_of_a_yes() {
    for (name, question, yes) in [
        ("apt", "Do you want to continue? [Y/n]", "y\r"),
        ("cp-i", "cp: overwrite 'empty'?", "y\r"),
        ("git-add-p", "(1/1) Stage this hunk [y,n,q,a,d,e,p,?]?", "y\r"),
        ("git-difftool", "Launch 'vimdiff' [Y/n]?", "y\r"),
        ("ln-i", "ln: replace 'empty'?", "y\r"),
        ("mv-i", "mv: overwrite 'empty'?", "y\r"),
        ("npx", "Ok to proceed? (y)", "y\r"),
        ("pip", "Proceed (Y/n)?", "y\r"),
        ("press-enter", "Press [ENTER] to continue or Ctrl-c to cancel.", "\r"),
        ("python-input", "Are you sure you want to delete 3 records? (yes/no):", "yes\r"),
        ("read-p", "Overwrite config? [y/N]", "y\r"),
        ("rm-i", "rm: remove regular file 'a'?", "y\r"),
        ("rm-recursive", "rm: descend into directory 'd'?", "y\r"),
        ("ssh", "Are you sure you want to continue connecting (yes/no/[fingerprint])?", "yes\r"),
        ("ssh-keygen", "Overwrite (y/n)?", "y\r"),
        ("unzip", "replace a? [y]es, [n]o, [A]ll, [N]one, [r]ename:", "y\r"),
        ("zsh-rm-star", "zsh: sure you want to delete all 8 files in /home/dev/w [yn]?", "y\r"),
    ] {
        let prompt = recorded(name).unwrap_or_else(|| panic!("{name} is not recognised"));
        assert_eq!((prompt.question.as_str(), prompt.yes), (question, Some(yes)), "{name}");
    }
}

#[test]
fn what_is_asked_comes_with_what_it_is_about() {
    let npx = recorded("npx").expect("a prompt").shown;
    assert_eq!(npx, ["Need to install the following packages:", "cowsay@1.6.0"]);
    assert!(recorded("pip").expect("a prompt").shown.iter().any(|line| line.contains("site-packages")));
    assert_eq!(
        recorded("ssh-keygen").expect("a prompt").shown,
        ["Generating public/private ed25519 key pair.", "key already exists."]
    );
    assert!(recorded("ssh").expect("a prompt").shown[0].contains("authenticity of host"));
    assert_eq!(recorded("rm-i").expect("a prompt").shown, [""; 0], "it says all itself");
    let second = in_line("Delete package.json? [y/N] n\r\nkept\r\nContinue? [y/N] ").expect("a prompt");
    assert_eq!(second.shown, ["kept"], "what was asked before does not belong to it");
}

#[test]
fn a_secret_is_recognised_and_has_no_yes() {
    for prompt in [recorded("ssh-keygen-passphrase"), recorded("python-getpass"), in_line("Enter PIN: ")] {
        assert_eq!(prompt.expect("a prompt").yes, None);
    }
    let hidden = recognise(&shown(b"Continue? [y/N] "), Reading::HiddenLines).expect("a prompt");
    assert_eq!(hidden.yes, None, "a terminal that hides what is typed is asked for a secret");
    assert_eq!(in_line("Opinion: "), None, "a word within a word is no secret");
}

#[test]
fn menus_are_answered_with_enter_or_the_number_of_the_plain_yes() {
    for (name, question, yes, first) in [
        ("claude-bash", "Do you want to proceed?", "\r", " Bash command"),
        ("claude-bash-ruled", "Do you want to proceed?", "\r", " Bash command"),
        ("claude-edit", "Do you want to make this edit to config.rs?", "\r", " Edit file"),
        ("claude-moved", "Do you want to create notes.md?", "1", " Create file"),
        ("claude-fetch", "Do you want to allow Claude to fetch this content?", "\r", " Fetch"),
        (
            "claude-trust",
            "Do you trust the files in this folder?",
            "\r",
            " Do you trust the files in this folder?",
        ),
        (
            "codex-command",
            "Would you like to run the following command?",
            "\r",
            "  Would you like to run the following command?",
        ),
        (
            "codex-edits",
            "Would you like to make the following edits?",
            "\r",
            "  Would you like to make the following edits?",
        ),
        ("gemini-shell", "Allow execution of: 'ls'?", "\r", " ?  Shell ls -la src (List the sources)"),
        ("gemini-edit", "Apply this change?", "\r", " ?  WriteFile Writing to ../other/settings.json"),
        ("clack", "Overwrite the directory?", "\r", "◆  Overwrite the directory?"),
        ("select", "Continue?", "\r", "? Continue?"),
    ] {
        let prompt = made(name).unwrap_or_else(|| panic!("{name} is not recognised"));
        let found = (prompt.question.as_str(), prompt.yes, prompt.shown[0].trim());
        assert_eq!(found, (question, Some(yes), first.trim()), "{name}");
    }
}

#[test]
fn lines_of_agents_and_others_are_recognised() {
    for (name, yes) in [("aider-shell", "y\r"), ("aider-add", "y\r"), ("terraform", "yes\r")] {
        assert_eq!(made(name).unwrap_or_else(|| panic!("{name}")).yes, Some(yes), "{name}");
    }
    assert_eq!(made("aider-shell").expect("a prompt").shown, ["cargo test --quiet"]);
    for (text, yes) in [
        ("Proceed ([y]/n)? ", "y\r"),
        ("Is this OK? (yes) ", "yes\r"),
        ("Continue (y/n) [n]: ", "y\r"),
        ("Continue? (yes/no) [no] ", "yes\r"),
        ("Continue y/n? ", "y\r"),
        ("overwrite x? (y/n [n]) ", "y\r"),
        ("Type 'yes' to continue: ", "yes\r"),
        ("? Continue? (Y/n) ", "y\r"),
        ("Press any key to continue...", "\r"),
        ("/bin/rm: remove write-protected regular file '/x y'? ", "y\r"),
    ] {
        assert_eq!(in_line(text).unwrap_or_else(|| panic!("{text}")).yes, Some(yes), "{text}");
    }
}

#[test]
fn how_it_is_read_decides_what_is_typed() {
    let keys =
        |text: &str, reading| recognise(&shown(text.as_bytes()), reading).and_then(|prompt| prompt.yes);
    let menu = "Go?\r\n❯ 1. Yes\r\n  2. No";
    for (text, in_lines, as_keys, by_itself) in [
        ("Continue? [y/N] ", Some("y\r"), Some("y"), None),
        ("rm: remove regular file 'a'? ", Some("y\r"), Some("y"), None),
        ("Press any key to continue...", Some("\r"), Some("\r"), Some("\r")),
        ("Continue? (yes/no) ", Some("yes\r"), None, None),
        (menu, None, None, Some("\r")),
    ] {
        let found =
            [Reading::Lines, Reading::Keys, Reading::Itself, Reading::HiddenLines].map(|way| keys(text, way));
        assert_eq!(found, [in_lines, as_keys, by_itself, None], "{text}");
    }
}

#[test]
fn what_may_be_a_secret_is_one() {
    for text in [
        "Password for user [y/n]: ",
        "Passphrase (yes)? ",
        "Press Enter to continue, or type your password ",
        "Enter the admin password (or no to skip, yes for default): ",
    ] {
        assert_eq!(in_line(text).unwrap_or_else(|| panic!("{text}")).yes, None, "{text}");
    }
    assert_eq!(in_line("Enter 'yes' or your password: ").expect("a prompt").yes, None);
}

#[test]
fn only_a_plain_yes_of_a_menu_is_meant() {
    let yes = |choices: &[&str]| {
        let rows = choices
            .iter()
            .enumerate()
            .map(|(at, choice)| format!("{} {}. {choice}", if at == 0 { "❯" } else { " " }, at + 1));
        in_line(&format!("{HIDDEN}Go?\r\n{}", rows.collect::<Vec<_>>().join("\r\n")))
            .and_then(|prompt| prompt.yes)
    };
    assert_eq!(yes(&["Yes", "No"]), Some("\r"));
    assert_eq!(yes(&["Yes to all", "Yes", "No"]), Some("2"));
    assert_eq!(yes(&["Allow for this project", "Allow once", "Deny"]), Some("2"));
    assert_eq!(yes(&["Yes, proceed (y)", "Yes, just once", "No"]), Some("2"));
    for none in [
        &["Accept theirs", "Accept mine", "Abort"][..],
        &["Run migrations", "Skip"],
        &["Yes, accept all", "No"],
        &["Yes, one", "Yes, two", "No"],
        &["Yesterday", "Now"],
        &["Yes", "Yes", "Nothing"],
        &["Yes, discard my work", "No"],
        &["Yes, and bypass permissions", "No, keep planning"],
        &["No (recommended)", "Yes"],
        &["No, exit", "Yes, I accept"],
        &["Yes (overwrite package.json)", "No"],
    ] {
        assert_eq!(yes(none), None, "{none:?}");
    }
}

#[test]
fn a_question_begins_where_its_line_does() {
    let full = "=".repeat(usize::from(COLS));
    let question = "rm: remove regular file 'x'?";
    assert_eq!(in_line(&format!("{full}\r\n{question} ")).expect("a prompt").question, question);
    assert_eq!(in_line(&format!("{full}{question} ")), None, "a file of the name that this ends with");
    let is_cut = |above: &str, rows| {
        let name = "x".repeat(usize::from(COLS) * rows);
        in_line(&format!("{above}rm: remove regular file '{name}'? ")).expect("a prompt").is_cut
    };
    assert!(!is_cut("", 39), "it fills the screen");
    assert!(!is_cut("x\r\n\r\n", 38), "a row above it is gone");
    assert!(is_cut("x\r\n", 39), "it may begin in the row that is gone");
}

#[test]
fn all_that_stands_above_is_told_and_whether_it_begins_there() {
    let prompt = in_line("one\r\n\r\ntwo\r\nContinue? [y/N] ").expect("a prompt");
    assert_eq!(
        (prompt.shown, prompt.above, prompt.is_cut),
        (vec!["two".into()], vec!["one".into(), "two".into()], false)
    );
    let is_cut = |text: String| in_line(&text).expect("a prompt").is_cut;
    let fifty = "line\r\n".repeat(50);
    assert!(is_cut(format!("{fifty}Continue? [y/N] ")));
    assert!(is_cut(format!("will delete:\r\n{fifty}\r\nContinue? [y/N] ")));
    assert!(is_cut(format!("{fifty}Go?\r\n❯ 1. Yes\r\n  2. No")));
    assert!(is_cut(format!("{fifty}\r\nGo?\r\n❯ 1. Yes\r\n  2. No")));
    assert!(!is_cut(format!("{fifty}rm: remove regular file 'a'? ")), "it says all itself");
    let box_of =
        |line: &str| format!("╭────────╮\r\n│ Go?    │\r\n{line}│ ❯ 1. Yes │\r\n│   2. No │\r\n╰────────╯");
    assert!(!is_cut(format!("{fifty}{}", box_of(""))));
    assert!(is_cut(format!("{fifty}{}", box_of("no side\r\n"))));
    assert!(
        in_line("Bash command\r\n… +12 lines (ctrl+o to expand)\r\nGo?\r\n❯ 1. Yes\r\n  2. No")
            .expect("a menu")
            .is_cut
    );
    let ruled = |rule: &str| {
        format!("{fifty}{rule}\r\n Bash command\r\n\r\n   ls\r\n\r\n Go?\r\n ❯ 1. Yes\r\n   2. No")
    };
    assert!(!is_cut(ruled("──────────")));
    assert!(is_cut(ruled("   ──────────")), "it stands in what is shown");
}

/// Who makes up the command that is shown may draw a top and a head of its own.
#[test]
fn a_top_within_a_menu_hides_nothing() {
    let is_cut = |text: &str| in_line(&text.replace('\n', "\r\n")).expect("a menu").is_cut;
    let rule = "──────────────────────────────";
    let asked = "Bash command\n\n   ls\n\n Do you want to proceed?\n ❯ 1. Yes\n   2. No";
    assert!(!is_cut(&format!("{rule}\n {asked}")));
    assert!(is_cut(&format!("{rule}\n Bash command\n\n rm -rf src #\n{rule}\n {asked}")));
    let boxed = "│ Bash command │\n│ ls           │\n│ Go?          │\n│ ❯ 1. Yes     │\n│   2. No      │\n╰──────────────╯";
    let top = "╭──────────────╮\n";
    assert!(!is_cut(&format!("{top}{boxed}")));
    assert!(!is_cut(&format!("{top}│ done         │\n╰──────────────╯\n{top}{boxed}")), "another box");
    assert!(is_cut(&format!("{top}│ rm -rf src # │\n{top}{boxed}")));
    assert!(is_cut(&format!("{top}rm -rf src\n{boxed}")));
}

#[test]
fn what_an_agent_wrapped_is_given_as_one_line_too() {
    let top = "╭────────────────────╮";
    let row = |text: &str| format!("│ {text:<18} │\r\n");
    let rows: String =
        ["Bash command", "  cp ./packages/x", "  Makefile /etc/x", "", "Go?", "❯ 1. Yes", "  2. No"]
            .map(row)
            .concat();
    let shown = in_line(&format!("{top}\r\n{rows}╰────────────────────╯")).expect("a menu").shown;
    assert!(shown.contains(&"cp ./packages/x Makefile /etc/x".to_owned()), "{shown:?}");
    assert!(shown.contains(&"cp ./packages/xMakefile /etc/x".to_owned()), "{shown:?}");
    assert!(!shown.iter().any(|line| line.contains("Makefile /etc/x Go")), "{shown:?}");
}

/// Text is typed behind a line, also where a menu was shown before; and a number only into a menu.
#[test]
fn a_menu_that_is_history_is_none() {
    let menu = "Go?\r\n❯ 1. Yes\r\n  2. No\r\n";
    for below in
        ["\r\nEnter the database name to confirm: ", "\r\nEnter name to confirm", "\r\nesc to cancel"]
    {
        assert_eq!(recognise(&shown(format!("{menu}{below}").as_bytes()), Reading::Itself), None, "{below}");
    }
    let other = "Go?\r\n❯ 1. Yes to all\r\n  2. Yes\r\n  3. No\r\n";
    assert_eq!(recognise(&shown(other.as_bytes()), Reading::Itself), None);
    let hidden = recognise(&shown(format!("{HIDDEN}{other}").as_bytes()), Reading::Itself);
    assert_eq!(hidden.and_then(|prompt| prompt.yes), Some("2"));
}

#[test]
fn what_stands_below_a_menu_may_be_hints_and_states() {
    let menu = "Go?\r\n❯ 1. Yes\r\n  2. No\r\n\r\n";
    for below in [
        "↑↓ navigate  Enter select  ESC reject",
        "Confirm with number keys or ↑↓ keys and Enter, Cancel with Esc",
        "⠏ Waiting for user confirmation...\r\n\r\n Using: 1 MCP server\r\n~/p (main*)   no sandbox   gemini-2.5-pro",
    ] {
        let found = in_line(&format!("{HIDDEN}{menu}{below}")).and_then(|prompt| prompt.yes);
        assert_eq!(found, Some("\r"), "{below}");
    }
}

#[test]
fn a_question_that_wraps_is_one() {
    let text = format!("rm: remove regular file '{}'? ", "x".repeat(200));
    assert_eq!(in_line(&text).expect("a prompt").question, text.trim_end());
    let text = format!("{} /etc/hosts? [y/N]", "x".repeat(usize::from(COLS) - 1));
    assert_eq!(in_line(&format!("{text} ")).expect("a prompt").question, text, "a blank ends the row");
}

#[test]
fn what_only_looks_like_a_prompt_is_none() {
    for name in ["git-clean-i", "npm-init", "less-of-a-prompt", "vim-of-a-prompt"] {
        assert_eq!(recorded(name), None, "{name}");
    }
    let made_up = fs::read_dir(folder().join("made")).expect("screens");
    let names: Vec<String> =
        made_up.flatten().map(|file| file.file_name().to_string_lossy().replace(".txt", "")).collect();
    let negatives: Vec<&String> = names.iter().filter(|name| name.starts_with("not-")).collect();
    assert!(negatives.len() > 10, "{negatives:?}");
    for name in negatives {
        assert_eq!(made(name), None, "{name}");
    }
    for text in [
        "To delete the database prod, type its name (no spaces, not yes): ",
        "Name of the new branch (y): ",
        "Go on?\r\n❯ 1. Yes\r\n  2. No\r\n\r\nEnter the database name to confirm: ",
    ] {
        assert_eq!(in_line(text), None, "{text}");
    }
    // The cursor stands within the line: somebody edits it, or something draws there.
    assert_eq!(in_line("Continue? [y/N] \r"), None);
    // Something else is shown below.
    assert_eq!(in_line("\r\n\r\nbelow\x1b[HContinue? [y/N] "), None);
}

proptest! {
    #[test]
    fn any_screen_can_be_looked_at(
        text in "[a-zA-Z0-9 ?:()\\[\\]/,'\"❯●│╭─\r\n.]{0,300}", cols in 2_u16..200,
    ) {
        let screen = replay(text.as_bytes(), 40, cols);
        prop_assert!(recognise(&screen, Reading::HiddenLines).is_none_or(|prompt| prompt.yes.is_none()));
        for (reading, line) in [(Reading::Lines, false), (Reading::Keys, true), (Reading::Itself, true)] {
            if let Some(yes) = recognise(&screen, reading).and_then(|prompt| prompt.yes) {
                prop_assert!(!line || yes.len() == 1, "{yes:?} is more than a key");
            }
        }
    }

    /// Whatever is printed behind a prompt, it is history then.
    #[test]
    fn a_prompt_with_a_line_behind_it_is_none(line in "[a-z]{1,20}") {
        for prompt in ["Continue? [y/N] ", "rm: remove regular file 'a'? ", "Go?\r\n❯ 1. Yes\r\n  2. No"] {
            let screen = shown(format!("{prompt}\r\n{line}").as_bytes());
            prop_assert_eq!(asked(&screen), None);
        }
    }
}
