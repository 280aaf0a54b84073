//! `babelmq clear`.

use super::args::{Address, topic};
use super::failure::Failure;
use crate::protocol::Topic;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The topics.
    #[arg(required = true, value_parser = topic)]
    topics: Vec<Topic>,
    #[command(flatten)]
    broker: Address,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let failed = Failure::broker(&args.broker.address);
    let mut client = args.broker.connect().map_err(&failed)?;
    args.topics.iter().try_for_each(|topic| client.clear(topic)).map_err(failed)
}
