//! A long stream: how soon a broker that has one listens, and what it takes in memory.

use std::fs::{self, File};
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};
use rustix::fs::{Advice, fadvise};

use super::{keeper, publish};
use crate::payload::Payload;
use crate::results::median;
use crate::systems::{Programs, Running, Sync, System};
use crate::wire::Format;

/// Bytes of a message's JSON.
const MESSAGE: usize = 1024;
/// Messages that are published before a kill, at least.
const LAST: u64 = 100_000;
/// Starts, of which the one in the middle counts.
const STARTS: usize = 3;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// From the program's start until it listens.
    pub(crate) seconds: f64,
    /// The same after a kill while it was published to.
    pub(crate) after_kill: f64,
    /// Resident, in bytes.
    pub(crate) memory: f64,
    /// The same of a broker whose stream is empty.
    pub(crate) memory_of_none: f64,
}

/// Fills a stream unless an earlier round did, and starts brokers with it, whose files the system
/// has forgotten: after a kill, and after an orderly end.
pub(crate) fn measure(programs: &Programs, gib: u64) -> Result<Measured> {
    let system = System::Babelmq;
    let keeper = keeper(system, Format::Json)?;
    let folder = programs.data.join("long");
    let payload = Payload::of_size(MESSAGE)?;
    let messages = (gib << 30) / MESSAGE as u64;
    let start = || -> Result<(f64, Running)> {
        forget(&folder)?;
        let start = Instant::now();
        let running = programs.start_in(&folder, system, Sync::Interval)?;
        let seconds = start.elapsed().as_secs_f64();
        ensure!(keeper.count(&running.endpoint)? >= messages, "messages are missing");
        Ok((seconds, running))
    };
    fs::create_dir_all(&folder)?;
    let mut running = programs.start_in(&folder, system, Sync::Interval)?;
    let missing = messages.saturating_sub(keeper.count(&running.endpoint)?);
    publish::add(&running, keeper.as_ref(), &payload, missing.max(LAST))?;
    drop(running);
    let after_kill;
    (after_kill, running) = start()?;
    let (mut seconds, mut memory) = (Vec::new(), 0.0);
    for _ in 0..STARTS {
        running.end()?;
        let second;
        (second, running) = start()?;
        seconds.push(second);
        memory = resident(&running)?;
    }
    drop(running);
    let empty = programs.start_keeping(system, Sync::Interval)?;
    keeper.count(&empty.running.endpoint)?;
    Ok(Measured {
        seconds: median(seconds.into_iter()).unwrap_or_default(),
        after_kill,
        memory,
        memory_of_none: resident(&empty.running)?,
    })
}

fn resident(running: &Running) -> Result<f64> {
    Ok(running.memory()?.resident)
}

/// Lets the system drop what it has read of the files in a folder.
fn forget(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            forget(&path)?;
            continue;
        }
        let file = File::open(path)?;
        file.sync_all()?;
        fadvise(&file, 0, None, Advice::DontNeed)?;
    }
    Ok(())
}
