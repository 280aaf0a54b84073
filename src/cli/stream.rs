//! `babelmq stream`: which streams a broker keeps.

use std::io;
use std::time::Duration;

use serde::Deserialize;

use super::address::Address;
use super::args::{filter, size, ttl, when_full};
use super::failure::Failure;
use super::listing;
use super::quantity;
use super::table::{self, Align};
use crate::middleware::StreamLimits;
use crate::protocol::{TopicFilter, WhenFull};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Add a stream, or give the one of that name other limits: those that are not given are none.
    Add(Add),
    /// Remove streams with all that they keep, and their consumers.
    Rm(Remove),
    /// List the streams.
    Ls(List),
}

#[derive(Debug, clap::Args)]
struct Add {
    /// Its name: letters, digits, `-`, `_` and `.`.
    #[arg(value_name = "NAME")]
    stream: String,
    /// What it keeps: every message of a topic that this filter covers.
    #[arg(value_name = "FILTER", value_parser = filter)]
    filter: TopicFilter,
    /// How long it keeps a message, as in 7d or 1h.
    #[arg(long, value_name = "TIME", value_parser = ttl)]
    age: Option<Duration>,
    /// How many bytes it keeps, as in 10GiB.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    bytes: Option<usize>,
    /// How many messages it keeps.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    messages: Option<u64>,
    /// What happens when it is full: the oldest messages make room, or new ones are refused.
    #[arg(long, value_name = "WHAT", default_value = "drop-oldest", value_parser = when_full())]
    full: WhenFull,
    #[command(flatten)]
    broker: Address,
}

#[derive(Debug, clap::Args)]
struct Remove {
    /// The names.
    #[arg(required = true, value_name = "NAME")]
    streams: Vec<String>,
    #[command(flatten)]
    broker: Address,
}

#[derive(Debug, clap::Args)]
struct List {
    /// Print what the broker says, as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    broker: Address,
}

/// An element of `streams`, as far as it is shown; see `docs/protocol.md`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Stream {
    stream: String,
    filter: String,
    messages: u64,
    bytes: u64,
    first: u64,
    age: Option<u64>,
    max_bytes: Option<u64>,
    max_messages: Option<u64>,
    full: String,
    state: String,
    reason: Option<String>,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Command::Add(add) => self::add(add),
        Command::Rm(remove) => {
            let broker = remove.broker.broker()?;
            let failed = broker.failed();
            let mut client = broker.connect().map_err(&failed)?;
            remove.streams.iter().try_for_each(|name| client.remove_stream(name)).map_err(failed)
        }
        Command::Ls(list) => self::list(list),
    }
}

fn add(args: &Add) -> Result<(), Failure> {
    let mut limits = StreamLimits::default().full(args.full);
    limits.age = args.age;
    limits.bytes = args.bytes.map(|bytes| bytes as u64);
    limits.messages = args.messages;
    let broker = args.broker.broker()?;
    let failed = broker.failed();
    let mut client = broker.connect().map_err(&failed)?;
    client.add_stream(&args.stream, &args.filter, limits).map_err(failed)
}

fn list(args: &List) -> Result<(), Failure> {
    let broker = args.broker.broker()?;
    let failed = broker.failed();
    let message = broker.connect().and_then(|mut client| client.streams()).map_err(&failed)?;
    if args.json {
        return listing::json(&message);
    }
    let streams: Vec<Stream> = listing::read(&message).map_err(failed)?;
    let titles = [
        ("stream", Align::Left),
        ("filter", Align::Left),
        ("messages", Align::Right),
        ("bytes", Align::Right),
        ("first", Align::Right),
        ("limits", Align::Left),
        ("state", Align::Left),
    ];
    let rows: Vec<_> = streams.iter().map(row).collect();
    Ok(table::print(&mut io::stdout().lock(), titles, &rows)?)
}

fn row(stream: &Stream) -> [String; 7] {
    let mut limits = Vec::new();
    limits.extend(
        stream
            .age
            .map(|age| format!("age {}", humantime::format_duration(Duration::from_secs(age)))),
    );
    limits.extend(stream.max_bytes.map(|bytes| quantity::bytes(bytes as f64)));
    limits.extend(stream.max_messages.map(|messages| format!("{messages} messages")));
    if !limits.is_empty() && stream.full == WhenFull::Refuse.as_str() {
        limits.push("refuse".to_owned());
    }
    let state = match &stream.reason {
        Some(reason) => format!("{}: {reason}", stream.state),
        None => stream.state.clone(),
    };
    [
        stream.stream.clone(),
        stream.filter.clone(),
        stream.messages.to_string(),
        quantity::bytes(stream.bytes as f64),
        stream.first.to_string(),
        limits.join(", "),
        state,
    ]
}
