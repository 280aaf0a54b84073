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

/// What comes after a turn, as `transport::writer` has it.
pub(super) enum After {
    Nothing,
    Busy,
    Closed,
}

/// Why a writer with a thread writes no more.
pub(super) enum End {
    Closed,
    Silent,
}

impl Writer {
    pub(super) fn new(inbox: Inbox, socket: Arc<Socket>) -> Writer {
        let enough = 1 + any(3) as usize;
        Writer { inbox, socket, gathered: Vec::new(), charges: Vec::new(), enough }
    }

    /// Ends the connection after its last line.
    pub(super) fn take_leave(&self, session: &Receiver<()>) {
        self.socket.shut_down(Shutdown::Write);
        linger(session);
        self.socket.shut_down(Shutdown::Both);
    }

    pub(super) fn give_up(&self) {
        self.socket.shut_down(Shutdown::Both);
    }

    /// Writes what waits, as long as that can be done without waiting.
    pub(super) fn take_turn(&mut self) -> Result<After, Broken> {
        for _ in 0..2 {
            let mut after = None;
            while after.is_none() && self.gathered.len() < self.enough {
                match self.inbox.look() {
                    Ok((delivery, charge)) => self.gather(delivery, charge)?,
                    Err(TryRecvError::Empty) => after = Some(After::Nothing),
                    Err(TryRecvError::Disconnected) => after = Some(After::Closed),
                }
            }
            if !self.write_at_once()? {
                return Ok(After::Busy);
            }
            if let Some(after) = after {
                return Ok(after);
            }
        }
        Ok(After::Busy)
    }

    /// Writes until the outbox is closed and empty, or, where there are many writers, nothing has
    /// come for a while.
    pub(super) fn write_everything(
        &mut self,
        is_crowded: impl Fn() -> bool,
    ) -> Result<End, Broken> {
        self.flush()?;
        loop {
            let (delivery, charge) = match self.next_delivery(&is_crowded) {
                Ok(next) => next,
                Err(TryRecvError::Disconnected) => return Ok(End::Closed),
                Err(TryRecvError::Empty) => return Ok(End::Silent),
            };
            self.gather(delivery, charge)?;
            while self.gathered.len() < self.enough
                && let Some((delivery, charge)) = self.inbox.next_waiting()
            {
                self.gather(delivery, charge)?;
            }
            self.flush()?;
        }
    }

    fn next_delivery(
        &mut self,
        is_crowded: impl Fn() -> bool,
    ) -> Result<(Delivery, Charge), TryRecvError> {
        if let Some(waiting) = self.inbox.next_waiting() {
            return Ok(waiting);
        }
        if !is_crowded() {
            return self.inbox.wait().ok_or(TryRecvError::Disconnected);
        }
        loop {
            match self.inbox.look() {
                Err(TryRecvError::Empty) if !one_in(4) => yield_now(),
                other => return other,
            }
        }
    }

    fn gather(&mut self, delivery: Delivery, charge: Charge) -> Result<(), Broken> {
        match delivery {
            Delivery::Messages { batch, selection, .. } => {
                self.gathered.extend(chosen(&batch, &selection, 0));
            }
            Delivery::Mailbox(mailbox) => self.gather_mailbox(&mailbox)?,
            Delivery::Snapshot { values, .. } => {
                self.gathered.extend(values.iter().map(|value| line(value)))
            }
            Delivery::Value { stored, .. } => self.gathered.push(line(&stored)),
            Delivery::Durable { reply, .. } | Delivery::Reply { reply, .. } => {
                self.gathered.push(line_of(&reply))
            }
            Delivery::LongSnapshot { .. }
            | Delivery::Topics { .. }
            | Delivery::Report { .. }
            | Delivery::Names(_)
            | Delivery::Backup { .. } => {
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

    /// Writes what the socket takes at once; returns whether that is all.
    fn write_at_once(&mut self) -> Result<bool, Broken> {
        if !self.gathered.is_empty() && !self.socket.write_some(&mut self.gathered)? {
            return Ok(false);
        }
        self.flush()?;
        Ok(true)
    }

    fn flush(&mut self) -> Result<(), Broken> {
        if !self.gathered.is_empty() {
            self.socket.write(&mut self.gathered)?;
        }
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
