//! A session whose client speaks MQTT: it reads packets, and answers them by way of its writer.
//!
//! What outlives the connection lies in a [`Talk`], and who has which session is known to
//! [`Sessions`](crate::transport::mqtt::Sessions).

mod connect;
mod keeping;
mod packets;
mod part;
mod subscribe;
mod will;

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Awake, LAST_READS, Pause, Session};
use crate::broker::sync::{Instant, Mutex};
use crate::broker::{Counters, Event, Inbox};
use crate::protocol::{NextSize, Refusal};
use crate::transport::ListenUrl;
use crate::transport::line::Arrived;
use crate::transport::mqtt::Seat;
use crate::wire::MqttFormat;
use crate::wire::mqtt::{Aliases, Fault, Reason, Talk, Version, packet_size};
use packets::Took;
use will::Will;

/// Bytes that a packet has beside its payload and its topic, about: what a client may send is that
/// much longer than what a frame of the broker's own may be.
const AROUND: usize = 1 << 10;
/// Bytes that a CONNECT may have: the longest of each of its texts and of its will's payload, and
/// as much as two of them of properties.
const LONGEST_CONNECT: usize = 7 * (64 << 10);

/// What a session knows of a client of MQTT.
#[derive(Debug)]
pub(super) struct Mqtt {
    /// What payloads are, where a message does not say it.
    format: MqttFormat,
    /// None before its CONNECT was accepted.
    known: Option<Known>,
}

/// A client that is connected.
#[derive(Debug)]
struct Known {
    version: Version,
    talk: Arc<Mutex<Talk>>,
    /// None where the broker stops, and the session has been let go of.
    seat: Option<Seat>,
    /// Its writer has it for as long as there is one.
    inbox: Inbox,
    aliases: Aliases,
    /// Bytes that are claimed for what the client makes the session remember.
    claimed: usize,
    will: Option<Box<Will>>,
    /// Seconds for which the session outlives the connection.
    expiry: u32,
    /// What streams know the session by; `None` where it ends with the connection.
    session: Option<Arc<str>>,
    /// The seconds that were written down with it, if it was.
    written: Option<u32>,
    /// Messages that may be on their way to the client.
    window: u16,
    /// How long the client may be silent.
    keep_alive: Option<Duration>,
    /// When it was heard last.
    heard: Instant,
    /// Whether it is told why the connection ends, while it may be sending.
    is_turned_out: bool,
}

impl Session {
    /// The same session, whose client speaks MQTT, and has connected as this URL says.
    pub(in crate::transport) fn speaking_mqtt(
        mut self: Box<Session>,
        url: &ListenUrl,
        format: MqttFormat,
    ) -> Box<Session> {
        self.is_of_this_machine = url.is_of_this_machine();
        self.is_tls = url.is_tls();
        self.speak_mqtt(format);
        self
    }

    /// The client speaks MQTT from here on.
    pub(super) fn speak_mqtt(&mut self, format: MqttFormat) {
        self.mqtt = Some(Box::new(Mqtt { format, known: None }));
    }

    /// What the session and its writer both know, where the client speaks MQTT.
    pub(super) fn talk(&self) -> Option<Arc<Mutex<Talk>>> {
        self.known().map(|known| known.talk.clone())
    }

    fn known(&self) -> Option<&Known> {
        self.mqtt.as_ref().and_then(|mqtt| mqtt.known.as_ref())
    }

    fn known_mut(&mut self) -> Option<&mut Known> {
        self.mqtt.as_mut().and_then(|mqtt| mqtt.known.as_mut())
    }

    /// When a client is given up that says nothing.
    pub(super) fn silent_until(&self) -> Option<Instant> {
        match self.known() {
            Some(known) => known.keep_alive.map(|keep_alive| known.heard + keep_alive),
            None => self.log_in_until,
        }
    }

    /// Bytes that a packet of a client that is connected may have.
    fn most_of_packet(&self) -> usize {
        self.shared.config.limits.max_frame as usize + AROUND
    }

    /// Bytes that the next packet may have: a CONNECT, which may be a stranger's, is none of the
    /// longest.
    fn most_of_next(&self) -> usize {
        let most = self.most_of_packet();
        if self.known().is_some() { most } else { most.min(LONGEST_CONNECT) }
    }

    /// Reads packets until the connection ends, or the client falls silent.
    pub(super) fn serve_mqtt(&mut self, awake: &Awake) -> io::Result<Pause> {
        let served = self.read_packets(awake);
        if !matches!(served, Ok(Pause::Idle)) {
            self.let_go_of_talk();
        }
        served
    }

    fn read_packets(&mut self, awake: &Awake) -> io::Result<Pause> {
        if self.known().is_none() {
            let timeout = self.shared.config.login_timeout;
            self.log_in_until.get_or_insert_with(|| Instant::now() + timeout);
        }
        let mut last_reads = 0;
        // How long the rest of a packet was waited for, and memory to put it in.
        let (mut waited, mut starved) = (Duration::ZERO, Duration::ZERO);
        loop {
            let mut has_moved = false;
            loop {
                match self.take_packets()? {
                    Took::Everything => break,
                    Took::Some => has_moved = true,
                    Took::Last => return Ok(Pause::Over),
                }
            }
            if has_moved {
                (waited, starved) = (Duration::ZERO, Duration::ZERO);
            }
            if self.shared.stopping.load(Ordering::Acquire) {
                last_reads += 1;
                if last_reads > LAST_READS {
                    self.end_talk(Reason::SHUTTING_DOWN);
                    return Ok(Pause::Over);
                }
            }
            if self.is_cut_off() {
                return Ok(Pause::Over);
            }
            let now = Instant::now();
            if self.silent_until().is_some_and(|until| until <= now) {
                self.end_talk(Reason::KEEP_ALIVE);
                return Ok(Pause::Over);
            }
            if awake.is_crowded() || self.purse.is_wanted() {
                self.buffer.release();
            }
            self.buffer.grow_to(awake.share_of_reads());
            let packet = self.unfinished_packet();
            let next = self.next_read(packet);
            let Some(size) = self.make_room(next, packet, &mut starved) else {
                self.end_talk(Reason::QUOTA);
                return Ok(Pause::Over);
            };
            self.purse.note_buffer(size.max(packet));
            let timeout = self.shared.config.frame_timeout;
            let silent = self.silent_until().map(|until| until.saturating_duration_since(now));
            let patience = awake.park_after().min(timeout).min(silent.unwrap_or(timeout));
            self.incoming.set_patience(patience)?;
            let has_begun = !self.buffer.bytes().is_empty() || self.incoming.is_amid();
            let arrived = self.incoming.read(&mut self.buffer, size);
            if has_begun {
                waited += now.elapsed();
            }
            if self.incoming.has_answer() {
                self.let_line_answer()?;
            }
            match arrived? {
                Arrived::End => return Ok(Pause::Over),
                Arrived::Bytes(count) => {
                    Counters::add(&self.shared.counters.bytes_in, count);
                    if let Some(known) = self.known_mut() {
                        known.heard = Instant::now();
                    }
                }
                Arrived::Progress => {}
                Arrived::Silent if !has_begun => {
                    let until = self.silent_until();
                    if until.is_none_or(|until| until > Instant::now()) {
                        return Ok(Pause::Idle);
                    }
                }
                Arrived::Silent => {}
            }
            if waited >= timeout {
                Counters::add(&self.shared.counters.frame_timeouts, 1);
                self.end_talk(Reason::UNSPECIFIED);
                return Ok(Pause::Over);
            }
        }
    }

    /// Bytes of the packet that has begun, if they are known and do not fit the buffer.
    fn unfinished_packet(&self) -> usize {
        let version = self.known().map(|known| known.version);
        let size = packet_size(self.buffer.bytes(), 0, version, self.most_of_next());
        size.ok().flatten().filter(|size| *size > self.buffer.size()).unwrap_or(0)
    }

    /// The size that the buffer is to have for the next read, of which a packet may have begun.
    fn next_read(&self, packet: usize) -> NextSize {
        let (size, held) = (self.buffer.size(), self.buffer.bytes().len());
        let next = self.buffer.next_size();
        if packet <= size || held < size {
            return next;
        }
        // It grows with what arrives, and not beyond the packet.
        let wanted = (2 * size).min(packet);
        NextSize { wanted, least: wanted }
    }

    /// Says why the connection ends.
    fn end_talk(&mut self, reason: Reason) {
        if let Some(known) = self.known_mut() {
            known.talk.lock().end(reason);
            // A client that is silent or does not read is not waited for.
            known.is_turned_out = reason != Reason::KEEP_ALIVE && reason != Reason::QUOTA;
        }
    }

    /// Ends the connection of a client that may not be here any more.
    pub(super) fn refuse_mqtt(&mut self, refusal: &Refusal) {
        Counters::add(&self.shared.counters.refused, 1);
        let (client, peer) = (self.client, self.peer);
        tracing::info!(%client, %peer, reason = %refusal, "connection refused");
        self.end_talk(Reason::NOT_AUTHORIZED);
    }

    /// Ends the connection of a client that does not keep to the specification.
    fn find_fault(&mut self, fault: &Fault) {
        Counters::add(&self.shared.counters.refused, 1);
        tracing::info!(
            client = %self.client, peer = %self.peer, reason = %fault, "connection refused"
        );
        self.end_talk(fault.reason);
    }

    fn is_cut_off(&self) -> bool {
        self.writer.as_ref().is_some_and(|writer| writer.fate.is_cut_off())
    }

    /// Wakes the writer if it has something to do that it does not know of.
    fn wake_writer(&self) {
        let has_news = self.talk().is_some_and(|talk| talk.lock().has_news());
        if has_news {
            let _ = self.events.send(Event::Wake { client: self.client });
        }
    }
}
