//! `crossbeam-channel`, as much of it as the broker uses, on the model checker's lock and condition
//! variable.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use crossbeam_channel::{
    RecvError, RecvTimeoutError, SendError, TryRecvError, TrySendError,
};
use shuttle::thread::yield_now;

use super::clock::{Instant, Timer};
use super::lock::{Condvar, Mutex};

#[derive(Debug)]
struct Channel<T> {
    inner: Mutex<Inner<T>>,
    /// Notified whenever `inner` changes.
    changed: Condvar,
}

#[derive(Debug)]
struct Inner<T> {
    waiting: VecDeque<T>,
    room: usize,
    senders: usize,
    receivers: usize,
}

/// Where items go in.
#[derive(Debug)]
pub struct Sender<T>(Arc<Channel<T>>);

/// Where they come out.
#[derive(Debug)]
pub struct Receiver<T>(Arc<Channel<T>>);

pub(crate) fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    bounded(usize::MAX)
}

/// Nothing can be sent through one without room; it only tells that the other end is gone.
pub(crate) fn bounded<T>(room: usize) -> (Sender<T>, Receiver<T>) {
    let inner = Inner { waiting: VecDeque::new(), room, senders: 1, receivers: 1 };
    let channel = Arc::new(Channel { inner: Mutex::new(inner), changed: Condvar::new() });
    (Sender(channel.clone()), Receiver(channel))
}

impl<T> Sender<T> {
    pub(crate) fn send(&self, item: T) -> Result<(), SendError<T>> {
        let mut inner = self.0.inner.lock();
        while inner.receivers > 0 && inner.waiting.len() >= inner.room {
            self.0.changed.wait(&mut inner);
        }
        if inner.receivers == 0 {
            return Err(SendError(item));
        }
        inner.waiting.push_back(item);
        drop(inner);
        self.0.changed.notify_all();
        Ok(())
    }

    pub(crate) fn try_send(&self, item: T) -> Result<(), TrySendError<T>> {
        let mut inner = self.0.inner.lock();
        if inner.receivers == 0 {
            return Err(TrySendError::Disconnected(item));
        }
        if inner.waiting.len() >= inner.room {
            return Err(TrySendError::Full(item));
        }
        inner.waiting.push_back(item);
        drop(inner);
        self.0.changed.notify_all();
        Ok(())
    }
}

impl<T> Receiver<T> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.inner.lock().waiting.is_empty()
    }

    pub(crate) fn try_recv(&self) -> Result<T, TryRecvError> {
        let mut inner = self.0.inner.lock();
        let Some(item) = inner.waiting.pop_front() else {
            return Err(if inner.senders == 0 {
                TryRecvError::Disconnected
            } else {
                TryRecvError::Empty
            });
        };
        drop(inner);
        self.0.changed.notify_all();
        Ok(item)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.inner.lock().waiting.len()
    }

    pub(crate) fn recv(&self) -> Result<T, RecvError> {
        loop {
            match self.try_recv() {
                Ok(item) => return Ok(item),
                Err(TryRecvError::Disconnected) => return Err(RecvError),
                Err(TryRecvError::Empty) => {}
            }
            let mut inner = self.0.inner.lock();
            while inner.waiting.is_empty() && inner.senders > 0 {
                self.0.changed.wait(&mut inner);
            }
        }
    }

    pub(crate) fn recv_timeout(&self, patience: Duration) -> Result<T, RecvTimeoutError> {
        self.recv_by(&Timer::after(Some(patience)))
    }

    pub(crate) fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        self.recv_by(&Timer::until(deadline))
    }

    fn recv_by(&self, timer: &Timer) -> Result<T, RecvTimeoutError> {
        loop {
            match self.try_recv() {
                Ok(item) => return Ok(item),
                Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
                Err(TryRecvError::Empty) if timer.is_endless() => {
                    return self.recv().map_err(|_| RecvTimeoutError::Disconnected);
                }
                Err(TryRecvError::Empty) if timer.is_over() => {
                    return Err(RecvTimeoutError::Timeout);
                }
                Err(TryRecvError::Empty) => yield_now(),
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn try_iter(&self) -> impl Iterator<Item = T> {
        std::iter::from_fn(|| self.try_recv().ok())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        self.0.inner.lock().senders += 1;
        Sender(self.0.clone())
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Receiver<T> {
        self.0.inner.lock().receivers += 1;
        Receiver(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.inner.lock().senders -= 1;
        self.0.changed.notify_all();
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let discarded = {
            let mut inner = self.0.inner.lock();
            inner.receivers -= 1;
            if inner.receivers == 0 { std::mem::take(&mut inner.waiting) } else { VecDeque::new() }
        };
        self.0.changed.notify_all();
        // Their content may wait at other places when it is dropped.
        drop(discarded);
    }
}
