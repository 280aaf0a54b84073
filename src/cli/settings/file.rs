//! The configuration file: TOML, one key for each setting.

use std::fmt;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue};
use toml::de::{DeTable, DeValue};

/// A file that was read; every value in it is good.
pub(in crate::cli) struct ConfigFile {
    path: PathBuf,
    entries: Vec<Entry>,
}

/// One key.
pub(super) struct Entry {
    /// The argument that it sets.
    pub(super) id: String,
    /// What it says, as it would be said on the command line.
    pub(super) values: Vec<String>,
    line: usize,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum ConfigError {
    #[error("cannot read the configuration {}: {error}", .path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("{}:{line}:{column}: {what}", .path.display())]
    Wrong { path: PathBuf, line: usize, column: usize, what: String },
}

impl ConfigFile {
    pub(super) fn read(path: &Path, settings: &[clap::Arg]) -> Result<ConfigFile, ConfigError> {
        let text = fs::read_to_string(path)
            .map_err(|error| ConfigError::Unreadable { path: path.to_owned(), error })?;
        let wrong = |at: usize, what: String| {
            let (line, column) = position(&text, at);
            ConfigError::Wrong { path: path.to_owned(), line, column, what }
        };
        let start = |span: Range<usize>| span.start;
        let table = DeTable::parse(&text)
            .map_err(|error| wrong(error.span().map_or(0, start), error.message().to_owned()))?;
        let mut entries = Vec::new();
        for (key, value) in table.into_inner() {
            let at = key.span().start;
            let name = key.into_inner();
            let Some(setting) = settings.iter().find(|setting| setting.get_long() == Some(&*name))
            else {
                return Err(wrong(at, unknown(&name, settings)));
            };
            let span = value.span();
            let values = spelled(value.get_ref()).ok_or_else(|| {
                wrong(span.start, format!("the value of {name} is a string, a number or a boolean"))
            })?;
            for value in &values {
                judge(setting, value)
                    .map_err(|what| wrong(span.start, format!("{name} = {value:?}: {what}")))?;
            }
            entries.push(Entry {
                id: setting.get_id().to_string(),
                values,
                line: position(&text, at).0,
            });
        }
        Ok(ConfigFile { path: path.to_owned(), entries })
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Where the file says something about an argument.
    pub(super) fn place_of(&self, id: &str) -> Option<impl fmt::Display> {
        let entry = self.entries.iter().find(|entry| entry.id == id)?;
        Some(format!("{}, line {}", self.path.display(), entry.line))
    }
}

/// The line and the column of a byte, both from 1; columns are characters.
fn position(text: &str, at: usize) -> (usize, usize) {
    // An offset in the middle of a character is that character's.
    let before = (0..=at).rev().find_map(|at| text.get(..at)).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// A value as it would be spelled on the command line; a list says it more than once.
fn spelled(value: &DeValue<'_>) -> Option<Vec<String>> {
    let one = |value: &DeValue<'_>| match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(|n| n.to_string())
        }
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(truth) => Some(truth.to_string()),
        _ => None,
    };
    match value {
        DeValue::Array(items) => items.iter().map(|item| one(item.get_ref())).collect(),
        other => one(other).map(|value| vec![value]),
    }
}

/// What is wrong with a value, as the argument's own parser says it.
fn judge(setting: &clap::Arg, value: &str) -> Result<(), String> {
    let alone = setting.clone().env(None::<&str>).default_value(None).required(false);
    let argument = format!("--{}={value}", setting.get_long().unwrap_or_default());
    let command = clap::Command::new("babelmq").arg(alone).disable_help_flag(true);
    let Err(error) = command.try_get_matches_from(["babelmq", &argument]) else { return Ok(()) };
    if let Some(source) = std::error::Error::source(&error) {
        return Err(source.to_string());
    }
    Err(match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(valid)) => format!("it must be one of {}", valid.join(", ")),
        _ => "it cannot be that".into(),
    })
}

/// Says that a key is none, and which one was probably meant.
fn unknown(key: &str, settings: &[clap::Arg]) -> String {
    const NEAR: f64 = 0.7;
    let names = || settings.iter().filter_map(clap::Arg::get_long);
    let nearest = names()
        .map(|name| (strsim::jaro_winkler(&key.replace('_', "-"), name), name))
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    match nearest {
        Some((nearness, name)) if nearness >= NEAR => {
            format!("there is no setting {key:?}; is it {name:?}?")
        }
        _ => format!(
            "there is no setting {key:?}; there are {}",
            names().collect::<Vec<_>>().join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        assert_eq!(position("a\nüb", 0), (1, 1));
        assert_eq!(position("a\nüb", 4), (2, 2));
        assert_eq!(position("a\nüb", 99), (2, 3));
    }
}
