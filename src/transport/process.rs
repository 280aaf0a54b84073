//! This process, as the system knows it.

use std::fs;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};

use crate::broker::Process;

/// Bytes of memory that the process has in use; 0 where the system does not say.
pub(super) fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kibibytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().strip_suffix("kB"))
        .and_then(|number| number.trim().parse::<u64>().ok());
    kibibytes.unwrap_or_default() * 1_024
}

/// What the system says of the process; `None` where it says nothing.
pub(super) fn look() -> Option<Process> {
    let Times { began, cpu } = times(&fs::read_to_string("/proc/self/stat").ok()?)?;
    Some(Process {
        started: booted()? + began,
        resident: resident_bytes(),
        open_files: open_files(),
        most_files: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
        cpu,
    })
}

/// When a process began, since the system was started, and the time of processors that it took.
#[derive(Debug, PartialEq, Eq)]
struct Times {
    began: Duration,
    cpu: Duration,
}

/// Reads what `/proc/PID/stat` says (proc_pid_stat(5)).
fn times(stat: &str) -> Option<Times> {
    // The name of the program, which is in brackets, may have anything in it.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().map(|field| field.parse::<u64>().ok());
    // The third field of all is the first of these: `utime` is the 14th, `starttime` the 22nd.
    let (user, system) = (fields.nth(11)??, fields.next()??);
    let began = fields.nth(6)??;
    let ticks = rustix::param::clock_ticks_per_second().max(1);
    let time = |count: u64| Duration::from_millis(count.saturating_mul(1_000) / ticks);
    Some(Times { began: time(began), cpu: time(user.saturating_add(system)) })
}

/// When the system was started, since 1970.
fn booted() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let seconds = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}

/// File descriptors that are open. From Linux 6.2 on the system counts them itself.
fn open_files() -> u64 {
    const FOLDER: &str = "/proc/self/fd";
    match fs::metadata(FOLDER).map(|folder| folder.len()) {
        Ok(0) | Err(_) => fs::read_dir(FOLDER).map_or(0, |files| files.count() as u64),
        Ok(count) => count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_stand_behind_a_name_that_may_be_anything() {
        let ticks = rustix::param::clock_ticks_per_second();
        let before = "7 (a) S 1 ) 2) R 1 2 3 4 5 6 7 8 9 10";
        let stat = format!("{before} {} {} 0 0 20 0 1 0 {} 0\n", 2 * ticks, 3 * ticks, 60 * ticks);
        let times = times(&stat).unwrap();
        assert_eq!((times.began.as_secs(), times.cpu.as_secs()), (60, 5));
        assert_eq!(super::times("7 (a) R 1 2"), None);
    }

    #[test]
    fn this_process_began_and_has_files() {
        let before = look().unwrap();
        let files: Vec<fs::File> =
            (0..10).map(|_| fs::File::open("/proc/self/stat").unwrap()).collect();
        let process = look().unwrap();
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        assert_eq!(process.started, before.started);
        assert!(process.started < now + Duration::from_secs(1));
        assert!(now - process.started.min(now) < Duration::from_secs(3_600), "{process:?}");
        assert!(process.open_files >= files.len() as u64 && process.resident > 1 << 20);
        assert!(process.open_files <= process.most_files && process.cpu >= before.cpu);
    }
}
