//! Attacks on a broker beside a bystander: does anyone modest notice, and what does the broker take
//! meanwhile?

mod attacks;
mod broker;
mod bystander;
mod crowd;
mod inputs;
mod loris;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use self::attacks::{ATTACKS, Kind};
use self::broker::{Broker, Peak};
use self::bystander::Seen;
use self::crowd::Target;
use crate::host::Host;

#[derive(Debug, clap::Args)]
pub(crate) struct Attack {
    /// Name the attacks and end.
    #[arg(long)]
    list: bool,

    /// Only these attacks, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    only: Vec<String>,

    /// With so many connections, instead of the numbers that each attack has of its own.
    #[arg(long, value_delimiter = ',', value_name = "N")]
    connections: Vec<usize>,

    /// How long each attack goes on.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,

    /// Messages of the bystander in a second.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,

    /// The babelmq to attack.
    #[arg(
        long,
        default_value = "target/release/babelmq",
        env = "BABELMQ_BIN",
        value_name = "FILE"
    )]
    babelmq: PathBuf,

    /// More arguments for `serve`, separated by spaces, as in "--memory 512MiB".
    #[arg(long, default_value = "", value_name = "ARGUMENTS", allow_hyphen_values = true)]
    serve_args: String,

    /// A limit of the address space of the broker, in MiB: what is beyond it is refused by the
    /// system.
    #[arg(long, value_name = "MIB")]
    limit: Option<u64>,

    /// A memory cgroup to make one for the broker in; its peak is reported too.
    #[arg(long, value_name = "FOLDER")]
    cgroup: Option<PathBuf>,

    /// A broker that takes more than this is killed, in MiB: the machine belongs to others as well.
    #[arg(long, default_value_t = 4096, value_name = "MIB")]
    ceiling: u64,

    /// A broker that takes more than this fails the run, in MiB: its budget and the slack.
    #[arg(long, value_name = "MIB")]
    most: Option<u64>,

    /// What the table says about this run.
    #[arg(long, default_value = "", value_name = "TEXT")]
    label: String,

    /// Where the table goes; what is in the file already stays above it.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What one attack came to.
struct Row {
    name: &'static str,
    connections: usize,
    seen: Seen,
    peak: Peak,
    /// How the broker ended, if it did.
    end: Option<String>,
    processor: Duration,
    sent: u64,
    /// What of it the broker had read at the end, if it could be asked.
    read: Option<u64>,
    note: String,
}

impl Attack {
    pub(crate) fn run(self) -> Result<()> {
        if self.list {
            for attack in ATTACKS {
                println!("{:16}{}", attack.name, attack.title);
            }
            return Ok(());
        }
        ensure!((0.5..=600.0).contains(&self.seconds), "--seconds is from 0.5 to 600");
        for name in &self.only {
            ensure!(
                ATTACKS.iter().any(|attack| attack.name == name),
                "no attack {name:?}; --list names them"
            );
        }
        let host = Host::look();
        let mut rows = Vec::new();
        let chosen = ATTACKS.iter().filter(|attack| {
            self.only.is_empty() || self.only.iter().any(|name| name == attack.name)
        });
        for attack in chosen {
            let own =
                if self.connections.is_empty() { attack.connections } else { &self.connections };
            for &connections in own {
                match self.one(attack, connections) {
                    Ok(row) => {
                        eprintln!("{}", row.markdown());
                        rows.push(row);
                    }
                    Err(error) => eprintln!("{} × {connections}: {error:#}", attack.name),
                }
            }
        }
        let table = self.table(&host, &rows);
        println!("{table}");
        if let Some(file) = &self.out {
            let before = std::fs::read_to_string(file).unwrap_or_default();
            std::fs::write(file, before + &table)?;
        }
        let failed = rows.iter().filter(|row| !row.held(self.most)).count();
        if failed > 0 {
            bail!(
                "{failed} of {} attacks reached the bystander, passed the budget or ended the \
                 broker",
                rows.len()
            );
        }
        Ok(())
    }

    fn one(&self, kind: &'static Kind, connections: usize) -> Result<Row> {
        let broker =
            Broker::start(&self.babelmq, &self.serve_args, self.limit, self.cgroup.as_deref())?;
        let target = Target::new(&broker);
        let (mut note, mut seen) = (String::new(), Seen::default());
        let (mut processor, mut end, mut read) = (Duration::ZERO, None, None);
        let period = Duration::from_secs_f64(self.seconds);
        thread::scope(|scope| -> Result<()> {
            let watch = scope.spawn(|| broker.watch(&target, self.ceiling << 20));
            let attacked = (|| -> Result<()> {
                (kind.prepare)(&target)?;
                target.sent.store(0, Ordering::Relaxed);
                let taken = target.taken()?;
                let start = broker.processor();
                target.attack_for(period);
                let beside = scope.spawn(|| bystander::watch(&target, self.rate, period));
                note = match (kind.run)(&target, connections) {
                    Ok(note) => note,
                    Err(error) => format!("{error:#}"),
                };
                // What comes after the attack is still the bystander's.
                thread::sleep(target.left());
                seen = beside.join().unwrap_or_default();
                processor = broker.processor().saturating_sub(start);
                read = target.taken().ok().map(|now| now.saturating_sub(taken));
                Ok(())
            })();
            target.stop.store(true, Ordering::Relaxed);
            end = watch.join().unwrap_or_else(|_| Some("unknown".into()));
            if let Err(error) = attacked {
                note = format!("while preparing: {error:#}");
            }
            Ok(())
        })?;
        let sent = target.sent.load(Ordering::Relaxed);
        let peak = broker.peak();
        Ok(Row { name: kind.name, connections, seen, peak, end, processor, sent, read, note })
    }

    fn table(&self, host: &Host, rows: &[Row]) -> String {
        let mut text = String::new();
        let title = if self.label.is_empty() { "A run" } else { &self.label };
        let _ = writeln!(text, "\n## {title}\n\n{}.\n", host.describe());
        let _ = writeln!(
            text,
            "`serve {}`, {} s for each attack, a bystander with {} messages/s; a broker that takes \
             more than {} MiB \
             is killed.\n",
            self.serve_args, self.seconds, self.rate, self.ceiling
        );
        text.push_str(
            "| attack | connections | p50 | p99 | p99.9 | max, ms | lost | ended | newcomers | \
             failed | slowest, ms \
             | VmHWM, MiB | cgroup, MiB | survived | processor, s | MB sent | MB read | ns/byte \
             read | |\n\
             |---|--:|--:|--:|--:|--:|--:|---|--:|--:|--:|--:|--:|---|--:|--:|--:|--:|---|\n",
        );
        for row in rows {
            let _ = writeln!(text, "{}", row.markdown());
        }
        text
    }
}

impl Row {
    /// The bystander noticed nothing but time, and the broker kept its budget.
    fn held(&self, most: Option<u64>) -> bool {
        self.end.is_none()
            && self.seen.lost == 0
            && !self.seen.ended
            && self.seen.failed == 0
            && most.is_none_or(|most| self.peak.resident <= most << 20)
    }

    /// Nanoseconds of processor time for each byte. Little input is all the bystander's, and says
    /// nothing.
    fn ratio(&self) -> Option<f64> {
        let read = self.read.filter(|read| *read > 100_000)?;
        Some(self.processor.as_nanos() as f64 / read as f64)
    }

    fn markdown(&self) -> String {
        let milliseconds = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1e3);
        let mebibytes = |bytes: u64| (bytes >> 20).to_string();
        format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {:.1} | {:.1} \
             | {} | {} | {} |",
            self.name,
            self.connections,
            milliseconds(self.seen.quantile(0.5)),
            milliseconds(self.seen.quantile(0.99)),
            milliseconds(self.seen.quantile(0.999)),
            milliseconds(self.seen.quantile(1.0)),
            self.seen.lost,
            if self.seen.ended { "yes" } else { "no" },
            self.seen.newcomers,
            self.seen.failed,
            milliseconds(self.seen.slowest_newcomer),
            mebibytes(self.peak.resident),
            self.peak.cgroup.map_or("-".into(), mebibytes),
            self.end.as_deref().unwrap_or("yes"),
            self.processor.as_secs_f64(),
            self.sent as f64 / 1e6,
            self.read.map_or("-".into(), |read| format!("{:.1}", read as f64 / 1e6)),
            self.ratio().map_or("-".into(), |ratio| format!("{ratio:.0}")),
            [&self.note, self.seen.failure.as_deref().unwrap_or_default()]
                .join(" ")
                .trim()
                .replace('|', "/"),
        )
    }
}

/// How long until then; nothing when it has passed.
fn until(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now())
}
