//! `shellherd man`: one manual page for all verbs.

use std::process::ExitCode;

use clap::{Arg, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::{Outcome, print_whole};

pub(super) fn man(program: &Command) -> Outcome {
    let mut page = Vec::new();
    let whole = Man::new(program.clone());
    whole.render_title(&mut page)?;
    whole.render_name_section(&mut page)?;
    whole.render_synopsis_section(&mut page)?;
    whole.render_options_section(&mut page)?;

    let verbs = || program.get_subcommands().filter(|verb| !verb.is_hide_set());
    let mut list = Roff::new();
    list.control("SH", ["VERBS"]);
    for verb in verbs() {
        list.control("TP", []).text([bold(verb.get_name())]);
        list.text([roman(verb.get_about().map(ToString::to_string).unwrap_or_default())]);
    }
    list.to_writer(&mut page)?;
    // What all verbs share stands above; each section has only what its verb adds.
    let shared: Vec<_> = program.get_arguments().filter_map(Arg::get_long).collect();
    for verb in verbs() {
        let heading = format!("options of {}", verb.get_name());
        let own = verb.clone().disable_help_flag(true).mut_args(|argument| {
            let hidden = argument.get_long().is_some_and(|long| shared.contains(&long));
            argument.help_heading(heading.clone()).hide(hidden)
        });
        Man::new(own).render_options_section(&mut page)?;
    }
    whole.render_version_section(&mut page)?;
    print_whole(&page)?;
    Ok(ExitCode::SUCCESS)
}
