//! `babelmq config`: the effective configuration as TOML, with where each value came from.

use std::io::Write;

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::file::ConfigFile;
use super::{definition, settings};
use crate::cli::failure::Failure;

/// Prints every setting. What is printed is a configuration file that says the same.
pub(in crate::cli) fn show(
    out: &mut impl Write,
    matches: &ArgMatches,
    file: Option<&ConfigFile>,
) -> Result<(), Failure> {
    let rows: Vec<(String, String)> =
        settings(&definition()).iter().map(|setting| row(setting, matches, file)).collect();
    let width = rows.iter().map(|(line, _)| line.chars().count()).max().unwrap_or(0);
    for (line, origin) in rows {
        writeln!(out, "{line:width$}  # {origin}")?;
    }
    Ok(())
}

/// A setting as a line of TOML, and where its value came from.
fn row(setting: &clap::Arg, matches: &ArgMatches, file: Option<&ConfigFile>) -> (String, String) {
    let id = setting.get_id().as_str();
    let key = setting.get_long().unwrap_or(id);
    let values: Vec<String> = matches
        .get_raw(id)
        .into_iter()
        .flatten()
        .map(|value| spelled(&value.to_string_lossy()))
        .collect();
    let line = match values.as_slice() {
        [] => format!("# {key} ="),
        [value] => format!("{key} = {value}"),
        more => format!("{key} = [{}]", more.join(", ")),
    };
    let origin = match matches.value_source(id) {
        Some(ValueSource::CommandLine) => format!("--{key}"),
        Some(ValueSource::EnvVariable) => {
            format!("environment, {}", setting.get_env().unwrap_or_default().to_string_lossy())
        }
        Some(_) => match file.and_then(|file| file.place_of(id)) {
            Some(place) => place.to_string(),
            None => "default".into(),
        },
        None => "not set".into(),
    };
    (line, origin)
}

/// A value as TOML spells it.
fn spelled(value: &str) -> String {
    if value.parse::<i64>().is_ok_and(|number| number.to_string() == value)
        || matches!(value, "true" | "false")
    {
        return value.to_owned();
    }
    let mut quoted = String::from('"');
    for character in value.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(control)))
            }
            other => quoted.push(other),
        }
    }
    quoted + "\""
}
