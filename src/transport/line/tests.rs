//! Connections, and brokers whose connections are sealed.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};

use super::*;
use crate::protocol::HEADER_LEN;
use crate::transport::server::tests::SEALED;
use crate::transport::{Broker, BrokerHandle, Config};

#[test]
fn a_peer_that_has_sent_its_last_is_gone_only_in_a_crowd() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut stream = listener.accept().unwrap().0;
    let (line, ..) = Line::plain(stream.try_clone().unwrap().into());
    assert!(!line.is_gone(true));
    client.shutdown(Shutdown::Write).unwrap();
    let mut watched = [PollFd::new(&stream, PollFlags::RDHUP)];
    poll(&mut watched, None).unwrap();
    assert!(!line.is_gone(false));
    assert!(line.is_gone(true));
    stream.write_all(b"unread").unwrap();
    drop(client);
    // The system has said so when the next write fails.
    while stream.write_all(b"more").is_ok() {}
    assert!(line.is_gone(false));
}

fn start(change: impl FnOnce(&mut Config)) -> BrokerHandle {
    let mut config = Config::listening_on(([127, 0, 0, 1], 0));
    change(&mut config);
    SEALED.set(true);
    let broker = Broker::start(config).unwrap();
    SEALED.set(false);
    broker
}

/// A client that seals what it sends, and cuts it wherever it likes.
struct Client {
    stream: TcpStream,
    unsealed: Unsealed,
}

impl Client {
    fn connect(broker: &BrokerHandle) -> Client {
        let stream = TcpStream::connect(broker.local_addr()).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Client { stream, unsealed: Unsealed::default() }
    }

    fn send(&mut self, body: &str) {
        self.send_sealed(&sealed(body));
    }

    fn send_sealed(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The body of the next frame; none at the end.
    fn next(&mut self) -> Option<String> {
        let mut read = [0; 4_096];
        loop {
            let plain = &mut self.unsealed.plain;
            if let Some(header) = plain.first_chunk::<HEADER_LEN>() {
                let length =
                    u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
                if plain.len() >= HEADER_LEN + length {
                    let frame: Vec<u8> =
                        plain.drain(..HEADER_LEN + length).skip(HEADER_LEN).collect();
                    return Some(String::from_utf8(frame).unwrap());
                }
            }
            match self.stream.read(&mut read).unwrap() {
                0 => return None,
                count => self.unsealed.take_in(&read[..count]),
            }
        }
    }

    fn expect(&mut self, part: &str) -> String {
        let body = self.next().unwrap();
        assert!(body.contains(part), "{body}");
        body
    }
}

fn sealed(body: &str) -> Vec<u8> {
    let mut frame = vec![0];
    frame.extend_from_slice(&(body.len() as u32).to_be_bytes());
    frame.extend_from_slice(body.as_bytes());
    let mut sealed = Vec::new();
    seal(&frame, &mut sealed);
    sealed
}

fn subscribe(client: &mut Client) {
    client.send(r#"{"command":"subscribe","topic":"t"}"#);
    client.expect("subscribed");
}

fn publish(message: &str) -> String {
    format!(r#"{{"command":"publish","topic":"t","message":{message}}}"#)
}

#[test]
fn messages_pass_whole_and_in_order_however_records_are_cut() {
    let broker = start(|_| {});
    let (mut reader, mut producer) = (Client::connect(&broker), Client::connect(&broker));
    subscribe(&mut reader);
    let long = format!("\"{}\"", "x".repeat(2 << 20));
    let messages = ["1", "[2,3]", &long, "4"];
    let sending = thread::spawn({
        let sealed: Vec<u8> =
            messages.iter().flat_map(|message| sealed(&publish(message))).collect();
        move || {
            // Some parts are shorter than what says how long a record is.
            for part in sealed.chunks(7).take(50) {
                producer.send_sealed(part);
            }
            producer.send_sealed(&sealed[sealed.len().min(350)..]);
            producer.send(r#"{"command":"ping"}"#);
            producer.expect("pong");
        }
    });
    for message in messages {
        let body = reader.next().unwrap();
        assert!(body == publish(message), "{} bytes", body.len());
    }
    sending.join().unwrap();
}

/// Nothing can be read of it, and it is no silence.
#[test]
fn a_record_that_has_begun_is_a_frame_that_has_begun() {
    let broker = start(|config| config.frame_timeout = Duration::from_millis(200));
    let mut client = Client::connect(&broker);
    let sealed = sealed(r#"{"command":"ping"}"#);
    client.send_sealed(&sealed[..1]);
    client.expect("frame-timeout");
    assert_eq!(client.next(), None);
    assert_eq!(broker.stats().frame_timeouts, 1);
}

#[test]
fn a_subscriber_that_does_not_read_is_told_so_at_the_end_of_whole_frames() {
    let broker = start(|_| {});
    let (mut slow, mut producer) = (Client::connect(&broker), Client::connect(&broker));
    slow.send(r#"{"command":"subscribe","topic":"t","queue":10}"#);
    slow.expect("subscribed");
    let message = publish(&format!("\"{}\"", "x".repeat(1 << 20)));
    while broker.stats().slow_consumers == 0 {
        producer.send(&message);
        producer.send(r#"{"command":"ping"}"#);
        producer.expect("pong");
    }
    let mut last = String::new();
    while let Some(body) = slow.next() {
        assert!(body == message || last.is_empty(), "{} bytes after {last}", body.len());
        if body != message {
            last = body;
        }
    }
    assert!(last.contains("slow-consumer"), "{last}");
}

/// More than have a thread of their own: what a turn leaves behind is sent in the next.
#[test]
fn a_crowd_of_subscribers_is_served() {
    let broker = start(|_| {});
    let mut readers: Vec<Client> = (0..300)
        .map(|_| {
            let mut reader = Client::connect(&broker);
            subscribe(&mut reader);
            reader
        })
        .collect();
    let mut producer = Client::connect(&broker);
    for number in 0..3 {
        let message = publish(&format!("[{number},\"{}\"]", "x".repeat(20_000)));
        producer.send(&message);
        for reader in &mut readers {
            assert!(reader.next().unwrap() == message);
        }
    }
    broker.shutdown();
    assert!(readers.iter_mut().all(|reader| reader.next().is_none()));
}
