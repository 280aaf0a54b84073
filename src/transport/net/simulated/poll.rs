//! `mio`, as much of it as the attendant uses.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use crate::broker::sync::world::has_no_watch;
use crate::broker::sync::{Condvar, Mutex, Timer, yield_now};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::transport) struct Token(pub(in crate::transport) usize);

/// Where something is reported.
#[derive(Clone, Debug, Default)]
pub(in crate::transport) struct Registry(Arc<Reported>);

#[derive(Debug, Default)]
struct Reported {
    tokens: Mutex<Vec<Token>>,
    some: Condvar,
}

/// Waits for it.
#[derive(Debug, Default)]
pub(in crate::transport) struct Poll(Registry);

#[derive(Debug)]
pub(in crate::transport) struct Waker(Registry, Token);

#[derive(Debug)]
pub(in crate::transport) struct Events(Vec<Event>);

#[derive(Debug)]
pub(in crate::transport) struct Event(Token);

#[allow(clippy::unnecessary_wraps, reason = "the real ones can fail")]
impl Poll {
    pub(in crate::transport) fn new() -> io::Result<Poll> {
        Ok(Poll::default())
    }

    pub(in crate::transport) fn registry(&self) -> &Registry {
        &self.0
    }

    pub(in crate::transport) fn poll(
        &mut self,
        events: &mut Events,
        patience: Option<Duration>,
    ) -> io::Result<()> {
        events.0.clear();
        if has_no_watch() {
            return Err(ErrorKind::OutOfMemory.into());
        }
        let timer = Timer::after(patience);
        let reported = &self.0.0;
        loop {
            let mut tokens = reported.tokens.lock();
            if !tokens.is_empty() {
                events.0.extend(tokens.drain(..).map(Event));
                return Ok(());
            }
            if timer.is_endless() {
                reported.some.wait(&mut tokens);
                continue;
            }
            drop(tokens);
            if timer.is_over() {
                return Ok(());
            }
            yield_now();
        }
    }
}

#[allow(clippy::unnecessary_wraps, reason = "the real ones can fail")]
impl Registry {
    pub(in crate::transport) fn try_clone(&self) -> io::Result<Registry> {
        Ok(self.clone())
    }

    pub(super) fn report(&self, token: Token) {
        self.0.tokens.lock().push(token);
        self.0.some.notify_all();
    }
}

#[allow(clippy::unnecessary_wraps, reason = "the real ones can fail")]
impl Waker {
    pub(in crate::transport) fn new(registry: &Registry, token: Token) -> io::Result<Waker> {
        Ok(Waker(registry.clone(), token))
    }

    pub(in crate::transport) fn wake(&self) -> io::Result<()> {
        self.0.report(self.1);
        Ok(())
    }
}

impl Events {
    pub(in crate::transport) fn with_capacity(_: usize) -> Events {
        Events(Vec::new())
    }
}

impl Event {
    pub(in crate::transport) fn token(&self) -> Token {
        self.0
    }
}

impl<'a> IntoIterator for &'a Events {
    type Item = &'a Event;
    type IntoIter = std::slice::Iter<'a, Event>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}
