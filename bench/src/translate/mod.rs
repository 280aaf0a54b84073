//! The bare loop: a stream's messages translated again and again by one thread, without sockets, as
//! babelmq does it and as CPython does.

mod codec;
mod cpython;
mod judge;
mod session;
mod table;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::direction::Direction;
use crate::results::median;
use crate::stream::{Entry, Source, Stream};
use cpython::Library;

#[derive(Debug, clap::Args)]
pub(crate) struct Translate {
    #[command(flatten)]
    source: Source,

    /// Only these streams, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    only: Vec<String>,

    /// Only these directions, separated by commas: json-pickle and the like.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    directions: Vec<Direction>,

    /// Each figure is the median of so many rounds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=99))]
    rounds: u64,

    /// How long one measurement takes.
    #[arg(long, default_value_t = 0.3)]
    seconds: f64,

    /// Measure no CPython beside it.
    #[arg(long)]
    alone: bool,

    /// The CPython loop.
    #[arg(long, default_value = "bench/bare_loop.py", value_name = "FILE")]
    loops: PathBuf,
}

/// What translates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contender {
    /// `Message::parse` and `translate`, as any program may call them.
    Codec,
    /// A session's frames to deliveries, as the broker does it.
    Session,
    Cpython(Library),
}

/// Messages per second of the rounds.
#[derive(Debug)]
struct Measured {
    direction: Direction,
    contender: Contender,
    rates: Vec<f64>,
}

/// All of a stream.
struct StreamMeasured {
    entry: Entry,
    /// Bytes of a message in each format, in the mean; in the order of the formats.
    lengths: [f64; 3],
    measured: Vec<Measured>,
    /// Bytes of JSON per second, for each round.
    judged: Vec<f64>,
    /// The part of the messages that the judge of everyday JSON leaves to another.
    unusual: f64,
}

impl Translate {
    pub(crate) fn run(self) -> Result<()> {
        ensure!((0.01..=60.0).contains(&self.seconds), "--seconds is from 0.01 to 60");
        let mut all = Vec::new();
        for entry in self.source.make(&self.only)? {
            eprintln!("{}", entry.name);
            all.push(self.measure(entry)?);
        }
        print!("{}", table::write(&all));
        Ok(())
    }

    fn measure(&self, entry: Entry) -> Result<StreamMeasured> {
        let stream = entry.load()?;
        let time = Duration::from_secs_f64(self.seconds);
        let directions = match self.directions.as_slice() {
            [] => &Direction::ALL[..],
            some => some,
        };
        let mut measured: Vec<Measured> = Vec::new();
        let (mut judged, mut unusual) = (Vec::new(), 0.0);
        for _ in 0..self.rounds {
            for &direction in directions {
                let codec = codec::rate(&stream, direction, time)?;
                note(&mut measured, direction, Contender::Codec, codec);
                let session = session::rate(&stream, direction, time)?;
                note(&mut measured, direction, Contender::Session, session);
            }
            let judge = judge::rate(&stream, time)?;
            judged.push(judge.bytes_per_second);
            unusual = judge.unusual;
            if !self.alone {
                let python = self.source.python();
                let rates = cpython::rates(&python, &self.loops, &entry, directions, time)?;
                for (direction, library, rate) in rates {
                    note(&mut measured, direction, Contender::Cpython(library), rate);
                }
            }
        }
        Ok(StreamMeasured { entry, lengths: lengths(&stream), measured, judged, unusual })
    }
}

impl StreamMeasured {
    fn median(&self, direction: Direction, contender: Contender) -> Option<f64> {
        self.of(direction, contender).and_then(|rates| median(rates.iter().copied()))
    }

    /// The median of the ratios within a round.
    fn ratio(&self, direction: Direction, one: Contender, other: Contender) -> Option<f64> {
        let (one, other) = (self.of(direction, one)?, self.of(direction, other)?);
        median(one.iter().zip(other).map(|(one, other)| one / other))
    }

    fn of(&self, direction: Direction, contender: Contender) -> Option<&[f64]> {
        let found = self
            .measured
            .iter()
            .find(|measured| (measured.direction, measured.contender) == (direction, contender));
        Some(found?.rates.as_slice())
    }
}

fn note(all: &mut Vec<Measured>, direction: Direction, contender: Contender, rate: f64) {
    let found = all.iter_mut().find(|one| (one.direction, one.contender) == (direction, contender));
    match found {
        Some(one) => one.rates.push(rate),
        None => all.push(Measured { direction, contender, rates: vec![rate] }),
    }
}

fn lengths(stream: &Stream) -> [f64; 3] {
    babelmq::Format::ALL.map(|format| {
        let total: usize = stream.payloads(format).map(<[u8]>::len).sum();
        total as f64 / stream.messages.len().max(1) as f64
    })
}

/// How often a second of the thread's processor time something is done, `done` times a pass. The
/// first pass is not counted. What else the machine does meanwhile is not counted either.
fn per_second(time: Duration, done: usize, mut pass: impl FnMut() -> Result<()>) -> Result<f64> {
    pass()?;
    let (mut passes, start) = (0, processor_time());
    loop {
        pass()?;
        passes += 1;
        let passed = processor_time().saturating_sub(start);
        if passed >= time {
            return Ok((passes * done) as f64 / passed.as_secs_f64());
        }
    }
}

fn processor_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
}
