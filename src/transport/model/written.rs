//! A writer at work on its own: an outbox, and who reads what is written.

use std::sync::Arc;
use std::time::Duration;

use super::client::{Client, Line, any_room};
use crate::broker::sync::thread::{Builder, JoinHandle};
use crate::broker::sync::world::{never_waits_for, one_in};
use crate::broker::sync::{Receiver, lifetime};
use crate::broker::{ClientId, Fate, Outbox, QueueLimits, outbox};
use crate::codec::Share;
use crate::transport::config::Config;
use crate::transport::line::Line as Connection;
use crate::transport::net::{self, Text};
use crate::transport::writer::{Common, Shares, Ties, Writer};

/// The writer's client, and its thread.
pub(super) struct Written {
    pub(super) client: Client,
    writer: JoinHandle<()>,
    fate: Fate,
}

/// An outbox, and a writer that begins when it is told, or when whoever tells it is gone.
pub(super) fn write(limits: QueueLimits, begin: Receiver<()>) -> (Outbox, Written) {
    // A client that reads later is not given up.
    never_waits_for(Duration::from_millis(10));
    let (outbox, inbox) = outbox(limits);
    let (end, socket) = net::pair(any_room());
    let text = if one_in(4) { Text::Sealed } else { Text::Plain };
    let parts = match text {
        Text::Sealed => Connection::sealed(socket),
        _ => Connection::plain(socket),
    };
    let (_, _, outgoing) = parts;
    // Its session is over.
    let (_, session) = lifetime();
    let (alive, _) = lifetime();
    let share = Share::unlimited;
    let shares = Shares { in_flight: share(), writing: share(), answers: share() };
    let sessions = Arc::new(crate::transport::mqtt::Sessions::new(Arc::default()));
    let ties = Ties { session, _alive: alive, talk: None };
    let common = Common::new(&Config::default(), &Arc::default(), shares, &sessions);
    let writer = Writer::new(ClientId(1), outgoing, inbox, ties, common);
    let fate = outbox.fate();
    let writer = Builder::new().spawn(move || {
        let _ = begin.recv();
        assert!(writer.run(|| false).is_none());
    });
    let client = Client::new(end, text);
    (outbox, Written { client, writer: writer.unwrap(), fate })
}

impl Written {
    /// The writer's thread and its client, each by itself.
    pub(super) fn split(self) -> (JoinHandle<()>, Client) {
        (self.writer, self.client)
    }

    /// The frames that were written, all in all, and what counts as waiting then.
    pub(super) fn end(mut self) -> (Vec<Line>, [usize; 5]) {
        self.client.hear_all();
        self.writer.join().unwrap();
        (self.client.heard, self.fate.charged())
    }
}
