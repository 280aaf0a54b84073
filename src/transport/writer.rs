//! The thread that writes to one connection.
//!
//! It owns the write half: it takes deliveries from its inbox, asks each for its bytes in the subscriber's dialect, and
//! writes as much as is waiting with one call.

use std::io::{self, ErrorKind, IoSlice, Write};
use std::net::{Shutdown, TcpStream};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use crate::broker::{Charge, Counters, Delivery, Inbox, Selection, Stored};
use crate::codec::{Batch, Dialect, Document, Frame, write_reply};
use crate::protocol::Limits;

/// A blocked write looks this often whether it should go on. Also what the socket's write timeout is set to.
pub(super) const WRITE_TICK: Duration = Duration::from_secs(1);
/// A peer that takes nothing for so long is given up.
const STALL: Duration = Duration::from_secs(30);
/// A peer whose queue overflowed, or a broker that stops, does not wait that long.
const HURRY: Duration = Duration::from_secs(5);
/// How long a connection that was ended from here may take to be ended from there as well.
const LINGER: Duration = Duration::from_secs(1);
/// What is waiting is gathered for one write until it has this many bytes or pieces.
const MAX_BYTES: usize = 256 << 10;
const MAX_PIECES: usize = 64;
/// Shorter pieces are cheaper to copy than to hand to the kernel one by one.
const WORTH_A_PIECE: usize = 4 << 10;

pub(super) struct Writer {
    stream: Arc<TcpStream>,
    /// The dispatcher holds the other end, and drops it when the connection is to end.
    inbox: Inbox,
    /// The session holds the other end, and drops it when it will not read any more.
    session: Receiver<()>,
    counters: Arc<Counters>,
    limits: Limits,
    gathered: Gathered,
    scratch: Document,
}

/// What the next write will write.
#[derive(Default)]
struct Gathered {
    pieces: Vec<Piece>,
    /// Bytes that no batch holds.
    own: Vec<u8>,
    /// To be given back once it is written.
    charges: Vec<Charge>,
    bytes: usize,
}

enum Piece {
    /// Part of a run that is shared with other writers.
    Shared(Arc<Batch>, Dialect, Range<usize>),
    /// Part of `own`.
    Own(Range<usize>),
}

impl Writer {
    pub(super) fn new(
        stream: Arc<TcpStream>,
        inbox: Inbox,
        session: Receiver<()>,
        counters: Arc<Counters>,
        limits: Limits,
    ) -> Writer {
        let gathered = Gathered::default();
        Writer { stream, inbox, session, counters, limits, gathered, scratch: Document::new() }
    }

    /// Writes until the outbox is closed and empty, or the peer is gone.
    pub(super) fn run(mut self) {
        if let Err(error) = self.write_everything() {
            tracing::debug!(%error, "the connection cannot be written to any more");
            // The session is woken by this and ends as well.
            let _ = self.stream.shutdown(Shutdown::Both);
            return;
        }
        // Whoever reads the last frame should not lose it to a reset because its own input was left unread: so first
        // only this direction ends, and the session goes on reading for a moment.
        let _ = self.stream.shutdown(Shutdown::Write);
        let _ = self.session.recv_timeout(LINGER);
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    fn write_everything(&mut self) -> io::Result<()> {
        while let Some((delivery, charge)) = self.inbox.wait() {
            self.gather(delivery, charge)?;
            while !self.gathered.is_enough()
                && let Some((delivery, charge)) = self.inbox.next_waiting()
            {
                self.gather(delivery, charge)?;
            }
            self.flush()?;
        }
        Ok(())
    }

    /// Adds a delivery to the next write; what is too much for one write is written on the way.
    fn gather(&mut self, delivery: Delivery, charge: Charge) -> io::Result<()> {
        match delivery {
            Delivery::Messages { batch, dialect, selection } => {
                self.gather_messages(&batch, dialect, &selection);
            }
            Delivery::Snapshot { values, dialect } => {
                for stored in values {
                    self.gather_stored(&stored, dialect, Frame::Retained);
                    if self.gathered.is_enough() {
                        self.flush()?;
                    }
                }
            }
            Delivery::Value { stored, dialect } => self.gather_stored(&stored, dialect, Frame::Value),
            Delivery::Reply { reply, format } => self.gathered.append(|out| write_reply(out, format, &reply)),
        }
        self.gathered.charges.push(charge);
        Ok(())
    }

    fn gather_messages(&mut self, batch: &Arc<Batch>, dialect: Dialect, selection: &Selection) {
        let run = batch.run(dialect);
        self.count_failures(run.failed());
        let bytes = batch.run_bytes(run);
        match selection {
            Selection::Whole => self.gathered.share(batch, dialect, bytes, 0..bytes.len()),
            Selection::Some(messages) => {
                // Neighbours are one piece.
                let mut piece: Option<Range<usize>> = None;
                for &message in messages {
                    let frame = run.frame(message as usize);
                    match &mut piece {
                        Some(piece) if piece.end == frame.start => piece.end = frame.end,
                        _ => {
                            if let Some(piece) = piece.replace(frame) {
                                self.gathered.share(batch, dialect, bytes, piece);
                            }
                        }
                    }
                }
                if let Some(piece) = piece {
                    self.gathered.share(batch, dialect, bytes, piece);
                }
            }
        }
    }

    fn gather_stored(&mut self, stored: &Stored, dialect: Dialect, frame: Frame) {
        let Writer { gathered, scratch, limits, .. } = self;
        let topic = stored.topic.as_str();
        let mut failed = 0;
        gathered.append(|out| {
            if stored.payload.write(out, dialect, topic, frame, scratch, limits).is_err() {
                failed = 1;
            }
        });
        self.count_failures(failed);
    }

    fn count_failures(&self, failed: usize) {
        if failed > 0 {
            Counters::add(&self.counters.encoding_failures, failed);
            tracing::error!(failed, "judged messages could not be encoded; this is a bug, please report it");
        }
    }

    /// Writes what was gathered.
    fn flush(&mut self) -> io::Result<()> {
        let runs: Vec<&[u8]> =
            self.gathered.pieces.iter().map(|piece| piece.bytes(&self.gathered.own)).collect();
        let mut slices: Vec<IoSlice<'_>> = runs.iter().map(|bytes| IoSlice::new(bytes)).collect();
        self.write_slices(&mut slices)?;
        Counters::add(&self.counters.bytes_out, self.gathered.bytes);
        for charge in self.gathered.charges.drain(..) {
            self.inbox.written(charge);
        }
        self.gathered.clear();
        Ok(())
    }

    fn write_slices(&self, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        let mut progress = Instant::now();
        let mut hurry = None;
        while !slices.is_empty() {
            // Reading a little now and then does not keep a connection that was cut off.
            if self.inbox.is_overflowed() && hurry.get_or_insert_with(Instant::now).elapsed() >= HURRY {
                return Err(ErrorKind::TimedOut.into());
            }
            match (&*self.stream).write_vectored(slices) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    IoSlice::advance_slices(&mut slices, count);
                    progress = Instant::now();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if progress.elapsed() >= STALL {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Gathered {
    fn is_enough(&self) -> bool {
        self.bytes >= MAX_BYTES || self.pieces.len() >= MAX_PIECES
    }

    /// Adds part of a run.
    fn share(&mut self, batch: &Arc<Batch>, dialect: Dialect, run: &[u8], piece: Range<usize>) {
        if piece.len() < WORTH_A_PIECE {
            self.append(|out| out.extend_from_slice(&run[piece]));
        } else {
            self.bytes += piece.len();
            self.pieces.push(Piece::Shared(batch.clone(), dialect, piece));
        }
    }

    /// Adds what `write` appends.
    fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.own.len();
        write(&mut self.own);
        let end = self.own.len();
        self.bytes += end - start;
        match self.pieces.last_mut() {
            Some(Piece::Own(last)) => last.end = end,
            _ => self.pieces.push(Piece::Own(start..end)),
        }
    }

    fn clear(&mut self) {
        self.pieces.clear();
        self.own.clear();
        self.own.shrink_to(MAX_BYTES);
        self.bytes = 0;
    }
}

impl Piece {
    fn bytes<'a>(&'a self, own: &'a [u8]) -> &'a [u8] {
        match self {
            Piece::Shared(batch, dialect, range) => &batch.run_bytes(batch.run(*dialect))[range.clone()],
            Piece::Own(range) => &own[range.clone()],
        }
    }
}
