//! Real shells on real terminals. A shell that this machine lacks is skipped, by name.

mod confinement;
mod killing;
mod matrix;
mod preparation;
mod probing;
mod startup;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::timeout;

use super::handover::HandoverCommand;
use super::*;
use crate::clock;

/// Most commands export nothing for good.
static NO_EXPORTS: BTreeMap<String, String> = BTreeMap::new();

/// Nothing here takes long, unless the machine is busy with other things.
const PATIENCE: Duration = Duration::from_secs(30);

/// How late the last bytes of a shell that has ended can be.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// The command's end, and what stood between its marks.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ending {
    status: Status,
    output: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    /// By its own end mark.
    Ended(i32),
    /// By the prompt's end mark.
    Aborted(i32),
    /// With the shell.
    Exited(Exit),
}

impl Status {
    fn code(self) -> Option<i32> {
        match self {
            Status::Ended(code) | Status::Aborted(code) => Some(code),
            Status::Exited(_) => None,
        }
    }
}

#[derive(Clone, Debug)]
struct Mark {
    kind: char,
    status: Option<i32>,
    number: Option<u64>,
    aborted: bool,
    start: usize,
    end: usize,
}

/// Every mark with this nonce in `log`.
fn marks(log: &[u8], nonce: &str) -> Vec<Mark> {
    let opening = b"\x1b]133;";
    let key = format!("k={nonce}");
    memchr::memmem::find_iter(log, opening)
        .filter_map(|start| {
            let body = &log[start + opening.len()..];
            let length = memchr::memchr2(7, 0x1b, &body[..body.len().min(160)])?;
            let fields: Vec<_> = std::str::from_utf8(&body[..length]).ok()?.split(';').collect();
            if body[length] != 7 || !fields.contains(&key.as_str()) {
                return None;
            }
            let number = |field: &&str| field.strip_prefix("n=")?.parse().ok();
            Some(Mark {
                kind: fields[0].chars().next()?,
                status: fields.get(1).and_then(|field| field.parse().ok()),
                number: fields.iter().find_map(number),
                aborted: fields.contains(&"x=1"),
                start,
                end: start + opening.len() + length + 1,
            })
        })
        .collect()
}

/// One shell with its own home directory.
struct Session {
    terminal: Terminal,
    slot: Slot,
    dialect: Dialect,
    nonce: String,
    directory: PathBuf,
    number: u64,
    /// Where the log stood when the next prompt became due.
    prompt_due: usize,
    log: Vec<u8>,
}

/// Where this run keeps its files; what earlier runs left behind is removed first.
fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let parent = std::env::temp_dir();
        for entry in fs::read_dir(&parent).unwrap().flatten() {
            let name = entry.file_name();
            let run = name.to_str().and_then(|name| name.strip_prefix("shellherd-run-"));
            if run.is_some_and(|run| !Path::new("/proc").join(run).exists()) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        let root = parent.join(format!("shellherd-run-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        root
    })
}

/// A directory for one test's session, with a home in it.
fn fresh_directory() -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let directory = root().join(NEXT.fetch_add(1, Ordering::Relaxed).to_string());
    fs::create_dir_all(directory.join("home/.config/fish")).unwrap();
    directory
}

fn find(shell: &str) -> Option<PathBuf> {
    let found = shell::resolve(shell).ok();
    if found.is_none() {
        println!("skipped: {shell}");
    }
    found
}

impl Session {
    async fn start(shell: &str) -> Option<Session> {
        Session::with(shell, Profile::User, &[], &[]).await
    }

    /// A session whose home holds `files`, ready at its first prompt.
    async fn with(
        shell: &str,
        profile: Profile,
        files: &[(&str, &str)],
        env: &[(&str, &str)],
    ) -> Option<Session> {
        let program = find(shell)?;
        let directory = fresh_directory();
        let home = directory.join("home");
        for (name, text) in files {
            fs::create_dir_all(home.join(name).parent().unwrap()).unwrap();
            fs::write(home.join(name), text).unwrap();
        }
        let mut all: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
        all.insert("HOME".into(), home.into());
        all.insert("TERM".into(), "xterm-256color".into());
        all.insert("LC_ALL".into(), "C.UTF-8".into());
        for (name, value) in env {
            all.insert(name.into(), value.into());
        }
        let nonce = uuid::Uuid::new_v4().simple().to_string()[..16].to_owned();
        let dialect = shell::dialect_of(&program);
        let slot = Brand::claim().unwrap().slot().unwrap();
        let launched = launch(
            Launch {
                program,
                dialect,
                profile,
                env: all.into_iter().collect(),
                directory: "/".into(),
                size: TerminalSize { rows: 24, cols: 80 },
                nonce: nonce.clone(),
                private_directory: directory.clone(),
                exports: None,
            },
            &slot,
        );
        let terminal = launched.unwrap();
        let mut session =
            Session { terminal, slot, dialect, nonce, directory, number: 0, prompt_due: 0, log: Vec::new() };
        session.await_prompt().await;
        Some(session)
    }

    fn marks(&self) -> Vec<Mark> {
        marks(&self.log, &self.nonce)
    }

    /// The log, for a failing assertion.
    fn shown(&self) -> String {
        let from = self.log.len().saturating_sub(700);
        format!("{:?}", String::from_utf8_lossy(&self.log[from..]))
    }

    /// Reads until `is_there`, or the end of the shell: what it started may hold the terminal open, so
    /// that the end of file may never come, while its last words may come a little late.
    async fn until<T>(&mut self, what: &str, is_there: impl Fn(&Session) -> Option<T>) -> Option<T> {
        let mut buffer = [0; 8192];
        loop {
            if let Some(found) = is_there(self) {
                return Some(found);
            }
            let patience = if self.terminal.try_exited().is_some() { LAST_WORDS } else { PATIENCE };
            tokio::select! {
                biased;
                read = self.terminal.read(&mut buffer) => match read.unwrap() {
                    0 => return is_there(self),
                    length => self.log.extend_from_slice(&buffer[..length]),
                },
                _ = self.terminal.exited(), if patience == PATIENCE => {}
                () = tokio::time::sleep(patience) => {
                    assert!(patience == LAST_WORDS, "no {what}: {}", self.shown());
                    return is_there(self);
                }
            }
        }
    }

    async fn await_prompt(&mut self) {
        let due = |mark: &Mark, from| mark.kind == 'A' && mark.start >= from;
        self.until("prompt", |s| s.marks().iter().any(|mark| due(mark, s.prompt_due)).then_some(())).await;
    }

    async fn type_bytes(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.terminal.try_write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => tokio::task::yield_now().await,
                Err(error) => panic!("the terminal takes no input: {error}"),
            }
        }
    }

    async fn start_command(&mut self, command: &HandoverCommand<'_>) {
        self.number += 1;
        let line = handover::write(&self.directory, self.dialect, self.number, command).unwrap();
        self.type_bytes(&line).await;
    }

    async fn start_text(&mut self, text: &str) {
        let env = BTreeMap::new();
        self.start_command(&HandoverCommand {
            text,
            env: &env,
            exports: &NO_EXPORTS,
            directory: None,
            stdin: None,
            keeps_exports: false,
            confined: false,
        })
        .await;
    }

    /// Waits for the begin mark of the latest command.
    async fn await_begin(&mut self) {
        let number = Some(self.number);
        let begun = |mark: &Mark| mark.kind == 'C' && mark.number == number;
        self.until("begin", |session| session.marks().iter().any(begun).then_some(())).await;
    }

    /// Waits until a look at the terminal, taken again and again, finds what it wants. Output is read meanwhile.
    async fn await_sight(&mut self, what: &str, is_there: impl Fn(&Session) -> bool) {
        let deadline = clock::now().moment.after(PATIENCE);
        let mut buffer = [0; 8192];
        while !is_there(self) {
            assert!(clock::now().moment < deadline, "never saw {what}: {}", self.shown());
            let pause = Duration::from_millis(2);
            match timeout(pause, self.terminal.read(&mut buffer)).await {
                Ok(Ok(length @ 1..)) => self.log.extend_from_slice(&buffer[..length]),
                Ok(Ok(0) | Err(_)) => tokio::time::sleep(pause).await,
                Err(_) => {}
            }
        }
    }

    /// Waits until the output since the latest command began holds `text`.
    async fn await_output(&mut self, text: &str) {
        let number = Some(self.number);
        self.until(text, |session| {
            let begin = session.marks().into_iter().find(|mark| mark.kind == 'C' && mark.number == number)?;
            memchr::memmem::find(&session.log[begin.end..], text.as_bytes())
        })
        .await;
    }

    /// Waits until the latest command waits for input: once begun, because before that the shell does.
    async fn await_input(&mut self) {
        self.await_begin().await;
        self.await_sight("a wait for input", |s| s.terminal.awaiting_input()).await;
    }

    /// Waits until `name` is in the foreground: until it is, a shell's fork stands there, which may lose
    /// a signal.
    async fn await_job(&mut self, name: &str) {
        self.await_begin().await;
        let is_there = |s: &Session| s.terminal.foreground().is_some_and(|job| job.name == name);
        self.await_sight(name, is_there).await;
    }

    /// Waits for the end of the latest command, and for the prompt after it.
    async fn ending(&mut self) -> Ending {
        let number = Some(self.number);
        let end = self
            .until("end", |session| {
                let marks = session.marks();
                marks.into_iter().find(|mark| mark.kind == 'D' && mark.number == number)
            })
            .await;
        let marks = self.marks();
        let begin = marks.iter().find(|mark| mark.kind == 'C' && mark.number == number);
        let from = begin.map_or(0, |mark| mark.end);
        let to = end.as_ref().map_or(self.log.len(), |mark| mark.start);
        let output = String::from_utf8_lossy(&self.log[from..to]).into_owned();
        let status = match end {
            Some(Mark { status: Some(code), aborted: true, .. }) => Status::Aborted(code),
            Some(Mark { status: Some(code), .. }) => Status::Ended(code),
            Some(Mark { status: None, .. }) => panic!("an end without a status: {}", self.shown()),
            None => Status::Exited(timeout(PATIENCE, self.terminal.exited()).await.unwrap()),
        };
        if !matches!(status, Status::Exited(_)) {
            self.prompt_due = to;
            self.await_prompt().await;
        }
        Ending { status, output }
    }

    async fn run(&mut self, text: &str) -> Ending {
        self.start_text(text).await;
        self.ending().await
    }

    async fn run_with(&mut self, command: &HandoverCommand<'_>) -> Ending {
        self.start_command(command).await;
        self.ending().await
    }

    /// Runs `text` and compares all of how it ended.
    async fn check(&mut self, text: &str, code: i32, output: &str) {
        let ending = self.run(text).await;
        let expected = Ending { status: Status::Ended(code), output: output.to_owned() };
        assert_eq!(ending, expected, "{text}");
    }

    /// Runs `text`, compares its status, and returns its output.
    async fn output(&mut self, text: &str, code: i32) -> String {
        let ending = self.run(text).await;
        assert_eq!(ending.status.code(), Some(code), "{text}: {ending:?}");
        ending.output
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.slot.kill_all(clock::now().moment.after(PATIENCE));
        let _ = fs::remove_dir_all(&self.directory);
    }
}
