//! A writer with a thread, and no memory for what is long.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::thread;

use super::*;
use crate::broker::sync::lifetime;
use crate::broker::{Outbox, Stored, outbox};
use crate::codec::{Dialect, PayloadRef, Share};
use crate::protocol::{
    ErrorCode, Format, HEADER_LEN, Header, Refusal, Reply, Token, Topic, TopicFilter,
};
use crate::transport::line::{Incoming, Unsealed};
use crate::wire::Segment;

/// A writer, its client and its outbox; the writer's session reads until `reading` is dropped.
struct Connected {
    writer: Box<Writer>,
    peer: TcpStream,
    outbox: Outbox,
    reading: Alive,
}

fn connected(
    line: fn(socket2::Socket) -> (Line, Incoming, Outgoing),
    share: &Arc<Share>,
) -> Connected {
    let config = Config { write_timeout: Duration::from_millis(100), ..Config::default() };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (_, _, outgoing) = line(listener.accept().unwrap().0.into());
    let (outbox, inbox) = outbox(config.queue);
    let ((reading, session), (alive, _)) = (lifetime(), lifetime());
    let (writing, answers) = (share.clone(), Share::unlimited());
    let shares = Shares { in_flight: Share::unlimited(), writing, answers };
    let sessions =
        std::sync::Arc::new(crate::transport::mqtt::Sessions::new(std::sync::Arc::default()));
    let ties = Ties { session, _alive: alive, talk: None };
    let common = Common::new(&config, &Arc::default(), shares, &sessions);
    let writer = Writer::new(ClientId(1), outgoing, inbox, ties, common);
    Connected { writer, peer, outbox, reading }
}

/// What a client reads to whom `deliver` gives something while others have all the memory for
/// writing.
fn read_without_memory(deliver: impl FnOnce(&mut Outbox)) -> Vec<String> {
    let share = Share::new(1 << 20);
    let _others = share.account().charge(1 << 20);
    let Connected { writer, mut peer, mut outbox, reading: _reading } =
        connected(Line::plain, &share);
    let writer = thread::spawn(move || drop(writer.run(|| false)));
    deliver(&mut outbox);
    drop(outbox);
    let mut frames = Vec::new();
    let mut header = [0; HEADER_LEN];
    while peer.read_exact(&mut header).is_ok() {
        let length = Header::parse(header, u32::MAX).unwrap().length;
        let mut body = vec![0; length as usize];
        peer.read_exact(&mut body).unwrap();
        frames.push(String::from_utf8(body).unwrap());
    }
    writer.join().unwrap();
    frames
}

/// What a turn has sealed and the system did not take is not forgotten: the writer has not done
/// with it.
#[test]
fn a_turn_that_leaves_something_sealed_is_not_over() {
    let share = Share::unlimited();
    let Connected { mut writer, mut peer, mut outbox, reading } = connected(Line::sealed, &share);
    pong(&mut outbox);
    assert_eq!(writer.take_turn().unwrap(), After::Busy);
    drop((outbox, reading));
    assert!(writer.run(|| false).is_none());
    let (mut sealed, mut unsealed) = (Vec::new(), Unsealed::default());
    peer.read_to_end(&mut sealed).unwrap();
    unsealed.take_in(&sealed);
    assert!(unsealed.plain.ends_with(br#"{"command":"pong"}"#), "{:?}", unsealed.plain);
}

fn long_value() -> Stored {
    let topic = Topic::parse("long").unwrap();
    let text = format!("\"{}\"", "x".repeat(MAX_BYTES));
    Stored::new(topic.name(), PayloadRef::new(text.as_bytes(), Format::Json), 0)
}

fn pong(outbox: &mut Outbox) {
    let reply = Reply::Pong { id: None };
    outbox.answer(Delivery::Reply { reply, token: Token::default() }).unwrap();
}

/// Producers may wait for the memory that it holds, but what its socket takes at once costs them
/// nothing.
#[test]
fn a_subscriber_that_was_cut_off_is_told_so_even_while_producers_wait_for_memory() {
    let in_flight = Share::new(1 << 20);
    let all = in_flight.account().charge(1 << 20);
    let waiting = std::thread::spawn({
        let in_flight = in_flight.clone();
        move || in_flight.account().claim(1 << 19, Duration::from_secs(20)).is_some()
    });
    while !in_flight.is_wanted() {
        thread::yield_now();
    }
    let Connected { mut writer, mut peer, outbox, reading } =
        connected(Line::plain, &Share::unlimited());
    writer.deadline = WriteDeadline::new(ClientId(1), Duration::from_secs(30), in_flight);
    let reply = Reply::Error(Refusal::new(ErrorCode::SlowConsumer, "too slow"));
    drop(outbox.overflow(Delivery::Reply { reply, token: Token::default() }));
    drop(reading);
    assert!(writer.run(|| false).is_none());
    drop(all);
    assert!(waiting.join().unwrap());
    let mut read = Vec::new();
    peer.read_to_end(&mut read).unwrap();
    let text = String::from_utf8_lossy(&read);
    assert!(text.contains("slow-consumer"), "{text}");
}

#[test]
fn a_question_without_memory_for_its_answer_is_refused_and_the_connection_goes_on() {
    let frames = read_without_memory(|outbox| {
        let (stored, dialect, token) = (long_value(), Dialect::Json, Token::default());
        outbox.answer(Delivery::Value { stored, dialect, token }).unwrap();
        pong(outbox);
    });
    assert_eq!(frames.len(), 2, "{frames:?}");
    assert!(frames[0].contains(r#""code":"memory-full""#), "{}", frames[0]);
    assert!(frames[0].contains(r#""topic":"long""#), "{}", frames[0]);
    assert!(frames[1].contains("pong"), "{}", frames[1]);
}

#[test]
fn a_subscriber_without_memory_for_a_message_is_told_so_at_the_end() {
    let frames = read_without_memory(|outbox| {
        let filter = TopicFilter::parse("#").unwrap();
        let begin = Delivery::Snapshot { values: vec![long_value()], dialect: Dialect::Json };
        outbox.answer(begin).unwrap();
        let reply = Reply::Subscribed { topic: filter, values: 1, limited: false, kept: None };
        outbox.answer(Delivery::Reply { reply, token: Token::default() }).unwrap();
    });
    assert_eq!(frames.len(), 1, "{frames:?}");
    assert!(frames[0].contains(r#""code":"memory-full""#), "{}", frames[0]);
}

#[test]
fn more_segments_than_the_kernel_takes_at_once_are_sent_in_order() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut reader = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (line, incoming, mut outgoing) = Line::plain(listener.accept().unwrap().0.into());
    let own: Vec<u8> = (0..3 * 1_024).map(|index| index as u8).collect();
    let segments = (0..own.len()).map(|index| Segment::Own(index..index + 1)).collect();
    let gathered = WriteBatch { segments, bytes: own.len(), own, ..WriteBatch::default() };
    assert_eq!(send_at_once(&gathered, &mut outgoing, 5).unwrap(), gathered.bytes);
    drop((line, incoming, outgoing));
    let mut read = Vec::new();
    reader.read_to_end(&mut read).unwrap();
    assert_eq!(read, gathered.own[5..]);
}
