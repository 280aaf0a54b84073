//! Pulls from one topic and pushes what it pulled to another, exactly.
//!
//! ```text
//! cargo run --example forward -- --from /weather --to /copy --format json
//! ```

use std::error::Error;

use babelmq::{Format, Json, Pickle, Queue, Wire, Xml};
use clap::Parser;

#[derive(Debug, Parser)]
struct Arguments {
    /// The topic to pull from, with everything below it.
    #[arg(long)]
    from: String,
    /// The topic to push to; it should not be below the other.
    #[arg(long)]
    to: String,
    /// The format to pull and to push in: json, xml or pickle.
    #[arg(long, default_value = "json")]
    format: Format,
    /// The broker's address, HOST:PORT or a URL; else BABELMQ_ADDR, with the login of BABELMQ_USER
    /// and BABELMQ_PASSWORD, else 127.0.0.1:5000.
    #[arg(long)]
    address: Option<String>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    match arguments.format {
        Format::Json => forward::<Json>(&arguments),
        Format::Xml => forward::<Xml>(&arguments),
        Format::Pickle => forward::<Pickle>(&arguments),
    }
}

fn forward<W: Wire>(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let queue = |topic: &str| match &arguments.address {
        Some(address) => Queue::<W>::builder(topic).address(address),
        None => Queue::<W>::builder(topic),
    };
    let mut producer = queue(&arguments.to).producer()?;
    let mut consumer = queue(&arguments.from).exact(true).consumer()?;
    println!("forwarding from {} to {} in {}", arguments.from, arguments.to, arguments.format);
    for pulled in consumer.iter() {
        let (_, value) = pulled?;
        producer.push_value(&value)?;
    }
    Ok(())
}
