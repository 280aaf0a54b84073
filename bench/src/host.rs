//! The machine.

use std::fs;
use std::process::Command;

use serde::Serialize;

/// What the figures were measured on.
#[derive(Debug, Serialize)]
pub(crate) struct Host {
    processor: String,
    cores: usize,
    memory_gib: f64,
    kernel: String,
    system: String,
    /// Of babelmq.
    pub(crate) commit: String,
    /// Whoever else was busy at the beginning: the load average of the last minute.
    load_before: String,
}

impl Host {
    pub(crate) fn look() -> Host {
        let file = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let value = |text: &str, name: &str, separator: char| {
            let line = text.lines().find(|line| line.starts_with(name));
            let value =
                line.and_then(|line| line.split_once(separator)).map(|(_, value)| value.trim());
            value.unwrap_or("unknown").trim_matches('"').to_owned()
        };
        let memory = value(&file("/proc/meminfo"), "MemTotal", ':');
        let kib: f64 = memory.trim_end_matches(" kB").parse().unwrap_or_default();
        let commit =
            Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=12"]).output();
        let commit = commit.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        Host {
            processor: value(&file("/proc/cpuinfo"), "model name", ':'),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: (kib / f64::from(1 << 20) * 10.0).round() / 10.0,
            kernel: file("/proc/sys/kernel/osrelease").trim().to_owned(),
            system: value(&file("/etc/os-release"), "PRETTY_NAME", '='),
            commit: commit.unwrap_or_default(),
            load_before: file("/proc/loadavg")
                .split_whitespace()
                .next()
                .unwrap_or_default()
                .to_owned(),
        }
    }

    pub(crate) fn describe(&self) -> String {
        format!(
            "{}, {} cores, {} GiB of memory, Linux {}, {}; load average at the beginning {}",
            self.processor, self.cores, self.memory_gib, self.kernel, self.system, self.load_before
        )
    }
}
