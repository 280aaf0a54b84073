//! From one socket to others through a broker in this process: 128-byte JSON messages, at most
//! 8,192 in flight. By TCP, and by WebSocket with a message for each frame that is sent.

#![allow(missing_docs, reason = "criterion's macros write functions without")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use babelmq::{Broker, BrokerHandle, Config, ListenUrl};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Messages for each measurement, in one write, and in flight.
const MESSAGES: u64 = 256_000;
const CHUNK: u64 = 256;
const WINDOW: u64 = 8_192;

fn frame(body: &str) -> Vec<u8> {
    let mut frame = vec![0];
    frame.extend_from_slice(&(body.len() as u32).to_be_bytes());
    frame.extend_from_slice(body.as_bytes());
    frame
}

/// How frames lie in the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Tcp,
    /// In binary messages.
    Binary,
    /// Each is a text message.
    Text,
}

impl Way {
    fn connect(self, broker: &BrokerHandle) -> std::io::Result<TcpStream> {
        let subprotocol = match self {
            Way::Tcp => return TcpStream::connect(broker.local_addr()),
            Way::Binary => "babelmq",
            Way::Text => "babelmq.json",
        };
        let mut socket = TcpStream::connect(broker.http_addr())?;
        socket.set_nodelay(true)?;
        let handshake = format!(
            "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: {subprotocol}\r\n\r\n"
        );
        socket.write_all(handshake.as_bytes())?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte)?;
            head.extend(byte);
        }
        Ok(socket)
    }

    /// The bytes of a body on their way to the broker.
    fn sent(self, body: &str) -> Vec<u8> {
        let (first, payload) = match self {
            Way::Tcp => return frame(body),
            Way::Binary => (0x82, frame(body)),
            Way::Text => (0x81, body.as_bytes().to_vec()),
        };
        let mask = [0x12, 0x34, 0x56, 0x78];
        let mut message = vec![first, 0xfe];
        message.extend_from_slice(&(payload.len() as u16).to_be_bytes());
        message.extend(mask);
        message.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        message
    }
}

/// Counts bytes of payload in the frames of a broker, which may be cut anywhere.
#[derive(Default)]
struct Payloads {
    head: Vec<u8>,
    left: u64,
}

impl Payloads {
    fn count(&mut self, mut bytes: &[u8]) -> u64 {
        let mut count = 0;
        while let Some(byte) = bytes.first() {
            if self.left > 0 {
                let some = self.left.min(bytes.len() as u64);
                bytes = &bytes[some as usize..];
                self.left -= some;
                count += some;
                continue;
            }
            self.head.push(*byte);
            bytes = &bytes[1..];
            let wanted = match self.head.get(1) {
                Some(126) => 4,
                Some(127) => 10,
                _ => 2,
            };
            if self.head.len() == wanted {
                let length = if wanted == 2 { &self.head[1..] } else { &self.head[2..] };
                self.left = length.iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
                self.head.clear();
            }
        }
        count
    }
}

/// Sends [`MESSAGES`] messages to `consumers` consumers and returns when all have all.
fn carry(broker: &BrokerHandle, consumers: usize, way: Way) -> std::io::Result<()> {
    let text = "x".repeat(126);
    let message = way.sent(&format!(
        r#"{{"command":"publish","topic":"bench","retain":false,"message":"{text}"}}"#
    ));
    let body = format!(r#"{{"command":"publish","topic":"bench","message":"{text}"}}"#);
    let delivery = if way == Way::Text { body.len() } else { frame(&body).len() } as u64;
    let received: Vec<AtomicU64> = (0..consumers).map(|_| AtomicU64::new(0)).collect();
    let mut sockets = Vec::new();
    for _ in 0..consumers {
        let mut socket = way.connect(broker)?;
        socket.write_all(&way.sent(r#"{"command":"subscribe","topic":"bench"}"#))?;
        // Nothing is stored, so the first frame says that the subscription is in place.
        if way == Way::Tcp {
            let mut header = [0; 5];
            socket.read_exact(&mut header)?;
            let [_, length @ ..] = header;
            socket.read_exact(&mut vec![0; u32::from_be_bytes(length) as usize])?;
        } else {
            let mut header = [0; 2];
            socket.read_exact(&mut header)?;
            socket.read_exact(&mut vec![0; header[1].into()])?;
        }
        sockets.push(socket);
    }
    let mut producer = way.connect(broker)?;
    let chunk = message.repeat(CHUNK as usize);
    thread::scope(|scope| {
        for (socket, received) in sockets.iter_mut().zip(&received) {
            scope.spawn(move || {
                let mut buffer = vec![0; 256 << 10];
                let (mut bytes, mut payloads) = (0, Payloads::default());
                while bytes < MESSAGES * delivery {
                    match socket.read(&mut buffer) {
                        Ok(count) if count > 0 && way == Way::Tcp => bytes += count as u64,
                        Ok(count) if count > 0 => bytes += payloads.count(&buffer[..count]),
                        _ => break,
                    }
                    received.store(bytes / delivery, Ordering::Release);
                }
            });
        }
        let mut sent = 0;
        while sent < MESSAGES {
            let slowest =
                received.iter().map(|count| count.load(Ordering::Acquire)).min().unwrap_or(sent);
            if sent - slowest > WINDOW - CHUNK {
                thread::yield_now();
                continue;
            }
            producer.write_all(&chunk)?;
            sent += CHUNK;
        }
        Ok(())
    })
}

fn end_to_end(c: &mut Criterion) {
    let urls = ["127.0.0.1:0", "http://127.0.0.1:0"].map(str::parse::<ListenUrl>);
    let config = Config::default().listeners(urls.into_iter().flatten());
    let Ok(broker) = Broker::start(config) else { return };
    let mut group = c.benchmark_group("end to end, 128-byte JSON");
    group.sample_size(10);
    for consumers in [1, 8] {
        for way in [Way::Tcp, Way::Binary, Way::Text] {
            group.throughput(Throughput::Elements(MESSAGES * consumers as u64));
            group.bench_function(format!("1 to {consumers}, {way:?}"), |b| {
                b.iter(|| carry(&broker, consumers, way))
            });
        }
    }
}

criterion_group!(benches, end_to_end);
criterion_main!(benches);
