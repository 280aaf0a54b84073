//! The results, for people and for programs.

mod json;
mod markdown;
mod mqtt;
mod streams;
mod svg;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::host::Host;
use crate::results::Results;
use crate::systems::System;
use crate::workloads::{Better, Goal, Row, Workload};

/// All that is told about a run.
pub(crate) struct Report<'a> {
    pub(crate) results: &'a Results,
    pub(crate) workloads: &'a [&'static Workload],
    pub(crate) systems: &'a [System],
    pub(crate) host: &'a Host,
    pub(crate) rounds: usize,
    pub(crate) seconds: f64,
    pub(crate) crowd: usize,
    pub(crate) topics: u64,
    pub(crate) gib: u64,
    /// Of each system, or why it is absent.
    pub(crate) versions: &'a [(System, Result<String, String>)],
    pub(crate) command_lines: &'a [(System, String)],
    /// How the benchmark was called.
    pub(crate) call: String,
}

impl Report<'_> {
    /// Whether some connections have TLS.
    fn is_sealed(&self) -> bool {
        self.workloads.iter().any(|workload| workload.is_sealed())
    }

    /// What its files are called: `tls` where there is nothing but TLS and users, `web` where there
    /// is nothing but WebSocket and HTTP, `streams` where there is nothing but what is kept, `mqtt`
    /// where there is nothing but MQTT.
    fn name(&self) -> &'static str {
        let is_apart = |workload: &&Workload| workload.is_sealed() || workload.has_users();
        if self.workloads.iter().all(is_apart) {
            "tls"
        } else if self.workloads.iter().all(|workload| workload.is_web()) {
            "web"
        } else if self.workloads.iter().all(|workload| workload.is_kept()) {
            "streams"
        } else if self.workloads.iter().all(|workload| workload.is_mqtt()) {
            "mqtt"
        } else {
            "peers"
        }
    }

    /// Writes `peers.md`, `peers.json` and `peers.svg`, those of TLS, and so on.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        for (extension, text) in
            [("md", markdown::write(self)), ("json", json::write(self)?), ("svg", svg::write(self))]
        {
            let file = folder.join(self.name()).with_extension(extension);
            fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(())
    }

    pub(crate) fn markdown(&self) -> String {
        markdown::write(self)
    }
}

fn title(workload: &Workload, row: &Row) -> String {
    if row.title.is_empty() {
        workload.title.to_owned()
    } else {
        format!("{}: {}", workload.title, row.title)
    }
}

fn goal_text(row: &Row, goal: Goal) -> String {
    let sign = match row.better {
        Better::More => "≥",
        Better::Less => "≤",
    };
    match goal {
        Goal::Times(times, system) => format!("{sign} {times} × {}", system.title()),
        Goal::Bound(bound) => format!("{sign} {} {}", number(bound), row.unit),
    }
}

/// Three digits that mean something.
pub(crate) fn number(figure: f64) -> String {
    let magnitude = figure.abs();
    match magnitude {
        1_000_000.0.. => format!("{:.2} M", figure / 1e6),
        10_000.0.. => format!("{:.0} k", figure / 1e3),
        1_000.0.. => format!("{:.1} k", figure / 1e3),
        100.0.. => format!("{figure:.0}"),
        10.0.. => format!("{figure:.1}"),
        0.0005.. => {
            let text = format!("{figure:.3}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => "0".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers() {
        let texts = [3_456_789.0, 45_678.0, 4_567.0, 456.7, 45.67, 4.5, 0.25, 0.0].map(number);
        assert_eq!(texts, ["3.46 M", "46 k", "4.6 k", "457", "45.7", "4.5", "0.25", "0"]);
    }
}
