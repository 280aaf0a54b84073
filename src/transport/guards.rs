//! Panics: nothing here should, but one that does ends as little as possible, and never
//! goes unsaid.

use std::net::Shutdown;
use std::process;
use std::sync::Arc;
use std::thread;

use super::line::Line;
use crate::broker::Counters;

/// Ends the connection of a writer that panics, so that its session ends as well.
pub(super) struct EndOnPanic(pub(super) Line);

impl Drop for EndOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.shut_down(Shutdown::Both);
        }
    }
}

/// Counts and logs a panic of the thread that drops it: its client is disconnected, and nobody
/// else.
pub(super) struct CountPanic(pub(super) Arc<Counters>);

impl Drop for CountPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            Counters::add(&self.0.panics, 1);
            let thread = thread::current();
            tracing::error!(
                thread = thread.name(),
                "a thread panicked; its client is disconnected, the others go on"
            );
        }
    }
}

/// Ends the process if its thread panics: without a dispatcher a broker accepts and delivers
/// nothing, and clients are better off with a connection that is refused.
pub(super) struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() && !cfg!(shuttle) {
            tracing::error!("the dispatcher panicked; the broker cannot go on");
            eprintln!(
                "babelmq: the dispatcher panicked, so the broker cannot go on and the process \
                 ends; \
                 this is a bug, please report it with the lines above"
            );
            process::abort();
        }
    }
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests {
    use super::*;
    use std::process::Command;

    /// Set for the process that is to die.
    const DIES: &str = "BABELMQ_TEST_DISPATCHER_PANICS";

    #[test]
    fn a_panic_of_the_dispatcher_ends_the_process_and_says_so() {
        if std::env::var_os(DIES).is_some() {
            let dispatcher = thread::spawn(|| {
                let _guard = AbortOnPanic;
                panic!("on purpose");
            });
            let _ = dispatcher.join();
            return;
        }
        let this = thread::current().name().unwrap().to_owned();
        let dead = Command::new(std::env::current_exe().unwrap())
            .args([&this, "--exact", "--nocapture"])
            .env(DIES, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&dead.stderr);
        assert!(!dead.status.success(), "the process lives on half dead");
        assert!(said.contains("babelmq: the dispatcher panicked"), "{said}");
    }
}
