//! The part of `peers.md` that is about streams of messages.

use super::{Report, number};
use crate::direction::Direction;
use crate::stream::{Entry, Group};
use crate::systems::System;
use crate::workloads::Workload;

const TABLES: [(Group, &str); 4] = [
    (Group::Small, "Small streams"),
    (Group::Real, "Real streams"),
    (Group::Variants, "Variants"),
    (Group::Wide, "One wide object, or four: as many keys and bytes"),
];

pub(super) fn write(report: &Report<'_>) -> String {
    let mut out = String::new();
    for (group, title) in TABLES {
        let streams = streams(report, group);
        if !streams.is_empty() {
            out += &format!("### {title}\n\n{}", against_nats(report, &streams));
        }
    }
    if out.is_empty() {
        return out;
    }
    format!(
        "## Streams of messages\n\nFrom one producer to one consumer, message after message; \
         bytes are those of a message's JSON, in the mean. How many times what NATS carries, which \
         passes on the same bytes as babelmq's producer sends and translates nothing, and \
         babelmq's deliveries per second.\n\n{out}{}",
        against_others(report)
    )
}

fn streams(report: &Report<'_>, group: Group) -> Vec<&'static Entry> {
    let all = report.workloads.iter().filter_map(|workload| workload.stream());
    let mut streams: Vec<&'static Entry> =
        all.map(|(entry, _)| entry).filter(|entry| entry.group == group).collect();
    streams.dedup_by_key(|entry| entry.name.as_str());
    streams
}

fn against_nats(report: &Report<'_>, streams: &[&'static Entry]) -> String {
    let directions = Direction::ALL.iter().filter(|direction| {
        streams.iter().any(|entry| workload(report, entry, **direction).is_some())
    });
    let directions: Vec<Direction> = directions.copied().collect();
    let mut out = String::from("| stream | bytes | topics |");
    directions.iter().for_each(|direction| out += &format!(" {} |", direction.title()));
    out += "\n|---|--:|--:|";
    directions.iter().for_each(|_| out += "--:|");
    out.push('\n');
    for entry in streams {
        out += &format!("| {} | {} | {} |", entry.title, entry.bytes, entry.topics);
        for direction in &directions {
            let cell = workload(report, entry, *direction).and_then(|workload| {
                let results = report.results;
                let name = workload.name;
                let rate = number(results.median(name, "rate", System::Babelmq)?);
                let ratio = results.ratio(name, "rate", System::Babelmq, System::Nats);
                Some(match ratio {
                    Some(ratio) => format!("**{}** ({rate})", number(ratio)),
                    None => rate,
                })
            });
            out += &format!(" {} |", cell.unwrap_or_default());
        }
        out.push('\n');
    }
    out + "\n"
}

/// A row for each small stream and direction.
fn against_others(report: &Report<'_>) -> String {
    let is_other = |system: &System| !matches!(system, System::Babelmq | System::Nats);
    let others: Vec<System> = report.systems.iter().copied().filter(is_other).collect();
    let mut rows = String::new();
    for workload in report.workloads {
        let ratio =
            |other: &System| report.results.ratio(workload.name, "rate", System::Babelmq, *other);
        let ratios: Vec<Option<f64>> = others.iter().map(ratio).collect();
        if workload.stream().is_none() || ratios.iter().all(Option::is_none) {
            continue;
        }
        rows += &format!("| {} |", workload.title);
        for ratio in ratios {
            rows += &ratio.map_or(" |".to_owned(), |ratio| format!(" {} × |", number(ratio)));
        }
        rows.push('\n');
    }
    if rows.is_empty() {
        return rows;
    }
    let mut out = String::from("### Small streams beside the others\n\n| stream |");
    others.iter().for_each(|other| out += &format!(" vs {} |", other.title()));
    out += "\n|---|";
    others.iter().for_each(|_| out += "--:|");
    out + "\n" + &rows + "\n"
}

fn workload(report: &Report<'_>, entry: &Entry, direction: Direction) -> Option<&'static Workload> {
    let is_it = |workload: &&&'static Workload| {
        let stream = workload.stream();
        stream.is_some_and(|(of, in_)| (&of.name, in_) == (&entry.name, direction))
    };
    report.workloads.iter().find(is_it).copied()
}
