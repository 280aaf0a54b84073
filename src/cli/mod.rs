//! The `babelmq` command: arguments in, exit codes out. The only room that may name all others.

mod address;
mod allowed;
mod archive;
mod args;
mod backbone;
mod backbone_files;
mod backup;
mod bench;
mod certs;
mod check;
mod clear;
mod color;
mod command;
mod consumer;
mod convert;
mod dead;
mod failure;
mod get;
mod input;
mod listing;
mod logging;
mod manual;
mod passwd;
mod pretty;
mod publish;
mod quantity;
mod secret;
mod serve;
mod service;
mod settings;
mod show;
mod stream;
mod subscribe;
mod table;
mod top;
mod topics;
mod version;
mod visible;

use std::env;
use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use command::{Cli, Command};
use failure::Failure;
use settings::{LoadError, Loaded};

/// Runs the command that the arguments name.
///
/// The exit codes are listed by `babelmq --help`.
pub fn run() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().collect();
    let done = match settings::load(&arguments) {
        Ok(loaded) => command(loaded, &arguments),
        // Help and the version are such errors as well, and go to standard output.
        Err(LoadError::Arguments(error)) => error.exit(),
        Err(LoadError::Config(error)) => Err(Failure::Usage(error.to_string())),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.end(),
    }
}

fn command(
    Loaded { cli: Cli { command, color }, matches, file }: Loaded,
    arguments: &[OsString],
) -> Result<(), Failure> {
    match command {
        Command::Serve(serve) => serve::serve(&serve, arguments),
        Command::Config(_) => {
            let settings = matches.subcommand_matches("config").unwrap_or(&matches);
            settings::show(&mut io::stdout().lock(), settings, file.as_ref())
        }
        Command::Pub(args) => publish::run(&args),
        Command::Sub(args) => subscribe::run(&args, color),
        Command::Get(args) => get::run(&args, color),
        Command::Topics(args) => topics::run(&args, color),
        Command::Clear(args) => clear::run(&args),
        Command::Stream(args) => stream::run(&args),
        Command::Consumer(args) => consumer::run(&args),
        Command::Dead(args) => dead::run(&args, color),
        Command::Backbone(args) => backbone::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Top(args) => top::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Convert(args) => convert::run(&args),
        Command::Certs(args) => certs::run(&args),
        Command::Passwd(args) => passwd::run(&args),
        Command::Allowed(args) => allowed::run(&args),
        Command::Backup(args) => backup::run(&args),
        Command::Export(args) => archive::export(&args),
        Command::Import(args) => archive::import(&args),
        Command::Compact(args) => archive::compact(&args),
        Command::Completions { shell } => manual::completions(shell),
        Command::Manual => manual::page(),
    }
}
