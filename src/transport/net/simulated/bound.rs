//! The one socket of a schedule that is listened on.

use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Client, Socket, pair};
use crate::broker::Peer;
use crate::broker::sync::{Mutex, Receiver, Sender, unbounded};
use crate::transport::listen_url::ListenUrl;

/// The client that is accepted next; none where the listener is only woken.
type Knock = Option<(Socket, Peer)>;

shuttle::lazy_static! {
    static ref DOOR: Mutex<Option<Sender<Knock>>> = Mutex::new(None);
    static ref IS_SEALED: AtomicBool = AtomicBool::new(false);
}

#[derive(Debug)]
pub(in crate::transport) struct Bound {
    url: ListenUrl,
    knocks: Receiver<Knock>,
}

impl Bound {
    #[allow(clippy::unnecessary_wraps, reason = "the real one can fail")]
    pub(in crate::transport) fn listen(url: &ListenUrl) -> io::Result<Bound> {
        let (door, knocks) = unbounded();
        *DOOR.lock() = Some(door);
        Ok(Bound { url: url.clone(), knocks })
    }

    pub(in crate::transport) fn url(&self) -> &ListenUrl {
        &self.url
    }

    pub(in crate::transport) fn accept(&self) -> io::Result<(Socket, Peer)> {
        self.knocks.recv().ok().flatten().ok_or_else(|| ErrorKind::ConnectionAborted.into())
    }

    pub(in crate::transport) fn wake(&self) {
        if let Some(door) = &*DOOR.lock() {
            let _ = door.send(None);
        }
    }
}

/// Connects a client that has so much room for what it has not read.
pub(in crate::transport) fn connect(room: usize) -> Client {
    let (client, socket) = pair(room);
    let peer = Peer::Tcp(([127, 0, 0, 1], 1).into());
    if let Some(door) = &*DOOR.lock() {
        let _ = door.send(Some((socket, peer)));
    }
    client
}

/// Seals the connections of the broker that is started next, or not.
pub(in crate::transport) fn seal_connections(is_sealed: bool) {
    IS_SEALED.store(is_sealed, Ordering::Relaxed);
}

pub(in crate::transport) fn is_sealed() -> bool {
    IS_SEALED.load(Ordering::Relaxed)
}
