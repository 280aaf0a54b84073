//! The picture.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Stylize;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Table};

use super::cells::{header, right};
use super::stats::{Rates, Subscriber};
use super::streams::Streams;
use crate::cli::quantity::{bytes, count, time};
use crate::cli::visible;
use crate::protocol::Format;

/// Columns of a terminal that has room for what only clients of MQTT have.
const WIDE: u16 = 100;

pub(super) struct Screen<'a> {
    pub(super) address: &'a str,
    pub(super) rates: &'a Rates,
    pub(super) streams: &'a Streams,
    pub(super) paused: bool,
    /// Whether the broker cannot be asked, and the picture is what it said last.
    pub(super) is_away: bool,
}

impl Screen<'_> {
    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        // At most as much as the other two tables have together.
        let streams = self.streams.lines().min(frame.area().height.saturating_sub(5) / 2);
        let rows = Layout::vertical([
            Constraint::Length(4),
            Constraint::Fill(3),
            Constraint::Fill(2),
            Constraint::Length(streams),
            Constraint::Length(1),
        ]);
        let [head, topics, subscribers, kept, foot] = rows.areas(frame.area());
        frame.render_widget(Paragraph::new(self.head()), head);
        self.topics(frame, topics);
        self.subscribers(frame, subscribers);
        if streams > 0 {
            let block = Block::new().borders(Borders::TOP).dim().title(" streams ");
            frame.render_widget(self.streams.table(streams).block(block), kept);
        }
        let keys = if self.paused { " q quit   p go on   (paused)" } else { " q quit   p pause" };
        let mut said = vec![keys.dim()];
        if self.is_away {
            said.push("   the connection ended; waiting for the broker".red().bold());
        }
        frame.render_widget(Paragraph::new(Line::from(said)), foot);
    }

    fn head(&self) -> Vec<Line<'static>> {
        let Rates { now, .. } = self.rates;
        let rate = |name: &str| count(self.rates.of(name));
        let alarm = |name: &str| {
            let text = count(now.counter(name) as f64);
            if now.counter(name) > 0 { text.red().bold() } else { Span::raw(text) }
        };
        let formats = Format::ALL
            .map(|format| format!("{format} {}", count(self.rates.published_in(format.name()))));
        let [sessions, away] = ["mqtt_sessions", "mqtt_away"].map(|name| now.counter(name));
        let sessions = match sessions {
            0 => String::new(),
            all => format!("   {} MQTT sessions, {} away", count(all as f64), count(away as f64)),
        };
        vec![
            Line::from(vec![
                format!(" babelmq {} ", visible::line(&now.version)).bold(),
                Span::raw(format!(
                    "on {}   up {}   memory {}",
                    self.address,
                    time(now.uptime),
                    bytes(now.memory as f64)
                )),
            ]),
            Line::from(vec![
                Span::raw(format!(
                    " {} connections   {} subscriptions   {} values, {}   refused ",
                    count(now.counter("open") as f64),
                    count(now.counter("subscriptions") as f64),
                    count(now.counter("topics") as f64),
                    bytes(now.counter("stored_bytes") as f64),
                )),
                alarm("refused"),
                Span::raw("   cut off "),
                alarm("slow_consumers"),
                Span::raw("   dropped "),
                alarm("dropped"),
            ]),
            Line::from(vec![
                " a second: ".into(),
                format!("{} in, {} out", rate("published"), rate("delivered")).cyan().bold(),
                Span::raw(format!(
                    "   {} translated   {} in, {} out",
                    rate("translated"),
                    bytes(self.rates.of("bytes_in")),
                    bytes(self.rates.of("bytes_out"))
                )),
            ]),
            Line::from(format!(" published as {}{sessions}", formats.join(", "))),
        ]
    }

    fn topics(&self, frame: &mut Frame<'_>, area: Rect) {
        let topics = self.rates.topics();
        let rows = topics.iter().take(usize::from(area.height)).map(|(topic, rate)| {
            Row::new([
                Cell::from(visible::line(&topic.topic)).cyan(),
                right(count(*rate)),
                right(count(topic.messages as f64)),
                right(bytes(topic.bytes as f64)),
            ])
        });
        let widths = [
            Constraint::Fill(1),
            Constraint::Length(10),
            Constraint::Length(10),
            Constraint::Length(10),
        ];
        let table =
            Table::new(rows, widths).header(header(["TOPIC", "MSG/S", "MESSAGES", "VALUE"]));
        frame.render_widget(
            table.block(Block::new().borders(Borders::TOP).dim().title(" topics ")),
            area,
        );
    }

    fn subscribers(&self, frame: &mut Frame<'_>, area: Rect) {
        let all = &self.rates.now.subscribers;
        let is_wide = area.width >= WIDE && all.iter().any(|it| it.client_id.is_some());
        let rows = all.iter().take(usize::from(area.height)).map(|subscriber| {
            let waiting = right(count(subscriber.waiting as f64));
            let dropped = right(count(subscriber.dropped as f64));
            let begin = [Cell::from(subscriber.client.to_string()), name(subscriber)];
            let of_mqtt = [protocol(subscriber), right(inflight(subscriber))];
            let end = [
                Cell::from(visible::line(&subscriber.format)),
                right(count(self.rates.delivered_to(subscriber))),
                if subscriber.waiting > 0 { waiting.yellow() } else { waiting },
                if subscriber.dropped > 0 { dropped.red() } else { dropped },
                Cell::from(filters(subscriber)).cyan(),
            ];
            Row::new(begin.into_iter().chain(of_mqtt.into_iter().filter(|_| is_wide)).chain(end))
        });
        let columns = [
            ("CLIENT", Constraint::Length(7)),
            ("ADDRESS", Constraint::Length(21)),
            ("PROTOCOL", Constraint::Length(10)),
            ("INFLIGHT", Constraint::Length(13)),
            ("FORMAT", Constraint::Length(7)),
            ("MSG/S", Constraint::Length(10)),
            ("WAITING", Constraint::Length(9)),
            ("DROPPED", Constraint::Length(9)),
            ("TOPICS", Constraint::Fill(1)),
        ];
        let is_shown = |name: &str| is_wide || !matches!(name, "PROTOCOL" | "INFLIGHT");
        let columns = columns.into_iter().filter(|(name, _)| is_shown(name));
        let (names, widths): (Vec<_>, Vec<_>) = columns.unzip();
        let table = Table::new(rows, widths).header(header(names));
        frame.render_widget(
            table.block(Block::new().borders(Borders::TOP).dim().title(" subscribers ")),
            area,
        );
    }
}

/// Who it is: what a client of MQTT calls itself, or where it connects from.
fn name(subscriber: &Subscriber) -> Cell<'_> {
    let name = visible::line(subscriber.client_id.as_deref().unwrap_or(&subscriber.peer));
    match subscriber.connected {
        Some(false) => Cell::from(format!("(away) {name}")).dim(),
        _ => Cell::from(name),
    }
}

/// What a client of MQTT speaks.
fn protocol(subscriber: &Subscriber) -> Cell<'static> {
    let version = subscriber.protocol_version.as_deref();
    Cell::from(version.map_or_else(String::new, |it| format!("mqtt {}", visible::line(it))))
}

/// Messages on their way to a client of MQTT, and how many may be.
fn inflight(subscriber: &Subscriber) -> String {
    match (subscriber.inflight, subscriber.receive_maximum) {
        (Some(inflight), Some(most)) => {
            format!("{} of {}", count(inflight as f64), count(most as f64))
        }
        _ => String::new(),
    }
}

fn filters(subscriber: &Subscriber) -> String {
    let named = visible::line(&subscriber.topics.join(" ")).into_owned();
    match subscriber.subscriptions.saturating_sub(subscriber.topics.len() as u64) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
