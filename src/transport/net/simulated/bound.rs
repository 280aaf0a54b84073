//! The one socket of a schedule that is listened on.

use std::io::{self, ErrorKind};

use super::{Client, Socket, pair};
use crate::broker::Peer;
use crate::broker::sync::{Mutex, Receiver, Sender, unbounded};
use crate::transport::listen_url::ListenUrl;

/// What a connection makes of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::transport) enum Text {
    Plain,
    /// As `line::sealed` does.
    Sealed,
    Tls,
}

/// The client that is accepted next; none where the listener is only woken.
type Knock = Option<(Socket, Peer)>;

shuttle::lazy_static! {
    static ref DOOR: Mutex<Option<Sender<Knock>>> = Mutex::new(None);
    static ref TEXT: Mutex<Text> = Mutex::new(Text::Plain);
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

/// Says what the connections of the broker that is started next make of their bytes.
pub(in crate::transport) fn set_text(text: Text) {
    *TEXT.lock() = text;
}

pub(in crate::transport) fn text() -> Text {
    *TEXT.lock()
}
