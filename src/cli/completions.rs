//! `shellherd completions`: scripts by which shells complete the command line.

use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Arg, Command, ValueEnum};
use clap_complete::generate;
use clap_complete::shells::{Bash, Fish, Zsh};

use super::{Outcome, print_whole};
use crate::mcp;

/// The shells whose scripts are tested.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Shell {
    Bash,
    Zsh,
    Fish,
}

pub(super) fn completions(shell: Shell, program: &Command) -> Outcome {
    // A script would offer hidden verbs as well.
    let verbs = program.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned().map(with_names);
    let mut program = Command::new("shellherd")
        .version(env!("CARGO_PKG_VERSION"))
        .args(with_names(program.clone()).get_arguments().cloned())
        .subcommands(verbs);
    let mut script = Vec::new();
    match shell {
        Shell::Bash => generate(Bash, &mut program, "shellherd", &mut script),
        Shell::Zsh => generate(Zsh, &mut program, "shellherd", &mut script),
        Shell::Fish => generate(Fish, &mut program, "shellherd", &mut script),
    }
    print_whole(&script)?;
    Ok(ExitCode::SUCCESS)
}

/// The same command, with the names that its arguments may have.
fn with_names(command: Command) -> Command {
    let named = |argument: Arg| match argument.get_id().as_str() {
        "calls" => argument.value_parser(PossibleValuesParser::new(mcp::tool_names())),
        "toolsets" => argument.value_parser(PossibleValuesParser::new(mcp::toolset_names())),
        _ => argument,
    };
    command.mut_args(named)
}
