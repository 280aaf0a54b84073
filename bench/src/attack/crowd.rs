//! Hostile connections in any number, driven by one thread.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use socket2::{Domain, Socket, Type};

use super::broker::Broker;
use super::inputs::json;
use super::until;

/// One that nothing can be done with is looked at again after this.
const PAUSE: Duration = Duration::from_micros(500);
/// What the system keeps for one who does not read.
const RECEIVE: usize = 4 << 10;
/// Preparing takes no longer over one answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whom it is against, and what it has come to.
pub(super) struct Target {
    pub(super) address: SocketAddr,
    /// Where it speaks HTTP.
    pub(super) web: SocketAddr,
    /// The broker's process.
    pub(super) id: u32,
    /// The broker has ended, or everything is over.
    pub(super) stop: AtomicBool,
    /// Bytes of attackers.
    pub(super) sent: AtomicU64,
    end: Mutex<Option<Instant>>,
}

impl Target {
    pub(super) fn new(broker: &Broker) -> Target {
        Target {
            address: broker.address,
            web: broker.web,
            id: broker.id,
            stop: AtomicBool::new(false),
            sent: AtomicU64::new(0),
            end: Mutex::new(None),
        }
    }

    pub(super) fn attack_for(&self, period: Duration) {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + period);
    }

    /// How long the attack still goes on.
    pub(super) fn left(&self) -> Duration {
        let end = *self.end.lock().unwrap_or_else(PoisonError::into_inner);
        end.filter(|_| !self.stop.load(Ordering::Relaxed)).map_or(Duration::ZERO, until)
    }

    pub(super) fn goes_on(&self) -> bool {
        !self.left().is_zero()
    }

    /// Sends frames, as many as come, and then waits until they have been routed. Says what was
    /// refused first.
    pub(super) fn store(
        &self,
        frames: impl IntoIterator<Item = Vec<u8>>,
    ) -> Result<Option<String>> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut batch = Vec::new();
        for frame in frames {
            batch.extend(frame);
            if batch.len() > 256 << 10 {
                stream.write_all(&batch)?;
                self.count(batch.len());
                batch.clear();
            }
        }
        batch.extend(json(r#"{"command":"ping"}"#));
        stream.write_all(&batch)?;
        self.count(batch.len());
        let mut refused = None;
        loop {
            let mut header = [0; 5];
            stream.read_exact(&mut header)?;
            let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
            ensure!(length < 1 << 20, "an answer of {length} bytes");
            let mut body = vec![0; length];
            stream.read_exact(&mut body)?;
            let body = String::from_utf8_lossy(&body).into_owned();
            if body.contains("pong") {
                return Ok(refused);
            }
            refused.get_or_insert(body);
        }
    }

    /// Stores what is made for the largest length that is taken, from one downward.
    pub(super) fn store_largest(
        &self,
        from: usize,
        make: impl Fn(usize) -> Vec<u8>,
    ) -> Result<usize> {
        let mut length = from;
        while length > 1 << 10 {
            // A frame over the limit ends the connection.
            if let Ok(None) = self.store([make(length)]) {
                return Ok(length);
            }
            ensure!(!self.stop.load(Ordering::Relaxed), "the broker has ended");
            length = length * 3 / 4;
        }
        bail!("nothing was taken")
    }

    /// Bytes that the broker says it has read: what is sent may lie in the system's buffers.
    pub(super) fn taken(&self) -> Result<u64> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(&json(r#"{"command":"stats"}"#))?;
        let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            let count = stream.read(&mut buffer)?;
            ensure!(count > 0, "ended");
            answer.extend(&buffer[..count]);
            let text = String::from_utf8_lossy(&answer);
            if let Some((digits, _)) =
                text.split_once(r#""bytes_in":"#).and_then(|(_, rest)| rest.split_once(','))
            {
                return Ok(digits.parse()?);
            }
        }
    }

    /// Sends frames until the attack is over; connects again where that was ended.
    pub(super) fn flood(&self, mut make: impl FnMut(usize) -> Vec<u8>) {
        let mut number = 0;
        while self.goes_on() {
            let Ok(mut stream) = TcpStream::connect(self.address) else {
                thread::sleep(PAUSE);
                continue;
            };
            let _ = stream.set_write_timeout(Some(Duration::from_millis(200)));
            while self.goes_on() {
                let frame = make(number);
                number += 1;
                let mut rest = &frame[..];
                let mut broken = false;
                while !rest.is_empty() && self.goes_on() && !broken {
                    match stream.write(rest) {
                        Ok(count) => {
                            self.count(count);
                            rest = &rest[count..];
                        }
                        Err(error) => broken = !would_block(&error),
                    }
                }
                if broken {
                    break;
                }
            }
        }
    }

    pub(super) fn count(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Reading {
    Nothing,
    /// A byte, this often.
    Trickle(Duration),
    Everything,
}

/// What a hostile connection does; one that is ended begins anew.
#[derive(Clone)]
pub(super) struct Plan {
    /// Sent once.
    pub(super) first: Arc<[u8]>,
    /// Sent again and again afterwards; nothing where it is empty.
    pub(super) again: Arc<[u8]>,
    /// Between two of those.
    pub(super) pace: Duration,
    pub(super) reading: Reading,
    /// It leaves by itself after this, and comes again.
    pub(super) stays: Duration,
}

impl Plan {
    pub(super) fn new(first: Vec<u8>, again: Vec<u8>, reading: Reading) -> Plan {
        let (pace, stays) = (Duration::ZERO, Duration::from_secs(3600));
        Plan { first: first.into(), again: again.into(), pace, reading, stays }
    }
}

struct Member {
    stream: TcpStream,
    since: Instant,
    began: bool,
    at: usize,
    next_write: Instant,
    next_read: Instant,
}

/// Runs them until the attack is over.
pub(super) fn crowd(target: &Target, plans: &[Plan]) {
    let mut members: Vec<Option<Member>> = plans.iter().map(|_| None).collect();
    let mut buffer = vec![0; 256 << 10];
    while target.goes_on() {
        let mut moved = false;
        for (plan, member) in plans.iter().zip(&mut members) {
            if !target.goes_on() {
                break;
            }
            match member {
                None => *member = Member::connect(target.address, plan.reading).ok(),
                Some(present) => match present.step(target, plan, &mut buffer) {
                    Ok(did) if present.since.elapsed() < plan.stays => moved |= did,
                    _ => *member = None,
                },
            }
        }
        if !moved {
            thread::sleep(PAUSE);
        }
    }
}

impl Member {
    fn connect(address: SocketAddr, reading: Reading) -> Result<Member> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        if reading != Reading::Everything {
            socket.set_recv_buffer_size(RECEIVE)?;
        }
        socket.connect_timeout(&address.into(), Duration::from_secs(1))?;
        let stream = TcpStream::from(socket);
        stream.set_nonblocking(true)?;
        let now = Instant::now();
        Ok(Member { stream, since: now, began: false, at: 0, next_write: now, next_read: now })
    }

    /// Writes and reads what it can. Returns whether that was anything.
    fn step(&mut self, target: &Target, plan: &Plan, buffer: &mut [u8]) -> Result<bool> {
        let now = Instant::now();
        let mut moved = false;
        let bytes = if self.began { &plan.again } else { &plan.first };
        if bytes.is_empty() {
            self.began = true;
        } else if now >= self.next_write {
            // A part at a time: everyone has a turn.
            let end = bytes.len().min(self.at + (256 << 10));
            match self.stream.write(&bytes[self.at..end]) {
                Ok(count) => {
                    target.count(count);
                    moved = true;
                    self.at += count;
                    if self.at == bytes.len() {
                        (self.began, self.at) = (true, 0);
                        self.next_write = now + plan.pace;
                    }
                }
                Err(error) if would_block(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let most = match plan.reading {
            Reading::Nothing => 0,
            Reading::Trickle(every) if now >= self.next_read => {
                self.next_read = now + every;
                1
            }
            Reading::Trickle(_) => 0,
            Reading::Everything => buffer.len(),
        };
        if most > 0 {
            match self.stream.read(&mut buffer[..most]) {
                Ok(0) => bail!("ended"),
                Ok(_) => moved = true,
                Err(error) if would_block(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(moved)
    }
}

fn would_block(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
