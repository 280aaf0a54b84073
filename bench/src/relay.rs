//! The bare relay: bytes from one socket to the others, unread. What no broker can beat.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use anyhow::Result;

use crate::wire::{PUBLISHER, SUBSCRIBER, TAKEN_IN};

const BUFFER: usize = 64 << 10;

/// Serves consumers, then one producer at a time, until the process is ended.
pub(crate) fn serve() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("listening on {}", listener.local_addr()?);
    let mut consumers: Vec<TcpStream> = Vec::new();
    loop {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut role = [0];
        match stream.read_exact(&mut role) {
            Ok(()) if role == [SUBSCRIBER] => {
                stream.write_all(&[TAKEN_IN])?;
                consumers.push(stream);
            }
            Ok(()) if role == [PUBLISHER] => {
                // Whoever has gone away ends this flow and not the relay.
                let _ = copy(&mut stream, &mut consumers);
                consumers.clear();
            }
            _ => {}
        }
    }
}

fn copy(producer: &mut TcpStream, consumers: &mut [TcpStream]) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = producer.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        for consumer in consumers.iter_mut() {
            consumer.write_all(&buffer[..count])?;
        }
    }
}
