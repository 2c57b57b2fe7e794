//! What is installed with the program, and what tells others how to start it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Client, Scratch, program, shells};

/// What the program prints, in a home of its own.
fn printed(arguments: &[&str]) -> String {
    let home = Scratch::new("printed");
    let output = program(home.path()).args(arguments).output().expect("it runs");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// The long flags that a text names.
fn flags(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_lowercase() || c == '-';
    let words = text.split(|c| !is_name(c)).filter_map(|word| word.strip_prefix("--"));
    words.filter(|name| name.starts_with(char::is_alphabetic)).map(str::to_owned).collect()
}

/// Every verb of the program that is no secret.
const VERBS: [&str; 7] = ["serve", "call", "run", "schemas", "doctor", "completions", "man"];

fn all_flags() -> BTreeSet<String> {
    VERBS.iter().flat_map(|verb| flags(&printed(&[verb, "--help"]))).collect()
}

#[test]
fn completion_scripts_are_accepted_by_their_shells_and_know_every_flag() {
    let wanted = all_flags();
    assert!(wanted.len() > 20, "{wanted:?}");
    let installed = shells();
    for shell in ["bash", "zsh", "fish"] {
        let script = printed(&["completions", shell]);
        let missing: Vec<_> = wanted.iter().filter(|flag| !script.contains(flag.as_str())).collect();
        assert!(missing.is_empty(), "{shell}: {missing:?}");
        assert!(!script.contains("guard"), "{shell}: a hidden verb is offered");
        let Some((_, path)) = installed.iter().find(|(name, _)| *name == shell) else {
            println!("skipped: {shell} is not installed");
            continue;
        };
        let folder = Scratch::new("script");
        let file = folder.path().join("script");
        std::fs::write(&file, &script).expect("the script can be written");
        let output = Command::new(path).arg("-n").arg(&file).output().expect("the shell runs");
        assert!(output.status.success() && output.stderr.is_empty(), "{shell}: {output:?}");
    }
}

#[test]
fn bash_completes_flags_tools_and_toolsets() {
    let script = printed(&["completions", "bash"]);
    for (words, completed) in [
        ("run --dry", "--dry-run"),
        ("call circuit_", "circuit_reset circuit_status"),
        ("serve --toolsets mo", "monitor"),
    ] {
        let (before, last) = words.rsplit_once(' ').expect("two words");
        let count = words.split(' ').count();
        let ask = format!(
            "COMP_WORDS=(shellherd {words}); COMP_CWORD={count}; _shellherd shellherd {last} {}; \
             printf '%s\\n' \"${{COMPREPLY[@]}}\" | sort | xargs",
            before.rsplit(' ').next().expect("a word")
        );
        let output =
            Command::new("bash").arg("-c").arg(format!("{script}\n{ask}")).output().expect("bash runs");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), completed, "{output:?}");
    }
}

#[test]
fn the_manual_page_names_every_verb_and_flag() {
    let page = printed(&["man"]).replace("\\-", "-");
    assert!(page.lines().any(|line| line.starts_with(".TH shellherd 1")), "{page}");
    let named = flags(&page);
    let missing: Vec<_> = all_flags().into_iter().filter(|flag| !named.contains(flag)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    for verb in VERBS {
        assert!(page.lines().any(|line| line == format!("\\fB{verb}\\fR")), "no {verb}: {page}");
    }
}

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn json_file(name: &str) -> Value {
    serde_json::from_str(&file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Whether a client's entry starts this program, and as a server.
fn check_entry(entry: &Value) {
    assert_eq!(entry["command"], env!("CARGO_PKG_NAME"), "{entry}");
    let arguments = entry["args"].as_array().expect("arguments");
    let state = Scratch::new("entry");
    let mut command = program(state.path());
    command.args(arguments.iter().map(|argument| argument.as_str().expect("a text")));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (name, value) in entry["env"].as_object().into_iter().flatten() {
        command.env(name, value.as_str().expect("a text"));
    }
    let mut client = Client::connect(command, Some(state));
    client.ok("session_list", json!({}));
}

/// Claude Code and Claude Desktop read the same form.
#[test]
fn the_entry_for_claude_starts_a_server() {
    let example = json_file("mcp.json.example");
    let servers = example["mcpServers"].as_object().expect("servers");
    assert_eq!(servers.keys().collect::<Vec<_>>(), ["shellherd"]);
    check_entry(&servers["shellherd"]);
}

#[test]
fn the_entry_for_codex_starts_a_server() {
    let readme = file("README.md");
    let (_, rest) = readme.split_once("```toml\n").expect("the README has Codex's form");
    let (block, _) = rest.split_once("```").expect("the block ends");
    let table: toml::Table = block.parse().expect("TOML");
    let entry = serde_json::to_value(&table["mcp_servers"]["shellherd"]).expect("JSON");
    check_entry(&entry);
}

/// What the README lets clients register, and the Inspector start, is a command that serves.
#[test]
fn the_commands_that_register_it_name_one_that_serves() {
    let readme = file("README.md");
    let commands = [
        ("claude mcp add shellherd -- ", "Claude Code"),
        ("codex mcp add shellherd -- ", "Codex"),
        ("npx @modelcontextprotocol/inspector ", "the Inspector"),
    ];
    for (registers, client) in commands {
        let line = readme.lines().find_map(|line| line.strip_prefix(registers));
        let line = line.unwrap_or_else(|| panic!("nothing for {client}"));
        let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
        check_entry(&json!({"command": words[0], "args": words[1..]}));
    }
}

/// The rules of the registry's schema 2025-12-11 for what is in the file; the schema itself cannot be had
/// without a network.
#[test]
fn the_registrys_entry_is_this_crates() {
    let entry = json_file("server.json");
    let name = entry["name"].as_str().expect("a name");
    let (space, own) = name.split_once('/').expect("a namespace and a name");
    let in_space = |c: char| c.is_ascii_alphanumeric() || ".-".contains(c);
    assert!(!space.is_empty() && space.chars().all(in_space) && own == env!("CARGO_PKG_NAME"), "{name}");
    let description = entry["description"].as_str().expect("a description");
    assert!((1..=100).contains(&description.len()), "{} bytes", description.len());
    assert_eq!(entry["version"], env!("CARGO_PKG_VERSION"));
    let schema = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json";
    assert_eq!(entry["$schema"], schema);
    let known = ["$schema", "name", "title", "description", "version", "packages"];
    assert!(entry.as_object().expect("an object").keys().all(|key| known.contains(&key.as_str())), "{entry}");
    let package = json!({
        "registryType": "cargo",
        "identifier": env!("CARGO_PKG_NAME"),
        "version": env!("CARGO_PKG_VERSION"),
        "transport": {"type": "stdio"},
    });
    assert_eq!(entry["packages"], json!([package]));
}

#[test]
fn the_bundles_manifest_is_this_crates() {
    let manifest = json_file("packaging/manifest.json");
    for (field, wanted) in [
        ("name", env!("CARGO_PKG_NAME")),
        ("version", env!("CARGO_PKG_VERSION")),
        ("description", env!("CARGO_PKG_DESCRIPTION")),
        ("license", env!("CARGO_PKG_LICENSE")),
    ] {
        assert_eq!(manifest[field], wanted, "{field}");
    }
    let server = &manifest["server"];
    let program = server["entry_point"].as_str().expect("a path");
    assert_eq!(server["mcp_config"]["command"], format!("${{__dirname}}/{program}"));
    assert!(file("packaging/bundle").contains(program), "the bundle has no {program}");

    let mut tools: Vec<(String, String)> = shellherd::mcp::schema_files()
        .into_iter()
        .map(|(name, text)| {
            let schema: Value = serde_json::from_str(&text).expect("JSON");
            (name.to_string(), schema["title"].as_str().expect("a title").to_owned())
        })
        .collect();
    tools.sort();
    let lines: Vec<String> = tools
        .iter()
        .map(|(name, title)| format!("    {{ \"name\": \"{name}\", \"description\": \"{title}\" }}"))
        .collect();
    let wanted = format!("\"tools\": [\n{}\n  ]", lines.join(",\n"));
    assert!(file("packaging/manifest.json").contains(&wanted), "the manifest's tools must be:\n{wanted}");
}
