//! What the program says of itself to shells and to `man`, out of the same words as `--help`.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::CommandFactory as _;

use crate::{cli::Cli, exit::Exit};

/// Writes a script that completes the arguments.
pub(crate) fn completions(shell: clap_complete::Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "uplift", &mut script);
    write(&script)
}

/// Writes the manual's page: the program, and then each of its commands.
pub(crate) fn page() -> ExitCode {
    let mut page = Vec::new();
    let mut program = Cli::command();
    program.build();
    let mut written = clap_mangen::Man::new(program.clone()).render(&mut page);
    for command in program.get_subcommands().filter(|command| command.get_name() != "help") {
        written = written.and_then(|()| describe(command, &mut page));
    }
    match written {
        Ok(()) => write(&page),
        Err(_) => Exit::Error.into(),
    }
}

/// A command, and those below it.
fn describe(command: &clap::Command, page: &mut Vec<u8>) -> io::Result<()> {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name()).to_owned();
    writeln!(page, ".SH \"{}\"", name.to_uppercase())?;
    let man = clap_mangen::Man::new(command.clone());
    man.render_description_section(page)?;
    man.render_synopsis_section(page)?;
    if command.get_arguments().any(|argument| !argument.is_hide_set() && !argument.is_global_set()) {
        man.render_options_section(page)?;
    }
    man.render_extra_section(page)?;
    command
        .get_subcommands()
        .filter(|below| below.get_name() != "help")
        .try_for_each(|below| describe(below, page))
}

fn write(text: &[u8]) -> ExitCode {
    match io::stdout().lock().write_all(text) {
        Ok(()) => Exit::Ok.into(),
        // Whoever read it has read enough, or there is nobody to tell.
        Err(_) => Exit::Error.into(),
    }
}
