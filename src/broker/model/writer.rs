//! A writer that does what `transport::writer` does, without encoding.

use std::sync::Arc;

use super::socket::{Broken, Shutdown, Socket};
use super::{Line, any, chosen, line_of, one_in, said};
use crate::broker::sync::{Receiver, TryRecvError, yield_now};
use crate::broker::{Charge, Delivery, Inbox, Letter, Mailbox, Stored, Taken};

pub(super) struct Writer {
    pub(super) inbox: Inbox,
    socket: Arc<Socket>,
    gathered: Vec<Line>,
    charges: Vec<Charge>,
    /// Lines that are enough for a write.
    enough: usize,
}

impl Writer {
    pub(super) fn new(inbox: Inbox, socket: Arc<Socket>) -> Writer {
        let enough = 1 + any(3) as usize;
        Writer { inbox, socket, gathered: Vec::new(), charges: Vec::new(), enough }
    }

    /// Writes until the outbox is closed and empty, or the client is gone.
    pub(super) fn run(&mut self, session: &Receiver<()>) {
        if self.write_everything().is_err() {
            self.socket.shut_down(Shutdown::Both);
            return;
        }
        self.socket.shut_down(Shutdown::Write);
        linger(session);
        self.socket.shut_down(Shutdown::Both);
    }

    pub(super) fn write_everything(&mut self) -> Result<(), Broken> {
        while let Some((delivery, charge)) = self.inbox.next_waiting().or_else(|| self.inbox.wait()) {
            self.gather(delivery, charge)?;
            while self.gathered.len() < self.enough
                && let Some((delivery, charge)) = self.inbox.next_waiting()
            {
                self.gather(delivery, charge)?;
            }
            self.flush()?;
        }
        Ok(())
    }

    fn gather(&mut self, delivery: Delivery, charge: Charge) -> Result<(), Broken> {
        match delivery {
            Delivery::Messages { batch, selection, .. } => {
                self.gathered.extend(chosen(&batch, &selection, 0));
            }
            Delivery::Mailbox(mailbox) => self.gather_mailbox(&mailbox)?,
            Delivery::Snapshot { values, .. } => self.gathered.extend(values.iter().map(|value| line(value))),
            Delivery::Value { stored, .. } => self.gathered.push(line(&stored)),
            Delivery::Durable { reply, .. } | Delivery::Reply { reply, .. } => {
                self.gathered.push(line_of(&reply))
            }
            Delivery::Walk { .. } | Delivery::Topics { .. } | Delivery::Report { .. } => {
                panic!("no model asks for that")
            }
        }
        self.charges.push(charge);
        Ok(())
    }

    fn gather_mailbox(&mut self, mailbox: &Mailbox) -> Result<(), Broken> {
        let mut rest = mailbox.open();
        loop {
            let Taken { dropped, letters, messages, charge } = mailbox.take();
            if dropped > 0 {
                self.gathered.push(Line::Dropped(mailbox.topic().to_string(), dropped));
            }
            for letter in &letters {
                match letter {
                    Letter::Messages(batch, selection, skipped) => {
                        self.gathered.extend(chosen(batch, selection, *skipped));
                    }
                    Letter::Newest(stored) => self.gathered.push(line(stored)),
                }
                if self.gathered.len() >= self.enough {
                    self.flush()?;
                }
            }
            self.charges.push(charge);
            rest = rest.saturating_sub(messages);
            if rest == 0 || letters.is_empty() {
                return Ok(());
            }
        }
    }

    fn flush(&mut self) -> Result<(), Broken> {
        self.socket.write(&mut self.gathered)?;
        for charge in self.charges.drain(..) {
            self.inbox.written(charge);
        }
        Ok(())
    }
}

fn line(stored: &Stored) -> Line {
    Line::Message(stored.topic().to_string(), said(stored.payload().source()))
}

/// Waits for the other end to be dropped, for a while that may end at any moment.
fn linger(session: &Receiver<()>) {
    while session.try_recv() != Err(TryRecvError::Disconnected) && !one_in(8) {
        yield_now();
    }
}
