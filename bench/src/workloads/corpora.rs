//! The workloads of corpora: each stream of messages in each direction that it is measured in.

use super::list::{ALL_BUT_CPYTHON, RATES, TRANSLATORS, TRANSLATORS_OF_MAPS};
use super::{Kind, Workload};
use crate::direction::Direction;
use crate::stream::{Entry, Group};
use crate::systems::System;
use crate::wire::Format;

/// babelmq, and what carries the same bytes without looking at them.
const PAIR: &[System] = &[System::Babelmq, System::Nats];

/// Every reader and every writer of babelmq's: variants of one record are many, and time is not.
const OF_VARIANTS: [&str; 5] = ["json-json", "json-pickle", "json-xml", "pickle-json", "xml-json"];

/// The workloads of these streams, which last as long as the program.
pub(crate) fn of_corpora(entries: Vec<Entry>) -> Vec<&'static Workload> {
    let mut workloads = Vec::new();
    for entry in entries {
        let entry: &'static Entry = Box::leak(Box::new(entry));
        for direction in Direction::ALL {
            if is_measured(entry, direction) {
                let workload: &'static Workload = Box::leak(Box::new(Workload {
                    name: format!("{}/{direction}", entry.name).leak(),
                    title: format!("{}, {}", entry.title, direction.title()).leak(),
                    systems: systems(entry, direction),
                    kind: Kind::Stream { entry, direction },
                    rows: RATES,
                }));
                workloads.push(workload);
            }
        }
    }
    workloads
}

fn is_measured(entry: &Entry, direction: Direction) -> bool {
    let is_whole = matches!(entry.group, Group::Small | Group::Real);
    is_whole || OF_VARIANTS.contains(&direction.to_string().as_str())
}

fn systems(entry: &Entry, Direction { from, to }: Direction) -> &'static [System] {
    let has_pickle = from == Format::Pickle || to == Format::Pickle;
    match entry.group {
        Group::Small if from == Format::Json && to == Format::Json => ALL_BUT_CPYTHON,
        Group::Small if entry.flat && !has_pickle => TRANSLATORS_OF_MAPS,
        Group::Small => TRANSLATORS,
        _ => PAIR,
    }
}
