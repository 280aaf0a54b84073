//! Brokers that share topics by NATS JetStream, beside clients of JetStream that do the same
//! without them.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use crate::kept::{self, JetStream, Keeper, Reading, Shared, keeper};
use crate::payload::Payload;
use crate::results::median;
use crate::systems::{Keeping, Programs, Running, Sync, System};
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
        let mut rounds: Vec<Figures> = Vec::new();
        for round in 1..=self.rounds {
            rounds.push(self.round(&programs).with_context(|| format!("round {round}"))?);
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

    fn round(&self, programs: &Programs) -> Result<Figures> {
        let payload = &Payload::text(self.bytes)?;
        let time = Duration::from_secs_f64(self.seconds);
        let mut figures = Vec::new();
        for measure in Measure::value_variants() {
            if !self.only.is_empty() && !self.only.contains(measure) {
                continue;
            }
            figures.extend(match measure {
                Measure::Through => through(programs, payload, time),
                Measure::Publish => publish(programs, payload, time),
                Measure::Consume => consume(programs, payload),
                Measure::Latency => latency(programs, payload, time),
            }?);
        }
        Ok(figures)
    }
}

fn through(programs: &Programs, payload: &Payload, time: Duration) -> Result<Figures> {
    let mut figures = Vec::new();
    for brokers in BROKERS {
        let plain = start(programs)?;
        let clients: Vec<_> = (0..brokers).map(|_| JetStream::with_ids(Format::Json)).collect();
        for client in &clients {
            client.make(&plain.running.endpoint, Some(Reading::Live))?;
        }
        let all: Vec<_> = clients.iter().map(|it| (&plain.running, it as &dyn Keeper)).collect();
        let without = kept::through::measure(&all, payload, time)?;
        drop(plain);
        let shared = Sharing::start(programs, brokers)?;
        let all: Vec<_> =
            shared.brokers.iter().map(|it| (it, &shared.keeper as &dyn Keeper)).collect();
        let with = kept::through::measure(&all, payload, time)?;
        let name = match brokers {
            1 => "published, confirmed, and received: a client at a broker".to_owned(),
            _ => format!("the same, {brokers} clients, each at a broker of its own"),
        };
        figures.push((name, "msg/s", without, with));
    }
    Ok(figures)
}

fn publish(programs: &Programs, payload: &Payload, time: Duration) -> Result<Figures> {
    let both =
        both(programs, None, |running, keeper| kept::publish::rate(running, keeper, payload, time));
    let (without, with) = both?;
    let name = "published and confirmed, without an id and received by nobody there";
    Ok(vec![(name.to_owned(), "msg/s", without, with)])
}

fn consume(programs: &Programs, payload: &Payload) -> Result<Figures> {
    let each = Reading::AckEach;
    let both = both(programs, Some(each), |running, keeper| {
        let measured = kept::consume::measure(running, keeper, payload, MESSAGES, each, 1)?;
        Ok(measured.rate)
    });
    let (without, with) = both?;
    Ok(vec![("delivered and acknowledged".to_owned(), "msg/s", without, with)])
}

fn latency(programs: &Programs, payload: &Payload, time: Duration) -> Result<Figures> {
    let both = both(programs, Some(Reading::AckEach), |running, keeper| {
        kept::latency::measure(running, keeper, payload, time)
    });
    let (without, with) = both?;
    let figures = [
        ("from the write to the delivery, p50", without.delivered.p50, with.delivered.p50),
        ("from the write to the delivery, p99", without.delivered.p99, with.delivered.p99),
        ("from the write until it is confirmed, p50", without.confirmed.p50, with.confirmed.p50),
    ];
    Ok(figures.map(|(name, without, with)| (name.to_owned(), "µs", without, with)).into())
}

/// Measures JetStream by itself, and a broker in front of it.
fn both<T>(
    programs: &Programs,
    reading: Option<Reading>,
    measure: impl Fn(&Running, &dyn Keeper) -> Result<T>,
) -> Result<(T, T)> {
    let (plain, own) = (start(programs)?, keeper(System::JetStream, Format::Json)?);
    own.make(&plain.running.endpoint, reading)?;
    let without = measure(&plain.running, own.as_ref())?;
    drop(plain);
    let shared = Sharing::start(programs, 1)?;
    Ok((without, measure(&shared.brokers[0], &shared.keeper)?))
}

/// JetStream, and brokers in front of it.
struct Sharing {
    // The brokers end before what they share by.
    brokers: Vec<Running>,
    keeper: Shared,
    _jetstream: Keeping,
}

impl Sharing {
    fn start(programs: &Programs, brokers: usize) -> Result<Sharing> {
        let jetstream = start(programs)?;
        let keeper = Shared::by(jetstream.running.endpoint.clone())?;
        let url = format!("nats://{}", jetstream.running.endpoint.address);
        let options = ["--backbone", &url, "--shared", &Shared::topics()];
        let started = (0..brokers).map(|_| programs.start_babelmq(&options));
        let started: Vec<_> = started.collect::<Result<_>>()?;
        keeper.until_read_by(brokers)?;
        let brokers = started;
        Ok(Sharing { brokers, keeper, _jetstream: jetstream })
    }
}

fn start(programs: &Programs) -> Result<Keeping> {
    programs.start_keeping(System::JetStream, Sync::Interval)
}
