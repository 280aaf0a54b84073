//! `babelmq clear`.

use super::address::Address;
use super::args::topic_or_wildcard;
use super::failure::Failure;
use crate::protocol::TopicFilter;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The topics, each by itself; with a wildcard all that it stands for, as in `a/#` (a and all
    /// below it) or `+/x`.
    #[arg(required = true, value_name = "TOPIC", value_parser = topic_or_wildcard)]
    topics: Vec<TopicFilter>,
    #[command(flatten)]
    broker: Address,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let broker = args.broker.broker()?;
    let failed = broker.failed();
    let mut client = broker.connect().map_err(&failed)?;
    args.topics.iter().try_for_each(|topic| client.clear_matching(topic)).map_err(failed)
}
