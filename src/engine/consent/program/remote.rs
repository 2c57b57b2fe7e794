//! Programs that reach other machines: what only looks there goes to the network, and anything else changes what
//! others see. An option that is not known may name a program to run.

use super::reader::is_harmless;
use super::{Rule, is_among};

/// Programs that fetch, with the options that leave it at that. With others they may send.
const FETCHING: &[(&str, &str, &str)] = &[
    (
        "curl",
        "fsSLIkigv46oO",
        "--fail --silent --show-error --location --head --include --output --remote-name --verbose --compressed",
    ),
    ("wget", "qnvcO", "--quiet --no-verbose --continue --no-clobber --output-document"),
];
/// Programs that talk, with the options that run nothing here.
const TALKING: &[(&str, &str, &str)] = &[
    ("ping", "cWwinqv46", ""),
    ("dig", "x46tp", ""),
    ("nslookup", "", ""),
    ("nc", "zvnuw46", ""),
    ("ncat", "zvnuw46", ""),
    ("netcat", "zvnuw46", ""),
];
/// Programs that act on another machine, with the options that run nothing here.
const ACTING: &[(&str, &str, &str)] = &[
    ("ssh", "46AaCKkNnqTtvVplif", ""),
    ("scp", "46ApqrvCPl", ""),
    ("sftp", "46ApqrvCP", ""),
    (
        "rsync",
        "avzrtnhuPpogDlHxqcR",
        "--archive --verbose --compress --dry-run --progress --stats --exclude --include",
    ),
    ("ftp", "", ""),
    ("telnet", "", ""),
    ("mosh", "", ""),
];
const IN_TERRAFORM: &[&str] = &["plan", "show", "validate", "fmt", "output", "version"];
/// Programs that manage what others use, with their verbs that only look.
const MANAGING: &[(&str, &[&str])] = &[
    (
        "gh",
        &[
            "pr list",
            "pr view",
            "pr status",
            "pr diff",
            "pr checks",
            "issue list",
            "issue view",
            "issue status",
            "repo list",
            "repo view",
            "release list",
            "release view",
            "run list",
            "run view",
            "auth status",
            "status",
        ],
    ),
    ("glab", &["mr list", "mr view", "issue list", "issue view"]),
    ("terraform", IN_TERRAFORM),
    ("tofu", IN_TERRAFORM),
    ("kubectl", &["get", "describe", "logs", "explain", "version"]),
    ("helm", &["list", "status", "get", "show", "template"]),
    ("fly", &["status", "logs"]),
    ("twine", &["check"]),
];
/// Others, of which no verb is known.
const OTHERS: &str = "aws gcloud gsutil az ansible ansible-playbook vercel netlify wrangler firebase heroku flyctl doctl \
    eksctl oc pulumi cdk sam serverless rclone s3cmd hub psql mysql mysqladmin mongo mongosh redis-cli svn";
/// What a verb that destroys has in it.
const DESTROYING: &[&str] = &["delete", "destroy", "terminate", "drop"];

/// Finds the rules for a program of another machine; nothing if it is none.
pub(super) fn program(name: &str, rest: &[String], add: &mut impl FnMut(Rule)) {
    let options = |table: &[(&str, &'static str, &'static str)]| {
        table.iter().find(|(known, ..)| *known == name).map(|(_, letters, words)| (*letters, *words))
    };
    let are_known =
        |(letters, words): (&str, &str)| rest.iter().all(|word| is_harmless(word, letters, words));
    let has = |prefix: &str| rest.iter().any(|word| word.starts_with(prefix));
    if let Some(known) = options(FETCHING) {
        add(Rule::Network);
        if !are_known(known) {
            add(Rule::Remote);
        }
        if name == "wget" || has("-") {
            add(Rule::Writes);
        }
    } else if let Some(known) = options(TALKING) {
        add(Rule::Network);
        if !are_known(known) {
            add(Rule::Hidden);
        }
    } else if let Some(known) = options(ACTING) {
        let is_local = name == "rsync" && !rest.iter().any(|word| word.contains(':'));
        if !is_local {
            add(Rule::Network);
            add(Rule::Remote);
        }
        if matches!(name, "scp" | "rsync") {
            add(Rule::Unnamed);
        }
        if name == "rsync" && has("--del") {
            add(Rule::Recursive);
        } else if !are_known(known) {
            add(Rule::Hidden);
        }
    } else {
        managing(name, rest, add);
    }
}

fn managing(name: &str, rest: &[String], add: &mut impl FnMut(Rule)) {
    let verbs = MANAGING.iter().find(|(known, _)| *known == name).map(|(_, verbs)| *verbs);
    if verbs.is_none() && !is_among(OTHERS, name) {
        return;
    }
    // The verb stands first: behind an option it may be what that takes.
    let line = rest.join(" ");
    let only_looks =
        |verb: &&str| line.strip_prefix(*verb).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
    if verbs.is_some_and(|verbs| verbs.iter().any(only_looks)) {
        add(Rule::Network);
        return;
    }
    let destroys = |word: &String| {
        let lower = word.to_lowercase();
        lower == "rm" || DESTROYING.iter().any(|verb| lower.contains(verb))
    };
    add(if rest.iter().any(destroys) { Rule::Destroys } else { Rule::Remote });
}
