//! What the broker is told, and by whom: a flag, else the environment, else the file, else the
//! default.
//!
//! There is one definition, the arguments of `babelmq serve`: every one that the environment can
//! set is a setting, and its long name is its key in the file. What a file says becomes the default
//! of its argument, and then the command line is read once more, so that all of it goes through the
//! same parsers.

mod file;
mod show;

use std::ffi::OsString;

use clap::{ArgMatches, CommandFactory, FromArgMatches};

pub(super) use file::ConfigError;
pub(super) use show::show;

use self::file::ConfigFile;
use super::command::Cli;
use super::failure::EXIT_CODES;

/// The commands that take settings.
const WITH_SETTINGS: [&str; 2] = ["serve", "config"];

/// What was read, and from where.
pub(super) struct Loaded {
    pub(super) cli: Cli,
    pub(super) matches: ArgMatches,
    pub(super) file: Option<ConfigFile>,
}

/// Why settings could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error(transparent)]
    Arguments(#[from] clap::Error),
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// The whole command line: what is parsed, what help, the manual and the shells' completion say.
pub(super) fn definition() -> clap::Command {
    let codes = EXIT_CODES.map(|(code, meaning)| format!("  {code}  {meaning}\n"));
    Cli::command().after_help(format!("Exit codes:\n  0  it was done\n{}", codes.concat()))
}

/// The settings: the arguments that the file may give as well.
pub(super) fn settings(definition: &clap::Command) -> Vec<clap::Arg> {
    let serve = definition.find_subcommand(WITH_SETTINGS[0]);
    let arguments = serve.into_iter().flat_map(clap::Command::get_arguments);
    let is_setting = |arg: &&clap::Arg| arg.get_env().is_some() && arg.get_id() != "config";
    arguments.filter(is_setting).cloned().collect()
}

/// Reads the command line, the environment, and the file that one of them names.
pub(super) fn load(arguments: &[OsString]) -> Result<Loaded, LoadError> {
    let matches = definition().try_get_matches_from(arguments)?;
    let path = matches
        .subcommand()
        .filter(|(name, _)| WITH_SETTINGS.contains(name))
        .and_then(|(_, matches)| matches.get_one::<std::path::PathBuf>("config"));
    let Some(path) = path else {
        let cli = Cli::from_arg_matches(&matches)?;
        return Ok(Loaded { cli, matches, file: None });
    };
    let file = ConfigFile::read(path, &settings(&definition()))?;
    let mut definition = definition();
    for command in WITH_SETTINGS {
        definition = definition.mut_subcommand(command, |mut command| {
            for entry in file.entries() {
                command = command.mut_arg(&entry.id, |arg| {
                    arg.default_value(None).default_values(entry.values.clone())
                });
            }
            command
        });
    }
    let matches = definition.try_get_matches_from(arguments)?;
    let cli = Cli::from_arg_matches(&matches)?;
    Ok(Loaded { cli, matches, file: Some(file) })
}
