//! Whether the operating system allows what the configuration asks for.
//!
//! Nothing here is refused: a broker that is asked for more than it can have serves as many as it
//! can. But it says so when it starts, and not when the last client knocks.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, getrlimit};

/// Descriptors that a broker needs for itself: listening, watching, logging.
const OWN_DESCRIPTORS: u64 = 32;
/// Threads that a broker, and the program around it, have for themselves.
const OWN_THREADS: u64 = 64;
/// Memory maps of a thread: its stack, the stack for signals, and a guard page for each.
const MAPS_OF_A_THREAD: u64 = 4;
/// Memory maps of the program itself, and of large buffers.
const OWN_MAPS: u64 = 5_000;

/// Something that the system has not enough of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shortage {
    /// Connections that are possible all the same.
    connections: u64,
    /// A thing that is scarce, how much of it there is, and what to do.
    of: String,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the system allows about {} connections: {}", self.connections, self.of)
    }
}

/// What the system allows a process; `None` where it sets no bound, or does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Allowance {
    descriptors: Option<u64>,
    threads: Option<u64>,
    maps: Option<u64>,
}

/// What is missing for `connections`, each of which has at least one thread if it subscribes.
pub(super) fn shortages(connections: usize) -> Vec<Shortage> {
    // A model's broker asks for nothing.
    if cfg!(shuttle) {
        return Vec::new();
    }
    Allowance::of_this_process().shortages(connections as u64)
}

/// How many threads there is room for, those of other processes not counted.
#[cfg(not(shuttle))]
pub(super) fn most_threads() -> usize {
    Allowance::of_this_process().threads_in_maps().map_or(usize::MAX, |most| most as usize)
}

/// Three quarters of the memory that this process may use, in bytes: of what the machine has, its
/// control group (of either version) allows, or a limit of the process, whichever is least. `None`
/// where the system says nothing.
pub(super) fn available_memory() -> Option<usize> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_of(&text));
    let of_process =
        [Resource::As, Resource::Data].into_iter().filter_map(|limit| getrlimit(limit).current);
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let of_groups = memory_files(&groups).into_iter().filter_map(|file| {
        // `max` is no limit, and so is a number that no machine has.
        fs::read_to_string(file).ok()?.trim().parse().ok()
    });
    let least = machine.into_iter().chain(of_process).chain(of_groups).min()?;
    usize::try_from(least / 4 * 3).ok()
}

/// The memory of the machine, as `/proc/meminfo` says it.
fn total_of(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1_024)
}

/// The files that say what the control groups of `/proc/self/cgroup`, and those around them, allow.
fn memory_files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(group)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let mut around = Path::new(group);
        loop {
            let below = around.strip_prefix("/").unwrap_or(around);
            files.push(Path::new(root).join(below).join(file));
            match around.parent() {
                Some(parent) => around = parent,
                None => break,
            }
        }
    }
    files
}

impl Allowance {
    fn threads_in_maps(self) -> Option<u64> {
        self.maps.map(|maps| maps.saturating_sub(OWN_MAPS) / MAPS_OF_A_THREAD)
    }

    fn of_this_process() -> Allowance {
        let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse().ok();
        let of_user = getrlimit(Resource::Nproc).current;
        let of_group = fs::read_to_string("/proc/self/cgroup").ok().and_then(|groups| {
            let own = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
            number(&format!("/sys/fs/cgroup{own}/pids.max"))
        });
        let threads = [
            number("/proc/sys/kernel/threads-max"),
            number("/proc/sys/kernel/pid_max"),
            of_user,
            of_group,
        ];
        Allowance {
            descriptors: getrlimit(Resource::Nofile).current,
            threads: threads.into_iter().flatten().min(),
            maps: number("/proc/sys/vm/max_map_count"),
        }
    }

    fn shortages(self, connections: u64) -> Vec<Shortage> {
        let mut shortages = Vec::new();
        let mut find = |possible: Option<u64>, of: String| {
            if let Some(possible) = possible
                && possible < connections
            {
                shortages.push(Shortage { connections: possible, of });
            }
        };
        if let Some(descriptors) = self.descriptors {
            let of = format!(
                "a process may have {descriptors} open files (raise ulimit -n, or systemd's \
                 LimitNOFILE=)"
            );
            find(Some(descriptors.saturating_sub(OWN_DESCRIPTORS)), of);
        }
        if let Some(threads) = self.threads {
            let of = format!(
                "there may be {threads} threads (raise kernel.threads-max, kernel.pid_max, ulimit \
                 -u, or systemd's TasksMax=)"
            );
            find(Some(threads.saturating_sub(OWN_THREADS)), of);
        }
        if let Some(maps) = self.maps {
            let of =
                format!("a process may have {maps} memory maps (raise sysctl vm.max_map_count)");
            find(self.threads_in_maps().map(|threads| threads.saturating_sub(OWN_THREADS)), of);
        }
        shortages
    }
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests {
    use super::*;

    #[test]
    fn every_shortage_is_said_with_what_to_do() {
        let roomy = Allowance { descriptors: Some(20_000), threads: None, maps: Some(65_530) };
        assert_eq!(roomy.shortages(10_000), []);
        assert_eq!(Allowance::default().shortages(1_000_000), []);
        let tight =
            Allowance { descriptors: Some(1_024), threads: Some(5_000), maps: Some(65_530) };
        let said: Vec<String> = tight.shortages(20_000).iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 3);
        for (said, what) in said.iter().zip([
            "about 992 connections: a process may have 1024 open files",
            "about 4936",
            "about 15068",
        ]) {
            assert!(said.contains(what), "{said}");
        }
    }

    #[test]
    fn memory_is_what_the_groups_around_the_process_allow() {
        assert_eq!(
            total_of("MemTotal:       24689764 kB\nMemFree: 1 kB\n"),
            Some(24_689_764 * 1_024)
        );
        assert_eq!(total_of("MemFree: 1 kB\n"), None);
        let files = memory_files("9:name=systemd:/x\n4:memory,cpu:/a/b\n0::/user.slice\nodd\n");
        let expected = [
            "/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/a/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/user.slice/memory.max",
            "/sys/fs/cgroup/memory.max",
        ];
        assert_eq!(files, expected.map(PathBuf::from));
        assert!(available_memory().is_some_and(|bytes| bytes > 1 << 20));
    }

    #[test]
    fn this_system_says_what_it_allows() {
        let here = Allowance::of_this_process();
        assert!(here.threads.is_some_and(|threads| threads > 10));
    }
}
