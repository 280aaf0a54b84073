//! A client of WebSocket (RFC 6455) that knows it from the RFC alone, and does what a client may:
//! it sends messages in fragments, with pings between them.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Mutex;

use super::line::Line;

pub const FIN: u8 = 0x80;
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// A connection behind its handshake, from which one thread may read while another writes.
pub struct WebSocket {
    below: Line,
    state: Mutex<State>,
    /// Messages that were sent. Held while one is on its way.
    sent: Mutex<usize>,
}

#[derive(Default)]
struct State {
    raw: Vec<u8>,
    /// Payloads of binary messages that were not asked for.
    plain: Vec<u8>,
    is_closed: bool,
}

/// A frame of a client. The mask is another for each length.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = (payload.len() as u32).wrapping_mul(0x9e37_79b9).to_be_bytes();
    let mut frame = vec![first];
    match payload.len() {
        length @ ..=125 => frame.push(0x80 | length as u8),
        length @ ..=0xffff => {
            frame.push(0xfe);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(0xff);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The request that a handshake is.
pub fn handshake(subprotocol: &str) -> String {
    format!(
        "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: {subprotocol}\r\n\r\n"
    )
}

impl WebSocket {
    /// Shakes hands over a connection, and sends `first` before it has seen the answer.
    pub fn over(below: Line, subprotocol: &str, first: &[u8]) -> WebSocket {
        (&below).write_all(&[handshake(subprotocol).as_bytes(), first].concat()).unwrap();
        let mut raw = Vec::new();
        let end = loop {
            if let Some(end) = raw.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
            let mut bytes = [0; 4_096];
            let count = (&below).read(&mut bytes).unwrap();
            assert!(count > 0, "{}", raw.escape_ascii());
            raw.extend_from_slice(&bytes[..count]);
        };
        let head = String::from_utf8(raw.drain(..end).collect()).unwrap();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        for field in [
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned(),
            format!("Sec-WebSocket-Protocol: {subprotocol}"),
            "Upgrade: websocket".to_owned(),
            "Connection: Upgrade".to_owned(),
        ] {
            assert!(head.lines().any(|line| line == field), "{head}");
        }
        let state = State { raw, ..State::default() };
        WebSocket { below, state: Mutex::new(state), sent: Mutex::new(0) }
    }

    pub fn below(&self) -> &Line {
        &self.below
    }

    /// Sends bytes as they are.
    pub fn send_raw(&self, bytes: &[u8]) {
        let _turn = self.sent.lock().unwrap();
        (&self.below).write_all(bytes).unwrap();
    }

    /// The next frame: its first byte, and its payload; `None` at the end of the connection.
    pub fn frame(&self) -> Option<(u8, Vec<u8>)> {
        self.next_frame(&mut self.state.lock().unwrap()).unwrap()
    }

    fn next_frame(&self, state: &mut State) -> io::Result<Option<(u8, Vec<u8>)>> {
        loop {
            let raw = &mut state.raw;
            if let Some((length, head)) = length(raw)
                && raw.len() >= head + length
            {
                let payload = raw[head..head + length].to_vec();
                let first = raw[0];
                raw.drain(..head + length);
                return Ok(Some((first, payload)));
            }
            let mut bytes = vec![0; 64 << 10];
            let count = (&self.below).read(&mut bytes)?;
            if count == 0 {
                assert!(raw.is_empty(), "{} bytes of a frame", raw.len());
                return Ok(None);
            }
            raw.extend_from_slice(&bytes[..count]);
        }
    }

    /// Reads payloads of binary messages. An end that was not announced is an error.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let state = &mut *self.state.lock().unwrap();
        while state.plain.is_empty() && !state.is_closed {
            match self.next_frame(state)? {
                None => return Err(ErrorKind::UnexpectedEof.into()),
                Some((first, payload)) if first == FIN | BINARY => state.plain = payload,
                Some((first, _)) if first == FIN | CLOSE => state.is_closed = true,
                Some((first, payload)) => {
                    assert_eq!((first, &payload[..]), (FIN | PONG, &b"there?"[..]));
                }
            }
        }
        let count = state.plain.len().min(buffer.len());
        buffer[..count].copy_from_slice(&state.plain[..count]);
        state.plain.drain(..count);
        Ok(count)
    }

    /// Sends a binary message, every third in fragments with a ping between them.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut sent = self.sent.lock().unwrap();
        *sent += 1;
        let frames = if sent.is_multiple_of(3) {
            let (first, second) = bytes.split_at(bytes.len() / 2);
            let ping = masked(FIN | PING, b"there?");
            [masked(BINARY, first), ping, masked(0, b""), masked(FIN, second)].concat()
        } else {
            masked(FIN | BINARY, bytes)
        };
        (&self.below).write_all(&frames)?;
        Ok(bytes.len())
    }
}

/// The length of the payload of the frame that some bytes begin with, and of its head.
fn length(raw: &[u8]) -> Option<(usize, usize)> {
    let short = *raw.get(1)?;
    assert_eq!(short & 0x80, 0, "a server masks nothing");
    Some(match short {
        126 => (u16::from_be_bytes(*raw.get(2..)?.first_chunk()?).into(), 4),
        127 => (u64::from_be_bytes(*raw.get(2..)?.first_chunk()?) as usize, 10),
        short => (short.into(), 2),
    })
}
