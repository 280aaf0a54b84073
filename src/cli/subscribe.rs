//! `babelmq sub`.

use std::io::{self, BufWriter, Stdout, Write};
use std::thread;
use std::time::{Duration, Instant};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use rustix::event::{PollFd, PollFlags, poll};

use super::address::{Address, Broker};
use super::args::{Color, filter, format, seconds, start};
use super::failure::{Failure, is_outage};
use super::show::{Show, Style};
use super::visible;
use crate::middleware::{Arrival, Backoff, Client, Exact, Origin, QueueError, Subscribe};
use crate::protocol::{Format, Overflow, Start, TopicFilter};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The topics; each brings all that is below it. `+` stands for any one segment, `#` for all
    /// topics.
    #[arg(required = true, value_name = "TOPIC", value_parser = filter)]
    topics: Vec<TopicFilter>,
    /// Print what has as many segments as a topic, and nothing below it; a trailing `#` gives the
    /// rest back.
    #[arg(long)]
    no_below: bool,
    /// The format in which messages come.
    #[arg(long, short, value_name = "FORMAT", default_value = "json", value_parser = format())]
    format: Format,
    /// Tag what JSON cannot tell apart: tuples, frozensets, large integers, keys that are no
    /// strings. With `--exact=js` ints too that a number of JavaScript cannot hold.
    #[arg(
        long, value_name = "FOR", num_args = 0..=1, require_equals = true,
        default_missing_value = "python", value_parser = exact(),
    )]
    exact: Option<Exact>,
    /// With `--format xml`: XML without types, as xmltodict writes it.
    #[arg(long)]
    plain: bool,
    /// The element that plain XML puts a value into which is not one element of its own.
    #[arg(long, value_name = "NAME", requires = "plain")]
    root: Option<String>,
    /// The element of an item of a list that has no key, in plain XML.
    #[arg(long, value_name = "NAME", requires = "plain")]
    item: Option<String>,
    /// Print too when a last value is cleared or expires: as a message with the word `cleared` in
    /// the place of the value, where no value is spelled so. It counts as one.
    #[arg(long, conflicts_with_all = ["raw", "retained_only"])]
    cleared: bool,
    /// End after so many messages.
    #[arg(short = 'n', long, value_name = "COUNT")]
    count: Option<u64>,
    /// End when nothing came for so long: with exit code 6, unless it was enough.
    #[arg(short = 'w', long, value_name = "SECONDS", value_parser = seconds)]
    wait: Option<Duration>,
    /// Print the stored values and end.
    #[arg(long)]
    retained_only: bool,
    /// What the broker does when this subscriber falls behind.
    #[arg(long, value_name = "POLICY", value_parser = overflow())]
    overflow: Option<Overflow>,
    /// How many messages may wait at the broker.
    #[arg(long, value_name = "MESSAGES", value_parser = clap::value_parser!(u32).range(1..))]
    queue: Option<u32>,
    /// Consume under this name, which the stream that keeps the topic remembers: each message comes
    /// once, also what was published while nobody was there, and is shared by all who consume under
    /// the name.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["cleared", "retained_only", "overflow", "queue"])]
    consumer: Option<String>,
    /// Where to begin in the stream: new (the next that is published), all (the first that is
    /// kept), last, the number of a message, or a time as in 2026-11-29T17:00:00Z. A consumer that
    /// is there already goes on where it was. Without --consumer it prints what the stream keeps
    /// and what comes, and changes nothing.
    #[arg(long, value_name = "START", value_parser = start, conflicts_with_all = ["cleared", "retained_only", "overflow", "queue"])]
    start: Option<Start>,
    /// The stream, where more than one keeps the topic.
    #[arg(long, value_name = "NAME")]
    stream: Option<String>,
    /// With --consumer: acknowledge each message when it is printed, or never, which delivers it
    /// again.
    #[arg(long, value_name = "WHEN", default_value = "printed", value_parser = ack())]
    ack: Ack,
    /// End with the connection (exit code 7), and do not wait until the broker is there again.
    #[arg(long)]
    once: bool,
    /// After how long a silence to ask whether the broker is still there; 0 for never.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    keepalive: Duration,
    #[command(flatten)]
    style: Style,
    #[command(flatten)]
    broker: Address,
}

fn exact() -> impl TypedValueParser<Value = Exact> {
    PossibleValuesParser::new(["python", "js"]).map(|word| match word.as_str() {
        "js" => Exact::Js,
        _ => Exact::Tagged,
    })
}

/// When a consumer acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ack {
    Printed,
    Never,
}

fn ack() -> impl TypedValueParser<Value = Ack> {
    PossibleValuesParser::new(["printed", "never"]).map(|word| match word.as_str() {
        "never" => Ack::Never,
        _ => Ack::Printed,
    })
}

fn overflow() -> impl TypedValueParser<Value = Overflow> {
    PossibleValuesParser::new(Overflow::ALL.map(Overflow::as_str))
        .try_map(|word| Overflow::from_word(&word).ok_or("no policy"))
}

pub(super) fn run(args: &Args, color: Color) -> Result<(), Failure> {
    if args.topics.len() > 1 && (args.consumer.is_some() || args.start.is_some()) {
        return Err(Failure::Usage("--consumer and --start are for one topic at a time".into()));
    }
    let show = args.style.show("{topic} {value}", color)?;
    // Not locked: whoever watches the output ends the process, which flushes it.
    let out = BufWriter::new(io::stdout());
    let mut subscriber = Subscriber {
        args,
        broker: args.broker.broker()?,
        show,
        out,
        printed: 0,
        backoff: Backoff::new(),
        subscribed: false,
        seen: None,
        is_out: false,
    };
    let first = subscriber.broker.connect().and_then(|client| subscriber.subscribe(client));
    let mut client = first.map_err(subscriber.broker.failed())?;
    end_with_the_output();
    loop {
        let since = Instant::now();
        match subscriber.follow(client) {
            Ok(()) => return Ok(subscriber.out.flush()?),
            Err(Stop::Failed(failure)) => {
                subscriber.out.flush()?;
                return Err(failure);
            }
            Err(Stop::Lost) => match subscriber.connect_again(since)? {
                Some(again) => client = again,
                None => return enough(args, subscriber.printed),
            },
        }
    }
}

/// What is printed, over as many connections as it takes.
struct Subscriber<'a> {
    args: &'a Args,
    broker: Broker,
    show: Show,
    out: BufWriter<Stdout>,
    printed: u64,
    backoff: Backoff,
    /// Whether there was a connection once on which everything was subscribed to.
    subscribed: bool,
    /// The last message of a stream that a follower has printed.
    seen: Option<u64>,
    /// Whether it was said that the broker is not there.
    is_out: bool,
}

/// Why nothing more comes on a connection.
enum Stop {
    /// It ended, and another may take its place.
    Lost,
    Failed(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        Stop::Failed(failure)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Failed(error.into())
    }
}

impl Subscriber<'_> {
    fn subscribe(&self, mut client: Client) -> Result<Client, QueueError> {
        let Args { exact, plain, root, item, cleared, overflow, queue, .. } = self.args;
        client.set_keepalive(Some(self.args.keepalive));
        let mut how = Subscribe::default().exact(exact.unwrap_or_default());
        (how.plain, how.root, how.item) = (*plain, root.clone(), item.clone());
        (how.cleared, how.overflow, how.queue) = (*cleared, *overflow, *queue);
        (how.consumer, how.stream) = (self.args.consumer.clone(), self.args.stream.clone());
        // A follower goes on where it was.
        how.start = self.seen.map_or(self.args.start, |seen| Some(Start::Seq(seen + 1)));
        for topic in &self.args.topics {
            let topic = topic.clone().below(!self.args.no_below);
            client.subscribe(&topic, self.args.format, how.clone())?;
        }
        Ok(client)
    }

    /// Prints what comes until that is enough, or the connection ends.
    fn follow(&mut self, mut client: Client) -> Result<(), Stop> {
        let args = self.args;
        let mut unanswered = args.topics.len();
        let is_enough = |printed: u64, unanswered: usize| {
            args.count.is_some_and(|count| printed >= count)
                || args.retained_only && unanswered == 0
        };
        while !is_enough(self.printed, unanswered) {
            let arrival = match client.next_waiting().map_err(|error| self.stop(error))? {
                Some(arrival) => arrival,
                None => {
                    self.out.flush()?;
                    // The broker answers a subscription at once; what is published may take its
                    // time.
                    let answered = unanswered == 0;
                    let patience = if answered { args.wait } else { Some(args.broker.timeout) };
                    let deadline =
                        patience.and_then(|patience| Instant::now().checked_add(patience));
                    match client.next(deadline).map_err(|error| self.stop(error))? {
                        Some(arrival) => arrival,
                        None if !answered => return Err(self.stop(QueueError::TimedOut)),
                        None => return Ok(enough(args, self.printed)?),
                    }
                }
            };
            match arrival {
                Arrival::Delivery { topic, message, retained, origin }
                    if retained || !args.retained_only =>
                {
                    self.show.message(&mut self.out, Some(&topic), &message, retained)?;
                    self.printed += 1;
                    if let Some(origin) = origin {
                        self.settle(&mut client, &origin)?;
                    }
                }
                Arrival::Cleared { topic } => {
                    self.show.cleared(&mut self.out, &topic, args.format)?;
                    self.printed += 1;
                }
                Arrival::Subscribed { filter, limited, .. } => {
                    unanswered -= 1;
                    if limited {
                        eprintln!(
                            "babelmq: only a part of {} may be seen, and comes",
                            visible::line(&filter)
                        );
                    }
                    if unanswered == 0 {
                        self.subscribed = true;
                        if std::mem::take(&mut self.is_out) {
                            eprintln!("babelmq: {} is there again", self.broker.address);
                        }
                    }
                }
                Arrival::Dropped { filter, count } => {
                    eprintln!(
                        "babelmq: {count} messages of {} were dropped: they come faster than they \
                         are read",
                        visible::line(filter.as_str())
                    );
                }
                Arrival::Refused(refused) => {
                    self.out.flush()?;
                    return Err(self.stop(QueueError::Refused(refused)));
                }
                _ => {}
            }
        }
        if args.consumer.is_some() {
            // What was acknowledged last is not to come again.
            client.flush().map_err(|error| self.stop(error))?;
        }
        Ok(())
    }

    /// Notes that a message of a stream was printed; a consumer acknowledges it when whoever reads
    /// the output can see it.
    fn settle(&mut self, client: &mut Client, origin: &Origin) -> Result<(), Stop> {
        if origin.consumer.is_none() {
            self.seen = Some(origin.seq);
        } else if self.args.ack == Ack::Printed {
            self.out.flush()?;
            client.ack(origin).map_err(|error| self.stop(error))?;
        }
        Ok(())
    }

    /// Whether this ends the command, or is waited out.
    fn stop(&self, error: QueueError) -> Stop {
        if is_outage(&error) && self.subscribed && !self.args.once && !self.args.retained_only {
            Stop::Lost
        } else {
            Stop::Failed(self.broker.failed()(error))
        }
    }

    /// Waits until the broker is there again, which is said once; `None` where it takes longer than
    /// the next message may.
    fn connect_again(&mut self, since: Instant) -> Result<Option<Client>, Failure> {
        let address = &self.broker.address;
        self.out.flush()?;
        if !std::mem::replace(&mut self.is_out, true) {
            eprintln!("babelmq: the connection to {address} ended; waiting for the broker");
        }
        let end = self.args.wait.and_then(|wait| Instant::now().checked_add(wait));
        self.backoff.lost(since);
        loop {
            let due = self.backoff.due().unwrap_or(since);
            let until = end.map_or(due, |end| end.min(due));
            thread::sleep(until.saturating_duration_since(Instant::now()));
            if end.is_some_and(|end| end <= Instant::now()) {
                return Ok(None);
            }
            let made = self.broker.connect_at_once().and_then(|client| self.subscribe(client));
            match made {
                Ok(client) => return Ok(Some(client)),
                Err(
                    error @ (QueueError::LoginFailed(_)
                    | QueueError::Certificate(_)
                    | QueueError::Options(_)),
                ) => return Err(self.broker.failed()(error)),
                Err(_) => self.backoff.failed(),
            }
        }
    }
}

/// Nothing more came: whether that is a failure.
fn enough(args: &Args, printed: u64) -> Result<(), Failure> {
    if args.count.is_none() && printed > 0 {
        return Ok(());
    }
    Err(Failure::NothingCame(args.wait.unwrap_or_default().as_secs_f64()))
}

/// Ends the process when whoever reads its output has gone, though there be nothing to write for a
/// long time.
fn end_with_the_output() {
    let watch = || {
        let stdout = io::stdout();
        let mut sockets = [PollFd::new(&stdout, PollFlags::empty())];
        loop {
            match poll(&mut sockets, None) {
                Ok(_) if sockets[0].revents().intersects(PollFlags::ERR | PollFlags::HUP) => {
                    std::process::exit(0)
                }
                Err(rustix::io::Errno::INTR) => {}
                _ => return,
            }
        }
    };
    // Without it the next write finds out.
    let _ = thread::Builder::new().name("output".into()).spawn(watch);
}
