//! `babelmq sub`.

use std::io::{self, BufWriter, Write};
use std::thread;
use std::time::{Duration, Instant};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use rustix::event::{PollFd, PollFlags, poll};

use super::args::{Address, Color, filter, format, seconds};
use super::failure::Failure;
use super::show::Style;
use super::visible;
use crate::middleware::{Arrival, Client, QueueError, Subscribe};
use crate::protocol::{Format, Overflow, TopicFilter};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The topics; each brings all that is below it. `+` stands for any one segment, `#` for all
    /// topics.
    #[arg(required = true, value_name = "TOPIC", value_parser = filter)]
    topics: Vec<TopicFilter>,
    /// The format in which messages come.
    #[arg(long, short, value_name = "FORMAT", default_value = "json", value_parser = format())]
    format: Format,
    /// Tag what JSON cannot tell apart: tuples, frozensets, large integers, keys that are no
    /// strings.
    #[arg(long)]
    exact: bool,
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
    #[command(flatten)]
    style: Style,
    #[command(flatten)]
    broker: Address,
}

fn overflow() -> impl TypedValueParser<Value = Overflow> {
    PossibleValuesParser::new(Overflow::ALL.map(Overflow::as_str))
        .try_map(|word| Overflow::from_word(&word).ok_or("no policy"))
}

pub(super) fn run(args: &Args, color: Color) -> Result<(), Failure> {
    let show = args.style.show("{topic} {value}", color)?;
    let failed = Failure::broker(&args.broker.address);
    let mut client = Client::connect(&args.broker.address, args.broker.timeout).map_err(&failed)?;
    let how = Subscribe { exact: args.exact, overflow: args.overflow, queue: args.queue };
    for topic in &args.topics {
        client.subscribe(topic, args.format, how).map_err(&failed)?;
    }
    end_with_the_output();

    // Not locked: whoever watches the output ends the process, which flushes it.
    let mut out = BufWriter::new(io::stdout());
    let mut printed = 0;
    let mut unanswered = args.topics.len();
    while args.count.is_none_or(|count| printed < count) && !(args.retained_only && unanswered == 0)
    {
        let arrival = match client.next_waiting().map_err(&failed)? {
            Some(arrival) => arrival,
            None => {
                out.flush()?;
                // The broker answers a subscription at once; what is published may take its time.
                let answered = unanswered == 0;
                let patience = if answered { args.wait } else { Some(args.broker.timeout) };
                let deadline = patience.and_then(|patience| Instant::now().checked_add(patience));
                match client.next(deadline).map_err(&failed)? {
                    Some(arrival) => arrival,
                    None if !answered => return Err(failed(QueueError::TimedOut)),
                    None => return enough(args, printed),
                }
            }
        };
        match arrival {
            Arrival::Delivery { topic, message, retained } if retained || !args.retained_only => {
                show.message(&mut out, Some(&topic), &message, retained)?;
                printed += 1;
            }
            Arrival::Subscribed { .. } => unanswered -= 1,
            Arrival::Dropped { filter, count } => {
                eprintln!(
                    "babelmq: {count} messages of {} were dropped: they come faster than they are \
                     read",
                    visible::line(filter.as_str())
                );
            }
            Arrival::Refused(refused) => {
                out.flush()?;
                return Err(failed(QueueError::Refused(refused)));
            }
            _ => {}
        }
    }
    Ok(out.flush()?)
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
