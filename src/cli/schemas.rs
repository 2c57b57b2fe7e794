//! `shellherd schemas`: the tools' schemas as files, and the tables of a README, to be checked in and compared.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use super::{Outcome, print};
use crate::mcp::{schema_files, stale_schema_files, with_tables};

pub(super) fn schemas(directory: &Path, readme: Option<&Path>, check: bool) -> Outcome {
    let mut stale = stale_schema_files(directory)?;
    let written = match readme {
        Some(path) => {
            let before = fs::read_to_string(path)?;
            let after = with_tables(&before)?;
            (before != after).then_some((path, after))
        }
        None => None,
    };
    if check {
        stale.sort();
        let files = stale.iter().map(|file| directory.join(file));
        let mut fine = true;
        for file in files.chain(written.map(|(path, _)| path.to_owned())) {
            print(&format!("{}: not up to date", file.display()))?;
            fine = false;
        }
        return Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    fs::create_dir_all(directory)?;
    let files = schema_files();
    for (name, text) in &files {
        fs::write(directory.join(format!("{name}.json")), text)?;
    }
    for file in stale.iter().filter(|file| !files.iter().any(|(name, _)| **file == format!("{name}.json"))) {
        fs::remove_file(directory.join(file))?;
    }
    if let Some((path, text)) = written {
        fs::write(path, text)?;
    }
    print(&format!("{} tools in {}", files.len(), directory.display()))?;
    Ok(ExitCode::SUCCESS)
}
