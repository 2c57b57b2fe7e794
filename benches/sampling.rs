//! How long a look at the processes takes: `cargo bench --bench sampling`. The baseline reads the same
//! files one by one, and only that. Both look at everything on the machine, a session with a tree of a
//! thousand processes among it.

#![expect(clippy::disallowed_methods, reason = "a benchmark waits for the processes that it started")]

use std::fs;
use std::sync::OnceLock;
use std::time::Duration;

use divan::{Bencher, black_box};
use shellherd::model::{Dialect, Profile, TerminalSize};
use shellherd::pty::{Brand, Launch, Slot, Terminal, launch};
use shellherd::sample::Processes;

const TREE: usize = 1_000;

fn main() {
    let tree = start();
    divan::main();
    drop(tree);
}

/// The session's tree, which ends with it.
struct Tree {
    slot: Slot,
    _terminal: Terminal,
    directory: std::path::PathBuf,
    _runtime: tokio::runtime::Runtime,
}

static BRAND: OnceLock<Brand> = OnceLock::new();

fn start() -> Tree {
    let brand = BRAND.get_or_init(|| Brand::claim().expect("a brand"));
    let slot = brand.slot().expect("a slot");
    let directory = std::env::temp_dir().join(format!("shellherd-bench-{}", uuid::Uuid::new_v4().simple()));
    let program = directory.join("tree");
    fs::create_dir_all(&directory).expect("a directory");
    let script = format!("#!/bin/sh\nfor n in $(seq {TREE}); do sleep 1000 & done; wait\n");
    fs::write(&program, script).expect("a script");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(&program, mode).expect("a mode");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let entered = runtime.enter();
    let terminal = launch(
        Launch {
            program,
            dialect: Dialect::Plain,
            profile: Profile::Clean,
            env: vec![("PATH".into(), "/usr/bin:/bin".into()), ("TERM".into(), "dumb".into())],
            directory: "/".into(),
            size: TerminalSize::default(),
            nonce: "bench".into(),
            private_directory: directory.clone(),
            exports: None,
        },
        &slot,
    )
    .expect("the tree starts");
    drop(entered);
    while slot.members().len() <= TREE {
        std::thread::sleep(Duration::from_millis(50));
    }
    Tree { slot, _terminal: terminal, directory, _runtime: runtime }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let deadline = shellherd::clock::now().moment.after(Duration::from_secs(10));
        self.slot.kill_all(deadline);
        let _ = fs::remove_dir_all(&self.directory);
    }
}

#[divan::bench]
fn one_pass(bencher: Bencher) {
    let brand = BRAND.get().expect("a brand");
    let mut processes = Processes::open().expect("/proc");
    bencher.bench_local(|| {
        let trees = processes.trees(|pid| brand.slot_of(pid));
        assert!(trees.values().any(|tree| tree.usage.processes as usize > TREE));
        trees
    });
}

#[divan::bench]
fn bare_read_of_the_same_files(bencher: Bencher) {
    bencher.bench_local(|| {
        let entries = fs::read_dir("/proc").expect("/proc").flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.filter_map(|pid| fs::read(black_box(format!("/proc/{pid}/stat"))).ok())
            .map(|text| text.len())
            .sum::<usize>()
    });
}
