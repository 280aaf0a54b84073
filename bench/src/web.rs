//! WebSocket of the load generator (RFC 6455): the same for every broker. What is written goes out
//! as one binary message, masked; of what comes in, frames are taken off where the bytes lie, so
//! that the generator costs little beside what it measures.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;

use anyhow::{Result, ensure};

use crate::net::await_answer;

/// How a broker's WebSocket is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handshake {
    pub(crate) path: &'static str,
    pub(crate) subprotocol: Option<&'static str>,
}

const END_OF_HEAD: &[u8] = b"\r\n\r\n";
/// A key as the RFC's example has it; the answer to it was looked at by tests of the broker.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// What is written is masked with it. Servers need not care where it is from.
const MASK: [u8; 4] = [0x9e, 0x37, 0x79, 0xb9];

const BINARY: u8 = 0x82;
const CLOSE: u8 = 8;
/// The first opcode that is WebSocket's own.
const CONTROL: u8 = 8;
/// Bytes of a header without a mask, at most.
const HEADER: usize = 10;

/// A connection whose handshake is done.
pub(crate) struct Web {
    socket: TcpStream,
    frames: Frames,
    /// What came behind the answer to the handshake.
    first: Vec<u8>,
    /// A frame that is written.
    masked: Vec<u8>,
}

impl Web {
    pub(crate) fn begin(mut socket: TcpStream, handshake: Handshake) -> Result<Web> {
        let Handshake { path, subprotocol } = handshake;
        let subprotocol = subprotocol
            .map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n"))
            .unwrap_or_default();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: {KEY}\r\n{subprotocol}\r\n"
        );
        socket.write_all(request.as_bytes())?;
        let mut first = await_answer(&mut socket, |answer| end_of_head(answer).is_some())?;
        let head: Vec<u8> = first.drain(..end_of_head(&first).unwrap_or_default()).collect();
        ensure!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        Ok(Web { socket, frames: Frames::default(), first, masked: Vec::new() })
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }
}

fn end_of_head(answer: &[u8]) -> Option<usize> {
    memchr::memmem::find(answer, END_OF_HEAD).map(|at| at + END_OF_HEAD.len())
}

impl Read for Web {
    fn read(&mut self, plain: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = if self.first.is_empty() {
                self.socket.read(plain)?
            } else {
                let count = (&self.first[..]).read(plain)?;
                self.first.drain(..count);
                count
            };
            if count == 0 {
                return Ok(0);
            }
            // There may have been nothing but a header.
            match self.frames.take_off(&mut plain[..count])? {
                0 if self.frames.is_closed => return Ok(0),
                0 => {}
                count => return Ok(count),
            }
        }
    }
}

impl Write for Web {
    /// Writes all of it.
    fn write(&mut self, plain: &[u8]) -> io::Result<usize> {
        mask(plain, &mut self.masked);
        self.socket.write_all(&self.masked)?;
        Ok(plain.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Makes a masked binary message of some bytes.
fn mask(plain: &[u8], frame: &mut Vec<u8>) {
    frame.clear();
    frame.push(BINARY);
    match plain.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    let (words, rest) = plain.as_chunks::<4>();
    let word = u32::from_ne_bytes(MASK);
    frame.extend(words.iter().flat_map(|plain| (u32::from_ne_bytes(*plain) ^ word).to_ne_bytes()));
    frame.extend(rest.iter().zip(MASK).map(|(plain, mask)| plain ^ mask));
}

/// The frames of a server, wherever reads cut them.
#[derive(Debug, Default)]
struct Frames {
    /// A header that has not arrived in full.
    header: [u8; HEADER],
    have: usize,
    /// Bytes of the payload of the frame that has begun.
    left: u64,
    /// They are WebSocket's own.
    is_control: bool,
    is_closed: bool,
}

impl Frames {
    /// Moves the payloads among some bytes to their beginning. Returns how much that is.
    fn take_off(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let (mut at, mut filled) = (0, 0);
        while at < bytes.len() {
            if self.left > 0 {
                let count =
                    (bytes.len() - at).min(usize::try_from(self.left).unwrap_or(usize::MAX));
                if !self.is_control {
                    bytes.copy_within(at..at + count, filled);
                    filled += count;
                }
                at += count;
                self.left -= count as u64;
            } else {
                self.header[self.have] = bytes[at];
                (self.have, at) = (self.have + 1, at + 1);
                self.begin_frame()?;
            }
        }
        Ok(filled)
    }

    /// Begins the frame whose header is there, if it is.
    fn begin_frame(&mut self) -> io::Result<()> {
        let header = &self.header[..self.have];
        let [first, second, ..] = *header else { return Ok(()) };
        if second & 0x80 != 0 {
            return Err(io::Error::new(ErrorKind::InvalidData, "a server masks nothing"));
        }
        let long = match second {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if header.len() < 2 + long {
            return Ok(());
        }
        let more = &header[2..2 + long];
        self.left = match long {
            0 => second.into(),
            _ => more.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
        };
        let opcode = first & 0x0f;
        self.is_control = opcode >= CONTROL;
        self.is_closed |= opcode == CLOSE;
        self.have = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of a server.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match payload.len() {
            length @ 0..=125 => frame.push(length as u8),
            length @ 126..=0xffff => frame.extend([126, (length >> 8) as u8, length as u8]),
            length => {
                frame.push(127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(payload);
        frame
    }

    #[test]
    fn payloads_of_frames_wherever_they_are_cut() {
        let parts: [&[u8]; 4] = [b"one", &[7; 300], &[8; 70_000], b""];
        let mut stream: Vec<u8> = parts.iter().flat_map(|part| frame(BINARY, part)).collect();
        stream.extend(frame(0x89, b"there?"));
        stream.extend(frame(BINARY, b"last"));
        let whole = [parts.concat(), b"last".to_vec()].concat();
        for size in [1, 2, 3, 7, 4096, 1 << 20] {
            let mut frames = Frames::default();
            let mut found: Vec<u8> = Vec::new();
            for part in stream.chunks(size) {
                let mut part = part.to_vec();
                let count = frames.take_off(&mut part).unwrap();
                found.extend(&part[..count]);
            }
            assert!(found == whole, "cut into {size} bytes");
            assert!(!frames.is_closed);
        }
        let mut frames = Frames::default();
        assert_eq!(frames.take_off(&mut frame(0x88, &[3, 0xe8])).unwrap(), 0);
        assert!(frames.is_closed);
        assert!(frames.take_off(&mut [0x82, 0x81, 1, 2, 3, 4, 5]).is_err());
    }

    #[test]
    fn what_is_written_is_masked() {
        let mut out = Vec::new();
        for (length, header) in [(0, 6), (5, 6), (125, 6), (126, 8), (0xffff, 8), (0x10000, 14)] {
            let plain: Vec<u8> = (0..length).map(|byte| byte as u8).collect();
            mask(&plain, &mut out);
            assert_eq!(out.len(), header + length);
            let (header, masked) = out.split_at(header);
            let mask = header[header.len() - 4..].iter().cycle();
            let unmasked: Vec<u8> =
                masked.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect();
            assert!(unmasked == plain, "{length} bytes");
        }
    }
}
