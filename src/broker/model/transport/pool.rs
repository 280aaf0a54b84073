//! As `transport::pool` and `transport::turns`: writers that rest, and a thread that takes turns
//! with those that are called.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Counted, Shared};
use crate::broker::ClientId;
use crate::broker::model::one_in;
use crate::broker::model::writer::{After, End, Writer};
use crate::broker::sync::{
    AtomicUsize, Mutex, Receiver, Sender, TryRecvError, unbounded, yield_now,
};

/// So many writers have threads of their own.
const OWN_THREADS: usize = 1;

pub(super) struct Pool {
    inner: Mutex<Inner>,
    threads: AtomicUsize,
}

struct Inner {
    resting: BTreeMap<ClientId, Box<Pooled>>,
    stranded: Vec<Box<Pooled>>,
    calls: Option<Sender<ClientId>>,
}

/// A writer with what `transport`'s holds of its session.
pub(super) struct Pooled {
    pub(super) client: ClientId,
    pub(super) writer: Writer,
    pub(super) session: Receiver<()>,
    pub(super) _alive: Sender<()>,
}

struct HasThread(Arc<Shared>);

impl Drop for HasThread {
    fn drop(&mut self) {
        self.0.pool.threads.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    pub(super) fn new() -> (Pool, Receiver<ClientId>) {
        let (sender, calls) = unbounded();
        let inner = Inner { resting: BTreeMap::new(), stranded: Vec::new(), calls: Some(sender) };
        (Pool { inner: Mutex::new(inner), threads: AtomicUsize::new(0) }, calls)
    }

    pub(super) fn calls(&self) -> Option<Sender<ClientId>> {
        self.inner.lock().calls.clone()
    }

    fn is_crowded(&self) -> bool {
        self.threads.load(Ordering::Relaxed) > OWN_THREADS
    }

    pub(super) fn end(&self) {
        self.inner.lock().calls = None;
    }

    fn rest(&self, pooled: Box<Pooled>) -> Option<Box<Pooled>> {
        let mut inner = self.inner.lock();
        if !pooled.writer.inbox.end_turn() {
            return Some(pooled);
        }
        inner.resting.insert(pooled.client, pooled);
        None
    }
}

pub(super) fn place(shared: &Arc<Shared>, mut pooled: Box<Pooled>) {
    if shared.pool.threads.load(Ordering::Relaxed) < OWN_THREADS {
        match start(shared, pooled) {
            Ok(()) => return,
            Err(back) => pooled = back,
        }
    }
    pooled.writer.inbox.begin_turn();
    serve(shared, pooled);
}

pub(super) fn run(shared: &Arc<Shared>, calls: &Receiver<ClientId>) {
    loop {
        let call = if shared.pool.inner.lock().stranded.is_empty() {
            calls.recv().map_err(|_| TryRecvError::Disconnected)
        } else {
            yield_now();
            calls.try_recv()
        };
        match call {
            Ok(client) => {
                let pooled = shared.pool.inner.lock().resting.remove(&client);
                if let Some(pooled) = pooled {
                    pooled.writer.inbox.begin_turn();
                    serve(shared, pooled);
                }
            }
            Err(TryRecvError::Empty) => {
                shared.connections.join_ended();
                let stranded = std::mem::take(&mut shared.pool.inner.lock().stranded);
                stranded.into_iter().for_each(|pooled| serve(shared, pooled));
            }
            Err(TryRecvError::Disconnected) => return,
        }
    }
}

fn serve(shared: &Arc<Shared>, pooled: Box<Pooled>) {
    if let Some(pooled) = take_turns(shared, pooled)
        && let Err(pooled) = start(shared, pooled)
    {
        shared.pool.inner.lock().stranded.push(pooled);
    }
}

fn take_turns(shared: &Arc<Shared>, mut pooled: Box<Pooled>) -> Option<Box<Pooled>> {
    loop {
        match pooled.writer.take_turn() {
            Ok(After::Nothing) => pooled = shared.pool.rest(pooled)?,
            Ok(After::Busy) => return Some(pooled),
            Ok(After::Closed) => {
                if pooled.session.try_recv() != Err(TryRecvError::Disconnected) {
                    return Some(pooled);
                }
                pooled.writer.give_up();
                return None;
            }
            Err(_) => {
                pooled.writer.give_up();
                return None;
            }
        }
    }
}

fn start(shared: &Arc<Shared>, pooled: Box<Pooled>) -> Result<(), Box<Pooled>> {
    if shared.is_troubled() && one_in(4) {
        return Err(pooled);
    }
    let (hand_over, take) = unbounded::<Box<Pooled>>();
    let client = pooled.client;
    shared.pool.threads.fetch_add(1, Ordering::Relaxed);
    let has_thread = HasThread(shared.clone());
    let thread = Counted::spawn(shared, move || {
        let shared = &has_thread.0;
        let mut next = take.recv().ok();
        while let Some(mut busy) = next {
            busy.writer.inbox.keep_turn();
            match busy.writer.write_everything(|| shared.pool.is_crowded()) {
                Ok(End::Closed) => return busy.writer.take_leave(&busy.session),
                Ok(End::Silent) => {}
                Err(_) => return busy.writer.give_up(),
            }
            busy.writer.inbox.begin_turn();
            next = take_turns(shared, busy);
        }
        shared.connections.write_no_more(client);
    });
    shared.connections.write(client, thread);
    let _ = hand_over.send(pooled);
    Ok(())
}
