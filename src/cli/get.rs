//! `babelmq get`.

use std::io::{self, Write};

use super::address::Address;
use super::args::{Color, format, topic};
use super::failure::Failure;
use super::show::Style;
use crate::protocol::{Format, Topic};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The topic.
    #[arg(value_parser = topic)]
    topic: Topic,
    /// The format in which to ask for it.
    #[arg(long, short, value_name = "FORMAT", default_value = "json", value_parser = format())]
    format: Format,
    #[command(flatten)]
    style: Style,
    #[command(flatten)]
    broker: Address,
}

pub(super) fn run(args: &Args, color: Color) -> Result<(), Failure> {
    let show = args.style.show("{value}", color)?;
    let broker = args.broker.broker()?;
    let failed = broker.failed();
    let mut client = broker.connect().map_err(&failed)?;
    let Some(message) = client.get(&args.topic, args.format).map_err(&failed)? else {
        return Err(Failure::Other(format!(
            "{} holds no value; `babelmq topics` lists those that do",
            args.topic
        )));
    };
    let mut out = io::stdout().lock();
    show.message(&mut out, None, &message, true)?;
    Ok(out.flush()?)
}
