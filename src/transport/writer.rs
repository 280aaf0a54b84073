//! The thread that writes to one connection.
//!
//! It owns the write half: it takes deliveries from its inbox, asks each for its bytes in the subscriber's dialect, and
//! writes as much as is waiting with one call. Where there are many writers, one that is silent has no thread, and writes
//! in turns of the [`pool`](super::pool) that never wait.

use std::io::{self, ErrorKind, IoSlice, Write};
use std::mem;
use std::net::{Shutdown, TcpStream};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError};

use super::gathered::{Gathered, MAX_BYTES};
use super::list::{List, Listed};
use super::patience::{LEAST_TAKEN, Patience, WRITE_TICK};
use super::process::resident_bytes;
use super::server::Config;
use crate::broker::{
    Charge, ClientId, Counters, Delivery, Inbox, Letter, Mailbox, Piece, Selection, Stored, Taken,
};
use crate::codec::{
    Account, Batch, Claim, Content, DECODING_FACTOR, Dialect, Document, Frame, PayloadRef, write_backup,
    write_reply, write_stats,
};
use crate::protocol::{ErrorCode, Limits, Reply, plain_size};

/// How long a connection that was ended from here may take to be ended from there as well.
const LINGER: Duration = Duration::from_secs(1);

/// Where there are many writers, one that was given nothing for so long does without a thread.
const SILENT_AFTER: Duration = Duration::from_secs(1);
/// Writes that are made in a turn; who has more to write than that is busy.
const WRITES_OF_A_TURN: usize = 4;

/// Memory for encoding that a writer keeps while it waits.
pub(super) const IDLE_BYTES: usize = 16 << 10;

#[derive(Debug)]
pub(super) struct Writer {
    /// Whom it writes to, for the log.
    client: ClientId,
    stream: Arc<TcpStream>,
    /// The dispatcher holds the other end, and drops it when the connection is to end.
    inbox: Inbox,
    /// The session holds the other end, and drops it when it will not read any more.
    session: Receiver<()>,
    counters: Arc<Counters>,
    limits: Limits,
    patience: Patience,
    gathered: Gathered,
    /// Bytes of what was gathered that are written.
    written: usize,
    /// Has to be waited for, which a turn does not.
    pending: Option<(Delivery, Charge)>,
    /// Whether it writes in a turn.
    in_turn: bool,
    /// Since when it needs a thread, there is none, and nothing was written.
    without_thread: Option<Instant>,
    scratch: Document,
    /// Of what may be used for writing.
    account: Account,
    /// Memory for what is gathered, while there is something to write.
    page: Claim,
    /// Memory that a long answer takes while it is written.
    answer: Claim,
    /// The session waits for this to be dropped before it ends.
    _alive: Sender<()>,
}

/// What comes after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// Nothing waits.
    Nothing,
    /// More than a turn can do.
    Busy,
    /// Everything was written, and nothing will come.
    Closed,
}

/// Why a writer with a thread writes no more.
enum End {
    /// Everything was written, and nothing will come.
    Closed,
    /// Nothing came for a while, and there are many writers.
    Silent,
}

impl Writer {
    pub(super) fn new(
        client: ClientId,
        stream: Arc<TcpStream>,
        inbox: Inbox,
        session: Receiver<()>,
        counters: Arc<Counters>,
        config: &Config,
        alive: Sender<()>,
        account: Account,
    ) -> Box<Writer> {
        let Config { limits, write_timeout, .. } = *config;
        Box::new(Writer {
            client,
            stream,
            inbox,
            session,
            counters,
            limits,
            patience: Patience::new(client, write_timeout),
            gathered: Gathered::default(),
            written: 0,
            pending: None,
            in_turn: false,
            without_thread: None,
            scratch: Document::new(),
            account,
            page: Claim::nothing(),
            answer: Claim::nothing(),
            _alive: alive,
        })
    }

    pub(super) fn client(&self) -> ClientId {
        self.client
    }

    pub(super) fn stream(&self) -> &Arc<TcpStream> {
        &self.stream
    }

    /// Writes until the outbox is closed and empty, or the peer is gone. Returns a writer that has had nothing to write for
    /// a while, where there are many of them.
    pub(super) fn run(mut self: Box<Writer>, is_crowded: impl Fn() -> bool) -> Option<Box<Writer>> {
        match self.write_everything(is_crowded) {
            Ok(End::Closed) => self.take_leave(),
            Ok(End::Silent) => return Some(self),
            Err(error) => self.give_up(&error),
        }
        None
    }

    /// Ends a connection that cannot be written to.
    pub(super) fn give_up(&self, error: &io::Error) {
        tracing::debug!(client = %self.client, %error, "the connection cannot be written to any more");
        // The session is woken by this and ends as well.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Ends a connection after its last frame.
    fn take_leave(&self) {
        // Whoever reads the last frame should not lose it to a reset because its own input was left unread: so first
        // only this direction ends, and the session goes on reading for a moment.
        let _ = self.stream.shutdown(Shutdown::Write);
        let _ = self.session.recv_timeout(LINGER);
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// As [`take_leave`](Self::take_leave), if that takes no time; otherwise the writer needs a thread for it.
    pub(super) fn end_at_once(self: Box<Writer>) -> Option<Box<Writer>> {
        if self.session.try_recv() != Err(TryRecvError::Disconnected) {
            return Some(self);
        }
        let _ = self.stream.shutdown(Shutdown::Both);
        None
    }

    /// Begins a turn; what comes from now on is known at its end.
    pub(super) fn begin_turn(&self) {
        self.inbox.begin_turn();
    }

    /// Ends a turn; false if something has come since it began.
    pub(super) fn end_turn(&self) -> bool {
        self.inbox.end_turn()
    }

    /// Says that this writer waits for its inbox from now on.
    pub(super) fn keep_turn(&mut self) {
        self.without_thread = None;
        self.inbox.keep_turn();
    }

    /// Says that there is no thread for it. Returns whether that is news.
    ///
    /// # Errors
    /// When it need not go on: its peer takes nothing, or what remains to be done takes a thread, and its session is over.
    pub(super) fn do_without_thread(&mut self) -> io::Result<bool> {
        let is_news = self.without_thread.is_none();
        let since = *self.without_thread.get_or_insert_with(Instant::now);
        // A session that is over waits for its writer, and has a thread: perhaps the one that is missing.
        if self.session.try_recv() == Err(TryRecvError::Disconnected) {
            self.patience.last_in_a_hurry(since)?;
        }
        if self.gathered.bytes > 0 {
            self.patience.last(since, &self.inbox, &self.counters)?;
        }
        Ok(is_news)
    }

    /// Writes what waits, as long as that can be done without waiting.
    pub(super) fn take_turn(&mut self) -> io::Result<After> {
        self.in_turn = true;
        let after = self.write_in_turn();
        self.in_turn = false;
        if matches!(after, Ok(After::Nothing)) {
            self.shrink();
        }
        after
    }

    fn write_in_turn(&mut self) -> io::Result<After> {
        for _ in 0..WRITES_OF_A_TURN {
            self.claim_page();
            let mut after = None;
            while after.is_none() && self.pending.is_none() && !self.gathered.is_enough() {
                match self.inbox.look() {
                    Ok((delivery, charge)) if delivery.may_take_time() => {
                        self.pending = Some((delivery, charge));
                    }
                    Ok((delivery, charge)) => self.gather(delivery, charge)?,
                    Err(TryRecvError::Empty) => after = Some(After::Nothing),
                    Err(TryRecvError::Disconnected) => after = Some(After::Closed),
                }
            }
            if !self.write_at_once()? || self.pending.is_some() {
                return Ok(After::Busy);
            }
            if let Some(after) = after {
                return Ok(after);
            }
        }
        Ok(After::Busy)
    }

    fn write_everything(&mut self, is_crowded: impl Fn() -> bool) -> io::Result<End> {
        // What the last turn has left.
        self.flush()?;
        loop {
            let next = match self.pending.take() {
                Some(pending) => Ok(pending),
                None => self.next_delivery(&is_crowded),
            };
            let (delivery, charge) = match next {
                Ok(next) => next,
                Err(TryRecvError::Disconnected) => return Ok(End::Closed),
                Err(TryRecvError::Empty) => return Ok(End::Silent),
            };
            self.claim_page();
            self.gather(delivery, charge)?;
            while !self.gathered.is_enough()
                && let Some((delivery, charge)) = self.inbox.next_waiting()
            {
                self.gather(delivery, charge)?;
            }
            self.flush()?;
        }
    }

    /// Waits for the next delivery, for a while where there are many writers.
    fn next_delivery(&mut self, is_crowded: impl Fn() -> bool) -> Result<(Delivery, Charge), TryRecvError> {
        if let Some(waiting) = self.inbox.next_waiting() {
            return Ok(waiting);
        }
        self.shrink();
        if is_crowded() {
            return self.inbox.wait_until(Instant::now() + SILENT_AFTER);
        }
        self.inbox.wait().ok_or(TryRecvError::Disconnected)
    }

    /// Gives memory back before it waits. Who knows for how long: there may be thousands of writers that wait.
    fn shrink(&mut self) {
        self.gathered.shrink();
        self.page = Claim::nothing();
        if self.scratch.weight() > IDLE_BYTES {
            self.scratch = Document::new();
        }
    }

    /// Claims memory for as much as is gathered for one write; where there is none, it is gathered in small pieces.
    fn claim_page(&mut self) {
        if self.page.bytes() == 0 {
            let page = self.account.try_claim(MAX_BYTES);
            self.gathered.is_short = page.is_none();
            self.page = page.unwrap_or_default();
        }
    }

    /// Adds a delivery to the next write; what is too much for one write is written on the way.
    fn gather(&mut self, delivery: Delivery, charge: Charge) -> io::Result<()> {
        match delivery {
            Delivery::Messages { batch, dialect, selection } => {
                self.gather_messages(&batch, dialect, &selection, 0)?;
            }
            Delivery::Mailbox(mailbox) => self.gather_mailbox(&mailbox)?,
            Delivery::Snapshot { values, dialect } => self.gather_values(&values, dialect)?,
            Delivery::Walk { pieces, topic, dialect } => {
                let (mut sent, mut whole) = (0, false);
                while let Some(piece) = self.next_piece(&pieces)? {
                    sent += piece.values.len() as u64;
                    whole = piece.last;
                    self.gather_values(&piece.values, dialect)?;
                }
                if whole {
                    let reply = Reply::Subscribed { topic, values: sent };
                    self.gathered.append(|out| write_reply(out, dialect.format(), &reply));
                }
            }
            Delivery::Topics { pieces, format } => {
                let mut list = List::new(format, &self.limits, &self.account);
                while let Some(piece) = self.next_piece(&pieces)? {
                    list.add(&piece);
                }
                self.gather_list(list)?;
            }
            Delivery::Value { stored, dialect } => self.gather_stored(&stored, dialect, Frame::Value)?,
            Delivery::Durable { ticket, reply, format } => {
                // What was gathered does not wait for the disk.
                if !ticket.is_ready() {
                    self.flush()?;
                }
                let reply = ticket.wait().map_or_else(Reply::Error, |()| reply);
                self.gathered.append(|out| write_reply(out, format, &reply));
            }
            Delivery::Backup { made, format } => {
                self.flush()?;
                match made.wait() {
                    Ok(name) => self.gathered.append(|out| write_backup(out, format, &name)),
                    Err(refusal) => {
                        self.gathered.append(|out| write_reply(out, format, &Reply::Error(refusal)))
                    }
                }
            }
            Delivery::Report { report, format } => {
                let stats = report.complete(&self.counters, resident_bytes());
                self.gathered.append(|out| write_stats(out, format, &stats));
            }
            Delivery::Reply { reply, format } => self.gathered.append(|out| write_reply(out, format, &reply)),
        }
        self.gathered.charges.push(charge);
        Ok(())
    }

    /// Adds the answer to a `list` of many topics, unless the connection was cut off before it was whole.
    fn gather_list(&mut self, list: List) -> io::Result<()> {
        let Some(Listed { format, reply, encoded, mut memory }) = list.finish() else { return Ok(()) };
        // What is long is written by itself.
        self.flush()?;
        self.gathered.own.reserve(encoded);
        self.gathered.append(|out| write_reply(out, format, &reply));
        drop(reply);
        memory.shrink_to(self.gathered.own.capacity());
        self.answer = memory;
        self.flush()
    }

    /// The next of many stored values, or `None` behind the last. What was gathered does not wait for it.
    fn next_piece(&mut self, pieces: &Receiver<Piece>) -> io::Result<Option<Piece>> {
        match pieces.try_recv() {
            Ok(piece) => Ok(Some(piece)),
            Err(TryRecvError::Disconnected) => Ok(None),
            Err(TryRecvError::Empty) => {
                self.flush()?;
                Ok(pieces.recv().ok())
            }
        }
    }

    fn gather_values(&mut self, values: &[Stored], dialect: Dialect) -> io::Result<()> {
        for stored in values {
            // Who was cut off gets no more of it.
            if self.inbox.is_overflowed() {
                break;
            }
            self.gather_stored(stored, dialect, Frame::Retained)?;
            self.flush_enough()?;
        }
        Ok(())
    }

    /// Adds what a mailbox held at this moment, or what took its place meanwhile.
    fn gather_mailbox(&mut self, mailbox: &Mailbox) -> io::Result<()> {
        let dialect = mailbox.dialect();
        let mut rest = mailbox.open();
        loop {
            let Taken { dropped, letters, messages, charge } = mailbox.take();
            if dropped > 0 {
                let reply = Reply::Dropped { topic: mailbox.topic().clone(), count: dropped };
                self.gathered.append(|out| write_reply(out, dialect.format(), &reply));
            }
            for letter in &letters {
                if self.inbox.is_overflowed() {
                    break;
                }
                match letter {
                    Letter::Messages(batch, selection, skipped) => {
                        self.gather_messages(batch, dialect, selection, *skipped)?;
                    }
                    Letter::Newest(stored) => self.gather_stored(stored, dialect, Frame::Live)?,
                }
                self.flush_enough()?;
            }
            self.gathered.charges.push(charge);
            rest = rest.saturating_sub(messages);
            if rest == 0 || letters.is_empty() {
                return Ok(());
            }
        }
    }

    /// Adds messages of a batch, without the first `skipped` of them.
    fn gather_messages(
        &mut self,
        batch: &Arc<Batch>,
        dialect: Dialect,
        selection: &Selection,
        skipped: usize,
    ) -> io::Result<()> {
        let run = batch.run(dialect);
        self.count_failures(run.failed());
        Counters::add(&self.counters.translated, run.take_translated());
        let bytes = batch.run_bytes(run);
        if selection == &Selection::Whole && skipped == 0 && !batch.expands() {
            self.gathered.share(batch, dialect, bytes, 0..bytes.len());
            return Ok(());
        }
        let messages: &mut dyn Iterator<Item = usize> = match selection {
            Selection::Whole => {
                &mut (0..batch.messages().len()).filter(|message| batch.is_wanted(dialect, *message))
            }
            Selection::Some(messages) => &mut messages.iter().map(|message| *message as usize),
        };
        // Neighbours are one piece.
        let mut piece: Range<usize> = 0..0;
        for message in messages.skip(skipped) {
            let frame = batch.frame(run, message);
            if piece.end == frame.start {
                piece.end = frame.end;
            } else {
                self.gathered.share(batch, dialect, bytes, mem::replace(&mut piece, frame));
            }
            let published = &batch.messages()[message];
            if published.expands() {
                self.gathered.share(batch, dialect, bytes, mem::replace(&mut piece, 0..0));
                let topic = batch.topics().get(published.topic());
                self.gather_payload(batch.payload(message), topic.as_str(), dialect, Frame::Live)?;
            }
        }
        self.gathered.share(batch, dialect, bytes, piece);
        Ok(())
    }

    /// Adds a stored value.
    fn gather_stored(&mut self, stored: &Stored, dialect: Dialect, frame: Frame) -> io::Result<()> {
        self.gather_payload(stored.payload(), stored.topic().as_str(), dialect, frame)
    }

    /// Adds a message that no batch has written. A long one is written by itself, in memory that is claimed for it.
    fn gather_payload(
        &mut self,
        payload: PayloadRef<'_>,
        topic: &str,
        dialect: Dialect,
        frame: Frame,
    ) -> io::Result<()> {
        if let Some(content) = payload.as_it_came(dialect) {
            self.make_room(payload.source().len())?;
            self.gathered.append(|out| frame.write(out, dialect, topic, content));
        } else {
            let length = payload.source().len();
            for decoded in [plain_size(length), self.limits.decoded_budget(length), usize::MAX] {
                // What it is encoded to takes about as much again.
                self.make_room(decoded.saturating_mul(DECODING_FACTOR + 1))?;
                let Writer { gathered, scratch, limits, .. } = self;
                scratch.clear();
                match payload.decode_within(scratch, limits, decoded) {
                    Ok(root) => {
                        let content = Content::Decoded(scratch.view(payload.source(), root));
                        gathered.append(|out| frame.write(out, dialect, topic, content));
                        break;
                    }
                    Err(refusal) if refusal.code == ErrorCode::TooLarge && decoded < usize::MAX => {}
                    Err(_) => {
                        self.count_failures(1);
                        break;
                    }
                }
            }
            self.scratch.clear();
        }
        if self.answer.bytes() > 0 && !self.in_turn {
            self.answer.shrink_to(self.gathered.own.capacity());
            self.flush()?;
        }
        Ok(())
    }

    /// Makes room for so many bytes of a stored value: where these are many, what was gathered is written first, and memory
    /// for them is waited for.
    fn make_room(&mut self, bytes: usize) -> io::Result<()> {
        if bytes <= MAX_BYTES {
            return Ok(());
        }
        let bytes = bytes.min(self.account.share().most_for_one());
        if self.in_turn {
            // A turn waits for nothing, and is given nothing that is long.
            self.answer = self.account.charge(bytes + self.answer.bytes());
            return Ok(());
        }
        self.flush()?;
        let began = Instant::now();
        self.answer = loop {
            if let Some(claim) = self.account.claim(bytes, WRITE_TICK) {
                break claim;
            }
            self.patience.last_without_memory(began, &self.inbox)?;
        };
        Ok(())
    }

    fn count_failures(&self, failed: usize) {
        if failed > 0 {
            Counters::add(&self.counters.encoding_failures, failed);
            tracing::error!(client = %self.client, failed, "judged messages could not be encoded; this is a bug, please report it");
        }
    }

    /// Writes what was gathered if it is enough for a write.
    fn flush_enough(&mut self) -> io::Result<()> {
        // What is gathered in a turn is written at its end.
        if self.gathered.is_enough() && !self.in_turn { self.flush() } else { Ok(()) }
    }

    /// Writes what was gathered.
    fn flush(&mut self) -> io::Result<()> {
        if self.gathered.bytes > 0 {
            let mut slices = self.gathered.slices();
            let mut rest = slices.as_mut_slice();
            IoSlice::advance_slices(&mut rest, self.written);
            self.write_slices(rest)?;
        }
        self.note_written();
        Ok(())
    }

    /// Writes what was gathered as far as the socket takes it at once. Returns whether that is all.
    fn write_at_once(&mut self) -> io::Result<bool> {
        let before = self.written;
        self.written = self.gathered.send_at_once(&self.stream, before)?;
        if self.written > before {
            self.without_thread = None;
        }
        if self.written < self.gathered.bytes {
            return Ok(false);
        }
        self.note_written();
        Ok(true)
    }

    fn note_written(&mut self) {
        self.written = 0;
        self.answer = Claim::nothing();
        Counters::add(&self.counters.bytes_out, self.gathered.bytes);
        for charge in self.gathered.charges.drain(..) {
            self.inbox.written(charge);
        }
        self.gathered.clear();
    }

    /// Whether a long answer is being written while others wait for the memory that it takes.
    fn is_in_the_way(&self) -> bool {
        self.answer.bytes() > LEAST_TAKEN && self.account.share().is_wanted()
    }

    fn write_slices(&self, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        let (began, mut taken) = (Instant::now(), 0);
        let mut progress = began;
        while !slices.is_empty() {
            self.patience.last(progress, &self.inbox, &self.counters)?;
            if self.is_in_the_way() {
                self.patience.last_in_a_hurry(began)?;
            }
            match (&*self.stream).write_vectored(slices) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    IoSlice::advance_slices(&mut slices, count);
                    taken += count;
                    // A byte now and then is no progress.
                    if taken >= LEAST_TAKEN {
                        (progress, taken) = (Instant::now(), 0);
                    }
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut => {}
                    _ => return Err(error),
                },
            }
        }
        Ok(())
    }
}
