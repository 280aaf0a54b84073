//! `babelmq check`: one line, and 0 or 2, as monitoring wants it.

use std::io::{self, Write};
use std::time::Instant;

use super::address::{Address, Broker};
use super::failure::Failure;
use super::visible;
use crate::middleware::QueueError;
use crate::protocol::ErrorCode;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    broker: Address,
}

/// What monitoring takes for "critical".
const NOT_WELL: u8 = 2;

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let broker = args.broker.broker()?;
    let address = &broker.address;
    let asked = Instant::now();
    let answered = ask(&broker).map(|()| asked.elapsed()).map_err(broker.failed());
    let line = match &answered {
        Ok(time) => {
            format!("OK: the broker on {address} answers in {:.1} ms", time.as_secs_f64() * 1e3)
        }
        Err(failure) => format!("CRITICAL: {}", visible::line(&failure.to_string())),
    };
    // The exit code says it even to someone who does not read the line.
    let _ = writeln!(io::stdout(), "{line}");
    answered.map(drop).map_err(|_| Failure::Said(NOT_WELL))
}

fn ask(broker: &Broker) -> Result<(), QueueError> {
    match broker.connect()?.flush() {
        // Who is told to log in has an answer, from a broker that is well.
        Err(error) if error.code() == Some(ErrorCode::LoginRequired) => Ok(()),
        answer => answer,
    }
}
