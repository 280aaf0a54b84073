//! What a client sends.

use std::io::Write;
use std::os::unix::net::UnixStream;

use super::super::Unframing;
use super::*;
use crate::http::Subprotocol::{self, Json, Native};
use crate::protocol::{FrameBuffer, HEADER_LEN};
use crate::transport::line::{Arrived, Line};

/// What came of some bytes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Came {
    /// The stream of bytes, or the bodies of frames.
    native: Vec<u8>,
    texts: Vec<Vec<u8>>,
    pong: Option<Vec<u8>>,
    /// The code that answers the end, and whether the client has ended it as one does.
    end: Option<(Option<u16>, bool)>,
}

/// Reads a stream that comes in such pieces, into a buffer of which frames are taken as a session
/// takes them.
fn read<'a>(subprotocol: Subprotocol, pieces: impl Iterator<Item = &'a [u8]>) -> Came {
    let mut unframing = Unframing::new(subprotocol, FrameBuffer::new());
    let mut buffer = FrameBuffer::new();
    let mut came = Came::default();
    for mut piece in pieces {
        while !piece.is_empty() {
            let (raw, size) = unframing.room();
            raw.read_with(size, &mut piece).unwrap();
            loop {
                let size = buffer.next_size().wanted;
                let given = unframing.give(&mut buffer, size).unwrap();
                came.pong = unframing.take_pong().or(came.pong.take());
                if subprotocol == Native {
                    came.native.extend_from_slice(buffer.bytes());
                    buffer.take(buffer.bytes().len());
                }
                while subprotocol == Json
                    && let Some((_, body)) = buffer.first(1 << 20).unwrap()
                {
                    came.texts.push(buffer.bytes()[body.clone()].to_vec());
                    buffer.take(body.end);
                }
                if given.is_none() {
                    break;
                }
            }
        }
    }
    came.end = unframing.ended();
    came
}

/// What comes of a stream, however it is cut.
fn came(subprotocol: Subprotocol, stream: &[u8]) -> Came {
    let whole = read(subprotocol, [stream].into_iter());
    assert_eq!(whole, read(subprotocol, stream.chunks(1)), "byte by byte");
    for cut in (0..stream.len()).take(400) {
        let (first, second) = stream.split_at(cut);
        assert_eq!(whole, read(subprotocol, [first, second].into_iter()), "cut at {cut}");
    }
    whole
}

const GOES_ON: Option<(Option<u16>, bool)> = None;
const PROTOCOL_ERROR: Option<(Option<u16>, bool)> = Some((Some(1002), false));

#[test]
fn cases_1_messages_of_every_length() {
    for length in [0, 125, 126, 127, 128, 65_535, 65_536] {
        let payload = vec![b'*'; length];
        let came_as = came(Json, &frame(FIN | TEXT, &payload));
        assert_eq!((came_as.texts, came_as.end), (vec![payload.clone()], GOES_ON), "{length}");
        let payload = vec![0xfe; length];
        let came_as = came(Native, &frame(FIN | BINARY, &payload));
        assert_eq!((came_as.native, came_as.end), (payload, GOES_ON), "{length}");
    }
}

#[test]
fn cases_2_pings_and_pongs() {
    let long = [0xfe; 125];
    for (stream, pong, end) in [
        (frame(PING, b""), Some(&b""[..]), GOES_ON),
        (frame(PING, b"Hello"), Some(b"Hello"), GOES_ON),
        (frame(PING, &[0, 0xff, 0xfe, 0xfd]), Some(&[0, 0xff, 0xfe, 0xfd]), GOES_ON),
        (frame(PING, &long), Some(&long), GOES_ON),
        (frame(PING, &[0xfe; 126]), None, PROTOCOL_ERROR),
        (frame(PONG, b""), None, GOES_ON),
        (frame(PONG, b"unasked"), None, GOES_ON),
        ([frame(PONG, b"x"), frame(PING, b"y")].concat(), Some(b"y"), GOES_ON),
        ((0..10).flat_map(|n| frame(PING, &[n])).collect(), Some(&[9]), GOES_ON),
    ] {
        let came = came(Json, &stream);
        assert_eq!((came.pong.as_deref(), came.end), (pong, end), "{stream:x?}");
    }
}

#[test]
fn cases_3_and_4_reserved_bits_and_opcodes() {
    let good = frame(FIN | TEXT, b"good");
    let first = [0x40, 0x20, 0x10, 0x50, 0x70]
        .into_iter()
        .flat_map(|bits| [TEXT, BINARY, CONTINUATION, CLOSE, PING].map(|opcode| opcode | bits))
        .chain([3, 4, 5, 6, 7, 11, 12, 13, 14, 15]);
    for first in first {
        let bad = frame(FIN | first, b"bad");
        // What came before is not lost, and what comes behind is nothing.
        let came = came(Json, &[&good[..], &bad, &good, &frame(PING, b"no")].concat());
        assert_eq!((came.texts, came.pong), (vec![b"good".to_vec()], None), "{first:x}");
        assert_eq!(came.end, PROTOCOL_ERROR, "{first:x}");
    }
}

#[test]
fn cases_5_fragments() {
    let two = |first, second| [frame(first, b"frag"), frame(second, b"ment")].concat();
    let good = frame(FIN | TEXT, b"good");
    let texts = |texts: &[&str]| -> Vec<Vec<u8>> {
        texts.iter().map(|text| text.as_bytes().to_vec()).collect()
    };
    for (case, stream, expected, pong, end) in [
        ("5.1", two(PING & !FIN, FIN | CONTINUATION), texts(&[]), None, PROTOCOL_ERROR),
        ("5.2", two(PONG & !FIN, FIN | CONTINUATION), texts(&[]), None, PROTOCOL_ERROR),
        ("5.3", two(TEXT, FIN | CONTINUATION), texts(&["fragment"]), None, GOES_ON),
        (
            "5.6",
            [frame(TEXT, b"frag"), frame(PING, b"!"), frame(FIN, b"ment"), good.clone()].concat(),
            texts(&["fragment", "good"]),
            Some(&b"!"[..]),
            GOES_ON,
        ),
        ("5.9", [frame(FIN, b"none"), good.clone()].concat(), texts(&[]), None, PROTOCOL_ERROR),
        (
            "5.12",
            [frame(CONTINUATION, b"none"), good.clone()].concat(),
            texts(&[]),
            None,
            PROTOCOL_ERROR,
        ),
        (
            "5.15",
            [two(TEXT, FIN), frame(0, b"x"), good.clone()].concat(),
            texts(&["fragment"]),
            None,
            PROTOCOL_ERROR,
        ),
        ("5.18", two(TEXT, FIN | TEXT), texts(&[]), None, PROTOCOL_ERROR),
        (
            "5.19",
            [
                frame(TEXT, b"1"),
                frame(0, b"2"),
                frame(PING, b"a"),
                frame(0, b"3"),
                frame(0, b"4"),
                frame(PING, b"b"),
                frame(FIN, b"5"),
                good.clone(),
            ]
            .concat(),
            texts(&["12345", "good"]),
            Some(b"b"),
            GOES_ON,
        ),
        (
            "empty fragments",
            [frame(TEXT, b""), frame(0, b""), frame(0, b"1"), frame(FIN, b""), good].concat(),
            texts(&["1", "good"]),
            None,
            GOES_ON,
        ),
    ] {
        let came = came(Json, &stream);
        assert_eq!((came.texts, came.pong.as_deref(), came.end), (expected, pong, end), "{case}");
    }
}

#[test]
fn fragments_of_binary_messages_pass_through_as_they_come() {
    let mut stream = [frame(BINARY, &[1, 2]), frame(0, &[3]), frame(PING, b"?")].concat();
    let came_as = came(Native, &stream);
    assert_eq!((came_as.native, came_as.end), (vec![1, 2, 3], GOES_ON));
    stream.extend(frame(FIN, &[4]));
    stream.extend(frame(FIN | BINARY, &[5]));
    assert_eq!(came(Native, &stream).native, [1, 2, 3, 4, 5]);
}

#[test]
fn cases_6_text_that_is_no_utf8() {
    let invalid: [&[u8]; 8] = [
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80\x65\x64\x69\x74\x65\x64",
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80\x65",
        b"\xce\xba\xe1",
        b"\xf8\x88\x80\x80\x80",
        b"\x80",
        b"\xc0\xaf",
        b"\xed\xbf\xbf",
        b"hello \xff",
    ];
    let not_utf8 = Some((Some(1007), false));
    let good = frame(FIN | TEXT, b"good");
    for text in invalid {
        let came_as = came(Json, &[&good[..], &frame(FIN | TEXT, text), &good].concat());
        assert_eq!((came_as.texts.len(), came_as.end), (1, not_utf8), "{text:x?}");
        // However it is in fragments.
        for cut in 0..=text.len() {
            let (first, second) = text.split_at(cut);
            let stream = [frame(TEXT, first), frame(0, b""), frame(FIN, second)].concat();
            let came = came(Json, &stream);
            assert_eq!((came.texts.len(), came.end), (0, not_utf8), "{text:x?} {cut}");
            let last = [frame(TEXT, first), frame(0, second), frame(FIN, b""), good.clone()];
            let came = read(Json, [&last.concat()[..]].into_iter());
            assert_eq!((came.texts.len(), came.end), (0, not_utf8), "{text:x?} {cut}");
        }
    }
    let valid = "κόσμε \u{10ffff} 水 \u{fffe}".as_bytes();
    for cut in 0..=valid.len() {
        let (first, second) = valid.split_at(cut);
        let came = came(Json, &[frame(TEXT, first), frame(FIN, second)].concat());
        assert_eq!((came.texts, came.end), (vec![valid.to_vec()], GOES_ON), "{cut}");
    }
}

#[test]
fn cases_7_the_end() {
    let code = |code: u16, reason: &[u8]| [&code.to_be_bytes()[..], reason].concat();
    let closed = |code| Some((code, true));
    let mut cases = vec![
        ("7.3.1".to_owned(), vec![], closed(None)),
        ("7.3.2".to_owned(), vec![3], PROTOCOL_ERROR),
        ("7.3.4".to_owned(), code(1000, b"Hello World!"), closed(Some(1000))),
        ("7.3.5".to_owned(), code(1000, &[b'*'; 123]), closed(Some(1000))),
        ("7.3.6".to_owned(), code(1000, &[b'*'; 124]), PROTOCOL_ERROR),
        ("7.5.1".to_owned(), code(1000, b"\xce\xed\xa0\x80"), Some((Some(1007), false))),
    ];
    for good in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        cases.push((format!("7.7 {good}"), code(good, b""), closed(Some(good))));
    }
    for bad in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        cases.push((format!("7.9 {bad}"), code(bad, b""), PROTOCOL_ERROR));
    }
    let good = frame(FIN | TEXT, b"good");
    for (case, payload, end) in cases {
        // What follows the end is not read: 7.1.2 to 7.1.6.
        let stream = [&good[..], &frame(CLOSE, &payload), &good, &frame(PING, b"")].concat();
        let came = came(Json, &stream);
        assert_eq!((came.texts.len(), came.pong, came.end), (1, None, end), "{case}");
    }
    // 7.1.6: within a message.
    let came = came(Json, &[frame(TEXT, b"begun"), frame(CLOSE, &code(1000, b""))].concat());
    assert_eq!((came.texts.len(), came.end), (0, closed(Some(1000))));
}

#[test]
fn cases_9_and_10_long_messages_in_fragments_of_every_size() {
    let text: Vec<u8> = (0..200_000_u32).map(|n| b'a' + (n % 26) as u8).collect();
    for size in [64, 1_000, 4_096, 65_536] {
        let chunks: Vec<&[u8]> = text.chunks(size).collect();
        let last = chunks.len() - 1;
        let stream: Vec<u8> = chunks
            .iter()
            .enumerate()
            .flat_map(|(at, chunk)| {
                let first = if at == 0 { TEXT } else { CONTINUATION };
                frame(if at == last { FIN | first } else { first }, chunk)
            })
            .collect();
        for piece in [997, 1_460, 1 << 20] {
            let came = read(Json, stream.chunks(piece));
            assert!(came.texts == [&text[..]] && came.end == GOES_ON, "{size} {piece}");
        }
    }
}

#[test]
fn the_other_kind_of_message_is_not_taken() {
    let unsupported = Some((Some(1003), false));
    assert_eq!(came(Json, &frame(FIN | BINARY, b"{}")).end, unsupported);
    assert_eq!(came(Native, &frame(FIN | TEXT, b"{}")).end, unsupported);
}

#[test]
fn what_is_not_as_a_client_sends_it_is_refused_as_soon_as_that_is_seen() {
    let with_length = |length: &[u8]| [&[FIN | BINARY], length, &MASK].concat();
    let mut unmasked = frame(FIN | BINARY, b"x");
    unmasked[1] &= 0x7f;
    for (what, stream) in [
        ("no mask", unmasked),
        ("125 in 16 bits", with_length(&[0xfe, 0, 125])),
        ("65,535 in 64 bits", with_length(&[0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff])),
        ("64 bits", with_length(&[0xff, 0x80, 0, 0, 0, 0, 0, 0, 0])),
        ("a long ping", [&[PING, 0xfe, 0, 126][..], &MASK].concat()),
    ] {
        assert_eq!(came(Native, &stream).end, PROTOCOL_ERROR, "{what}");
    }
    assert_eq!(came(Native, &[0x40]).end, PROTOCOL_ERROR);
    assert_eq!(came(Native, &[FIN | BINARY, 5]).end, PROTOCOL_ERROR);
}

#[test]
fn a_frame_that_is_said_to_be_endless_takes_no_memory_for_it() {
    let head = [&[FIN | BINARY, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0][..], &MASK].concat();
    let payload: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
    let masked: Vec<u8> = payload.iter().zip(MASK.iter().cycle()).map(|(a, b)| a ^ b).collect();
    let stream = [head, masked].concat();
    let mut unframing = Unframing::new(Native, FrameBuffer::new());
    let (mut buffer, mut native) = (FrameBuffer::new(), Vec::new());
    let mut rest = &stream[..];
    while !rest.is_empty() {
        let (raw, size) = unframing.room();
        raw.read_with(size, &mut rest).unwrap();
        while unframing.give(&mut buffer, 4_096).unwrap().is_some() {
            native.extend_from_slice(buffer.bytes());
            buffer.take(buffer.bytes().len());
        }
        assert!(unframing.room().1 <= super::super::unframe::READ);
    }
    assert!(native == payload && unframing.is_amid());
    // A text of that length is longer than a frame can be.
    let mut head = stream[..14].to_vec();
    head[0] = FIN | TEXT;
    assert_eq!(came(Json, &head).end, Some((Some(1009), false)));
}

/// A session that has no memory for a message says so and goes on with the next.
#[test]
fn the_rest_of_a_message_can_be_skipped() {
    for fragments in [false, true] {
        let long = vec![b'x'; 10_000];
        let mut stream = match fragments {
            false => frame(FIN | TEXT, &long),
            true => [frame(TEXT, &long), frame(0, &long), frame(FIN, b"end")].concat(),
        };
        stream.extend(frame(FIN | TEXT, b"next"));
        for first in [10, 5_000, 9_999] {
            let mut unframing = Unframing::new(Json, FrameBuffer::new());
            let mut buffer = FrameBuffer::new();
            let (begun, rest) = stream.split_at(first);
            for (piece, skips) in [(begun, true), (rest, false)] {
                let mut piece = piece;
                while !piece.is_empty() {
                    let (raw, size) = unframing.room();
                    raw.read_with(size, &mut piece).unwrap();
                    while unframing.give(&mut buffer, 1 << 16).unwrap().is_some() {}
                }
                if skips {
                    assert!(buffer.announced().unwrap() > buffer.bytes().len());
                    buffer.take(buffer.bytes().len());
                    assert!(unframing.skip_message());
                }
            }
            assert_eq!(&buffer.bytes()[HEADER_LEN..], b"next", "{fragments} {first}");
        }
    }
    assert!(!Unframing::new(Native, FrameBuffer::new()).skip_message());
}

#[test]
fn what_has_begun_is_not_idle() {
    let mut unframing = Unframing::new(Json, FrameBuffer::new());
    let mut buffer = FrameBuffer::new();
    let stream = [frame(TEXT, b"ab"), frame(FIN, b"c"), frame(PING, b"!")].concat();
    let ends = [frame(TEXT, b"ab").len() + frame(FIN, b"c").len(), stream.len()];
    assert!(!unframing.is_amid());
    for (at, byte) in stream.iter().enumerate() {
        let (raw, size) = unframing.room();
        raw.read_with(size, &mut &[*byte][..]).unwrap();
        while unframing.give(&mut buffer, 4_096).unwrap().is_some() {}
        assert_eq!(unframing.is_amid(), !ends.contains(&(at + 1)), "{at}");
    }
}

#[test]
fn what_is_there_is_taken_in_at_once() {
    let (mut client, broker) = UnixStream::pair().unwrap();
    let (_, mut incoming, mut outgoing) = Line::plain(broker.into());
    incoming.become_websocket(&mut outgoing, Native, &mut FrameBuffer::new());
    // Nobody reads yet, so a socket that does not take all of it is to fail.
    client.set_nonblocking(true).unwrap();
    client.write_all(&frame(FIN | BINARY, &[7; 2_000]).repeat(40)).unwrap();
    client.write_all(&frame(CLOSE, &[])).unwrap();
    let (mut buffer, size) = (FrameBuffer::new(), 128 << 10);
    let arrived = incoming.read(&mut buffer, size).unwrap();
    assert_eq!(arrived, Arrived::Bytes(80_000));
    assert_eq!(buffer.bytes(), [7; 80_000]);
    assert_eq!(incoming.read(&mut buffer, size).unwrap(), Arrived::End);
}
