//! The thread that reads from one connection.

use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::connections::Connections;
use super::intake::take_in;
use super::writer::{WRITE_TICK, Writer};
use crate::broker::{ClientId, Control, Counters, Event, QueueLimits, Step, outbox};
use crate::protocol::{FrameBuffer, FrameFault, Limits, Refusal, Topic};

/// Bytes of stack for a session. Nothing on it recurses, so this is what reading one frame needs, with room.
pub(super) const SESSION_STACK: usize = 256 << 10;
/// Bytes of stack for a writer.
const WRITER_STACK: usize = 128 << 10;
/// Reads that a session still makes after the broker was told to stop, for what had arrived by then.
const LAST_READS: usize = 16;

/// What all sessions of a broker share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) limits: Limits,
    pub(super) queue: QueueLimits,
    pub(super) counters: Arc<Counters>,
    pub(super) connections: Connections,
    /// No new clients, and whoever is connected gets no more than what had arrived.
    pub(super) stopping: AtomicBool,
}

pub(super) struct Session {
    client: ClientId,
    peer: SocketAddr,
    stream: Arc<TcpStream>,
    /// The dispatcher holds the other end. It blocks while the dispatcher is behind, and with it the reading, and
    /// with that the producer.
    events: Sender<Event>,
    shared: Arc<Shared>,
    /// Dropped with the session; the broker waits for all of these when it stops.
    _alive: Sender<()>,
    writer: Option<RunningWriter>,
    recent: Vec<Topic>,
}

struct RunningWriter {
    thread: JoinHandle<()>,
    /// Dropping it tells the writer that nobody reads any more.
    reading: Sender<()>,
}

impl Session {
    pub(super) fn new(
        client: ClientId,
        peer: SocketAddr,
        stream: Arc<TcpStream>,
        events: Sender<Event>,
        shared: Arc<Shared>,
        alive: Sender<()>,
    ) -> Session {
        Session { client, peer, stream, events, shared, _alive: alive, writer: None, recent: Vec::new() }
    }

    /// Reads until the connection ends.
    pub(super) fn run(mut self) {
        tracing::debug!(client = %self.client, peer = %self.peer, "connected");
        match self.read_frames() {
            Ok(()) => tracing::debug!(client = %self.client, "disconnected"),
            Err(error) => tracing::debug!(client = %self.client, %error, "disconnected"),
        }
    }

    fn read_frames(&mut self) -> io::Result<()> {
        let max_frame = self.shared.limits.max_frame;
        let mut buffer = FrameBuffer::new();
        let mut last_reads = 0;
        loop {
            if self.shared.stopping.load(Ordering::Acquire) {
                last_reads += 1;
                if last_reads > LAST_READS {
                    return Ok(());
                }
            }
            match buffer.read_from(&mut &*self.stream) {
                Ok(0) => return Ok(()),
                Ok(count) => Counters::add(&self.shared.counters.bytes_in, count),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            let (whole, fault) = buffer.whole_frames(max_frame);
            if whole > 0 {
                let taken = take_in(&buffer.bytes()[..whole], self.shared.limits, &mut self.recent);
                buffer.take(whole);
                Counters::add(&self.shared.counters.refused, taken.refused);
                if taken.needs_answer {
                    self.attach()?;
                }
                self.send(taken.steps);
            }
            if let Some(fault) = fault {
                self.refuse(fault)?;
                return self.discard_input();
            }
        }
    }

    /// Says what is wrong with the stream of frames; it is the last that the client hears.
    fn refuse(&mut self, fault: FrameFault) -> io::Result<()> {
        tracing::info!(client = %self.client, peer = %self.peer, reason = %fault, "connection refused");
        Counters::add(&self.shared.counters.refused, 1);
        self.attach()?;
        let format = fault.answer_in();
        self.send(vec![Step::Control(Control::Refuse { refusal: Refusal::from(fault), format })]);
        Ok(())
    }

    /// Reads what nobody wants until the writer has ended the connection, so that unread input does not turn its end
    /// into a reset that destroys the last frame.
    fn discard_input(&self) -> io::Result<()> {
        io::copy(&mut &*self.stream, &mut io::sink()).map(drop)
    }

    fn send(&self, steps: Vec<Step>) {
        if !steps.is_empty() {
            // The dispatcher outlives every session.
            let _ = self.events.send(Event::Steps { client: self.client, steps });
        }
    }

    /// Starts the writer, unless it runs.
    fn attach(&mut self) -> io::Result<()> {
        if self.writer.is_some() {
            return Ok(());
        }
        self.stream.set_write_timeout(Some(WRITE_TICK))?;
        let (outbox, inbox) = outbox(self.shared.queue);
        let (reading, session): (Sender<()>, Receiver<()>) = bounded(0);
        let (counters, stream) = (self.shared.counters.clone(), self.stream.clone());
        let writer = Writer::new(self.stream.clone(), inbox, session, counters.clone(), self.shared.limits);
        let thread = thread::Builder::new()
            .name(format!("writer-{}", self.client))
            .stack_size(WRITER_STACK)
            .spawn(move || {
                let _panics = CountPanic(counters);
                let _end = EndOnPanic(stream);
                writer.run();
            })?;
        let _ = self.events.send(Event::Attach { client: self.client, peer: self.peer, outbox });
        self.writer = Some(RunningWriter { thread, reading });
        Ok(())
    }
}

/// However a session ends, by a panic as well, the dispatcher hears of it and its writer is waited for.
impl Drop for Session {
    fn drop(&mut self) {
        let _panics = CountPanic(self.shared.counters.clone());
        let stopping = self.shared.stopping.load(Ordering::Acquire);
        if !stopping && self.writer.is_some() {
            let _ = self.events.send(Event::Detach { client: self.client });
        }
        // While the broker stops, subscriptions stay until the last message is routed: the dispatcher closes every
        // outbox when all sessions have let go of its channel.
        let (closed, _) = bounded(0);
        drop(std::mem::replace(&mut self.events, closed));
        if let Some(RunningWriter { thread, reading }) = self.writer.take() {
            drop(reading);
            let _ = thread.join();
        }
        self.shared.counters.open.fetch_sub(1, Ordering::Relaxed);
        self.shared.connections.remove(self.client);
    }
}

/// Ends the connection of a writer that panics, so that its session ends as well.
struct EndOnPanic(Arc<TcpStream>);

impl Drop for EndOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            let _ = self.0.shutdown(Shutdown::Both);
        }
    }
}

/// Counts and logs a panic of the thread that drops it.
struct CountPanic(Arc<Counters>);

impl Drop for CountPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            Counters::add(&self.0.panics, 1);
            let thread = thread::current();
            tracing::error!(
                thread = thread.name(),
                "a thread panicked; its client is disconnected, the others go on"
            );
        }
    }
}
