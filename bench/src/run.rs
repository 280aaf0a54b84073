//! Rounds over all systems, and what becomes of them.

use std::collections::btree_map::Entry;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use indicatif::{ProgressBar, ProgressStyle};

use crate::host::Host;
use crate::report::Report;
use crate::results::Results;
use crate::stream::{Group, Source};
use crate::systems::{Line, Programs, Sync, System};
use crate::workloads::{
    Figures, OF_MQTT, OF_STREAMS, OF_TLS, OF_WEB, Scale, WORKLOADS, Workload, half_load, of_corpora,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Peers {
    /// Only these workloads, separated by commas; `bench list` names them. All streams of
    /// messages are `corpora`, and the name of one stands for all its directions. `tls`, `users`,
    /// `web`, `streams` and `mqtt` are groups that are measured only if they are asked for.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    only: Vec<String>,

    /// Only these systems, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    systems: Vec<System>,

    /// Each figure is the median of so many rounds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=99))]
    rounds: u64,

    /// How long one measurement takes.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,

    /// How many subscribers a crowd has.
    #[arg(long, default_value_t = 10_000)]
    crowd: usize,

    /// How many topics hold a value, in thousands.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=1000))]
    topics: u64,

    /// How long a long stream is, in GiB of messages.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1000))]
    gib: u64,

    /// Where streams are kept; it should be on a disk.
    #[arg(long, default_value = "target/bench-streams", value_name = "FOLDER")]
    data: PathBuf,

    /// Flows carry strings instead of small records.
    #[arg(long)]
    texts: bool,

    /// The babelmq to measure.
    #[arg(
        long,
        default_value = "target/release/babelmq",
        env = "BABELMQ_BIN",
        value_name = "FILE"
    )]
    babelmq: PathBuf,

    #[command(flatten)]
    source: Source,

    /// The CPython translator.
    #[arg(long, default_value = "bench/diy.py", value_name = "FILE")]
    translator: PathBuf,

    /// Where peers.md, peers.json and peers.svg go, or tls.md and so on where only `tls` and
    /// `users` are measured, web.md and so on where only `web` is, streams.md where only `streams`
    /// is and mqtt.md where only `mqtt` is; without it they are not written.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// The names of all workloads.
pub(crate) fn list() {
    for workload in WORKLOADS.iter().chain(OF_TLS).chain(OF_WEB).chain(OF_STREAMS).chain(OF_MQTT) {
        println!("{:24}{}", workload.name, workload.title);
    }
    let groups = "corpora, corpora-small, corpora-real, corpora-variants, corpora-wide";
    println!("\nCorpora: {groups}, or one of them, as gps, or gps/json-pickle.");
}

/// Whether a name stands for the workload of a stream.
fn is_meant(workload: &Workload, name: &str) -> bool {
    let Some((entry, _)) = workload.stream() else { return false };
    let group = match entry.group {
        Group::Small => "corpora-small",
        Group::Real => "corpora-real",
        Group::Variants => "corpora-variants",
        Group::Wide => "corpora-wide",
    };
    [workload.name, &entry.name, "corpora", group].contains(&name)
}

impl Peers {
    pub(crate) fn run(self) -> Result<()> {
        ensure!((0.05..=60.0).contains(&self.seconds), "--seconds is from 0.05 to 60");
        let workloads = self.workloads()?;
        let mut programs = Programs::new(
            self.babelmq.clone(),
            self.translator.clone(),
            self.source.cache.clone(),
        )?;
        programs.data = std::path::absolute(&self.data)?;
        let wanted = |system: &System| {
            (self.systems.is_empty() || self.systems.contains(system))
                && workloads.iter().any(|workload| workload.systems.contains(system))
        };
        let mut versions = Vec::new();
        for system in System::ALL.into_iter().filter(wanted) {
            let version = programs.version(system).map_err(|error| format!("{error:#}"));
            if let Err(why) = &version {
                eprintln!("{} is left out: {why}", system.title());
            }
            versions.push((system, version));
        }
        let present = versions.iter().filter(|(_, version)| version.is_ok());
        let systems: Vec<System> = present.map(|(system, _)| *system).collect();
        let host = Host::look();
        let results = self.measure(&programs, &workloads, &systems)?;
        let command_lines = systems.iter().map(|system| {
            let name = programs.find(*system).unwrap_or_default();
            let name = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let is = |of: fn(&Workload) -> bool| workloads.iter().any(|workload| of(workload));
            let line = if is(Workload::is_sealed) {
                Line::Tls
            } else if is(Workload::is_web) {
                Line::Web
            } else if is(Workload::is_mqtt) {
                Line::Mqtt
            } else if is(Workload::is_kept) {
                Line::Keeping(Sync::Always)
            } else {
                Line::Plain
            };
            let arguments = programs.arguments_for_people(*system, "DIRECTION", line);
            let quoted = arguments.iter().map(|word| {
                if word.is_empty() || word.contains(' ') {
                    format!("'{word}'")
                } else {
                    word.clone()
                }
            });
            (*system, std::iter::once(name).chain(quoted).collect::<Vec<_>>().join(" "))
        });
        let report = Report {
            results: &results,
            workloads: &workloads,
            systems: &systems,
            host: &host,
            rounds: self.rounds as usize,
            seconds: self.seconds,
            crowd: self.crowd,
            topics: self.topics * 1000,
            gib: self.gib,
            versions: &versions,
            command_lines: &command_lines.collect::<Vec<_>>(),
            call: call(),
        };
        println!("{}", report.markdown());
        if let Some(folder) = &self.out {
            report.write(folder)?;
        }
        if self.data.exists() {
            std::fs::remove_dir_all(&self.data)?;
        }
        Ok(())
    }

    fn workloads(&self) -> Result<Vec<&'static Workload>> {
        if self.only.is_empty() {
            let streams = of_corpora(self.source.make(&[])?);
            return Ok(WORKLOADS.iter().chain(streams).collect());
        }
        let fixed = |name: &str| -> Vec<&'static Workload> {
            let of_group = |workload: &&Workload| {
                let (group, _) = workload.name.split_once('-').unwrap_or_default();
                group == name || workload.name == name
            };
            let named = WORKLOADS.iter().filter(|workload| workload.name == name);
            let apart = OF_TLS.iter().chain(OF_WEB).chain(OF_STREAMS).chain(OF_MQTT);
            named.chain(apart.filter(of_group)).collect()
        };
        let streams = if self.only.iter().all(|name| !fixed(name).is_empty()) {
            Vec::new()
        } else {
            of_corpora(self.source.make(&[])?)
        };
        let mut chosen = Vec::new();
        for name in &self.only {
            let before = chosen.len();
            chosen.extend(fixed(name));
            chosen.extend(streams.iter().filter(|workload| is_meant(workload, name)));
            ensure!(
                before < chosen.len(),
                "there is no workload {name:?}; `bench list` names them"
            );
        }
        Ok(chosen)
    }

    fn measure(
        &self,
        programs: &Programs,
        workloads: &[&'static Workload],
        systems: &[System],
    ) -> Result<Results> {
        let rounds = self.rounds as usize;
        let scale = Scale {
            time: Duration::from_secs_f64(self.seconds),
            crowd: self.crowd,
            topics: self.topics as usize * 1000,
            gib: self.gib,
            texts: self.texts,
        };
        let mut results = Results::new(rounds);
        let of = |workload: &Workload| -> Vec<System> {
            systems.iter().copied().filter(|system| workload.systems.contains(system)).collect()
        };
        let total: usize = workloads.iter().map(|workload| of(workload).len() * rounds).sum();
        let bar = ProgressBar::new(total as u64);
        let style = "{bar:30} {pos}/{len} {elapsed_precise} (left {eta_precise}) {msg}";
        bar.set_style(ProgressStyle::with_template(style)?);
        bar.enable_steady_tick(Duration::from_millis(250));
        for workload in workloads {
            let mut order = of(workload);
            let half =
                if workload.needs_half_load() { half_load(programs, scale.time) } else { Ok(0.0) };
            for round in 0..rounds {
                for system in &order {
                    let mut measured = Figures::new();
                    bar.set_message(format!("{} {}", workload.name, system.title()));
                    // What failed once is not waited for again.
                    if let Entry::Vacant(failure) = results.failures.entry((workload.name, *system))
                    {
                        let half = half.as_ref().copied().map_err(|error| anyhow!("{error:#}"));
                        match half.and_then(|half| workload.measure(programs, *system, scale, half))
                        {
                            Ok(figures) => measured = figures,
                            Err(error) => {
                                bar.suspend(|| {
                                    eprintln!("{} of {}: {error:#}", workload.name, system.title())
                                });
                                failure.insert(format!("{error:#}"));
                            }
                        }
                    }
                    for (metric, figure) in measured {
                        results.add(workload.name, metric, *system, round, figure);
                    }
                    bar.inc(1);
                }
                if !order.is_empty() {
                    order.rotate_left(1);
                }
            }
        }
        bar.finish_and_clear();
        Ok(results)
    }
}

/// How it was called. What lies in the folder where that was is named from there: where this
/// machine has the folder tells nobody anything.
fn call() -> String {
    let folder = std::env::current_dir().unwrap_or_default();
    let from_there = |word: String| match std::path::Path::new(&word).strip_prefix(&folder) {
        Ok(path) => path.display().to_string(),
        Err(_) => word,
    };
    let words = std::env::args().skip(1).map(from_there);
    words.fold("bench".to_owned(), |call, word| call + " " + &word)
}
