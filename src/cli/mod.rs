//! The `babelmq` command: arguments in, exit codes out. The only room that may name all others.

mod args;
mod serve;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};

/// Runs the command that the arguments name.
///
/// Exit codes: 0 done, 1 it could not be done, 2 the arguments are wrong.
pub fn run() -> ExitCode {
    let Cli { command } = Cli::parse();
    let done = match command {
        Command::Serve(serve) => serve::serve(&serve),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("babelmq: {error}");
            ExitCode::FAILURE
        }
    }
}
