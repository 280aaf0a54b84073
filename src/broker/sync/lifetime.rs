//! Something that lives until it is dropped, and who knows when that is. It takes a fraction of a
//! channel that nothing is sent through, and each connection has some.

use std::sync::Arc;

use super::{Condvar, Instant, Mutex};

#[derive(Debug, Default)]
struct State {
    is_over: Mutex<bool>,
    over: Condvar,
}

/// Somebody may wait for this to be dropped.
#[derive(Debug)]
pub(crate) struct Alive(Arc<State>);

/// Knows when its [`Alive`] is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Lifetime(Arc<State>);

/// Something that lives, and what knows its end.
pub(crate) fn lifetime() -> (Alive, Lifetime) {
    let state = Arc::<State>::default();
    (Alive(state.clone()), Lifetime(state))
}

impl Lifetime {
    /// Whether it is over.
    pub(crate) fn is_over(&self) -> bool {
        *self.0.is_over.lock()
    }

    /// Waits for the end.
    pub(crate) fn wait(&self) {
        let mut is_over = self.0.is_over.lock();
        while !*is_over {
            self.0.over.wait(&mut is_over);
        }
    }

    /// Waits for the end until `deadline`. Returns whether it has come.
    pub(crate) fn wait_until(&self, deadline: Instant) -> bool {
        let mut is_over = self.0.is_over.lock();
        while !*is_over {
            if self.0.over.wait_until(&mut is_over, deadline).timed_out() {
                return *is_over;
            }
        }
        true
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        *self.0.is_over.lock() = true;
        self.0.over.notify_all();
    }
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn everybody_who_waits_hears_of_the_end() {
        let (alive, lifetime) = lifetime();
        assert!(!lifetime.is_over() && !lifetime.wait_until(Instant::now()));
        let waiting = [lifetime.clone(), lifetime.clone()].map(|lifetime| {
            thread::spawn(move || {
                lifetime.wait();
                lifetime.wait_until(Instant::now() + Duration::from_secs(60))
            })
        });
        drop(alive);
        assert!(waiting.into_iter().all(|thread| thread.join().unwrap()));
        assert!(lifetime.is_over());
    }
}
