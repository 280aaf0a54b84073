//! CPython, in a process of its own that prints what it measured.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::direction::Direction;
use crate::stream::Entry;

/// What reads and writes JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Library {
    Standard,
    Orjson,
}

/// Messages per second of each direction and library that can do the stream.
pub(super) fn rates(
    python: &Path,
    loops: &Path,
    entry: &Entry,
    directions: &[Direction],
    time: Duration,
) -> Result<Vec<(Direction, Library, f64)>> {
    let output = Command::new(python)
        .arg(loops)
        .arg(entry.file())
        .arg(time.as_secs_f64().to_string())
        .args(directions.iter().map(Direction::to_string))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {}", python.display()))?;
    ensure!(output.status.success(), "{} failed", loops.display());
    let mut rates = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let mut words = line.split_whitespace();
        let direction: Direction = words.next().context("an empty line")?.parse()?;
        let library = match words.next() {
            Some("orjson") => Library::Orjson,
            _ => Library::Standard,
        };
        // Where it cannot, it says why instead.
        if let Some(Ok(rate)) = words.next().map(str::parse) {
            rates.push((direction, library, rate));
        }
    }
    Ok(rates)
}
