use clap::{CommandFactory as _, Parser as _};

use super::{Cli, Command, Task};
use crate::exit::{self, UsageError};

const REQUEST: &str = "01936b2e-7a54-7c3e-8f5a-2d1b6c0e9a77";

#[test]
fn the_arguments_are_sound() {
    Cli::command().debug_assert();
}

#[test]
fn the_help_ends_in_the_exit_codes() {
    let help = Cli::command().render_help().to_string();
    assert!(help.contains(exit::HELP), "{help}");
}

/// Every command that does something shows how it is called.
#[test]
fn every_command_shows_an_example() {
    fn walk(command: &clap::Command) {
        if command.has_subcommands() {
            command.get_subcommands().for_each(walk);
        } else {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let example = format!("uplift {}", command.get_name());
            let nested = format!(" {}", command.get_name());
            assert!(help.contains("Example"), "{example}: {help}");
            assert!(help.contains(&nested), "{example}: {help}");
        }
    }
    walk(&Cli::command());
}

#[test]
fn no_secret_fits_on_the_command_line() {
    assert!(Cli::try_parse_from(["uplift", "--token", "x", "status"]).is_err());
}

#[test]
fn what_needs_waiting_for_needs_the_wait() {
    let parse_of = |of: [&str; 2], rest: &[&str]| {
        let base = ["uplift", "test", of[0], of[1], "-t", "18.0"];
        let cli = Cli::try_parse_from(base.iter().chain(rest))?;
        let Task::Client(Command::Test(args)) = cli.task else { panic!("another command") };
        let raw = |error: UsageError| clap::Error::raw(clap::error::ErrorKind::ArgumentConflict, error);
        crate::live::check_words(&args).map_err(raw)
    };
    let parse = |rest: &[&str]| parse_of(["--dump", "shop.sql"], rest);
    let live = |rest: &[&str]| parse_of(["-d", "shop"], rest);
    assert!(
        live(&["--out", "."]).is_ok() && live(&["-x", "-j", "8"]).is_ok() && live(&["-r", "trial"]).is_ok()
    );
    assert!(live(&["--no-wait", "--out", "."]).is_err() && live(&["-x", "-r", "trial"]).is_err());
    assert!(live(&["-c", "M123", "-e", "A=b", "--core-count", "4"]).is_ok(), "as for Odoo's own client");
    assert!(
        parse(&["-r", "trial"]).is_err() && parse(&["-x"]).is_err() && parse(&["--format", "plain"]).is_err()
    );
    assert!(Cli::try_parse_from(["uplift", "test", "-t", "18.0"]).is_err(), "of nothing");
    assert!(parse(&[]).is_ok());
    assert!(parse(&["--wait", "--out", "."]).is_ok());
    assert!(parse(&["--out", "."]).is_err());
    assert!(parse(&["--timeout", "5"]).is_err());
    assert!(parse(&["--result-format", "zstd"]).is_ok());
    assert!(parse(&["--result-format", "rar"]).is_err());
    assert!(Cli::try_parse_from(["uplift", "test", "--dump", "shop.sql", "-t", "new"]).is_err());
}

#[test]
fn scripts_go_along_with_a_dump() {
    let dump = ["--dump", "shop.sql"];
    let scripts = ["--scripts", "our.tar.gz"];
    for command in [&["test", "-t", "18.0"][..], &["production", "-t", "18.0"], &["resume", REQUEST]] {
        let parse = |rest: &[&str]| Cli::try_parse_from(["uplift"].iter().chain(command).chain(rest));
        assert!(parse(&dump).is_ok(), "{command:?}");
        assert!(parse(&[dump, scripts].concat()).is_ok(), "{command:?}");
        assert!(parse(&scripts).is_err(), "{command:?}: without a dump");
        assert!(parse(&[dump, scripts, scripts].concat()).is_err(), "{command:?}: one archive");
    }
    assert!(Cli::try_parse_from(["uplift", "status", REQUEST, "--scripts", "our.tar.gz"]).is_err());
}

/// The words of the help, in the forms that shells and `man` read.
#[test]
fn shells_and_the_manual_know_every_command() {
    let mut bash = Vec::new();
    clap_complete::generate(clap_complete::Shell::Bash, &mut Cli::command(), "uplift", &mut bash);
    let bash = String::from_utf8(bash).unwrap();
    for command in Cli::command().get_subcommands() {
        assert!(bash.contains(&format!("uplift,{}", command.get_name())), "{}", command.get_name());
    }
}
