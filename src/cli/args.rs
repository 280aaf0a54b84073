//! The arguments, and with them `--help`.

use std::net::SocketAddr;
use std::time::Duration;

use bytesize::ByteSize;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Parser, Subcommand, ValueEnum};

use crate::protocol::{Format, MAXIMUM_MAX_FRAME, Topic, TopicFilter};

/// A message broker that translates: every producer and consumer speaks JSON, XML or pickle, each its own.
#[derive(Debug, Parser)]
#[command(name = "babelmq", version, max_term_width = 100)]
pub(super) struct Cli {
    /// When to use colours.
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t)]
    pub(super) color: Color,

    #[command(subcommand)]
    pub(super) command: Command,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless the environment's NO_COLOR says otherwise.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the broker until it is told to stop (SIGINT or SIGTERM).
    Serve(Serve),
    /// Publish a message, or the lines of a file.
    Pub(super::publish::Args),
    /// Print what is published, stored values first.
    Sub(super::subscribe::Args),
    /// Print the last value of a topic.
    Get(super::get::Args),
    /// List the topics that hold a value.
    Topics(super::topics::Args),
    /// Forget the last value of a topic.
    Clear(super::clear::Args),
    /// Say whether a broker answers: for monitoring.
    Check(super::check::Args),
    /// Translate a file without a broker; safe on a pickle from a stranger.
    Convert(super::convert::Args),
}

#[derive(Debug, clap::Args)]
pub(super) struct Serve {
    /// The address to listen on; port 0 takes any that is free.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:5000", env = "BABELMQ_LISTEN")]
    pub(super) listen: SocketAddr,

    /// The largest message body to accept, as in 512KiB or 16MiB; at most 256MiB.
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = frame_size, env = "BABELMQ_MAX_FRAME")]
    pub(super) max_frame: u32,

    /// How many clients may be connected at the same time.
    #[arg(long, value_name = "N", default_value_t = 10_000, env = "BABELMQ_MAX_CONNECTIONS")]
    pub(super) max_connections: usize,
}

/// Which broker to talk to.
#[derive(Debug, clap::Args)]
pub(super) struct Address {
    /// The broker to talk to.
    #[arg(
        long,
        short,
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:5000",
        env = "BABELMQ_ADDR",
        hide_env_values = true
    )]
    pub(super) address: String,

    /// How long to wait for the broker's answers.
    #[arg(
        long, value_name = "SECONDS", default_value = "10", value_parser = seconds, env = "BABELMQ_TIMEOUT",
        hide_env_values = true
    )]
    pub(super) timeout: Duration,
}

/// Reads one of the formats, for the help and the shells' completion as well.
pub(super) fn format() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.map(Format::name)).try_map(|name| name.parse::<Format>())
}

pub(super) fn topic(text: &str) -> Result<Topic, String> {
    Topic::parse(text).map_err(|refusal| refusal.reason.clone())
}

pub(super) fn filter(text: &str) -> Result<TopicFilter, String> {
    TopicFilter::parse(text).map_err(|refusal| refusal.reason.clone())
}

/// Seconds, with a fraction if need be.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds, such as 10 or 0.5".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn frame_size(text: &str) -> Result<u32, String> {
    let size: ByteSize = text.parse()?;
    match u32::try_from(size.as_u64()) {
        Ok(size) if (1..=MAXIMUM_MAX_FRAME).contains(&size) => Ok(size),
        _ => Err(format!("it must be from 1B to {}MiB", MAXIMUM_MAX_FRAME >> 20)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn spans_of_time() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["", "-1", "nan", "inf", "10s", "1e40"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn frame_sizes() {
        assert_eq!(frame_size("16MiB"), Ok(16 << 20));
        assert_eq!(frame_size("1000"), Ok(1000));
        assert_eq!(frame_size("256MiB"), Ok(256 << 20));
        for bad in ["0", "257MiB", "5GiB", "", "x", "-1"] {
            assert!(frame_size(bad).is_err(), "{bad}");
        }
    }
}
