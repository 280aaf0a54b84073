//! `babelmq consumer`: who consumes streams, and how far that is.

use std::io::{self, Write};
use std::time::Duration;

use serde::Deserialize;

use super::address::Address;
use super::args::start;
use super::failure::Failure;
use super::listing;
use super::table::{self, Align};
use super::visible;
use crate::protocol::Start;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the consumers, with how many messages each has before it.
    Ls(List),
    /// Print all that is known of one.
    Show(Show),
    /// Let one go on at another message; what it had not settled is given up.
    Reset(Reset),
    /// Forget consumers: how far each was, and what it had not settled.
    Rm(Remove),
}

#[derive(Debug, clap::Args)]
struct List {
    /// Those of this stream alone.
    #[arg(value_name = "STREAM")]
    stream: Option<String>,
    /// Print what the broker says, as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    broker: Address,
}

#[derive(Debug, clap::Args)]
struct Show {
    /// The stream.
    #[arg(value_name = "STREAM")]
    stream: String,
    /// The consumer.
    #[arg(value_name = "NAME")]
    consumer: String,
    /// Print what the broker says, as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    broker: Address,
}

#[derive(Debug, clap::Args)]
struct Reset {
    /// The stream.
    #[arg(value_name = "STREAM")]
    stream: String,
    /// The consumer.
    #[arg(value_name = "NAME")]
    consumer: String,
    /// Where: new (the next that is published), all (the first that is kept), last, the number of a
    /// message, or a time as in 2026-11-29T17:00:00Z.
    #[arg(value_name = "START", value_parser = start)]
    start: Start,
    #[command(flatten)]
    broker: Address,
}

#[derive(Debug, clap::Args)]
struct Remove {
    /// The stream.
    #[arg(value_name = "STREAM")]
    stream: String,
    /// The consumers.
    #[arg(required = true, value_name = "NAME")]
    consumers: Vec<String>,
    #[command(flatten)]
    broker: Address,
}

/// An element of `consumers`; see `docs/protocol.md`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Consumer {
    stream: String,
    consumer: String,
    filter: String,
    members: u64,
    window: u64,
    ack_wait: f64,
    max_deliver: u64,
    backoff: Vec<f64>,
    order: String,
    floor: u64,
    next_seq: u64,
    outstanding: u64,
    pending: u64,
    redelivered: u64,
    dead: u64,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Command::Ls(list) => self::list(list),
        Command::Show(show) => self::show(show),
        Command::Reset(Reset { stream, consumer, start, broker }) => {
            let broker = broker.broker()?;
            let mut client = broker.connect().map_err(broker.failed())?;
            client.reset_consumer(stream, consumer, *start).map_err(broker.failed())
        }
        Command::Rm(Remove { stream, consumers, broker }) => {
            let broker = broker.broker()?;
            let mut client = broker.connect().map_err(broker.failed())?;
            let mut names = consumers.iter();
            names.try_for_each(|name| client.remove_consumer(stream, name)).map_err(broker.failed())
        }
    }
}

fn list(args: &List) -> Result<(), Failure> {
    let broker = args.broker.broker()?;
    let failed = broker.failed();
    let asked = broker.connect().and_then(|mut client| client.consumers(args.stream.as_deref()));
    let message = asked.map_err(&failed)?;
    if args.json {
        return listing::json(&message);
    }
    let consumers: Vec<Consumer> = listing::read(&message).map_err(failed)?;
    let titles = [
        ("stream", Align::Left),
        ("consumer", Align::Left),
        ("filter", Align::Left),
        ("members", Align::Right),
        ("pending", Align::Right),
        ("outstanding", Align::Right),
        ("redelivered", Align::Right),
        ("dead", Align::Right),
    ];
    let row = |consumer: &Consumer| {
        [
            consumer.stream.clone(),
            consumer.consumer.clone(),
            consumer.filter.clone(),
            consumer.members.to_string(),
            consumer.pending.to_string(),
            consumer.outstanding.to_string(),
            consumer.redelivered.to_string(),
            consumer.dead.to_string(),
        ]
    };
    let rows: Vec<_> = consumers.iter().map(row).collect();
    Ok(table::print(&mut io::stdout().lock(), titles, &rows)?)
}

fn show(args: &Show) -> Result<(), Failure> {
    let broker = args.broker.broker()?;
    let failed = broker.failed();
    let asked = broker.connect().and_then(|mut client| client.consumers(Some(&args.stream)));
    let message = asked.map_err(&failed)?;
    let all: Vec<serde_json::Value> = listing::read(&message).map_err(&failed)?;
    let found = all.into_iter().find(|one| one["consumer"] == args.consumer.as_str());
    let Some(found) = found else {
        return Err(Failure::Other(format!(
            "the stream {} has no consumer {}; `babelmq consumer ls` lists those that there are",
            args.stream, args.consumer
        )));
    };
    let mut out = io::stdout().lock();
    if args.json {
        let text = found.to_string();
        return Ok(writeln!(out, "{}", super::pretty::data(&text))?);
    }
    let consumer: Consumer = serde_json::from_value(found)
        .map_err(|error| failed(crate::middleware::QueueError::Protocol(error.to_string())))?;
    let Consumer { window, max_deliver, order, floor, next_seq, .. } = &consumer;
    let pauses: Vec<String> = consumer.backoff.iter().copied().map(span).collect();
    let pauses = if pauses.is_empty() { "none".to_owned() } else { pauses.join(", ") };
    for (name, text) in [
        ("stream", consumer.stream.clone()),
        ("consumer", consumer.consumer.clone()),
        ("filter", consumer.filter.clone()),
        ("members", consumer.members.to_string()),
        ("window", window.to_string()),
        ("ack-wait", span(consumer.ack_wait)),
        ("max-deliver", max_deliver.to_string()),
        ("backoff", pauses),
        ("order", order.clone()),
        ("floor", floor.to_string()),
        ("next-seq", next_seq.to_string()),
        ("pending", consumer.pending.to_string()),
        ("outstanding", consumer.outstanding.to_string()),
        ("redelivered", consumer.redelivered.to_string()),
        ("dead", consumer.dead.to_string()),
    ] {
        writeln!(out, "{name:11}  {}", visible::line(&text))?;
    }
    Ok(())
}

/// Seconds, as people read them.
fn span(seconds: f64) -> String {
    let time = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    humantime::format_duration(time).to_string()
}
