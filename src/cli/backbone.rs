//! `babelmq backbone`: the streams that shared topics need, looked at and made.

use std::io;
use std::time::Duration;

use super::args::{size, ttl, when_full};
use super::backbone_files::BackboneFiles;
use super::failure::Failure;
use super::quantity;
use super::table::{self, Align};
use crate::backbone::{
    JetstreamOptions, ServerFacts, StreamFacts, StreamState, WantedStream, look,
};
use crate::broker::SharedTopics;
use crate::protocol::WhenFull;

/// Something is missing, or not as it is wanted.
const NOT_WELL: u8 = 2;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Say whether the servers and the streams are as they are wanted; exit code 2 if not.
    Check(Streams),
    /// Make the streams that are missing, and change those that are not as they are wanted.
    Create(Streams),
}

#[derive(Debug, clap::Args)]
struct Streams {
    /// The servers of NATS JetStream, as `serve` is given them: nats://a:4222,nats://b:4222.
    #[arg(
        long, value_name = "URLS", value_parser = JetstreamOptions::new, env = "BABELMQ_BACKBONE",
        hide_env_values = true, required = true,
    )]
    backbone: JetstreamOptions,
    #[command(flatten)]
    files: BackboneFiles,
    /// Topics that are shared, as `serve` is given them: orders/#, or NAME=orders/#. It can be
    /// given more than once; in the environment several are separated by commas.
    #[arg(
        long,
        value_name = "FILTER",
        env = "BABELMQ_SHARED",
        value_delimiter = ',',
        required = true
    )]
    shared: Vec<SharedTopics>,
    /// On how many servers each message is; three are advisable in a cluster. What is not given
    /// stays as it is, and is 1 at first.
    #[arg(long, value_name = "N", value_parser = replicas)]
    replicas: Option<usize>,
    /// How long a message is kept, as in 7d or 1h; at first for ever.
    #[arg(long, value_name = "TIME", value_parser = ttl)]
    age: Option<Duration>,
    /// How many bytes are kept, as in 10GiB; at first any number.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    bytes: Option<usize>,
    /// How many messages are kept; at first any number.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    messages: Option<u64>,
    /// How many messages of one topic are kept; at first any number.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    per_topic: Option<u64>,
    /// What happens when it is full: the oldest messages make room, as at first, or new ones are
    /// refused.
    #[arg(long, value_name = "WHAT", value_parser = when_full())]
    full: Option<WhenFull>,
}

fn replicas(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=5).contains(number));
    number.ok_or_else(|| "it is a number from 1 to 5".to_owned())
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let (streams, make) = match &args.command {
        Command::Check(streams) => (streams, false),
        Command::Create(streams) => (streams, true),
    };
    let options = streams.files.of(&streams.backbone);
    let wanted = WantedStream {
        replicas: streams.replicas,
        age: streams.age,
        bytes: streams.bytes.map(|bytes| bytes as u64),
        messages: streams.messages,
        per_topic: streams.per_topic,
        full: streams.full,
    };
    let (server, found) = look(&options, &streams.shared, wanted, make).map_err(Failure::Other)?;
    print(&server, &found)?;
    let is_well = server.lacks.is_none()
        && found
            .iter()
            .all(|stream| stream.state != StreamState::Missing && stream.differs.is_empty());
    if is_well { Ok(()) } else { Err(Failure::Said(NOT_WELL)) }
}

fn print(server: &ServerFacts, streams: &[StreamFacts]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let titles = [
        ("server", Align::Left),
        ("version", Align::Left),
        ("max payload", Align::Right),
        ("cluster", Align::Left),
        ("state", Align::Left),
    ];
    let row = [
        server.server.clone(),
        server.version.clone(),
        quantity::bytes(server.max_payload as f64),
        server.cluster.clone().unwrap_or_default(),
        server.lacks.clone().unwrap_or_else(|| "good".to_owned()),
    ];
    table::print(&mut out, titles, &[row])?;
    if !streams.is_empty() {
        let titles = [
            ("stream", Align::Left),
            ("state", Align::Left),
            ("messages", Align::Right),
            ("bytes", Align::Right),
            ("replicas", Align::Left),
        ];
        let rows: Vec<_> = streams.iter().map(row_of).collect();
        table::print(&mut out, titles, &rows)?;
    }
    let differing = streams.iter().flat_map(|stream| {
        stream.differs.iter().map(|differs| {
            let setting = differs.setting.to_owned();
            [stream.stream.clone(), setting, differs.is.clone(), differs.wanted.clone()]
        })
    });
    let rows: Vec<_> = differing.collect();
    if !rows.is_empty() {
        let titles = [
            ("stream", Align::Left),
            ("differs", Align::Left),
            ("is", Align::Left),
            ("wanted", Align::Left),
        ];
        table::print(&mut out, titles, &rows)?;
    }
    Ok(())
}

fn row_of(stream: &StreamFacts) -> [String; 5] {
    let state = match stream.state {
        StreamState::Missing => "missing",
        StreamState::There if stream.differs.is_empty() => "good",
        StreamState::There => "differs",
        StreamState::Made => "made",
        StreamState::Changed => "changed",
    };
    let (messages, bytes) = stream.kept;
    [
        stream.stream.clone(),
        state.to_owned(),
        messages.to_string(),
        quantity::bytes(bytes as f64),
        stream.replicas.clone(),
    ]
}
