//! From one socket to others through a broker in this process: 128-byte JSON messages, at most
//! 8,192 in flight.

#![allow(missing_docs, reason = "criterion's macros write functions without")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use babelmq::{Broker, Config};
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

/// Sends [`MESSAGES`] messages to `consumers` consumers and returns when all have all.
fn carry(broker: SocketAddr, consumers: usize) -> std::io::Result<()> {
    let text = "x".repeat(126);
    let message = frame(&format!(
        r#"{{"command":"publish","topic":"bench","retain":false,"message":"{text}"}}"#
    ));
    let delivery = frame(&format!(r#"{{"command":"publish","topic":"bench","message":"{text}"}}"#))
        .len() as u64;
    let received: Vec<AtomicU64> = (0..consumers).map(|_| AtomicU64::new(0)).collect();
    let mut sockets = Vec::new();
    for _ in 0..consumers {
        let mut socket = TcpStream::connect(broker)?;
        socket.write_all(&frame(r#"{"command":"subscribe","topic":"bench"}"#))?;
        // Nothing is stored, so the first frame says that the subscription is in place.
        let mut header = [0; 5];
        socket.read_exact(&mut header)?;
        let [_, length @ ..] = header;
        socket.read_exact(&mut vec![0; u32::from_be_bytes(length) as usize])?;
        sockets.push(socket);
    }
    let mut producer = TcpStream::connect(broker)?;
    let chunk = message.repeat(CHUNK as usize);
    thread::scope(|scope| {
        for (socket, received) in sockets.iter_mut().zip(&received) {
            scope.spawn(move || {
                let mut buffer = vec![0; 256 << 10];
                let mut bytes = 0;
                while bytes < MESSAGES * delivery {
                    match socket.read(&mut buffer) {
                        Ok(count) if count > 0 => bytes += count as u64,
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
    let Ok(broker) = Broker::start(Config::listening_on(([127, 0, 0, 1], 0))) else { return };
    let mut group = c.benchmark_group("end to end, 128-byte JSON");
    group.sample_size(10);
    for consumers in [1, 8] {
        group.throughput(Throughput::Elements(MESSAGES * consumers as u64));
        group.bench_function(format!("1 to {consumers}"), |b| {
            b.iter(|| carry(broker.local_addr(), consumers))
        });
    }
}

criterion_group!(benches, end_to_end);
criterion_main!(benches);
