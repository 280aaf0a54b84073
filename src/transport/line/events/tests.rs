//! Events by themselves, without a broker.

use std::io::{IoSlice, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use crate::broker::sync::Instant;
use crate::protocol::{Format, FrameBuffer, Header};
use crate::transport::line::{Arrived, Line, Pushed, Wait};

const EVERY: Duration = Duration::from_secs(15);

/// What a client gets for these frames, which are pushed in pieces.
fn sent(bodies: &[&str], piece: usize, is_sealed: bool) -> String {
    let (mut client, broker) = UnixStream::pair().unwrap();
    let new = if is_sealed { Line::sealed } else { Line::plain };
    let (_, mut incoming, mut outgoing) = new(broker.into());
    incoming.become_events(&mut outgoing, EVERY);
    let reader = thread::spawn(move || {
        let mut received = Vec::new();
        client.read_to_end(&mut received).unwrap();
        received
    });
    let bytes: Vec<u8> = bodies
        .iter()
        .flat_map(|body| {
            let header = Header { format: Format::Json, length: body.len() as u32 };
            [&header.to_bytes()[..], body.as_bytes()].concat()
        })
        .collect();
    for write in bytes.chunks(piece * 64) {
        let mut slices: Vec<IoSlice<'_>> = write.chunks(piece).map(IoSlice::new).collect();
        let mut rest = slices.as_mut_slice();
        while !rest.is_empty() || !outgoing.is_settled() {
            let pushed = outgoing.push(rest, Wait::Tick).unwrap();
            IoSlice::advance_slices(&mut rest, pushed.taken);
        }
    }
    outgoing.end();
    drop((incoming, outgoing));
    let received = reader.join().unwrap();
    if !is_sealed {
        return String::from_utf8(received).unwrap();
    }
    let mut unsealed = crate::transport::line::Unsealed::default();
    unsealed.take_in(&received);
    String::from_utf8(unsealed.plain).unwrap()
}

#[test]
fn each_frame_is_an_event_in_one_line() {
    let long = format!("[\"{}\",\r\n\"{}\"]", "x".repeat(9_000), "y".repeat(70_000));
    let short = "{\n\r\n}";
    let refusal = r#"{"command":"error","code":"x"}"#;
    let almost = r#"{"command":"erro"#;
    let bodies = [short, &long, refusal, almost, "", "1", &long, refusal];
    let mut expected = String::new();
    for body in bodies {
        if body == refusal {
            expected += "event: refusal\n";
        }
        expected += &format!("data: {}\n\n", body.replace(['\r', '\n'], " "));
    }
    for piece in [1, 5, 1_000, 5_000, 50_000, 1_000_000] {
        for is_sealed in [false, true] {
            assert!(sent(&bodies, piece, is_sealed) == expected, "{piece} {is_sealed}");
        }
    }
}

#[test]
fn a_message_of_a_stream_is_called_by_its_number() {
    let kept = |topic: &str, message: &str| {
        format!(
            r#"{{"command":"publish","topic":"{topic}","stream":"a.b","seq":71,"message":{message}}}"#
        )
    };
    let long = format!("\"{}\"", "x".repeat(70_000));
    let deep = "/t".repeat(3_000);
    let in_quotes = r#"a\\\",\"stream\":\"x\",\"seq\":9,"#;
    let called = [kept("/t", "1"), kept(&deep, &long), kept(in_quotes, "2"), kept("/t", &long)];
    let mut not_called = vec![
        r#"{"command":"publish","topic":"/t","message":{"stream":"a","seq":7,"x":1}}"#.to_owned(),
        r#"{"command":"publish","topic":"/t","retained":true,"message":1}"#.to_owned(),
        r#"{"command":"subscribed","topic":"/t","stream":"a","seq":7}"#.to_owned(),
        r#"{"command":"publish","topic":"/t","stream":"a","seq":7"#.to_owned(),
        r#"{"command":"publish","topic":"/t","stream":"a"#.to_owned(),
    ];
    not_called.push(not_called[1].replace('1', &long));
    let (mut bodies, mut expected) = (Vec::new(), String::new());
    for (body, is_called) in
        called.iter().flat_map(|one| not_called.iter().map(|it| (it, false)).chain([(one, true)]))
    {
        bodies.push(body.as_str());
        let id = if is_called { "id: a.b:71\n" } else { "" };
        expected += &format!("data: {body}\n{id}\n");
    }
    for piece in [1, 5, 1_000, 5_000, 50_000, 1_000_000] {
        assert!(sent(&bodies, piece, false) == expected, "{piece}");
    }
}

#[test]
fn what_the_client_of_a_stream_sends_is_nothing() {
    let (mut client, broker) = UnixStream::pair().unwrap();
    let (_, mut incoming, mut outgoing) = Line::plain(broker.into());
    incoming.become_events(&mut outgoing, EVERY);
    let mut buffer = FrameBuffer::new();
    client.write_all(b"\0\0\0\0\x02{}GET / HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(incoming.read(&mut buffer, 4_096).unwrap(), Arrived::Progress);
    assert!(buffer.bytes().is_empty() && !incoming.is_amid());
    drop(client);
    assert_eq!(incoming.read(&mut buffer, 4_096).unwrap(), Arrived::End);
}

#[test]
fn a_comment_comes_between_two_events_when_it_is_time() {
    let (mut client, broker) = UnixStream::pair().unwrap();
    let (_, mut incoming, mut outgoing) = Line::plain(broker.into());
    assert!(!incoming.keep_alive(Instant::now()) && incoming.due().is_none());
    incoming.become_events(&mut outgoing, EVERY);
    let due = incoming.due().unwrap();
    assert!(incoming.keep_alive(due - Duration::from_secs(1)));
    assert!(outgoing.is_settled() && incoming.due() == Some(due), "it is not time");
    // In the middle of an event it waits for the end.
    let mut rest = &b"\0\0\0\0\x02{}"[..];
    rest = &rest[outgoing.push(&[IoSlice::new(&rest[..6])], Wait::Tick).unwrap().taken..];
    assert!(incoming.keep_alive(due));
    assert_eq!(incoming.due(), Some(due + EVERY));
    while !rest.is_empty() || !outgoing.is_settled() {
        rest = &rest[outgoing.push(&[IoSlice::new(rest)], Wait::Tick).unwrap().taken..];
    }
    // And one is enough.
    assert_eq!(outgoing.push(&[], Wait::Tick).unwrap(), Pushed::default());
    outgoing.end();
    drop((incoming, outgoing));
    let mut received = String::new();
    client.read_to_string(&mut received).unwrap();
    assert_eq!(received, "data: {}\n\n:\n\n");
}
