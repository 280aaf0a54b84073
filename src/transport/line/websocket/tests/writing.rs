//! What a client is sent.

use std::io::{IoSlice, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use super::*;
use crate::http::Subprotocol::{self, Json, Native};
use crate::protocol::{Format, FrameBuffer, Header};
use crate::transport::line::{Arrived, Close, Incoming, Line, Outgoing, Pushed, Unsealed, Wait};

/// A connection behind its handshake: the client's end, and both of the broker's.
struct Connected {
    client: UnixStream,
    incoming: Incoming,
    outgoing: Outgoing,
}

fn connected(subprotocol: Subprotocol, is_sealed: bool) -> Connected {
    let (client, broker) = UnixStream::pair().unwrap();
    let new = if is_sealed { Line::sealed } else { Line::plain };
    let (_, mut incoming, mut outgoing) = new(broker.into());
    incoming.become_websocket(&mut outgoing, subprotocol, &mut FrameBuffer::new());
    outgoing.set_tick(Duration::from_secs(60)).unwrap();
    incoming.set_patience(Duration::from_secs(60)).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    Connected { client, incoming, outgoing }
}

/// The frames that a broker has sent: the first byte of each, and its payload.
fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let [first, length, rest @ ..] = bytes {
        assert_eq!(length & 0x80, 0, "a broker masks nothing");
        let (length, rest) = match length {
            126 => (u16::from_be_bytes(rest[..2].try_into().unwrap()).into(), &rest[2..]),
            127 => (u64::from_be_bytes(rest[..8].try_into().unwrap()) as usize, &rest[8..]),
            length => (usize::from(*length), rest),
        };
        frames.push((*first, rest[..length].to_vec()));
        bytes = &rest[length..];
    }
    assert!(bytes.is_empty());
    frames
}

/// Frames in JSON of many lengths.
fn bodies() -> Vec<Vec<u8>> {
    let lengths = [2, 0, 125, 126, 4_095, 4_096, 4_097, 1, 32_768, 65_535, 65_536, 200_000, 7];
    let many = lengths.into_iter().chain((0..500).map(|n| n % 300));
    many.map(|length| (0..length).map(|n| b'a' + (n % 23) as u8).collect()).collect()
}

fn native(bodies: &[Vec<u8>]) -> Vec<u8> {
    let frame = |body: &Vec<u8>| {
        let header = Header { format: Format::Json, length: body.len() as u32 };
        [&header.to_bytes()[..], body].concat()
    };
    bodies.iter().flat_map(frame).collect()
}

/// Pushes bytes in pieces of such a size as a writer does, and ends.
fn push_all(outgoing: &mut Outgoing, bytes: &[u8], piece: usize, wait: Wait) {
    // Some more than a writer gathers, and some of nothing.
    for write in bytes.chunks(piece * 100) {
        let mut slices: Vec<IoSlice<'_>> =
            write.chunks(piece).flat_map(|piece| [&[][..], piece]).map(IoSlice::new).collect();
        let mut rest = slices.as_mut_slice();
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() || !outgoing.is_settled() {
            let pushed = outgoing.push(rest, wait).unwrap();
            IoSlice::advance_slices(&mut rest, pushed.taken);
            if wait == Wait::No && pushed == Pushed::default() {
                thread::yield_now();
            }
        }
    }
    outgoing.finish();
    while !outgoing.is_settled() {
        outgoing.push(&[], Wait::Tick).unwrap();
    }
    outgoing.end();
}

fn received(subprotocol: Subprotocol, is_sealed: bool, piece: usize, wait: Wait) {
    let Connected { mut client, mut outgoing, incoming: _incoming } =
        connected(subprotocol, is_sealed);
    let bytes = native(&bodies());
    let reader = thread::spawn(move || {
        let mut received = Vec::new();
        client.read_to_end(&mut received).unwrap();
        received
    });
    push_all(&mut outgoing, &bytes, piece, wait);
    let mut received = reader.join().unwrap();
    if is_sealed {
        let mut unsealed = Unsealed::default();
        unsealed.take_in(&received);
        received = unsealed.plain;
    }
    let mut frames = frames(&received);
    assert_eq!(frames.pop(), Some((CLOSE, 1000_u16.to_be_bytes().to_vec())));
    match subprotocol {
        Native => {
            assert!(frames.iter().all(|(first, _)| *first == FIN | BINARY));
            let payloads: Vec<u8> = frames.into_iter().flat_map(|(_, payload)| payload).collect();
            assert!(payloads == bytes);
        }
        Json => {
            let texts: Vec<_> = bodies().into_iter().map(|body| (FIN | TEXT, body)).collect();
            assert!(frames == texts);
        }
    }
}

#[test]
fn frames_of_ours_arrive_as_messages_however_they_are_pushed() {
    for subprotocol in [Native, Json] {
        for is_sealed in [false, true] {
            for wait in [Wait::Tick, Wait::No] {
                for piece in [1_009, 7_000, 100_000, 10_000_000] {
                    received(subprotocol, is_sealed, piece, wait);
                }
            }
        }
    }
}

/// A header of ours may lie in two pushes.
#[test]
fn every_cut_of_a_frame_is_put_together_again() {
    let bodies = [b"{}".to_vec(), b"[1,2]".to_vec()];
    let bytes = native(&bodies);
    for cut in 0..=bytes.len() {
        let Connected { mut client, mut outgoing, incoming: _incoming } = connected(Json, false);
        for part in [&bytes[..cut], &bytes[cut..]] {
            let mut rest = part;
            while !rest.is_empty() {
                rest = &rest[outgoing.push(&[IoSlice::new(rest)], Wait::Tick).unwrap().taken..];
            }
        }
        assert!(outgoing.is_settled());
        outgoing.end();
        let mut received = Vec::new();
        client.read_to_end(&mut received).unwrap();
        let texts: Vec<_> = frames(&received).into_iter().take(2).map(|(_, text)| text).collect();
        assert_eq!(texts, bodies, "{cut}");
    }
}

fn hear(incoming: &mut Incoming) -> Arrived {
    incoming.read(&mut FrameBuffer::new(), 4_096).unwrap()
}

#[test]
fn a_ping_is_answered_by_the_next_push_even_of_nothing() {
    let Connected { mut client, mut incoming, mut outgoing } = connected(Json, false);
    client.write_all(&[frame(PING, b"old"), frame(PING, b"new")].concat()).unwrap();
    assert_eq!(hear(&mut incoming), Arrived::Progress);
    assert!(incoming.has_answer() && !incoming.has_answer());
    // The writer is called once, until it has answered.
    assert!(incoming.may_call() && !incoming.may_call());
    assert!(!outgoing.is_settled());
    outgoing.push(&[], Wait::Tick).unwrap();
    assert!(outgoing.is_settled() && !incoming.may_call());
    client.write_all(&frame(PING, b"again")).unwrap();
    hear(&mut incoming);
    assert!(incoming.has_answer() && incoming.may_call());
    outgoing.push(&[], Wait::Tick).unwrap();
    outgoing.end();
    drop((incoming, outgoing));
    let mut received = Vec::new();
    client.read_to_end(&mut received).unwrap();
    let expected = [(PONG, b"new".to_vec()), (PONG, b"again".to_vec())];
    assert_eq!(frames(&received)[..2], expected);
}

/// A pong does not come into the middle of a message that the socket has not taken as a whole.
#[test]
fn a_pong_waits_for_the_end_of_a_message() {
    for subprotocol in [Native, Json] {
        let Connected { mut client, mut incoming, mut outgoing } = connected(subprotocol, false);
        let body = vec![b'x'; 1 << 20];
        let bytes = native(std::slice::from_ref(&body));
        let mut rest = &bytes[..];
        loop {
            let pushed = outgoing.push(&[IoSlice::new(rest)], Wait::No).unwrap();
            if pushed == Pushed::default() {
                break;
            }
            rest = &rest[pushed.taken..];
        }
        assert!(!rest.is_empty());
        client.write_all(&frame(PING, b"!")).unwrap();
        hear(&mut incoming);
        let reader = thread::spawn(move || {
            let mut received = Vec::new();
            client.read_to_end(&mut received).unwrap();
            received
        });
        while !rest.is_empty() || !outgoing.is_settled() {
            rest = &rest[outgoing.push(&[IoSlice::new(rest)], Wait::Tick).unwrap().taken..];
        }
        outgoing.end();
        drop((incoming, outgoing));
        let frames = frames(&reader.join().unwrap());
        let payload = if subprotocol == Json { body } else { bytes };
        assert!(frames[0].1 == payload);
        assert_eq!(frames[1], (PONG, b"!".to_vec()));
    }
}

#[test]
fn the_end_says_what_is_known_of_it_first() {
    let code = |code: u16| code.to_be_bytes().to_vec();
    // The client's own code, or none where it gave none.
    for payload in [code(1001), code(4999), vec![]] {
        let Connected { mut client, mut incoming, mut outgoing } = connected(Json, false);
        client.write_all(&frame(CLOSE, &payload)).unwrap();
        assert_eq!(hear(&mut incoming), Arrived::End);
        incoming.end_with(Close::refused());
        outgoing.end();
        drop((incoming, outgoing));
        let mut received = Vec::new();
        client.read_to_end(&mut received).unwrap();
        assert_eq!(frames(&received), [(CLOSE, payload)]);
    }
    // What is wrong.
    let Connected { mut client, mut incoming, mut outgoing } = connected(Json, false);
    client.write_all(&frame(FIN | BINARY, b"?")).unwrap();
    let error = incoming.read(&mut FrameBuffer::new(), 4_096).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    outgoing.end();
    // Nothing follows it.
    outgoing.push(&[IoSlice::new(b"\0\0\0\0\x02{}")], Wait::No).unwrap();
    drop((incoming, outgoing));
    let mut received = Vec::new();
    client.read_to_end(&mut received).unwrap();
    let sent = frames(&received);
    assert_eq!((sent.len(), sent[0].0, &sent[0].1[..2]), (1, CLOSE, &code(1003)[..]));
    // What the broker says.
    let Connected { mut client, incoming, mut outgoing } = connected(Json, false);
    outgoing.end_with(Close::refused());
    incoming.end_with(Close::GOING_AWAY);
    outgoing.end();
    drop((incoming, outgoing));
    let mut received = Vec::new();
    client.read_to_end(&mut received).unwrap();
    assert_eq!(frames(&received)[0].1[..2], code(1008));
}

/// A client may send messages behind its handshake before it has read the answer.
#[test]
fn what_was_read_behind_the_handshake_is_not_lost() {
    let (client, broker) = UnixStream::pair().unwrap();
    let (_, mut incoming, mut outgoing) = Line::plain(broker.into());
    let mut buffer = FrameBuffer::new();
    let early = frame(FIN | TEXT, b"{}");
    buffer.read_from(&mut &early[..7]).unwrap();
    incoming.become_websocket(&mut outgoing, Json, &mut buffer);
    assert!(buffer.bytes().is_empty() && incoming.is_amid());
    (&client).write_all(&early[7..]).unwrap();
    while buffer.bytes().len() < 7 {
        assert_ne!(incoming.read(&mut buffer, 4_096).unwrap(), Arrived::End);
    }
    assert_eq!(buffer.bytes(), b"\0\0\0\0\x02{}");
    assert!(!incoming.is_amid());
}
