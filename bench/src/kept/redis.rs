//! Redis Streams: XADD one behind the other, without waiting for the answers; XREADGROUP with
//! COUNT, two of which are under way, and XACK.

use std::net::TcpStream;

use anyhow::{Context, Result, ensure};

use super::{Keeper, Member, NAME, Reading, Taken, ask, bytes_of, connect, number};
use crate::net::Endpoint;
use crate::payload::Payload;
use crate::wire::{Format, Scanned};

/// Messages that are read at once.
const COUNT: &str = "1024";

#[derive(Clone, Copy, Debug)]
pub(super) struct Redis {
    pub(super) producer: Format,
}

fn put(words: &[&[u8]], out: &mut Vec<u8>) {
    out.extend(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend(format!("${}\r\n", word.len()).as_bytes());
        out.extend(*word);
        out.extend(b"\r\n");
    }
}

fn request(endpoint: &Endpoint, words: &[&[u8]]) -> Result<Vec<u8>> {
    let mut question = Vec::new();
    put(words, &mut question);
    let is_whole = |answer: &[u8]| !matches!(value(answer, &mut Vec::new()), Ok(None));
    let answer = ask(&mut connect(endpoint)?, &question, is_whole)?;
    ensure!(answer.first() != Some(&b'-'), "Redis says {}", String::from_utf8_lossy(&answer));
    Ok(answer)
}

/// The length of the value that some bytes begin with, if it is there in full. Strings go to
/// `strings`, whose depth is that of an entry's number.
fn value<'a>(bytes: &'a [u8], ids: &mut Vec<&'a [u8]>) -> Result<Option<usize>> {
    walk(bytes, 0, ids)
}

fn walk<'a>(bytes: &'a [u8], depth: usize, ids: &mut Vec<&'a [u8]>) -> Result<Option<usize>> {
    let Some(end) = memchr::memchr(b'\n', bytes) else { return Ok(None) };
    let line = &bytes[..end.saturating_sub(1)];
    let mut at = end + 1;
    let is_nothing = line.get(1) == Some(&b'-');
    match line.first() {
        Some(b':' | b'+') => {}
        Some(b'$' | b'*') if is_nothing => {}
        Some(b'$') => {
            let length = number(&line[1..]) as usize;
            let Some(text) = bytes.get(at..at + length + 2) else { return Ok(None) };
            // An array of streams, of pairs, of entries, of pairs: a number and its fields.
            if depth == ENTRY {
                ids.push(&text[..length]);
            }
            at += length + 2;
        }
        Some(b'*') => {
            for _ in 0..number(&line[1..]) {
                let Some(length) = walk(&bytes[at..], depth + 1, ids)? else { return Ok(None) };
                at += length;
            }
        }
        _ => anyhow::bail!("Redis says {}", String::from_utf8_lossy(line)),
    }
    Ok(Some(at))
}

const ENTRY: usize = 4;

impl Keeper for Redis {
    fn has_numbers(&self) -> bool {
        false
    }

    fn make(&self, endpoint: &Endpoint, reading: Option<Reading>) -> Result<()> {
        if reading.is_some() {
            let words = ["XGROUP", "CREATE", NAME, NAME, "0", "MKSTREAM"];
            request(endpoint, &words.map(str::as_bytes))?;
        }
        Ok(())
    }

    fn open_publisher(&self, _stream: &mut TcpStream) -> Result<()> {
        Ok(())
    }

    fn publish(&self, payload: &Payload, messages: u64, out: &mut Vec<u8>) -> u64 {
        let bytes = bytes_of(payload, self.producer);
        for _ in 0..messages {
            put(&[b"XADD", NAME.as_bytes(), b"*", b"m", bytes], out);
        }
        messages
    }

    fn confirmed(&self, bytes: &[u8]) -> Result<Scanned> {
        let mut scanned = Scanned::default();
        let mut ids = Vec::new();
        while let Some(length) = value(&bytes[scanned.consumed..], &mut ids)? {
            scanned.consumed += length;
            scanned.messages += 1;
        }
        Ok(scanned)
    }

    fn open_member(
        &self,
        _stream: &mut TcpStream,
        reading: Reading,
        member: usize,
    ) -> Result<Box<dyn Member>> {
        Ok(Box::new(Group { reading, member: format!("m{member}"), acks: 0, next: None }))
    }

    fn count(&self, endpoint: &Endpoint) -> Result<u64> {
        let answer = request(endpoint, &[b"XLEN", NAME.as_bytes()])?;
        Ok(number(&answer[1..]))
    }

    fn left(&self, endpoint: &Endpoint) -> Result<u64> {
        let answer = request(endpoint, &[b"XPENDING", NAME.as_bytes(), NAME.as_bytes()])?;
        let first = answer.split(|byte| *byte == b':').nth(1).context("no count")?;
        Ok(number(first))
    }
}

struct Group {
    reading: Reading,
    member: String,
    /// Acknowledgements that were not answered.
    acks: u64,
    /// Of a replay: the entry that was read last.
    next: Option<Vec<u8>>,
}

impl Group {
    fn read(&self, out: &mut Vec<u8>) {
        let name = NAME.as_bytes();
        let count = COUNT.as_bytes();
        if matches!(self.reading, Reading::Replay | Reading::Live) {
            let from = self.next.as_deref().unwrap_or(b"0");
            put(&[b"XREAD", b"COUNT", count, b"BLOCK", b"0", b"STREAMS", name, from], out);
            return;
        }
        let member = self.member.as_bytes();
        put(
            &[
                b"XREADGROUP",
                b"GROUP",
                name,
                member,
                b"COUNT",
                count,
                b"BLOCK",
                b"0",
                b"STREAMS",
                name,
                b">",
            ],
            out,
        );
    }
}

impl Member for Group {
    fn begin(&mut self, out: &mut Vec<u8>) {
        self.read(out);
    }

    fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Taken> {
        let mut taken = Taken::default();
        let name = NAME.as_bytes();
        let mut ids = Vec::new();
        while let Some(length) = value(&bytes[taken.consumed..], &mut ids)? {
            if bytes[taken.consumed] == b':' {
                self.acks -= 1;
            }
            taken.consumed += length;
            if ids.is_empty() {
                continue;
            }
            taken.messages += ids.len() as u64;
            match self.reading {
                Reading::AckMany | Reading::Shared => {
                    let words: Vec<&[u8]> =
                        [&b"XACK"[..], name, name].into_iter().chain(ids.iter().copied()).collect();
                    put(&words, out);
                    self.acks += 1;
                }
                Reading::AckEach => {
                    ids.iter().for_each(|id| put(&[b"XACK", name, name, id], out));
                    self.acks += ids.len() as u64;
                }
                Reading::Replay | Reading::Live => self.next = ids.last().map(|id| id.to_vec()),
            }
            ids.clear();
            self.read(out);
        }
        Ok(taken)
    }

    fn is_settled(&self) -> bool {
        self.acks == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_wherever_they_are_cut() {
        let entry = "*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nm\r\n$2\r\n{}\r\n";
        let stream = format!("*1\r\n*2\r\n$5\r\nbench\r\n*2\r\n{entry}{entry}:1\r\n");
        let answer = stream.as_bytes();
        for cut in 0..answer.len() {
            let mut member =
                Group { reading: Reading::AckMany, member: "m0".into(), acks: 0, next: None };
            let mut out = Vec::new();
            let before = member.take(&answer[..cut], &mut out).unwrap();
            let after = member.take(&answer[before.consumed..], &mut out).unwrap();
            assert_eq!(before.messages + after.messages, 2, "cut at {cut}");
            assert_eq!(before.consumed + after.consumed, answer.len(), "cut at {cut}");
            assert!(member.is_settled(), "cut at {cut}");
        }
    }
}
