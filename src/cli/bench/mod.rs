//! `babelmq bench`: how much a broker carries, and how long a message takes.

mod load;
mod results;
mod window;

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressStyle};

use super::address::Address;
use super::args::format;
use super::failure::Failure;
use crate::protocol::Format;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How many clients publish.
    #[arg(
        long, value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..=256),
    )]
    pubs: u32,
    /// How many clients subscribe.
    #[arg(
        long, value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(0..=256),
    )]
    subs: u32,
    /// Bytes of text in each message.
    #[arg(long, value_name = "B", default_value_t = 128)]
    size: u32,
    /// The format in which messages are published.
    #[arg(long, value_name = "FORMAT", default_value = "json", value_parser = format())]
    from: Format,
    /// The format in which they are read.
    #[arg(long, value_name = "FORMAT", default_value = "json", value_parser = format())]
    to: Format,
    /// Messages to publish, all publishers together.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 1_000_000)]
    count: u64,
    /// Publish so many a second, all publishers together; as many as the subscribers keep up with
    /// where it is not given.
    #[arg(long, value_name = "R", value_parser = super::publish::rate)]
    rate: Option<f64>,
    /// Print the results as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    broker: Address,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let progress =
        if io::stderr().is_terminal() { progress(args.count) } else { ProgressBar::hidden() };
    let broker = args.broker.broker()?;
    let measured = load::run(args, &broker, &progress).map_err(broker.failed());
    progress.finish_and_clear();
    let measured = measured?;
    let mut out = io::stdout().lock();
    if args.json {
        results::json(&mut out, args, &measured)
    } else {
        results::text(&mut out, args, &measured)
    }
}

fn progress(messages: u64) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{bar:30.cyan} {percent:>3}% {human_pos} messages, {per_sec}, {eta} left",
    );
    ProgressBar::new(messages).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
