//! Strangers at the port, and frames that are none.

use babelmq::Format::{self, Json, Pickle, Xml};

use super::row::Outcome::{Fatal, RefusedSomehow, Unfinished};
use super::row::{Row, raw, refused};
use crate::support::random::Random;
use crate::support::{FORMATS, frame};

/// The largest body of a broker of the usual size.
const MAX_FRAME: u32 = 16 << 20;

pub fn rows() -> Vec<Row> {
    let mut rows = strangers();
    // Every byte that announces no format, alone, and with what a header goes on with.
    for byte in 3..=u8::MAX {
        rows.push(raw(format!("format byte {byte:#04x}"), [byte], Fatal(Json, "unknown-format")));
    }
    rows.push(raw(
        "an unknown format and a length",
        [3, 0, 0, 0, 0],
        Fatal(Json, "unknown-format"),
    ));
    rows.push(raw("0xff for a long time", vec![0xff; 1 << 20], Fatal(Json, "unknown-format")));
    rows.extend(lengths());
    rows.extend(random());
    rows
}

/// What other protocols begin with.
fn strangers() -> Vec<Row> {
    let unknown = Fatal(Json, "unknown-format");
    let greetings: [(&str, &[u8]); 17] = [
        ("HTTP/1.1", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("HTTP/1.1 with a body", b"POST /publish HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
        ("WebSocket", b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
        (
            "TLS 1.0 to 1.3",
            b"\x16\x03\x01\0\xc4\x01\0\0\xc0\x03\x03abcdefghijklmnopqrstuvwxyz012345\x20",
        ),
        ("SSL 2", b"\x80\x2e\x01\x03\x01\0\x15\0\0\0\x10"),
        ("SSH", b"SSH-2.0-OpenSSH_9.6\r\n"),
        ("SMTP", b"EHLO localhost\r\n"),
        ("Redis", b"*1\r\n$4\r\nPING\r\n"),
        ("NATS", b"CONNECT {\"verbose\":false}\r\nPING\r\n"),
        ("MQTT", b"\x10\x10\0\x04MQTT\x04\x02\0\x3c\0\x04name"),
        ("AMQP", b"AMQP\0\0\x09\x01"),
        ("Remote Desktop", b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0"),
        ("Java serialization", b"\xac\xed\0\x05sr\0\x04Evil"),
        ("JSON without a frame", b"{\"command\":\"ping\"}"),
        ("XML without a frame", b"<f command=\"ping\"/>"),
        ("pickle without a frame", b"\x80\x04}\x94."),
    ];
    let mut rows: Vec<Row> =
        greetings.into_iter().map(|(name, bytes)| raw(name, bytes, unknown.clone())).collect();
    // These begin with 0, as JSON does, and a length, or what looks like one.
    rows.push(raw("SMB", b"\0\0\0\x54\xffSMBr\0\0\0\0", Unfinished));
    rows.push(raw("PostgreSQL", b"\0\0\0\x08\x04\xd2\x16\x2f", Unfinished));
    rows.push(raw(
        "DNS",
        b"\0\x1d\xab\xcd\x01\0\0\x01\0\0\0\0\0\0",
        Fatal(Json, "frame-too-large"),
    ));
    rows.push(raw("nothing but 0", [0; 4], Unfinished));
    rows
}

fn lengths() -> Vec<Row> {
    let mut rows = Vec::new();
    for format in FORMATS {
        let claim =
            |length: u32, more: &[u8]| [&[format.byte()], &length.to_be_bytes()[..], more].concat();
        for length in [MAX_FRAME + 1, i32::MAX as u32, 1 << 31, u32::MAX] {
            let too_large = Fatal(format, "frame-too-large");
            rows.push(raw(
                format!("{format} of {length} bytes"),
                claim(length, b""),
                too_large.clone(),
            ));
            rows.push(raw(
                format!("{format} of {length} bytes, some sent"),
                claim(length, b"{}"),
                too_large,
            ));
        }
        rows.push(raw(
            format!("{format} of as many as may be"),
            claim(MAX_FRAME, b"{"),
            Unfinished,
        ));
        rows.push(refused(format!("{format} of no bytes"), format, b"", malformed(format)));
        // One byte less than there is begins the next frame with the rest.
        for (name, bytes) in
            [("0", vec![0; 1_000]), ("0xff", vec![0xff; 1_000]), ("a space", vec![b' '; 1_000])]
        {
            rows.push(refused(
                format!("{format} of {name} again and again"),
                format,
                bytes,
                malformed(format),
            ));
        }
    }
    rows.push(refused("16 MiB of 0", Pickle, vec![0; MAX_FRAME as usize], "malformed-pickle"));
    rows.push(refused("16 MiB of spaces", Json, vec![b' '; MAX_FRAME as usize], "malformed-json"));
    rows.push(refused("16 MiB of tags", Xml, b"<a>".repeat(MAX_FRAME as usize / 3), "too-deep"));
    rows
}

fn malformed(format: Format) -> &'static str {
    match format {
        Json => "malformed-json",
        Xml => "malformed-xml",
        Pickle => "malformed-pickle",
    }
}

fn random() -> Vec<Row> {
    let mut random = Random::new(1);
    let mut rows = Vec::new();
    for count in 0..300 {
        let length = 5 + random.below(4_000);
        let mut bytes = random.bytes(length);
        // Most first bytes announce nothing, and their row is above.
        bytes[0] %= 4;
        let length = u32::from_be_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]);
        let outcome = match Format::from_byte(bytes[0]) {
            None => Fatal(Json, "unknown-format"),
            Some(format) if length > MAX_FRAME => Fatal(format, "frame-too-large"),
            Some(_) => {
                // So that nothing follows a whole frame, which would be a row of its own.
                bytes[2] |= 1;
                Unfinished
            }
        };
        rows.push(raw(format!("random bytes {count}"), bytes, outcome));
    }
    for count in 0..300 {
        let format = FORMATS[count % 3];
        let length = random.below(2_000);
        let body = random.bytes(length);
        rows.push(raw(
            format!("random {format} body {count}"),
            frame(format.byte(), &body),
            RefusedSomehow(format),
        ));
    }
    rows
}
