//! Programs that only look, with the options that are known to leave it at that.

use super::{Rule, is_among};

/// Programs that only look whatever they are given, and builtins of shells that do nothing to files.
const READERS: &str = "ls cat head tail grep egrep fgrep wc cut tr diff cmp stat du df pwd echo printf which type whoami id \
    uname ps jq test [ true false sleep cd basename dirname realpath readlink md5sum sha256sum nl column hexdump od \
    read exit return comm seq free uptime set unset for in case esac break continue local";
/// Programs that only look with these letters and these words as options.
const CAREFUL: &[(&str, &str, &str)] = &[
    ("file", "bhiLkNprsz0", "--brief --mime --mime-type --mime-encoding"),
    (
        "rg",
        "ABCEFHILMNPSTUabcdefghijlmnopqrstuvwxz",
        "--glob --type --hidden --no-ignore --files --files-with-matches --count --line-number --ignore-case --json \
         --max-count --multiline --fixed-strings --word-regexp --context --smart-case --color --no-heading --sort --stats",
    ),
    (
        "sort",
        "nrukthfbdgiMVRszcCm",
        "--numeric-sort --reverse --unique --key --field-separator --human-numeric-sort --version-sort --ignore-case \
         --stable --check --zero-terminated --general-numeric-sort --month-sort",
    ),
    ("uniq", "cduiDfswz", "--count --repeated --unique --ignore-case --skip-fields --skip-chars"),
    ("tree", "aLdIPfhpsugDCrtnJX", "--dirsfirst --gitignore --noreport --prune --du --filelimit"),
    ("less", "NSRFXiIeEmMrswgG", "--quit-if-one-screen --no-init --chop-long-lines --LINE-NUMBERS"),
    ("more", "dlfpcsu", ""),
    ("xxd", "abcegilopsu", ""),
    ("date", "uIRdr", "--utc --universal --date --iso-8601 --rfc-3339 --rfc-email --reference"),
    ("hostname", "fsiIdAy", "--fqdn --long --short --ip-address --all-ip-addresses --domain --all-fqdns"),
    (
        "fd",
        "HIsigaldteEcFL0pSu1q",
        "--hidden --no-ignore --type --extension --exclude --max-depth --glob --absolute-path --follow --color --print0 \
         --full-path --ignore-case --case-sensitive",
    ),
];
/// What find tells files apart and shows them by.
const FINDING: &str = "-name -iname -path -ipath -wholename -regex -iregex -regextype -type -size -empty -newer -mtime -mmin \
    -ctime -cmin -atime -amin -perm -user -group -links -inum -samefile -readable -writable -executable -maxdepth -mindepth \
    -depth -xdev -mount -follow -prune -print -print0 -printf -ls -quit -true -false -not -a -and -o -or -L -H -P";
const TAR_OPTIONS: &str = "--extract --create --list --file --verbose --gzip --xz --bzip2 --zstd --auto-compress --directory \
    --exclude --strip-components --keep-old-files --get --append --update --diff";

/// What a program does that looks, as long as its options let it; none if it is another program.
pub(super) fn reads(name: &str, rest: &[String]) -> Option<Rule> {
    let name = if name == "fdfind" { "fd" } else { name };
    if is_among(READERS, name) {
        return Some(Rule::Reads);
    }
    if name == "find" {
        return Some(find(rest));
    }
    if name == "export" {
        return Some(Rule::Reads);
    }
    let (_, letters, words) = CAREFUL.iter().find(|(program, ..)| *program == name)?;
    let named: Vec<&String> = rest.iter().filter(|word| !word.starts_with('-')).collect();
    let short = |with: &[char]| rest.iter().any(|word| is_short(word) && word.contains(with));
    let long = |prefix: &str| rest.iter().any(|word| word.starts_with(prefix));
    let rule = match name {
        "fd" if short(&['x', 'X'])
            || long("--ex") && !rest.iter().all(|word| is_harmless(word, letters, words)) =>
        {
            Rule::Hidden
        }
        "rg" if long("--pre") || long("--hostname-bin") => Rule::Hidden,
        "less" | "more" if long("+") => Rule::Hidden,
        "sort" if long("--compress") => Rule::Hidden,
        "sort" if short(&['o']) || long("--o") => Rule::Writes,
        "tree" if short(&['o']) => Rule::Writes,
        "less" if short(&['o', 'O']) || long("--log") || long("--LOG") => Rule::Writes,
        // The second file is written, and what an option takes may be one.
        "uniq" | "xxd" if named.len() > 1 => Rule::Writes,
        "date" if short(&['s']) || long("--s") => Rule::Privilege,
        // What sets the clock is nothing but digits.
        "date" if named.iter().any(|word| word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')) => {
            Rule::Privilege
        }
        "hostname" if !named.is_empty() => Rule::Privilege,
        _ if rest.iter().all(|word| is_harmless(word, letters, words)) => Rule::Reads,
        _ => Rule::Unknown,
    };
    Some(rule)
}

fn is_short(word: &str) -> bool {
    word.starts_with('-') && !word.starts_with("--")
}

/// Whether a word is no option, or one that is known.
pub(super) fn is_harmless(word: &str, letters: &str, words: &str) -> bool {
    if word.starts_with("--") {
        let name = word.split_once('=').map_or(word, |(name, _)| name);
        return name == "--" || matches!(name, "--help" | "--version") || is_among(words, name);
    }
    !is_short(word) || word[1..].chars().all(|c| !c.is_alphabetic() || letters.contains(c))
}

fn find(rest: &[String]) -> Rule {
    let has = |prefix: &str| rest.iter().any(|word| word.starts_with(prefix));
    if has("-delete") {
        Rule::Recursive
    } else if has("-exec") || has("-ok") {
        Rule::Hidden
    } else if has("-fprint") || has("-fls") {
        Rule::Writes
    } else if rest.iter().all(|word| !word.starts_with('-') || is_among(FINDING, word)) {
        Rule::Reads
    } else {
        Rule::Unknown
    }
}

/// What tar does, whose letters may stand without a dash.
pub(super) fn tar(rest: &[String]) -> Rule {
    let letters = "xcvzfjJtCpkahmru";
    let is_known = |(at, word): (usize, &String)| {
        let first = if at == 0 && !word.starts_with('-') { word.as_str() } else { "" };
        first.chars().all(|c| letters.contains(c)) && is_harmless(word, letters, TAR_OPTIONS)
    };
    if !rest.iter().enumerate().all(is_known) {
        // Those that are left run programs for the most part.
        return Rule::Hidden;
    }
    let (first, others) =
        rest.split_first().map_or(("", &[][..]), |(first, others)| (first.as_str(), others));
    let short = others.iter().filter(|word| is_short(word)).map(String::as_str);
    let does = |letter: char| {
        first.contains(letter) && !first.starts_with("--") || short.clone().any(|word| word.contains(letter))
    };
    let says = |option: &str| rest.iter().any(|word| word == option);
    if does('x') || says("--extract") || says("--get") {
        Rule::Unnamed
    } else if (does('t') || says("--list")) && !does('c') {
        Rule::Reads
    } else {
        Rule::Writes
    }
}

/// What sed does, whose scripts can run programs and write files: with one script, of a known form.
pub(super) fn sed(rest: &[String]) -> Rule {
    let mut named = rest.iter().filter(|word| !word.starts_with('-'));
    let Some(script) =
        named.next().filter(|_| rest.iter().all(|word| is_harmless(word, "inErsz", "--in-place --quiet")))
    else {
        return Rule::Hidden;
    };
    let in_place =
        rest.iter().any(|word| is_short(word) && word.contains('i') || word.starts_with("--in-place"));
    match (only_substitutes(script) || only_prints(script), in_place) {
        (false, _) => Rule::Hidden,
        (true, true) => Rule::Writes,
        (true, false) => Rule::Reads,
    }
}

/// Whether a script of sed prints lines by their numbers, or leaves them out.
fn only_prints(script: &str) -> bool {
    script.chars().all(|c| c.is_ascii_digit() || ",$pdq;!".contains(c))
}

/// Whether a script of sed is one substitution, which neither runs nor writes anything else.
fn only_substitutes(script: &str) -> bool {
    let Some((mark, rest)) = script.strip_prefix('s').and_then(|rest| Some((rest.chars().next()?, rest)))
    else {
        return false;
    };
    let parts: Vec<&str> = rest.split(mark).collect();
    let [_, _, _, flags] = parts.as_slice() else { return false };
    !script.contains('\n') && flags.chars().all(|c| c.is_ascii_digit() || matches!(c, 'g' | 'i' | 'I' | 'p'))
}
