//! The results as JSON.

use anyhow::Result;
use serde::Serialize;

use super::{Report, goal_text, title};
use crate::host::Host;
use crate::systems::System;

#[derive(Serialize)]
struct File<'a> {
    host: &'a Host,
    call: &'a str,
    rounds: usize,
    seconds: f64,
    systems: Vec<About>,
    rows: Vec<RowOut>,
    failures: Vec<Failure<'a>>,
}

#[derive(Serialize)]
struct About {
    system: System,
    version: Option<String>,
    absent: Option<String>,
    command_line: Option<String>,
}

#[derive(Serialize)]
struct RowOut {
    workload: &'static str,
    metric: &'static str,
    title: String,
    unit: &'static str,
    goals: Vec<GoalOut>,
    figures: Vec<Figure>,
}

#[derive(Serialize)]
struct GoalOut {
    goal: String,
    met: Option<bool>,
}

#[derive(Serialize)]
struct Figure {
    system: System,
    median: f64,
    /// How many times this figure babelmq's is.
    babelmq_ratio: Option<f64>,
    rounds: Vec<Option<f64>>,
}

#[derive(Serialize)]
struct Failure<'a> {
    workload: &'a str,
    system: System,
    reason: &'a str,
}

pub(super) fn write(report: &Report<'_>) -> Result<String> {
    let results = report.results;
    let systems = report.versions.iter().map(|(system, version)| About {
        system: *system,
        version: version.as_ref().ok().cloned(),
        absent: version.as_ref().err().cloned(),
        command_line: report
            .command_lines
            .iter()
            .find(|(of, _)| of == system)
            .map(|(_, line)| line.clone()),
    });
    let mut rows = Vec::new();
    for workload in report.workloads {
        for row in workload.rows {
            let goals = row.goals.iter().map(|goal| GoalOut {
                goal: goal_text(row, *goal),
                met: results.is_met(workload.name, row, *goal),
            });
            let figures = report.systems.iter().filter_map(|system| {
                Some(Figure {
                    system: *system,
                    median: results.median(workload.name, row.metric, *system)?,
                    babelmq_ratio: results.ratio(
                        workload.name,
                        row.metric,
                        System::Babelmq,
                        *system,
                    ),
                    rounds: results.of(workload.name, row.metric, *system).to_vec(),
                })
            });
            rows.push(RowOut {
                workload: workload.name,
                metric: row.metric,
                title: title(workload, row),
                unit: row.unit,
                goals: goals.collect(),
                figures: figures.collect(),
            });
        }
    }
    let failures = results.failures.iter();
    let file = File {
        host: report.host,
        call: &report.call,
        rounds: report.rounds,
        seconds: report.seconds,
        systems: systems.collect(),
        rows,
        failures: failures
            .map(|((workload, system), reason)| Failure { workload, system: *system, reason })
            .collect(),
    };
    Ok(serde_json::to_string_pretty(&file)? + "\n")
}
