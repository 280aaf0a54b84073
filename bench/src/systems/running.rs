//! A system that runs, and what it costs the machine.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::net::Ipv4Addr;
use std::process::Child;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use super::System;
use crate::net::{Between, Endpoint};

/// A system that runs; it is ended with the value.
#[derive(Debug)]
pub(crate) struct Running {
    pub(super) child: Child,
    /// What each thread had when it was last seen.
    threads: Mutex<BTreeMap<OsString, f64>>,
    /// Where it is measured.
    pub(crate) endpoint: Endpoint,
    /// Where babelmq's own protocol is spoken, if that is somewhere else.
    pub(crate) native: Endpoint,
    /// What is not counted, at the beginning of a measurement.
    pub(crate) warm_up: Duration,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a process has in memory, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) resident: f64,
    /// With what the kernel keeps for it beside its sockets: page tables, and a stack for each
    /// thread.
    pub(crate) with_kernel: f64,
}

impl Running {
    /// Asks it to end, and waits until it has.
    pub(crate) fn end(mut self) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("no process")?, Signal::TERM)?;
        self.child.wait()?;
        Ok(())
    }

    /// From here on the child ends with this value, whatever happens.
    pub(super) fn new(system: System, child: Child, port: u16) -> Running {
        let endpoint =
            Endpoint { address: (Ipv4Addr::LOCALHOST, port).into(), between: Between::Nothing };
        Running {
            child,
            threads: Mutex::default(),
            native: endpoint.clone(),
            endpoint,
            warm_up: match system {
                // Java compiles what it has seen often.
                System::ActiveMq => Duration::from_secs(3),
                _ => Duration::from_millis(200),
            },
        }
    }

    /// Nanoseconds of processor time that its threads have had; of those that have ended, until
    /// they were last seen.
    pub(crate) fn processor_time(&self) -> Result<f64> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let task = task?;
            // A thread may have ended since it was listed.
            let Ok(text) = fs::read_to_string(task.path().join("schedstat")) else { continue };
            let first = text.split_whitespace().next().context("an empty schedstat")?;
            let time = threads.entry(task.file_name()).or_default();
            *time = time.max(first.parse()?);
        }
        Ok(threads.values().sum())
    }

    /// The same with all that its threads that have ended had, to some milliseconds.
    pub(crate) fn used(&self) -> Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name, in parentheses, may hold anything. Times are in ticks, 14th and 15th of all.
        let (_, fields) = stat.rsplit_once(')').context("no name in stat")?;
        let times = fields.split_whitespace().skip(11).take(2);
        let ticks: f64 = times.map(str::parse::<f64>).sum::<Result<f64, _>>()?;
        Ok(ticks / rustix::param::clock_ticks_per_second() as f64 * 1e9)
    }

    pub(crate) fn memory(&self) -> Result<Memory> {
        const KERNEL_STACK: f64 = 16.0 * 1024.0;
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let field = |name: &str| -> Result<f64> {
            let line =
                status.lines().find_map(|line| line.strip_prefix(name)).context("no such field")?;
            Ok(line.split_whitespace().next().context("an empty field")?.parse()?)
        };
        let resident = field("VmRSS:")? * 1024.0;
        let kernel = field("VmPTE:")? * 1024.0 + field("Threads:")? * KERNEL_STACK;
        Ok(Memory { resident, with_kernel: resident + kernel })
    }
}
