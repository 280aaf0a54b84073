//! Prints what it pulls.
//!
//! ```text
//! cargo run --example consumer -- --topic /weather --format xml --length 3
//! ```

use std::error::Error;
use std::process::ExitCode;

use babelmq::{Dialect, Format, Json, Message, Pickle, Queue, Wire, Xml};
use clap::Parser;

#[derive(Debug, Parser)]
struct Arguments {
    /// The topic to pull from, with everything below it; `#` is everything.
    #[arg(long, default_value = "/weather")]
    topic: String,
    /// The format to receive: json, xml or pickle.
    #[arg(long, default_value = "json")]
    format: Format,
    /// How many messages to pull; else all, until it is stopped.
    #[arg(long)]
    length: Option<usize>,
    /// The broker's address, HOST:PORT or a URL; else BABELMQ_ADDR, with the login of BABELMQ_USER
    /// and BABELMQ_PASSWORD, else 127.0.0.1:5000.
    #[arg(long)]
    address: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let consumed = match arguments.format {
        Format::Json => consume::<Json>(&arguments),
        Format::Xml => consume::<Xml>(&arguments),
        Format::Pickle => consume::<Pickle>(&arguments),
    };
    consumed.map_or_else(
        |error| {
            eprintln!("consumer: {error}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

fn consume<W: Wire>(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let mut builder = Queue::<W>::builder(&arguments.topic);
    if let Some(address) = &arguments.address {
        builder = builder.address(address);
    }
    let mut queue = builder.consumer()?;
    for pulled in queue.iter().take(arguments.length.unwrap_or(usize::MAX)) {
        let (topic, value) = pulled?;
        match arguments.format {
            // What a pickle says, as Python would show it; pickles are not for terminals.
            Format::Pickle => println!("{topic} {value}"),
            text => {
                let message = Message::of_value(&value, Dialect::new(text, true))?;
                println!("{topic} {}", String::from_utf8_lossy(message.bytes()));
            }
        }
    }
    Ok(())
}
