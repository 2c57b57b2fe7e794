//! What is risky, and why.

use std::path::Path;

use proptest::prelude::*;

use super::*;

fn line(shown: &[&str], text: &str) -> Question {
    let shown: Vec<String> = shown.iter().map(|line| (*line).to_owned()).collect();
    Question { text: text.to_owned(), above: shown.clone(), shown, yes: Some("y\r"), ..Question::default() }
}

fn menu(shown: &[&str], text: &str) -> Question {
    Question { is_menu: true, yes: Some("\r"), ..line(shown, text) }
}

fn assessed(question: &Question, commands: &[&str], protected: &[String]) -> Assessment {
    let root = Path::new("/home/u/p");
    assess(question, commands, &Places { root, directory: root, protected })
}

#[test]
fn a_risk_is_explained() {
    type Made = fn(&[&str], &str) -> Question;
    let check = |made: Made, shown: &[&str], text: &str, command: &str| {
        let Assessment { risk, rules, .. } = assessed(&made(shown, text), &[command], &[]);
        (risk, rules.first().cloned().unwrap_or_default())
    };
    for (made, shown, text, command, risk, first) in [
        (
            line as Made,
            &[][..],
            "rm: remove regular file 'a'?",
            "rm -i a",
            6,
            "deletes 6: rm: remove regular file 'a'?",
        ),
        (line, &[], "rm: remove regular file '../a'?", "rm -i ../a", 7, "outside 7: ../a"),
        (line, &[], "rm: remove regular file '/etc/a'?", "x", 9, "system 9: /etc/a"),
        (line, &[], "cp: overwrite 'a'?", "cp -i b a", 3, "writes inside 3: a"),
        (line, &[], "cp: overwrite 'a'?", "sudo cp -i b a", 8, "privilege 8: sudo"),
        (line, &[], "cp: overwrite '.env'?", "cp -i b .env", 9, "credentials 9: .env"),
        (line, &[], "Continue? [y/N]", "./x.sh", 5, "unknown 5: ./x.sh"),
        (line, &[], "Continue? [y/N]", "", 5, "unknown 5: what asks is not known to"),
        (line, &[], "Continue? [y/N]", "read -p 'Continue? [y/N] ' x", 1, "reads 1: read"),
        (line, &[], "Delete everything? [y/N]", "read x", 6, "deletes 6: Delete everything? [y/N]"),
        (line, &[], "Write to /etc/hosts? [y/N]", "./x.sh", 9, "system 9: /etc/hosts"),
        (line, &["Would remove:", "  /x"], "Proceed (Y/n)?", "pip uninstall x", 7, "outside 7: /x"),
        (
            line,
            &["Need to install the following packages:", "cowsay"],
            "Ok to proceed? (y)",
            "npx cowsay",
            6,
            "installs 6: install",
        ),
        (line, &[], "Do you want to continue? [Y/n]", "apt-get install x", 8, "privilege 8: apt-get install"),
        (
            line,
            &["Only 'yes' will be accepted"],
            "Enter a value:",
            "terraform apply",
            8,
            "remote 8: terraform apply",
        ),
        (
            line,
            &["key already exists."],
            "Overwrite (y/n)?",
            "ssh-keygen -f key",
            9,
            "credentials 9: ssh-keygen key",
        ),
        (line, &["The authenticity of host 'x'"], "Continue (yes/no)?", "ssh x", 8, "remote 8: ssh x"),
        (
            menu,
            &["Bash command", "ls -la", "List all files"],
            "Do you want to proceed?",
            "claude",
            1,
            "reads 1: ls",
        ),
        (
            menu,
            &["Bash command", "rm -rf x"],
            "Do you want to proceed?",
            "claude",
            8,
            "deletes recursively 8: rm x",
        ),
        (
            menu,
            &["Read file", "/etc/hosts"],
            "Do you want to proceed?",
            "claude",
            2,
            "reads outside 2: /etc/hosts",
        ),
        (
            menu,
            &["Fetch", "https://x.y"],
            "Fetch this content?",
            "claude",
            6,
            "network 6: Fetch this content?",
        ),
        (menu, &[], "Do you trust the files here?", "claude", 7, "trusts 7: Do you trust the files here?"),
    ] {
        assert_eq!(check(made, shown, text, command), (risk, first.to_owned()), "{text}");
    }
}

#[test]
fn what_is_protected_is_of_the_highest_risk() {
    let check = |shown: &[&str], text: &str, command: &str| {
        let patterns = ["package.json".to_owned(), "*.env".to_owned()];
        let is_menu = command == "claude";
        let question = if is_menu { menu(shown, text) } else { line(shown, text) };
        let found = assessed(&question, &[command], &patterns);
        assert_eq!(found.protected.is_some(), found.risk == 10, "{found:?}");
        found.protected
    };
    let rm = "rm -i a package.json";
    assert_eq!(check(&[], "rm: remove regular file 'package.json'?", rm).as_deref(), Some("package.json"));
    assert_eq!(check(&[], "rm: remove regular file 'a'?", rm), None, "only one of them is asked about");
    assert!(check(&[], "Continue? [y/N]", rm).is_some());
    assert!(check(&[], "Ok to proceed? (y)", "npm install x").is_some(), "npm does not name it");
    assert!(check(&["Bash command", "rm -rf ."], "Do you want to proceed?", "claude").is_some());
    assert!(check(&["Edit file", "web/package.json"], "Do you want to make this edit?", "claude").is_some());
    assert_eq!(
        check(&["Edit file", "a.rs", "", "+ package.json"], "Make this edit to a.rs?", "claude"),
        None
    );
}

fn asked(shown: &[&str], text: &str, is_menu: bool) -> Question {
    if is_menu { menu(shown, text) } else { line(shown, text) }
}

#[test]
fn words_never_make_a_question_less_risky() {
    let risk = |shown: &[&str], text: &str, is_menu, command: &str| {
        assessed(&asked(shown, text, is_menu), &[command], &[]).risk
    };
    for head in
        ["Reading configuration...", "Ready to deploy", "Listing what will be deleted:", "Updated the plan"]
    {
        assert!(risk(&[head], "Continue? [y/N]", false, "./x.sh") >= 5, "{head}");
        assert!(risk(&[head], "Continue?", true, "./x.sh") >= 5, "{head}");
    }
    for word in ["Deleting", "deploys", "wipe", "wiping", "dropped", "removes", "resetting", "purged"] {
        assert!(risk(&[], &format!("{word} a and overwrite b? [y/N]"), false, "read x") >= 6, "{word}");
        assert!(risk(&[word, "", "that was it"], "Continue? [y/N]", false, "read x") >= 6, "{word}");
    }
    assert_eq!(risk(&["Bash(rm -rf build)"], "Do you want to proceed?", true, "claude"), 8);
    assert_eq!(risk(&["Bash command", "ls", "", "rm -rf x"], "Do you want to proceed?", true, "claude"), 8);
    assert_eq!(risk(&["Bash command", "rm \\", "-rf x"], "Do you want to proceed?", true, "claude"), 8);
    let aider = "Run shell command? (Y)es/(N)o [Yes]:";
    assert_eq!(risk(&["rm -rf x", "ls"], aider, false, "aider"), 8);
    let cut = Question { is_cut: true, ..asked(&["Bash command", "ls"], "Do you want to proceed?", true) };
    let found = assessed(&cut, &["claude"], &[]);
    assert!(found.is_cut && found.risk == 8, "{found:?}");
}

#[test]
fn what_is_protected_is_looked_for_in_all_that_is_shown_and_runs() {
    let patterns = ["deploy_key".to_owned(), "my notes.txt".to_owned()];
    let is_found =
        |question: &Question, command: &str| assessed(question, &[command], &patterns).protected.is_some();
    let keygen = ["Generating public/private ed25519 key pair.", "deploy_key already exists."];
    assert!(is_found(&asked(&keygen, "Overwrite (y/n)?", false), "ssh-keygen -f x"));
    assert!(is_found(&asked(&keygen[..1], "Overwrite (y/n)?", false), "ssh-keygen -f deploy_key"));
    let far = Question { above: vec!["uses deploy_key".to_owned()], ..line(&["then"], "Continue? [y/N]") };
    assert!(is_found(&far, "./x.sh"));
    let edit = asked(&["Edit file", "my notes.txt", "1 + x"], "Do you want to make this edit?", true);
    assert!(is_found(&edit, "claude"));
    assert!(!is_found(&line(&[], "rm: remove regular file 'a'?"), "rm -i a deploy_key"));
    assert!(is_found(&line(&[], "rm: remove regular file 'a'?"), "./x.sh deploy_key"), "not by rm");
}

#[test]
fn what_leads_to_a_wrong_yes_does_not() {
    let patterns = ["package.json".to_owned(), "*.env".to_owned()];
    let risk = |question: &Question, command: &str| assessed(question, &[command], &[]).risk;
    let is_found =
        |question: &Question, command: &str| assessed(question, &[command], &patterns).protected.is_some();
    let bash = |rows: &[&str]| menu(&[&["Bash command"], rows].concat(), "Do you want to proceed?");
    // What is moved or copied belongs to the question.
    for (command, least) in [("mv -i ../x b", 7), ("cp -i .ssh/id_rsa b", 9), ("mv -i * b", 6)] {
        assert!(risk(&line(&[], "mv: overwrite 'b'?"), command) >= least, "{command}");
    }
    assert!(is_found(&line(&[], "mv: overwrite 'b'?"), "mv -i package.json b"));
    assert!(risk(&line(&[], "cp: overwrite 'b'?"), "cp -i .ssh/id_rsa b") >= 9);
    // No quoting hides a name.
    for command in [
        "cp x pack\\age.json",
        "cp x pack'age'.json",
        "echo > 'pack'age.json",
        "cp x \"pack\"\"age.json\"",
        "sort -uopackage.json x",
        "cat .e{n,}v",
        "tar xf a.tgz",
        "unzip -o a.zip",
        "patch -p1 < x",
        "git apply x",
        "git checkout main",
    ] {
        assert!(is_found(&bash(&[command]), "claude"), "{command}");
    }
    // A row may go on with the one above, and be no prose.
    for (rows, least) in [
        (&["cp ./packages/x", "Makefile /etc/x"][..], 9),
        (&["cp ./packages/x", "Update /etc/x"], 9),
        (&["git -C ./packages/x", "push --force origin main"], 10),
        (&["find ./x -newer ./sta", "-name test -delete"], 8),
        (&["cat ./x >", "ls/../../../../out"], 7),
        (&["ls", "Rscript -e evil"], 5),
    ] {
        assert!(risk(&bash(rows), "claude") >= least, "{rows:?}");
    }
    assert_eq!(risk(&bash(&["git status --short", "Show what's changed"]), "claude"), 1);
    // The words of every question count, and those of names.
    let ask = "Do you want to proceed and wipe everything?";
    assert!(risk(&menu(&["Bash command", "ls"], ask), "claude") >= 6);
    assert!(risk(&menu(&["x - delete_repository(repo: y)"], "Proceed?"), "claude") >= 6);
    assert!(risk(&line(&[], "De\u{200b}lete everything? [y/N]"), "./x.sh") >= 8);
    assert!(risk(&line(&[], "Execute `rm -rf src`? [y/N]"), "./x.sh") >= 8);
    assert!(risk(&menu(&[" $ rm -rf src"], "Run this?"), "claude") >= 8);
    assert!(risk(&menu(&["Shell rm -rf x (clean)"], "Allow execution of: 'rm'?"), "gemini") >= 8);
    assert!(risk(&line(&["About to write /etc/hosts"], "Continue? [y/N]"), "./x.sh") >= 9);
    assert!(risk(&menu(&["New MCP server found"], "Allow it?"), "claude") >= 7);
    assert!(risk(&line(&[], "Abort? [Y/n]"), "./x.sh") >= 7);
    // What only looks does not ask.
    assert_eq!(risk(&line(&[], "Continue? [y/N]"), "ls"), 5);
    assert_eq!(risk(&line(&[], "Wreak havoc? [y/N]"), "tail -f /dev/null"), 5);
    // A file stands in brackets, too, and nothing but it is read.
    for (shown, least) in [
        (&["Search(pattern: \"KEY\", path: \"/home/u/.ssh\")"][..], 9),
        (&["Read file", "Read(/etc/hosts)"], 2),
        (&["Read file", "Read(~/.ssh/id_rsa)"], 9),
        (&["Read(a.txt)", "rm -rf src", "x"], 5),
    ] {
        assert!(risk(&menu(shown, "Do you want to proceed?"), "claude") >= least, "{shown:?}");
    }
    for file in [".claude/settings.json", ".husky/pre-commit", ".envrc"] {
        assert!(risk(&menu(&["Edit file", file], "Do you want to make this edit?"), "claude") >= 8, "{file}");
    }
}

proptest! {
    /// Protecting more never makes a yes less risky.
    #[test]
    fn risk_is_monotone_in_what_is_protected(
        text in "[a-z /.'?~-]{0,40}", shown in "[a-z /.'-]{0,30}", command in "[a-z /.;|-]{0,40}",
        patterns in prop::collection::vec("[a-z*./]{1,8}", 0..4), more in "[a-z*./]{1,8}",
    ) {
        let question = line(&[&shown], &text);
        let fewer = assessed(&question, &[&command], &patterns);
        let all: Vec<String> = patterns.iter().cloned().chain([more]).collect();
        let more = assessed(&question, &[&command], &all);
        prop_assert!(more.risk >= fewer.risk, "{fewer:?} {more:?}");
        prop_assert!(more.protected.is_some() || fewer.protected.is_none());
        prop_assert!(fewer.risk <= 10 && !fewer.rules.is_empty());
    }
}
