use clap::{CommandFactory as _, Parser as _};

use super::Cli;
use crate::exit;

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
    let parse = |rest: &[&str]| {
        let base = ["uplift", "test", "--dump", "shop.sql", "-t", "18.0"];
        Cli::try_parse_from(base.iter().chain(rest))
    };
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
