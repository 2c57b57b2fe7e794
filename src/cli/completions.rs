//! `shellherd completions`: scripts by which shells complete the command line.

use std::process::ExitCode;

use clap::{Command, ValueEnum};
use clap_complete::generate;
use clap_complete::shells::{Bash, Fish, Zsh};

use super::{Outcome, print_whole};

/// The shells whose scripts are tested.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Shell {
    Bash,
    Zsh,
    Fish,
}

pub(super) fn completions(shell: Shell, program: &Command) -> Outcome {
    // A script would offer hidden verbs as well.
    let mut program = Command::new("shellherd")
        .version(env!("CARGO_PKG_VERSION"))
        .args(program.get_arguments().cloned())
        .subcommands(program.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned());
    let mut script = Vec::new();
    match shell {
        Shell::Bash => generate(Bash, &mut program, "shellherd", &mut script),
        Shell::Zsh => generate(Zsh, &mut program, "shellherd", &mut script),
        Shell::Fish => generate(Fish, &mut program, "shellherd", &mut script),
    }
    print_whole(&script)?;
    Ok(ExitCode::SUCCESS)
}
