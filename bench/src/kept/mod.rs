//! Messages that are kept: the protocols of the systems that keep them, as much of each as it takes
//! to publish with a confirmation, to consume and acknowledge, and to read from the beginning. Each
//! system is used in the fastest way that is ordinary for it.

mod babelmq;
mod beanstalkd;
pub(crate) mod consume;
mod jetstream;
pub(crate) mod latency;
pub(crate) mod length;
pub(crate) mod official;
pub(crate) mod publish;
mod redis;
mod shared;
pub(crate) mod through;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use crate::net::{Between, Endpoint, PATIENCE, await_answer, is_tick};
use crate::payload::Payload;
use crate::systems::System;
use crate::wire::{Format, Scanned};
pub(crate) use jetstream::JetStream;
pub(crate) use shared::Shared;

/// Where all messages go.
const TOPIC: &str = "bench/kept";
/// The name of the stream, and of what consumes it.
const NAME: &str = "bench";
/// Messages in a write, at most.
pub(crate) const WRITE: u64 = 256;
/// Messages that are published and not confirmed, at most, and messages that are delivered to a
/// member and not acknowledged: the same for all.
pub(crate) const WINDOW: u64 = 4_096;
/// As much as a consumer reads at once.
const READ: usize = 256 << 10;

/// How a stream is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// By a durable consumer, which acknowledges all that a read brought with one command, where
    /// the protocol has one.
    AckMany,
    /// The same by one of several members that share the messages: what is acknowledged must not be
    /// another's.
    Shared,
    /// By a durable consumer, with an acknowledgement for each message.
    AckEach,
    /// From the beginning, without acknowledgements.
    Replay,
    /// As it is published, without acknowledgements.
    Live,
}

/// What some bytes brought to a consumer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Taken {
    pub(crate) messages: u64,
    /// Of the messages' numbers, where they have numbers from 1 on.
    pub(crate) sum: u64,
    /// The rest is the beginning of what has not arrived in full.
    consumed: usize,
}

/// A system's protocol for what it keeps.
pub(crate) trait Keeper: Send + Sync {
    /// Whether messages have numbers from 1 on, which a consumer is told.
    fn has_numbers(&self) -> bool {
        true
    }

    /// Makes the stream, and the consumer that is read as, before anything is published.
    fn make(&self, endpoint: &Endpoint, reading: Option<Reading>) -> Result<()>;

    /// What a publisher's connection begins with; it is answered before it is used.
    fn open_publisher(&self, stream: &mut TcpStream) -> Result<()>;

    /// One write of messages, all alike. Returns how many confirmations answer it.
    fn publish(&self, payload: &Payload, messages: u64, out: &mut Vec<u8>) -> u64;

    /// Counts the confirmations.
    fn confirmed(&self, bytes: &[u8]) -> Result<Scanned>;

    /// A member of the consumer.
    fn open_member(
        &self,
        stream: &mut TcpStream,
        reading: Reading,
        member: usize,
    ) -> Result<Box<dyn Member>>;

    /// How many messages the stream has, or had.
    fn count(&self, endpoint: &Endpoint) -> Result<u64>;

    /// How many the consumer has not acknowledged.
    fn left(&self, endpoint: &Endpoint) -> Result<u64>;
}

/// One of the connections that consume.
pub(crate) trait Member: Send {
    /// What is sent before anything arrives.
    fn begin(&mut self, out: &mut Vec<u8>);

    /// Takes deliveries in, and writes what is to be sent for them.
    fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Taken>;

    /// Whether all that it sent has been answered, where the protocol answers.
    fn is_settled(&self) -> bool {
        true
    }

    /// A question whose answer means that acknowledgements before it were taken in; nothing where
    /// they are answered themselves.
    fn ask(&self, _out: &mut Vec<u8>) {}

    fn is_answer(&self, _answer: &[u8]) -> bool {
        true
    }
}

/// The protocol of a system, for a producer of this format.
pub(crate) fn keeper(system: System, producer: Format) -> Result<Box<dyn Keeper>> {
    Ok(match system {
        System::Babelmq => Box::new(babelmq::Babelmq { producer }),
        System::JetStream => Box::new(jetstream::JetStream::new(producer)),
        System::RedisStreams => Box::new(redis::Redis { producer }),
        System::Beanstalkd => Box::new(beanstalkd::Beanstalkd { producer }),
        _ => bail!("{} keeps no streams", system.title()),
    })
}

/// The bytes that peers carry, which translate nothing.
fn bytes_of(payload: &Payload, producer: Format) -> &[u8] {
    match producer {
        Format::Json => &payload.json,
        Format::Pickle => &payload.pickle,
        Format::Xml => &payload.xml,
    }
}

fn connect(endpoint: &Endpoint) -> Result<TcpStream> {
    ensure!(matches!(endpoint.between, Between::Nothing), "streams are measured in plain");
    crate::net::connect_plain(endpoint)
}

/// Sends a question and reads until its answer is whole.
fn ask(
    stream: &mut TcpStream,
    question: &[u8],
    is_whole: impl Fn(&[u8]) -> bool,
) -> Result<Vec<u8>> {
    stream.write_all(question)?;
    await_answer(stream, is_whole)
}

/// The number that some bytes begin with.
fn number(bytes: &[u8]) -> u64 {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

/// What arrives, in a buffer that grows with the longest answer.
struct Arriving {
    buffer: Vec<u8>,
    end: usize,
}

impl Arriving {
    fn new() -> Arriving {
        Arriving { buffer: vec![0; READ], end: 0 }
    }

    /// Reads once, and hands over all that has arrived. Nothing after a tick without input.
    fn read(
        &mut self,
        stream: &mut TcpStream,
        take: impl FnOnce(&[u8]) -> Result<usize>,
    ) -> Result<()> {
        if self.buffer.len() - self.end < READ / 2 {
            self.buffer.resize(self.buffer.len() + READ, 0);
        }
        match stream.read(&mut self.buffer[self.end..]) {
            Ok(0) => bail!("the broker closed the connection"),
            Ok(count) => {
                let end = self.end + count;
                let consumed = take(&self.buffer[..end])?;
                self.buffer.copy_within(consumed..end, 0);
                self.end = end - consumed;
                Ok(())
            }
            Err(error) if is_tick(&error) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Asks until the answer is 0: what was acknowledged is settled a little later.
fn until_none_left(keeper: &dyn Keeper, endpoint: &Endpoint) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = keeper.left(endpoint)?;
        if left == 0 {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{left} messages were not acknowledged");
        std::thread::sleep(Duration::from_millis(20));
    }
}
