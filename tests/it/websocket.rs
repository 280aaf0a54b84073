//! WebSockets: what belongs to them alone. What every connection promises is tested over them where
//! it is tested over the others.
#![cfg(feature = "broker")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use babelmq::Format::{Json, Pickle, Xml};
use babelmq::{Broker, BrokerHandle, Config, Limits, ListenUrl, QueueLimits};

use crate::support::Field::{Int, Str};
use crate::support::line::{Kind, Line, certificate, over_each_line};
use crate::support::process::until;
use crate::support::websocket::{
    BINARY, CLOSE, FIN, PING, PONG, TEXT, WebSocket, handshake, masked,
};
use crate::support::{Client, body, frame, line, number};

over_each_line! {
    a_text_message_is_the_body_of_a_frame_in_both_directions,
    messages_of_fragments_are_one_message_each,
    messages_behind_the_handshake_need_not_wait_for_its_answer,
    pings_are_answered_whoever_writes,
    a_client_that_ends_gets_what_waits_and_its_own_code,
    what_is_no_message_is_told_with_its_code,
    a_refusal_is_told_before_the_code,
    a_slow_consumer_is_told_why_before_the_code,
    a_broker_that_stops_says_so,
    who_logs_in_does_so_by_the_handshake_or_by_the_first_frame,
}

/// A broker that listens for HTTP and for its own protocol.
fn start(change: impl FnOnce(Config) -> Config) -> BrokerHandle {
    let urls = |urls: [&str; 2]| urls.map(|url| url.parse::<ListenUrl>().unwrap());
    let config = Config::default();
    let config = match line::kind() {
        Kind::Tls => config
            .listeners(urls(["https://127.0.0.1:0", "tls://127.0.0.1:0"]))
            .tls(certificate().clone()),
        _ => config.listeners(urls(["http://127.0.0.1:0", "127.0.0.1:0"])),
    };
    Broker::start(change(config)).unwrap()
}

fn below(broker: &BrokerHandle) -> Line {
    match line::kind() {
        Kind::Tls => Line::tls(broker.http_addr()),
        _ => Line::plain(TcpStream::connect(broker.http_addr()).unwrap()),
    }
}

fn connect(broker: &BrokerHandle) -> WebSocket {
    WebSocket::over(below(broker), "babelmq.json", b"")
}

/// A client of the broker's own protocol.
fn client(broker: &BrokerHandle) -> Client {
    match line::kind() {
        Kind::Tls => Client::to_tls(broker.local_addr()),
        _ => Client::to(broker.local_addr()),
    }
}

fn say(socket: &WebSocket, text: &str) {
    socket.send_raw(&masked(FIN | TEXT, text.as_bytes()));
}

/// The text message that comes next.
#[track_caller]
fn hear(socket: &WebSocket) -> String {
    let (first, payload) = socket.frame().unwrap();
    assert_eq!(first, FIN | TEXT, "{}", payload.escape_ascii());
    String::from_utf8(payload).unwrap()
}

/// The connection ends with this code, and nothing comes before it.
#[track_caller]
fn ends(socket: &WebSocket, code: u16) {
    let (first, payload) = socket.frame().unwrap();
    assert_eq!(first, FIN | CLOSE, "{}", payload.escape_ascii());
    assert_eq!(payload[..2], code.to_be_bytes(), "{}", payload.escape_ascii());
    std::str::from_utf8(&payload[2..]).unwrap();
    assert_eq!(socket.frame(), None);
}

fn a_text_message_is_the_body_of_a_frame_in_both_directions() {
    let broker = start(|config| config);
    let socket = connect(&broker);
    say(&socket, r#"{"command":"subscribe","topic":"/t"}"#);
    assert_eq!(hear(&socket), r#"{"command":"subscribed","topic":"/t","values":0}"#);
    let mut clients = [Json, Xml, Pickle].map(|format| (format, client(&broker)));
    for (format, client) in &mut clients {
        client.subscribe(*format, "/t");
    }
    say(&socket, r#"{"command":"publish","topic":"/t/a","message":5}"#);
    let heard = hear(&socket);
    assert!(heard.contains(r#""topic":"/t/a""#) && heard.contains(r#""message":5"#), "{heard}");
    for (_, client) in &mut clients {
        assert_eq!(client.next().number(), 5);
    }
    for at in 0..clients.len() {
        let (format, client) = &mut clients[at];
        client.publish(*format, "/t/b", &number(*format, 7));
        assert!(hear(&socket).contains(r#""message":7"#));
        clients.iter_mut().for_each(|(_, client)| assert_eq!(client.next().number(), 7));
    }
    // Of every length that has a header of its own.
    for length in [100, 125, 126, 4_096, 65_535, 65_536, 1 << 20] {
        let message = "x".repeat(length);
        say(&socket, &format!(r#"{{"command":"publish","topic":"/t","message":"{message}"}}"#));
        assert!(hear(&socket).contains(&format!("\"{message}\"")), "{length}");
        for (_, client) in &mut clients {
            assert!(client.next().message().contains(&message), "{length}");
        }
    }
    say(&socket, "{\"a\":");
    assert!(hear(&socket).contains(r#""code":"malformed-json""#));
    say(&socket, "");
    assert!(hear(&socket).contains(r#""fatal":false"#));
    socket.send_raw(&masked(FIN | CLOSE, &1000_u16.to_be_bytes()));
    ends(&socket, 1000);
}

fn messages_of_fragments_are_one_message_each() {
    let broker = start(|config| config);
    let socket = connect(&broker);
    let text = format!(r#"{{"command":"ping","id":"{}"}}"#, "x".repeat(200));
    let long = "y".repeat(100_000);
    let message = format!(r#"{{"command":"publish","topic":"t","message":"{long}"}}"#);
    say(&socket, r#"{"command":"subscribe","topic":"t"}"#);
    hear(&socket);
    for size in [1, 7, 100, 30_000] {
        let mut stream = Vec::new();
        for text in [text.as_bytes(), message.as_bytes()] {
            let chunks: Vec<&[u8]> = text.chunks(size.max(text.len() / 1_000)).collect();
            for (at, chunk) in chunks.iter().enumerate() {
                let first = if at == 0 { TEXT } else { 0 };
                stream.extend(masked(
                    if at + 1 == chunks.len() { FIN | first } else { first },
                    chunk,
                ));
            }
        }
        socket.send_raw(&stream);
        assert!(hear(&socket).contains("pong"), "{size}");
        assert!(hear(&socket).contains(&long), "{size}");
    }
    // One that is begun and not finished is a frame that is begun.
    assert_eq!(broker.stats().refused, 0);
    let hasty = start(|config| config.frame_timeout(Duration::from_millis(200)));
    let socket = connect(&hasty);
    socket.send_raw(&masked(TEXT, br#"{"command":"ping"}"#));
    assert!(hear(&socket).contains(r#""code":"frame-timeout""#));
    ends(&socket, 1008);
    // A limit holds as soon as there is too much, whole or not.
    let strict = start(|config| config.limits(Limits::with_max_frame(1_000)));
    for first in [FIN | TEXT, TEXT] {
        let socket = connect(&strict);
        socket.send_raw(&masked(first, &[b' '; 1_001]));
        assert!(hear(&socket).contains(r#""code":"frame-too-large""#));
        ends(&socket, 1009);
    }
    let socket = connect(&strict);
    socket.send_raw(&[masked(TEXT, &[b' '; 600]), masked(FIN, &[b' '; 401])].concat());
    assert!(hear(&socket).contains(r#""code":"frame-too-large""#));
    ends(&socket, 1009);
}

fn messages_behind_the_handshake_need_not_wait_for_its_answer() {
    let broker = start(|config| config);
    let ping = masked(FIN | TEXT, br#"{"command":"ping"}"#);
    for cut in [1, 10, ping.len()] {
        let socket = WebSocket::over(below(&broker), "babelmq.json", &ping[..cut]);
        socket.send_raw(&ping[cut..]);
        assert!(hear(&socket).contains("pong"), "{cut}");
    }
}

fn pings_are_answered_whoever_writes() {
    let broker = start(|config| config);
    let pong = |payload: &[u8]| Some((FIN | PONG, payload.to_vec()));
    let ping = |payload: &[u8]| masked(FIN | PING, payload);
    let mut publisher = client(&broker);
    for subprotocol in ["babelmq", "babelmq.json"] {
        let socket = WebSocket::over(below(&broker), subprotocol, b"");
        // There is no writer yet, nor will there be one for it.
        for payload in [&b""[..], b"one", &[0xff; 125]] {
            socket.send_raw(&ping(payload));
            assert_eq!(socket.frame(), pong(payload));
        }
        // There is one that has nothing to write.
        let subscribe = body(Json, &[("command", Str("subscribe")), ("topic", Str(subprotocol))]);
        match subprotocol {
            "babelmq" => socket.send_raw(&masked(FIN | BINARY, &frame(0, &subscribe))),
            _ => socket.send_raw(&masked(FIN | TEXT, &subscribe)),
        }
        assert_ne!(socket.frame().unwrap().0, FIN | PONG);
        for payload in [&b"two"[..], b"three", b"four"] {
            socket.send_raw(&ping(payload));
            assert_eq!(socket.frame(), pong(payload));
        }
        // In the middle of a message, and between deliveries.
        publisher.publish(Json, subprotocol, b"1");
        publisher.is_quiet();
        socket.send_raw(
            &[masked(if subprotocol == "babelmq" { BINARY } else { TEXT }, b""), ping(b"!")]
                .concat(),
        );
        let mut heard = [socket.frame().unwrap(), socket.frame().unwrap()];
        heard.sort_by_key(|(first, _)| *first);
        assert_eq!(Some(heard[1].clone()), pong(b"!"));
        // Of many at once the last is enough, and what nobody asked for is nothing.
        let many: Vec<u8> = (0..5_000).flat_map(|_| ping(b"many")).collect();
        socket.send_raw(&[many, masked(FIN | PONG, b"what"), ping(b"last")].concat());
        while socket.frame() != pong(b"last") {}
    }
}

fn a_client_that_ends_gets_what_waits_and_its_own_code() {
    let broker = start(|config| config);
    let socket = connect(&broker);
    let many: Vec<u8> =
        (0..100).flat_map(|_| masked(FIN | TEXT, br#"{"command":"ping"}"#)).collect();
    let end = masked(FIN | CLOSE, &[&4001_u16.to_be_bytes()[..], b"bye"].concat());
    // What is behind the end is nothing.
    socket.send_raw(&[many, end, b"???".to_vec()].concat());
    for _ in 0..100 {
        assert!(hear(&socket).contains("pong"));
    }
    assert_eq!(socket.frame(), Some((FIN | CLOSE, 4001_u16.to_be_bytes().to_vec())));
    // Without a code, and where there is no writer.
    let socket = connect(&broker);
    socket.send_raw(&masked(FIN | CLOSE, b""));
    assert_eq!(socket.frame(), Some((FIN | CLOSE, vec![])));
    assert_eq!(socket.frame(), None);
    until("both are gone", || broker.stats().open == 0);
}

fn what_is_no_message_is_told_with_its_code() {
    let broker = start(|config| config);
    let good = masked(FIN | TEXT, br#"{"command":"ping"}"#);
    let mut unmasked = good.clone();
    unmasked[1] &= 0x7f;
    for (what, bytes, code) in [
        ("a reserved bit", masked(FIN | 0x40 | TEXT, b"{}"), 1002),
        ("an opcode", masked(FIN | 3, b"{}"), 1002),
        ("a continuation", masked(FIN, b"{}"), 1002),
        ("no mask", unmasked, 1002),
        ("a ping in fragments", masked(PING, b""), 1002),
        ("a code", masked(FIN | CLOSE, &1005_u16.to_be_bytes()), 1002),
        ("binary", masked(FIN | BINARY, b"{}"), 1003),
        ("no UTF-8", masked(FIN | TEXT, b"\"\xff\""), 1007),
        ("64 bits", [&[FIN | TEXT, 0xff, 0x7f], &[0xff; 11][..]].concat(), 1009),
    ] {
        for has_writer in [false, true] {
            let socket = connect(&broker);
            if has_writer {
                socket.send_raw(&good);
                assert!(hear(&socket).contains("pong"));
            }
            // Whoever does not read the answer at once is still sending.
            socket.send_raw(&[&bytes[..], &[0; 5_000]].concat());
            let (first, payload) = socket.frame().unwrap();
            assert_eq!(
                (first, &payload[..2]),
                (FIN | CLOSE, &u16::to_be_bytes(code)[..]),
                "{what}"
            );
            assert_eq!(socket.frame(), None, "{what}");
        }
    }
    let socket = WebSocket::over(below(&broker), "babelmq", b"");
    socket.send_raw(&good);
    ends(&socket, 1003);
    until("all are gone", || broker.stats().open == 0);
    assert_eq!(broker.stats().panics, 0);
}

fn a_refusal_is_told_before_the_code() {
    let broker = start(|config| config);
    let socket = WebSocket::over(below(&broker), "babelmq", b"");
    socket.send_raw(&masked(FIN | BINARY, b"what?"));
    let (first, payload) = socket.frame().unwrap();
    assert_eq!(first, FIN | BINARY);
    assert!(String::from_utf8_lossy(&payload).contains(r#""code":"unknown-format""#));
    ends(&socket, 1008);
}

fn a_slow_consumer_is_told_why_before_the_code() {
    let broker = start(|config| config.queue(QueueLimits::default().messages(10)));
    let socket = connect(&broker);
    say(&socket, r#"{"command":"subscribe","topic":"t"}"#);
    hear(&socket);
    let mut publisher = client(&broker);
    let long = format!("\"{}\"", "x".repeat(1 << 20));
    while broker.stats().slow_consumers == 0 {
        publisher.publish(Json, "t", long.as_bytes());
        publisher.is_quiet();
    }
    let told = loop {
        let text = hear(&socket);
        if !text.contains(r#""command":"publish""#) {
            break text;
        }
        assert!(text.contains(&long));
    };
    assert!(told.contains(r#""code":"slow-consumer""#), "{told}");
    ends(&socket, 1008);
}

fn a_broker_that_stops_says_so() {
    let broker = start(|config| config);
    let (silent, subscribed) = (connect(&broker), connect(&broker));
    say(&subscribed, r#"{"command":"subscribe","topic":"t"}"#);
    hear(&subscribed);
    broker.shutdown();
    ends(&silent, 1001);
    ends(&subscribed, 1001);
}

fn who_logs_in_does_so_by_the_handshake_or_by_the_first_frame() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("websocket-users");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join(format!("{:?}.toml", line::kind()));
    // The SHA-256 of the token `token`.
    let text = "[[user]]\nname = 'ada'\nroles = ['r']\ntoken-sha256 = \
                '3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0'\n\
                [role.r]\nsubscribe = ['a/#']\n";
    fs::write(&file, text).unwrap();
    let broker = start(|config| config.users(&file));
    let subscribe = r#"{"command":"subscribe","topic":"a"}"#;
    let socket = connect(&broker);
    say(&socket, r#"{"command":"login","token":"token"}"#);
    assert!(hear(&socket).contains(r#""user":"ada""#));
    say(&socket, subscribe);
    assert!(hear(&socket).contains("subscribed"));
    // By the handshake.
    let raw = below(&broker);
    let ask = |token: &str| {
        handshake("babelmq.json")
            .replace("Upgrade: web", &format!("Authorization: Bearer {token}\r\nUpgrade: web"))
    };
    (&raw).write_all(ask("token").as_bytes()).unwrap();
    (&raw).write_all(&masked(FIN | TEXT, subscribe.as_bytes())).unwrap();
    let mut heard = String::new();
    while !heard.contains("subscribed") {
        let mut bytes = [0; 1_000];
        let count = (&raw).read(&mut bytes).unwrap();
        assert!(count > 0, "{heard}");
        heard += &String::from_utf8_lossy(&bytes[..count]);
    }
    assert!(heard.starts_with("HTTP/1.1 101 "), "{heard}");
    let raw = below(&broker);
    (&raw).write_all(ask("wrong").as_bytes()).unwrap();
    let mut heard = [0; 12];
    (&raw).read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"HTTP/1.1 401");
    // Before that nothing but a login is taken, and pings are answered.
    let socket = connect(&broker);
    socket.send_raw(&masked(FIN | PING, b"stranger"));
    assert_eq!(socket.frame(), Some((FIN | PONG, b"stranger".to_vec())));
    say(&socket, subscribe);
    assert!(hear(&socket).contains(r#""code":"login-required""#));
    ends(&socket, 1008);
}

#[test]
fn a_page_of_another_host_has_no_websocket() {
    let broker = start(|config| config.http_origins(["https://app.example".to_owned()]));
    let ask = |origin: &str| {
        let mut stream = TcpStream::connect(broker.http_addr()).unwrap();
        let request = handshake("babelmq.json");
        let request = request.replace("Upgrade: web", &format!("Origin: {origin}\r\nUpgrade: web"));
        stream.write_all(request.as_bytes()).unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        String::from_utf8_lossy(&status[9..]).into_owned()
    };
    assert_eq!(ask("http://localhost"), "101");
    assert_eq!(ask("https://app.example"), "101");
    assert_eq!(ask("https://evil.example"), "403");
    assert_eq!(ask("null"), "403");
}

/// A client that pings and does not read has an answer that waits, and not many.
#[test]
fn pings_of_a_client_that_reads_nothing_take_no_memory() {
    let broker = start(|config| config);
    let socket = connect(&broker);
    say(&socket, r#"{"command":"subscribe","topic":"t"}"#);
    hear(&socket);
    let pings: Vec<u8> = (0..1_000).flat_map(|_| masked(FIN | PING, &[b'x'; 125])).collect();
    let before = broker.stats().bytes_in;
    for _ in 0..200 {
        socket.send_raw(&pings);
    }
    // All of them are read, although nothing of the answers is.
    say(&socket, r#"{"command":"publish","topic":"seen","message":1}"#);
    until("all are read", || broker.stats().published == 1);
    assert!(broker.stats().bytes_in - before < 1_000, "pings are no frames of ours");
    assert_eq!(broker.stats().slow_consumers, 0);
    drop(socket);
    until("it is gone", || broker.stats().open == 0);
}

#[test]
fn a_queue_of_its_own_may_lose_messages_and_says_so() {
    let broker = start(|config| config);
    let socket = WebSocket::over(below(&broker), "babelmq", b"");
    let fields = [
        ("command", Str("subscribe")),
        ("topic", Str("t")),
        ("overflow", Str("latest")),
        ("queue", Int(1)),
    ];
    socket.send_raw(&masked(FIN | BINARY, &frame(0, &body(Json, &fields))));
    let mut heard = Vec::new();
    heard.extend(socket.frame().unwrap().1);
    let mut publisher = client(&broker);
    for count in 0..100 {
        publisher.publish(Json, "t", &number(Json, count));
    }
    publisher.is_quiet();
    while !heard.windows(12).any(|bytes| bytes == br#""message":99"#) {
        heard.extend(socket.frame().unwrap().1);
    }
}
