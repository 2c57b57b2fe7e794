//! `shellherd doctor`: looks at what the server needs from the machine, and says how to get it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use super::{Flags, Outcome, print};
use crate::config::Config;
use crate::limits;
use crate::orchestrator;

/// Shells that are talked to in full.
const SHELLS: [&str; 5] = ["bash", "zsh", "fish", "dash", "sh"];

/// How a check came out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Grade {
    Ok,
    Warn,
    Fail,
}

struct Finding {
    grade: Grade,
    what: String,
    /// How to fix it.
    fix: String,
}

impl Finding {
    fn ok(what: impl Into<String>) -> Self {
        Self { grade: Grade::Ok, what: what.into(), fix: String::new() }
    }

    fn warn(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { grade: Grade::Warn, what: what.into(), fix: fix.into() }
    }

    fn fail(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { grade: Grade::Fail, what: what.into(), fix: fix.into() }
    }
}

pub(super) fn doctor(flags: Flags) -> Outcome {
    let config = flags.resolve()?;
    let mut findings = shells(&config);
    findings.extend([
        terminal(),
        private_directory(),
        descriptors(),
        processes(),
        limits_held(config.cgroup),
    ]);
    findings.push(state(&config.state_dir));
    for finding in &findings {
        let grade = match finding.grade {
            Grade::Ok => "ok  ",
            Grade::Warn => "warn",
            Grade::Fail => "fail",
        };
        print(&format!("{grade}  {}", finding.what))?;
        if !finding.fix.is_empty() {
            print(&format!("      {}", finding.fix))?;
        }
    }
    let failed = findings.iter().any(|finding| finding.grade == Grade::Fail);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn shells(config: &Config) -> Vec<Finding> {
    let default = config.shell.clone().or_else(|| std::env::var("SHELL").ok());
    let mut findings = Vec::new();
    match &default {
        None => findings
            .push(Finding::warn("no default shell", "set $SHELL, or give --shell; until then it is sh")),
        Some(shell) => match on_path(shell) {
            Some(path) => findings.push(Finding::ok(format!("default shell {}", path.display()))),
            None => findings.push(Finding::fail(
                format!("the default shell {shell} is not there"),
                "install it, or set $SHELL or --shell to one that is",
            )),
        },
    }
    let found: Vec<PathBuf> = SHELLS.iter().filter_map(|shell| on_path(shell)).collect();
    if found.is_empty() {
        findings.push(Finding::fail("no shell on the PATH", "install bash, zsh, fish or dash"));
    }
    for path in found {
        let shell = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let version = version(&path).map_or_else(String::new, |version| format!(" {version}"));
        findings.push(Finding::ok(format!("{shell}{version} at {}", path.display())));
    }
    findings
}

/// A program that can be run, by its path or by its name.
fn on_path(program: &str) -> Option<PathBuf> {
    let is_program = |path: &PathBuf| {
        fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(is_program);
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(is_program)
}

/// What a shell says of its version; dash says nothing.
fn version(shell: &Path) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a question to a program that ends by itself, not a session"
    )]
    let mut question = std::process::Command::new(shell);
    let answer = question.arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(answer.stdout).ok()?;
    let words = text.lines().next()?.split_whitespace();
    words
        .map(|word| word.trim_matches(','))
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))
        .map(str::to_owned)
}

fn terminal() -> Finding {
    match crate::pty::probe() {
        Ok(()) => Finding::ok("a terminal can be opened"),
        Err(error) => Finding::fail(
            format!("no terminal can be opened: {error}"),
            "mount /dev/pts (devpts), or raise kernel.pty.max",
        ),
    }
}

/// Commands are handed to shells by files in a private directory in memory.
fn private_directory() -> Finding {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let private = |directory: &PathBuf| {
        let file = fs::metadata(directory).ok()?;
        let own = file.uid() == rustix::process::getuid().as_raw();
        (file.is_dir() && own && file.mode() & 0o777 == 0o700).then_some(())
    };
    if let Some(directory) = runtime.filter(|directory| private(directory).is_some()) {
        return Finding::ok(format!("private directory in {}", directory.display()));
    }
    if is_writable(Path::new("/dev/shm")) {
        return Finding::ok("private directory in /dev/shm");
    }
    Finding::warn(
        "neither XDG_RUNTIME_DIR nor /dev/shm can be used",
        "commands are handed over by files in the temporary directory, which is slower; mount a tmpfs at /dev/shm",
    )
}

fn is_writable(directory: &Path) -> bool {
    rustix::fs::access(directory, rustix::fs::Access::WRITE_OK).is_ok()
}

fn descriptors() -> Finding {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let Some(hard) = limit.maximum.or(limit.current) else {
        return Finding::ok("no limit on descriptors");
    };
    let wanted = (limits::SESSIONS * limits::SESSION_DESCRIPTORS) as u64;
    if hard >= wanted {
        return Finding::ok(format!("{hard} descriptors, enough for {} sessions", limits::SESSIONS));
    }
    let sessions = hard / limits::SESSION_DESCRIPTORS as u64;
    Finding::warn(
        format!("{hard} descriptors, enough for about {sessions} sessions"),
        "raise the limit (ulimit -n 4096, or LimitNOFILE) for more",
    )
}

fn processes() -> Finding {
    match fs::read_to_string("/proc/self/stat") {
        Ok(_) => Finding::ok("/proc can be read"),
        Err(error) => Finding::fail(
            format!("/proc cannot be read: {error}"),
            "mount it: without it programs that wait for input, usage and stray processes are not seen",
        ),
    }
}

/// Limits on memory, processes and CPU time hold everywhere; what differs is who holds them.
fn limits_held(by_kernel: bool) -> Finding {
    if !by_kernel {
        return Finding::ok("limits are held by looking: cgroup is off");
    }
    match crate::pty::cgroup::available() {
        Ok(directory) => {
            Finding::ok(format!("limits are held by the kernel, too (cgroup v2 in {})", directory.display()))
        }
        Err(why) => Finding {
            fix: "the kernel holds them, too, for a server with a group to itself: \
                  systemd-run --user --scope -p Delegate=yes shellherd"
                .to_owned(),
            ..Finding::ok(format!("limits are held by looking: {why}"))
        },
    }
}

fn state(directory: &Path) -> Finding {
    let shown = directory.display();
    // The directory is made by the first call; until then, the nearest one above it counts.
    let Some(existing) = directory.ancestors().find(|ancestor| ancestor.exists()) else {
        return Finding::fail(format!("there is no place for {shown}"), "give another one with --state-dir");
    };
    if !existing.is_dir() || !is_writable(existing) {
        return Finding::fail(
            format!("{} cannot be written, so there is no state in {shown}", existing.display()),
            "change its owner, or give another one with --state-dir",
        );
    }
    if let Err(error) = try_to_make(directory, existing) {
        return Finding::fail(
            format!("{shown} cannot be made: {error}"),
            "give another one with --state-dir",
        );
    }
    match orchestrator::check_store(directory) {
        Ok(()) => Finding::ok(format!("state in {shown}")),
        Err(error) => Finding::fail(error.message, error.hint.unwrap_or_default()),
    }
}

/// Makes a directory and takes it away again, if it is not there: not every file system takes new ones.
fn try_to_make(directory: &Path, existing: &Path) -> std::io::Result<()> {
    let made = fs::create_dir_all(directory);
    for missing in directory.ancestors().take_while(|ancestor| *ancestor != existing) {
        let _ = fs::remove_dir(missing);
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_by_name_and_by_path() {
        let sh = on_path("sh").unwrap();
        assert_eq!(on_path(sh.to_str().unwrap()), Some(sh));
        assert_eq!(on_path("no-such-program"), None);
        assert_eq!(on_path("/etc/passwd"), None);
    }

    #[test]
    fn a_state_directory_need_not_exist_but_must_be_possible() {
        let missing = std::env::temp_dir().join("shellherd-not-there/deeper");
        assert!(state(&missing).grade == Grade::Ok);
        assert!(!missing.exists() && !missing.parent().unwrap().exists(), "looking changes nothing");
        assert!(state(Path::new("/proc/self/stat/x")).grade == Grade::Fail);
        assert!(state(Path::new("/proc/nowhere")).grade == Grade::Fail);
    }
}
