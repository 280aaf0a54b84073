//! What a client of a WebSocket sends, to the bytes of babelmq's protocol.

use babelmq::internals::{Subprotocol, Unframing};
use babelmq::protocol::{FrameBuffer, HEADER_LEN};

use crate::{Bound, linear};

/// Two buffers that double up to what has arrived, and what is gathered of the outcome, which grows
/// in the same way; the text of a ping each.
const BOUND: Bound = Bound { base: 32 << 10, per_byte: 24 };
/// Buffers of a session are no smaller.
const SMALLEST: usize = 4 << 10;

/// What came of a stream.
#[derive(Debug, Default, PartialEq, Eq)]
struct Came {
    /// Payloads of binary messages, one behind the other.
    bytes: Vec<u8>,
    /// Texts that are whole.
    texts: Vec<Vec<u8>>,
    /// What the last ping said.
    pong: Option<Vec<u8>>,
    /// The code of the end, and whether it came from the client.
    end: Option<(Option<u16>, bool)>,
}

/// The input is three bytes that say how the stream is cut and what it is, and the stream, or the
/// frames that it is made of. However it is cut, what comes of it is what a reader of the whole
/// stream says.
pub fn websocket(input: &[u8]) {
    let [cut, more, what, rest @ ..] = input else { return };
    let stream = if what & 2 == 0 { rest.to_vec() } else { stream_of(rest) };
    let subprotocol = if what & 1 == 0 { Subprotocol::Native } else { Subprotocol::Json };
    let seed = u32::from(u16::from_be_bytes([*cut, *more]));
    let came = linear("messages", stream.len(), BOUND, || unframed(subprotocol, &stream, seed));
    assert_eq!(came, expected(subprotocol, &stream), "{subprotocol:?}");
}

/// A stream of frames, each of two bytes and so many more. The first is that of the frame; the
/// second is its length, but that a high one is any length at all, or no mask.
fn stream_of(mut input: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    while let [first, length, rest @ ..] = input {
        let (payload, rest) = rest.split_at(rest.len().min(usize::from(*length & 0x3f)));
        input = rest;
        stream.push(*first);
        let mask = [*length, 0x5a, !*first, 0];
        match length >> 6 {
            0 | 1 => stream.push(0x80 | payload.len() as u8),
            2 => {
                // Longer than it says, for what follows is a part of it.
                stream.extend([0xfe, 0, 126]);
            }
            _ => {
                stream.push(payload.len() as u8);
                stream.extend_from_slice(payload);
                continue;
            }
        }
        stream.extend(mask);
        stream.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    }
    stream
}

/// As a session reads it.
fn unframed(subprotocol: Subprotocol, stream: &[u8], mut state: u32) -> Came {
    let mut random = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as usize
    };
    // Some bytes are read with the handshake.
    let (mut first, mut rest) = (FrameBuffer::new(), stream);
    if random() % 2 == 0 {
        let (mut early, late) = stream.split_at(stream.len().min(random()));
        rest = late;
        while !early.is_empty() && first.read_from(&mut early).is_ok() {}
    }
    let mut unframing = Unframing::new(subprotocol, first);
    let mut buffer = FrameBuffer::new();
    let mut came = Came::default();
    loop {
        loop {
            let size = buffer.next_size().wanted.max(SMALLEST);
            let given = unframing.give(&mut buffer, size).unwrap_or(None);
            came.pong = unframing.take_pong().or(came.pong.take());
            match subprotocol {
                Subprotocol::Native => {
                    came.bytes.extend_from_slice(buffer.bytes());
                    buffer.take(buffer.bytes().len());
                }
                Subprotocol::Json => take_texts(&mut buffer, &mut came.texts),
            }
            if given.is_none() {
                break;
            }
        }
        if rest.is_empty() {
            break;
        }
        let count = match random() {
            size @ 0..64 => size + 1,
            64..192 => 1,
            _ => usize::MAX,
        };
        let (raw, size) = unframing.room();
        let mut piece = &rest[..rest.len().min(count)];
        let before = piece.len();
        let _ = raw.read_with(size, &mut piece);
        rest = &rest[before - piece.len()..];
    }
    came.end = unframing.ended();
    came
}

/// What is left is the beginning of a frame that is not whole.
fn take_texts(buffer: &mut FrameBuffer, texts: &mut Vec<Vec<u8>>) {
    while let Some((_, body)) = buffer.first(u32::MAX).expect("it is a frame in JSON") {
        texts.push(buffer.bytes()[body.clone()].to_vec());
        buffer.take(body.end);
    }
    if buffer.bytes().len() >= HEADER_LEN {
        assert!(buffer.announced().is_some_and(|length| length > buffer.bytes().len()));
    }
}

/// The rules of RFC 6455, on the whole stream.
fn expected(subprotocol: Subprotocol, mut stream: &[u8]) -> Came {
    let mut came = Came::default();
    // The message that has begun.
    let mut message: Option<Vec<u8>> = None;
    let broken = |code: u16| Some((Some(code), false));
    loop {
        let frame = match next(stream) {
            Ok(frame) => frame,
            Err(()) => {
                came.end = broken(1002);
                return came;
            }
        };
        let Some(Frame { opcode, is_final, length, mask, head }) = frame else { return came };
        let there = &stream[head..];
        let is_whole = there.len() as u64 >= length;
        let there = &there[..there.len().min(usize::try_from(length).unwrap_or(usize::MAX))];
        let payload: Vec<u8> =
            there.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        if opcode >= 8 {
            if !is_whole {
                return came;
            }
            match opcode {
                8 => {
                    came.end = close(&payload);
                    return came;
                }
                9 => came.pong = Some(payload),
                _ => {}
            }
        } else {
            let code = match (opcode, message.is_some(), subprotocol) {
                (0, false, _) | (1 | 2, true, _) => Some(1002),
                (1, _, Subprotocol::Native) | (2, _, Subprotocol::Json) => Some(1003),
                _ => None,
            };
            if let Some(code) = code {
                came.end = broken(code);
                return came;
            }
            let text = message.get_or_insert_default();
            if subprotocol == Subprotocol::Json && text.len() as u64 + length > u32::MAX.into() {
                came.end = broken(1009);
                return came;
            }
            came.bytes.extend(payload.iter().filter(|_| subprotocol == Subprotocol::Native));
            text.extend(payload);
            let is_over = is_final && is_whole;
            if subprotocol == Subprotocol::Json {
                let fault = std::str::from_utf8(text).err();
                // A character may be cut off as long as more is to come.
                if fault.is_some_and(|fault| is_over || fault.error_len().is_some()) {
                    came.end = broken(1007);
                    return came;
                }
            }
            if !is_whole {
                return came;
            }
            if is_over {
                let text = message.take().unwrap_or_default();
                came.texts.extend((subprotocol == Subprotocol::Json).then_some(text));
            }
        }
        stream = &stream[head + payload_len(length)..];
    }
}

fn payload_len(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

struct Frame {
    opcode: u8,
    is_final: bool,
    length: u64,
    mask: [u8; 4],
    /// Bytes of the head.
    head: usize,
}

/// The head of the next frame, if it is whole.
fn next(stream: &[u8]) -> Result<Option<Frame>, ()> {
    let [first, rest @ ..] = stream else { return Ok(None) };
    let (opcode, is_final) = (first & 15, first & 0x80 != 0);
    if first & 0x70 != 0 || (3..8).contains(&opcode) || opcode > 10 {
        return Err(());
    }
    let [second, rest @ ..] = rest else { return Ok(None) };
    let short = second & 0x7f;
    if second & 0x80 == 0 || (opcode >= 8 && (short > 125 || !is_final)) {
        return Err(());
    }
    let extended = match short {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let Some((bytes, rest)) = rest.split_at_checked(extended) else { return Ok(None) };
    let length = bytes.iter().fold(0_u64, |length, byte| length << 8 | u64::from(*byte));
    let length = if extended == 0 { u64::from(short) } else { length };
    let least = [(2, 126), (8, 65_536)].into_iter().find(|(bytes, _)| *bytes == extended);
    if length >= 1 << 63 || least.is_some_and(|(_, least)| length < least) {
        return Err(());
    }
    let Some(mask) = rest.first_chunk::<4>() else { return Ok(None) };
    Ok(Some(Frame { opcode, is_final, length, mask: *mask, head: 6 + extended }))
}

fn close(payload: &[u8]) -> Option<(Option<u16>, bool)> {
    Some(match payload {
        [] => (None, true),
        [_] => (Some(1002), false),
        [high, low, reason @ ..] => {
            let code = u16::from(*high) << 8 | u16::from(*low);
            let is_known = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014]
                .contains(&code);
            if !is_known && !(3000..5000).contains(&code) {
                (Some(1002), false)
            } else if std::str::from_utf8(reason).is_err() {
                (Some(1007), false)
            } else {
                (Some(code), true)
            }
        }
    })
}
