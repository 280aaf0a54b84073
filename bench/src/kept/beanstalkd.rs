//! beanstalkd: `put` one behind the other, without waiting for the answers; as many `reserve`
//! behind one another, and a `delete` for each job with the next of them. It has no replay.

use std::net::TcpStream;

use anyhow::{Context, Result, bail, ensure};

use super::{Keeper, Member, Reading, Taken, ask, bytes_of, connect, number};
use crate::net::Endpoint;
use crate::payload::Payload;
use crate::wire::{Format, Scanned};

/// `reserve` behind one another.
const TOGETHER: u64 = 256;

#[derive(Clone, Copy, Debug)]
pub(super) struct Beanstalkd {
    pub(super) producer: Format,
}

/// The sum of these counters.
fn stats(endpoint: &Endpoint, keys: &[&str]) -> Result<u64> {
    let is_whole = |answer: &[u8]| answer.starts_with(b"OK ") && answer.ends_with(b"\n\r\n");
    let answer = ask(&mut connect(endpoint)?, b"stats\r\n", is_whole)?;
    let answer = String::from_utf8_lossy(&answer);
    let of = |key: &&str| -> Result<u64> {
        let line = answer.lines().find_map(|line| line.strip_prefix(key)).context("no such key")?;
        Ok(line.trim_start_matches([':', ' ']).trim().parse()?)
    };
    keys.iter().map(of).sum()
}

impl Keeper for Beanstalkd {
    fn make(&self, _endpoint: &Endpoint, reading: Option<Reading>) -> Result<()> {
        ensure!(reading != Some(Reading::Replay), "beanstalkd has no replay");
        Ok(())
    }

    fn open_publisher(&self, _stream: &mut TcpStream) -> Result<()> {
        Ok(())
    }

    fn publish(&self, payload: &Payload, messages: u64, out: &mut Vec<u8>) -> u64 {
        let bytes = bytes_of(payload, self.producer);
        for _ in 0..messages {
            out.extend(format!("put 1024 0 30 {}\r\n", bytes.len()).as_bytes());
            out.extend(bytes);
            out.extend(b"\r\n");
        }
        messages
    }

    fn confirmed(&self, bytes: &[u8]) -> Result<Scanned> {
        let mut scanned = Scanned::default();
        while let Some(end) = memchr::memchr(b'\n', &bytes[scanned.consumed..]) {
            let line = &bytes[scanned.consumed..scanned.consumed + end];
            if !line.starts_with(b"INSERTED ") {
                bail!("beanstalkd says {}", String::from_utf8_lossy(line));
            }
            scanned.consumed += end + 1;
            scanned.messages += 1;
        }
        Ok(scanned)
    }

    fn open_member(
        &self,
        _stream: &mut TcpStream,
        reading: Reading,
        _member: usize,
    ) -> Result<Box<dyn Member>> {
        let together = if reading == Reading::AckEach { 1 } else { TOGETHER };
        Ok(Box::new(Worker { together, reserves: 0, deletes: 0, jobs: Vec::new() }))
    }

    fn count(&self, endpoint: &Endpoint) -> Result<u64> {
        stats(endpoint, &["total-jobs:"])
    }

    fn left(&self, endpoint: &Endpoint) -> Result<u64> {
        stats(endpoint, &["current-jobs-ready:", "current-jobs-reserved:"])
    }
}

struct Worker {
    together: u64,
    /// `reserve` that were not answered, and `delete`.
    reserves: u64,
    deletes: u64,
    /// Jobs to delete.
    jobs: Vec<u64>,
}

impl Worker {
    fn reserve(&mut self, out: &mut Vec<u8>) {
        for job in self.jobs.drain(..) {
            out.extend(format!("delete {job}\r\n").as_bytes());
            self.deletes += 1;
        }
        // A `reserve` that waits holds up what is behind it. The first may wait a moment, so that a
        // queue that is empty is not asked without end.
        out.extend(b"reserve-with-timeout 1\r\n");
        (1..self.together).for_each(|_| out.extend(b"reserve-with-timeout 0\r\n"));
        self.reserves = self.together;
    }
}

impl Member for Worker {
    fn begin(&mut self, out: &mut Vec<u8>) {
        self.reserve(out);
    }

    fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Taken> {
        let mut taken = Taken::default();
        while let Some(end) = memchr::memchr(b'\n', &bytes[taken.consumed..]) {
            let rest = &bytes[taken.consumed..];
            let line = &rest[..end.saturating_sub(1)];
            if let Some(words) = line.strip_prefix(b"RESERVED ") {
                let at = memchr::memchr(b' ', words).context("no length")?;
                let whole = end + 1 + number(&words[at + 1..]) as usize + 2;
                if rest.len() < whole {
                    break;
                }
                let job = number(words);
                self.jobs.push(job);
                self.reserves -= 1;
                taken.messages += 1;
                taken.sum += job;
                taken.consumed += whole;
                continue;
            }
            match line {
                b"DELETED" => self.deletes -= 1,
                b"TIMED_OUT" => self.reserves -= 1,
                _ => bail!("beanstalkd says {}", String::from_utf8_lossy(line)),
            }
            taken.consumed += end + 1;
        }
        if self.reserves == 0 {
            self.reserve(out);
        }
        Ok(taken)
    }

    fn is_settled(&self) -> bool {
        self.jobs.is_empty() && self.deletes == 0
    }
}
