//! Brokers that share topics by NATS JetStream, beside clients of JetStream that do the same
//! without them.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use crate::kept::{Keeper, Reading, Shared, consume, keeper, latency, publish};
use crate::payload::Payload;
use crate::results::median;
use crate::systems::{Keeping, Programs, Running, Sync, System};
use crate::wire::Format;

/// Messages that are consumed.
const MESSAGES: u64 = 100_000;
/// Brokers that are measured together.
const BROKERS: [usize; 3] = [1, 2, 4];

#[derive(Debug, clap::Args)]
pub(crate) struct Backbone {
    /// Each figure is the median of so many rounds.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=99))]
    rounds: u64,

    /// How long one measurement takes.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,

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
        let payload = Payload::text(self.bytes)?;
        let time = Duration::from_secs_f64(self.seconds);
        let mut figures = Vec::new();
        for brokers in BROKERS {
            let (plain, own) = (start(programs)?, keeper(System::JetStream, Format::Json)?);
            own.make(&plain.running.endpoint, None)?;
            let without = together(&vec![&plain.running; brokers], own.as_ref(), &payload, time)?;
            drop(plain);
            let shared = Sharing::start(programs, brokers)?;
            let with = together(&shared.brokers(), &shared.keeper, &payload, time)?;
            let name = format!("published and confirmed, {brokers} producers, each at a broker");
            figures.push((name, "msg/s", without, with));
        }
        let plain = start(programs)?;
        let own = keeper(System::JetStream, Format::Json)?;
        own.make(&plain.running.endpoint, Some(Reading::AckEach))?;
        let of = |running: &Running, keeper: &dyn Keeper| {
            consume::measure(running, keeper, &payload, MESSAGES, Reading::AckEach, 1)
                .map(|measured| measured.rate)
        };
        let without = of(&plain.running, own.as_ref())?;
        drop(plain);
        let shared = Sharing::start(programs, 1)?;
        let with = of(shared.brokers()[0], &shared.keeper)?;
        drop(shared);
        figures.push(("delivered and acknowledged".to_owned(), "msg/s", without, with));
        let plain = start(programs)?;
        own.make(&plain.running.endpoint, Some(Reading::AckEach))?;
        let without = latency::measure(&plain.running, own.as_ref(), &payload, time)?;
        drop(plain);
        let shared = Sharing::start(programs, 1)?;
        let with = latency::measure(shared.brokers()[0], &shared.keeper, &payload, time)?;
        for (name, of) in [
            ("from the write to the delivery, p50", [without.delivered.p50, with.delivered.p50]),
            ("from the write to the delivery, p99", [without.delivered.p99, with.delivered.p99]),
            (
                "from the write until it is confirmed, p50",
                [without.confirmed.p50, with.confirmed.p50],
            ),
        ] {
            figures.push((name.to_owned(), "µs", of[0], of[1]));
        }
        Ok(figures)
    }
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
        let brokers =
            (0..brokers).map(|_| programs.start_babelmq(&options)).collect::<Result<_>>()?;
        Ok(Sharing { brokers, keeper, _jetstream: jetstream })
    }

    fn brokers(&self) -> Vec<&Running> {
        self.brokers.iter().collect()
    }
}

fn start(programs: &Programs) -> Result<Keeping> {
    programs.start_keeping(System::JetStream, Sync::Interval)
}

/// Publishes to all at the same time, a producer each. Returns how many messages a second are
/// confirmed.
fn together(
    all: &[&Running],
    keeper: &dyn Keeper,
    payload: &Payload,
    time: Duration,
) -> Result<f64> {
    thread::scope(|scope| {
        let producers: Vec<_> = all
            .iter()
            .map(|running| scope.spawn(move || publish::rate(running, keeper, payload, time)))
            .collect();
        let panicked = || Err(anyhow!("a producer's thread panicked"));
        producers.into_iter().map(|it| it.join().unwrap_or_else(|_| panicked())).sum()
    })
}
