//! The arguments, and with them `--help`.

use std::net::SocketAddr;

use bytesize::ByteSize;
use clap::{Parser, Subcommand};

use crate::protocol::MAXIMUM_MAX_FRAME;

/// A message broker that translates: every producer and consumer speaks JSON, XML or pickle, each its own.
#[derive(Debug, Parser)]
#[command(name = "babelmq", version)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the broker until it is told to stop (SIGINT or SIGTERM).
    Serve(Serve),
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
    fn frame_sizes() {
        assert_eq!(frame_size("16MiB"), Ok(16 << 20));
        assert_eq!(frame_size("1000"), Ok(1000));
        assert_eq!(frame_size("256MiB"), Ok(256 << 20));
        for bad in ["0", "257MiB", "5GiB", "", "x", "-1"] {
            assert!(frame_size(bad).is_err(), "{bad}");
        }
    }
}
