//! `babelmq dead`: the messages that consumers could not do.

use std::io::{self, BufWriter, Write};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::address::{Address, Broker};
use super::args::Color;
use super::color;
use super::failure::Failure;
use super::listing;
use super::pretty;
use super::table::{self, Align};
use super::visible;
use crate::middleware::{Arrival, Client, QueueError, Subscribe};
use crate::protocol::{Format, Start, TopicFilter};

/// The stream that keeps them.
const STREAM: &str = "$dead";
/// The last of them may have been deleted: after such a silence there are no more.
const SILENCE: Duration = Duration::from_millis(300);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the dead letters. Each is named by its number, the first column.
    Ls(List),
    /// Print one.
    Show(Show),
    /// Have their messages delivered again, to the consumers that could not do them, and remove
    /// the letters.
    Retry(Chosen),
    /// Remove them.
    Rm(Chosen),
}

#[derive(Debug, clap::Args)]
struct List {
    /// Those of this consumer alone.
    #[arg(long, value_name = "NAME")]
    consumer: Option<String>,
    /// Print each as a JSON object, one a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    broker: Address,
}

#[derive(Debug, clap::Args)]
struct Show {
    /// Its number.
    #[arg(value_name = "SEQ")]
    seq: u64,
    #[command(flatten)]
    broker: Address,
}

#[derive(Debug, clap::Args)]
struct Chosen {
    /// The numbers of the letters, as `dead ls` prints them.
    #[arg(value_name = "SEQ", required_unless_present_any = ["all", "consumer"])]
    seqs: Vec<u64>,
    /// All that there are.
    #[arg(long, conflicts_with = "seqs")]
    all: bool,
    /// All of this consumer.
    #[arg(long, value_name = "NAME", conflicts_with = "seqs")]
    consumer: Option<String>,
    #[command(flatten)]
    broker: Address,
}

/// What a dead letter says.
#[derive(Debug, Deserialize)]
struct Content {
    topic: String,
    stream: String,
    seq: u64,
    attempts: u64,
    reason: String,
    message: Box<RawValue>,
}

/// A dead letter. As JSON, it says what it is called and what is in it.
#[derive(Debug, Serialize)]
struct Letter {
    letter: u64,
    consumer: String,
    stream: String,
    seq: u64,
    topic: String,
    attempts: u64,
    reason: String,
    message: Box<RawValue>,
}

pub(super) fn run(args: &Args, color: Color) -> Result<(), Failure> {
    match &args.command {
        Command::Ls(list) => self::list(list),
        Command::Show(show) => self::show(show, color),
        Command::Retry(chosen) => each(chosen, |client, letter| {
            client.retry(&letter.stream, &letter.consumer, letter.seq)?;
            client.delete(STREAM, letter.letter)
        }),
        Command::Rm(chosen) => each(chosen, |client, letter| client.delete(STREAM, letter.letter)),
    }
}

fn list(args: &List) -> Result<(), Failure> {
    let broker = args.broker.broker()?;
    let failed = broker.failed();
    let mut out = BufWriter::new(io::stdout().lock());
    let of = args.consumer.as_deref();
    if args.json {
        let mut printed = Ok(());
        read(&broker, of, Start::All, |letter| {
            let line = serde_json::to_string(&letter)?;
            printed = writeln!(out, "{line}");
            Ok(printed.is_ok())
        })
        .map_err(failed)?;
        printed?;
        return Ok(out.flush()?);
    }
    let mut rows = Vec::new();
    read(&broker, of, Start::All, |letter| {
        rows.push([
            letter.letter.to_string(),
            letter.consumer,
            letter.stream,
            letter.seq.to_string(),
            letter.topic,
            letter.attempts.to_string(),
            letter.reason,
        ]);
        Ok(true)
    })
    .map_err(failed)?;
    let titles = [
        ("letter", Align::Right),
        ("consumer", Align::Left),
        ("stream", Align::Left),
        ("seq", Align::Right),
        ("topic", Align::Left),
        ("attempts", Align::Right),
        ("reason", Align::Left),
    ];
    table::print(&mut out, titles, &rows)?;
    Ok(out.flush()?)
}

fn show(args: &Show, color: Color) -> Result<(), Failure> {
    let broker = args.broker.broker()?;
    let letter = one(&broker, args.seq)?;
    let text = serde_json::to_string(&letter).map_err(io::Error::from)?;
    let text = pretty::data(&visible::payload(&text, Format::Json, visible::Place::of_stdout()));
    let text = if color.on_stdout() { color::data(&text) } else { text };
    Ok(writeln!(io::stdout(), "{text}")?)
}

/// Does something with each letter that was chosen.
fn each(
    args: &Chosen,
    what: impl Fn(&mut Client, &Letter) -> Result<(), QueueError>,
) -> Result<(), Failure> {
    let broker = args.broker.broker()?;
    let failed = broker.failed();
    let mut letters = Vec::new();
    if args.seqs.is_empty() {
        read(&broker, args.consumer.as_deref(), Start::All, |letter| {
            letters.push(letter);
            Ok(true)
        })
        .map_err(&failed)?;
    }
    for seq in &args.seqs {
        letters.push(one(&broker, *seq)?);
    }
    let mut client = broker.connect().map_err(&failed)?;
    letters.iter().try_for_each(|letter| what(&mut client, letter)).map_err(failed)
}

/// The letter with this number.
fn one(broker: &Broker, seq: u64) -> Result<Letter, Failure> {
    let mut found = None;
    read(broker, None, Start::Seq(seq), |letter| {
        found = (letter.letter == seq).then_some(letter);
        Ok(false)
    })
    .map_err(broker.failed())?;
    found.ok_or_else(|| {
        Failure::Other(format!(
            "there is no dead letter {seq}; `babelmq dead ls` lists those that there are"
        ))
    })
}

/// Gives the letters that are there to `take`, until that wants no more.
fn read(
    broker: &Broker,
    consumer: Option<&str>,
    start: Start,
    mut take: impl FnMut(Letter) -> Result<bool, serde_json::Error>,
) -> Result<(), QueueError> {
    #[derive(Deserialize)]
    struct Stream {
        stream: String,
        next: u64,
    }
    let mut client = broker.connect()?;
    let streams: Vec<Stream> = listing::read(&client.streams()?)?;
    // It is there as soon as any other is.
    let Some(dead) = streams.iter().find(|stream| stream.stream == STREAM) else { return Ok(()) };
    let filter = match consumer {
        // A name is one segment, or what it is compared with would be another filter.
        Some(name) if !name.contains(['/', '+', '#']) => format!("{STREAM}/{name}/#"),
        Some(_) => return Ok(()),
        None => format!("{STREAM}/#"),
    };
    let how = Subscribe::default().stream(STREAM).start(start);
    client.subscribe(&TopicFilter::parse(&filter)?, Format::Json, how)?;
    let (mut last, mut is_answered) = (0, false);
    while last + 1 < dead.next {
        let silence = if is_answered { SILENCE } else { broker.timeout };
        match client.next(Instant::now().checked_add(silence))? {
            Some(Arrival::Delivery { topic, message, origin: Some(origin), .. }) => {
                last = origin.seq;
                let content: Content = listing::read(&message)?;
                let mut segments = topic.as_str().split('/').skip(1);
                let letter = Letter {
                    letter: origin.seq,
                    consumer: segments.next().unwrap_or_default().to_owned(),
                    stream: content.stream,
                    seq: content.seq,
                    topic: content.topic,
                    attempts: content.attempts,
                    reason: content.reason,
                    message: content.message,
                };
                let goes_on = take(letter).map_err(|error| QueueError::Protocol(error.to_string()));
                if last >= dead.next || !goes_on? {
                    return Ok(());
                }
            }
            Some(Arrival::Subscribed { pending: Some(0), .. }) => return Ok(()),
            Some(Arrival::Subscribed { .. }) => is_answered = true,
            Some(Arrival::Refused(refused)) => return Err(QueueError::Refused(refused)),
            Some(_) => {}
            None if is_answered => return Ok(()),
            None => return Err(QueueError::TimedOut),
        }
    }
    Ok(())
}
