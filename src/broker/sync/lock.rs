//! `parking_lot`'s lock and condition variable, as much of them as the broker uses, on the model
//! checker's.

use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;

use shuttle::sync;

#[derive(Debug, Default)]
pub(in crate::broker) struct Mutex<T>(sync::Mutex<T>);

/// Holds the lock; for a moment nothing, while a [`Condvar`] waits with it.
#[derive(Debug)]
pub(in crate::broker) struct MutexGuard<'a, T>(Option<sync::MutexGuard<'a, T>>);

#[derive(Debug, Default)]
pub(in crate::broker) struct Condvar(sync::Condvar);

impl<T> Mutex<T> {
    pub(in crate::broker) fn new(value: T) -> Mutex<T> {
        Mutex(sync::Mutex::new(value))
    }

    pub(in crate::broker) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard(Some(self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Condvar {
    pub(in crate::broker) fn new() -> Condvar {
        Condvar::default()
    }

    pub(in crate::broker) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        guard.0 =
            guard.0.take().map(|held| self.0.wait(held).unwrap_or_else(PoisonError::into_inner));
    }

    pub(in crate::broker) fn notify_all(&self) {
        self.0.notify_all();
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[allow(clippy::expect_used, reason = "it is only empty while its thread waits")]
    fn deref(&self) -> &T {
        self.0.as_deref().expect("the lock is held")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    #[allow(clippy::expect_used, reason = "it is only empty while its thread waits")]
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_deref_mut().expect("the lock is held")
    }
}
