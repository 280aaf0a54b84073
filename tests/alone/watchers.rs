//! Many who watch by WebSocket and by Server-Sent Events at once, while messages come.
#![cfg(feature = "cli")]

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use babelmq::Format::Json;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::alone;
use crate::support::Field::Str;
use crate::support::line::Line;
use crate::support::process::{memory, until};
use crate::support::served::Served;
use crate::support::websocket::{BINARY, FIN, TEXT, WebSocket, masked};
use crate::support::{Client, PATIENCE, body, frame, number};

const BABELMQ: &str = env!("CARGO_BIN_EXE_babelmq");

/// Bytes of memory that a watcher may take at most, in a build that is not optimised: for a while
/// each has a thread or two.
const MEMORY: u64 = 192 << 10;
/// 16 writers keep their threads, whoever they write to; others have one while they are busy.
const THREADS: usize = 350;
/// Threads that read, each what its share of the watchers gets.
const READERS: usize = 4;
/// How often the publisher publishes.
const TICK: Duration = Duration::from_millis(10);

/// How many watch by each of the two, how many messages come in a second, and for how long. For more
/// than is quick: `WATCHERS=1000 RATE=1000 SECONDS=5`, and in `BABELMQ_BIN` a broker that is
/// optimised.
fn size(name: &str, default: usize) -> usize {
    env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// The frame that brings a number.
fn published(count: usize) -> String {
    format!(r#"{{"command":"publish","topic":"watched","message":{count}}}"#)
}

enum Watcher {
    /// Frames in JSON, in text messages.
    Text(WebSocket),
    /// The bytes of our protocol, in binary messages; those that are not looked at yet.
    Binary(WebSocket, Vec<u8>),
    Events(BufReader<TcpStream>),
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

impl Watcher {
    fn by_websocket(address: SocketAddr, is_text: bool) -> Watcher {
        let subscribe = body(Json, &[("command", Str("subscribe")), ("topic", Str("watched"))]);
        let line = Line::plain(connect(address));
        if is_text {
            let first = masked(FIN | TEXT, &subscribe);
            Watcher::Text(WebSocket::over(line, "babelmq.json", &first))
        } else {
            let first = masked(FIN | BINARY, &frame(Json.byte(), &subscribe));
            Watcher::Binary(WebSocket::over(line, "babelmq", &first), Vec::new())
        }
    }

    fn by_events(address: SocketAddr) -> Watcher {
        let mut stream = connect(address);
        let request = "GET /api/v1/subscribe?topic=watched HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut events = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(events.read_line(&mut head).unwrap() > 0, "{head}");
        }
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        Watcher::Events(events)
    }

    /// The next frame's body.
    fn next(&mut self) -> String {
        let bytes = match self {
            Watcher::Text(socket) => {
                let (first, payload) = socket.frame().expect("a message");
                assert_eq!(first, FIN | TEXT);
                payload
            }
            Watcher::Binary(socket, ahead) => loop {
                if let Some((header, rest)) = ahead.split_first_chunk::<5>() {
                    let [format, length @ ..] = *header;
                    assert_eq!(format, Json.byte());
                    let length = u32::from_be_bytes(length) as usize;
                    if rest.len() >= length {
                        let body = rest[..length].to_vec();
                        ahead.drain(..header.len() + length);
                        break body;
                    }
                }
                let (first, payload) = socket.frame().expect("a message");
                assert_eq!(first, FIN | BINARY);
                ahead.extend_from_slice(&payload);
            },
            Watcher::Events(events) => loop {
                let mut line = String::new();
                assert!(events.read_line(&mut line).unwrap() > 0, "the stream has ended");
                if let Some(data) = line.strip_prefix("data: ") {
                    break data.trim_end().as_bytes().to_vec();
                }
                // An event ends with a line that is empty; a colon begins a comment.
                assert!(line == "\n" || line.starts_with(':'), "{line:?}");
            },
        };
        String::from_utf8(bytes).unwrap()
    }
}

#[test]
fn many_watchers_get_everything_in_order_from_few_threads() {
    let _alone = alone();
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    let (each, rate, seconds) = (size("WATCHERS", 200), size("RATE", 500), size("SECONDS", 2));
    // A session is parked after a silence as long as a frame may take, if that is short.
    let listen = "serve --frame-timeout 1s --listen 127.0.0.1:0 --listen http://127.0.0.1:0";
    let program = env::var("BABELMQ_BIN").unwrap_or(BABELMQ.to_owned());
    let served = Served::start(Command::new(program).args(listen.split(' ')));
    let web = served.others[0];
    let threads = || std::fs::read_dir(format!("/proc/{}/task", served.id())).unwrap().count();
    let before = memory(&served.id(), "VmRSS");
    let mut watchers: Vec<Watcher> = (0..each)
        .flat_map(|index| [Watcher::by_websocket(web, index % 2 == 0), Watcher::by_events(web)])
        .collect();
    for watcher in &mut watchers {
        let first = watcher.next();
        assert!(first.starts_with(r#"{"command":"subscribed","topic":"watched""#), "{first}");
    }
    let settled = || threads() < THREADS;
    until("their sessions are parked, and writers beyond some rest", settled);
    let idle = (memory(&served.id(), "VmRSS") - before) / watchers.len() as u64;
    let messages = rate * seconds;
    let start = Instant::now();
    let most = thread::scope(|scope| {
        let mut readers: Vec<_> = watchers
            .chunks_mut((2 * each).div_ceil(READERS))
            .map(|share| {
                scope.spawn(move || {
                    for count in 0..messages {
                        let expected = published(count);
                        for watcher in &mut *share {
                            assert_eq!(watcher.next(), expected);
                        }
                    }
                })
            })
            .collect();
        let mut publisher = Client::to(served.address);
        let (mut count, mut most) = (0, 0);
        while count < messages {
            let due = (start.elapsed().as_secs_f64() * rate as f64) as usize;
            while count <= due.min(messages - 1) {
                publisher.publish(Json, "watched", &number(Json, count as i64));
                count += 1;
            }
            most = most.max(threads());
            // The messages have a rate of their own.
            thread::sleep(TICK);
        }
        for reader in readers.drain(..) {
            reader.join().unwrap();
        }
        publisher.is_quiet();
        most
    });
    let busy = memory(&served.id(), "VmHWM").saturating_sub(before) / watchers.len() as u64;
    println!(
        "{each} by WebSocket and {each} by events: {messages} messages to each in {:.1} s, {} \
         threads at most, {} KiB each at rest, {} KiB at most",
        start.elapsed().as_secs_f64(),
        most,
        idle >> 10,
        busy >> 10
    );
    assert!(most < THREADS, "{most} threads");
    assert!(busy < MEMORY, "{} KiB each", busy >> 10);
    until("they rest again", settled);
}
