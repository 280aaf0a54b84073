//! Pushes messages to a broker: generated ones, or real ones from a file.
//!
//! ```text
//! cargo run --example producer -- --topic /weather --format pickle --generator weather --length 5
//! cargo run --example producer -- --format xml --file examples/data/weather-nyc-2013.ndjson
//! ```

use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::ExitCode;

use babelmq::{Format, Json, Pickle, Queue, Wire, Xml};
use clap::{Parser, ValueEnum};
use serde::Deserialize;

#[derive(Debug, Parser)]
struct Arguments {
    /// The topic to push to; the generator `weather` pushes to three topics below it.
    #[arg(long, default_value = "/weather")]
    topic: String,
    /// The format to push in: json, xml or pickle.
    #[arg(long, default_value = "json")]
    format: Format,
    /// How many messages to push; of a file, at most so many.
    #[arg(long)]
    length: Option<usize>,
    /// What to push.
    #[arg(long, value_enum, default_value = "temp", conflicts_with = "file")]
    generator: Generator,
    /// A file of lines `{"topic": …, "message": …}` to push instead; the topics are those of the
    /// lines.
    #[arg(long)]
    file: Option<PathBuf>,
    /// The broker's address, HOST:PORT or a URL; else BABELMQ_ADDR, with the login of BABELMQ_USER
    /// and BABELMQ_PASSWORD, else 127.0.0.1:5000.
    #[arg(long)]
    address: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Generator {
    /// A temperature in degrees Celsius.
    Temp,
    /// A sentence.
    Msg,
    /// Temperature, humidity and pressure, each to its own topic.
    Weather,
}

/// A message and where it goes.
#[derive(Debug, Deserialize)]
struct Line {
    topic: String,
    message: serde_json::Value,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let produced = match arguments.format {
        Format::Json => produce::<Json>(&arguments),
        Format::Xml => produce::<Xml>(&arguments),
        Format::Pickle => produce::<Pickle>(&arguments),
    };
    produced.map_or_else(
        |error| {
            eprintln!("producer: {error}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

fn produce<W: Wire>(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let mut builder = Queue::<W>::builder(&arguments.topic);
    if let Some(address) = &arguments.address {
        builder = builder.address(address);
    }
    let mut producer = builder.producer()?;
    let mut pushed = 0;
    if let Some(file) = &arguments.file {
        let lines = BufReader::new(
            File::open(file).map_err(|error| format!("{}: {error}", file.display()))?,
        )
        .lines();
        for (index, line) in lines.take(arguments.length.unwrap_or(usize::MAX)).enumerate() {
            let Line { topic, message } = serde_json::from_str(&line?)
                .map_err(|error| format!("{}, line {}: {error}", file.display(), index + 1))?;
            producer.push_to(&topic, &message)?;
            pushed += 1;
        }
    } else {
        for index in 0..arguments.length.unwrap_or(10) {
            generate(arguments, index, &mut producer)?;
            pushed += 1;
        }
    }
    producer.flush()?;
    println!("pushed {pushed} messages as {}", arguments.format);
    Ok(())
}

/// Pushes the `index`th message of the generator.
fn generate<W: Wire>(
    arguments: &Arguments,
    index: usize,
    producer: &mut Queue<W>,
) -> Result<(), Box<dyn Error>> {
    // The weather has three topics, which take turns.
    let of_weather = index % 3;
    let hour = match arguments.generator {
        Generator::Weather => index / 3,
        Generator::Temp | Generator::Msg => index,
    } as f64;
    let rounded = |number: f64| (number * 10.0).round() / 10.0;
    let temperature = rounded(15.0 - 8.0 * (hour / 12.0 * std::f64::consts::PI).cos());
    let topic = &arguments.topic;
    match arguments.generator {
        Generator::Temp => producer.push(&temperature)?,
        Generator::Msg => producer.push(&format!("message {} of many", index + 1))?,
        Generator::Weather if of_weather == 0 => {
            producer.push_to(&format!("{topic}/temperature"), &temperature)?;
        }
        Generator::Weather if of_weather == 1 => {
            let humidity = rounded(60.0 + 20.0 * (hour / 5.0).sin());
            producer.push_to(&format!("{topic}/humidity"), &humidity)?;
        }
        Generator::Weather => {
            let pressure = 1_010 + (index / 3) as i64 % 7;
            producer.push_to(&format!("{topic}/pressure"), &pressure)?;
        }
    }
    Ok(())
}
