//! The end of a broker: its threads, joined in the order in which they end, for as long as its
//! disks answer.

use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use super::net::Bound;
use super::parked::Parked;
use super::shared::Shared;
#[cfg(not(shuttle))]
use crate::broker::sync::Instant;
use crate::broker::sync::thread::JoinHandle;
use crate::broker::sync::{Receiver, RecvTimeoutError, Sender};
use crate::broker::{Announcer, Ending, Event, Unsaved};

/// How long a broker that stops goes on writing what was accepted. In a model this is the longest
/// time that anybody waits, so that one can leave it out.
pub(super) const GRACE: Duration = Duration::from_secs(if cfg!(shuttle) { 3_600 } else { 5 });

/// How often the handle looks whether a disk has answered.
#[cfg(not(shuttle))]
const LOOK: Duration = Duration::from_millis(100);

/// The threads of a broker that serve no one client, those that run.
#[derive(Debug, Default)]
pub(super) struct Threads {
    pub(super) dispatcher: Option<JoinHandle<()>>,
    /// Where there is a store.
    pub(super) store_writer: Option<JoinHandle<()>>,
    pub(super) attendant: Option<JoinHandle<()>>,
    pub(super) listeners: Vec<JoinHandle<()>>,
    pub(super) pool: Vec<JoinHandle<()>>,
    /// Where MQTT is spoken: what says `$SYS`, and what tells it to end.
    pub(super) sys_topics: Option<(Sender<()>, JoinHandle<()>)>,
}

/// Everything that a broker still has when it is to end.
#[derive(Debug)]
pub(super) struct Closing {
    pub(super) bound: Vec<Arc<Bound>>,
    pub(super) events: Sender<Event>,
    pub(super) shared: Arc<Shared>,
    pub(super) parked: Arc<Parked>,
    pub(super) all_gone: Receiver<()>,
    pub(super) announcer: Announcer,
    pub(super) threads: Threads,
    pub(super) ending: Ending,
}

/// The part of the end that waits for disks alone has begun.
#[cfg(not(shuttle))]
struct ClientsGone;

impl Closing {
    /// Ends the broker, and waits for that as long as its disks answer; whatever waits for one that
    /// does not is left to itself.
    ///
    /// # Errors
    /// What could not be saved.
    #[cfg(not(shuttle))]
    pub(super) fn close(self) -> Result<(), Unsaved> {
        let (shared, ending) = (self.shared.clone(), self.ending.clone());
        let (said, heard) = crate::broker::sync::bounded(1);
        // Where there is no thread for it, this one waits without an end.
        let rest = Arc::new(parking_lot::Mutex::new(Some(self)));
        let run = {
            let rest = rest.clone();
            move || {
                if let Some(closing) = rest.lock().take() {
                    closing.run(|| drop(said.send(ClientsGone)));
                }
            }
        };
        // Its end drops the other end of the channel.
        match std::thread::Builder::new().name("closing".into()).spawn(run.clone()) {
            Ok(_) => drop(run),
            Err(_) => run(),
        }
        if heard.recv().is_err() {
            return ending.saved(None);
        }
        let patience = shared.config.stop_timeout;
        let (mut steps, mut since) = (ending.steps(), Instant::now());
        loop {
            match heard.recv_timeout(LOOK) {
                Err(RecvTimeoutError::Disconnected) => return ending.saved(None),
                Err(RecvTimeoutError::Timeout) if ending.steps() != steps => {
                    (steps, since) = (ending.steps(), Instant::now());
                }
                Err(RecvTimeoutError::Timeout) if since.elapsed() >= patience => {
                    shared.connections.shut_down(Shutdown::Both);
                    return ending.saved(Some(patience));
                }
                _ => {}
            }
        }
    }

    /// In a model every disk answers.
    #[cfg(shuttle)]
    pub(super) fn close(self) -> Result<(), Unsaved> {
        let ending = self.ending.clone();
        self.run(|| ());
        ending.saved(None)
    }

    /// Joins every thread.
    fn run(self, clients_gone: impl FnOnce()) {
        let Closing { bound, events, shared, parked, all_gone, announcer, threads, .. } = self;
        let Threads { dispatcher, store_writer, attendant, listeners, pool, sys_topics } = threads;
        if let Some((stop, sys_topics)) = sys_topics {
            drop(stop);
            join(sys_topics);
        }
        // Each listener is waiting for a connection.
        for listening in &bound {
            listening.wake();
        }
        listeners.into_iter().for_each(join);
        // A client that comes now is refused by the system.
        drop(bound);
        // Sessions read what has arrived and end; the dispatcher ends after the last of them; then
        // every outbox closes, and every writer ends when it is written out.
        shared.connections.shut_down(Shutdown::Read);
        parked.end();
        shared.mqtt.end();
        drop(events);
        // What a stream has still to say is said again after the next start.
        announcer.close();
        if all_gone.recv_timeout(GRACE) != Err(RecvTimeoutError::Disconnected) {
            tracing::warn!("some clients did not read what was waiting for them; it is dropped");
            shared.connections.shut_down(Shutdown::Both);
        }
        clients_gone();
        dispatcher.into_iter().for_each(join);
        // It writes what is left and ends.
        store_writer.into_iter().for_each(join);
        attendant.into_iter().for_each(join);
        shared.connections.join();
        // No thread is left that could call them.
        shared.pool.end();
        pool.into_iter().for_each(join);
        // Those that were started meanwhile.
        shared.connections.join();
    }
}

fn join(thread: JoinHandle<()>) {
    // A panic was reported where it happened.
    let _ = thread.join();
}
