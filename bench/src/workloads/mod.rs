//! What is measured, of which systems, and what babelmq has to reach.

mod list;
mod measure;
mod streams;

use std::time::Duration;

use crate::direction::Direction;
use crate::stream::Entry;
use crate::systems::System;
use crate::wire::Format;

pub(crate) use list::WORKLOADS;
pub(crate) use measure::{Figures, half_load};
pub(crate) use streams::of_streams;

/// A thing to measure.
#[derive(Debug)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) systems: &'static [System],
    kind: Kind,
    pub(crate) rows: &'static [Row],
}

/// A figure of a workload.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) metric: &'static str,
    /// Beside the workload's title.
    pub(crate) title: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
    pub(crate) goals: &'static [Goal],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    More,
    Less,
}

/// What babelmq has to reach.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// So many times another system's figure: at least where more is better, at most where less is.
    Times(f64, System),
    /// A figure.
    Bound(f64),
}

#[derive(Clone, Copy, Debug)]
enum Size {
    Bytes(usize),
    Record,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Flow {
        publishers: usize,
        subscribers: usize,
        from: Format,
        to: Format,
        size: Size,
    },
    Formats,
    /// From one to one.
    Stream {
        entry: &'static Entry,
        direction: Direction,
    },
    RoundTrip {
        loaded: bool,
    },
    Idle,
    Crowd,
    Topics,
}

impl Workload {
    /// The stream that it carries, and how it is translated.
    pub(crate) fn stream(&self) -> Option<(&'static Entry, Direction)> {
        match self.kind {
            Kind::Stream { entry, direction } => Some((entry, direction)),
            _ => None,
        }
    }
}

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub(crate) time: Duration,
    pub(crate) crowd: usize,
    pub(crate) topics: usize,
    /// One string instead of a record.
    pub(crate) texts: bool,
}
