//! The broker that is attacked: a process of its own, and what it takes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::crowd::Target;

/// How often its memory is looked at.
const LOOK: Duration = Duration::from_millis(10);
/// Clock ticks in a second, as /proc counts them.
const TICKS: u64 = 100;

/// The most memory that it took, in bytes.
#[derive(Clone, Copy)]
pub(super) struct Peak {
    pub(super) resident: u64,
    pub(super) cgroup: Option<u64>,
}

/// Killed with the value.
pub(super) struct Broker {
    child: Mutex<Child>,
    pub(super) id: u32,
    pub(super) address: SocketAddr,
    /// Where it speaks HTTP.
    pub(super) web: SocketAddr,
    cgroup: Option<PathBuf>,
    resident: AtomicU64,
}

impl Broker {
    /// `limit` is in MiB, of its address space.
    pub(super) fn start(
        program: &Path,
        arguments: &str,
        limit: Option<u64>,
        parent: Option<&Path>,
    ) -> Result<Broker> {
        let mut command = Command::new(program);
        command.args(["serve", "--listen", "127.0.0.1:0", "--listen", "http://127.0.0.1:0"]);
        command.args(arguments.split_whitespace());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().with_context(|| program.display().to_string())?;
        let stdout = child.stdout.take().context("no output")?;
        let id = child.id();
        let none = SocketAddr::from(([127, 0, 0, 1], 0));
        // From here on it is killed with the value, whatever fails.
        let mut broker = Broker {
            child: Mutex::new(child),
            id,
            address: none,
            web: none,
            cgroup: None,
            resident: AtomicU64::new(0),
        };
        if let Some(parent) = parent {
            let folder = parent.join(format!("babelmq-attack-{id}"));
            fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
            fs::write(folder.join("cgroup.procs"), id.to_string())?;
            broker.cgroup = Some(folder);
        }
        if let Some(limit) = limit {
            let bytes = Some(limit << 20);
            let pid = Pid::from_raw(i32::try_from(id)?);
            prlimit(pid, Resource::As, Rlimit { current: bytes, maximum: bytes })?;
        }
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let listeners = line.trim().strip_prefix("babelmq listening on ");
        let addresses = listeners.and_then(|all| all.split_once(", http://"));
        let (address, web) = addresses.with_context(|| format!("it did not start: {line:?}"))?;
        (broker.address, broker.web) = (address.parse()?, web.parse()?);
        Ok(broker)
    }

    /// Looks at its memory until the attack is over; says how it ended if it did before.
    pub(super) fn watch(&self, target: &Target, ceiling: u64) -> Option<String> {
        while !target.stop.load(Ordering::Relaxed) {
            if let Ok(Some(status)) = self.child().try_wait() {
                target.stop.store(true, Ordering::Relaxed);
                return Some(status.to_string());
            }
            let most = self.status("VmHWM").unwrap_or_default();
            self.resident.fetch_max(most, Ordering::Relaxed);
            if most > ceiling {
                let _ = self.child().kill();
                target.stop.store(true, Ordering::Relaxed);
                return Some("killed at the ceiling".into());
            }
            thread::sleep(LOOK);
        }
        None
    }

    pub(super) fn peak(&self) -> Peak {
        let files = ["memory.max_usage_in_bytes", "memory.peak"];
        let cgroup = self.cgroup.as_ref().and_then(|folder| {
            let text = files.iter().find_map(|file| fs::read_to_string(folder.join(file)).ok());
            text?.trim().parse().ok()
        });
        Peak { resident: self.resident.load(Ordering::Relaxed), cgroup }
    }

    /// Time on a processor, so far.
    pub(super) fn processor(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id)).unwrap_or_default();
        // The name stands in parentheses and may hold anything.
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok());
        Duration::from_millis(ticks.sum::<u64>() * 1000 / TICKS)
    }

    fn status(&self, name: &str) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id)).ok()?;
        let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(value.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let mut child = self.child();
        let _ = child.kill();
        let _ = child.wait();
        drop(child);
        if let Some(folder) = &self.cgroup {
            let _ = fs::remove_dir(folder);
        }
    }
}
