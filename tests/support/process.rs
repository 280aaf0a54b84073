//! What a process holds: threads, descriptors and memory. From `/proc`, so on Linux.

use std::fs;
use std::thread;
use std::time::Instant;

use super::PATIENCE;

/// The names of the threads that brokers of this process run. The harness names a thread after its
/// test, module first, so no module of `tests/alone` begins like one of these.
pub fn broker_threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok());
    names
        .map(|name| name.trim().to_owned())
        .filter(|name| {
            ["listener", "dispatcher", "attendant", "session-", "writer-"]
                .iter()
                .any(|kind| name.starts_with(kind))
        })
        .collect()
}

/// A thread that was joined stands in the kernel's list a moment longer, so this asks more than
/// once.
pub fn no_thread_is_left() {
    until("every thread is joined", || broker_threads().is_empty());
}

/// Descriptors that this process has open; the one that this looks with is not counted.
pub fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count() - 1
}

/// A line of a process's status that says how much memory, in bytes: `VmRSS` for now, `VmHWM` for
/// the most.
pub fn memory(process: &str, line: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let value = status.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(':'));
    let kibibytes = value.and_then(|value| value.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kibibytes.unwrap_or_else(|| panic!("no {line} in {status}")) << 10
}

/// Asks until it is so.
pub fn until(what: &str, mut is: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        thread::yield_now();
    }
}
