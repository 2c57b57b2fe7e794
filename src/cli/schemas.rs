//! `shellherd schemas`: the tools' schemas as files, to be checked in and compared.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use super::{Outcome, print};
use crate::mcp::{schema_files, stale_schema_files};

pub(super) fn schemas(directory: &Path, check: bool) -> Outcome {
    let stale = stale_schema_files(directory)?;
    if check {
        for file in &stale {
            print(&format!("{}: not up to date", directory.join(file).display()))?;
        }
        return Ok(if stale.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    fs::create_dir_all(directory)?;
    let files = schema_files();
    for (name, text) in &files {
        fs::write(directory.join(format!("{name}.json")), text)?;
    }
    for file in stale.iter().filter(|file| !files.iter().any(|(name, _)| **file == format!("{name}.json"))) {
        fs::remove_file(directory.join(file))?;
    }
    print(&format!("{} tools in {}", files.len(), directory.display()))?;
    Ok(ExitCode::SUCCESS)
}
