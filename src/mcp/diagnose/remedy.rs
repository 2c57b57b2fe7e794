//! The table from what is the matter to the next call: a tool of this server with all its arguments, ready to
//! be made. Pure. A command only looks, or installs what is missing; and nothing that a program printed
//! gets into one unless it is made of harmless characters.

use serde_json::{Value, json};

use super::look::{Finding, Kind, Reason};
use crate::term::diagnosis::{Category, Diagnosis, Ecosystem};

/// The longest name that gets into a command.
const NAME_BYTES: usize = 200;

/// Where it happened, and where a command can be run now.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place<'a> {
    /// The session that it happened in.
    pub(super) session: Option<&'a str>,
    /// A session that is at its prompt: the same one if it is.
    pub(super) shell: Option<&'a str>,
    /// The directory that it happened in.
    pub(super) directory: Option<&'a str>,
    /// The command that it happened to.
    pub(super) command: Option<&'a str>,
    /// Its text; empty when not known.
    pub(super) text: &'a str,
    /// Its timeout in milliseconds.
    pub(super) timeout: u64,
}

/// A call that can be made as it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Remedy {
    /// What it does, for a reader.
    pub(super) action: String,
    pub(super) tool: &'static str,
    pub(super) arguments: Value,
}

/// The calls that help with a finding.
pub(super) fn remedies(finding: &Finding, place: &Place<'_>) -> Vec<Remedy> {
    let calls = match finding.kind {
        Kind::SessionError => vec![
            on_session(
                place,
                "start its shell again, with what it had exported",
                "error_recover",
                json!({"strategy": "restart"}),
            ),
            on_session(place, "read how it ended", "session_logs", json!({"lines": 30})),
        ],
        Kind::Stopped => {
            vec![on_session(place, "let it go on, or start its shell again", "error_recover", json!({}))]
        }
        Kind::CpuTimeSpent => vec![on_session(
            place,
            "give it a fresh shell, which may use as much again",
            "error_recover",
            json!({"strategy": "restart"}),
        )],
        Kind::Suspended => suspended(place),
        Kind::TimedOut | Kind::Stale => vec![
            on_session(place, "see what it shows", "session_output", json!({"mode": "screen"})),
            on_session(
                place,
                "interrupt it, and kill it if that is not enough",
                "error_recover",
                json!({"strategy": "interrupt"}),
            ),
        ],
        Kind::AwaitingInput => answers(&finding.evidence, place),
        Kind::Ended(Reason::Timeout) => vec![again(
            place,
            "run it again with twice the time",
            |place| json!({"timeout": place.timeout.saturating_mul(2).min(longest())}),
        )],
        Kind::Ended(Reason::ServerRestart) => vec![again(place, "run it again", |_| json!({}))],
        Kind::Ended(Reason::SessionLost) => {
            vec![on_session(place, "read how it ended", "session_logs", json!({"lines": 30}))]
        }
        Kind::Ended(Reason::MemoryLimit | Reason::CpuLimit | Reason::ProcessLimit | Reason::FileLimit) => {
            vec![troubles(place)]
        }
        Kind::Failed(category) => of_failure(category, finding.told.as_ref(), place),
        Kind::Starting | Kind::Running => {
            vec![on_session(place, "see what it shows", "session_output", json!({"mode": "screen"}))]
        }
        Kind::HighMemory | Kind::HighCpu => {
            vec![on_session(place, "see what runs in it", "session_status", json!({"detailed": true}))]
        }
    };
    calls.into_iter().flatten().collect()
}

fn longest() -> u64 {
    u64::try_from(crate::limits::LONGEST.as_millis()).unwrap_or(u64::MAX)
}

/// What helps with a failure that an output tells of.
fn of_failure(category: Category, told: Option<&Diagnosis>, place: &Place<'_>) -> Vec<Option<Remedy>> {
    let name = told.and_then(|told| told.subject.as_deref()).and_then(harmless);
    let look = |action: &str, command: String| Some(run(place, action, &command));
    match category {
        Category::PortInUse => {
            let port = name.and_then(digits).or_else(|| place.text.split([' ', ':', '=']).find_map(digits));
            let sockets = port.map_or_else(
                || "ss -ltnp".to_owned(),
                |port| format!("ss -ltnp 'sport = :{port}' || lsof -nP -iTCP:{port} -sTCP:LISTEN"),
            );
            vec![look("show who listens", sockets)]
        }
        Category::ConnectionRefused => vec![look("show what listens on this machine", "ss -ltn".to_owned())],
        Category::DiskFull => {
            vec![look("show how full the disks are", "df -h . /tmp; df -i . /tmp".to_owned())]
        }
        Category::NoSpaceInotify => vec![look(
            "show the limits of watches",
            "cat /proc/sys/fs/inotify/max_user_watches /proc/sys/fs/inotify/max_user_instances".to_owned(),
        )],
        Category::TooManyOpenFiles => {
            vec![look("show the limits of open files", "ulimit -Sn; ulimit -Hn".to_owned())]
        }
        Category::OutOfMemory | Category::Killed => vec![look(
            "show the memory and who takes it",
            "free -m; ps -eo pid,rss,args --sort=-rss | cut -c 1-120 | head -n 8".to_owned(),
        )],
        Category::Dns => {
            let resolve = name.map_or_else(String::new, |name| format!("getent hosts {name}; "));
            vec![look("show how names are resolved", format!("{resolve}cat /etc/resolv.conf"))]
        }
        Category::Tls => {
            let host = place.text.split_once("https://").map(|(_, rest)| rest);
            let host = host.and_then(|rest| rest.split(['/', ' ', '"', '\'', '?']).next()).and_then(harmless);
            let address =
                host.map(|host| if host.contains(':') { host.to_owned() } else { format!("{host}:443") });
            vec![look(
                "show what may be wrong with the certificate",
                address.map_or_else(
                    || "date -u".to_owned(),
                    |address| {
                        format!(
                            "date -u; timeout 10 openssl s_client -connect {address} </dev/null 2>/dev/null \
                     | openssl x509 -noout -subject -issuer -dates"
                        )
                    },
                ),
            )]
        }
        Category::NetworkUnreachable => {
            vec![look("show the routes", "ip -brief address; ip route".to_owned())]
        }
        Category::GitAuth => vec![look(
            "show which server and which keys are used",
            "git remote -v; git config --get-all credential.helper; ssh-add -l".to_owned(),
        )],
        Category::ConnectionLost => vec![again(
            place,
            "run it again, up to three times more",
            |_| json!({"retries": {"max": 3, "delay": 5_000}, "background": true}),
        )],
        Category::RateLimit => vec![again(
            place,
            "run it again, more and more slowly",
            |_| json!({"retries": {"max": 3, "delay": 60_000}, "background": true}),
        )],
        Category::LockHeld => {
            let holder = name.map(|lock| format!("fuser -v {lock} || lsof {lock}; ls -l {lock}"));
            let programs =
                "ps -eo pid,etime,args | grep -E '[a]pt|[d]pkg|[g]it |[c]argo|[n]pm' | cut -c 1-120"
                    .to_owned();
            vec![look("show who holds the lock", holder.unwrap_or(programs))]
        }
        Category::MergeConflict => vec![look("show the files in conflict", "git status --short".to_owned())],
        Category::VersionMismatch => {
            let program = first_word(place.text)
                .map_or_else(|| "uname -a".to_owned(), |program| format!("{program} --version"));
            vec![look("show the version that is installed", program), troubles(place)]
        }
        Category::MissingDependency => vec![
            name.map(package_search(place.text))
                .map_or_else(|| troubles(place), |search| look("look for the package", search)),
        ],
        Category::MissingModule => {
            // Python names a module with its package only when it found the package: it is a file that is missing.
            if told.and_then(|told| told.ecosystem) == Some(Ecosystem::Python)
                && let Some((package, _)) = name.and_then(|name| name.split_once('.'))
            {
                let find = format!("import importlib.util as u; print(u.find_spec(\"{package}\"))");
                return vec![look(
                    "show where its package comes from",
                    format!("{} -c '{find}'", python(first_word(place.text).unwrap_or_default())),
                )];
            }
            let install = name
                .zip(told.and_then(|told| told.ecosystem))
                .and_then(|(name, ecosystem)| installer(ecosystem, name, place.text));
            vec![install.map_or_else(|| troubles(place), |install| look("install the module", install))]
        }
        Category::CommandNotFound => vec![name.map_or_else(
            || look("show where commands are looked for", "echo \"$PATH\"".to_owned()),
            |name| {
                let program = name.rsplit('/').next().unwrap_or(name);
                look(
                    "show where commands are looked for, and which package has this one",
                    format!("echo \"$PATH\"; apt-cache search --names-only '^{program}' | head -n 10"),
                )
            },
        )],
        Category::PermissionDenied => {
            let path = name.or_else(|| told.and_then(|told| path_in(&told.evidence)));
            vec![look("show who owns it, and who this is", format!("id; ls -ld {}", path.unwrap_or(".")))]
        }
        Category::MissingFile => {
            let path = name.or_else(|| told.and_then(|told| path_in(&told.evidence)));
            let folder = path.and_then(|path| path.rsplit_once('/')).map_or("", |(folder, _)| folder);
            let listing =
                if folder.is_empty() { "pwd; ls -la".to_owned() } else { format!("pwd; ls -la . {folder}") };
            vec![look("show what is there", listing)]
        }
        // What the other side wants is a secret that the caller must have.
        Category::Authentication
        | Category::SyntaxError
        | Category::CompileError
        | Category::Timeout
        | Category::Segfault
        | Category::TestFailure
        | Category::Unknown => vec![troubles(place)],
    }
}

/// What was suspended goes on: in the background of a shell at its prompt, else where it is.
fn suspended(place: &Place<'_>) -> Vec<Option<Remedy>> {
    if place.session.is_none() || place.session != place.shell {
        let signal = json!({"signal": "SIGCONT"});
        return vec![on_session(place, "let it go on", "command_signal", signal)];
    }
    vec![
        on_session(place, "list the suspended jobs", "command_execute", json!({"command": "jobs -l"})),
        on_session(
            place,
            "let the last of them go on in the background",
            "command_execute",
            json!({"command": "bg"}),
        ),
    ]
}

/// What can be typed into a prompt.
fn answers(prompt: &str, place: &Place<'_>) -> Vec<Option<Remedy>> {
    let asks = prompt.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| asks.contains(word));
    let answer = if has(&["password", "passphrase", "token", "pin "]) {
        // Only the caller has it; secret: true keeps it out of all logs.
        None
    } else if has(&["[y/n]", "(y/n)", "yes/no", "[y/n/"]) {
        let text = if asks.contains("yes/no") { "no" } else { "n" };
        on_session(
            place,
            "answer no, the harmless answer",
            "session_input",
            json!({"text": text, "enter": true}),
        )
    } else if has(&["press enter", "press return", "hit enter", "to continue", "--more--"]) {
        on_session(place, "go on with Enter", "session_input", json!({"keys": ["enter"]}))
    } else {
        None
    };
    vec![
        on_session(place, "see what it asks", "session_output", json!({"mode": "screen"})),
        answer,
        on_session(place, "give up: ctrl-c", "session_input", json!({"keys": ["ctrl-c"]})),
    ]
}

/// A call about the session that it happened in.
fn on_session(place: &Place<'_>, action: &str, tool: &'static str, more: Value) -> Option<Remedy> {
    Some(remedy(action, tool, json!({"sessionId": place.session?}), more))
}

/// The lines of the output that tell of trouble.
fn troubles(place: &Place<'_>) -> Option<Remedy> {
    let command = place.command.map_or_else(|| json!({}), |command| json!({"commandId": command}));
    let remedy = on_session(
        place,
        "read all lines that tell of trouble",
        "session_output",
        json!({"errorsOnly": true}),
    )?;
    Some(Remedy { arguments: joined(remedy.arguments, command), ..remedy })
}

/// The command once more, in the session where it ran.
fn again(place: &Place<'_>, action: &str, more: fn(&Place<'_>) -> Value) -> Option<Remedy> {
    let is_idle = place.session.is_some() && place.session == place.shell;
    (is_idle && !place.text.is_empty() && place.text.len() < crate::limits::ENDED_TEXT_BYTES).then(|| {
        remedy(
            action,
            "command_execute",
            json!({"sessionId": place.session, "command": place.text}),
            more(place),
        )
    })
}

/// A command in a session that is at its prompt; in one of its own when there is none.
fn run(place: &Place<'_>, action: &str, command: &str) -> Remedy {
    let directory = place.directory.filter(|_| place.session.is_none() || place.session != place.shell);
    let directory = directory.map_or_else(|| json!({}), |directory| json!({"workingDirectory": directory}));
    let (tool, arguments) = match place.shell {
        Some(shell) => ("command_execute", json!({"sessionId": shell, "command": command})),
        None => ("session_create", json!({"name": "diagnosis", "command": command})),
    };
    remedy(action, tool, arguments, directory)
}

fn remedy(action: &str, tool: &'static str, arguments: Value, more: Value) -> Remedy {
    Remedy { action: action.to_owned(), tool, arguments: joined(arguments, more) }
}

fn joined(mut arguments: Value, more: Value) -> Value {
    if let (Value::Object(arguments), Value::Object(more)) = (&mut arguments, more) {
        arguments.extend(more);
    }
    arguments
}

/// A name that means only itself to every shell.
fn harmless(name: &str) -> Option<&str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/@:+".contains(c);
    let is_safe = !name.is_empty() && name.len() <= NAME_BYTES && name.chars().all(is_plain);
    (is_safe && name.starts_with(|c: char| c.is_ascii_alphanumeric() || "./@_".contains(c))).then_some(name)
}

fn digits(word: &str) -> Option<&str> {
    ((2..=5).contains(&word.len()) && word.chars().all(|c| c.is_ascii_digit())).then_some(word)
}

/// The first path in a line.
fn path_in(line: &str) -> Option<&str> {
    let words = line.split([' ', '\'', '"', '‘', '’', '`', '“', '”', ',', '(', ')']);
    words
        .map(|word| word.trim_end_matches(':'))
        .find_map(|word| harmless(word).filter(|word| word.contains('/')))
}

/// The program that a command begins with.
fn first_word(text: &str) -> Option<&str> {
    text.split_whitespace().find(|word| !word.contains('=')).and_then(harmless)
}

/// How the package manager in a command looks for a package.
fn package_search(text: &str) -> impl Fn(&str) -> String {
    let program =
        first_word(text).map_or("", |program| program.rsplit('/').next().unwrap_or(program)).to_owned();
    move |name| match program.as_str() {
        "pip" | "pip3" | "python" | "python3" | "uv" => format!("python3 -m pip index versions {name}"),
        "npm" | "npx" | "yarn" | "pnpm" => format!("npm view {name} versions"),
        "cargo" => format!("cargo search --limit 5 {name}"),
        "go" => format!("go list -m -versions {name}"),
        "gem" | "bundle" => format!("gem search --remote {name}"),
        _ => {
            let stem = name.rsplit('/').next().unwrap_or(name).split('.').next().unwrap_or(name);
            format!("ldconfig -p | grep -F {name}; apt-cache search {stem} | head -n 10")
        }
    }
}

/// The Python that a command runs.
fn python(program: &str) -> &str {
    let is_python = program.rsplit('/').next().is_some_and(|name| name.starts_with("python"));
    if is_python { program } else { "python3" }
}

/// What installs the package that has a module.
fn installer(ecosystem: Ecosystem, module: &str, text: &str) -> Option<String> {
    let program = first_word(text).unwrap_or_default();
    match ecosystem {
        Ecosystem::Python => {
            let top = module.split('.').next().filter(|top| !top.is_empty())?;
            let package = match top {
                "yaml" => "PyYAML",
                "cv2" => "opencv-python",
                "PIL" => "Pillow",
                "sklearn" => "scikit-learn",
                "bs4" => "beautifulsoup4",
                "dotenv" => "python-dotenv",
                "dateutil" => "python-dateutil",
                other => other,
            };
            Some(format!("{} -m pip install {package}", python(program)))
        }
        Ecosystem::Node => {
            if module.starts_with(['.', '/']) || module.contains(':') {
                return None;
            }
            let parts = if module.starts_with('@') { 2 } else { 1 };
            let package: Vec<&str> = module.split('/').take(parts).collect();
            let installer = match program {
                "pnpm" => "pnpm add",
                "yarn" => "yarn add",
                "bun" => "bun add",
                _ => "npm install",
            };
            Some(format!("{installer} {}", package.join("/")))
        }
        Ecosystem::Rust => Some(format!("cargo add {module}")),
        Ecosystem::Go => module.contains('.').then(|| format!("go get {module}")),
        Ecosystem::Ruby => Some(format!("gem install {}", module.split('/').next().unwrap_or(module))),
        Ecosystem::Perl => Some(format!("cpan {module}")),
    }
}
