//! The streams and their consumers, and how fast each comes on.

use std::collections::HashMap;
use std::time::Instant;

use ratatui::layout::Constraint;
use ratatui::style::Stylize;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Row, Table};
use serde::Deserialize;

use super::cells::{header, right};
use crate::cli::listing;
use crate::cli::quantity::{bytes, count};
use crate::cli::visible;
use crate::middleware::{Client, QueueError};
use crate::protocol::ErrorCode;

/// An element of `streams`, as far as it is shown; see `docs/protocol.md`.
#[derive(Clone, Debug, Deserialize)]
struct Stream {
    stream: String,
    messages: u64,
    bytes: u64,
    next: u64,
    state: String,
}

/// An element of `consumers`, as far as it is shown.
#[derive(Clone, Debug, Deserialize)]
struct Consumer {
    stream: String,
    consumer: String,
    members: u64,
    pending: u64,
    redelivered: u64,
    dead: u64,
}

/// What a broker says of its streams; nothing where it has none.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    streams: Vec<Stream>,
    consumers: Vec<Consumer>,
}

impl Kept {
    /// Asks for it. A broker that knows no streams has none.
    pub(super) fn ask(client: &mut Client) -> Result<Kept, QueueError> {
        let streams = match client.streams() {
            Err(QueueError::Refused(refused)) if refused.is(ErrorCode::UnknownCommand) => {
                return Ok(Kept::default());
            }
            streams => listing::read(&streams?)?,
        };
        let mut consumers: Vec<Consumer> = listing::read(&client.consumers(None)?)?;
        // Those first that have most before them.
        consumers.sort_by(|one, other| {
            other.pending.cmp(&one.pending).then_with(|| one.consumer.cmp(&other.consumer))
        });
        Ok(Kept { streams, consumers })
    }

    fn of<'a>(&'a self, stream: &'a Stream) -> impl Iterator<Item = &'a Consumer> {
        self.consumers.iter().filter(|consumer| consumer.stream == stream.stream)
    }

    /// How far the streams and consumers are: messages published, and messages that are done.
    fn places(&self) -> HashMap<(String, Option<String>), u64> {
        let mut places = HashMap::new();
        for stream in &self.streams {
            places.insert((stream.stream.clone(), None), stream.next);
            for consumer in self.of(stream) {
                let name = (stream.stream.clone(), Some(consumer.consumer.clone()));
                places.insert(name, stream.next.saturating_sub(consumer.pending));
            }
        }
        places
    }
}

/// The last two answers.
pub(super) struct Streams {
    now: Kept,
    before: HashMap<(String, Option<String>), u64>,
    at: Instant,
    /// Seconds between the two.
    between: f64,
}

impl Streams {
    pub(super) fn new(first: Kept) -> Streams {
        Streams { now: first, before: HashMap::new(), at: Instant::now(), between: 1.0 }
    }

    pub(super) fn renew(&mut self, next: Kept) {
        let at = Instant::now();
        self.between = at.duration_since(self.at).as_secs_f64().max(1e-3);
        (self.at, self.before) = (at, self.now.places());
        self.now = next;
    }

    /// Lines that the table would like to have.
    pub(super) fn lines(&self) -> u16 {
        match self.now.streams.len() + self.now.consumers.len() {
            0 => 0,
            // The title, and the names of columns.
            rows => u16::try_from(rows + 2).unwrap_or(u16::MAX),
        }
    }

    /// The table, in so many lines. Where they are too few, each stream has as many consumers as
    /// the others, and the first have what is left.
    pub(super) fn table(&self, lines: u16) -> Table<'static> {
        let (room, streams) = (usize::from(lines).saturating_sub(2), self.now.streams.len());
        let all = streams + self.now.consumers.len();
        let most = if all <= room { all } else { room.saturating_sub(streams) / streams.max(1) };
        let shown = |stream| self.now.of(stream).take(most).count();
        let mut left =
            room.saturating_sub(streams + self.now.streams.iter().map(shown).sum::<usize>());
        let places = self.now.places();
        let rate = |name: (String, Option<String>)| {
            let (now, before) = (places.get(&name), self.before.get(&name));
            let more = now.zip(before).map_or(0, |(now, before)| now.saturating_sub(*before));
            right(count(more as f64 / self.between))
        };
        let mut rows = Vec::new();
        for stream in &self.now.streams {
            rows.push(self.stream(stream, rate((stream.stream.clone(), None))));
            let more = self.now.of(stream).skip(most).take(left).count();
            left -= more;
            for consumer in self.now.of(stream).take(most + more) {
                let name = (stream.stream.clone(), Some(consumer.consumer.clone()));
                rows.push(of_consumer(consumer, rate(name)));
            }
        }
        let widths = [
            Constraint::Fill(1),
            Constraint::Length(7),
            Constraint::Length(8),
            Constraint::Length(8),
            Constraint::Length(7),
            Constraint::Length(7),
            Constraint::Length(11),
            Constraint::Length(5),
        ];
        Table::new(rows, widths).header(header([
            "STREAM",
            "MSG/S",
            "MESSAGES",
            "BYTES",
            "MEMBERS",
            "PENDING",
            "REDELIVERED",
            "DEAD",
        ]))
    }

    fn stream(&self, stream: &Stream, rate: Cell<'static>) -> Row<'static> {
        let mut name = vec![Span::from(visible::line(&stream.stream).into_owned()).cyan()];
        if stream.state != "ok" {
            name.push(format!(" {}", visible::line(&stream.state)).red().bold());
        }
        match self.now.of(stream).count() {
            0 => {}
            1 => name.push(" 1 consumer".dim()),
            many => name.push(format!(" {many} consumers").dim()),
        }
        Row::new([
            Cell::from(Line::from(name)),
            rate,
            right(count(stream.messages as f64)),
            right(bytes(stream.bytes as f64)),
        ])
    }
}

fn of_consumer(consumer: &Consumer, rate: Cell<'static>) -> Row<'static> {
    let nothing = || Cell::from("");
    let (members, dead) = (right(count(consumer.members as f64)), count(consumer.dead as f64));
    Row::new([
        Cell::from(format!("  {}", visible::line(&consumer.consumer))),
        rate,
        nothing(),
        nothing(),
        // Nobody does what waits.
        if consumer.members == 0 && consumer.pending > 0 { members.yellow() } else { members },
        right(count(consumer.pending as f64)),
        right(count(consumer.redelivered as f64)),
        if consumer.dead > 0 { right(dead).red() } else { right(dead) },
    ])
}
