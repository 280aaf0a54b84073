//! What keeping last values on a disk costs: a broker that does beside one that does not, in turn.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::load::stored::{self, Measured};
use crate::payload::Payload;
use crate::results::median;
use crate::systems::Programs;
use crate::wire::Babelmq;

#[derive(Debug, clap::Args)]
pub(crate) struct Store {
    /// When the disk is written to: always, interval, never.
    #[arg(long, default_value = "interval", value_name = "WHEN")]
    fsync: String,

    /// The interval.
    #[arg(long, default_value = "1s", value_name = "TIME")]
    interval: String,

    /// How many topics are published to, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "1,1000,100000", value_name = "N")]
    topics: Vec<usize>,

    /// Bytes of a message.
    #[arg(long, default_value_t = 128, value_name = "N")]
    bytes: usize,

    /// Each figure is the median of so many rounds.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..=99))]
    rounds: u64,

    /// How long one measurement takes: some intervals.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,

    /// Where the data directories go; it should be on a disk.
    #[arg(long, default_value = "target/bench-store", value_name = "FOLDER")]
    folder: PathBuf,

    /// The babelmq to measure.
    #[arg(
        long,
        default_value = "target/release/babelmq",
        env = "BABELMQ_BIN",
        value_name = "FILE"
    )]
    babelmq: PathBuf,
}

impl Store {
    pub(crate) fn run(self) -> Result<()> {
        ensure!((0.05..=60.0).contains(&self.seconds), "--seconds is from 0.05 to 60");
        let in_range = |count: &usize| (1..=1_000_000).contains(count);
        ensure!(self.topics.iter().all(in_range), "--topics are from 1 to 1000000");
        let programs = Programs::new(self.babelmq.clone(), PathBuf::new(), PathBuf::new())?;
        println!(
            "| topics | in memory, msg/s | on a disk ({}), msg/s | on a disk to in memory | least, \
             most | processor time |",
            self.fsync
        );
        println!("|--:|--:|--:|--:|--:|--:|");
        for &topics in &self.topics {
            let mut pairs = Vec::new();
            for round in 0..self.rounds {
                // Whatever the one has, the other has next.
                let (memory, disk) = if round % 2 == 0 {
                    let memory = self.measure(&programs, topics, false)?;
                    (memory, self.measure(&programs, topics, true)?)
                } else {
                    let disk = self.measure(&programs, topics, true)?;
                    (self.measure(&programs, topics, false)?, disk)
                };
                pairs.push((memory, disk));
            }
            let of = |figure: fn(&(Measured, Measured)) -> f64| {
                median(pairs.iter().map(figure)).unwrap_or(f64::NAN)
            };
            let ratios = pairs.iter().map(|(memory, disk)| disk.rate / memory.rate);
            println!(
                "| {topics} | {:.0} | {:.0} | {:.2} | {:.2}, {:.2} | {:.2} |",
                of(|(memory, _)| memory.rate),
                of(|(_, disk)| disk.rate),
                of(|(memory, disk)| disk.rate / memory.rate),
                ratios.clone().fold(f64::INFINITY, f64::min),
                ratios.fold(0.0, f64::max),
                of(|(memory, disk)| disk.processor / memory.processor),
            );
        }
        Ok(())
    }

    fn measure(&self, programs: &Programs, topics: usize, on_disk: bool) -> Result<Measured> {
        let directory = self.folder.join("data");
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        let folder = directory.display().to_string();
        let options =
            ["--data-dir", &folder, "--fsync", &self.fsync, "--fsync-interval", &self.interval];
        let running = programs.start_babelmq(if on_disk { &options } else { &[] })?;
        let wire = Babelmq::json();
        let payload = Payload::of_size(self.bytes)?;
        let time = Duration::from_secs_f64(self.seconds);
        let measured = stored::measure(&running, &wire, &payload, topics, time);
        drop(running);
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        measured
    }
}
