//! What a broker holds while there is no server: no more than it says.

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use babelmq::Format::Json;

use super::server;
use crate::shared::delivery;
use crate::support::Client;
use crate::support::Field::Str;
use crate::support::plain_nats::PlainNats;
use crate::support::process::{memory, until};
use crate::support::served::Served;

/// What may wait for one set of shared topics.
const MOST: f64 = (16 << 20) as f64;
/// And what sessions have read besides.
const SLACK: f64 = (4 << 20) as f64;

/// A producer that writes as long as the broker reads, and what of its last message is left.
struct Producer {
    client: Client,
    rest: Vec<u8>,
    sent: usize,
}

impl Producer {
    /// Publishes until the broker has not read for a while.
    fn push(&mut self, topic: &str, payload: &[u8]) {
        self.client.stream().set_write_timeout(Some(Duration::from_secs(1))).unwrap();
        loop {
            if self.rest.is_empty() {
                // Many together, so that it does not take long.
                for _ in 0..100 {
                    self.rest.extend(crate::support::publish(Json, topic, payload));
                }
                self.sent += 100;
            }
            match self.client.stream().write(&self.rest) {
                Ok(count) => drop(self.rest.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

fn claimed(http: SocketAddr) -> f64 {
    use std::io::Read;
    let mut stream = std::net::TcpStream::connect(http).unwrap();
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let of = answer.lines().filter(|line| line.starts_with("babelmq_memory_bytes{"));
    of.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

fn holds(payload: &[u8]) {
    let (mut server, _) = server();
    let mut command = Command::new(env!("CARGO_BIN_EXE_babelmq"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--listen", "http://127.0.0.1:0"]);
    command.args(["--backbone", &server.url(), "--shared", "orders/#", "--backbone-wait", "1h"]);
    let mut broker = Served::start(&mut command);
    let log = broker.log();
    std::thread::spawn(move || log.for_each(drop));
    let mut subscriber = Client::to(broker.address);
    subscriber.subscribe(Json, "orders/last");
    let mut clients: Vec<_> = (0..3)
        .map(|_| Producer { client: Client::to(broker.address), rest: Vec::new(), sent: 0 })
        .collect();
    // It has what it needs for a message.
    for producer in &mut clients {
        producer.client.publish(Json, "orders/1", payload);
        producer.client.is_quiet();
    }
    server.kill();
    let before = memory(&broker.id(), "VmRSS") as f64;
    for _ in 0..2 {
        for (at, producer) in clients.iter_mut().enumerate() {
            // A broker that is slow may read more meanwhile.
            producer.push(&format!("orders/{at}"), payload);
        }
    }
    let claims = claimed(broker.others[0]);
    let grown = memory(&broker.id(), "VmRSS") as f64 - before;
    let messages: usize = clients.iter().map(|producer| producer.sent).sum();
    let each = payload.len();
    eprintln!("memory: {messages} messages of {each} bytes: {claims} claimed, {grown} in all");
    assert!(claims > MOST / 2.0 && claims < MOST + SLACK, "{claims}");
    // What is claimed is what batches take; beside it stands what is on its way to the server.
    assert!(grown < 3.0 * MOST, "{grown}");
    server.start_again();
    for producer in &mut clients {
        producer.client.stream().set_write_timeout(None).unwrap();
        let rest = std::mem::take(&mut producer.rest);
        producer.client.send_raw(&rest);
        producer.client.command(Json, &[("command", Str("ping"))]);
    }
    for producer in &mut clients {
        producer.client.stream().set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        assert_eq!(producer.client.next().field("command"), "pong");
    }
    clients[0].client.publish(Json, "orders/last", b"7");
    assert_eq!(delivery(&mut subscriber), ("orders/last".to_owned(), 7));
    let mut nats = PlainNats::connect(&server.url()).unwrap();
    let info = nats.ask("STREAM.INFO.orders", &serde_json::Value::Null).unwrap();
    assert_eq!(info["state"]["messages"], messages + 4);
    until("memory is given back", || claimed(broker.others[0]) < SLACK);
}

#[test]
fn long_messages_wait_within_what_is_said() {
    let payload = format!("\"{}\"", "x".repeat(30_000));
    holds(payload.as_bytes());
}

#[test]
fn short_messages_wait_within_what_is_said() {
    let payload = format!("\"{}\"", "x".repeat(300));
    holds(payload.as_bytes());
}
