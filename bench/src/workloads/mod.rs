//! What is measured, of which systems, and what babelmq has to reach.

mod corpora;
mod list;
mod measure;
mod mqtt;
mod rights;
mod streams;
mod tls;
mod web;

use std::time::Duration;

use crate::direction::Direction;
use crate::stream::Entry;
use crate::systems::System;
use crate::wire::Format;

pub(crate) use corpora::of_corpora;
pub(crate) use list::WORKLOADS;
pub(crate) use measure::{Figures, half_load};
pub(crate) use mqtt::OF_MQTT;
pub(crate) use streams::OF_STREAMS;
pub(crate) use tls::OF_TLS;
pub(crate) use web::OF_WEB;

use mqtt::Spoken;
use streams::Kept;

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
    Handshakes,
    /// Of babelmq with users, whose publisher writes to so many topics.
    Rights {
        rights: Rights,
        topics: usize,
    },
    Guesses,
    /// The same with TLS.
    Tls(&'static Kind),
    /// The same by WebSocket.
    Web(&'static Kind),
    /// Requests of HTTP.
    Http(Http),
    /// Messages that are kept.
    Kept(Kept),
    /// By MQTT.
    Mqtt(Spoken),
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
enum Http {
    Publish,
    Scrape,
}

/// What is compared.
#[derive(Clone, Copy, Debug)]
enum Rights {
    /// Many rules in a role, and no users.
    Rules,
    /// A subscriber that may see only a part, and one that may see all.
    Limited,
}

impl Workload {
    /// Whether connections have TLS.
    pub(crate) fn is_sealed(&self) -> bool {
        matches!(self.kind, Kind::Tls(_))
    }

    /// Whether it is about WebSocket or HTTP.
    pub(crate) fn is_web(&self) -> bool {
        matches!(self.kind, Kind::Web(_) | Kind::Http(_))
    }

    /// Whether it is about messages that are kept.
    pub(crate) fn is_kept(&self) -> bool {
        matches!(self.kind, Kind::Kept(_))
    }

    /// Whether it is about MQTT.
    pub(crate) fn is_mqtt(&self) -> bool {
        matches!(self.kind, Kind::Mqtt(_))
    }

    /// Whether it is about users.
    pub(crate) fn has_users(&self) -> bool {
        matches!(self.kind, Kind::Rights { .. } | Kind::Guesses)
    }

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
    /// Of a long stream.
    pub(crate) gib: u64,
    /// One string instead of a record.
    pub(crate) texts: bool,
}
