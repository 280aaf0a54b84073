//! Clients that bend the rules of TLS, or leave without a word.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustls::{ClientConnection, version};

use super::{Certificate, Client, PING, PONG, connect, frame, publish};
use crate::support::PATIENCE;
use crate::support::process::until;

/// What the client's end has to say.
fn sealed(connection: &mut ClientConnection) -> Vec<u8> {
    let mut sealed = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut sealed).unwrap();
    }
    sealed
}

fn seal(connection: &mut ClientConnection, plain: &[u8]) -> Vec<u8> {
    connection.writer().write_all(plain).unwrap();
    sealed(connection)
}

/// A client whose handshake is done.
fn ready(certificate: &Certificate, broker: &babelmq::BrokerHandle) -> Client {
    let mut client = certificate.connect(broker);
    while client.0.conn.is_handshaking() {
        client.0.conn.complete_io(&mut client.0.sock).unwrap();
    }
    client
}

/// A record of type 24 (a heartbeat) may be opened like one of data. What follows a `close_notify`
/// is not read, however much of it there is.
#[test]
fn what_lies_behind_the_end_in_a_record_of_another_kind_is_not_waited_for() {
    let certificate = Certificate::new();
    let broker = certificate.start(|config| config);
    let Client(mut stream) = ready(&certificate, &broker);
    let mut bytes = seal(&mut stream.conn, b"\0");
    bytes[0] = 24;
    stream.conn.send_close_notify();
    bytes.extend(sealed(&mut stream.conn));
    bytes.extend([0; 8 << 10]);
    stream.sock.write_all(&bytes).unwrap();
    // However it ends, it does.
    let _ = stream.sock.read_to_end(&mut Vec::new());
    let until = Instant::now() + PATIENCE;
    while broker.stats().open > 0 {
        if Instant::now() > until {
            // Its session would be waited for as well.
            std::mem::forget(broker);
            panic!("the session goes on");
        }
        thread::yield_now();
    }
}

#[test]
fn plain_text_before_a_broken_record_is_not_lost() {
    let certificate = Certificate::new();
    let broker = certificate.start(|config| config);
    let mut reader = certificate.connect(&broker);
    reader.subscribe();
    let Client(mut stream) = ready(&certificate, &broker);
    let mut bytes = seal(&mut stream.conn, &frame(&publish("1")));
    let mut broken = seal(&mut stream.conn, &frame(&publish("2")));
    *broken.last_mut().unwrap() ^= 1;
    bytes.extend(broken);
    stream.sock.write_all(&bytes).unwrap();
    assert_eq!(reader.next(), Some(publish("1")));
    // bad_record_mac
    let error = stream.read(&mut [0; 10]).unwrap_err();
    assert!(error.to_string().contains("BadRecordMac"), "{error}");
    drop(stream);
    let mut other = certificate.connect(&broker);
    other.send(&publish("3"));
    assert_eq!(reader.next(), Some(publish("3")));
}

/// Tickets would wait unread in such a client's socket, and its end would be a reset.
#[test]
fn all_arrives_of_a_client_that_only_sends_and_ends_without_a_word() {
    let certificate = Certificate::new();
    let broker = certificate.start(|config| config);
    let program = "
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
plain = socket.create_connection(('127.0.0.1', int(sys.argv[2])))
line = context.wrap_socket(plain, server_hostname='localhost')
body = b'{\"command\":\"publish\",\"topic\":\"t\",\"message\":\"' + b'x' * 10_000 + b'\"}'
frame = b'\\0' + len(body).to_bytes(4, 'big') + body
line.sendall(frame * 400)
line.close()
";
    let (cert, port) = (certificate.files().cert, broker.local_addr().port().to_string());
    let output =
        Command::new("python3").args(["-c", program]).arg(cert).arg(port).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let until = Instant::now() + PATIENCE;
    while broker.stats().open > 0 && Instant::now() < until {
        thread::yield_now();
    }
    assert_eq!(broker.stats().published, 400);
}

#[test]
fn a_client_that_sends_much_in_plain_is_still_told() {
    let certificate = Certificate::new();
    let broker = certificate.start(|config| config);
    for _ in 0..3 {
        let mut plain = connect(&broker);
        let message = publish(&format!("\"{}\"", "x".repeat(15 << 20)));
        plain.write_all(&frame(&message)).unwrap();
        let mut answer = Vec::new();
        plain.read_to_end(&mut answer).unwrap();
        assert_eq!(answer[..6], [21, 3, 3, 0, 2, 2], "{answer:?}");
    }
}

#[test]
fn clients_that_stop_in_their_handshakes_keep_nobody_out() {
    let certificate = Certificate::new();
    let broker = certificate.start(|config| config);
    let mut hello = Vec::new();
    certificate.client(&[&version::TLS13]).write_tls(&mut hello).unwrap();
    let silent: Vec<TcpStream> = (0..40)
        .map(|number| {
            let mut stream = connect(&broker);
            // Some begin, and some do not answer.
            let sent = if number % 2 == 0 { 10 } else { hello.len() };
            stream.write_all(&hello[..sent]).unwrap();
            if number % 2 == 1 {
                stream.read_exact(&mut [0]).unwrap();
            }
            stream
        })
        .collect();
    let mut client = certificate.connect(&broker);
    client.send(PING);
    client.expect("pong");
    assert_eq!(broker.stats().failed_handshakes, 0);
    drop(silent);
    let until = Instant::now() + PATIENCE;
    while broker.stats().failed_handshakes < 40 {
        assert!(Instant::now() < until, "{:?}", broker.stats());
        thread::yield_now();
    }
}

/// Each record has as much time as a frame: all of them together may take longer.
#[test]
fn records_without_messages_are_timed_each_by_itself() {
    let certificate = Certificate::new();
    let timeout = Duration::from_millis(400);
    let broker = certificate.start(|config| config.frame_timeout(timeout));
    let Client(mut stream) = ready(&certificate, &broker);
    for _ in 0..4 {
        stream.conn.refresh_traffic_keys().unwrap();
        let record = sealed(&mut stream.conn);
        stream.sock.write_all(&record[..7]).unwrap();
        // How long a record takes is what is tried; nothing is waited for.
        thread::sleep(timeout / 3);
        stream.sock.write_all(&record[7..]).unwrap();
        // The next one does not come with the end of this.
        thread::sleep(timeout / 20);
    }
    let mut client = Client(stream);
    client.send(PING);
    assert_eq!(client.next(), Some(PONG.to_owned()));
    // One that does not end is not waited for.
    let Client(mut stream) = client;
    stream.conn.refresh_traffic_keys().unwrap();
    let record = sealed(&mut stream.conn);
    stream.sock.write_all(&record[..7]).unwrap();
    Client(stream).expect("frame-timeout");
}

#[test]
fn renegotiation_is_refused() {
    let certificate = Certificate::new();
    let broker = certificate.start(|config| config);
    for _ in 0..20 {
        let said = renegotiate(&certificate, &broker);
        if said.contains("no renegotiation") {
            return;
        }
        // It is no fault that a delivery was on its way, but openssl takes it for one.
        assert!(said.contains("unexpected record"), "{said}");
    }
    panic!("a delivery was always quicker than the answer");
}

/// What openssl says when it wants to shake hands again on a connection that it has.
fn renegotiate(certificate: &Certificate, broker: &babelmq::BrokerHandle) -> String {
    let mut child = Command::new("openssl")
        .args(["s_client", "-tls1_2", "-connect", &broker.local_addr().to_string(), "-CAfile"])
        .arg(certificate.files().cert)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let subscribe = frame(r#"{"command":"subscribe","topic":"t"}"#);
    stdin.write_all(&subscribe).unwrap();
    until("it is subscribed", || broker.stats().subscriptions == 1);
    // A command of its own, where it stands at the beginning of what it reads.
    stdin.write_all(b"R\n").unwrap();
    let mut line = Vec::new();
    while !line.starts_with(b"RENEGOTIATING") {
        line.clear();
        assert!(stderr.read_until(b'\n', &mut line).unwrap() > 0);
    }
    // The answer goes before the next delivery.
    let mut producer = certificate.connect(broker);
    until("it has given up", || {
        producer.send(&publish("1"));
        producer.send(PING);
        producer.expect("pong");
        child.try_wait().unwrap().is_some()
    });
    until("its subscription is over", || broker.stats().subscriptions == 0);
    let mut said = String::new();
    stderr.read_to_string(&mut said).unwrap();
    said
}
