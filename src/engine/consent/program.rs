//! What a command line would do, from the names and the options of the programs in it. A program that is not
//! known here is unknown, and an option that is not known changes nothing: rather too much than too little.

use std::path::PathBuf;

use super::place::{NOWHERE, Places, is_credential, is_path};
use super::rule::Rule;
use super::shell::{self, Simple};

mod git;
mod reader;
mod remote;

use reader::is_harmless;

/// A rule, and what it was found by.
pub(super) type Finding = (Rule, String);

/// What a shell makes other words of.
const GUESSED: [char; 5] = ['[', '{', '$', '*', '?'];
/// Letters of an option behind which it may name a file.
const LETTERS: usize = 8;
/// Directories that the commands of a line may run in; where there are more, they may run anywhere.
const DIRECTORIES: usize = 8;

/// Programs that make the files which they name, or change them, with the options that leave it at those.
const WRITERS: &[(&str, &str)] = &[
    ("touch", "acm"),
    ("mkdir", "pv"),
    ("cp", "ivnfup"),
    ("mv", "ivnfu"),
    ("ln", "sfivn"),
    ("tee", "ai"),
    ("chmod", "vfcrwxugoa"),
];
/// Programs that write files which their line does not name: those of an archive, of a patch.
const UNPACKERS: &str =
    "patch unzip gzip gunzip cpio pax 7z 7za unrar bsdtar unxz xz bunzip2 bzip2 zstd unzstd ar";
/// Programs that act as another user, or on the machine.
const PRIVILEGED: &str = "su runuser chown chgrp useradd usermod userdel groupadd gpasswd passwd chpasswd visudo systemctl \
    service launchctl loginctl mount umount iptables nft ufw ip setcap crontab at batch chroot sysctl modprobe insmod rmmod";
/// Programs that run what follows as another user.
const ELEVATORS: &[&str] = &["sudo", "doas", "pkexec"];
/// Programs that run what follows as it is, with their options, and those of them that take a value. With another
/// one nothing tells where what they run begins.
const WRAPPERS: &[(&str, &str, &str)] = &[
    ("env", "i0v", "u"),
    ("nice", "", "n"),
    ("nohup", "", ""),
    ("command", "pvV", ""),
    ("exec", "cl", "a"),
    ("stdbuf", "", "ioe"),
    ("timeout", "v", "ks"),
    ("ionice", "t", "cn"),
    ("setsid", "cfw", ""),
];
/// The options of elevators, and those of them that take a value.
const ELEVATING: (&str, &str) = ("AbEHnPSKkils", "ughpCDRTUrt");
/// Programs that install for the whole machine.
const SYSTEM_PACKAGES: &str = "apt apt-get dnf yum pacman apk zypper snap dpkg rpm brew flatpak";
/// Programs that bring in packages, with the files that they change without naming them.
const PACKAGES: &[(&str, &str)] = &[
    ("npm", "package.json package-lock.json"),
    ("pnpm", "package.json pnpm-lock.yaml"),
    ("yarn", "package.json yarn.lock"),
    ("bun", "package.json bun.lock"),
    ("cargo", "Cargo.toml Cargo.lock"),
    ("go", "go.mod go.sum"),
    ("poetry", "pyproject.toml poetry.lock"),
    ("uv", "pyproject.toml uv.lock"),
    ("pip", ""),
    ("pip3", ""),
    ("pipx", ""),
    ("gem", ""),
    ("conda", ""),
    ("composer", "composer.json composer.lock"),
];
/// Their verbs that bring something in.
const INSTALLING: &str = "install i in ins add ci update up upgrade exec x create init get require sync dlx version pkg \
    dedupe audit link rebuild shrinkwrap lock mod tidy fix set";
/// Their verbs that leave alone what a project asks for.
const KEEPING: &str = "test t run start ls list view info outdated why search help build check clippy fmt doc tree bench \
    vet show";
const REMOVING: &[&str] = &["uninstall", "un", "unlink", "remove", "rm", "r", "purge", "autoremove", "prune"];
const PUBLISHING: &[&str] = &["publish", "deploy", "release"];
/// Programs that run a package that they fetch.
const FETCHERS: &[&str] = &["npx", "bunx", "pnpx", "uvx"];
const DESTROYERS: &str = "dd fdisk parted wipefs shred shutdown reboot halt poweroff init fsck";
/// Programs that run code which is given to them as text, or by another program; a version may stand behind the name.
const INTERPRETERS: &str = "sh bash zsh fish dash ksh csh tcsh python pypy ipython perl ruby node deno php lua tclsh pwsh Rscript julia";
/// Programs that run code, or a program, which stands in some of their words; and builtins that set what runs later.
const HIDERS: &str = "eval source . xargs parallel awk gawk mawk nawk trap alias function builtin coproc hash enable bind \
    complete compgen mapfile readarray declare typeset busybox watch flock entr script expect tmux screen unshare nsenter \
    systemd-run strace ltrace gdb socat sqlite3 vim vi nvim emacs ed ex";
/// Builtins of shells that set the variables which are among their words.
const SETTERS: &str = "export read for set local unset getopts";
/// Others, which with `-v` look into a variable, or set it.
const VARIED: &str = "printf test [";
/// Variables in capital letters that decide nothing.
const HARMLESS: &str = "LC_ALL LANG TZ CI DEBUG NO_COLOR FORCE_COLOR RUST_BACKTRACE NODE_ENV";
/// Programs that build what a file tells, which with this verb goes to the machine.
const BUILDERS: &str = "make gmake ninja meson cmake just rake scons";
const BUILT: &[&str] = &["install", "--install", "uninstall"];
fn is_among(words: &str, word: &str) -> bool {
    words.split_ascii_whitespace().any(|known| known == word)
}

/// What the commands in a text would do.
pub(super) fn judge(text: &str, places: &Places<'_>) -> Vec<Finding> {
    let line = shell::read(text);
    let mut found = Vec::new();
    if line.is_hidden {
        found.push((Rule::Hidden, "a part of the command is known only when it runs".to_owned()));
    }
    let mut is_from_network = false;
    // A `cd` may have been skipped, or have failed: each command may run wherever one led to.
    let mut directories = vec![places.directory.to_path_buf()];
    for command in &line.commands {
        let before = found.len();
        for directory in &directories {
            simple(command, &command.words, &Places { directory, ..*places }, &mut found);
        }
        moved(&command.words, &mut directories);
        if command.is_piped
            && is_from_network
            && found[before..].iter().any(|(rule, _)| *rule == Rule::Hidden)
        {
            found.push((Rule::Destroys, "runs what comes from the network".to_owned()));
        }
        is_from_network = found[before..].iter().any(|(rule, _)| *rule == Rule::Network)
            || command.is_piped && is_from_network;
    }
    found
}

/// Adds the directories that a command may lead to.
fn moved(words: &[String], directories: &mut Vec<PathBuf>) {
    let Some(at) = words.iter().position(|word| matches!(word.as_str(), "cd" | "pushd" | "popd" | "chdir"))
    else {
        return;
    };
    let to = words[at + 1..].iter().find(|word| !word.starts_with('-')).map_or("~", String::as_str);
    if to.starts_with('~') || to.contains(GUESSED) || directories.len() >= DIRECTORIES {
        directories.push(PathBuf::from(NOWHERE));
    } else {
        let led: Vec<PathBuf> = directories.iter().map(|from| from.join(to)).collect();
        directories.extend(led);
        directories.dedup();
    }
}

/// What one command with these words would do.
fn simple(command: &Simple, words: &[String], places: &Places<'_>, found: &mut Vec<Finding>) {
    let is_assignment = |word: &&String| word.split_once('=').is_some_and(|(name, _)| is_name(name));
    let (assigned, words) = words.split_at(words.iter().take_while(is_assignment).count());
    let varies = words.iter().any(|word| word.starts_with("-v"));
    let sets =
        words.first().is_some_and(|first| is_among(SETTERS, first) || varies && is_among(VARIED, first));
    // What a `read` prompts with names none.
    let is_prompt = |at: usize| words[at - 1].starts_with('-') && words[at - 1].ends_with(['p', 'P']);
    let set =
        words.iter().enumerate().skip(1).filter(|(at, _)| sets && !is_prompt(*at)).map(|(_, word)| word);
    found.extend(
        assigned.iter().chain(set).filter(|word| decides(word)).map(|word| (Rule::Hidden, word.clone())),
    );
    let Some((first, rest)) = words.split_first() else {
        written(command, places, found);
        return;
    };
    let name = first.rsplit('/').next().unwrap_or(first);
    if !is_known_by_name(first) {
        found.push((Rule::Unknown, first.clone()));
    }
    // What a shell makes of it is the program; an option is that of a word before.
    if first != "[" && first.contains(GUESSED) || first.starts_with('-') {
        found.push((Rule::Hidden, first.clone()));
    }
    if ELEVATORS.contains(&name) {
        found.push((Rule::Privilege, name.to_owned()));
        simple(command, wrapped(name, ELEVATING, rest, found), places, found);
        return;
    }
    if let Some((_, plain, valued)) = WRAPPERS.iter().find(|(wrapper, ..)| *wrapper == name) {
        let inner = wrapped(name, (plain, valued), rest, found);
        if inner.is_empty() {
            found.push((Rule::Unknown, first.clone()));
        }
        simple(command, inner, places, found);
        return;
    }
    if is_interpreter(name)
        && let Some(script) = script(rest)
    {
        // A script of that name in the directory is another one than the program.
        if !script[0].contains('/') {
            found.push((Rule::Unknown, script[0].clone()));
        }
        simple(command, script, places, found);
        return;
    }
    let before = found.len();
    program(name, rest, command.is_piped, found);
    if found[before..].is_empty() {
        found.push((Rule::Unknown, first.clone()));
    }
    let only_reads = found[before..].iter().all(|(rule, _)| *rule == Rule::Reads);
    let names_files = found[before..].iter().any(|(rule, _)| {
        matches!(
            rule,
            Rule::Writes | Rule::Unnamed | Rule::Deletes | Rule::Recursive | Rule::Destroys | Rule::Discards
        )
    });
    if name == "git" {
        // A directory of others may have a configuration of its own, which names programs to run.
        let elsewhere = git::directories(rest).find(|directory| !places.is_inside(directory));
        found.extend(elsewhere.map(|directory| (Rule::Hidden, format!("git in {directory}"))));
    }
    if !only_reads {
        path(".", false, places, found);
    }
    for word in rest {
        if names_files {
            guessed(word, found);
        }
        for value in values(word) {
            let may_be_file = is_path(value) || names_files || is_credential(value);
            if !value.is_empty() && may_be_file && !value.contains("://") {
                path(value, only_reads, places, found);
            }
        }
    }
    written(command, places, found);
}

/// Whether a word of a command line stands for a program of the machine, so that its name tells what it does.
fn is_known_by_name(word: &str) -> bool {
    match word.rsplit_once('/') {
        None => true,
        Some((directory, _)) => matches!(directory, "/bin" | "/usr/bin" | "/sbin" | "/usr/sbin"),
    }
}

/// What a word of a command may name a file with: what stands behind a `=`; all of it, or if it is an option what
/// stands behind any of its letters: `--output=FILE`, `-o/etc/x`, `-uo/etc/x`.
fn values(word: &str) -> Vec<&str> {
    let after = word.split_once('=').map(|(_, value)| value);
    let Some(letters) = word.strip_prefix('-') else { return std::iter::once(word).chain(after).collect() };
    let starts = letters.char_indices().skip(1).map(|(at, _)| &letters[at..]);
    let taken = starts.filter(|value| !letters.starts_with('-') && is_path(value)).take(LETTERS);
    taken.chain(after).collect()
}

/// Whether a variable that a word sets, or just names, may decide what a program runs: those in capital letters are the
/// shell's and the programs' own, but for a few.
fn decides(word: &str) -> bool {
    let name = word.split(['=', '+', '[', '?']).next().unwrap_or_default();
    let is_own = name.bytes().all(|byte| !byte.is_ascii_uppercase())
        && !name.contains("path")
        && !name.starts_with("fish_");
    let is_element = is_name(name) && word[name.len()..].starts_with('[');
    is_name(name) && !is_own && !is_among(HARMLESS, name) || is_element
}

fn is_interpreter(name: &str) -> bool {
    is_among(INTERPRETERS, name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.'))
}

/// The command that a program runs as it is, past its own options.
fn wrapped<'w>(
    name: &str,
    (plain, valued): (&str, &str),
    words: &'w [String],
    found: &mut Vec<Finding>,
) -> &'w [String] {
    let mut rest = words;
    while let Some((option, after)) = rest.split_first() {
        let Some(letters) = option.strip_prefix('-') else { break };
        rest = after;
        if letters == "-" {
            break;
        }
        let plain_part = letters.trim_start_matches(|c: char| plain.contains(c) || c.is_ascii_digit());
        let mut value = plain_part.chars();
        let is_known = value.next().is_none_or(|letter| valued.contains(letter))
            || matches!(letters, "-foreground" | "-preserve-status");
        if !is_known {
            found.push((Rule::Hidden, format!("{name} {option}")));
        }
        // The value of the last letter is the next word, unless it stands behind the letter.
        if is_known && plain_part.len() == 1 {
            rest = rest.get(1..).unwrap_or_default();
        }
    }
    if name == "timeout" { rest.get(1..).unwrap_or_default() } else { rest }
}

/// A word that a shell makes others of stands for files that it does not name.
fn guessed(word: &str, found: &mut Vec<Finding>) {
    if word.contains(GUESSED) {
        found.push((Rule::Unnamed, word.to_owned()));
    }
}

/// The script that an interpreter is given, with its words; a module is one, too. None where it is given code.
fn script(words: &[String]) -> Option<&[String]> {
    let first = words.iter().position(|word| !word.starts_with('-'))?;
    let takes_code = |word: &String| match word.strip_prefix("--") {
        Some(long) => !matches!(long, "" | "login" | "norc" | "noprofile" | "posix"),
        None => !is_harmless(word, "uBOvxml", ""),
    };
    let is_code = |word: &String| matches!(word.as_str(), "-c" | "-e" | "-p" | "-r" | "--eval" | "--print");
    let has_code = words[..first].iter().any(takes_code) || words.iter().any(is_code);
    (!has_code).then(|| &words[first..])
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Where the output of a command goes.
fn written(command: &Simple, places: &Places<'_>, found: &mut Vec<Finding>) {
    for file in &command.writes {
        if !file.starts_with("/dev/") {
            found.push((Rule::Writes, file.clone()));
        }
        guessed(file, found);
        path(file, false, places, found);
    }
}

/// What it means that a file is named.
pub(super) fn path(file: &str, only_reads: bool, places: &Places<'_>, found: &mut Vec<Finding>) {
    if is_credential(file) {
        found.push((Rule::Credentials, file.to_owned()));
    }
    if !only_reads && places.runs_later(file) {
        found.push((Rule::Hidden, file.to_owned()));
    }
    if ["/dev/tcp", "/dev/udp"].iter().any(|device| file.starts_with(device)) {
        found.push((Rule::Network, file.to_owned()));
    }
    if only_reads && !places.is_inside(file) {
        found.push((Rule::ReadsOutside, file.to_owned()));
    } else if !only_reads && places.is_system(file) {
        found.push((Rule::System, file.to_owned()));
    } else if !only_reads && !places.is_inside(file) {
        found.push((Rule::Outside, file.to_owned()));
    }
}

/// What a program does, by its name and its words; nothing where that is not known.
fn program(name: &str, rest: &[String], is_piped: bool, found: &mut Vec<Finding>) {
    let has = |option: &str| rest.iter().any(|word| word == option);
    let flag = |letters: &[char]| {
        rest.iter().any(|word| word.starts_with('-') && !word.starts_with("--") && word.contains(letters))
    };
    let first = rest.first();
    let verb = rest.iter().find(|word| !word.starts_with('-')).map_or("", String::as_str);
    let mut add = |rule: Rule| {
        let what =
            if verb.is_empty() || rule == Rule::Reads { name.to_owned() } else { format!("{name} {verb}") };
        found.push((rule, what));
    };
    match name {
        "git" => git::program(rest, &mut add),
        "rm" if flag(&['r', 'R']) || rest.iter().any(|word| word.starts_with("--r")) => add(Rule::Recursive),
        "kill" if has("-1") => add(Rule::Destroys),
        "rm" | "rmdir" | "unlink" | "truncate" | "kill" | "pkill" | "killall" => add(Rule::Deletes),
        "mv" if rest.iter().any(|word| word.starts_with("/dev/")) => add(Rule::Deletes),
        "tar" => add(reader::tar(rest)),
        "sed" => add(reader::sed(rest)),
        "chmod" if verb.contains('s') || verb.len() > 3 && verb.bytes().all(|byte| byte.is_ascii_digit()) => {
            add(Rule::Privilege);
        }
        "ssh-keygen" | "gpg" | "ssh-add" => add(Rule::Credentials),
        "docker" | "podman"
            if first.is_some_and(|verb| matches!(verb.as_str(), "ps" | "images" | "logs" | "inspect")) =>
        {
            add(Rule::Reads);
        }
        // What it runs it runs as the machine's administrator.
        "docker" | "podman" => {
            add(Rule::Privilege);
            if rest.iter().any(|word| REMOVING.contains(&word.as_str()) || word == "rmi") {
                add(Rule::Deletes);
            }
        }
        _ if is_among(BUILDERS, name) && rest.iter().any(|word| BUILT.contains(&word.as_str())) => {
            add(Rule::Outside);
            add(Rule::Unnamed);
        }
        _ if name.starts_with("mkfs") || is_among(DESTROYERS, name) => add(Rule::Destroys),
        _ if is_among(SYSTEM_PACKAGES, name) => {
            add(if REMOVING.contains(&verb) { Rule::Deletes } else { Rule::Installs });
            add(Rule::Privilege);
        }
        _ if FETCHERS.contains(&name) => add(Rule::Installs),
        _ if PACKAGES.iter().any(|(program, _)| *program == name) => package(rest, &mut add),
        _ if is_among(HIDERS, name) => add(Rule::Hidden),
        // Code that is given as text, or by another program.
        _ if is_interpreter(name) && (!rest.is_empty() || is_piped) => add(Rule::Hidden),
        _ if is_among(UNPACKERS, name) => add(Rule::Unnamed),
        _ if WRITERS.iter().any(|(writer, _)| *writer == name) => {
            add(Rule::Writes);
            let is_known = |word: &String| {
                WRITERS.iter().any(|(writer, letters)| *writer == name && is_harmless(word, letters, ""))
            };
            if !rest.iter().all(is_known) {
                add(Rule::Unnamed);
            }
        }
        _ if is_among(PRIVILEGED, name) => add(Rule::Privilege),
        _ => {
            remote::program(name, rest, &mut add);
            if let Some(rule) = reader::reads(name, rest) {
                add(rule);
            }
        }
    }
}

/// The verb may stand anywhere: what an option takes is not known.
fn package(rest: &[String], add: &mut impl FnMut(Rule)) {
    let has = |is_one: &dyn Fn(&str) -> bool| rest.iter().any(|word| is_one(word));
    if has(&|word| PUBLISHING.contains(&word)) {
        add(Rule::Remote);
    } else if has(&|word| REMOVING.contains(&word)) {
        add(Rule::Deletes);
    } else if has(&|word| is_among(INSTALLING, word)) {
        add(Rule::Installs);
    }
}

/// Whether a text has the builtin that asks what its words say.
pub(super) fn asks(text: &str) -> bool {
    shell::read(text).commands.iter().any(|command| command.words.first().is_some_and(|word| word == "read"))
}

/// All that the words in a text may name, without their quotes: also what stands behind a letter of an option.
pub(super) fn named(text: &str) -> Vec<String> {
    let words = shell::read(text)
        .commands
        .into_iter()
        .flat_map(|command| command.words.into_iter().chain(command.writes));
    let parts = |word: String| {
        let behind = word.strip_prefix('-').map(|letters| {
            let starts = letters.char_indices().skip(1).take(LETTERS);
            starts.map(|(at, _)| letters[at..].to_owned()).collect::<Vec<_>>()
        });
        let value = word.split_once('=').map(|(_, value)| value.to_owned());
        behind.unwrap_or_default().into_iter().chain(value).chain([word])
    };
    words.flat_map(parts).collect()
}

/// Files that the programs in a text change without naming them.
pub(super) fn unnamed(text: &str) -> impl Iterator<Item = &'static str> {
    let line = shell::read(text);
    line.commands.into_iter().filter_map(|command| {
        let files = |word: &String| {
            let name = word.rsplit('/').next().unwrap_or(word);
            PACKAGES.iter().find(|(program, _)| *program == name).map(|(_, files)| *files)
        };
        let (at, files) = command.words.iter().enumerate().find_map(|(at, word)| Some((at, files(word)?)))?;
        let rest = &command.words[at + 1..];
        let keeps =
            rest.iter().find(|word| !word.starts_with('-')).is_some_and(|verb| is_among(KEEPING, verb));
        let changes = |word: &String| is_among(INSTALLING, word) || REMOVING.contains(&word.as_str());
        (!files.is_empty() && (!keeps || rest.iter().any(changes))).then_some(files)
    })
}

#[cfg(test)]
mod tests;
