//! A stand-in for a TCP socket with its client at the other end, and for what waits for many of
//! them.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Line, one_in};
use crate::broker::sync::{Condvar, Mutex};
use crate::broker::{ClientId, Step};
use crate::protocol::Refusal;

#[derive(Debug, Default)]
pub(super) struct Socket {
    inner: Mutex<Inner>,
    /// Notified whenever `inner` changes.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    arrived: VecDeque<Arrived>,
    /// What has arrived can still be read.
    no_more_in: bool,
    written: Vec<Line>,
    no_more_out: bool,
    /// The client reads nothing, and so nothing can be written.
    stalled: bool,
    /// Told when there is something to read, or no more will come.
    watcher: Option<(Arc<Poll>, ClientId)>,
}

/// What one read can bring.
#[derive(Debug)]
pub(super) enum Arrived {
    /// Whole frames.
    Steps(Vec<Step>),
    /// Bytes that are no frame.
    Fault(Refusal),
}

/// What came of a read.
#[derive(Debug)]
pub(super) enum Read {
    Some(Arrived),
    /// The client said nothing for a while.
    Idle,
    End,
}

/// The socket is shut down.
#[derive(Debug)]
pub(super) struct Broken;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shutdown {
    Read,
    Write,
    Both,
}

impl Socket {
    // What the client does.

    pub(super) fn arrive(&self, arrived: Arrived) {
        self.inner.lock().arrived.push_back(arrived);
        self.tell();
    }

    /// The client is gone.
    pub(super) fn vanish(&self) {
        self.shut_down(Shutdown::Both);
    }

    pub(super) fn stall(&self) {
        self.inner.lock().stalled = true;
    }

    /// Waits until the client has read `line`, or will never read it.
    pub(super) fn await_line(&self, line: &Line) {
        let mut inner = self.inner.lock();
        while !inner.written.contains(line) && !inner.no_more_out {
            self.changed.wait(&mut inner);
        }
    }

    pub(super) fn written(&self) -> Vec<Line> {
        self.inner.lock().written.clone()
    }

    // What the broker does.

    pub(super) fn read(&self) -> Read {
        let may_be_idle = one_in(4);
        let mut inner = self.inner.lock();
        loop {
            if let Some(arrived) = inner.arrived.pop_front() {
                return Read::Some(arrived);
            }
            if inner.no_more_in {
                return Read::End;
            }
            if may_be_idle {
                return Read::Idle;
            }
            self.changed.wait(&mut inner);
        }
    }

    pub(super) fn write(&self, lines: &mut Vec<Line>) -> Result<(), Broken> {
        let mut inner = self.inner.lock();
        while inner.stalled && !inner.no_more_out {
            self.changed.wait(&mut inner);
        }
        if inner.no_more_out {
            return Err(Broken);
        }
        inner.written.append(lines);
        drop(inner);
        self.changed.notify_all();
        Ok(())
    }

    /// Writes without waiting, perhaps not everything; returns whether it was everything.
    pub(super) fn write_some(&self, lines: &mut Vec<Line>) -> Result<bool, Broken> {
        let some = if one_in(4) { lines.len() / 2 } else { lines.len() };
        let mut inner = self.inner.lock();
        if inner.no_more_out {
            return Err(Broken);
        }
        if !inner.stalled {
            inner.written.extend(lines.drain(..some));
        }
        drop(inner);
        self.changed.notify_all();
        Ok(lines.is_empty())
    }

    pub(super) fn shut_down(&self, how: Shutdown) {
        {
            let mut inner = self.inner.lock();
            inner.no_more_in |= how != Shutdown::Write;
            inner.no_more_out |= how != Shutdown::Read;
        }
        self.tell();
    }

    fn tell(&self) {
        self.changed.notify_all();
        let watcher = self.inner.lock().watcher.clone();
        if let Some((poll, client)) = watcher {
            poll.wake(Some(client));
        }
    }

    /// Tells `poll` when there is something to read from now on; at once, if there is already.
    pub(super) fn watch(&self, poll: &Arc<Poll>, client: ClientId) {
        let ready = {
            let mut inner = self.inner.lock();
            inner.watcher = Some((poll.clone(), client));
            !inner.arrived.is_empty() || inner.no_more_in
        };
        if ready {
            poll.wake(Some(client));
        }
    }

    pub(super) fn watch_no_more(&self) {
        self.inner.lock().watcher = None;
    }
}

/// What waits for many sockets.
#[derive(Debug, Default)]
pub(super) struct Poll {
    inner: Mutex<(Vec<ClientId>, bool)>,
    woken: Condvar,
}

impl Poll {
    /// Wakes whoever waits: for a client, or for no reason that it could know.
    pub(super) fn wake(&self, client: Option<ClientId>) {
        {
            let mut inner = self.inner.lock();
            inner.0.extend(client);
            inner.1 = true;
        }
        self.woken.notify_all();
    }

    /// Waits to be woken, if `patient`, and returns the clients that have something to read.
    pub(super) fn poll(&self, patient: bool) -> Vec<ClientId> {
        let mut inner = self.inner.lock();
        while patient && !inner.1 {
            self.woken.wait(&mut inner);
        }
        inner.1 = false;
        std::mem::take(&mut inner.0)
    }
}
