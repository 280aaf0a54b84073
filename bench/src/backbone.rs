//! Brokers that share topics by NATS JetStream, beside clients of JetStream that do the same
//! without them.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use crate::kept::{self, JetStream, Keeper, Reading, Shared};
use crate::payload::Payload;
use crate::results::median;
use crate::systems::{Programs, Running, Servers};
use crate::wire::Format;

/// Messages that are consumed.
const MESSAGES: u64 = 100_000;
/// Brokers that are measured together.
const BROKERS: [usize; 3] = [1, 2, 4];

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Measure {
    /// Clients that publish and receive all, each at a broker of its own.
    Through,
    /// A producer.
    Publish,
    /// A member of a consumer.
    Consume,
    /// One message at a time.
    Latency,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Backbone {
    /// Each figure is the median of so many rounds.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=99))]
    rounds: u64,

    /// How long one measurement takes.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,

    /// Servers of JetStream, each of which keeps every message.
    #[arg(long, default_value_t = 1, value_name = "N")]
    servers: usize,

    /// Measures these alone.
    #[arg(long, value_delimiter = ',', value_name = "WHAT")]
    only: Vec<Measure>,

    /// Bytes of a message.
    #[arg(long, default_value_t = 128, value_name = "N")]
    bytes: usize,

    /// The babelmq to measure.
    #[arg(
        long,
        default_value = "target/release/babelmq",
        env = "BABELMQ_BIN",
        value_name = "FILE"
    )]
    babelmq: PathBuf,

    /// What the installer of peers brought from PyPI.
    #[arg(long, default_value = "bench/.cache", value_name = "FOLDER")]
    cache: PathBuf,
}

/// The figures of a round, by what is measured: with brokers, and without.
type Figures = Vec<(String, &'static str, f64, f64)>;

impl Backbone {
    pub(crate) fn run(self) -> Result<()> {
        ensure!((0.05..=60.0).contains(&self.seconds), "--seconds is from 0.05 to 60");
        let programs = Programs::new(self.babelmq.clone(), PathBuf::new(), self.cache.clone())?;
        let way = Way { programs, servers: self.servers };
        let mut rounds: Vec<Figures> = Vec::new();
        for round in 1..=self.rounds {
            rounds.push(self.round(&way).with_context(|| format!("round {round}"))?);
        }
        println!("| | unit | by JetStream alone | by brokers and JetStream | ratio |");
        println!("|---|---|--:|--:|--:|");
        let first = rounds.first().context("no round")?;
        for (row, (name, unit, ..)) in first.iter().enumerate() {
            let of = |figure: fn(&(String, &'static str, f64, f64)) -> f64| {
                median(rounds.iter().map(|figures| figure(&figures[row]))).unwrap_or(f64::NAN)
            };
            let (without, with) = (of(|it| it.2), of(|it| it.3));
            println!("| {name} | {unit} | {without:.0} | {with:.0} | {:.2} |", with / without);
        }
        Ok(())
    }

    fn round(&self, way: &Way) -> Result<Figures> {
        let payload = &Payload::text(self.bytes)?;
        let time = Duration::from_secs_f64(self.seconds);
        let mut figures = Vec::new();
        for measure in Measure::value_variants() {
            if !self.only.is_empty() && !self.only.contains(measure) {
                continue;
            }
            figures.extend(match measure {
                Measure::Through => through(way, payload, time),
                Measure::Publish => publish(way, payload, time),
                Measure::Consume => consume(way, payload),
                Measure::Latency => latency(way, payload, time),
            }?);
        }
        Ok(figures)
    }
}

fn through(way: &Way, payload: &Payload, time: Duration) -> Result<Figures> {
    let (mut rates, mut processors) = (Vec::new(), Vec::new());
    for brokers in BROKERS {
        let plain = way.start()?;
        let new = || JetStream::with_ids(Format::Json).on(way.servers);
        let clients: Vec<_> = (0..brokers).map(|_| new()).collect();
        for client in &clients {
            client.make(plain.endpoint(), Some(Reading::Live))?;
        }
        let all: Vec<_> = clients.iter().map(|it| (plain.first(), it as &dyn Keeper)).collect();
        let without = kept::through::measure(&all, payload, time, &[plain.all()])?;
        drop(plain);
        let plain = way.start()?;
        JetStream::new(Format::Json).on(way.servers).make(plain.endpoint(), None)?;
        let official = kept::official::measure(plain.first(), brokers, payload, time)?;
        drop(plain);
        let shared = Sharing::start(way, brokers)?;
        let all: Vec<_> =
            shared.brokers.iter().map(|it| (it, &shared.keeper as &dyn Keeper)).collect();
        let kinds = [shared.jetstream.all(), shared.brokers.iter().collect()];
        let with = kept::through::measure(&all, payload, time, &kinds)?;
        let name = match brokers {
            1 => "published, confirmed, and received: a client at a broker".to_owned(),
            _ => format!("the same, {brokers} clients, each at a broker of its own"),
        };
        let mut rate = |beside: &str, without| {
            rates.push((format!("{name}, beside clients {beside}"), "msg/s", without, with.rate));
        };
        rate("of the official library", official);
        rate("that only count", without.rate);
        let mut processor = |of: &str, without: f64, with: f64| {
            let name = format!("processor of {of} for each message, {brokers} clients");
            processors.push((name, "ns", without, with));
        };
        processor("the servers", without.processor[0], with.processor[0]);
        processor("the brokers", f64::NAN, with.processor[1]);
    }
    rates.extend(processors);
    Ok(rates)
}

fn publish(way: &Way, payload: &Payload, time: Duration) -> Result<Figures> {
    let both =
        both(way, None, |running, keeper| kept::publish::rate(running, keeper, payload, time));
    let (without, with) = both?;
    let name = "published and confirmed, without an id and received by nobody there";
    Ok(vec![(name.to_owned(), "msg/s", without, with)])
}

fn consume(way: &Way, payload: &Payload) -> Result<Figures> {
    let each = Reading::AckEach;
    let both = both(way, Some(each), |running, keeper| {
        let measured = kept::consume::measure(running, keeper, payload, MESSAGES, each, 1)?;
        Ok(measured.rate)
    });
    let (without, with) = both?;
    Ok(vec![("delivered and acknowledged".to_owned(), "msg/s", without, with)])
}

fn latency(way: &Way, payload: &Payload, time: Duration) -> Result<Figures> {
    let plain = way.start()?;
    JetStream::new(Format::Json).on(way.servers).make(plain.endpoint(), None)?;
    let official = kept::official::latency(plain.first(), payload, time)?;
    drop(plain);
    let mut figures = Vec::new();
    for (who, reading) in [("subscriber", Reading::Live), ("member", Reading::AckEach)] {
        let (without, with) = both(way, Some(reading), |running, keeper| {
            kept::latency::measure(running, keeper, payload, time, reading)
        })?;
        for (beside, plain) in [("of the official library", official), ("that counts", without)] {
            for (name, plain, with) in [
                ("until it is delivered, p50", plain.delivered.p50, with.delivered.p50),
                ("until it is delivered, p99", plain.delivered.p99, with.delivered.p99),
                ("until it is confirmed too, p50", plain.confirmed.p50, with.confirmed.p50),
            ] {
                let name = format!("a message to a {who}, {name}, beside a client {beside}");
                figures.push((name, "µs", plain, with));
            }
        }
    }
    Ok(figures)
}

/// Measures JetStream by itself, and a broker in front of it.
fn both<T>(
    way: &Way,
    reading: Option<Reading>,
    measure: impl Fn(&Running, &dyn Keeper) -> Result<T>,
) -> Result<(T, T)> {
    let (plain, own) = (way.start()?, JetStream::new(Format::Json).on(way.servers));
    own.make(plain.endpoint(), reading)?;
    let without = measure(plain.first(), &own)?;
    drop(plain);
    let shared = Sharing::start(way, 1)?;
    Ok((without, measure(&shared.brokers[0], &shared.keeper)?))
}

/// What is started.
struct Way {
    programs: Programs,
    /// Of JetStream.
    servers: usize,
}

impl Way {
    fn start(&self) -> Result<Servers> {
        self.programs.start_jetstream(self.servers)
    }
}

/// JetStream, and brokers in front of it.
struct Sharing {
    // The brokers end before what they share by.
    brokers: Vec<Running>,
    keeper: Shared,
    jetstream: Servers,
}

impl Sharing {
    fn start(way: &Way, brokers: usize) -> Result<Sharing> {
        let jetstream = way.start()?;
        let keeper = Shared::by(jetstream.endpoint().clone(), way.servers)?;
        let url = format!("nats://{}", jetstream.endpoint().address);
        let options = ["--backbone", &url, "--shared", &Shared::topics()];
        let started = (0..brokers).map(|_| way.programs.start_babelmq(&options));
        let started: Vec<_> = started.collect::<Result<_>>()?;
        keeper.until_read_by(brokers)?;
        let brokers = started;
        Ok(Sharing { brokers, keeper, jetstream })
    }
}
