//! The thread that reads from one connection.

mod awake;
mod http;
mod login;
mod memory;
mod mqtt;
mod writing;

use std::io::{self, ErrorKind};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::allowances::Permit;
use super::connections::Connections;
use super::guards::CountPanic;
use super::line::{Arrived, Close, Incoming, Line, Outgoing};
use super::pace::{HURRIED, Pace};
use super::priority::{CROWD, give_way};
use super::purse::{Purse, SMALL_BUFFER};
use super::refusal_log::RefusalLog;
use super::shared::Shared;
use super::users::Member;
use crate::broker::sync::{Instant, Sender, bounded};
use crate::broker::{ClientId, Control, Counters, Event, Peer, Step};
use crate::codec::{Claim, release_scratch};
use crate::protocol::{
    ErrorCode, Format, FrameBuffer, FrameFault, HEADER_LEN, Limits, NextSize, Refusal, whole_frames,
};
use crate::wire::{Taken, take_in, token_of};
use awake::Awake;
use http::Http;
use login::Goes;
use memory::Remembered;
use mqtt::Mqtt;
use writing::RunningWriter;

/// Reads that a session still makes after the broker was told to stop, for what had arrived by
/// then.
const LAST_READS: usize = 16;
/// Bytes that a frame may have before its client has logged in.
const LOGIN_FRAME: u32 = 4 << 10;
/// Bytes of memory that it may be read to: a login needs no permit to expand, and gets none.
const LOGIN_DECODED: usize = 16 << 10;
/// How often a session that waits for a permit looks whether its client is still there.
const PERMIT_TICK: Duration = Duration::from_secs(1);
/// How long a client whose handshake failed is listened to, so that it hears why.
const FAREWELL: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Session {
    client: ClientId,
    peer: Peer,
    incoming: Incoming,
    /// The end that the writer will have.
    outgoing: Option<Outgoing>,
    line: Line,
    /// The dispatcher holds the other end. It blocks while the dispatcher is behind, and with it
    /// the reading, and with that the producer.
    events: Sender<Event>,
    shared: Arc<Shared>,
    /// Dropped with the session; the broker waits for all of these when it stops.
    _alive: Sender<()>,
    writer: Option<RunningWriter>,
    /// The dispatcher may know it without a writer: by what it has published.
    has_sent: bool,
    buffer: FrameBuffer,
    purse: Purse,
    permit: Option<Permit>,
    /// Bytes still to come of a frame that was refused before it was there as a whole.
    skip: usize,
    recent: Remembered,
    refusal_log: RefusalLog,
    /// Who the client is, once that was asked.
    member: Option<Member>,
    /// When it must have logged in, if it must.
    log_in_until: Option<Instant>,
    /// Whether only clients on this machine can connect as it has.
    is_of_this_machine: bool,
    /// Whether its connection is sealed by TLS.
    is_tls: bool,
    /// When it was parked, if it was.
    parked: Option<Instant>,
    /// While its client speaks HTTP.
    http: Option<Box<Http>>,
    /// While its client speaks MQTT.
    mqtt: Option<Box<Mqtt>>,
}

/// Why a session stops reading.
enum Pause {
    /// The connection is over.
    Over,
    /// The client has sent nothing for a while.
    Idle,
}

impl Session {
    pub(super) fn new(
        client: ClientId,
        peer: Peer,
        (incoming, outgoing): (Incoming, Outgoing),
        events: Sender<Event>,
        shared: Arc<Shared>,
        alive: Sender<()>,
        purse: Purse,
    ) -> Box<Session> {
        let (writer, buffer) = (None, FrameBuffer::new());
        let recent = Remembered::new(shared.spares.clone(), purse.workspace());
        Box::new(Session {
            client,
            peer,
            line: outgoing.line().clone(),
            incoming,
            outgoing: Some(outgoing),
            has_sent: false,
            events,
            shared,
            _alive: alive,
            writer,
            buffer,
            purse,
            permit: None,
            skip: 0,
            recent,
            refusal_log: RefusalLog::default(),
            member: None,
            log_in_until: None,
            is_of_this_machine: false,
            is_tls: false,
            parked: None,
            http: None,
            mqtt: None,
        })
    }

    pub(super) fn client(&self) -> ClientId {
        self.client
    }

    pub(super) fn connections(&self) -> &Connections {
        &self.shared.connections
    }

    pub(super) fn line(&self) -> &Line {
        &self.line
    }

    /// Reads until the connection ends; before that, the session where its client falls silent.
    pub(super) fn run(mut self: Box<Session>) -> Option<Box<Session>> {
        match self.read_until_pause() {
            Pause::Over => None,
            Pause::Idle => {
                // A buffer is made again when there is something to read.
                self.buffer.release();
                self.recent.forget();
                self.purse.note_buffer(0);
                self.parked = Some(Instant::now());
                Some(self)
            }
        }
    }

    fn read_until_pause(&mut self) -> Pause {
        let awake = Awake::new(self.shared.clone(), self.parked);
        let (client, peer) = (self.client, self.peer);
        let read = self.read_frames(&awake);
        if self.shared.stopping.load(Ordering::Acquire) {
            self.incoming.end_with(Close::GOING_AWAY);
        }
        match read {
            Ok(Pause::Idle) => return Pause::Idle,
            Ok(Pause::Over) => {
                self.refusal_log.end();
                tracing::debug!(%client, %peer, "disconnected");
            }
            Err(error) => {
                // The keepalive found nobody.
                if error.kind() == ErrorKind::TimedOut {
                    Counters::add(&self.shared.counters.vanished, 1);
                }
                self.refusal_log.end();
                tracing::debug!(%client, %peer, %error, "disconnected");
            }
        }
        Pause::Over
    }

    /// Takes in what has arrived, when the broker stops, and lets go of the dispatcher. It does not
    /// wait: the socket was shut down for reading.
    pub(super) fn finish(&mut self) {
        while matches!(self.read_until_pause(), Pause::Idle) {}
        self.let_go();
    }

    /// Says that the connection is over, and lets go of the dispatcher.
    pub(super) fn take_leave(&mut self) {
        let stopping = self.shared.stopping.load(Ordering::Acquire);
        // While the broker stops, subscriptions stay until the last message is routed: the
        // dispatcher closes every outbox when all sessions have let go of its channel.
        if !stopping && (self.writer.is_some() || self.is_asking() || self.has_sent) {
            let _ = self.events.send(Event::Detach { client: self.client });
        }
        self.let_go();
    }

    /// Lets go of the dispatcher, which ends when all have.
    fn let_go(&mut self) {
        let (closed, _) = bounded(0);
        drop(std::mem::replace(&mut self.events, closed));
    }

    fn read_frames(&mut self, awake: &Awake) -> io::Result<Pause> {
        self.shake_hands()?;
        if self.http.is_some()
            && let Some(pause) = self.serve_http(awake)?
        {
            return Ok(pause);
        }
        if self.mqtt.is_some() {
            return self.serve_mqtt(awake);
        }
        if self.member.is_none() {
            self.log_in_until = Some(Instant::now() + self.shared.config.login_timeout);
            if self.identify()? == Goes::NoFurther {
                return self.discard_input();
            }
        }
        let frame_timeout = self.shared.config.frame_timeout;
        let to_log_in =
            self.must_log_in_until().map(|at| at.saturating_duration_since(Instant::now()));
        let patience = awake.park_after().min(frame_timeout);
        self.incoming.set_patience(patience.min(to_log_in.unwrap_or(patience)))?;
        let mut last_reads = 0;
        // How long the rest of a frame was waited for.
        let mut waited = Duration::ZERO;
        // The same for memory to put it in.
        let mut starved = Duration::ZERO;
        let mut is_amid_frame = false;
        let mut pace = Pace::new();
        loop {
            if self.shared.stopping.load(Ordering::Acquire) {
                last_reads += 1;
                if last_reads > LAST_READS {
                    return Ok(Pause::Over);
                }
            }
            // A session that holds memory for the rest of a frame looks now and then whether
            // somebody waits for it.
            if is_amid_frame != self.is_amid_frame() {
                is_amid_frame = !is_amid_frame;
                let patience = if is_amid_frame { HURRIED } else { awake.park_after() };
                self.incoming.set_patience(patience.min(frame_timeout))?;
            }
            if self.must_log_in_until().is_some_and(|at| at <= Instant::now()) {
                self.refuse_stranger()?;
                return self.discard_input();
            }
            let in_the_way = is_amid_frame && self.purse.is_wanted();
            self.buffer.grow_to(awake.share_of_reads());
            let next = self.buffer.next_size();
            let frame = self.unfinished(self.buffer.size());
            let Some(size) = self.make_room(next, frame, &mut starved) else {
                (waited, starved) = (Duration::ZERO, Duration::ZERO);
                self.refuse_frame()?;
                continue;
            };
            let has_begun = !self.buffer.bytes().is_empty() || self.incoming.is_amid();
            // Records without plain text are waited for each by itself.
            if !has_begun && self.skip == 0 {
                waited = Duration::ZERO;
            }
            let begun = has_begun.then(Instant::now);
            let arrived = self.incoming.read(&mut self.buffer, size);
            waited += begun.map_or(Duration::ZERO, |begun| begun.elapsed());
            if self.incoming.has_answer() {
                self.let_line_answer()?;
            }
            match arrived.or_else(|error| self.hang_up(error))? {
                Arrived::End => return Ok(Pause::Over),
                Arrived::Bytes(count) => {
                    Counters::add(&self.shared.counters.bytes_in, count);
                    pace.note(count);
                }
                Arrived::Progress => {}
                Arrived::Silent if begun.is_none() => return Ok(Pause::Idle),
                Arrived::Silent => {}
            }
            // The answers would be looked up, and nobody would be told.
            if self.writer.as_ref().is_some_and(|writer| writer.fate.is_cut_off()) {
                return self.discard_input();
            }
            if self.skip > 0 {
                let skipped = self.skip.min(self.buffer.bytes().len());
                self.buffer.take(skipped);
                self.skip -= skipped;
                if self.skip == 0 {
                    waited = Duration::ZERO;
                }
            }
            let mut taken = self.take_frames()?;
            if taken.whole > 0 {
                (waited, starved) = (Duration::ZERO, Duration::ZERO);
                pace = Pace::new();
            }
            loop {
                if taken.is_last {
                    return self.discard_input();
                }
                if let Some(login) = taken.login.take()
                    && self.log_in(&login)? == Goes::NoFurther
                {
                    return self.discard_input();
                }
                if !taken.more {
                    break;
                }
                taken = self.take_frames()?;
            }
            if awake.is_crowded() || self.purse.is_wanted() {
                // Of many, most will wait for long; and what is empty is in the way of frames that
                // have begun.
                self.buffer.release();
                release_scratch();
            }
            let size = self.buffer.size();
            self.purse.note_buffer(size.max(self.unfinished(size)));
            if let Some(fault) = taken.fault {
                let format = fault.answer_in();
                self.refuse(self.explain(fault), format)?;
                return self.discard_input();
            }
            let timeout = if in_the_way
                && pace.is_slow(Instant::now(), self.buffer.announced().unwrap_or(0))
            {
                HURRIED
            } else {
                frame_timeout
            };
            if waited >= timeout.min(frame_timeout) {
                Counters::add(&self.shared.counters.frame_timeouts, 1);
                let (refusal, format) = unfinished(self.buffer.bytes(), timeout.min(frame_timeout));
                self.refuse(refusal, format)?;
                return self.discard_input();
            }
        }
    }

    /// Does what comes before the first frame where the connection is sealed, unless that is done.
    fn shake_hands(&mut self) -> io::Result<()> {
        // A connection that has its writer has had a frame.
        let Some(outgoing) = &mut self.outgoing else { return Ok(()) };
        let until = Instant::now() + self.shared.config.frame_timeout;
        let (client, peer) = (self.client, self.peer);
        let handshakes = &self.shared.handshakes;
        let error = match self.incoming.shake_hands(outgoing, handshakes, until) {
            Ok(is_new) => {
                if is_new && let Some(name) = self.incoming.certificate_name() {
                    tracing::debug!(%client, %peer, name, "client certificate");
                }
                return Ok(());
            }
            Err(error) => error,
        };
        // One that is ended from here has not failed.
        if !self.shared.stopping.load(Ordering::Acquire) {
            Counters::add(&self.shared.counters.failed_handshakes, 1);
            handshakes.log_failure(client, peer, &error);
        }
        // Its client was told what is wrong, and may still be sending.
        if error.kind() == ErrorKind::InvalidData {
            outgoing.end();
            self.incoming.discard_for(FAREWELL);
        }
        Err(error)
    }

    /// How many messages are published, where a rate is to be kept.
    fn published_in(&self, steps: &[Step]) -> usize {
        let of = |step: &Step| match step {
            Step::Publish(batch) => batch.messages().len(),
            Step::Clear(_) => 1,
            Step::Settle(_) | Step::Control(..) => 0,
        };
        if self.has_rates() { steps.iter().map(of).sum() } else { 0 }
    }

    /// What a frame may be: before a login not much.
    fn limits(&self) -> Limits {
        let limits = self.shared.config.limits;
        if self.awaits_login() {
            let decoded = limits.decoded_size.min(LOGIN_DECODED);
            limits.max_frame(limits.max_frame.min(LOGIN_FRAME)).decoded_size(decoded)
        } else {
            limits
        }
    }

    /// Takes whole frames out of the buffer, and sends what they come to.
    fn take_frames(&mut self) -> io::Result<Taken> {
        let limits = self.limits();
        let whole = whole_frames(self.buffer.bytes(), limits.max_frame);
        if whole > 0 {
            give_way(whole, self.shared.awake.load(Ordering::Relaxed) > CROWD);
            // A session that waits for memory here holds nothing but its frames.
            let flight = self.purse.fly(self.recent.get().room(whole), &self.events, &self.shared);
            self.recent.get().hold(flight);
            let [shapes, open] =
                [self.shared.shapes.load(Ordering::Relaxed), self.shared.counters.open()];
            self.recent.get().note_audience(shapes, open);
        }
        // Behind all that was waited for: who has lost a right meanwhile has lost it here.
        if self.renew_rights()? == Goes::NoFurther {
            return Ok(Taken::last());
        }
        let mut taken = take_in(self.buffer.bytes(), limits, self.recent.get());
        // Each batch has taken its part.
        self.recent.get().hold(Claim::nothing());
        self.recent.get().permit(false);
        if taken.whole > 0 {
            self.buffer.take(taken.whole);
            if taken.refused > 0 {
                Counters::add(&self.shared.counters.refused, taken.refused);
                self.refusal_log.log((self.client, self.peer), &taken.steps);
            }
            // While the store is full, a publisher may have to be told that it was refused.
            if taken.needs_answer || self.shared.store_full.load(Ordering::Relaxed) {
                self.attach()?;
            }
            if taken.is_last {
                self.incoming.end_with(Close::refused());
            }
            self.has_sent |= !taken.steps.is_empty();
            let messages = self.published_in(&taken.steps);
            self.send(mem::take(&mut taken.steps), taken.cost);
            taken.is_last |= self.keep_to_rates(messages, taken.whole)? == Goes::NoFurther;
        }
        if taken.extra > 0 {
            self.shared.allowances.spend(self.peer.origin(), taken.whole, taken.extra);
        }
        self.permit = None;
        if taken.needs_permit {
            self.wait_for_permit()?;
            taken.more = true;
        }
        Ok(taken)
    }

    /// Waits until a message may be decoded to far more than its length explains.
    ///
    /// # Errors
    /// When the client is gone meanwhile, or the broker stops.
    #[cold]
    fn wait_for_permit(&mut self) -> io::Result<()> {
        loop {
            // A message that is decoded to so much more has no time left.
            if self.shared.stopping.load(Ordering::Acquire) {
                return Err(ErrorKind::ConnectionAborted.into());
            }
            self.permit = self.shared.allowances.permit(self.peer.origin(), PERMIT_TICK);
            if self.permit.is_some() {
                break;
            }
            if self.line.is_gone(self.purse.is_crowded()) {
                return Err(ErrorKind::ConnectionReset.into());
            }
        }
        self.recent.get().permit(true);
        Ok(())
    }

    /// What is wrong with a frame, to whoever sent it.
    fn explain(&self, fault: FrameFault) -> Refusal {
        let refusal = Refusal::from(fault);
        if !self.awaits_login() || refusal.code != ErrorCode::FrameTooLarge {
            return refusal;
        }
        let reason =
            format!("log in before anything else, in a frame of {LOGIN_FRAME} bytes at most");
        Refusal::new(ErrorCode::LoginRequired, reason)
    }

    /// Says what is wrong with the stream of frames; it is the last that the client hears.
    fn refuse(&mut self, refusal: Refusal, format: Format) -> io::Result<()> {
        tracing::info!(client = %self.client, peer = %self.peer, reason = %refusal, "connection \
        refused");
        Counters::add(&self.shared.counters.refused, 1);
        self.incoming.end_with(match refusal.code {
            ErrorCode::FrameTooLarge => Close::too_big(),
            _ => Close::refused(),
        });
        self.attach()?;
        self.send(vec![Step::Control(token_of(format), Control::Refuse { refusal })], 0);
        Ok(())
    }

    /// The size that the buffer is to have for the next read; `None` where the broker has no memory
    /// for the frame that has begun, and had none for as long as a frame may take. `next` is
    /// what the reads so far suggest, `frame` the bytes of the frame that has begun, where it does
    /// not fit the buffer, and `starved` how long memory was waited for.
    ///
    /// A session that waits for memory for a part of a frame while it holds another may wait for
    /// whoever does the same. So a frame that does not fit the buffer is claimed as a whole, though
    /// the buffer only grows with what arrives; and what is read ahead takes but a part of the
    /// memory, so that there is always some for whole frames.
    fn make_room(
        &mut self,
        NextSize { wanted, least }: NextSize,
        frame: usize,
        starved: &mut Duration,
    ) -> Option<usize> {
        let size = self.buffer.size();
        if wanted <= size {
            return Some(wanted);
        }
        let has_room = match frame {
            0 => self.purse.try_to_read_ahead(wanted),
            _ => self.purse.try_buffer(wanted.max(frame)),
        };
        if has_room {
            return Some(wanted);
        }
        // Memory that only makes reading faster is not waited for.
        if least <= size {
            return Some(least);
        }
        let (began, patience) =
            (Instant::now(), self.shared.config.frame_timeout.saturating_sub(*starved));
        let needed = if frame > 0 { frame } else { least };
        let has_room = self.purse.wait_to_buffer(needed, patience);
        *starved += began.elapsed();
        has_room.then_some(least.min(needed))
    }

    /// Whether a frame has begun that needs more than the buffer that everybody has.
    fn is_amid_frame(&self) -> bool {
        self.buffer.announced().is_some_and(|frame| frame > SMALL_BUFFER)
    }

    /// Bytes of the frame that has begun, if they are known and do not fit a buffer of `size`.
    fn unfinished(&self, size: usize) -> usize {
        let most = HEADER_LEN + self.shared.config.limits.max_frame as usize;
        self.buffer.announced().filter(|frame| *frame > size).map_or(0, |frame| frame.min(most))
    }

    /// Refuses the frame that has begun, whose rest is skipped as it comes.
    fn refuse_frame(&mut self) -> io::Result<()> {
        let format = self
            .buffer
            .bytes()
            .first()
            .and_then(|byte| Format::from_byte(*byte))
            .unwrap_or(Format::Json);
        let (here, frame) = (self.buffer.bytes().len(), self.buffer.announced().unwrap_or(0));
        let reason = format!(
            "the broker has no memory left for a frame of {frame} bytes; send it again later, or \
             less at once"
        );
        let skips = self.incoming.skip_message();
        self.skip = if skips { 0 } else { frame.saturating_sub(here) };
        self.buffer.take(here);
        self.buffer.release();
        self.purse.note_buffer(0);
        Counters::add(&self.shared.counters.refused, 1);
        self.attach()?;
        let refusal = Refusal::new(ErrorCode::MemoryFull, reason);
        self.send(vec![Step::Control(token_of(format), Control::Refuse { refusal })], 0);
        Ok(())
    }

    /// Ends a connection that cannot be read any further. A client that does not keep to what is
    /// spoken below our protocol gets what waits for it, and hears why.
    ///
    /// # Errors
    /// The error.
    #[cold]
    fn hang_up(&mut self, error: io::Error) -> io::Result<Arrived> {
        if error.kind() == ErrorKind::InvalidData {
            self.take_leave();
            match &mut self.outgoing {
                Some(outgoing) => {
                    outgoing.end();
                    self.incoming.discard_for(FAREWELL);
                }
                None => drop(self.discard_input()),
            }
        }
        Err(error)
    }

    /// Reads what nobody wants until the writer has ended the connection, so that unread input does
    /// not turn its end into a reset that destroys the last frame.
    fn discard_input(&mut self) -> io::Result<Pause> {
        // That may take as long as its client likes, and memory for a frame is not for that.
        self.buffer.take(self.buffer.bytes().len());
        self.buffer.release();
        self.purse.note_buffer(0);
        self.incoming.discard().map(|()| Pause::Over)
    }

    fn send(&self, steps: Vec<Step>, cost: usize) {
        if steps.is_empty() {
            return;
        }
        let queued = self.purse.wait_for_turn(cost);
        // The dispatcher outlives every session.
        let _ = self.events.send(Event::Steps { client: self.client, steps, queued });
    }
}

/// The refusal of a frame that was begun and not finished.
fn unfinished(begun: &[u8], timeout: Duration) -> (Refusal, Format) {
    let format = begun.first().and_then(|byte| Format::from_byte(*byte)).unwrap_or(Format::Json);
    let reason = format!(
        "a frame was begun, and after {timeout:?} there are only {} bytes of it, its header \
         included; \
         send each frame as a whole",
        begun.len()
    );
    (Refusal::new(ErrorCode::FrameTimeout, reason), format)
}

/// However a session ends, by a panic as well, the dispatcher hears of it and its writer is waited
/// for.
impl Drop for Session {
    fn drop(&mut self) {
        let _panics = CountPanic(self.shared.counters.clone());
        self.take_leave();
        if let Some(mut outgoing) = self.outgoing.take() {
            outgoing.end();
        }
        if let Some(RunningWriter { ended, reading, .. }) = self.writer.take() {
            drop(reading);
            ended.wait();
        }
        self.shared.counters.open.fetch_sub(1, Ordering::Relaxed);
        self.shared.connections.remove(self.client);
    }
}
