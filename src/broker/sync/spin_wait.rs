//! Waiting for a channel: for a moment awake, then asleep.
//!
//! Being woken takes longer than anything else on a message's way, so who expects the next message
//! soon looks for it a few times before it sleeps. A thread that was wrong about that stops
//! looking; so many idle threads never look at the same time.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::broker::sync::{
    AtomicUsize, Instant, Receiver, RecvError, RecvTimeoutError, TryRecvError, spin_loop, yield_now,
};

/// How often to look before sleeping; a model need not look for long.
const LOOKS: u32 = if cfg!(shuttle) { 2 } else { 256 };
/// After so many looks another thread gets the processor, if one wants it.
const LOOKS_BEFORE_YIELD: u32 = 8;
/// Threads of this process that may look at the same time.
const LOOKERS: usize = 2;
/// A message that came within this time would have been worth looking for.
const SOON: Duration = Duration::from_micros(50);
/// What luck is at most, and by how much it grows when looking was worth it, or would have been.
const BEST_LUCK: u8 = 16;
const LUCKY: u8 = 4;

#[cfg(not(shuttle))]
static LOOKING: AtomicUsize = AtomicUsize::new(0);
#[cfg(shuttle)]
shuttle::lazy_static! {
    static ref LOOKING: AtomicUsize = AtomicUsize::new(0);
}

/// How one receiver waits.
#[derive(Debug, Default)]
pub(in crate::broker) struct SpinWait {
    /// How much looking paid lately; none is none at all.
    luck: u8,
}

impl SpinWait {
    /// The next item.
    ///
    /// # Errors
    /// When the channel is empty and every sender is gone.
    pub(in crate::broker) fn recv<T>(&mut self, channel: &Receiver<T>) -> Result<T, RecvError> {
        let sleep = || channel.recv().map_err(|_| TryRecvError::Disconnected);
        self.recv_by(|| channel.try_recv(), sleep).map_err(|_| RecvError)
    }

    /// The next item, if one comes in time.
    ///
    /// # Errors
    /// `Disconnected` as for [`recv`](Self::recv), `Empty` when nothing came until `deadline`.
    pub(in crate::broker) fn recv_until<T>(
        &mut self,
        channel: &Receiver<T>,
        deadline: Instant,
    ) -> Result<T, TryRecvError> {
        let sleep = || {
            channel.recv_deadline(deadline).map_err(|error| match error {
                RecvTimeoutError::Timeout => TryRecvError::Empty,
                RecvTimeoutError::Disconnected => TryRecvError::Disconnected,
            })
        };
        self.recv_by(|| channel.try_recv(), sleep)
    }

    /// The next item of whatever is looked into, and slept on, by these.
    ///
    /// # Errors
    /// Those of `look` and `sleep`.
    pub(in crate::broker) fn recv_by<T>(
        &mut self,
        mut look: impl FnMut() -> Result<T, TryRecvError>,
        sleep: impl FnOnce() -> Result<T, TryRecvError>,
    ) -> Result<T, TryRecvError> {
        match look() {
            Err(TryRecvError::Empty) => {}
            other => return other,
        }
        if self.luck > 0 {
            match look_for(look) {
                Ok(item) => {
                    self.luck = (self.luck + LUCKY).min(BEST_LUCK);
                    return Ok(item);
                }
                Err(TryRecvError::Disconnected) => return Err(TryRecvError::Disconnected),
                Err(TryRecvError::Empty) => self.luck -= 1,
            }
        }
        let asleep = Instant::now();
        let item = sleep();
        if asleep.elapsed() < SOON {
            self.luck = (self.luck + LUCKY).min(BEST_LUCK);
        }
        item
    }
}

fn look_for<T>(mut look: impl FnMut() -> Result<T, TryRecvError>) -> Result<T, TryRecvError> {
    let mut found = Err(TryRecvError::Empty);
    if LOOKING.fetch_add(1, Ordering::Relaxed) < LOOKERS {
        for number in 1..=LOOKS {
            found = look();
            if !matches!(found, Err(TryRecvError::Empty)) {
                break;
            }
            if number % LOOKS_BEFORE_YIELD == 0 {
                yield_now();
            } else {
                spin_loop();
            }
        }
    }
    LOOKING.fetch_sub(1, Ordering::Relaxed);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::sync::unbounded;
    use std::thread;

    #[test]
    fn nothing_is_missed_whether_awake_or_asleep() {
        for luck in [0, 1, BEST_LUCK] {
            let mut wait = SpinWait { luck };
            let (sender, receiver) = unbounded();
            sender.send(1).unwrap();
            assert_eq!(wait.recv(&receiver), Ok(1));
            let late = thread::spawn(move || {
                thread::yield_now();
                sender.send(2).unwrap();
            });
            assert_eq!(wait.recv(&receiver), Ok(2));
            late.join().unwrap();
            assert_eq!(wait.recv(&receiver), Err(RecvError));
        }
    }
}
