//! Where the files lie that a question names, as far as their names tell: no file is looked at, so a symbolic
//! link is where it stands.

use std::path::{Component, Path, PathBuf};

use crate::model::glob;

/// What a session's files are judged by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places<'a> {
    /// Where the session was created. What lies in it is inside.
    pub(super) root: &'a Path,
    /// Where the program works that asks.
    pub(super) directory: &'a Path,
    /// Globs of files that no answer may touch.
    pub(super) protected: &'a [String],
}

/// Directories that belong to the machine.
const SYSTEM: &[&str] =
    &["/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/opt", "/proc", "/sbin", "/sys", "/usr", "/var"];
/// A directory that nothing is inside of: that of a command behind a `cd` to who knows where.
pub(super) const NOWHERE: &str = "~";
/// Files, and directories of them, that programs read to know what to run, in lower case.
const RUN_LATER: &[&str] = &[
    ".git",
    ".gitconfig",
    ".bashrc",
    ".bash_profile",
    ".bash_login",
    ".bash_aliases",
    ".profile",
    ".zshrc",
    ".zshenv",
    ".zprofile",
    ".zlogin",
    "config.fish",
    ".envrc",
    ".inputrc",
    ".vimrc",
    ".tmux.conf",
    "autostart",
    ".claude",
    ".husky",
    ".vscode",
    ".github",
];
/// What can be written to without a trace.
const SINKS: &[&str] = &["/dev/null", "/dev/stdout", "/dev/stderr", "/dev/tty"];
/// Names of files and directories that hold keys or passwords, in lower case.
const CREDENTIALS: &[&str] = &[
    ".env",
    ".ssh",
    ".gnupg",
    ".aws",
    ".kube",
    ".netrc",
    ".npmrc",
    ".pypirc",
    ".git-credentials",
    "id_rsa",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    "authorized_keys",
    "credentials",
    "credentials.json",
    "shadow",
    "environ",
    ".bash_history",
    ".zsh_history",
];
const CREDENTIAL_ENDINGS: &[&str] = &[".pem", ".key", ".p12", ".pfx", ".keystore", ".env"];

impl Places<'_> {
    /// Whether it lies in the session's directory. A home directory is not known here, so none is inside, and neither
    /// is what a shell makes of a `$` or of braces, nor of `.*`, which is `..`, too; and a directory of the machine is
    /// inside only where the session was created in it.
    pub(super) fn is_inside(&self, path: &str) -> bool {
        let leads_up = |part: &str| part.starts_with('.') && part.contains(['*', '?', '[']);
        SINKS.contains(&path)
            || !path.starts_with('~')
                && !path.contains(['$', '{'])
                && !path.split('/').any(leads_up)
                && self.absolute(path).starts_with(resolved(self.root))
                && self.machine(path).is_none_or(|system| resolved(self.root).starts_with(system))
    }

    /// Whether it lies outside, and belongs to the machine.
    pub(super) fn is_system(&self, path: &str) -> bool {
        let is_root = self.absolute(path) == Path::new("/");
        !self.is_inside(path) && (is_root || self.machine(path).is_some())
    }

    /// The directory of the machine that it lies in.
    fn machine(&self, path: &str) -> Option<&'static str> {
        let absolute = self.absolute(path);
        SYSTEM.iter().copied().find(|system| absolute.starts_with(system))
    }

    /// Whether what stands there names programs that are run later: git's hooks, what a shell begins with.
    pub(super) fn runs_later(&self, path: &str) -> bool {
        let is_one =
            |part: Component<'_>| RUN_LATER.iter().any(|name| part.as_os_str().eq_ignore_ascii_case(name));
        self.absolute(path).components().any(is_one)
    }

    /// The first pattern that something named in `text` fits, with its name.
    pub(super) fn protected<'t>(&self, text: &'t str) -> Option<(&'t str, &str)> {
        // An option may be written together with the file that it takes: -oFILE
        let taken = names(text).filter(|name| name.starts_with('-')).filter_map(|name| name.get(2..));
        let named = quoted(text).into_iter().chain(names(text)).chain(taken.filter(|name| !name.is_empty()));
        named.into_iter().find_map(|name| {
            let pattern = self.protected.iter().find(|pattern| self.fits(pattern, name))?;
            Some((name, pattern.as_str()))
        })
    }

    fn fits(&self, pattern: &str, name: &str) -> bool {
        // A `**/` is no directory at all, too.
        let pattern = pattern.trim().to_lowercase().replace("**/", "*");
        let parts = resolved(Path::new(&pattern));
        let pattern = parts.to_string_lossy();
        let pattern = pattern.trim_start_matches("./").trim_end_matches('/');
        let name = as_glob(&name.to_lowercase());
        let name = name.trim_start_matches("./").trim_end_matches('/');
        let absolute = self.absolute(name).to_string_lossy().to_lowercase();
        // A glob in a command takes what is protected along.
        let is_glob = name.contains(['*', '?']);
        let meets = |part: &str| {
            glob::matches(pattern, part) || is_glob && !part.is_empty() && glob::matches(part, pattern)
        };
        if meets(name) || glob::matches(pattern, &absolute) {
            return true;
        }
        if pattern.contains('/') {
            // What lies in a directory is protected with it.
            let ends = |path: &str| {
                path.match_indices('/').map(|(at, _)| at).chain([path.len()]).collect::<Vec<_>>()
            };
            let starts =
                |path: &str| path.match_indices('/').map(|(at, _)| at + 1).chain([0]).collect::<Vec<_>>();
            let any = |path: &str, fits: &dyn Fn(&str) -> bool| {
                let ends = ends(path);
                starts(path)
                    .into_iter()
                    .any(|start| ends.iter().any(|end| *end > start && fits(&path[start..*end])))
            };
            return any(name, &meets) || any(&absolute, &|part| glob::matches(pattern, part));
        }
        name.split('/').any(meets)
    }

    fn absolute(&self, path: &str) -> PathBuf {
        resolved(&self.directory.join(path))
    }
}

/// What a shell makes something else of, as a glob: from a brace or a variable on it may be anything, and a bracket is
/// one character.
fn as_glob(name: &str) -> String {
    let end = name.find(['{', '$']).unwrap_or(name.len());
    let mut glob = name[..end].to_owned();
    while let Some((open, close)) = glob.find('[').and_then(|at| Some((at, at + glob[at..].find(']')?))) {
        glob.replace_range(open..=close, "?");
    }
    if end < name.len() {
        glob.push('*');
    }
    glob
}

/// Whether it is named like something that holds keys or passwords, or may stand for such a name.
pub(super) fn is_credential(path: &str) -> bool {
    let lower = path.to_lowercase();
    lower.split('/').any(|part| {
        let glob = as_glob(part);
        let fits = |name: &&str| glob::matches(&glob, name) && !glob.trim_matches(['*', '?']).is_empty();
        let ends = |ending: &&str| part.len() > ending.len() && part.ends_with(*ending);
        CREDENTIALS.iter().any(fits) || part.starts_with(".env.") || CREDENTIAL_ENDINGS.iter().any(ends)
    })
}

/// Whether a word of a command can only be a path.
pub(super) fn is_path(word: &str) -> bool {
    (word.contains('/') || word.starts_with(['~', '.'])) && !word.contains("://")
}

/// What stands in quotation marks.
pub(super) fn quoted(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find(['\'', '"', '‘', '`']) {
        let mark = rest[open..].chars().next().unwrap_or('\'');
        let close = if mark == '‘' { '’' } else { mark };
        let inside = &rest[open + mark.len_utf8()..];
        let Some(end) = inside.find(close) else { break };
        if end > 0 {
            found.push(&inside[..end]);
        }
        rest = &inside[end + close.len_utf8()..];
    }
    found
}

/// Words of a text as files may be called.
pub(super) fn names(text: &str) -> impl Iterator<Item = &str> {
    let between = |c: char| c.is_whitespace() || "'\"‘’`,;:()[]{}<>|=&".contains(c);
    text.split(between)
        .map(|word| word.trim_end_matches(['?', '!']))
        .map(|word| {
            // The full stop of a sentence.
            word.strip_suffix('.').filter(|rest| !rest.is_empty() && !rest.ends_with('.')).unwrap_or(word)
        })
        .filter(|word| !word.is_empty())
}

/// Without `.` and `..`, by name alone.
fn resolved(path: &Path) -> PathBuf {
    let mut resolved = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                resolved.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => resolved.push(part),
        }
    }
    resolved
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(protected: &[String]) -> Places<'_> {
        Places { root: Path::new("/home/u/p"), directory: Path::new("/home/u/p/src"), protected }
    }

    #[test]
    fn inside_is_what_the_name_leads_to() {
        let places = places(&[]);
        for path in ["a", "../a", "./x/../y", "/home/u/p", "/home/u/p/x", "/dev/null"] {
            assert!(places.is_inside(path), "{path}");
        }
        for path in ["../../a", "/home/u/pp", "/", "~/p", "$HOME/x", "/home/u/p/../q"] {
            assert!(!places.is_inside(path), "{path}");
        }
        for path in ["/", "/etc/passwd", "/usr/../etc/x", "../../../../usr/bin"] {
            assert!(places.is_system(path), "{path}");
        }
        assert!(!places.is_system("/home/u/q") && !places.is_system("a"));
        for path in ["a/$X", "{../x,y}", "a/.*/x", ".?/x", ".?/[.]"] {
            assert!(!places.is_inside(path), "{path} may lead anywhere");
        }
        assert!(places.is_inside("a/*.rs") && places.is_inside("?"));
    }

    #[test]
    fn what_belongs_to_the_machine_is_inside_only_if_it_was_named() {
        let at =
            |root: &'static str| Places { root: Path::new(root), directory: Path::new(root), protected: &[] };
        assert!(at("/").is_inside("app/x") && !at("/").is_inside("etc/passwd"));
        assert!(at("/").is_system("etc/passwd"));
        assert!(at("/etc/nginx").is_inside("x") && at("/etc/nginx").is_system("/usr/x"));
    }

    #[test]
    fn protected_files_are_found_wherever_they_are_named() {
        let check = |pattern: &str, text: &str| {
            let patterns = [pattern.to_owned()];
            places(&patterns).protected(text).is_some()
        };
        for (pattern, text) in [
            ("package.json", "rm: remove regular file 'package.json'?"),
            ("package.json", "Do you want to make this edit to web/package.json?"),
            ("PACKAGE.json", "overwrite ./package.JSON?"),
            ("*.env", "cat config/prod.env"),
            ("*.env", "cp x .env"),
            ("node_modules", "rm -rf node_modules/left-pad"),
            ("migrations/*", "edit app/migrations/1.sql"),
            ("src/*.rs", "edit main.rs"),
            ("/home/u/p/src/main.rs", "edit main.rs"),
            ("package.json", "rm package.*"),
            ("*.env", "rm *"),
            ("my file", "rm 'my file'"),
            ("package.json", "--output=package.json"),
            ("package.json", "sort -opackage.json x"),
            ("package.json", "It writes package.json."),
            ("config/secrets", "rm config/secrets/a"),
            ("config/secrets/", "rm config/secrets/deep/a"),
            ("/home/u/p/src/x", "rm x/a"),
            ("src/../package.json", "rm package.json"),
            ("package.json ", "rm package.json"),
            ("config/**/a", "rm config/a"),
        ] {
            assert!(check(pattern, text), "{pattern} in {text}");
        }
        for (pattern, text) in [
            ("package.json", "package.json5 and my-package.json"),
            ("*.env", "environment"),
            ("src/*.rs", "edit tests/x"),
            ("migrations/*", "migrations"),
            ("package.json", ""),
        ] {
            assert!(!check(pattern, text), "{pattern} in {text}");
        }
    }

    #[test]
    fn keys_and_passwords_are_known_by_name() {
        for path in
            [".env", "x/.env.local", "prod.env", "~/.ssh/config", "/a/server.pem", "id_rsa", "/etc/shadow"]
        {
            assert!(is_credential(path), "{path}");
        }
        for path in
            [".en*", ".e[n]v", "~/.ss*/*", ".{env,x}", ".e$X", "/proc/self/environ", "cred*", "id_?sa"]
        {
            assert!(is_credential(path), "{path}");
        }
        for path in ["environment", "key", "ssh", "monkey.rs", ".envrc", "*", "*.rs", "$X", "src/*"] {
            assert!(!is_credential(path), "{path}");
        }
    }
}
