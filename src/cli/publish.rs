//! `babelmq pub`.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::address::{Address, Broker};
use super::args::{format, topic, ttl};
use super::failure::Failure;
use super::input::{Input, Item, Kind};
use crate::codec::Dialect;
use crate::codec::Message;
use crate::middleware::{Arrival, Client, Publish, QueueError};
use crate::protocol::{Format, Refusal, Topic, Value};

/// Messages that are published within such a time share a look at what the broker says, which
/// would cost as much as they do.
const GLANCE: Duration = Duration::from_millis(1);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The topic. Left out, each line of the file says its own: {"topic": …, "message": …}.
    #[arg(required_unless_present = "file", value_parser = topic)]
    topic: Option<Topic>,
    /// The message, in JSON, or words that are none, which are a string; `-`, or nothing, for a
    /// message on each line of standard input.
    #[arg(allow_hyphen_values = true)]
    message: Option<String>,
    /// The message, or each line, is a string and not JSON.
    #[arg(long, short)]
    string: bool,
    /// The format in which to publish; that of the file, or JSON, where it is not given.
    #[arg(long, short, value_name = "FORMAT", value_parser = format())]
    format: Option<Format>,
    /// Publish what is in a file: .ndjson a message a line, .json, .xml, .pkl; where the name does
    /// not say so, as it begins.
    #[arg(long, value_name = "FILE", conflicts_with = "message")]
    file: Option<PathBuf>,
    /// Publish the message so many times; of a file or standard input, at most so many messages.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Publish so many messages a second.
    #[arg(long, value_name = "R", value_parser = rate)]
    rate: Option<f64>,
    /// Deliver and do not store: who subscribes later does not get it.
    #[arg(long)]
    no_retain: bool,
    /// How long each message is its topic's last value, unless another takes its place before, as
    /// in 30s or 1h: whole seconds. Who subscribes later does not get it.
    #[arg(long, value_name = "TIME", value_parser = ttl, conflicts_with = "no_retain")]
    ttl: Option<Duration>,
    /// An id of 1 to 128 bytes: within two minutes a stream keeps one message of each, so what may
    /// or may not have arrived can be published again.
    #[arg(long, value_name = "ID", conflicts_with_all = ["file", "count"])]
    id: Option<String>,
    /// Print nothing when it is done.
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    broker: Address,
}

pub(super) fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate.is_finite() => Ok(rate),
        _ => Err("a number of messages a second, more than 0".into()),
    }
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    if args.id.is_some() && args.message.as_deref().is_none_or(|text| text == "-") {
        return Err(Failure::Usage("--id is of one message: give it as an argument".into()));
    }
    // What cannot be published is found before anything is sent.
    let single = match args.message.as_deref() {
        Some(text) if text != "-" => Some(single(args, text)?),
        _ => None,
    };
    let mut input = match (&single, &args.file) {
        (Some(_), _) => None,
        (None, Some(file)) => Some(Input::open(file, kind(file, args.string)?)?),
        (None, None) if args.message.is_none() && io::stdin().is_terminal() => {
            return Err(Failure::Usage(
                "there is nothing to publish; give a message, or - to type one a line".into(),
            ));
        }
        (None, None) => Some(Input::open(Path::new("-"), lines(args.string))?),
    };
    let mut publisher = Publisher::connect(args)?;
    match (&single, &mut input) {
        (Some((topic, message)), _) => {
            for _ in 0..args.count.unwrap_or(1) {
                publisher.publish(topic, message)?;
            }
        }
        (None, Some(input)) => {
            while args.count.is_none_or(|count| publisher.published < count)
                && let Some(item) = input.next()
            {
                publisher.publish_item(&item?)?;
            }
        }
        (None, None) => {}
    }
    publisher.finish()
}

fn single(args: &Args, text: &str) -> Result<(Topic, Message), Failure> {
    let string = || Message::of_value(&Value::Str(text.to_owned()), Dialect::Json);
    let message = if args.string {
        string()
    } else {
        Message::parse(Format::Json, text.as_bytes()).or_else(|refusal| {
            // Words are meant as they are; what begins as JSON does is JSON with a mistake.
            if !text.starts_with(char::is_alphabetic) {
                return Err(refusal);
            }
            if !args.quiet {
                eprintln!("babelmq: that is not JSON, so it is published as a string (--string)");
            }
            string()
        })
    };
    let place =
        if args.string { "the message: " } else { "the message (--string for a plain text): " };
    let refused = |refusal| Failure::Payload { place: place.into(), refusal };
    let message =
        message.and_then(|message| on_the_wire(message, args.format())).map_err(refused)?;
    match &args.topic {
        Some(topic) => Ok((topic.clone(), message)),
        None => Err(Failure::Usage("a message needs a topic before it".into())),
    }
}

/// The message as it is sent: as it was spelled, where it is in that format already, and else
/// without a loss.
fn on_the_wire(message: Message, format: Format) -> Result<Message, Refusal> {
    if message.format() == format { Ok(message) } else { message.translate(format, true) }
}

impl Args {
    /// The format in which to publish.
    fn format(&self) -> Format {
        let of_file = || match kind(self.file.as_deref()?, self.string).ok()? {
            Kind::Whole(format) | Kind::Lines(format) => Some(format),
            Kind::Strings => None,
        };
        self.format.or_else(of_file).unwrap_or(Format::Json)
    }
}

fn lines(string: bool) -> Kind {
    if string { Kind::Strings } else { Kind::Lines(Format::Json) }
}

fn kind(file: &Path, string: bool) -> Result<Kind, Failure> {
    if string || file == Path::new("-") {
        return Ok(lines(string));
    }
    Kind::of(file).or_else(|| Kind::by_content(file)).ok_or_else(|| {
        Failure::Usage(format!(
            "what is in {}? Its name should end in .ndjson, .json, .xml or .pkl (or --string for a \
             text a line)",
            file.display()
        ))
    })
}

/// A message with its topic: a line of a file that names its own topics.
#[derive(Deserialize)]
struct Line<'a> {
    topic: String,
    #[serde(borrow)]
    message: &'a RawValue,
}

struct Publisher<'a> {
    args: &'a Args,
    broker: Broker,
    format: Format,
    client: Client,
    published: u64,
    started: Instant,
    /// When it was looked last whether the broker has refused anything.
    looked: Instant,
    progress: ProgressBar,
}

impl Publisher<'_> {
    fn connect(args: &Args) -> Result<Publisher<'_>, Failure> {
        let broker = args.broker.broker()?;
        let client = broker.connect().map_err(broker.failed())?;
        let progress = match &args.file {
            Some(file) if io::stderr().is_terminal() && !args.quiet => progress(file),
            _ => ProgressBar::hidden(),
        };
        let started = Instant::now();
        let format = args.format();
        Ok(Publisher {
            args,
            broker,
            format,
            client,
            published: 0,
            started,
            looked: started,
            progress,
        })
    }

    fn publish_item(&mut self, item: &Item) -> Result<(), Failure> {
        let refused = |refusal| Failure::Payload { place: item.place.clone(), refusal };
        let message = item.message()?;
        match &self.args.topic {
            Some(topic) => {
                let message = on_the_wire(message, self.format).map_err(refused)?;
                self.publish(topic, &message)?;
            }
            None => {
                let line: Line<'_> = serde_json::from_slice(message.bytes()).map_err(|error| {
                    let what = "without a TOPIC, each line is {\"topic\": …, \"message\": …}";
                    Failure::Usage(format!("{}{error}; {what}", item.place))
                })?;
                let topic = Topic::parse(&line.topic).map_err(refused)?;
                let message = Message::parse(Format::Json, line.message.get().as_bytes())
                    .and_then(|message| on_the_wire(message, self.format))
                    .map_err(refused)?;
                self.publish(&topic, &message)?;
            }
        }
        self.progress.inc(item.bytes.len() as u64 + 1);
        Ok(())
    }

    fn publish(&mut self, topic: &Topic, message: &Message) -> Result<(), Failure> {
        self.keep_pace()?;
        let how = Publish { retain: !self.args.no_retain, ttl: self.args.ttl };
        let published = match &self.args.id {
            Some(id) => self.client.publish_with_id(topic, message, how, id),
            None => self.client.publish(topic, message, how),
        };
        published.map_err(|error| self.failed(error))?;
        self.published += 1;
        Ok(())
    }

    /// Waits until it is time for the next message, and takes in what the broker says meanwhile.
    fn keep_pace(&mut self) -> Result<(), Failure> {
        let now = Instant::now();
        if self.args.rate.is_none() && now.duration_since(self.looked) < GLANCE {
            return Ok(());
        }
        self.looked = now;
        let due = self.args.rate.and_then(|rate| {
            let after = Duration::try_from_secs_f64(self.published as f64 / rate).ok()?;
            self.started.checked_add(after)
        });
        loop {
            let arrival = match due {
                Some(due) if due > Instant::now() => self.client.next(Some(due)),
                _ => self.client.next_waiting(),
            };
            match arrival.map_err(|error| self.failed(error))? {
                Some(Arrival::Refused(refused)) => {
                    return Err(self.failed(QueueError::Refused(refused)));
                }
                Some(_) => {}
                None if due.is_none_or(|due| due <= Instant::now()) => return Ok(()),
                None => {}
            }
        }
    }

    /// Waits until everything is routed, and says how much that was.
    fn finish(mut self) -> Result<(), Failure> {
        self.client.flush().map_err(|error| self.failed(error))?;
        self.progress.finish_and_clear();
        if !self.args.quiet && io::stderr().is_terminal() {
            let seconds = self.started.elapsed().as_secs_f64();
            let messages = if self.published == 1 { "message" } else { "messages" };
            eprintln!(
                "published {} {messages} as {} in {seconds:.2} s",
                self.published, self.format
            );
        }
        Ok(())
    }

    fn failed(&self, error: QueueError) -> Failure {
        self.progress.finish_and_clear();
        self.broker.failed()(error)
    }
}

fn progress(file: &Path) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{bar:30.cyan} {percent:>3}% {bytes} of {total_bytes}, {eta} left",
    );
    let length = std::fs::metadata(file).map_or(0, |metadata| metadata.len());
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
