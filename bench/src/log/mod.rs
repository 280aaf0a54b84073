//! What keeps the messages of streams: segments of our own beside two embedded databases, in turn,
//! with the load of a stream.

mod candidates;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::results::median;
use candidates::{Candidate, Kind};

#[derive(Debug, clap::Args)]
pub(crate) struct Log {
    /// How many messages are appended.
    #[arg(long, default_value_t = 4_000_000, value_name = "N")]
    messages: u64,

    /// Bytes of a message.
    #[arg(long, default_value_t = 128, value_name = "N")]
    bytes: usize,

    /// Messages of a batch.
    #[arg(long, default_value_t = 256, value_name = "N")]
    batch: u64,

    /// Topics that they are published to, in turn.
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    topics: u64,

    /// Each figure is the median of so many rounds.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=99))]
    rounds: u64,

    /// Batches that each wait for the disk.
    #[arg(long, default_value_t = 300, value_name = "N")]
    synced: u64,

    /// What is measured: segments, redb, fjall.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "segments,redb,fjall",
        value_name = "NAMES"
    )]
    only: Vec<Kind>,

    /// Where the logs go; it should be on a disk.
    #[arg(long, default_value = "target/bench-log", value_name = "FOLDER")]
    folder: PathBuf,
}

/// What is appended.
pub(crate) struct Load {
    pub(crate) topics: Vec<String>,
    pub(crate) payload: Vec<u8>,
}

/// One round of one candidate.
#[derive(Clone, Copy, Debug)]
struct Figures {
    /// Messages a second.
    append: f64,
    /// Nanoseconds of processor time for each of them, of all threads and the system: what others
    /// run beside it does not matter much here.
    append_cost: f64,
    replay_cost: f64,
    /// Batches a second that wait for the disk.
    synced: f64,
    /// Messages a second from the first on.
    replay: f64,
    /// Messages a second that are read as soon as they are appended, both together.
    head: f64,
    /// Messages a second that are dropped from the front.
    drop: f64,
    /// Milliseconds to open it.
    start: f64,
    /// Bytes on the disk for each message.
    size: f64,
}

/// One of the figures.
type Of = fn(&Figures) -> f64;

const ROWS: [(&str, Of); 9] = [
    ("append, synchronised once a second, 1,000 msg/s", |figures| figures.append / 1e3),
    ("append, ns of processor time each", |figures| figures.append_cost),
    ("append, each batch synchronised, batches/s", |figures| figures.synced),
    ("replay from the first, 1,000 msg/s", |figures| figures.replay / 1e3),
    ("replay, ns of processor time each", |figures| figures.replay_cost),
    ("append and read at the head, 1,000 msg/s", |figures| figures.head / 1e3),
    ("drop half from the front, 1,000 msg/s", |figures| figures.drop / 1e3),
    ("start, ms", |figures| figures.start),
    ("bytes on the disk for each message", |figures| figures.size),
];

impl Log {
    pub(crate) fn run(self) -> Result<()> {
        ensure!(self.batch > 0 && self.topics > 0, "--batch and --topics are not 0");
        ensure!(self.messages >= 4 * self.batch, "--messages are some batches");
        let text = "x".repeat(self.bytes.saturating_sub(2));
        let load = Load {
            topics: (0..self.topics).map(|topic| format!("orders/{topic}")).collect(),
            payload: format!("\"{text}\"").into_bytes(),
        };
        let mut rounds: Vec<(Kind, Figures)> = Vec::new();
        for round in 0..self.rounds {
            for kind in &self.only {
                let figures = self.measure(*kind, &load)?;
                eprintln!("round {round}, {kind:?}: {figures:?}");
                rounds.push((*kind, figures));
            }
        }
        self.print(&rounds);
        Ok(())
    }

    fn print(&self, rounds: &[(Kind, Figures)]) {
        let names: Vec<String> = self.only.iter().map(|kind| format!(" {kind:?} |")).collect();
        println!("| |{}", names.concat());
        println!("|---|{}", "--:|".repeat(names.len()));
        for (name, figure) in ROWS {
            let of = |kind: &Kind| {
                let of_kind = rounds.iter().filter(|round| round.0 == *kind);
                median(of_kind.map(|round| figure(&round.1))).unwrap_or(f64::NAN)
            };
            let cells: Vec<String> =
                self.only.iter().map(|kind| format!(" {:.0} |", of(kind))).collect();
            println!("| {name} |{}", cells.concat());
        }
    }

    fn measure(&self, kind: Kind, load: &Load) -> Result<Figures> {
        let directory = self.folder.join("data");
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::create_dir_all(&directory)?;
        let mut candidate = kind.open(&directory)?;
        let used = processor_time();
        let append = self.append(&mut *candidate, load)?;
        let append_cost = (processor_time() - used) / self.messages as f64;
        let next = self.messages + 1;
        candidate.sync()?;
        drop(candidate);
        let size = size(&directory)? as f64 / self.messages as f64;
        let begun = Instant::now();
        let mut candidate = kind.open(&directory)?;
        let read = candidate.read(self.messages, 1)?;
        let start = begun.elapsed().as_secs_f64() * 1e3;
        ensure!(read > 0, "the last message is gone");

        let (begun, used) = (Instant::now(), processor_time());
        let read = candidate.read(1, self.messages)?;
        let replay_cost = (processor_time() - used) / self.messages as f64;
        let replay = self.messages as f64 / begun.elapsed().as_secs_f64();
        let expected = self.messages * load.payload.len() as u64;
        ensure!(read == expected, "{read} bytes were read of {expected}");

        let begun = Instant::now();
        let head_batches = (self.messages / self.batch / 8).max(1);
        for batch in 0..head_batches {
            let first = next + batch * self.batch;
            candidate.append(load, first, self.batch, false)?;
            candidate.read(first, self.batch)?;
        }
        let head = (head_batches * self.batch) as f64 / begun.elapsed().as_secs_f64();
        let next = next + head_batches * self.batch;

        candidate.sync()?;
        let begun = Instant::now();
        for batch in 0..self.synced {
            candidate.append(load, next + batch * self.batch, self.batch, true)?;
        }
        let synced = self.synced as f64 / begun.elapsed().as_secs_f64();

        let half = self.messages / 2;
        let begun = Instant::now();
        candidate.drop_before(half)?;
        let drop_rate = half as f64 / begun.elapsed().as_secs_f64();
        drop(candidate);
        fs::remove_dir_all(&directory)?;
        Ok(Figures {
            append,
            append_cost,
            replay_cost,
            synced,
            replay,
            head,
            drop: drop_rate,
            start,
            size,
        })
    }

    fn append(&self, candidate: &mut dyn Candidate, load: &Load) -> Result<f64> {
        let (begun, mut synced, mut seq) = (Instant::now(), Instant::now(), 1);
        while seq <= self.messages {
            let count = self.batch.min(self.messages + 1 - seq);
            candidate.append(load, seq, count, false)?;
            seq += count;
            if synced.elapsed() > Duration::from_secs(1) {
                candidate.sync_beside()?;
                synced = Instant::now();
            }
        }
        Ok(self.messages as f64 / begun.elapsed().as_secs_f64())
    }
}

/// Nanoseconds that this process has computed, and the system for it.
fn processor_time() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// Bytes of all files of a directory, as the disk has them.
fn size(directory: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { size(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Ok(bytes)
}
