//! The `babelmq` command: arguments in, exit codes out. The only room that may name all others.

mod args;
mod check;
mod clear;
mod convert;
mod failure;
mod get;
mod input;
mod paint;
mod pretty;
mod publish;
mod serve;
mod show;
mod subscribe;
mod topics;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use args::{Cli, Command};

/// Runs the command that the arguments name.
///
/// The exit codes are listed by `babelmq --help`.
pub fn run() -> ExitCode {
    let mut definition = definition();
    let matches = definition.get_matches_mut();
    let Cli { command, color } = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.format(&mut definition).exit(),
    };
    let done = match command {
        Command::Serve(serve) => serve::serve(&serve).map_err(failure::Failure::from),
        Command::Pub(args) => publish::run(&args),
        Command::Sub(args) => subscribe::run(&args, color),
        Command::Get(args) => get::run(&args, color),
        Command::Topics(args) => topics::run(&args, color),
        Command::Clear(args) => clear::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Convert(args) => convert::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.end(),
    }
}

/// The whole command line: what is parsed, and what help says.
fn definition() -> clap::Command {
    let codes = failure::EXIT_CODES.map(|(code, meaning)| format!("  {code}  {meaning}\n"));
    Cli::command().after_help(format!("Exit codes:\n  0  it was done\n{}", codes.concat()))
}
